/* append.c: APPEND from imapd, and the messages of an import from congvu: a message streams in, is read as every other, and goes to stored: under the ticket,
 * or under the account and the id that congvu names. Runs in ingest.
 *
 * ingest itself has no say over who may write where: it hands the ticket on; imports come on a socket that only root has. What a client appends is stored as
 * it is, CR and LF alone included; only NUL is refused (RFC 3501 9: CHAR8). An append dies with its connection. */
#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/ingest.h"
#include "store/ingest_proto.h"

enum {
	CONNS_MAX = 64,
	APPENDS_MAX = 1024,
	CHECK_MS = 15000,
	APPEND_MS = 60000,
	AGAIN_MS = 200, /* stored is back in well under a second */
	TRIES_MAX = 40,
	SMALL_MAX = 64 * 1024,
};

struct append {
	struct append *next, **at; /* of the connection's list */
	struct append_conn *conn;
	uint32_t id;
	struct buf ticket, keywords;
	struct deliver_append params; /* slices of the two above */
	bool is_import;
	struct buf account, trace;
	struct deliver_import import; /* slices of them, and of keywords */
	unsigned char import_id[16];
	uint64_t size, got;
	struct ingest_body body;
	struct ingest_message msg;
	bool has_msg, checked;
	uint32_t begin_req, data_req, end_req; /* requests not answered yet, 0: none */
	struct loop_defer *ack;                /* answers the first two */
	uint32_t call;                         /* to stored */
	unsigned char group[16];
	unsigned tries;
	struct loop_timer *again;
};
struct append_conn {
	struct append_server *srv;
	struct ipc_conn *ipc;
	struct append *appends;
	unsigned n;
};
struct append_server {
	struct ingest *in;
	struct ipc_server *ipc;
};

static void
append_free(struct append *ap)
{
	if (ap->call != 0)
		deliver_cancel(ap->conn->srv->in->store, ap->call);
	*ap->at = ap->next;
	if (ap->next != NULL)
		ap->next->at = ap->at;
	ap->conn->n--;
	if (ap->has_msg)
		ingest_message_done(&ap->msg);
	loop_timer_free(ap->again);
	loop_defer_free(ap->ack);
	ingest_body_done(&ap->body);
	buf_wipe(&ap->ticket);
	buf_done(&ap->keywords);
	buf_done(&ap->account);
	buf_done(&ap->trace);
	free(ap);
}

/* Answers what waits with the error, and forgets the append. */
static void
append_fail(struct append *ap, int err, const char *why)
{
	struct ipc_conn *ipc = ap->conn->ipc;
	uint32_t begin_req = ap->begin_req, data_req = ap->data_req, end_req = ap->end_req;

	append_free(ap);
	if (begin_req != 0)
		ipc_reply_err(ipc, begin_req, err, why);
	if (data_req != 0)
		ipc_reply_err(ipc, data_req, err, why);
	if (end_req != 0)
		ipc_reply_err(ipc, end_req, err, why);
}

/* What was taken so far. */
static void
append_ack(struct append *ap)
{
	if (ap->begin_req != 0 && ap->checked)
		ipc_reply_ok(ap->conn->ipc, ap->begin_req);
	if (ap->data_req != 0)
		ipc_reply_ok(ap->conn->ipc, ap->data_req);
	ap->begin_req = ap->checked ? 0 : ap->begin_req;
	ap->data_req = 0;
}

/* A message that came as a whole is answered once. */
static void
on_ack(void *arg)
{
	struct append *ap = (struct append *)arg;

	if (ap->end_req == 0)
		append_ack(ap);
}

static void append_again(void *arg);
static void append_store(struct append *ap, int r);

/* The message is in; or, of an import, was in before (req: that of INGEST_IMPORT or of the end). */
static void
append_done(
    struct append *ap, uint32_t req, uint32_t uidvalidity, uint32_t uid, bool import, bool repeated)
{
	struct ipc_conn *ipc = ap->conn->ipc;
	struct buf b;

	append_free(ap);
	buf_init(&b, 16);
	ipc_put_u32(&b, uidvalidity);
	ipc_put_u32(&b, uid);
	if (import)
		ipc_put_u8(&b, repeated);
	ipc_reply(ipc, req, import ? INGEST_IMPORTED : INGEST_DONE, &b, -1);
	buf_done(&b);
}

