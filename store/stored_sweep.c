/* stored_sweep.c: all accounts are visited in turn, so that what was kept long enough goes (stored_kept.c, stored_bury.c) also of those that nobody opens. Runs
 * in stored: an account a second, that is sixty thousand in a day, and all over again. Where it was is memory alone. */
#include "store/stored_priv.h"

#include "lib/err.h"
#include "lib/log.h"

enum { VISITS = 2, VISIT_MS = 2000, AGAIN_MS = 600000 };

static struct {
	struct stored *st;
	struct loop_timer *timer;
	struct buf after;
	unsigned under_way;
	bool more;
} W;

static void
visited(void)
{
	if (--W.under_way > 0)
		return;
	if (!W.more)
		buf_reset(&W.after);
	loop_timer_set(W.timer, W.more ? VISIT_MS : AGAIN_MS);
}

static void
on_account(void *arg, int err, struct account *a)
{
	(void)arg;
	if (err == 0)
		kept_sweep_account(a);
	else if (err != ERR_NOTFOUND) /* a check names it */
		log_msg(LOG_LVL_WARN, "sweep", "an account cannot be read: %s", err_name(err));
	visited();
}

static void
on_objects(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	(void)arg;
	W.more = err == 0 && more;
	W.under_way = 1;
	for (size_t i = 0; i < n && err == 0; i++) {
		struct slice id = slice_from(rows[i].key, 2);

		buf_reset(&W.after);
		buf_append_slice(&W.after, rows[i].key);
		if (!account_id_ok(id))
			continue;
		W.under_way++;
		account_find(W.st, id, on_account, NULL);
	}
	visited();
}

static void
on_time(void *arg)
{
	struct backend *be = W.st->be;

	(void)arg;
	must(be->ops->objects(be, slice_str("a."), buf_slice(&W.after), VISITS, on_objects, NULL));
}

void
sweep_begin(struct stored *st)
{
	W.st = st;
	buf_init(&W.after, BACKEND_OBJECT_MAX + 8);
	W.timer = loop_timer_new(st->loop, on_time, NULL);
	loop_timer_set(W.timer, VISIT_MS);
}
