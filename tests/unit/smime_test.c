/* smime_test.c: the signature cases of MILTER.md section 5, from bytes to verdict: whole messages through scan_message and the rules.
 * Certificates and signatures are made by smime_certs.sh with openssl's command line. RFC 8550, RFC 8551, RFC 9598, RFC 5652. */
#include "config.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/mime.h"
#include "milter/facts.h"
#include "lib/crypto.h"
#include "milter/modes.h"
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
static struct clearances *clearances;

static void
run(const char *const argv[])
{
	int status = -1;
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
	const char *why;

	(void)state;
	snprintf(script, sizeof script, "%s/tests/unit/smime_certs.sh", src != NULL ? src : ".");
	assert_non_null(mkdtemp(dir));
	run((const char *const[]){"sh", script, dir, NULL});
	smime_init();
	snprintf(path, sizeof path, "%s/trust", dir);
	assert_int_equal(smime_trust_load(path, &trust), 0);
	clearances = clearances_new();
	assert_int_equal(clearances_add(clearances, "*=restricted", &why), 0);
	assert_int_equal(clearances_add(clearances, "x.example = secret", &why), 0);
	assert_int_equal(clearances_add(clearances, ".z.example=top-secret", &why), 0);
	assert_int_equal(clearances_add(clearances, "z.example=hush", &why), ERR_SYNTAX);
	assert_int_equal(clearances_add(clearances, "=secret", &why), ERR_SYNTAX);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	smime_trust_free(trust);
	clearances_free(clearances);
	run((const char *const[]){"rm", "-rf", dir, NULL});
	return 0;
}

/* ---- messages ---- */

enum shape { CLEAR, OPAQUE, MIXED, FOOTER, RELATED, THREE_PARTS, JUNK_BASE64, PROTECTED, QUOTED };

static void
append_quoted(struct buf *m, struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		buf_appendf(m, "%s=%02X", i > 0 && i % 24 == 0 ? "=\r\n" : "", s.ptr[i]);
}

static void
append_cms(struct buf *m, const char *der_name, bool opaque, bool quoted)
{
	struct buf der;

	buf_init(&der, 1 << 20);
	slurp(der_name, &der);
	if (opaque)
		buf_append_str(m, "Content-Type: application/pkcs7-mime; smime-type=signed-data; "
				  "name=smime.p7m\r\n");
	else
		buf_append_str(m, "Content-Type: application/pkcs7-signature; name=smime.p7s\r\n");
	buf_append_str(m, quoted ? "Content-Transfer-Encoding: quoted-printable\r\n\r\n"
				 : "Content-Transfer-Encoding: base64\r\n\r\n");
	if (quoted)
		append_quoted(m, buf_slice(&der));
	else
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
	append_cms(m, der_name, false, shape == QUOTED);
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
		append_cms(m, der, true, false);
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
	const char *mode;  /* policy_modes */
	const char *rcpt;
};
/* an initializer: a constant object is none inside another one's, by the standard */
#define STAFF                                                                                   \
	{                                                                                       \
		.domain = "x.example", .authenticated = true, .ours = true, .may_send_as = true \
	}
static const struct who staff = STAFF;

static const char *const banned[] = {"exe", "js", "scr", "bat"};

/* The rule that decides, "ok" for none; notes_out: space-separated ids. */
static char last_why[200];

