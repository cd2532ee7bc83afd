/* people.c: who signs in, by the configured filters and attributes. Runs in lookup's workers. Every name from outside
 * passes escape_template; an address is compared in its normalized form only. What the configuration gets wrong is found
 * at start, not at the first login. */
#include "config.h"

#include "directory/people_priv.h"

#include "directory/assignment.h"
#include "directory/escape.h"
#include "lib/addr.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LOGIN_MAX = 10 /* entries that one name finds */ };

/* ---- small things ---- */

void
people_account(char prefix, struct slice id, char out[48])
{
	unsigned char digest[32];
	char hex[65];
	size_t n = 0;

	out[n++] = prefix;
	out[n++] = '-';
	if (id.len >= 1 && id.len <= 38) {
		for (size_t i = 0; i < id.len; i++) {
			unsigned char c = id.ptr[i];

			if (c >= 'A' && c <= 'Z')
				c = (unsigned char)(c - 'A' + 'a');
			if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
				c == '-'))
				break;
			out[n++] = (char)c;
		}
		out[n] = '\0';
		if (n == id.len + 2)
			return;
	}
	/* an id that cannot stand in an account name (a GUID of AD, a name with spaces) */
	sha256_of(id, digest);
	hex_encode(digest, 32, hex);
	snprintf(out, 48, "%c-h%.32s", prefix, hex);
}

void
strings_add_take(struct strings *l, char *s, size_t max)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i], s) == 0) {
			free(s);
			return;
		}
	}
	if (l->n >= max) {
		free(s);
		return;
	}
	if (l->n == l->room) {
		l->room = l->room == 0 ? 8 : l->room * 2;
		l->v = xrealloc(l->v, l->room * sizeof(*l->v));
	}
	l->v[l->n++] = s;
}

bool
strings_have(const struct strings *l, const char *s)
{
	for (size_t i = 0; i < l->n; i++) {
		if (strcmp(l->v[i], s) == 0)
			return true;
	}
	return false;
}

void
strings_free(char **v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(v[i]);
	free(v);
}

enum people_kind
people_kind_of(const struct people *p, const struct dir_entry *e)
{
	if (dir_entry_has_value(e, "objectClass", slice_str(p->class_func)))
		return PEOPLE_FUNCTIONAL;
	if (dir_entry_has_value(e, "objectClass", slice_str(p->class_group)))
		return PEOPLE_GROUP;
	if (dir_entry_has_value(e, "objectClass", slice_str(p->class_person)))
		return PEOPLE_PERSON;
	return PEOPLE_NONE;
}

char *
people_text(const struct dir_entry *e, const char *attr, const char *fallback)
{
	const char *v = dir_value_text(dir_entry_value(e, attr));

	return xstrdup(v == NULL ? fallback : v);
}

int
people_search(struct people *p, const char *filter, struct slice name, const char *const *attrs,
    unsigned max, struct dir_result **out)
{
	struct buf f;
	int err;

	buf_init(&f, 8192);
	err = escape_template(filter, name, slice_of(NULL, 0), &f);
	/* a name too long for a filter is nobody's */
	if (err == ERR_LIMIT)
		err = ERR_NOTFOUND;
	if (err == 0)
		err = dir_search(p->d, NULL, buf_cstr(&f), attrs, max, out);
	buf_done(&f);
	return err == ERR_SYNTAX ? ERR_TEMP : err;
}

/* ---- configuration ---- */

static bool
rights_ok(const char *s)
{
	return strlen(s) < 24 && s[strspn(s, "lrswipkxtea")] == '\0';
}

/* "vnHolder:lrswipkxtea:send" */
static int
roster_parse(const char *row, struct roster *r)
{
	const char *colon = strchr(row, ':');
	const char *second = colon == NULL ? NULL : strchr(colon + 1, ':');
	char *rights;
	int err = 0;

	if (colon == NULL || colon == row)
		return ERR_SYNTAX;
	if (second != NULL && strcmp(second, ":send") != 0)
		return ERR_SYNTAX;
	rights =
	    second == NULL ? xstrdup(colon + 1) : strndup(colon + 1, (size_t)(second - colon - 1));
	if (rights == NULL || !rights_ok(rights)) {
		err = ERR_SYNTAX;
	} else {
		snprintf(r->rights, sizeof(r->rights), "%s", rights);
		r->may_send = second != NULL;
		r->attr = strndup(row, (size_t)(colon - row));
	}
	free(rights);
	return err;
}

