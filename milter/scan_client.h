/* scan_client.h: the milter's way to milter-scan. */
#ifndef CV_SCAN_CLIENT_H
#define CV_SCAN_CLIENT_H

#include "milter/findings.h"
#include "milter/scan_proto.h"
#include "milter/scan_terms.h"

/* how: SCAN_MESSAGE or SCAN_SHALLOW. terms: NULL, none. fd: sealed memfd, taken. The scanner gives up at the deadline, the caller a second later. The findings live in the arena. 0; ERR_TIMEOUT, ERR_CLOSED (the scanner died), ERR_TEMP, ERR_PROTO;
 * ERR_CONFLICT: the scanner's knowledge of revocations is not of that version (it is a new one). */
int scan_sync(struct ipc_sync *s, enum scan_msg how, const struct scan_terms *terms, int fd,
    struct slice domain, int64_t now, unsigned deadline_ms, uint64_t rev_version, struct arena *a,
    struct findings *out);
/* Hands the scanner a CRL or OCSP answer (fd: sealed memfd, taken), or makes it forget one (fd -1). Errors as above, and ERR_SYNTAX,
 * ERR_LIMIT. */
int scan_rev_sync(struct ipc_sync *s, uint64_t version, enum want_kind kind, struct slice key,
    int fd, int64_t *this_out, int64_t *next_out);

#endif
