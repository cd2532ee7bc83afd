/* dir_admin_write.c: the one place where agencies and staff are written: what is so already is left out, the journal has a write before the
 * directory does, and a dry run writes nothing. Runs in congvu. Where the server has transactions the writes of a change wait for its end and are made all
 * or none (dir_admin_queue.c); elsewhere each is made at once, a change that is cut off stands in the journal without its end, and given again it
 * does what is left. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "lib/utf7.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { VALUE_MAX = 1 << 20 };

const char admin_no_decision[] = "";

void
dir_admin_set_journal(
    struct dir_admin *a, const struct dir_admin_journal *journal, const char *who, const char *as)
{
	a->journal = journal;
	free(a->who);
	free(a->as);
	a->who = who == NULL ? NULL : xstrdup(who);
	a->as = as == NULL ? NULL : xstrdup(as);
}

void
dir_admin_set_dry_run(struct dir_admin *a, bool on)
{
	a->dry_run = on;
}

const struct json *
dir_admin_changes(const struct dir_admin *a)
{
	static struct json *none;

	if (a->changes != NULL)
		return a->changes;
	if (none == NULL)
		none = json_arr_new();
	return none;
}

bool
admin_has_changed(const struct dir_admin *a)
{
	return json_len(a->changes) > 0;
}

/* ---- a change ---- */

static void
replace_str(char **at, const char *text)
{
	free(*at);
	*at = xstrdup(text == NULL ? "" : text);
}

int
admin_begin(
    struct dir_admin *a, const char *op, const char *target, const char *decision, char **why_out)
{
	unsigned char r[8];
	struct buf nfc;
	int err;

	if (a->depth > 0) {
		a->depth++;
		return 0;
	}
	json_free(a->changes);
	a->changes = json_arr_new();
	json_free(a->effects);
	a->effects = json_arr_new();
	err = decision == admin_no_decision
		  ? 0
		  : admin_check_text("the decision", decision, 200, why_out);
	if (err == 0 && a->journal != NULL && !a->dry_run)
		err = a->journal->begin(a->journal->arg, why_out);
	if (err != 0)
		return err;
	random_bytes(r, sizeof(r));
	hex_encode(r, sizeof(r), a->batch);
	a->batch[16] = '\0';
	replace_str(&a->op, op);
	replace_str(&a->target, target);
	buf_init(&nfc, 4096);
	if (decision != admin_no_decision)
		utf8_nfc(slice_str(decision), &nfc); /* admin_check_text tried it */
	replace_str(&a->decision, buf_cstr(&nfc));
	buf_done(&nfc);
	a->depth = 1;
	a->has_undone = false;
	a->together = !a->dry_run && dir_has_transactions(a->d);
	return 0;
}

void
admin_one_by_one(struct dir_admin *a)
{
	a->together = false;
}

static struct json *
record(const struct dir_admin *a)
{
	struct json *j = json_obj_new();

	json_set_str(j, "batch", a->batch);
	json_set_str(j, "op", a->op);
	json_set_str(j, "target", a->target);
	json_set_str(j, "decision", a->decision);
	json_set_str(j, "by", a->who == NULL ? "" : a->who);
	if (a->as != NULL)
		json_set_str(j, "as", a->as);
	return j;
}

static struct json *
record_of(const struct dir_admin *a, const struct json *change)
{
	struct json *j = record(a), *value;
	void *iter = NULL;
	const char *key;

	while (json_next(change, &iter, &key, &value))
		json_set_take(j, key, json_share(value));
	return j;
}

static int
write_down(struct dir_admin *a, const struct json *change, char **why_out)
{
	return a->journal == NULL
		   ? 0
		   : a->journal->write(a->journal->arg, record_of(a, change), why_out);
}

/* Of those that are made together: admin_queue_commit has the journal on the disk once, before the directory has any. */
static int
write_later(struct dir_admin *a, const struct json *change, char **why_out)
{
	return a->journal == NULL || a->journal->put == NULL
		   ? write_down(a, change, why_out)
		   : a->journal->put(a->journal->arg, record_of(a, change), why_out);
}

/* The journal has writes that were not made. */
static int
undone_tell(struct dir_admin *a, size_t n, char **why_out)
{
	struct json *j;

	if (a->journal == NULL)
		return 0;
	j = record(a);
	json_set_str(j, "write", "undone");
	json_set_str(j, "dn", dir_base(a->d));
	json_set_int(j, "count", (int64_t)n);
	return a->journal->write(a->journal->arg, j, why_out);
}

