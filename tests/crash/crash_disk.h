/* crash_disk.h: a disk as the record of a role (crash.h) made it: for each file what is on stable storage and what is not yet, the same for
 * folders; and the states that a power cut may leave. In tests only. */
#ifndef CV_CRASH_DISK_H
#define CV_CRASH_DISK_H

#include "tests/crash/crash.h"

struct disk;
/* What of it that was not synced is there. Each file is for itself. */
enum disk_kind {
	DISK_LOST,    /* nothing */
	DISK_ALL,     /* everything: kill -9 */
	DISK_WRITES,  /* each write or not */
	DISK_SECTORS, /* each sector of 512 octets or not */
	DISK_LATER,   /* the later ones, not the earlier */
	DISK_PREFIX,  /* the earlier ones, not the later */
	DISK_TORN,    /* everything, but only some sectors of the last write */
	DISK_MIXED,   /* another of these for each file */
	DISK_KINDS,
};
extern const char *const disk_kinds[DISK_KINDS];

/* ignore: syncs of files whose path begins so do nothing; NULL: none. site: nor do those that were called from there; 0: none. */
struct disk *disk_new(const char *ignore, uint64_t site);
void disk_free(struct disk *d);
/* The bytes are borrowed as long as the disk lives. */
void disk_apply(struct disk *d, const struct crash_rec *r, const unsigned char *data);
/* The path under which that opening was, "" when it is not known. */
const char *disk_path(const struct disk *d, uint64_t number);
/* Whether that sync, not yet applied, makes anything durable that was not. */
bool disk_sync_counts(struct disk *d, const struct crash_rec *r);
/* Writes a state into dir, which is empty, and destroys d for all other use. 0 or -1 with errno. */
int disk_cut(struct disk *d, enum disk_kind kind, uint32_t seed, const char *dir);

#endif
