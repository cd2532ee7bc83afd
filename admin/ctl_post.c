/* ctl_post.c: `congvu post create|close|assign|release|authorize|unauthorize|list`: who holds which post. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_table.h"

#include "directory/assignment.h"
#include "lib/err.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct args {
	const char *agency, *title, *mailbox, *from, *until, *post, *who, *capacity;
	bool all;
	struct change_args change;
};

static int
post_change(struct ctl *c, struct ctl_dir *d, const char *verb, const struct args *a)
{
	const struct post_create create = {
	    a->post, a->agency, a->title, a->mailbox, a->change.decision};
	const struct post_assign assign = {a->post, a->who, a->from, a->until, a->change.decision};
	const struct post_authority sign = {
	    a->post, a->who, a->capacity, a->from, a->until, a->change.decision};
	enum change change = CHANGE_NONE;
	char *why = NULL;
	struct json *j = json_obj_new();
	int err;

	if (strcmp(verb, "create") == 0)
		err = dir_admin_post_create(d->admin, &create, &change, &why);
	else if (strcmp(verb, "authorize") == 0)
		err = dir_admin_post_authorize(d->admin, &sign, &change, &why);
	else if (strcmp(verb, "unauthorize") == 0)
		err = dir_admin_post_unauthorize(d->admin, &sign, &change, &why);
	else if (strcmp(verb, "close") == 0)
		err = dir_admin_post_close(d->admin, a->post, a->change.decision, &change, &why);
	else if (strcmp(verb, "assign") == 0)
		err = dir_admin_post_assign(d->admin, &assign, &change, &why);
	else
		err = dir_admin_post_release(
		    d->admin, a->post, a->who, a->change.decision, &change, &why);
	if (a->capacity != NULL) {
		json_set_str(j, "type", a->who);
		json_set_str(j, "capacity", a->capacity);
	} else if (a->who != NULL) {
		json_set_str(j, "who", a->who);
	}
	return ctl_change_told(c, &a->change, d, a->post, err, change, why, j);
}

static int
by_code(const void *a, const void *b)
{
	return strcmp(ctl_value(a, "vnPositionCode"), ctl_value(b, "vnPositionCode"));
}

static const struct {
	const char *state, *label;
} states[] = {{"now", ""}, {"later", N_("not yet")}, {"over", N_("over")},
    {"closed", N_("has left")}, {"suspended", N_("frozen")}};

const char *
ctl_post_state(const char *state)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(states[i].state, state) == 0)
			return *states[i].label == '\0' ? "" : _(states[i].label);
	return state;
}

static const char *
field_text(struct slice v, char out[40])
{
	snprintf(out, 40, "%.*s", v.ptr == NULL ? 0 : (int)(v.len < 39 ? v.len : 39),
	    v.ptr == NULL ? "" : (const char *)v.ptr);
	return out;
}

static void
signing_row(const struct authority *f, struct slice value, bool all, struct buf *text,
    struct json *may_sign, struct json *signing)
{
	static const char *const names[] = {
	    [ASSIGNMENT_OVER] = "over", [ASSIGNMENT_NOW] = "now", [ASSIGNMENT_LATER] = "later"};
	const char *state = names[assignment_when(f->from, f->to, time(NULL))];
	ptrdiff_t at = slice_index(f->named, ';');
	size_t type = at < 0 ? f->named.len : (size_t)at;
	bool now = strcmp(state, "now") == 0;
	struct json *j;
	char day[40];

	if (now)
		json_push_take(may_sign, json_str_new(value));
	if (!now && !all)
		return;
	j = json_obj_new();
	json_set_slice(j, "type", slice_sub(f->named, 0, type));
	json_set_slice(j, "capacity", at < 0 ? slice_str("") : slice_from(f->named, type + 1));
	json_set_str(j, "from", field_text(f->from, day));
	json_set_str(j, "until", field_text(f->to, day));
	json_set_str(j, "state", state);
	json_push_take(signing, j);
	buf_append_str(text, text->len == 0 ? "" : ", ");
	buf_append_slice(text, slice_sub(f->named, 0, type));
	buf_append_str(text, at < 0 ? "" : " ");
	buf_append_slice(text, at < 0 ? slice_str("") : slice_from(f->named, type + 1));
	if (*field_text(f->to, day) != '\0')
		buf_appendf(text, _(" until %s"), ctl_until(day));
	if (!now)
		buf_appendf(text, " (%s)", ctl_post_state(state));
}

/* What whoever holds it may sign: "may_sign" has the values that hold today, "signing" each in parts; with all also those that are over or have not begun. */
static void
post_signing(const struct dir_entry *e, bool all, struct buf *text, struct json *j)
{
	const struct dir_attr *at = dir_entry_attr(e, "vnSigningAuthority");
	struct json *may_sign = json_arr_new(), *signing = json_arr_new();

	for (size_t i = 0; at != NULL && i < at->n_values; i++) {
		struct authority f;

		authority_split(at->values[i], &f);
		signing_row(&f, at->values[i], all, text, may_sign, signing);
	}
	json_set_take(j, "may_sign", may_sign);
	json_set_take(j, "signing", signing);
}

