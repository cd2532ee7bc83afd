/* segment.h: bodies in append-only files. Used by backend_kv*.c in stored, from many threads.
 *
 * A record is a body with its summary, in blocks of at most 256 KiB that are compressed where that gains, and checked (and encrypted)
 * each by itself. It is never changed once written. Files are "seg-%08x" in one folder; ARCHITECTURE.md has their form. New bodies go to one
 * file, copies (seg_copy) to another, so that in a file of new bodies numbers rise with the place. What was written is durable after
 * seg_sync. */
#ifndef CV_SEGMENT_H
#define CV_SEGMENT_H

#include "lib/buf.h"

#define SEG_READ_MAX (4u << 20)
#define SEG_SUMMARY_MAX (512u * 1024)
#define SEG_WHOLE_MAX 65536u /* of a body, and of its summary, that seg_read_whole reads */

struct seg;
enum seg_flag {
	SEG_PART = 1, /* a part that messages share: no message by itself, no summary */
	SEG_COMPOSITE =
	    2, /* the content is a manifest and what the parts it names do not hold (composite.h) */
	SEG_SEALED = 4, /* encrypted; set by seg_write */
};
/* Where a body is: kept in the database, given back to read. */
struct seg_loc {
	uint64_t body; /* its number, > 0 */
	uint32_t segment;
	uint64_t off;  /* of the record's header */
	uint64_t size; /* of the body */
	uint64_t
	    content;     /* octets the record holds before compression: size, but for a composite */
	uint64_t stored; /* octets the record takes in its file */
	uint32_t summary_len;
	uint8_t format;           /* of the record: 1 or 2 */
	uint8_t flags;            /* enum seg_flag */
	unsigned char sha256[32]; /* of the body */
};
/* dir: existing folder. last: the newest body the database knows (NULL: none). What follows it in its file is read: whole records only count for
 * the numbers (nothing refers to them), a torn end is cut off. file_max: a new file is begun past it (0: 256 MiB). */
int seg_open(const char *dir, const struct seg_loc *last, uint64_t file_max, struct seg **seg_out);
/* The same, with what is written encrypted (AES-256-GCM) under the newest of keys (copied; NULL: not encrypted). ERR_DENIED: a file is under a key
 * that is not there, or is another one; the log says which. */
struct seg_keys;
int seg_open_keys(const char *dir, const struct seg_loc *last, uint64_t file_max,
    const struct seg_keys *keys, struct seg **seg_out);
/* To read alone, whatever files there are or come later, with numbers up to highest: for who takes single messages out of a backup. */
int seg_open_to_read(
    const char *dir, uint32_t highest, const struct seg_keys *keys, struct seg **seg_out);
void seg_close(struct seg *s); /* NULL accepted */

struct seg_body {
	const unsigned char *sha256; /* 32 octets */
	uint64_t size;
	struct slice
	    content; /* when fd is -1: the body; of a composite its content, which the caller answers for */
	int fd; /* else read from here, 0 to size (not owned) */
	struct slice summary;
	uint8_t flags; /* SEG_PART, SEG_COMPOSITE */
	bool
	    digested; /* the caller made sha256 of content itself: it is not made again; without fd alone */
	struct buf *
	    record; /* gets the record as it stands in its file, when it is no longer than the buf's cap; NULL: not wanted */
};
/* Writes one body. ERR_CORRUPT when it has another digest or size, ERR_EOF when the file is shorter, ERR_FULL, ERR_IO, ERR_LIMIT. */
int seg_write(struct seg *s, const struct seg_body *b, struct seg_loc *loc_out);
/* Writes a record once more, with the same number, to the file of copies: for compaction. Each block is checked on the way: ERR_CORRUPT, and
 * nothing is there to refer to. The old place stays as it is. Durable after seg_sync_copies, which lets no delivery wait. */
int seg_copy(struct seg *s, const struct seg_loc *from, struct seg_loc *to_out);
/* The same with another summary; the old one is not read. */
int seg_resummarize(
    struct seg *s, const struct seg_loc *from, struct slice summary, struct seg_loc *to_out);
void seg_sync_copies(struct seg *s);
/* All that seg_write wrote before the call is durable after it. When it cannot be the process ends: after a failed sync the kernel may
 * call lost pages clean, and the next sync would promise what is not there. */
void seg_sync(struct seg *s);

