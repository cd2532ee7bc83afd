/* smime_test.c: the signature cases of MILTER.md section 5, from bytes to verdict: whole messages through scan_message and the rules.
 * Certificates and signatures are made by smime_certs.sh with openssl's command line. RFC 8550, RFC 8551, RFC 9598, RFC 5652. */
#include "config.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/mime.h"
#include "milter/facts.h"
#include "milter/scan_message.h"
#include "milter/smime_rev.h"
#include "tests/unit/unit.h"

#include <openssl/cms.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char dir[] = "/tmp/cv-smime-XXXXXX";
static struct smime_trust *trust;

static void
run(const char *const argv[])
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void
slurp(const char *name, struct buf *out)
{
	char path[300];
	FILE *f;
	int c;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "rb");
	if (f == NULL)
		fail_msg("no file %s", path);
	while ((c = fgetc(f)) != EOF)
		buf_append_byte(out, (unsigned char)c);
	fclose(f);
}

static int
setup(void **state)
{
	const char *src = getenv("srcdir");
	char script[1000], path[300];

	(void)state;
	snprintf(script, sizeof script, "%s/tests/unit/smime_certs.sh", src != NULL ? src : ".");
	assert_non_null(mkdtemp(dir));
	run((const char *const[]){"sh", script, dir, NULL});
	smime_init();
	snprintf(path, sizeof path, "%s/trust", dir);
	assert_int_equal(smime_trust_load(path, &trust), 0);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	smime_trust_free(trust);
	run((const char *const[]){"rm", "-rf", dir, NULL});
	return 0;
}

/* ---- messages ---- */

enum shape { CLEAR, OPAQUE, MIXED, FOOTER, RELATED, THREE_PARTS, JUNK_BASE64, PROTECTED };

static void
append_cms(struct buf *m, const char *der_name, bool opaque)
{
	struct buf der;

	buf_init(&der, 1 << 20);
	slurp(der_name, &der);
	if (opaque)
		buf_append_str(m, "Content-Type: application/pkcs7-mime; smime-type=signed-data; "
				  "name=smime.p7m\r\n");
	else
		buf_append_str(m, "Content-Type: application/pkcs7-signature; name=smime.p7s\r\n");
	buf_append_str(m, "Content-Transfer-Encoding: base64\r\n\r\n");
	b64_encode(buf_slice(&der), true, m);
	buf_done(&der);
}

static void
append_signed(struct buf *m, const char *der_name, const char *content_change, enum shape shape)
{
	struct buf content;
	ptrdiff_t at;

	buf_init(&content, 1 << 20);
	slurp(shape == PROTECTED ? "hp.bin" : "content.bin", &content);
	if (content_change != NULL) {
		at = slice_find(buf_slice(&content), slice_str("gửi"));
		assert_true(at > 0);
		content.data[at] = (unsigned char)content_change[0];
	}
	buf_append_str(m, "Content-Type: multipart/signed; "
			  "protocol=\"application/pkcs7-signature\"; micalg=sha-256; "
			  "boundary=\"sig\"\r\n\r\nThis is signed.\r\n--sig\r\n");
	buf_append_slice(m, buf_slice(&content));
	buf_append_str(m, "\r\n--sig\r\n");
	append_cms(m, der_name, false);
	if (shape == JUNK_BASE64)
		buf_append_str(m, "\r\n#junk#");
	if (shape == THREE_PARTS)
		buf_append_str(m, "\r\n--sig\r\n\r\nthird");
	buf_append_str(m, "\r\n--sig--\r\n");
	buf_done(&content);
}

static void
message(struct buf *m, const char *headers, const char *der, const char *change, enum shape shape)
{
	buf_append_str(m, headers);
	buf_append_str(m, "Date: Sat, 21 Nov 2026 08:00:00 +0700\r\nMIME-Version: 1.0\r\n");
	if (der == NULL) {
		buf_append_str(m, "Content-Type: text/plain\r\n\r\nplain\r\n");
	} else if (shape == OPAQUE) {
		append_cms(m, der, true);
	} else if (shape == MIXED || shape == FOOTER || shape == RELATED) {
		buf_append_str(m, shape == RELATED
				      ? "Content-Type: multipart/related; boundary=out\r\n\r\n"
				      : "Content-Type: multipart/mixed; boundary=out\r\n\r\n");
		if (shape != FOOTER)
			buf_append_str(m, "--out\r\n\r\nunsigned text\r\n");
		buf_append_str(m, "--out\r\n");
		append_signed(m, der, change, CLEAR);
		if (shape == FOOTER)
			buf_append_str(m, "--out\r\n\r\nlist footer\r\n");
		buf_append_str(m, "--out--\r\n");
	} else {
		append_signed(m, der, change, shape);
	}
	assert_int_equal(m->err, 0);
}

