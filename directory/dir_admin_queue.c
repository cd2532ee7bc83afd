/* dir_admin_queue.c: the writes of one change of the directory, kept until its end and then made all or none (RFC 5805). Runs in congvu. What a later write of
 * the change rests on is the entry as the earlier ones will have left it; so does whether an address is free. Other searches see the directory as it is, as in a dry run. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct queued {
	struct dir_write w;    /* of ours, mods and values in the arena */
	char *dn, *norm, *was; /* was: its DN before the moves of this change, normalized */
	char *new_parent;
	struct arena *arena;
	struct json *change;
};
/* A login name or an address, of now or before, that a write gives; in its arena. */
struct claim {
	struct slice value;
	const struct queued *q;
};
struct admin_queue {
	struct queued **v;
	size_t n;
	struct claim *claims;
	size_t n_claims;
	size_t n_sent; /* so many of them the journal has, at the end on the disk */
	bool was_told;
};

static char *
norm_of(const char *dn)
{
	char *norm = dir_dn_norm(dn);

	return norm == NULL ? xstrdup(dn) : norm;
}

char *
admin_queue_was(const struct dir_admin *a, const char *dn)
{
	char *at = norm_of(dn);

	for (size_t i = a->queue == NULL ? 0 : a->queue->n; i > 0; i--) {
		const struct queued *q = a->queue->v[i - 1];
		char *rdn, *to = NULL, *norm, *back = NULL;
		size_t n, len = strlen(at);

		if (q->w.op != DIR_WRITE_MOVE || (rdn = dir_dn_rdn(q->dn)) == NULL)
			continue;
		if (asprintf(&to, "%s,%s", rdn, q->new_parent) < 0)
			fatal("out of memory");
		free(rdn);
		norm = norm_of(to);
		n = strlen(norm);
		if (len >= n && strcmp(at + len - n, norm) == 0 &&
		    (len == n || at[len - n - 1] == ',')) {
			if (asprintf(&back, "%.*s%s", (int)(len - n), at, q->norm) < 0)
				fatal("out of memory");
			free(at);
			at = back;
		}
		free(norm);
		free(to);
	}
	return at;
}

/* The first write of the entry that is kept; NULL: none. */
static const struct queued *
first_of(const struct dir_admin *a, const char *was)
{
	for (size_t i = 0; a->queue != NULL && i < a->queue->n; i++)
		if (strcmp(a->queue->v[i]->was, was) == 0)
			return a->queue->v[i];
	return NULL;
}

/* NULL: larger than the arena. */
static struct dir_mod *
mods_copy(struct arena *arena, const struct dir_write *w)
{
	struct dir_mod *mods =
	    arena == NULL ? NULL : arena_calloc(arena, w->n_mods + 1, sizeof(*mods));

	for (size_t i = 0; mods != NULL && i < w->n_mods; i++) {
		const struct dir_mod *from = &w->mods[i];
		struct slice *values = arena_calloc(arena, from->n_values + 1, sizeof(*values));
		bool is_whole = values != NULL;

		mods[i] = *from;
		mods[i].name = arena_strdup(arena, from->name);
		mods[i].values = values;
		for (size_t k = 0; is_whole && k < from->n_values; k++) {
			values[k] = arena_slice(arena, from->values[k]);
			is_whole = values[k].len == from->values[k].len;
		}
		if (!is_whole || mods[i].name == NULL)
			return NULL;
	}
	return mods;
}

/* What others may not have once this write is made. */
static void
claims_add(struct admin_queue *queue, const struct queued *q)
{
	static const char *const held[] = {"uid", "mail", "vnMailAlias", "vnAddressHistory"};

	for (size_t i = 0; i < q->w.n_mods; i++) {
		const struct dir_mod *m = &q->w.mods[i];
		bool is_held = false;

		for (size_t k = 0; k < sizeof(held) / sizeof(held[0]); k++)
			is_held = is_held || strcasecmp(m->name, held[k]) == 0;
		for (size_t k = 0; is_held && k < m->n_values; k++) {
			ptrdiff_t end = strcasecmp(m->name, "vnAddressHistory") == 0
					    ? slice_index(m->values[k], ';')
					    : -1;

			queue->claims =
			    xrealloc(queue->claims, (queue->n_claims + 1) * sizeof(*queue->claims));
			queue->claims[queue->n_claims++] = (struct claim){
			    end < 0 ? m->values[k] : slice_sub(m->values[k], 0, (size_t)end), q};
		}
	}
}

