/* scan_proto.h: the messages of scan_proto.def, for both ends: milter-scan and milter, store-text and ingest. */
#ifndef CV_SCAN_PROTO_H
#define CV_SCAN_PROTO_H

#include "lib/ipc.h"

extern const struct ipc_proto scan_proto;
enum scan_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "milter/scan_proto.def"
#undef IPC_MSG
};

/* Octets of the text that SCAN_TEXT gives of one message: what goes into one frame, with its signature, on its way to stored. */
#define SCAN_TEXT_MAX (960u << 10)

#endif
