/* mime_test.c: the MIME tree: RFC 2046's examples, part numbers of RFC 3501 6.4.5, hostile structure, speed. */
#include "tests/unit/check.h"

#include <time.h>

#include "lib/err.h"
#include "lib/mime.h"

static struct arena *arena;
static struct mime_part *root;
static struct slice msg;

static void
parse(struct slice s)
{
	arena_reset(arena);
	msg = s;
	assert_int_equal(mime_parse(s, &mime_limits_default, arena, &root), 0);
}

static struct slice
body_of(const struct mime_part *p)
{
	return slice_sub(msg, p->body_off, p->end_off - p->body_off);
}

static const struct mime_part *
part(const char *path)
{
	uint32_t n[20];
	size_t count = 0;

	for (const char *s = path; *s != '\0'; s++)
		if (*s != '.')
			n[count++] = (uint32_t)(*s - '0');
	return mime_find(root, n, count);
}

static void
part_is(const char *path, const char *type, const char *body)
{
	const struct mime_part *p = part(path);
	struct buf b;

	assert_non_null(p);
	buf_init(&b, 400);
	buf_append_slice(&b, p->type);
	buf_append_str(&b, "/");
	buf_append_slice(&b, p->subtype);
	check_buf(&b, type);
	buf_done(&b);
	if (body != NULL)
		check_slice(body_of(p), body);
}

#define TEXT "Content-Type: text/plain\r\n\r\n"
#define MULTI(b) "Content-Type: multipart/mixed; boundary=\"" b "\"\r\n\r\n"

static void
simple(void **state)
{
	(void)state;
	parse(slice_str("Subject: x\r\n\r\nline 1\r\nline 2\r\n"));
	assert_int_equal(root->body_off, 14);
	assert_int_equal(root->body_lines, 2);
	assert_int_equal(root->flags, MIME_F_NO_CTYPE);
	part_is("1", "text/plain", "line 1\r\nline 2\r\n");
	assert_null(part("2"));
	assert_null(part("1.1"));
	assert_ptr_equal(part(""), root);
	parse(slice_str(""));
	assert_int_equal(root->end_off, 0);
	parse(slice_str("no header at all"));
	assert_int_equal(root->body_off, 16);
	parse(slice_str("\r\nbody"));
	part_is("1", "text/plain", "body");
}

/* RFC 2046 5.1.1. */
static void
rfc2046_example(void **state)
{
	(void)state;
	parse(slice_str("From: Nathaniel Borenstein <nsb@bellcore.com>\r\n"
			"MIME-Version: 1.0\r\n"
			"Content-type: multipart/mixed; boundary=\"simple\r\n boundary\"\r\n"
			"\r\n"
			"This is the preamble.  It is to be ignored.\r\n"
			"--simple boundary\r\n"
			"\r\n"
			"This is implicitly typed plain US-ASCII text.\r\n"
			"It does NOT end with a linebreak.\r\n"
			"--simple boundary\r\n"
			"Content-type: text/plain; charset=us-ascii\r\n"
			"\r\n"
			"This is explicitly typed plain US-ASCII text.\r\n"
			"It DOES end with a linebreak.\r\n"
			"\r\n"
			"--simple boundary--\r\n"
			"\r\n"
			"This is the epilogue.  It is also to be ignored.\r\n"));
	assert_int_equal(root->n_children, 2);
	assert_int_equal(root->flags, MIME_F_PREAMBLE);
	part_is("1", "text/plain",
	    "This is implicitly typed plain US-ASCII text.\r\nIt does NOT end with a linebreak.");
	assert_int_equal(part("1")->body_lines, 1);
	part_is("2", "text/plain",
	    "This is explicitly typed plain US-ASCII text.\r\nIt DOES end with a linebreak.\r\n");
	assert_int_equal(part("2")->body_lines, 2);
	assert_int_equal(part("2")->flags, 0);
}

