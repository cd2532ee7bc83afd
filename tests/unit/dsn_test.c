/* dsn_test.c: reports to senders: their form, and what hostile text cannot do to it. RFC 3464, 6522, 6533. */
#include "config.h"

#include "smtpd/dsn.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static struct envelope_rcpt rcpts[] = {
    {.address = "a@x.example",
	.orcpt = "rfc822;A+2Bb@x.example",
	.why = "550 5.7.1 P01 Cong van phai duoc ky so. / Sign it. [ticket 0a]",
	.mta = "mx.x.example\r\nX-Evil: 2"},
    {.address = "b@x.example",
	.orcpt = "",
	.why = "4.4.1 no\r\nX-Evil: yes\r\n\r\n--=_congvu_0123",
	.mta = "mx2.x.example"},
    {.address = "c@x.example", .orcpt = "", .why = ""},
    {.address = "hường@đồng.example", .orcpt = "", .why = "5.1.1 Không có"},
};
static const struct envelope env = {
    .from = "s@tinhmau.example", .ret = "", .envid = "e+3D1", .rcpts = rcpts, .n_rcpts = 4};

static uint32_t
build(
    const struct dsn_rcpt *list, size_t n, const char *header, const char *content, struct buf *out)
{
	struct dsn d = {.hostname = "mx.tinhmau.example",
	    .qid = "0123",
	    .now = 1000000000,
	    .arrived = 999990000,
	    .retry_until = 1000400000,
	    .env = &env,
	    .rcpts = list,
	    .n = n,
	    .header = slice_str(header),
	    .content = slice_str(content)};
	struct buf body;
	uint32_t flags = 0;

	buf_init(out, 100000);
	buf_init(&body, 100000);
	assert_int_equal(dsn_build(&d, out, &body, &flags), 0);
	buf_append_slice(out, buf_slice(&body));
	buf_done(&body);
	return flags;
}

static size_t
count(const struct buf *b, const char *what)
{
	struct slice s = buf_slice(b);
	size_t n = 0;
	ptrdiff_t at;

	while ((at = slice_find(s, slice_str(what))) >= 0) {
		n++;
		s = slice_from(s, (size_t)at + strlen(what));
	}
	return n;
}

static void
test_mixed(void **state)
{
	static const struct dsn_rcpt list[] = {
	    {0, DSN_FAILED}, {1, DSN_DELAYED}, {2, DSN_DELIVERED}};
	struct buf b;

	(void)state;
	assert_int_equal(build(list, 3, "Subject: x\r\n\r\n", "", &b), 0);
	assert_int_equal(count(&b, "Original-Envelope-Id: e=1\r\n"), 1);
	assert_int_equal(count(&b, "Original-Recipient: rfc822;A+b@x.example\r\n"), 1);
	assert_int_equal(count(&b, "Action: failed\r\nStatus: 5.7.1\r\n"), 1);
	assert_int_equal(count(&b, "Action: delayed\r\nStatus: 4.4.1\r\n"), 1);
	assert_int_equal(count(&b, "Will-Retry-Until: "), 1);
	assert_int_equal(count(&b, "Action: delivered\r\nStatus: 2.0.0\r\n"), 1);
	assert_int_equal(count(&b, "What to do: Sign the message"), 1);
	/* RFC 3464 2.3.6: what a server said with its code; what it did not say is of no SMTP */
	assert_int_equal(count(&b, "Diagnostic-Code: smtp; 550 5.7.1 P01 Cong van"), 1);
	assert_int_equal(count(&b, "Diagnostic-Code: X-Congvu; 4.4.1 no"), 1);
	assert_int_equal(count(&b, "Diagnostic-Code: "), 2);
	/* RFC 3464 2.3.5: of who reported it; nobody reported what is our own finding */
	assert_int_equal(count(&b, "Status: 5.7.1\r\nRemote-MTA: dns; mx.x.example  X-Evil: 2\r\n"
				   "Diagnostic-Code: smtp; 550"),
	    1);
	assert_int_equal(count(&b, "Remote-MTA: "), 1);
	/* an answer adds no field, and ends no part */
	assert_int_equal(count(&b, "\nX-Evil"), 0);
	assert_int_equal(count(&b, "\n--=_congvu_0123\r\n"), 3);
	assert_int_equal(count(&b, "\n--=_congvu_0123--\r\n"), 1);
	buf_done(&b);
}

