/* stored_candidates.c: which messages of a mailbox may hold given texts: blocks of the index for those that are in one, signatures one by one
 * for the others. No body is opened. Runs in stored. What is said is "surely not" or "perhaps": imapd-session looks at the latter. */
#include "store/stored_index.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum {
	NEEDLES = STORE_NEEDLES_MAX,
	SPAN = 65536, /* UIDs of an answer */
	ROWS = 200,   /* signatures at once */
	READS = 48,   /* more: the block as a whole */
	GAP =
	    65536, /* octets between two slices that are read along: bodies are kept in blocks of more */
	SLICES = NEEDLES * SIG_NEEDLE_MAX * 2,
	TRACE_HASHES = 2000,
	MEM = 16 << 20,
	WORDS = INDEX_SLICE / 8,
};

struct probe {
	bool header, body;
	struct sig_needle n;
	unsigned char *maybe; /* bitmap from base on */
};
struct candidates;
struct piece { /* of a block that is read */
	struct candidates *k;
	uint64_t off;
	uint32_t len;
	size_t at; /* in data */
};
struct line { /* a message that is in no block */
	uint32_t uid;
	uint32_t trace; /* bit per probe: its trace may hold it */
};
struct candidates {
	struct req r;
	struct arena *mem;
	struct probe probes[NEEDLES];
	uint32_t n_probes;
	uint32_t base, at, end; /* [at, end] is open */
	uint32_t next;          /* what the answer says */
	unsigned char *known;
	size_t octets;
	/* a block */
	struct index_block *block;
	struct piece *pieces;
	size_t n_pieces, left;
	int err;
	struct buf data;
	/* others */
	struct line lines[ROWS];
	size_t n_lines;
	uint32_t gap_end;
};

static void step(struct candidates *k);

static void
candidates_end(struct candidates *k, int err)
{
	struct mbox *m = k->r.m;
	struct account *a = m->acc;
	struct buf b;

	account_ref(a);
	if (err != 0) {
		req_err(&k->r, err, "candidates");
	} else {
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_u32(&b, k->base);
		ipc_put_u32(&b, k->next);
		ipc_put_slice(&b, slice_of(k->known, k->octets));
		ipc_put_u32(&b, k->n_probes);
		for (uint32_t i = 0; i < k->n_probes; i++)
			ipc_put_slice(&b, slice_of(k->probes[i].maybe, k->octets));
		req_reply(&k->r, STORE_CANDIDATES_ARE, &b);
	}
	arena_free(k->mem);
	buf_done(&k->data);
	free(k);
	index_maybe(m);
	account_unref(a);
}

static void
mark(const struct candidates *k, unsigned char *bits, uint32_t uid)
{
	uint32_t i = uid - k->base;

	if (uid >= k->base && i / 8 < k->octets)
		bits[i / 8] |= (unsigned char)(1u << (i % 8));
}

/* ---- a block ---- */

static const unsigned char *
slice_of_block(const struct candidates *k, uint64_t off)
{
	for (size_t i = 0; i < k->n_pieces; i++) {
		const struct piece *p = &k->pieces[i];

		if (off >= p->off && off + INDEX_SLICE <= p->off + p->len)
			return k->data.data + p->at + (off - p->off);
	}
	return NULL;
}

/* Those of the block that have all grams, added to out. */
static void
add_all(const struct candidates *k, const struct sig_needle *n, bool body, uint64_t out[WORDS])
{
	uint64_t all[WORDS], one[WORDS];

	memset(all, 0xff, sizeof all);
	for (uint32_t i = 0; i < n->n; i++) {
		const unsigned char *p =
		    slice_of_block(k, index_slice_at(&k->block->row, body, n->hash[i]));

		if (p == NULL)
			continue;
		memcpy(one, p, sizeof one);
		for (size_t w = 0; w < WORDS; w++)
			all[w] &= one[w];
	}
	for (size_t w = 0; w < WORDS; w++)
		out[w] |= all[w];
}

static void
judge_block(struct candidates *k)
{
	const struct index_row *row = &k->block->row;

	for (uint32_t i = 0; i < row->n; i++)
		mark(k, k->known, row->uids[i]);
	for (uint32_t p = 0; p < k->n_probes; p++) {
		struct probe *pr = &k->probes[p];
		uint64_t bits[WORDS] = {0};
		const unsigned char *b = (const unsigned char *)bits;

		if (pr->header)
			add_all(k, &pr->n, false, bits);
		if (pr->body)
			add_all(k, &pr->n, true, bits);
		for (uint32_t i = 0; i < row->n; i++)
			if ((b[i / 8] >> (i % 8) & 1) != 0)
				mark(k, pr->maybe, row->uids[i]);
	}
}

