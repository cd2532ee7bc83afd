/* scan_ipc_fuzz.c: milter-scan behind its socket, with messages as sealed files (or unsealed ones, which it must refuse). */
#include "config.h"

#include "tests/fuzz/border.h"

#include <sys/time.h>

#include "tests/fuzz/fuzz.h"

/* The scanner's deadline ends the process: not here. (libFuzzer's own -timeout goes with it.) */
int
setitimer(__itimer_which_t which, const struct itimerval *value, struct itimerval *old)
{
	(void)which;
	(void)value;
	(void)old;
	return 0;
}

const char border_role[] = "milter-scan";
const char border_conf[] = "trust_dir = \"trust\"\n";

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
	(void)peer;
	(void)type;
	buf_reset(payload);
	ipc_put_str(payload, "tinhmau.example");
	ipc_put_i64(payload, 1700000000);
	ipc_put_u32(payload, 20000);
}
