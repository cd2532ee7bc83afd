/* stored_deliver_append.c: APPEND under a ticket, and whether a message would be taken before it streams in. Runs in stored. A message that comes again because its answer was lost, or that the server
 * put in a Sent already, is there once. RFC 3501 6.3.11. */
#include "store/stored_deliver_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"

static void
append_end(struct deliver *d, int err)
{
	req_err(&d->r, err, "append");
	deliver_free(d);
}

static void append_insert(struct deliver *d, struct mbox *m, const char *rights, bool once);

void
append_tell(struct deliver *d, uint32_t uidvalidity, uint32_t uid)
{
	struct buf b;

	buf_init(&b, 64);
	ipc_put_u32(&b, uidvalidity);
	ipc_put_u32(&b, uid);
	req_reply(&d->r, STORE_APPENDED, &b);
}

static void
append_reply(struct deliver *d, uint32_t uidvalidity, uint32_t uid)
{
	append_tell(d, uidvalidity, uid);
	deliver_free(d);
}

/* The message is in this Sent already: is it there still, and to stay? Else it is kept anew. */
static void
on_first_copy(void *arg, int err, struct slice value)
{
	struct deliver *d = arg;
	const char *rights;
	struct msg_row row;
	struct mbox *m;

	if (err == 0)
		err = msg_row_decode(value, &row);
	if (err == 0 && (row.flags & MSG_DELETED) != 0)
		err = ERR_NOTFOUND;
	int found = session_mbox(d->s, d->mailbox, "i", &m, &rights);
	if (found != 0)
		append_end(d, found);
	else if (err == 0)
		append_reply(d, m->h.uidvalidity, row.uid);
	else if (err == ERR_NOTFOUND)
		append_insert(d, m, rights, false);
	else
		append_end(d, err);
}

void
append_seen(struct deliver *d, int err, struct slice value, int otherwise)
{
	const char *rights;
	struct mbox *m;
	uint32_t uid = 0;
	int64_t at;

	if (err == ERR_NOTFOUND)
		err = otherwise;
	else if (err == 0 && (err = seen_row_decode(value, &at, &uid, NULL)) == 0)
		err = session_mbox(d->s, d->mailbox, "i", &m, &rights);
	if (err == 0)
		append_reply(d, m->h.uidvalidity, uid);
	else
		append_end(d, err);
}

/* Over quota. */
static void
on_full_seen(void *arg, int err, struct slice value)
{
	append_seen(arg, err, value, ERR_FULL);
}

static void
append_full(struct deliver *d, struct mbox *m)
{
	struct backend *be = m->acc->st->be;
	char key[KEY_MAX];

	must(be->ops->get(
	    be, slice_str(m->object), key_id(key, 'd', d->id, sizeof d->id), on_full_seen, d));
}

static void
on_append_settled(void *arg, int err, struct mbox *m, uint32_t uid)
{
	if (err == 0)
		append_reply(arg, m->h.uidvalidity, uid);
	else
		append_end(arg, err);
}

static void
on_appended(struct op *op)
{
	struct deliver *d = op->arg;
	struct backend *be = op->m->acc->st->be;
	char key[KEY_MAX];

	if (op->err == ERR_FULL)
		append_full(d, op->m);
	else if (op->err != 0)
		append_end(d, op->err);
	else if (d->shared && !op->repeated)
		sent_settle(op->m, &d->same, op->msgs[0].uid, true, slice_str(d->s->login),
		    on_append_settled, d);
	else if (op->repeated && d->once)
		must(be->ops->get(be, slice_str(op->m->object), key_u32(key, 'm', op->msgs[0].uid),
		    on_first_copy, d));
	else
		append_reply(d, op->m->h.uidvalidity, op->msgs[0].uid);
	op_free(op);
}

/* A client that lost the answer to an APPEND sends the message again, and Outlook puts in Sent what another of its folders had: the same octets with the
 * same Message-ID are one message there. Other content is kept whatever its Message-ID. */
static bool
is_once(const struct deliver *d, const struct mbox *m)
{
	static const unsigned char none[8];

	return (m->use & MBOX_SENT) != 0 && d->row.refs.len >= sizeof none &&
	       memcmp(d->row.refs.ptr, none, sizeof none) != 0;
}

static void
append_insert(struct deliver *d, struct mbox *m, const char *rights, bool once)
{
	struct op *op = op_new(OP_INSERT, m, DELIVER_OP_MEM, on_appended, d);
	struct new_msg *n = op->msgs = arena_calloc(op->mem, 1, sizeof *op->msgs);
	uint32_t mask = rights_flags(rights);

	if (n == NULL)
		fatal("no memory");
	op->n_msgs = 1;
	n->row = d->row;
	n->row.flags &= mask;
	n->row.keywords = (mask & RIGHTS_KEYWORDS) != 0 ? d->keywords : slice_str("");
	/* Its own id as a rule: ingest sends it again when the answer was lost. */
	n->has_id = true;
	d->once = once;
	memcpy(n->id, once ? d->content : d->id, sizeof n->id);
	n->has_mark = d->shared && sent_mark(&d->same, true, n->mark);
	account_ref(m->acc);
	op_start(op);
	prune_maybe(m);
	account_unref(m->acc);
}

