/* rule_test.c: each rule of DOMAIN.md C3 by facts alone, with what it must hit and what it must let go; modes by scope; the words of the
 * refusals; Authentication-Results (RFC 8601); marks of secrecy. Signatures from bytes to verdict are smime_test's. */
#include "config.h"

#include "lib/err.h"
#include "milter/authres.h"
#include "milter/facts.h"
#include "milter/modes.h"
#include "milter/secrecy.h"
#include "milter/sio_label.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <string.h>

/* ---- a world to judge ---- */

static struct arena *arena;
static struct findings scan;
static struct rule_facts facts;
static unsigned char modes[RULE_COUNT];
static const struct slice known[] = {{(const unsigned char *)"vanthu@x.example", 16},
    {(const unsigned char *)"office@x.example", 16}, {(const unsigned char *)"old@x.example", 13}};
static unsigned char key[1][32] = {{7}};

static int
begin(void **state)
{
	(void)state;
	arena = arena_new(1 << 20);
	findings_init(&scan, arena);
	memset(&facts, 0, sizeof facts);
	facts.scan = &scan;
	facts.authenticated = true;
	facts.from_fields = 1;
	facts.n_authors = 1;
	facts.official_why = "";
	facts.authors[0].local = slice_str("vanthu");
	facts.authors[0].domain = slice_str("x.example");
	facts.authors[0].address = slice_str("vanthu@x.example");
	facts.authors[0].is_ours = true;
	facts.authors[0].owner = OWNER_PERSON;
	facts.authors[0].may_send_as = true;
	facts.authors[0].known = known;
	facts.authors[0].n_known = 3;
	facts.authors[0].n_current = 2;
	return 0;
}

static int
end(void **state)
{
	(void)state;
	arena_free(arena);
	return 0;
}

static struct find_sig *
signature(const char *address)
{
	struct find_sig *s = findings_add_sig(&scan);

	s->status = SIG_VALID;
	s->coverage = SIG_WHOLE;
	s->signer = slice_str("CN=Văn thư");
	s->issuer = slice_str("CN=CA");
	s->serial = slice_str("6A");
	s->cert_sha256[0] = 7;
	if (address != NULL)
		findings_add_address(&scan, s, false, slice_str(address));
	return s;
}

static struct find_part *
part(const char *name, const char *type, uint32_t flags)
{
	struct find_part *p = findings_add_part(&scan);

	p->path = slice_str("2");
	p->name_norm = slice_str(name);
	p->true_type = slice_str(type);
	p->flags = flags;
	return p;
}

/* Id of the rule that decides, "ok" for none; notes as "P08 N03 ". */
static char notes[300], detail[400];

static const char *
judge(void)
{
	struct verdict v;
	const char *id;
	size_t i, n = 0;

	notes[0] = '\0';
	rule_judge(&facts, &v);
	for (i = 0; i < v.n_notes; i++)
		n += (size_t)snprintf(notes + n, sizeof notes - n, "%s:%s ", v.notes[i].rule->id,
		    rule_mode_name(v.notes[i].mode));
	snprintf(detail, sizeof detail, "%s", buf_cstr(&v.detail));
	id = v.decision != NULL ? v.decision->id : "ok";
	verdict_done(&v);
	return id;
}

#define DECIDES(id) assert_string_equal(judge(), id)
#define NOTED(id) assert_non_null((judge(), strstr(notes, id)))
#define NOT_NOTED(id) assert_null((judge(), strstr(notes, id)))
#define EVIDENCE(text)                                                         \
	do {                                                                   \
		judge();                                                       \
		if (strstr(detail, text) == NULL)                              \
			fail_msg("\"%s\" does not tell \"%s\"", detail, text); \
	} while (0)

/* ---- signatures ---- */

static void
p01_unsigned_official_mail(void **state)
{
	(void)state;
	facts.official = true;
	DECIDES("P01");
	signature("vanthu@x.example");
	DECIDES("ok");
}

static void
p04_expired(void **state)
{
	struct find_sig *s = signature("vanthu@x.example");

	(void)state;
	DECIDES("ok");
	s->status = SIG_EXPIRED;
	s->why = slice_str("certificate has expired: CN=Văn thư, valid to 2025-01-01");
	DECIDES("P04");
	EVIDENCE("2025-01-01");
	/* from outside it is told, not refused */
	facts.authenticated = facts.authors[0].is_ours = false;
	DECIDES("ok");
	NOTED("N01");
}

static void
p05_revoked(void **state)
{
	struct find_sig *s = signature("vanthu@x.example");

	(void)state;
	s->rev = REV_GOOD;
	DECIDES("ok");
	s->rev = REV_REVOKED;
	s->rev_source = slice_str("crl");
	s->rev_age_s = 60;
	DECIDES("P05");
	EVIDENCE("serial 6A, CN=Văn thư, crl, 60 s old");
	/* whatever time of signing is claimed (case 23) */
	s->signing_time = 1;
	DECIDES("P05");
}

