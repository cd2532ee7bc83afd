/* dir_admin.h: agencies and staff as the congvu command writes them, over dir.h. Every call can be repeated: what is there with the same
 * data stays as it is. Blocking; one thread. Texts are UTF-8; they are stored NFC, with a folded value beside ("cn;x-fold"), since the
 * filters of address books are fixed by the mail client. Every change names the decision it rests on. */
#ifndef CV_DIR_ADMIN_H
#define CV_DIR_ADMIN_H

#include "directory/dir.h"
#include "lib/json.h"

struct dir_admin;
/* d stays the caller's. */
struct dir_admin *dir_admin_new(const struct conf *c, struct dir *d);
void dir_admin_free(struct dir_admin *a);

/* Where changes are written down before they are made, and what became of them; NULL: nowhere. begin and end embrace the writes of one change: nobody
 * else's come between. rec is taken. Each gives 0 or an enum err with *why_out as below. */
struct dir_admin_journal {
	int (*begin)(void *arg, char **why_out);
	int (*write)(void *arg, struct json *rec, char **why_out); /* durable when it returns */
	void (*end)(void *arg);
	/* As write, durable after the next write or sync; one that fails, and a sync that does, takes with it what was put since the last of these. NULL, both: each
	 * write is made by itself. */
	int (*put)(void *arg, struct json *rec, char **why_out);
	int (*sync)(void *arg, char **why_out);
	void *arg;
};
/* Borrowed; who: whose doing it is on this machine; as: whom the directory takes them for, a DN; NULL: not known. Copied. */
void dir_admin_set_journal(
    struct dir_admin *a, const struct dir_admin_journal *journal, const char *who, const char *as);
/* From now on changes are worked out and not made. */
void dir_admin_set_dry_run(struct dir_admin *a, bool on);
#define DIR_SECRET "(secret)" /* in the place of a password, in journals and dry runs */
/* What the last change wrote, or would: an array of {"write": add|modify|move|delete, "dn", "new_parent", "attributes": [{"attr", "removed", "added"}]};
 * a value is a string, {"base64": …} or, of a password, DIR_SECRET. Borrowed until the next change; never NULL. */
const struct json *dir_admin_changes(const struct dir_admin *a);
/* What the last change of a person's place or state ended, or would, and what it left: an array of {"what": post|mailbox|group|delegation-given|
 * delegation-taken|officer, "name", "fate": ends|stays|begins}, of a delegation also "rights", "from", "until", and "through" (the post) of a mailbox that is held by a post;
 * "alone": nobody else holds the post, who could. Borrowed until the next change; never NULL. */
const struct json *dir_admin_effects(const struct dir_admin *a);

/* What a call did. */
enum change { CHANGE_NONE, CHANGE_ADDED, CHANGE_CHANGED };
const char *change_name(enum change c); /* "unchanged", "added", "changed" */

/* On failure each call gives *why_out, a malloc'd text for people: what is wrong and what to do. Codes: ERR_SYNTAX (the data),
 * ERR_NOTFOUND (an agency), ERR_EXISTS (there with other data), ERR_DENIED, ERR_TEMP, ERR_UNKNOWN. */

/* Adds what an entry's other values make: values of mods (at most 100, each DIR_MOD_ADD). No decision is needed: it says nothing new. */
int dir_admin_complete(
    struct dir_admin *a, const char *dn, const struct dir_mod *mods, size_t n, char **why_out);

struct agency_add {
	const char *code, *name, *abbrev, *kind;
	const char *parent;  /* code; NULL: top */
	const char *mailbox; /* address; NULL: none */
	const char *decision;
	struct slice cert; /* of the mailbox, DER; empty: none */
};
int dir_admin_agency_add(
    struct dir_admin *a, const struct agency_add *p, enum change *change_out, char **why_out);
/* Below another agency (parent NULL: to the top), with all below it. ERR_CONFLICT: below itself; ERR_GONE: closed. */
int dir_admin_agency_move(struct dir_admin *a, const char *code, const char *parent,
    const char *decision, enum change *change_out, char **why_out);
/* Another name, abbreviation, or both (NULL: as it is), and with it what is made of them: how its people, mailbox and clerks' post are shown. */
int dir_admin_agency_rename(struct dir_admin *a, const char *code, const char *name,
    const char *abbrev, const char *decision, enum change *change_out, char **why_out);