int
admin_flush(struct dir_admin *a, size_t n_changes, bool *refused_out, char **why_out)
{
	int err = admin_queue_commit(a, write_later, why_out), told_err = 0;
	size_t n_sent = admin_queue_n_sent(a);
	char *why = NULL;

	*refused_out = false;
	if (err != 0 && err != ERR_UNKNOWN) {
		json_cut(a->changes, n_changes);
		a->has_undone = a->has_undone || n_sent > 0;
		if (n_sent > 0)
			told_err = undone_tell(a, n_sent, &why);
		*refused_out = told_err == 0 && (admin_queue_was_told(a) || err == ERR_LIMIT);
	}
	if (*refused_out || told_err != 0) { /* the latter is worse */
		free(*why_out);
		*why_out = why;
		err = told_err;
	}
	admin_queue_free(a);
	return err;
}

int
admin_end(struct dir_admin *a, int err, bool created, enum change *change_out, char **why_out)
{
	if (--a->depth > 0) {
		if (err == 0 && change_out != NULL)
			*change_out = admin_has_changed(a) ? CHANGE_CHANGED : CHANGE_NONE;
		return err;
	}
	if (a->together && err == 0)
		err = admin_queue_commit(a, write_later, why_out);
	if (a->together && err != 0 && admin_queue_n_sent(a) == 0) {
		/* nothing of it was made or is in the journal */
		json_free(a->changes);
		a->changes = json_arr_new();
		admin_agency_forget(a);
	}
	admin_queue_free(a);
	if (a->journal != NULL && !a->dry_run) {
		if (admin_has_changed(a) || a->has_undone) {
			struct json *j = record(a);
			char *why = NULL;
			int end_err;

			json_set_str(j, "end",
			    err == 0             ? "done"
			    : err == ERR_UNKNOWN ? "unknown"
						 : "failed");
			if (err != 0)
				json_set_str(j, "error", err_name(err));
			/* with others than "done" and "unknown": nothing was made */
			if (a->together)
				json_set_bool(j, "all_or_none", true);
			end_err = a->journal->write(a->journal->arg, j, &why);
			if (end_err != 0 && err == 0) {
				err = end_err;
				*why_out = why;
				why = NULL;
			}
			free(why);
		}
		a->journal->end(a->journal->arg);
	}
	if (err == 0 && change_out != NULL)
		*change_out = !admin_has_changed(a) ? CHANGE_NONE
			      : created             ? CHANGE_ADDED
						    : CHANGE_CHANGED;
	return err;
}

/* ---- what a write does, in words ---- */

bool
admin_is_secret(const char *attr)
{
	return strcasestr(attr, "password") != NULL || strcasestr(attr, "secret") != NULL;
}

static bool
is_text(struct slice v)
{
	struct buf b;
	bool ok = v.len <= VALUE_MAX;

	for (size_t i = 0; ok && i < v.len; i++)
		ok = v.ptr[i] >= 0x20 || v.ptr[i] == '\n' || v.ptr[i] == '\t';
	if (!ok)
		return false;
	buf_init(&b, 4 * VALUE_MAX);
	ok = utf8_nfc(v, &b) == 0;
	buf_done(&b);
	return ok;
}

static void
push_value(struct json *list, const char *attr, struct slice v)
{
	struct json *j;
	struct buf b;

	if (admin_is_secret(attr)) {
		json_push_take(list, json_str_new(slice_str(DIR_SECRET)));
	} else if (is_text(v)) {
		json_push_take(list, json_str_new(v));
	} else {
		j = json_obj_new();
		buf_init(&b, DIR_ENTRY_BYTES_MAX * 2);
		b64_encode(v, false, &b);
		json_set_slice(j, "base64", buf_slice(&b));
		buf_done(&b);
		json_push_take(list, j);
	}
}

static struct json *
change_new(const char *write, const char *dn)
{
	struct json *j = json_obj_new();

	json_set_str(j, "write", write);
	json_set_str(j, "dn", dn);
	return j;
}

/* One write: kept for the caller; in the journal before it is made, at once or at the end of the change. change is taken. */
static int
put(struct dir_admin *a, const struct dir_write *w, struct json *change, char **why_out)
{
	struct json *shared = json_share(change);
	int err;

	if (a->together) {
		err = admin_queue_add(a, w, change, why_out);
		if (err == 0)
			json_push_take(a->changes, shared);
		else
			json_free(shared);
		return err;
	}
	err = a->dry_run ? 0 : write_down(a, change, why_out);
	json_free(change);
	if (err != 0) { /* what the journal does not have is not made */
		json_free(shared);
		return err;
	}
	json_push_take(a->changes, shared);
	if (a->dry_run)
		return 0;
	switch (w->op) {
	case DIR_WRITE_ADD:
		return dir_add(a->d, w->dn, w->mods, w->n_mods, why_out);
	case DIR_WRITE_MODIFY:
		return dir_modify(a->d, w->dn, w->mods, w->n_mods, why_out);
	case DIR_WRITE_DELETE:
		return dir_delete(a->d, w->dn, why_out);
	default:
		return dir_move(a->d, w->dn, w->new_parent, why_out);
	}
}