static int
template_check(const char *name, const char *tmpl, char **why_out)
{
	struct buf b;
	int err;

	buf_init(&b, 8192);
	err = escape_template(tmpl, slice_str("a"), slice_str("b"), &b);
	if (err == 0 && (b.len < 3 || b.data[0] != '(' || b.data[b.len - 1] != ')'))
		err = ERR_SYNTAX;
	buf_done(&b);
	if (err == 0)
		return 0;
	if (asprintf(why_out, "%s is no filter in parentheses with %%s and %%d", name) < 0)
		*why_out = NULL;
	return ERR_SYNTAX;
}

const char **
people_attr_list(const char *const *names, size_t n)
{
	const char **list = xcalloc(n + 1, sizeof(*list));
	size_t k = 0;

	for (size_t i = 0; i < n; i++) {
		if (*names[i] != '\0')
			list[k++] = names[i];
	}
	return list;
}

static void
attr_lists_make(struct people *p)
{
	size_t n = 0, m = 0, o = 0;
	const char *login[32], *rcpt[48], *owner[16];
	const char **func = xcalloc(p->n_roster + 8, sizeof(*func));
	size_t f = 0;

	login[n++] = p->a_login;
	login[n++] = p->a_account;
	login[n++] = p->a_mail;
	login[n++] = p->a_alias;
	login[n++] = p->a_name;
	login[n++] = p->a_scram;
	login[n++] = p->a_epoch;
	login[n++] = p->a_agency;
	login[n++] = p->a_locked;
	login[n++] = p->a_read_until;
	login[n++] = p->a_reset;
	login[n++] = p->a_policy;
	login[n++] = p->a_grace;
	login[n++] = p->a_grace_scram;
	login[n++] = "pwdStartTime";
	login[n++] = "pwdEndTime";
	login[n++] = "pwdLastSuccess";
	login[n++] = p->a_password_time;
	login[n++] = p->a_scram_time;
	login[n++] = p->a_version;
	login[n++] = "vnAssignment";
	login[n++] = "vnConcurrentAgency";
	login[n++] = "title";
	login[n++] = "vnRole";
	p->attrs_login = people_attr_list(login, n);
	rcpt[m++] = "objectClass";
	rcpt[m++] = p->a_account;
	rcpt[m++] = p->a_func_account;
	rcpt[m++] = p->a_mail;
	rcpt[m++] = p->a_name;
	rcpt[m++] = p->a_alias;
	rcpt[m++] = p->a_forward;
	rcpt[m++] = p->a_keep;
	rcpt[m++] = p->a_reply_text;
	rcpt[m++] = p->a_reply_subject;
	rcpt[m++] = p->a_reply_from;
	rcpt[m++] = p->a_reply_until;
	rcpt[m++] = p->a_reply_days;
	rcpt[m++] = p->a_may_send;
	rcpt[m++] = p->a_history;
	rcpt[m++] = "vnMemberAgency";
	rcpt[m++] = "vnMemberKind";
	rcpt[m++] = "vnMemberTitle";
	rcpt[m++] = "vnMemberRole";
	rcpt[m++] = "vnAssignment";
	rcpt[m++] = "vnPositionCode";
	rcpt[m++] = "vnValidFrom";
	rcpt[m++] = "vnValidTo";
	for (size_t i = 0; i < p->n_member && m < 40; i++)
		rcpt[m++] = p->a_member[i];
	p->attrs_rcpt = people_attr_list(rcpt, m);
	/* and what rules of groups go by */
	rcpt[m++] = p->a_agency;
	rcpt[m++] = "vnConcurrentAgency";
	rcpt[m++] = "title";
	rcpt[m++] = "vnRole";
	p->attrs_rule = people_attr_list(rcpt, m);
	owner[o++] = "objectClass";
	owner[o++] = p->a_account;
	owner[o++] = p->a_func_account;
	owner[o++] = p->a_mail;
	owner[o++] = p->a_alias;
	owner[o++] = p->a_history;
	owner[o++] = p->a_agency;
	owner[o++] = p->a_cert;
	owner[o++] = p->a_authority;
	owner[o++] = "vnAssignment";
	p->attrs_owner = people_attr_list(owner, o);
	func[f++] = p->a_func_account;
	func[f++] = p->a_mail;
	func[f++] = p->a_alias;
	func[f++] = "vnValidFrom";
	func[f++] = "vnValidTo";
	for (size_t i = 0; i < p->n_roster; i++)
		func[f++] = p->roster[i].attr;
	p->attrs_func = people_attr_list(func, f);
	free(func);
	people_watch_attrs_make(p);
}

