/* policy_test.c: the policy language: what is refused, with place and words; what each predicate finds and lets go; scopes, exceptions,
 * expiry, monitor mode; the first decision wins; what is not known stays unknown; the cost is bounded. */
#include "config.h"

#include "lib/err.h"
#include "milter/judgement.h"
#include "milter/policy.h"
#include "tests/unit/check.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

#define HEAD                                                                        \
	"policy \"tinh\" version 3 owner \"an-ninh\";\norganization tinh.example, " \
	"*.tinh.example;\n"                                                         \
	"group \"mat-ma\" { \"ma@tinh.example\" }\n"
#define TEXTS " vi \"Không.\" en \"No.\" "
#define RULE_OF(cond) "rule A-1 expires 2030-01-01 { when " cond " then reject" TEXTS "}\n"
#define NOW 1764547200 /* 2025-12-01 */

static struct policy_errors errors;
static struct policy *policy;
static struct arena *arena;
static struct findings scan;
static struct rule_facts rules;
static struct policy_facts facts;
static struct policy_result result;
static struct slice rcpts[3];
static unsigned char hits[64];

static int
begin(void **state)
{
	(void)state;
	arena = arena_new(8 << 20);
	findings_init(&scan, arena);
	memset(&rules, 0, sizeof rules);
	memset(&facts, 0, sizeof facts);
	memset(hits, 0, sizeof hits);
	rules.scan = &scan;
	rules.official_why = "";
	rules.authenticated = true;
	rules.n_authors = 1;
	rules.authors[0].address = slice_str("an@so.tinh.example");
	rules.authors[0].domain = slice_str("so.tinh.example");
	rules.authors[0].agency = slice_str("H37.02.11");
	facts.rules = &rules;
	facts.header = slice_str("Subject: x\r\nX-Mailer: Foo Bar\r\n");
	facts.subject = slice_str("Về kế hoạch MẬT khẩu");
	facts.ip = slice_str("10.1.2.3");
	facts.size = 5000;
	rcpts[0] = slice_str("binh@tinh.example");
	rcpts[1] = slice_str("dan@citizen.example");
	facts.rcpts = rcpts;
	facts.n_rcpts = facts.n_rcpts_all = 2;
	facts.hits = hits;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	policy_free(policy);
	policy = NULL;
	arena_free(arena);
	return 0;
}

static void
load(const char *text)
{
	policy_free(policy);
	policy = NULL;
	if (policy_compile(slice_str(text), "t.policy", &policy, &errors) != 0)
		fail_msg("%u:%u: %s", errors.v[0].pos.line, errors.v[0].pos.column, errors.v[0].en);
}

static const char *
decision(void)
{
	policy_eval(policy, &facts, NOW, arena, &result);
	if (result.over_budget)
		return "over";
	return result.decision >= 0 ? result.hits[result.decision].rule->as_rule.id : "";
}

#define HITS(cond)                                      \
	do {                                            \
		load(HEAD RULE_OF(cond));               \
		assert_string_equal(decision(), "A-1"); \
	} while (0)
#define MISSES(cond)                                 \
	do {                                         \
		load(HEAD RULE_OF(cond));            \
		assert_string_equal(decision(), ""); \
		assert_int_equal(result.n_hits, 0);  \
	} while (0)
#define UNSURE(cond)                                                      \
	do {                                                              \
		load(HEAD RULE_OF(cond));                                 \
		assert_string_equal(decision(), "");                      \
		assert_int_equal(result.n_hits, 1);                       \
		assert_int_equal(result.hits[0].certain, POLICY_UNKNOWN); \
	} while (0)

static struct find_part *
part(const char *name, const char *type, uint32_t flags)
{
	struct find_part *p = findings_add_part(&scan);

	p->path = slice_str("2");
	p->name_norm = slice_str(name);
	p->true_type = slice_str(type);
	p->flags = flags;
	p->size = 1000;
	return p;
}

static void
evidence(const char *text)
{
	char detail[400];

	snprintf(detail, sizeof detail, "%.*s", (int)result.hits[0].detail.len,
	    (const char *)result.hits[0].detail.ptr);
	if (strstr(detail, text) == NULL)
		fail_msg("\"%s\" does not tell \"%s\"", detail, text);
}

/* ---- errors ---- */

static void
refused(const char *text, unsigned line, unsigned column, const char *words)
{
	struct policy *p = NULL;

	if (policy_compile(slice_str(text), "t.policy", &p, &errors) == 0)
		fail_msg("not refused: %s", text);
	if (errors.n == 0 || errors.v[0].pos.line != line || errors.v[0].pos.column != column ||
	    strstr(errors.v[0].en, words) == NULL || errors.v[0].vi[0] == '\0')
		fail_msg("%u:%u: %s (wanted %u:%u: %s)", errors.v[0].pos.line,
		    errors.v[0].pos.column, errors.v[0].en, line, column, words);
}

