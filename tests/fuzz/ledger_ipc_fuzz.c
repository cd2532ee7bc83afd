/* ledger_ipc_fuzz.c: milter-ledger behind its sockets: whatever a taken-over milter or smtpd-session has it record, the log stays a chain of lines
 * that audit_line_check takes (the ledger checks each line before it writes). */
#include "config.h"

#include "tests/fuzz/border.h"

#include "milter/ledger_client.h"
#include "tests/fuzz/fuzz.h"

const char border_role[] = "milter-ledger";
const char border_conf[] =
    "hostname = \"mail.tinhmau.example\"\naudit_log = \"audit.log\"\nledger_dir = \".\"\n";

void
border_prepare(void)
{
}

void
border_prologue(void)
{
}

void
border_patch(uint32_t peer, uint16_t type, struct buf *payload)
{
	struct slice s = buf_slice(payload);
	struct buf out;

	(void)peer;
	buf_init(&out, IPC_FRAME_MAX);
	if (type == LEDGER_REGISTER) {
		ipc_put_u8(&out, s.len % 2 == 0);
		ipc_put_slice(&out, s);
	} else if (type == LEDGER_CERT_ASK) {
		ipc_put_u32(&out, (uint32_t)(s.len / 32));
		for (size_t i = 0; i + 32 <= s.len; i += 32)
			ipc_put_slice(&out, slice_sub(s, i, 32));
	} else if (type == LEDGER_CERT_DECIDE) {
		ipc_put_u8(&out, s.len % 2 == 0);
		ipc_put_slice(&out, s);
	} else if (type == LEDGER_RECORD) {
		ipc_put_slice(&out, s);
	} else {
		ipc_put_str(&out, "0123456789abcdef");
		ipc_put_u32(&out, 250);
		for (int i = 0; i < 5; i++)
			ipc_put_slice(&out, slice_sub(s, (size_t)i * 8, 8));
		ipc_put_u32(&out, 1);
		for (int i = 0; i < 3; i++)
			ipc_put_slice(&out, slice_from(s, s.len / 2));
	}
	buf_reset(payload);
	buf_append(payload, out.data, out.len);
	buf_done(&out);
}