static void
p06_revocation_unknown(void **state)
{
	struct find_sig *s = signature("vanthu@x.example");

	(void)state;
	s->rev = REV_UNKNOWN;
	DECIDES("ok");
	NOTED("N04:warn");
	facts.official = true;
	DECIDES("P06");
	EVIDENCE("CN=CA");
	facts.rev_grace_over = true;
	DECIDES("ok");
	NOTED("N04:warn");
	facts.rev_grace_over = false;
	s->rev = REV_GOOD;
	DECIDES("ok");
	NOT_NOTED("N04");
}

static void
p08_former_address(void **state)
{
	(void)state;
	signature("old@x.example");
	DECIDES("ok");
	NOTED("P08:warn");
}

static void
p08_not_for_an_address_of_now(void **state)
{
	(void)state;
	signature("office@x.example");
	DECIDES("ok");
	NOT_NOTED("P08");
}

static void
p09_agency_key(void **state)
{
	(void)state;
	facts.authors[0].owner = OWNER_FUNCTIONAL;
	signature("clerk@x.example");
	DECIDES("P07"); /* somebody's */
	facts.signer_is_sender = true;
	DECIDES("P09");
	EVIDENCE("vanthu@x.example, signed by CN=Văn thư");
	NOTED("P07:enforce");
}

static void
p09_is_content_with_the_agencys_key(void **state)
{
	struct find_sig *s = signature("vanthu@x.example");

	(void)state;
	facts.authors[0].owner = OWNER_FUNCTIONAL;
	DECIDES("ok");
	/* the directory names the keys: another with the same address will not do */
	facts.authors[0].keys = (const unsigned char(*)[32])key;
	facts.authors[0].n_keys = 1;
	DECIDES("ok");
	s->cert_sha256[0] = 8;
	DECIDES("P09");
	/* a person's own mail has nothing to do with it */
	facts.authors[0].owner = OWNER_PERSON;
	DECIDES("ok");
}

static void
m09_replies_of_an_office(void **state)
{
	(void)state;
	DECIDES("ok");
	NOT_NOTED("M09");
	facts.reply_from_office = true;
	DECIDES("ok");
	NOTED("M09:log");
	memset(modes, MODE_ENFORCE, sizeof modes);
	facts.modes = modes;
	DECIDES("M09");
	signature("vanthu@x.example");
	DECIDES("ok");
}

static void
p28_send_as(void **state)
{
	(void)state;
	DECIDES("ok");
	facts.authors[0].may_send_as = false;
	DECIDES("P28");
	EVIDENCE("vanthu@x.example");
	facts.authenticated = false;
	DECIDES("ok");
}

/* ---- attachments ---- */

static void
p27_auto_forward(void **state)
{
	static const char *const inside[] = {"x.example", "gov.vn"};
	static const struct rule_settings settings = {.inside = inside, .n_inside = 2};
	struct slice rcpts[] = {
	    slice_str("binh@x.example"), slice_str("an@so.tinh.gov.vn"), slice_str("an@gov.vn")};

	(void)state;
	facts.settings = &settings;
	facts.rcpts = rcpts;
	facts.n_rcpts = 3;
	facts.auto_forward = slice_str("X-Autoforward");
	DECIDES("ok");
	rcpts[1] = slice_str("an@notgov.vn");
	DECIDES("P27");
	EVIDENCE("X-Autoforward, to an@notgov.vn");
	/* by hand; and from outside it is others' business */
	facts.auto_forward = slice_str("");
	DECIDES("ok");
	facts.auto_forward = slice_str("X-Autoforward");
	facts.authenticated = facts.authors[0].is_ours = false;
	DECIDES("ok");
}

static void
p30_archive_copy(void **state)
{
	(void)state;
	scan.encrypted = true;
	DECIDES("ok");
	findings_note(&scan, "smime_no_archive", NOTE_WARN, slice_str("2"),
	    "none of 3 recipients is the agency's archive");
	DECIDES("P30");
	EVIDENCE("part 2: none of 3 recipients");
	facts.authenticated = facts.authors[0].is_ours = false;
	DECIDES("ok");
}

static void
p33_recipient_has_another_address(void **state)
{
	static const struct rule_moved moved[] = {{{(const unsigned char *)"old@x.example", 13},
	    {(const unsigned char *)"new@x.example", 13}}};
	struct buf b;

	(void)state;
	DECIDES("ok");
	NOT_NOTED("P33");
	facts.moved = moved;
	facts.n_moved = 1;
	DECIDES("ok");
	NOTED("P33:warn");
	buf_init(&b, 200);
	assert_true(rule_moved(&facts, &b));
	assert_string_equal(buf_cstr(&b), "old@x.example -> new@x.example");
	buf_done(&b);
}

