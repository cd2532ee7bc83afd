/* people.h: who is who in the directory, by the configured filters and attributes (options dir_*): persons who sign in,
 * recipients, sender identities, functional mailboxes by post, groups. Over dir.h, so it blocks: worker threads only.
 * A struct people may be used by many threads at once. */
#ifndef CV_PEOPLE_H
#define CV_PEOPLE_H

#include "directory/dir.h"
#include "directory/ppolicy.h"

#define PEOPLE_READER "lr"     /* what who has left has in the own mailboxes, RFC 4314 */
#define PEOPLE_GROUP_MAX 10000 /* members of a group, all levels together */
#define PEOPLE_GROUP_DEPTH 8
#define PEOPLE_HOPS 200          /* of one recipient */
#define PEOPLE_MAILBOXES_MAX 100 /* functional mailboxes of one person */
#define PEOPLE_ASSIGNMENTS_MAX 200
#define PEOPLE_GRANTS_MAX 200     /* of one person, in all mailboxes together */
#define PEOPLE_ADDRESSES_MAX 1000 /* of one owner, history included */
#define PEOPLE_AUTHORITIES_MAX 200

struct people;
/* Keeps d (not owned). Checks the filters and the roster option: ERR_SYNTAX with *why_out a malloc'd text. */
int people_new(const struct conf *c, struct dir *d, struct people **out, char **why_out);
void people_free(struct people *p);
/* Whether the address (normalized) is in one of our domains. */
bool people_is_ours(const struct people *p, struct slice address);

/* The store's account of an id of the directory; prefix 'p' a person's, 'f' a functional mailbox's. */
void people_account(char prefix, struct slice id, char out[48]);

/* A person who may sign in. */
struct person {
	char *dn, *login, *account, *address, *name, *agency;
	char *version; /* differs after every change of the entry; "" when not known */
	uint64_t epoch;
	struct ppolicy_verdict policy;
	int64_t password_set; /* seconds since 1970; 0: not known */
	bool is_suspended;    /* found by dir_frozen_filter: policy.state is PPOLICY_FROZEN */
	bool is_steady; /* policy: nothing but a change ends that it signs in, for PEOPLE_KEEP_S */
	bool is_contested; /* another entry has a name or address of it too */
	int64_t
	    read_until; /* has left, and may read the own mail until then, seconds since 1970, and nothing else; 0: in service */
	bool keys_are_old; /* the SCRAM keys are of an earlier password */
	char **addresses;  /* primary first, then aliases; normalized */
	size_t n_addresses;
	char **assignments; /* values of vnAssignment, as they are */
	size_t n_assignments;
	char **traits; /* what rules of groups go by, "vnMemberTitle=Giám đốc" */
	size_t n_traits;
	char **scram; /* values of the SCRAM attribute */
	size_t n_scram;
	char *app_id, *app_version; /* they are of this app password; NULL: the person's own */
};
/* Whether an entry has the id that an account of the store ("p-…" of a person, "f-…" of a functional mailbox) is named after: 0, ERR_NOTFOUND (also of an
 * account whose name is a digest), ERR_TEMP. */
int people_has_account(struct people *p, struct slice account);
/* By the name given at sign-in. 0; ERR_NOTFOUND (none, or the filter does not let it sign in, or more than one); ERR_TEMP. */
int people_login(struct people *p, struct slice name, struct person **out);
/* The same; and when there is none, one that the site has frozen (dir_frozen_filter), whom nothing but the right password is to tell from nobody. */
int people_login_or_frozen(struct people *p, struct slice name, struct person **out);
/* The same of a Kerberos principal of our realm, by its name without the realm; nobody of one with an instance ("binhtv/admin"). */
int people_principal(struct people *p, struct slice name, struct person **out);
void person_free(struct person *u);
/* App passwords: "kmtw-3xhn-p7rd-qqab-z4h9"; the first group is the id. */
#define PEOPLE_APP_SIGNS "abcdefghjkmnpqrstuvwxyz23456789"
#define PEOPLE_APP_ID_LEN 4
#define PEOPLE_APP_GROUPS 5
/* Whether a password has that form. id_out: within it. */
bool people_app_id(struct slice password, struct slice *id_out);
/* Whether a login name has the form "binhtv/kmtw", for mechanisms that must know the keys before the password. Within it. */
bool people_app_name(struct slice name, struct slice *person_out, struct slice *id_out);
/* Gives u, in place of the own keys, those of the person's app password of that id that is good for the service ("imap", "smtp"). 0,
 * ERR_NOTFOUND, ERR_TEMP. */