static void
strings_load(const struct conf *c, struct people *p)
{
	const struct {
		const char *option;
		char **to;
	} table[] = {
	    {"dir_login_filter", &p->login_filter},
	    {"dir_frozen_filter", &p->frozen_filter},
	    {"dir_rcpt_filter", &p->rcpt_filter},
	    {"dir_sender_filter", &p->sender_filter},
	    {"dir_func_filter", &p->func_filter},
	    {"dir_group_filter", &p->group_filter},
	    {"dir_member_filter", &p->member_filter},
	    {"dir_delegation_filter", &p->delegation_filter},
	    {"dir_agency_filter", &p->agency_filter},
	    {"dir_class_person", &p->class_person},
	    {"dir_class_func", &p->class_func},
	    {"dir_class_group", &p->class_group},
	    {"dir_attr_login", &p->a_login},
	    {"dir_attr_account", &p->a_account},
	    {"dir_attr_func_account", &p->a_func_account},
	    {"dir_attr_mail", &p->a_mail},
	    {"dir_attr_alias", &p->a_alias},
	    {"dir_attr_name", &p->a_name},
	    {"dir_attr_scram", &p->a_scram},
	    {"dir_attr_cert", &p->a_cert},
	    {"dir_attr_epoch", &p->a_epoch},
	    {"dir_attr_agency", &p->a_agency},
	    {"dir_attr_history", &p->a_history},
	    {"dir_attr_member_of", &p->a_member_of},
	    {"dir_attr_forward", &p->a_forward},
	    {"dir_attr_forward_keep", &p->a_keep},
	    {"dir_attr_reply_text", &p->a_reply_text},
	    {"dir_attr_reply_subject", &p->a_reply_subject},
	    {"dir_attr_reply_from", &p->a_reply_from},
	    {"dir_attr_reply_until", &p->a_reply_until},
	    {"dir_attr_reply_days", &p->a_reply_days},
	    {"dir_attr_may_send", &p->a_may_send},
	    {"dir_attr_authority", &p->a_authority},
	    {"dir_attr_agency_abbrev", &p->a_abbrev},
	    {"dir_attr_locked", &p->a_locked},
	    {"dir_attr_read_until", &p->a_read_until},
	    {"dir_app_filter", &p->app_filter},
	    {"dir_principal_filter", &p->principal_filter},
	    {"dir_attr_reset", &p->a_reset},
	    {"dir_attr_policy", &p->a_policy},
	    {"dir_attr_grace", &p->a_grace},
	    {"dir_attr_grace_scram", &p->a_grace_scram},
	    {"dir_attr_password_time", &p->a_password_time},
	    {"dir_attr_scram_time", &p->a_scram_time},
	    {"dir_attr_version", &p->a_version},
	    {"dir_attr_modified", &p->a_modified},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		*table[i].to = xstrdup(conf_str(c, table[i].option));
}

static int
lists_load(const struct conf *c, struct people *p, char **why_out)
{
	p->n_member = conf_list_len(c, "dir_attr_member");
	p->a_member = xcalloc(p->n_member + 1, sizeof(*p->a_member));
	for (size_t i = 0; i < p->n_member; i++)
		p->a_member[i] = xstrdup(conf_list_item(c, "dir_attr_member", i));
	p->roster = xcalloc(conf_list_len(c, "dir_func_roster") + 1, sizeof(*p->roster));
	for (size_t i = 0; i < conf_list_len(c, "dir_func_roster"); i++) {
		const char *row = conf_list_item(c, "dir_func_roster", i);

		if (roster_parse(row, &p->roster[i]) != 0) {
			if (asprintf(why_out,
				"dir_func_roster: \"%s\" is not attribute:rights[:send]", row) < 0)
				*why_out = NULL;
			return ERR_SYNTAX;
		}
		p->n_roster++;
	}
	p->n_domains = conf_list_len(c, "domains");
	p->domains = xcalloc(p->n_domains + 1, sizeof(*p->domains));
	for (size_t i = 0; i < p->n_domains; i++) {
		char *at, *probe = NULL, *norm;

		/* normalized as the domain of an address */
		if (asprintf(&probe, "x@%s", conf_list_item(c, "domains", i)) < 0)
			probe = NULL;
		norm = probe == NULL ? NULL : people_address(slice_str(probe));
		at = norm == NULL ? NULL : strrchr(norm, '@');
		p->domains[i] = xstrdup(at == NULL ? conf_list_item(c, "domains", i) : at + 1);
		free(probe);
		free(norm);
	}
	return 0;
}

/* Ids may be bytes (objectGUID), and so are certificates; of a reply's text is told that it has a NUL. */
static int
text_only(struct people *p)
{
	const char *const bytes[] = {p->a_account, p->a_func_account, p->a_cert, p->a_reply_text};

	return dir_text_only(p->d, bytes, sizeof(bytes) / sizeof(bytes[0]));
}

int
people_new(const struct conf *c, struct dir *d, struct people **out, char **why_out)
{
	struct people *p = xcalloc(1, sizeof(*p));
	const struct {
		const char *name;
		char **tmpl;
	} filters[] = {
	    {"dir_login_filter", &p->login_filter},
	    {"dir_frozen_filter", &p->frozen_filter},
	    {"dir_rcpt_filter", &p->rcpt_filter},
	    {"dir_sender_filter", &p->sender_filter},
	    {"dir_func_filter", &p->func_filter},
	    {"dir_group_filter", &p->group_filter},
	    {"dir_member_filter", &p->member_filter},
	    {"dir_delegation_filter", &p->delegation_filter},
	    {"dir_agency_filter", &p->agency_filter},
	};
	int err;

	tzset(); /* dates are local; later there are no files to read the zone from */
	p->d = d;
	p->lockout_s = conf_int(c, "dir_lockout_s");
	p->moved_notice = conf_bool(c, "moved_notice");
	p->policy_dn = people_policy_dn(c);
	pthread_mutex_init(&p->policies_lock, NULL);
	strings_load(c, p);
	err = lists_load(c, p, why_out);
	for (size_t i = 0; err == 0 && i < sizeof(filters) / sizeof(filters[0]); i++) {
		/* an empty filter switches off what it is for */
		if (**filters[i].tmpl != '\0')
			err = template_check(filters[i].name, *filters[i].tmpl, why_out);
	}
	if (err != 0) {
		people_free(p);
		return err;
	}
	people_known_init(p);
	attr_lists_make(p);
	err = text_only(p);
	if (err != 0) {
		people_free(p);
		return err;
	}
	p->agencies = people_agencies_new();
	*out = p;
	return 0;
}

void
people_free(struct people *p)
{
	if (p == NULL)
		return;
	char *const strings[] = {p->login_filter, p->frozen_filter, p->rcpt_filter,
	    p->sender_filter, p->func_filter, p->group_filter, p->member_filter,
	    p->delegation_filter, p->class_person, p->class_func, p->class_group, p->a_login,
	    p->a_account, p->a_func_account, p->a_mail, p->a_alias, p->a_name, p->a_scram,
	    p->a_cert, p->a_epoch, p->a_agency, p->a_history, p->a_locked, p->a_read_until,
	    p->a_password_time, p->a_scram_time, p->a_version, p->a_member_of, p->a_forward,
	    p->a_keep, p->a_reply_text, p->a_reply_subject, p->a_reply_from, p->a_reply_until,
	    p->a_reply_days, p->a_may_send, p->a_modified, p->agency_filter, p->a_authority,
	    p->a_abbrev, p->app_filter, p->principal_filter, p->a_reset, p->a_policy, p->a_grace,
	    p->a_grace_scram, p->policy_dn};

	for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]); i++)
		free(strings[i]);
	people_policies_free(p);
	people_known_done(p);
	strings_free(p->a_member, p->n_member);
	strings_free(p->domains, p->n_domains);
	for (size_t i = 0; i < p->n_roster; i++)
		free(p->roster[i].attr);
	free(p->roster);
	free(p->attrs_login);
	free(p->attrs_rcpt);
	free(p->attrs_rule);
	free(p->attrs_owner);
	free(p->attrs_func);
	free(p->attrs_watch);
	people_agencies_free(p->agencies);
	free(p);
}