static void
errors_have_place_and_words(void **state)
{
	(void)state;
	refused("", 1, 1, "the file ends in the middle; expected: policy");
	refused(HEAD "ruel A expires", 4, 1, "did you mean \"rule\"");
	refused(HEAD "rule A expires 2030-01-01 { when SubjectContainWords \"x\" then note" TEXTS
		     "}",
	    4, 34, "did you mean \"SubjectContainsWords\"");
	refused(HEAD "rule A expires 2030-01-01 { when Official \"x\" then note" TEXTS "}", 4, 34,
	    "Official takes: nothing");
	assert_string_equal(errors.v[0].vi, "Official cần: không gì");
	refused(HEAD "rule A expires 2030-01-01 { when MessageSizeOver \"x\" then note" TEXTS "}",
	    4, 34, "takes: a size");
	refused(HEAD "rule A expires 2030-01-01 { when FromMemberOf \"y\" then note" TEXTS "}", 4,
	    47, "no group \"y\"");
	refused(HEAD "rule A expires 2030-01-01 { when SentToScope Outside then note" TEXTS "}", 4,
	    46, "there are: InOrganization");
	refused(HEAD "rule A expires 2030-01-01 { when SentToScope \"Out\" then note" TEXTS "}", 4,
	    46, "InOrganization");
	refused(HEAD "rule A expires 2030-13-01 { when Official then note" TEXTS "}", 4, 16,
	    "no such day");
	refused(HEAD "rule A expires 2030-02-29 { when Official then note" TEXTS "}", 4, 16,
	    "no such day");
	refused(
	    HEAD "rule A { when Official then note" TEXTS "}", 4, 8, "expected: owner, expires");
	refused(HEAD "rule A expires 2030-01-01 { when Official then note }", 4, 48, "vi");
	refused(HEAD "rule P17 expires 2030-01-01 { when Official then note" TEXTS "}", 4, 6,
	    "built-in");
	refused(HEAD RULE_OF("Official") RULE_OF("Official"), 5, 6, "above already");
	refused(HEAD RULE_OF("Official and"), 4, 49, "not understood");
	refused(HEAD "agency SKHCN { mode P17 off; }", 4, 8, "\"SKHCN\" is an abbreviation");
	refused(HEAD RULE_OF("AgencyIs (\"H37.02\", \"SKHCN\")"), 4, 56, "is an abbreviation");
	refused(HEAD "test \"a.eml\" agency SNV expect accept;", 4, 1, "is an abbreviation");
	refused(HEAD "group \"a\" directory \"no address\";", 4, 7, "address");
	refused(HEAD "mode P99 off;", 4, 6, "no rule \"P99\"");
	refused(HEAD "mode P17 of;", 4, 10, "off, log, warn or enforce");
	refused(HEAD "mode P17 off until 2030-01-01;", 4, 6, "reason");
	refused(HEAD "limit mails 20;", 4, 7, "attachments, files, message, recipients");
	refused(HEAD "trust bo;", 4, 7, "no trust \"bo\"");
	refused(HEAD "trust bo { }\ntrust bo { }", 5, 7, "above already");
	refused(HEAD "trust \"../x\" { }", 4, 7, "small letters");
	refused(HEAD "trust \"a=b\" { }", 4, 7, "small letters");
	refused(HEAD "trust \"\" { }", 4, 7, "small letters");
	refused(HEAD "trust bo { store \"/etc\"; }", 4, 12, "small letters");
	refused(HEAD "trust bo { rsa 1024; }", 4, 12, "never below the built-in floor");
	refused(HEAD "trust bo { digest 160; }", 4, 12, "from 256");
	refused(HEAD "trust bo { ec 192; }", 4, 12, "from 256");
	refused(HEAD "trust bo { revocation-hours 0; }", 4, 12, "from 1 to 8760");
	refused(HEAD "trust bo { bits 4096; }", 4, 12, "a trust has: store, digest");
	refused(HEAD "trust bo { rsa 4096 }", 4, 21, "expected");
	refused(HEAD "trust bo { }\nperson \"a@b.vn\" { trust bo instead; }", 5, 25,
	    "reason \"...\" and an until");
	refused(HEAD "trust bo { }\ndomain b.vn { trust bo instead reason \"x\"; }", 5, 21,
	    "reason \"...\" and an until");
	refused(HEAD "domain b.vn { trust bo { } }", 4, 24, "expected");
	refused(HEAD "rule A expires 2030-01-01 { when Official except when SignedIn until "
		     "2030-01-01 then note" TEXTS "}",
	    4, 64, "expected: ");
	refused(HEAD "rule A expires 2030-01-01 { when Official then reject 4.7.1" TEXTS "}", 4, 48,
	    "does not fit");
	refused(
	    HEAD "rule A expires 2030-01-01 { when Official then note vi \"x", 4, 56, "closing");
	refused(HEAD "test \"a.eml\" expect reject Z-1;", 4, 1, "no rule \"Z-1\"");
	refused("policy \"a\" version 1 owner \"\";\n", 1, 1, "owner");
	refused("policy \"a\" version 1 owner \"b\";\nrule A expires 2030-01-01 { when SentToScope "
		"InOrganization then note" TEXTS "}",
	    2, 46, "organization must be stated");
	/* columns count characters */
	refused("policy \"chính sách\" version 1 owner \"người\" x;", 1, 45, "expected");
	refused("policy \"\xff\" version 1 owner \"b\";", 1, 1, "UTF-8");
	refused("policy \"a\" version 1 owner \"b\";\n\n\xc3(", 3, 1, "UTF-8");
}

static void
nesting_and_numbers_are_bounded(void **state)
{
	struct buf b;
	struct policy *p;
	int i;

	(void)state;
	buf_init(&b, 4 << 20);
	buf_append_str(&b, HEAD "rule A expires 2030-01-01 { when ");
	for (i = 0; i < 40; i++)
		buf_append_str(&b, "not ");
	buf_append_str(&b, "Official then note" TEXTS "}");
	assert_int_equal(policy_compile(buf_slice(&b), "t", &p, &errors), ERR_SYNTAX);
	assert_non_null(strstr(errors.v[0].en, "deep"));
	buf_reset(&b);
	buf_append_str(&b, HEAD "rule A expires 2030-01-01 { when ");
	for (i = 0; i < 5000; i++)
		buf_append_byte(&b, '(');
	assert_int_equal(policy_compile(buf_slice(&b), "t", &p, &errors), ERR_SYNTAX);
	assert_non_null(strstr(errors.v[0].en, "deep"));
	buf_reset(&b);
	buf_append_str(&b, HEAD "group \"x\" { \"a@b.example\"");
	for (i = 0; i < POLICY_ITEMS_MAX; i++)
		buf_append_str(&b, ",\"a@b.vn\"");
	buf_append_str(&b, "}");
	assert_int_equal(policy_compile(buf_slice(&b), "t", &p, &errors), ERR_SYNTAX);
	assert_non_null(strstr(errors.v[0].en, "items"));
	buf_reset(&b);
	for (i = 0; i < (int)POLICY_FILE_MAX / 8 + 1; i++)
		buf_append_str(&b, "########");
	assert_int_equal(policy_compile(buf_slice(&b), "t", &p, &errors), ERR_SYNTAX);
	assert_non_null(strstr(errors.v[0].en, "octets"));
	buf_reset(&b);
	buf_append_str(&b, HEAD);
	for (i = 0; i <= POLICY_RULES_MAX; i++)
		buf_appendf(
		    &b, "rule R-%d expires 2030-01-01 { when Official then note" TEXTS "}\n", i);
	assert_int_equal(policy_compile(buf_slice(&b), "t", &p, &errors), ERR_SYNTAX);
	assert_non_null(strstr(errors.v[0].en, "rules"));
	buf_done(&b);
}

/* ---- predicates ---- */

