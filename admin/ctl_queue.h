/* ctl_queue.h: what the files of `congvu queue` share. For ctl_queue*.c alone. */
#ifndef CV_CTL_QUEUE_H
#define CV_CTL_QUEUE_H

#include "admin/ctl.h"
#include "smtpd/queue_client.h"

struct queue_row {
	struct delivery_id id;
	char qid[QID_LEN + 1];
	uint8_t state;
	int64_t arrived, due; /* milliseconds since 1970; due 0: none is set */
	uint32_t attempts;
	uint64_t size;
	struct envelope env;
};
/* Which messages are meant: all given conditions hold. */
struct queue_filter {
	char **qids; /* ended by NULL; NULL or none: any */
	const char *from, *to, *domain, *state;
	bool all; /* none is needed */
};
/* Whether any condition is given. */
bool queue_filter_is_set(const struct queue_filter *f);
bool queue_filter_takes(const struct queue_filter *f, const struct queue_row *r);
/* Whether the recipient is one that --to and --domain mean. */
bool queue_filter_takes_rcpt(const struct queue_filter *f, const char *address);

/* A row as LIST and SHOW have it; strings in the arena. 0 or ERR_PROTO, ERR_NOMEM. */
int queue_row_read(struct ipc_reader *in, struct arena *a, struct queue_row *r);
struct json *queue_row_json(const struct queue_row *r);
void queue_row_print(const struct queue_row *r);
/* Calls fn for each message the filter takes; the row lives for the call. 0 or what the queue said. */
int queue_each(struct ipc_sync *s, const struct queue_filter *f,
    void (*fn)(void *arg, const struct queue_row *r), void *arg);
/* Peers chose addresses and answers: control characters do not reach the terminal. */
void queue_print_clean(const char *text);
/* The queue does not answer. */
int queue_fail(const struct ctl *c, int err);

/* ctl_queue_change.c: each gives the exit code. */
int queue_show(struct ctl *c, struct ipc_sync *s, const struct queue_filter *f);
int queue_change(
    struct ctl *c, struct ipc_sync *s, const struct queue_filter *f, enum queue_action action);

#endif
