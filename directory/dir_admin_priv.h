/* dir_admin_priv.h: shared by dir_admin*.c alone. */
#ifndef CV_DIR_ADMIN_PRIV_H
#define CV_DIR_ADMIN_PRIV_H

#include "directory/dir_admin.h"
#include "lib/arena.h"

struct agency_cache {
	char *code, *dn, *name, *abbrev;
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
};

enum { MODS_MAX = 48 };
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
void mods_str(struct mods *m, const char *name, const char *value); /* NULL: left out */
/* A text, NFC, and its folded twin ("cn;x-fold") when that differs. */
void mods_text(struct mods *m, const char *name, const char *value);
/* A name with a formatted text. */
void mods_fmt(struct mods *m, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void mods_now(struct mods *m, const char *name); /* GeneralizedTime */

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
/* ERR_EXISTS with words when the entry's attribute is another than wanted (compared NFC, case-sensitive); wanted NULL: no matter. */
int admin_same(const struct dir_entry *e, const char *attr, const char *wanted, const char *who,
    char **why_out);
/* Adds one value to an attribute when it is not there; *changed becomes true when it was not. */
int admin_ensure_value(struct dir_admin *a, const struct dir_entry *e, const char *attr,
    struct slice value, const char *decision, bool replace, bool *changed, char **why_out);
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
/* The DN of the clerks' post of an agency, malloc'd. */
char *admin_clerk_post(const struct agency_cache *g);

#endif
