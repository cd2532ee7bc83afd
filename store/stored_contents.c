/* stored_contents.c: whole messages, many in one answer: for clients that fetch a mailbox and for searches in texts. Runs in stored. The rows come
 * first; then as many bodies as fit one piece are read by one thread in one go. */
#include "store/stored_priv.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/sig.h"

enum { ANSWER_OCTETS = 256 * 1024, MEM = 8 << 20, SUMMARY_GUESS = 512 };

struct contents {
	struct req r;
	struct arena *mem;
	bool summaries;
	uint32_t *uids;
	size_t n;
	struct msg_row *rows; /* asked for in this turn */
	size_t n_rows, n_done;
};

static void
contents_end(struct contents *k, int err)
{
	if (err != 0)
		req_err(&k->r, err, "contents");
	arena_free(k->mem);
	free(k);
}

/* How many UIDs were looked at when this row was the last one. */
static size_t
done_at(const struct contents *k, uint32_t uid)
{
	size_t i = 0;

	while (i < k->n && k->uids[i] <= uid)
		i++;
	return i;
}

static void
put_be32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static void
on_bodies(void *arg, int err, struct slice v)
{
	struct contents *k = arg;
	struct backend_whole w;
	struct buf b;
	uint32_t n = 0;

	if (err != 0) {
		contents_end(k, err);
		return;
	}
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u32(&b, 0); /* these two are known at the end */
	ipc_put_u32(&b, 0);
	for (size_t i = 0; i < k->n_rows && backend_bodies_next(&v, &w); i++) {
		const struct msg_row *row = &k->rows[i];

		/* enough: this one and those behind it are asked for again */
		if (w.err == ERR_FULL ||
		    (i > 0 &&
			b.len + row->trace.len + w.summary.len + w.bytes.len > ANSWER_OCTETS)) {
			k->n_done = done_at(k, k->rows[i - 1].uid);
			break;
		}
		if (w.err != 0)
			continue;
		w.summary = summary_tree(w.summary);
		ipc_put_u32(&b, row->uid);
		ipc_put_slice(&b, w.summary);
		ipc_put_u32(&b, (uint32_t)(row->trace.len + w.bytes.len));
		buf_append_slice(&b, row->trace);
		buf_append_slice(&b, w.bytes);
		n++;
	}
	if (b.err == 0) {
		put_be32(b.data, (uint32_t)k->n_done);
		put_be32(b.data + 4, n);
	}
	req_reply(&k->r, STORE_CONTENTS_ARE, &b);
	contents_end(k, 0);
}

static void
on_rows_read(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct contents *k = arg;
	uint64_t bodies[BACKEND_BODIES_MAX], octets = 0;
	size_t i, m = 0;

	if (err != 0 && (err != ERR_CORRUPT || rows == NULL)) {
		contents_end(k, err);
		return;
	}
	k->n_done = k->n;
	k->rows = rows;
	for (i = 0; i < n && m < BACKEND_BODIES_MAX; i++) {
		if (rows[i].size > BACKEND_WHOLE_MAX)
			continue;
		octets += rows[i].size + (k->summaries ? SUMMARY_GUESS : 0);
		if (m > 0 && octets > ANSWER_OCTETS) {
			k->n_done = done_at(k, rows[i - 1].uid);
			break;
		}
		bodies[m] = rows[i].body;
		rows[m++] = rows[i];
	}
	k->n_rows = m;
	if (m == 0)
		on_bodies(k, 0, slice_str(""));
	else
		must(k->r.st->be->ops->bodies_get(
		    k->r.st->be, bodies, m, k->summaries, on_bodies, k));
}

int
on_contents(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	const char *rights;
	struct contents *k;
	struct mbox *m;
	uint32_t n, last = 0;
	bool summaries;
	int err;

	if (session_mbox_of(c, id, r, "r", &m, &rights, &err) == NULL)
		return err;
	summaries = ipc_get_u8(r) != 0;
	n = ipc_get_count(r, BACKEND_BODIES_MAX, 4);
	if (r->err != 0 || n == 0)
		return ERR_PROTO;
	k = xcalloc(1, sizeof *k);
	req_init(&k->r, c->st, c->ipc, id, m->acc);
	k->r.m = m;
	k->summaries = summaries;
	k->mem = arena_new(MEM);
	k->uids = k->mem == NULL ? NULL : arena_calloc(k->mem, n, sizeof *k->uids);
	if (k->uids == NULL)
		fatal("no memory");
	k->n = n;
	for (uint32_t i = 0; i < n; i++) {
		k->uids[i] = ipc_get_u32(r);
		if (k->uids[i] <= last)
			r->err = ERR_PROTO;
		last = k->uids[i];
	}
	if (ipc_reader_end(r) != 0) {
		contents_end(k, ERR_PROTO);
		return ERR_PROTO;
	}
	rows_read(m, k->uids, n, k->mem, on_rows_read, k);
	return 0;
}
