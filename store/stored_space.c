/* stored_space.c: collection and compaction by themselves, at an interval, paced so that mail does not feel them. Runs in stored, on the loop; the
 * work is the backend's (backend.h, space). */
#include "store/stored_space.h"

#include "store/stored_text.h"

#include "lib/err.h"
#include "lib/log.h"

enum { FIRST_S = 600, AGAIN_S = 60 };

static struct {
	struct stored *st;
	struct space_policy p;
	struct loop_timer *timer;
	bool running;
	uint64_t dropped, dropped_octets;
} A;

static void
later(int64_t s)
{
	loop_timer_set(A.timer, (uint64_t)s * 1000);
}

static void
on_compacted(void *arg, int err)
{
	struct backend_space_state st;

	(void)arg;
	A.running = false;
	A.st->be->ops->space_state(A.st->be, &st);
	later(err == ERR_EXISTS || err == ERR_CANCELED ? AGAIN_S : A.p.interval_s);
	if (err == 0 && (A.dropped > 0 || st.files_removed > 0))
		log_msg(LOG_LVL_INFO, "store_space",
		    "%llu bodies (%llu octets) nobody refers to are gone; %llu files removed, %llu "
		    "octets "
		    "of them copied, %llu free",
		    (unsigned long long)A.dropped, (unsigned long long)A.dropped_octets,
		    (unsigned long long)st.files_removed, (unsigned long long)st.copied_octets,
		    (unsigned long long)(st.freed_octets - st.copied_octets));
}

static void
on_collected(void *arg, int err)
{
	struct backend_space_state st;
	struct backend_space_job job = {
	    .what = SPACE_COMPACT, .pace = A.p.pace, .min_live = A.p.min_live};

	(void)arg;
	A.st->be->ops->space_state(A.st->be, &st);
	if (err != 0) {
		A.running = false;
		later(err == ERR_EXISTS || err == ERR_CANCELED ? AGAIN_S : A.p.interval_s);
		return;
	}
	text_sweep(A.st);
	A.dropped = st.dropped;
	A.dropped_octets = st.dropped_octets;
	must(A.st->be->ops->space(A.st->be, &job, on_compacted, NULL));
}

static void
on_time(void *arg)
{
	struct backend_space_job job = {.what = SPACE_COLLECT, .pace = A.p.pace};

	(void)arg;
	A.running = true;
	A.dropped = A.dropped_octets = 0;
	must(A.st->be->ops->space(A.st->be, &job, on_collected, NULL));
}

void
space_begin(struct stored *st, const struct space_policy *p)
{
	A.st = st;
	A.p = *p;
	if (p->interval_s == 0)
		return;
	A.timer = loop_timer_new(st->loop, on_time, NULL);
	later(p->interval_s < FIRST_S ? p->interval_s : FIRST_S);
}

void
space_make_room(struct stored *st)
{
	if (A.running)
		st->be->ops->space_stop(st->be);
}

unsigned
space_min_live(void)
{
	return A.p.min_live;
}
