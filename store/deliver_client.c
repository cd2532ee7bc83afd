/* deliver_client.c: codes what ingest asks of stored, and reads the answers. Runs in ingest. */
#include "store/deliver_client.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"

struct call {
	struct call *next, **at;
	struct deliver_client *c;
	uint32_t id;
	size_t n; /* targets */
	deliver_fn deliver;
	deliver_append_fn append;
	deliver_import_fn import;
	deliver_check_fn check;
	void *arg;
};
struct deliver_client {
	struct ipc_client *ipc;
	struct call *calls;
};

struct deliver_client *
deliver_client_new(struct loop *l, const char *socket)
{
	static const struct ipc_client_ops ops;
	struct deliver_client *c = xcalloc(1, sizeof *c);

	c->ipc = ipc_client_new(l, socket, &store_proto, IPC_INGEST, &ops, c);
	return c;
}

static void
call_free(struct call *k)
{
	*k->at = k->next;
	if (k->next != NULL)
		k->next->at = k->at;
	free(k);
}

void
deliver_client_free(struct deliver_client *c)
{
	if (c == NULL)
		return;
	while (c->calls != NULL)
		deliver_cancel(c, c->calls->id);
	ipc_client_free(c->ipc);
	free(c);
}

void
deliver_cancel(struct deliver_client *c, uint32_t call)
{
	for (struct call *k = c->calls; k != NULL; k = k->next)
		if (k->id == call) {
			ipc_cancel(c->ipc, call);
			call_free(k);
			return;
		}
}

/* What the caller is told of a call that had no answer. */
static int
told(int err)
{
	return err == ERR_CLOSED || err == ERR_TIMEOUT || err == ERR_CANCELED ? ERR_TEMP : err;
}

static void
on_delivered(struct call *k, int err, uint16_t type, struct ipc_reader *r)
{
	struct deliver_result res[DELIVER_TARGETS_MAX];
	uint32_t n = 0;

	if (err == 0 && type != STORE_DELIVERED)
		err = ERR_PROTO;
	if (err == 0) {
		n = ipc_get_count(r, DELIVER_TARGETS_MAX, 13);
		for (uint32_t i = 0; i < n; i++) {
			res[i].err = (int32_t)ipc_get_u32(r);
			res[i].uidvalidity = ipc_get_u32(r);
			res[i].uid = ipc_get_u32(r);
			res[i].repeated = ipc_get_u8(r) != 0;
		}
		err = ipc_reader_end(r);
		if (err == 0 && n != k->n)
			err = ERR_PROTO;
	}
	k->deliver(k->arg, told(err), err == 0 ? res : NULL, err == 0 ? n : 0);
}

static void
on_imported(struct call *k, int err, uint16_t type, struct ipc_reader *r)
{
	uint32_t uidvalidity = 0, uid = 0;
	bool repeated = false;

	if (err == 0 && type == STORE_IMPORTED) {
		uidvalidity = ipc_get_u32(r);
		uid = ipc_get_u32(r);
		repeated = ipc_get_u8(r) != 0;
		err = ipc_reader_end(r);
	} else if (err == 0 && type != IPC_OK) {
		err = ERR_PROTO;
	}
	k->import(k->arg, told(err), err == 0 ? uidvalidity : 0, err == 0 ? uid : 0,
	    err == 0 && repeated);
}

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct call *k = (struct call *)arg, copy = *k;
	uint32_t uidvalidity = 0, uid = 0;

	(void)fd; /* the table allows none */
	call_free(k);
	if (copy.deliver != NULL) {
		on_delivered(&copy, err, type, r);
	} else if (copy.import != NULL) {
		on_imported(&copy, err, type, r);
	} else if (copy.append != NULL) {
		if (err == 0 && type != STORE_APPENDED)
			err = ERR_PROTO;
		if (err == 0) {
			uidvalidity = ipc_get_u32(r);
			uid = ipc_get_u32(r);
			err = ipc_reader_end(r);
		}
		copy.append(copy.arg, told(err), err == 0 ? uidvalidity : 0, err == 0 ? uid : 0);
	} else {
		copy.check(copy.arg, told(err));
	}
}

