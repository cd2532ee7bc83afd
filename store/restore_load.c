/* restore_load.c: rows out of a backup, and what must be different in a restored store. Runs in congvu-stored-restore.
 *
 * UIDVALIDITY is raised in every mailbox (RFC 3501 2.3.1.1). Skipping UIDs and mod-sequences instead would keep caches, but not right: a message that was expunged
 * after the backup comes back under a UID that clients have seen vanish (RFC 7162 3.2.10 lets no UID return), flags that were changed after it
 * have old values under a lower mod-sequence, and nobody knows how many UIDs were given meanwhile. A new value makes every client read
 * anew, once. Delivery ids stay as they are: mail that came after the backup comes again when the queue has it, the rest does not come twice. */
#include "store/restore.h"

#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/backend_priv.h"
#include "store/stored_priv.h"

enum {
	FLUSH_AT = 2000,
	MARGIN =
	    65536, /* seconds: a clock that runs behind, and names that were made after the backup */
};

int
restore_flush(struct restore *r)
{
	int err = 0;

	if (r->t != NULL)
		err = kv_commit(r->t, false);
	r->t = NULL;
	r->pending = 0;
	return err;
}

int
restore_op(void *arg, const struct backup_op *op)
{
	struct restore *r = arg;
	int err = 0;

	if (slice_starts(op->key, "w/")) /* of the journal of the store that was */
		return 0;
	if (r->t == NULL && (err = kv_begin(r->kv, &r->t)) != 0)
		return err;
	if (op->kind == BACKUP_PUT)
		err = kv_put(r->t, op->key, op->value);
	else if ((err = kv_del(r->t, op->key)) == ERR_NOTFOUND)
		err = 0;
	if (err != 0)
		return err;
	r->rows++;
	return ++r->pending >= FLUSH_AT ? restore_flush(r) : 0;
}

/* ---- UIDVALIDITY ---- */

/* One header: what it has, and with a value to set, the same with it. */
static int
header(struct kv *kv, struct slice object, uint32_t set, uint32_t *had)
{
	struct buf old, new;
	struct account_head ah;
	struct mbox_head mh;
	int err;

	buf_init(&old, BACKEND_VALUE_MAX);
	buf_init(&new, BACKEND_VALUE_MAX);
	err = rows_get(kv, object, slice_str("h"), &old);
	if (err != 0)
		goto out;
	if (slice_starts(object, "m.")) {
		if ((err = mbox_head_decode(buf_slice(&old), &mh)) != 0)
			goto out;
		*had = mh.uidvalidity;
		mh.uidvalidity = set;
		if (set != 0)
			err = mbox_head_encode(&mh, &new);
	} else {
		if ((err = account_head_decode(buf_slice(&old), &ah)) != 0)
			goto out;
		*had = ah.uidvalidity;
		ah.uidvalidity = set;
		if (set != 0)
			err = account_head_encode(&ah, &new);
	}
	if (set != 0 && err == 0) {
		struct kv_pair put = {slice_str("h"), buf_slice(&new)};
		struct backend_batch b = {
		    .object = object, .expect = buf_slice(&old), .puts = &put, .n_puts = 1};
		struct kv_txn *t;

		if ((err = kv_begin(kv, &t)) != 0)
			goto out;
		if ((err = rows_apply(t, &b)) == 0)
			err = kv_commit(t, false);
		else
			kv_abort(t);
	}
out:
	buf_done(&old);
	buf_done(&new);
	return err;
}

/* Every header of objects with this prefix; highest is raised to the highest value seen. */
static int
headers(struct restore *r, const char *prefix, uint32_t set, uint32_t *highest, uint64_t *count)
{
	struct buf after;
	bool more = true;
	int err = 0;

	buf_init(&after, BACKEND_OBJECT_MAX + 1);
	while (more && err == 0) {
		struct rows_out out;

		err = rows_objects(
		    r->kv, slice_str(prefix), buf_slice(&after), BACKEND_SCAN_MAX, &out);
		for (size_t i = 0; i < out.n && err == 0; i++) {
			uint32_t had = 0;

			err = header(r->kv, out.pairs[i].key, set, &had);
			/* an object without a header is of no name: the store itself leaves it alone */
			if (err == ERR_NOTFOUND)
				err = 0;
			else
				(*count)++;
			if (had > *highest)
				*highest = had;
		}
		more = out.n > 0;
		if (out.n > 0) {
			buf_reset(&after);
			buf_append_slice(&after, out.pairs[out.n - 1].key);
		}
		rows_out_done(&out);
	}
	buf_done(&after);
	return err;
}

int
restore_raise(struct restore *r, int64_t now)
{
	uint32_t highest = 0;
	uint64_t value, n = 0;
	int err = headers(r, "m.", 0, &highest, &n);

	if (err == 0)
		err = headers(r, "a.", 0, &highest, &n);
	if (err != 0)
		return err;
	value = (now > (int64_t)highest ? (uint64_t)now : highest) + MARGIN;
	if (value > UINT32_MAX - MARGIN)
		return ERR_RANGE;
	r->uidvalidity = (uint32_t)value;
	err = headers(r, "m.", r->uidvalidity, &highest, &r->mailboxes);
	return err != 0 ? err : headers(r, "a.", r->uidvalidity, &highest, &n);
}
