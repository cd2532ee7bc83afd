/* policy.h: the policy language, compiled: an immutable program that congvu-policy(5) describes, and what it says of a message. Pure. The text is
 * read by policy_lexer.l and policy_grammar.y, checked and built by policy_build.c; policy_eval.c asks it. Bounds below hold for every file.
 * There are no loops, variables or regular expressions: a rule costs what its words and the message's parts cost, and a whole
 * evaluation at most POLICY_BUDGET octets compared. */
#ifndef CV_POLICY_H
#define CV_POLICY_H

#include "milter/rule.h"

#define POLICY_FILE_MAX (1u << 20)
#define POLICY_RULES_MAX 2000
#define POLICY_ITEMS_MAX 50000 /* words, addresses, names, statements: all together */
#define POLICY_NESTING_MAX 32
#define POLICY_STRING_MAX 512
#define POLICY_ERRORS_MAX 20
#define POLICY_BUDGET (256u << 20)
#define POLICY_HITS_MAX 16

struct policy_pos {
	unsigned line, column; /* from 1; columns count characters */
};
struct policy_list {
	struct slice *v;
	size_t n;
};

enum policy_arg {
	POLICY_ARG_NONE,
	POLICY_ARG_WORDS, /* folded: whole words, without regard to case */
	POLICY_ARG_ADDRESSES,
	POLICY_ARG_DOMAINS,
	POLICY_ARG_GROUP,
	POLICY_ARG_SCOPE,
	POLICY_ARG_NETWORKS,
	POLICY_ARG_NUMBER,
	POLICY_ARG_SIZE,
	POLICY_ARG_HEADER_WORDS,
	POLICY_ARG_TYPES,
	POLICY_ARG_NAMES,
	POLICY_ARG_RULES,
	POLICY_ARG_AGENCIES
};

enum policy_op { POLICY_AND, POLICY_OR, POLICY_NOT, POLICY_PRED };
struct policy_expr {
	enum policy_op op;
	unsigned depth;
	unsigned pred; /* index of policy_predicates */
	struct policy_list args;
	uint64_t number;
	bool outside; /* NotInOrganization */
	struct policy_pos pos;
	struct policy_expr *first, *last, *next; /* operands */
};

enum policy_scope_kind {
	POLICY_GLOBAL,
	POLICY_WILD,   /* *.domain */
	POLICY_DOMAIN, /* domain */
	POLICY_AGENCY, /* code, and those below it */
	POLICY_PERSON  /* address */
};
struct policy_scope {
	enum policy_scope_kind kind;
	struct slice name; /* normalized; without "*." */
	struct policy_pos pos;
};

