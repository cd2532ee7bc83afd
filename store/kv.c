/* kv.c: the doors of kv.h; checks bounds once for every implementation. Runs in stored, smtpd-queue and milter-ledger. */
#include "store/kv.h"

#include <assert.h>

#include "lib/err.h"

static bool
key_ok(struct slice key)
{
	return key.len > 0 && key.len <= KV_KEY_MAX;
}

void
kv_close(struct kv *kv)
{
	if (kv != NULL)
		kv->ops->close(kv);
}

void
kv_set_tap(struct kv *kv, const struct kv_tap *tap)
{
	kv->tap = tap;
}

int
kv_begin(struct kv *kv, struct kv_txn **txn_out)
{
	int err = kv->ops->begin(kv, txn_out);

	if (err == 0 && kv->tap != NULL)
		kv->tap->begin(kv->tap->arg, *txn_out);
	return err;
}

int
kv_commit(struct kv_txn *t, bool sync)
{
	const struct kv_tap *tap = t->kv->tap;
	void *tapped = t->tapped;
	int err;

	if (tap == NULL)
		return t->kv->ops->commit(t, sync);
	err = tap->commit(tap->arg, t);
	if (err != 0)
		t->kv->ops->abort(t);
	else
		err = t->kv->ops->commit(t, sync);
	tap->end(tap->arg, tapped, err, sync);
	return err;
}

void
kv_abort(struct kv_txn *t)
{
	const struct kv_tap *tap;
	void *tapped;

	if (t == NULL)
		return;
	tap = t->kv->tap;
	tapped = t->tapped;
	t->kv->ops->abort(t);
	if (tap != NULL)
		tap->end(tap->arg, tapped, ERR_CANCELED, false);
}

int
kv_sync(struct kv *kv)
{
	return kv->ops->sync(kv);
}

int
kv_checkpoint(struct kv *kv)
{
	return kv->ops->checkpoint(kv);
}

int
kv_get(struct kv *kv, struct kv_txn *t, struct slice key, struct buf *value_out)
{
	buf_reset(value_out);
	if (!key_ok(key))
		return ERR_RANGE;
	return kv->ops->get(kv, t, key, false, value_out);
}

int
kv_get_update(struct kv_txn *t, struct slice key, struct buf *value_out)
{
	buf_reset(value_out);
	if (!key_ok(key))
		return ERR_RANGE;
	return t->kv->ops->get(t->kv, t, key, true, value_out);
}

static int
changed(struct kv_txn *t, struct slice key, const struct slice *value, int err)
{
	const struct kv_tap *tap = t->kv->tap;

	if (err == 0 && tap != NULL)
		tap->change(tap->arg, t, key, value);
	return err;
}

int
kv_put(struct kv_txn *t, struct slice key, struct slice value)
{
	if (!key_ok(key) || value.len > KV_VALUE_MAX)
		return ERR_RANGE;
	return changed(t, key, &value, t->kv->ops->put(t, key, value, false));
}

int
kv_put_untapped(struct kv_txn *t, struct slice key, struct slice value)
{
	return t->kv->ops->put(t, key, value, false);
}

int
kv_insert(struct kv_txn *t, struct slice key, struct slice value)
{
	if (!key_ok(key) || value.len > KV_VALUE_MAX)
		return ERR_RANGE;
	return changed(t, key, &value, t->kv->ops->put(t, key, value, true));
}

int
kv_del(struct kv_txn *t, struct slice key)
{
	if (!key_ok(key))
		return ERR_RANGE;
	return changed(t, key, NULL, t->kv->ops->del(t, key));
}

int
kv_del_untapped(struct kv_txn *t, struct slice key)
{
	return t->kv->ops->del(t, key);
}

int
kv_scan(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, size_t max,
    kv_row_fn fn, void *arg)
{
	if (from.len > KV_KEY_MAX || to.len > KV_KEY_MAX)
		return ERR_RANGE;
	return kv->ops->scan(kv, t, from, to, max, fn, arg);
}

int
kv_last(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, struct buf *key_out,
    struct buf *value_out)
{
	if (from.len > KV_KEY_MAX || to.len > KV_KEY_MAX)
		return ERR_RANGE;
	if (key_out != NULL)
		buf_reset(key_out);
	if (value_out != NULL)
		buf_reset(value_out);
	return kv->ops->last(kv, t, from, to, key_out, value_out);
}

int
kv_note(struct kv_txn *t, struct slice note)
{
	if (note.len > KV_NOTE_MAX)
		return ERR_LIMIT;
	return t->kv->ops->note == NULL ? 0 : t->kv->ops->note(t, note);
}

int
kv_notes(struct kv *kv, kv_note_fn fn, void *arg)
{
	return kv->ops->notes == NULL ? 0 : kv->ops->notes(kv, fn, arg);
}

void
kv_settle_by(struct kv *kv, void (*settle)(void *arg), void *arg)
{
	if (kv->ops->settle_by != NULL)
		kv->ops->settle_by(kv, settle, arg);
}

int
kv_forget_log(struct kv *kv)
{
	return kv->ops->forget_log == NULL ? 0 : kv->ops->forget_log(kv);
}
