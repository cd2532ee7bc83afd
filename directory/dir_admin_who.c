/* dir_admin_who.c: what a word of a command names: a person, a functional mailbox, a group, a post; and days. Runs in congvu. */
#include "config.h"

#include "directory/dir_admin_priv.h"

#include "directory/escape.h"
#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"

#include <libintl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { WORD_MAX = 400 };

static const struct kind_row {
	enum subject_kind kind;
	const char *prefix, *class, *filter;
} kinds_of[] = {
    {SUBJECT_PERSON, "staff:", "vnCivilServant",
	"(&(objectClass=vnCivilServant)(|(vnStaffId=%s)(uid=%s)(mail=%s)(vnMailAlias=%s)"
	"(vnAddressHistory=%s;*)))"},
    {SUBJECT_MAILBOX, "mailbox:", "vnFunctionalMailbox",
	"(&(objectClass=vnFunctionalMailbox)(|(vnMailboxId=%s)(mail=%s)(vnMailAlias=%s)"
	"(vnAddressHistory=%s;*)))"},
    {SUBJECT_GROUP, "group:", "vnMailGroup",
	"(&(objectClass=vnMailGroup)(|(cn=%s)(mail=%s)(vnMailAlias=%s)))"},
    {SUBJECT_POST, "post:", "vnPosition", "(&(objectClass=vnPosition)(vnPositionCode=%s))"},
};
enum { N_KINDS = sizeof(kinds_of) / sizeof(kinds_of[0]) };

const char *
admin_value(const struct dir_entry *e, const char *attr)
{
	const char *v = dir_value_text(dir_entry_value(e, attr));

	return v == NULL ? "" : v;
}

bool
admin_is_over(const struct dir_entry *e)
{
	struct slice v = dir_entry_value(e, "vnStatus");

	return slice_caseeq_str(v, "closed") || slice_caseeq_str(v, "retired");
}

/* Who has the address or id now, before who had it once; *at_out: where. How many that are. */
static size_t
foremost(const struct dir_result *r, const char *word, size_t *at_out)
{
	static const char *const now[] = {
	    "vnStaffId", "uid", "mail", "vnMailAlias", "vnMailboxId", "cn", "vnPositionCode"};
	size_t n = 0, last = 0;

	for (size_t i = 0; i < r->n_entries; i++) {
		bool is = false;

		for (size_t k = 0; k < sizeof(now) / sizeof(now[0]); k++)
			is = is || dir_entry_has_value(&r->entries[i], now[k], slice_str(word));
		if (is) {
			*at_out = i;
			n++;
		} else {
			last = i;
		}
	}
	if (n == 0) {
		*at_out = last;
		return r->n_entries;
	}
	return n;
}

int
admin_subject(
    struct dir_admin *a, const char *word, unsigned kinds, struct subject *out, char **why_out)
{
	static const char *const attrs[] = {"objectClass", "vnStaffId", "uid", "mail", "cn", "sn",
	    "displayName", "displayName;x-fold", "title", "vnAgencyRef", "vnAssignment", "vnRole",
	    "vnStatus", "vnMailAlias", "vnAddressHistory", "vnEpoch", "vnMailboxId",
	    "vnPositionCode", "vnValidFrom", "vnValidTo", "vnReadUntil", "roleOccupant", "member",
	    "vnMaySend", "vnDecisionRef", "userCertificate;binary", NULL};
	struct dir_result *r = NULL;
	struct buf f;
	size_t n, at = 0;
	int err = admin_check_text("the name", word, WORD_MAX, why_out);

	if (err != 0)
		return err;
	buf_init(&f, 65536);
	buf_append_str(&f, "(|");
	for (size_t i = 0; i < N_KINDS; i++) {
		if (strncmp(word, kinds_of[i].prefix, strlen(kinds_of[i].prefix)) == 0) {
			word += strlen(kinds_of[i].prefix);
			kinds &= kinds_of[i].kind;
			break;
		}
	}
	for (size_t i = 0; err == 0 && i < N_KINDS; i++)
		if ((kinds & kinds_of[i].kind) != 0)
			err = escape_template(
			    kinds_of[i].filter, slice_str(word), slice_of(NULL, 0), &f);
	buf_append_str(&f, ")");
	if (err == 0)
		err = f.err;
	if (err == 0)
		err = dir_search(a->d, NULL, buf_cstr(&f), attrs, 0, &r);
	buf_done(&f);
	if (err != 0)
		return admin_fail(why_out, err, "the directory does not answer");
	n = foremost(r, word, &at);
	if (n != 1) {
		dir_result_free(r);
		return n == 0 ? admin_fail(why_out, ERR_NOTFOUND,
				    "nothing in the directory has the id, login name or address %s",
				    word)
			      : admin_fail(why_out, ERR_EXISTS,
				    "%s names more than one: put staff:, mailbox:, group: or post: "
				    "before its id",
				    word);
	}
	out->r = r;
	out->e = &r->entries[at];
	for (size_t i = 0; i < N_KINDS; i++)
		if (dir_entry_has_value(out->e, "objectClass", slice_str(kinds_of[i].class)))
			out->kind = kinds_of[i].kind;
	return 0;
}

