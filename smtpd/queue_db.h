/* queue_db.h: the messages of the queue: rows in the key-value store, their order of delivery in memory. For queue*.c alone. */
#ifndef CV_QUEUE_DB_H
#define CV_QUEUE_DB_H

#include "smtpd/queue_client.h"
#include "store/kv.h"

enum { QUEUE_ST_DONE = 4 }; /* over; the row stays a while, so that a repeated COMMIT is known */

/* What memory holds of each message. */
struct qent {
	struct delivery_id id;
	uint8_t state; /* enum queue_state or QUEUE_ST_DONE */
	int64_t due;   /* ms since 1970: next try, or when a held or finished one is dropped */
	int64_t arrived;
	uint64_t size;
	uint32_t n_rcpts;
	bool
	    unreachable; /* waits because its server could not be reached, not because it said no */
	void *lease;     /* who delivers it now; not in the heap while leased */
	bool hurry;      /* a person asked for a try: in memory only */
	bool urgent;     /* ENV_URGENT: before others that are due, as far as these do not starve */
	uint8_t
	    wish; /* enum queue_action (queue_client.h) to be done when its lease ends; 0: none; in memory only */
	size_t heap_at; /* SIZE_MAX: not in the heap */
	/* queue_park.c */
	struct qpark *park; /* what it waits for; NULL: nothing */
	struct qent *park_next, *park_before;
	int64_t parked_since; /* ms since 1970, since its row was changed; 0: not at all */
};
/* The row. */
struct qrow {
	uint8_t state;
	int64_t arrived, due; /* ms since 1970 */
	uint32_t attempts;
	uint64_t skip, size;
	bool has_inline;
	struct envelope env; /* strings in the arena given to qdb_get */
	/* Two officers and the quarantine (queue_release.c); by "": nobody asked. */
	struct qrelease {
		const char *by, *reason, *decision;
		const char *rules; /* that held it, and that it is to be exempt from: "P23,P15" */
		int64_t at;        /* ms since 1970: when it was requested, or confirmed */
		const char *confirmed_by; /* "": nobody yet */
		const char *refused;      /* what the policy said of an earlier release; "" */
	} release;
};

struct qdb;
/* Reads what is there. 0 or the error of the store. Takes kv. */
int qdb_open(struct kv *kv, struct qdb **db_out);
void qdb_close(struct qdb *db);

struct qent *qdb_find(struct qdb *db, const struct delivery_id *id);
/* The one whose time comes first; NULL. */
struct qent *qdb_first(struct qdb *db);
/* The one that relay is to have now, of those due at that time: urgent ones first, but one of the others after QDB_URGENT_RUN urgent ones in a row, each in
 * the order in which they are due; NULL. qdb_took: relay has it, which counts. */
enum { QDB_URGENT_RUN = 4 };
struct qent *qdb_next(struct qdb *db, int64_t now);
void qdb_took(struct qdb *db, const struct qent *e);
/* One whose time came and that is no business of relay's: held or over, to be dropped; NULL. In either order, since it stands before others in its own. */
struct qent *qdb_over(struct qdb *db, int64_t now);
/* Takes it out of the order of delivery, or puts it back. */
void qdb_lease(struct qdb *db, struct qent *e, void *who);
void qdb_unlease(struct qdb *db, struct qent *e);
/* Ends a lease, and sets the time of the next try in memory only. */
void qdb_postpone(struct qdb *db, struct qent *e, int64_t due);
/* Ends a lease: it waits, in memory only, for what relay calls by that name: until qdb_want, until that time, or until anything else befalls it. */
void qdb_park(struct qdb *db, struct qent *e, uint64_t name, int64_t now, int64_t due);
/* So many of those that wait for it are due now, urgent ones first. Of all names: qdb_want_all. */
void qdb_want(struct qdb *db, uint64_t name, uint32_t most, int64_t now);
void qdb_want_all(struct qdb *db, int64_t now);
/* Due now, in memory only; not for leased ones. */
void qdb_hasten(struct qdb *db, struct qent *e, int64_t now);
/* Messages in id order after id (NULL: from the start), at most max, while fn gives true. */
typedef bool (*qdb_fn)(void *arg, struct qent *e);
void qdb_each(struct qdb *db, const struct delivery_id *after, qdb_fn fn, void *arg);
size_t qdb_count(const struct qdb *db);

int qdb_get(struct qdb *db, const struct delivery_id *id, struct arena *a, struct qrow *row_out);
int qdb_header(struct qdb *db, const struct delivery_id *id, struct buf *out);
int qdb_inline(struct qdb *db, const struct delivery_id *id, struct buf *out);

/* ---- queue_park.c: what waits for a destination of relay's ---- */
struct qparks;
struct qparks *qparks_new(void); /* fatal() for no memory */
void qparks_free(struct qparks *p);
/* e, which waits for nothing, waits behind the others of its kind. */
void qparks_add(struct qparks *p, struct qent *e, uint64_t name);
/* It waits no more. Nothing when it did not. */
void qparks_leave(struct qparks *p, struct qent *e);
/* The next one for that name, urgent ones first, which stays; NULL: none. Of any name: qparks_any. */
struct qent *qparks_first(struct qparks *p, uint64_t name);
struct qent *qparks_any(const struct qparks *p);

/* Writes rows in one transaction, not yet synced (qdb_sync): a new message (header and, when has_inline, body), or a change of an old
 * one (header.ptr NULL: header and body stay). The entry in memory follows. extra: more messages of the same transaction
 * (a bounce, what watches a mail), linked by also; NULL for none. */
struct qdb_put {
	struct delivery_id id;
	const struct qrow *row;
	struct slice header, body;
	/* A mark written with it (ptr NULL: none): "v" and 16 octets, which qdb_mark reads. */
	struct slice mark_key, mark_value;
	const struct qdb_put *also; /* of an extra: the next one; NULL */
};
int qdb_put(struct qdb *db, const struct qdb_put *p, const struct qdb_put *extra);
/* Takes header and body away and leaves a mark until due; or, state DONE already, the whole row. */
int qdb_finish(
    struct qdb *db, const struct delivery_id *id, int64_t due, const struct qdb_put *extra);
int qdb_drop(struct qdb *db, const struct delivery_id *id);
int qdb_sync(struct qdb *db);
/* A mark's value, appended to out. 0 or ERR_NOTFOUND, ... */
int qdb_mark(struct qdb *db, struct slice key, struct buf *out);
/* Drops the marks for which over() is true; how many are left is added to *left_out. */
int qdb_marks_drop(
    struct qdb *db, bool (*over)(void *arg, struct slice value), void *arg, size_t *left_out);
/* Whether anything was written since the last sync: a crash would take it back. */
bool qdb_is_dirty(const struct qdb *db);

#endif