bool
people_is_ours(const struct people *p, struct slice address)
{
	struct slice local, domain;

	if (addr_split(address, &local, &domain) != 0)
		return false;
	for (size_t i = 0; i < p->n_domains; i++) {
		if (slice_eq_str(domain, p->domains[i]))
			return true;
	}
	return false;
}

/* ---- signing in ---- */

/* Those of today and of later before what is over, which alone may find no room. */
void
people_assignments(const struct dir_attr *a, struct person *u)
{
	int64_t now = time(NULL);
	struct strings l = {0};
	size_t n_live = 0;

	for (int over = 0; over < 2; over++)
		for (size_t i = 0; a != NULL && i < a->n_values; i++) {
			struct assignment f;

			assignment_split(a->values[i], &f);
			if ((assignment_when(f.from, f.to, now) == ASSIGNMENT_OVER) != (over != 0))
				continue;
			n_live += over == 0;
			strings_add_take(&l, slice_dup(a->values[i]), PEOPLE_ASSIGNMENTS_MAX);
		}
	if (n_live > PEOPLE_ASSIGNMENTS_MAX)
		log_msg(LOG_LVL_WARN, "too_many_assignments",
		    "%s has %zu assignments that are not over: %d of them count", u->account,
		    n_live, PEOPLE_ASSIGNMENTS_MAX);
	u->assignments = l.v;
	u->n_assignments = l.n;
}