static void
block_read(struct candidates *k)
{
	struct index_block *block = k->block;

	if (k->err == 0) {
		judge_block(k);
		k->at = index_last(k->block);
		if (k->at == UINT32_MAX || k->at >= k->end)
			k->at = k->end + (k->end < UINT32_MAX);
		else
			k->at++;
	} else { /* lost: the signatures have it all */
		log_msg(LOG_LVL_WARN, "index", "%s: block of UID %u: %s", k->r.m->object,
		    k->block->row.uids[0], err_name(k->err));
		k->block->lost = true;
	}
	k->block = NULL;
	index_block_unuse(block);
	step(k);
}

static void
on_piece(void *arg, int err, struct slice v)
{
	const struct piece *p = arg;
	struct candidates *k = p->k;

	if (err == 0 && v.len != p->len)
		err = ERR_CORRUPT;
	if (err == 0)
		memcpy(k->data.data + p->at, v.ptr, v.len);
	else
		k->err = err;
	if (--k->left == 0)
		block_read(k);
}

static int
by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static size_t
slices_wanted(const struct candidates *k, uint64_t *offs)
{
	size_t n = 0;

	for (uint32_t p = 0; p < k->n_probes; p++) {
		const struct probe *pr = &k->probes[p];

		for (uint32_t i = 0; i < pr->n.n; i++) {
			if (pr->header)
				offs[n++] = index_slice_at(&k->block->row, false, pr->n.hash[i]);
			if (pr->body)
				offs[n++] = index_slice_at(&k->block->row, true, pr->n.hash[i]);
		}
	}
	qsort(offs, n, sizeof *offs, by_number);
	return n;
}

/* What is to be read of the block: neighbours together. */
static int
plan(struct candidates *k)
{
	uint64_t offs[SLICES] = {0};
	size_t n = slices_wanted(k, offs), total = 0;

	k->n_pieces = 0;
	k->pieces = arena_calloc(k->mem, n + 1, sizeof *k->pieces);
	if (k->pieces == NULL)
		return ERR_LIMIT;
	for (size_t i = 0; i < n; i++) {
		struct piece *p = k->n_pieces > 0 ? &k->pieces[k->n_pieces - 1] : NULL;

		if (p == NULL || offs[i] > p->off + p->len + GAP) {
			p = &k->pieces[k->n_pieces++];
			*p = (struct piece){.k = k, .off = offs[i]};
		}
		p->len = (uint32_t)(offs[i] + INDEX_SLICE - p->off);
	}
	if (k->n_pieces > READS) {
		k->n_pieces = 1;
		k->pieces[0] = (struct piece){.k = k, .len = (uint32_t)index_size(&k->block->row)};
	}
	for (size_t i = 0; i < k->n_pieces; i++) {
		k->pieces[i].at = total;
		total += k->pieces[i].len;
	}
	buf_reset(&k->data);
	if (buf_reserve(&k->data, total + 1) == NULL)
		return k->data.err;
	return 0;
}

static void
ask_block(struct candidates *k)
{
	struct backend *be = k->r.st->be;
	int err = plan(k);

	if (err != 0) {
		candidates_end(k, err);
		return;
	}
	k->err = 0;
	k->left = k->n_pieces;
	index_block_use(k->block);
	if (k->n_pieces == 0) { /* nothing that a block could tell */
		block_read(k);
		return;
	}
	for (size_t i = 0; i < k->n_pieces; i++)
		must(be->ops->body_get(be, k->block->row.body, k->pieces[i].off, k->pieces[i].len,
		    on_piece, &k->pieces[i]));
}

/* ---- one by one ---- */