/* The report says which mail it is about, in words, whatever the client's field holds. */
static void
test_subject(void **state)
{
	static const struct dsn_rcpt list[] = {{2, DSN_DELIVERED}};
	struct buf b;

	(void)state;
	assert_int_equal(
	    build(list, 1, "Subject: =?utf-8?B?Q8O0bmcgxJFp4buHbiBz4buRIDE=?=\r\n\r\n", "", &b), 0);
	/* quoted-printable: "Trích yếu / Subject: Công điện số 1" */
	assert_int_equal(count(&b, "/ Subject: C=C3=B4ng =C4=91i=E1=BB=87n s=E1=BB=91 1\r\n"), 1);
	buf_done(&b);
	assert_int_equal(
	    build(list, 1, "Subject: a\r\n\tb =?utf-8?Q?c=0D=0AX-Evil:_1?=\r\n\r\n", "", &b), 0);
	assert_int_equal(count(&b, "/ Subject: a b c  X-Evil: 1\r\n"), 1);
	assert_int_equal(count(&b, "\nX-Evil"), 0);
	buf_done(&b);
	assert_int_equal(build(list, 1, "X: y\r\n\r\n", "", &b), 0);
	assert_int_equal(count(&b, "/ Subject: "), 0);
	buf_done(&b);
}

/* The text returned cannot end the report. */
static void
test_boundary(void **state)
{
	static const struct dsn_rcpt list[] = {{0, DSN_FAILED}};
	struct buf b;

	(void)state;
	build(list, 1, "Subject: x\r\n\r\n", "--=_congvu_0123--\r\n--=_congvu_0123a\r\n", &b);
	assert_int_equal(count(&b, "boundary=\"=_congvu_0123ab\""), 1);
	assert_int_equal(count(&b, "Content-Type: message/rfc822\r\n"), 1);
	buf_done(&b);
	/* a success returns no text */
	static const struct dsn_rcpt good[] = {{2, DSN_RELAYED}};
	build(good, 1, "Subject: x\r\n\r\n", "text\r\n", &b);
	assert_int_equal(count(&b, "text/rfc822-headers"), 1);
	assert_int_equal(count(&b, "message/rfc822\r\n"), 0);
	buf_done(&b);
}

static void
test_utf8(void **state)
{
	static const struct dsn_rcpt list[] = {{3, DSN_FAILED}};
	struct buf b;

	(void)state;
	assert_int_equal(build(list, 1, "Subject: đ\r\n\r\n", "", &b), ENV_8BIT);
	assert_int_equal(count(&b, "message/global-delivery-status"), 1);
	assert_int_equal(count(&b, "message/global-headers"), 1);
	assert_int_equal(count(&b, "Final-Recipient: utf-8; hường@đồng.example\r\n"), 1);
	buf_done(&b);
	/* to an ASCII recipient, what is no UTF-8 never gets in */
	rcpts[2].why = "5.0.0 \xff\xfe bad";
	static const struct dsn_rcpt plain[] = {{2, DSN_FAILED}};
	assert_int_equal(build(plain, 1, "Subject: x\r\n\r\n", "", &b), 0);
	rcpts[2].why = "";
	buf_done(&b);
}

/* Every rule that refuses mail has its explanation. */
static void
test_rules(void **state)
{
	static const char *const refusing[] = {
#define RULE(id, fn, action, ...) #action[5] == 'R' || #action[5] == 'D' ? id : "",
#include "milter/rules.def"
#undef RULE
	};
	static const struct dsn_rule *r;

	(void)state;
	for (size_t i = 0; i < sizeof(refusing) / sizeof(refusing[0]); i++) {
		char answer[120];

		snprintf(answer, sizeof(answer), "550 5.7.1 %s Cong van / Mail [ticket 0a1b]",
		    refusing[i]);
		r = refusing[i][0] == '\0' ? NULL : dsn_rule_in(answer);
		if (refusing[i][0] != '\0' && r == NULL)
			fail_msg("smtpd/dsn_rules.def says nothing of %s", refusing[i]);
	}
	assert_string_equal(
	    dsn_rule_in("550 5.7.1 P22 Tep dinh kem khong duoc phep. / Banned. (a.exe) [ticket 1]")
		->id,
	    "P22");
	assert_string_equal(dsn_rule_in("5.7.1 P01 Cong van. / Mail. [ticket 1]")->id, "P01");
	assert_string_equal(dsn_rule_in("P01 Cong van. / Mail. [ticket 1]")->id, "P01");
	/* other people's rules */
	assert_null(dsn_rule_in("550 5.7.1 P22 over quota"));
	assert_null(dsn_rule_in("550 5.7.1 Blocked by P22 / see policy [ticket 7]"));
	assert_null(dsn_rule_in("550 [P22] x"));
	assert_null(dsn_rule_in("550 5.7.1 P222 a / b [ticket 7]"));
	assert_null(dsn_rule_in("550 5.7.1 P22 a / b [ticket 7"));
	assert_null(dsn_rule_in(""));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_mixed),
	    cmocka_unit_test(test_subject), cmocka_unit_test(test_boundary),
	    cmocka_unit_test(test_utf8), cmocka_unit_test(test_rules)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