static int
send_call(struct deliver_client *c, uint16_t type, struct buf *b, int fd, unsigned timeout_ms,
    const struct call *proto, uint32_t *call_out)
{
	struct call *k = xcalloc(1, sizeof *k);
	int err = b->err;

	*k = *proto;
	k->c = c;
	k->next = c->calls;
	k->at = &c->calls;
	if (k->next != NULL)
		k->next->at = &k->next;
	c->calls = k;
	if (err == 0 && fd >= 0 && (fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)) < 0)
		err = ERR_IO;
	if (err == 0)
		err = ipc_call(c->ipc, type, b, fd, timeout_ms, on_reply, k, &k->id);
	if (err != 0)
		call_free(k);
	else if (call_out != NULL)
		*call_out = k->id;
	buf_done(b);
	return err;
}

static int
put_message(struct buf *b, const struct deliver_message *m)
{
	bool by_fd = m->fd >= 0;

	if (m->summary.len > DELIVER_SUMMARY_MAX || m->envelope.len > DELIVER_ENVELOPE_MAX ||
	    m->refs.len > DELIVER_REFS_MAX ||
	    (!by_fd && (m->size > DELIVER_INLINE_MAX || m->body.len != m->size)))
		return ERR_LIMIT;
	ipc_put_slice(b, slice_of(m->id, sizeof m->id));
	ipc_put_slice(b, slice_of(m->sha256, sizeof m->sha256));
	ipc_put_u64(b, m->size);
	ipc_put_u8(
	    b, (uint8_t)((by_fd ? DELIVER_BY_FD : 0) | (m->documents ? DELIVER_DOCUMENTS : 0) |
			 (m->has_same ? DELIVER_SAME : 0)));
	ipc_put_slice(b, by_fd ? (struct slice){NULL, 0} : m->body);
	ipc_put_slice(b, m->summary);
	ipc_put_slice(b, m->envelope);
	ipc_put_i64(b, m->sent_date);
	ipc_put_slice(b, slice_of(m->email_id, sizeof m->email_id));
	ipc_put_slice(b, m->refs);
	if (m->has_same)
		ipc_put_slice(b, slice_of(m->same, sizeof m->same));
	return b->err;
}

int
deliver_send(struct deliver_client *c, const struct deliver_message *m,
    const struct deliver_target *targets, size_t n, unsigned timeout_ms, deliver_fn fn, void *arg,
    uint32_t *call_out)
{
	struct call k = {.n = n, .deliver = fn, .arg = arg};
	struct buf b;
	int err;

	if (n == 0 || n > DELIVER_TARGETS_MAX)
		return ERR_LIMIT;
	buf_init(&b, IPC_FRAME_MAX);
	if ((err = put_message(&b, m)) != 0)
		goto out;
	ipc_put_u32(&b, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		if (targets[i].trace.len > DELIVER_TRACE_MAX) {
			err = ERR_LIMIT;
			goto out;
		}
		ipc_put_slice(&b, targets[i].account);
		ipc_put_slice(&b, targets[i].mailbox);
		ipc_put_slice(&b, targets[i].trace);
		ipc_put_i64(&b, targets[i].internal_date);
		ipc_put_u16(&b, (uint16_t)targets[i].internal_zone);
		ipc_put_u32(&b, targets[i].flags);
	}
	return send_call(c, targets[0].sent ? STORE_SENT_COPY : STORE_DELIVER, &b, m->fd,
	    timeout_ms, &k, call_out);
out:
	buf_done(&b);
	return err;
}

