/* dir_admin_career.c: what becomes of a person after the hiring: transfer, secondment and its end, freeze, leaving. Runs in congvu. The entry keeps its
 * DN and its id for ever. Rights end before the person's place changes, and after a person has gone, so that a command that was cut off finds the
 * rest when it is given again. DOMAIN: C2. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/assignment.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

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
clerk_ensure(struct dir_admin *a, const struct agency_cache *g, const char *role,
    const struct dir_entry *person, const char *post, char **why_out)
{
	static const char *const attrs[] = {"vnPositionCode", "roleOccupant", NULL};
	bool is_clerk = strcmp(role, "clerk") == 0, was = false;
	struct dir_result *r = NULL;
	struct mods m;
	int err = dir_read(a->d, post, attrs, &r);

	mods_init(&m);
	if (err == 0) {
		was = dir_entry_has_value(&r->entries[0], "roleOccupant", slice_str(person->dn));
		if (is_clerk)
			mods_add(&m, "roleOccupant", slice_str(person->dn));
		else
			mods_delete(&m, "roleOccupant", slice_str(person->dn));
		err = admin_modify(a, post, &m, why_out);
	} else if (err == ERR_NOTFOUND && !is_clerk) {
		err = 0;
	} else {
		err = admin_fail(
		    why_out, err, "%s has no clerks' post: give congvu agency add again", g->code);
	}
	if (err == 0 && (was || is_clerk))
		err = admin_post_tell(a, &r->entries[0],
		    !is_clerk ? "ends"
		    : was     ? "stays"
			      : "begins",
		    why_out);
	mods_done(&m);
	dir_result_free(r);
	return err;
}

static int
transfer(struct dir_admin *a, const struct dir_entry *e, const struct staff_transfer *p,
    const struct agency_cache *g, char **why_out)
{
	const char *was = admin_value(e, "vnAgencyRef");
	bool moves = strcasecmp(was, g->code) != 0;
	/* the clerks' post goes by the role, where one is said: it is seen to last */
	char *clerks = p->role == NULL && strcasecmp(admin_value(e, "vnRole"), "clerk") != 0
			   ? NULL
			   : admin_clerk_post(g);
	struct mods m;
	int err;

	/* a role is no place: who was clerk there is not at once trusted with the mailbox here */
	if (p->role == NULL && moves && strcasecmp(admin_value(e, "vnRole"), "clerk") == 0) {
		free(clerks);
		return admin_fail(why_out, ERR_SYNTAX,
		    "%s is a clerk of %s: say with --role what they are to be at %s",
		    admin_value(e, "vnStaffId"), was, g->code);
	}
	mods_init(&m);
	/* an officer who may not is told before the old rights go */
	err = moves ? admin_not_oneself(a, e->dn, why_out) : 0;
	if (err == 0 && moves)
		err = admin_officer_over(a, slice_str(g->code), why_out);
	if (err == 0)
		err = admin_place(a, &m, e, g, p->title, false, why_out);
	if (err == 0 && p->mail != NULL)
		err = address_change(a, e, p->mail, &m, why_out);
	if (p->role != NULL)
		mods_replace(&m, "vnRole", p->role);
	if (moves)
		admin_assignments_settle(a, &m, e, g->code);
	if (err == 0)
		err = admin_rights_end(a, e->dn, moves ? RIGHTS_AT_AGENCY : RIGHTS_STAY,
		    moves ? was : NULL, clerks, why_out);
	if (err == 0)
		err = admin_modify(a, e->dn, &m, why_out);
	if (err == 0 && clerks != NULL)
		err = clerk_ensure(
		    a, g, p->role != NULL ? p->role : admin_value(e, "vnRole"), e, clerks, why_out);
	free(clerks);
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
	err = admin_not_oneself(a, s.e->dn, why_out);
	if (err == 0)
		err = admin_agency(a, agency, &g, why_out);
	if (err == 0 && strcasecmp(g->code, admin_value(s.e, "vnAgencyRef")) == 0)
		err = admin_fail(why_out, ERR_CONFLICT, "%s belongs to %s: congvu staff transfer",
		    admin_value(s.e, "vnStaffId"), g->code);
	if (err == 0)
		err = admin_rights_end(a, s.e->dn, RIGHTS_AT_AGENCY, g->code, NULL, why_out);
	if (err == 0) {
		admin_assignments_end(&m, s.e, NULL, g->code, NULL);
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
	err = admin_not_oneself(a, s.e->dn, why_out);
	if (err == 0 && freeze != is_frozen) {
		mods_replace(&m, "vnStatus", freeze ? "suspended" : "active");
		if (freeze)
			epoch_raise(&m, s.e);
		err = admin_modify(a, s.e->dn, &m, why_out);
	}
	if (err == 0)
		err = admin_officers_lock(a, s.e->dn, freeze, why_out);
	/* a freeze is for a time: nothing ends by it, and whoever orders it is to know what goes on */
	if (err == 0)
		err = admin_rights_end(a, s.e->dn, RIGHTS_STAY, NULL, NULL, why_out);
	mods_done(&m);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}

