/* dir_admin_authority.c: what whoever holds a post may sign, and for which days (vnSigningAuthority, rule P11). Runs in congvu. What was once so stays written
 * there with its last day. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/assignment.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/utf7.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int
check(const struct post_authority *p, struct buf *named, char **why_out)
{
	static const char *const capacities[] = {"TM", "Q", "KT", "TL", "TUQ", "-", "*"};
	bool known = false;
	int err = admin_check_text("the type of document", p->type, 30, why_out);

	if (err == 0 && strpbrk(p->type, "; ") != NULL)
		err = admin_fail(why_out, ERR_SYNTAX,
		    "the type of document is as symbols have it: QĐ; - for a công văn, * for any");
	for (size_t i = 0; err == 0 && i < sizeof(capacities) / sizeof(capacities[0]); i++)
		known = known || (p->capacity != NULL && strcmp(p->capacity, capacities[i]) == 0);
	if (err == 0 && !known)
		err = admin_fail(why_out, ERR_SYNTAX,
		    "the capacity is TM, Q, KT, TL, TUQ, - for one's own name, or * for any");
	if (err == 0)
		err = utf8_nfc(slice_str(p->type), named);
	return err != 0 ? err : buf_appendf(named, ";%s", p->capacity);
}

static void
put(struct dir_admin *a, struct mods *m, struct slice named, struct slice from, const char *to)
{
	char *decision = arena_strdup(m->arena, a->decision);

	for (char *c = decision; c != NULL && *c != '\0'; c++)
		if (*c == ';')
			*c = ',';
	mods_fmt(m, "vnSigningAuthority", "%.*s;%.*s;%s;%s", (int)named.len,
	    (const char *)named.ptr, (int)from.len, (const char *)from.ptr, to,
	    decision == NULL ? "" : decision);
}

/* What of the post's values names the same and is not at an end: it goes, and what of it has been stays with its end (now). True when one is as wanted:
 * then nothing of it was changed. */
static bool
end_others(struct mods *m, const struct dir_attr *have, struct slice named, const char *from,
    const char *until, const char *now, size_t *ended_out)
{
	*ended_out = 0;
	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		struct slice v = have->values[i];
		struct authority f;
		enum assignment_when when;

		authority_split(v, &f);
		when = assignment_when(f.from, f.to, time(NULL));
		if (!slice_eq(f.named, named) || when == ASSIGNMENT_OVER)
			continue;
		if (until != NULL && slice_eq_str(f.to, until) &&
		    (from == NULL ? when == ASSIGNMENT_NOW : slice_eq_str(f.from, from)))
			return true;
		(*ended_out)++;
		mods_delete(m, "vnSigningAuthority", v);
		if (when == ASSIGNMENT_NOW)
			mods_fmt(m, "vnSigningAuthority", "%.*s;%.*s;%s%.*s", (int)named.len,
			    (const char *)named.ptr, (int)f.from.len,
			    f.from.len == 0 ? "" : (const char *)f.from.ptr, now,
			    f.to.ptr == NULL ? 0 : (int)(v.ptr + v.len - f.to.ptr - f.to.len),
			    f.to.ptr == NULL ? "" : (const char *)f.to.ptr + f.to.len);
	}
	return false;
}

/* until NULL: it ends. */
static int
change(struct dir_admin *a, const struct post_authority *p, struct slice named, const char *from,
    const char *until, char **why_out)
{
	static const char *const attrs[] = {"vnSigningAuthority", NULL};
	struct dir_result *r = NULL;
	struct subject s = {.r = NULL};
	struct mods m;
	size_t ended = 0;
	char now[20];
	int err = admin_subject(a, p->post, SUBJECT_POST, &s, why_out);

	admin_now(now);
	mods_init(&m);
	if (err == 0 && admin_is_over(s.e))
		err = admin_fail(
		    why_out, ERR_GONE, "the post %s is closed", admin_value(s.e, "vnPositionCode"));
	if (err == 0 && (err = dir_read(a->d, s.e->dn, attrs, &r)) != 0)
		err = admin_fail(why_out, err, "the directory does not answer");
	if (err == 0 && !end_others(&m, dir_entry_attr(&r->entries[0], "vnSigningAuthority"), named,
			    from, until, now, &ended)) {
		if (until != NULL)
			put(a, &m, named, slice_str(from == NULL ? now : from), until);
		else if (ended == 0)
			err = admin_fail(why_out, ERR_NOTFOUND,
			    "%s may not sign that: congvu post list --json tells what it may",
			    admin_value(s.e, "vnPositionCode"));
		if (err == 0)
			err = admin_modify(a, s.e->dn, &m, why_out);
	}
	mods_done(&m);
	dir_result_free(r);
	subject_done(&s);
	return err;
}

int
dir_admin_post_authorize(
    struct dir_admin *a, const struct post_authority *p, enum change *change_out, char **why_out)
{
	char from[20] = "", until[20] = "";
	struct buf named;
	int err;

	buf_init(&named, 256);
	err = check(p, &named, why_out);
	if (err == 0)
		err = admin_days(p->from, p->until, from, until, why_out);
	if (err == 0 && (err = admin_begin(a, "post authorize", p->post,
			     p->decision == NULL ? "" : p->decision, why_out)) == 0) {
		err =
		    change(a, p, buf_slice(&named), p->from == NULL ? NULL : from, until, why_out);
		err = admin_end(a, err, false, change_out, why_out);
	}
	buf_done(&named);
	return err;
}

int
dir_admin_post_unauthorize(
    struct dir_admin *a, const struct post_authority *p, enum change *change_out, char **why_out)
{
	struct buf named;
	int err;

	buf_init(&named, 256);
	err = check(p, &named, why_out);
	if (err == 0 && (err = admin_begin(a, "post unauthorize", p->post,
			     p->decision == NULL ? "" : p->decision, why_out)) == 0) {
		err = change(a, p, buf_slice(&named), NULL, NULL, why_out);
		err = admin_end(a, err, false, change_out, why_out);
	}
	buf_done(&named);
	return err;
}
