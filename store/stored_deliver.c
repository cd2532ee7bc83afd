/* stored_deliver.c: what ingest brings: deliveries to any account, APPEND under a ticket. Runs in stored. The body is written first, once for
 * all targets; then each target's mailbox gets its row; one answer when all are on stable storage or refused. */
#include "store/stored_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/deliver_client.h"

enum { OP_MEM = 128 * 1024, DELIVER_MEM = 2 << 20 };

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
struct deliver {
	struct req r;
	struct arena *mem;
	unsigned char id[16];
	bool documents;     /* the text of what is in the body is wanted */
	struct msg_row row; /* common fields */
	struct target *targets;
	size_t n, left;
	bool sent; /* copies for Sent */
	/* APPEND */
	struct slice keywords;
	bool once;   /* by content */
	bool shared; /* to somebody else's Sent, where the server's copy may be */
	/* MULTIAPPEND */
	struct conn *c; /* held; NULL: a message by itself */
	struct deliver *next;
	unsigned char group[16];
	uint32_t index;
	bool last;
	uint64_t mailbox;
	struct session *s;
	unsigned char content[16]; /* of the SHA-256 of the body */
	struct sent_same same;
};

/* ---- reading the message ---- */

static int
get_fixed(struct ipc_reader *r, unsigned char *out, size_t n)
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

	if (get_fixed(r, id, 16) != 0 || get_fixed(r, c->sha256, sizeof c->sha256) != 0)
		return ERR_PROTO;
	c->size = ipc_get_u64(r);
	how = ipc_get_u8(r);
	c->by_fd = (how & DELIVER_BY_FD) != 0;
	c->documents = (how & DELIVER_DOCUMENTS) != 0;
	c->bytes = ipc_get_slice(r);
	c->summary = ipc_get_slice(r);
	envelope = ipc_get_slice(r);
	row->sent_date = ipc_get_i64(r);
	if (get_fixed(r, row->email_id, sizeof row->email_id) != 0)
		return ERR_PROTO;
	refs = ipc_get_slice(r);
	c->same = (struct sent_same){.known = (how & DELIVER_SAME) != 0};
	if (c->same.known && get_fixed(r, c->same.b, sizeof c->same.b) != 0)
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

static int
get_message(struct ipc_reader *r, struct deliver *d, struct content *c, int fd)
{
	int err = message_get(r, fd, d->mem, d->id, &d->row, c);

	if (err == 0) {
		memcpy(d->content, c->sha256, sizeof d->content);
		d->same = c->same;
		d->documents = c->documents;
	}
	return err;
}

static struct deliver *
deliver_new(struct conn *c, uint32_t id)
{
	struct deliver *d = xcalloc(1, sizeof *d);

	d->mem = arena_new(DELIVER_MEM);
	if (d->mem == NULL)
		fatal("no memory");
	req_init(&d->r, c->st, c->ipc, id, NULL);
	return d;
}

static void
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

	op = op_new(OP_INSERT, m, OP_MEM, on_delivered, t);
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
body_write(struct deliver *d, const struct content *c, int fd, backend_body_fn fn)
{
	struct backend *be = d->r.st->be;
	int err = be->ops->body_put(be, c->sha256, c->bytes, fd, c->size, c->summary, fn, d);

	if (fd >= 0)
		close(fd);
	if (err != 0)
		fn(d, err, 0);
	return 0;
}

static int
bad(struct deliver *d, int fd)
{
	if (fd >= 0)
		close(fd);
	return deliver_proto(d);
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
	int err = get_message(r, d, &msg, fd);

	if (err != 0)
		return bad(d, fd);
	d->n = ipc_get_count(r, DELIVER_TARGETS_MAX, 26);
	d->targets = arena_calloc(d->mem, d->n + 1, sizeof *d->targets);
	for (size_t i = 0; i < d->n && err == 0 && d->targets != NULL; i++)
		err = get_target(r, d, &d->targets[i]);
	d->sent = sent;
	for (size_t i = 0; i < d->n && err == 0 && sent; i++)
		d->targets[i].flags = MSG_SEEN;
	if (err != 0 || ipc_reader_end(r) != 0 || d->targets == NULL || d->n == 0)
		return bad(d, fd);
	return body_write(d, &msg, fd, on_body_written);
}

/* ---- APPEND ---- */

static void
append_end(struct deliver *d, int err)
{
	req_err(&d->r, err, "append");
	deliver_free(d);
}

static void append_insert(struct deliver *d, struct mbox *m, const char *rights, bool once);

