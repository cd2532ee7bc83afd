/* backend.h: what the store asks of whatever keeps rows and bodies: embedded Berkeley DB and segments today, an in-memory twin for
 * tests, a distributed object store later. All calls are submit + completion; none blocks. No code above it knows which one runs.
 *
 * An object is a mailbox (or an account's directory of mailboxes): a set of rows under one header row (key "h"), whose value is the
 * object's mod-sequence and whatever the store adds. A batch is atomic, conditional on the header row's value.
 * Keys are printable, at most 96 bytes; values at most 64 KiB; object ids are printable, at most 64 bytes. Bodies are content-addressed, in
 * pieces of at most 4 MiB. Completions come on the loop, never from within the call. */
#ifndef CV_BACKEND_H
#define CV_BACKEND_H

#include "lib/loop.h"
#include "lib/buf.h"

struct backend;
struct kv_pair {
	struct slice key, value;
};
#define BACKEND_KEY_MAX 96
#define BACKEND_OBJECT_MAX 64
#define BACKEND_VALUE_MAX 65536
#define BACKEND_SCAN_MAX 1000
#define BACKEND_READ_MAX (4u << 20)
#define BACKEND_SUMMARY_MAX (512u * 1024)
#define BACKEND_WHOLE_MAX 65536u /* of a body, and of its summary, that bodies_get gives */
#define BACKEND_BODIES_MAX 256
/* Every call gives 0 (fn will be called, once) or ERR_RANGE (a bound above, fn will not be called); close drops completions.
 * err: 0, ERR_CONFLICT (expect did not hold), ERR_GONE (no such object), ERR_FULL, ERR_TEMP (retry), ERR_UNKNOWN (re-read and find out),
 * ERR_EXISTS, ERR_NOTFOUND, ERR_CORRUPT. Slices are borrowed for the call. */
typedef void (*backend_done_fn)(void *arg, int err);
typedef void (*backend_value_fn)(void *arg, int err, struct slice value);
/* A row that fails its check is there with a value whose ptr is NULL. */
typedef void (*backend_rows_fn)(
    void *arg, int err, const struct kv_pair *rows, size_t n, bool more);
typedef void (*backend_body_fn)(void *arg, int err, uint64_t body);

struct backend_batch {
	struct slice object;
	struct slice expect;        /* value the header row must have */
	const struct kv_pair *puts; /* the header row among them when it changes */
	size_t n_puts;
	const struct slice *dels;
	size_t n_dels;
	const struct slice *
	    absent; /* keys that must not be there, else ERR_EXISTS (a delivery id, for instance) */
	size_t n_absent;
	bool mend; /* the header row may also be one that fails its check: it is put anew */
};
/* ---- space: dropping bodies that no row refers to, rewriting files that hold little ----
 *
 * One job at a time, in the backend's own time; deliveries and reads go on beside it. What it did is done when it is stopped or dies: it begins anew,
 * and needs no memory of what it was at.
 * COLLECT marks the bodies that rows name (row_bodies.h), and drops the others that were not handed out by body_put within the grace period.
 * COMPACT rewrites files less full than min_live percent, and removes those with nothing in them.
 * PURGE: the bodies given are to be gone from the disk now: dropped whatever the grace period says, with the parts that no other body has; then everything
 *   that is not live is taken out of all files. A body that a row still refers to stays: state.purge_left counts these. Files of the database are not
 *   touched but for a checkpoint that ends old logs: SECURITY.md.
 * SUMMARIES: the bodies given get new summaries; state.copied counts them. A body that is not there, or cannot be read, is passed over (the log names
 *   it). The old record is dead space for a compaction.
 * SURVEY counts. */
enum backend_space { SPACE_SURVEY, SPACE_COLLECT, SPACE_COMPACT, SPACE_PURGE, SPACE_SUMMARIES };
#define BACKEND_PURGE_MAX 10000
#define BACKEND_SUMMARIES_MAX 64
struct backend_space_job {
	enum backend_space what;
	bool dry_run;           /* COLLECT, COMPACT, PURGE: say what would be done */
	unsigned pace;          /* percent of the time it may work, 1 to 100; 0: 100 */
	unsigned min_live;      /* COMPACT: percent, 1 to 100 */
	const uint64_t *bodies; /* PURGE, SUMMARIES; copied */
	size_t n_bodies;
	const struct slice *
	    summaries; /* SUMMARIES: one for each body, at most BACKEND_SUMMARY_MAX octets; copied */
};
/* What a job saw and did, so far. */
struct backend_space_state {
	bool running;
	enum backend_space what;
	int err;       /* of the last job when none runs; ERR_CANCELED: stopped */
	char why[160]; /* what stopped it, for people */
	const char *phase;
	uint64_t done; /* rows and bodies passed in this phase */
	uint64_t rows, accounts, mailboxes, messages, message_octets;
	uint64_t retained, retained_octets,
	    holds; /* messages expunged and kept; legal holds in force */
	/* texts of documents in mails (text_row.h): not read yet, with text, without, given up; since when the oldest waits (seconds since 1970; 0: none) */
	uint64_t texts_wanted, texts_read, texts_none, texts_failed;
	int64_t texts_since;
	uint64_t bodies, body_octets; /* there, and their octets as they were given */
	uint64_t
	    references; /* by rows to bodies: less referred, the copies that single copy saves */
	uint64_t referred, referred_octets; /* bodies that rows name */
	uint64_t stored_octets;             /* that the bodies there take in files */
	uint64_t clear_octets;              /* of these not encrypted */
	uint64_t dead, dead_octets;         /* bodies that nothing names; their octets in files */
	uint64_t young;                     /* of these kept by the grace period */
	uint64_t dropped, dropped_octets;   /* by this job */
	uint64_t files, file_octets;        /* of segments */
	uint64_t copied, copied_octets;     /* bodies rewritten by this job */
	uint64_t files_removed, freed_octets;
	uint64_t purged, purge_left, erased_octets;
	uint64_t purge_parts_left; /* large parts of what was purged: other messages have them */
	uint64_t database_octets;
};
/* How full a file of bodies is, found by the last SURVEY or COMPACT. */
struct backend_file {
	uint32_t number;
	uint64_t octets, live;
	uint64_t bodies; /* live ones */
	bool writing;    /* it is written to now */
};