static void
on_stored(struct append *ap, int err, uint32_t uidvalidity, uint32_t uid, bool repeated)
{
	ap->call = 0;
	/* Perhaps it was done and the answer is lost: under its id it is done once. */
	if (err == ERR_TEMP && ap->tries++ < TRIES_MAX) {
		if (ap->again == NULL)
			ap->again = loop_timer_new(ap->conn->srv->in->loop, append_again, ap);
		loop_timer_set(ap->again, AGAIN_MS);
		return;
	}
	if (err != 0) {
		ap->conn->srv->in->n_failed++;
		append_fail(ap, err, "stored refused");
		return;
	}
	ap->conn->srv->in->n_appended++;
	append_ack(ap);
	append_done(ap, ap->end_req, uidvalidity, uid, ap->is_import, repeated);
}

static void
on_appended(void *arg, int err, uint32_t uidvalidity, uint32_t uid)
{
	on_stored(arg, err, uidvalidity, uid, false);
}

static void
on_imported(void *arg, int err, uint32_t uidvalidity, uint32_t uid, bool repeated)
{
	on_stored(arg, err, uidvalidity, uid, repeated);
}

static void
append_again(void *arg)
{
	append_store(arg, 0);
}

/* err: of what came before. */
static void
append_store(struct append *ap, int r)
{
	if (r == 0 && ap->is_import)
		r = deliver_import(ap->conn->srv->in->store, &ap->msg.m, &ap->import, APPEND_MS,
		    on_imported, ap, &ap->call);
	else if (r == 0)
		r = deliver_append(ap->conn->srv->in->store, &ap->msg.m, &ap->params, APPEND_MS,
		    on_appended, ap, &ap->call);
	if (r != 0)
		append_fail(
		    ap, r == ERR_NOMEM || r == ERR_IO ? ERR_TEMP : r, "cannot be handed on");
}

/* All is there and the check was passed: to stored. */
static void
append_send(struct append *ap)
{
	unsigned char id[16];
	int r;

	if (!ap->checked || ap->end_req == 0)
		return;
	if (ap->is_import)
		memcpy(id, ap->import_id, sizeof(id));
	else
		random_bytes(id, sizeof(id));
	ap->has_msg = true;
	r = ingest_message_init(&ap->msg, &ap->body, id);
	if (r == 0 && !ap->is_import && ap->params.group == NULL)
		ingest_same(&ap->msg, &ap->body);
	append_store(ap, r);
}

static void
on_check(void *arg, int err)
{
	struct append *ap = (struct append *)arg;

	ap->call = 0;
	if (err != 0) {
		append_fail(ap, err, "would not be taken");
		return;
	}
	ap->checked = true;
	append_ack(ap);
	append_send(ap);
}

/* congvu sends no data before it has the answer, so none is lost with a message that is there. */
static void
on_import_check(void *arg, int err, uint32_t uidvalidity, uint32_t uid, bool repeated)
{
	struct append *ap = (struct append *)arg;

	if (err == 0 && repeated && ap->begin_req != 0) {
		ap->call = 0;
		append_done(ap, ap->begin_req, uidvalidity, uid, true, true);
		return;
	}
	on_check(ap, err);
}

static struct append *
find(const struct append_conn *c, uint32_t id)
{
	for (struct append *ap = c->appends; ap != NULL; ap = ap->next)
		if (ap->id == id)
			return ap;
	return NULL;
}

static struct append *
append_new(struct append_conn *c, uint32_t id, struct slice keywords)
{
	struct append *ap = xcalloc(1, sizeof(*ap));

	ap->conn = c;
	ap->id = id;
	ap->next = c->appends;
	ap->at = &c->appends;
	if (ap->next != NULL)
		ap->next->at = &ap->next;
	c->appends = ap;
	c->n++;
	buf_init(&ap->ticket, 65536);
	buf_init(&ap->account, 256);
	buf_init(&ap->trace, DELIVER_TRACE_MAX);
	buf_init(&ap->keywords, 65536);
	buf_append_slice(&ap->keywords, keywords);
	ap->ack = loop_defer_new(c->srv->in->loop, on_ack, ap);
	return ap;
}