struct who {
	const char *domain; /* trust */
	bool authenticated, ours, functional, may_send_as;
	const char *known; /* a former address of the author */
	int64_t later;     /* seconds added to now */
};
static const struct who staff = {
    .domain = "x.example", .authenticated = true, .ours = true, .may_send_as = true};

static const char *const banned[] = {"exe", "js", "scr", "bat"};

/* The rule that decides, "ok" for none; notes_out: space-separated ids. */
static char last_why[200];

static const char *
judge(struct slice m, const struct who *w, char notes_out[200], enum sig_status *status_out,
    enum rev_state *rev_out)
{
	static const char *const names[] = {"X-VN-Doc"};
	static char decision[8];
	struct scan_params p = {
	    trust, slice_str(w->domain), (int64_t)time(NULL) + w->later, banned, 4};
	struct arena *a = arena_new(4 << 20), *a2 = arena_new(4 << 20);
	struct findings f, wire;
	struct rule_facts facts;
	struct verdict v;
	struct slice header = slice_sub(m, 0, hdr_body_offset(m)), known;
	struct buf enc;
	size_t i, n = 0;

	findings_init(&f, a);
	scan_message(m, &p, &f);
	/* as the milter sees it: over the wire */
	buf_init(&enc, 1 << 20);
	assert_int_equal(findings_encode(&f, &enc), 0);
	assert_int_equal(findings_decode(buf_slice(&enc), a2, &wire), 0);
	buf_done(&enc);
	memset(&facts, 0, sizeof facts);
	facts.scan = &wire;
	facts.authenticated = w->authenticated;
	assert_int_equal(facts_read(header, a2, &facts), 0);
	known = slice_str(w->known);
	for (i = 0; i < facts.n_authors; i++) {
		facts.authors[i].is_ours = w->ours;
		facts.authors[i].owner = w->functional ? OWNER_FUNCTIONAL : OWNER_PERSON;
		facts.authors[i].may_send_as = w->may_send_as;
		facts.authors[i].known = &known;
		facts.authors[i].n_known = w->known != NULL;
		facts.authors[i].n_current = 0;
	}
	facts_official(header, names, 1, &facts);
	rule_judge(&facts, &v);
	if (notes_out != NULL) {
		notes_out[0] = '\0';
		for (i = 0; i < v.n_notes; i++)
			n += (size_t)snprintf(notes_out + n, 200 - n, "%s ", v.notes[i].rule->id);
	}
	snprintf(last_why, sizeof last_why, "%.*s", wire.sigs != NULL ? (int)wire.sigs->why.len : 0,
	    wire.sigs != NULL ? (const char *)wire.sigs->why.ptr : "");
	if (status_out != NULL)
		*status_out = wire.sigs != NULL ? wire.sigs->status : 0;
	if (rev_out != NULL)
		*rev_out = wire.sigs != NULL ? wire.sigs->rev : 0;
	snprintf(decision, sizeof decision, "%s", v.decision != NULL ? v.decision->id : "ok");
	verdict_done(&v);
	arena_free(a);
	arena_free(a2);
	return decision;
}

#define FROM "From: Trần Bình <manager@x.example>\r\n"
#define DOC "X-VN-Doc: 15/QD-UBND\r\n"