struct policy_except {
	struct policy_expr *when;
	struct slice reason;
	int64_t until; /* days since 1970, the last day included */
	struct policy_pos pos;
	struct policy_except *next;
};
enum policy_action {
	POLICY_REJECT,
	POLICY_TEMPFAIL,
	POLICY_QUARANTINE,
	POLICY_NOTE,
	POLICY_ACCEPT
};
struct policy_rule {
	struct rule as_rule; /* id, action, mode, texts as the built-in rules have them */
	enum policy_action action;
	struct slice id, owner, description, enhanced, vi, en;
	int64_t expires; /* days since 1970, the last day included */
	const struct policy_scope *scope;
	struct policy_expr *when;
	struct policy_except *excepts;
	struct policy_pos pos;
	struct policy_rule *next;
};
/* What "trust NAME { ... }" says: whose certificates sign, and what a signature must be at least. */
struct policy_trust {
	struct slice name, store; /* store: a folder of trust_dir */
	unsigned digest, rsa, ec; /* bits; 0: the built-in floor */
	int64_t rev_age_s; /* older answers about revocation count as none; 0: nothing is said */
	enum scan_prefer prefer; /* "ocsp prefer" */
	struct policy_pos pos;
	struct policy_trust *next;
};
enum policy_what {
	POLICY_MODE,
	POLICY_TRUST,
	POLICY_LIMIT_ATTACHMENTS, /* octets, decoded (P25) */
	POLICY_LIMIT_FILES,       /* attachments (P25) */
	POLICY_LIMIT_MESSAGE,     /* octets of the whole message (P25) */
	POLICY_LIMIT_RECIPIENTS,  /* P29 */
	POLICY_SCAN_DEPTH,        /* how far the scanner goes (scan_terms.h), then M06 */
	POLICY_SCAN_ENTRIES,
	POLICY_SCAN_BYTES,
	POLICY_SCAN_RATIO,
	POLICY_SCAN_TIME,
};
/* "mode P25 off reason "..." until 2026-12-31", "limit files 20", "limits { depth 4; }" (one setting an item), "trust bo". */
struct policy_setting {
	enum policy_what what;
	const struct policy_scope *scope;
	struct slice name; /* "P25", "P*", "A-017" of a mode, "attachments", "bo" */
	const struct policy_trust *trust;
	bool instead;                  /* of a trust: floors of wider scopes do not hold */
	ptrdiff_t builtin;             /* index in rule_table; -1: all P rules; -2: none */
	const struct policy_rule *own; /* NULL: a built-in one */
	enum rule_mode mode;
	uint64_t limit;
	struct slice reason;
	int64_t until; /* days; INT64_MAX: for ever */
	struct policy_pos pos;
	struct policy_setting *next;
};
struct policy_group {
	struct slice name;
	struct policy_list members; /* normalized */
	struct slice
	    directory; /* the address of a group of the directory, whose members these are; empty: members */
	bool asked_from, asked_to; /* a condition asks it of authors, of recipients */
	struct policy_pos pos;
	struct policy_group *next;
};
struct policy_test {
	struct slice file, as, agency, login, expect_rule;
	bool office, outside; /* outside: nobody signed in */
	struct policy_list to;
	enum policy_action expect;
	struct policy_pos pos;
	struct policy_test *next;
};

struct policy {
	struct arena *arena;
	struct slice file, id, owner;
	uint64_t version;
	char sha256[65];
	struct policy_list organization; /* domains; "*.x" for all below */
	struct policy_group *groups;
	struct policy_trust *trusts;
	struct policy_rule *rules;
	struct policy_setting *settings; /* in the order of the file */
	struct policy_test *tests;
	size_t n_rules, n_settings, n_tests, n_groups, n_trusts;
	struct policy_scope global;
};

struct policy_error {
	struct policy_pos pos;
	char vi[240], en[240];
};
struct policy_errors {
	struct policy_error v[POLICY_ERRORS_MAX];
	size_t n;
};

/* file: as it is to be called in messages. 0; ERR_SYNTAX (errors_out says what and where), ERR_LIMIT (the file is too large; likewise),
 * ERR_NOMEM. */
int policy_compile(
    struct slice text, const char *file, struct policy **out, struct policy_errors *errors_out);
void policy_free(struct policy *p); /* NULL accepted */
/* What is no error but may not be meant: "mode P*" that takes the rule about state secrets down with it, a trust that asks for less than one
 * that holds beside it for all of the same authors, or puts another store in its place. POLICY_ERRORS_MAX at most. */
void policy_warnings(const struct policy *p, struct policy_errors *out);

/* The table of predicates. */
struct policy_predicate {
	const char *name;
	enum policy_arg arg;
	const char *vi, *en;
};
extern const struct policy_predicate policy_predicates[];
extern const size_t policy_predicates_len;
const char *policy_arg_text(enum policy_arg a, bool vietnamese); /* "a number" */
const char *policy_action_name(enum policy_action a);
bool policy_domain_is_ours(const struct policy *p, struct slice domain); /* of the organization */
const struct policy_group *policy_group_find(const struct policy *p, struct slice name);

/* ---- asking it ---- */

