/* store_proto.c: who may send what to stored. Runs in stored, imapd-session, ingest and the admin command. */
#include "store/store_proto.h"

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "store/store_proto.def"
#undef IPC_MSG
};

const struct ipc_proto store_proto = {
    .name = "store",
    .version = 1,
    .server = IPC_STORED,
    .rules = rules,
    .n_rules = sizeof rules / sizeof rules[0],
};
