/* mime_imap_test.c: ENVELOPE and BODYSTRUCTURE texts, to the byte: RFC 3501's examples, 8-bit and broken mail. */
#include "tests/unit/check.h"

#include "lib/err.h"
#include "lib/mime.h"

static struct arena *arena;

static void
envelope(const char *header, bool utf8, const char *want)
{
	struct buf b;

	buf_init(&b, 100000);
	assert_int_equal(mime_envelope(slice_str(header), utf8, &b), 0);
	check_buf(&b, want);
	buf_done(&b);
}

/* RFC 3501 8: the message of the sample session. */
#define SAMPLE_HEADER                                                       \
	"Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\r\n"                   \
	"From: Terry Gray <gray@cac.washington.edu>\r\n"                    \
	"Subject: IMAP4rev1 WG mtg summary and minutes\r\n"                 \
	"To: imap@cac.washington.edu\r\n"                                   \
	"cc: minutes@CNRI.Reston.VA.US, John Klensin <KLENSIN@MIT.EDU>\r\n" \
	"Message-Id: <B27397-0100000@cac.washington.edu>\r\n"               \
	"MIME-Version: 1.0\r\n"                                             \
	"Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n"

static void
rfc3501_envelope(void **state)
{
	(void)state;
	envelope(SAMPLE_HEADER, false,
	    "(\"Wed, 17 Jul 1996 02:23:25 -0700 (PDT)\" "
	    "\"IMAP4rev1 WG mtg summary and minutes\" "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((\"Terry Gray\" NIL \"gray\" \"cac.washington.edu\")) "
	    "((NIL NIL \"imap\" \"cac.washington.edu\")) "
	    "((NIL NIL \"minutes\" \"CNRI.Reston.VA.US\")"
	    "(\"John Klensin\" NIL \"KLENSIN\" \"MIT.EDU\")) NIL NIL "
	    "\"<B27397-0100000@cac.washington.edu>\")");
}

static void
envelope_cases(void **state)
{
	(void)state;
	envelope("", false, "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)");
	envelope("To: Nhóm:a@b.test, c@d.test;, e@f.test\r\nTo: g@h.test\r\nSubject:\r\n", true,
	    "(NIL \"\" NIL NIL NIL ((NIL NIL \"Nhóm\" NIL)(NIL NIL \"a\" \"b.test\")(NIL NIL \"c\" "
	    "\"d.test\")"
	    "(NIL NIL NIL NIL)(NIL NIL \"e\" \"f.test\")(NIL NIL \"g\" \"h.test\")) NIL NIL NIL "
	    "NIL)");
	envelope("From: \"a \\\"b\\\" \\\\c\" <x@y.test>\r\nSender: s@t.test\r\nReply-To: ,\r\n",
	    false,
	    "(NIL NIL ((\"a \\\"b\\\" \\\\c\" NIL \"x\" \"y.test\")) ((NIL NIL \"s\" \"t.test\")) "
	    "((\"a \\\"b\\\" \\\\c\" NIL \"x\" \"y.test\")) NIL NIL NIL NIL NIL)");
	/* no host is not the end of a group */
	envelope("From: nobody\r\n", false,
	    "(NIL NIL ((NIL NIL \"nobody\" \"\")) ((NIL NIL \"nobody\" \"\")) ((NIL NIL \"nobody\" "
	    "\"\")) NIL NIL NIL NIL NIL)");
	/* of two From fields the first */
	envelope("From: a@b.test\r\nFrom: c@d.test\r\n", false,
	    "(NIL NIL ((NIL NIL \"a\" \"b.test\")) ((NIL NIL \"a\" \"b.test\")) ((NIL NIL \"a\" "
	    "\"b.test\")) NIL NIL NIL NIL NIL)");
	/* words stay as they are; a fold is a space */
	envelope("Subject: =?utf-8?B?xJE=?=\r\n =?utf-8?B?xJE=?=\r\n", false,
	    "(NIL \"=?utf-8?B?xJE=?= =?utf-8?B?xJE=?=\" NIL NIL NIL NIL NIL NIL NIL NIL)");
}

static void
envelope_8bit(void **state)
{
	(void)state;
	envelope("Subject: Giấy mời\r\nFrom: Đặng Hường <h@tỉnhmẫu.example>\r\n", false,
	    "(NIL \"=?utf-8?B?R2nhuqV5IG3hu51p?=\" "
	    "((\"=?utf-8?B?xJDhurduZyBIxrDhu51uZw==?=\" NIL \"h\" \"xn--tnhmu-c31boi.example\")) "
	    "((\"=?utf-8?B?xJDhurduZyBIxrDhu51uZw==?=\" NIL \"h\" \"xn--tnhmu-c31boi.example\")) "
	    "((\"=?utf-8?B?xJDhurduZyBIxrDhu51uZw==?=\" NIL \"h\" \"xn--tnhmu-c31boi.example\")) "
	    "NIL NIL NIL NIL NIL)");
	envelope("Subject: Giấy mời\r\nTo: Đặng <đ@tỉnh.example>\r\n", true,
	    "(NIL \"Giấy mời\" NIL NIL NIL ((\"Đặng\" NIL \"đ\" \"tỉnh.example\")) NIL NIL NIL "
	    "NIL)");
	/* neither raw bytes nor line ends ever come out */
	envelope("Subject: a\xff\rb\r\nMessage-ID: <\x80@x>\r\n", false,
	    "(NIL \"=?utf-8?B?Ye+/vQ==?= b\" NIL NIL NIL NIL NIL NIL NIL "
	    "\"=?utf-8?B?PO+/vUB4Pg==?=\")");
}

static void
structure(const char *message, bool ext, bool utf8, const char *want)
{
	struct mime_part *root;
	struct buf b;

	arena_reset(arena);
	assert_int_equal(mime_parse(slice_str(message), NULL, arena, &root), 0);
	buf_init(&b, 100000);
	assert_int_equal(mime_bodystructure(root, slice_str(message), ext, utf8, &b), 0);
	check_buf(&b, want);
	buf_done(&b);
}

/* lines lines of together octets octets, CRLFs included. */
static void
put_lines(struct buf *b, size_t octets, size_t lines)
{
	for (size_t i = 0; i < lines; i++) {
		size_t len = octets / lines + (i < octets % lines);

		for (size_t k = 2; k < len; k++)
			buf_append_byte(b, 'a');
		buf_append_str(b, "\r\n");
	}
}

/* RFC 3501 7.4.2, to the byte. */
static void
rfc3501_bodystructure(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 20000);
	buf_append_str(&b, SAMPLE_HEADER);
	put_lines(&b, 2279, 48);
	structure(buf_cstr(&b), false, false,
	    "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 2279 48)");
	buf_reset(&b);
	buf_append_str(&b, "Content-Type: MULTIPART/MIXED; BOUNDARY=\"x\"\r\n\r\n--x\r\n"
			   "Content-Type: TEXT/PLAIN; CHARSET=US-ASCII\r\n\r\n");
	put_lines(&b, 1152, 23);
	buf_append_str(&b,
	    "\r\n--x\r\nContent-Type: TEXT/PLAIN; CHARSET=US-ASCII; NAME=\"cc.diff\"\r\n"
	    "Content-Transfer-Encoding: BASE64\r\n"
	    "Content-ID: <960723163407.20117h@cac.washington.edu>\r\n"
	    "Content-Description: Compiler diff\r\n\r\n");
	put_lines(&b, 4554, 73);
	buf_append_str(&b, "\r\n--x--\r\n");
	structure(buf_cstr(&b), false, false,
	    "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 1152 23)"
	    "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\" \"NAME\" \"cc.diff\") "
	    "\"<960723163407.20117h@cac.washington.edu>\" \"Compiler diff\" \"BASE64\" 4554 73) "
	    "\"MIXED\")");
	buf_done(&b);
}

static void
extension_data(void **state)
{
	(void)state;
	structure("\r\nhello\r\n", true, false,
	    "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 7 1 NIL NIL NIL NIL)");
	structure("Content-Type: multipart/signed; boundary=b; micalg=sha-256\r\nContent-Language: "
		  "vi, en\r\n\r\n"
		  "--b\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Language: "
		  "vi\r\nContent-Location: x\r\n\r\nx\r\n"
		  "--b\r\nContent-Type: application/pdf\r\nContent-Disposition: Attachment; "
		  "filename*=utf-8''V%C4%83n.pdf\r\n"
		  "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==\r\nContent-Transfer-Encoding: "
		  "base64\r\n\r\nYQ==\r\n--b--\r\n",
	    true, false,
	    "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"utf-8\") NIL NIL \"7BIT\" 1 0 NIL NIL \"vi\" "
	    "\"x\")"
	    "(\"APPLICATION\" \"PDF\" NIL NIL NIL \"BASE64\" 4 \"Q2hlY2sgSW50ZWdyaXR5IQ==\" "
	    "(\"ATTACHMENT\" (\"FILENAME*\" \"UTF-8''V%C4%83n.pdf\")) NIL NIL) "
	    "\"SIGNED\" (\"BOUNDARY\" \"b\" \"MICALG\" \"sha-256\") NIL (\"vi\" \"en\") NIL)");
	structure("Content-Type: application/pdf; name=\"=?utf-8?Q?V=C4=83n.pdf?=\"\r\n\r\n", false,
	    true, "(\"APPLICATION\" \"PDF\" (\"NAME\" \"Văn.pdf\") NIL NIL \"7BIT\" 0)");
	structure("Content-Disposition: inline\r\nContent-Type: image/png\r\nContent-Description: "
		  "Ảnh\r\n\r\n",
	    true, false,
	    "(\"IMAGE\" \"PNG\" NIL NIL \"=?utf-8?B?4bqibmg=?=\" \"7BIT\" 0 NIL (\"INLINE\" NIL) "
	    "NIL NIL)");
}

static void
embedded(void **state)
{
	(void)state;
	structure(
	    "Content-Type: message/rfc822\r\n\r\nSubject: in\r\nFrom: a@b.test\r\n\r\nbody\r\n",
	    false, false,
	    "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"7BIT\" 37 (NIL \"in\" ((NIL NIL \"a\" "
	    "\"b.test\")) "
	    "((NIL NIL \"a\" \"b.test\")) ((NIL NIL \"a\" \"b.test\")) NIL NIL NIL NIL NIL) "
	    "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"us-ascii\") NIL NIL \"7BIT\" 6 1) 4)");
}

static void
broken(void **state)
{
	(void)state;
	structure("Content-Type: multipart/mixed\r\n\r\n", false, false,
	    "((\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0) \"MIXED\")");
	structure(
	    "Content-Type: message/rfc822\r\nContent-Transfer-Encoding: base64\r\n\r\nYQ==\r\n",
	    false, false,
	    "(\"MESSAGE\" \"RFC822\" NIL NIL NIL \"BASE64\" 6 (NIL NIL NIL NIL NIL NIL NIL NIL NIL "
	    "NIL) "
	    "(\"TEXT\" \"PLAIN\" (\"CHARSET\" \"US-ASCII\") NIL NIL \"7BIT\" 0 0) 1)");
	structure("Content-Type: text/plain; x=\"a\\\"b\"; y=\"\"\r\nContent-Transfer-Encoding: "
		  "x-\"odd\"\r\n\r\n",
	    false, false,
	    "(\"TEXT\" \"PLAIN\" (\"X\" \"a\\\"b\" \"Y\" \"\") NIL NIL \"X-\\\"ODD\\\"\" 0 0)");
	structure("Content-Language: ,\r\nContent-Type: image/png\r\n\r\n", true, false,
	    "(\"IMAGE\" \"PNG\" NIL NIL NIL \"7BIT\" 0 NIL NIL (\"\") NIL)");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(rfc3501_envelope),
	    cmocka_unit_test(envelope_cases),
	    cmocka_unit_test(envelope_8bit),
	    cmocka_unit_test(rfc3501_bodystructure),
	    cmocka_unit_test(extension_data),
	    cmocka_unit_test(embedded),
	    cmocka_unit_test(broken),
	};
	int r;

	arena = arena_new(1 << 24);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return r;
}
