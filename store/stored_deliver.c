/* stored_deliver.c: what ingest brings: deliveries to any account, and what they have in common with APPEND (stored_deliver_append.c). Runs in stored. The body is written first, once for
 * all targets; then each target's mailbox gets its row; one answer when all are on stable storage or refused. */
#include "store/stored_deliver_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"

enum { DELIVER_MEM = 2 << 20 };

struct target {
	struct deliver *d;
	struct slice account, mailbox, trace;
	int64_t date;
	int16_t zone;
	uint32_t flags;
	int err;
	uint32_t uidvalidity, uid;
	bool repeated;
};

/* ---- reading the message ---- */

int
deliver_get_fixed(struct ipc_reader *r, unsigned char *out, size_t n)
{
	struct slice s = ipc_get_slice(r);

	if (s.len != n)
		return ERR_PROTO;
	memcpy(out, s.ptr, n);
	return 0;
}

int
message_get(struct ipc_reader *r, int fd, struct arena *mem, unsigned char id[16],
    struct msg_row *row, struct content *c)
{
	struct slice envelope, refs;
	struct stat st;
	uint8_t how;

	if (deliver_get_fixed(r, id, 16) != 0 ||
	    deliver_get_fixed(r, c->sha256, sizeof c->sha256) != 0)
		return ERR_PROTO;
	c->size = ipc_get_u64(r);
	how = ipc_get_u8(r);
	c->by_fd = (how & DELIVER_BY_FD) != 0;
	c->documents = (how & DELIVER_DOCUMENTS) != 0;
	c->bytes = ipc_get_slice(r);
	c->summary = ipc_get_slice(r);
	envelope = ipc_get_slice(r);
	row->sent_date = ipc_get_i64(r);
	if (deliver_get_fixed(r, row->email_id, sizeof row->email_id) != 0)
		return ERR_PROTO;
	refs = ipc_get_slice(r);
	c->same = (struct sent_same){.known = (how & DELIVER_SAME) != 0};
	if (c->same.known && deliver_get_fixed(r, c->same.b, sizeof c->same.b) != 0)
		return ERR_PROTO;
	if (r->err != 0 || how > (DELIVER_BY_FD | DELIVER_DOCUMENTS | DELIVER_SAME) ||
	    refs.len > DELIVER_REFS_MAX || envelope.len > DELIVER_ENVELOPE_MAX ||
	    c->summary.len > DELIVER_SUMMARY_MAX || c->by_fd != (fd >= 0) ||
	    (c->by_fd && c->bytes.len > 0) ||
	    (!c->by_fd && (c->bytes.len != c->size || c->size > DELIVER_INLINE_MAX)))
		return ERR_PROTO;
	/* Only a plain file can be read at its own pace by a thread of ours. */
	if (c->by_fd &&
	    (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size < c->size))
		return ERR_PROTO;
	row->envelope = arena_slice(mem, envelope);
	row->refs = arena_slice(mem, refs);
	row->size = c->size;
	return 0;
}

int
deliver_get_message(struct ipc_reader *r, struct deliver *d, struct content *c, int fd)
{
	int err = message_get(r, fd, d->mem, d->id, &d->row, c);

	if (err == 0) {
		memcpy(d->content, c->sha256, sizeof d->content);
		d->same = c->same;
		d->documents = c->documents;
	}
	return err;
}

struct deliver *
deliver_new(struct conn *c, uint32_t id)
{
	struct deliver *d = xcalloc(1, sizeof *d);

	d->mem = arena_new(DELIVER_MEM);
	if (d->mem == NULL)
		fatal("no memory");
	req_init(&d->r, c->st, c->ipc, id, NULL);
	return d;
}

void
deliver_free(struct deliver *d)
{
	if (d->c != NULL)
		conn_unref(d->c);
	session_free(d->s);
	arena_free(d->mem);
	free(d);
}

/* A malformed message: its sender goes. */
static int
deliver_proto(struct deliver *d)
{
	req_err(&d->r, ERR_PROTO, "malformed");
	deliver_free(d);
	return ERR_PROTO;
}

int
deliver_write(struct deliver *d, const struct content *c, int fd, backend_body_fn fn)
{
	struct backend *be = d->r.st->be;
	int err = be->ops->body_put(be, c->sha256, c->bytes, fd, c->size, c->summary, fn, d);

	if (fd >= 0)
		close(fd);
	if (err != 0)
		fn(d, err, 0);
	return 0;
}

int
deliver_bad(struct deliver *d, int fd)
{
	if (fd >= 0)
		close(fd);
	return deliver_proto(d);
}

/* ---- deliveries ---- */

static void
deliver_reply(struct deliver *d)
{
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u32(&b, (uint32_t)d->n);
	for (size_t i = 0; i < d->n; i++) {
		const struct target *t = &d->targets[i];

		ipc_put_u32(&b, (uint32_t)t->err);
		ipc_put_u32(&b, t->uidvalidity);
		ipc_put_u32(&b, t->uid);
		ipc_put_u8(&b, t->repeated);
		d->r.st->n_deliveries += t->err == 0;
		d->r.st->n_repeated += t->repeated;
	}
	req_reply(&d->r, STORE_DELIVERED, &b);
	deliver_free(d);
}

static void
target_done(struct target *t, int err)
{
	struct deliver *d = t->d;

	t->err = err;
	if (--d->left == 0)
		deliver_reply(d);
}

