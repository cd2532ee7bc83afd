/* scan_client.h: the milter's way to milter-scan. */
#ifndef CV_SCAN_CLIENT_H
#define CV_SCAN_CLIENT_H

#include "lib/ipc.h"
#include "milter/findings.h"

extern const struct ipc_proto scan_proto;
enum scan_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "milter/scan_proto.def"
#undef IPC_MSG
};

/* fd: sealed memfd, taken. The scanner gives up at the deadline, the caller a second later. The findings live in the arena. 0; ERR_TIMEOUT, ERR_CLOSED (the scanner died), ERR_TEMP, ERR_PROTO. */
int scan_sync(struct ipc_sync *s, int fd, struct slice domain, int64_t now, unsigned deadline_ms,
    struct arena *a, struct findings *out);

#endif
