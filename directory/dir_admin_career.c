/* dir_admin_career.c: what becomes of a person after the hiring: transfer, secondment and its end, freeze, leaving. Runs in congvu. The entry keeps its
 * DN and its id for ever. Rights end before the person's place changes, and after a person has gone, so that a command that was cut off finds the
 * rest when it is given again. DOMAIN: C2. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- assignments: kind;agency;post;from;to;decision ---- */

enum { F_KIND, F_AGENCY, F_POST, F_FROM, F_TO, F_DECISION, N_FIELDS };

static void
fields_of(struct slice v, struct slice f[N_FIELDS])
{
	for (int i = 0; i < N_FIELDS; i++) {
		ptrdiff_t end = i == N_FIELDS - 1 ? -1 : slice_index(v, ';');

		f[i] = end < 0 ? v : slice_sub(v, 0, (size_t)end);
		v = end < 0 ? slice_of(NULL, 0) : slice_from(v, (size_t)end + 1);
	}
}

/* Whether it has ended by now (both as digits, the longer one cut). */
static bool
is_past(struct slice to, const char *now)
{
	size_t n = to.len < 14 ? to.len : 14;

	return to.len > 0 && strncmp((const char *)to.ptr, now, n) <= 0;
}

static void
put(struct mods *m, bool add, const char *kind, struct slice agency, struct slice post,
    struct slice from, struct slice to, struct slice decision)
{
	char text[512];

	snprintf(text, sizeof(text), "%s;%.*s;%.*s;%.*s;%.*s;%.*s", kind, (int)agency.len,
	    (const char *)agency.ptr, (int)post.len, (const char *)post.ptr, (int)from.len,
	    (const char *)from.ptr, (int)to.len, (const char *)to.ptr, (int)decision.len,
	    (const char *)decision.ptr);
	if (add)
		mods_add(m, "vnAssignment", slice_str(text));
	else
		mods_delete(m, "vnAssignment", slice_str(text));
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

/* Ends now what is not past: of a kind (NULL: every one), at an agency (NULL: every one), for a post (NULL: every one). How many. */
static size_t
assignments_end(struct mods *m, const struct dir_entry *e, const char *kind, const char *agency,
    const char *post)
{
	const struct dir_attr *have = dir_entry_attr(e, "vnAssignment");
	size_t ended = 0;
	char now[20];

	admin_now(now);
	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		struct slice f[N_FIELDS];
		char kind_is[32];

		fields_of(have->values[i], f);
		if (f[F_KIND].len >= sizeof(kind_is) || is_past(f[F_TO], now) ||
		    (kind != NULL && !slice_caseeq_str(f[F_KIND], kind)) ||
		    (agency != NULL && !slice_caseeq_str(f[F_AGENCY], agency)) ||
		    (post != NULL && !slice_caseeq_str(f[F_POST], post)))
			continue;
		snprintf(kind_is, sizeof(kind_is), "%.*s", (int)f[F_KIND].len,
		    (const char *)f[F_KIND].ptr);
		mods_delete(m, "vnAssignment", have->values[i]);
		put(m, true, kind_is, f[F_AGENCY], f[F_POST], f[F_FROM], slice_str(now),
		    f[F_DECISION]);
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
		struct slice f[N_FIELDS];
		char kind[32];

		fields_of(have->values[i], f);
		if (f[F_KIND].len >= sizeof(kind) || is_past(f[F_TO], now) ||
		    !slice_caseeq_str(f[F_AGENCY], from))
			continue;
		snprintf(
		    kind, sizeof(kind), "%.*s", (int)f[F_KIND].len, (const char *)f[F_KIND].ptr);
		mods_delete(m, "vnAssignment", have->values[i]);
		put(m, true, kind, f[F_AGENCY], f[F_POST], f[F_FROM], slice_str(now),
		    f[F_DECISION]);
		put(m, true, kind, slice_str(to), f[F_POST], slice_str(now), f[F_TO], cited(a, m));
		primary = primary || (strcmp(kind, "primary") == 0 && f[F_POST].len == 0);
	}
	return primary;
}