/* Whether reading is all that the person may; *until_out: until when, in the past where the day is over or none. */
static bool
is_reader(const struct people *p, const struct dir_entry *e, int64_t *until_out)
{
	struct slice until = dir_entry_value(e, p->a_read_until);
	int64_t ignored;

	if (until.len == 0)
		return false;
	(void)assignment_bounds(slice_of(NULL, 0), until, &ignored, until_out);
	return true;
}

static int
person_make(struct people *p, const struct dir_entry *e, struct person **out)
{
	struct person *u = xcalloc(1, sizeof(*u));
	struct slice id = dir_entry_value(e, p->a_account);
	int64_t changed = people_time(dir_entry_value(e, p->a_password_time));
	int64_t made = people_time(dir_entry_value(e, p->a_scram_time));
	const struct dir_attr *scram = dir_entry_attr(e, p->a_scram);
	const struct dir_attr *assigned = dir_entry_attr(e, "vnAssignment");
	struct strings l = {0};
	char account[48];
	int64_t read_until = 0;
	int err = people_identities(p, e, &l, &u->is_contested);

	people_account('p', id, account);
	u->dn = xstrdup(e->dn);
	u->account = xstrdup(account);
	if (is_reader(p, e, &read_until)) { /* sends as nobody */
		strings_free(l.v, l.n);
		l = (struct strings){0};
	}
	u->read_until = read_until;
	u->addresses = l.v;
	u->n_addresses = l.n;
	u->address = xstrdup(l.n == 0 ? "" : l.v[0]);
	u->login = people_text(e, p->a_login, u->address);
	u->name = people_text(e, p->a_name, u->login);
	u->agency = people_text(e, p->a_agency, "");
	u->version = people_text(e, p->a_version, "");
	(void)slice_to_u64(dir_entry_value(e, p->a_epoch), UINT64_MAX, &u->epoch);
	/* a minute of grace: the two are written by two clocks */
	u->password_set = changed;
	u->keys_are_old = made != 0 && changed > made + 60;
	people_assignments(assigned, u);
	people_traits(p, e, u);
	l = (struct strings){0};
	for (size_t i = 0; scram != NULL && i < scram->n_values; i++)
		strings_add_take(&l, slice_dup(scram->values[i]), 16);
	u->scram = l.v;
	u->n_scram = l.n;
	if (err == 0)
		*out = u;
	else
		person_free(u);
	return err;
}