static void
append_reply(struct deliver *d, uint32_t uidvalidity, uint32_t uid)
{
	struct buf b;

	buf_init(&b, 64);
	ipc_put_u32(&b, uidvalidity);
	ipc_put_u32(&b, uid);
	req_reply(&d->r, STORE_APPENDED, &b);
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

/* The row of the delivery id was looked for: what this request brought before is there, else otherwise is told. */
static void
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
	struct op *op = op_new(OP_INSERT, m, OP_MEM, on_appended, d);
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

/* ---- MULTIAPPEND (RFC 3502): the parts wait with their connection, then all of them are one batch ---- */

enum { GROUPS_MAX = 64, PARTS_MAX = 1000 };

struct append_group {
	struct append_group *next;
	struct deliver *first, **end;
	uint32_t n;
};

static void
group_free(struct append_group *g)
{
	struct deliver *d;

	while ((d = g->first) != NULL) {
		g->first = d->next;
		deliver_free(d);
	}
	free(g);
}

void
append_groups_free(struct conn *c)
{
	struct append_group *g;

	while ((g = c->groups) != NULL) {
		c->groups = g->next;
		group_free(g);
	}
}

/* Takes the group of d out of the connection's list; NULL when there is none. */
static struct append_group *
group_take(struct deliver *d)
{
	for (struct append_group **at = &d->c->groups; *at != NULL; at = &(*at)->next) {
		struct append_group *g = *at;

		if (memcmp(g->first->group, d->group, sizeof d->group) == 0 &&
		    g->first->mailbox == d->mailbox &&
		    g->first->s->accounts[0].acc == d->s->accounts[0].acc) {
			*at = g->next;
			return g;
		}
	}
	return NULL;
}

static void
on_group_appended(struct op *op)
{
	struct append_group *g = op->arg;
	struct deliver *last = g->first;
	int err = op->err;

	while (last->next != NULL)
		last = last->next;
	if (err != 0) {
		req_err(&last->r, err, "append");
	} else {
		struct buf b;

		buf_init(&b, 64);
		ipc_put_u32(&b, op->m->h.uidvalidity);
		ipc_put_u32(&b, op->msgs[0].uid);
		req_reply(&last->r, STORE_APPENDED, &b);
	}
	op_free(op);
	group_free(g);
}

static void
group_insert(struct append_group *g, struct mbox *m, const char *rights)
{
	struct op *op = op_new(OP_INSERT, m, (size_t)g->n * 1024 + OP_MEM, on_group_appended, g);
	uint32_t mask = rights_flags(rights);
	size_t i = 0;

	op->msgs = arena_calloc(op->mem, g->n, sizeof *op->msgs);
	if (op->msgs == NULL)
		fatal("no memory");
	op->n_msgs = g->n;
	for (struct deliver *d = g->first; d != NULL; d = d->next, i++) {
		struct new_msg *n = &op->msgs[i];

		n->row = d->row;
		n->row.flags &= mask;
		n->row.keywords = (mask & RIGHTS_KEYWORDS) != 0 ? d->keywords : slice_str("");
	}
	/* the group's id goes with the first: sent again, the whole is found by it */
	op->msgs[0].has_id = true;
	memcpy(op->msgs[0].id, g->first->group, sizeof op->msgs[0].id);
	op_start(op);
}

/* A part came after its group was lost with a connection; perhaps all of it went in before. */
static void
on_group_seen(void *arg, int err, struct slice value)
{
	append_seen(arg, err, value, ERR_UNKNOWN);
}

static void
append_part(struct deliver *d, struct mbox *m, const char *rights)
{
	struct append_group *g = group_take(d);
	struct backend *be = m->acc->st->be;
	char key[KEY_MAX];
	unsigned n = 0;
	struct buf b;

	if (d->index != (g == NULL ? 0 : g->n) || d->index >= PARTS_MAX || d->c->closed) {
		if (g != NULL)
			group_free(g);
		must(be->ops->get(be, slice_str(m->object),
		    key_id(key, 'd', d->group, sizeof d->group), on_group_seen, d));
		return;
	}
	if (g == NULL) {
		g = xcalloc(1, sizeof *g);
		g->end = &g->first;
	}
	*g->end = d;
	g->end = &d->next;
	g->n++;
	if (d->last) {
		group_insert(g, m, rights);
		return;
	}
	g->next = d->c->groups;
	d->c->groups = g;
	/* what was given up in the middle goes when others need the room */
	for (struct append_group **at = &g->next; *at != NULL; at = &(*at)->next)
		if (++n == GROUPS_MAX) {
			struct append_group *old = *at;

			*at = old->next;
			group_free(old);
			break;
		}
	buf_init(&b, 64);
	ipc_put_u32(&b, m->h.uidvalidity);
	ipc_put_u32(&b, 0);
	req_reply(&d->r, STORE_APPENDED, &b);
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
		(void)body_write(d, &a->msg, a->fd, on_append_body);
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

	if (get_message(r, d, &msg, fd) != 0)
		return bad(d, fd);
	ticket = ipc_get_slice(r);
	d->mailbox = ipc_get_u64(r);
	d->row.flags =
	    ipc_get_u32(r) & (MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED | MSG_DRAFT);
	d->keywords = arena_slice(d->mem, ipc_get_slice(r));
	d->row.internal_date = ipc_get_i64(r);
	d->row.internal_zone = (int16_t)ipc_get_u16(r);
	if (part) {
		if (get_fixed(r, d->group, sizeof d->group) != 0)
			return bad(d, fd);
		d->index = ipc_get_u32(r);
		d->last = ipc_get_u8(r) != 0;
		d->c = c;
		c->refs++;
	}
	if (ipc_reader_end(r) != 0)
		return bad(d, fd);
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