int
admin_person(struct dir_admin *a, const char *who, const char *const *attrs,
    struct dir_result **out, char **why_out)
{
	struct dir_result *r = NULL;
	int err = admin_find(a,
	    "(&(objectClass=vnCivilServant)(|(vnStaffId=%s)(uid=%s)(mail=%s)(vnMailAlias=%s)))",
	    who, attrs, 0, &r, why_out);

	if (err != 0)
		return err;
	if (r->n_entries != 1) {
		err = admin_fail(why_out, ERR_NOTFOUND,
		    r->n_entries == 0 ? "nobody has the id, login name or address %s"
				      : "%s names more than one person",
		    who);
		dir_result_free(r);
		return err;
	}
	*out = r;
	return 0;
}

void
subject_done(struct subject *s)
{
	dir_result_free(s->r);
	memset(s, 0, sizeof(*s));
}

int
admin_day(const char *text, bool end, char out[20], char **why_out)
{
	struct tm tm = {.tm_isdst = -1};
	const char *rest = strptime(text, "%Y-%m-%d", &tm);
	time_t t;

	if (strlen(text) == 15 && strspn(text, "0123456789") == 14 && text[14] == 'Z') {
		memcpy(out, text, 16);
		return 0;
	}
	tm.tm_mday += end ? 1 : 0;
	tm.tm_isdst = -1;
	t = rest == NULL || *rest != '\0' ? (time_t)-1 : mktime(&tm);
	if (t == (time_t)-1 || gmtime_r(&t, &tm) == NULL || tm.tm_year + 1900 < 1900 ||
	    tm.tm_year + 1900 > 2200 || strftime(out, 20, "%Y%m%d%H%M%SZ", &tm) == 0)
		return admin_fail(why_out, ERR_SYNTAX, "%s is no day: 2026-11-30", text);
	return 0;
}

int
admin_days(
    const char *from, const char *until, char from_out[20], char until_out[20], char **why_out)
{
	int err = from == NULL ? 0 : admin_day(from, false, from_out, why_out);
	char now[20];

	if (err == 0 && until != NULL)
		err = admin_day(until, true, until_out, why_out);
	if (err != 0 || until == NULL)
		return err;
	admin_now(now);
	if (from != NULL && strcmp(from_out, until_out) >= 0)
		return admin_fail(why_out, ERR_SYNTAX, "it ends before it begins");
	if (strcmp(until_out, now) <= 0)
		return admin_fail(why_out, ERR_SYNTAX, "--until %s is past", until);
	return 0;
}

int
admin_check_id(const char *what, const char *id, size_t max, char **why_out)
{
	if (id == NULL || *id == '\0' || strlen(id) > max ||
	    id[strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz.-")] != '\0')
		return admin_fail(why_out, ERR_SYNTAX,
		    "%s must be 1 to %zu small letters, digits, dots and hyphens", gettext(what),
		    max);
	return 0;
}

char *
dir_admin_name_of(struct dir_admin *a, const char *dn)
{
	static const char *const attrs[] = {
	    "vnStaffId", "vnMailboxId", "vnPositionCode", "cn", "displayName", NULL};
	struct dir_result *r = NULL;
	char *name = NULL;

	if (dir_read(a->d, dn, attrs, &r) != 0)
		return xstrdup(dn);
	for (size_t i = 0; i < 4 && name == NULL; i++) {
		const char *id = admin_value(&r->entries[0], attrs[i]),
			   *shown = admin_value(&r->entries[0], "displayName");

		if (*shown == '\0')
			shown = admin_value(&r->entries[0], "cn");
		if (*id != '\0' && asprintf(&name, "%s %s", id, shown) < 0)
			fatal("out of memory");
	}
	dir_result_free(r);
	return name == NULL ? xstrdup(dn) : name;
}