/* RFC 3501 6.4.5: the tree with part numbers 1, 2, 3 (message), 3.1, 3.2, 4 (multipart), 4.1, 4.1.1 …, 4.2 (message). */
static void
part_numbers(void **state)
{
	(void)state;
	parse(slice_str(MULTI(
	    "a") "--a\r\n" TEXT "one\r\n"
		 "--a\r\nContent-Type: application/octet-stream\r\n\r\ntwo\r\n"
		 "--a\r\nContent-Type: message/rfc822\r\n\r\n"
		 "Subject: three\r\n" MULTI(
		     "b") "--b\r\n" TEXT "three one\r\n--b\r\nContent-Type: "
			  "application/pdf\r\n\r\nthree two\r\n--b--\r\n"
			  "--a\r\n" MULTI("c") "--c\r\nContent-Type: image/gif\r\n\r\nfour one\r\n"
					       "--c\r\nContent-Type: MESSAGE/RFC822\r\n\r\n"
					       "Subject: four two\r\n" TEXT "four two one\r\n"
					       "--c--\r\n"
					       "--a--\r\n"));
	assert_int_equal(root->flags, 0);
	part_is("1", "text/plain", "one");
	part_is("2", "application/octet-stream", "two");
	part_is("3", "message/rfc822", NULL);
	part_is("3.1", "text/plain", "three one");
	part_is("3.2", "application/pdf", "three two");
	part_is("4", "multipart/mixed", NULL);
	part_is("4.1", "image/gif", "four one");
	part_is("4.2", "message/rfc822", "Subject: four two\r\n" TEXT "four two one");
	part_is("4.2.1", "text/plain", "four two one");
	assert_null(part("3.3"));
	assert_null(part("4.2.2"));
	assert_null(part("4.2.1.1"));
	assert_null(part("5"));
	assert_null(part("0"));
	assert_int_equal(part("3")->child->hdr_off, part("3")->body_off);
	assert_int_equal(part("3")->child->end_off, part("3")->end_off);
}

/* The whole message is itself a message: 1 is it, 1.1 what is inside. */
static void
message_at_the_top(void **state)
{
	(void)state;
	parse(slice_str("Content-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\nbody\r\n"));
	part_is("1", "message/rfc822", NULL);
	part_is("1.1", "text/plain", "body\r\n");
	parse(slice_str("Content-Type: message/rfc822\r\nContent-Transfer-Encoding: "
			"base64\r\n\r\nU3ViamVjdDogaW4=\r\n"));
	assert_null(root->child);
	assert_true(root->flags & MIME_F_BAD_CTE);
	parse(slice_str("Content-Type: multipart/digest; boundary=d\r\n\r\n--d\r\n\r\nSubject: "
			"in\r\n\r\nbody\r\n--d--\r\n"));
	part_is("1", "message/rfc822", NULL);
	part_is("1.1", "text/plain", "body");
}

static void
boundary_prefix_of_another(void **state)
{
	(void)state;
	parse(slice_str(MULTI("x") "--x\r\n" MULTI("xy") "--xy\r\n" TEXT "in\r\n--xyz\r\n--xy--\r\n"
							 "--x\r\n" TEXT "out\r\n--x--\r\n"));
	part_is("1.1", "text/plain", "in\r\n--xyz");
	part_is("2", "text/plain", "out");
	assert_int_equal(root->flags | part("1")->flags, 0);
	parse(slice_str(MULTI("x--") "--x--\r\n" TEXT "a\r\n--x----  \t\r\n"));
	part_is("1", "text/plain", "a");
	assert_int_equal(root->flags, 0);
}

