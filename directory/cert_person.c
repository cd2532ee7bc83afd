/* cert_person.c: cert_person.h. Runs in lookup's workers. RFC 5280 4.2.1.6, RFC 4422 appendix A. */
#include "config.h"

#include "directory/cert_person.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

/* The person who signs in under the address and has it now. 0, ERR_NOTFOUND, ERR_TEMP. */
static int
by_address(struct people *p, const char *address, struct person **out)
{
	struct person *u = NULL;
	bool has = false;
	int err = people_is_ours(p, slice_str(address)) ? people_login(p, slice_str(address), &u)
							: ERR_NOTFOUND;

	if (err != 0)
		return err;
	/* a login filter may know other names: somebody's login name can look like another's address */
	for (size_t i = 0; i < u->n_addresses; i++)
		has = has || strcmp(u->addresses[i], address) == 0;
	if (!has) {
		person_free(u);
		return ERR_NOTFOUND;
	}
	*out = u;
	return 0;
}

/* Whether the directory has this very certificate for the person. 0, ERR_AUTH, ERR_TEMP. */
static int
has_cert(struct people *p, const struct person *u, const char *address, struct slice der)
{
	struct people_owner *o = NULL;
	int err = people_owner(p, slice_str(address), &o);

	if (err != 0)
		return err;
	err = ERR_AUTH;
	for (size_t i = 0;
	     o->kind == PEOPLE_PERSON && strcmp(o->account, u->account) == 0 && i < o->n_certs; i++)
		if (slice_eq(o->certs[i], der))
			err = 0;
	people_owner_free(o);
	return err;
}

static char *
normalized(const char *address)
{
	struct buf b;
	char *s = NULL;

	buf_init(&b, 1024);
	if (addr_normalize(slice_str(address), &b) == 0 && b.err == 0)
		s = slice_dup(buf_slice(&b));
	buf_done(&b);
	return s;
}

int
cert_person(struct people *p, const struct client_cas *cas, enum cert_map map, struct slice der,
    struct person **out, char **name_out)
{
	struct client_cert cert = {.n = 0};
	struct person *found = NULL;
	const char *why = "";
	char *name = NULL;
	int err = client_cert_check(cas, der, &cert, &why);

	if (err != 0) {
		log_msg(LOG_LVL_INFO, "client_cert", "not believed: %s", why);
		err = err == ERR_NOMEM ? ERR_TEMP : ERR_AUTH;
	}
	for (size_t i = 0; i < cert.n && err == 0; i++) {
		struct person *u = NULL;
		char *address = normalized(cert.addresses[i]);

		if (address == NULL)
			continue;
		err = by_address(p, address, &u);
		if (err == 0 && map == CERT_MAP_CERTIFICATE)
			err = has_cert(p, u, address, der);
		if (err == 0 && found != NULL && strcmp(found->account, u->account) != 0)
			err = ERR_AUTH; /* it speaks for two */
		if (err == 0 && found == NULL) {
			found = u;
			u = NULL;
		}
		if (err == ERR_NOTFOUND)
			err = 0;
		person_free(u);
		free(name);
		name = address;
	}
	if (err == 0 && found == NULL)
		err = ERR_NOTFOUND;
	if (err == 0)
		*out = found;
	else
		person_free(found);
	*name_out = name;
	client_cert_done(&cert);
	return err;
}