static const struct {
	const char *label; /* number of MILTER.md's case, and words */
	const char *headers, *der, *change;
	enum shape shape;
	struct who who;
	const char *want, *note; /* "-N07": that one not */
} cases[] = {
    {"1 official, unsigned", FROM DOC, NULL, NULL, CLEAR, staff, "P01", NULL},
    {"1b official by symbol, unsigned", FROM "Subject: 15/QĐ-UBND v/v họp\r\n", NULL, NULL, CLEAR,
	staff, "P01", NULL},
    {"1c reply with symbol is ordinary", FROM "Subject: Re: 15/QĐ-UBND\r\n", NULL, NULL, CLEAR,
	staff, "ok", NULL},
    {"1d reply by References", FROM DOC "References: <a@b>\r\n", NULL, NULL, CLEAR, staff, "ok",
	NULL},
    {"1e auto-reply", FROM DOC "Auto-Submitted: auto-replied\r\n", NULL, NULL, CLEAR, staff, "ok",
	NULL},
    {"1f functional mailbox, unsigned", FROM, NULL, NULL, CLEAR,
	{"x.example", true, true, true, true, NULL, 0}, "P01", NULL},
    {"everyday, unsigned", FROM "Subject: chào anh\r\n", NULL, NULL, CLEAR, staff, "ok", NULL},
    {"citizen with a symbol", "From: dan@y.example\r\nSubject: 15/QĐ-UBND\r\n" DOC, NULL, NULL,
	CLEAR, {"y.example", false, false, false, false, NULL, 0}, "ok", NULL},
    {"2 valid", FROM DOC, "manager.der", NULL, CLEAR, staff, "ok", NULL},
    {"2b valid EC", FROM DOC, "ec.der", NULL, CLEAR, staff, "ok", NULL},
    {"2c valid PSS", FROM DOC, "pss.der", NULL, CLEAR, staff, "ok", NULL},
    {"2d valid, nonRepudiation only (G1 leaf)", FROM DOC, "nronly.der", NULL, CLEAR, staff, "ok",
	NULL},
    {"2e valid opaque", FROM DOC, "opaque.der", NULL, OPAQUE, staff, "ok", NULL},
    {"2g streamed BER, as some clients make it", FROM DOC, "streamed.der", NULL, OPAQUE, staff,
	"ok", NULL},
    {"2h signer named by key id, SHA-512", FROM DOC, "keyid.der", NULL, CLEAR, staff, "ok", NULL},
    {"2f case of the local part, ours", "From: Manager@X.Example\r\n" DOC, "manager.der", NULL,
	CLEAR, staff, "ok", NULL},
    {"3 one signed byte changed", FROM, "manager.der", "G", CLEAR, staff, "P02", NULL},
    {"4 From is not the signer", FROM, "eve.der", NULL, CLEAR, staff, "P07", NULL},
    {"4b certificate without address", FROM, "nosan.der", NULL, CLEAR, staff, "P07", NULL},
    {"5 From absent", "Subject: x\r\n", "manager.der", NULL, CLEAR, staff, "M02", NULL},
    {"5b From empty", "From: \r\n", "manager.der", NULL, CLEAR, staff, "M02", NULL},
    {"5c From without address", "From: Trần Bình\r\n", "manager.der", NULL, CLEAR, staff, "M02",
	NULL},
    {"6 display name with another address", "From: \"manager@x.example\" <eve@x.example>\r\n",
	"eve.der", NULL, CLEAR, staff, "M04", NULL},
    {"6b the same, encoded", "From: =?utf-8?B?bWFuYWdlckB4LmV4YW1wbGU=?= <eve@x.example>\r\n",
	"eve.der", NULL, CLEAR, staff, "M04", NULL},
    {"6c from outside", "From: \"manager@x.example\" <eve@y.example>\r\n", NULL, NULL, CLEAR,
	{"y.example", false, false, false, false, NULL, 0}, "ok", NULL},
    {"7 addr-spec decides", "From: \"eve@x.example\" <manager@x.example>\r\n", "eve.der", NULL,
	CLEAR, staff, "P07", NULL},
    {"8 two mailboxes, one signer", "From: manager@x.example, eve@x.example\r\n", "manager.der",
	NULL, CLEAR, staff, "M03", NULL},
    {"8b two mailboxes, two signers", "From: manager@x.example, eve@x.example\r\n", "two.der", NULL,
	CLEAR, staff, "ok", NULL},
    {"9 two From fields", FROM "From: eve@x.example\r\n", "manager.der", NULL, CLEAR, staff, "M01",
	NULL},
    {"9b the other order, from outside", "From: eve@y.example\r\n" FROM, NULL, NULL, CLEAR,
	{"y.example", false, false, false, false, NULL, 0}, "M01", NULL},
    {"10 Sender does not stand in", FROM "Sender: eve@x.example\r\n", "eve.der", NULL, CLEAR, staff,
	"P07", NULL},
    {"11 unsigned text before", FROM DOC, "manager.der", NULL, MIXED, staff, "P01", "N02"},
    {"11b everyday", FROM, "manager.der", NULL, MIXED, staff, "ok", "N02"},
    {"12 hidden in related", FROM DOC, "manager.der", NULL, RELATED, staff, "P01", "N02"},
    {"13 list footer", FROM DOC, "manager.der", NULL, FOOTER, staff, "P01", "N02"},
    {"14 eContent beside detached content", FROM, "opaque.der", NULL, CLEAR, staff, "P02", NULL},
    {"14b detached as opaque", FROM, "manager.der", NULL, OPAQUE, staff, "P02", NULL},
    {"15 certs-only", FROM, "certsonly.der", NULL, CLEAR, staff, "P02", NULL},
    {"16 a stranger's second signature", FROM, "twostranger.der", NULL, CLEAR, staff, "P03", NULL},
    {"17 no signedAttrs", FROM, "noattr.der", NULL, CLEAR, staff, "P02", NULL},
    {"18 two messageDigest attributes", FROM, "dupattr.der", NULL, CLEAR, staff, "P02", NULL},
    {"19 SHA-1", FROM, "sha1.der", NULL, CLEAR, staff, "P10", NULL},
    {"20 RSA-1024", FROM, "weak.der", NULL, CLEAR, staff, "P10", NULL},
    {"21 expired at receipt", FROM, "manager.der", NULL, CLEAR,
	{"x.example", true, true, false, true, NULL, 4000LL * 86400}, "P04", NULL},
    {"22 revoked", FROM, "revoked.der", NULL, CLEAR,
	{"crl.example", true, true, false, true, NULL, 0}, "P05", NULL},
    {"22b good by CRL", FROM DOC, "manager.der", NULL, CLEAR,
	{"crl.example", true, true, false, true, NULL, 0}, "ok", NULL},
    {"24 CRL too old, official", FROM DOC, "manager.der", NULL, CLEAR,
	{"old.example", true, true, false, true, NULL, 60}, "P06", NULL},
    {"24b CRL too old, everyday", FROM, "manager.der", NULL, CLEAR,
	{"old.example", true, true, false, true, NULL, 60}, "ok", "N04"},
    {"25 embedded CRL revokes", FROM, "embedded.der", NULL, CLEAR, staff, "P05", NULL},
    {"26 EKU serverAuth", FROM, "server.der", NULL, CLEAR, staff, "P02", NULL},
    {"26b CA as signer", FROM, "caleaf.der", NULL, CLEAR, staff, "P02", NULL},
    {"26c KU without signing", FROM, "encrypt.der", NULL, CLEAR, staff, "P02", NULL},
    {"27 anchor of another domain", FROM, "stranger.der", NULL, CLEAR, staff, "P03", NULL},
    {"27b no anchors for the domain", FROM, "manager.der", NULL, CLEAR,
	{"z.example", true, true, false, true, NULL, 0}, "P03", NULL},
    {"29 SmtpUTF8Mailbox", "From: bình@x.example\r\n", "utf8.der", NULL, CLEAR, staff, "ok", NULL},
    {"29b the same in NFD", "From: bi\xcc\x80nh@x.example\r\n", "utf8.der", NULL, CLEAR, staff,
	"P07", NULL},
    {"30 protected header, RFC 9788", FROM "Subject: Họp giao\r\n ban\r\n", "hp.der", NULL, OPAQUE,
	staff, "ok", "-N07"},
    {"30b Subject is another one", FROM "Subject: Họp kín\r\n", "hp.der", NULL, OPAQUE, staff, "ok",
	"N07"},
    {"30c Subject is gone", FROM, "hp.der", NULL, OPAQUE, staff, "ok", "N07"},
    {"30d From is another one", FROM, "hpeve.der", NULL, OPAQUE, staff, "M10", NULL},
    {"30e a second author outside",
	"From: manager@x.example, eve@x.example\r\nSender: manager@x.example\r\n"
	"Subject: Họp giao ban\r\n",
	"hp.der", NULL, OPAQUE, staff, "M03", NULL},
    {"30f the older form", FROM "Subject: x\r\n", "hpold.der", NULL, OPAQUE, staff, "ok", "N07"},
    {"30g message/rfc822, forwarded=no", FROM "Subject: x\r\n", "hpwrap.der", NULL, OPAQUE, staff,
	"ok", "N07"},
    {"30h fields that claim no protection", FROM "Subject: x\r\n", "hpnone.der", NULL, OPAQUE,
	staff, "ok", "-N07"},
    {"30i clear-signed", FROM "Subject: x\r\n", "hpclear.der", NULL, PROTECTED, staff, "ok", "N07"},
    {"30j from outside, by a list", "From: list@y.example\r\nSubject: Họp giao ban\r\n", "hp.der",
	NULL, OPAQUE, {"y.example", false, false, false, false, NULL, 0}, "ok", "N07"},
    {"P08 former address", FROM, "former.der", NULL, CLEAR,
	{"x.example", true, true, false, true, "manager.old@x.example", 0}, "ok", "P08"},
    {"M04 comment before the address", "From: (manager@x.example) Eve <eve@x.example>\r\n",
	"eve.der", NULL, CLEAR, staff, "M04", NULL},
    {"M04 comment without angle brackets", "From: (manager@x.example) eve@x.example\r\n", "eve.der",
	NULL, CLEAR, staff, "M04", NULL},
    {"own address in a comment", "From: Eve <eve@x.example> (eve@x.example)\r\n", "eve.der", NULL,
	CLEAR, staff, "ok", NULL},
    {"4c agency box, somebody else's key", FROM, "eve.der", NULL, CLEAR,
	{"x.example", true, true, true, true, NULL, 0}, "P07", NULL},
    {"P09 agency box, its own key", "From: vanthu@x.example\r\n", "vanthu.der", NULL, CLEAR,
	{"x.example", true, true, true, true, NULL, 0}, "ok", NULL},
    {"M09 reply from an agency box, unsigned", FROM "Subject: Re: x\r\n", NULL, NULL, CLEAR,
	{"x.example", true, true, true, true, NULL, 0}, "ok", "M09"},
    {"1g symbol in wide digits, with dashes of a word processor",
	FROM "Subject: \xef\xbc\x91\xef\xbc\x95\xef\xbc\x8fQĐ–UBND về việc\r\n", NULL, NULL, CLEAR,
	staff, "P01", NULL},
    {"23 revoked, signed before that by its own word", FROM DOC, "revoked.der", NULL, CLEAR,
	{"crl.example", true, true, false, true, NULL, 0}, "P05", NULL},
    {"P28 no right to send as", FROM, NULL, NULL, CLEAR,
	{"x.example", true, true, false, false, NULL, 0}, "P28", NULL},
    {"three parts", FROM, "manager.der", NULL, THREE_PARTS, staff, "P02", NULL},
    {"junk in the signature's base64", FROM, "manager.der", NULL, JUNK_BASE64, staff, "P02", NULL},
    {"bytes behind the CMS object", FROM, "trailing.der", NULL, CLEAR, staff, "P02", NULL},
    {"encrypted, official", FROM DOC, "encrypted.der", NULL, OPAQUE, staff, "P01", NULL},
    {"encrypted, everyday", FROM, "encrypted.der", NULL, OPAQUE, staff, "ok", NULL},
    {"foreign, broken", "From: manager@y.example\r\n", "stranger.der", "G", CLEAR,
	{"y.example", false, false, false, false, NULL, 0}, "ok", "N01"},
    {"foreign, mail of our domain, unauthenticated, broken", FROM, "manager.der", "G", CLEAR,
	{"x.example", false, true, false, false, NULL, 0}, "P02", "N05"},
};