static void
unterminated(void **state)
{
	(void)state;
	parse(slice_str(MULTI("x") "--x\r\n" TEXT "a\r\n"));
	part_is("1", "text/plain", "a\r\n");
	assert_true(root->flags & MIME_F_UNTERMINATED);
	/* the outer delimiter ends the inner multipart */
	parse(slice_str(
	    MULTI("o") "--o\r\n" MULTI("i") "--i\r\n" TEXT "a\r\n--o\r\n" TEXT "b\r\n--o--\r\n"));
	assert_true(part("1")->flags & MIME_F_UNTERMINATED);
	assert_false(root->flags & MIME_F_UNTERMINATED);
	part_is("1.1", "text/plain", "a");
	part_is("2", "text/plain", "b");
	/* behind a closing delimiter nothing begins any more */
	parse(slice_str(MULTI("x") "--x\r\n" TEXT "a\r\n--x--\r\n--x\r\n" TEXT "b\r\n--x--\r\n"));
	assert_int_equal(root->n_children, 1);
	assert_true(root->flags & MIME_F_PREAMBLE);
}

static void
no_boundary(void **state)
{
	(void)state;
	parse(slice_str("Content-Type: multipart/mixed\r\n\r\n--x\r\n\r\na\r\n--x--\r\n"));
	assert_true(root->flags & MIME_F_NO_BOUNDARY);
	assert_null(root->child);
	parse(slice_str(
	    "Content-Type: multipart/mixed; boundary=\"\"\r\n\r\n--\r\n\r\na\r\n----\r\n"));
	assert_true(root->flags & MIME_F_NO_BOUNDARY);
	parse(slice_str(MULTI("never") "text\r\n"));
	assert_null(root->child);
	assert_int_equal(root->flags, MIME_F_UNTERMINATED | MIME_F_PREAMBLE);
	assert_null(part("1"));
}

static void
duplicate_headers(void **state)
{
	(void)state;
	parse(slice_str("Content-Type: text/html\r\nContent-Type: multipart/mixed; "
			"boundary=x\r\n\r\n--x\r\n\r\na\r\n--x--\r\n"));
	part_is("1", "text/html", NULL);
	assert_true(root->flags & MIME_F_DUP_HEADER);
	parse(slice_str(
	    "Content-Transfer-Encoding: 7bit\r\ncontent-transfer-encoding: base64\r\n\r\n"));
	assert_true(root->flags & MIME_F_DUP_HEADER);
	assert_int_equal(root->cte, CTE_7BIT);
	parse(slice_str("Content-Disposition: inline\r\nContent-Disposition: attachment\r\n\r\n"));
	assert_true(root->flags & MIME_F_DUP_HEADER);
	parse(slice_str("Content-Type: multipart/mixed; boundary=a; "
			"boundary=b\r\n\r\n--a\r\n\r\n1\r\n--a--\r\n"));
	assert_true(root->flags & MIME_F_DUP_PARAM);
	parse(slice_str("Content-Type: garbage\r\n\r\n"));
	assert_true(root->flags & MIME_F_BAD_CTYPE);
	part_is("1", "text/plain", "");
}

static void
headers_without_body(void **state)
{
	(void)state;
	parse(slice_str(
	    MULTI("x") "--x\r\nContent-Type: text/html\r\n--x\r\n\r\n--x\r\n\r\n\r\n--x--"));
	assert_int_equal(root->n_children, 3);
	part_is("1", "text/html", "");
	part_is("2", "text/plain", "");
	part_is("3", "text/plain", "");
	assert_int_equal(root->flags, 0);
	/* embedded messages that end in their header, or right behind it: found by the fuzzer not to nest */
	parse(slice_str(
	    MULTI("x") "--x\r\nContent-Type: message/rfc822\r\n\r\nSubject: a\r\n--x\r\n"
		       "Content-Type: message/rfc822\r\n\r\nSubject: b\r\n\r\n--x--\r\n"));
	part_is("1", "message/rfc822", "Subject: a");
	part_is("1.1", "text/plain", "");
	part_is("2", "message/rfc822", "Subject: b\r\n\r\n");
	part_is("2.1", "text/plain", "");
	for (const struct mime_part *p = root->child; p != NULL; p = p->next) {
		assert_int_equal(p->n_children, 1);
		assert_int_equal(p->child->end_off, p->end_off);
		assert_int_equal(p->child->body_off, p->end_off);
	}
	assert_int_equal(part("1")->body_lines, 0);
	assert_int_equal(part("2")->body_lines, 2);
}