static void
post_cells(struct ctl_table *t, const struct dir_entry *e, const struct post_holder *h,
    const char *signing)
{
	ctl_table_cell(t, ctl_value(e, "vnPositionCode"));
	ctl_table_cell(t, ctl_value(e, "vnAgencyRef"));
	ctl_table_cell(t, ctl_value(e, "cn"));
	ctl_table_cell(t, ctl_status_word(e));
	ctl_table_cell(t, h == NULL ? "-" : h->name);
	ctl_table_cell(t, h == NULL ? "" : ctl_when(h->from));
	ctl_table_cell(t, h == NULL ? "" : ctl_until(h->until));
	ctl_table_cell(t, h == NULL ? "" : ctl_post_state(h->state));
	ctl_table_cell(t, signing);
}

static struct json *
holder_json(const struct post_holder *h)
{
	struct json *j = json_obj_new();

	json_set_str(j, "id", h->id);
	json_set_str(j, "who", h->name);
	json_set_str(j, "from", h->from);
	json_set_str(j, "until", h->until);
	json_set_str(j, "state", h->state);
	return j;
}

/* One line a holder; a post that nobody holds has a line of its own. all: also who does not hold it today. */
static int
post_rows(struct ctl_dir *d, const struct dir_entry *e, bool all, struct ctl_table *t,
    struct json *j, char **why)
{
	struct json *holders = json_arr_new(), *held = json_arr_new();
	struct post_holder *h = NULL;
	size_t n = 0, shown = 0;
	struct buf text, signs;
	int err = dir_admin_post_holders(d->admin, e, &h, &n, why);

	buf_init(&text, 1 << 16);
	buf_init(&signs, 1 << 17);
	post_signing(e, all, &text, j);
	if (text.len > 0)
		buf_appendf(&signs, _("may sign %s"), buf_cstr(&text));

	for (size_t i = 0; err == 0 && i < n; i++) {
		bool now = strcmp(h[i].state, "now") == 0;

		if (now)
			json_push_take(holders, json_str_new(slice_str(h[i].name)));
		if (!now && !all)
			continue;
		json_push_take(held, holder_json(&h[i]));
		post_cells(t, e, &h[i], buf_cstr(&signs));
		shown++;
	}
	if (err == 0 && shown == 0)
		post_cells(t, e, NULL, buf_cstr(&signs));
	if (err == 0)
		post_holders_free(h, n);
	json_set_take(j, "holders", holders);
	json_set_take(j, "held", held);
	buf_done(&text);
	buf_done(&signs);
	return err;
}

static int
post_list(struct ctl *c, struct ctl_dir *d, const struct args *a)
{
	struct ctl_table *t = ctl_table_new(9);
	struct json *list = json_arr_new();
	struct dir_result *r = NULL;
	char *why = NULL;
	int err = dir_admin_posts(d->admin, a->agency, &r, &why);

	if (err == 0)
		qsort(r->entries, r->n_entries, sizeof(*r->entries), by_code);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		struct json *j = json_obj_new();

		json_set_str(j, "code", ctl_value(e, "vnPositionCode"));
		json_set_str(j, "agency", ctl_value(e, "vnAgencyRef"));
		json_set_str(j, "title", ctl_value(e, "cn"));
		json_set_str(j, "status", ctl_value(e, "vnStatus"));
		err = post_rows(d, e, a->all, t, j, &why);
		json_set_take(j, "decisions", ctl_values_json(e, "vnDecisionRef"));
		json_push_take(list, j);
	}
	dir_result_free(r);
	return ctl_listed(c, list, t, "list", err, why);
}

int
ctl_post(struct ctl *c, int argc, char **argv)
{
	struct args a = {.change = {.decision = ""}};
	struct ctl_dir d = {0};
	const struct ctl_option options[] = {
	    {"agency", &a.agency, NULL},
	    {"title", &a.title, NULL},
	    {"mailbox", &a.mailbox, NULL},
	    {"from", &a.from, NULL},
	    {"until", &a.until, NULL},
	    {"all", NULL, &a.all},
	    CTL_CHANGE_OPTIONS(a.change),
	    {NULL, NULL, NULL},
	};
	static const struct {
		const char *verb;
		int argc;
	} verbs[] = {{"list", 2}, {"create", 3}, {"close", 3}, {"assign", 4}, {"release", 4},
	    {"authorize", 5}, {"unauthorize", 5}};
	const char *verb = NULL;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	for (size_t i = 0; argc > 1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(argv[1], verbs[i].verb) == 0 && argc == verbs[i].argc)
			verb = verbs[i].verb;
	if (argc > 1 && strstr(argv[1], "authorize") != NULL && (argc == 3 || argc == 4))
		return ctl_usage(c,
		    _("%s: which type of document, and in which capacity (TM, Q, "
		      "KT, TL, TUQ, - or *)?"),
		    argv[1]);
	if (verb == NULL)
		return ctl_usage(c, "%s",
		    _("create, close, assign, release, authorize, unauthorize or list: which "
		      "post?"));
	a.post = argc > 2 ? argv[2] : NULL;
	a.who = argc > 3 ? argv[3] : NULL;
	a.capacity = argc > 4 ? argv[4] : NULL;
	rc = ctl_change_open(c, &a.change, &d);
	if (rc == 0)
		rc = argc == 2 ? post_list(c, &d, &a) : post_change(c, &d, verb, &a);
	ctl_dir_close(&d);
	return rc;
}
