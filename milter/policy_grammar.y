/* policy_grammar.y: the grammar of the policy language (congvu-policy(5)); what is found is handed to policy_build.c. Pure; runs in
 * congvu, in milter at its start, in congvu-milter-judge. The stack is bounded; lists are left-recursive and cost none of it. */
%code top {
#include "config.h"
}
%code requires {
#include "milter/policy_priv.h"
typedef void *yyscan_t;
}
%define api.pure full
%define api.prefix {policy_yy}
%define api.location.type {struct policy_pos}
%define parse.error custom
%define parse.lac full
%locations
%lex-param {yyscan_t scanner}
%parse-param {yyscan_t scanner} {struct policy_build *b}
%union {
	struct slice s;
	uint64_t n;
	int64_t day;
	struct policy_items items;
	struct policy_expr *expr;
	enum policy_scope_kind scope;
	enum policy_action action;
}
%code {
#define YYMAXDEPTH 2000
#define YYLLOC_DEFAULT(cur, rhs, n) ((cur) = YYRHSLOC(rhs, (n) > 0 ? 1 : 0))
int policy_yylex(POLICY_YYSTYPE *v, struct policy_pos *l, yyscan_t scanner);
static void policy_yyerror(const struct policy_pos *l, yyscan_t scanner, struct policy_build *b, const char *msg);
}
%token T_POLICY "policy" T_VERSION "version" T_OWNER "owner" T_EXPIRES "expires" T_ORGANIZATION "organization" T_GROUP "group" T_DIRECTORY "directory" T_TRUST "trust" T_INSTEAD "instead"
%token T_GLOBAL "global" T_DOMAIN "domain" T_AGENCY "agency" T_PERSON "person" T_MODE "mode" T_LIMIT "limit" T_LIMITS "limits" T_RULE "rule"
%token T_MONITOR "monitor" T_WARN "warn" T_DESCRIPTION "description" T_WHEN "when" T_AND "and" T_OR "or" T_NOT "not" T_EXCEPT "except"
%token T_REASON "reason" T_UNTIL "until" T_THEN "then" T_REJECT "reject" T_TEMPFAIL "tempfail" T_QUARANTINE "quarantine" T_NOTE "note"
%token T_ACCEPT "accept" T_VI "vi" T_EN "en" T_TEST "test" T_AS "as" T_TO "to" T_OFFICE "office" T_OUTSIDE "outside" T_EXPECT "expect"
%token <s> T_STRING "\"text\"" T_WORD "word" T_DATE "YYYY-MM-DD" T_STATUS "status 5.7.1"
%token <n> T_NUMBER "number" T_SIZE "size (20MB)"
%type <s> name rule_name optional_rule mode_name optional_owner
%type <items> item items names_list name_items
%type <expr> expr and_expr not_expr
%type <day> date
%type <n> octets
%type <scope> scope_kind
%type <action> action expected
%%
file: head statements
    ;
head: T_POLICY T_STRING T_VERSION T_NUMBER T_OWNER T_STRING ';'	{ policy_on_head(b, @1, $2, $4, $6); }
    ;
statements: %empty
    | statements statement
    ;
statement: T_ORGANIZATION names_list ';'	{ policy_on_organization(b, &$2); }
    | T_GROUP T_STRING '{' name_items '}'	{ policy_on_group(b, @2, $2, &$4); }
    | T_GROUP T_STRING T_DIRECTORY T_STRING ';'	{ policy_on_directory_group(b, @2, $2, $4); }
    | T_GLOBAL '{' { policy_on_scope(b, @1, POLICY_GLOBAL, slice_str("")); } settings '}'
    | scope_kind name '{' { policy_on_scope(b, @2, $1, $2); } settings '}' { b->scope = &b->p->global; }
    | setting
    | T_TRUST name '{' { policy_on_trust_begin(b, @2, $2); } trust_items '}'	{ b->trust = NULL; }
    | T_TEST T_STRING { b->test.file = $2; } test_options T_EXPECT expected optional_rule ';'	{ policy_on_test(b, @1, $2, $6, $7); }
    ;
scope_kind: T_DOMAIN	{ $$ = POLICY_DOMAIN; }
    | T_AGENCY	{ $$ = POLICY_AGENCY; }
    | T_PERSON	{ $$ = POLICY_PERSON; }
    ;
name: T_WORD
    | T_STRING
    ;
settings: %empty
    | settings setting
    ;