/* As begin. */
static int
begin_import(struct append_conn *c, uint32_t req, uint32_t id, struct ipc_reader *r)
{
	struct append *ap;
	struct slice account = ipc_get_slice(r), import_id, trace;
	struct deliver_import *im;
	uint64_t mailbox = ipc_get_u64(r);
	uint32_t flags;
	uint8_t how;

	import_id = ipc_get_slice(r);
	trace = ipc_get_slice(r);
	how = ipc_get_u8(r);
	flags = ipc_get_u32(r);
	if (c->n >= APPENDS_MAX)
		return ERR_TEMP;
	ap = append_new(c, id, ipc_get_slice(r));
	ap->is_import = true;
	im = &ap->import;
	im->internal_date = ipc_get_i64(r);
	im->internal_zone = (int16_t)ipc_get_u16(r);
	ap->size = ipc_get_u64(r);
	ingest_body_init(&ap->body, c->srv->in);
	if (ipc_reader_end(r) != 0 || import_id.len != sizeof(ap->import_id) || account.len > 64 ||
	    trace.len > DELIVER_TRACE_MAX)
		return ERR_PROTO;
	memcpy(ap->import_id, import_id.ptr, sizeof(ap->import_id));
	buf_append_slice(&ap->account, account);
	buf_append_slice(&ap->trace, trace);
	im->account = buf_slice(&ap->account);
	im->trace = buf_slice(&ap->trace);
	im->keywords = buf_slice(&ap->keywords);
	im->mailbox = mailbox;
	im->how = how;
	im->flags = flags;
	if (ap->size > c->srv->in->size_max) {
		append_free(ap);
		return ERR_LIMIT;
	}
	ap->begin_req = req;
	if (deliver_import_check(c->srv->in->store, im, ap->import_id, ap->size, CHECK_MS,
		on_import_check, ap, &ap->call) != 0) {
		append_free(ap);
		return ERR_TEMP;
	}
	return 0;
}

/* 0; an error that ends this append; ERR_PROTO: one that ends the connection. */
static int
begin(struct append_conn *c, uint32_t req, uint32_t id, struct ipc_reader *r)
{
	struct append *ap;
	struct slice ticket = ipc_get_slice(r), keywords;
	uint64_t mailbox = ipc_get_u64(r);
	uint32_t flags = ipc_get_u32(r);

	keywords = ipc_get_slice(r);
	if (r->err != 0 || req == 0 || find(c, id) != NULL)
		return ERR_PROTO;
	if (c->n >= APPENDS_MAX)
		return ERR_TEMP;
	ap = append_new(c, id, keywords);
	buf_append_slice(&ap->ticket, ticket);
	ap->params.ticket = buf_slice(&ap->ticket);
	ap->params.keywords = buf_slice(&ap->keywords);
	ap->params.mailbox = mailbox;
	ap->params.flags = flags;
	ap->params.internal_date = ipc_get_i64(r);
	ap->params.internal_zone = (int16_t)ipc_get_u16(r);
	ap->size = ipc_get_u64(r);
	ingest_body_init(&ap->body, c->srv->in);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO; /* it goes with the connection */
	if (ap->size > c->srv->in->size_max) {
		append_free(ap);
		return ERR_LIMIT;
	}
	ap->begin_req = req;
	/* a small one is all there before stored could say no, and stored looks again anyway */
	if (ap->size <= SMALL_MAX) {
		ap->checked = true;
		loop_defer_set(ap->ack);
		return 0;
	}
	if (deliver_check(c->srv->in->store, slice_of(NULL, 0), ap->params.ticket, mailbox,
		ap->size, CHECK_MS, on_check, ap, &ap->call) != 0) {
		append_free(ap);
		return ERR_TEMP;
	}
	return 0;
}

