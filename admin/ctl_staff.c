/* ctl_staff.c: `congvu staff hire|list|show`, and the table of all its verbs: one person, or a list of them on one connection. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_staff.h"
#include "admin/ctl_table.h"

#include "directory/assignment.h"
#include "directory/people.h"
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

struct args {
	const char *name, *agency, *role, *title, *id, *mail, *employee_number, *cert;
	const char *password_file, *file, *who;
	bool all;
	struct change_args change;
};

/* ---- hire ---- */

static struct json *
hired_json(const struct staff_hire *p, const struct staff_hired *h)
{
	struct json *j = json_obj_new();

	json_set_str(j, "result", change_name(h->change));
	json_set_str(j, "id", h->id);
	json_set_str(j, "uid", h->uid);
	json_set_str(j, "mail", h->mail);
	json_set_str(j, "dn", h->dn);
	json_set_str(j, "name", p->name);
	json_set_str(j, "display_name", h->display);
	json_set_str(j, "agency", p->agency);
	if (h->must_change)
		json_set_bool(j, "must_change", true);
	if (h->password != NULL)
		json_set_str(j, "password", h->password);
	return j;
}

/* One person; err and why as dir_admin_hire. rc: a file that could not be read. */
static int
hire_row(struct ctl *c, struct ctl_dir *d, struct staff_hire *p, const char *cert_file,
    struct staff_hired *h, int *rc, char **why)
{
	struct buf cert;
	int err;

	if (p->role == NULL)
		p->role = "staff";
	buf_init(&cert, 65536);
	*rc = cert_file == NULL ? 0 : ctl_read_cert(c, cert_file, &cert);
	p->cert = buf_slice(&cert);
	err = *rc != 0 ? ERR_IO : dir_admin_hire(d->admin, p, h, why);
	buf_done(&cert);
	return err;
}

static int
hire_one(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct staff_hire p = {.name = a->name,
	    .agency = a->agency,
	    .title = a->title,
	    .role = a->role,
	    .decision = a->change.decision,
	    .id = a->id,
	    .mail = a->mail,
	    .employee_number = a->employee_number};
	struct staff_hired h = {0};
	struct buf password;
	char *why = NULL;
	int rc = 0, err = 0;

	buf_init(&password, 1024);
	if (a->password_file != NULL)
		rc = ctl_read_password(c, a->password_file, &password);
	p.password = buf_slice(&password);
	if (rc == 0)
		err = hire_row(c, d, &p, a->cert, &h, &rc, &why);
	if (rc == 0 && err != 0)
		rc = ctl_dir_fail(c, a->name == NULL ? "hire" : a->name, err, why);
	if (rc == 0 && c->json) {
		struct json *j = hired_json(&p, &h);

		ctl_change_json(&a->change, d, h.change, j);
		rc = ctl_json_take(j, 0);
	} else if (rc == 0) {
		printf("%s %s%s: %s, %s, %s %s\n", h.id, _(change_name(h.change)),
		    ctl_change_dry(&a->change, h.change), h.display, h.mail, _("login name"),
		    h.uid);
		ctl_change_print(&a->change, d);
		if (h.password != NULL)
			printf(_("first password (to be changed before anybody signs in with it): "
				 "%s\n"),
			    h.password);
	}
	staff_hired_done(&h);
	buf_wipe(&password);
	return rc;
}

/* What became of a row, for people. */
static void
print_row(const struct args *a, const struct staff_hired *h)
{
	printf("%s %s%s: %s, %s%s%s\n", h->id, _(change_name(h->change)),
	    ctl_change_dry(&a->change, h->change), h->display, h->mail,
	    h->password == NULL ? "" : ", ", h->password == NULL ? "" : h->password);
}

static struct json *
failed_json(const struct ctl_row *row, int err, const char *why)
{
	struct json *j = json_obj_new();

	json_set_str(j, "result", "failed");
	json_set_int(j, "line", row->line);
	json_set_str(j, "name", row->name);
	json_set_str(j, "error", why == NULL ? err_name(err) : why);
	return j;
}

