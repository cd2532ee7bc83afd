/* queue_ipc_fuzz.c: smtpd-queue behind its sockets: what a taken-over smtpd-session, relay or congvu may send, with the id of a message that was
 * opened and of one that was queued; to relay's, that of a row which watches whether an urgent document was read (queue_watch.c), leased. */
#include "config.h"

#include "tests/fuzz/border.h"

#include <string.h>
#include <time.h>

#include "smtpd/envelope.h"
#include "smtpd/queue_client.h"
#include "tests/fuzz/fuzz.h"

const char border_role[] = "smtpd-queue";
const char border_conf[] =
    "hostname = \"mail.tinhmau.example\"\nqueue_lifetime_s = 600\ndomains = {\"tinhmau.example\"}\n"
    "urgent_unread_s = 1\nalert_gap_s = 1\n";
static struct delivery_id id, leased;
static unsigned made; /* urgent messages that were not leased as what watches them yet */
static bool have_leased;

void
border_prepare(void)
{
}

static void
put_message(struct buf *b, struct slice content, bool urgent)
{
	struct envelope_rcpt rcpt = {urgent ? "binh@tinhmau.example" : "c@hopthu.example",
	    urgent ? RCPT_LOCAL : RCPT_REMOTE, 0, "", "", ""};
	struct envelope e = {.flags = urgent ? ENV_URGENT : 0,
	    .from = "an@tinhmau.example",
	    .ret = "",
	    .envid = "",
	    .login = "an",
	    .client_ip = "",
	    .quarantine = "",
	    .rcpts = &rcpt,
	    .n_rcpts = 1};

	if (content.len > 0 && (content.ptr[0] & 1) != 0)
		rcpt.state = RCPT_LOCAL;
	if (content.len > 0 && (content.ptr[0] & 2) != 0)
		rcpt.mta = "mx.hopthu.example";
	envelope_put(b, &e);
	ipc_put_str(b, "Subject: x\r\n\r\n");
	ipc_put_u64(b, 0);
	ipc_put_u64(b, content.len);
	ipc_put_u8(b, 1);
	ipc_put_slice(b, content);
}

static bool
open_one(struct delivery_id *out)
{
	struct ipc_reader r;
	struct slice reply;
	struct buf b;
	bool opened;

	buf_init(&b, 64);
	ipc_put_u64(&b, 100);
	opened = border_send(IPC_SMTPD, QUEUE_OPEN, &b, -1, &reply) == QUEUE_OPENED;
	if (opened) {
		ipc_reader_init(&r, reply);
		MUST(delivery_id_get(&r, out) == 0 && ipc_reader_end(&r) == 0);
	}
	buf_done(&b);
	return opened;
}

static void
commit_urgent(void)
{
	struct delivery_id urgent;
	struct buf b;

	if (!open_one(&urgent))
		return;
	buf_init(&b, 65536);
	delivery_id_put(&b, &urgent);
	put_message(&b, slice_str("x\r\n"), true);
	made += border_send(IPC_SMTPD, QUEUE_COMMIT, &b, -1, NULL) == IPC_OK;
	buf_done(&b);
}

/* What relay is given: the urgent message is delivered at once, what watches it stays leased, for the input. Others go back. */
static void
lease_one(void)
{
	struct delivery_id got;
	struct ipc_reader r;
	struct envelope e;
	struct slice reply;
	struct arena *a = arena_new(1 << 20);
	struct buf b;

	buf_init(&b, 1024);
	if (border_send(IPC_RELAY, QUEUE_NEXT, &b, -1, &reply) == QUEUE_ENTRY) {
		ipc_reader_init(&r, reply);
		MUST(delivery_id_get(&r, &got) == 0);
		ipc_get_u32(&r);
		ipc_get_u8(&r);
		MUST(envelope_get(&r, a, &e) == 0);
		delivery_id_put(&b, &got);
		if (e.flags & ENV_WATCH) {
			leased = got;
			have_leased = true;
			made -= made > 0;
		} else if (e.flags & ENV_URGENT) {
			ipc_put_u32(&b, 1);
			ipc_put_u32(&b, 0);
			ipc_put_u8(&b, QUEUE_DELIVERED);
			ipc_put_str(&b, "");
			ipc_put_str(&b, "mx.hopthu.example");
			border_send(IPC_RELAY, QUEUE_RESULT, &b, -1, NULL);
		} else {
			ipc_put_u32(&b, 100);
			border_send(IPC_RELAY, QUEUE_BACK, &b, -1, NULL);
		}
	}
	buf_done(&b);
	arena_free(a);
}

void
border_prologue(void)
{
	static unsigned calls;
	static bool was_here;
	const struct timespec due = {1, 100 * 1000000};

	open_one(&id);
	/* each is two syncs */
	if (made < 4 && calls++ % 16 == 0)
		commit_urgent();
	lease_one();
	/* once, so that the few inputs of the corpus meet one that is due */
	if (!was_here) {
		nanosleep(&due, NULL);
		lease_one();
		MUST(have_leased);
	}
	was_here = true;
	lease_one();
}

static bool
is_relays(uint16_t type)
{
	return type == QUEUE_RESULT || type == QUEUE_PARTIAL || type == QUEUE_BODY ||
	       type == QUEUE_BACK || type == QUEUE_PARK;
}

void
border_patch(uint32_t peer, uint16_t type, struct buf *payload)
{
	struct slice s = buf_slice(payload);
	struct buf out;

	(void)peer;
	buf_init(&out, IPC_FRAME_MAX);
	if (type != QUEUE_OPEN && type != QUEUE_TMPFILE && type != QUEUE_NEXT && type != QUEUE_WANT)
		delivery_id_put(&out, have_leased && is_relays(type) ? &leased : &id);
	if (type == QUEUE_HOLD || type == QUEUE_COMMIT)
		put_message(&out, s, false);
	else
		buf_append(&out, s.ptr, s.len);
	buf_reset(payload);
	buf_append(payload, out.data, out.len);
	buf_done(&out);
}
