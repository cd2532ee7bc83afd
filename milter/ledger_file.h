/* ledger_file.h: the audit log as files: recovery at start, and batches written and synced by a thread of its own. */
#ifndef CV_LEDGER_FILE_H
#define CV_LEDGER_FILE_H

#include "lib/loop.h"
#include "milter/audit.h"

struct ledger_file;

/* What opening found: a record that says so is the first thing to be written. NULL members: nothing of the kind. */
struct ledger_recovery {
	const char *
	    kind; /* NULL, "torn_line", "torn_batch", "bad_last_line", "missing_records", "replaced" */
	uint64_t cut; /* octets that were no whole record, or stood behind one that was not */
	char cut_sha256[65];
	uint64_t found_seq, expected_seq;
};

/* Opens (makes) log and its state file, cuts what a power cut left in part behind the last sync, finds the end of the chain and has it on
 * stable storage. owner: uid for new files, -1: as is.
 * 0 or ERR_IO with errno, ERR_EXISTS when another process has it. */
int ledger_file_open(
    const char *path, int64_t owner, struct ledger_file **out, struct ledger_recovery *rec_out);
void ledger_file_close(struct ledger_file *f);
const struct audit_chain *ledger_file_last(const struct ledger_file *f);
uint64_t ledger_file_size(const struct ledger_file *f);

/* A batch: lines sealed on top of ledger_file_last, up to end. From the loop, fn(arg, false, 0) says at most once that the bytes are
 * written (where somebody waits for that: early), and fn(arg, true, err) exactly once that the batch is over: on stable storage if sync was asked for, or failed (the log
 * is then as before it). One batch at a time. After a failed sync, or when a failed write could not be undone,
 * ledger_file_broken: no batch may be started until the next start of the process. */
typedef void (*ledger_batch_fn)(void *arg, bool done, int err);
int ledger_file_start(
    struct ledger_file *f, struct loop *l, ledger_batch_fn fn, void *arg); /* starts the thread */
/* lines stays the caller's, untouched until fn(done), and is reset before that. */
void ledger_file_write(
    struct ledger_file *f, struct buf *lines, const struct audit_chain *end, bool sync, bool early);
bool ledger_file_broken(const struct ledger_file *f);

/* Rotation, between batches: the file that was written to is closed under the number of its first record (audit_files.h), an empty one is begun.
 * fn(arg of ledger_file_start, err) from the loop; on an error the file is as before (or ledger_file_broken). */
typedef void (*ledger_rotated_fn)(void *arg, int err);
void ledger_file_rotate(struct ledger_file *f, ledger_rotated_fn fn);
uint64_t ledger_file_first(
    const struct ledger_file *f);                       /* number of the first record in the file */
int64_t ledger_file_begun(const struct ledger_file *f); /* seconds since 1970; 0: it is empty */

/* For tests: the nth call of pwrite (0: none) or fdatasync from now on fails with en. */
void ledger_file_fail(int nth_write, int nth_sync, int en);

#endif
