/* gateway_test.c: what a gateway signs: 7 bit, lines, and the same content as before; what it leaves alone. */
#include "config.h"

#include "lib/err.h"
#include "milter/gateway_mime.h"
#include "milter/sign_row.h"
#include "tests/unit/unit.h"

#include <string.h>

static void
put(void *arg, struct slice piece)
{
	buf_append_slice(arg, piece);
}

/* The entity of a message; NULL with *why_out when it cannot be made. Static. */
static const char *
entity_of(struct slice whole, const char **why_out)
{
	static struct buf out;
	struct arena *a = arena_new(16u << 20);
	struct mime_part *root;
	int err;

	buf_done(&out);
	buf_init(&out, 64u << 20);
	*why_out = NULL;
	assert_int_equal(mime_parse(whole, NULL, a, &root), 0);
	*why_out = gateway_refuses(slice_sub(whole, 0, (size_t)root->body_off), root);
	err = *why_out != NULL ? ERR_UNSUPPORTED : gateway_entity(whole, root, put, &out, why_out);
	arena_free(a);
	assert_true(err == 0 || (err == ERR_UNSUPPORTED && *why_out != NULL));
	return err == 0 ? buf_cstr(&out) : NULL;
}

static void
entities(void **state)
{
	static const struct {
		const char *message, *entity;
	} cases[] = {
	    /* nothing to encode: as it is, without what belongs to the message */
	    {"From: a@x\r\nContent-Type: text/plain\r\nSubject: s\r\n\r\nabc\r\n",
		"Content-Type: text/plain\r\n\r\nabc\r\n"},
	    {"From: a@x\r\n\r\nabc\r\n", "Content-Type: text/plain\r\n\r\nabc\r\n"},
	    {"From: a@x\r\n\r\n\xc4\x91\r\n",
		"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: "
		"quoted-printable\r\n\r\n=C4=91\r\n"},
	    {"Content-Type: text/html\r\nContent-Transfer-Encoding: 8bit\r\n\r\nabc\r\n",
		"Content-Type: text/html\r\n\r\nabc\r\n"},
	    {"Content-Type: text/plain\r\n\r\nFrom me \r\n",
		"Content-Type: text/plain\r\nContent-Transfer-Encoding: "
		"quoted-printable\r\n\r\n=46rom me=20\r\n"},
	    {"Content-Type: application/x; a=1\r\nContent-Transfer-Encoding: "
	     "binary\r\nContent-Disposition: attachment\r\n\r\n\xff\n\r\n",
		"Content-Type: application/x; a=1\r\nContent-Disposition: "
		"attachment\r\nContent-Transfer-Encoding: base64\r\n\r\n/woNCg==\r\n"},
	    /* bare line ends of text become CRLF */
	    {"Content-Type: text/plain\r\n\r\na\nb\rc\r\n",
		"Content-Type: text/plain\r\nContent-Transfer-Encoding: "
		"quoted-printable\r\n\r\na\r\nb\r\nc\r\n"},
	    /* and what then begins a line is no boundary */
	    {"Content-Type: multipart/mixed; "
	     "boundary=b\r\n\r\n--b\r\n\r\nx\r--b\r--b--\r\n--b--\r\n",
		"Content-Type: multipart/mixed; "
		"boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: "
		"quoted-printable\r\n\r\nx\r\n=2D-b\r\n=2D-b--\r\n--b--\r\n"},
	    /* UTF-16 has no lines that we could tell */
	    {"Content-Type: text/plain; charset=utf-16le\r\n\r\nx\r\n",
		"Content-Type: text/plain; charset=utf-16le\r\n\r\nx\r\n"},
	    {"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: "
	     "8bit\r\n\r\npre\r\n--b\r\n\r\nplain\r\n--b\r\nContent-Type: text/plain; "
	     "charset=utf-8\r\nContent-Transfer-Encoding: "
	     "8bit\r\nX-Y: z\r\n\r\n\xc4\x91\r\n--b--\r\npost\r\n",
		"Content-Type: multipart/mixed; "
		"boundary=b\r\n\r\npre\r\n--b\r\n\r\nplain\r\n--b\r\n"
		"Content-Type: text/plain; charset=utf-8\r\nX-Y: z\r\nContent-Transfer-Encoding: "
		"quoted-printable\r\n\r\n=C4=91\r\n--b--\r\npost\r\n"},
	};
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *got = entity_of(slice_str(cases[i].message), &why);

		if (got == NULL)
			fail_msg("%s: %s", cases[i].message, why);
		assert_string_equal(got, cases[i].entity);
	}
}

