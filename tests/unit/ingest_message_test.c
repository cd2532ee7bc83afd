/* ingest_message_test.c: from octets to what stored takes: digest, summary, envelope, date; large and hostile messages. */
#include "tests/unit/check.h"

#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/mime.h"
#include "store/ingest.h"
#include "store/sig.h"

static struct ingest in = {.size_max = 30000000};
static const unsigned char id[16] = "0123456789abcde";

static void
build(struct slice whole, struct ingest_body *b, struct ingest_message *im)
{
	ingest_body_init(b, &in);
	for (size_t at = 0; at < whole.len; at += 10000) {
		struct slice piece = slice_sub(whole, at, 10000);

		assert_int_equal(ingest_body_append(b, piece.ptr, piece.len), 0);
	}
	assert_int_equal(ingest_message_init(im, b, id), 0);
	assert_int_equal(im->m.size, whole.len);
	assert_true(im->m.summary.len <= DELIVER_SUMMARY_MAX);
	assert_true(im->m.envelope.len <= DELIVER_ENVELOPE_MAX);
}

static void
done(struct ingest_body *b, struct ingest_message *im)
{
	ingest_message_done(im);
	ingest_body_done(b);
	assert_int_equal(in.large_used, 0);
}

static void
small(void **state)
{
	struct slice s = slice_str("Date: Sat, 21 Nov 2026 08:00:00 +0700\r\nFrom: "
				   "a@b.test\r\nSubject: Giấy mời\r\n\r\nhello\r\n");
	struct ingest_body b;
	struct ingest_message im, again;
	struct arena *a = arena_new(1 << 20);
	struct mime_part *root;
	unsigned char want[32];

	(void)state;
	build(s, &b, &im);
	sha256_of(s, want);
	assert_memory_equal(im.m.sha256, want, 32);
	assert_int_equal(im.m.fd, -1);
	assert_true(slice_eq(im.m.body, s));
	assert_int_equal(im.m.sent_date, 1795222800);
	check_slice(im.m.envelope,
	    "(\"Sat, 21 Nov 2026 08:00:00 +0700\" \"=?utf-8?B?R2nhuqV5IG3hu51p?=\" ((NIL NIL \"a\" "
	    "\"b.test\")) "
	    "((NIL NIL \"a\" \"b.test\")) ((NIL NIL \"a\" \"b.test\")) NIL NIL NIL NIL NIL)");
	assert_int_equal(im.m.refs.len, 8); /* no Message-ID, no references */
	assert_int_equal(mime_tree_decode(summary_tree(im.m.summary), a, &root), 0);
	assert_int_equal(root->body_lines, 1);
	/* the same delivery has the same EMAILID when it comes again; another one has another */
	assert_int_equal(ingest_message_init(&again, &b, id), 0);
	assert_memory_equal(im.m.email_id, again.m.email_id, 16);
	ingest_message_done(&again);
	assert_int_equal(
	    ingest_message_init(&again, &b, (const unsigned char *)"another delivery"), 0);
	assert_memory_not_equal(im.m.email_id, again.m.email_id, 16);
	ingest_message_done(&again);
	done(&b, &im);
	build(slice_str(""), &b, &im);
	assert_int_equal(im.m.sent_date, INT64_MIN);
	done(&b, &im);
	arena_free(a);
}

static bool
same_of(const char *text, unsigned char out[16])
{
	struct ingest_body b;
	struct ingest_message im;
	bool known;

	build(slice_str(text), &b, &im);
	assert_false(im.m.has_same);
	ingest_same(&im, &b);
	known = im.m.has_same;
	memcpy(out, im.m.same, 16);
	done(&b, &im);
	return known;
}

/* What the server stamps makes no other message; anything else does. */
static void
same(void **state)
{
	static const char it[] =
	    "From: a@b.test\r\nMessage-ID: <1@b.test>\r\nSubject: x\r\n\r\nSender: y\r\n";
	static const struct {
		const char *text;
		bool same;
	} table[] = {
	    {"Received: from x\r\n\tby y\r\nAuthentication-Results: b.test; x\r\nX-Congvu-Verdict: "
	     "v\r\n"
	     "Importance: high\r\nSENDER: c@b.test\r\nFrom: a@b.test\r\nMessage-ID: <1@b.test>\r\n"
	     "Subject: x\r\n\r\nSender: y\r\n",
		true},
	    {"From: a@b.test\r\nMessage-ID: <1@b.test>\r\nSubject: x\r\n\r\n", false},
	    {"From: a@b.test\r\nMessage-ID: <1@b.test>\r\nSubject: x\r\n\r\nSender: z\r\n", false},
	    {"From: a@b.test\r\nMessage-ID: <1@b.test>\r\nSubject: x\r\n y\r\n\r\nSender: y\r\n",
		false},
	    {"From: a@b.test\r\nMessage-ID: <1@b.test>\r\nSubject: x\r\nBcc: "
	     "c@b.test\r\n\r\nSender: y\r\n",
		true},
	    {"From: a@b.test\r\nMessage-ID: <1@b.test>\r\nSubject: x\r\nno field\r\n\r\nSender: "
	     "y\r\n",
		false},
	    {"From: a@b.test\r\nMessage-ID: <1@b.test>\r\nSubject: x\r\n\r\n\r\nSender: y\r\n",
		false},
	    {"Message-ID: <1@b.test>\r\nFrom: a@b.test\r\nSubject: x\r\n\r\nSender: y\r\n", false},
	    {"From: a@b.test\r\nMessage-ID: <2@b.test>\r\nSubject: x\r\n\r\nSender: y\r\n", false},
	};
	unsigned char want[16], got[16];

	(void)state;
	assert_true(same_of(it, want));
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		assert_true(same_of(table[i].text, got));
		assert_int_equal(memcmp(got, want, 16) == 0, table[i].same);
	}
	assert_false(same_of("From: a@b.test\r\n\r\nno Message-ID\r\n", got));
}