static void
who_and_to_whom(void **state)
{
	(void)state;
	HITS("From \"An@So.Tinh.Example\"");
	evidence("an@so.tinh.example");
	MISSES("From \"binh@tinh.example\"");
	MISSES("FromMemberOf \"mat-ma\"");
	rules.authors[0].address = slice_str("ma@tinh.example");
	HITS("FromMemberOf \"mat-ma\"");
	HITS("FromScope InOrganization");
	MISSES("FromScope NotInOrganization");
	rules.authors[0].domain = slice_str("xtinh.example");
	MISSES("FromScope InOrganization");
	rules.authors[0].domain = slice_str("so.tinh.example");
	HITS("SenderDomainIs \"*.tinh.example\"");
	MISSES("SenderDomainIs \"tinh.example\"");
	HITS("AgencyIs \"H37.02\"");
	MISSES("AgencyIs \"H37.0\"");
	HITS("SenderIpRanges (\"192.0.2.1\", \"10.0.0.0/8\")");
	MISSES("SenderIpRanges (\"10.1.2.4\", \"2001:db8::/32\")");
	HITS("SentTo \"dan@citizen.example\"");
	MISSES("SentTo \"d@citizen.example\"");
	HITS("SentToScope NotInOrganization");
	evidence("dan@citizen.example");
	HITS("SentToScope InOrganization");
	facts.n_rcpts = facts.n_rcpts_all = 1;
	MISSES("SentToScope NotInOrganization");
	facts.rcpts_cut = true;
	UNSURE("SentToScope NotInOrganization");
	UNSURE("not SentToScope NotInOrganization");
	facts.rcpts_cut = false;
	HITS("RecipientDomainIs \"tinh.example\"");
	HITS("AnyOfRecipientAddressContainsWords \"BINH\"");
	MISSES("AnyOfRecipientAddressContainsWords \"bin\"");
	MISSES("RecipientCountOver 1");
	facts.n_rcpts_all = 2;
	HITS("RecipientCountOver 1");
	HITS("SignedIn");
	MISSES("not SignedIn");
}

static void
subject_header_size(void **state)
{
	(void)state;
	HITS("SubjectContainsWords \"mật khẩu\"");
	HITS("SubjectContainsWords \"MẬT  KHẨU\"");
	HITS("SubjectContainsWords (\"không\", \"kế hoạch\")");
	MISSES("SubjectContainsWords \"mat khau\"");
	MISSES("SubjectContainsWords \"kế hoạc\"");
	facts.subject = slice_str("format");
	MISSES("SubjectContainsWords \"mat\"");
	HITS("SubjectContainsWords \"format\"");
	facts.subject = slice_str("xmat mat");
	HITS("SubjectContainsWords \"mat\"");
	facts.subject = (struct slice){NULL, 0};
	UNSURE("SubjectContainsWords \"mat\"");
	UNSURE("SignedIn and not SubjectContainsWords \"mat\"");
	MISSES("not SignedIn and SubjectContainsWords \"mat\"");
	HITS("SignedIn or SubjectContainsWords \"mat\"");
	HITS("HeaderContainsWords (\"x-mailer\", \"foo\")");
	MISSES("HeaderContainsWords (\"x-mailer\", \"fo\")");
	facts.header = (struct slice){NULL, 0};
	UNSURE("HeaderContainsWords (\"x-mailer\", \"foo\")");
	HITS("MessageSizeOver 4KB");
	MISSES("MessageSizeOver 1MB");
	hits[rule_index(slice_str("P17"))] = 1;
	HITS("RuleHit \"P17\"");
	MISSES("RuleHit \"P22\"");
	facts.hits = NULL;
	UNSURE("RuleHit \"P22\"");
	MISSES("Official");
	rules.official = true;
	rules.official_why = "symbol";
	HITS("Official");
	evidence("symbol");
}

#define DIRECTORY \
	HEAD "group \"kt\" directory \"KeToan@tinh.example\"; group \"b\" { \"x@y.example\" }\n"

/* A group of the directory: what was asked of it is known, the rest is neither yes nor no. */
static void
groups_of_the_directory(void **state)
{
	static const struct rule_member yes[] = {
	    {{(const unsigned char *)"ketoan@tinh.example", 19}, false, true},
	    {{(const unsigned char *)"ketoan@tinh.example", 19}, true, false}};
	const struct policy_group *g;

	(void)state;
	load(DIRECTORY RULE_OF("FromMemberOf (\"kt\", \"b\")"));
	g = policy_group_find(policy, slice_str("kt"));
	assert_true(g->asked_from && !g->asked_to);
	assert_true(slice_eq_str(g->directory, "ketoan@tinh.example"));
	assert_string_equal(decision(), "");
	assert_int_equal(result.n_hits, 1);
	assert_int_equal(result.hits[0].certain, POLICY_UNKNOWN);
	rules.members = yes;
	rules.n_members = 2;
	assert_string_equal(decision(), "A-1");
	evidence("ketoan@tinh.example");
	load(DIRECTORY RULE_OF("SentToMemberOf \"kt\""));
	g = policy_group_find(policy, slice_str("kt"));
	assert_true(g->asked_to && !g->asked_from);
	assert_string_equal(decision(), "");
	assert_int_equal(result.n_hits, 0);
	load(DIRECTORY RULE_OF("not SentToMemberOf \"kt\""));
	assert_string_equal(decision(), "A-1");
}

static void
warnings_of(const char *text, size_t n, const char *words)
{
	struct policy_errors w;

	load(text);
	policy_warnings(policy, &w);
	assert_int_equal(w.n, n);
	if (n > 0)
		assert_non_null(strstr(w.v[0].en, words));
}

static void
what_may_not_be_meant(void **state)
{
	(void)state;
	warnings_of(HEAD "mode P* log;", 1, "\"mode P* log\" takes in P12");
	warnings_of(HEAD "mode P* log; mode P12 enforce;", 0, "");
	warnings_of(HEAD "mode P* enforce;", 0, "");
	/* said in one place it does not hold in another, which is nearer */
	warnings_of(HEAD "mode P12 enforce; agency H37.02 { mode P* warn; }", 1, "mode P* warn");
	warnings_of(HEAD "agency H37.02 { mode P* warn; mode P12 enforce; }", 0, "");
	warnings_of(
	    HEAD "agency H37.02 { mode P* off; } agency H37.03 { mode P12 enforce; }", 1, "off");
	warnings_of(HEAD
	    "trust a { rsa 3072; }\ntrust b { store \"a\"; }\ntrust a;\ndomain x.vn { trust b; }",
	    1, "asks for less than that of line 6");
	warnings_of(HEAD
	    "trust a { revocation-hours 5; }\ntrust b { store \"a\"; revocation-hours 6; }\ntrust "
	    "a;\nagency H37 { trust b; }",
	    1, "asks for less");
	warnings_of(HEAD "trust a { rsa 3072; }\ntrust b { }\ntrust a;\ndomain x.vn { trust b "
			 "instead reason \"x\" until 2099-01-01; }",
	    0, "");
	warnings_of(HEAD
	    "trust a { }\ntrust b { store \"a\"; rsa 3072; }\ntrust a;\ndomain x.vn { trust b; }",
	    0, "");
}

