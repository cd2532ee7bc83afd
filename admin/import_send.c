/* import_send.c: see import_send.h. Runs in congvu.
 *
 * A message is announced with its id (INGEST_IMPORT); where it is there already that is all. Else its octets follow in pieces, a few without answer. When
 * ingest or stored dies, what is on its way begins anew under the same id: stored knows whether it was committed. */
#include "config.h"

#include "admin/import_send.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/deliver_client.h"
#include "store/ingest_proto.h"

enum {
	WINDOW = 48,              /* messages on their way */
	WINDOW_OCTETS = 64 << 20, /* and their octets, but for one by itself */
	PIECES = 4,
	BEGIN_MS = 30000,
	DATA_MS = 60000,
	END_MS = 120000,
	AGAIN_MS = 250,
	TURN_MS = 100,
};

/* ---- messages ---- */

struct import_msg *
import_msg_new(uint64_t size_max)
{
	struct import_msg *m = xcalloc(1, sizeof *m);

	m->spool = spool_new(SPOOL_MEM_MAX, size_max);
	m->hash = sha256_new();
	buf_init(&m->keywords, 8192);
	buf_init(&m->trace, DELIVER_TRACE_MAX);
	return m;
}

void
import_msg_free(struct import_msg *m)
{
	if (m == NULL)
		return;
	free(m->where);
	free(m->box);
	buf_done(&m->keywords);
	buf_done(&m->trace);
	spool_free(m->spool);
	sha256_free(m->hash);
	free(m);
}

static void
add(struct import_msg *m, const unsigned char *p, size_t n)
{
	if (m->err != 0 || n == 0)
		return;
	if (memchr(p, '\0', n) != NULL) {
		m->err = ERR_SYNTAX;
		return;
	}
	sha256_update(m->hash, p, n);
	m->err = spool_append(m->spool, p, n);
	if (m->err == 0 && spool_need_fd(m->spool)) {
		int fd = memfd_create("message", MFD_CLOEXEC);

		m->err = fd < 0 ? ERR_NOMEM : spool_give_fd(m->spool, fd);
	}
}

void
import_msg_add(struct import_msg *m, struct slice s, bool as_lines)
{
	size_t at = 0;

	for (size_t i = 0; as_lines && i < s.len;) {
		const unsigned char *lf = memchr(s.ptr + i, '\n', s.len - i);
		size_t end;

		if (lf == NULL)
			break;
		end = (size_t)(lf - s.ptr);
		if (end > 0 ? s.ptr[end - 1] != '\r' : !m->cr) {
			add(m, s.ptr + at, end - at);
			add(m, (const unsigned char *)"\r\n", 2);
			at = end + 1;
		}
		i = end + 1;
	}
	if (s.len > 0) {
		add(m, s.ptr + at, s.len - at);
		m->cr = s.ptr[s.len - 1] == '\r';
	}
}

int
import_msg_end(struct import_msg *m)
{
	sha256_final(m->hash, m->sha256);
	if (m->err == 0)
		m->err = spool_err(m->spool);
	return m->err;
}

/* ---- on their way ---- */

struct slot {
	struct import_send *s;
	struct import_msg *m; /* NULL: free */
	uint32_t number;      /* of the append */
	uint64_t sent;        /* octets */
	unsigned waiting;     /* requests without answer */
	bool begun, ended;    /* data may be sent; all was said */
	bool tried;           /* it was said before and nobody knows what came of it */
	bool no_keywords;
	int err; /* to be handled when nothing waits for an answer */
	bool over, repeated;
	uint64_t again_at; /* begin anew then; 0: it is under way */
	uint64_t seq;      /* in the order in which they were given */
};
struct import_send {
	struct import_send_opts o;
	struct loop *loop;
	struct ipc_client *ipc;
	struct slot slots[WINDOW];
	uint64_t octets; /* of those in slots */
	unsigned n;
	uint32_t number;
	uint64_t seq;
	uint64_t away_since; /* the first failure since something went well; 0: none */
	int err;
};

static void slot_begin(struct slot *k);
static void slot_pieces(struct slot *k);
static void ends_send(struct import_send *s);

struct import_send *
import_send_new(const struct import_send_opts *o)
{
	static const struct ipc_client_ops ops;
	struct import_send *s = xcalloc(1, sizeof *s);

	s->o = *o;
	s->loop = loop_new();
	s->ipc = ipc_client_new(s->loop, o->socket, &ingest_proto, IPC_ADMIN, &ops, s);
	for (size_t i = 0; i < WINDOW; i++)
		s->slots[i].s = s;
	return s;
}

