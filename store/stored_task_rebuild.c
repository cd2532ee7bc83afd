/* stored_task_rebuild.c: the task "rebuild": what is made of a message when it comes in (the summary with its body: MIME tree, search signature; in its
 * row: ENVELOPE, Date, Message-IDs) is made anew where it is of an older version, is not there, or cannot be read. Runs in stored; ingest parses
 * (stored_rebuild.h). Arguments: "account" (one alone), "all" (also what is of this version), "dry_run".
 *
 * Mailboxes one after the other, deleted ones too, 64 messages at a time: read, handed to ingest one by one, then their summaries written by a job of space,
 * then their rows by a batch of the mailbox. Interrupted at any point it is simply begun anew: what is of this version is passed over. A message whose
 * body cannot be read is named and stays as it is. Of retained mail the summaries alone are made: rows in "k/" are as they were. */
#include "store/stored_rebuild.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/body_set.h"
#include "store/kept.h"
#include "store/sig.h"
#include "store/stored_index.h"
#include "store/stored_task.h"
#include "store/stored_walk.h"

enum {
	PAGE = BACKEND_SUMMARIES_MAX,
	MEM = 96 << 20,
	OP_MEM = 4 << 20,
	WAIT_MS = 100,
	INDEX_WAIT_MS = 20,
	INDEX_WAITS = 1500, /* half a minute: another mailbox may be at it */
};

struct item {
	uint32_t uid;
	uint64_t body, size;
	bool summary_old, row_old, unread, made;
	struct slice summary;
	struct redo redo;
};
struct rebuild {
	struct task *t;
	bool all, dry_run;
	char account[ACCOUNT_ID_MAX + 1];
	bool account_there;
	struct walk walk;
	bool kept_rows, more_rows;
	struct buf from;
	/* a page */
	enum { P_ROWS, P_SUMMARIES, P_MAKE, P_WRITE, P_PUT, P_INDEX, P_REMAKE } phase;
	struct arena *mem;
	struct item page[PAGE];
	size_t n_page, at;
	struct body_set *done; /* bodies whose summaries were made by this task */
	struct buf
	    full; /* u32: UIDs of this mailbox of which no search knows anything, whatever is done */
	unsigned waits;
	uint64_t mailboxes, messages, bodies, rows, bad;
};

static bool
failed(struct rebuild *k, int err, const char *what)
{
	if (err == 0)
		return false;
	task_end(k->t, err, what);
	return true;
}

static void
tell_bad(struct rebuild *k, const char *code, uint32_t uid, int err)
{
	struct json *j = json_obj_new();

	json_set_str(j, "level", "fault");
	json_set_str(j, "code", code);
	json_set_str(j, "account", k->walk.acc->id);
	json_set_slice(j, "mailbox", slice_str(k->walk.m->name));
	if (k->kept_rows)
		json_set_bool(j, "retained", true);
	if (uid > 0)
		json_set_int(j, "uid", uid);
	json_set_str(j, "why", err_name(err));
	k->bad++;
	task_finding_take(k->t, j);
}

static void
phase(struct rebuild *k, int next)
{
	k->phase = next;
	k->at = 0;
	task_next(k->t);
}

/* ---- rows: which are of this version ---- */

static int
take_row(struct rebuild *k, const struct kv_pair *p)
{
	struct item *x = &k->page[k->n_page];
	struct kept_row kept = {.row = p->value};
	struct msg_row row;
	uint64_t modseq;
	uint32_t uid;
	int err = 0;

	if (p->value.ptr == NULL)
		return ERR_CORRUPT;
	if (k->kept_rows && ((err = kept_key_read(p->key, &modseq, &uid)) != 0 ||
				(err = kept_row_decode(p->value, &kept)) != 0))
		return err;
	err = msg_row_decode(kept.row, &row);
	if (err == 0 && row.size < row.trace.len)
		err = ERR_CORRUPT;
	if (err != 0)
		return err;
	*x = (struct item){.uid = row.uid,
	    .body = row.body,
	    .size = row.size - row.trace.len,
	    .row_old = !k->kept_rows && (k->all || row.refs.len == 0)};
	k->n_page++;
	return 0;
}

static void
on_page(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct rebuild *k = arg;

	if (failed(k, err, "the store's rows cannot be read"))
		return;
	k->n_page = 0;
	arena_reset(k->mem);
	for (size_t i = 0; i < n; i++) {
		uint64_t uid = 0;

		err = take_row(k, &rows[i]);
		if (err != 0 && !k->kept_rows)
			(void)key_number(rows[i].key, 8, &uid);
		if (err != 0)
			tell_bad(k, "message_row_corrupt", (uint32_t)uid, err);
	}
	if (n > 0) {
		buf_reset(&k->from);
		buf_append_slice(&k->from, rows[n - 1].key);
		buf_append_byte(&k->from, '!');
	}
	k->more_rows = more;
	k->messages += n;
	k->t->done = k->messages;
	phase(k, P_SUMMARIES);
}

