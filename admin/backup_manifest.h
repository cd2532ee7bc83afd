/* backup_manifest.h: what a backup folder says of itself: the file "manifest", JSON and a line with its SHA-256. Pure. A backup folder is hostile input to
 * whoever restores it: no name of a file stands in it, only numbers that names are made of. Used by congvu alone.
 *
 *	manifest                what of the other files counts; replaced at once
 *	lock                    held by the one who writes
 *	rows-<8 hex>            rows as they were read, records of changes (store/backup_rec.h)
 *	journal-<8 hex>         the changes since, of the same number
 *	segments/seg-<8 hex>    the store's files, as far as they were settled; with ".<n>" when one was copied anew, since the store rewrote its header
 *
 * Octets behind what the manifest counts are of a backup that was cut off; they are cut or written over. */
#ifndef CV_BACKUP_MANIFEST_H
#define CV_BACKUP_MANIFEST_H

#include "lib/json.h"

#define MANIFEST_MAX (64u << 20)
#define MANIFEST_VERSION 1
#define EPOCH_LEN 16
#define STORE_ID_LEN 16

struct backup_part { /* a file, or the beginning of one */
	uint64_t octets;
	unsigned char sha256[32];
};
/* Rows and the changes that make them the rows of one moment. */
struct backup_set {
	bool there, rows_done;
	uint32_t gen; /* number in the names */
	unsigned char epoch[EPOCH_LEN];
	uint64_t from; /* place in the store's journal where ours begins */
	struct backup_part rows, journal;
	unsigned char last_key[256]; /* rows are taken up to here */
	size_t last_key_len;
};
struct backup_segment {
	uint32_t number;
	uint32_t copy; /* in the name: 0, or how often the file was copied anew */
	struct backup_part part;
};
struct backup_manifest {
	unsigned char store[STORE_ID_LEN]; /* whose it is; zeros: nobody's yet */
	int64_t moment_us;                 /* whose state set is; 0: there is none yet */
	struct backup_set set;             /* what a restore takes */
	struct backup_set next;            /* one that is being made */
	struct backup_segment *segments;   /* ascending */
	size_t n_segments;
};
/* 0; ERR_CORRUPT: damaged, or not one of ours; ERR_UNSUPPORTED: of a later version. m is to be freed in any case. */
int manifest_parse(struct slice text, struct backup_manifest *m);
int manifest_format(const struct backup_manifest *m, struct buf *out);
void manifest_done(struct backup_manifest *m);
/* The segment of this number; NULL. */
struct backup_segment *manifest_segment(const struct backup_manifest *m, uint32_t number);

#endif
