/* ctl_group.c: `congvu group create|delete|list|show|add|remove`: mail groups. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_table.h"

#include "directory/people.h"
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_MAX = 100, SHOWN_MAX = 50 };

struct args {
	const char *name, *mail, *agency, *may_send, *of_agency, *of_title, *of_kind, *of_role, *id;
	const char *const *who;
	size_t n_who;
	struct change_args change;
};

static int
group_create(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	const char *const given[] = {
	    a->may_send, a->of_agency, a->of_title, a->of_kind, a->of_role};
	const char *v[5][LIST_MAX];
	char *texts[5] = {NULL};
	struct group_create p = {.id = a->id,
	    .name = a->name,
	    .mail = a->mail,
	    .agency = a->agency,
	    .decision = a->change.decision};
	struct str_list *const lists[] = {&p.may_send, &p.agencies, &p.titles, &p.kinds, &p.roles};
	enum change change = CHANGE_NONE;
	char *why = NULL;
	int err;

	for (size_t i = 0; i < 5; i++) {
		lists[i]->n = ctl_split(given[i], v[i], LIST_MAX, &texts[i]);
		lists[i]->v = v[i];
	}
	err = dir_admin_group_create(d->admin, &p, &change, &why);
	for (size_t i = 0; i < 5; i++)
		free(texts[i]);
	return ctl_change_told(c, &a->change, d, a->id, err, change, why, NULL);
}

static int
group_change(struct ctl *c, struct ctl_dir *d, const char *verb, const struct args *a)
{
	enum change change = CHANGE_NONE;
	char *why = NULL;
	int err;

	if (strcmp(verb, "delete") == 0)
		err = dir_admin_group_delete(d->admin, a->id, a->change.decision, &change, &why);
	else
		err = dir_admin_group_members(d->admin, a->id, strcmp(verb, "add") == 0, a->who,
		    a->n_who, a->change.decision, &change, &why);
	return ctl_change_told(c, &a->change, d, a->id, err, change, why, NULL);
}

static size_t
members_of(const struct dir_entry *e)
{
	const struct dir_attr *at = dir_entry_attr(e, "member");
	size_t n = 0;

	for (size_t i = 0; at != NULL && i < at->n_values; i++)
		n += !slice_caseeq_str(at->values[i], "cn=nobody");
	return n;
}

static struct json *
group_json(const struct dir_entry *e)
{
	struct json *j = json_obj_new();

	json_set_str(j, "id", ctl_value(e, "cn"));
	json_set_str(j, "name", ctl_value(e, "displayName"));
	json_set_str(j, "mail", ctl_value(e, "mail"));
	json_set_str(j, "agency", ctl_value(e, "vnAgencyRef"));
	json_set_str(j, "status", ctl_value(e, "vnStatus"));
	json_set_int(j, "members_named", (int64_t)members_of(e));
	return j;
}

static int
by_id(const void *a, const void *b)
{
	return strcmp(ctl_value(a, "cn"), ctl_value(b, "cn"));
}

/* How many people mail to it reaches today, by name and by rule, as a word; in JSON a number, and none where mail to it is refused. */
static const char *
reach_of(struct people *p, const struct dir_entry *e, struct json *j, int *err_out)
{
	static char text[32];
	struct people_rcpt *r = NULL;
	int err = strcmp(ctl_value(e, "vnStatus"), "closed") == 0
		      ? ERR_NOTFOUND
		      : people_rcpt(p, dir_entry_value(e, "mail"), &r);

	*err_out = err == ERR_NOTFOUND || err == ERR_LIMIT ? 0 : err;
	snprintf(text, sizeof(text), "%zu", r == NULL ? (size_t)0 : r->n);
	if (err == ERR_LIMIT)
		snprintf(text, sizeof(text), "> %d", PEOPLE_GROUP_MAX);
	else
		json_set_int(j, "reaches", r == NULL ? 0 : (int64_t)r->n);
	people_rcpt_free(r);
	return text;
}

static int
group_list(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct ctl_table *t = ctl_table_new(6);
	struct json *list = json_arr_new();
	struct dir_result *r = NULL;
	struct people *p = NULL;
	char *why = NULL, count[24];
	int err = dir_admin_groups(d->admin, a->agency, &r, &why);

	if (err == 0)
		err = people_new(c->conf, d->dir, &p, &why);

	if (err == 0)
		qsort(r->entries, r->n_entries, sizeof(*r->entries), by_id);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		struct json *j = group_json(e);
		const char *reach = reach_of(p, e, j, &err);

		json_push_take(list, j);
		snprintf(count, sizeof(count), "%zu", members_of(e));
		ctl_table_cell(t, ctl_value(e, "cn"));
		ctl_table_cell(t, ctl_value(e, "mail"));
		ctl_table_cell(t, ctl_status_word(e));
		ctl_table_cell(t, count);
		ctl_table_cell(t, reach);
		ctl_table_cell(t, ctl_value(e, "displayName"));
	}
	people_free(p);
	dir_result_free(r);
	return ctl_listed(c, list, t, "list", err, why);
}

static const struct {
	const char *key, *label, *attr;
} lists_shown[] = {{"may_send", "may send", "vnMaySend"},
    {"of_agency", "of agency", "vnMemberAgency"}, {"of_title", "of title", "vnMemberTitle"},
    {"of_kind", "of kind", "vnMemberKind"}, {"of_role", "of role", "vnMemberRole"},
    {"aliases", "alias", "vnMailAlias"}};

static void
print_line(const char *label, const char *value)
{
	struct buf b;

	buf_init(&b, 65536);
	ctl_shown(slice_str(value), &b);
	printf("  ");
	ctl_label(label, 15);
	printf("%s\n", buf_cstr(&b));
	buf_done(&b);
}

