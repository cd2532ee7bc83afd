/* store_proto.h: the table of store_proto.def, shared by stored and its clients. */
#ifndef CV_STORE_PROTO_H
#define CV_STORE_PROTO_H

#include "lib/ipc.h"

extern const struct ipc_proto store_proto;
enum store_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "store/store_proto.def"
#undef IPC_MSG
};

#endif
