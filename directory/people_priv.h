/* people_priv.h: shared by people*.c alone. */
#ifndef CV_PEOPLE_PRIV_H
#define CV_PEOPLE_PRIV_H

#include "directory/people.h"

#include <pthread.h>

/* One row of option dir_func_roster: DNs in attr hold these rights. */
struct roster {
	char *attr;
	char rights[24];
	bool may_send;
};
struct people {
	struct dir *d;
	char *login_filter, *frozen_filter, *rcpt_filter, *sender_filter, *func_filter,
	    *group_filter, *member_filter, *delegation_filter, *agency_filter;
	char *class_person, *class_func, *class_group;
	char *a_login, *a_account, *a_func_account, *a_mail, *a_alias, *a_name, *a_scram, *a_cert,
	    *a_epoch;
	char *a_member_of, *a_forward, *a_keep, *a_reply_text, *a_reply_subject, *a_reply_from,
	    *a_reply_until, *a_reply_days, *a_may_send, *a_authority, *a_abbrev;
	char *a_agency, *a_history, *a_locked, *a_read_until, *a_password_time, *a_scram_time,
	    *a_version;
	char **a_member;
	size_t n_member;
	struct roster *roster;
	size_t n_roster;
	char **domains; /* normalized */
	size_t n_domains;
	int64_t lockout_s;
	bool moved_notice;
	struct people_agencies *agencies; /* people_agency.c's */
	char *app_filter, *principal_filter;
	char *a_reset, *a_policy, *a_grace, *a_grace_scram;
	char *policy_dn; /* of those whose entry names none; "": none */
	struct policy_kept *policies;
	pthread_mutex_t policies_lock;
	/* what searches ask for; NULL-terminated; the names are borrowed from above */
	const char **attrs_login, **attrs_rcpt, **attrs_rule, **attrs_owner, **attrs_func,
	    **attrs_watch;
	char *a_modified;
	/* people_known.c's: what dir_login_filter looks for names in */
	char *name_attrs[8];
	size_t n_name_attrs;
	bool
	    may_keep; /* else it cannot be told what a change of an entry means for who has which name */
	char *base_norm;
};
enum { PEOPLE_NAME_ATTRS = 8 };
void people_known_init(struct people *p); /* after the filters are read */
void people_known_done(struct people *p);
/* Keys of the names and addresses of a changed entry. */
void people_name_keys(const struct people *p, const struct dir_entry *e,
    void (*fn)(void *arg, const char *key, bool is_subject), void *arg);
/* Whether a change of the entry is heard of: it is below the base. */
bool people_is_watched(const struct people *p, const char *dn);

/* NULL-terminated, of those that are not empty; the names are borrowed. */
const char **people_attr_list(const char *const *names, size_t n);
void people_watch_attrs_make(struct people *p); /* people_watch.c */
/* The normalized address, malloc'd; NULL when it is none. */
char *people_address(struct slice value);
/* A list of strings; add takes s (NULL is ignored), drops doubles and what passes max. */
struct strings {
	char **v;
	size_t n, room;
};
void strings_add_take(struct strings *l, char *s, size_t max);
void strings_free(char **v, size_t n);
bool strings_have(const struct strings *l, const char *s);
/* The first mail value and the aliases of an entry, normalized. */
void people_addresses(const struct people *p, const struct dir_entry *e, struct strings *l);
/* The same without the aliases that another entry has as mail or alias too: what it sends as; *contested_out is set when there was one. 0, ERR_TEMP. */
int people_identities(
    struct people *p, const struct dir_entry *e, struct strings *l, bool *contested_out);
/* As what an entry has a normalized address now. */
enum people_claim { PEOPLE_CLAIM_NONE, PEOPLE_CLAIM_ALIAS, PEOPLE_CLAIM_MAIL };
enum people_claim people_claim(
    const struct people *p, const struct dir_entry *e, struct slice address);
/* Whether an address of the entry's history still stands for it: not when it is another entry's now, or was another's as long or longer (assignment.h).
 * 0, ERR_TEMP. */
int people_former_counts(
    struct people *p, const struct dir_entry *e, struct slice address, bool *counts_out);
/* Of the entries that an address finds the only one, or the only one with it as mail; NULL: none, or nobody can tell. Borrowed of r. */
const struct dir_entry *people_holder(
    const struct people *p, const struct dir_result *r, struct slice address);
