/* scan_proto.c: the table of scan_proto.def. Runs in milter, milter-scan, store-text and ingest. */
#include "config.h"

#include "milter/scan_proto.h"

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "milter/scan_proto.def"
#undef IPC_MSG
};
const struct ipc_proto scan_proto = {"scan", 1, IPC_SCAN, rules, sizeof rules / sizeof *rules};