static void
queued_free(struct queued *q)
{
	json_free(q->change);
	arena_free(q->arena);
	free(q->dn);
	free(q->norm);
	free(q->was);
	free(q->new_parent);
	free(q);
}

int
admin_queue_add(struct dir_admin *a, const struct dir_write *w, struct json *change, char **why_out)
{
	static const char *const none[] = {"1.1", NULL};
	struct queued *q = xcalloc(1, sizeof(*q));
	struct dir_result *r = NULL;
	int err = 0;

	q->dn = xstrdup(w->dn);
	q->norm = norm_of(w->dn);
	q->was = admin_queue_was(a, w->dn);
	q->new_parent = w->new_parent == NULL ? NULL : xstrdup(w->new_parent);
	q->change = change;
	q->arena = arena_new(4 << 20);
	q->w = (struct dir_write){w->op, q->dn, mods_copy(q->arena, w), w->n_mods, q->new_parent};
	if (a->queue == NULL)
		a->queue = xcalloc(1, sizeof(*a->queue));
	a->queue->v = xrealloc(a->queue->v, (a->queue->n + 1) * sizeof(*a->queue->v));
	if (q->w.mods == NULL)
		err = admin_fail(why_out, ERR_LIMIT, "the data are too large");
	/* the end would tell it too, and too late for whoever tries another name */
	if (err == 0 && w->op == DIR_WRITE_ADD) {
		err = admin_queue_see(a, q->was, none, &r);
		dir_result_free(r);
		err = err == 0 ? admin_fail(why_out, ERR_EXISTS, "%s is there already", w->dn)
		      : err == ERR_NOTFOUND
			  ? 0
			  : admin_fail(why_out, err, "the directory does not answer");
	}
	if (err != 0) { /* the caller may go on with another one */
		queued_free(q);
		return err;
	}
	a->queue->v[a->queue->n++] = q;
	claims_add(a->queue, q);
	return 0;
}

const char *
admin_queue_claim(const struct dir_admin *a, struct slice value, size_t *at)
{
	while (a->queue != NULL && *at < a->queue->n_claims) {
		const struct claim *c = &a->queue->claims[(*at)++];

		if (slice_caseeq(c->value, value))
			return c->q->was;
	}
	return NULL;
}

bool
admin_queue_touches(const struct dir_admin *a, const char *was)
{
	return first_of(a, was) != NULL;
}

/* ---- the entry as it will be ---- */

static struct dir_attr *
attr_at(struct dir_entry *e, const char *name)
{
	for (size_t i = 0; i < e->n_attrs; i++)
		if (strcasecmp(e->attrs[i].name, name) == 0)
			return &e->attrs[i];
	e->attrs = xrealloc(e->attrs, (e->n_attrs + 1) * sizeof(*e->attrs));
	e->attrs[e->n_attrs] = (struct dir_attr){.name = xstrdup(name)};
	return &e->attrs[e->n_attrs++];
}

static void
value_drop(struct dir_attr *at, const struct slice *value)
{
	size_t left = 0;

	for (size_t i = 0; i < at->n_values; i++) {
		if (value != NULL && !admin_value_same(at->name, at->values[i], *value))
			at->values[left++] = at->values[i];
		else
			free((void *)(uintptr_t)at->values[i].ptr);
	}
	at->n_values = left;
}

static void
value_put(struct dir_attr *at, struct slice value)
{
	unsigned char *copy = xmalloc(value.len + 1);

	memcpy(copy, value.ptr, value.len);
	copy[value.len] = '\0';
	at->values = xrealloc(at->values, (at->n_values + 1) * sizeof(*at->values));
	at->values[at->n_values++] = slice_of(copy, value.len);
}

static void
mods_apply(struct dir_entry *e, const struct dir_write *w)
{
	for (size_t i = 0; i < w->n_mods; i++) {
		const struct dir_mod *mod = &w->mods[i];
		struct dir_attr *at = attr_at(e, mod->name);

		if (mod->op == DIR_MOD_REPLACE || (mod->op == DIR_MOD_DELETE && mod->n_values == 0))
			value_drop(at, NULL);
		for (size_t k = 0; k < mod->n_values; k++) {
			if (mod->op == DIR_MOD_DELETE)
				value_drop(at, &mod->values[k]);
			else
				value_put(at, mod->values[k]);
		}
		if (at->n_values == 0) { /* an attribute without values is not there */
			free(at->name);
			free(at->values);
			*at = e->attrs[--e->n_attrs];
		}
	}
}

