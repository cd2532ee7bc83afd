/* stored_seal.c: makes and remakes blocks of the index for SEARCH (index_block.h) in the background: the signatures of the next 1,024 messages of a mailbox
 * are read, transposed, written as a body, and named by a row "t/<first UID>". Runs in stored, one mailbox at a time, in steps of a millisecond at
 * most. Blocks next to one another whose messages were expunged for the most part become one, those without any go, and those that a rebuild
 * calls stale are made anew: the new row and the removal of the old ones are one batch. Nothing waits for it, and when it is interrupted nothing is lost but its work: searches ask the signatures themselves. */
#include "store/stored_index.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"
#include "lib/mime_text.h"

enum {
	STEP = 128,      /* messages read at once */
	STEP_BUILD = 64, /* put into the block at once */
	TRACE_HASHES = 2000,
	SPARE = 256, /* more messages than a block holds, before one is made */
	MEM = 32 << 20,
};

struct sealed {
	uint64_t body;
	struct sig sig;
	uint16_t *trace;
	size_t n_trace;
};
struct seal {
	struct mbox *m;
	struct arena *mem;
	struct loop_defer *defer;
	struct index_row row;
	struct sealed msgs[INDEX_MSGS];
	uint32_t n_read, built; /* of row.n */
	struct buf block;
	/* Remaking: blocks [at, at + n_old) become one. */
	bool remakes;
	size_t at, n_old;
	uint32_t first, limit; /* the first and the last UID of these */
};

static void read_on(struct seal *k);
static void remake_next(struct seal *k);
static void on_index(void *arg, int err);

size_t
index_trace(struct slice trace, uint16_t *out, size_t max)
{
	struct slice rest = trace;
	struct buf text, folded;
	size_t n = 0;

	/* This role does not decode: what is an encoded word may be anything. */
	if (slice_find(trace, slice_str("=?")) >= 0)
		return max + 1;
	buf_init(&text, 65536);
	buf_init(&folded, 40 * (size_t)65536);
	while (n <= max && mime_header_text(&rest, slice_of("", 0), &text)) {
		size_t some;

		buf_reset(&folded);
		if (text.err != 0 || vn_fold(buf_slice(&text), &folded) != 0)
			n = max + 1;
		if (n > max)
			break;
		some = sig_hashes(buf_slice(&folded), out + n, max - n);
		n = some > max - n ? max + 1 : n + some;
	}
	buf_done(&text);
	buf_done(&folded);
	return n;
}

/* ---- the end ---- */

/* wait: messages to come before it is tried again. */
static void
seal_end(struct seal *k, uint32_t wait)
{
	struct mbox *m = k->m;
	struct stored *st = m->acc->st;

	m->index_due = m->h.uidnext < UINT32_MAX - wait ? m->h.uidnext + wait : UINT32_MAX;
	st->seal = NULL;
	loop_defer_free(k->defer);
	arena_free(k->mem);
	buf_done(&k->block);
	free(k);
	account_unref(m->acc);
}

static void
seal_failed(struct seal *k, int err)
{
	if (err != ERR_GONE)
		log_msg(LOG_LVL_WARN, "index", "%s: %s", k->m->object, err_name(err));
	if (k->remakes && k->m->index != NULL)
		index_give_up(k->m);
	seal_end(k, INDEX_MSGS);
}

/* The next block, or enough. */
static void
next_block(struct seal *k)
{
	arena_reset(k->mem);
	buf_done(&k->block);
	k->row.n = k->n_read = k->built = 0;
	if (k->remakes)
		remake_next(k);
	else
		read_on(k);
}

static void
on_row_put(struct op *op)
{
	struct seal *k = op->arg;
	int err = op->err;

	op_free(op);
	if (err != 0) {
		seal_failed(k, err);
		return;
	}
	if (k->remakes) {
		if (!k->m->gone && k->m->index != NULL)
			index_replace(k->m, k->at, k->n_old, k->row.n > 0 ? &k->row : NULL);
		log_msg(LOG_LVL_INFO, "index_remade", "%s: %zu blocks up to UID %u became %s",
		    k->m->object, k->n_old, k->limit, k->row.n > 0 ? "one" : "none");
		k->at += k->row.n > 0;
		k->m->acc->st->n_remade++;
		next_block(k);
		return;
	}
	if (!k->m->gone && k->m->index != NULL)
		index_add(k->m, &k->row);
	k->m->acc->st->n_sealed++;
	log_msg(LOG_LVL_INFO, "index_block", "%s: UIDs %u to %u, %zu octets", k->m->object,
	    k->row.uids[0], k->row.uids[k->row.n - 1], k->block.len);
	next_block(k);
}

