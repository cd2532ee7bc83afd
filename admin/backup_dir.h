/* backup_dir.h: a backup folder being written or read. Runs in congvu, as whoever calls it. Files are made with mode 0600 and opened without following links.
 * Nothing that the manifest counts is ever changed: files grow behind it, and the manifest is replaced once what it counts is on stable storage. So
 * whoever is killed at any point leaves the backup that was there, and the next one goes on behind it. */
#ifndef CV_BACKUP_DIR_H
#define CV_BACKUP_DIR_H

#include "admin/backup_manifest.h"

/* A file that grows. */
struct backup_file {
	int fd; /* -1: not open */
	struct sha256 *sum;
	struct backup_part *part; /* kept up to date by backup_file_seal */
	uint64_t octets;
	bool dirty;
};
struct backup_dir {
	int fd, segments_fd, lock_fd;
	struct backup_manifest m;
	bool damaged; /* there was a manifest that cannot be read */
};
/* Opens path, relative to at_fd; make: makes what is missing, for one who writes. Locked in any case: ERR_EXISTS when another process has it.
 * ERR_NOTFOUND: no folder (or, to read, no manifest); ERR_CORRUPT, ERR_UNSUPPORTED: the manifest; ERR_DENIED: a folder with other things in it; ERR_IO, ERR_FULL. */
int backup_dir_open(int at_fd, const char *path, bool make, struct backup_dir *d);
void backup_dir_close(struct backup_dir *d);
/* Durable, then told: everything the manifest counts must be durable before (backup_file_sync). */
int backup_dir_commit(struct backup_dir *d);
/* Removes files that the manifest does not know. */
void backup_dir_sweep(struct backup_dir *d);

void backup_rows_name(uint32_t gen, char out[32]);
void backup_journal_name(uint32_t gen, char out[32]);
void backup_segment_name(uint32_t number, uint32_t copy, char out[32]);

/* To append behind part->octets; what stands there is read and its digest checked (ERR_CORRUPT), the rest is cut. */
int backup_file_open(int dir_fd, const char *name, struct backup_part *part, struct backup_file *f);
int backup_file_append(struct backup_file *f, struct slice s);
/* On stable storage, and part says so. */
int backup_file_sync(struct backup_file *f);
void backup_file_close(struct backup_file *f);

/* Reads the first part->octets of a file in pieces, and its digest: ERR_CORRUPT when it is another one or the file is shorter. fn may be NULL; what it gives
 * other than 0 is given. The bytes are not to be believed before 0 came. */
int backup_part_read(int dir_fd, const char *name, const struct backup_part *part,
    int (*fn)(void *arg, struct slice piece), void *arg);

#endif
