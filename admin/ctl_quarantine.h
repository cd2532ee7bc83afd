/* ctl_quarantine.h: what the two files of `congvu quarantine` share. */
#ifndef CV_CTL_QUARANTINE_H
#define CV_CTL_QUARANTINE_H

#include "admin/ctl_queue.h"
#include "admin/ctl_trace.h"

/* A message that a milter quarantined, and what was asked about it. */
struct held {
	struct delivery_id id;
	char qid[QID_LEN + 1];
	char *reason, *from; /* malloc'd */
	int64_t arrived;     /* ms since 1970 */
	uint64_t size;
	uint32_t n_rcpts;
	struct json *row; /* as queue_row_json */
	struct json *
	    asked; /* the request: by, reason, decision, rules, at, confirmed_by, refused; NULL: none */
};
struct held_list {
	struct held *v;
	size_t n, alloc;
};
/* All of them, or the one with this QID, with what was asked. 0 or an exit code, told. */
int held_read(struct ctl *c, struct ipc_sync *s, const char *qid, struct held_list *out);
void held_done(struct held_list *l);
/* The rule that the reason begins with; empty when it is no rule of ours. */
struct slice held_rule(const struct held *h);
/* One request of QUEUE_RELEASE (congvu's words may be NULL). 0 and *asked_out (may be NULL; the caller's), or what the queue says. */
int held_ask(struct ipc_sync *s, const struct delivery_id *id, enum queue_release what,
    bool only_look, const char *reason, const char *decision, const char *rules,
    struct json **asked_out);

int quarantine_release(struct ctl *c, struct ipc_sync *s, int argc, char **argv);
int quarantine_delete(struct ctl *c, struct ipc_sync *s, int argc, char **argv);

#endif