static void
cases_are_judged(void **state)
{
	char notes[200];
	struct buf m;
	size_t i;
	int wrong = 0;

	(void)state;
	for (i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *got;

		buf_init(&m, 1 << 20);
		message(&m, cases[i].headers, cases[i].der, cases[i].change, cases[i].shape);
		got = judge(buf_slice(&m), &cases[i].who, notes, NULL, NULL);
		if (strcmp(got, cases[i].want) != 0 ||
		    (cases[i].note != NULL && cases[i].note[0] != '-' &&
			strstr(notes, cases[i].note) == NULL) ||
		    (cases[i].note != NULL && cases[i].note[0] == '-' &&
			strstr(notes, cases[i].note + 1) != NULL)) {
			print_error("case %s: %s (%s; notes %s), expected %s\n", cases[i].label,
			    got, last_why, notes, cases[i].want);
			wrong++;
		}
		buf_done(&m);
	}
	assert_int_equal(wrong, 0);
}

/* Every single byte of the signed part counts, white space and line ends included. */
static void
every_signed_byte_counts(void **state)
{
	enum sig_status st;
	struct buf m;
	struct slice s;
	ptrdiff_t from, to, i;

	(void)state;
	buf_init(&m, 1 << 20);
	message(&m, FROM, "manager.der", NULL, CLEAR);
	s = buf_slice(&m);
	from = slice_find(s, slice_str("--sig\r\n")) + 7;
	to = from + slice_find(slice_from(s, (size_t)from), slice_str("\r\n--sig\r\n"));
	for (i = from; i < to; i++) {
		unsigned char was = m.data[i];

		m.data[i] = was == 'x' ? 'y' : 'x';
		judge(s, &staff, NULL, &st, NULL);
		m.data[i] = was;
		if (st == SIG_VALID)
			fail_msg("a change at %zd goes unnoticed", i - from);
	}
	judge(s, &staff, NULL, &st, NULL);
	assert_int_equal(st, SIG_VALID);
	buf_done(&m);
}