/* The agency's own record comes before, and beside, the option. */
static void
p14_by_the_agencys_record(void **state)
{
	static const char *const rows[] = {"H99.02=SNVX"};
	static const struct rule_settings settings = {.symbols = rows, .n_symbols = 1};
	static const struct slice symbols[] = {
	    {(const unsigned char *)"SNV", 3}, {(const unsigned char *)"UBND", 4}};

	(void)state;
	facts.official = facts.issued = true;
	signature("vanthu@x.example");
	part("a.pdf", "pdf", PART_ATTACHED);
	facts.authors[0].agency = slice_str("H99.02");
	facts.doc.number = 15;
	facts.doc.type = slice_str("QĐ");
	facts.doc.symbol = slice_str("15/QĐ-STC");
	DECIDES("ok");
	facts.authors[0].symbols = symbols;
	facts.authors[0].n_symbols = 2;
	DECIDES("P14");
	EVIDENCE("15/QĐ-STC, agency H99.02");
	facts.doc.symbol = slice_str("15/QĐ-SNV");
	DECIDES("ok");
	facts.doc.symbol = slice_str("15/QĐ-UBND");
	DECIDES("ok");
	facts.doc.symbol = slice_str("15/QĐ-SNVX");
	DECIDES("P14");
	facts.settings = &settings;
	DECIDES("ok");
}

/* Case 13: what a list signed around the author's own signature is the author's, when the site allows the list. */
static void
m16_mailing_lists(void **state)
{
	static const char *const lists[] = {"Tin@lists.example"};
	static const struct rule_settings settings = {.lists = lists, .n_lists = 1};
	struct find_sig *outer = signature("tin@lists.example"), *in;

	(void)state;
	facts.official = true;
	outer->ml_expansion = true;
	DECIDES("P07");
	in = signature("vanthu@x.example");
	in->coverage = SIG_INNER;
	in->part = slice_str("1");
	DECIDES("P07");
	NOTED("M16:enforce");
	facts.settings = &settings;
	DECIDES("ok");
	NOTED("N09:warn");
	/* with the agency's key inside, which P09 wants */
	facts.authors[0].owner = OWNER_FUNCTIONAL;
	facts.authors[0].keys = (const unsigned char(*)[32])key;
	facts.authors[0].n_keys = 1;
	DECIDES("ok");
	outer->cert_sha256[0] = 9;
	DECIDES("ok");
	in->cert_sha256[0] = 8;
	DECIDES("P09");
	in->cert_sha256[0] = 7;
	facts.authors[0].owner = OWNER_PERSON;
	/* inside of what the list added to it, or not good: it is nobody's */
	in->part = slice_str("1.2");
	DECIDES("P07");
	in->part = slice_str("1");
	in->status = SIG_BAD;
	DECIDES("P07");
	in->status = SIG_VALID;
	in->rev = REV_REVOKED;
	DECIDES("P07");
	in->rev = REV_GOOD;
	DECIDES("ok");
	/* without the attribute it is somebody's signature, not a list's */
	outer->ml_expansion = false;
	DECIDES("P07");
	outer->ml_expansion = true;
	/* from outside: refused where the site says which lists there are, and this is none */
	facts.official = facts.authenticated = facts.authors[0].is_ours = false;
	DECIDES("ok");
	findings_add_address(&scan, in, false, slice_str("x"));
	outer->addresses = in->addresses;
	DECIDES("M16");
	facts.settings = NULL;
	DECIDES("ok");
}

static void
label(const char *header, int level, const char *policy, const char *bad)
{
	assert_int_equal(sio_label_read(slice_str(header), arena, &facts.sio), 0);
	assert_true(facts.sio.there);
	if (facts.sio.level != level || !slice_eq_str(facts.sio.policy, policy) ||
	    strcmp(facts.sio.bad != NULL ? facts.sio.bad : "", bad) != 0)
		fail_msg("%s: %d %.*s %s", header, facts.sio.level, (int)facts.sio.policy.len,
		    (const char *)facts.sio.policy.ptr, facts.sio.bad);
}

#define SIO "SIO-Label: marking=\"SECRET\"; fgcolor=black; bgcolor=red;\r\n type=\":ess\"; "

/* RFC 7444: what the header says, beside what was signed, and beside what a recipient is cleared for. */
/* A banned certificate is told, and holds the mail where the site wants that. */
static void
a_banned_certificate(void **state)
{
	(void)state;
	signature("vanthu@x.example");
	DECIDES("ok");
	NOT_NOTED("M18");
	facts.cert_banned = slice_str("serial 6A, CN=Văn thư");
	DECIDES("ok");
	NOTED("M18:warn");
	memset(modes, MODE_ENFORCE, sizeof modes);
	facts.modes = modes;
	DECIDES("M18");
	EVIDENCE("serial 6A, CN=Văn thư");
}