static void
odd_bytes(void **state)
{
	(void)state;
	parse(slice_str("Subject: x\n\nbare\n"));
	assert_true(root->flags & MIME_F_BARE_LF);
	part_is("1", "text/plain", "bare\n");
	assert_int_equal(root->body_lines, 1);
	parse(slice_str("Subject: x\r\n\r\na\rb\r\n"));
	assert_true(root->flags & MIME_F_BARE_LF);
	parse(slice_str("Subject: x\r\n\r\na\r\r\n"));
	assert_true(root->flags & MIME_F_BARE_LF);
	parse(LIT("Subject: x\r\n\r\na\0b\r\n"));
	assert_true(root->flags & MIME_F_NUL);
	assert_int_equal(root->end_off, 19);
	parse(slice_str("Subject: đ\r\n\r\nđ\r\n"));
	assert_true(root->flags & MIME_F_8BIT_HEADER);
	/* LF delimiters */
	parse(slice_str(
	    "Content-Type: multipart/mixed; boundary=x\n\n--x\n\na\n--x\r\n\r\nb\r\n--x--\n"));
	part_is("1", "text/plain", "a");
	part_is("2", "text/plain", "b");
	/* CR alone begins no line */
	parse(slice_str(MULTI("x") "--x\r\n\r\na\r--x--\r\n--x--\r\n"));
	part_is("1", "text/plain", "a\r--x--");
}

static void
transfer_encodings(void **state)
{
	static const struct {
		const char *text;
		enum mime_cte cte;
	} rows[] = {{"base64", CTE_BASE64}, {"BASE64 (comment)", CTE_BASE64},
	    {"Quoted-Printable", CTE_QP}, {"8bit", CTE_8BIT}, {"binary;", CTE_BINARY},
	    {"7bit", CTE_7BIT}, {"x-uuencode", CTE_OTHER}, {"", CTE_OTHER}};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_reset(&b);
		buf_appendf(&b, "Content-Transfer-Encoding: %s\r\n\r\n", rows[i].text);
		parse(buf_slice(&b));
		assert_int_equal(root->cte, rows[i].cte);
		assert_int_equal((root->flags & MIME_F_BAD_CTE) != 0, rows[i].cte == CTE_OTHER);
	}
	parse(slice_str("Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: "
			"base64\r\n\r\n--x\r\n\r\na\r\n--x--\r\n"));
	assert_true(root->flags & MIME_F_BAD_CTE);
	assert_int_equal(root->n_children, 1);
	buf_done(&b);
}

static unsigned
depth_of(const struct mime_part *p)
{
	unsigned d = 0;

	for (; p != NULL; p = p->child)
		d++;
	return d;
}

static void
too_deep(void **state)
{
	struct buf b;
	const struct mime_part *p;

	(void)state;
	buf_init(&b, 10000000);
	for (int i = 0; i < 20000; i++)
		buf_appendf(
		    &b, "Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n", i, i);
	parse(buf_slice(&b));
	assert_int_equal(depth_of(root), 32);
	for (p = root; p->child != NULL; p = p->child)
		;
	assert_true(p->flags & MIME_F_TOO_DEEP);
	check_slice(p->type, "application");
	buf_reset(&b);
	for (int i = 0; i < 20000; i++)
		buf_append_str(&b, "Content-Type: message/rfc822\r\n\r\n");
	parse(buf_slice(&b));
	assert_int_equal(depth_of(root), 32);
	buf_done(&b);
}

static void
too_many(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10000000);
	buf_append_str(&b, MULTI("x"));
	for (int i = 0; i < 100000; i++)
		buf_append_str(&b, "--x\r\n\r\na\r\n");
	buf_append_str(&b, "--x--\r\n");
	parse(buf_slice(&b));
	assert_int_equal(root->n_children, 1999);
	assert_int_equal(root->flags, MIME_F_TOO_MANY);
	buf_done(&b);
}