static int
data(struct append *ap, uint32_t req, struct ipc_reader *r)
{
	struct slice piece = ipc_get_slice(r);
	int err = 0;

	if (ipc_reader_end(r) != 0 || req == 0 || piece.len > INGEST_PIECE_MAX || ap->end_req != 0)
		return ERR_PROTO;
	if (piece.len > ap->size - ap->got)
		err = ERR_LIMIT;
	else if (piece.len > 0 && memchr(piece.ptr, '\0', piece.len) != NULL)
		err = ERR_SYNTAX;
	else
		err = ingest_body_append(&ap->body, piece.ptr, piece.len);
	ap->got += piece.len;
	if (err == ERR_NOMEM)
		err = ERR_TEMP;
	if (err != 0) {
		struct ipc_conn *ipc = ap->conn->ipc;

		append_fail(ap, err, "refused");
		ipc_reply_err(ipc, req, err, "refused");
		return 0;
	}
	if (ap->got == ap->size && ap->data_req == 0) {
		ap->data_req = req;
		loop_defer_set(ap->ack);
	} else {
		ipc_reply_ok(ap->conn->ipc, req);
	}
	return 0;
}

static int
end(struct append *ap, uint32_t req, struct ipc_reader *r)
{
	if (ipc_reader_end(r) != 0 || req == 0 || ap->end_req != 0)
		return ERR_PROTO;
	ap->end_req = req;
	if (ap->got != ap->size)
		append_fail(ap, ERR_SYNTAX, "fewer octets than announced");
	else
		append_send(ap);
	return 0;
}

static int
part_end(struct append *ap, uint32_t req, struct ipc_reader *r)
{
	struct slice group = ipc_get_slice(r);

	ap->params.index = ipc_get_u32(r);
	ap->params.last = ipc_get_u8(r) != 0;
	if (group.len != sizeof(ap->group))
		return ERR_PROTO;
	memcpy(ap->group, group.ptr, sizeof(ap->group));
	ap->params.group = ap->group;
	return end(ap, req, r);
}

static int
on_msg(struct ipc_conn *ipc, uint16_t type, uint32_t req, struct ipc_reader *r, int fd, void *arg)
{
	struct append_conn *c = (struct append_conn *)ipc_user(ipc);
	uint32_t id = ipc_get_u32(r);
	struct append *ap;
	int err;

	(void)fd; /* the table allows none */
	(void)arg;
	if (r->err != 0 ||
	    (req == 0) != (type == INGEST_ABORT)) /* all but this one want an answer */
		return ERR_PROTO;
	if (type == INGEST_BEGIN || type == INGEST_IMPORT) {
		if (find(c, id) != NULL)
			return ERR_PROTO;
		err = type == INGEST_IMPORT ? begin_import(c, req, id, r) : begin(c, req, id, r);
		if (err != 0 && err != ERR_PROTO)
			ipc_reply_err(ipc, req, err, "refused");
		return err == ERR_PROTO ? ERR_PROTO : 0;
	}
	ap = find(c, id);
	if (ap == NULL) { /* it failed while this was on its way */
		if (req != 0)
			ipc_reply_err(ipc, req, ERR_NOTFOUND, "no such append");
		return 0;
	}
	switch (type) {
	case INGEST_DATA:
		return data(ap, req, r);
	case INGEST_END:
	case INGEST_IMPORT_END:
		return end(ap, req, r);
	case INGEST_PART_END:
		return part_end(ap, req, r);
	case INGEST_ABORT:
		append_fail(ap, ERR_CANCELED, "aborted");
		return 0;
	default:
		return ERR_PROTO;
	}
}

static int
on_open(struct ipc_conn *ipc, void *arg, void **user_out)
{
	struct append_conn *c = xcalloc(1, sizeof(*c));

	c->srv = (struct append_server *)arg;
	c->ipc = ipc;
	*user_out = c;
	return 0;
}

static void
on_close(struct ipc_conn *ipc, void *arg)
{
	struct append_conn *c = (struct append_conn *)ipc_user(ipc);

	(void)arg;
	while (c->appends != NULL)
		append_free(c->appends);
	free(c);
}

struct append_server *
append_server_new(struct ingest *in, int listen_fd, uint32_t peer, int64_t peer_uid)
{
	static const struct ipc_server_ops ops = {
	    .on_open = on_open, .on_msg = on_msg, .on_close = on_close};
	struct append_server *s = xcalloc(1, sizeof(*s));

	s->in = in;
	s->ipc =
	    ipc_server_new(in->loop, listen_fd, &ingest_proto, peer, peer_uid, CONNS_MAX, &ops, s);
	return s;
}

void
append_server_free(struct append_server *s)
{
	if (s == NULL)
		return;
	ipc_server_free(s->ipc);
	free(s);
}
