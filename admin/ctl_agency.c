/* ctl_agency.c: `congvu agency add|list|show|move|rename|close`: agencies, with the clerks' post and the functional mailbox of each. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_table.h"

#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

struct args {
	struct agency_add p;
	const char *cert_file, *successor, *code;
	bool top, move;
	struct change_args change;
};

static int
agency_add(struct ctl *c, struct ctl_dir *d, struct args *a)
{
	enum change change = CHANGE_NONE;
	char *why = NULL;
	struct json *j;
	struct buf cert;
	int rc = 0, err;

	buf_init(&cert, 65536);
	if (a->cert_file != NULL)
		rc = ctl_read_cert(c, a->cert_file, &cert);
	if (rc != 0)
		goto out;
	a->p.cert = buf_slice(&cert);
	err = dir_admin_agency_add(d->admin, &a->p, &change, &why);
	j = json_obj_new();
	json_set_str(j, "code", a->p.code);
	json_set_str(j, "mailbox", a->p.mailbox);
	rc = ctl_change_told(c, &a->change, d, a->p.code, err, change, why, j);
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
	struct ctl_table *t = ctl_table_new(6);
	char *why = NULL;
	int err = dir_admin_agencies(d->admin, &r, &why);

	if (err == 0)
		err = dir_admin_mailboxes(d->admin, &boxes, &why);
	if (err == 0) {
		qsort(r->entries, r->n_entries, sizeof(*r->entries), by_code);
		for (size_t i = 0; i < r->n_entries; i++) {
			const struct dir_entry *e = &r->entries[i];
			const char *mailbox = mailbox_of(boxes, ctl_value(e, "vnAgencyCode"));

			json_push_take(list, agency_json(e, mailbox));
			ctl_table_cell(t, ctl_value(e, "vnAgencyCode"));
			ctl_table_cell(t, ctl_value(e, "vnAgencyAbbrev"));
			ctl_table_cell(t, ctl_value(e, "vnAgencyKind"));
			ctl_table_cell(t, ctl_status_word(e));
			ctl_table_cell(t, ctl_value(e, "ou"));
			ctl_table_cell(t, mailbox);
		}
	}
	dir_result_free(r);
	dir_result_free(boxes);
	return ctl_listed(c, list, t, "list", err, why);
}

/* ---- one ---- */

/* The values of one attribute of many, as an array. */
static struct json *
column_json(const struct dir_result *r, const char *attr)
{
	struct json *list = json_arr_new();

	for (size_t i = 0; i < r->n_entries; i++)
		json_push_take(list, json_str_new(dir_entry_value(&r->entries[i], attr)));
	return list;
}

static void
print_column(const char *label, const struct dir_result *r, const char *id, const char *name)
{
	struct buf b;

	for (size_t i = 0; i < r->n_entries; i++) {
		buf_init(&b, 65536);
		ctl_shown(slice_str(ctl_value(&r->entries[i], id)), &b);
		buf_append_str(&b, " ");
		ctl_shown(slice_str(ctl_value(&r->entries[i], name)), &b);
		printf("  ");
		ctl_label(label, 18);
		printf("%s\n", buf_cstr(&b));
		buf_done(&b);
	}
}

static void
print_value(const char *label, const char *value)
{
	struct buf b;

	if (*value == '\0')
		return;
	buf_init(&b, 65536);
	ctl_shown(slice_str(value), &b);
	printf("  ");
	ctl_label(label, 18);
	printf("%s\n", buf_cstr(&b));
	buf_done(&b);
}

static void
print_values(const char *label, const struct dir_entry *e, const char *attr)
{
	const struct dir_attr *at = dir_entry_attr(e, attr);

	for (size_t i = 0; at != NULL && i < at->n_values; i++)
		print_value(label, (const char *)at->values[i].ptr);
}