struct backend_ops {
	/* Durable when done is called. What is given is copied before return. */
	int (*batch)(
	    struct backend *b, const struct backend_batch *batch, backend_done_fn fn, void *arg);
	/* Several batches, each conditional and atomic by itself, one sync for all: errs per batch. Not atomic together. */
	int (*batch_group)(struct backend *b, const struct backend_batch *batches, size_t n,
	    void (*fn)(void *arg, const int *errs, size_t n), void *arg);
	/* Exclusive create of an object with its header row. */
	int (*create)(struct backend *b, struct slice object, struct slice header,
	    backend_done_fn fn, void *arg);
	int (*remove)(struct backend *b, struct slice object, struct slice expect,
	    backend_done_fn fn, void *arg);
	int (*get)(struct backend *b, struct slice object, struct slice key, backend_value_fn fn,
	    void *arg);
	/* At most max (<= 1,000) rows with key >= from and < to (empty: no bound), ascending. */
	int (*scan)(struct backend *b, struct slice object, struct slice from, struct slice to,
	    unsigned max, backend_rows_fn fn, void *arg);
	/* Ids of objects that are there and begin with prefix, each once, in the backend's own order, behind the id `after` (empty: from the first):
	 * keys of rows without values, at most max (<= 1,000). For checks and collections, never for a mailbox's own work: it is the one listing
	 * of everything. */
	int (*objects)(struct backend *b, struct slice prefix, struct slice after, unsigned max,
	    backend_rows_fn fn, void *arg);
	/* Content by bytes or by descriptor (not owned, read from 0 to size); idempotent by sha256; ERR_CORRUPT
	 * when that is not the content's digest, also when a body with that digest is there. The number may be used in rows as soon as
	 * fn is called; the body is durable at the latest when a batch submitted after that is. */
	int (*body_put)(struct backend *b, const unsigned char sha256[32], struct slice bytes,
	    int fd, uint64_t size, struct slice summary, backend_body_fn fn, void *arg);
	/* The number of a body that is on stable storage, by its digest; it is not handed out by that: rows are not to name it. ERR_NOTFOUND. */
	int (*body_find)(
	    struct backend *b, const unsigned char sha256[32], backend_body_fn fn, void *arg);
	/* At most 4 MiB. */
	int (*body_get)(struct backend *b, uint64_t body, uint64_t off, uint32_t len,
	    backend_value_fn fn, void *arg);
	int (*summary_get)(struct backend *b, uint64_t body, backend_value_fn fn, void *arg);
	/* Whole small bodies, many at once, with or without summaries: fn gets what backend_bodies_next reads, one for each number in order.
	 * At most BACKEND_BODIES_MAX. */
	int (*bodies_get)(struct backend *b, const uint64_t *bodies, size_t n, bool summaries,
	    backend_value_fn fn, void *arg);
	/* The same without the octets: summaries alone, of bodies of any size. */
	int (*summaries_get)(
	    struct backend *b, const uint64_t *bodies, size_t n, backend_value_fn fn, void *arg);
	/* Brings rows that an older version wrote to the present form, a step of some hundred from a place on (empty: the first; else what the last
	 * step gave): fn gets a struct backend_upgraded and behind it the next place. The last step marks the store. dry_run: only counts. A backend
	 * that never had an older form has nothing to do. */
	int (*upgrade)(
	    struct backend *b, struct slice from, bool dry_run, backend_value_fn fn, void *arg);
	/* Whether bodies are there: fn gets a struct backend_checked for each, in order. whole: each is read through and compared with its digest, its
	 * summary too; else only what is known of it is read. At most BACKEND_BODIES_MAX. For checks: a call may take as long as the octets do. */
	int (*bodies_check)(struct backend *b, const uint64_t *bodies, size_t n, bool whole,
	    backend_value_fn fn, void *arg);
	/* Numbers of bodies that are there and committed, ascending, those after a number, at most max (<= BACKEND_BODIES_MAX): fn gets, as u64 in memory, the last
	 * number there is, then these. For work on all bodies. */
	int (*bodies_after)(
	    struct backend *b, uint64_t after, unsigned max, backend_value_fn fn, void *arg);
	/* Whatever refers to it: collections and purges (space) do it by themselves; for repairs and tests. ERR_NOTFOUND. A batch that comes later and
	 * names a body dropped since this process started gets ERR_TEMP. */
	int (*body_drop)(struct backend *b, uint64_t body, backend_done_fn fn, void *arg);
	/* fn when it is over: 0, ERR_EXISTS (another one runs), ERR_CANCELED, ERR_UNSUPPORTED (a row of a kind nobody knows), ERR_CORRUPT, … */
	int (*space)(
	    struct backend *b, const struct backend_space_job *job, backend_done_fn fn, void *arg);
	void (*space_stop)(struct backend *b); /* at its next step */
	void (*space_state)(struct backend *b, struct backend_space_state *out);
	/* Files, ascending, those after a number: how many were put (at most max). */
	size_t (*space_files)(
	    struct backend *b, uint32_t after, struct backend_file *out, size_t max);
	/* Hints that an object changed; a lost one costs latency, never correctness. */
	int (*watch)(struct backend *b, struct slice object,
	    void (*fn)(void *arg, struct slice object), void *arg, uint32_t *id_out);
	void (*unwatch)(struct backend *b, uint32_t id);
	int (*poke)(struct backend *b, struct slice object);
	void (*close)(struct backend *b);
};
struct backend {
	const struct backend_ops *ops;
};
struct backend_upgraded {
	bool more;
	uint32_t from, to; /* formats of the store as a whole */
	uint64_t rows, changed;
};
struct backend_checked {
	int err; /* 0, ERR_NOTFOUND (no such body), ERR_CORRUPT, ERR_GONE (its file is not there), ERR_IO */
	uint32_t file; /* where it lies; 0: not known */
	uint64_t size;
};
/* The next of bodies_get's results. err: 0, ERR_LIMIT (it or its summary is over BACKEND_WHOLE_MAX), ERR_FULL (as many as fit stand before it:
 * ask again), ERR_NOTFOUND, ERR_CORRUPT, ERR_IO. false at the end. */
