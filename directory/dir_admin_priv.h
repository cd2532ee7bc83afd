/* dir_admin_priv.h: shared by dir_admin*.c alone. */
#ifndef CV_DIR_ADMIN_PRIV_H
#define CV_DIR_ADMIN_PRIV_H

#include "directory/assignment.h"
#include "directory/dir_admin.h"
#include "lib/arena.h"

struct agency_cache {
	char *code, *dn, *name, *abbrev;
	bool closed;
	struct agency_cache *next;
};
struct dir_admin {
	struct dir *d;
	const struct conf *conf;
	const char *hash; /* admin_password_hash */
	char *domain;     /* the first of ours */
	struct agency_cache *agencies;
	uint64_t skip_to;           /* ids below it are known to be given */
	uint64_t next_id, reserved; /* ids taken from the counter and not yet given */
	unsigned reserve;
	/* the change that is being made (dir_admin_write.c) */
	const struct dir_admin_journal *journal;
	char *who, *as;
	bool dry_run, uncited;
	bool together;   /* writes wait for the end of the change, and are made all or none */
	bool has_undone; /* the journal has writes that changes has no more */
	struct admin_queue *queue;
	unsigned depth; /* changes made of changes */
	char batch[17];
	char *op, *target, *decision;
	struct json *changes, *effects;
};