/* Whether nothing but an alias makes that the name of the entry. */
static bool
is_alias_only(const struct people *p, const struct dir_entry *e, struct slice name)
{
	const struct dir_attr *login = dir_entry_attr(e, p->a_login);
	const struct dir_attr *alias = dir_entry_attr(e, p->a_alias);
	char *address = people_address(name);
	enum people_claim claim =
	    address == NULL ? PEOPLE_CLAIM_NONE : people_claim(p, e, slice_str(address));
	bool is_login = false, is_alias = claim == PEOPLE_CLAIM_ALIAS;

	free(address);
	for (size_t i = 0; login != NULL && i < login->n_values; i++)
		is_login = is_login || slice_caseeq(login->values[i], name);
	for (size_t i = 0; alias != NULL && i < alias->n_values; i++)
		is_alias = is_alias || slice_caseeq(alias->values[i], name);
	return is_alias && !is_login && claim != PEOPLE_CLAIM_MAIL;
}

/* Of several that the name finds the only one that has it by more than an alias; NULL when there is no such one. */
static const struct dir_entry *
login_pick(const struct people *p, const struct dir_result *r, struct slice name)
{
	const struct dir_entry *best = NULL;
	size_t n = 0;

	for (size_t i = 0; i < r->n_entries; i++)
		if (r->n_entries == 1 || !is_alias_only(p, &r->entries[i], name)) {
			best = &r->entries[i];
			n++;
		}
	return n == 1 ? best : NULL;
}

static int
login_by(struct people *p, const char *filter, struct slice name, struct person **out)
{
	const struct dir_entry *e = NULL;
	struct ppolicy_verdict verdict;
	struct dir_result *r = NULL;
	bool is_steady = false;
	int64_t read_until = 0;
	int err;

	if (name.len == 0 || name.len > 255 || memchr(name.ptr, 0, name.len) != NULL)
		return ERR_NOTFOUND;
	err = people_search(p, filter, name, p->attrs_login, LOGIN_MAX, &r);
	if (err == 0)
		e = login_pick(p, r, name);
	if (err == ERR_LIMIT || (err == 0 && r->n_entries > 1 && e == NULL)) {
		struct log_line l;

		/* a fault of the directory, and no wrong password: nobody is locked out for it */
		log_begin(&l, LOG_LVL_WARN, "login_name_ambiguous");
		log_slice(&l, "name", name);
		log_end(&l);
		err = ERR_TEMP;
	} else if (err == 0 && e == NULL) {
		err = ERR_NOTFOUND;
	} else if (err == 0 && dir_entry_value(e, p->a_account).len == 0) {
		log_msg(
		    LOG_LVL_ERROR, "person_without_account", "%s has no %s", e->dn, p->a_account);
		err = ERR_NOTFOUND;
	} else if (err == 0 && is_reader(p, e, &read_until) && read_until <= time(NULL)) {
		err = ERR_NOTFOUND; /* is over: nobody any more */
	}
	if (err == 0)
		err = people_policy_judge(p, e, &verdict, &is_steady);
	if (err == 0)
		err = person_make(p, e, out);
	if (err == 0) {
		(*out)->policy = verdict;
		/* who only reads is asked about each time: what that day ends is no change */
		(*out)->is_steady = is_steady && (*out)->read_until == 0;
		(*out)->is_contested = (*out)->is_contested || r->n_entries > 1;
	}
	dir_result_free(r);
	return err;
}

