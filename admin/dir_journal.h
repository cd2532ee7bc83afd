/* dir_journal.h: the journal of changes to the directory: a file of one record a line, chained as the audit log is (milter/audit.h), each durable
 * before what it tells of is done. Records of one change share "batch"; its writes come first, its "end" last ("done", "failed", "unknown"); a
 * change without an end was cut off. Beside it a state file tells where the journal ended, so that a cut at its end shows. */
#ifndef CV_DIR_JOURNAL_H
#define CV_DIR_JOURNAL_H

#include "directory/dir_admin.h"
#include "milter/audit.h"

struct dir_journal;
/* The file is made at the first change. path is copied. */
struct dir_journal *dir_journal_new(const char *path);
void dir_journal_free(struct dir_journal *j);
/* For dir_admin_set_journal; lives as long as j. begin waits up to 30 s for another congvu's change; it gives ERR_CORRUPT when the journal does not
 * end as the state file says, and ERR_IO. */
const struct dir_admin_journal *dir_journal_hooks(struct dir_journal *j);

struct dir_journal_check {
	uint64_t records, bad_line; /* bad_line: the first that breaks the chain, from 1; 0: none */
	uint64_t unfinished;        /* changes without their end */
	size_t torn;                /* bytes of a line that was cut off */
	bool is_cut;                /* the state file knows of more, or of another end */
	const char *why;            /* of bad_line; static */
	struct audit_chain head;
};
/* Reads all of it; fn (may be NULL) gets each good record: it keeps none. 0, ERR_NOTFOUND (no journal yet), ERR_IO; what is wrong with it is in
 * out. */
int dir_journal_read(const char *path, void (*fn)(void *arg, const struct json *rec), void *arg,
    struct dir_journal_check *out);

#endif
