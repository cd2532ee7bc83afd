/* ctl_staff_change.c: `congvu staff transfer|second|return|freeze|unfreeze|leave`. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_staff.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Certificates name the agency and the address: who changes either has to have them amended (NĐ 68/2024, article 15). */
static void
tell_certificates(struct ctl *c, struct ctl_dir *d, const char *who, struct json *j)
{
	const struct dir_attr *certs;
	struct dir_result *r = NULL;
	char *why = NULL;
	size_t n = 0;

	if (dir_admin_staff_show(d->admin, who, &r, &why) == 0) {
		certs = dir_entry_attr(&r->entries[0], "userCertificate;binary");
		n = certs == NULL ? 0 : certs->n_values;
	}
	if (n > 0 && !c->json)
		fprintf(stderr,
		    _("congvu staff: %s has %zu certificates: where they name the agency or the "
		      "address, they must be amended\n"),
		    who, n);
	json_set_int(j, "certificates_to_amend", (int64_t)n);
	dir_result_free(r);
	free(why);
}

static int
change(struct ctl_dir *d, const struct staff_change_args *a, const char *decision,
    enum change *change_out, char **why)
{
	const struct staff_transfer t = {a->agency, a->title, a->role, a->mail, decision};
	const struct staff_second s = {a->agency, a->from, a->until, decision, a->concurrent};

	if (strcmp(a->verb, "transfer") == 0)
		return dir_admin_transfer(d->admin, a->who, &t, change_out, why);
	if (strcmp(a->verb, "second") == 0)
		return dir_admin_second(d->admin, a->who, &s, change_out, why);
	if (strcmp(a->verb, "return") == 0)
		return dir_admin_return(d->admin, a->who, a->agency, decision, change_out, why);
	if (strcmp(a->verb, "leave") == 0)
		return dir_admin_leave(d->admin, a->who, decision, change_out, why);
	return dir_admin_freeze(
	    d->admin, a->who, strcmp(a->verb, "freeze") == 0, decision, change_out, why);
}

int
ctl_staff_change(struct ctl *c, struct ctl_dir *d, const struct staff_change_args *a)
{
	const char *decision = a->change->decision == NULL ? "" : a->change->decision;
	bool transfer = strcmp(a->verb, "transfer") == 0;
	enum change result = CHANGE_NONE;
	struct json *j;
	char *why = NULL;
	int err;

	if (transfer && a->agency == NULL && a->title == NULL && a->role == NULL && a->mail == NULL)
		return ctl_usage(c, "%s", _("transfer: --agency, --title, --role or --mail"));
	err = change(d, a, decision, &result, &why);
	j = json_obj_new();
	if (err == 0 && transfer && result != CHANGE_NONE)
		tell_certificates(c, d, a->who, j);
	return ctl_change_told(c, a->change, d, a->who, err, result, why, j);
}