static void
read_rows(struct rebuild *k)
{
	struct backend *be = k->t->st->be;

	must(be->ops->scan(be, slice_str(k->walk.m->object), buf_slice(&k->from),
	    slice_str(k->kept_rows ? "k0" : "m0"), PAGE, on_page, k));
}

/* ---- summaries: which are of this version ---- */

/* Its signature says that anything may be in the text. */
static void
note_full(struct rebuild *k, uint32_t uid, struct slice summary)
{
	struct sig s = sig_decode(summary_sig(summary));

	if (!k->kept_rows && s.body.log == SIG_ALL)
		buf_append(&k->full, &uid, sizeof uid);
}

/* One summary, or why there is none. */
static void
judge(struct rebuild *k, struct item *x, int err, struct slice summary)
{
	bool again = body_set_has(k->done, x->body); /* it came by another row */

	if (err == ERR_NOTFOUND || err == ERR_GONE) {
		tell_bad(k, "body_missing", x->uid, err);
		note_full(k, x->uid, slice_of("", 0));
		x->row_old = false;
		return;
	}
	if (err == 0 && summary_is_current(summary))
		note_full(k, x->uid, summary);
	x->summary_old = !again && (k->all || err != 0 || !summary_is_current(summary));
}

static void
on_long_summary(void *arg, int err, struct slice value)
{
	struct rebuild *k = arg;
	struct item *x = &k->page[k->at++];

	x->unread = false;
	judge(k, x, err, value);
	task_next(k->t);
}

static void
on_summaries(void *arg, int err, struct slice v)
{
	struct rebuild *k = arg;
	struct backend_whole w;

	if (failed(k, err, "summaries cannot be read"))
		return;
	for (; k->at < k->n_page && backend_bodies_next(&v, &w); k->at++) {
		struct item *x = &k->page[k->at];

		if (w.err == ERR_FULL) /* the rest in another turn */
			break;
		if (w.err == ERR_LIMIT) { /* a long one: by itself */
			x->unread = true;
			break;
		}
		judge(k, x, w.err, w.summary);
	}
	task_next(k->t);
}

static void
read_summaries(struct rebuild *k)
{
	struct backend *be = k->t->st->be;
	uint64_t bodies[PAGE];
	size_t n = 0;

	if (k->at == k->n_page) {
		phase(k, P_MAKE);
		return;
	}
	if (k->page[k->at].unread) {
		must(be->ops->summary_get(be, k->page[k->at].body, on_long_summary, k));
		return;
	}
	for (size_t i = k->at; i < k->n_page; i++)
		bodies[n++] = k->page[i].body;
	must(be->ops->summaries_get(be, bodies, n, on_summaries, k));
}

/* ---- making: ingest reads each body ---- */

static int
keep(struct rebuild *k, struct item *x, const struct rebuilt *r)
{
	if (x->summary_old)
		x->summary = arena_slice(k->mem, r->summary);
	x->redo = (struct redo){.uid = x->uid,
	    .body = x->body,
	    .sent_date = r->sent_date,
	    .envelope = arena_slice(k->mem, r->envelope),
	    .refs = arena_slice(k->mem, r->refs)};
	x->made = true;
	return (x->summary_old && x->summary.ptr == NULL) ||
		       (r->envelope.len > 0 && x->redo.envelope.ptr == NULL) ||
		       (r->refs.len > 0 && x->redo.refs.ptr == NULL)
		   ? ERR_LIMIT
		   : 0;
}

static void
on_made(void *arg, int err, const struct rebuilt *r)
{
	struct rebuild *k = arg;
	struct item *x = &k->page[k->at++];

	if (err == ERR_TEMP) {
		task_end(k->t, err, "no ingest process asks for work: is one running?");
		return;
	}
	if (err == 0)
		err = keep(k, x, r);
	if (err == 0 && x->summary_old)
		note_full(k, x->uid, x->summary);
	if (err != 0) {
		note_full(k, x->uid, slice_of("", 0));
		x->made = false;
		tell_bad(k, err == ERR_LIMIT || err == ERR_TIMEOUT ? "not_made" : "body_corrupt",
		    x->uid, err);
	}
	task_next(k->t);
}