int
deliver_append(struct deliver_client *c, const struct deliver_message *m,
    const struct deliver_append *a, unsigned timeout_ms, deliver_append_fn fn, void *arg,
    uint32_t *call_out)
{
	struct call k = {.append = fn, .arg = arg};
	struct buf b;
	int err;

	buf_init(&b, IPC_FRAME_MAX);
	if ((err = put_message(&b, m)) != 0) {
		buf_done(&b);
		return err;
	}
	ipc_put_slice(&b, a->ticket);
	ipc_put_u64(&b, a->mailbox);
	ipc_put_u32(&b, a->flags);
	ipc_put_slice(&b, a->keywords);
	ipc_put_i64(&b, a->internal_date);
	ipc_put_u16(&b, (uint16_t)a->internal_zone);
	if (a->group != NULL) {
		ipc_put_slice(&b, slice_of(a->group, 16));
		ipc_put_u32(&b, a->index);
		ipc_put_u8(&b, a->last);
	}
	return send_call(c, a->group != NULL ? STORE_APPEND_PART : STORE_APPEND, &b, m->fd,
	    timeout_ms, &k, call_out);
}

int
deliver_import(struct deliver_client *c, const struct deliver_message *m,
    const struct deliver_import *i, unsigned timeout_ms, deliver_import_fn fn, void *arg,
    uint32_t *call_out)
{
	struct call k = {.import = fn, .arg = arg};
	struct buf b;
	int err;

	buf_init(&b, IPC_FRAME_MAX);
	err = i->trace.len > DELIVER_TRACE_MAX ? ERR_LIMIT : put_message(&b, m);
	if (err != 0) {
		buf_done(&b);
		return err;
	}
	ipc_put_slice(&b, i->account);
	ipc_put_u64(&b, i->mailbox);
	ipc_put_slice(&b, i->trace);
	ipc_put_u8(&b, i->how);
	ipc_put_u32(&b, i->flags);
	ipc_put_slice(&b, i->keywords);
	ipc_put_i64(&b, i->internal_date);
	ipc_put_u16(&b, (uint16_t)i->internal_zone);
	return send_call(c, STORE_IMPORT, &b, m->fd, timeout_ms, &k, call_out);
}

int
deliver_import_check(struct deliver_client *c, const struct deliver_import *i,
    const unsigned char id[16], uint64_t size, unsigned timeout_ms, deliver_import_fn fn, void *arg,
    uint32_t *call_out)
{
	struct call k = {.import = fn, .arg = arg};
	struct buf b;

	buf_init(&b, 256);
	ipc_put_slice(&b, i->account);
	ipc_put_u64(&b, i->mailbox);
	ipc_put_slice(&b, slice_of(id, 16));
	ipc_put_u8(&b, i->how);
	ipc_put_u64(&b, size);
	return send_call(c, STORE_IMPORT_CHECK, &b, -1, timeout_ms, &k, call_out);
}

int
deliver_check(struct deliver_client *c, struct slice account, struct slice ticket, uint64_t mailbox,
    uint64_t size, unsigned timeout_ms, deliver_check_fn fn, void *arg, uint32_t *call_out)
{
	struct call k = {.check = fn, .arg = arg};
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_slice(&b, ticket);
	ipc_put_slice(&b, account);
	ipc_put_u64(&b, mailbox);
	ipc_put_u64(&b, size);
	return send_call(c, STORE_CHECK, &b, -1, timeout_ms, &k, call_out);
}

int
deliver_read_state(struct deliver_client *c, struct slice account, const unsigned char id[16],
    unsigned timeout_ms, deliver_check_fn fn, void *arg, uint32_t *call_out)
{
	struct call k = {.check = fn, .arg = arg};
	struct buf b;

	buf_init(&b, 256);
	ipc_put_slice(&b, account);
	ipc_put_slice(&b, slice_of(id, 16));
	return send_call(c, STORE_READ_STATE, &b, -1, timeout_ms, &k, call_out);
}
