/* pace.h: replies that go out at a time that was set when their question came, to the microsecond, so that how long it took to find them tells nothing. On one loop. */
#ifndef CV_PACE_H
#define CV_PACE_H

#include "lib/ipc.h"
#include "lib/loop.h"

struct pace;
/* For replies that wait about equally long; others have one of their own. fatal() without descriptors. */
struct pace *pace_new(struct loop *l);
/* The clock of due_us. */
uint64_t pace_now_us(void);
/* Replies with payload (copied, wiped) at due_us; at once only when that is past. The connection is held till then. */
void pace_reply(struct pace *p, struct ipc_conn *c, uint32_t id, uint16_t type,
    struct slice payload, uint64_t due_us);
void pace_reply_err(
    struct pace *p, struct ipc_conn *c, uint32_t id, int err, const char *why, uint64_t due_us);
/* How many wait. */
unsigned pace_waiting(const struct pace *p);

#endif
