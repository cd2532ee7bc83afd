/* ctl_agency.c: `congvu agency add|list`: agencies, with the clerks' post and the functional mailbox of each. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_directory.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct args {
	struct agency_add p;
	const char *cert_file, *bind_dn, *bind_password_file;
};

static int
agency_add(struct ctl *c, struct ctl_dir *d, struct args *a)
{
	enum change change = CHANGE_NONE;
	char *why = NULL;
	struct buf cert;
	int rc = 0, err;

	buf_init(&cert, 65536);
	if (a->cert_file != NULL)
		rc = ctl_read_cert(c, a->cert_file, &cert);
	if (rc != 0)
		goto out;
	a->p.cert = buf_slice(&cert);
	err = dir_admin_agency_add(d->admin, &a->p, &change, &why);
	if (err != 0) {
		rc = ctl_dir_fail(c, a->p.code, err, why);
	} else if (c->json) {
		struct json *j = json_obj_new();

		json_set_str(j, "result", change_name(change));
		json_set_str(j, "code", a->p.code);
		json_set_str(j, "mailbox", a->p.mailbox);
		rc = ctl_json_take(j, 0);
	} else {
		printf("%s: %s\n", a->p.code, _(change_name(change)));
	}
out:
	buf_done(&cert);
	return rc;
}

/* The address of an agency's functional mailbox; "" for none. */
static const char *
mailbox_of(const struct dir_result *boxes, const char *code)
{
	for (size_t i = 0; i < boxes->n_entries; i++) {
		if (strcmp(ctl_value(&boxes->entries[i], "vnAgencyRef"), code) == 0)
			return ctl_value(&boxes->entries[i], "mail");
	}
	return "";
}

/* The code of the agency that the entry stands below, from its DN; "" at the top. */
static void
parent_of(const struct dir_entry *e, char out[64])
{
	const char *rdn = strstr(e->dn + 1, ",vnAgencyCode=");

	out[0] = '\0';
	if (rdn != NULL)
		snprintf(out, 64, "%.*s", (int)strcspn(rdn + 14, ","), rdn + 14);
}

static struct json *
agency_json(const struct dir_entry *e, const char *mailbox)
{
	struct json *j = json_obj_new();
	char parent[64];

	parent_of(e, parent);
	json_set_str(j, "code", ctl_value(e, "vnAgencyCode"));
	json_set_str(j, "name", ctl_value(e, "ou"));
	json_set_str(j, "abbrev", ctl_value(e, "vnAgencyAbbrev"));
	json_set_str(j, "kind", ctl_value(e, "vnAgencyKind"));
	json_set_str(j, "parent", *parent == '\0' ? NULL : parent);
	json_set_str(j, "mailbox", *mailbox == '\0' ? NULL : mailbox);
	json_set_str(j, "status", ctl_value(e, "vnStatus"));
	json_set_str(j, "decision", ctl_value(e, "vnDecisionRef"));
	return j;
}

static int
by_code(const void *a, const void *b)
{
	return strcmp(ctl_value(a, "vnAgencyCode"), ctl_value(b, "vnAgencyCode"));
}

static int
agency_list(struct ctl *c, struct ctl_dir *d)
{
	struct dir_result *r = NULL, *boxes = NULL;
	struct json *list = json_arr_new();
	char *why = NULL;
	int err = dir_admin_agencies(d->admin, &r, &why);

	if (err == 0)
		err = dir_admin_mailboxes(d->admin, &boxes, &why);
	if (err == 0) {
		qsort(r->entries, r->n_entries, sizeof(*r->entries), by_code);
		for (size_t i = 0; i < r->n_entries; i++) {
			const struct dir_entry *e = &r->entries[i];
			const char *mailbox = mailbox_of(boxes, ctl_value(e, "vnAgencyCode"));

			if (c->json)
				json_push_take(list, agency_json(e, mailbox));
			else
				printf("%-12s %-8s %-8s %s%s%s\n", ctl_value(e, "vnAgencyCode"),
				    ctl_value(e, "vnAgencyAbbrev"), ctl_value(e, "vnAgencyKind"),
				    ctl_value(e, "ou"), *mailbox == '\0' ? "" : "  ", mailbox);
		}
	}
	dir_result_free(r);
	dir_result_free(boxes);
	if (err == 0 && c->json)
		return ctl_json_take(list, 0);
	json_free(list);
	return err == 0 ? 0 : ctl_dir_fail(c, "list", err, why);
}

int
ctl_agency(struct ctl *c, int argc, char **argv)
{
	struct args a = {0};
	struct ctl_dir d = {0};
	const struct ctl_option options[] = {
	    {"code", &a.p.code, NULL},
	    {"name", &a.p.name, NULL},
	    {"abbrev", &a.p.abbrev, NULL},
	    {"kind", &a.p.kind, NULL},
	    {"parent", &a.p.parent, NULL},
	    {"mailbox", &a.p.mailbox, NULL},
	    {"mailbox-cert", &a.cert_file, NULL},
	    {"decision", &a.p.decision, NULL},
	    {"bind-dn", &a.bind_dn, NULL},
	    {"bind-password-file", &a.bind_password_file, NULL},
	    {NULL, NULL, NULL},
	};
	bool add;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	add = argc == 2 && strcmp(argv[1], "add") == 0;
	if (!add && !(argc == 2 && strcmp(argv[1], "list") == 0))
		return ctl_usage(c, "%s", _("add or list?"));
	if (add && a.p.code == NULL)
		return ctl_usage(c, "%s", _("--code is needed"));
	rc = ctl_dir_open(c, a.bind_dn, a.bind_password_file, &d);
	if (rc == 0)
		rc = add ? agency_add(c, &d, &a) : agency_list(c, &d);
	ctl_dir_close(&d);
	return rc;
}