/* The same body earlier in the page. */
static const struct item *
twin(const struct rebuild *k, const struct item *x)
{
	for (const struct item *y = k->page; y < x; y++)
		if (y->body == x->body && y->made)
			return y;
	return NULL;
}

static void
make_next(struct rebuild *k)
{
	for (; k->at < k->n_page; k->at++) {
		struct item *x = &k->page[k->at];
		const struct item *y;

		if (!x->summary_old && !x->row_old)
			continue;
		if (k->dry_run) {
			k->bodies += x->summary_old;
			k->rows += x->row_old;
			if (x->summary_old)
				(void)body_set_add(k->done, x->body);
			continue;
		}
		y = twin(k, x);
		if (y == NULL) {
			rebuild_ask(k->t->st, x->body, x->size, !x->summary_old, on_made, k);
			return;
		}
		x->redo = y->redo;
		x->redo.uid = x->uid;
		x->made = true;
		x->summary_old = false;
	}
	phase(k, P_WRITE);
}

/* ---- writing ---- */

static void
on_written(void *arg, int err)
{
	struct rebuild *k = arg;
	struct backend *be = k->t->st->be;
	struct backend_space_state st;

	if (err == ERR_EXISTS || err == ERR_CANCELED) { /* a collection, …: in turns */
		task_what(k->t, "waits for other work on the store's space");
		task_next_in(k->t, WAIT_MS);
		return;
	}
	if (failed(k, err, "summaries cannot be written"))
		return;
	be->ops->space_state(be, &st);
	k->bodies += st.copied;
	for (size_t i = 0; i < k->n_page; i++)
		if (k->page[i].made && k->page[i].summary_old)
			(void)body_set_add(k->done, k->page[i].body);
	phase(k, P_PUT);
}

static void
write_summaries(struct rebuild *k)
{
	struct backend *be = k->t->st->be;
	uint64_t bodies[PAGE];
	struct slice summaries[PAGE];
	struct backend_space_job job = {
	    .what = SPACE_SUMMARIES, .bodies = bodies, .summaries = summaries};

	for (size_t i = 0; i < k->n_page; i++) {
		if (!k->page[i].made || !k->page[i].summary_old)
			continue;
		bodies[job.n_bodies] = k->page[i].body;
		summaries[job.n_bodies++] = k->page[i].summary;
	}
	task_what(k->t, "%s: %s", k->walk.acc->id, k->walk.m->name);
	if (job.n_bodies == 0)
		phase(k, P_PUT);
	else
		must(be->ops->space(be, &job, on_written, k));
}

static void
on_put(struct op *op)
{
	struct rebuild *k = op->arg;
	int err = op->err;

	if (err == 0)
		k->rows += op->out_changed.len / sizeof(uint32_t);
	op_free(op);
	if (err != ERR_GONE && failed(k, err, "a mailbox cannot be changed"))
		return;
	phase(k, P_ROWS);
}

static void
put_rows(struct rebuild *k)
{
	struct op *op = op_new(OP_REDO, k->walk.m, OP_MEM, on_put, k);
	struct redo *redo = arena_calloc(op->mem, PAGE, sizeof *redo);

	op->uids = arena_calloc(op->mem, PAGE, sizeof *op->uids);
	if (op->uids == NULL || redo == NULL)
		fatal("no memory");
	op->redo = redo; /* what it points to stays with the page */
	for (size_t i = 0; i < k->n_page; i++) {
		if (!k->page[i].made || !k->page[i].row_old)
			continue;
		redo[op->n_uids] = k->page[i].redo;
		op->uids[op->n_uids++] = k->page[i].uid;
	}
	if (op->n_uids > 0) {
		op_start(op);
		return;
	}
	op_free(op);
	phase(k, P_ROWS);
}

/* ---- mailboxes ---- */

static void
begin_rows(struct rebuild *k, bool kept)
{
	k->kept_rows = kept;
	k->more_rows = true;
	buf_reset(&k->from);
	buf_append_str(&k->from, kept ? "k/" : "m/");
}

static void
box_over(struct rebuild *k)
{
	k->mailboxes++;
	walk_leave(&k->walk);
	task_next(k->t);
}

/* Blocks of the index that were made when nothing was known of a message. */
static void
on_refreshed(void *arg, int err)
{
	struct rebuild *k = arg;

	if (err == 0 || err == ERR_GONE)
		phase(k, P_REMAKE);
	else
		failed(k, err, "the index cannot be read");
}

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static void
refresh(struct rebuild *k)
{
	size_t n = k->full.len / sizeof(uint32_t);
	uint32_t *full = xcalloc(n + 1, sizeof *full);

	if (n > 0)
		memcpy(full, k->full.data, n * sizeof *full);
	qsort(full, n, sizeof *full, by_uid);
	k->waits = 0;
	index_refresh(k->walk.m, full, n, on_refreshed, k);
	free(full);
}