/* ERR_CONFLICT while people, held posts, mailboxes, groups or agencies are in it; with move they go to the successor. successor NULL: none. */
int dir_admin_agency_close(struct dir_admin *a, const char *code, const char *successor, bool move,
    const char *decision, enum change *change_out, char **why_out);
struct agency_view {
	struct dir_result *agency; /* one entry */
	struct dir_result *below;  /* agencies not closed, itself among them */
	struct dir_result *people, *mailboxes, *groups, *posts; /* that are not at an end */
};
int dir_admin_agency_show(
    struct dir_admin *a, const char *code, struct agency_view *out, char **why_out);
void agency_view_done(struct agency_view *v);
/* All agencies: vnAgencyCode, ou, vnAgencyAbbrev, vnAgencyKind, mail, vnStatus, … */
int dir_admin_agencies(struct dir_admin *a, struct dir_result **out, char **why_out);
/* All functional mailboxes: vnMailboxId, mail, vnAgencyRef, displayName. */
int dir_admin_mailboxes(struct dir_admin *a, struct dir_result **out, char **why_out);

struct staff_hire {
	const char *name, *agency, *title, *role, *decision;
	/* Who is meant: the id; without it, the address; without both, the name with agency and decision. Whoever is found is compared and
	 * otherwise left as is. */
	const char *id;              /* NULL: the next */
	const char *mail;            /* NULL: made from the name */
	const char *employee_number; /* NULL: none */
	struct slice
	    password; /* empty: a first one is made, with which nobody signs in until it is changed */
	struct slice cert; /* DER; empty: none */
};
struct staff_hired {
	enum change change;
	char *id, *uid, *mail, *dn, *display;
	bool must_change; /* a first password was made (of somebody new) */
	char *password;   /* that one; NULL in a dry run */
};
int dir_admin_hire(
    struct dir_admin *a, const struct staff_hire *p, struct staff_hired *out, char **why_out);
void staff_hired_done(struct staff_hired *h);
/* Takes n ids at once for many hires (a hint: it saves writes). */
void dir_admin_reserve(struct dir_admin *a, unsigned n);
/* Staff of an agency (NULL: all), or who has this id, uid or address. */
int dir_admin_staff(
    struct dir_admin *a, const char *agency, struct dir_result **out, char **why_out);
int dir_admin_staff_show(
    struct dir_admin *a, const char *who, struct dir_result **out, char **why_out);
/* Where a person's mail goes on to (n 0: nowhere), and whether a copy stays. */
int dir_admin_forward(struct dir_admin *a, const char *who, const char *const *to, size_t n,
    bool keep, enum change *change_out, char **why_out);
/* The attributes of both as they stand in the entry, by the names that dir_attr_forward and the others give. */
int dir_admin_mail_read(struct dir_admin *a, const char *dn, struct dir_result **out);
/* The automatic reply: text NULL ends it; the others may be NULL. from, until: GeneralizedTime; days: a number. */
struct staff_away {
	const char *text, *subject, *from, *until, *days;
};
int dir_admin_away(struct dir_admin *a, const char *who, const struct staff_away *p,
    enum change *change_out, char **why_out);
/* To another agency, title, role or address (NULL: as it is): the DN stays, posts and places in groups and mailboxes of the old agency end, the old
 * address stays an alias. */
struct staff_transfer {
	const char *agency, *title, *role, *mail, *decision;
};
int dir_admin_transfer(struct dir_admin *a, const char *who, const struct staff_transfer *p,
    enum change *change_out, char **why_out);
/* A second place for a time (seconded: until is needed) or as long as it lasts (concurrent). Days: "2026-11-30". Given with other days it is these. */
struct staff_second {
	const char *agency, *from, *until, *decision;
	bool concurrent;
};
int dir_admin_second(struct dir_admin *a, const char *who, const struct staff_second *p,
    enum change *change_out, char **why_out);
/* Ends it now, with posts and places there. */
int dir_admin_return(struct dir_admin *a, const char *who, const char *agency, const char *decision,
    enum change *change_out, char **why_out);