static const char *
judge(struct slice m, const struct who *w, char notes_out[200], enum sig_status *status_out,
    enum rev_state *rev_out)
{
	static const char *const names[] = {"X-VN-Doc"};
	static char decision[8];
	struct scan_params p = {.trust = trust,
	    .domain = slice_str(w->domain),
	    .now = (int64_t)time(NULL) + w->later,
	    .banned = banned,
	    .n_banned = 4};
	struct arena *a = arena_new(4 << 20), *a2 = arena_new(4 << 20);
	struct findings f, wire;
	struct rule_facts facts;
	struct verdict v;
	struct slice header = slice_sub(m, 0, hdr_body_offset(m)), known, rcpt;
	unsigned char modes[RULE_COUNT];
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
	rcpt = slice_str(w->rcpt);
	facts.rcpts = &rcpt;
	facts.n_rcpts = w->rcpt != NULL;
	facts.clearances = clearances;
	if (w->mode != NULL) {
		struct modes *own = modes_new();
		const char *why;

		assert_int_equal(modes_add(own, w->mode, &why), 0);
		modes_of(own, slice_str(w->domain), slice_str(""), modes);
		modes_free(own);
		facts.modes = modes;
	}
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
	const char *label; /* "case_NN": MILTER.md's number (make lint counts them), and words */
	const char *headers, *der, *change;
	enum shape shape;
	struct who who;
	const char *want, *note; /* "-N07": that one not */
} cases[] = {
    {"case_01_official_unsigned", FROM DOC, NULL, NULL, CLEAR, STAFF, "P01", NULL},
    {"case_01b_official_by_symbol_unsigned", FROM "Subject: 15/QĐ-UBND v/v họp\r\n", NULL, NULL,
	CLEAR, STAFF, "P01", NULL},
    {"case_01c_reply_with_symbol_is_ordinary", FROM "Subject: Re: 15/QĐ-UBND\r\n", NULL, NULL,
	CLEAR, STAFF, "ok", NULL},
    {"case_01d_reply_by_references", FROM DOC "References: <a@b>\r\n", NULL, NULL, CLEAR, STAFF,
	"ok", NULL},
    {"case_01e_auto_reply", FROM DOC "Auto-Submitted: auto-replied\r\n", NULL, NULL, CLEAR, STAFF,
	"ok", NULL},
    {"case_01f_functional_mailbox_unsigned", FROM, NULL, NULL, CLEAR,
	{"x.example", true, true, true, true, NULL, 0, NULL, NULL}, "P01", NULL},
    {"also_everyday_unsigned", FROM "Subject: chào anh\r\n", NULL, NULL, CLEAR, STAFF, "ok", NULL},
    {"also_citizen_with_a_symbol", "From: dan@y.example\r\nSubject: 15/QĐ-UBND\r\n" DOC, NULL, NULL,
	CLEAR, {"y.example", false, false, false, false, NULL, 0, NULL, NULL}, "ok", NULL},
    {"case_02_valid", FROM DOC, "manager.der", NULL, CLEAR, STAFF, "ok", NULL},
    {"case_02b_valid_ec", FROM DOC, "ec.der", NULL, CLEAR, STAFF, "ok", NULL},
    {"case_02c_valid_pss", FROM DOC, "pss.der", NULL, CLEAR, STAFF, "ok", NULL},
    {"case_02i_valid_in_quoted_printable", FROM DOC, "manager.der", NULL, QUOTED, STAFF, "ok",
	NULL},
    {"case_03c_changed_in_quoted_printable", FROM, "manager.der", "G", QUOTED, STAFF, "P02", NULL},
    {"case_19d_pss_with_sha_1_in_its_mask", FROM, "pssmask.der", NULL, CLEAR, STAFF, "P10", NULL},
    {"case_02d_valid_nonrepudiation_only_g1_leaf", FROM DOC, "nronly.der", NULL, CLEAR, STAFF, "ok",
	NULL},
    {"case_02e_valid_opaque", FROM DOC, "opaque.der", NULL, OPAQUE, STAFF, "ok", NULL},
    {"case_02g_streamed_ber_as_some_clients_make_it", FROM DOC, "streamed.der", NULL, OPAQUE, STAFF,
	"ok", NULL},
    {"case_02h_signer_named_by_key_id_sha_512", FROM DOC, "keyid.der", NULL, CLEAR, STAFF, "ok",
	NULL},
    {"case_02f_case_of_the_local_part_ours", "From: Manager@X.Example\r\n" DOC, "manager.der", NULL,
	CLEAR, STAFF, "ok", NULL},
    {"case_03_one_signed_byte_changed", FROM, "manager.der", "G", CLEAR, STAFF, "P02", NULL},
    {"case_04_from_is_not_the_signer", FROM, "eve.der", NULL, CLEAR, STAFF, "P07", NULL},
    {"case_04b_certificate_without_address", FROM, "nosan.der", NULL, CLEAR, STAFF, "P07", NULL},
    {"case_05_from_absent", "Subject: x\r\n", "manager.der", NULL, CLEAR, STAFF, "M02", NULL},
    {"case_05b_from_empty", "From: \r\n", "manager.der", NULL, CLEAR, STAFF, "M02", NULL},
    {"case_05c_from_without_address", "From: Trần Bình\r\n", "manager.der", NULL, CLEAR, STAFF,
	"M02", NULL},
    {"case_06_display_name_with_another_address", "From: \"manager@x.example\" <eve@x.example>\r\n",
	"eve.der", NULL, CLEAR, STAFF, "M04", NULL},
    {"case_06b_the_same_encoded", "From: =?utf-8?B?bWFuYWdlckB4LmV4YW1wbGU=?= <eve@x.example>\r\n",
	"eve.der", NULL, CLEAR, STAFF, "M04", NULL},
    {"case_06c_from_outside", "From: \"manager@x.example\" <eve@y.example>\r\n", NULL, NULL, CLEAR,
	{"y.example", false, false, false, false, NULL, 0, NULL, NULL}, "ok", NULL},
    {"case_07_addr_spec_decides", "From: \"eve@x.example\" <manager@x.example>\r\n", "eve.der",
	NULL, CLEAR, STAFF, "P07", NULL},
    {"case_08_two_mailboxes_one_signer", "From: manager@x.example, eve@x.example\r\n",
	"manager.der", NULL, CLEAR, STAFF, "M03", NULL},
    {"case_08b_two_mailboxes_two_signers", "From: manager@x.example, eve@x.example\r\n", "two.der",
	NULL, CLEAR, STAFF, "ok", NULL},
    {"case_09_two_from_fields", FROM "From: eve@x.example\r\n", "manager.der", NULL, CLEAR, STAFF,
	"M01", NULL},
    {"case_09b_the_other_order_from_outside", "From: eve@y.example\r\n" FROM, NULL, NULL, CLEAR,
	{"y.example", false, false, false, false, NULL, 0, NULL, NULL}, "M01", NULL},
    {"case_10_sender_does_not_stand_in", FROM "Sender: eve@x.example\r\n", "eve.der", NULL, CLEAR,
	STAFF, "P07", NULL},
    {"case_11_unsigned_text_before", FROM DOC, "manager.der", NULL, MIXED, STAFF, "P01", "N02"},
    {"case_11b_everyday", FROM, "manager.der", NULL, MIXED, STAFF, "ok", "N02"},
    {"case_12_hidden_in_related", FROM DOC, "manager.der", NULL, RELATED, STAFF, "P01", "N02"},
    {"case_13_list_footer", FROM DOC, "manager.der", NULL, FOOTER, STAFF, "P01", "N02"},
    {"case_14_econtent_beside_detached_content", FROM, "opaque.der", NULL, CLEAR, STAFF, "P02",
	NULL},
    {"case_14b_detached_as_opaque", FROM, "manager.der", NULL, OPAQUE, STAFF, "P02", NULL},
    {"case_15_certs_only", FROM, "certsonly.der", NULL, CLEAR, STAFF, "P02", NULL},
    {"case_16_a_stranger_s_second_signature", FROM, "twostranger.der", NULL, CLEAR, STAFF, "P03",
	NULL},
    {"case_17_no_signedattrs", FROM, "noattr.der", NULL, CLEAR, STAFF, "P02", NULL},
    {"case_18_two_messagedigest_attributes", FROM, "dupattr.der", NULL, CLEAR, STAFF, "P02", NULL},
    {"case_19_sha_1", FROM, "sha1.der", NULL, CLEAR, STAFF, "P10", NULL},
    {"case_20_rsa_1024", FROM, "weak.der", NULL, CLEAR, STAFF, "P10", NULL},
    {"case_21_expired_at_receipt", FROM, "manager.der", NULL, CLEAR,
	{"x.example", true, true, false, true, NULL, 4000LL * 86400, NULL, NULL}, "P04", NULL},
    {"case_22_revoked", FROM, "revoked.der", NULL, CLEAR,
	{"crl.example", true, true, false, true, NULL, 0, NULL, NULL}, "P05", NULL},
    {"case_22b_good_by_crl", FROM DOC, "manager.der", NULL, CLEAR,
	{"crl.example", true, true, false, true, NULL, 0, NULL, NULL}, "ok", NULL},
    {"case_24_crl_too_old_official", FROM DOC, "manager.der", NULL, CLEAR,
	{"old.example", true, true, false, true, NULL, 60, NULL, NULL}, "P06", NULL},
    {"case_24b_crl_too_old_everyday", FROM, "manager.der", NULL, CLEAR,
	{"old.example", true, true, false, true, NULL, 60, NULL, NULL}, "ok", "N04"},
    {"case_25_embedded_crl_revokes", FROM, "embedded.der", NULL, CLEAR, STAFF, "P05", NULL},
    {"case_26_eku_serverauth", FROM, "server.der", NULL, CLEAR, STAFF, "P02", NULL},
    {"case_26b_ca_as_signer", FROM, "caleaf.der", NULL, CLEAR, STAFF, "P02", NULL},
    {"case_26c_ku_without_signing", FROM, "encrypt.der", NULL, CLEAR, STAFF, "P02", NULL},
    {"case_27_anchor_of_another_domain", FROM, "stranger.der", NULL, CLEAR, STAFF, "P03", NULL},
    {"case_27b_no_anchors_for_the_domain", FROM, "manager.der", NULL, CLEAR,
	{"z.example", true, true, false, true, NULL, 0, NULL, NULL}, "P03", NULL},
    {"case_28_signing_time_hours_off", FROM DOC, "manager.der", NULL, CLEAR, STAFF, "ok", "N03"},
    {"case_28b_refused_where_policy_says_so", FROM DOC, "manager.der", NULL, CLEAR,
	{"x.example", true, true, false, true, NULL, 0, "N03=enforce", NULL}, "N03", NULL},
    {"case_29_smtputf8mailbox", "From: bình@x.example\r\n", "utf8.der", NULL, CLEAR, STAFF, "ok",
	NULL},
    {"case_29b_the_same_in_nfd", "From: bi\xcc\x80nh@x.example\r\n", "utf8.der", NULL, CLEAR, STAFF,
	"P07", NULL},
    {"case_30_protected_header_rfc_9788", FROM "Subject: Họp giao\r\n ban\r\n", "hp.der", NULL,
	OPAQUE, STAFF, "ok", "-N07"},
    {"case_30b_subject_is_another_one", FROM "Subject: Họp kín\r\n", "hp.der", NULL, OPAQUE, STAFF,
	"ok", "N07"},
    {"case_30c_subject_is_gone", FROM, "hp.der", NULL, OPAQUE, STAFF, "ok", "N07"},
    {"case_30d_from_is_another_one", FROM, "hpeve.der", NULL, OPAQUE, STAFF, "M10", NULL},
    {"case_30e_a_second_author_outside",
	"From: manager@x.example, eve@x.example\r\nSender: manager@x.example\r\n"
	"Subject: Họp giao ban\r\n",
	"hp.der", NULL, OPAQUE, STAFF, "M03", NULL},
    {"case_30f_the_older_form", FROM "Subject: x\r\n", "hpold.der", NULL, OPAQUE, STAFF, "ok",
	"N07"},
    {"case_30g_message_rfc822_forwarded_no", FROM "Subject: x\r\n", "hpwrap.der", NULL, OPAQUE,
	STAFF, "ok", "N07"},
    {"case_30h_fields_that_claim_no_protection", FROM "Subject: x\r\n", "hpnone.der", NULL, OPAQUE,
	STAFF, "ok", "-N07"},
    {"case_30i_clear_signed", FROM "Subject: x\r\n", "hpclear.der", NULL, PROTECTED, STAFF, "ok",
	"N07"},
    {"case_30j_from_outside_by_a_list", "From: list@y.example\r\nSubject: Họp giao ban\r\n",
	"hp.der", NULL, OPAQUE, {"y.example", false, false, false, false, NULL, 0, NULL, NULL},
	"ok", "N07"},
    {"case_30k_recipients_in_another_order_and_zone",
	FROM "To: B@x.example, Anh A <a@x.example>\r\nCc: c@x.example\r\n", "hpall.der", NULL,
	OPAQUE, STAFF, "ok", "-N07"},
    {"case_30l_another_recipient", FROM "To: a@x.example, e@x.example\r\nCc: c@x.example\r\n",
	"hpall.der", NULL, OPAQUE, STAFF, "ok", "N07"},
    {"case_30m_one_recipient_more",
	FROM "To: a@x.example, b@x.example, e@x.example\r\nCc: c@x.example\r\n", "hpall.der", NULL,
	OPAQUE, STAFF, "ok", "N07"},
    {"case_30n_copies_are_gone", FROM "To: a@x.example, b@x.example\r\n", "hpall.der", NULL, OPAQUE,
	STAFF, "ok", "N07"},
    {"case_30o_another_date", FROM "To: a@x.example, b@x.example\r\nCc: c@x.example\r\n",
	"hpdate.der", NULL, OPAQUE, STAFF, "ok", "N07"},
    {"case_31_label_secret_to_a_domain_cleared_lower", FROM DOC, "labelled.der", NULL, CLEAR,
	{"x.example", true, true, false, true, NULL, 0, NULL, "dan@y.example"}, "M11", NULL},
    {"case_31b_cleared", FROM DOC, "labelled.der", NULL, CLEAR,
	{"x.example", true, true, false, true, NULL, 0, NULL, "an@x.example"}, "ok", "-M11"},
    {"case_31c_below_a_cleared_domain", FROM DOC, "labelled.der", NULL, CLEAR,
	{"x.example", true, true, false, true, NULL, 0, NULL, "an@a.b.z.example"}, "ok", "-M11"},
    {"case_31d_in_the_inner_layer", FROM DOC, "triple.der", NULL, OPAQUE,
	{"x.example", true, true, false, true, NULL, 0, NULL, "dan@y.example"}, "M11", NULL},
    {"case_31e_label_that_cannot_be_read", FROM DOC, "badlabel.der", NULL, CLEAR, STAFF, "P02",
	NULL},
    {"case_31f_signed_receipt_asked_for", FROM DOC, "receipt.der", NULL, CLEAR, STAFF, "ok", "N08"},
    {"case_31g_list_signed_it_anew", FROM DOC, "listed.der", NULL, CLEAR, STAFF, "M16", "N09"},
    {"also_signing_certificate_names_the_signer", FROM DOC, "cades.der", NULL, CLEAR, STAFF, "ok",
	NULL},
    {"also_signing_certificate_names_another", FROM DOC, "othercert.der", NULL, CLEAR, STAFF, "P02",
	NULL},
    {"also_p08_former_address", FROM, "former.der", NULL, CLEAR,
	{"x.example", true, true, false, true, "manager.old@x.example", 0, NULL, NULL}, "ok",
	"P08"},
    {"also_m04_comment_before_the_address", "From: (manager@x.example) Eve <eve@x.example>\r\n",
	"eve.der", NULL, CLEAR, STAFF, "M04", NULL},
    {"also_m04_comment_without_angle_brackets", "From: (manager@x.example) eve@x.example\r\n",
	"eve.der", NULL, CLEAR, STAFF, "M04", NULL},
    {"also_own_address_in_a_comment", "From: Eve <eve@x.example> (eve@x.example)\r\n", "eve.der",
	NULL, CLEAR, STAFF, "ok", NULL},
    {"case_04c_agency_box_somebody_else_s_key", FROM, "eve.der", NULL, CLEAR,
	{"x.example", true, true, true, true, NULL, 0, NULL, NULL}, "P07", NULL},
    {"also_p09_agency_box_its_own_key", "From: vanthu@x.example\r\n", "vanthu.der", NULL, CLEAR,
	{"x.example", true, true, true, true, NULL, 0, NULL, NULL}, "ok", NULL},
    {"also_m09_reply_from_an_agency_box_unsigned", FROM "Subject: Re: x\r\n", NULL, NULL, CLEAR,
	{"x.example", true, true, true, true, NULL, 0, NULL, NULL}, "ok", "M09"},
    {"case_01g_symbol_in_wide_digits_with_dashes_of_a_word_processor",
	FROM "Subject: \xef\xbc\x91\xef\xbc\x95\xef\xbc\x8fQĐ–UBND về việc\r\n", NULL, NULL, CLEAR,
	STAFF, "P01", NULL},
    {"case_23_revoked_signed_before_that_by_its_own_word", FROM DOC, "revoked.der", NULL, CLEAR,
	{"crl.example", true, true, false, true, NULL, 0, NULL, NULL}, "P05", NULL},
    {"also_p28_no_right_to_send_as", FROM, NULL, NULL, CLEAR,
	{"x.example", true, true, false, false, NULL, 0, NULL, NULL}, "P28", NULL},
    {"also_three_parts", FROM, "manager.der", NULL, THREE_PARTS, STAFF, "P02", NULL},
    {"also_junk_in_the_signature_s_base64", FROM, "manager.der", NULL, JUNK_BASE64, STAFF, "P02",
	NULL},
    {"also_bytes_behind_the_cms_object", FROM, "trailing.der", NULL, CLEAR, STAFF, "P02", NULL},
    {"also_encrypted_official", FROM DOC, "encrypted.der", NULL, OPAQUE, STAFF, "P01", NULL},
    {"also_encrypted_everyday", FROM, "encrypted.der", NULL, OPAQUE, STAFF, "ok", NULL},
    {"also_foreign_broken", "From: manager@y.example\r\n", "stranger.der", "G", CLEAR,
	{"y.example", false, false, false, false, NULL, 0, NULL, NULL}, "ok", "N01"},
    {"also_foreign_mail_of_our_domain_unauthenticated_broken", FROM, "manager.der", "G", CLEAR,
	{"x.example", false, true, false, false, NULL, 0, NULL, NULL}, "P02", "N05"},
};