static void
long_header(void **state)
{
	struct buf b;

	(void)state;
	buf_init(&b, 10000000);
	for (int i = 0; i < 30000; i++)
		buf_append_str(&b, "X-Long: 0123456789\r\n");
	buf_append_str(&b, "Content-Type: text/html\r\n\r\nbody");
	parse(buf_slice(&b));
	assert_true(root->flags & MIME_F_TOO_DEEP);
	part_is("1", "text/plain", "body");
	buf_done(&b);
}

/* Every tree codes and decodes to itself; every cut and every changed byte is refused or gives a tree that nests. */
static void
tree_codec(void **state)
{
	struct buf b, again;
	struct arena *a2 = arena_new(1 << 22);
	struct mime_part *back;

	(void)state;
	buf_init(&b, 100000);
	buf_init(&again, 100000);
	parse(slice_str(MULTI(
	    "a") "--a\r\nContent-Type: application/pdf; name*=utf-8''%C4%91.pdf\r\nContent-ID: "
		 "<1@x>\r\n"
		 "Content-Description: mô tả\r\nContent-Disposition: attachment; filename=a\r\n"
		 "Content-Transfer-Encoding: base64\r\nContent-Language: vi, "
		 "en\r\nContent-Location: x\r\n"
		 "Content-MD5: Q2hlY2s=\r\n\r\nYQ==\r\n"
		 "--a\r\nContent-Type: message/rfc822\r\n\r\nSubject: x\r\n\r\ny\r\n--a--\r\n"));
	assert_int_equal(mime_tree_encode(root, &b), 0);
	assert_int_equal(mime_tree_decode(buf_slice(&b), a2, &back), 0);
	assert_int_equal(mime_tree_encode(back, &again), 0);
	assert_true(slice_eq(buf_slice(&b), buf_slice(&again)));
	assert_int_equal(back->n_children, 2);
	assert_ptr_equal(back->child->next->child->parent, back->child->next);
	assert_null(back->child->next->disposition.ptr);
	for (size_t n = 0; n < b.len; n++) {
		arena_reset(a2);
		assert_int_equal(
		    mime_tree_decode(slice_sub(buf_slice(&b), 0, n), a2, &back), ERR_CORRUPT);
	}
	for (size_t i = 0; i < b.len; i++)
		for (int bit = 0; bit < 8; bit++) {
			int r;

			b.data[i] ^= (unsigned char)(1 << bit);
			arena_reset(a2);
			r = mime_tree_decode(buf_slice(&b), a2, &back);
			assert_true(r == 0 || r == ERR_CORRUPT);
			if (r == 0)
				for (const struct mime_part *p = back->child; p != NULL;
				     p = p->next)
					assert_true(p->end_off <= back->end_off &&
						    p->hdr_off >= back->body_off);
			b.data[i] ^= (unsigned char)(1 << bit);
		}
	buf_append_byte(&b, 0);
	arena_reset(a2);
	assert_int_equal(mime_tree_decode(buf_slice(&b), a2, &back), ERR_CORRUPT);
	arena_free(a2);
	buf_done(&b);
	buf_done(&again);
}

static double
seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* 20 MB of base64, and 20 MB of lines that look like delimiters of 30 open multiparts: both linear. The bound is loose
 * (sanitizers, valgrind); a quadratic reading would take minutes. */