struct backend_whole {
	int err;
	struct slice summary, bytes;
};
bool backend_bodies_next(struct slice *rest, struct backend_whole *out);
struct backend_stat {
	uint64_t groups, batches, bodies, bodies_shared, parts, parts_shared, segment_bytes;
};

/* Berkeley DB and segments, in dir/db and dir/segments (made when missing). threads: for reads and bodies; one more thread commits. */
struct seg_keys;
struct backend_kv_options {
	unsigned
	    max_writes; /* rows that one transaction changes at most; 0: 60,000. Sizes the lock table, most of the time that opening takes */
	const char *dir;
	unsigned threads; /* 1 to 64 */
	size_t cache_bytes;
	uint64_t segment_max; /* 0: 256 MiB */
	const struct seg_keys *
	    keys; /* bodies are encrypted under the newest (seg_head.h; copied); NULL: they are not */
	uint64_t
	    reserve; /* free space below which no body is written, rows below half of it; 0: 64 MiB */
	unsigned grace_s; /* how long at least a body stays that was handed out; see space */
};
int backend_kv_open(struct loop *l, const struct backend_kv_options *o, struct backend **b_out);
void backend_kv_stat(struct backend *b, struct backend_stat *st_out);
/* For a backup of the embedded backend (backend_kv_backup.c; a distributed store has its own). fn gets the payload of the answer, as store_proto.def has it.
 * ERR_GONE: another epoch, or it is not kept any more: all rows anew. ERR_TEMP: again in a moment. */
enum backend_backup {
	BACKEND_BACKUP_BEGIN, /* turns the journal on: id of the store, epoch, u64 first, u64 end, i64 now in microseconds */
	BACKEND_BACKUP_ROWS,    /* key: rows behind it: u8 more, bytes last key, bytes record */
	BACKEND_BACKUP_JOURNAL, /* key: epoch; at, len: octets of the journal */
	BACKEND_BACKUP_CUT, /* key: epoch; n: files behind it: u64 end, i64 at, i64 now, u32 next, count { u32 file, u64 octets } */
	BACKEND_BACKUP_SEGMENT, /* n: file; at, len: its octets */
};
int backend_kv_backup(struct backend *b, enum backend_backup what, struct slice key, uint64_t n,
    uint64_t at, uint32_t len, backend_value_fn fn, void *arg);
/* by: 1 or -1. While it is pinned, a segment file that was in a cut stays. */
void backend_kv_pin(struct backend *b, int by);
/* Wraps the data key of the next segment file after this number under the newest key: fn gets u32 its number, u8 1 when that was to be done (0: it
 * was so already, or is not encrypted). ERR_NOTFOUND: there is none. ERR_UNSUPPORTED: there are no keys. */
int backend_kv_rewrap(struct backend *b, uint32_t after, backend_value_fn fn, void *arg);
/* Everything in memory, one thread; for tests. */
int backend_mem_open(struct loop *l, struct backend **b_out);

#endif