/* Refused for what they are, not because something else fails. */
static void
reasons_are_right(void **state)
{
	static const struct {
		const char *der, *why;
		enum shape shape;
	} t[] = {{"dupattr.der", "exactly one value", CLEAR},
	    {"noattr.der", "no signed attributes", CLEAR},
	    {"opaque.der", "content inside a detached", CLEAR},
	    {"certsonly.der", "no signer", CLEAR}, {"sha1.der", "digest algorithm", CLEAR},
	    {"weak.der", "2048", CLEAR}, {"caleaf.der", "CA's", CLEAR},
	    {"server.der", "extended key usage", CLEAR}, {"encrypt.der", "key usage", CLEAR},
	    {"trailing.der", "bytes behind", CLEAR}, {"manager.der", "two parts", THREE_PARTS},
	    {"manager.der", "strict base64", JUNK_BASE64}};
	struct buf m;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		buf_init(&m, 1 << 20);
		message(&m, FROM, t[i].der, NULL, t[i].shape);
		judge(buf_slice(&m), &staff, NULL, NULL, NULL);
		if (strstr(last_why, t[i].why) == NULL)
			fail_msg("%s: \"%s\", not \"%s\"", t[i].der, last_why, t[i].why);
		buf_done(&m);
	}
}

static void
revocation_is_three_valued(void **state)
{
	struct who w = staff;
	enum rev_state rev;
	struct buf m;

	(void)state;
	buf_init(&m, 1 << 20);
	message(&m, FROM, "manager.der", NULL, CLEAR);
	judge(buf_slice(&m), &w, NULL, NULL, &rev);
	assert_int_equal(rev, REV_UNCHECKED);
	w.domain = "crl.example";
	judge(buf_slice(&m), &w, NULL, NULL, &rev);
	assert_int_equal(rev, REV_GOOD);
	w.domain = "old.example";
	w.later = 60;
	judge(buf_slice(&m), &w, NULL, NULL, &rev);
	assert_int_equal(rev, REV_UNKNOWN);
	buf_done(&m);
}

