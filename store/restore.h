/* restore.h: for restore*.c alone, congvu-stored-restore: a store made anew out of a backup. */
#ifndef CV_RESTORE_H
#define CV_RESTORE_H

#include "store/backup_rec.h"
#include "store/kv.h"

struct seg_keys;
struct restore {
	struct kv *kv;
	struct kv_txn *t;
	size_t pending; /* changes in t */
	uint64_t rows;
	uint32_t uidvalidity; /* what every mailbox has now */
	uint64_t mailboxes, messages, bodies, damaged;
	const struct seg_keys *keys; /* of store_key_file; NULL: none */
	/* One line of what was found: JSON. */
	void (*tell)(struct restore *r, struct slice line);
	void *arg;
};
/* restore_load.c. op: for backup_stream. Errors as kv.h has them. */
int restore_op(void *arg, const struct backup_op *op);
int restore_flush(struct restore *r);
/* Raises the UIDVALIDITY of every mailbox above all that were given, at least to now (seconds). ERR_RANGE: there are no numbers left; ERR_CORRUPT. */
int restore_raise(struct restore *r, int64_t now);

/* restore_check.c: every body is read and compared with its checks and its digest; every message must have one. Counts into r and tells of what is
 * damaged. segments: the folder. An error is one that ended the check. */
int restore_check(struct restore *r, const char *segments);

/* restore_take.c: messages of single mailboxes to congvu, at both ends of its pipes. An error was told there. */
int restore_take(struct restore *r, int in_fd, int out_fd, size_t cache);

#endif
