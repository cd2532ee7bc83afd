/* audit_files.h: the files of an audit log: PATH is written to, PATH.<number of its first record, twelve digits> are those before it. */
#ifndef CV_AUDIT_FILES_H
#define CV_AUDIT_FILES_H

#include "lib/buf.h"

#define AUDIT_FILES_MAX 100000

struct audit_files {
	struct audit_file {
		char *path;
		uint64_t first; /* 0: PATH itself, the last one */
	} * list;
	size_t n;
};
/* Those that are there, in the order of their records; PATH itself last, when it is there. 0, ERR_IO, ERR_LIMIT. */
int audit_files_list(const char *path, struct audit_files *out);
void audit_files_done(struct audit_files *f);
/* The name of a file that is closed: base and twelve digits. */
void audit_files_name(const char *base, uint64_t first, struct buf *out);
/* Whether name is base with a number behind it, which is given. */
bool audit_files_is(const char *base, const char *name, uint64_t *first_out);

#endif
