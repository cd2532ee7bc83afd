/* autoreply_test.c: who gets an automatic reply (RFC 3834 2), and what stands in it. */
#include "config.h"

#include "smtpd/autoreply.h"

#include "lib/err.h"
#include "lib/hdr.h"

#include <stdlib.h>

#include "tests/unit/unit.h"

static struct arena *a;
static const char *const own[] = {"an@tinhmau.example", "vt@bình.example"};
static const struct autoreply_rule rule = {.account = "p-1",
    .address = "an@tinhmau.example",
    .name = "Nguyễn Văn An",
    .subject = "",
    .text = "Tôi đi công tác.\nXin liên hệ văn thư.",
    .days = 7,
    .addresses = own,
    .n_addresses = 2};

static const char *
refusal(const char *from, const char *header)
{
	struct msg m;

	arena_reset(a);
	assert_int_equal(msg_parse(&m, slice_str(header), a), 0);
	return autoreply_refusal(&rule, &m, from, a);
}

#define TO "To: <an@tinhmau.example>\r\n"

static void
test_who(void **state)
{
	static const char *const yes[] = {TO "\r\n",
	    "Cc: B <b@x.example>, AN@TinhMau.Example\r\n\r\n",
	    "to: Nhóm: x@y.example, <an@tinhmau.example>;\r\n\r\n",
	    "Resent-To: an@tinhmau.example\r\n\r\n", TO "Auto-Submitted: no\r\n\r\n",
	    TO "Auto-Submitted: No (really)\r\n\r\n", TO "Precedence: first-class\r\n\r\n",
	    TO "X-Spam: no\r\n\r\n", TO "Content-Type: multipart/signed; x=y\r\n\r\n"};
	static const char *const no[] = {"\r\n", "To: undisclosed-recipients:;\r\n\r\n",
	    "To: b@x.example\r\nBcc: an@tinhmau.example\r\n\r\n",
	    "To: \"an@tinhmau.example\" <b@x.example>\r\n\r\n",
	    TO "Auto-Submitted: auto-generated\r\n\r\n",
	    TO "Auto-Submitted:\r\n auto-replied; x=y\r\n\r\n", TO "Auto-Submitted: \r\n\r\n",
	    TO "List-Id: <l.x.example>\r\n\r\n",
	    TO "list-unsubscribe: <mailto:x@y.example>\r\n\r\n", TO "List-Post: NO\r\n\r\n",
	    TO "Precedence: bulk\r\n\r\n", TO "PRECEDENCE:\tLIST (x)\r\n\r\n",
	    TO "Precedence: junk\r\n\r\n", TO "X-Auto-Response-Suppress: DR, OOF, RN\r\n\r\n",
	    TO "X-Auto-Response-Suppress: All\r\n\r\n", TO "X-Spam: Yes\r\n\r\n",
	    TO "Content-Type: multipart/report; report-type=delivery-status\r\n\r\n"};
	static const char *const machines[] = {"", "owner-list@x.example", "list-request@x.example",
	    "MAILER-DAEMON@x.example", "noreply@x.example", "No-Reply+1@x.example",
	    "l-bounces@x.example", "bounce-123@x.example", "postmaster@x.example",
	    "x-owner@x.example", "an@tinhmau.example", "AN@TINHMAU.EXAMPLE",
	    "vt@b\xC3\xACnh.example"};

	(void)state;
	for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
		if (refusal("d@x.example", yes[i]) != NULL)
			fail_msg("%s: %s", yes[i], refusal("d@x.example", yes[i]));
	for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
		if (refusal("d@x.example", no[i]) == NULL)
			fail_msg("%s", no[i]);
	for (size_t i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		if (refusal(machines[i], TO "\r\n") == NULL)
			fail_msg("%s", machines[i]);
	assert_null(refusal("ownerx@x.example", TO "\r\n"));
	assert_null(refusal("requests@x.example", TO "\r\n"));
}

static void
build(const struct autoreply_rule *r, const char *mail, struct buf *h, struct buf *b)
{
	const struct autoreply_env e = {
	    .hostname = "mx.example", .qid = "q1", .to = "d@x.example", .now = 0, .zone_min = 420};
	struct msg m;

	arena_reset(a);
	buf_init(h, 32768);
	buf_init(b, 65536);
	assert_int_equal(msg_parse(&m, slice_str(mail), a), 0);
	assert_int_equal(autoreply_build(r, &m, &e, h, b), 0);
}

static void
check_field(const struct buf *h, const char *name, const char *want)
{
	struct hdr_field f;
	struct buf b;

	buf_init(&b, 32768);
	assert_true(hdr_find(buf_slice(h), name, 0, &f));
	assert_false(hdr_find(buf_slice(h), name, 1, &f));
	assert_int_equal(hdr_decode(f.body, &b), 0);
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

static void
test_text(void **state)
{
	struct buf h, b;

	(void)state;
	build(&rule,
	    TO "Subject: =?utf-8?Q?L=E1=BB=8Bch_h=E1=BB=8Dp?=\r\nMessage-ID:\r\n <1@x.example>\r\n"
	       "References: <a@x>\r\n\t<b@x>\r\n\r\nbody",
	    &h, &b);
	check_field(&h, "From", "Nguyễn Văn An <an@tinhmau.example>");
	check_field(&h, "To", "<d@x.example>");
	check_field(&h, "Subject", "Auto: Lịch họp");
	check_field(&h, "In-Reply-To", "<1@x.example>");
	check_field(&h, "References", "<a@x> <b@x> <1@x.example>");
	check_field(&h, "Auto-Submitted", "auto-replied");
	check_field(&h, "Date", "Thu, 01 Jan 1970 07:00:00 +0700");
	check_field(&h, "Message-ID", "<q1.p-1.auto@mx.example>");
	assert_memory_equal(h.data + h.len - 4, "\r\n\r\n", 4);
	/* "Tôi đi công tác.\r\nXin liên hệ văn thư.\r\n" */
	assert_string_equal(buf_cstr(&b),
	    "VMO0aSDEkWkgY8O0bmcgdMOhYy4NClhpbiBsacOqbiBo4buHIHbEg24gdGjGsC4NCg==\r\n");
	buf_done(&h);
	buf_done(&b);
}

/* Nothing of the mail or the directory makes a field of its own. */
static void
test_hostile(void **state)
{
	struct autoreply_rule bad = rule;
	struct buf h, b;

	(void)state;
	bad.name = "A\" <x@y>\r\nBcc: z@y";
	bad.subject = "s\r\nBcc: z@y\r\n\r\nbody";
	bad.text = "";
	build(&bad, TO "Message-ID: no brackets\r\nReferences: \xFF\r\n\r\n", &h, &b);
	check_field(&h, "Subject", "s  Bcc: z@y    body");
	assert_int_equal(hdr_count(buf_slice(&h), "Bcc"), 0);
	assert_int_equal(hdr_count(buf_slice(&h), "From"), 1);
	assert_int_equal(hdr_count(buf_slice(&h), "In-Reply-To"), 0);
	buf_done(&h);
	buf_done(&b);
	build(&rule,
	    TO "Subject: =?utf-8?Q?a=0D=0ABcc:_z@y?=\r\nMessage-ID: <a@b>\r\n\tX: y\r\n\r\n", &h,
	    &b);
	assert_int_equal(hdr_count(buf_slice(&h), "Bcc"), 0);
	assert_int_equal(hdr_count(buf_slice(&h), "X"), 0);
	buf_done(&h);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_who),
	    cmocka_unit_test(test_text),
	    cmocka_unit_test(test_hostile),
	};
	a = arena_new(1 << 20);
	int r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(a);
	return r;
}