static void
on_summaries(void *arg, int err, struct slice v)
{
	struct candidates *k = arg;
	struct backend_whole w;
	size_t i;

	for (i = 0; err == 0 && i < k->n_lines && backend_bodies_next(&v, &w); i++) {
		const struct line *l = &k->lines[i];
		struct sig s;

		if (w.err == ERR_FULL)
			break;
		s = sig_decode(w.err == 0 ? summary_sig(w.summary) : slice_of("", 0));
		mark(k, k->known, l->uid);
		for (uint32_t p = 0; p < k->n_probes; p++) {
			const struct probe *pr = &k->probes[p];

			if ((l->trace >> p & 1) != 0 ||
			    (pr->header && sig_maybe(&s.header, &pr->n)) ||
			    (pr->body && sig_maybe(&s.body, &pr->n)))
				mark(k, pr->maybe, l->uid);
		}
	}
	if (err != 0) {
		candidates_end(k, err);
		return;
	}
	if (i < k->n_lines)
		k->at = k->lines[i].uid;
	else
		k->at = k->gap_end + (k->gap_end < UINT32_MAX);
	step(k);
}

/* Which of the texts the trace may hold: it is no part of the body, and each mailbox has its own. */
static uint32_t
ask_trace(const struct candidates *k, struct slice trace)
{
	uint16_t hashes[TRACE_HASHES];
	struct sig_set set;
	uint32_t maybe = 0;
	size_t n;

	if (trace.len == 0)
		return 0;
	n = index_trace(trace, hashes, TRACE_HASHES);
	sig_set_init(&set);
	for (size_t i = 0; i < n && n <= TRACE_HASHES; i++)
		set.bits[hashes[i] >> 6] |= (uint64_t)1 << (hashes[i] & 63);
	for (uint32_t p = 0; p < k->n_probes; p++) {
		const struct probe *pr = &k->probes[p];
		bool all = pr->header;

		for (uint32_t i = 0; i < pr->n.n && n <= TRACE_HASHES; i++)
			all =
			    all && (set.bits[pr->n.hash[i] >> 6] >> (pr->n.hash[i] & 63) & 1) != 0;
		maybe |= (uint32_t)all << p;
	}
	return maybe;
}

static void
on_row_values(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct candidates *k = arg;
	uint64_t bodies[ROWS];
	struct msg_row row;
	bool headers = false;

	for (uint32_t p = 0; p < k->n_probes; p++)
		headers = headers || k->probes[p].header;
	k->n_lines = 0;
	for (size_t i = 0; i < n && err == 0; i++) {
		err = msg_row_decode(rows[i].value, &row);
		if (err != 0)
			break;
		k->lines[i].uid = row.uid;
		k->lines[i].trace = headers ? ask_trace(k, row.trace) : 0;
		bodies[k->n_lines++] = row.body;
	}
	if (err != 0) {
		candidates_end(k, err);
		return;
	}
	if (more && k->n_lines > 0)
		k->gap_end = k->lines[k->n_lines - 1].uid;
	if (k->n_lines == 0) {
		k->at = k->gap_end + (k->gap_end < UINT32_MAX);
		step(k);
		return;
	}
	must(k->r.st->be->ops->summaries_get(k->r.st->be, bodies, k->n_lines, on_summaries, k));
}

static void
ask_rows(struct candidates *k)
{
	struct backend *be = k->r.st->be;
	char from[KEY_MAX], to[KEY_MAX];

	must(be->ops->scan(be, slice_str(k->r.m->object), key_u32(from, 'm', k->at),
	    k->gap_end == UINT32_MAX ? slice_str("m0") : key_u32(to, 'm', k->gap_end + 1), ROWS,
	    on_row_values, k));
}

/* ---- the request ---- */

static void
step(struct candidates *k)
{
	if (k->r.m->gone) {
		candidates_end(k, ERR_GONE);
		return;
	}
	if (k->at > k->end || (k->at == UINT32_MAX && k->end == UINT32_MAX)) {
		candidates_end(k, 0);
		return;
	}
	k->block = index_at(k->r.m, k->at);
	if (k->block != NULL && k->block->row.uids[0] <= k->at) {
		ask_block(k);
		return;
	}
	k->gap_end = k->end;
	if (k->block != NULL && k->block->row.uids[0] <= k->end)
		k->gap_end = k->block->row.uids[0] - 1;
	ask_rows(k);
}

static void
on_index(void *arg, int err)
{
	struct candidates *k = arg;

	if (err != 0)
		candidates_end(k, err);
	else
		step(k);
}

/* The range of this answer: to is cut to what there can be. */
static void
set_range(struct candidates *k, uint32_t from, uint32_t to)
{
	uint32_t last = k->r.m->h.uidnext - 1;

	k->base = k->at = from;
	if (to > last)
		to = last;
	if (to >= from && to - from >= SPAN) {
		k->end = from + SPAN - 1;
		k->next = from + SPAN;
	} else {
		k->end = to;
	}
	k->octets = k->end >= from ? (k->end - from) / 8 + 1 : 0;
}

