/* import_source.h: reads the mail of another server: a Maildir, mbox files, a tree of EML files. What lies there is hostile: only plain files are opened, no
 * link is followed below the place that was named, memory is bounded whatever there is. Used by congvu mailbox import. */
#ifndef CV_IMPORT_SOURCE_H
#define CV_IMPORT_SOURCE_H

#include "admin/import_send.h"
#include "admin/mboxfile.h"

enum import_format { IMPORT_GUESS, IMPORT_MAILDIR, IMPORT_MBOX, IMPORT_EML };

struct import_source {
	int fd; /* the folder or file */
	enum import_format format;
	enum mboxfile_quoting quoting;
	uint64_t size_max; /* of a message */
	/* A mailbox: its name in UTF-8 ("" for what a single file has). 0: its messages follow; 1: not this one; negative: stop, with this. */
	int (*box)(void *arg, const char *name);
	/* A message that was read well, m->where and date and flags set, m->id made. Takes it. 0, or stop with this. */
	int (*msg_take)(void *arg, struct import_msg *m);
	/* What is not brought: a word for why (a row of the table in ctl_mailbox_import.c); errno of system calls, 0. */
	void (*refused)(void *arg, const char *where, const char *why, int sys);
	/* Files that are no mail, passed over. */
	void (*passed)(void *arg);
	void *arg;
	/* So much there is, and so much was looked at: messages, or octets of mbox files. */
	uint64_t total, at;
	bool in_octets;
};
/* Which format it has: a folder "cur" is a Maildir; a file that begins "From " an mbox; files *.eml make a tree. IMPORT_GUESS: cannot be told. */
enum import_format import_source_guess(int fd);
/* Counts into total. */
void import_source_count(struct import_source *s);
/* All of it. 0, or what a function of it stopped with; ERR_UNSUPPORTED: it is no file or folder of that format; ERR_IO. */
int import_source_read(struct import_source *s);

/* ---- import_files.c, import_mbox.c: for one another ---- */
/* A plain file below dir; -1 after it was refused. */
int import_file_open(struct import_source *s, int dir, const char *name, const char *where);
/* "path/name", freed by the caller. */
char *import_path(const char *path, const char *name);
void import_id_make(struct import_msg *m, char kind, const char *box, struct slice identity);
int import_mbox_file(struct import_source *s, int fd, const char *path, const char *box);
bool import_is_mbox(int fd);
/* Ends a message that was read: hands it on or says why not. */
int import_msg_give(struct import_source *s, struct import_msg *m);

#endif
