/* dir_admin_assignment.c: vnAssignment as HR's commands change it: what begins, goes on elsewhere, ends. What was once so stays written there with its
 * last day. Runs in congvu. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/assignment.h"
#include "lib/err.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

static void
put(struct mods *m, const struct assignment *a)
{
	mods_fmt(m, "vnAssignment", "%.*s;%.*s;%.*s;%.*s;%.*s;%.*s", (int)a->kind.len,
	    (const char *)a->kind.ptr, (int)a->agency.len, (const char *)a->agency.ptr,
	    (int)a->post.len, (const char *)a->post.ptr, (int)a->from.len,
	    (const char *)a->from.ptr, (int)a->to.len, (const char *)a->to.ptr,
	    (int)a->decision.len, (const char *)a->decision.ptr);
}

static void
put_new(struct mods *m, const char *kind, const char *agency, const char *post, struct slice from,
    const char *to, struct slice decision)
{
	const struct assignment a = {
	    slice_str(kind), slice_str(agency), slice_str(post), from, slice_str(to), decision};

	put(m, &a);
}

static bool
is_over(const struct assignment *a)
{
	return assignment_when(a->from, a->to, time(NULL)) == ASSIGNMENT_OVER;
}

/* The decision where a semicolon would part it. */
static struct slice
cited(struct dir_admin *a, struct mods *m)
{
	char *text = arena_strdup(m->arena, a->decision);

	for (char *p = text; p != NULL && *p != '\0'; p++)
		if (*p == ';')
			*p = ',';
	return slice_str(text == NULL ? "" : text);
}

/* What of v is still to come to its end, and is of a kind, at an agency, for a post (NULL: whichever). */
static bool
is_open(
    struct slice v, const char *kind, const char *agency, const char *post, struct assignment *out)
{
	assignment_split(v, out);
	return !is_over(out) && (kind == NULL || slice_caseeq_str(out->kind, kind)) &&
	       (agency == NULL || slice_caseeq_str(out->agency, agency)) &&
	       (post == NULL || slice_caseeq_str(out->post, post));
}

/* Ends one now; what had not begun never was. */
static void
end_one(struct mods *m, struct slice value, const struct assignment *f, const char *now)
{
	struct assignment ended = *f;

	mods_delete(m, "vnAssignment", value);
	ended.to = slice_str(now);
	if (assignment_when(f->from, f->to, time(NULL)) == ASSIGNMENT_NOW)
		put(m, &ended);
}

size_t
admin_assignments_end(struct mods *m, const struct dir_entry *e, const char *kind,
    const char *agency, const char *post)
{
	const struct dir_attr *have = dir_entry_attr(e, "vnAssignment");
	size_t ended = 0;
	char now[20];

	admin_now(now);
	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		struct assignment f;

		if (!is_open(have->values[i], kind, agency, post, &f))
			continue;
		end_one(m, have->values[i], &f, now);
		ended++;
	}
	return ended;
}

bool
admin_assignment_carry(struct dir_admin *a, struct mods *m, const struct dir_entry *e,
    const char *from, const char *to)
{
	const struct dir_attr *have = dir_entry_attr(e, "vnAssignment");
	bool primary = false;
	char now[20];

	admin_now(now);
	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		struct assignment f, next;

		if (!is_open(have->values[i], NULL, from, NULL, &f))
			continue;
		next = f;
		end_one(m, have->values[i], &f, now);
		next.agency = slice_str(to);
		if (assignment_when(f.from, f.to, time(NULL)) == ASSIGNMENT_NOW)
			next.from = slice_str(now);
		next.decision = cited(a, m);
		put(m, &next);
		primary = primary || (slice_eq_str(f.kind, "primary") && f.post.len == 0);
	}
	return primary;
}

void
admin_assignments_settle(
    struct dir_admin *a, struct mods *m, const struct dir_entry *e, const char *agency)
{
	const struct dir_attr *have = dir_entry_attr(e, "vnAssignment");
	char now[20];

	admin_now(now);
	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		struct assignment f, next;

		if (!is_open(have->values[i], NULL, agency, NULL, &f) ||
		    slice_caseeq_str(f.kind, "primary"))
			continue;
		next = f;
		end_one(m, have->values[i], &f, now);
		if (f.post.len == 0)
			continue;
		next.kind = slice_str("primary");
		if (assignment_when(next.from, next.to, time(NULL)) == ASSIGNMENT_NOW)
			next.from = slice_str(now);
		next.decision = cited(a, m);
		put(m, &next);
	}
}

void
admin_assignment_first(struct dir_admin *a, struct mods *m, const char *agency)
{
	char now[20];

	admin_now(now);
	put_new(m, "primary", agency, "", slice_str(now), "", cited(a, m));
}

void
admin_assignment_set(struct dir_admin *a, struct mods *m, const struct dir_entry *e,
    const char *kind, const char *agency, const char *post, const char *from, const char *to)
{
	const struct dir_attr *have = dir_entry_attr(e, "vnAssignment");
	char now[20];

	admin_now(now);
	to = to == NULL ? "" : to;
	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		struct assignment f;
		struct slice first = slice_str(from == NULL ? now : from);

		/* a place without a post is one, whether it is called seconded or concurrent */
		if (!is_open(have->values[i], *post == '\0' ? NULL : kind, agency, post, &f) ||
		    (*post == '\0' && slice_caseeq_str(f.kind, "primary")))
			continue;
		/* both days are as given now: what was to come begins now, what has begun has */
		if (from == NULL && assignment_when(f.from, f.to, time(NULL)) != ASSIGNMENT_LATER)
			first = f.from;
		if (slice_caseeq_str(f.kind, kind) && slice_eq(f.from, first) &&
		    slice_eq_str(f.to, to))
			return; /* is so */
		mods_delete(m, "vnAssignment", have->values[i]);
		put_new(m, kind, agency, post, first, to, cited(a, m));
		return;
	}
	put_new(m, kind, agency, post, slice_str(from == NULL ? now : from), to, cited(a, m));
}

int
admin_place(struct dir_admin *a, struct mods *m, const struct dir_entry *e,
    const struct agency_cache *g, const char *title, bool carry, char **why_out)
{
	const char *was = admin_value(e, "vnAgencyRef"), *since = admin_value(e, "vnValidFrom");
	char display[1024], now[20];

	if (title != NULL && *title != '\0' &&
	    admin_check_text("the title", title, 200, why_out) != 0)
		return ERR_SYNTAX;
	admin_now(now);
	snprintf(display, sizeof(display), "%s (%s)", admin_value(e, "cn"), g->abbrev);
	mods_replace_text(m, "displayName", display);
	mods_replace_text(m, "ou", g->name);
	if (title != NULL && *title != '\0')
		mods_replace_text(m, "title", title);
	if (strcasecmp(was, g->code) == 0)
		return 0;
	mods_replace(m, "vnAgencyRef", g->code);
	if (carry && admin_assignment_carry(a, m, e, was, g->code))
		return 0;
	if (admin_assignments_end(m, e, "primary", NULL, NULL) == 0 && *was != '\0')
		put_new(m, "primary", was, "", slice_str(*since == '\0' ? now : since), now,
		    cited(a, m));
	put_new(m, "primary", g->code, "", slice_str(now), "", cited(a, m));
	return 0;
}