static void
one_case(void **state)
{
	size_t i = (size_t)(uintptr_t)*state;
	char notes[200];
	const char *got;
	struct buf m;

	buf_init(&m, 1 << 20);
	message(&m, cases[i].headers, cases[i].der, cases[i].change, cases[i].shape);
	got = judge(buf_slice(&m), &cases[i].who, notes, NULL, NULL);
	if (strcmp(got, cases[i].want) != 0 ||
	    (cases[i].note != NULL && cases[i].note[0] != '-' &&
		strstr(notes, cases[i].note) == NULL) ||
	    (cases[i].note != NULL && cases[i].note[0] == '-' &&
		strstr(notes, cases[i].note + 1) != NULL))
		fail_msg("%s: %s (%s; notes %s), expected %s", cases[i].label, got, last_why, notes,
		    cases[i].want);
	buf_done(&m);
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

/* DER of a certificate's file, appended. */
static void
add_cert(const char *file, struct buf *out)
{
	FILE *f = open_in(file);
	X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);

	fclose(f);
	assert_true(n > 0);
	buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
	X509_free(cert);
}

/* The signer's own certificate comes along, of a valid signature over the whole mail alone, over the wire too. */
static void
certificate_comes_along(void **state)
{
	static const struct {
		const char *der, *cert, *change;
		enum shape shape;
	} of[] = {{"manager.der", "manager.pem", NULL, CLEAR},
	    {"opaque.der", "manager.pem", NULL, OPAQUE}, {"manager.der", NULL, "G", CLEAR},
	    {"stranger.der", NULL, NULL, CLEAR}, {"server.der", NULL, NULL, CLEAR}};
	struct scan_params p = {
	    .trust = trust, .domain = slice_str("x.example"), .now = (int64_t)time(NULL)};

	(void)state;
	for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
		struct arena *a = arena_new(4 << 20), *a2 = arena_new(4 << 20);
		struct findings f, wire;
		struct buf m, enc, want;
		unsigned char sha[32];

		buf_init(&m, 1 << 20);
		buf_init(&enc, 1 << 20);
		buf_init(&want, 65536);
		message(&m, FROM, of[i].der, of[i].change, of[i].shape);
		findings_init(&f, a);
		scan_message(buf_slice(&m), &p, &f);
		assert_int_equal(findings_encode(&f, &enc), 0);
		assert_int_equal(findings_decode(buf_slice(&enc), a2, &wire), 0);
		assert_non_null(wire.sigs);
		if (of[i].cert != NULL) {
			add_cert(of[i].cert, &want);
			sha256_of(buf_slice(&want), sha);
			assert_true(slice_eq(wire.sigs->certs, buf_slice(&want)));
			assert_memory_equal(wire.sigs->cert_sha256, sha, 32);
			assert_true(wire.sigs->not_before <= p.now && wire.sigs->not_after > p.now);
		} else {
			assert_int_equal(wire.sigs->certs.len, 0);
		}
		buf_done(&m);
		buf_done(&enc);
		buf_done(&want);
		arena_free(a);
		arena_free(a2);
	}
}