/* [off, off + len) of the content, less at its end, len <= SEG_READ_MAX; checked. 0, ERR_CORRUPT, ERR_NOTFOUND (no such file), ERR_IO. */
int seg_read(struct seg *s, const struct seg_loc *loc, uint64_t off, uint32_t len, struct buf *out);
/* Appends n octets from the begin of a file. ERR_EOF: it is shorter. ERR_IO. */
int seg_read_fd(int fd, size_t n, struct buf *out);
int seg_read_summary(struct seg *s, const struct seg_loc *loc, struct buf *out);
/* Appends the summary (when want_summary) and the whole content, checked; one read. ERR_LIMIT: one of them is over SEG_WHOLE_MAX, or a composite. */
int seg_read_whole(struct seg *s, const struct seg_loc *loc, bool want_summary, struct buf *out);
/* Reads every block of the record: 0, ERR_CORRUPT, ERR_NOTFOUND, ERR_IO. The digest too, but for a composite. */
int seg_check(struct seg *s, const struct seg_loc *loc);

/* Whether its file is there and long enough; nothing of it is read. 0, ERR_CORRUPT, ERR_NOTFOUND, ERR_IO. */
int seg_there(struct seg *s, const struct seg_loc *loc);

/* The files there are, in the order of their numbers. */
struct seg_file {
	uint32_t number;
	uint64_t size;
	bool writing; /* new bodies or copies go there now */
};
/* The first with a number above after: 0, ERR_NOTFOUND, ERR_IO. */
int seg_file_next(struct seg *s, uint32_t after, struct seg_file *out);
/* A file that is written to is written to no more, once every call under way is over: new bodies, or copies, go to another one. */
int seg_roll(struct seg *s, uint32_t number);
/* Zeros in place of the octets [from, to) of a file that is not written to, behind its header; their room is given back where the file system can.
 * ERR_AGAIN: files are pinned: a backup reads what is dead by now. (One that begins a moment later refers to nothing that is dead now.) */
int seg_erase(struct seg *s, uint32_t number, uint64_t from, uint64_t to);
/* Where the first record of a file can be; 0: its header is damaged, or it is not there. */
uint64_t seg_first_record(struct seg *s, uint32_t number);
/* What was done to a file, and removals, are durable. */
int seg_file_sync(struct seg *s, uint32_t number);
int seg_names_sync(struct seg *s);
/* Removes a file that no row points to. ERR_AGAIN: it is being written or read, or files are pinned: later. ERR_NOTFOUND, ERR_IO. */
int seg_file_remove(struct seg *s, uint32_t number);

/* Wraps the data key of a file under the newest key; its records stay as they are. *done_out: false when it was so already. Durable when it returns.
 * ERR_NOTFOUND (no such file), ERR_UNSUPPORTED (no keys), ERR_DENIED, ERR_CORRUPT, ERR_IO. */
int seg_file_rewrap(struct seg *s, uint32_t number, bool *done_out);

/* The number the next body gets; and that it is to be at least this. */
uint64_t seg_next(struct seg *s);
void seg_next_at_least(struct seg *s, uint64_t next);

/* Free space below which no body is written: 64 MiB unless told. Before the first write. */
void seg_set_reserve(struct seg *s, uint64_t bytes);
/* Octets written to files since seg_open, and the number of the newest file: for `congvu status`. */
void seg_stat(struct seg *s, uint64_t *bytes_out, uint32_t *file_out);

/* For backups (segment_backup.c). by: 1 or -1. While they are pinned no file is removed. */
void seg_pin(struct seg *s, int by);
/* Whether no write is under way in the file that began below upto. What is settled and below the end of a committed body never changes. */
bool seg_settled(struct seg *s, uint32_t number, uint64_t upto);
/* At most len octets of the file as they are, unchecked. 0, ERR_NOTFOUND, ERR_IO. */
int seg_raw(struct seg *s, uint32_t number, uint64_t off, uint32_t len, struct buf *out);

/* The value of a body's row. refs: numbers of the parts that a composite is made of, n_refs <= SEG_REFS_MAX. */
#define SEG_REFS_MAX 256u
int seg_loc_encode(const struct seg_loc *loc, const uint64_t *refs, size_t n_refs, struct buf *out);
int seg_loc_decode(struct slice v, uint64_t body, struct seg_loc *loc_out); /* 0 or ERR_CORRUPT */
/* The parts that a row names (room for SEG_REFS_MAX). 0 or ERR_CORRUPT. */
int seg_loc_refs(struct slice v, uint64_t *refs_out, size_t *n_out);

/* Puts records in place again that the database refers to, but which were not synced: before seg_open. dir as there. */
struct seg_mender;
struct seg_mender *seg_mender_new(const char *dir);
/* 0 (also when it is there already), ERR_NOTFOUND (no such file), ERR_IO, ERR_FULL. */
int seg_mend(struct seg_mender *m, const struct seg_loc *loc, struct slice record);
/* Syncs what was put; n_out: how many records. 0 or ERR_IO. Frees it. */
int seg_mender_end(struct seg_mender *m, unsigned *n_out);

#endif