#define STORES HEAD "trust a { }\ntrust b { }\ntrust c { store \"a\"; }\n"

/* Whose certificates count is changed by a nearer trust as well, not only what they must be. */
static void
another_store(void **state)
{
	(void)state;
	warnings_of(STORES "trust a;\nagency H37 { trust b; }", 1,
	    "another store in the place of that of line 7");
	warnings_of(STORES "trust a;\nagency H37 { trust c; }", 0, "");
	warnings_of(STORES
	    "trust a;\nagency H37 { trust b instead reason \"x\" until 2099-01-01; }",
	    0, "");
	warnings_of(
	    STORES "domain *.x.vn { trust a; }\ndomain so.x.vn { trust b; }", 1, "another store");
	warnings_of(
	    STORES "domain x.vn { trust a; }\nperson \"an@x.vn\" { trust b; }", 1, "another store");
	warnings_of(STORES "domain x.vn { trust a; }\nperson \"an@y.vn\" { trust b; }", 0, "");
	warnings_of(
	    STORES "agency H37 { trust a; }\nagency H37.02 { trust b; }", 1, "another store");
	warnings_of(STORES "agency H37 { trust a; }\nagency H370 { trust b; }", 0, "");
	/* both, each by a line of its own */
	warnings_of(HEAD "trust a { rsa 3072; }\ntrust b { }\ntrust a;\ndomain x.vn { trust b; }",
	    2, "asks for less");
}

static void
attachments_and_signatures(void **state)
{
	struct find_sig *s;

	(void)state;
	MISSES("AttachmentExtensionMatchesWords \"docm\"");
	part("Báo cáo.DOCM", "docx", PART_MACRO | PART_ATTACHED);
	HITS("AttachmentExtensionMatchesWords (\"xlsm\", \".docm\")");
	evidence("part 2 \"Báo cáo.DOCM\": docx");
	MISSES("AttachmentExtensionMatchesWords \"docx\"");
	HITS("AttachmentNameContainsWords \"BÁO CÁO\"");
	MISSES("AttachmentNameContainsWords \"cá\"");
	HITS("AttachmentHasMacro");
	HITS("AttachmentTypeIs \"docx\"");
	MISSES("AttachmentIsPasswordProtected");
	MISSES("AttachmentHasExecutableContent");
	HITS("AttachmentSizeOver 999");
	MISSES("AttachmentSizeOver 1000");
	part("a.zip", "zip", PART_ENCRYPTED | PART_ATTACHED)->path = slice_str("3");
	HITS("AttachmentIsPasswordProtected");
	evidence("part 3");
	facts.parts_cut = true;
	UNSURE("AttachmentIsUnsupported");
	facts.parts_cut = false;
	part("b.exe. ", "exe", PART_EXEC | PART_IN_ARCHIVE);
	HITS("AttachmentExtensionMatchesWords \"exe\"");
	findings_note(&scan, "pdf.javascript", NOTE_WARN, slice_str("4"), "OpenAction");
	HITS("finding \"pdf.javascript\"");
	evidence("part 4");
	HITS("finding \"pdf.*\"");
	MISSES("finding \"pdf\"");
	MISSES("finding \"pdf.javascript.x\"");
	HITS("SignatureStatusIs \"none\"");
	s = findings_add_sig(&scan);
	s->coverage = SIG_WHOLE;
	s->status = SIG_WEAK;
	HITS("SignatureStatusIs (\"bad\", \"weak\")");
	MISSES("SignatureStatusIs \"none\"");
	MISSES("MessageTypeMatches Signed");
	s->status = SIG_VALID;
	HITS("MessageTypeMatches Signed");
	facts.flags_unknown = true;
	UNSURE("MessageTypeMatches Encrypted");
	UNSURE("AllAttachmentsOver 1");
}

/* ---- rules ---- */

static void
first_decision_wins_and_findings_accumulate(void **state)
{
	(void)state;
	load(HEAD "rule N-1 expires 2030-01-01 { when SignedIn then note" TEXTS "}\n"
		  "rule M-1 expires 2030-01-01 monitor { when SignedIn then reject" TEXTS "}\n"
		  "rule D-1 expires 2030-01-01 { when SignedIn then quarantine" TEXTS "}\n"
		  "rule D-2 expires 2030-01-01 { when SignedIn then reject" TEXTS "}\n");
	assert_string_equal(decision(), "D-1");
	assert_int_equal(result.n_hits, 4);
	assert_int_equal(result.hits[1].mode, MODE_LOG);
	/* accept ends the policy's own rules, and is no decision over the built-in ones */
	load(HEAD "rule OK expires 2030-01-01 { when SignedIn then accept }\n"
		  "rule D-2 expires 2030-01-01 { when SignedIn then reject" TEXTS "}\n");
	assert_string_equal(decision(), "OK");
	assert_int_equal(result.n_hits, 1);
}

static void
verdicts_join(void **state)
{
	struct verdict v;

	(void)state;
	load(HEAD "rule D-1 expires 2030-01-01 { when SignedIn then quarantine" TEXTS "}\n"
		  "rule D-2 expires 2030-01-01 { when SignedIn then reject" TEXTS "}\n");
	decision();
	memset(hits, 0, sizeof hits);
	rule_judge_hits(&rules, hits, NULL, &v);
	policy_into_verdict(&result, &v);
	assert_string_equal(v.decision->id, "D-1");
	assert_int_equal(v.n_notes, 1);
	assert_string_equal(v.notes[0].rule->id, "D-2");
	assert_ptr_equal(policy_rule_of(policy, v.decision), policy->rules);
	verdict_done(&v);
	/* a built-in refusal weighs more than the policy's quarantine */
	hits[rule_index(slice_str("P22"))] = 1;
	rule_judge_hits(&rules, hits, NULL, &v);
	policy_into_verdict(&result, &v);
	assert_string_equal(v.decision->id, "P22");
	assert_int_equal(v.n_notes, 2);
	verdict_done(&v);
}

