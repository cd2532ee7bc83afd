/* ctl_directory_tree.h: the whole tree in memory, for `congvu directory check`: entries by kind, found by DN or agency code. Runs in congvu;
 * 60,000 people are some 200 MB. */
#ifndef CV_CTL_DIRECTORY_TREE_H
#define CV_CTL_DIRECTORY_TREE_H

#include "admin/check.h"
#include "directory/dir.h"

enum tree_part {
	TREE_PEOPLE,
	TREE_MAILBOXES,
	TREE_GROUPS,
	TREE_AGENCIES,
	TREE_POSTS,
	TREE_DELEGATIONS,
	TREE_RECORDS,  /* vnAddressRecord */
	TREE_OFFICERS, /* vnHrOfficer */
	TREE_PARTS
};

struct tree_row {
	const char *key; /* normalized DN, or code in small letters */
	const struct dir_entry *e;
	enum tree_part part;
};
struct tree_index {
	struct tree_row *v;
	size_t n;
};
struct tree {
	struct dir_result *part[TREE_PARTS];
	struct tree_index dn, code, post; /* by DN, vnAgencyCode, vnPositionCode */
	char **codes, **posts;            /* the keys of the last two */
	int64_t now;
};
/* 0 or the error of a search; t is to be given to tree_done either way. */
int tree_load(struct dir *d, struct tree *t);
void tree_done(struct tree *t);
size_t tree_count(const struct tree *t, enum tree_part part);
/* NULL: none. The DN in any spelling. */
const struct tree_row *tree_by_dn(const struct tree *t, const char *dn);
const struct dir_entry *tree_agency(const struct tree *t, struct slice code);
const struct dir_entry *tree_post(const struct tree *t, struct slice code);
/* The entry above, when it is one of ours. */
const struct tree_row *tree_above(const struct tree *t, const struct dir_entry *e);
/* Not closed, retired or suspended by vnStatus. */
bool tree_is_active(const struct dir_entry *e);
/* The field of "a;b;c" with this number, from 0; ptr NULL when there are fewer. */
struct slice tree_field(struct slice v, unsigned number);
/* The value of "<attr>;x-fold" that this text has to have beside it; false: none, it is its own. */
bool tree_folded(struct slice text, struct buf *out);

/* ---- findings ---- */

struct tree_check {
	struct check *k;
	const struct tree *t;
	struct dir_admin *repair; /* NULL: tell only */
	size_t repaired;
};
/* One finding: level, what is checked, the entry, what is wrong and what to do. Of each what the first twenty are told, then their number
 * (tree_tell_rest). */
void tree_tell(struct tree_check *x, enum level level, const char *what, const struct dir_entry *e,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
void tree_tell_rest(struct tree_check *x);

/* ctl_directory_check_links.c: DNs that lead nowhere, cycles and sizes of groups. */
void tree_check_links(struct tree_check *x);
/* ctl_directory_check_names.c: addresses with two owners, folded texts, names shown. */
void tree_check_names(struct tree_check *x);
/* ctl_directory_check_dates.c: validity, assignments, agencies, officers. */
void tree_check_dates(struct tree_check *x);
/* ctl_directory_check_today.c: mailboxes that nobody reads today, delegations whose ends have gone. */
void tree_check_today(struct tree_check *x);
/* Whether people are in a group by rule (vnMemberAgency, …), and how many active ones are; no more than max are counted. */
bool tree_has_rule(const struct dir_entry *group);
size_t tree_by_rule(const struct tree *t, const struct dir_entry *group, size_t max);

#endif