enum people_kind people_kind_of(const struct people *p, const struct dir_entry *e);
/* The first value of an attribute as a malloc'd string, or fallback's copy. NULs end it. */
char *people_text(const struct dir_entry *e, const char *attr, const char *fallback);
static inline int64_t
people_time(struct slice v)
{
	return ppolicy_time(v);
}
void person_keys_free(struct person *u);
/* ---- people_policy.c ---- */
/* What the entry of somebody who signs in says of the password policy, judged now. 0, ERR_TEMP (the policy cannot be read). */
char *people_policy_dn(const struct conf *c); /* malloc'd */
void people_policies_free(struct people *p);
/* *is_steady_out: it lets the person sign in, and will in PEOPLE_KEEP_S, unless the entry or the policy changes, which is heard of. */
int people_policy_judge(
    struct people *p, const struct dir_entry *e, struct ppolicy_verdict *out, bool *is_steady_out);
/* The entry that an account of the store is named after, in *out alone, with the owner's attributes and rosters. 0, ERR_NOTFOUND, ERR_TEMP. */
int people_by_account(struct people *p, struct slice account, struct dir_result **out);
/* ---- people_func.c ---- */
void people_rights_merge(char rights[24], const char *more);
/* vnRights: RFC 4314 letters and the word send, in any order; added to rights. */
void people_rights_parse(struct slice v, char rights[24], bool *may_send);
/* ---- people_route.c ---- */
/* What the entry of a person or functional mailbox says of forwarding; all of it is dropped past a bound. */
void people_forwards_add(
    const struct people *p, const struct dir_entry *e, const char *account, struct people_rcpt *r);
/* The automatic reply of an entry that is due at now, or who may send to a group. */
void people_reply_read(
    const struct people *p, const struct dir_entry *e, int64_t now, struct people_rcpt *r);
/* The notice that an address of the history has become another (P33), as the automatic reply of an entry that has none of its own. */
void people_moved_read(
    const struct people *p, const struct dir_entry *e, struct slice address, struct people_rcpt *r);
void people_may_send_read(const struct people *p, const struct dir_entry *e, struct people_rcpt *r);
void people_extras_free(struct people_rcpt *r);
struct people_agencies *people_agencies_new(void);
void people_agencies_free(struct people_agencies *a);
/* Expands a filter and searches; logs what is wrong with it. */
int people_search(struct people *p, const char *filter, struct slice name, const char *const *attrs,
    unsigned max, struct dir_result **out);

/* Values of vnAssignment into u, which are its own; a may be NULL. */
void people_assignments(const struct dir_attr *a, struct person *u);

/* ---- people_rules.c ---- */
/* u->traits of the person's entry. */
void people_traits(const struct people *p, const struct dir_entry *e, struct person *u);
/* Groups in which the person is by rule, with seconds since 1970 from and until when (0: no bound), several times for several times, also past ones: by the own
 * agency and vnConcurrentAgency for ever, by a secondment or concurrent place (vnAssignment) for its days; where a rule asks for a title or role, by the own
 * agency alone. fn gets the group (vnValidFrom, vnValidTo are
 * read) and keeps none of it. dep: a key (people_change_keys) of something that was read on the way. 0, ERR_TEMP. */
int people_rule_groups(struct people *p, const struct person *u,
    void (*fn)(void *arg, const struct dir_entry *group, int64_t from, int64_t until),
    void (*dep)(void *arg, const char *key), void *arg);
/* Keys of what a group's rules go by, as those that a person's traits make: whoever has one may be in it after a change. */
void people_rule_keys(const struct dir_entry *group,
    void (*fn)(void *arg, const char *key, bool is_subject), void *arg);
void people_trait_keys(const struct person *u, void (*dep)(void *arg, const char *key), void *arg);
/* Whoever is in a group by its rules, with attrs_rcpt; NULL when it has none. ERR_LIMIT: more than PEOPLE_GROUP_MAX. */
int people_by_rules(struct people *p, const struct dir_entry *group, struct dir_result **out);

/* people_func.c: values of dir_attr_authority that hold today, as "TYPE;CAPACITY". a may be NULL. */
void people_authorities_add(const struct dir_attr *a, struct strings *l);

#endif
