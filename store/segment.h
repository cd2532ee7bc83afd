/* segment.h: bodies in append-only files. A record: header (number, sizes, SHA-256), CRC-32C of the summary and of each block of
 * 64 KiB, summary, body. Never changed once written. Used by backend_kv.c in stored, from many threads.
 *
 * Files are "seg-%08x" in one folder, each with a header line of its own (magic, version, number). A record's header is written last. What
 * was written is durable after seg_sync. Numbers rise with the place in the files. */
#ifndef CV_SEGMENT_H
#define CV_SEGMENT_H

#include "lib/buf.h"

#define SEG_READ_MAX (4u << 20)
#define SEG_SUMMARY_MAX (512u * 1024)

struct seg;
/* Where a body is: kept in the database, given back to read. */
struct seg_loc {
	uint64_t body; /* its number, > 0 */
	uint32_t segment;
	uint64_t off;  /* of the record's header */
	uint64_t size; /* of the body */
	uint32_t summary_len;
	unsigned char sha256[32];
};
/* dir: existing folder. last: the newest body the database knows (NULL: none). What follows it is read: whole records only count for
 * the numbers (nothing refers to them), a torn end is cut off. file_max: a new file is begun past it (0: 256 MiB). */
int seg_open(const char *dir, const struct seg_loc *last, uint64_t file_max, struct seg **seg_out);
void seg_close(struct seg *s); /* NULL accepted */

/* Writes one body: bytes when fd is -1, else read from fd, 0 to size (not owned). ERR_CORRUPT when it has another digest, ERR_EOF when the file is
 * shorter, ERR_FULL, ERR_IO, ERR_LIMIT. */
int seg_write(struct seg *s, const unsigned char sha256[32], struct slice bytes, int fd,
    uint64_t size, struct slice summary, struct seg_loc *loc_out);
/* All that was written before the call is durable after it. When it cannot be the process ends: after a failed sync the kernel may
 * call lost pages clean, and the next sync would promise what is not there. */
void seg_sync(struct seg *s);
/* [off, off + len) of the body, less at its end, len <= SEG_READ_MAX; checked. 0, ERR_CORRUPT, ERR_NOTFOUND (no such file), ERR_IO. */
int seg_read(struct seg *s, const struct seg_loc *loc, uint64_t off, uint32_t len, struct buf *out);
int seg_read_summary(struct seg *s, const struct seg_loc *loc, struct buf *out);
/* Appends the summary (when want_summary) and the whole body, checked; one read. For bodies and summaries of at most 64 KiB: ERR_LIMIT. */
int seg_read_whole(struct seg *s, const struct seg_loc *loc, bool want_summary, struct buf *out);
/* Free space below which no body is written: 64 MiB unless told. Before the first write. */
void seg_set_reserve(struct seg *s, uint64_t bytes);
/* Octets written to files since seg_open, and the number of the newest file: for `congvu status`. */
void seg_stat(struct seg *s, uint64_t *bytes_out, uint32_t *file_out);

int seg_loc_encode(const struct seg_loc *loc, struct buf *out);
int seg_loc_decode(struct slice v, uint64_t body, struct seg_loc *loc_out); /* 0 or ERR_CORRUPT */

#endif
