/* ledger_register_client.c: asks milter-ledger about a document's number, and enters it. Runs in milter's threads. */
#include "config.h"

#include "milter/ledger_client.h"
#include "milter/ledger_register.h"

#include "lib/err.h"

#include <stdio.h>
#include <string.h>

int
ledger_register_sync(
    struct ipc_sync *s, bool add, struct slice json, unsigned timeout_ms, struct ledger_entry *out)
{
	struct ipc_reader r;
	struct buf req, rep;
	uint16_t type = 0;
	uint8_t state;
	struct slice qid, ts;
	int err;

	buf_init(&req, 16384);
	buf_init(&rep, 4096);
	ipc_put_u8(&req, add);
	ipc_put_slice(&req, json);
	err = ipc_sync_call(s, LEDGER_REGISTER, &req, -1, timeout_ms, &type, &rep, NULL);
	if (err == 0 && type == LEDGER_RECORDED) {
		memset(out, 0, sizeof *out);
		out->state = REGISTERED_NEW;
	} else if (err == 0 && type == LEDGER_REGISTERED) {
		ipc_reader_init(&r, buf_slice(&rep));
		state = ipc_get_u8(&r);
		qid = ipc_get_slice(&r);
		ts = ipc_get_slice(&r);
		err = ipc_reader_end(&r);
		if (err == 0 && (state < REGISTERED_NEW || state > REGISTERED_OTHER))
			err = ERR_PROTO;
		if (err == 0) {
			out->state = (enum ledger_registered)state;
			snprintf(
			    out->qid, sizeof out->qid, "%.*s", (int)qid.len, (const char *)qid.ptr);
			snprintf(
			    out->ts, sizeof out->ts, "%.*s", (int)ts.len, (const char *)ts.ptr);
		}
	} else if (err == 0) {
		err = ERR_PROTO;
	}
	buf_done(&req);
	buf_done(&rep);
	return err;
}