static struct dir_result *
made_of(const struct queued *q)
{
	struct dir_result *r = xcalloc(1, sizeof(*r));

	r->entries = xcalloc(1, sizeof(*r->entries));
	r->n_entries = 1;
	r->entries[0].dn = xstrdup(q->dn);
	r->entries[0].dn_norm = xstrdup(q->norm);
	mods_apply(&r->entries[0], &q->w);
	return r;
}

int
admin_queue_see(
    struct dir_admin *a, const char *was, const char *const *attrs, struct dir_result **out)
{
	const struct queued *first = first_of(a, was);
	struct dir_result *r = NULL;
	int err = first != NULL && first->w.op == DIR_WRITE_ADD ? ERR_NOTFOUND
								: dir_read(a->d, was, attrs, &r);

	if (err != 0 && err != ERR_NOTFOUND)
		return err;
	for (size_t i = 0; first != NULL && i < a->queue->n; i++) {
		const struct queued *q = a->queue->v[i];

		if (strcmp(q->was, was) != 0)
			continue;
		if (q->w.op == DIR_WRITE_MODIFY && r != NULL)
			mods_apply(&r->entries[0], &q->w);
		if (q->w.op == DIR_WRITE_ADD || q->w.op == DIR_WRITE_DELETE) {
			dir_result_free(r);
			r = q->w.op == DIR_WRITE_ADD ? made_of(q) : NULL;
		}
	}
	if (r == NULL)
		return ERR_NOTFOUND;
	*out = r;
	return 0;
}

int
admin_queue_read(
    struct dir_admin *a, const char *dn, const char *const *attrs, struct dir_result **out)
{
	char *was = admin_queue_was(a, dn);
	int err = admin_queue_see(a, was, attrs, out);

	free(was);
	return err;
}

/* ---- the end ---- */

/* What was there when the change was thought of and is not at its end: somebody else was quicker. */
static int
commit_all(struct dir_admin *a, const struct dir_write *w, size_t n, char **why_out)
{
	char *why = NULL;
	int err = dir_write_all(a->d, w, n, &why);

	if (err == ERR_NOTFOUND) {
		err = admin_fail(why_out, ERR_CONFLICT,
		    "%s: it was changed by somebody else meanwhile; nothing was done: give the "
		    "command again",
		    why == NULL ? "" : why);
		free(why);
	} else if (err != 0) {
		*why_out = why;
	}
	return err;
}

int
admin_queue_commit(struct dir_admin *a,
    int (*write_down)(struct dir_admin *a, const struct json *change, char **why_out),
    char **why_out)
{
	size_t n = a->queue == NULL ? 0 : a->queue->n;
	struct dir_write *w = xcalloc(n + 1, sizeof(*w));
	int err = 0;

	for (size_t i = 0; err == 0 && i < n; i++) {
		err = write_down(a, a->queue->v[i]->change, why_out);
		a->queue->n_sent += err == 0;
		w[i] = a->queue->v[i]->w;
	}
	if (err == 0 && n > 0 && a->journal != NULL && a->journal->sync != NULL)
		err = a->journal->sync(a->journal->arg, why_out);
	if (err == 0 && n > 0)
		a->queue->was_told = true;
	else if (n > 0 && a->journal != NULL && a->journal->put != NULL)
		a->queue->n_sent = 0; /* it has dropped what was not on the disk */
	if (err == 0 && n == 1)       /* one is whole by itself */
		err = w->op == DIR_WRITE_ADD ? dir_add(a->d, w->dn, w->mods, w->n_mods, why_out)
		      : w->op == DIR_WRITE_MODIFY
			  ? dir_modify(a->d, w->dn, w->mods, w->n_mods, why_out)
		      : w->op == DIR_WRITE_DELETE ? dir_delete(a->d, w->dn, why_out)
						  : dir_move(a->d, w->dn, w->new_parent, why_out);
	else if (err == 0 && n > 1)
		err = commit_all(a, w, n, why_out);
	free(w);
	return err;
}

size_t
admin_queue_n_sent(const struct dir_admin *a)
{
	return a->queue == NULL ? 0 : a->queue->n_sent;
}

bool
admin_queue_was_told(const struct dir_admin *a)
{
	return a->queue != NULL && a->queue->was_told;
}

void
admin_queue_free(struct dir_admin *a)
{
	for (size_t i = 0; a->queue != NULL && i < a->queue->n; i++)
		queued_free(a->queue->v[i]);
	if (a->queue != NULL) {
		free(a->queue->v);
		free(a->queue->claims);
	}
	free(a->queue);
	a->queue = NULL;
}