static void
large_goes_by_descriptor(void **state)
{
	struct ingest_body b;
	struct ingest_message im;
	struct buf s;
	struct stat st;
	unsigned char want[32];

	(void)state;
	buf_init(&s, 30000000);
	buf_append_str(&s, "Subject: x\r\n\r\n");
	while (s.len < 20000000)
		buf_append_str(&s, "0123456789 0123456789 0123456789 0123456789\r\n");
	build(buf_slice(&s), &b, &im);
	assert_true(im.m.fd >= 0);
	assert_int_equal(im.m.body.len, 0);
	assert_int_equal(fstat(im.m.fd, &st), 0);
	assert_int_equal(st.st_size, s.len);
	sha256_of(buf_slice(&s), want);
	assert_memory_equal(im.m.sha256, want, 32);
	assert_int_equal(in.large_used, s.len);
	done(&b, &im);
	buf_done(&s);
}

static void
too_large(void **state)
{
	static unsigned char chunk[1000000];
	struct ingest_body b, c;
	int r = 0;

	(void)state;
	ingest_body_init(&b, &in);
	for (int i = 0; i < 40 && r == 0; i++)
		r = ingest_body_append(&b, chunk, sizeof(chunk));
	assert_int_equal(r, ERR_LIMIT);
	/* the memory of all large messages together is bounded */
	in.large_used += INGEST_LARGE_MAX - 31500000;
	ingest_body_init(&c, &in);
	r = 0;
	for (int i = 0; i < 25 && r == 0; i++)
		r = ingest_body_append(&c, chunk, sizeof(chunk));
	assert_int_equal(r, ERR_FULL);
	ingest_body_done(&c);
	ingest_body_done(&b);
	assert_int_equal(in.large_used, INGEST_LARGE_MAX - 31500000);
	in.large_used = 0;
}

/* Whatever the structure, there is a summary that stored takes. */
static void
hostile_structure(void **state)
{
	struct ingest_body b;
	struct ingest_message im;
	struct arena *a = arena_new(1 << 22);
	struct mime_part *root;
	struct buf s;

	(void)state;
	buf_init(&s, 30000000);
	buf_append_str(&s, "Content-Type: multipart/mixed; boundary=x\r\n\r\n");
	for (int i = 0; i < 3000; i++) {
		buf_append_str(&s, "--x\r\nContent-Type: text/plain; name=\"");
		for (int k = 0; k < 700; k++)
			buf_append_str(&s, "\xc4\x91");
		buf_append_str(&s, "\"\r\n\r\na\r\n");
	}
	build(buf_slice(&s), &b, &im);
	assert_int_equal(mime_tree_decode(summary_tree(im.m.summary), a, &root), 0);
	assert_true(root->flags & MIME_F_TOO_MANY);
	assert_int_equal(root->end_off, s.len);
	done(&b, &im);
	buf_reset(&s);
	buf_append_str(&s, "Content-Type: text/plain");
	for (int i = 0; i < 64; i++) {
		buf_appendf(&s, ";\r\n p%d=\"", i);
		for (int k = 0; k < 8000; k++)
			buf_append_byte(&s, 'v');
		buf_append_str(&s, "\"");
	}
	buf_append_str(&s, "\r\n\r\nbody");
	build(buf_slice(&s), &b, &im);
	arena_reset(a);
	assert_int_equal(mime_tree_decode(summary_tree(im.m.summary), a, &root), 0);
	assert_int_equal(root->end_off, s.len);
	done(&b, &im);
	buf_reset(&s);
	buf_append_str(&s, "To: ");
	for (int i = 0; i < 3000; i++)
		buf_appendf(&s, "user%d@b.test,\r\n ", i);
	buf_append_str(&s, "x@y.test\r\n\r\n");
	build(buf_slice(&s), &b, &im);
	assert_int_equal(im.m.envelope.len, 0); /* does not fit in a row: read from the body */
	done(&b, &im);
	buf_done(&s);
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(small),
	    cmocka_unit_test(same),
	    cmocka_unit_test(large_goes_by_descriptor),
	    cmocka_unit_test(too_large),
	    cmocka_unit_test(hostile_structure),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