setting: T_MODE rule_name mode_name	{ b->setting_reason = slice_str(""); b->setting_until = INT64_MAX; }
	setting_why ';'	{ policy_on_mode(b, @2, $2, @3, $3); }
    | T_LIMIT T_WORD octets	{ b->setting_reason = slice_str(""); b->setting_until = INT64_MAX; }
	setting_why ';'	{ policy_on_limit(b, @2, $2, $3); }
    | T_LIMITS '{' { policy_on_limits_begin(b); } limits_items '}' setting_why optional_semi	{ policy_on_limits_end(b, @1); }
    | T_TRUST name	{ b->setting_reason = slice_str(""); b->setting_until = INT64_MAX; b->setting_instead = false; }
	optional_instead setting_why ';'	{ policy_on_trust(b, @2, $2); }
    | rule
    ;
optional_instead: %empty
    | T_INSTEAD	{ b->setting_instead = true; }
    ;
trust_items: %empty
    | trust_items T_WORD T_NUMBER ';'	{ policy_on_trust_number(b, @2, $2, $3); }
    | trust_items T_WORD name ';'	{ policy_on_trust_text(b, @2, $2, $3); }
    | trust_items T_WORD ';'	{ policy_on_trust_text(b, @2, $2, slice_str("")); }
    ;
limits_items: %empty
    | limits_items T_WORD octets ';'	{ policy_on_limits_item(b, @2, $2, $3); }
    ;
rule_name: T_WORD
    | T_STRING
    ;
mode_name: T_WORD
    | T_WARN	{ $$ = slice_str("warn"); }
    | T_MONITOR	{ $$ = slice_str("log"); }
    ;
setting_why: %empty
    | setting_why T_REASON T_STRING	{ b->setting_reason = $3; }
    | setting_why T_UNTIL date	{ b->setting_until = $3; }
    ;
octets: T_SIZE
    | T_NUMBER
    ;
date: T_DATE	{ $$ = policy_day(b, @1, $1); }
    ;
rule: T_RULE rule_name { policy_on_rule_begin(b, @2, $2); } optional_owner T_EXPIRES date rule_mode '{'
	{ if (b->rule != NULL) { b->rule->owner = $4; b->rule->expires = $6; } }
	description T_WHEN expr { if (b->rule != NULL) b->rule->when = $12; } optional_semi excepts
	T_THEN action { b->texts = (struct policy_texts){{NULL, 0}, {NULL, 0}, {NULL, 0}}; } texts
	{ policy_on_rule_action(b, @17, $17); } optional_semi '}'	{ policy_on_rule_end(b); }
    ;
optional_owner: %empty	{ $$ = b->p->owner; }
    | T_OWNER T_STRING	{ $$ = $2; }
    ;
rule_mode: %empty
    | T_MONITOR	{ if (b->rule != NULL) b->rule->as_rule.mode = MODE_LOG; }
    | T_WARN	{ if (b->rule != NULL) b->rule->as_rule.mode = MODE_WARN; }
    ;
description: %empty
    | T_DESCRIPTION T_STRING ';'	{ if (b->rule != NULL) b->rule->description = $2; }
    ;
optional_semi: %empty
    | ';'
    ;
excepts: %empty
    | excepts T_EXCEPT T_WHEN expr T_REASON T_STRING T_UNTIL date optional_semi	{ policy_on_except(b, @2, $4, $6, $8); }
    ;
action: T_REJECT	{ $$ = POLICY_REJECT; }
    | T_TEMPFAIL	{ $$ = POLICY_TEMPFAIL; }
    | T_QUARANTINE	{ $$ = POLICY_QUARANTINE; }
    | T_NOTE	{ $$ = POLICY_NOTE; }
    | T_ACCEPT	{ $$ = POLICY_ACCEPT; }
    ;
texts: %empty
    | texts T_STATUS	{ b->texts.status = $2; }
    | texts T_VI T_STRING	{ b->texts.vi = $3; }
    | texts T_EN T_STRING	{ b->texts.en = $3; }
    ;
expr: and_expr
    | expr T_OR and_expr	{ $$ = policy_expr_join(b, POLICY_OR, $1, $3); }
    ;
and_expr: not_expr
    | and_expr T_AND not_expr	{ $$ = policy_expr_join(b, POLICY_AND, $1, $3); }
    ;
not_expr: T_NOT not_expr	{ $$ = policy_expr_not(b, @1, $2); }
    | '(' expr ')'	{ $$ = $2; }
    | T_WORD	{ struct policy_items none = {NULL, NULL, 0}; $$ = policy_expr_pred(b, @1, $1, &none); }
    | T_WORD item	{ $$ = policy_expr_pred(b, @1, $1, &$2); }
    | T_WORD '(' items ')'	{ $$ = policy_expr_pred(b, @1, $1, &$3); }
    ;