/* They are made anew in the background, one mailbox at a time. */
static void
remake(struct rebuild *k)
{
	if (k->walk.m->gone || k->walk.m->index == NULL || !index_has_stale(k->walk.m) ||
	    k->waits++ >= INDEX_WAITS) {
		box_over(k);
		return;
	}
	index_maybe(k->walk.m);
	task_next_in(k->t, INDEX_WAIT_MS);
}

static void
on_box(struct task *t)
{
	struct rebuild *k = t->own;
	struct mbox *m = k->walk.m;

	if (m->damaged) { /* a check names it */
		walk_leave(&k->walk);
		task_next(t);
		return;
	}
	task_what(t, "%s: %s", k->walk.acc->id, m->name);
	buf_reset(&k->full);
	begin_rows(k, false);
	phase(k, P_ROWS);
}

static void
on_boxes_over(struct task *t)
{
	task_end(t, 0, "");
}

/* Else a name that is no account of the store would look like one with nothing to do. */
static void
on_the_account(void *arg, int err, struct account *a)
{
	struct rebuild *k = arg;

	(void)a;
	if (err == ERR_NOTFOUND) {
		task_end(k->t, err, "there is no such account in the store");
	} else if (!failed(k, err, "an account cannot be read")) {
		k->account_there = true;
		task_next(k->t);
	}
}

static void
next_box(struct rebuild *k)
{
	if (k->account[0] != '\0' && !k->account_there)
		account_find(k->t->st, slice_str(k->account), on_the_account, k);
	else
		walk_next(&k->walk);
}

static void
rows_step(struct rebuild *k)
{
	if (k->more_rows && !k->walk.m->gone)
		read_rows(k);
	else if (!k->kept_rows && !k->walk.m->gone) {
		begin_rows(k, true);
		read_rows(k);
	} else if (k->dry_run || k->walk.m->gone || k->walk.m->buried_at != 0) {
		box_over(k);
	} else {
		phase(k, P_INDEX);
	}
}

static void
step(struct task *t)
{
	static void (*const steps[])(struct rebuild *) = {[P_ROWS] = rows_step,
	    [P_SUMMARIES] = read_summaries,
	    [P_MAKE] = make_next,
	    [P_WRITE] = write_summaries,
	    [P_PUT] = put_rows,
	    [P_INDEX] = refresh,
	    [P_REMAKE] = remake};
	struct rebuild *k = t->own;

	if (k->walk.m == NULL)
		next_box(k);
	else
		steps[k->phase](k);
}

static int
start(struct task *t, const struct json *args, const char **why)
{
	const char *account = json_cstr(json_get(args, "account"));
	struct rebuild *k;

	if (account[0] != '\0' && !account_id_ok(slice_str(account))) {
		*why = "that is no account id";
		return ERR_SYNTAX;
	}
	k = t->own = xcalloc(1, sizeof *k);
	k->t = t;
	k->all = json_bool(json_get(args, "all"));
	k->dry_run = json_bool(json_get(args, "dry_run"));
	snprintf(k->account, sizeof k->account, "%s", account);
	walk_init(&k->walk, t, k->account, on_box, on_boxes_over);
	k->mem = arena_new(MEM);
	k->done = body_set_new();
	if (k->mem == NULL)
		fatal("no memory");
	buf_init(&k->from, BACKEND_KEY_MAX);
	buf_init(&k->full, 64 << 20);
	return 0;
}

static struct json *
report(struct task *t)
{
	const struct rebuild *k = t->own;
	struct json *j = json_obj_new();

	json_set_bool(j, "dry_run", k->dry_run);
	json_set_int(j, "mailboxes", (int64_t)k->mailboxes);
	json_set_int(j, "messages", (int64_t)k->messages);
	json_set_int(j, "summaries", (int64_t)k->bodies);
	json_set_int(j, "rows", (int64_t)k->rows);
	json_set_int(j, "faults", (int64_t)k->bad);
	return j;
}

static void
rebuild_free(struct task *t)
{
	struct rebuild *k = t->own;

	walk_done(&k->walk);
	arena_free(k->mem);
	body_set_free(k->done);
	buf_done(&k->from);
	buf_done(&k->full);
	free(k);
}

const struct task_kind task_kind_rebuild = {
    .name = "rebuild", .start = start, .step = step, .report = report, .free = rebuild_free};