enum { MODS_MAX = 160 };
/* The attributes of an entry, or of a change, being collected; memory in an arena. Latches ERR_LIMIT, ERR_NOMEM. */
struct mods {
	struct arena *arena;
	struct dir_mod m[MODS_MAX];
	size_t n;
	int err;
};
void mods_init(struct mods *m);
void mods_done(struct mods *m);
/* Another value of an attribute; empty ones are left out. */
void mods_add(struct mods *m, const char *name, struct slice value);
/* For changes: the attribute gets this value alone (NULL: none), a text with its folded twin; a value goes. */
void mods_replace(struct mods *m, const char *name, const char *value);
void mods_replace_text(struct mods *m, const char *name, const char *value);
void mods_delete(struct mods *m, const char *name, struct slice value);
void mods_str(struct mods *m, const char *name, const char *value); /* NULL: left out */
/* A text, NFC, and its folded twin ("cn;x-fold") when that differs. */
void mods_text(struct mods *m, const char *name, const char *value);
/* A formatted text; cn and displayName get their folded twin. */
void mods_fmt(struct mods *m, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void mods_now(struct mods *m, const char *name); /* GeneralizedTime */
/* GeneralizedTime of now. */
void admin_now(char out[20]);

/* ---- dir_admin_write.c: every write goes through these ---- */
/* A change begins: checks the decision (admin_no_decision: it needs none), takes the journal. Changes may be made of changes; the outermost counts. An admin_begin that gave 0
 * has its admin_end, which tells in *change_out what became of it (created: something new was made). Gives err back, or what the journal says. */
extern const char admin_no_decision[];
int admin_begin(
    struct dir_admin *a, const char *op, const char *target, const char *decision, char **why_out);
int admin_end(struct dir_admin *a, int err, bool created, enum change *change_out, char **why_out);
/* The change that has begun is not made at once, but its writes one after another: it moves entries, which slapd 2.5 fails with now and then within a
 * transaction. */
void admin_one_by_one(struct dir_admin *a);
/* One write, in the journal first; with dry_run in dir_admin_changes alone. */
int admin_add(struct dir_admin *a, const char *dn, const struct mods *m, char **why_out);
/* Leaves out what is so already: nothing is written when nothing is left; else the decision is added to the entry, unless m itself
 * names vnDecisionRef. */
int admin_modify(struct dir_admin *a, const char *dn, const struct mods *m, char **why_out);
int admin_move(struct dir_admin *a, const char *dn, const char *new_parent, char **why_out);
/* For what may go without trace in the directory; the journal has what the entry e says. */
int admin_delete(struct dir_admin *a, const struct dir_entry *e, char **why_out);
/* Attributes that no file and no journal has: passwords and keys. */
bool admin_is_secret(const char *attr);
/* Whether anything was written since admin_begin. */
bool admin_has_changed(const struct dir_admin *a);

/* Whether two values of an attribute are one; of a DN in any spelling. */
bool admin_value_same(const char *attr, struct slice a, struct slice b);

/* ---- dir_admin_queue.c: the writes of a change that are made together ---- */
/* Keeps a write for the end, and change (taken), what the journal is to have of it. ERR_EXISTS: an entry to be added is there. */
int admin_queue_add(
    struct dir_admin *a, const struct dir_write *w, struct json *change, char **why_out);
/* The entry as it will be after what is kept, as dir_read gives it; further attributes may come with it. ERR_NOTFOUND also of one that will be gone. */
int admin_queue_read(
    struct dir_admin *a, const char *dn, const char *const *attrs, struct dir_result **out);
/* The DN that an entry has before the moves that are kept: malloc'd, normalized. It is what the directory has it under now, or would. */
char *admin_queue_was(const struct dir_admin *a, const char *dn);
/* As admin_queue_read, by that DN. */
int admin_queue_see(
    struct dir_admin *a, const char *was, const char *const *attrs, struct dir_result **out);
/* Whether a write of that entry is kept. */
bool admin_queue_touches(const struct dir_admin *a, const char *was);
/* That DN of the next entry, from *at (begin with 0), that a kept write gives the login name or the address, of now or before; another write may have taken it away
 * again. NULL: no more. */
const char *admin_queue_claim(const struct dir_admin *a, struct slice value, size_t *at);
/* Each into the journal by write_down, then all into the directory. */
int admin_queue_commit(struct dir_admin *a,
    int (*write_down)(struct dir_admin *a, const struct json *change, char **why_out),
    char **why_out);
/* How many of them the journal has. */
size_t admin_queue_n_sent(const struct dir_admin *a);
/* Whether all of it is in the journal, on the disk. */
bool admin_queue_was_told(const struct dir_admin *a);
/* Makes what waits, in the middle of a change that need not be whole. When that fails nothing of it was made but with ERR_UNKNOWN, changes are cut to the first
 * n_changes, and what the journal has of it it says to be undone. *refused_out: this is so (0 is given), and they may be made one by one: the directory did not take them
 * together, or the journal one of them. */
int admin_flush(struct dir_admin *a, size_t n_changes, bool *refused_out, char **why_out);
void admin_queue_free(struct dir_admin *a);

/* ---- dir_admin_who.c ---- */
/* What a word of the command line names. */
enum subject_kind { SUBJECT_PERSON = 1, SUBJECT_MAILBOX = 2, SUBJECT_GROUP = 4, SUBJECT_POST = 8 };
enum { SUBJECT_ANY = 15 };
struct subject {
	enum subject_kind kind;
	const struct dir_entry *e;
	struct dir_result *r; /* holds it */
};
/* By id, code, login name or address, of now or (a person, a mailbox) before; kinds: which may be meant. "staff:", "mailbox:", "group:" or "post:"
 * before it says what is meant. ERR_NOTFOUND, ERR_EXISTS (more than one), with words. */
int admin_subject(
    struct dir_admin *a, const char *word, unsigned kinds, struct subject *out, char **why_out);
void subject_done(struct subject *s);
/* The one person with this id, login name or address of now: *out has one entry. ERR_NOTFOUND with words, also of several. */
int admin_person(struct dir_admin *a, const char *who, const char *const *attrs,
    struct dir_result **out, char **why_out);
/* The first value as a string; "" for none. Borrowed. */
const char *admin_value(const struct dir_entry *e, const char *attr);
/* Whether the entry is at an end (vnStatus closed or retired). */
bool admin_is_over(const struct dir_entry *e);
/* A day, "2026-11-30", or a GeneralizedTime, as GeneralizedTime: its begin here, or its end. ERR_SYNTAX with words. */
int admin_day(const char *text, bool end, char out[20], char **why_out);
/* The first and the last day of something that is to be so now or later; NULL: not said, and its out stays. ERR_SYNTAX with words. */
int admin_days(
    const char *from, const char *until, char from_out[20], char until_out[20], char **why_out);
/* A name for an id: 1 to max small letters, digits, dots and hyphens. */
int admin_check_id(const char *what, const char *id, size_t max, char **why_out);
/* The normalized address, in our domains and nobody else's now or within address_reuse_years: malloc'd in *out. own: the DN of whose it may be; NULL:
 * nobody's. */
int admin_address_free(
    struct dir_admin *a, const char *given, const char *own, char **out, char **why_out);
/* Takes a member out of a group, whose last one leaves "cn=nobody" behind (groupOfNames needs one). e has its members. */
int admin_member_remove(
    struct dir_admin *a, const struct dir_entry *e, const char *dn, char **why_out);
/* Adds to m what leaves an address behind: a value of vnAddressHistory. from: GeneralizedTime or "". */
void admin_history(struct mods *m, const char *address, const char *from);

/* ---- dir_admin_assignment.c: vnAssignment ---- */
/* Adds to m what a person's entry says of its place: agency, its name, displayName, the primary assignment; title NULL: as it is. carry:
 * the old agency's assignments go on at the new one, instead of ending. */
int admin_place(struct dir_admin *a, struct mods *m, const struct dir_entry *e,
    const struct agency_cache *g, const char *title, bool carry, char **why_out);
/* What is open at agency from goes on at agency to, posts included; whether the primary place is among it. */
bool admin_assignment_carry(struct dir_admin *a, struct mods *m, const struct dir_entry *e,
    const char *from, const char *to);
/* Who comes to an agency for good is there no more for a time or beside another place; a post held there goes on. */
void admin_assignments_settle(
    struct dir_admin *a, struct mods *m, const struct dir_entry *e, const char *agency);
/* The first one of who is hired; one that is made or given other days (from NULL: now, or as it is where it has begun; to NULL: open). */
void admin_assignment_first(struct dir_admin *a, struct mods *m, const char *agency);
void admin_assignment_set(struct dir_admin *a, struct mods *m, const struct dir_entry *e,
    const char *kind, const char *agency, const char *post, const char *from, const char *to);
/* Ends now what has not ended: of a kind, at an agency, for a post (each NULL: whichever). How many. */
size_t admin_assignments_end(struct mods *m, const struct dir_entry *e, const char *kind,
    const char *agency, const char *post);
/* The assignment of a person to a post that counts (in force before to come before over); false: none names it, and roleOccupant alone says. */
bool admin_post_days(const struct dir_entry *person, struct slice post, struct assignment *out);

/* ---- dir_admin_rights.c ---- */
/* What of a person's, post's or group's places ends: nothing, what is at an agency, everything. */
enum rights_scope { RIGHTS_STAY, RIGHTS_AT_AGENCY, RIGHTS_ALL };
/* Ends what the DN has by name in that scope: posts, places in mailboxes and groups, delegations given and taken; and tells of each, also of what
 * stays, in dir_admin_effects. At an agency are: its posts, mailboxes and groups; of the delegations taken those that it or its people gave,
 * of those given the ones to its people, posts and groups. agency: its code, NULL but for RIGHTS_AT_AGENCY. but: the DN of a post that is seen to
 * otherwise, or NULL. */
int admin_rights_end(struct dir_admin *a, const char *dn, enum rights_scope scope,
    const char *agency, const char *but, char **why_out);
/* One more thing and its fate into dir_admin_effects; its name is that of the entry dn. Borrowed, for more keys. */
struct json *admin_effect_add(
    struct dir_admin *a, const char *what, const char *dn, const char *fate);
/* Whether the DN is the value, in any spelling. */
bool admin_is_dn(const char *value, const char *dn);
/* Puts a post and the mailboxes that it holds into dir_admin_effects. */
int admin_post_tell(
    struct dir_admin *a, const struct dir_entry *post, const char *fate, char **why_out);
/* ---- dir_admin_officer.c ---- */
/* The same for the accounts that the person has as an officer; at an agency are those that write for it. A locked one signs in no more. An officer, who
 * sees no such account, changes none. */
int admin_officers_end(struct dir_admin *a, const char *dn, enum rights_scope scope,
    const char *agency, char **why_out);
int admin_officers_lock(struct dir_admin *a, const char *dn, bool lock, char **why_out);
/* Whether it is an officer's account that writes (below ou=officers), which central HR's is not. The three below are 0 for who is none. */
bool admin_is_officer(const struct dir_admin *a);
/* Before the first write: ERR_DENIED with words where the DN is the person whose account this is. A freeze of oneself would lock the account that writes it,
 * which no officer may, when half of it is done. */
int admin_not_oneself(struct dir_admin *a, const char *dn, char **why_out);
/* ERR_DENIED with words where the agency is none of the officer's (vnHrOf). */
int admin_officer_over(struct dir_admin *a, struct slice agency, char **why_out);
/* What the directory server would refuse of a write that a dry run only thinks of: of an entry of another agency, or to give one to it, or of an agency
 * itself. m NULL: it goes or moves. new: it is made. The rules for each attribute are not tried. ERR_DENIED with words. */
int admin_officer_may(
    struct dir_admin *a, const char *dn, const struct mods *m, bool new, char **why_out);

/* Closes a delegation now. */
int admin_delegation_end(struct dir_admin *a, const struct dir_entry *e, char **why_out);

/* *why_out gets the text, and err is given back. */
int admin_fail(char **why_out, int err, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* A text of ours that may not be empty, nor hold control characters (of direction too), nor be no UTF-8. */
int admin_check_text(const char *what, const char *value, size_t max, char **why_out);
/* Whether a normalized address is in one of the domains that we take mail for. */
int admin_check_domain(const struct dir_admin *a, const char *mail, char **why_out);
/* Searches with a filter of one %s; errors in words. */
int admin_find(struct dir_admin *a, const char *filter, const char *value, const char *const *attrs,
    unsigned max, struct dir_result **out, char **why_out);
/* The agency by code, cached. ERR_NOTFOUND. */
int admin_agency(
    struct dir_admin *a, const char *code, const struct agency_cache **out, char **why_out);
/* The same, and not closed: ERR_GONE. */
int admin_agency_open(
    struct dir_admin *a, const char *code, const struct agency_cache **out, char **why_out);
/* Enters an agency into the cache; forgets all, when agencies have moved. */
const struct agency_cache *admin_agency_keep(struct dir_admin *a, const char *code, const char *dn,
    const char *name, const char *abbrev, bool closed);
void admin_agency_forget(struct dir_admin *a);
/* ERR_EXISTS with words when the entry's attribute is another than wanted (compared NFC, case-sensitive); wanted NULL: no matter. */
int admin_same(const struct dir_entry *e, const char *attr, const char *wanted, const char *who,
    char **why_out);
/* An abbreviation stands behind its people's names: short, without blanks, and no other open agency's. ERR_SYNTAX, ERR_EXISTS with words. */
int admin_abbrev_check(struct dir_admin *a, const char *code, const char *abbrev, char **why_out);
/* dir_admin_post.c: closes what nobody acts in any more: a post that is not closed; the functional mailboxes of filter (of one %s or %d) that
 * nobody but the post opens (NULL: nobody at all). What is in them stays. */
int admin_post_end(struct dir_admin *a, const struct dir_entry *post, char **why_out);
int admin_mailboxes_end(
    struct dir_admin *a, const char *filter, const char *value, const char *post, char **why_out);
/* Whether somebody opens the mailbox: a person, a group, or a post that is held, other than post (a DN, or NULL). */
int admin_mailbox_is_opened(
    struct dir_admin *a, const struct dir_entry *box, const char *post, bool *out, char **why_out);
/* Adds one value to an attribute when it is not there, or makes it the only one. */
int admin_ensure_value(struct dir_admin *a, const struct dir_entry *e, const char *attr,
    struct slice value, bool replace, char **why_out);
/* The next id, "000123". */
int admin_id_next(struct dir_admin *a, char id[24], char **why_out);
/* The largest id there is, by a search of everybody; *err_out tells whether it worked. */
uint64_t admin_largest_id(struct dir_admin *a, char **why_out, int *err_out);
/* A free login name and address made of a name, or from the address given; both malloc'd. */
int admin_address_make(struct dir_admin *a, const char *name, const struct agency_cache *g,
    char **uid_out, char **mail_out, char **why_out);
int admin_address_given(
    struct dir_admin *a, const char *given, char **uid_out, char **mail_out, char **why_out);
/* Too short, too long, or with what RFC 4013 does not allow: ERR_SYNTAX with words. */
int admin_password_check(struct slice password, char **why_out);
/* The hash and the SCRAM keys of one password: they go into the directory together. */
int admin_password_mods(struct dir_admin *a, struct slice password, struct mods *m, char **why_out);
/* The hash alone, for accounts that bind and have no mail. */
int admin_password_user(struct dir_admin *a, struct slice password, struct mods *m, char **why_out);
/* The DN of the clerks' post of an agency, malloc'd. */
char *admin_clerk_post(const struct agency_cache *g);

#endif
