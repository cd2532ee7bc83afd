/* scan_client.c: asks milter-scan about one message and reads its findings as what they are: bytes from the process that touches
 * hostile content. Runs in milter's threads. */
#include "config.h"

#include "milter/scan_client.h"

#include "lib/err.h"

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "milter/scan_proto.def"
#undef IPC_MSG
};
const struct ipc_proto scan_proto = {"scan", 1, IPC_SCAN, rules, sizeof rules / sizeof *rules};

int
scan_sync(struct ipc_sync *s, int fd, struct slice domain, int64_t now, unsigned deadline_ms,
    struct arena *a, struct findings *out)
{
	struct buf req, rep;
	uint16_t type = 0;
	int err;

	buf_init(&req, 4096);
	buf_init(&rep, IPC_FRAME_MAX);
	ipc_put_slice(&req, domain);
	ipc_put_i64(&req, now);
	ipc_put_u32(&req, deadline_ms);
	err = ipc_sync_call(s, SCAN_MESSAGE, &req, fd, deadline_ms + 1000, &type, &rep, NULL);
	if (err == 0)
		err = type == SCAN_FINDINGS ? findings_decode(buf_slice(&rep), a, out) : ERR_PROTO;
	buf_done(&req);
	buf_done(&rep);
	return err;
}