static void
m17_sio_label(void **state)
{
	struct find_sig *s = signature("vanthu@x.example");
	struct slice rcpt = slice_str("an@y.example");
	const char *why;

	(void)state;
	assert_int_equal(sio_label_read(slice_str("Subject: x\r\n"), arena, &facts.sio), 0);
	assert_false(facts.sio.there);
	label(SIO "label=\"MQkGBCoDBAUCAQQ=\"\r\n", 4, "1.2.3.4.5", "");
	label("SIO-Label: type=\":ess\"; label*0=\"MQkGBCoDBAU\"; label*1=\"CAQM=\"\r\n", 3,
	    "1.2.3.4.5", "");
	label("SIO-Label: marking*=utf-8''T%E1%BB%90I%20M%E1%BA%ACT\r\n", 4, "", "");
	label("SIO-Label: marking=\"INTERNAL\"; type=\":xml\"; label=\"PHg+\"\r\n", -1, "", "");
	label(SIO "label=\"MQkGBCoDBAUCAQM=\"\r\n", 4, "1.2.3.4.5", ""); /* the marking says more */
	label(SIO "label=\"MQkGBCoD\"\r\n", 4, "", "its label cannot be read");
	label(SIO "label=\"MQYGBCoDBAU=\"; label=\"\"\r\n", 4, "1.2.3.4.5",
	    "a parameter stands twice");
	label("SIO-Label: fgcolor=red\r\n", -1, "", "neither label nor marking");
	label("SIO-Label: marking=MAT\r\nSIO-Label: marking=UNCLASSIFIED\r\n", 3, "",
	    "more than one SIO-Label");

	label(SIO "label=\"MQkGBCoDBAUCAQQ=\"\r\n", 4, "1.2.3.4.5", "");
	s->label = -1;
	DECIDES("ok");
	s->label = 4;
	s->label_policy = slice_str("1.2.3.4.5");
	DECIDES("ok");
	s->label = 2;
	DECIDES("M17");
	EVIDENCE("SIO-Label secret, signed restricted");
	s->label = 4;
	s->label_policy = slice_str("1.2.3.4.6");
	DECIDES("M17");
	EVIDENCE("policy 1.2.3.4.5, signed 1.2.3.4.6");
	facts.authenticated = facts.authors[0].is_ours = false;
	DECIDES("ok");
	NOTED("N10:warn");
	/* M11 reads it too */
	s->label = -1;
	facts.rcpts = &rcpt;
	facts.n_rcpts = 1;
	{
		struct clearances *c = clearances_new();

		assert_int_equal(clearances_add(c, "*=restricted", &why), 0);
		facts.clearances = c;
		DECIDES("M11");
		EVIDENCE("label secret, y.example is cleared for restricted");
		facts.clearances = NULL;
		clearances_free(c);
	}
}

static void
p12_secrecy_mark(void **state)
{
	(void)state;
	DECIDES("ok");
	findings_note(&scan, "secrecy_mark", NOTE_REJECT, slice_str("1.2"), "text: TỐI MẬT");
	DECIDES("P12");
	EVIDENCE("part 1.2, text: TỐI MẬT");
	/* what others send in is not ours to have kept back */
	facts.authenticated = facts.authors[0].is_ours = false;
	DECIDES("ok");
}

static void
p17_issued_document_is_pdf(void **state)
{
	(void)state;
	facts.official = facts.issued = true;
	signature("vanthu@x.example");
	DECIDES("ok"); /* an announcement without attachments */
	part("QD 15.docx", "docx", PART_ATTACHED);
	DECIDES("P17");
	EVIDENCE("part 2 \"QD 15.docx\": docx");
	part("QD 15.pdf", "pdf", PART_ATTACHED);
	DECIDES("ok"); /* the others are appendices */
}

static void
p17_lets_ordinary_mail_be(void **state)
{
	(void)state;
	facts.official = true; /* a functional mailbox, no symbol */
	signature("vanthu@x.example");
	part("lich.xlsx", "xlsx", PART_ATTACHED);
	DECIDES("ok");
	facts.issued = true;
	scan.parts = NULL;
	scan.n_parts = 0;
	part("logo.png", "png", PART_INLINE | PART_ATTACHED);
	DECIDES("ok");
	part("van-ban.zip", "zip", PART_ATTACHED | PART_HAS_PDF);
	DECIDES("ok");
}

static void
p22_programs_and_macros(void **state)
{
	struct find_part *p = part("a.docx", "docx", PART_ATTACHED);

	(void)state;
	DECIDES("ok");
	p->flags |= PART_MACRO;
	DECIDES("P22");
	EVIDENCE("part 2 \"a.docx\": docx, macro");
	p->flags = PART_EXEC;
	DECIDES("P22");
	/* from anybody */
	facts.authenticated = facts.authors[0].is_ours = false;
	DECIDES("P22");
}

static void
p23_locked_archive(void **state)
{
	struct find_part *p = part("a.zip", "zip", PART_ARCHIVE);

	(void)state;
	DECIDES("ok");
	p->flags |= PART_ENCRYPTED;
	DECIDES("P23");
	assert_int_equal(rule_table[rule_index(slice_str("P23"))].action, RULE_HOLD);
	/* what must be refused is not held */
	facts.official = true;
	DECIDES("P01");
	NOTED("P23:enforce");
	p->flags = PART_BROKEN;
	facts.official = false;
	DECIDES("ok");
	NOTED("N06:warn");
}