static void
left_alone(void **state)
{
	static const struct {
		const char *message, *why;
	} cases[] = {
	    {"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"already"},
	    {"Content-Type: application/pkcs7-mime\r\n\r\nAAAA\r\n", "already"},
	    {"Content-Type: application/octet-stream; name=smime.P7M\r\n\r\nAAAA\r\n", "already"},
	    {"Content-Type: multipart/encrypted; boundary=b\r\n\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"encrypted"},
	    {"Content-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx\r\n", "two ways"},
	    {"Content-Type: text/plain; charset=a; charset=b\r\n\r\nx\r\n", "two ways"},
	    {"MIME-Version: 1.0\r\nMIME-Version: 1.0\r\n\r\nx\r\n", "two ways"},
	    {"From: a@x\r\n\r\n\xff\r\n", "charset"},
	    {"Content-Description: \xc4\x91\r\n\r\nx\r\n", "header field"},
	    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nx\r\n", "parts"},
	    {"Content-Type: multipart/mixed; "
	     "boundary=b\r\n\r\n\xc4\x91\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"outside"},
	    {"Content-Type: text/plain\r\nContent-Transfer-Encoding: base64\r\n\r\n\xc4\x91\r\n",
		"encoded part"},
	    {"Content-Type: message/delivery-status\r\n\r\n\xc4\x91\r\n", "cannot be encoded"},
	    {"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: "
	     "multipart/signed; "
	     "boundary=s\r\n\r\n--s\r\n\r\n\xc4\x91\r\n--s--\r\n--b--\r\n",
		"signed part"},
	};
	const char *why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		if (entity_of(slice_str(cases[i].message), &why) != NULL)
			fail_msg("signed: %s", cases[i].message);
		if (strstr(why, cases[i].why) == NULL)
			fail_msg("%s: %s", cases[i].message, why);
	}
}

/* Text of any length is encoded piece by piece; a line without an end too. */
static void
long_texts(void **state)
{
	struct buf whole, body, decoded;
	struct slice got, rest;
	const char *why, *text;
	ptrdiff_t lf;

	(void)state;
	for (int lines = 0; lines < 2; lines++) {
		buf_init(&whole, 1 << 20);
		buf_init(&body, 1 << 20);
		buf_init(&decoded, 1 << 20);
		for (int i = 0; i < 30000; i++) {
			buf_append_str(&body, i % 7 == 0 ? "\xc4\x91 " : "ab \t");
			if (lines == 1 && i % 30 == 29)
				buf_append_str(&body, "\r\n");
		}
		buf_append_str(&whole, "Content-Type: text/plain; charset=utf-8\r\n\r\n");
		buf_append_slice(&whole, buf_slice(&body));
		text = entity_of(buf_slice(&whole), &why);
		assert_non_null(text);
		got = slice_str(strstr(text, "\r\n\r\n") + 4);
		assert_int_equal(qp_decode(got, true, &decoded), 0);
		assert_int_equal(decoded.len, body.len);
		assert_memory_equal(decoded.data, body.data, body.len);
		for (rest = got; (lf = slice_index(rest, '\n')) >= 0;
		     rest = slice_from(rest, (size_t)lf + 1))
			assert_true(lf <= 78);
		buf_done(&whole);
		buf_done(&body);
		buf_done(&decoded);
	}
}

static void
rows(void **state)
{
	static const char *const bad[] = {"", "a@x", "a@x=k", "a@x=k:", "a@x=:c", "=k:c", "a=k:c",
	    "a@x=pkcs11:", "a@x=pkcs11:token=t",
	    "a@x=pkcs11:token=t:", "a@x=pkcs11:token=t?pin-value=1:c",
	    "a@x=pkcs11:token=t?pin-source=file:c", "a@x=PKCS11:token=t?module-path=/m:c"};
	struct slice key, certs;
	struct buf address;
	const char *why;

	(void)state;
	buf_init(&address, 1000);
	assert_int_equal(
	    sign_row_parse("VanThu@X.Example=a.key:b.pem", &address, &key, &certs, &why), 0);
	assert_string_equal(buf_cstr(&address), "vanthu@x.example");
	assert_true(slice_eq_str(key, "a.key") && slice_eq_str(certs, "b.pem"));
	buf_done(&address);
	/* RFC 7512: its colons and equal signs are its own */
	buf_init(&address, 1000);
	assert_int_equal(sign_row_parse("a@x.example=pkcs11:token=A:b;object=k:keys/c.pem",
			     &address, &key, &certs, &why),
	    0);
	assert_true(slice_eq_str(key, "pkcs11:token=A:b;object=k"));
	assert_true(slice_eq_str(certs, "keys/c.pem"));
	buf_done(&address);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		buf_init(&address, 1000);
		assert_int_equal(sign_row_parse(bad[i], &address, &key, &certs, &why), ERR_SYNTAX);
		buf_done(&address);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(entities), cmocka_unit_test(left_alone),
	    cmocka_unit_test(long_texts), cmocka_unit_test(rows)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
