/* ingest_proto.h: the table of ingest_proto.def, shared by ingest and its client. */
#ifndef CV_INGEST_PROTO_H
#define CV_INGEST_PROTO_H

#include "lib/ipc.h"

#define INGEST_PIECE_MAX 65536

extern const struct ipc_proto ingest_proto;
enum ingest_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "store/ingest_proto.def"
#undef IPC_MSG
};

#endif