static void
p24_content_and_name(void **state)
{
	struct find_part *p = part("a.pdf", "pdf", 0);

	(void)state;
	DECIDES("ok");
	p->flags = PART_MISMATCH;
	DECIDES("P24");
	p->flags = PART_DECEPTIVE_NAME;
	DECIDES("P24");
	EVIDENCE("part 2 \"a.pdf\"");
}

static void
p25_size_of_all_attachments(void **state)
{
	(void)state;
	facts.attach_max = 20u << 20;
	scan.attach_size = 20u << 20;
	DECIDES("ok");
	scan.attach_size++;
	DECIDES("P25");
	EVIDENCE("20.0 MB > 20 MB");
	facts.attach_max = 0;
	DECIDES("ok");
	facts.attach_max = 1;
	facts.authenticated = facts.authors[0].is_ours = false;
	DECIDES("ok");
}

/* ---- P35 ---- */

static void
p35_own_address_from_outside(void **state)
{
	(void)state;
	facts.authenticated = false;
	facts.origin = ORIGIN_FAIL;
	facts.origin_text = slice_str("spf=fail dkim=none");
	DECIDES("P35");
	EVIDENCE("From vanthu@x.example, spf=fail dkim=none");
	facts.origin = ORIGIN_PASS;
	DECIDES("ok");
	NOT_NOTED("N05");
	facts.origin = ORIGIN_UNCHECKED;
	DECIDES("ok");
	NOTED("N05");
	facts.origin = ORIGIN_TEMPERROR;
	DECIDES("ok");
	NOTED("N05");
}

static void
p35_not_for_others_nor_signed_mail(void **state)
{
	(void)state;
	facts.origin = ORIGIN_FAIL;
	DECIDES("ok"); /* signed in */
	facts.authenticated = false;
	signature("vanthu@x.example");
	DECIDES("ok"); /* vouched for by a good signature */
	scan.sigs = NULL;
	scan.n_sigs = 0;
	facts.authors[0].is_ours = false;
	DECIDES("ok");
}

static const char *const ours[] = {"mx.x.example"};

static enum rule_origin
origin_of(const char *header)
{
	enum rule_origin o;
	struct buf b;

	buf_init(&b, 256);
	o = authres_read(slice_str(header), ours, 1, slice_str("x.example"), &b);
	snprintf(detail, sizeof detail, "%s", buf_cstr(&b));
	buf_done(&b);
	return o;
}

#define AR "Authentication-Results: "

static void
authentication_results_are_read(void **state)
{
	static const struct {
		const char *header;
		enum rule_origin want;
	} t[] = {{AR "mx.x.example; dmarc=pass header.from=x.example\r\n", ORIGIN_PASS},
	    {AR "mx.x.example;\r\n\tspf=pass smtp.mailfrom=a@x.example\r\n", ORIGIN_PASS},
	    {AR "mx.x.example; spf=pass smtp.mailfrom=bounces.x.example\r\n", ORIGIN_PASS},
	    {AR "\"mx.x.example\" 1; dkim=pass (2048-bit key) header.d=x.example header.s=s1\r\n",
		ORIGIN_PASS},
	    {AR "mx.x.example; dkim=pass header.i=@X.EXAMPLE\r\n", ORIGIN_PASS},
	    {AR "(c (n)) mx.x.example (x); dkim/1 = pass reason=\"good; really\" "
		"header.d=x.example\r\n",
		ORIGIN_PASS},
	    {AR "mx.x.example; spf=fail smtp.mailfrom=a@x.example\r\n" AR
		"mx.x.example; dkim=pass header.d=x.example\r\n",
		ORIGIN_PASS},
	    /* other domains' passes say nothing about ours */
	    {AR "mx.x.example; spf=pass smtp.mailfrom=a@evil.example\r\n", ORIGIN_FAIL},
	    {AR "mx.x.example; dkim=pass header.d=evilx.example\r\n", ORIGIN_FAIL},
	    {AR "mx.x.example; dkim=pass header.d=example\r\n", ORIGIN_FAIL},
	    {AR "mx.x.example; dkim=pass\r\n", ORIGIN_FAIL},
	    /* DMARC's word is last */
	    {AR "mx.x.example; dmarc=fail header.from=x.example; spf=pass "
		"smtp.mailfrom=x.example\r\n",
		ORIGIN_FAIL},
	    {AR "mx.x.example; spf=softfail smtp.mailfrom=x.example; dkim=none; dmarc=none\r\n",
		ORIGIN_FAIL},
	    {AR "mx.x.example; none\r\n", ORIGIN_FAIL}, {"Subject: x\r\n", ORIGIN_FAIL},
	    /* not ours, or not readable */
	    {AR "other.example; dmarc=pass header.from=x.example\r\n", ORIGIN_FAIL},
	    {AR "mx.x.example.evil; dmarc=pass header.from=x.example\r\n", ORIGIN_FAIL},
	    {AR "; dmarc=pass header.from=x.example\r\n", ORIGIN_FAIL},
	    {AR "mx.x.example; dmarc=\"pass header.from=x.example\r\n", ORIGIN_FAIL},
	    {AR "mx.x.example; reason=\"x; dmarc=pass header.from=x.example\"; spf=fail\r\n",
		ORIGIN_FAIL},
	    {AR "mx.x.example; (dmarc=pass header.from=x.example)\r\n", ORIGIN_FAIL},
	    /* our own zone does not answer; somebody else's may not for as long as he likes */
	    {AR "mx.x.example; dmarc=temperror header.from=x.example\r\n", ORIGIN_TEMPERROR},
	    {AR "mx.x.example; dkim=temperror header.d=evil.example; spf=fail\r\n", ORIGIN_FAIL}};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		if (origin_of(t[i].header) != t[i].want)
			fail_msg("%s: %d", t[i].header, origin_of(t[i].header));
	}
	origin_of(AR "mx.x.example; spf=pass smtp.mailfrom=evil.example; dkim=none\r\n");
	assert_string_equal(detail, "spf=pass (other domain) dkim=none");
	origin_of("Subject: x\r\n");
	assert_string_equal(detail, "spf=none dkim=none dmarc=none");
}

