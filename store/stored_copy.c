/* stored_copy.c: COPY. Runs in stored. The rows are read from the source, then all of them go into the destination by one batch: all
 * or nothing. Nothing is done to the source; the bodies are shared. MOVE will be this under an operation id, then removal. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { COPY_MEM = 200 << 20 };

struct copying {
	struct req r;
	struct account *to_acc; /* held: the rights were looked up with it */
	struct mbox *to;
	uint32_t mask; /* flags that may be set there */
	struct arena *mem;
	uint32_t *uids;
	size_t n;
};

static void
copying_free(struct copying *k)
{
	account_unref(k->to_acc);
	arena_free(k->mem);
	free(k);
}

static void
on_copied(struct op *op)
{
	struct copying *k = op->arg;
	struct buf b;

	if (op->err != 0) {
		req_err(&k->r, op->err, "copy");
	} else {
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_u32(&b, op->m->h.uidvalidity);
		ipc_put_u32(&b, (uint32_t)op->n_msgs);
		for (size_t i = 0; i < op->n_msgs; i++) {
			ipc_put_u32(&b, op->uids[i]);
			ipc_put_u32(&b, op->msgs[i].uid);
		}
		req_reply(&k->r, STORE_COPIED, &b);
	}
	op_free(op);
	copying_free(k);
}

static void
nothing_copied(struct copying *k)
{
	struct buf b;

	buf_init(&b, 64);
	ipc_put_u32(&b, k->to->h.uidvalidity);
	ipc_put_u32(&b, 0);
	req_reply(&k->r, STORE_COPIED, &b);
	copying_free(k);
}

static void
on_source(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct copying *k = arg;
	struct op *op;

	if (err == 0 && n == 0) {
		nothing_copied(k);
		return;
	}
	if (err != 0) {
		req_err(&k->r, err, "copy");
		copying_free(k);
		return;
	}
	op = op_new(OP_INSERT, k->to, 16 << 20, on_copied, k);
	op->msgs = arena_calloc(op->mem, n, sizeof *op->msgs);
	op->uids = arena_calloc(op->mem, n, sizeof *op->uids);
	if (op->msgs == NULL || op->uids == NULL)
		fatal("no memory");
	op->n_msgs = n;
	for (size_t i = 0; i < n; i++) {
		op->msgs[i].row =
		    rows[i]; /* its slices are in k->mem, which outlives the operation */
		op->msgs[i].row.flags &= k->mask;
		if ((k->mask & RIGHTS_KEYWORDS) == 0)
			op->msgs[i].row.keywords = slice_str("");
		op->uids[i] = rows[i].uid;
	}
	op_start(op);
}

int
on_copy(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	uint64_t mailbox = ipc_get_u64(r), to = ipc_get_u64(r);
	uint32_t n = ipc_get_count(r, IPC_FRAME_MAX / 4, 4);
	const char *rights, *to_rights;
	struct mbox *m, *dst;
	struct copying *k;

	if (s == NULL)
		return err;
	if (r->err != 0)
		return ERR_PROTO;
	if ((err = session_mbox(s, mailbox, "r", &m, &rights)) != 0 ||
	    (err = session_mbox(s, to, "i", &dst, &to_rights)) != 0 ||
	    (err = n > COPY_MAX ? ERR_LIMIT : 0) != 0) {
		(void)ipc_reply_err(c->ipc, id, err, "copy");
		return 0;
	}
	k = xcalloc(1, sizeof *k);
	k->mem = arena_new(COPY_MEM);
	k->uids = k->mem == NULL ? NULL : arena_calloc(k->mem, (size_t)n + 1, sizeof *k->uids);
	if (k->uids == NULL)
		fatal("no memory");
	if (uids_read(r, n, k->uids) == 0)
		k->n = n;
	if (ipc_reader_end(r) != 0) {
		arena_free(k->mem);
		free(k);
		return ERR_PROTO;
	}
	k->to = dst;
	k->to_acc = dst->acc;
	account_ref(dst->acc);
	k->mask = rights_flags(to_rights);
	req_init(&k->r, c->st, c->ipc, id, m->acc);
	rows_read(m, k->uids, k->n, k->mem, on_source, k);
	return 0;
}
