/* crash.h: what the parts of the crash checker share: the record of what a role did to its files and of what its clients were told
 * (written by shim.c and crash_load.c, read by crash_check.c), and the messages, which follow from their number. */
#ifndef CV_CRASH_H
#define CV_CRASH_H

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* One write(2) each to a file opened with O_APPEND, so they stand in the order in which things happened. In the machine's byte order. A process
 * that is killed leaves half a record, when it is long: what it told of was not done yet, so it is passed over; hence magic and sum. */
struct crash_rec {
	uint32_t magic, sum; /* CRASH_MAGIC; crash_sum() */
	uint32_t op;         /* enum crash_op */
	uint32_t len;
	uint64_t a, b; /* a: number of the opening of a file */
};
#define CRASH_MAGIC 0x63764352u
enum crash_op {
	CRASH_OPEN = 1, /* b: flags of open(2); path, relative to the folder */
	CRASH_WRITE,    /* b: offset; bytes */
	CRASH_SIZE,     /* b: ftruncate to this */
	CRASH_GROW,     /* b: the file is at least this long, of zeros */
	CRASH_SYNC,     /* of a file or a folder; b: from where in the program it was called */
	CRASH_RENAME,   /* from, NUL, to */
	CRASH_UNLINK,   /* path */
	CRASH_MKDIR,    /* path */
	CRASH_TEXT,     /* of the driver; see crash_load.c */
	CRASH_LINK,     /* from, NUL, to */
	CRASH_DROP,     /* a sync of a file failed: what it was for never gets there */
};

/* FNV-1a over all of the record but magic and sum. */
static inline uint32_t
crash_sum(const struct crash_rec *r, const void *data)
{
	const unsigned char *p = (const unsigned char *)&r->op, *q = data;
	uint32_t h = 2166136261u;

	for (size_t i = 0; i < sizeof *r - offsetof(struct crash_rec, op); i++)
		h = (h ^ p[i]) * 16777619u;
	for (uint32_t i = 0; i < r->len; i++)
		h = (h ^ q[i]) * 16777619u;
	return h;
}

/* A file that shim.c and the driver share (CONGVU_FAULT_PAGE): counts of calls on files of the folder, what went wrong on purpose, and how far
 * the clock is from the true one. CONGVU_FAULT=op:first:count:errno makes calls first to first + count - 1 of a kind fail; errno 0: a short
 * read or write, -1: a read of nothing. */
enum fault_op { FAULT_WRITE, FAULT_SYNC, FAULT_READ, FAULT_GROW, FAULT_OPEN, FAULT_OPS };
static const char *const fault_ops[FAULT_OPS] = {"write", "sync", "read", "grow", "open"};
struct fault_page {
	uint64_t calls[FAULT_OPS], hits;
	int64_t clock_s;
};

/* The first two boxes are always there; the others come, change their name and go. */
enum {
	CRASH_ACCOUNTS = 4,
	CRASH_BOXES = 6,
	CRASH_FIXED = 2,
	CRASH_MESSAGES = 20000,
	CRASH_BATCH = 8,
	CRASH_VALUES = 32, /* of flags and keywords of a message */
};

static inline void
crash_box_name(unsigned box, int renamed, char out[16])
{
	static const char kinds[][8] = {"INBOX", "Archive", "Dir-", "Ren-"};

	memcpy(out, kinds[box < CRASH_FIXED ? box : renamed ? 3u : 2u], 8);
	if (box >= CRASH_FIXED) {
		size_t n = strlen(out);

		out[n] = (char)('0' + box);
		out[n + 1] = '\0';
	}
}

/* Of a value: flags of row.h (\Seen, \Answered, \Flagged, \Deleted), and keywords. */
static inline uint32_t
crash_flags(unsigned v)
{
	return v & 15;
}

static inline const char *
crash_keywords(unsigned v)
{
	return (v & 16) != 0 ? "Alpha beta" : "";
}

/* The numbers of a message: two in a row share a body. */
static inline uint32_t
crash_mix(uint32_t n)
{
	n ^= n >> 16;
	n *= 0x7feb352du;
	n ^= n >> 15;
	n *= 0x846ca68bu;
	return n ^ n >> 16;
}

static inline size_t
crash_body_size(uint32_t n)
{
	uint32_t m = crash_mix(n / 2);

	if (m % 20 == 0)
		return 300000 + m % 70001; /* by descriptor */
	if (m % 7 == 0)
		return 20000 + m % 40001;
	return 100 + m % 5001;
}

/* A large message has base64 in it, one of three texts, which stored keeps apart and once. */
enum { CRASH_PART_AT = 256, CRASH_PART_LINES = 3200, CRASH_PART_LEN = CRASH_PART_LINES * 78 };

static inline bool
crash_has_part(uint32_t n)
{
	return crash_mix(n / 2) % 20 == 0;
}

/* Every fifth body has documents in it, whose text is wanted; it begins with CRASH_DOCUMENT and n / 2, by which who reads it knows it. */
#define CRASH_DOCUMENT "document"
enum { CRASH_DOCUMENT_LEN = 12, CRASH_TEXT_MAX = 60000 };

static inline bool
crash_has_document(uint32_t n)
{
	return crash_mix(n / 2 + 5000000) % 5 == 0;
}

/* The text of the documents in a body; its length. */
static inline size_t
crash_text(uint32_t n, char out[CRASH_TEXT_MAX])
{
	uint32_t x = crash_mix(n / 2 + 177);
	size_t len = x % 6 == 0 ? 20000 + x % 40000 : 10 + x % 3000;

	for (size_t i = 0; i < len; i++) {
		x = x * 1664525u + 1013904223u;
		out[i] = (char)(x >> 29 == 0 ? ' ' : 'a' + (x >> 24) % 26);
	}
	return len;
}

/* out has crash_body_size(n) octets. */
static inline void
crash_body(uint32_t n, unsigned char *out)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t size = crash_body_size(n);
	uint32_t x = crash_mix(n / 2 + 77);

	for (size_t i = 0; i < size; i++) {
		x = x * 1664525u + 1013904223u;
		out[i] = (unsigned char)(x >> 24);
	}
	if (crash_has_document(n)) {
		memcpy(out, CRASH_DOCUMENT, 8);
		for (int i = 0; i < 4; i++)
			out[8 + i] = (unsigned char)(n / 2 >> (24 - 8 * i));
	}
	if (!crash_has_part(n))
		return;
	x = crash_mix(1000000 + crash_mix(n / 2) % 3);
	for (size_t i = 0; i < CRASH_PART_LEN; i++) {
		x = x * 1664525u + 1013904223u;
		out[CRASH_PART_AT + i] =
		    (unsigned char)(i % 78 < 76 ? alphabet[x >> 26] : "\r\n"[i % 78 - 76]);
	}
}

static inline void
crash_id(uint32_t n, unsigned char id[16])
{
	memcpy(id, "crash-check.", 12);
	for (int i = 0; i < 4; i++)
		id[12 + i] = (unsigned char)(n >> (24 - 8 * i));
}

#endif