/* ---- modes ---- */

static void
add(struct modes *m, const char *item)
{
	const char *why = "";

	if (modes_add(m, item, &why) != 0)
		fail_msg("%s: %s", item, why);
}

static enum rule_mode
mode(const struct modes *m, const char *rule, const char *domain, const char *agency)
{
	unsigned char out[RULE_COUNT];

	modes_of(m, slice_str(domain), slice_str(agency), out);
	return (enum rule_mode)out[rule_index(slice_str(rule))];
}

static void
modes_by_scope(void **state)
{
	struct modes *m = modes_new();

	(void)state;
	assert_int_equal(mode(m, "P01", "x.example", ""), MODE_ENFORCE);
	assert_int_equal(mode(m, "M09", "x.example", ""), MODE_LOG);
	add(m, "P01=warn");
	add(m, "@x.example:P01=log");
	add(m, "H37:P01=off");
	add(m, "H37.02:P01=enforce");
	add(m, "*=log");
	assert_int_equal(mode(m, "P01", "y.example", ""), MODE_WARN); /* named beats "*" */
	assert_int_equal(mode(m, "P22", "y.example", ""), MODE_LOG);
	assert_int_equal(mode(m, "M01", "y.example", ""), MODE_ENFORCE); /* "*" is P rules */
	assert_int_equal(mode(m, "P01", "X.example", ""), MODE_LOG);
	assert_int_equal(mode(m, "P01", "x.example", "H37"), MODE_OFF);
	assert_int_equal(mode(m, "P01", "x.example", "H37.01"), MODE_OFF);
	assert_int_equal(mode(m, "P01", "x.example", "H37.02.11"), MODE_ENFORCE);
	assert_int_equal(mode(m, "P01", "x.example", "H371"), MODE_LOG);
	assert_int_equal(mode(m, "P01", "x.example", "h37.02"), MODE_ENFORCE);
	add(m, "P01=off");
	assert_int_equal(mode(m, "P01", "y.example", ""), MODE_OFF); /* the last of equals */
	modes_free(m);
}

static void
modes_that_are_wrong(void **state)
{
	static const char *const bad[] = {"", "P01", "P01=", "P01=maybe", "P99=log", "=log",
	    "x y:P01=log", ":P01=log", "@:P01=log", "H37:", "P01 log", "P01=log=off"};
	struct modes *m = modes_new();
	const char *why;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		why = NULL;
		if (modes_add(m, bad[i], &why) != ERR_SYNTAX || why == NULL)
			fail_msg("\"%s\" is taken", bad[i]);
	}
	assert_int_equal(modes_add_limit(m, "x", &why), ERR_SYNTAX);
	assert_int_equal(modes_add_limit(m, "H1:", &why), ERR_SYNTAX);
	modes_free(m);
}

static void
limits_by_scope(void **state)
{
	struct modes *m = modes_new();
	const char *why;

	(void)state;
	assert_int_equal(modes_limit(m, slice_str("x.example"), slice_str("")), 0);
	assert_int_equal(modes_add_limit(m, "20", &why), 0);
	assert_int_equal(modes_add_limit(m, "H37:50", &why), 0);
	assert_int_equal(modes_add_limit(m, "@y.example:0", &why), 0);
	assert_int_equal(modes_limit(m, slice_str("x.example"), slice_str("H37.1")), 50u << 20);
	assert_int_equal(modes_limit(m, slice_str("x.example"), slice_str("H38")), 20u << 20);
	assert_int_equal(modes_limit(m, slice_str("y.example"), slice_str("")), 0);
	modes_free(m);
}

