/* cb_connect.c: the connection of an MTA begins and ends. Runs in milter's threads. xxfi_close also comes without connect. */
#include "config.h"

#include "milter/milter_priv.h"

#include "lib/log.h"

#include <stdlib.h>

struct session *
cb_connect(const char *client_ip)
{
	struct session *s = xcalloc(1, sizeof *s);

	s->client_ip = client_ip != NULL ? xstrdup(client_ip) : NULL;
	return s;
}

void
cb_close(struct session *s)
{
	if (s == NULL)
		return;
	cb_abort(s);
	free(s->client_ip);
	free(s->tls);
	free(s);
}