static void
exceptions_expiry_scope(void **state)
{
	(void)state;
	load(HEAD "rule A expires 2030-01-01 { when SignedIn except when SentTo "
		  "\"dan@citizen.example\" reason \"REQ-1\" until 2025-12-01 "
		  "then reject" TEXTS "}");
	assert_string_equal(decision(), "");
	assert_int_equal(result.n_hits, 1);
	assert_string_equal(
	    "REQ-1", (const char *)arena_slicedup(arena, result.hits[0].excepted->reason));
	load(HEAD "rule A expires 2030-01-01 { when SignedIn except when SentTo "
		  "\"dan@citizen.example\" reason \"REQ-1\" until 2025-11-30 "
		  "then reject" TEXTS "}");
	assert_string_equal(decision(), "A");
	load(HEAD "rule A expires 2025-12-01 { when SignedIn then reject" TEXTS "}");
	assert_string_equal(decision(), "A");
	load(HEAD "rule A expires 2025-11-30 { when SignedIn then reject" TEXTS "}");
	assert_string_equal(decision(), "");
	load(HEAD "agency H37.03 { rule A expires 2030-01-01 { when SignedIn then reject" TEXTS
		  "} }");
	assert_string_equal(decision(), "");
	load(HEAD "agency H37.02 { rule A expires 2030-01-01 { when SignedIn then reject" TEXTS
		  "} }");
	assert_string_equal(decision(), "A");
	load(HEAD "rule A expires 2030-01-01 { when SignedIn then reject" TEXTS "}\n"
		  "agency H37 { mode A off; } person \"an@so.tinh.example\" { mode A log reason "
		  "\"x\" until 2025-11-01; }");
	assert_string_equal(decision(), "");
	assert_int_equal(result.n_hits, 0);
}

static enum rule_mode
mode(const char *rule, const char *domain, const char *agency, const char *address)
{
	struct policy_who who = {slice_str(domain), slice_str(agency), slice_str(address)};
	unsigned char out[64];

	policy_modes_of(policy, &who, NOW, out, NULL);
	return out[rule_index(slice_str(rule))];
}

static void
settings_of_the_nearest_scope(void **state)
{
	struct policy_who who = {slice_str("so.tinh.example"), slice_str("H37.02"), slice_str("")};
	const struct policy_setting *from;

	(void)state;
	load(HEAD "mode P* warn;\nmode P22 enforce;\nlimit attachments 20MB;\n"
		  "domain *.tinh.example { mode P17 log; }\n"
		  "domain so.tinh.example { mode P17 enforce; limit attachments 30MB; }\n"
		  "agency H37 { mode P* off; }\n"
		  "person \"an@so.tinh.example\" { mode P17 warn; }\n");
	assert_int_equal(mode("P01", "x.example", "", ""), MODE_WARN);
	assert_int_equal(mode("P22", "x.example", "", ""), MODE_ENFORCE);
	assert_int_equal(mode("M01", "x.example", "H37", ""), MODE_ENFORCE);
	assert_int_equal(mode("P17", "a.tinh.example", "", ""), MODE_LOG);
	assert_int_equal(mode("P17", "tinh.example", "", ""), MODE_WARN);
	assert_int_equal(mode("P17", "so.tinh.example", "", ""), MODE_ENFORCE);
	assert_int_equal(mode("P17", "so.tinh.example", "H37.02", ""), MODE_OFF);
	assert_int_equal(mode("P17", "so.tinh.example", "H37.02", "an@so.tinh.example"), MODE_WARN);
	assert_int_equal(
	    policy_limit_of(policy, POLICY_LIMIT_ATTACHMENTS, &who, NOW, 1, &from), 30 << 20);
	assert_int_equal(from->pos.line, 8);
	load(HEAD);
	assert_int_equal(policy_limit_of(policy, POLICY_LIMIT_ATTACHMENTS, &who, NOW, 7, &from), 7);
	assert_null(from);
}

static uint64_t
limit(enum policy_what what, const char *domain)
{
	struct policy_who who = {slice_str(domain), slice_str(""), slice_str("")};

	return policy_limit_of(policy, what, &who, NOW, 0, NULL);
}

/* How far the scanner goes: by scope, each item by itself, never above what is built in. */
static void
limits_of_the_scanner(void **state)
{
	struct policy *again = NULL;
	struct judgement j = {.now = NOW};
	struct buf text;

	(void)state;
	load(HEAD "limits { depth 4; entries 500; bytes 50MB; ratio 100; time 4; }\n"
		  "domain so.tinh.example { limits { depth 6; bytes 1000; } reason \"x\" until "
		  "2030-01-01; }\n"
		  "domain cu.tinh.example { limits { depth 2; } reason \"x\" until 2020-01-01 }\n");
	assert_int_equal(limit(POLICY_SCAN_DEPTH, "x.example"), 4);
	assert_int_equal(limit(POLICY_SCAN_DEPTH, "so.tinh.example"), 6);
	assert_int_equal(limit(POLICY_SCAN_DEPTH, "cu.tinh.example"), 4); /* over */
	assert_int_equal(limit(POLICY_SCAN_BYTES, "x.example"), 50 << 20);
	assert_int_equal(limit(POLICY_SCAN_BYTES, "so.tinh.example"), 1000);
	assert_int_equal(limit(POLICY_SCAN_ENTRIES, "so.tinh.example"), 500);
	assert_int_equal(limit(POLICY_SCAN_RATIO, "so.tinh.example"), 100);
	assert_int_equal(limit(POLICY_SCAN_TIME, "so.tinh.example"), 4);
	/* of two authors the smaller, each of them */
	rules.n_authors = 2;
	rules.authors[0].domain = slice_str("so.tinh.example");
	rules.authors[1].domain = slice_str("x.example");
	j.policy = policy;
	judgement_trust(&j, &rules);
	assert_int_equal(rules.terms.depth, 4);
	assert_int_equal(rules.terms.bytes, 1000);
	rules.n_authors = 1;
	j.policy = NULL;
	judgement_trust(&j, &rules);
	assert_false(scan_terms_any(&rules.terms));
	/* as text it is the same again */
	buf_init(&text, 4096);
	buf_append_str(&text, HEAD);
	for (const struct policy_setting *s = policy->settings; s != NULL; s = s->next)
		if (s->scope->kind == POLICY_GLOBAL)
			policy_print_setting(s, &text);
	if (policy_compile(buf_slice(&text), "t", &again, &errors) != 0)
		fail_msg("%s: %s", buf_cstr(&text), errors.v[0].en);
	assert_int_equal(again->n_settings, 5);
	policy_free(again);
	buf_done(&text);
	refused(HEAD "limits { depth 9; }", 4, 10, "never above the built-in bound");
	assert_int_equal(errors.n, 1);
	refused(HEAD "trust a { ocsp; }", 4, 11, "crl prefer; or ocsp prefer;");
	refused(HEAD "trust a { store; }", 4, 11, "store NAME;");
	refused(HEAD "trust a { rsa; }", 4, 11, "rsa: from 2048");
	refused(HEAD "limits { depth 0; }", 4, 10, "1 .. 8");
	refused(HEAD "limits { entries 2001; }", 4, 10, "1 .. 2000");
	refused(HEAD "limits { bytes 201MB; }", 4, 10, "1 .. 200MB");
	refused(HEAD "limits { bytes 8GB; }", 4, 10, "1 .. 200MB");
	refused(HEAD "limits { ratio 201; }", 4, 10, "1 .. 200");
	refused(HEAD "limits { time 61; }", 4, 10, "1 .. 60");
	refused(HEAD "limits { files 3; }", 4, 10, "limits has: depth");
	refused(HEAD "limits { depth 2; depth 3; }", 4, 19, "above already");
	refused(HEAD "limits { }", 4, 1, "says nothing");
	refused(HEAD "limits { depth 2; } until 2030-01-01;", 4, 1, "needs a reason");
	refused(HEAD "limit depth 2;", 4, 7, "limits { depth");
}