int
people_login(struct people *p, struct slice name, struct person **out)
{
	return login_by(p, p->login_filter, name, out);
}

int
people_login_or_frozen(struct people *p, struct slice name, struct person **out)
{
	int err = login_by(p, p->login_filter, name, out);

	if (err != ERR_NOTFOUND || *p->frozen_filter == '\0')
		return err;
	err = login_by(p, p->frozen_filter, name, out);
	if (err != 0)
		return err;
	(*out)->is_suspended = true;
	if ((*out)->policy.state != PPOLICY_LOCKED) /* that says nothing to anybody */
		(*out)->policy.state = PPOLICY_FROZEN;
	return 0;
}

int
people_principal(struct people *p, struct slice name, struct person **out)
{
	/* "imap/host", "binhtv/admin" are no people */
	if (name.len == 0 || memchr(name.ptr, '/', name.len) != NULL ||
	    memchr(name.ptr, '@', name.len) != NULL)
		return ERR_NOTFOUND;
	return login_by(p, p->principal_filter, name, out);
}

int
people_by_account(struct people *p, struct slice account, struct dir_result **out)
{
	bool func = slice_starts(account, "f-");
	const char *attr = func ? p->a_func_account : p->a_account;
	const char **attrs = xcalloc(p->n_roster + 5, sizeof(*attrs));
	struct dir_result *r = NULL;
	char *filter = NULL, made[48];
	bool found = false;
	int err = ERR_NOTFOUND;

	attrs[0] = attr;
	for (size_t i = 0; i < p->n_roster; i++)
		attrs[i + 1] = p->roster[i].attr;
	attrs[p->n_roster + 1] = "vnValidFrom";
	attrs[p->n_roster + 2] = "vnValidTo";
	if (!func && *p->a_read_until != '\0')
		attrs[p->n_roster + 3] = p->a_read_until;
	if (account.len >= 3 && (func || slice_starts(account, "p-")) && *attr != '\0') {
		if (asprintf(&filter, "(%s=%%s)", attr) < 0)
			fatal("out of memory");
		err = people_search(p, filter, slice_from(account, 2), attrs, 10, &r);
		free(filter);
	}
	for (size_t i = 0; err == 0 && i < r->n_entries && !found; i++) {
		people_account(func ? 'f' : 'p', dir_entry_value(&r->entries[i], attr), made);
		found = slice_eq_str(account, made);
		if (found && i > 0) { /* it alone counts */
			struct dir_entry other = r->entries[0];

			r->entries[0] = r->entries[i];
			r->entries[i] = other;
		}
	}
	free(attrs);
	if (err == 0 && !found)
		err = ERR_NOTFOUND;
	if (err == 0)
		*out = r;
	else
		dir_result_free(r);
	return err;
}

int
people_has_account(struct people *p, struct slice account)
{
	struct dir_result *r = NULL;
	int err = people_by_account(p, account, &r);

	dir_result_free(r);
	return err;
}

int
people_verify(
    struct people *p, const struct person *u, struct slice password, struct dir_says *says_out)
{
	return dir_verify(p->d, u->dn, password, says_out);
}

void
person_keys_free(struct person *u)
{
	for (size_t i = 0; i < u->n_scram; i++)
		explicit_bzero(u->scram[i], strlen(u->scram[i]));
	strings_free(u->scram, u->n_scram);
	u->scram = NULL;
	u->n_scram = 0;
}

void
person_free(struct person *u)
{
	if (u == NULL)
		return;
	free(u->dn);
	free(u->login);
	free(u->account);
	free(u->address);
	free(u->name);
	free(u->agency);
	free(u->version);
	strings_free(u->addresses, u->n_addresses);
	strings_free(u->assignments, u->n_assignments);
	strings_free(u->traits, u->n_traits);
	person_keys_free(u);
	free(u->app_id);
	free(u->app_version);
	free(u);
}