/* A list: every row is tried. */
static int
hire_rows(struct ctl *c, struct ctl_dir *d, const struct args *a, const struct ctl_rows *rows)
{
	struct json *list = json_arr_new();
	size_t counts[3] = {0}, failed = 0;
	int last = 0;

	dir_admin_reserve(d->admin, (unsigned)rows->n);
	for (size_t i = 0; i < rows->n; i++) {
		const struct ctl_row *row = &rows->v[i];
		struct staff_hire p = {.name = row->name,
		    .title = row->title,
		    .id = row->id,
		    .agency = row->agency == NULL ? a->agency : row->agency,
		    .role = row->role == NULL ? a->role : row->role,
		    .decision = row->decision == NULL ? a->change.decision : row->decision,
		    .mail = row->mail,
		    .employee_number = row->employee_number,
		    .password = slice_str(row->password)};
		struct staff_hired h = {0};
		char *why = NULL, what[64];
		int rc, err = hire_row(c, d, &p, row->cert, &h, &rc, &why);

		if (err == 0) {
			counts[h.change]++;
			if (c->json) {
				struct json *j = hired_json(&p, &h);

				json_set_bool(j, "dry_run", a->change.dry_run);
				json_push_take(list, j);
			} else
				print_row(a, &h);
		} else {
			failed++;
			json_push_take(list, failed_json(row, err, why));
			snprintf(what, sizeof(what), _("line %u"), row->line);
			last = rc != 0 ? rc : ctl_dir_fail(c, what, err, why);
		}
		staff_hired_done(&h);
	}
	fprintf(stderr, _("congvu staff: %zu added, %zu changed, %zu unchanged, %zu failed\n"),
	    counts[CHANGE_ADDED], counts[CHANGE_CHANGED], counts[CHANGE_NONE], failed);
	if (a->change.dry_run)
		fprintf(stderr, "congvu staff:%s\n", _(" (dry run: nothing was written)"));
	if (c->json)
		return ctl_json_take(list, last);
	json_free(list);
	return last;
}

static int
hire_many(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct ctl_rows rows = {0};
	char *why = NULL;
	struct buf text;
	int rc;

	buf_init(&text, 256u << 20);
	rc = ctl_read_file(c, a->file, 256u << 20, &text);
	if (rc == 0 && ctl_rows_parse(buf_slice(&text), &rows, &why) != 0)
		rc = ctl_dir_fail(c, a->file, ERR_SYNTAX, why);
	buf_wipe(&text);
	if (rc == 0)
		rc = hire_rows(c, d, a, &rows);
	ctl_rows_done(&rows);
	return rc;
}

/* ---- list and show ---- */

/* By which the entry is as it is: each change adds its own behind those before. */
static const char *
last_decision(const struct dir_entry *e)
{
	const struct dir_attr *at = dir_entry_attr(e, "vnDecisionRef");
	const char *text =
	    at == NULL || at->n_values == 0 ? NULL : dir_value_text(at->values[at->n_values - 1]);

	return text == NULL ? "" : text;
}

static struct json *
staff_json(const struct dir_entry *e)
{
	static const struct {
		const char *key, *attr;
	} table[] = {{"id", "vnStaffId"}, {"uid", "uid"}, {"mail", "mail"}, {"name", "cn"},
	    {"display_name", "displayName"}, {"agency", "vnAgencyRef"}, {"title", "title"},
	    {"role", "vnRole"}, {"status", "vnStatus"}};
	struct json *j = json_obj_new();

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		json_set_str(j, table[i].key, ctl_value(e, table[i].attr));
	json_set_str(j, "decision", last_decision(e));
	return j;
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(ctl_value(a, "vnStaffId"), ctl_value(b, "vnStaffId"));
}

static int
staff_list(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct dir_result *r = NULL;
	struct json *list = json_arr_new();
	char *why = NULL;
	struct ctl_table *t = ctl_table_new(6);
	int err = dir_admin_staff(d->admin, a->agency, &r, &why);

	if (err != 0)
		return ctl_listed(c, list, t, "list", err, why);
	qsort(r->entries, r->n_entries, sizeof(*r->entries), by_id);
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];

		if (c->json)
			json_push_take(list, staff_json(e));
		ctl_table_cell(t, ctl_value(e, "vnStaffId"));
		ctl_table_cell(t, ctl_value(e, "uid"));
		ctl_table_cell(t, ctl_value(e, "mail"));
		ctl_table_cell(t, ctl_status_word(e));
		ctl_table_cell(t, ctl_value(e, "displayName"));
		ctl_table_cell(t, ctl_value(e, "title"));
	}
	dir_result_free(r);
	return ctl_listed(c, list, t, "list", 0, NULL);
}

/* What stands in the directory may have come there past congvu: a terminal is not to obey it. */
static void
print_shown(const char *value)
{
	struct buf b;

	buf_init(&b, 1 << 20);
	ctl_shown(slice_str(value), &b);
	printf("%s\n", buf_cstr(&b));
	buf_done(&b);
}