/* Nobody signs in as who is frozen, and all sessions end (vnEpoch); or the other way. */
int dir_admin_freeze(struct dir_admin *a, const char *who, bool freeze, const char *decision,
    enum change *change_out, char **why_out);
/* For good: sign-in, sessions, addresses, assignments, posts, delegations, places in groups and mailboxes end. The entry and its id stay. The own mail may be
 * read until the last day of read_until ("2026-11-30"), and nothing else be done; NULL: as leave_read_days has it (who is frozen: not at all), and for who has left as it is; "": not at all.
 * While it is read dir_admin_effects has "reading" with its end.
 * Of who has left already it changes that day; a nearer one ends the sessions. */
int dir_admin_leave(struct dir_admin *a, const char *who, const char *read_until,
    const char *decision, enum change *change_out, char **why_out);
/* ---- posts ---- */
struct post_create {
	const char *code, *agency, *title;
	const char *mailbox; /* address of a functional mailbox that the post holds; NULL: none */
	const char *decision;
};
int dir_admin_post_create(
    struct dir_admin *a, const struct post_create *p, enum change *change_out, char **why_out);
/* ERR_CONFLICT while somebody holds it. */
int dir_admin_post_close(struct dir_admin *a, const char *post, const char *decision,
    enum change *change_out, char **why_out);
/* Days as in staff_second; from NULL: now, until NULL: open. */
struct post_assign {
	const char *post, *who, *from, *until, *decision;
};
int dir_admin_post_assign(
    struct dir_admin *a, const struct post_assign *p, enum change *change_out, char **why_out);
int dir_admin_post_release(struct dir_admin *a, const char *post, const char *who,
    const char *decision, enum change *change_out, char **why_out);
/* What whoever holds the post may sign (P11, vnSigningAuthority): a type of document as symbols have it ("QĐ"; "-": a công văn, "*": any) in a capacity
 * (TM, Q, KT, TL, TUQ, "-": the own name, "*": any). Days as in post_assign: given again it has those that are given now. */
struct post_authority {
	const char *post, *type, *capacity, *from, *until, *decision;
};
int dir_admin_post_authorize(
    struct dir_admin *a, const struct post_authority *p, enum change *change_out, char **why_out);
/* Ends it now: from and until are not looked at. ERR_NOTFOUND: the post has no such one. */
int dir_admin_post_unauthorize(
    struct dir_admin *a, const struct post_authority *p, enum change *change_out, char **why_out);
/* agency NULL: all. vnPositionCode, cn, vnAgencyRef, roleOccupant, vnStatus, vnSigningAuthority. */
int dir_admin_posts(
    struct dir_admin *a, const char *agency, struct dir_result **out, char **why_out);
/* One who is named as a post's holder. state: "now"; "later" and "over" (the days of the assignment); "closed" (who has left), "suspended". Days are
 * texts as they stand in the directory, "" where there are none. */
struct post_holder {
	char *id, *name; /* "000123 Trần Văn Bình (SKHCN)" */
	char from[20], until[20];
	const char *state; /* static */
};
/* The holders of a post of dir_admin_posts, in the order of their ids. *out is ended by post_holders_free. */
int dir_admin_post_holders(struct dir_admin *a, const struct dir_entry *post,
    struct post_holder **out, size_t *n_out, char **why_out);
void post_holders_free(struct post_holder *h, size_t n);

/* ---- groups ---- */
struct str_list {
	const char *const *v;
	size_t n;
};
struct group_create {
	const char *id, *name;
	const char *mail;   /* NULL: made of the id */
	const char *agency; /* NULL: none */
	const char *decision;
	struct str_list may_send; /* anyone, inside, members, or addresses */
	struct str_list agencies, titles, kinds,
	    roles; /* rules: who is a member without being named */
};
int dir_admin_group_create(
    struct dir_admin *a, const struct group_create *p, enum change *change_out, char **why_out);
int dir_admin_group_delete(struct dir_admin *a, const char *id, const char *decision,
    enum change *change_out, char **why_out);
/* Members by id, login name, address or code: people, posts, mailboxes, groups. ERR_CONFLICT: a group would be a member of itself. All of them or
 * none. */
int dir_admin_group_members(struct dir_admin *a, const char *id, bool add, const char *const *who,
    size_t n, const char *decision, enum change *change_out, char **why_out);
