/* auth_mechs.c: which mechanisms are offered, and whose steps they are. Runs in lookup's loop and its workers; set once, before there are threads. RFC 4422. */
#include "config.h"

#include "directory/auth_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static char list[1024]; /* separated by spaces */

int
auth_mechs_set(const char *const *mechs, size_t n)
{
	size_t len = 0;

	for (size_t i = 0; i < n; i++) {
		int wrote =
		    snprintf(list + len, sizeof(list) - len, "%s%s", i == 0 ? "" : " ", mechs[i]);

		if (wrote < 0 || (size_t)wrote >= sizeof(list) - len)
			return ERR_UNSUPPORTED;
		len += (size_t)wrote;
	}
	for (char *p = list; *p != '\0'; p++) {
		if (*p >= 'a' && *p <= 'z')
			*p = (char)(*p - 'a' + 'A');
	}
	return 0;
}

const char *
auth_mechs(void)
{
	return list;
}

bool
auth_offers(const char *mech)
{
	size_t n = strlen(mech);

	for (const char *p = list; *p != '\0'; p += strcspn(p, " "), p += *p == ' ') {
		if (strcspn(p, " ") == n && strncasecmp(p, mech, n) == 0)
			return true;
	}
	return false;
}

bool
auth_mech_is_plaintext(const char *mech)
{
	return strcasecmp(mech, "PLAIN") == 0 || strcasecmp(mech, "LOGIN") == 0;
}

bool
auth_mech_is_scram(const char *mech)
{
	return strncasecmp(mech, "SCRAM-", 6) == 0;
}

enum auth_own
auth_own_of(const char *mech)
{
	return strcasecmp(mech, "EXTERNAL") == 0 ? OWN_EXTERNAL
	       : strcasecmp(mech, "PLAIN") == 0  ? OWN_PLAIN
	       : strcasecmp(mech, "SCRAM-SHA-256") == 0 ||
		       strcasecmp(mech, "SCRAM-SHA-256-PLUS") == 0
		   ? OWN_SCRAM
		   : OWN_NOT;
}

/* ---- what Cyrus SASL locks by: its codes are 0 and -1 ---- */

void *
auth_mutex_new(void)
{
	pthread_mutex_t *m = xmalloc(sizeof(*m));

	pthread_mutex_init(m, NULL);
	return m;
}

int
auth_mutex_lock(void *m)
{
	return pthread_mutex_lock(m) == 0 ? 0 : -1;
}

int
auth_mutex_unlock(void *m)
{
	return pthread_mutex_unlock(m) == 0 ? 0 : -1;
}

void
auth_mutex_free(void *m)
{
	if (m == NULL)
		return;
	pthread_mutex_destroy(m);
	free(m);
}