item: T_STRING	{ $$ = policy_item_one(b, @1, 's', $1, 0); }
    | T_WORD	{ $$ = policy_item_one(b, @1, 'w', $1, 0); }
    | T_NUMBER	{ $$ = policy_item_one(b, @1, 'n', slice_str(""), $1); }
    | T_SIZE	{ $$ = policy_item_one(b, @1, 'z', slice_str(""), $1); }
    ;
items: item
    | items ',' item	{ $$ = policy_items_add($1, $3); }
    ;
names_list: name_items
    ;
name_items: name	{ $$ = policy_item_one(b, @1, 's', $1, 0); }
    | name_items ',' name	{ $$ = policy_items_add($1, policy_item_one(b, @3, 's', $3, 0)); }
    ;
test_options: %empty
    | test_options T_AS T_STRING	{ b->test.as = $3; }
    | test_options T_AGENCY name	{ b->test.agency = $3; }
    | test_options T_TO '(' name_items ')'	{ policy_on_test_to(b, &$4); }
    | test_options T_TO name	{ struct policy_items one = policy_item_one(b, @3, 's', $3, 0); policy_on_test_to(b, &one); }
    | test_options T_OFFICE	{ b->test.office = true; }
    | test_options T_OUTSIDE	{ b->test.outside = true; }
    ;
expected: T_REJECT	{ $$ = POLICY_REJECT; }
    | T_TEMPFAIL	{ $$ = POLICY_TEMPFAIL; }
    | T_QUARANTINE	{ $$ = POLICY_QUARANTINE; }
    | T_NOTE	{ $$ = POLICY_NOTE; }
    | T_ACCEPT	{ $$ = POLICY_ACCEPT; }
    ;
optional_rule: %empty	{ $$ = slice_str(""); }
    | rule_name
    ;
%%

/* "unknown word "whn": did you mean "when"? Expected: when, description". */
static int
yyreport_syntax_error(const yypcontext_t *ctx, yyscan_t scanner, struct policy_build *b)
{
	enum { EXPECTED = 16 };
	yysymbol_kind_t kinds[EXPECTED], got = yypcontext_token(ctx);
	const char *names[EXPECTED], *near;
	int i, n = yypcontext_expected_tokens(ctx, kinds, EXPECTED);
	struct slice at = b->word;
	struct buf list;

	(void)scanner;
	if (b->errors->n > 0 && got == YYSYMBOL_YYUNDEF)
		return 0; /* the lexer said it */
	buf_init(&list, 180);
	for (i = 0; i < n; i++) {
		names[i] = yysymbol_name(kinds[i]);
		buf_appendf(&list, "%s%s", i > 0 ? ", " : "", names[i]);
	}
	list.err = 0;
	near = got == YYSYMBOL_YYEOF ? NULL : policy_nearest(at, names, n > 0 ? (size_t)n : 0);
	if (got == YYSYMBOL_YYEOF)
		policy_error_at(b, *yypcontext_location(ctx), "tệp kết thúc giữa chừng; cần: %.*s", "the file ends in the middle; expected: %.*s",
		    (int)list.len, buf_cstr(&list));
	else if (near != NULL)
		policy_error_at(b, *yypcontext_location(ctx), "không hiểu \"%.*s\" ở đây; ý là \"%s\"? Cần: %.*s",
		    "\"%.*s\" is not understood here; did you mean \"%s\"? Expected: %.*s", (int)at.len, (const char *)at.ptr, near,
		    (int)list.len, buf_cstr(&list));
	else if (n > 0)
		policy_error_at(b, *yypcontext_location(ctx), "không hiểu \"%.*s\" ở đây; cần: %.*s",
		    "\"%.*s\" is not understood here; expected: %.*s", (int)at.len, (const char *)at.ptr, (int)list.len, buf_cstr(&list));
	else
		policy_error_at(b, *yypcontext_location(ctx), "không hiểu \"%.*s\" ở đây", "\"%.*s\" is not understood here", (int)at.len,
		    (const char *)at.ptr);
	buf_done(&list);
	return 0;
}

static void
policy_yyerror(const struct policy_pos *l, yyscan_t scanner, struct policy_build *b, const char *msg)
{
	(void)scanner, (void)msg;
	policy_error_at(b, *l, "lồng quá sâu", "nested too deep");
}
