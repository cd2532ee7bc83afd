/* stored_doubt.c: makes of stored.c a stored whose backend does not know what became of one batch (ERR_UNKNOWN, as a distributed store answers after a
 * time-out), for stored_doubt_test. STORED_DOUBT is "N done" or "N lost": the Nth batch of this process was committed, or never was. Linked with
 * --wrap. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/buf.h"
#include "lib/err.h"
#include "store/backend.h"

int __real_backend_kv_open(
    struct loop *l, const struct backend_kv_options *o, struct backend **b_out);
int __wrap_backend_kv_open(
    struct loop *l, const struct backend_kv_options *o, struct backend **b_out);

static struct {
	const struct backend_ops *real;
	struct backend_ops ops;
	struct loop_timer *timer;
	unsigned nth, seen;
	bool lost;
	backend_done_fn fn;
	void *arg;
} D;

static void
not_known(void *arg)
{
	(void)arg;
	D.fn(D.arg, ERR_UNKNOWN);
}

static void
done(void *arg, int err)
{
	(void)arg;
	D.fn(D.arg, err == 0 ? ERR_UNKNOWN : err);
}

static int
doubt(struct backend *b, const struct backend_batch *batch, backend_done_fn fn, void *arg)
{
	if (++D.seen != D.nth)
		return D.real->batch(b, batch, fn, arg);
	D.fn = fn;
	D.arg = arg;
	if (!D.lost)
		return D.real->batch(b, batch, done, NULL);
	loop_timer_set(D.timer, 5);
	return 0;
}

int
__wrap_backend_kv_open(struct loop *l, const struct backend_kv_options *o, struct backend **b_out)
{
	const char *want = getenv("STORED_DOUBT");
	int err = __real_backend_kv_open(l, o, b_out);
	char *end;

	if (err != 0 || want == NULL)
		return err;
	D.nth = (unsigned)strtoul(want, &end, 10);
	D.lost = slice_eq_str(slice_str(end), " lost");
	D.timer = loop_timer_new(l, not_known, NULL);
	D.real = (*b_out)->ops;
	D.ops = *D.real;
	D.ops.batch = doubt;
	(*b_out)->ops = &D.ops;
	return 0;
}