/* name;from;to;decision, of which the decision may have semicolons. */
static struct json *
former_names(const struct dir_entry *e, bool print)
{
	const struct dir_attr *at = dir_entry_attr(e, "vnFormerName");
	struct json *list = json_arr_new();

	for (size_t i = 0; at != NULL && i < at->n_values; i++) {
		char *text = slice_dup(at->values[i]), *rest = text, *name = strsep(&rest, ";"),
		     *from = strsep(&rest, ";"), *to = strsep(&rest, ";");
		struct json *j = json_obj_new();
		struct buf b;

		json_set_str(j, "name", name);
		json_set_str(j, "from", from);
		json_set_str(j, "to", to);
		json_set_str(j, "decision", rest);
		json_push_take(list, j);
		buf_init(&b, 65536);
		buf_append_str(&b, name == NULL ? "" : name);
		if (to != NULL && *to != '\0')
			buf_appendf(&b, " (%s)", ctl_when(to));
		if (print)
			print_value(_("former name"), buf_cstr(&b));
		buf_done(&b);
		free(text);
	}
	return list;
}

static void
show_names(const struct dir_entry *e, const char *parent)
{
	print_value(_("below"), parent);
	print_values(_("predecessor"), e, "vnPredecessor");
	print_values(_("successor"), e, "vnSuccessor");
	json_free(former_names(e, true));
}

static int
agency_show(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	static const struct {
		const char *key, *label, *attr;
	} shown[] = {{"name", "name", "ou"}, {"abbrev", "abbreviation", "vnAgencyAbbrev"},
	    {"kind", "kind", "vnAgencyKind"}, {"status", "status", "vnStatus"},
	    {"from", "from", "vnValidFrom"}, {"to", "until", "vnValidTo"},
	    {"legacy_code", "legacy code", "vnLegacyCode"}};
	struct agency_view v;
	const struct dir_entry *e;
	struct json *j;
	char *why = NULL, parent[64], count[24];
	size_t below = 0;
	int err = dir_admin_agency_show(d->admin, a->code, &v, &why), rc = 0;

	if (err != 0)
		return ctl_dir_fail(c, a->code, err, why);
	e = &v.agency->entries[0];
	parent_of(e, parent);
	for (size_t i = 0; i < v.below->n_entries; i++) /* itself is there until it is closed */
		below += strcmp(v.below->entries[i].dn_norm, e->dn_norm) != 0;
	if (c->json) {
		j = json_obj_new();
		json_set_str(j, "code", ctl_value(e, "vnAgencyCode"));
		json_set_str(j, "parent", *parent == '\0' ? NULL : parent);
		for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
			json_set_str(j, shown[i].key, ctl_value(e, shown[i].attr));
		json_set_take(j, "predecessors", ctl_values_json(e, "vnPredecessor"));
		json_set_take(j, "successors", ctl_values_json(e, "vnSuccessor"));
		json_set_take(j, "former_names", former_names(e, false));
		json_set_take(j, "decisions", ctl_values_json(e, "vnDecisionRef"));
		json_set_take(j, "mailboxes", column_json(v.mailboxes, "mail"));
		json_set_take(j, "posts", column_json(v.posts, "vnPositionCode"));
		json_set_take(j, "groups", column_json(v.groups, "cn"));
		json_set_int(j, "people", (int64_t)v.people->n_entries);
		json_set_int(j, "agencies_below", (int64_t)below);
		rc = ctl_json_take(j, 0);
	} else {
		print_column(ctl_value(e, "vnAgencyCode"), v.agency, "vnAgencyAbbrev", "ou");
		for (size_t i = 1; i < sizeof(shown) / sizeof(shown[0]); i++) {
			if (*ctl_value(e, shown[i].attr) == '\0')
				continue;
			printf("  ");
			ctl_label(_(shown[i].label), 18);
			printf("%s\n", strcmp(shown[i].attr, "vnStatus") == 0
					   ? ctl_status_word(e)
					   : ctl_when(ctl_value(e, shown[i].attr)));
		}
		show_names(e, parent);
		print_column(_("mailbox"), v.mailboxes, "mail", "displayName");
		print_column(_("post"), v.posts, "vnPositionCode", "cn");
		print_column(_("group"), v.groups, "cn", "displayName");
		snprintf(count, sizeof(count), "%zu", v.people->n_entries);
		printf("  ");
		ctl_label(_("people"), 18);
		printf("%s\n", count);
	}
	agency_view_done(&v);
	return rc;
}