/* A certificate by itself, as before it is published. */
static void
certificate_by_itself(void **state)
{
	static const struct {
		const char *file, *domain;
		int64_t later;
		enum sig_status status;
		enum rev_state rev;
	} of[] = {{"manager.pem", "crl.example", 0, SIG_VALID, REV_GOOD},
	    {"manager.pem", "x.example", 0, SIG_VALID, REV_UNCHECKED},
	    {"manager.pem", "y.example", 0, SIG_UNTRUSTED, REV_UNCHECKED},
	    {"manager.pem", "crl.example", (int64_t)4000 * 86400, SIG_EXPIRED, REV_UNCHECKED},
	    {"revoked.pem", "crl.example", 0, SIG_VALID, REV_REVOKED},
	    {"server.pem", "crl.example", 0, SIG_PURPOSE, REV_GOOD},
	    {"weak.pem", "crl.example", 0, SIG_WEAK, REV_UNCHECKED},
	    {"caleaf.pem", "crl.example", 0, SIG_PURPOSE, REV_GOOD},
	    {"encrypt.pem", "crl.example", 0, SIG_VALID, REV_GOOD},
	    {"encrypt.pem", "y.example", 0, SIG_UNTRUSTED, REV_UNCHECKED},
	    {"encrypt.pem", "crl.example", (int64_t)4000 * 86400, SIG_EXPIRED, REV_UNCHECKED}};
	struct findings f;
	struct smime_use use;

	(void)state;
	for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
		struct arena *a = arena_new(1 << 20);
		struct buf der;

		buf_init(&der, 65536);
		add_cert(of[i].file, &der);
		findings_init(&f, a);
		use = (struct smime_use){false, false};
		assert_int_equal(smime_cert_check(trust, buf_slice(&der), slice_str(of[i].domain),
				     (int64_t)time(NULL) + of[i].later, &f, &use),
		    0);
		assert_int_equal(f.n_sigs, 1);
		if (f.sigs->status != of[i].status ||
		    (f.sigs->status == SIG_VALID && f.sigs->rev != of[i].rev))
			fail_msg("%s in %s: %s, %s", of[i].file, of[i].domain,
			    sig_status_name(f.sigs->status), rev_state_name(f.sigs->rev));
		/* by their key usage the others only sign; without one a key is for all */
		assert_int_equal(use.encrypts, strcmp(of[i].file, "server.pem") == 0 ||
						   strcmp(of[i].file, "encrypt.pem") == 0);
		assert_int_equal(use.signs, strcmp(of[i].file, "encrypt.pem") != 0);
		/* half of it, something behind it, nothing */
		assert_int_equal(smime_cert_check(trust, slice_sub(buf_slice(&der), 0, der.len / 2),
				     slice_str("x.example"), 0, &f, &use),
		    ERR_SYNTAX);
		buf_append_str(&der, "x");
		assert_int_equal(
		    smime_cert_check(trust, buf_slice(&der), slice_str("x.example"), 0, &f, &use),
		    ERR_SYNTAX);
		assert_int_equal(
		    smime_cert_check(trust, slice_str(""), slice_str("x.example"), 0, &f, &use),
		    ERR_SYNTAX);
		buf_done(&der);
		arena_free(a);
	}
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