void
admin_assignment_end(struct mods *m, const struct dir_entry *e, const char *post)
{
	assignments_end(m, e, NULL, NULL, post);
}

void
admin_assignment_first(struct dir_admin *a, struct mods *m, const char *agency)
{
	char now[20];

	admin_now(now);
	put(m, true, "primary", slice_str(agency), slice_str(""), slice_str(now), slice_str(""),
	    cited(a, m));
}

void
admin_assignment_set(struct dir_admin *a, struct mods *m, const struct dir_entry *e,
    const char *kind, const char *agency, const char *post, const char *from, const char *to)
{
	const struct dir_attr *have = dir_entry_attr(e, "vnAssignment");
	char now[20];

	admin_now(now);
	for (size_t i = 0; have != NULL && i < have->n_values; i++) {
		struct slice f[N_FIELDS];

		fields_of(have->values[i], f);
		if (is_past(f[F_TO], now) || !slice_caseeq_str(f[F_KIND], kind) ||
		    !slice_caseeq_str(f[F_AGENCY], agency) || !slice_caseeq_str(f[F_POST], post))
			continue;
		if ((from == NULL || slice_eq_str(f[F_FROM], from)) &&
		    slice_eq_str(f[F_TO], to == NULL ? "" : to))
			return; /* is so */
		mods_delete(m, "vnAssignment", have->values[i]);
		put(m, true, kind, slice_str(agency), slice_str(post),
		    from == NULL ? f[F_FROM] : slice_str(from), slice_str(to == NULL ? "" : to),
		    cited(a, m));
		return;
	}
	put(m, true, kind, slice_str(agency), slice_str(post), slice_str(from == NULL ? now : from),
	    slice_str(to == NULL ? "" : to), cited(a, m));
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
	if (assignments_end(m, e, "primary", NULL, NULL) == 0 && *was != '\0')
		put(m, true, "primary", slice_str(was), slice_str(""),
		    slice_str(*since == '\0' ? now : since), slice_str(now), cited(a, m));
	put(m, true, "primary", slice_str(g->code), slice_str(""), slice_str(now), slice_str(""),
	    cited(a, m));
	return 0;
}

/* ---- rights ---- */

static int
delegation_end(struct dir_admin *a, const struct dir_entry *e, char **why_out)
{
	struct mods m;
	char now[20];
	int err;

	admin_now(now);
	mods_init(&m);
	mods_replace(&m, "vnStatus", "closed");
	mods_replace(&m, "vnValidTo", now);
	err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	return err;
}

/* Takes dn out of one post, mailbox or group. */
static int
name_remove(struct dir_admin *a, const struct dir_entry *e, const char *dn, char **why_out)
{
	static const char *const attrs[] = {"roleOccupant", "vnHolder", "vnDelegate", "vnReader"};
	struct mods m;
	int err;

	if (dir_entry_attr(e, "member") != NULL) {
		err = admin_member_remove(a, e, dn, why_out);
		if (err != 0)
			return err;
	}
	mods_init(&m);
	for (size_t i = 0; i < sizeof(attrs) / sizeof(attrs[0]); i++)
		mods_delete(&m, attrs[i], slice_str(dn));
	err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	return err;
}