/* Over quota: but what is there already is there. */
static void
on_seen(void *arg, int err, struct slice value)
{
	struct target *t = arg;
	int64_t at;

	if (err == 0)
		err = seen_row_decode(value, &at, &t->uid, NULL);
	t->repeated = err == 0;
	if (!t->repeated)
		t->uidvalidity = 0;
	target_done(t, err == ERR_NOTFOUND ? ERR_FULL : err);
}

static void
on_settled(void *arg, int err, struct mbox *m, uint32_t uid)
{
	(void)m;
	(void)uid;
	target_done(arg, err);
}

static void
on_delivered(struct op *op)
{
	struct target *t = op->arg;
	struct mbox *m = op->m;
	struct backend *be = op->m->acc->st->be;
	char key[KEY_MAX];
	int err = op->err;

	if (err == ERR_FULL) {
		t->uidvalidity = op->m->h.uidvalidity;
		must(be->ops->get(be, slice_str(op->m->object),
		    key_id(key, 'd', t->d->id, sizeof t->d->id), on_seen, t));
		op_free(op);
		return;
	}
	if (err == 0) {
		t->uid = op->msgs[0].uid;
		t->uidvalidity = op->m->h.uidvalidity;
		t->repeated = op->repeated;
	}
	if (err == 0 && t->d->sent)
		sent_settle(m, &t->d->same, t->uid, false, t->mailbox, on_settled, t);
	else
		target_done(t, err);
	op_free(op);
}

/* The row of one target goes into the queue of its mailbox. */
static void
deliver_to(struct deliver *d, struct target *t, struct mbox *m)
{
	struct op *op;
	struct new_msg *n;

	op = op_new(OP_INSERT, m, DELIVER_OP_MEM, on_delivered, t);
	n = op->msgs = arena_calloc(op->mem, 1, sizeof *op->msgs);
	if (n == NULL)
		fatal("no memory");
	op->n_msgs = 1;
	n->row = d->row; /* what it borrows is in d->mem, which outlives the operation */
	n->row.trace = t->trace;
	n->row.size += t->trace.len;
	n->row.internal_date = t->date;
	n->row.internal_zone = t->zone;
	n->row.flags = t->flags;
	n->has_id = true;
	memcpy(n->id, d->id, sizeof n->id);
	n->has_mark = d->sent && sent_mark(&d->same, false, n->mark);
	account_ref(m->acc);
	op_start(op);
	prune_maybe(m); /* behind it: nobody waits */
	account_unref(m->acc);
}

static void
on_target_account(void *arg, int err, struct account *a)
{
	struct target *t = arg;
	struct mbox *m;

	if (err != 0) {
		target_done(t, err);
		return;
	}
	m = t->d->sent ? sent_mbox(a) : account_mbox(a, t->mailbox);
	if (m == NULL)
		m = account_mbox(a, slice_str("INBOX"));
	if (m == NULL) {
		target_done(t, ERR_TEMP);
		return;
	}
	deliver_to(t->d, t, m);
}

static void
on_body_written(void *arg, int err, uint64_t body)
{
	struct deliver *d = arg;

	if (err != 0) {
		log_msg(LOG_LVL_WARN, "body_put", "%s", err_name(err));
		req_err(&d->r, err, "body");
		deliver_free(d);
		return;
	}
	d->row.body = body;
	if (d->documents)
		text_want(d->r.st, body);
	d->left = d->n + 1; /* one for this loop */
	for (size_t i = 0; i < d->n; i++)
		account_get(d->r.st, d->targets[i].account, on_target_account, &d->targets[i]);
	if (--d->left == 0)
		deliver_reply(d);
}

static int
get_target(struct ipc_reader *r, struct deliver *d, struct target *t)
{
	t->d = d;
	t->account = arena_slice(d->mem, ipc_get_slice(r));
	t->mailbox = arena_slice(d->mem, ipc_get_slice(r));
	t->trace = arena_slice(d->mem, ipc_get_slice(r));
	t->date = ipc_get_i64(r);
	t->zone = (int16_t)ipc_get_u16(r);
	t->flags =
	    ipc_get_u32(r) & (MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED | MSG_DRAFT);
	return r->err != 0 || t->trace.len > DELIVER_TRACE_MAX ? ERR_PROTO : 0;
}

int
on_deliver(struct conn *c, uint32_t id, struct ipc_reader *r, int fd, bool sent)
{
	struct deliver *d = deliver_new(c, id);
	struct content msg;
	int err = deliver_get_message(r, d, &msg, fd);

	if (err != 0)
		return deliver_bad(d, fd);
	d->n = ipc_get_count(r, DELIVER_TARGETS_MAX, 26);
	d->targets = arena_calloc(d->mem, d->n + 1, sizeof *d->targets);
	for (size_t i = 0; i < d->n && err == 0 && d->targets != NULL; i++)
		err = get_target(r, d, &d->targets[i]);
	d->sent = sent;
	for (size_t i = 0; i < d->n && err == 0 && sent; i++)
		d->targets[i].flags = MSG_SEEN;
	if (err != 0 || ipc_reader_end(r) != 0 || d->targets == NULL || d->n == 0)
		return deliver_bad(d, fd);
	return deliver_write(d, &msg, fd, on_body_written);
}