/* The first moment of no more reading, "" where there is none to be. */
static int
read_end(struct dir_admin *a, const char *wanted, char until[20], char **why_out)
{
	int64_t days = conf_int(a->conf, "leave_read_days");
	char last[20], now[20];
	struct tm tm;
	time_t t;
	int err;

	*until = '\0';
	if (wanted != NULL && *wanted == '\0')
		return 0;
	if (wanted == NULL && days == 0)
		return 0;
	if (wanted == NULL) {
		t = time(NULL);
		localtime_r(&t, &tm);
		tm.tm_mday += (int)days;
		tm.tm_hour = 12; /* of a day that summer time makes shorter, too */
		tm.tm_isdst = -1;
		mktime(&tm);
		strftime(last, sizeof(last), "%Y-%m-%d", &tm);
		wanted = last;
	}
	err = admin_day(wanted, true, until, why_out);
	admin_now(now);
	if (err == 0 && strcmp(until, now) <= 0)
		err = admin_fail(why_out, ERR_SYNTAX, "--read-until %s is past", wanted);
	return err;
}

/* Of who has left: another day of the last reading, where one is said. A nearer one is to hold in open sessions too. */
static int
read_change(struct dir_admin *a, const struct dir_entry *e, const char *wanted, char **why_out)
{
	const char *was = admin_value(e, "vnReadUntil");
	struct mods m;
	char until[20];
	int err = wanted == NULL ? 0 : read_end(a, wanted, until, why_out);

	if (wanted == NULL || err != 0 || strcmp(was, until) == 0)
		return err;
	mods_init(&m);
	mods_replace(&m, "vnReadUntil", *until == '\0' ? NULL : until);
	if (*was != '\0' && strcmp(until, was) < 0)
		epoch_raise(&m, e);
	err = admin_modify(a, e->dn, &m, why_out);
	mods_done(&m);
	return err;
}

/* Until when the own mail is still read is told; of who reads it no more nothing. */
static void
reading_tell(struct dir_admin *a, const struct dir_entry *e, const char *until)
{
	if (*until != '\0' &&
	    assignment_when(slice_of(NULL, 0), slice_str(until), time(NULL)) == ASSIGNMENT_NOW)
		json_set_str(admin_effect_add(a, "reading", e->dn, "stays"), "until", until);
}

int
dir_admin_leave(struct dir_admin *a, const char *who, const char *read_until, const char *decision,
    enum change *change_out, char **why_out)
{
	static const char *const gone[] = {"mail", "vnMailAlias", "vnForward", "vnForwardKeep",
	    "vnAutoReplyText", "vnAutoReplySubject", "vnAutoReplyFrom", "vnAutoReplyUntil",
	    "vnAutoReplyDays"};
	const struct dir_attr *aliases;
	struct subject s;
	struct mods m;
	char now[20], until[20];
	int err = read_end(a, read_until, until, why_out);

	if (err == 0)
		err = person_begin(a, "staff leave", who, decision, true, &s, why_out);

	if (err != 0)
		return err;
	mods_init(&m);
	err = admin_not_oneself(a, s.e->dn, why_out);
	/* what a freeze has shut opens by word alone, not by leave_read_days */
	if (read_until == NULL && strcasecmp(admin_value(s.e, "vnStatus"), "suspended") == 0)
		*until = '\0';
	if (err == 0 && admin_is_over(s.e)) {
		err = read_change(a, s.e, read_until, why_out);
		if (read_until == NULL)
			snprintf(until, sizeof(until), "%s", admin_value(s.e, "vnReadUntil"));
	} else if (err == 0) {
		admin_now(now);
		mods_replace(&m, "vnStatus", "closed");
		mods_replace(&m, "vnValidTo", now);
		mods_replace(&m, "vnReadUntil", *until == '\0' ? NULL : until);
		epoch_raise(&m, s.e);
		admin_assignments_end(&m, s.e, NULL, NULL, NULL);
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
		err = admin_rights_end(a, s.e->dn, RIGHTS_ALL, NULL, NULL, why_out);
	if (err == 0)
		reading_tell(a, s.e, until);
	mods_done(&m);
	subject_done(&s);
	return admin_end(a, err, false, change_out, why_out);
}