static void
print_labelled(const char *label, const char *value)
{
	printf("  ");
	ctl_label(label, 15);
	print_shown(value);
}

/* ---- show: where somebody is, for which days ---- */

/* "2026-11-30 00:00" of a field, of an end the last day; static. */
static const char *
day_of(struct slice v, bool end)
{
	char text[40];

	snprintf(text, sizeof(text), "%.*s", (int)v.len, (const char *)v.ptr);
	return end ? ctl_until(text) : ctl_when(text);
}

/* A field as a word of ours; static. */
static const char *
word_of(struct slice v)
{
	static char text[40];

	snprintf(text, sizeof(text), "%.*s", (int)v.len, (const char *)v.ptr);
	return *text == '\0' ? "" : _(text);
}

static const char *
state_of(const struct assignment *f)
{
	static const char *const names[] = {
	    [ASSIGNMENT_OVER] = "over", [ASSIGNMENT_NOW] = "now", [ASSIGNMENT_LATER] = "later"};

	return names[assignment_when(f->from, f->to, time(NULL))];
}

static void
assignment_print(const struct assignment *f)
{
	const char *state = ctl_post_state(state_of(f));
	struct buf b;

	buf_init(&b, 65536);
	buf_appendf(&b, "%s ", word_of(f->kind));
	buf_append_slice(&b, f->agency);
	buf_append_byte(&b, ' ');
	buf_append_slice(&b, f->post);
	if (f->from.len > 0)
		buf_appendf(&b, " %s %s", _("from"), day_of(f->from, false));
	if (f->to.len > 0)
		buf_appendf(&b, " %s %s", _("until"), day_of(f->to, true));
	if (f->decision.len > 0)
		buf_appendf(&b, " (%.*s)", (int)f->decision.len, (const char *)f->decision.ptr);
	if (*state != '\0')
		buf_appendf(&b, " [%s]", state);
	print_labelled(_("assignment"), buf_cstr(&b));
	buf_done(&b);
}

/* Those of today; with all also those that are over or have not begun. */
static void
assignments_print(const struct dir_entry *e, bool all)
{
	const struct dir_attr *at = dir_entry_attr(e, "vnAssignment");

	for (size_t i = 0; at != NULL && i < at->n_values; i++) {
		struct assignment f;

		assignment_split(at->values[i], &f);
		if (all || strcmp(state_of(&f), "now") == 0)
			assignment_print(&f);
	}
}

/* The same in parts, as "assigned"; "assignments" has the texts of all. */
static struct json *
assigned_json(const struct dir_entry *e, bool all)
{
	const struct dir_attr *at = dir_entry_attr(e, "vnAssignment");
	struct json *list = json_arr_new();

	for (size_t i = 0; at != NULL && i < at->n_values; i++) {
		struct json *j = json_obj_new();
		struct assignment f;

		assignment_split(at->values[i], &f);
		json_set_slice(j, "kind", f.kind);
		json_set_slice(j, "agency", f.agency);
		json_set_slice(j, "post", f.post);
		json_set_slice(j, "from", f.from);
		json_set_slice(j, "until", f.to);
		json_set_slice(j, "decision", f.decision);
		json_set_str(j, "state", state_of(&f));
		if (all || strcmp(state_of(&f), "now") == 0)
			json_push_take(list, j);
		else
			json_free(j);
	}
	return list;
}

static void
show_print(const struct dir_entry *e, const struct dir_result *held, bool all)
{
	static const struct {
		const char *label, *attr;
	} shown[] = {{N_("login name"), "uid"}, {N_("address"), "mail"}, {N_("title"), "title"},
	    {N_("agency"), "vnAgencyRef"}, {N_("role"), "vnRole"}, {N_("status"), "vnStatus"},
	    {N_("decision"), "vnDecisionRef"}};
	const struct dir_attr *certs = dir_entry_attr(e, "userCertificate;binary");
	char count[24];

	printf("%s  ", ctl_value(e, "vnStaffId"));
	print_shown(ctl_value(e, "displayName"));
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
		print_labelled(_(shown[i].label),
		    strcmp(shown[i].attr, "vnStatus") == 0        ? ctl_status_word(e)
		    : strcmp(shown[i].attr, "vnDecisionRef") == 0 ? last_decision(e)
								  : ctl_value(e, shown[i].attr));
	if (*ctl_value(e, "vnReadUntil") != '\0')
		print_labelled(_("reads until"), ctl_until(ctl_value(e, "vnReadUntil")));
	assignments_print(e, all);
	for (size_t i = 0; i < held->n_entries; i++)
		print_labelled(_("mailbox"), ctl_value(&held->entries[i], "mail"));
	snprintf(count, sizeof(count), "%zu", certs == NULL ? (size_t)0 : certs->n_values);
	print_labelled(_("certificates"), count);
}

