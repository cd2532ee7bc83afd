/* backend_priv.h: what backend_kv.c and backend_mem.c share: rows of objects in a kv, and hints. For backend_*.c alone. */
#ifndef CV_BACKEND_PRIV_H
#define CV_BACKEND_PRIV_H

#include "store/backend.h"
#include "store/kv.h"

/* In the kv: "r/<object>/<key>" rows; "z/<object>" removed objects whose rows are still being deleted; "b/<number>" bodies; "s/<sha256>"
 * body numbers. */
/* Rows at rest carry a check over their key and value: u8 0xC1, u32 CRC-32C of "<object>/<key>", NUL and the value, the value. So octets that changed are
 * found, and so is a row that stands under another key. Rows written before had none; they begin with their version, below 16, and are read
 * as they are; whatever changes them writes them anew. key: as in the kv ("r/<object>/<key>"). Who reads rows from the kv opens them: 0, or
 * ERR_CORRUPT. */
int rows_open(struct slice key, struct slice at_rest, struct slice *value_out);
/* Puts a row's value, with its check, into out (reset first). */
int rows_seal(struct slice key, struct slice value, struct buf *out);
/* Written by an older version, without a check. */
bool rows_is_old(struct slice at_rest);

/* ---- backend_format.c ---- */

#define STORE_FORMAT 2u
/* 1 for a store without the row. UINT32_MAX: what cannot be read. */
int store_format_get(struct kv *kv, uint32_t *format_out);
int store_format_put(struct kv_txn *t);
/* At an open: a new store gets the present format; ERR_UNSUPPORTED (logged): a newer version wrote it. */
int store_format_open(struct kv *kv);
/* Some hundred rows from a key on (empty: the first), as backend_ops.upgrade gives them; the last step sets the format. */
int store_upgrade_step(
    struct kv *kv, struct kv_txn *t, struct slice from, bool dry_run, struct buf *out);

bool rows_object_ok(struct slice object);
bool rows_batch_ok(const struct backend_batch *b);
void rows_key(struct slice object, struct slice key, struct buf *out); /* resets out */
/* Inside a transaction: 0, ERR_GONE, ERR_CONFLICT, ERR_EXISTS (nothing was changed by these); others end the transaction. */
int rows_apply(struct kv_txn *t, const struct backend_batch *b);
int rows_create(struct kv_txn *t, struct slice object, struct slice header);
/* The object is gone at once; its rows go by rows_purge. */
int rows_remove(struct kv_txn *t, struct slice object, struct slice expect);
/* Deletes up to 1,000 rows of a removed object. *more_out: call again. */
int rows_purge(struct kv *kv, struct kv_txn *t, struct slice object, bool *more_out);
bool rows_is_verdict(int err); /* one of the three results that change nothing */

/* Rows read by a scan. */
struct rows_out {
	struct buf bytes;
	struct kv_pair *pairs;
	size_t n;
	bool more;
};
int rows_get(struct kv *kv, struct slice object, struct slice key, struct buf *out);
int rows_scan(struct kv *kv, struct slice object, struct slice from, struct slice to, unsigned max,
    struct rows_out *out);
/* Ids of objects (keys of pairs) as backend_ops.objects, without those being removed. */
int rows_objects(
    struct kv *kv, struct slice prefix, struct slice after, unsigned max, struct rows_out *out);
void rows_out_done(struct rows_out *o);

/* A batch copied to one piece of memory: free() it. */
struct backend_batch *rows_batch_copy(const struct backend_batch *b, size_t *bytes_out);

/* Watches of one process: hints come from the loop. */
struct hints;
struct hints *hints_new(struct loop *l);
void hints_free(struct hints *h);
uint32_t hints_watch(
    struct hints *h, struct slice object, void (*fn)(void *arg, struct slice object), void *arg);
void hints_unwatch(struct hints *h, uint32_t id);
void hints_poke(struct hints *h, struct slice object);

/* Whether the bounds of SPACE_SUMMARIES hold. */
static inline bool
space_summaries_ok(const struct backend_space_job *job)
{
	if (job->what != SPACE_SUMMARIES)
		return true;
	for (size_t i = 0; i < job->n_bodies; i++)
		if (job->summaries[i].len > BACKEND_SUMMARY_MAX)
			return false;
	return job->n_bodies <= BACKEND_SUMMARIES_MAX;
}

/* ---- results of bodies_get ---- */

/* Puts one whole body that read appends (summary first, its length in *summary_len_out) into out, or why it is not there. */
void bodies_put(struct buf *out,
    int (*read)(void *arg, uint64_t body, bool summary, struct buf *out, uint32_t *summary_len_out),
    void *arg, uint64_t body, bool summary);

#endif