void
import_send_free(struct import_send *s)
{
	if (s == NULL)
		return;
	ipc_client_free(s->ipc);
	for (size_t i = 0; i < WINDOW; i++)
		import_msg_free(s->slots[i].m);
	loop_free(s->loop);
	free(s);
}

static void
slot_done(struct slot *k, int err, bool repeated)
{
	struct import_send *s = k->s;
	struct import_msg *m = k->m;
	bool no_keywords = k->no_keywords;

	s->octets -= spool_size(m->spool);
	s->n--;
	*k = (struct slot){.s = s};
	s->o.done(s->o.arg, m, err, repeated, err == 0 && no_keywords);
	import_msg_free(m);
	ends_send(s);
}

static bool
is_passing(int err)
{
	return err == ERR_TEMP || err == ERR_CLOSED || err == ERR_TIMEOUT || err == ERR_UNKNOWN ||
	       err == ERR_AGAIN || err == ERR_IO || err == ERR_CANCELED;
}

/* Nothing of the message is under way any more: what next? */
static void
slot_settle(struct slot *k)
{
	struct import_send *s = k->s;
	uint64_t now = loop_now_ms(s->loop);

	if (k->over) {
		s->away_since = 0;
		/* said before, and its answer lost: it was this run that brought it */
		slot_done(k, 0, k->repeated && !k->tried);
		return;
	}
	if (is_passing(k->err)) {
		if (s->away_since == 0)
			s->away_since = now;
		k->tried = k->tried || k->ended;
		k->err = 0;
		k->again_at = now + AGAIN_MS;
		return;
	}
	s->away_since = 0;
	/* of the end alone: the mailbox has too many keywords, or the message has */
	if (k->ended && (k->err == ERR_LIMIT || k->err == ERR_SYNTAX) && k->m->keywords.len > 0) {
		buf_reset(&k->m->keywords);
		k->no_keywords = true;
		k->err = 0;
		slot_begin(k);
		return;
	}
	slot_done(k, k->err, false);
}

static void
slot_answered(struct slot *k, int err)
{
	k->waiting--;
	if (err != 0 && k->err == 0 && !k->over)
		k->err = err;
	if (k->waiting == 0 && (k->over || k->err != 0))
		slot_settle(k);
	else if (k->err == 0 && !k->over && k->begun)
		slot_pieces(k);
}

static int
read_imported(struct slot *k, struct ipc_reader *r)
{
	(void)ipc_get_u32(r);
	(void)ipc_get_u32(r);
	k->repeated = ipc_get_u8(r) != 0;
	k->over = ipc_reader_end(r) == 0;
	return k->over ? 0 : ERR_PROTO;
}

static void
on_begun(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct slot *k = arg;

	(void)fd;
	if (err == 0 && type == INGEST_IMPORTED) {
		err = read_imported(k, r);
	} else if (err == 0 && k->s->o.dry) {
		struct buf b;

		buf_init(&b, 16);
		ipc_put_u32(&b, k->number);
		(void)ipc_send(k->s->ipc, INGEST_ABORT, &b);
		buf_done(&b);
		k->over = true;
	} else if (err == 0) {
		k->begun = true;
	}
	slot_answered(k, err);
}

static void
on_data(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	(void)type;
	(void)r;
	(void)fd;
	/* ingest has no room for large messages just now, or it is not that one any more that had the beginning */
	slot_answered(arg, err == ERR_FULL || err == ERR_NOTFOUND ? ERR_TEMP : err);
}

static void
on_ended(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct slot *k = arg;

	(void)fd;
	if (err == 0)
		err = type == INGEST_IMPORTED ? read_imported(k, r) : ERR_PROTO;
	/* as above; if the mailbox is not there, the next beginning is told so */
	slot_answered(k, err == ERR_NOTFOUND ? ERR_TEMP : err);
}

static void
slot_call(struct slot *k, uint16_t type, struct buf *b, unsigned ms, ipc_reply_fn fn)
{
	int err = b->err != 0 ? b->err : ipc_call(k->s->ipc, type, b, -1, ms, fn, k, NULL);

	buf_done(b);
	if (err == 0)
		k->waiting++;
	else if (k->err == 0)
		k->err = err == ERR_LIMIT ? ERR_TEMP : err;
}