int people_app(struct people *p, struct person *u, struct slice id, const char *service);
/* As dir_verify. */
int people_verify(
    struct people *p, const struct person *u, struct slice password, struct dir_says *says_out);
/* The password policy's last word on right credentials that no bind has seen: 0, ERR_LOCKED, ERR_MUST_CHANGE, ERR_EXPIRED. by_password:
 * not by a certificate or a ticket, which the age of a password does not concern. A login of grace is written down. */
int people_admit(struct people *p, const struct person *u, bool by_password);
/* A wrong proof was given where no bind was made: the directory hears of a wrong password, so that its own lock counts it. */
void people_count_wrong(struct people *p, const struct person *u);

/* What somebody may do for a time: RFC 4314 letters, sending as; seconds since 1970, 0: no bound. */
struct person_grant {
	char rights[24];
	bool may_send;
	int64_t from, until;
};
/* A functional mailbox as a person holds it, now or later. */
struct person_mailbox {
	char *account, *address;
	char *ns_name;               /* its name below the namespace of other users */
	struct person_grant *grants; /* none is over */
	size_t n_grants;
	char rights[24]; /* of the grants that hold now, together */
	bool may_send;
	char **addresses; /* primary first, aliases; normalized */
	size_t n_addresses;
};
struct person_mailboxes {
	struct person_mailbox *v;
	size_t n;
	char **
	    deps; /* keys (people_change_keys) of what was read for it, normalized DNs and accounts; first those that stand for the person */
	size_t n_deps, n_subjects;
	bool is_contested; /* of the address of one another entry has something too */
	bool is_cut;       /* there is more than was read, or than deps tell */
};
/* Held directly, through posts and through groups, or delegated for now: then also the mailbox of a person (account "p-…"). */
int people_mailboxes(struct people *p, const struct person *u, struct person_mailboxes **out);
void person_mailboxes_free(struct person_mailboxes *m);

/* ---- people_known.c: what may be kept between two logins ---- */
#define PEOPLE_KEEP_S 300
#define PEOPLE_NAME_MAX 255
#define PEOPLE_KEY_NAME '=' /* begins a key of a name or address, folded */
#define PEOPLE_KEY_ALL "=*" /* a key that stands for all of these */
/* A name in the form of its key, when it is one of ASCII letters, digits and "@._-+", of which everybody knows what it is equal to. False: it is not. */
bool people_name_fold(struct slice name, char out[PEOPLE_NAME_MAX + 1]);
/* Seconds since 1970, until when all of it stays so unless something of deps changes; 0: that cannot be told. */
int64_t people_keep_until(
    const struct people *p, const struct person *u, const struct person_mailboxes *m);
/* As dir_elsewhere: what was read meanwhile may be older than what is heard of. */
uint64_t people_elsewhere(const struct people *p);
/* As it is needed for signing in, without what its rights come from. */
struct person *person_copy(const struct person *u);

/* ---- people_watch.c: what a change of the directory means for who is signed in ---- */
/* What must be known of a changed entry; NULL-terminated, borrowed. */
const char *const *people_watch_attrs(const struct people *p);
/* The keys of a changed entry (with these attributes; of one that is gone its DN alone): is_subject false: of the entry itself; true: of those it names, who
 * may have become something by it. */
void people_change_keys(const struct people *p, const struct dir_entry *e,
    void (*fn)(void *arg, const char *key, bool is_subject), void *arg);

/* The epoch of a changed entry, and whose account in the store it is; 0: of nobody's, or none. */
uint64_t people_epoch_of(const struct people *p, const struct dir_entry *e, char account[48]);
/* A list of such, between the thread that watches and the loop. One more, whole or not at all: 0, or to->err. */
int people_epochs_put(struct buf *to, const char *account, uint64_t epoch);
void people_epochs_each(
    struct slice list, void (*fn)(void *arg, const char *account, uint64_t epoch), void *arg);

/* ---- people_acl.c ---- */
#define PEOPLE_ACL_MAX 200
struct people_ace {
	char *identifier; /* login name; "$" and the name of a post or group */
	char rights[24];
};
struct people_acl {
	struct people_ace v[PEOPLE_ACL_MAX];
	size_t n;
};
/* Who has which rights in an account of the store, now. 0, ERR_NOTFOUND, ERR_TEMP. */
int people_acl(struct people *p, struct slice account, struct people_acl **out);
void people_acl_free(struct people_acl *l);

