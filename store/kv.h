/* kv.h: an ordered key-value store with transactions, in one folder, owned by exactly one process (DESIGN.md "One owner per
 * Berkeley DB environment"). kv_bdb.c is Berkeley DB 5.3, kv_mem.c its twin in memory for tests. Used by stored,
 * smtpd-queue and milter-ledger. All calls block and may be made from any thread (a transaction from one thread at a time).
 *
 * One key space, byte-wise order. Keys: 1 to KV_KEY_MAX bytes; values: 0 to KV_VALUE_MAX.
 *
 * What it survives: kill -9 at any point; a full disk (ERR_FULL, the transaction is aborted, nothing of it stays; puts are refused while
 * recovery and checkpoints still have room, deletions are not); loss of power, also in the middle of writing a page (kv_page.h). Every page
 * carries a checksum.
 *
 * An environment that panics (failed check sum, failed log write) ends the process with fatal(): its parent starts it again,
 * and kv_bdb_open recovers. */
#ifndef CV_KV_H
#define CV_KV_H

#include "lib/buf.h"

#define KV_KEY_MAX 256
#define KV_VALUE_MAX (1u << 20)

struct kv;
struct kv_txn;

struct kv_options {
	const char *
	    dir; /* existing folder, may be "." (relative to the working folder, which must not change later) */
	size_t cache_bytes; /* 0: 8 MiB */
	unsigned
	    max_writes; /* about how many rows one transaction changes at most; 0: 10,000. Sizes the lock table */
	size_t log_file_bytes;  /* 0: 4 MiB; a file of the write-ahead log */
	uint64_t reserve_bytes; /* free space below which nothing is put; 0: 32 MiB */
	bool notes;             /* there may be notes: no log goes before kv_settle_by */
};
/* Opens (makes) the store, always with recovery: only one process may do this at a time (a lock file sees to it: ERR_EXISTS). Checkpoints
 * and removal of old log files are done by a thread of its own every few seconds when there was work. 0, ERR_IO,
 * ERR_FULL, ERR_CORRUPT, ERR_EXISTS, ERR_NOMEM; the reason is logged. */
int kv_bdb_open(const struct kv_options *o, struct kv **kv_out);
/* Nothing of it outlives kv_close. */
int kv_mem_open(struct kv **kv_out);

/* Ends all (transactions must be over), with a checkpoint. NULL accepted. */
void kv_close(struct kv *kv);

/* Every transaction ends by kv_commit or kv_abort. Calls inside may fail with ERR_AGAIN (deadlock with another one): abort and
 * do it all again. After any other error but ERR_NOTFOUND and ERR_EXISTS: abort. */
int kv_begin(struct kv *kv, struct kv_txn **txn_out);
/* sync: on stable storage before it returns; else it is durable after the next kv_sync (or later sync commit). Either way it is atomic,
 * and visible to others at return (a sync commit: only once it is durable). The transaction is over, whatever the result: on an
 * error nothing of it was done, except ERR_UNKNOWN: it cannot be known (the process should end). */
int kv_commit(struct kv_txn *t, bool sync);
void kv_abort(struct kv_txn *t); /* NULL accepted */
/* Makes all commits so far durable. */
int kv_sync(struct kv *kv);
/* Writes changed pages to the data file and drops log files not needed any more. kv_bdb does it by itself as well. */
int kv_checkpoint(struct kv *kv);
/* A checkpoint after which no log is left that was written before the call: notes, and what rows were, are gone. 0, ERR_TEMP (a
 * transaction from before it does not end), or as kv_checkpoint. */
int kv_forget_log(struct kv *kv);

/* value_out is reset first; its cap bounds what is read (ERR_LIMIT). t NULL: outside of a transaction, sees committed values only. 0 or
 * ERR_NOTFOUND. kv_get_update locks the row for this transaction, so that a later put in it cannot deadlock. */
int kv_get(struct kv *kv, struct kv_txn *t, struct slice key, struct buf *value_out);
int kv_get_update(struct kv_txn *t, struct slice key, struct buf *value_out);
/* Inserts or replaces. */
int kv_put(struct kv_txn *t, struct slice key, struct slice value);
/* Inserts only: ERR_EXISTS. */
int kv_insert(struct kv_txn *t, struct slice key, struct slice value);
/* 0 or ERR_NOTFOUND. */
int kv_del(struct kv_txn *t, struct slice key);

