/* scan_fd.h: bytes that come as a sealed memory file, and a deadline for what is done with them: for the mains of the scanning roles. */
#ifndef CV_SCAN_FD_H
#define CV_SCAN_FD_H

#include "lib/buf.h"

#define SCAN_DEADLINE_MAX_MS 120000

/* Once, before any work: past a deadline the process ends itself, and its parent starts another. */
void scan_deadline_init(void);
/* Maps the bytes behind fd (taken; sealed against change, or ERR_PROTO) for the time of one piece of work; its result. deadline_ms of wall time; 0, or more
 * than SCAN_DEADLINE_MAX_MS: that. ERR_NOMEM. */
int scan_with_bytes(
    int fd, unsigned deadline_ms, int (*work)(struct slice bytes, void *arg), void *arg);

#endif