static void
which_source_of_revocation_is_asked_first(void **state)
{
	struct judgement j = {.now = NOW};
	struct buf text;

	(void)state;
	load(HEAD "trust a { ocsp prefer; } trust b { crl prefer; store \"a\"; } trust c { store "
		  "\"a\"; }\n"
		  "trust a; domain b.example { trust b; } domain c.example { trust c; }\n");
	j.policy = policy;
	rules.n_authors = 1;
	rules.authors[0].domain = slice_str("x.example");
	judgement_trust(&j, &rules);
	assert_int_equal(rules.terms.prefer, PREFER_OCSP);
	rules.authors[0].domain = slice_str("b.example");
	judgement_trust(&j, &rules);
	assert_int_equal(rules.terms.prefer, PREFER_CRL);
	rules.authors[0].domain = slice_str("c.example");
	judgement_trust(&j, &rules);
	assert_int_equal(rules.terms.prefer, PREFER_NONE);
	buf_init(&text, 500);
	policy_print_trust(policy->trusts, &text);
	assert_non_null(strstr(buf_cstr(&text), " ocsp prefer;"));
	buf_done(&text);
	refused(HEAD "trust a { ocsp only; }", 4, 11, "ocsp prefer;");
	refused(HEAD "trust a { ocsp prefer; crl prefer; }", 4, 24, "above already");
}

static void
store_is(const char *domain, const char *store, const char *want)
{
	rules.n_authors = 1;
	rules.authors[0].domain = slice_str(domain);
	rules.trust.store = slice_str(store);
	assert_true(slice_eq_str(judgement_store(&rules, arena), want));
}

/* A sender's domain names no store, whatever it looks like. */
static void
store_of_a_message(void **state)
{
	(void)state;
	store_is("a.example", "", "a.example");
	store_is("a.example", "kho", "a.example=kho");
	store_is("a.example=kho", "", "");
	store_is("=kho", "", "");
	store_is("a=", "", "");
	store_is("a.example=kho", "tinh", "=tinh");
	rules.n_authors = 0;
	assert_true(slice_eq_str(judgement_store(&rules, arena), "=tinh"));
}

static struct rule_trust
trust(const char *domain, const char *agency, const char *address)
{
	struct policy_who who = {slice_str(domain), slice_str(agency), slice_str(address)};
	struct rule_trust t;

	policy_trust_of(policy, &who, NOW, &t, NULL);
	return t;
}

#define IS_TRUST(t, st, d, r, e, h)                        \
	do {                                               \
		struct rule_trust is_ = t;                 \
		check_slice(is_.store, st);                \
		assert_int_equal(is_.digest, d);           \
		assert_int_equal(is_.rsa, r);              \
		assert_int_equal(is_.ec, e);               \
		assert_int_equal(is_.rev_age_s, h * 3600); \
	} while (0)

/* 0: of none. */
static unsigned
floor_line(const char *domain, const char *agency, unsigned floor)
{
	struct policy_who who = {slice_str(domain), slice_str(agency), slice_str("")};
	const struct policy_setting *s = policy_trust_floor_from(policy, &who, NOW, floor);

	return s != NULL ? s->pos.line : 0;
}

/* The nearest names the store; what wider scopes demand holds all the same, unless it is said that it does not, and for how long. */
static void
trust_of_the_nearest_scope(void **state)
{
	(void)state;
	load(HEAD "trust chung { store tinh; rsa 3072; revocation-hours 48; }\n"
		  "trust so { digest 384; ec 384; revocation-hours 24; }\n"
		  "trust cu { store \"kho-cu\"; }\n"
		  "trust chung;\n"
		  "domain *.tinh.example { trust so; }\n"
		  "agency H37 { trust cu; }\n"
		  "person \"cu@so.tinh.example\" { trust cu instead reason \"máy cũ\" until "
		  "2026-01-31; }\n"
		  "person \"qua@so.tinh.example\" { trust cu instead reason \"đã qua\" until "
		  "2025-06-30; }\n");
	IS_TRUST(trust("b.example", "", ""), "tinh", 0, 3072, 0, 48);
	IS_TRUST(trust("tinh.example", "", ""), "tinh", 0, 3072, 0, 48);
	IS_TRUST(trust("so.tinh.example", "", ""), "so", 384, 3072, 384, 24);
	IS_TRUST(trust("so.tinh.example", "H37.02", ""), "kho-cu", 384, 3072, 384, 24);
	IS_TRUST(trust("so.tinh.example", "H37.02", "cu@so.tinh.example"), "kho-cu", 0, 0, 0, 0);
	IS_TRUST(trust("so.tinh.example", "", "qua@so.tinh.example"), "so", 384, 3072, 384, 24);
	/* which line asks for it: not that of the nearest trust, where a wider one is stricter */
	assert_int_equal(floor_line("b.example", "", 1), 7);
	assert_int_equal(floor_line("b.example", "", 0), 0);
	assert_int_equal(floor_line("so.tinh.example", "H37.02", 0), 8);
	assert_int_equal(floor_line("so.tinh.example", "H37.02", 1), 7);
	assert_int_equal(floor_line("so.tinh.example", "H37.02", 3), 8);
	load(HEAD "trust a { rsa 4096; }\ndomain b.vn { trust a; }");
	IS_TRUST(trust("c.vn", "", ""), "", 0, 0, 0, 0);
}

