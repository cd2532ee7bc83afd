/* lookup_proto.c: the permit table of lookup's messages, from lookup_proto.def. */
#include "config.h"

#include "directory/lookup_client.h"

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "directory/lookup_proto.def"
#undef IPC_MSG
};

const struct ipc_proto lookup_proto = {
    "lookup", 1, IPC_LOOKUP, rules, sizeof(rules) / sizeof(rules[0])};