/* The kinds of what a scan wants to be fetched, in their order: "CO". */
static void
wanted(enum scan_prefer prefer, char out[8], struct slice *source_out, struct arena *a)
{
	struct scan_params p = {.trust = trust,
	    .domain = slice_str("x.example"),
	    .now = (int64_t)time(NULL),
	    .terms = {.prefer = prefer}};
	struct find_want *w;
	struct findings f;
	struct buf m;
	size_t n = 0;

	buf_init(&m, 1 << 20);
	message(&m, FROM, "both.der", NULL, CLEAR);
	findings_init(&f, a);
	scan_message(buf_slice(&m), &p, &f);
	assert_int_equal(f.sigs->status, SIG_VALID);
	for (w = f.wants; w != NULL && n < 7; w = w->next)
		out[n++] = w->kind == WANT_CRL ? 'C' : 'O';
	out[n] = '\0';
	*source_out = f.sigs->rev_source;
	buf_done(&m);
}

static void
the_preferred_source_is_asked_first(void **state)
{
	static const struct {
		enum scan_prefer prefer;
		const char *before, *with_ocsp, *with_both, *source;
	} t[] = {{PREFER_NONE, "CO", "CO", "CO", "crl+ocsp"}, {PREFER_OCSP, "OC", "O", "O", "ocsp"},
	    {PREFER_CRL, "CO", "CO", "C", "crl"}};
	int64_t from, to;
	struct buf b;

	(void)state;
	smime_trust_need(trust, SMIME_REV_AUTO);
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct arena *a = arena_new(4 << 20);
		struct slice source;
		char kinds[8];

		wanted(t[i].prefer, kinds, &source, a);
		assert_string_equal(kinds, t[i].before);
		buf_init(&b, 1 << 20);
		slurp("both.ocsp", &b);
		assert_int_equal(smime_rev_put(trust, WANT_OCSP, slice_str("o"), buf_slice(&b),
				     (int64_t)time(NULL), &from, &to),
		    0);
		buf_done(&b);
		wanted(t[i].prefer, kinds, &source, a);
		assert_string_equal(kinds, t[i].with_ocsp);
		assert_true(slice_eq_str(source, "ocsp"));
		assert_int_equal(put_crl("trust/crl.example/root.crl", "c", &from), 0);
		wanted(t[i].prefer, kinds, &source, a);
		assert_string_equal(kinds, t[i].with_both);
		if (!slice_eq_str(source, t[i].source))
			fail_msg("%zu: %.*s", i, (int)source.len, (const char *)source.ptr);
		smime_rev_drop(trust, slice_str("o"));
		smime_rev_drop(trust, slice_str("c"));
		arena_free(a);
	}
	smime_trust_need(trust, SMIME_REV_OFF);
}