static int
agency_move(struct ctl *c, struct ctl_dir *d, struct args *a)
{
	enum change change = CHANGE_NONE;
	char *why = NULL;
	int err;

	if (a->top == (a->p.parent != NULL))
		return ctl_usage(c, "%s", _("where to? --parent CODE or --top"));
	err = dir_admin_agency_move(
	    d->admin, a->code, a->p.parent, a->change.decision, &change, &why);
	return ctl_change_told(c, &a->change, d, a->code, err, change, why, NULL);
}

static int
agency_rename(struct ctl *c, struct ctl_dir *d, struct args *a)
{
	enum change change = CHANGE_NONE;
	char *why = NULL;
	int err = dir_admin_agency_rename(
	    d->admin, a->code, a->p.name, a->p.abbrev, a->change.decision, &change, &why);

	return ctl_change_told(c, &a->change, d, a->code, err, change, why, NULL);
}

static int
agency_close(struct ctl *c, struct ctl_dir *d, struct args *a)
{
	enum change change = CHANGE_NONE;
	char *why = NULL;
	int err = dir_admin_agency_close(
	    d->admin, a->code, a->successor, a->move, a->change.decision, &change, &why);

	return ctl_change_told(c, &a->change, d, a->code, err, change, why, NULL);
}

static int
run(struct ctl *c, struct args *a, const char *verb, bool named)
{
	struct ctl_dir d = {0};
	int rc;

	rc = ctl_change_open(c, &a->change, &d);
	if (rc == 0) {
		a->p.decision = a->change.decision == NULL ? "" : a->change.decision;
		a->change.decision = a->p.decision;
		rc = !named && strcmp(verb, "add") == 0 ? agency_add(c, &d, a)
		     : !named                           ? agency_list(c, &d)
		     : strcmp(verb, "show") == 0        ? agency_show(c, &d, a)
		     : strcmp(verb, "move") == 0        ? agency_move(c, &d, a)
		     : strcmp(verb, "rename") == 0      ? agency_rename(c, &d, a)
							: agency_close(c, &d, a);
	}
	ctl_dir_close(&d);
	return rc;
}

int
ctl_agency(struct ctl *c, int argc, char **argv)
{
	struct args a = {0};
	const struct ctl_option options[] = {
	    {"code", &a.p.code, NULL},
	    {"name", &a.p.name, NULL},
	    {"abbrev", &a.p.abbrev, NULL},
	    {"kind", &a.p.kind, NULL},
	    {"parent", &a.p.parent, NULL},
	    {"mailbox", &a.p.mailbox, NULL},
	    {"mailbox-cert", &a.cert_file, NULL},
	    {"successor", &a.successor, NULL},
	    {"top", NULL, &a.top},
	    {"move", NULL, &a.move},
	    CTL_CHANGE_OPTIONS(a.change),
	    {NULL, NULL, NULL},
	};
	static const char *const plain[] = {"add", "list"}, *const of_one[] = {
								"show", "move", "rename", "close"};
	bool known = false;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < 2; i++)
		known = known || (argc == 2 && strcmp(argv[1], plain[i]) == 0);
	for (size_t i = 0; i < 4; i++)
		known = known || (argc == 3 && strcmp(argv[1], of_one[i]) == 0);
	if (!known)
		return ctl_usage(c, "%s", _("add, list, show, move, rename or close: which?"));
	if (strcmp(argv[1], "add") == 0 && a.p.code == NULL)
		return ctl_usage(c, "%s", _("--code is needed"));
	a.code = argv[2];
	return run(c, &a, argv[1], argc == 3);
}