static void
each_mode_does_what_it_says(void **state)
{
	(void)state;
	facts.official = true;
	facts.modes = modes;
	memset(modes, MODE_OFF, sizeof modes);
	DECIDES("ok");
	NOT_NOTED("P01");
	memset(modes, MODE_LOG, sizeof modes);
	DECIDES("ok");
	NOTED("P01:log");
	memset(modes, MODE_WARN, sizeof modes);
	DECIDES("ok");
	NOTED("P01:warn");
	memset(modes, MODE_ENFORCE, sizeof modes);
	DECIDES("P01");
}

static void
the_stricter_of_two(void **state)
{
	unsigned char a[RULE_COUNT], b[RULE_COUNT];

	(void)state;
	memset(a, MODE_LOG, sizeof a);
	memset(b, MODE_WARN, sizeof b);
	a[0] = MODE_ENFORCE;
	modes_stricter(a, b);
	assert_int_equal(a[0], MODE_ENFORCE);
	assert_int_equal(a[1], MODE_WARN);
}

/* ---- words ---- */

static void
refusals_fit_and_tell_everything(void **state)
{
	char long_detail[300];
	struct buf out;
	size_t i, k;

	(void)state;
	memset(long_detail, 'x', sizeof long_detail);
	for (i = 0; i < rule_table_len; i++) {
		const struct rule *r = &rule_table[i];

		buf_init(&out, 1000);
		rule_reply(r, slice_of(long_detail, sizeof long_detail), slice_str("QID17"), &out);
		assert_int_equal(out.err, 0);
		if (out.len > 490 || strstr(buf_cstr(&out), " [ticket QID17]") == NULL ||
		    strstr(buf_cstr(&out), " / ") == NULL ||
		    strncmp(buf_cstr(&out), r->id, strlen(r->id)) != 0)
			fail_msg("%s: %zu octets: %s", r->id, out.len, buf_cstr(&out));
		/* both texts whole, room left for evidence */
		if (strstr(buf_cstr(&out), r->en) == NULL ||
		    strstr(buf_cstr(&out), "(xxxxxxxxxx") == NULL)
			fail_msg("%s is cut: %s", r->id, buf_cstr(&out));
		for (k = 0; k < out.len; k++)
			assert_true(
			    out.data[k] >= 0x20 && out.data[k] < 0x7f && out.data[k] != '?');
		/* what to do: a second sentence, in both languages */
		if (r->action != RULE_NOTE && r->mode != MODE_WARN &&
		    strchr(r->en, '.') == r->en + strlen(r->en) - 1 && strchr(r->en, ';') == NULL)
			fail_msg("%s does not say what to do: %s", r->id, r->en);
		buf_done(&out);
	}
}

/* ---- P12 ---- */

static bool
found(bool (*fn)(struct slice, struct buf *), const char *text)
{
	struct buf b;
	bool yes;

	buf_init(&b, 256);
	yes = fn(slice_str(text), &b);
	buf_done(&b);
	return yes;
}

static void
marks_are_found(void **state)
{
	static const char *const subjects[] = {"TỐI MẬT", "[MẬT] Kế hoạch 15/KH-CAT",
	    "[Tối mật] kế hoạch", "(tuyệt mật) báo cáo", "TUYỆT MẬT: báo cáo",
	    "Báo cáo tháng 3 - TỐI MẬT", "MẬT - 15/BC-CAT", "Độ mật: Tối mật", "TOI MAT - bao cao",
	    "Re: [MẬT] báo cáo", "T\xe1\xbb\x90I M\xc3\x82\xcc\xa3T", "(Độ mật: Mật) 15/QĐ",
	    "[Khẩn][MẬT] họp"};
	static const char *const texts[] = {"MẬT\r\nSố: 15/QĐ", "Kính gửi\n  TỐI MẬT  \nx",
	    "**TUYỆT MẬT**", "Độ mật: Mật", "> độ mật : tối mật", "Mức độ mật - Tuyệt mật.",
	    "T U Y Ệ T   M Ậ T", "TỐI MẬT\t\tHà Nội, ngày 1", "UBND TỈNH        MẬT", "[TOI MAT]",
	    "Độ mật: Tối mật      Số bản: 2"};
	static const char *const names[] = {"TOI MAT_BC 15.pdf", "[MẬT] ke hoach.docx", "MẬT.pdf",
	    "ke-hoach-15-TUYET-MAT.docx", "TỐI MẬT - báo cáo.pdf", "TUYETMAT-1.pdf",
	    "bao-cao(MẬT).pdf"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof subjects / sizeof *subjects; i++) {
		if (!found(secrecy_in_subject, subjects[i]))
			fail_msg("subject \"%s\" is not found", subjects[i]);
	}
	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (!found(secrecy_in_text, texts[i]))
			fail_msg("text \"%s\" is not found", texts[i]);
	}
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		if (!found(secrecy_in_name, names[i]))
			fail_msg("name \"%s\" is not found", names[i]);
	}
}