/* What a certificate for encryption alone is that came with a mail: judged beside the signature, and no signature. */
static void
certificates_that_came_along(void **state)
{
	static const struct {
		const char *der, *change;
		size_t n;
		const char *address;
	} t[] = {{"bag.der", NULL, 1, "manager@x.example"}, {"bag.der", "G", 0, NULL},
	    {"manager.der", NULL, 0, NULL}, {"bagsigning.der", NULL, 0, NULL},
	    {"bagtwo.der", NULL, 2, NULL}, {"bagprefer.der", NULL, 1, "luutru@x.example"}};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct scan_params p = {
		    .trust = trust, .domain = slice_str("crl.example"), .now = (int64_t)time(NULL)};
		struct arena *a = arena_new(4 << 20), *a2 = arena_new(4 << 20);
		struct findings f, back;
		struct buf m, wire;

		buf_init(&m, 1 << 20);
		buf_init(&wire, 1 << 20);
		message(&m, FROM, t[i].der, t[i].change, CLEAR);
		findings_init(&f, a);
		scan_message(buf_slice(&m), &p, &f);
		assert_int_equal(findings_encode(&f, &wire), 0);
		assert_int_equal(findings_decode(buf_slice(&wire), a2, &back), 0);
		assert_int_equal(back.n_sigs, 1);
		if (back.n_others != t[i].n)
			fail_msg("%s: %zu", t[i].der, back.n_others);
		if (t[i].n > 0) {
			assert_int_equal(back.others->status, SIG_VALID);
			assert_int_equal(back.others->rev, REV_GOOD);
			assert_true(back.others->certs.len > 0);
			if (t[i].address != NULL &&
			    !slice_eq_str(back.others->addresses->value, t[i].address))
				fail_msg("%s: %.*s", t[i].der,
				    (int)back.others->addresses->value.len,
				    (const char *)back.others->addresses->value.ptr);
		}
		buf_done(&m);
		buf_done(&wire);
		arena_free(a);
		arena_free(a2);
	}
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