/* ---- add and move ---- */

int
admin_add(struct dir_admin *a, const char *dn, const struct mods *m, char **why_out)
{
	struct json *change, *attrs;
	int err = m->err;

	if (err != 0)
		return admin_fail(why_out, err, "the data are too large or no Unicode");
	if (a->dry_run && (err = admin_officer_may(a, dn, m, true, why_out)) != 0)
		return err;
	change = change_new("add", dn);
	attrs = json_arr_new();
	for (size_t i = 0; i < m->n; i++) {
		struct json *one = json_obj_new(), *added = json_arr_new();

		for (size_t k = 0; k < m->m[i].n_values; k++)
			push_value(added, m->m[i].name, m->m[i].values[k]);
		json_set_str(one, "attr", m->m[i].name);
		json_set_take(one, "removed", json_arr_new());
		json_set_take(one, "added", added);
		json_push_take(attrs, one);
	}
	json_set_take(change, "attributes", attrs);
	return put(a, &(struct dir_write){DIR_WRITE_ADD, dn, m->m, m->n, NULL}, change, why_out);
}

int
admin_move(struct dir_admin *a, const char *dn, const char *new_parent, char **why_out)
{
	struct json *change;
	int err = a->dry_run ? admin_officer_may(a, dn, NULL, false, why_out) : 0;

	if (err != 0)
		return err;
	change = change_new("move", dn);
	json_set_str(change, "new_parent", new_parent);
	json_set_take(change, "attributes", json_arr_new());
	return put(
	    a, &(struct dir_write){DIR_WRITE_MOVE, dn, NULL, 0, new_parent}, change, why_out);
}

int
admin_delete(struct dir_admin *a, const struct dir_entry *e, char **why_out)
{
	struct json *change, *attrs;
	int err = a->dry_run ? admin_officer_may(a, e->dn, NULL, false, why_out) : 0;

	if (err != 0)
		return err;
	change = change_new("delete", e->dn);
	attrs = json_arr_new();
	for (size_t i = 0; i < e->n_attrs; i++) {
		struct json *one = json_obj_new(), *removed = json_arr_new();

		for (size_t k = 0; k < e->attrs[i].n_values; k++)
			push_value(removed, e->attrs[i].name, e->attrs[i].values[k]);
		json_set_str(one, "attr", e->attrs[i].name);
		json_set_take(one, "removed", removed);
		json_set_take(one, "added", json_arr_new());
		json_push_take(attrs, one);
	}
	json_set_take(change, "attributes", attrs);
	return put(a, &(struct dir_write){DIR_WRITE_DELETE, e->dn, NULL, 0, NULL}, change, why_out);
}

/* ---- modify ---- */

static bool
is_dn_attr(const char *attr)
{
	static const char *const names[] = {"member", "roleOccupant", "vnHolder", "vnDelegate",
	    "vnReader", "vnDelegator", "vnDelegateTo"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcasecmp(attr, names[i]) == 0)
			return true;
	return false;
}

bool
admin_value_same(const char *attr, struct slice a, struct slice b)
{
	char *x, *y;
	bool same;

	if (slice_eq(a, b) || !is_dn_attr(attr))
		return slice_eq(a, b);
	x = dir_dn_norm(dir_value_text(a));
	y = dir_dn_norm(dir_value_text(b));
	same = x != NULL && y != NULL && strcmp(x, y) == 0;
	free(x);
	free(y);
	return same;
}

static bool
has_value(const char *attr, const struct slice *v, size_t n, struct slice value)
{
	for (size_t i = 0; i < n; i++)
		if (admin_value_same(attr, v[i], value))
			return true;
	return false;
}

/* Puts into list the values of one set that the other has not; how many. */
static size_t
values_less(const char *attr, const struct slice *v, size_t n, const struct slice *without,
    size_t n_without, struct json *list)
{
	size_t put = 0;

	for (size_t i = 0; i < n; i++) {
		if (has_value(attr, without, n_without, v[i]))
			continue;
		push_value(list, attr, v[i]);
		put++;
	}
	return put;
}

/* What mod m does to an attribute that has these values: the part of it that changes something, in *out (values in the arena), and in attrs in
 * words. False: nothing. */
