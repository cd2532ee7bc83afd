/* policy_priv.h: what lexer, grammar and compiler of the policy language share. For policy_*.c alone. */
#ifndef CV_POLICY_PRIV_H
#define CV_POLICY_PRIV_H

#include "milter/policy.h"

/* A list under way. */
struct policy_item {
	struct slice s;
	uint64_t number;
	char kind; /* 's' string, 'w' word, 'n' number, 'z' size */
	struct policy_pos pos;
	struct policy_item *next;
};
struct policy_items {
	struct policy_item *first, *last;
	size_t n;
};
struct policy_texts {
	struct slice status, vi, en;
};
struct policy_build {
	struct policy *p;
	struct policy_errors *errors;
	struct policy_scope *scope; /* the block that is open */
	struct policy_rule **rules_end, *rule;
	struct policy_setting **settings_end,
	    **limits_from; /* limits_from: of the block that is open */
	struct policy_group **groups_end;
	struct policy_trust **trusts_end, *trust; /* trust: the block that is open */
	bool setting_instead;
	bool limits_wrong; /* an item of the open "limits" was told to be wrong */
	struct policy_test **tests_end, test;
	struct policy_except **excepts_end;
	struct policy_texts texts;
	struct slice setting_reason;
	int64_t setting_until;
	size_t n_items;
	bool nomem, gave_up;
	struct policy_pos at;   /* of the lexer: the next character */
	struct policy_pos from; /* of the token */
	struct slice word;      /* the token as written, cut; for messages */
};

/* Notes an error; past POLICY_ERRORS_MAX nothing. Texts are for vi and en, formatted with the same arguments. */
void policy_error_at(struct policy_build *b, struct policy_pos pos, const char *vi, const char *en,
    ...) __attribute__((format(printf, 4, 5)));
/* Memory of the program; NULL notes nomem. */
void *policy_alloc(struct policy_build *b, size_t n);
/* Counts against POLICY_ITEMS_MAX; false: too many (an error is noted once). */
bool policy_count(struct policy_build *b, struct policy_pos pos);
/* The candidate nearest to word by edit distance, when it is near; NULL else. */
const char *policy_nearest(struct slice word, const char *const *candidates, size_t n);

/* policy_expr.c: normal forms of an argument, in the program's memory; an error is noted for what is none. */
struct slice policy_make_address(struct policy_build *b, struct policy_pos pos, struct slice s);
struct slice policy_make_domain(struct policy_build *b, struct policy_pos pos, struct slice s);
/* False: an error was noted. */
bool policy_agency_ok(struct policy_build *b, struct policy_pos pos, struct slice s);

/* Called by the grammar. */
void policy_on_head(struct policy_build *b, struct policy_pos pos, struct slice id,
    uint64_t version, struct slice owner);
void policy_on_organization(struct policy_build *b, const struct policy_items *l);
void policy_on_group(
    struct policy_build *b, struct policy_pos pos, struct slice name, const struct policy_items *l);
void policy_on_directory_group(
    struct policy_build *b, struct policy_pos pos, struct slice name, struct slice address);
void policy_on_scope(
    struct policy_build *b, struct policy_pos pos, enum policy_scope_kind kind, struct slice name);
void policy_on_mode(struct policy_build *b, struct policy_pos pos, struct slice rule,
    struct policy_pos mode_pos, struct slice mode);
/* policy_limits.c */
void policy_on_limit(
    struct policy_build *b, struct policy_pos pos, struct slice what, uint64_t octets);
void policy_on_limits_begin(struct policy_build *b);
void policy_on_limits_item(
    struct policy_build *b, struct policy_pos pos, struct slice what, uint64_t n);
void policy_on_limits_end(struct policy_build *b, struct policy_pos pos);
/* policy_trust.c */
/* Adds what may not be meant: a nearer trust that asks for less than one for all. */
void policy_trust_warnings(const struct policy *p, struct policy_errors *out);
void policy_on_trust_begin(struct policy_build *b, struct policy_pos pos, struct slice name);
void policy_on_trust_number(
    struct policy_build *b, struct policy_pos pos, struct slice what, uint64_t n);
void policy_on_trust_text(
    struct policy_build *b, struct policy_pos pos, struct slice what, struct slice text);
void policy_on_trust(struct policy_build *b, struct policy_pos pos, struct slice name);
/* A setting of the scope that is open, in the list already; NULL: an error was noted. */
struct policy_setting *policy_setting_new(struct policy_build *b, struct policy_pos pos);
/* Notes an error when something of that name is there; counts it. */
bool policy_once(struct policy_build *b, struct policy_pos pos, bool is_there, struct slice what);
/* policy_eval.c: how near a scope is to who is in it. */
uint64_t policy_nearness(const struct policy_scope *s);

void policy_on_rule_begin(struct policy_build *b, struct policy_pos pos, struct slice id);
void policy_on_rule_action(struct policy_build *b, struct policy_pos pos, enum policy_action a);
void policy_on_rule_end(struct policy_build *b);
void policy_on_except(struct policy_build *b, struct policy_pos pos, struct policy_expr *e,
    struct slice reason, int64_t until);
void policy_on_test(struct policy_build *b, struct policy_pos pos, struct slice file,
    enum policy_action expect, struct slice rule);
void policy_on_test_to(struct policy_build *b, const struct policy_items *l);
struct policy_items policy_item_one(
    struct policy_build *b, struct policy_pos pos, char kind, struct slice s, uint64_t number);
struct policy_items policy_items_add(struct policy_items l, struct policy_items one);
struct policy_expr *policy_expr_join(
    struct policy_build *b, enum policy_op op, struct policy_expr *l, struct policy_expr *r);
struct policy_expr *policy_expr_not(
    struct policy_build *b, struct policy_pos pos, struct policy_expr *e);
struct policy_expr *policy_expr_pred(
    struct policy_build *b, struct policy_pos pos, struct slice name, const struct policy_items *l);
/* Days since 1970 of "2026-12-31"; an error is noted for a day there is not. */
int64_t policy_day(struct policy_build *b, struct policy_pos pos, struct slice text);

/* policy_grammar.y with policy_lexer.l: reads text and calls the above. */
int policy_read(struct policy_build *b, struct slice text);

/* policy_match.c: texts as words are compared: case folded, NFC, white space as one space. */
int policy_fold(struct slice s, struct buf *out);
int policy_normal_address(struct slice s, struct buf *out);
int policy_normal_domain(struct slice s, struct buf *out); /* appended, lower case, A-labels */
bool policy_domain_in(struct slice domain, const struct policy_list *l);
bool policy_network_ok(struct slice s);
bool policy_network_has(struct slice network, struct slice ip);

struct policy_ctx {
	const struct policy *p;
	const struct policy_facts *f;
	struct arena *arena;
	struct buf *detail; /* evidence; NULL: not wanted */
	uint64_t cost;
	struct slice subject; /* folded; ptr NULL: not yet */
	struct slice *names;  /* folded, of parts; NULL: not yet */
};
/* The nth field of that name, decoded; false: there is none. */
bool policy_header_field(struct policy_ctx *c, struct slice name, size_t nth, struct slice *out);
typedef enum policy_tri (*policy_pred_fn)(struct policy_ctx *c, const struct policy_expr *e);
extern const policy_pred_fn policy_pred_fns[];
#define PREDICATE(name, arg, fn, vi, en) \
	enum policy_tri fn(struct policy_ctx *c, const struct policy_expr *e);
#include "milter/policy_predicates.def"
#undef PREDICATE

#endif
