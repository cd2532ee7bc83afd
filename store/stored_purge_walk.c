/* stored_purge_walk.c: every mailbox of the store, deleted ones among them, is looked at for the messages of a purge; messages and retained rows
 * that are meant are told, or taken away by batches of the mailbox as an expunge takes them, so that sessions hear of it. Runs in stored,
 * in steps of 200 rows. There is no index from bodies to mailboxes: a purge is rare, and what is not kept cannot be wrong. */
#include "store/stored_purge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/envelope.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/log.h"

enum { HEAD_OCTETS = 256 * 1024, OP_MEM = 256 << 10 };

static void page_on(struct purge *k);

static bool
failed(struct purge *k, int err)
{
	if (err == 0)
		return false;
	task_end(k->t, err, "the store's rows cannot be read");
	return true;
}

void
purge_walk_free(struct purge *k)
{
	walk_done(&k->walk);
	free(k->page);
	free(k->bodies);
	free(k->shown);
	free(k->accounts);
	buf_done(&k->from);
}

/* ---- what is meant ---- */

static bool
id_is(struct slice have, const char *want)
{
	struct slice w = slice_str(want);

	while (have.len > 0 && (have.ptr[0] == ' ' || have.ptr[0] == '\t'))
		have = slice_from(have, 1);
	while (have.len > 0 && have.ptr[have.len - 1] <= ' ')
		have.len--;
	if (have.len > 2 && have.ptr[0] == '<' && !slice_starts(w, "<"))
		have = slice_sub(have, 1, have.len - 2);
	return slice_eq(have, w);
}