/* The rows of the blocks that it takes the place of, but for one of the same key. */
static void
old_rows(const struct seal *k, struct op *op)
{
	struct index_block *const *v;
	char key[KEY_MAX];
	size_t n;

	v = index_blocks(k->m, &n);
	op->old_keys = arena_calloc(op->mem, k->n_old + 1, sizeof *op->old_keys);
	if (op->old_keys == NULL)
		fatal("no memory");
	for (size_t i = k->at; i < k->at + k->n_old && i < n; i++)
		if (k->row.n == 0 || v[i]->row.uids[0] != k->row.uids[0])
			op->old_keys[op->n_old_keys++] =
			    arena_slice(op->mem, key_u32(key, 't', v[i]->row.uids[0]));
}

static void
put_row(struct seal *k)
{
	struct op *op = op_new(OP_INDEX, k->m, 65536, on_row_put, k);
	char key[KEY_MAX];
	struct buf v;

	if (k->remakes)
		old_rows(k, op);
	if (k->row.n > 0) {
		buf_init(&v, BACKEND_VALUE_MAX);
		index_row_encode(&k->row, &v);
		op->note_key = arena_slice(op->mem, key_u32(key, 't', k->row.uids[0]));
		op->note_value = arena_slice(op->mem, buf_slice(&v));
		buf_done(&v);
		if (op->note_value.ptr == NULL)
			fatal("no memory");
	}
	op_start(op);
}

static void
on_block_put(void *arg, int err, uint64_t body)
{
	struct seal *k = arg;

	if (err != 0 || k->m->gone) {
		seal_failed(k, err != 0 ? err : ERR_GONE);
		return;
	}
	k->row.body = body;
	put_row(k);
}

/* ---- the block ---- */

static void
build_some(void *arg)
{
	struct seal *k = arg;
	struct backend *be = k->m->acc->st->be;
	unsigned char sha[32];
	uint32_t upto = k->built + STEP_BUILD;

	for (; k->built < k->row.n && k->built < upto; k->built++) {
		const struct sealed *s = &k->msgs[k->built];

		index_block_add(&k->row, &k->block, k->built, &s->sig, s->trace, s->n_trace);
	}
	if (k->built < k->row.n) {
		loop_defer_set(k->defer);
		return;
	}
	sha256_of(buf_slice(&k->block), sha);
	must(be->ops->body_put(
	    be, sha, buf_slice(&k->block), -1, k->block.len, slice_str(""), on_block_put, k));
}

/* A size that fits all but one in sixteen: those are folded and come up more often than they should. */
static unsigned char
choose(const struct seal *k, bool body, unsigned max)
{
	uint32_t n[SIG_LOG_MAX + 1] = {0}, over = 0;
	unsigned log = max;

	for (uint32_t i = 0; i < k->row.n; i++) {
		const struct sig *s = &k->msgs[i].sig;
		unsigned char l = body ? s->body.log : s->header.log;

		if (l <= SIG_LOG_MAX)
			n[l]++;
	}
	for (unsigned l = SIG_LOG_MAX; l > max; l--)
		over += n[l];
	while (log > INDEX_LOG_MIN && over + n[log] <= k->row.n / 16)
		over += n[log--];
	return (unsigned char)log;
}

static void
build(struct seal *k)
{
	k->row.log_header = choose(k, false, INDEX_LOG_HEADER_MAX);
	k->row.log_body = choose(k, true, INDEX_LOG_BODY_MAX);
	if (index_block_begin(&k->row, &k->block) != 0) {
		seal_failed(k, ERR_NOMEM);
		return;
	}
	k->defer = k->defer != NULL ? k->defer : loop_defer_new(k->m->acc->st->loop, build_some, k);
	loop_defer_set(k->defer);
}

