/* ppolicy.c: ppolicy.h. Runs in lookup's workers and in congvu. */
#include "config.h"

#include "directory/ppolicy.h"

#include <time.h>

int64_t
ppolicy_time(struct slice v)
{
	struct tm tm = {0};
	int field[6] = {0};
	static const int width[6] = {4, 2, 2, 2, 2, 2};
	size_t at = 0;

	for (int f = 0; f < 6; f++) {
		for (int i = 0; i < width[f]; i++, at++) {
			if (at >= v.len || v.ptr[at] < '0' || v.ptr[at] > '9')
				return 0;
			field[f] = field[f] * 10 + (v.ptr[at] - '0');
		}
	}
	tm.tm_year = field[0] - 1900;
	tm.tm_mon = field[1] - 1;
	tm.tm_mday = field[2];
	tm.tm_hour = field[3];
	tm.tm_min = field[4];
	tm.tm_sec = field[5];
	return timegm(&tm);
}

/* Whether the account is locked, and by whom. */
static enum ppolicy_state
lock_of(
    const struct ppolicy *p, const struct ppolicy_entry *e, int64_t default_lockout_s, int64_t now)
{
	int64_t lockout = p->is_known ? p->lockout_s : default_lockout_s;

	/* draft-behera 5.3.3: this value is an administrator's, for ever; other ones run out, though the attribute may stay */
	if (slice_starts(e->locked, "000001010000"))
		return PPOLICY_FROZEN;
	if (e->locked.len > 0 && (lockout == 0 || now < ppolicy_time(e->locked) + lockout))
		return PPOLICY_LOCKED;
	if ((e->start != 0 && now < e->start) || (e->end != 0 && now >= e->end))
		return PPOLICY_FROZEN;
	if (p->max_idle_s != 0 && e->last != 0 && now > e->last + p->max_idle_s)
		return PPOLICY_FROZEN;
	return PPOLICY_OK;
}

struct ppolicy_verdict
ppolicy_judge(
    const struct ppolicy *p, const struct ppolicy_entry *e, int64_t default_lockout_s, int64_t now)
{
	struct ppolicy_verdict v = {.state = lock_of(p, e, default_lockout_s, now)};
	int64_t end = e->changed + p->max_age_s;

	if (v.state != PPOLICY_OK)
		return v;
	/* a mark whose policy cannot be read is believed */
	if (e->is_reset && (p->must_change || !p->is_known)) {
		v.state = PPOLICY_MUST_CHANGE;
	} else if (p->max_age_s != 0 && e->changed != 0 && now > end) {
		bool in_time = p->grace_s == 0 || now < end + p->grace_s;

		v.state = PPOLICY_EXPIRED;
		if (in_time && p->grace_count > e->n_grace) {
			v.state = PPOLICY_GRACE;
			v.grace_left = p->grace_count - e->n_grace - 1;
		}
	} else if (p->max_age_s != 0 && e->changed != 0 && p->warn_s != 0 &&
		   now > end - p->warn_s) {
		v.until = end;
	}
	return v;
}