/* Ends what dn has at an agency (NULL: everywhere, delegations too): posts, places in mailboxes and groups. */
static int
rights_end(struct dir_admin *a, const char *dn, const char *agency, char **why_out)
{
	static const char *const attrs[] = {"objectClass", "vnAgencyRef", "member", NULL};
	static const char named[] = "(|(roleOccupant=%d)(member=%d)(vnHolder=%d)(vnDelegate=%d)"
				    "(vnReader=%d))",
			  delegated[] = "(&(objectClass=vnDelegation)(!(vnStatus=closed))"
					"(|(vnDelegator=%d)(vnDelegateTo=%d)))";
	struct dir_result *r = NULL;
	int err = admin_find(a, named, dn, attrs, 0, &r, why_out);

	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];

		if (agency == NULL || strcasecmp(admin_value(e, "vnAgencyRef"), agency) == 0)
			err = name_remove(a, e, dn, why_out);
	}
	dir_result_free(r);
	if (err != 0 || agency != NULL)
		return err;
	r = NULL;
	err = admin_find(a, delegated, dn, attrs, 0, &r, why_out);
	for (size_t i = 0; err == 0 && i < r->n_entries; i++)
		err = delegation_end(a, &r->entries[i], why_out);
	dir_result_free(r);
	return err;
}

int
admin_rights_end(struct dir_admin *a, const char *dn, char **why_out)
{
	return rights_end(a, dn, NULL, why_out);
}

int
admin_delegation_end(struct dir_admin *a, const struct dir_entry *e, char **why_out)
{
	return delegation_end(a, e, why_out);
}

/* ---- one person ---- */

/* Begins a change of a person that is there and in service. On failure nothing is left to do. */
static int
person_begin(struct dir_admin *a, const char *op, const char *who, const char *decision,
    bool gone_too, struct subject *s, char **why_out)
{
	int err = admin_begin(a, op, who, decision == NULL ? "" : decision, why_out);

	if (err != 0)
		return err;
	memset(s, 0, sizeof(*s));
	err = admin_subject(a, who, SUBJECT_PERSON, s, why_out);
	if (err == 0 && !gone_too && admin_is_over(s->e))
		err = admin_fail(
		    why_out, ERR_GONE, "%s has left the service", admin_value(s->e, "vnStaffId"));
	if (err != 0) {
		subject_done(s);
		admin_end(a, err, false, NULL, why_out);
	}
	return err;
}

/* ---- transfer ---- */

static int
role_check(const char *role, char **why_out)
{
	static const char *const roles[] = {"clerk", "staff", "head", "security"};

	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (role == NULL || strcmp(role, roles[i]) == 0)
			return 0;
	return admin_fail(why_out, ERR_SYNTAX, "the role must be clerk, staff, head or security");
}

/* The new address; the old one stays an alias, and is remembered. */
static int
address_change(struct dir_admin *a, const struct dir_entry *e, const char *mail, struct mods *m,
    char **why_out)
{
	const char *was = admin_value(e, "mail");
	char *now = NULL;
	int err = admin_address_free(a, mail, e->dn, &now, why_out);

	if (err == 0 && strcasecmp(was, now) != 0) {
		mods_replace(m, "mail", now);
		mods_delete(m, "vnMailAlias", slice_str(now));
		mods_add(m, "vnMailAlias", slice_str(was));
		admin_history(m, was, admin_value(e, "vnValidFrom"));
	}
	free(now);
	return err;
}

/* The clerks' post follows the role. */
static int
clerk_ensure(struct dir_admin *a, const struct agency_cache *g, const char *role, const char *dn,
    char **why_out)
{
	static const char *const attrs[] = {"roleOccupant", NULL};
	bool is_clerk = strcmp(role, "clerk") == 0;
	struct dir_result *r = NULL;
	char *post = admin_clerk_post(g);
	struct mods m;
	int err = post == NULL ? ERR_LIMIT : dir_read(a->d, post, attrs, &r);

	mods_init(&m);
	if (err == 0) {
		if (is_clerk)
			mods_add(&m, "roleOccupant", slice_str(dn));
		else
			mods_delete(&m, "roleOccupant", slice_str(dn));
		err = admin_modify(a, post, &m, why_out);
	} else if (err == ERR_NOTFOUND && !is_clerk) {
		err = 0;
	} else {
		err = admin_fail(
		    why_out, err, "%s has no clerks' post: give congvu agency add again", g->code);
	}
	mods_done(&m);
	dir_result_free(r);
	free(post);
	return err;
}