static void
slot_begin(struct slot *k)
{
	const struct import_msg *m = k->m;
	struct buf b;

	k->number = ++k->s->number;
	k->sent = 0;
	k->begun = k->ended = k->over = k->repeated = false;
	k->again_at = 0;
	buf_init(&b, 65536);
	ipc_put_u32(&b, k->number);
	ipc_put_str(&b, k->s->o.account);
	ipc_put_u64(&b, m->mailbox);
	ipc_put_slice(&b, slice_of(m->id, sizeof m->id));
	ipc_put_slice(&b, buf_slice(&m->trace));
	ipc_put_u8(&b, k->s->o.how);
	ipc_put_u32(&b, m->flags);
	ipc_put_slice(&b, buf_slice(&m->keywords));
	ipc_put_i64(&b, m->date);
	ipc_put_u16(&b, (uint16_t)m->zone);
	ipc_put_u64(&b, spool_size(m->spool));
	slot_call(k, INGEST_IMPORT, &b, BEGIN_MS, on_begun);
	if (k->waiting == 0)
		slot_settle(k);
}

static void
slot_pieces(struct slot *k)
{
	static unsigned char piece[INGEST_PIECE_MAX];
	uint64_t size = spool_size(k->m->spool);
	struct buf b;

	while (k->err == 0 && k->sent < size && k->waiting < PIECES) {
		int64_t n = spool_read(k->m->spool, k->sent, sizeof piece, piece);

		if (n <= 0) {
			k->err = n < 0 ? (int)n : ERR_CORRUPT;
			break;
		}
		buf_init(&b, INGEST_PIECE_MAX + 16);
		ipc_put_u32(&b, k->number);
		ipc_put_slice(&b, slice_of(piece, (size_t)n));
		slot_call(k, INGEST_DATA, &b, DATA_MS, on_data);
		k->sent += (uint64_t)n;
	}
	ends_send(k->s);
	if (k->err != 0 && k->waiting == 0)
		slot_settle(k);
}

static void
slot_end(struct slot *k)
{
	struct buf b;

	k->ended = true;
	buf_init(&b, 16);
	ipc_put_u32(&b, k->number);
	slot_call(k, INGEST_IMPORT_END, &b, END_MS, on_ended);
	if (k->err != 0 && k->waiting == 0)
		slot_settle(k);
}

/* Messages go in in the order in which they were given, since clients show them by it: none ends before those before it, but for those that begin
 * anew. */
static void
ends_send(struct import_send *s)
{
	for (;;) {
		struct slot *first = NULL;

		for (size_t i = 0; i < WINDOW; i++) {
			struct slot *k = &s->slots[i];

			if (k->m != NULL && !k->ended && k->again_at == 0 && k->err == 0 &&
			    (first == NULL || k->seq < first->seq))
				first = k;
		}
		if (first == NULL || !first->begun || first->sent < spool_size(first->m->spool))
			return;
		slot_end(first);
	}
}

/* ---- the caller's side ---- */

/* One turn of the loop; what waited long enough begins anew. */
static void
turn(struct import_send *s)
{
	uint64_t now;

	if (loop_run_once(s->loop, TURN_MS) != 0)
		s->err = ERR_IO;
	now = loop_now_ms(s->loop);
	if (s->away_since != 0 && now - s->away_since > s->o.wait_ms)
		s->err = ERR_TEMP;
	for (size_t i = 0; i < WINDOW; i++) {
		struct slot *k = &s->slots[i];

		if (k->m == NULL || k->again_at == 0)
			continue;
		if (s->err != 0)
			slot_done(k, s->err, false);
		else if (now >= k->again_at)
			slot_begin(k);
	}
	if (s->o.idle != NULL)
		s->o.idle(s->o.arg);
}

int
import_send_take(struct import_send *s, struct import_msg *m)
{
	uint64_t size = spool_size(m->spool);

	while (s->err == 0 && (s->n == WINDOW || (s->n > 0 && s->octets + size > WINDOW_OCTETS)))
		turn(s);
	if (s->err != 0) {
		import_msg_free(m);
		return s->err;
	}
	for (size_t i = 0; i < WINDOW; i++) {
		struct slot *k = &s->slots[i];

		if (k->m != NULL)
			continue;
		k->m = m;
		k->seq = ++s->seq;
		s->n++;
		s->octets += size;
		slot_begin(k);
		break;
	}
	return 0;
}

int
import_send_wait(struct import_send *s)
{
	while (s->n > 0)
		turn(s);
	return s->err;
}