static int
put_crl(const char *file, const char *key, int64_t *from)
{
	int64_t to;
	struct buf b;
	int err;

	buf_init(&b, 1 << 20);
	slurp(file, &b);
	err = smime_rev_put(
	    trust, WANT_CRL, slice_str(key), buf_slice(&b), (int64_t)time(NULL), from, &to);
	buf_done(&b);
	return err;
}

/* What was fetched: it counts for whom its issuer signed, an older one changes nothing, one from the future or no CRL is not taken. */
static void
fetched_crls(void **state)
{
	struct who w = staff;
	int64_t newer = 0, older = 0;
	enum rev_state rev;
	struct buf m;

	(void)state;
	buf_init(&m, 1 << 20);
	message(&m, FROM, "revoked.der", NULL, CLEAR);
	judge(buf_slice(&m), &w, NULL, NULL, &rev);
	assert_int_equal(rev, REV_UNCHECKED);
	assert_int_equal(put_crl("trust/crl.example/root.crl", "k", &newer), 0);
	judge(buf_slice(&m), &w, NULL, NULL, &rev);
	assert_int_equal(rev, REV_REVOKED);
	assert_int_equal(put_crl("older.crl", "k", &older), 0);
	assert_int_equal(older, newer);
	assert_int_equal(put_crl("future.crl", "k2", &older), ERR_SYNTAX);
	assert_int_equal(put_crl("manager.der", "k3", &older), ERR_SYNTAX);
	judge(buf_slice(&m), &w, NULL, NULL, &rev);
	assert_int_equal(rev, REV_REVOKED);
	smime_rev_drop(trust, slice_str("k"));
	smime_rev_drop(trust, slice_str("never there"));
	judge(buf_slice(&m), &w, NULL, NULL, &rev);
	assert_int_equal(rev, REV_UNCHECKED);
	/* require: what names no source is unknown */
	smime_trust_need(trust, SMIME_REV_REQUIRE);
	judge(buf_slice(&m), &w, NULL, NULL, &rev);
	assert_int_equal(rev, REV_UNKNOWN);
	smime_trust_need(trust, SMIME_REV_OFF);
	buf_done(&m);
}

