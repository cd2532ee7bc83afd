/* ingest_proto.c: who may send what to ingest. Runs in ingest and imapd-session. */
#include "store/ingest_proto.h"

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "store/ingest_proto.def"
#undef IPC_MSG
};

const struct ipc_proto ingest_proto = {
    .name = "ingest",
    .version = 1,
    .server = IPC_INGEST,
    .rules = rules,
    .n_rules = sizeof rules / sizeof rules[0],
};