static bool
effect(struct mods *all, const struct dir_mod *m, const struct dir_attr *have, struct dir_mod *out,
    struct json *attrs)
{
	const struct slice *old = have == NULL ? NULL : have->values;
	size_t n_old = have == NULL ? 0 : have->n_values, changed = 0;
	struct json *removed = json_arr_new(), *added = json_arr_new(), *one;

	*out = *m;
	if (m->op == DIR_MOD_REPLACE) {
		changed = values_less(m->name, old, n_old, m->values, m->n_values, removed);
		changed += values_less(m->name, m->values, m->n_values, old, n_old, added);
	} else {
		struct slice *left = arena_calloc(all->arena, m->n_values + 1, sizeof(*left));
		bool adds = m->op == DIR_MOD_ADD;

		for (size_t i = 0; left != NULL && i < m->n_values; i++) {
			if (has_value(m->name, old, n_old, m->values[i]) == adds)
				continue;
			left[changed++] = m->values[i];
			push_value(adds ? added : removed, m->name, m->values[i]);
		}
		out->values = left;
		out->n_values = changed;
	}
	if (changed == 0) {
		json_free(removed);
		json_free(added);
		return false;
	}
	one = json_obj_new();
	json_set_str(one, "attr", m->name);
	json_set_take(one, "removed", removed);
	json_set_take(one, "added", added);
	json_push_take(attrs, one);
	return true;
}

static bool
is_cited(const struct mods *m)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcasecmp(m->m[i].name, "vnDecisionRef") == 0)
			return true;
	return false;
}

/* The entry with the attributes that m touches; none in a dry run that has only thought of making it. */
static int
entry_now(struct dir_admin *a, const char *dn, const struct mods *m, struct dir_result **out,
    char **why_out)
{
	const char *names[MODS_MAX + 2];
	size_t n = 0;
	int err;

	for (size_t i = 0; i < m->n; i++)
		names[n++] = m->m[i].name;
	names[n++] = "vnDecisionRef";
	names[n] = NULL;
	err = a->together ? admin_queue_read(a, dn, names, out) : dir_read(a->d, dn, names, out);
	if (err == ERR_NOTFOUND && a->dry_run && admin_has_changed(a))
		return 0;
	return err == 0              ? 0
	       : err == ERR_NOTFOUND ? admin_fail(why_out, err, "%s is not in the directory", dn)
				     : admin_fail(why_out, err, "the directory does not answer");
}

int
admin_modify(struct dir_admin *a, const char *dn, const struct mods *m, char **why_out)
{
	struct slice cite = slice_str(a->decision);
	struct dir_mod left[MODS_MAX + 1], decision = {DIR_MOD_ADD, "vnDecisionRef", &cite, 1};
	struct dir_result *r = NULL;
	struct mods scratch;
	struct json *change, *attrs = json_arr_new();
	size_t n = 0;
	int err = m->err;

	mods_init(&scratch);
	if (err != 0)
		err = admin_fail(why_out, err, "the data are too large or no Unicode");
	else
		err = entry_now(a, dn, m, &r, why_out);
	for (size_t i = 0; err == 0 && i < m->n; i++) {
		const struct dir_attr *have =
		    r == NULL ? NULL : dir_entry_attr(&r->entries[0], m->m[i].name);

		n += effect(&scratch, &m->m[i], have, &left[n], attrs);
	}
	if (err == 0 && n > 0 && a->dry_run)
		err = admin_officer_may(a, dn, m, false, why_out);
	if (err == 0 && n > 0) {
		if (cite.len > 0 && !a->uncited && !is_cited(m))
			n += effect(&scratch, &decision,
			    r == NULL ? NULL : dir_entry_attr(&r->entries[0], "vnDecisionRef"),
			    &left[n], attrs);
		change = change_new("modify", dn);
		json_set_take(change, "attributes", json_share(attrs));
		err = put(
		    a, &(struct dir_write){DIR_WRITE_MODIFY, dn, left, n, NULL}, change, why_out);
	}
	json_free(attrs);
	dir_result_free(r);
	mods_done(&scratch);
	return err;
}

int
dir_admin_complete(
    struct dir_admin *a, const char *dn, const struct dir_mod *mods, size_t n, char **why_out)
{
	struct mods m;
	int err = admin_begin(a, "directory repair", dn, admin_no_decision, why_out);

	if (err != 0)
		return err;
	mods_init(&m);
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < mods[i].n_values; k++)
			mods_add(&m, mods[i].name, mods[i].values[k]);
	err = admin_modify(a, dn, &m, why_out);
	mods_done(&m);
	return admin_end(a, err, false, NULL, why_out);
}