int dir_admin_groups(
    struct dir_admin *a, const char *agency, struct dir_result **out, char **why_out);
int dir_admin_group_show(
    struct dir_admin *a, const char *id, struct dir_result **out, char **why_out);

/* ---- HR's officers ---- */
struct officer_add {
	const char *name; /* of the account: small letters, digits, dots, hyphens */
	const char *who;  /* whose it is: a person */
	struct str_list agencies;
	bool below;               /* with the agencies below these, as they are now */
	const char *from, *until; /* days, as in post_assign */
	const char *decision;
};
/* Given again it has the agencies and days that are given now: without a first day it begins now, unless it has. password_out gets that of a new account, which is kept nowhere; empty in a dry run and for one
 * that is there. ERR_EXISTS: the account is another person's; ERR_CONFLICT: the person is frozen; ERR_DENIED: an officer's account asks for it. */
int dir_admin_officer_add(struct dir_admin *a, const struct officer_add *p,
    struct buf *password_out, enum change *change_out, char **why_out);
/* What an account of this name signs in with, malloc'd. */
char *dir_admin_officer_dn(const struct dir_admin *a, const char *name);
/* The account goes. ERR_NOTFOUND: there is none of this name; ERR_DENIED: an officer's account asks for it. */
int dir_admin_officer_remove(struct dir_admin *a, const char *name, const char *decision,
    enum change *change_out, char **why_out);
/* cn, vnHrOf, roleOccupant, vnValidFrom, vnValidTo, vnDecisionRef, pwdAccountLockedTime. */
int dir_admin_officers(struct dir_admin *a, struct dir_result **out, char **why_out);

/* ---- aliases and delegations ---- */
/* owner: a person, mailbox or group. ERR_EXISTS: it is another's, or was too short a time ago. */
int dir_admin_alias(struct dir_admin *a, const char *owner, const char *address, bool add,
    const char *decision, enum change *change_out, char **why_out);
/* owner NULL: who has any, now or before. mail, vnMailAlias, vnAddressHistory, displayName. */
int dir_admin_aliases(
    struct dir_admin *a, const char *owner, struct dir_result **out, char **why_out);
/* Rights in the mailbox of who (a person or a functional mailbox) for to (a person, post or group). */
struct delegate_grant {
	const char *who, *to;
	const char *rights; /* RFC 4314; NULL: lrs */
	bool send;          /* as who */
	const char *from, *until, *decision;
};
int dir_admin_delegate_grant(
    struct dir_admin *a, const struct delegate_grant *p, enum change *change_out, char **why_out);
int dir_admin_delegate_revoke(struct dir_admin *a, const char *who, const char *to,
    const char *decision, enum change *change_out, char **why_out);
/* who NULL: all. vnDelegationId, vnDelegator, vnDelegateTo, vnRights, vnValidFrom, vnValidTo, vnStatus. */
int dir_admin_delegations(
    struct dir_admin *a, const char *who, bool closed_too, struct dir_result **out, char **why_out);
/* What a DN is called, for people: "000123 Trần Văn Bình (SKHCN)"; the DN where it is not there. malloc'd. */
char *dir_admin_name_of(struct dir_admin *a, const char *dn);

/* ---- certificates ---- */
/* Who has an address now, a person or a functional mailbox, and what binds a certificate to it. */
struct cert_holder {
	char *dn, *id, *mail, *display;
	bool is_mailbox;
	size_t n_certs; /* in the entry */
	bool has_it;    /* this one among them */
	bool by_former; /* the certificate names a former address alone, nobody else's since */
};
/* The code of the agency of who has the address now; "" where nobody has it, or none. *out: free(). */
int dir_admin_cert_agency(struct dir_admin *a, const char *address, char **out, char **why_out);
/* addresses: what the certificate names (n of them). account: whose it was when it was seen ("p-000123"; "": not said). ERR_NOTFOUND: nobody has the address; ERR_GONE: who has
 * it left; ERR_CONFLICT: it is another's by now; ERR_DENIED: the certificate names no address of the holder, or a former one alone that
 * is, or was since, another's. */
int dir_admin_cert_holder(struct dir_admin *a, const char *address, const char *account,
    const char *const *addresses, size_t n, struct slice der, struct cert_holder *out,
    char **why_out);