static int
transfer(struct dir_admin *a, const struct dir_entry *e, const struct staff_transfer *p,
    const struct agency_cache *g, char **why_out)
{
	const char *was = admin_value(e, "vnAgencyRef");
	struct mods m;
	int err = 0;

	/* a role is no place: who was clerk there is not at once trusted with the mailbox here */
	if (p->role == NULL && strcasecmp(was, g->code) != 0 &&
	    strcasecmp(admin_value(e, "vnRole"), "clerk") == 0)
		return admin_fail(why_out, ERR_SYNTAX,
		    "%s is a clerk of %s: say with --role what they are to be at %s",
		    admin_value(e, "vnStaffId"), was, g->code);
	mods_init(&m);
	err = admin_place(a, &m, e, g, p->title, false, why_out);
	if (err == 0 && p->mail != NULL)
		err = address_change(a, e, p->mail, &m, why_out);
	if (p->role != NULL)
		mods_replace(&m, "vnRole", p->role);
	if (err == 0 && strcasecmp(was, g->code) != 0) {
		assignments_end(&m, e, "concurrent", g->code, NULL);
		assignments_end(&m, e, "seconded", g->code, NULL);
		err = rights_end(a, e->dn, was, why_out);
	}
	if (err == 0)
		err = admin_modify(a, e->dn, &m, why_out);
	if (err == 0)
		err = clerk_ensure(
		    a, g, p->role != NULL ? p->role : admin_value(e, "vnRole"), e->dn, why_out);
	mods_done(&m);
	return err;
}

int
dir_admin_transfer(struct dir_admin *a, const char *who, const struct staff_transfer *p,
    enum change *change_out, char **why_out)
{
	const struct agency_cache *g = NULL;
	struct subject s;
	int err = role_check(p->role, why_out);

	if (err == 0)
		err = person_begin(a, "staff transfer", who, p->decision, false, &s, why_out);
	if (err != 0)
		return err;
	err = admin_agency_open(
	    a, p->agency == NULL ? admin_value(s.e, "vnAgencyRef") : p->agency, &g, why_out);
	if (err == 0)
		err = transfer(a, s.e, p, g, why_out);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

/* ---- secondment and its end ---- */

int
dir_admin_second(struct dir_admin *a, const char *who, const struct staff_second *p,
    enum change *change_out, char **why_out)
{
	const struct agency_cache *g = NULL;
	char from[20] = "", until[20] = "";
	struct subject s;
	struct mods m;
	int err;

	if (p->agency == NULL)
		return admin_fail(why_out, ERR_SYNTAX, "the agency is missing");
	err = admin_days(p->from, p->until, from, until, why_out);
	if (err == 0 && p->until == NULL && !p->concurrent)
		err = admin_fail(why_out, ERR_SYNTAX, "a secondment needs its last day: --until");
	if (err == 0)
		err = person_begin(a, "staff second", who, p->decision, false, &s, why_out);
	if (err != 0)
		return err;
	mods_init(&m);
	err = admin_agency_open(a, p->agency, &g, why_out);
	if (err == 0 && strcasecmp(g->code, admin_value(s.e, "vnAgencyRef")) == 0)
		err = admin_fail(why_out, ERR_CONFLICT, "%s belongs to %s already",
		    admin_value(s.e, "vnStaffId"), g->code);
	if (err == 0) {
		admin_assignment_set(a, &m, s.e, p->concurrent ? "concurrent" : "seconded", g->code,
		    "", p->from == NULL ? NULL : from, p->until == NULL ? NULL : until);
		err = admin_modify(a, s.e->dn, &m, why_out);
	}
	mods_done(&m);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

int
dir_admin_return(struct dir_admin *a, const char *who, const char *agency, const char *decision,
    enum change *change_out, char **why_out)
{
	const struct agency_cache *g = NULL;
	struct subject s;
	struct mods m;
	int err;