/* Whether the server put it there already. */
static void
on_look(void *arg, int err, struct mbox *m, uint32_t uid)
{
	struct deliver *d = arg;
	const char *rights;
	int may = session_mbox(d->s, d->mailbox, "i", &m, &rights);

	if (may != 0)
		append_end(d, may);
	else if (err == 0)
		append_reply(d, m->h.uidvalidity, uid);
	else if (err == ERR_NOTFOUND)
		append_insert(d, m, rights, true);
	else
		append_end(d, err);
}

static void
on_append_body(void *arg, int err, uint64_t body)
{
	struct deliver *d = arg;
	const char *rights;
	struct mbox *m;

	if (err == 0)
		err = session_mbox(d->s, d->mailbox, "i", &m, &rights);
	if (err != 0) {
		append_end(d, err);
		return;
	}
	d->row.body = body;
	if (d->documents)
		text_want(d->r.st, body);
	if (d->c != NULL)
		append_part(d, m, rights);
	else if (is_once(d, m) && d->s->accounts[0].acc != m->acc) {
		d->shared = true;
		sent_settle(m, &d->same, 0, true, slice_str(d->s->login), on_look, d);
	} else {
		append_insert(d, m, rights, is_once(d, m));
	}
}

/* Held while the ticket's accounts are being read. */
struct appending {
	struct deliver *d;
	struct content msg;
	struct buf bytes, summary;
	int fd;
};

static void
on_append_session(void *arg, int err, struct session *s)
{
	struct appending *a = arg;
	struct deliver *d = a->d;
	const char *rights;
	struct mbox *m;

	d->s = s;
	if (err == 0)
		err = session_mbox(s, d->mailbox, "i", &m, &rights);
	if (err == 0 && !quota_allows(m->acc, d->row.size, 1))
		err = ERR_FULL;
	if (err != 0) {
		if (a->fd >= 0)
			close(a->fd);
		if (err == ERR_FULL)
			append_full(d, m);
		else
			append_end(d, err);
	} else {
		a->msg.bytes = buf_slice(&a->bytes);
		a->msg.summary = buf_slice(&a->summary);
		(void)deliver_write(d, &a->msg, a->fd, on_append_body);
	}
	buf_done(&a->bytes);
	buf_done(&a->summary);
	free(a);
}

int
on_append(struct conn *c, uint32_t id, struct ipc_reader *r, int fd, bool part)
{
	struct deliver *d = deliver_new(c, id);
	struct appending *a;
	struct content msg;
	struct slice ticket;

	if (deliver_get_message(r, d, &msg, fd) != 0)
		return deliver_bad(d, fd);
	ticket = ipc_get_slice(r);
	d->mailbox = ipc_get_u64(r);
	d->row.flags =
	    ipc_get_u32(r) & (MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED | MSG_DRAFT);
	d->keywords = arena_slice(d->mem, ipc_get_slice(r));
	d->row.internal_date = ipc_get_i64(r);
	d->row.internal_zone = (int16_t)ipc_get_u16(r);
	if (part) {
		if (deliver_get_fixed(r, d->group, sizeof d->group) != 0)
			return deliver_bad(d, fd);
		d->index = ipc_get_u32(r);
		d->last = ipc_get_u8(r) != 0;
		d->c = c;
		c->refs++;
	}
	if (ipc_reader_end(r) != 0)
		return deliver_bad(d, fd);
	a = xcalloc(1, sizeof *a);
	a->d = d;
	a->msg = msg;
	a->fd = fd;
	buf_init(&a->bytes, DELIVER_INLINE_MAX);
	buf_init(&a->summary, DELIVER_SUMMARY_MAX);
	buf_append_slice(&a->bytes, msg.bytes);
	buf_append_slice(&a->summary, msg.summary);
	session_make(c->st, ticket, on_append_session, a);
	return 0;
}

/* ---- whether it would be taken ---- */

struct checking {
	struct req r;
	uint64_t mailbox, size;
};

static void
check_end(struct checking *k, int err)
{
	if (err == 0)
		req_ok(&k->r);
	else
		req_err(&k->r, err, "check");
	free(k);
}

static void
on_check_account(void *arg, int err, struct account *a)
{
	struct checking *k = arg;

	check_end(k, err != 0 ? err : quota_allows(a, k->size, 1) ? 0 : ERR_FULL);
}

static void
on_check_session(void *arg, int err, struct session *s)
{
	struct checking *k = arg;
	const char *rights;
	struct mbox *m;

	if (err == 0)
		err = session_mbox(s, k->mailbox, "i", &m, &rights);
	if (err == 0 && !quota_allows(m->acc, k->size, 1))
		err = ERR_FULL;
	session_free(s);
	check_end(k, err);
}

int
on_check(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice ticket = ipc_get_slice(r), account = ipc_get_slice(r);
	uint64_t mailbox = ipc_get_u64(r), size = ipc_get_u64(r);
	struct checking *k;

	if (ipc_reader_end(r) != 0 || id == 0)
		return ERR_PROTO;
	k = xcalloc(1, sizeof *k);
	req_init(&k->r, c->st, c->ipc, id, NULL);
	k->mailbox = mailbox;
	k->size = size;
	if (ticket.len > 0)
		session_make(c->st, ticket, on_check_session, k);
	else
		account_get(c->st, account, on_check_account, k);
	return 0;
}