struct policy_found;
/* What is known of a message. Live mail: everything. From an audit record: what it holds; what is not known makes a predicate neither true nor false. */
struct policy_facts {
	const struct rule_facts *rules; /* authors, official, scan (parts, notes, signatures) */
	struct slice header;            /* ptr NULL: not known */
	struct slice subject;           /* decoded; ptr NULL: not known */
	const struct slice *rcpts;      /* normalized where they can be */
	size_t n_rcpts;
	bool rcpts_cut;     /* there were more (n_rcpts_all) */
	bool parts_cut;     /* not all parts and notes are known */
	bool flags_unknown; /* issued, encrypted, attach_size are not known */
	uint64_t n_rcpts_all;
	struct slice ip;
	uint64_t size;
	const unsigned char *hits; /* by rule_table: whether the rule applies; NULL: not known */
	/* What the very same policy found then, from the record: decides where the facts do not tell. NULL: another policy, or live mail. */
	const struct policy_found *found;
	size_t n_found;
};
struct policy_found {
	struct slice id, detail;
};
enum policy_tri { POLICY_NO, POLICY_YES, POLICY_UNKNOWN };
struct policy_hit {
	const struct policy_rule *rule;
	enum rule_mode mode;
	enum policy_tri certain;              /* POLICY_YES or POLICY_UNKNOWN */
	struct slice detail;                  /* evidence; UTF-8 */
	const struct policy_except *excepted; /* not NULL: an exception let it go */
};
struct policy_result {
	struct policy_hit hits[POLICY_HITS_MAX];
	size_t n_hits;
	ptrdiff_t decision; /* index of hits; -1: none */
	bool over_budget;   /* no decision can be trusted: to be deferred */
	uint64_t cost;
};
/* Rules in order: the first that decides wins, the others are told all the same. now: seconds since 1970. Memory: a's. */
void policy_eval(const struct policy *p, const struct policy_facts *f, int64_t now, struct arena *a,
    struct policy_result *out);
/* Takes them into a verdict of the built-in rules: the heavier decision holds. */
void policy_into_verdict(const struct policy_result *r, struct verdict *v);
/* The policy's rule behind a struct rule of a verdict; NULL: a built-in one. */
const struct policy_rule *policy_rule_of(const struct policy *p, const struct rule *r);

/* Settings for an author. domain, agency, address: normalized, may be empty. */
struct policy_who {
	struct slice domain, agency, address;
};
void policy_modes_of(const struct policy *p, const struct policy_who *who, int64_t now,
    unsigned char *out,
    const struct policy_setting *
	*from_out); /* from_out (may be NULL): rule_table_len; NULL: default */
/* 0: no limit; *from_out NULL: nothing is said (then the limit is otherwise's). what: POLICY_LIMIT_... */
uint64_t policy_limit_of(const struct policy *p, enum policy_what what,
    const struct policy_who *who, int64_t now, uint64_t otherwise,
    const struct policy_setting **from_out);
/* The store of the nearest trust that holds for an author, and the strictest of all floors that hold: those of wider scopes too, unless a nearer one stands
 * instead of them. False: none holds; out is zeroed then. from_out may be NULL. */
bool policy_trust_of(const struct policy *p, const struct policy_who *who, int64_t now,
    struct rule_trust *out, const struct policy_setting **from_out);
/* The setting that one floor of policy_trust_of comes from (0 digest, 1 rsa, 2 ec, 3 revocation-hours): the nearest of those that ask for so much. NULL: none does. */
const struct policy_setting *policy_trust_floor_from(
    const struct policy *p, const struct policy_who *who, int64_t now, unsigned floor);
const struct policy_trust *policy_trust_find(const struct policy *p, struct slice name);
/* "attachments" */
const char *policy_limit_name(enum policy_what what);
/* Of a scan's limits that one (POLICY_SCAN_DEPTH ..); 0: the built-in bound. */
uint32_t policy_scan_term(const struct scan_terms *t, enum policy_what what);
/* The bound of the scanner that no policy goes beyond; 0: none. */
uint64_t policy_limit_built_in(enum policy_what what);
bool policy_limit_is_scan(enum policy_what what); /* of "limits" */
enum rule_mode policy_own_mode(const struct policy *p, const struct policy_rule *r,
    const struct policy_who *who, int64_t now, const struct policy_setting **from_out);
bool policy_scope_holds(const struct policy_scope *s, const struct policy_who *who);
struct policy_who policy_who_of(const struct rule_author *a);

/* ---- as text ---- */

void policy_print_expr(const struct policy *p, const struct policy_expr *e, struct buf *out);
void policy_print_rule(const struct policy *p, const struct policy_rule *r, struct buf *out);
void policy_print_scope(const struct policy_scope *s, struct buf *out);
void policy_print_setting(const struct policy_setting *s, struct buf *out);
void policy_print_trust(const struct policy_trust *t, struct buf *out);
void policy_print_day(int64_t day, struct buf *out); /* 2026-12-31 */

#endif