/* Calls fn for rows with from <= key < to (to empty: no bound) ascending, at most max of them (0: no bound), until fn gives non-zero, which
 * is returned. Slices are borrowed for the call. fn must not change the store. t NULL: sees committed rows only; each
 * row is seen at most once even when the scan had to be resumed after a deadlock; no lock is held longer than a few
 * hundred rows. */
typedef int (*kv_row_fn)(void *arg, struct slice key, struct slice value);
int kv_scan(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, size_t max,
    kv_row_fn fn, void *arg);
/* The last row with from <= key < to: key and value (either may be NULL) as kv_get gives them. 0 or ERR_NOTFOUND. */
int kv_last(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to,
    struct buf *key_out, struct buf *value_out);

/* Who hears of every change that is committed (journal.c). begin is called with each transaction, and may leave something in t->tapped; change with
 * each row put (value NULL: removed); commit before it is committed, in it (an error aborts it and is kv_commit's); end when it is over, with what begin left: 0, or not
 * committed; synced: it is on stable storage. From the transaction's thread. */
struct kv_tap {
	void *arg;
	void (*begin)(void *arg, struct kv_txn *t);
	void (*change)(void *arg, struct kv_txn *t, struct slice key, const struct slice *value);
	int (*commit)(void *arg, struct kv_txn *t);
	void (*end)(void *arg, void *tapped, int err, bool synced);
};
/* Before the first transaction, for good; tap is borrowed. Changes made by commit itself (kv_put_untapped, kv_del_untapped) are not told. */
void kv_set_tap(struct kv *kv, const struct kv_tap *tap);
int kv_put_untapped(struct kv_txn *t, struct slice key, struct slice value);
int kv_del_untapped(struct kv_txn *t, struct slice key);

/* A note goes into the log with a transaction, for something kept outside of the store that would else have to be synced there first (a small body in a
 * segment): it is durable when the transaction is. At the next start kv_notes gives those that may not be settled, oldest first, of transactions that came to
 * nothing too. The log that holds a note goes only after settle(arg), which makes durable, outside, what all notes told before the call; by a thread of the
 * store's own, about as often as checkpoints. kv_notes, then kv_settle_by, before the first note. */
#define KV_NOTE_MAX 65536
int kv_note(struct kv_txn *t, struct slice note); /* 0, ERR_LIMIT, ERR_FULL, ERR_IO */
typedef int (*kv_note_fn)(void *arg, struct slice note);
int kv_notes(struct kv *kv, kv_note_fn fn, void *arg);
void kv_settle_by(struct kv *kv, void (*settle)(void *arg), void *arg);

/* ---- for kv_*.c ---- */
struct kv_ops {
	void (*close)(struct kv *kv);
	int (*begin)(struct kv *kv, struct kv_txn **txn_out);
	int (*commit)(struct kv_txn *t, bool sync);
	void (*abort)(struct kv_txn *t);
	int (*sync)(struct kv *kv);
	int (*checkpoint)(struct kv *kv);
	int (*get)(
	    struct kv *kv, struct kv_txn *t, struct slice key, bool update, struct buf *value_out);
	int (*put)(struct kv_txn *t, struct slice key, struct slice value, bool insert);
	int (*del)(struct kv_txn *t, struct slice key);
	int (*scan)(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, size_t max,
	    kv_row_fn fn, void *arg);
	int (*last)(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to,
	    struct buf *key_out, struct buf *value_out);
	/* NULL: what is not durable needs no notes */
	int (*note)(struct kv_txn *t, struct slice note);
	int (*notes)(struct kv *kv, kv_note_fn fn, void *arg);
	void (*settle_by)(struct kv *kv, void (*settle)(void *arg), void *arg);
	int (*forget_log)(struct kv *kv);
};
struct kv {
	const struct kv_ops *ops;
	const struct kv_tap *tap; /* NULL: none */
};
struct kv_txn {
	struct kv *kv;
	void *tapped;
};

#endif