static struct json *
show_json(const struct dir_entry *e, const struct dir_result *held, bool all)
{
	const struct dir_attr *certs = dir_entry_attr(e, "userCertificate;binary");
	struct json *j = staff_json(e), *boxes = json_arr_new();

	for (size_t i = 0; i < held->n_entries; i++)
		json_push_take(boxes, json_str_new(dir_entry_value(&held->entries[i], "mail")));
	json_set_str(j, "dn", e->dn);
	json_set_take(j, "aliases", ctl_values_json(e, "vnMailAlias"));
	json_set_take(j, "decisions", ctl_values_json(e, "vnDecisionRef"));
	json_set_take(j, "assignments", ctl_values_json(e, "vnAssignment"));
	json_set_take(j, "assigned", assigned_json(e, all));
	json_set_take(j, "former_addresses", ctl_values_json(e, "vnAddressHistory"));
	json_set_str(j, "read_until", ctl_value(e, "vnReadUntil"));
	json_set_str(j, "epoch", ctl_value(e, "vnEpoch"));
	json_set_take(j, "mailboxes", boxes);
	json_set_int(j, "certificates", certs == NULL ? 0 : (int64_t)certs->n_values);
	return j;
}

static bool
is_held(const struct dir_result *held, const char *address)
{
	for (size_t i = 0; i < held->n_entries; i++)
		if (strcasecmp(ctl_value(&held->entries[i], "mail"), address) == 0)
			return true;
	return false;
}

/* The functional mailboxes that the person opens today and no roster names them or their posts for: through groups, by name or by rule, or delegated. As
 * sign-in has it; who does not sign in opens none. */
static int
through_show(struct ctl *c, struct ctl_dir *d, const struct dir_entry *e,
    const struct dir_result *held, struct json *j, char **why)
{
	struct json *list = json_arr_new();
	struct person_mailboxes *m = NULL;
	struct people *p = NULL;
	struct person *u = NULL;
	int err = people_new(c->conf, d->dir, &p, why);

	if (err == 0)
		err = people_login(p, dir_entry_value(e, "uid"), &u);
	if (err == 0)
		err = people_mailboxes(p, u, &m);
	for (size_t i = 0; err == 0 && i < m->n; i++) {
		const struct person_mailbox *b = &m->v[i];
		char line[512];

		if (b->account[0] != 'f' || (b->rights[0] == '\0' && !b->may_send) ||
		    is_held(held, b->address))
			continue;
		json_push_take(list, json_str_new(slice_str(b->address)));
		snprintf(
		    line, sizeof(line), "%s (%s)", b->address, _("through a group, or delegated"));
		if (!c->json)
			print_labelled(_("mailbox"), line);
	}
	if (j != NULL)
		json_set_take(j, "mailboxes_through", list);
	else
		json_free(list);
	person_mailboxes_free(m);
	person_free(u);
	people_free(p);
	return err == ERR_NOTFOUND ? 0 : err;
}

static int
staff_show(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct dir_result *r = NULL, *held = NULL;
	struct json *j = NULL;
	char *why = NULL;
	int err = dir_admin_staff_show(d->admin, a->who, &r, &why);

	if (err == 0)
		err = dir_admin_held(d->admin, &r->entries[0], a->all, &held, &why);
	if (err != 0) {
		dir_result_free(r);
		return ctl_dir_fail(c, a->who, err, why);
	}
	if (c->json)
		j = show_json(&r->entries[0], held, a->all);
	else
		show_print(&r->entries[0], held, a->all);
	err = through_show(c, d, &r->entries[0], held, j, &why);
	if (err == 0)
		err = ctl_staff_mail_show(c, d, r->entries[0].dn, j);
	if (j != NULL && err == 0)
		ctl_json_take(j, 0);
	else
		json_free(j);
	dir_result_free(held);
	dir_result_free(r);
	return err != 0 ? ctl_dir_fail(c, a->who, err, why) : 0;
}

/* ---- all verbs ---- */

struct all_args {
	struct args a;
	struct staff_mail_args m;
	struct staff_change_args x;
};

static int
verb_hire(struct ctl *c, struct ctl_dir *d, struct all_args *all)
{
	return all->a.file != NULL ? hire_many(c, d, &all->a) : hire_one(c, d, &all->a);
}