static bool
hit(const char *rule, const char *why)
{
	struct buf detail;
	bool is;

	buf_init(&detail, 300);
	is = rule_table[rule_index(slice_str(rule))].hit(&rules, &detail);
	assert_int_equal(detail.err, 0);
	if (is && strstr(buf_cstr(&detail), why) == NULL)
		fail_msg("%s: %s", rule, buf_cstr(&detail));
	buf_done(&detail);
	return is;
}

static void
floors_of_signatures(void **state)
{
	static const struct {
		const char *digest, *key, *why; /* NULL: good enough */
	} cases[] = {{"SHA256", "rsa4096", "SHA256 < digest 384 (trust so)"},
	    {"SHA384", "rsa2048", "rsa2048 < rsa 3072"}, {"SHA512", "rsa3072", NULL},
	    {"SHA3-384", "ec384", NULL}, {"SHA384", "ec256", "ec256 < ec 384"},
	    {"SHA512", "ED25519256", "ED25519256 < ec 384"}, {"SHA512", "ED448456", NULL},
	    {"", "rsa4096", "< digest"}, {"SHA512", "", "< ec"}};
	struct find_sig *s = findings_add_sig(&scan);
	size_t i;

	(void)state;
	s->status = SIG_VALID;
	s->coverage = SIG_WHOLE;
	s->rev = REV_GOOD;
	s->rev_age_s = 25 * 3600;
	rules.authors[0].is_ours = rules.official = true;
	s->digest = slice_str("SHA256");
	s->key = slice_str("rsa2048");
	assert_false(hit("P10", ""));
	assert_false(hit("P06", ""));
	s->status = SIG_WEAK;
	assert_true(hit("P10", ">= SHA-256, RSA 2048, EC 256"));
	s->status = SIG_VALID;
	rules.trust = (struct rule_trust){
	    slice_str("so"), slice_str("so"), 384, 3072, 384, 24 * 3600, PREFER_NONE};
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		s->digest = slice_str(cases[i].digest);
		s->key = slice_str(cases[i].key);
		assert_int_equal(
		    hit("P10", cases[i].why != NULL ? cases[i].why : "-"), cases[i].why != NULL);
		if (cases[i].why != NULL)
			assert_true(hit("P10", "; >= SHA-384, RSA 3072, EC 384"));
	}
	/* what is known of revocation is a day and an hour old */
	assert_true(hit("P06", "90000 s old"));
	s->rev_age_s = 23 * 3600;
	assert_false(hit("P06", ""));
	s->rev = REV_REVOKED;
	s->rev_age_s = 25 * 3600;
	assert_int_equal(rule_rev_of(&rules, s), REV_REVOKED);
	/* a part of a mail, or a document's signature, is not the mail's */
	s->coverage = SIG_DOCUMENT;
	s->digest = slice_str("SHA256");
	assert_false(hit("P10", ""));
}

static void
limits_of_the_policy(void **state)
{
	struct judgement j = {.now = NOW};
	struct rule_settings settings = {.rcpts_max = 500};
	struct find_part *p;
	int i;

	(void)state;
	load(HEAD "limit files 3; limit message 2MB; limit recipients 10;\n"
		  "domain so.tinh.example { limit recipients 2; limit message 1MB; }\n"
		  "person \"nhieu@so.tinh.example\" { limit recipients 0; limit files 5; }\n");
	j.policy = policy;
	rules.settings = &settings;
	rules.authors[0].is_ours = true;
	rules.rcpts = rcpts;
	rules.n_rcpts = 3;
	for (i = 0; i < 5; i++) {
		p = findings_add_part(&scan);
		p->flags = i < 4 ? PART_ATTACHED : PART_ATTACHED | PART_IN_ARCHIVE;
	}
	judgement_modes(&j, &rules);
	assert_int_equal(rules.rcpts_max, 2);
	assert_int_equal(rules.files_max, 3);
	assert_int_equal(rules.message_max, 1 << 20);
	assert_true(hit("P29", "3 > 2"));
	assert_true(hit("P25", "4 files > 3"));
	scan.size = (1 << 20) + 1;
	assert_true(hit("P25", "message 1.0 MB > 1 MB"));
	rules.authors[0].address = slice_str("nhieu@so.tinh.example");
	scan.size = 1 << 20;
	judgement_modes(&j, &rules);
	assert_false(hit("P29", ""));
	assert_false(hit("P25", ""));
	/* of two authors the smaller holds */
	rules.authors[1] = rules.authors[0];
	rules.authors[1].address = slice_str("an@so.tinh.example");
	rules.n_authors = 2;
	judgement_modes(&j, &rules);
	assert_int_equal(rules.files_max, 3);
	assert_int_equal(rules.rcpts_max, 2);
	/* where the policy says nothing, congvu.conf does */
	load(HEAD);
	j.policy = policy;
	judgement_modes(&j, &rules);
	assert_int_equal(rules.rcpts_max, 500);
	assert_int_equal(rules.files_max, 0);
}

/* What a record tells is enough to ask another policy's numbers; another store is not. */
static void
numbers_are_asked_again(void **state)
{
	static const char record[] =
	    "{\"event\":\"verdict\",\"qid\":\"a\",\"ts\":\"2025-12-01T00:00:00Z\",\"size\":3000000,"
	    "\"session\":{\"auth\":\"an\"},"
	    "\"env\":{\"rcpts\":[\"a@b.vn\"],\"n_rcpts\":40},\"hdr_from\":[\"an@so.tinh.example\"],"
	    "\"official\":{\"is\":true,\"why\":\"header\"},"
	    "\"decision\":{\"action\":\"accept\",\"rule\":\"\"},\"policy\":{\"id\":\"tinh\","
	    "\"version\":1,\"sha256\":\"00\"},"
	    "\"sig\":[{\"status\":\"valid\",\"coverage\":\"whole\",\"digest\":\"SHA256\",\"key\":"
	    "\"rsa2048\",\"rev\":{\"state\":\"good\",\"age_s\":90000}}],"
	    "\"parts\":[],\"findings\":[],\"facts\":{\"agencies\":[\"H37\"],\"ours\":[true],"
	    "\"hits\":[],\"issued\":false,"
	    "\"attach_size\":100,\"mailbox\":false,\"store\":\"\"}}";
	static const struct {
		const char *policy, *action, *rule;
		bool other;
	} cases[] = {{"", "accept", "", false}, {"limit recipients 39;", "reject", "P29", false},
	    {"limit recipients 40;", "accept", "", false},
	    {"limit message 2MB;", "reject", "P25", false},
	    {"trust a { rsa 3072; }\ntrust a;", "reject", "P10", true},
	    {"trust a { rsa 2048; }\ntrust a;", "accept", "", true},
	    {"trust a { revocation-hours 24; }\nperson \"an@so.tinh.example\" { trust a; }",
		"tempfail", "P06", true}};
	static const char *const actions[] = {"accept", "reject", "tempfail", "", "quarantine"};
	struct json *rec = NULL;
	char text[1024];
	size_t i;

	(void)state;
	assert_int_equal(json_parse(slice_str(record), &rec), 0);
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy_replay *r = arena_calloc(arena, 1, sizeof *r);
		struct judgement j = {.now = NOW};
		struct verdict v;

		snprintf(text, sizeof text, "%s%s", HEAD, cases[i].policy);
		load(text);
		j.policy = policy;
		assert_int_equal(policy_facts_from(rec, arena, r), 0);
		judgement_replay(&j, r, arena, &v);
		assert_string_equal(v.decision != NULL ? v.decision->id : "", cases[i].rule);
		assert_string_equal(
		    actions[v.decision != NULL ? v.decision->action : 0], cases[i].action);
		assert_int_equal(r->other_store, cases[i].other);
		verdict_done(&v);
	}
	json_free(rec);
}

