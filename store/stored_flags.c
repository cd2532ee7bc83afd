/* stored_flags.c: flags and keywords (STORE). Runs in stored. A thousand messages a batch; what was not allowed by rights is left as
 * it is (RFC 4314 4: STORE); UNCHANGEDSINCE is judged on the row in the batch (RFC 7162 3.1.3). */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { UIDS_MAX = 5000, MSG_KEYWORDS = 64, MSG_KEYWORD_OCTETS = 4096 };
#define ALL_FLAGS (MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED | MSG_DRAFT)

static void
on_flag_rows(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct op *op = arg;

	op->rows = rows;
	op->n_rows = n;
	if (err == ERR_CORRUPT && rows != NULL) /* the others get their flags */
		err = 0;
	cycle_gathered(op->m, err);
}

void
flags_gather(struct op *op)
{
	op->upto = op->n_uids - op->at < CHUNK ? op->n_uids : op->at + CHUNK;
	op->chunk_changed = op->out_changed.len;
	op->chunk_conflicts = op->out_conflicts.len;
	op->chunk_gone = op->out_gone.len;
	rows_read(op->m, op->uids + op->at, op->upto - op->at, op->chunk_mem, on_flag_rows, op);
}

bool
flags_again(struct op *op)
{
	op->at = op->upto;
	return op->at < op->n_uids;
}

/* The flags a row gets. */
static int
apply(const struct op *op, struct cycle *c, const struct msg_row *row, uint32_t *flags_out,
    struct slice *kw_out)
{
	uint32_t want = op->flags & op->mask & ALL_FLAGS, may = op->mask & ALL_FLAGS;
	bool kw = (op->mask & RIGHTS_KEYWORDS) != 0;
	int err = 0;

	*kw_out = row->keywords;
	*flags_out = row->flags;
	switch (op->how) {
	case STORE_SET:
		*flags_out = (row->flags & ~may) | want;
		if (kw)
			err = kw_known(op->keywords, c->h.keywords, c->mem, kw_out, &c->h.keywords);
		break;
	case STORE_ADD:
		*flags_out = row->flags | want;
		if (kw && op->keywords.len > 0) {
			err = kw_union(row->keywords, op->keywords, MSG_KEYWORD_OCTETS,
			    MSG_KEYWORDS, c->mem, kw_out);
			if (err == 0)
				err = kw_known(
				    *kw_out, c->h.keywords, c->mem, kw_out, &c->h.keywords);
		}
		break;
	case STORE_REMOVE:
		*flags_out = row->flags & ~want;
		if (kw && op->keywords.len > 0)
			err = kw_minus(row->keywords, op->keywords, c->mem, kw_out);
		break;
	}
	return err;
}

static bool
kw_same(struct slice a, struct slice b)
{
	struct slice rest = a, atom;

	while (kw_next(&rest, &atom))
		if (!kw_has(b, atom))
			return false;
	for (rest = b; kw_next(&rest, &atom);)
		if (!kw_has(a, atom))
			return false;
	return true;
}

static int
put_row(struct cycle *c, const struct msg_row *old, uint32_t flags, struct slice keywords,
    struct msg_row *new_out)
{
	struct change_row change = {.uid = old->uid, .flags = flags, .size = old->size};
	struct msg_row row = *old;
	char key[KEY_MAX];
	struct buf b;
	int err;

	row.flags = flags;
	row.keywords = keywords;
	row.modseq = ++c->h.modseq;
	buf_init(&b, 65536);
	msg_row_encode(&row, &b);
	if ((err = cycle_put_buf(c, key_u32(key, 'm', row.uid), &b)) != 0 ||
	    (err = cycle_del(c, key_u64(key, 'c', old->modseq))) != 0)
		return err;
	buf_init(&b, 64);
	change_row_encode(&change, &b);
	if ((err = cycle_put_buf(c, key_u64(key, 'c', row.modseq), &b)) != 0)
		return err;
	c->h.unseen += (flags & MSG_SEEN) == 0;
	c->h.unseen -= (old->flags & MSG_SEEN) == 0;
	if ((old->flags & MSG_DELETED) != 0)
		deleted_less(&c->h, old->size);
	if ((flags & MSG_DELETED) != 0)
		deleted_more(&c->h, row.size);
	*new_out = row;
	return 0;
}

