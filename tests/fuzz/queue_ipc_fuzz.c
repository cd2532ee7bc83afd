/* queue_ipc_fuzz.c: smtpd-queue behind its sockets: what a taken-over smtpd-session, relay or congvu may send, with the id of a message that was
 * opened and of one that was queued. */
#include "config.h"

#include "tests/fuzz/border.h"

#include <string.h>

#include "smtpd/envelope.h"
#include "smtpd/queue_client.h"
#include "tests/fuzz/fuzz.h"

const char border_role[] = "smtpd-queue";
const char border_conf[] = "hostname = \"mail.tinhmau.example\"\nqueue_lifetime_s = 600\n";
static struct delivery_id id;

void
border_prepare(void)
{
}

static void
put_message(struct buf *b, struct slice content)
{
	struct envelope_rcpt rcpt = {"c@hopthu.example", RCPT_REMOTE, 0, "", ""};
	struct envelope e = {.from = "an@tinhmau.example",
	    .ret = "",
	    .envid = "",
	    .login = "an",
	    .client_ip = "",
	    .quarantine = "",
	    .rcpts = &rcpt,
	    .n_rcpts = 1};

	if (content.len > 0 && (content.ptr[0] & 1) != 0)
		rcpt.state = RCPT_LOCAL;
	envelope_put(b, &e);
	ipc_put_str(b, "Subject: x\r\n\r\n");
	ipc_put_u64(b, 0);
	ipc_put_u64(b, content.len);
	ipc_put_u8(b, 1);
	ipc_put_slice(b, content);
}

void
border_prologue(void)
{
	struct ipc_reader r;
	struct slice reply;
	struct buf b;

	buf_init(&b, 64);
	ipc_put_u64(&b, 100);
	if (border_send(IPC_SMTPD, QUEUE_OPEN, &b, -1, &reply) == QUEUE_OPENED) {
		ipc_reader_init(&r, reply);
		MUST(delivery_id_get(&r, &id) == 0 && ipc_reader_end(&r) == 0);
	}
	buf_done(&b);
}

void
border_patch(uint32_t peer, uint16_t type, struct buf *payload)
{
	struct slice s = buf_slice(payload);
	struct buf out;

	(void)peer;
	buf_init(&out, IPC_FRAME_MAX);
	if (type != QUEUE_OPEN && type != QUEUE_TMPFILE && type != QUEUE_NEXT)
		delivery_id_put(&out, &id);
	if (type == QUEUE_HOLD || type == QUEUE_COMMIT)
		put_message(&out, s);
	else
		buf_append(&out, s.ptr, s.len);
	buf_reset(payload);
	buf_append(payload, out.data, out.len);
	buf_done(&out);
}