/* ---- reading ---- */

static int
keep_bits(struct seal *k, struct sig_bits *b)
{
	struct slice copy;

	if (b->log == 0 || b->log == SIG_ALL)
		return 0;
	copy = arena_slice(k->mem, slice_of(b->bits, (size_t)1 << (b->log - 3)));
	b->bits = copy.ptr;
	return copy.ptr == NULL ? ERR_LIMIT : 0;
}

static void
on_summaries(void *arg, int err, struct slice v)
{
	struct seal *k = arg;
	struct backend_whole w;
	uint32_t i = k->n_read;

	for (; err == 0 && i < k->row.n && backend_bodies_next(&v, &w); i++) {
		struct sealed *s = &k->msgs[i];
		bool any = s->sig.header.log == SIG_ALL; /* by its trace */

		if (w.err == ERR_FULL) /* the rest in another turn */
			break;
		s->sig = sig_decode(w.err == 0 ? summary_sig(w.summary) : slice_of("", 0));
		if (any)
			s->sig.header.log = SIG_ALL;
		err = keep_bits(k, &s->sig.header);
		if (err == 0)
			err = keep_bits(k, &s->sig.body);
	}
	if (err != 0 || k->m->gone) {
		seal_failed(k, err != 0 ? err : ERR_GONE);
		return;
	}
	k->row.n = k->n_read = i;
	if (i == INDEX_MSGS || (k->remakes && k->row.uids[i - 1] == k->limit))
		build(k);
	else
		read_on(k);
}

static int
take_row(struct seal *k, struct slice value)
{
	uint16_t trace[TRACE_HASHES];
	struct msg_row row;
	struct sealed *s = &k->msgs[k->row.n];
	size_t n;
	int err = msg_row_decode(value, &row);

	if (err != 0)
		return err;
	*s = (struct sealed){.body = row.body};
	n = index_trace(row.trace, trace, TRACE_HASHES);
	if (n > TRACE_HASHES) {
		s->sig.header.log = SIG_ALL;
	} else if (n > 0) {
		s->trace = arena_calloc(k->mem, n, sizeof *trace);
		if (s->trace == NULL)
			return ERR_LIMIT;
		memcpy(s->trace, trace, n * sizeof *trace);
		s->n_trace = n;
	}
	k->row.uids[k->row.n++] = row.uid;
	return 0;
}

static void
on_row_values(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct seal *k = arg;
	struct backend *be = k->m->acc->st->be;
	uint64_t bodies[STEP];
	size_t m = 0;

	(void)more;
	for (size_t i = 0; i < n && err == 0 && k->row.n < INDEX_MSGS; i++) {
		err = take_row(k, rows[i].value);
		if (err == 0)
			bodies[m++] = k->msgs[k->row.n - 1].body;
	}
	if (err != 0 || k->m->gone) {
		seal_failed(k, err != 0 ? err : ERR_GONE);
		return;
	}
	if (m == 0 && k->remakes) { /* that is all of them */
		if (k->row.n > 0)
			build(k);
		else
			put_row(k);
		return;
	}
	if (m == 0) { /* not a block's worth: once the rest of it came */
		seal_end(k, INDEX_MSGS + SPARE - k->row.n);
		return;
	}
	must(be->ops->summaries_get(be, bodies, m, on_summaries, k));
}

static void
read_on(struct seal *k)
{
	struct backend *be = k->m->acc->st->be;
	uint32_t last = k->row.n > 0 ? k->row.uids[k->row.n - 1]
			: k->remakes ? k->first - 1
				     : index_end(k->m);
	char from[KEY_MAX], to[KEY_MAX];

	if (last == UINT32_MAX) {
		seal_end(k, 0);
		return;
	}
	must(be->ops->scan(be, slice_str(k->m->object), key_u32(from, 'm', last + 1),
	    k->remakes && k->limit < UINT32_MAX ? key_u32(to, 'm', k->limit + 1) : slice_str("m0"),
	    STEP, on_row_values, k));
}