/* A mail is not opened again: what other limits would have found no record tells. */
static void
other_limits_are_uncertain(void **state)
{
	static const struct {
		const char *hits, *limits, *sha, *policy;
		bool other;
	} cases[] = {/* held under depth 1 */
	    {"\"M06\"", "{\"depth\":1}", "00", "limits { depth 3; }", true},
	    {"\"M06\"", "{\"depth\":1}", "00", "", true},
	    {"\"M06\"", "{\"depth\":1}", "00", "limits { depth 1; }", false},
	    {"\"M06\"", "{\"depth\":8}", "00", "", false}, {"\"M06\"", "{}", "00", "", false},
	    {"\"M06\"", "{}", "00", "limits { time 5; }", true},
	    /* it came through: nearer bounds may hold it, wider ones do not */
	    {"", "{}", "00", "limits { entries 5; }", true},
	    {"", "{\"depth\":3}", "00", "limits { depth 4; }", false},
	    {"", "{\"depth\":3}", "00", "limits { depth 2; }", true},
	    {"", "{\"depth\":3}", "00", "", false},
	    /* a record of before limits were written down */
	    {"\"M06\"", "null", "00", "", true}, {"", "null", "00", "", false},
	    {"", "null", "00", "limits { bytes 1MB; }", true},
	    /* hostile numbers */
	    {"\"M06\"", "{\"depth\":-3,\"time\":99999999999999}", "00", "limits { depth 8; }",
		true}};
	struct json *rec;
	char text[1024];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct policy_replay *r = arena_calloc(arena, 1, sizeof *r);
		struct judgement j = {.now = NOW};
		struct verdict v;

		snprintf(text, sizeof text,
		    "{\"event\":\"verdict\",\"hdr_from\":[\"an@x.vn\"],\"decision\":{},"
		    "\"policy\":{\"sha256\":\"%s\"},\"facts\":{\"hits\":[%s],\"limits\":%s}}",
		    cases[i].sha, cases[i].hits, cases[i].limits);
		assert_int_equal(json_parse(slice_str(text), &rec), 0);
		snprintf(text, sizeof text, "%s%s", HEAD, cases[i].policy);
		load(text);
		j.policy = policy;
		assert_int_equal(policy_facts_from(rec, arena, r), 0);
		judgement_replay(&j, r, arena, &v);
		if (r->other_limits != cases[i].other)
			fail_msg("case %zu", i);
		verdict_done(&v);
		json_free(rec);
	}
}

static void
cost_is_bounded(void **state)
{
	struct buf b;
	char *text = arena_alloc(arena, 3 << 20);
	int i;

	(void)state;
	memset(text, 'a', (3 << 20) - 1);
	facts.subject = slice_of(text, 3 << 20);
	buf_init(&b, 1 << 20);
	buf_append_str(&b, HEAD "rule A-1 expires 2030-01-01 { when SubjectContainsWords (\"x\"");
	for (i = 0; i < 40000; i++)
		buf_appendf(&b, ",\"a%d\"", i);
	buf_append_str(&b, ") then reject" TEXTS "}");
	load(buf_cstr(&b));
	assert_string_equal(decision(), "over");
	buf_done(&b);
}

static void
printed_and_read_again(void **state)
{
	struct buf b, again;

	(void)state;
	load(HEAD "rule A expires 2030-01-01 warn { when (From \"a@b.vn\" or not (Official and "
		  "SignedIn)) and MessageSizeOver 1KB "
		  "except when SentToScope InOrganization reason \"a \\\"b\\\"\" until 2026-02-28 "
		  "then reject 5.7.1" TEXTS "}");
	buf_init(&b, 65536);
	buf_init(&again, 65536);
	policy_print_rule(policy, policy->rules, &b);
	assert_string_equal(buf_cstr(&b),
	    "rule A owner \"an-ninh\" expires 2030-01-01 warn { when ((From \"a@b.vn\" or not "
	    "(Official and SignedIn)) and MessageSizeOver 1024) "
	    "except when SentToScope InOrganization reason \"a \\\"b\\\"\" until 2026-02-28 then "
	    "reject 5.7.1 vi \"Không.\" en \"No.\" }");
	buf_append_str(&again, HEAD);
	buf_append_slice(&again, buf_slice(&b));
	load(buf_cstr(&again));
	buf_reset(&again);
	policy_print_rule(policy, policy->rules, &again);
	assert_string_equal(buf_cstr(&b), buf_cstr(&again));
	buf_done(&b);
	buf_done(&again);
}

int
main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)
	const struct CMUnitTest tests[] = {T(errors_have_place_and_words),
	    T(nesting_and_numbers_are_bounded), T(who_and_to_whom), T(subject_header_size),
	    T(groups_of_the_directory), T(what_may_not_be_meant), T(another_store),
	    T(attachments_and_signatures), T(first_decision_wins_and_findings_accumulate),
	    T(verdicts_join), T(exceptions_expiry_scope), T(settings_of_the_nearest_scope),
	    T(limits_of_the_scanner), T(which_source_of_revocation_is_asked_first),
	    T(store_of_a_message), T(trust_of_the_nearest_scope), T(floors_of_signatures),
	    T(limits_of_the_policy), T(numbers_are_asked_again), T(other_limits_are_uncertain),
	    T(cost_is_bounded), T(printed_and_read_again)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