/* A clear signature by the manager with one more signed attribute, DER as it stands. */
static void
sign_with(const char *name, int nid, int type, const void *der, int len, const char *content)
{
	CMS_ContentInfo *cms;
	CMS_SignerInfo *si;
	EVP_PKEY *key;
	BIO *bio;
	X509 *cert;
	FILE *f = open_in("manager.pem");
	unsigned flags = CMS_BINARY | (content == NULL ? CMS_DETACHED : 0);

	cert = PEM_read_X509(f, NULL, NULL, NULL);
	fclose(f);
	f = open_in("k1.key");
	key = PEM_read_PrivateKey(f, NULL, NULL, NULL);
	fclose(f);
	cms = CMS_sign(NULL, NULL, NULL, NULL, CMS_PARTIAL | flags);
	si = CMS_add1_signer(cms, cert, key, EVP_sha256(), CMS_PARTIAL | flags);
	assert_non_null(si);
	if (nid != 0)
		assert_int_equal(CMS_signed_add1_attr_by_NID(si, nid, type, der, len), 1);
	f = open_in(content != NULL ? content : "content.bin");
	bio = BIO_new_fp(f, BIO_CLOSE);
	assert_int_equal(CMS_final(cms, bio, NULL, flags), 1);
	BIO_free(bio);
	write_cms(cms, name);
	X509_free(cert);
	EVP_PKEY_free(key);
}