static void
talk_of_secrets_is_no_mark(void **state)
{
	static const char *const subjects[] = {"Đổi mật khẩu hộp thư", "BẢO MẬT THÔNG TIN",
	    "MẬT KHẨU MỚI", "Tập huấn bảo vệ tài liệu Mật, Tối mật, Tuyệt mật",
	    "MẬT ONG RỪNG - báo giá", "Quy định về độ mật của văn bản", "Re: an toàn bảo mật",
	    "MAT", "Mật độ dân số", "TẬP HUẤN BẢO VỆ BÍ MẬT NHÀ NƯỚC", "Độ mật: Thường",
	    "Độ mật: không", "[Mat] x", "", "Luật Bảo vệ bí mật nhà nước 117/2025/QH15",
	    "Họp (mật độ giao thông)", "[Mật khẩu] x", "Danh mục bí mật nhà nước độ Tối mật",
	    "[Bảo mật] cập nhật"};
	static const char *const texts[] = {"Mật khẩu của anh là x", "Thông tin bảo mật", "mật",
	    "Mật", "Độ mật: Mật/Tối mật/Tuyệt mật", "Độ mật:", "độ mật: .......", "MẬT KHẨU",
	    "Tài liệu TỐI MẬT phải gửi theo đường văn bản mật.", "Độ mật: mật khẩu",
	    "Mật ong: 5 lít", "MAT\r\n",
	    "Độ mật (Mật, Tối mật, Tuyệt mật):", "Độ mật: Mật hoặc Tối mật", "\xff\xfe\x00"};
	static const char *const names[] = {"mat-khau.txt", "bao-mat.pdf",
	    "quy-dinh-tai-lieu-toi-mat.pdf", "MAT KHAU.docx", "mật ong.jpg",
	    "huong-dan-bao-ve-bi-mat.pdf", "MAT_BANG_TANG_1.dwg",
	    "QUY CHE BAO VE TAI LIEU TOI MAT.pdf", "Mat-bang.pdf", ""};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof subjects / sizeof *subjects; i++) {
		if (found(secrecy_in_subject, subjects[i]))
			fail_msg("subject \"%s\" is taken for a mark", subjects[i]);
	}
	for (i = 0; i < sizeof texts / sizeof *texts; i++) {
		if (found(secrecy_in_text, texts[i]))
			fail_msg("text \"%s\" is taken for a mark", texts[i]);
	}
	for (i = 0; i < sizeof names / sizeof *names; i++) {
		if (found(secrecy_in_name, names[i]))
			fail_msg("name \"%s\" is taken for a mark", names[i]);
	}
}

static void
html_is_read_as_shown(void **state)
{
	struct buf b, f;

	(void)state;
	buf_init(&b, 4096);
	buf_init(&f, 256);
	secrecy_html_text(
	    slice_str("<html><p style='x'>K&#237;nh g&#x1eed;i</p><td><b>T&#7888;I\r\n"
		      "&nbsp;M&#7852;T</b></td><p>x"),
	    &b);
	assert_true(secrecy_in_text(buf_slice(&b), &f));
	buf_reset(&b);
	buf_reset(&f);
	secrecy_html_text(slice_str("<p>MẬT <b>KHẨU</b></p>"), &b);
	assert_false(secrecy_in_text(buf_slice(&b), &f));
	buf_done(&b);
	buf_done(&f);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, begin, end)

int
main(void)
{
	const struct CMUnitTest tests[] = {T(a_banned_certificate), T(p01_unsigned_official_mail),
	    T(p04_expired), T(p05_revoked), T(p06_revocation_unknown), T(p08_former_address),
	    T(p08_not_for_an_address_of_now), T(p09_agency_key),
	    T(p09_is_content_with_the_agencys_key), T(m09_replies_of_an_office), T(p28_send_as),
	    T(p12_secrecy_mark), T(m16_mailing_lists), T(m17_sio_label), T(p27_auto_forward),
	    T(p30_archive_copy), T(p33_recipient_has_another_address), T(p14_by_the_agencys_record),
	    T(p17_issued_document_is_pdf), T(p17_lets_ordinary_mail_be), T(p22_programs_and_macros),
	    T(p23_locked_archive), T(p24_content_and_name), T(p25_size_of_all_attachments),
	    T(p35_own_address_from_outside), T(p35_not_for_others_nor_signed_mail),
	    T(authentication_results_are_read), T(modes_by_scope), T(modes_that_are_wrong),
	    T(limits_by_scope), T(each_mode_does_what_it_says), T(the_stricter_of_two),
	    T(refusals_fit_and_tell_everything), T(marks_are_found), T(talk_of_secrets_is_no_mark),
	    T(html_is_read_as_shown)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