	if (agency == NULL)
		return admin_fail(why_out, ERR_SYNTAX, "the agency is missing");
	err = person_begin(a, "staff return", who, decision, false, &s, why_out);
	if (err != 0)
		return err;
	mods_init(&m);
	err = admin_agency(a, agency, &g, why_out);
	if (err == 0 && strcasecmp(g->code, admin_value(s.e, "vnAgencyRef")) == 0)
		err = admin_fail(why_out, ERR_CONFLICT, "%s belongs to %s: congvu staff transfer",
		    admin_value(s.e, "vnStaffId"), g->code);
	if (err == 0)
		err = rights_end(a, s.e->dn, g->code, why_out);
	if (err == 0) {
		assignments_end(&m, s.e, NULL, g->code, NULL);
		err = admin_modify(a, s.e->dn, &m, why_out);
	}
	mods_done(&m);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

/* ---- freeze, unfreeze, leave ---- */

/* Ends all sessions and tickets. */
static void
epoch_raise(struct mods *m, const struct dir_entry *e)
{
	uint64_t epoch = 0;
	char text[24];

	slice_to_u64(dir_entry_value(e, "vnEpoch"), INT32_MAX - 1, &epoch);
	snprintf(text, sizeof(text), "%llu", (unsigned long long)epoch + 1);
	mods_replace(m, "vnEpoch", text);
}

int
dir_admin_freeze(struct dir_admin *a, const char *who, bool freeze, const char *decision,
    enum change *change_out, char **why_out)
{
	struct subject s;
	struct mods m;
	bool is_frozen;
	int err = person_begin(
	    a, freeze ? "staff freeze" : "staff unfreeze", who, decision, false, &s, why_out);

	if (err != 0)
		return err;
	is_frozen = strcasecmp(admin_value(s.e, "vnStatus"), "suspended") == 0;
	mods_init(&m);
	if (freeze != is_frozen) {
		mods_replace(&m, "vnStatus", freeze ? "suspended" : "active");
		if (freeze)
			epoch_raise(&m, s.e);
		err = admin_modify(a, s.e->dn, &m, why_out);
	}
	mods_done(&m);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

int
dir_admin_leave(struct dir_admin *a, const char *who, const char *decision, enum change *change_out,
    char **why_out)
{
	static const char *const gone[] = {"mail", "vnMailAlias", "vnForward", "vnForwardKeep",
	    "vnAutoReplyText", "vnAutoReplySubject", "vnAutoReplyFrom", "vnAutoReplyUntil",
	    "vnAutoReplyDays"};
	const struct dir_attr *aliases;
	struct subject s;
	struct mods m;
	char now[20];
	int err = person_begin(a, "staff leave", who, decision, true, &s, why_out);

	if (err != 0)
		return err;
	mods_init(&m);
	if (!admin_is_over(s.e)) {
		admin_now(now);
		mods_replace(&m, "vnStatus", "closed");
		mods_replace(&m, "vnValidTo", now);
		epoch_raise(&m, s.e);
		assignments_end(&m, s.e, NULL, NULL, NULL);
		/* the addresses go, and are nobody else's for long */
		if (*admin_value(s.e, "mail") != '\0')
			admin_history(
			    &m, admin_value(s.e, "mail"), admin_value(s.e, "vnValidFrom"));
		aliases = dir_entry_attr(s.e, "vnMailAlias");
		for (size_t i = 0; aliases != NULL && i < aliases->n_values; i++)
			admin_history(&m, (const char *)aliases->values[i].ptr, "");
		for (size_t i = 0; i < sizeof(gone) / sizeof(gone[0]); i++)
			mods_replace(&m, gone[i], NULL);
		err = admin_modify(a, s.e->dn, &m, why_out);
	}
	if (err == 0) /* also of who had left when the command was cut off */
		err = rights_end(a, s.e->dn, NULL, why_out);
	mods_done(&m);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}