/* The entry that the certificate stands in: of who has the address, now or before, or of the account that had it when it was seen ("": not said). ERR_NOTFOUND: in neither. */
int dir_admin_cert_where(struct dir_admin *a, const char *address, const char *account,
    struct slice der, struct cert_holder *out, char **why_out);
void cert_holder_done(struct cert_holder *h);
/* Adds the certificate (DER) to the entry's userCertificate;binary, or takes it away; others stay. Without a dn nothing is written: it is in no entry already. */
int dir_admin_cert_set(struct dir_admin *a, const struct cert_holder *h, struct slice der, bool on,
    const char *decision, enum change *change_out, char **why_out);

/* ---- the directory as a whole ---- */
/* Whether the account sees all there is, as central HR's does, and not the part that is an officer's, or everybody's. */
int dir_admin_sees_all(struct dir_admin *a, bool *out, char **why_out);
/* All of it but passwords, service accounts, the password policy, app passwords and officers, sorted as dir_dump.h has it. skipped_out: how many app
 * passwords and officers there are. */
int dir_admin_export(
    struct dir_admin *a, struct dir_result **out, size_t *skipped_out, char **why_out);
enum { IMPORT_SKIPPED = CHANGE_CHANGED + 1, N_IMPORT_COUNTS };
/* Makes every entry of r what it is there; entries that r does not name stay. App passwords and officers are skipped. Of an entry that is
 * there vnScramTime and vnGraceTime stay, and vnEpoch and vnNextId only rise. counts_out: by enum change, and IMPORT_SKIPPED. All entries are looked at before the first is
 * written; one that fails later ends it there. */
int dir_admin_import(struct dir_admin *a, const struct dir_result *r, const char *decision,
    size_t counts_out[N_IMPORT_COUNTS], enum change *change_out, char **why_out);

/* ---- passwords: the hash that a bind is verified by and the SCRAM keys, in one change ---- */
/* Somebody's account, by id, login name or address. */
struct staff_account {
	char *dn, *id, *uid, *mail, *display;
	bool is_frozen;   /* an administrator has locked it */
	bool must_change; /* the password is a first one */
	uint64_t epoch;   /* sessions and tickets of a smaller one are over */
	int64_t changed;  /* when it was set, seconds since 1970; 0: not known */
};
int dir_admin_account(
    struct dir_admin *a, const char *who, struct staff_account *out, char **why_out);
void staff_account_done(struct staff_account *s);
/* "kmtw-3xhn-p7rd": 12 of 31 signs that nobody confuses, 59 bits; appended. */
void dir_admin_password_make(struct buf *out);
/* Ends a lock by wrong tries as well, and the sessions that are open with the password before. must_change: a first password, with which nobody signs in until it is changed. */
int dir_admin_password_set(struct dir_admin *a, const struct staff_account *s,
    struct slice password, bool must_change, char **why_out);
/* Whether it is the password now (a first one and an expired one are), within first_days if it is a first one. ERR_AUTH, ERR_EXPIRED
 * (a first password past its time), ERR_TEMP, with words. */
int dir_admin_password_is(struct dir_admin *a, const struct staff_account *s, struct slice password,
    unsigned first_days, char **why_out);
/* App passwords of a person. services: "imap", "smtp", NULL-terminated. password_out gets it; it is kept nowhere. */
int dir_admin_app_add(struct dir_admin *a, const struct staff_account *s, const char *name,
    const char *const *services, struct buf *password_out, char **why_out);
/* vnAppId, description (the name), vnAppService, vnValidFrom of each. */
int dir_admin_apps(
    struct dir_admin *a, const struct staff_account *s, struct dir_result **out, char **why_out);
/* By id or name. Ends the sessions that are open; *sessions_err_out: why they go on though it is revoked, or 0. */
int dir_admin_app_revoke(struct dir_admin *a, const struct staff_account *s, const char *which,
    int *sessions_err_out, char **why_out);
/* Functional mailboxes whose roster names the person (an entry of dir_admin_staff_show) or one of its posts: those that are held today, or all with those
 * of posts whose days are over or have not begun. */
int dir_admin_held(struct dir_admin *a, const struct dir_entry *person, bool all,
    struct dir_result **out, char **why_out);

#endif
