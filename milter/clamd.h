/* clamd.h: asks a virus scanner of the site that speaks clamd's protocol about a message. */
#ifndef CV_CLAMD_H
#define CV_CLAMD_H

#include "lib/buf.h"

enum clamd_answer {
	CLAMD_CLEAN,
	CLAMD_FOUND, /* text: the signature's name */
	CLAMD_UNSCANNED, /* too large, past one of its limits, locked, or it is there and does not get through with it */
	CLAMD_FAILED,  /* not there, or its answer is not understood */
	CLAMD_HURRIED, /* no answer in wait_ms, which were fewer than it may take: nothing is known of the message or of clamd */
};
/* fd: read from its start, size octets; more than max are not sent. text: printable ASCII, appended. usual_ms: how long it may take over a message;
 * wait_ms: how long there is, at most that. Blocks for wait_ms and, when it took usual_ms in vain, a second more. */
enum clamd_answer clamd_ask(const char *path, int fd, uint64_t size, uint64_t max, unsigned wait_ms,
    unsigned usual_ms, struct buf *text);

/* An answer to INSTREAM, without its NUL; pure. */
enum clamd_answer clamd_read(struct slice reply, struct buf *text);

#endif