static int
verb_list(struct ctl *c, struct ctl_dir *d, struct all_args *all)
{
	return staff_list(c, d, &all->a);
}

static int
verb_show(struct ctl *c, struct ctl_dir *d, struct all_args *all)
{
	return staff_show(c, d, &all->a);
}

static int
verb_forward(struct ctl *c, struct ctl_dir *d, struct all_args *all)
{
	return ctl_staff_forward(c, d, &all->m);
}

static int
verb_away(struct ctl *c, struct ctl_dir *d, struct all_args *all)
{
	return ctl_staff_away(c, d, &all->m);
}

static int
verb_change(struct ctl *c, struct ctl_dir *d, struct all_args *all)
{
	return ctl_staff_change(c, d, &all->x);
}

static const struct verb {
	const char *name;
	int argc;
	int (*fn)(struct ctl *c, struct ctl_dir *d, struct all_args *all);
} verbs[] = {{"hire", 2, verb_hire}, {"list", 2, verb_list}, {"show", 3, verb_show},
    {"forward", 3, verb_forward}, {"away", 3, verb_away}, {"transfer", 3, verb_change},
    {"second", 3, verb_change}, {"return", 3, verb_change}, {"freeze", 3, verb_change},
    {"unfreeze", 3, verb_change}, {"leave", 3, verb_change}};

static int
run(struct ctl *c, const struct verb *verb, struct all_args *all)
{
	struct ctl_dir d = {0};
	int rc = ctl_change_open(c, &all->a.change, &d);

	if (rc == 0)
		rc = verb->fn(c, &d, all);
	ctl_dir_close(&d);
	return rc;
}

int
ctl_staff(struct ctl *c, int argc, char **argv)
{
	struct all_args all = {.a = {0}};
	struct args *a = &all.a;
	struct staff_mail_args *m = &all.m;
	bool from_stdin = false, no_reading = false, known = false;
	const struct verb *verb = NULL;
	const struct ctl_option options[] = {
	    {"name", &a->name, NULL},
	    {"agency", &a->agency, NULL},
	    {"role", &a->role, NULL},
	    {"title", &a->title, NULL},
	    {"id", &a->id, NULL},
	    {"mail", &a->mail, NULL},
	    {"employee-number", &a->employee_number, NULL},
	    {"cert", &a->cert, NULL},
	    {"password-file", &a->password_file, NULL},
	    {"password-stdin", NULL, &from_stdin},
	    {"file", &a->file, NULL},
	    {"to", &m->to, NULL},
	    {"no-copy", NULL, &m->no_copy},
	    {"off", NULL, &m->off},
	    {"text-file", &m->text_file, NULL},
	    {"subject", &m->subject, NULL},
	    {"from", &m->from, NULL},
	    {"until", &m->until, NULL},
	    {"days", &m->days, NULL},
	    {"concurrent", NULL, &all.x.concurrent},
	    {"read-until", &all.x.read_until, NULL},
	    {"no-reading", NULL, &no_reading},
	    {"all", NULL, &a->all},
	    CTL_CHANGE_OPTIONS(a->change),
	    {NULL, NULL, NULL},
	};
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		known = known || strcmp(argv[1], verbs[i].name) == 0;
		if (strcmp(argv[1], verbs[i].name) == 0 && argc == verbs[i].argc)
			verb = &verbs[i];
	}
	if (argc > 1 && !known)
		return ctl_usage(c,
		    _("there is no \"%s\": hire, list, show, transfer, second, "
		      "return, freeze, unfreeze, leave, forward or away"),
		    argv[1]);
	if (verb == NULL)
		return ctl_usage(c, "%s",
		    _("hire, list, show, transfer, second, return, freeze, unfreeze, leave, "
		      "forward or away: whom?"));
	if ((no_reading || all.x.read_until != NULL) && strcmp(verb->name, "leave") != 0)
		return ctl_usage(c, "%s", _("--read-until and --no-reading go with leave"));
	if (no_reading && all.x.read_until != NULL)
		return ctl_usage(c, "%s", _("--read-until or --no-reading, not both"));
	if (no_reading)
		all.x.read_until = "";
	if (from_stdin)
		a->password_file = "-";
	a->who = m->who = argv[2];
	all.x.verb = verb->name;
	all.x.who = a->who;
	all.x.agency = a->agency;
	all.x.title = a->title;
	all.x.role = a->role;
	all.x.mail = a->mail;
	all.x.from = m->from;
	all.x.until = m->until;
	all.x.change = &a->change;
	return run(c, verb, &all);
}