/* How many messages have to come before there may be enough for a block; 0: it is worth to look. What is in blocks may have been expunged since, so the
 * count says too little; then the distance decides. An account that comes and goes from memory must not read its signatures each time. */
static uint32_t
to_come(const struct mbox *m)
{
	uint32_t last = m->h.uidnext - 1 - index_end(m), in_none, enough = INDEX_MSGS + SPARE;
	uint64_t in_blocks = index_messages(m);

	if (last < enough)
		return enough - last;
	in_none = m->h.messages > in_blocks ? (uint32_t)(m->h.messages - in_blocks) : 0;
	return in_none >= enough || last >= 4 * enough ? 0 : enough - in_none;
}

/* ---- remaking ---- */

static size_t
first_uid(const struct store_uid *u, size_t n, uint32_t uid)
{
	size_t lo = 0;

	while (lo < n) {
		size_t mid = lo + (n - lo) / 2;

		if (u[mid].uid < uid)
			lo = mid + 1;
		else
			n = mid;
	}
	return lo;
}

/* The first blocks from k->at on that are worth it, by the UIDs that are there: u ascends. */
static bool
find_old(struct seal *k, const struct store_uid *u, size_t n_uids)
{
	struct index_block *const *v;
	size_t n;

	v = index_blocks(k->m, &n);
	for (; k->at < n; k->at++) {
		size_t there = 0, more = 0, end = k->at, i;
		bool stale = false;

		i = first_uid(u, n_uids, v[k->at]->row.uids[0]);

		/* as many as one block holds */
		for (; end < n; end++, there += more, more = 0) {
			while (i < n_uids && u[i].uid < v[end]->row.uids[0])
				i++; /* in no block */
			while (i < n_uids && u[i].uid <= index_last(v[end])) {
				i++;
				more++;
			}
			if (there + more > INDEX_MSGS)
				break;
			stale = stale || v[end]->stale;
		}
		k->n_old = end - k->at;
		if (k->n_old >= 2 || (k->n_old == 1 && (there == 0 || stale))) {
			k->first = v[k->at]->row.uids[0];
			k->limit = index_last(v[end - 1]);
			return true;
		}
	}
	return false;
}

static void
on_view(void *arg, int err, const struct store_uid *u, size_t n)
{
	struct seal *k = arg;

	if (err != 0 || k->m->gone || k->m->index == NULL) {
		seal_failed(k, err != 0 ? err : ERR_GONE);
		return;
	}
	if (find_old(k, u, n)) {
		k->row.n = k->n_read = 0;
		read_on(k);
		return;
	}
	index_merge_tried(k->m);
	seal_end(k, 0);
}

static void
remake_next(struct seal *k)
{
	view_get(k->m, true, on_view, k);
}

static struct seal *
seal_new(struct mbox *m)
{
	struct seal *k = xcalloc(1, sizeof *k);

	k->m = m;
	k->mem = arena_new(MEM);
	if (k->mem == NULL)
		fatal("no memory");
	buf_init(&k->block, INDEX_SIZE_MAX);
	m->acc->st->seal = k;
	account_ref(m->acc);
	return k;
}

static void
on_index(void *arg, int err)
{
	struct seal *k = arg;
	uint32_t wait = err == 0 ? to_come(k->m) : 0;

	if (err != 0)
		seal_failed(k, err);
	else if (wait > 0)
		seal_end(k, wait);
	else
		read_on(k);
}

void
index_maybe(struct mbox *m)
{
	struct stored *st = m->acc->st;

	if (st->seal != NULL || m->gone)
		return;
	if (index_merge_wanted(m) || index_has_stale(m)) {
		struct seal *k = seal_new(m);

		k->remakes = true;
		remake_next(k);
		return;
	}
	if (m->h.messages < INDEX_MSGS + SPARE || m->h.uidnext < m->index_due)
		return;
	index_get(m, on_index, seal_new(m));
}

int
index_build(struct op *op, struct cycle *c)
{
	int err = op->note_key.len > 0 ? cycle_put(c, op->note_key, op->note_value) : 0;

	for (size_t i = 0; i < op->n_old_keys && err == 0; i++)
		err = cycle_del(c, op->old_keys[i]);
	return err;
}
