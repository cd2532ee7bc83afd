/* sign_client.c: milter-sign's protocol table and its callers' side. Linked by milter-ledger (on the loop) and the milter (blocking). */
#include "config.h"

#include "milter/sign_client.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "milter/sign_proto.def"
#undef IPC_MSG
};
const struct ipc_proto sign_proto = {"sign", 1, IPC_SIGN, rules, sizeof rules / sizeof *rules};

struct checkpoint_call {
	sign_checkpoint_fn fn;
	void *arg;
};

static void
on_checkpointed(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct checkpoint_call *call = arg;
	struct sign_checkpoint what;

	(void)fd;
	if (err == 0 && type != SIGN_CHECKPOINTED)
		err = ERR_PROTO;
	if (err == 0) {
		what.text = ipc_get_slice(r);
		what.signature = ipc_get_slice(r);
		what.key_id = ipc_get_slice(r);
		err = ipc_reader_end(r);
	}
	call->fn(call->arg, err, err == 0 ? &what : NULL);
	free(call);
}

int
sign_checkpoint(struct ipc_client *c, uint64_t seq, const char *h, unsigned timeout_ms,
    sign_checkpoint_fn fn, void *arg)
{
	struct checkpoint_call *call = xmalloc(sizeof *call);
	struct buf b;
	int err;

	call->fn = fn;
	call->arg = arg;
	buf_init(&b, 256);
	ipc_put_u64(&b, seq);
	ipc_put_str(&b, h);
	err = b.err != 0
		  ? b.err
		  : ipc_call(c, SIGN_CHECKPOINT, &b, -1, timeout_ms, on_checkpointed, call, NULL);
	buf_done(&b);
	if (err != 0)
		free(call);
	return err;
}

int
sign_mail_sync(
    struct ipc_sync *s, const struct sign_mail *what, unsigned timeout_ms, struct buf *cms_out)
{
	struct buf ask, reply;
	struct ipc_reader r;
	struct slice cms;
	uint16_t type = 0;
	int err;

	buf_init(&ask, 2048);
	buf_init(&reply, 131072 + 64);
	ipc_put_slice(&ask, what->address);
	ipc_put_slice(&ask, slice_of(what->digest, sizeof what->digest));
	ipc_put_slice(&ask, slice_sub(what->qid, 0, 100));
	ipc_put_slice(&ask, slice_sub(what->login, 0, 400));
	err = ask.err;
	if (err == 0)
		err = ipc_sync_call(s, SIGN_MAIL, &ask, -1, timeout_ms, &type, &reply, NULL);
	if (err == 0 && type != SIGN_MAILED)
		err = ERR_PROTO;
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&reply));
		cms = ipc_get_slice(&r);
		err = ipc_reader_end(&r);
		if (err == 0)
			err = buf_append_slice(cms_out, cms);
	}
	buf_done(&ask);
	buf_done(&reply);
	return err;
}