static int
read_request(struct candidates *k, struct ipc_reader *r)
{
	uint32_t from = ipc_get_u32(r), to = ipc_get_u32(r);

	k->n_probes = ipc_get_count(r, NEEDLES, 5);
	for (uint32_t i = 0; i < k->n_probes; i++) {
		uint8_t where = ipc_get_u8(r);
		struct slice needle = ipc_get_slice(r);

		if (where == 0 || where > 3 || needle.len > STORE_NEEDLE_MAX)
			r->err = ERR_PROTO;
		k->probes[i].header = (where & 1) != 0;
		k->probes[i].body = (where & 2) != 0;
		sig_needle_init(&k->probes[i].n, needle);
	}
	if (ipc_reader_end(r) != 0 || k->n_probes == 0 || from == 0)
		return ERR_PROTO;
	set_range(k, from, to);
	k->known = arena_calloc(k->mem, k->octets + 1, 1);
	for (uint32_t i = 0; i < k->n_probes && k->known != NULL; i++)
		if ((k->probes[i].maybe = arena_calloc(k->mem, k->octets + 1, 1)) == NULL)
			fatal("no memory");
	return k->known == NULL ? ERR_NOMEM : 0;
}

int
on_candidates(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct candidates *k;
	const char *rights;
	struct mbox *m;
	int err;

	if (session_mbox_of(c, id, r, "r", &m, &rights, &err) == NULL)
		return err;
	k = xcalloc(1, sizeof *k);
	req_init(&k->r, c->st, c->ipc, id, m->acc);
	k->r.m = m;
	k->mem = arena_new(MEM);
	if (k->mem == NULL)
		fatal("no memory");
	buf_init(&k->data, 4 * (size_t)INDEX_SIZE_MAX);
	if ((err = read_request(k, r)) != 0) {
		candidates_end(k, err);
		return err == ERR_PROTO ? err : 0;
	}
	index_get(m, on_index, k);
	return 0;
}

/* ---- rows of given UIDs ---- */

enum { ROWS_OCTETS = 256 * 1024 };

struct rows_of {
	struct req r;
	struct arena *mem;
	uint32_t *uids;
	size_t n;
};

static void
on_rows_of_read(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct rows_of *k = arg;
	struct buf list, one, b;
	size_t i;

	buf_init(&list, IPC_FRAME_MAX);
	buf_init(&one, BACKEND_VALUE_MAX);
	for (i = 0; err == 0 && i < n && (i == 0 || list.len < ROWS_OCTETS); i++) {
		buf_reset(&one);
		err = msg_row_encode(&rows[i], &one);
		ipc_put_slice(&list, buf_slice(&one));
	}
	if (err == 0) {
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_u32(&b, i < n ? rows[i].uid : 0);
		ipc_put_u32(&b, (uint32_t)i);
		buf_append_slice(&b, buf_slice(&list));
		req_reply(&k->r, STORE_ROWS_ARE, &b);
	} else {
		req_err(&k->r, err, "rows");
	}
	buf_done(&list);
	buf_done(&one);
	arena_free(k->mem);
	free(k);
}

int
on_rows_of(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct rows_of *k;
	const char *rights;
	struct mbox *m;
	uint32_t n;
	int err;

	if (session_mbox_of(c, id, r, "r", &m, &rights, &err) == NULL)
		return err;
	n = ipc_get_count(r, STORE_ROWS_OF_MAX, 4);
	if (r->err != 0 || n == 0)
		return ERR_PROTO;
	k = xcalloc(1, sizeof *k);
	req_init(&k->r, c->st, c->ipc, id, m->acc);
	k->r.m = m;
	k->n = n;
	k->mem = arena_new(MEM * 4);
	k->uids = k->mem == NULL ? NULL : arena_calloc(k->mem, n, sizeof *k->uids);
	if (k->uids == NULL)
		fatal("no memory");
	if ((err = uids_read(r, n, k->uids)) != 0 || ipc_reader_end(r) != 0) {
		req_err(&k->r, ERR_PROTO, "rows");
		arena_free(k->mem);
		free(k);
		return ERR_PROTO;
	}
	rows_read(m, k->uids, n, k->mem, on_rows_of_read, k);
	return 0;
}