static void
reply_names_rule_and_ticket(void **state)
{
	struct buf out;

	(void)state;
	buf_init(&out, 1000);
	rule_reply(&rule_table[0], slice_str("đ%\r\n"), slice_str("Q1"), &out);
	assert_string_equal(buf_cstr(&out),
	    "M01 Thu co nhieu truong From. Hay de mot truong From. / "
	    "The message has more than one From field. Keep one. (d%  ) [ticket Q1]");
	buf_done(&out);
}

/* ---- what the command line cannot make ---- */

static CMS_ContentInfo *
read_cms(const char *name)
{
	struct buf b;
	const unsigned char *p;
	CMS_ContentInfo *cms;

	buf_init(&b, 1 << 20);
	slurp(name, &b);
	p = b.data;
	cms = d2i_CMS_ContentInfo(NULL, &p, (long)b.len);
	assert_non_null(cms);
	buf_done(&b);
	return cms;
}

static void
write_cms(CMS_ContentInfo *cms, const char *name)
{
	char path[300];
	BIO *bio;
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "wb");
	assert_non_null(f);
	bio = BIO_new_fp(f, BIO_CLOSE);
	assert_int_equal(i2d_CMS_bio(bio, cms), 1);
	BIO_free(bio);
	CMS_ContentInfo_free(cms);
}

static FILE *
open_in(const char *name)
{
	char path[300];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "rb");
	assert_non_null(f);
	return f;
}

static int
make_more(void **state)
{
	CMS_ContentInfo *cms;
	CMS_SignerInfo *si;
	X509_ATTRIBUTE *attr;
	X509_CRL *crl;
	X509 *cert;
	EVP_PKEY *key;
	unsigned char digest[32] = {1};
	FILE *f;
	BIO *bio;

	if (setup(state) != 0)
		return -1;
	cms = read_cms("revoked.der");
	f = open_in("embedded.pem");
	crl = PEM_read_X509_CRL(f, NULL, NULL, NULL);
	fclose(f);
	assert_int_equal(CMS_add1_crl(cms, crl), 1);
	X509_CRL_free(crl);
	write_cms(cms, "embedded.der");

	f = open_in("manager.pem");
	cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	f = open_in("k1.key");
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	bio = BIO_new_file("/dev/null", "rb");
	cms = CMS_sign(NULL, NULL, NULL, bio, CMS_PARTIAL | CMS_DETACHED | CMS_BINARY);
	BIO_free(bio);
	si = CMS_add1_signer(cms, cert, key, EVP_sha256(), CMS_PARTIAL | CMS_BINARY);
	assert_non_null(si);
	f = open_in("content.bin");
	bio = BIO_new_fp(f, BIO_CLOSE);
	assert_int_equal(CMS_final(cms, bio, NULL, CMS_BINARY | CMS_DETACHED), 1);
	BIO_free(bio);
	/* a second messageDigest value (OpenSSL will not sign such a thing again) */
	attr = CMS_signed_get_attr(si, CMS_signed_get_attr_by_NID(si, NID_pkcs9_messageDigest, -1));
	assert_int_equal(X509_ATTRIBUTE_set1_data(attr, V_ASN1_OCTET_STRING, digest, 32), 1);
	write_cms(cms, "dupattr.der");
	X509_free(cert);
	EVP_PKEY_free(key);
	return 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(cases_are_judged),
	    cmocka_unit_test(every_signed_byte_counts), cmocka_unit_test(reasons_are_right),
	    cmocka_unit_test(revocation_is_three_valued), cmocka_unit_test(fetched_crls),
	    cmocka_unit_test(reply_names_rule_and_ticket)};

	return cmocka_run_group_tests(tests, make_more, teardown);
}
