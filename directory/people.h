/* people.h: who is who in the directory, by the configured filters and attributes (options dir_*): persons who sign in,
 * recipients, sender identities, functional mailboxes by post, groups. Over dir.h, so it blocks: worker threads only.
 * A struct people may be used by many threads at once. */
#ifndef CV_PEOPLE_H
#define CV_PEOPLE_H

#include "directory/dir.h"

#define PEOPLE_GROUP_MAX 10000 /* members of a group, all levels together */
#define PEOPLE_GROUP_DEPTH 8
#define PEOPLE_MAILBOXES_MAX 100  /* functional mailboxes of one person */
#define PEOPLE_ADDRESSES_MAX 1000 /* of one owner, history included */

struct people;
/* Keeps d (not owned). Checks the filters and the roster option: ERR_SYNTAX with *why_out a malloc'd text. */
int people_new(const struct conf *c, struct dir *d, struct people **out, char **why_out);
void people_free(struct people *p);
/* Whether the address (normalized) is in one of our domains. */
bool people_is_ours(const struct people *p, struct slice address);

/* A person who may sign in. */
struct person {
	char *dn, *login, *account, *address, *name, *agency;
	char *version; /* differs after every change of the entry; "" when not known */
	uint64_t epoch;
	bool is_locked;    /* password policy: the account is locked now */
	bool keys_are_old; /* the SCRAM keys are of an earlier password */
	char **addresses;  /* primary first, then aliases; normalized */
	size_t n_addresses;
	char **scram; /* values of the SCRAM attribute */
	size_t n_scram;
};
/* By the name given at sign-in. 0; ERR_NOTFOUND (none, or the filter does not let it sign in, or more than one); ERR_TEMP. */
int people_login(struct people *p, struct slice name, struct person **out);
void person_free(struct person *u);
int people_verify(struct people *p, const struct person *u, struct slice password);

/* A functional mailbox as a person holds it. */
struct person_mailbox {
	char *account, *address;
	char *ns_name; /* its name below the namespace of other users */
	char rights[24];
	bool may_send;
	char **addresses; /* primary first, aliases; normalized */
	size_t n_addresses;
};
struct person_mailboxes {
	struct person_mailbox *v;
	size_t n;
	int64_t until; /* seconds since 1970: a delegation among them ends then; 0: none does */
};
/* Held directly, through posts and through groups, or delegated for now: then also the mailbox of a person (account "p-…"). */
int people_mailboxes(struct people *p, const struct person *u, struct person_mailboxes **out);
void person_mailboxes_free(struct person_mailboxes *m);

/* Who receives mail for an address. */
struct people_target {
	char *account, *address, *name;
};
struct people_rcpt {
	bool is_official;
	struct people_target *v;
	size_t n;
};
/* 0; ERR_NOTFOUND; ERR_LIMIT (a group too large); ERR_TEMP. */
int people_rcpt(struct people *p, struct slice address, struct people_rcpt **out);
void people_rcpt_free(struct people_rcpt *r);

/* Who stands behind a From address, by its address of now or before. */
enum people_kind { PEOPLE_NONE, PEOPLE_PERSON, PEOPLE_FUNCTIONAL, PEOPLE_GROUP };
struct people_owner {
	enum people_kind kind;
	char *account, *agency;
	char **addresses;              /* now and before, normalized, the primary first */
	size_t n_addresses, n_current; /* those of now come first */
	struct slice *certs;           /* DER */
	size_t n_certs;
};
/* 0 (kind PEOPLE_NONE: nobody); ERR_TEMP. */
int people_owner(struct people *p, struct slice address, struct people_owner **out);
void people_owner_free(struct people_owner *o);
/* Whether the person may send as the address. */
bool people_may_send(
    const struct person *u, const struct person_mailboxes *m, struct slice address);

#endif
