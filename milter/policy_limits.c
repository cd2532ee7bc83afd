/* policy_limits.c: "limit" and "limits" of the policy language: what mail of a scope may be at most, and how far the scanner goes into it. Pure; runs where policies
 * are compiled. Invariant: no scope takes the scanner further than the built-in bounds do. */
#include "config.h"

#include "milter/policy_priv.h"
#include "milter/scan_terms.h"

static const struct {
	const char *name, *range;
	uint64_t most; /* of those of the scanner; 0: any number */
} limits[] = {{"attachments", NULL, 0}, {"files", NULL, 0}, {"message", NULL, 0},
    {"recipients", NULL, 0}, {"depth", "1 .. 8", SCAN_DEPTH_MAX},
    {"entries", "1 .. 2000", SCAN_ENTRIES_MAX}, {"bytes", "1 .. 200MB", SCAN_BYTES_MAX},
    {"ratio", "1 .. 200", SCAN_RATIO_MAX}, {"time", "1 .. 60", SCAN_TIME_MAX}};

const char *
policy_limit_name(enum policy_what what)
{
	return limits[what - POLICY_LIMIT_ATTACHMENTS].name;
}

bool
policy_limit_is_scan(enum policy_what what)
{
	return what >= POLICY_SCAN_DEPTH;
}

uint32_t
policy_scan_term(const struct scan_terms *t, enum policy_what what)
{
	const uint32_t all[] = {t->depth, t->entries, t->bytes, t->ratio, t->time_s};

	return all[what - POLICY_SCAN_DEPTH];
}

uint64_t
policy_limit_built_in(enum policy_what what)
{
	return limits[what - POLICY_LIMIT_ATTACHMENTS].most;
}

static bool
find(struct slice what, enum policy_what first, enum policy_what last, enum policy_what *out)
{
	enum policy_what w;

	for (w = first; w <= last; w++) {
		if (slice_eq_str(what, policy_limit_name(w))) {
			*out = w;
			return true;
		}
	}
	return false;
}

static void
set(struct policy_build *b, struct policy_pos pos, enum policy_what w, struct slice name,
    uint64_t n)
{
	struct policy_setting *s = policy_setting_new(b, pos);

	if (s == NULL)
		return;
	s->what = w;
	s->name = name;
	s->builtin = -2;
	s->limit = n;
}

void
policy_on_limit(struct policy_build *b, struct policy_pos pos, struct slice what, uint64_t n)
{
	enum policy_what w;

	if (find(what, POLICY_LIMIT_ATTACHMENTS, POLICY_LIMIT_RECIPIENTS, &w))
		set(b, pos, w, what, n);
	else if (find(what, POLICY_SCAN_DEPTH, POLICY_SCAN_TIME, &w))
		policy_error_at(b, pos, "viết là: limits { %s ...; }", "write: limits { %s ...; }",
		    policy_limit_name(w));
	else
		policy_error_at(b, pos, "giới hạn là attachments, files, message hoặc recipients",
		    "a limit is one of attachments, files, message, recipients");
}

void
policy_on_limits_begin(struct policy_build *b)
{
	b->setting_reason = slice_str("");
	b->setting_until = INT64_MAX;
	b->limits_from = b->settings_end;
	b->limits_wrong = false;
}

void
policy_on_limits_item(struct policy_build *b, struct policy_pos pos, struct slice what, uint64_t n)
{
	const struct policy_setting *s;
	enum policy_what w;
	uint64_t most;

	b->limits_wrong = true;
	if (!find(what, POLICY_SCAN_DEPTH, POLICY_SCAN_TIME, &w)) {
		policy_error_at(b, pos, "trong limits có: depth, entries, bytes, ratio, time",
		    "limits has: depth, entries, bytes, ratio, time");
		return;
	}
	most = limits[w - POLICY_LIMIT_ATTACHMENTS].most;
	if (n == 0 || n > most) {
		policy_error_at(b, pos, "%s: %s (không vượt mức có sẵn)",
		    "%s: %s (never above the built-in bound)", policy_limit_name(w),
		    limits[w - POLICY_LIMIT_ATTACHMENTS].range);
		return;
	}
	for (s = *b->limits_from; s != NULL && s->what != w; s = s->next)
		;
	if (!policy_once(b, pos, s != NULL, what))
		return;
	b->limits_wrong = false;
	set(b, pos, w, what, n);
}

/* The reason and the last day stand behind the block. */
void
policy_on_limits_end(struct policy_build *b, struct policy_pos pos)
{
	struct policy_setting *s;

	if (*b->limits_from == NULL && !b->limits_wrong)
		policy_error_at(b, pos, "limits không có gì", "limits says nothing");
	else if (b->setting_until != INT64_MAX && b->setting_reason.len == 0)
		policy_error_at(b, pos, "có until thì cần reason \"...\"",
		    "what has an until needs a reason \"...\"");
	for (s = *b->limits_from; s != NULL; s = s->next) {
		s->reason = b->setting_reason;
		s->until = b->setting_until;
	}
}