int
flags_build(struct op *op, struct cycle *c)
{
	struct store_flagged u;
	int err = 0;

	buf_truncate(&op->out_changed, op->chunk_changed);
	buf_truncate(&op->out_conflicts, op->chunk_conflicts);
	for (size_t i = 0; i < op->n_rows && err == 0; i++) {
		struct msg_row row = op->rows[i];
		struct slice kw;
		uint32_t flags;

		if (row.modseq > op->unchanged_since) {
			err = buf_append(&op->out_conflicts, &row.uid, sizeof row.uid);
			continue;
		}
		if ((err = apply(op, c, &row, &flags, &kw)) != 0)
			break;
		if (flags != row.flags || !kw_same(kw, row.keywords))
			err = put_row(c, &op->rows[i], flags, kw, &row);
		u = (struct store_flagged){.uid = row.uid,
		    .flags = row.flags,
		    .modseq = row.modseq,
		    .before = op->rows[i].modseq};
		if (err == 0)
			err = buf_append(&op->out_changed, &u, sizeof u);
	}
	return err;
}

/* ---- the request ---- */

static void
on_flags_done(struct op *op)
{
	struct req *r = op->arg;
	struct buf b;
	size_t n;

	if (op->err != 0) {
		req_err(r, op->err, "flags");
	} else {
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_u64(&b, op->m->h.modseq);
		n = op->out_changed.len / sizeof(struct store_flagged);
		ipc_put_u32(&b, (uint32_t)n);
		for (size_t i = 0; i < n; i++) {
			struct store_flagged u;

			memcpy(&u, op->out_changed.data + i * sizeof u, sizeof u);
			ipc_put_u32(&b, u.uid);
			ipc_put_u32(&b, u.flags);
			ipc_put_u64(&b, u.modseq);
			ipc_put_u64(&b, u.before);
		}
		n = op->out_conflicts.len / sizeof(uint32_t);
		ipc_put_u32(&b, (uint32_t)n);
		for (size_t i = 0; i < n; i++) {
			uint32_t uid;

			memcpy(&uid, op->out_conflicts.data + i * sizeof uid, sizeof uid);
			ipc_put_u32(&b, uid);
		}
		req_reply(r, STORE_FLAGS_ARE, &b);
	}
	op_free(op);
}

/* A list of UIDs, ascending, into the operation's memory. */
static int
get_uids(struct ipc_reader *r, uint32_t max, struct op *op)
{
	uint32_t n = ipc_get_count(r, max, 4);

	op->uids = arena_calloc(op->mem, (size_t)n + 1, sizeof *op->uids);
	if (op->uids == NULL)
		return ERR_LIMIT;
	if (uids_read(r, n, op->uids) == 0)
		op->n_uids = n;
	return ipc_reader_end(r);
}

int
on_flags(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	const char *rights;
	struct mbox *m;
	struct op *op;
	struct req *q;
	uint32_t asked;
	int err;

	if (session_mbox_of(c, id, r, "", &m, &rights, &err) == NULL)
		return err;
	op = op_new(OP_FLAGS, m, 1 << 20, on_flags_done, NULL);
	op->how = (enum store_op)ipc_get_u8(r);
	op->flags = ipc_get_u32(r);
	op->keywords = arena_slice(op->mem, ipc_get_slice(r));
	op->unchanged_since = ipc_get_u64(r);
	op->mask = rights_flags(rights);
	err = get_uids(r, UIDS_MAX, op);
	if (err != 0 || op->how > STORE_REMOVE) {
		op_free(op);
		return ERR_PROTO;
	}
	/* RFC 4314 4: NO when none of what was asked is allowed. */
	asked = (op->flags & ALL_FLAGS) | (op->keywords.len > 0 ? RIGHTS_KEYWORDS : 0);
	if (op->mask == 0 || (asked != 0 && (asked & op->mask) == 0)) {
		op_free(op);
		(void)ipc_reply_err(c->ipc, id, ERR_DENIED, "rights");
		return 0;
	}
	q = arena_alloc(op->mem, sizeof *q);
	req_init(q, c->st, c->ipc, id, m->acc);
	op->arg = q;
	op_start(op);
	return 0;
}
