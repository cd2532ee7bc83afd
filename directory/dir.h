/* dir.h: the directory as the rest of directory/ and admin/ see it: search, read, verify a password, and write. Two makers:
 * dir_ldap.c (the only includer of <ldap.h>) and dir_fake.c (entries in memory, for unit tests); a program links one.
 *
 * All calls block, each for at most the configured time per server; call them from worker threads or the admin command, never
 * from a loop. A struct dir may be used by many threads at once. What is not there is ERR_NOTFOUND or an empty list only
 * when the directory said so; every other trouble is ERR_TEMP. */
#ifndef CV_DIR_H
#define CV_DIR_H

#include "lib/buf.h"
#include "lib/conf.h"

#define DIR_ENTRY_BYTES_MAX (8u << 20) /* of one LDAP message; larger ones are ERR_TEMP */

struct dir;

struct dir_params {
	const char *const *uris; /* tried in this order */
	size_t n_uris;
	bool starttls;
	const char *ca_file; /* "": the system's */
	const char *base;    /* default search base */
	const char *bind_dn; /* "": anonymous */
	struct slice password;
	unsigned timeout_ms;
	unsigned pool; /* connections for searches; as many again for password checks */
};
/* Copies p. Reads the CA file now: call before the sandbox. Connects at first use. 0, ERR_IO (CA file), ERR_SYNTAX (URI). */
int dir_open(const struct dir_params *p, struct dir **out);
void dir_close(struct dir *d);
/* dir_open with the ldap_* options; bind_dn and password as given. */
int dir_open_conf(
    const struct conf *c, const char *bind_dn, struct slice password, struct dir **out);
const char *dir_base(const struct dir *d);
/* From now on values with a NUL are left out of what is read: text that would be another one where it is taken as a C string. Not of these attributes
 * (options aside), and of none with ";binary". Before there are threads; n at most DIR_BYTES_ATTRS_MAX, more are ERR_LIMIT. */
#define DIR_BYTES_ATTRS_MAX 8
int dir_text_only(struct dir *d, const char *const *bytes_attrs, size_t n);
/* Rises with each read that another server answered than the one that is watched (dir_watch.h), which may be behind it; while none is watched, with each. */
uint64_t dir_elsewhere(const struct dir *d);

struct dir_attr {
	char *name; /* as the server gave it, options included: "userCertificate;binary" */
	struct slice *values;
	size_t n_values;
};
struct dir_entry {
	char *dn;
	char *dn_norm; /* for comparison with dir_dn_norm */
	struct dir_attr *attrs;
	size_t n_attrs;
};
struct dir_result {
	struct dir_entry *entries;
	size_t n_entries;
};
void dir_result_free(struct dir_result *r); /* NULL accepted */
/* Leaves the first n entries. */
void dir_entries_drop(struct dir_result *r, size_t n);
/* The attribute by name, ASCII case-insensitive, options included; NULL when the entry has none. Borrowed. */
const struct dir_attr *dir_entry_attr(const struct dir_entry *e, const char *name);
/* Its first value; empty when none. Borrowed. */
struct slice dir_entry_value(const struct dir_entry *e, const char *name);
/* A value as a C string; NULL when it is empty or has a NUL: cut there it would be another one. Borrowed. */
const char *dir_value_text(struct slice v);
bool dir_entry_has_value(const struct dir_entry *e, const char *name, struct slice value);

/* Subtree search below base (NULL: the default base). attrs: NULL-terminated. Results in *out (dir_result_free), empty when
 * nothing matches. ERR_LIMIT: more than max entries; ERR_TEMP; ERR_SYNTAX: the filter. */
int dir_search(struct dir *d, const char *base, const char *filter, const char *const *attrs,
    unsigned max, struct dir_result **out);
/* One entry by its DN: *out has exactly one. ERR_NOTFOUND, ERR_TEMP. */
int dir_read(struct dir *d, const char *dn, const char *const *attrs, struct dir_result **out);

/* Signs in as the service now, and not with the first search: 0; ERR_AUTH (the server takes no such sign-in: the password, its days, or a lock), ERR_TEMP.
 * What is wrong is not logged, since the caller tells it. */
int dir_sign_in(struct dir *d);
/* Whether password is that of dn, by an LDAP bind on a connection of its own. 0; ERR_AUTH (wrong, or the account is locked; an empty
 * password always is wrong: RFC 4513 5.1.2 would make it anonymous); ERR_EXPIRED and ERR_MUST_CHANGE (right, and the password policy is
 * against it); ERR_TEMP. says_out, when not NULL: what the policy says of a password that is taken. */
struct dir_says {
	int64_t expires_s;  /* it expires in so many seconds; -1: nothing was said */
	int32_t grace_left; /* it has expired, and is taken so many times more; -1: it has not */
};
int dir_verify(struct dir *d, const char *dn, struct slice password, struct dir_says *says_out);

/* ---- writing: admin only ---- */
enum dir_mod_op { DIR_MOD_ADD, DIR_MOD_DELETE, DIR_MOD_REPLACE };
struct dir_mod {
	enum dir_mod_op op; /* ignored by dir_add */
	const char *name;
	const struct slice *values;
	size_t n_values; /* 0 with DELETE or REPLACE: all of them go */
};
/* 0; ERR_EXISTS (the entry, or a value that must be unique); ERR_NOTFOUND (the parent); ERR_DENIED; ERR_SYNTAX (schema);
 * ERR_TEMP (not sent); ERR_UNKNOWN (sent, no answer: read again). why_out, when not NULL, gets a malloc'd text on failure. */
int dir_add(
    struct dir *d, const char *dn, const struct dir_mod *mods, size_t n_mods, char **why_out);
int dir_modify(
    struct dir *d, const char *dn, const struct dir_mod *mods, size_t n_mods, char **why_out);
int dir_delete(struct dir *d, const char *dn, char **why_out);
/* Puts an entry, with all that is below it, below another parent; its RDN stays. */
int dir_move(struct dir *d, const char *dn, const char *new_parent, char **why_out);

/* Writes that are made together, in this order: all of them or none (RFC 5805). */
enum dir_write_op { DIR_WRITE_ADD, DIR_WRITE_MODIFY, DIR_WRITE_DELETE, DIR_WRITE_MOVE };
struct dir_write {
	enum dir_write_op op;
	const char *dn;
	const struct dir_mod *mods; /* of ADD and MODIFY */
	size_t n_mods;
	const char *new_parent; /* of MOVE */
};
/* Whether the server has transactions, as it says itself; asked once. One that cannot be asked now has none. */
bool dir_has_transactions(struct dir *d);
/* As the single ones above; *why_out begins with the DN of the write that failed, where the server says which. Not for servers without transactions. */
int dir_write_all(struct dir *d, const struct dir_write *w, size_t n, char **why_out);

/* ---- names ---- */
/* The DN in one spelling for comparison (RFC 4514 unescaped and escaped again, lower case ASCII): malloc'd, NULL when it is no DN, or NULL. */
char *dir_dn_norm(const char *dn);
/* Its RDN as text (RFC 4514), with all of its attributes: malloc'd, NULL when it is no DN, or the empty one. */
char *dir_dn_rdn(const char *dn);
/* An equality filter for the first attribute of the DN's RDN, "(vnStaffId=000123)", appended. 0 or ERR_SYNTAX. */
int dir_dn_rdn_filter(const char *dn, struct buf *out);
/* The value of that attribute as it is, without escapes, appended. The same. */
int dir_dn_rdn_value(const char *dn, struct buf *out);

#endif
