/* auth_external.c: SASL EXTERNAL: who signs in by the certificate the TLS layer has seen. Runs in lookup's workers. Counted and held like
 * other logins. RFC 4422 appendix A. */
#include "config.h"

#include "directory/auth_priv.h"

#include "lib/err.h"

#include <stdlib.h>

bool
auth_may_act_as(const struct person *u, struct slice want)
{
	bool same = slice_caseeq_str(want, u->login);

	for (size_t i = 0; i < u->n_addresses && !same; i++)
		same = slice_caseeq_str(want, u->addresses[i]);
	return same;
}

int
auth_external(const struct auth_source *s, struct slice der, struct slice authzid, const char *ip,
    struct person **person_out, char **name_out)
{
	struct person *u = NULL;
	char *name = NULL;
	struct slice shown;
	int err = s->by_cert(s->arg, der, &u, &name);

	shown = slice_str(name == NULL ? "" : name);
	if (err != 0 && err != ERR_AUTH && err != ERR_NOTFOUND)
		goto out;
	if (s->may_try != NULL && !s->may_try(s->arg, u, shown, ip)) {
		err = ERR_LIMIT;
		goto out;
	}
	if (err == 0 && u->policy.state == PPOLICY_LOCKED)
		err = ERR_LIMIT;
	else if (err == ERR_NOTFOUND)
		err = ERR_AUTH;
	else if (err == 0 && authzid.len > 0 && !auth_may_act_as(u, authzid))
		err = ERR_DENIED;
	if (err == 0 && s->admit != NULL)
		err = s->admit(s->arg, u, false);
	if (s->tried != NULL && (err == 0 || err == ERR_AUTH))
		s->tried(s->arg, u, shown, ip, err == 0);
out:
	if (err == 0)
		*person_out = u;
	else
		person_free(u);
	*name_out = name;
	return err;
}