static void
linear(void **state)
{
	struct buf b;
	double t;

	(void)state;
	buf_init(&b, 24000000);
	buf_append_str(&b,
	    MULTI("x") "--x\r\nContent-Type: application/pdf\r\nContent-Transfer-Encoding: "
		       "base64\r\n\r\n");
	while (b.len < 20000000)
		buf_append_str(&b, "JVBERi0xLjQKJeLjz9MKMyAwIG9iago8PC9MZW5ndGggNCAwIFIvRmlsdGVyL0Z"
				   "sYXRlRGVjb2RlPj4K\r\n");
	buf_append_str(&b, "--x--\r\n");
	t = seconds();
	parse(buf_slice(&b));
	t = seconds() - t;
	print_message("20 MB of base64: %.1f ms\n", t * 1000);
	assert_true(t < 5);
	buf_reset(&b);
	for (int i = 0; i < 30; i++)
		buf_appendf(&b,
		    "Content-Type: multipart/mixed; "
		    "boundary=bbbbbbbbbb%02d\r\n\r\n--bbbbbbbbbb%02d\r\n",
		    i, i);
	buf_append_str(&b, "\r\n");
	while (b.len < 20000000)
		buf_append_str(&b, "--bbbbbbbbbbb\r\n");
	t = seconds();
	parse(buf_slice(&b));
	t = seconds() - t;
	print_message("20 MB of near delimiters: %.1f ms\n", t * 1000);
	assert_true(t < 20);
	buf_done(&b);
}

static void
same_tree(const struct mime_part *a, const struct mime_part *b)
{
	const uint32_t but = ~(uint32_t)MIME_F_NUL;

	for (; a != NULL && b != NULL; a = a->next, b = b->next) {
		assert_int_equal(a->hdr_off, b->hdr_off);
		assert_int_equal(a->body_off, b->body_off);
		assert_int_equal(a->end_off, b->end_off);
		assert_int_equal(a->body_lines, b->body_lines);
		assert_int_equal(a->flags & but, b->flags & but);
		same_tree(a->child, b->child);
	}
	assert_null(a);
	assert_null(b);
}

/* Lines of a body that are nothing else are passed over many octets at a time; not so where a NUL stands somewhere. Both ways say the same, whatever stands
 * wherever. */
static void
passed_over_or_not(void **state)
{
	static const char *const pieces[] = {"a", "bcdefghijklm", "\r\n", "\r\n", "\n", "\r", "-",
	    "--", "\r\n--", "\r\n--x\r\n", "\r\n--x--\r\n", "\r\n--xy\r\n", "\n--x\n", " ",
	    "\r\n--x\r\nContent-Type: multipart/mixed; boundary=xy\r\n\r\n", "\r\n\r\n",
	    "a line without anything in it that is as long as most lines are\r\n"};
	static const char head[] = "Content-Type: multipart/mixed; boundary=x\r\nX: ?\r\n\r\n";
	struct arena *other = arena_new(1 << 20);
	struct mime_part *slow;
	uint32_t seed = 11;
	struct buf b;

	(void)state;
	buf_init(&b, 8192);
	for (unsigned round = 0; round < 20000; round++) {
		buf_reset(&b);
		buf_append(&b, head, sizeof head - 1);
		for (uint32_t k = 0; k < round % 60; k++) {
			seed = seed * 1664525 + 1013904223;
			buf_append_str(&b, pieces[(seed >> 8) % (sizeof pieces / sizeof *pieces)]);
		}
		parse(buf_slice(&b));
		b.data[strchr(head, '?') - head] = '\0';
		arena_reset(other);
		assert_int_equal(mime_parse(buf_slice(&b), &mime_limits_default, other, &slow), 0);
		same_tree(root, slow);
	}
	buf_done(&b);
	arena_free(other);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(simple),
	    cmocka_unit_test(rfc2046_example),
	    cmocka_unit_test(part_numbers),
	    cmocka_unit_test(message_at_the_top),
	    cmocka_unit_test(boundary_prefix_of_another),
	    cmocka_unit_test(unterminated),
	    cmocka_unit_test(no_boundary),
	    cmocka_unit_test(duplicate_headers),
	    cmocka_unit_test(headers_without_body),
	    cmocka_unit_test(odd_bytes),
	    cmocka_unit_test(transfer_encodings),
	    cmocka_unit_test(too_deep),
	    cmocka_unit_test(too_many),
	    cmocka_unit_test(long_header),
	    cmocka_unit_test(tree_codec),
	    cmocka_unit_test(linear),
	    cmocka_unit_test(passed_over_or_not),
	};
	int r;

	arena = arena_new(1 << 24);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	arena_free(arena);
	return r;
}