/* Who is behind the group today, by name and by rule, all levels: as mail to it is delivered. e: not closed. */
static int
today_show(struct ctl *c, struct ctl_dir *d, const struct dir_entry *e, struct json *j, char **why)
{
	struct json *list = json_arr_new();
	struct people_rcpt *r = NULL;
	struct people *p = NULL;
	int err = people_new(c->conf, d->dir, &p, why);

	if (err == 0)
		err = people_rcpt(p, dir_entry_value(e, "mail"), &r);
	for (size_t i = 0; err == 0 && i < r->n; i++) {
		struct json *one = json_obj_new();
		char line[1024];

		json_set_str(one, "address", r->v[i].address);
		json_set_str(one, "name", r->v[i].name);
		json_push_take(list, one);
		snprintf(line, sizeof(line), "%s %s", r->v[i].address, r->v[i].name);
		if (!c->json && i < SHOWN_MAX)
			print_line(_("reaches today"), line);
		if (!c->json && i == SHOWN_MAX) {
			snprintf(line, sizeof(line), _("and %zu more"), r->n - SHOWN_MAX);
			print_line("", line);
		}
	}
	json_set_take(j, "today", list);
	people_rcpt_free(r);
	people_free(p);
	if (err == ERR_LIMIT && *why == NULL &&
	    asprintf(why,
		_("it has more than %d members, or is nested too deep: mail to it is refused"),
		PEOPLE_GROUP_MAX) < 0)
		*why = NULL;
	return err == ERR_NOTFOUND ? 0 : err; /* no mail reaches it */
}

static int
group_show(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct json *j, *members = json_arr_new();
	const struct dir_attr *at;
	struct dir_result *r = NULL;
	const struct dir_entry *e;
	char *why = NULL;
	int err = dir_admin_group_show(d->admin, a->id, &r, &why);

	if (err != 0) {
		json_free(members);
		return ctl_dir_fail(c, a->id, err, why);
	}
	e = &r->entries[0];
	if (!c->json) {
		print_line(ctl_value(e, "cn"), ctl_value(e, "displayName"));
		print_line(_("address"), ctl_value(e, "mail"));
		print_line(_("status"), ctl_status_word(e));
	}
	j = group_json(e);
	for (size_t i = 0; i < sizeof(lists_shown) / sizeof(lists_shown[0]); i++) {
		at = dir_entry_attr(e, lists_shown[i].attr);
		for (size_t k = 0; !c->json && at != NULL && k < at->n_values; k++)
			print_line(_(lists_shown[i].label), (const char *)at->values[k].ptr);
		json_set_take(j, lists_shown[i].key, ctl_values_json(e, lists_shown[i].attr));
	}
	at = dir_entry_attr(e, "member");
	for (size_t i = 0; at != NULL && i < at->n_values; i++) {
		char *name;

		if (slice_caseeq_str(at->values[i], "cn=nobody"))
			continue;
		name = dir_admin_name_of(d->admin, (const char *)at->values[i].ptr);
		json_push_take(members, json_str_new(slice_str(name)));
		if (!c->json)
			print_line(_("member"), name);
		free(name);
	}
	json_set_take(j, "members", members);
	err = strcmp(ctl_value(e, "vnStatus"), "closed") == 0 ? 0 : today_show(c, d, e, j, &why);
	dir_result_free(r);
	if (err == 0 && c->json)
		return ctl_json_take(j, 0);
	json_free(j);
	return err == 0 ? 0 : ctl_dir_fail(c, a->id, err, why);
}

static int
run(struct ctl *c, const char *verb, struct args *a)
{
	struct ctl_dir d = {0};
	int rc = ctl_change_open(c, &a->change, &d);

	if (rc == 0)
		rc = strcmp(verb, "list") == 0     ? group_list(c, &d, a)
		     : strcmp(verb, "show") == 0   ? group_show(c, &d, a)
		     : strcmp(verb, "create") == 0 ? group_create(c, &d, a)
						   : group_change(c, &d, verb, a);
	ctl_dir_close(&d);
	return rc;
}

int
ctl_group(struct ctl *c, int argc, char **argv)
{
	struct args a = {.change = {.decision = ""}};
	const struct ctl_option options[] = {
	    {"name", &a.name, NULL},
	    {"mail", &a.mail, NULL},
	    {"agency", &a.agency, NULL},
	    {"may-send", &a.may_send, NULL},
	    {"of-agency", &a.of_agency, NULL},
	    {"of-title", &a.of_title, NULL},
	    {"of-kind", &a.of_kind, NULL},
	    {"of-role", &a.of_role, NULL},
	    CTL_CHANGE_OPTIONS(a.change),
	    {NULL, NULL, NULL},
	};
	static const struct {
		const char *verb;
		int least, most;
	} verbs[] = {{"list", 2, 2}, {"show", 3, 3}, {"create", 3, 3}, {"delete", 3, 3},
	    {"add", 4, 10003}, {"remove", 4, 10003}};
	const char *verb = NULL;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].verb) == 0 && argc >= verbs[i].least &&
		    argc <= verbs[i].most)
			verb = verbs[i].verb;
	if (verb == NULL)
		return ctl_usage(c, "%s",
		    _("create, delete, list, show, add or remove: which group, and whom?"));
	a.id = argc > 2 ? argv[2] : NULL;
	a.who = argc > 3 ? (const char *const *)argv + 3 : NULL;
	a.n_who = argc > 3 ? (size_t)argc - 3 : 0;
	return run(c, verb, &a);
}