/* Whether a row may be meant; *sure_out: it is. */
static bool
takes(const struct purge *k, const struct msg_row *row, bool *sure_out)
{
	struct buf id;
	int err;

	*sure_out = true;
	if (k->kind != PURGE_BY_MESSAGE_ID)
		return k->body != 0 && row->body == k->body;
	buf_init(&id, 32768);
	err = envelope_part(row->envelope, ENVELOPE_MESSAGE_ID, &id);
	if (err == 0 && !id_is(buf_slice(&id), k->value)) {
		buf_done(&id);
		return false;
	}
	*sure_out = err == 0;
	buf_done(&id);
	return true;
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

void
purge_bind(struct purge *k, const struct json *numbers)
{
	k->bound = k->kind == PURGE_BY_MESSAGE_ID;
	k->shown = xcalloc(json_len(numbers) + 1, sizeof *k->shown);
	for (size_t i = 0; i < json_len(numbers); i++)
		k->shown[k->n_shown++] = (uint64_t)json_int(json_at(numbers, i), 0);
	qsort(k->shown, k->n_shown, sizeof *k->shown, by_number);
}

/* Whether it is one of those meant, and if so it is remembered. */
static bool
body_add(struct purge *k, uint64_t body)
{
	if (k->bound && bsearch(&body, k->shown, k->n_shown, sizeof *k->shown, by_number) == NULL)
		return false;
	for (size_t i = 0; i < k->n_bodies; i++)
		if (k->bodies[i] == body)
			return true;
	if (k->n_bodies == PURGE_BODIES_MAX)
		return false;
	k->bodies = xrealloc(k->bodies, (k->n_bodies + 1) * sizeof *k->bodies);
	k->bodies[k->n_bodies++] = body;
	return true;
}

/* Mailboxes come in no order of accounts. */
static void
account_count(struct purge *k)
{
	for (size_t i = 0; i < k->n_accounts; i++)
		if (strcmp(k->accounts[i], k->walk.acc->id) == 0)
			return;
	k->accounts = xrealloc(k->accounts, (k->n_accounts + 1) * sizeof *k->accounts);
	memcpy(k->accounts[k->n_accounts++], k->walk.acc->id, sizeof *k->accounts);
	k->sums.accounts = k->n_accounts;
}

static void
tell(struct purge *k, const struct purge_match *x, bool shown)
{
	struct json *j;

	if (shown && !k->counted_box) {
		k->counted_box = true;
		k->sums.mailboxes++;
		account_count(k);
	}
	if (shown)
		*(x->modseq == 0 ? &k->sums.messages : &k->sums.retained) += 1;
	else
		k->sums.unshown++;
	k->sums.held += k->held && shown;
	if (k->removes) /* told before */
		return;
	j = json_obj_new();
	json_set_str(j, "account", k->walk.acc->id);
	json_set_str(j, "mailbox", k->walk.m->name);
	json_set_bool(j, "mailbox_deleted", k->walk.m->buried_at != 0);
	json_set_bool(j, "retained", x->modseq != 0);
	json_set_bool(j, "held", k->held);
	if (!shown)
		json_set_bool(j, "unshown", true);
	json_set_int(j, "uid", x->uid);
	json_set_int(j, "size", (int64_t)x->size);
	json_set_int(j, "date", x->date);
	json_set_int(j, "body", (int64_t)x->body);
	task_finding_take(k->t, j);
}

/* ---- a page: what was not sure is made so, then it is told and goes ---- */

static void
on_gone(struct op *op)
{
	struct purge *k = op->arg;
	int err = op->err;
	size_t n = op->kind == OP_KEPT ? 0 : op->out_gone.len / sizeof(uint32_t);

	for (size_t i = 0; op->kind == OP_KEPT && i < op->n_kept; i++)
		n += op->kept[i].there;
	if (err == 0) {
		k->sums.removed += n;
		k->removed_in_pass += n;
	}
	op_free(op);
	if (err != 0 && err != ERR_GONE) {
		task_end(k->t, err, "a mailbox cannot be changed");
		return;
	}
	/* A mailbox deleted meanwhile is found as such by the next pass. */
	k->removed_in_pass += err == ERR_GONE;
	k->n_page = 0;
	task_next(k->t);
}

/* All of a page are of one kind. */
static void
remove_page(struct purge *k, size_t n)
{
	struct op *op = op_new(k->kept_rows ? OP_KEPT : OP_EXPUNGE, k->walk.m, OP_MEM, on_gone, k);

	op->uids = arena_calloc(op->mem, n + 1, sizeof *op->uids);
	op->kept = arena_calloc(op->mem, n + 1, sizeof *op->kept);
	if (op->uids == NULL || op->kept == NULL)
		fatal("no memory");
	op->kept_how = KEPT_REMOVE;
	op->why = 0; /* nothing is retained */
	for (size_t i = 0; i < k->n_page; i++) {
		const struct purge_match *x = &k->page[i];

		if (!x->sure)
			continue;
		op->kept[op->n_kept++] = (struct kept_at){.modseq = x->modseq, .uid = x->uid};
		op->uids[op->n_uids++] = x->uid;
	}
	op_start(op);
}

static void
page_over(struct purge *k)
{
	size_t n = 0;

	k->held = account_is_held(k->walk.acc); /* also since a moment ago */
	for (size_t i = 0; i < k->n_page; i++) {
		bool meant;

		if (!k->page[i].sure)
			continue;
		meant = body_add(k, k->page[i].body);
		if (k->pass == 0)
			tell(k, &k->page[i], meant);
		k->page[i].sure = meant;
		n += meant;
	}
	if (n > 0 && k->removes && (!k->held || k->override)) {
		remove_page(k, n);
		return;
	}
	if (k->removes && k->pass == 0)
		k->sums.left += n;
	k->n_page = 0;
	task_next(k->t);
}

static void
on_head_octets(void *arg, int err, struct slice v)
{
	struct purge *k = arg;
	struct purge_match *x = &k->page[k->at_page];
	struct hdr_field f;

	if (err != 0 && err != ERR_NOTFOUND && err != ERR_CORRUPT && failed(k, err))
		return;
	x->sure = err == 0 && hdr_find(slice_sub(v, 0, hdr_body_offset(v)), "Message-ID", 0, &f) &&
		  id_is(f.body, k->value);
	k->at_page++;
	page_on(k);
}

static void
page_on(struct purge *k)
{
	struct backend *be = k->t->st->be;

	while (k->at_page < k->n_page && k->page[k->at_page].sure)
		k->at_page++;
	if (k->at_page < k->n_page)
		must(be->ops->body_get(
		    be, k->page[k->at_page].body, 0, HEAD_OCTETS, on_head_octets, k));
	else
		page_over(k);
}

static int
take_row(struct purge *k, const struct kv_pair *p)
{
	struct purge_match *x = &k->page[k->n_page];
	struct kept_row kept = {.row = p->value};
	struct msg_row row;
	uint64_t modseq = 0;
	uint32_t uid;
	bool sure;
	int err = 0;

	if (k->kept_rows && ((err = kept_key_read(p->key, &modseq, &uid)) != 0 ||
				(err = kept_row_decode(p->value, &kept)) != 0))
		return err;
	if ((err = msg_row_decode(kept.row, &row)) != 0)
		return err;
	if (takes(k, &row, &sure)) {
		*x = (struct purge_match){.modseq = modseq,
		    .uid = row.uid,
		    .body = row.body,
		    .size = row.size,
		    .date = row.internal_date,
		    .sure = sure};
		k->n_page++;
	}
	return 0;
}

static void
on_page(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct purge *k = arg;

	if (failed(k, err))
		return;
	k->n_page = k->at_page = 0;
	for (size_t i = 0; i < n; i++)
		if (take_row(k, &rows[i]) !=
		    0) { /* named by check; nothing can be said of it here */
			k->sums.left++;
			log_msg(
			    LOG_LVL_WARN, "purge", "%s: a row cannot be read", k->walk.m->object);
		}
	if (n > 0) {
		buf_reset(&k->from);
		buf_append_slice(&k->from, rows[n - 1].key);
		buf_append_byte(&k->from, '!');
	}
	k->more_rows = more;
	page_on(k);
}

static void
read_rows(struct purge *k)
{
	struct backend *be = k->t->st->be;

	must(be->ops->scan(be, slice_str(k->walk.m->object), buf_slice(&k->from),
	    slice_str(k->kept_rows ? "k0" : "m0"), PURGE_PAGE, on_page, k));
}

static void
begin_rows(struct purge *k, bool kept)
{
	k->kept_rows = kept;
	k->more_rows = true;
	buf_reset(&k->from);
	buf_append_str(&k->from, kept ? "k/" : "m/");
}

/* ---- mailboxes ---- */

static void
box_over(struct purge *k)
{
	if (k->removes)
		bury_emptied(k->walk.m);
	walk_leave(&k->walk);
	k->t->done++;
	task_next(k->t);
}

static void
on_box(struct task *t)
{
	struct purge *k = t->own;

	k->held = account_is_held(k->walk.acc);
	k->counted_box = false;
	task_what(t, "%s: %s", k->walk.acc->id, k->walk.m->name);
	begin_rows(k, false);
	task_next(t);
}

static void
pass_over(struct task *t)
{
	struct purge *k = t->own;

	/* What was copied to a mailbox behind the walk: once more, until a pass finds nothing to take away. */
	if (k->removes && k->removed_in_pass > 0 && ++k->pass < PURGE_PASSES) {
		purge_walk_begin(k, true, k->over);
		task_next(k->t);
		return;
	}
	k->over(k);
}

void
purge_walk_begin(struct purge *k, bool removes, void (*over)(struct purge *k))
{
	k->removes = removes;
	k->over = over;
	k->removed_in_pass = 0;
	k->t->done = 0;
	if (k->walk.t == NULL)
		walk_init(&k->walk, k->t, "", on_box, pass_over);
	walk_begin(&k->walk);
	if (k->page == NULL)
		k->page = xcalloc(PURGE_PAGE + 1, sizeof *k->page);
}

void
purge_walk_step(struct purge *k)
{
	if (k->walk.m == NULL)
		walk_next(&k->walk);
	else if (k->more_rows && !k->walk.m->gone)
		read_rows(k);
	else if (!k->kept_rows && !k->walk.m->gone) {
		begin_rows(k, true);
		read_rows(k);
	} else {
		k->removed_in_pass += k->walk.m->gone && k->walk.m->buried_at != 0;
		box_over(k);
	}
}
