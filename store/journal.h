/* journal.h: the changes of rows that were committed lately, in order, in files "j-<16 hex offset>" of a folder: what a backup takes to go on from where it
 * was. Runs in stored, under backend_kv.c. A stream of records (backup_rec.h) with an epoch, chosen at random when it is begun.
 *
 * A transaction's record is written before it is committed; the row "w/j", in the same transaction, says where it ends and its CRC. So a start can tell whether
 * the files hold exactly what was committed: after kill -9 they do; after a power cut they may not, since they are not synced with each commit. Then, or when
 * anything goes wrong, the journal is dropped, never a commit: the next backup takes all rows anew, under another epoch.
 *
 * It is off until the first backup asks for it, and goes off by itself when none has asked for JOURNAL_IDLE_S. Rows whose key begins with "w/" are not in it. */
#ifndef CV_JOURNAL_H
#define CV_JOURNAL_H

#include "store/kv.h"

#define JOURNAL_EPOCH 16
#define JOURNAL_IDLE_S (8 * 86400)

struct journal;
struct journal_state {
	unsigned char epoch[JOURNAL_EPOCH];
	uint64_t first,
	    end; /* offsets in the stream: the oldest that is kept, behind the last that is committed */
	int64_t at_us; /* of the last record; 0: none yet */
};
struct journal_options {
	const char *dir;             /* made when missing */
	uint64_t file_max, keep_max; /* octets of one file, of all; 0: 16 MiB, 512 MiB */
	/* A row "b/..." was put and committed, whether or not the journal is on. May be NULL. */
	void (*body)(void *arg, struct slice key, struct slice value);
	void *arg;
};
/* Sets the tap of kv. 0, ERR_IO, ERR_FULL; a journal that does not fit the rows is dropped, which is no error. */
int journal_open(struct kv *kv, const struct journal_options *o, struct journal **j_out);
/* Before kv_close. NULL accepted. */
void journal_close(struct journal *j);
/* Begins it when it is off: every transaction committed after this call is in it, and those before are seen by who reads rows now. Blocks for
 * the transactions under way. 0, ERR_TEMP, or what kv gives. */
int journal_begin(struct journal *j);
/* ERR_NOTFOUND: it is off. */
int journal_state_get(struct journal *j, struct journal_state *s_out);
/* Appends at most max octets from off on, up to what is committed. ERR_GONE: another epoch, or it is not kept any more. ERR_RANGE: beyond the end. ERR_IO. */
int journal_read(struct journal *j, const unsigned char epoch[JOURNAL_EPOCH], uint64_t off,
    uint32_t max, struct buf *out);

#endif
