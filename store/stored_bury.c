/* stored_bury.c: deleted mailboxes whose mail is still restorable. Runs in stored. DELETE takes the name away and puts a row "l/b<mailbox>" into the
 * account in the same commit; the mailbox's object stays as it was, whatever its size, and no session finds it. After undelete_days
 * the object is removed, then the row; a legal hold keeps both. One that held no mail goes at once. */
#include "store/stored_priv.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

static struct slice
bury_key(char key[KEY_MAX], uint64_t id)
{
	int n = snprintf(key, KEY_MAX, "l/b%016" PRIx64, id);

	return slice_of(key, (size_t)n);
}

int
bury_row(struct account *a, const struct mbox *m, struct slice by, int64_t at, char key[KEY_MAX],
    struct slice *key_out, struct buf *value_out)
{
	struct buried_row row = {.at = at,
	    .use = m->use,
	    .name = slice_str(m->name),
	    .by = slice_sub(by, 0, KEPT_BY_MAX)};

	if (a->n_buried >= MBOXES_MAX && account_is_held(a))
		return ERR_LIMIT;
	*key_out = bury_key(key, m->id);
	return buried_row_encode(&row, value_out);
}

struct mbox *
bury_find(struct account *a, uint64_t id)
{
	struct mbox *m = a->buried;

	while (m != NULL && m->id != id)
		m = m->next;
	return m;
}

static void
link_buried(struct mbox *b)
{
	struct mbox **at = &b->acc->buried;

	while (*at != NULL && (*at)->buried_at <= b->buried_at)
		at = &(*at)->next;
	b->next = *at;
	*at = b;
	b->acc->n_buried++;
}

static void
unlink_buried(struct mbox *b)
{
	struct mbox **at = &b->acc->buried;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	b->acc->n_buried--;
}

/* ---- the end of one ---- */

struct drop {
	struct account_op op;
	struct account *a;
	uint64_t id;
};

static void
on_row_gone(void *arg, int err)
{
	struct drop *d = arg;

	if (err != 0) /* found without an object at the next load */
		log_msg(LOG_LVL_WARN, "mailbox_drop", "%s: %s", d->a->id, err_name(err));
	account_op_end(&d->op);
	account_unref(d->a);
	free(d);
}

static void
row_run(struct account_op *op)
{
	struct drop *d = (struct drop *)op;
	char key[KEY_MAX];
	struct slice del = bury_key(key, d->id);

	account_commit(op, &op->acc->h, NULL, 0, &del, 1, on_row_gone, d);
}

static struct drop *
drop_new(struct account *a, uint64_t id)
{
	struct drop *d = xcalloc(1, sizeof *d);

	d->op.run = row_run;
	d->a = a;
	d->id = id;
	account_ref(a);
	return d;
}

static void
on_object_gone(void *arg, int err)
{
	struct drop *d = arg;

	if (err == 0 || err == ERR_GONE) {
		account_op_start(d->a, &d->op);
		return;
	}
	log_msg(LOG_LVL_ERROR, "mailbox_remove", "%s: %s", d->a->id, err_name(err));
	account_unref(d->a);
	free(d);
}

static void
on_removed(void *arg, int err)
{
	struct account *a = arg;

	if (err != 0 && err != ERR_GONE)
		log_msg(LOG_LVL_ERROR, "mailbox_remove", "%s", err_name(err));
	account_unref(a);
}

/* The object goes, then its row "l/b". */
static void
drop(struct mbox *m)
{
	struct backend *be = m->acc->st->be;

	must(be->ops->remove(
	    be, slice_str(m->object), buf_slice(&m->raw), on_object_gone, drop_new(m->acc, m->id)));
}

void
bury_over(struct mbox *m)
{
	struct account *a = m->acc;
	struct mbox *b;

	if (m->buried_at == 0) {
		account_ref(a);
		must(a->st->be->ops->remove(
		    a->st->be, slice_str(m->object), buf_slice(&m->raw), on_removed, a));
		return;
	}
	if (m->h.messages == 0 && m->h.kept == 0) {
		drop(m);
		return;
	}
	/* A new one: references to the old one are to a mailbox that is gone. */
	b = mbox_new(a, m->id, slice_str(m->name), m->use);
	b->buried_at = m->buried_at;
	b->buried_by = xstrdup(m->buried_by == NULL ? "" : m->buried_by);
	mbox_head_set(b, buf_slice(&m->raw));
	link_buried(b);
	bury_sweep(a);
}

/* Out of the list; whoever still refers to it finds that it is gone. */
static void
retire(struct mbox *b)
{
	unlink_buried(b);
	b->gone = true;
	b->next = b->acc->graveyard;
	b->acc->graveyard = b;
}

static bool
at_rest(const struct mbox *b)
{
	return b->cycle == NULL && b->first == NULL && b->moves == NULL;
}

void
bury_emptied(struct mbox *b)
{
	if (b->buried_at == 0 || b->gone || !at_rest(b) || b->h.messages > 0 || b->h.kept > 0)
		return;
	retire(b);
	drop(b);
}

void
bury_sweep(struct account *a)
{
	int64_t limit = age_now_s() - a->st->undelete_s;
	struct mbox *b, *next;

	if (account_is_held(a))
		return;
	for (b = a->buried; b != NULL; b = next) {
		next = b->next;
		if (b->buried_at > limit && a->n_buried <= MBOXES_MAX &&
		    account_kept(a) <= a->st->undelete_bytes)
			break;
		if (!at_rest(b))
			continue;
		log_msg(LOG_LVL_INFO, "mailbox_forgotten", "%s: %s", a->id, b->object);
		retire(b);
		drop(b);
	}
}

/* ---- loading ---- */

int
bury_load(struct account *a, struct slice key, struct slice value)
{
	struct buried_row row;
	struct mbox *b;
	uint64_t id;
	int err = buried_row_decode(value, &row);

	/* "l/b" and the number: as a key of one letter from its second octet on */
	if (err == 0)
		err = key_number(slice_from(key, 1), 16, &id);
	if (err != 0)
		return err;
	b = mbox_new(a, id, row.name, row.use);
	b->buried_at = row.at == 0 ? 1 : row.at;
	b->buried_by = slice_dup(row.by);
	if (b->buried_by == NULL)
		fatal("no memory");
	link_buried(b);
	return 0;
}

void
bury_lost(struct mbox *b)
{
	struct drop *d = drop_new(b->acc, b->id);

	retire(b);
	account_op_start(d->a, &d->op);
}

void
bury_free(struct account *a)
{
	while (a->buried != NULL)
		retire(a->buried);
}