/* RFC 2634 3.2, 4; RFC 5035 5.4. The policy 1.2.3; classification 4 is secret. */
static void
make_ess(void)
{
	static const unsigned char label[] = "\x31\x07\x02\x01\x04\x06\x02\x2a\x03",
				   bad_label[] = "\x31\x03\x02\x01\x04", list[] = "\x30\x00",
				   other[] = "\x30\x0a\x30\x08\x30\x06\x04\x04hash";
	char path[300];
	struct buf der;
	FILE *f;

	sign_with("labelled.der", NID_id_smime_aa_securityLabel, V_ASN1_SET, label, 9, NULL);
	sign_with("badlabel.der", NID_id_smime_aa_securityLabel, V_ASN1_SET, bad_label, 5, NULL);
	sign_with("listed.der", NID_id_smime_aa_mlExpandHistory, V_ASN1_SEQUENCE, list, 2, NULL);
	sign_with("othercert.der", NID_id_smime_aa_signingCertificateV2, V_ASN1_SEQUENCE, other, 12,
	    NULL);
	sign_with("inner.der", NID_id_smime_aa_securityLabel, V_ASN1_SET, label, 9, "content.bin");
	/* the outer signature of a triple wrap */
	buf_init(&der, 1 << 20);
	append_cms(&der, "inner.der", true, false);
	snprintf(path, sizeof path, "%s/inner.bin", dir);
	f = fopen(path, "wb");
	assert_non_null(f);
	assert_int_equal(fwrite(der.data, 1, der.len, f), der.len);
	fclose(f);
	buf_done(&der);
	sign_with("triple.der", 0, 0, NULL, 0, "inner.bin");
}

static X509 *
read_cert(const char *name)
{
	FILE *f = open_in(name);
	X509 *cert = PEM_read_X509(f, NULL, NULL, NULL);

	fclose(f);
	assert_non_null(cert);
	return cert;
}

/* With two certificates for encryption, of which the signer names one (RFC 8551 2.5.2). */
static void
make_preference(X509 *signer, EVP_PKEY *key)
{
	X509 *one = read_cert("encrypt.pem"), *other = read_cert("archive.pem");
	unsigned char *issuer = NULL, *serial = NULL, der[512];
	int n = i2d_X509_NAME(X509_get_issuer_name(other), &issuer),
	    k = i2d_ASN1_INTEGER(X509_get0_serialNumber(other), &serial);
	CMS_ContentInfo *cms;
	CMS_SignerInfo *si;
	BIO *bio = BIO_new_file("/dev/null", "rb");

	assert_true(n > 0 && k > 0 && n + k < 128);
	der[0] = 0xa0;
	der[1] = (unsigned char)(n + k);
	memcpy(der + 2, issuer, (size_t)n);
	memcpy(der + 2 + n, serial, (size_t)k);
	cms = CMS_sign(NULL, NULL, NULL, bio, CMS_PARTIAL | CMS_DETACHED | CMS_BINARY);
	BIO_free(bio);
	si = CMS_add1_signer(cms, signer, key, EVP_sha256(), CMS_PARTIAL | CMS_BINARY);
	assert_int_equal(CMS_signed_add1_attr_by_NID(
			     si, NID_id_smime_aa_encrypKeyPref, V_ASN1_SEQUENCE, der, n + k + 2),
	    1);
	assert_int_equal(CMS_add1_cert(cms, one), 1);
	assert_int_equal(CMS_add1_cert(cms, other), 1);
	bio = BIO_new_fp(open_in("content.bin"), BIO_CLOSE);
	assert_int_equal(CMS_final(cms, bio, NULL, CMS_BINARY | CMS_DETACHED), 1);
	BIO_free(bio);
	write_cms(cms, "bagprefer.der");
	OPENSSL_free(issuer);
	OPENSSL_free(serial);
	X509_free(one);
	X509_free(other);
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
	make_ess();
	make_preference(cert, key);
	X509_free(cert);
	EVP_PKEY_free(key);
	return 0;
}

#define N_CASES (sizeof cases / sizeof *cases)

int
main(void)
{
	static const struct CMUnitTest more[] = {cmocka_unit_test(every_signed_byte_counts),
	    cmocka_unit_test(reasons_are_right), cmocka_unit_test(revocation_is_three_valued),
	    cmocka_unit_test(certificate_comes_along), cmocka_unit_test(certificate_by_itself),
	    cmocka_unit_test(fetched_crls), cmocka_unit_test(the_preferred_source_is_asked_first),
	    cmocka_unit_test(certificates_that_came_along),
	    cmocka_unit_test(reply_names_rule_and_ticket)};
	static struct CMUnitTest tests[N_CASES + sizeof more / sizeof *more];
	size_t i;

	for (i = 0; i < N_CASES; i++) {
		tests[i].name = cases[i].label;
		tests[i].test_func = one_case;
		tests[i].initial_state = (void *)(uintptr_t)i;
	}
	memcpy(tests + N_CASES, more, sizeof more);
	return cmocka_run_group_tests(tests, make_more, teardown);
}