/* Who receives mail for an address. */
struct people_target {
	char *account, *address, *name;
};
/* Somebody of them whose mail goes on to another address. */
struct people_forward {
	char *account, *by; /* whose */
	char *to;           /* normalized */
	bool keep;          /* a copy stays */
};
/* An automatic reply that is due now. */
struct people_reply {
	char *subject, *text; /* subject "": of the mail's */
	unsigned days;        /* 1 to 30, between two to one sender */
	char **addresses;     /* of whom the mail must be addressed to one */
	size_t n_addresses;
};
struct people_rcpt {
	bool is_official, is_group;
	struct people_target *v;
	size_t n;
	struct people_forward *forwards;
	size_t n_forwards;
	struct people_reply *reply; /* of a person or functional mailbox; NULL: none */
	char **may_send; /* of a group: "anyone", "inside", "members" or addresses; none: anyone */
	size_t n_may_send;
};
/* 0; ERR_NOTFOUND; ERR_LIMIT (a group too large); ERR_TEMP. */
int people_rcpt(struct people *p, struct slice address, struct people_rcpt **out);
void people_rcpt_free(struct people_rcpt *r);

/* Where mail for a recipient goes besides its mailboxes. */
enum people_forward_to { PEOPLE_FORWARD_OFF, PEOPLE_FORWARD_OWN, PEOPLE_FORWARD_ANY };
struct people_hop {
	char *to, *by; /* addresses; by: who forwards */
	bool is_remote;
};
struct people_route {
	bool keep; /* the recipient's own mailbox gets it too; always true of a group */
	struct people_hop *hops;
	size_t n;
};
/* Follows the forwards of r, inside to the last, at most PEOPLE_HOPS of them: a circle ends in the mailbox where it closes, what the policy
 * does not allow, or a group that the sender (as below) may not send to, in that of who wanted it. 0, ERR_TEMP. */
int people_route(struct people *p, const struct people_rcpt *r, enum people_forward_to policy,
    struct slice sender, bool signed_in, struct people_route **out);
void people_route_free(struct people_route *r);
/* Whether a sender (normalized; signed in as it, or not) may send to r. 0, ERR_TEMP. */
int people_rcpt_may_send(struct people *p, const struct people_rcpt *r, struct slice sender,
    bool signed_in, bool *may_out);

/* Who stands behind a From address, by its address of now or before. */
enum people_kind { PEOPLE_NONE, PEOPLE_PERSON, PEOPLE_FUNCTIONAL, PEOPLE_GROUP };
struct people_owner {
	enum people_kind kind;
	char *account, *agency;
	char **addresses;              /* now and before, normalized, the primary first */
	size_t n_addresses, n_current; /* those of now come first */
	char **former;                 /* those of the history, though one may still be an alias */
	size_t n_former;
	char **authorities; /* what the person may sign today by its own entry: "QĐ;KT" */
	size_t n_authorities;
	char *dn;           /* of a person, for people_authorities; NULL */
	char **assignments; /* values of vnAssignment, as they are */
	size_t n_assignments;
	struct slice *certs; /* DER */
	size_t n_certs;
};
/* 0 (kind PEOPLE_NONE: nobody); ERR_TEMP. */
int people_owner(struct people *p, struct slice address, struct people_owner **out);
void people_owner_free(struct people_owner *o);
/* Adds to o->authorities what the posts let sign that the person holds at this moment (and groups, where they have such values): by assignment, as
 * occupant, through a group; each within its own days. PEOPLE_POSTS_ASKED of them at most. 0, ERR_TEMP. */
#define PEOPLE_POSTS_ASKED 32
int people_authorities(struct people *p, struct people_owner *o);
/* Whether the person may send as the address. */
bool people_may_send(
    const struct person *u, const struct person_mailboxes *m, struct slice address);

/* people_agency.c: abbreviations of an agency, by its own entry, and of those above it (H99.02.01: H99.02, H99), its own first; none where its own
 * is not recorded. Remembered for PEOPLE_AGENCY_S. 0 (none: empty), ERR_TEMP. strings_free's of people_priv.h. */
#define PEOPLE_AGENCY_S 5
int people_agency_symbols(struct people *p, struct slice code, char ***out, size_t *n_out);
/* Whether each address (normalized; NULL: no) is, or was, a member's of the group, nested ones included. 0; ERR_NOTFOUND (no such group); ERR_LIMIT (too
 * large); ERR_TEMP. */
int people_members(
    struct people *p, struct slice group, char *const *addresses, size_t n, bool *is_out);

#endif
