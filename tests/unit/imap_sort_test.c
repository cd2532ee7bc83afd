/* imap_sort_test.c: base subjects (RFC 5256 2.1), the order of SORT, threads (RFC 5256 3), ENVELOPE read back. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "imapd/base_subject.h"
#include "imapd/preview.h"
#include "imapd/sort_key.h"
#include "imapd/thread_tree.h"
#include "lib/err.h"
#include "lib/mime.h"
#include "lib/msgid.h"

static void
test_base_subject(void **state)
{
	static const struct {
		const char *subject, *want;
		bool is_reply;
	} t[] = {
	    {"Hello", "Hello", false},
	    {"Re: Hello", "Hello", true},
	    {"re:Fw :FWD: Hello (fwd) (FWD)", "Hello", true},
	    {"Hello(fwd)", "Hello", true},
	    {"Re[2]: Hello", "Hello", true},
	    {"re [x] : Hello", "Hello", true},
	    {"Re [a][b]: x", "Re [a][b]: x", false}, /* one blob at most */
	    {"[list] Re: [list] Hello", "Hello", true},
	    {"[list] Hello", "Hello", false},
	    {"[a] [b] Hello", "Hello", false},
	    {"[list]", "[list]", false}, /* (4) the base may be a blob */
	    {"[a] [b]", "[b]", false},
	    {"Re: [a]", "[a]", true},
	    {"Re: [a] ", "[a]", true},
	    {"[a [b] c] d", "[a [b] c] d", false}, /* no blob: "[" inside */
	    {"[Fwd: Hello]", "Hello", true},
	    {"[fwd: [FWD: Re: Hello (fwd)] ]", "Hello", true},
	    {"[fwd:]", "", true},
	    {"[fwd: a] b", "b", false}, /* "[fwd: a]" is a blob there */
	    {"Re:", "", true},
	    {"Re", "Re", false},
	    {"Reply: x", "Reply: x", false},
	    {"fwdd: x", "fwdd: x", false},
	    {"  a \t b\r\n\tc  ", "a b c", false},
	    {"(fwd)", "", true},
	    {"=?utf-8?Q?Re:_C=C3=B4ng_v=C4=83n?=", "C\xc3\xb4ng v\xc4\x83n", true},
	    {"Re: =?utf-8?B?W3g=?= y] z", "z", true}, /* decoded first: "[xy] z" */
	    {"", "", false},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct buf b;
		bool is_reply = !t[i].is_reply;
		buf_init(&b, 1000);
		assert_int_equal(base_subject(slice_str(t[i].subject), &b, &is_reply), 0);
		if (strcmp(buf_cstr(&b), t[i].want) != 0 || is_reply != t[i].is_reply)
			fail_msg("\"%s\" gives \"%s\", %d", t[i].subject, buf_cstr(&b), is_reply);
		buf_done(&b);
	}
}

/* Time must not grow as the square of the length. */
static void
test_hostile_subjects(void **state)
{
	static const char *const parts[] = {
	    "[a]", "re:", "[a]re:", "[fwd:", "[", "(fwd)", "re [a", " ", "re[a]:"};
	clock_t start = clock();
	(void)state;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		struct buf s, b;
		bool is_reply;
		buf_init(&s, 300000);
		buf_init(&b, 300000);
		while (s.len < 250000)
			buf_append_str(&s, parts[i]);
		for (size_t k = 0; parts[i][0] == '[' && k < 60000; k++)
			buf_append_byte(&s, ']');
		base_subject(buf_slice(&s), &b, &is_reply);
		assert_true(b.len <= s.len);
		buf_done(&s);
		buf_done(&b);
	}
	assert_true((clock() - start) / CLOCKS_PER_SEC < 5);
}

static struct arena *arena;

static struct slice
envelope_of(const char *header)
{
	struct buf b;
	buf_init(&b, 65536);
	assert_int_equal(mime_envelope(slice_str(header), false, &b), 0);
	struct slice s = arena_slice(arena, buf_slice(&b));
	buf_done(&b);
	return s;
}

static void
test_envelope(void **state)
{
	struct envelope e;
	(void)state;
	arena = arena_new(1 << 20);
	assert_int_equal(
	    envelope_read(
		envelope_of("From: \"A \\\"B\\\"\" <x@y>, c@d\r\nTo: G: m@n;\r\nSubject: s\r\n"),
		arena, &e),
	    0);
	assert_true(e.date.ptr == NULL && slice_eq_str(e.subject, "s"));
	assert_true(slice_eq_str(e.from.name, "A \"B\"") && slice_eq_str(e.from.mailbox, "x"));
	/* the start of a group stands first, as in the ENVELOPE */
	assert_true(slice_eq_str(e.to.mailbox, "G") && e.to.host.ptr == NULL);
	assert_true(e.cc.mailbox.ptr == NULL);
	static const char *const bad[] = {"", "(", "(NIL)", "(NIL NIL NIL NIL NIL NIL",
	    "(NIL NIL ((NIL NIL) NIL NIL NIL NIL NIL NIL NIL)", "(NIL NIL x"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(envelope_read(slice_str(bad[i]), arena, &e), ERR_CORRUPT);
	arena_free(arena);
}

/* Sorts the headers and compares the order. */
static void
sorted(const char *criteria, const char *const *headers, size_t n, const char *want)
{
	struct sort_program p;
	struct imap_cur c = imap_cur_of(slice_str(criteria));
	struct sort_item items[16];
	struct buf got;
	arena = arena_new(1 << 20);
	assert_true(sort_program_parse(&c, &p));
	for (size_t i = 0; i < n; i++) {
		struct envelope e;
		assert_int_equal(envelope_read(envelope_of(headers[i]), arena, &e), 0);
		struct sort_facts f = {
		    .arrival = (int64_t)(n - i), .sent = 5, .size = i % 2, .env = &e};
		items[i] = (struct sort_item){
		    (uint32_t)i, arena_calloc(arena, p.n, sizeof(*items[i].value))};
		assert_int_equal(sort_item_fill(&p, &f, arena, items[i].value), 0);
	}
	sort_items(&p, items, n);
	buf_init(&got, 100);
	for (size_t i = 0; i < n; i++)
		buf_appendf(&got, "%u", items[i].index);
	if (strcmp(buf_cstr(&got), want) != 0)
		fail_msg("%s gives %s", criteria, buf_cstr(&got));
	buf_done(&got);
	arena_free(arena);
}

static void
test_sort(void **state)
{
	static const char *const h[] = {
	    "From: =?utf-8?Q?=C4=90=E1=BA=B7ng?= <b@x>\r\nSubject: Re: b\r\nTo: z@x\r\n",
	    "From: Em <c@x>\r\nSubject: A\r\nCc: q@x\r\n",
	    "From: <a@x>\r\nSubject: [l] B\r\nTo: y@x\r\n",
	    "From: =?utf-8?Q?=E1=BA=A4n?= <A@x>\r\n",
	};
	(void)state;
	sorted("(FROM)", h, 4, "2301");
	sorted("(REVERSE FROM)", h, 4, "1023"); /* the implicit order is not reversed */
	sorted("(SUBJECT)", h, 4, "3102");
	sorted("(TO)", h, 4, "1320");
	sorted("(CC)", h, 4, "0231");
	sorted("(ARRIVAL)", h, 4, "3210");
	sorted("(SIZE ARRIVAL)", h, 4, "2031");
	sorted("(DATE)", h, 4, "0123");
	/* "A" with its marks behind "a@x" ("@" is before marks), E, and Đ, which has no decomposition, last */
	sorted("(DISPLAYFROM)", h, 4, "2310");
	sorted("(DISPLAYTO)", h, 4, "1320");
	static const char *const bad[] = {
	    "()", "(FROM", "FROM", "(REVERSE)", "(REVERSE REVERSE DATE)", "(X)", "(FROM  TO)"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sort_program p;
		struct imap_cur c = imap_cur_of(slice_str(bad[i]));
		assert_false(sort_program_parse(&c, &p));
	}
}

/* "id subject date refs…" each; the threads. */
struct told {
	const char *id, *subject;
	int date;
	const char *refs;
};
static void
threads(const struct told *t, size_t n, bool references, const char *want)
{
	struct thread_msg *m = calloc(n, sizeof(*m));
	struct buf out;
	arena = arena_new(1 << 24);
	assert_true(m != NULL && arena != NULL);
	buf_init(&out, 1 << 20);
	for (size_t i = 0; i < n; i++) {
		struct buf h, refs, subject;
		bool is_reply;
		buf_init(&h, 65536);
		buf_init(&refs, MSGID_REFS_SIZE);
		buf_init(&subject, 1000);
		if (t[i].id[0] != '\0')
			buf_appendf(&h, "Message-ID: <%s@x>\r\n", t[i].id);
		buf_appendf(&h, "References:%s\r\n", t[i].refs);
		msgid_refs(buf_slice(&h), &refs);
		base_subject(slice_str(t[i].subject), &subject, &is_reply);
		m[i] = (struct thread_msg){(uint32_t)i + 1, t[i].date,
		    subject.len > 0 ? arena_slice(arena, buf_slice(&subject)) : slice_of("", 0),
		    arena_slice(arena, buf_slice(&refs)), is_reply};
		buf_done(&h);
		buf_done(&refs);
		buf_done(&subject);
	}
	assert_int_equal(references ? thread_references(m, n, arena, &out)
				    : thread_ordered_subject(m, n, arena, &out),
	    0);
	if (strcmp(buf_cstr(&out), want) != 0)
		fail_msg("got %s, want %s", buf_cstr(&out), want);
	buf_done(&out);
	arena_free(arena);
	free(m);
}
#define THREADS(references, want, ...)                                  \
	do {                                                            \
		static const struct told t[] = {__VA_ARGS__};           \
		threads(t, sizeof(t) / sizeof(t[0]), references, want); \
	} while (0)

static void
test_ordered_subject(void **state)
{
	(void)state;
	THREADS(false, "(1 3)(2)(4 (6)(5))", {"a", "x", 1, ""}, {"b", "y", 2, ""},
	    {"c", "Re: x", 9, ""}, {"d", "z", 3, ""}, {"e", "z", 5, ""}, {"f", "z", 4, ""});
}

static void
test_references(void **state)
{
	(void)state;
	/* the tree of RFC 5256 BASE.7.2.THREAD, numbers by date */
	THREADS(true, "(1)(2 3 (4 5)(6 7 8))", {"1", "", 1, ""}, {"2", "", 2, ""},
	    {"3", "", 3, " <2@x>"}, {"4", "", 4, " <2@x> <3@x>"}, {"5", "", 5, " <4@x>"},
	    {"6", "", 6, " <3@x>"}, {"7", "", 7, " <6@x>"}, {"8", "", 8, " <6@x> <7@x>"});
	/* siblings of a parent that is not there; one alone stands for it */
	THREADS(true, "((1)(2))(3)", {"1", "", 1, " <no@x>"}, {"2", "", 2, " <no@x>"},
	    {"3", "", 3, " <none@x>"});
	/* dummies inside give their children to their parent */
	THREADS(true, "(1 (2)(3))", {"1", "", 1, ""}, {"2", "", 2, " <1@x> <no@x>"},
	    {"3", "", 3, " <1@x> <no@x>"});
	/* a truncated References is put right by the message itself (1.B) */
	THREADS(true, "(1 2 3)", {"1", "", 1, ""}, {"2", "", 2, " <1@x>"},
	    {"3", "", 3, " <1@x> <2@x>"});
	THREADS(true, "(2 3 1)", {"1", "", 3, " <2@x> <3@x>"}, {"2", "", 1, ""},
	    {"3", "", 2, " <2@x>"});
	/* loops: a message that answers itself, two that answer each other, three in a ring */
	THREADS(true, "(1)", {"1", "", 1, " <1@x>"});
	THREADS(true, "(2 1)", {"1", "", 1, " <2@x>"}, {"2", "", 2, " <1@x>"});
	THREADS(true, "(3 1 2)", {"1", "", 1, " <3@x>"}, {"2", "", 2, " <1@x>"},
	    {"3", "", 3, " <2@x>"});
	/* the same id twice: the first has it */
	THREADS(true, "(1 3)(2)", {"1", "", 1, ""}, {"1", "", 2, ""}, {"3", "", 3, " <1@x>"});
	/* without an id */
	THREADS(true, "(1)(2)", {"", "", 1, ""}, {"", "", 2, ""});
	/* (5): by subject; a reply below what it answers, equals below a dummy */
	THREADS(true, "(1 2)", {"1", "x", 1, ""}, {"2", "Re: x", 2, ""});
	THREADS(true, "(2 1)", {"1", "Re: x", 1, ""}, {"2", "x", 2, ""});
	THREADS(true, "((1)(2)(3))", {"1", "x", 1, ""}, {"2", "x", 2, ""}, {"3", "x", 3, ""});
	THREADS(true, "((1)(2))", {"1", "Re: x", 1, ""}, {"2", "Fwd: x", 2, ""});
	THREADS(true, "((1)(2)(3)(4))", {"1", "x", 1, " <no@x>"}, {"2", "x", 2, " <no@x>"},
	    {"3", "Re: x", 3, ""}, {"4", "x", 4, ""});
	THREADS(true, "((1)(2)(3)(4))", {"1", "x", 1, " <no@x>"}, {"2", "x", 2, " <no@x>"},
	    {"3", "x", 3, " <non@x>"}, {"4", "x", 4, " <non@x>"});
	/* the subject of a dummy is that of its first child by date */
	THREADS(true, "((2)(1)(3))", {"1", "y", 5, " <no@x>"}, {"2", "x", 2, " <no@x>"},
	    {"3", "x", 7, ""});
	/* (6): siblings by date, then by number; threads by their first message */
	THREADS(true, "(4)(1 (3)(2))", {"1", "", 2, ""}, {"2", "", 9, " <1@x>"},
	    {"3", "", 3, " <1@x>"}, {"4", "", 1, ""});
}

/* Deep, wide and hostile: bounded, every message once. */
static void
test_large(void **state)
{
	enum { N = 20000 };
	struct thread_msg *m = calloc(N, sizeof(*m));
	struct arena *a;
	struct buf out;
	uint64_t seed = 42;
	(void)state;
	for (int kind = 0; kind < 4; kind++) {
		clock_t start = clock();
		a = arena_new((size_t)256 << 20);
		assert_true(m != NULL && a != NULL);
		buf_init(&out, 1 << 20);
		for (uint32_t i = 0; i < N; i++) {
			struct buf b;
			buf_init(&b, MSGID_REFS_SIZE);
			buf_append_u64(&b, kind == 3 ? (uint64_t)i << 52 | 1 : i + 1);
			for (uint32_t k = 0; k < (kind == 2 ? 20 : 1); k++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				uint64_t ref = kind == 0   ? i               /* a chain */
					       : kind == 1 ? (i + 1) % N + 1 /* a ring, backwards */
					       : kind == 2 ? (seed >> 33) % N + 1 /* a thicket */
							   : (uint64_t)(i + 1) << 52 | 1;
				if (ref > 0)
					buf_append_u64(&b, ref);
			}
			m[i] = (struct thread_msg){.number = 1,
			    .sent = i,
			    .subject = slice_of("", 0),
			    .refs = arena_slice(a, buf_slice(&b))};
			buf_done(&b);
		}
		assert_int_equal(thread_references(m, N, a, &out), 0);
		size_t seen = 0, open = 0, close = 0;
		for (size_t i = 0; i < out.len; i++) {
			seen += out.data[i] == '1';
			open += out.data[i] == '(';
			close += out.data[i] == ')';
		}
		assert_int_equal(seen, N);
		assert_int_equal(open, close);
		assert_true((clock() - start) / CLOCKS_PER_SEC < 10);
		buf_done(&out);
		arena_free(a);
	}
	free(m);
}

/* RFC 8970 3.3 */
static void
test_preview(void **state)
{
	static const struct {
		const char *text;
		bool is_html;
		const char *want;
	} t[] = {
	    {"Kính gửi\r\n\r\n  Ủy ban\t nhân dân", false, "Kính gửi Ủy ban nhân dân"},
	    {"> quoted\r\nanswer\r\n>more\r\n-- \r\nsignature", false, "answer"},
	    {"a\x01\x7f\xe2\x80\xae"
	     "b\xff",
		false, "a b\xef\xbf\xbd"},
	    {"<html><head><title>t</title><style>p > a "
	     "{x}</style></head><body><p>Xin&nbsp;ch&#224;o<br>b&#xE9; &lt;i&gt; &unknown;"
	     "<!-- no --><script>if (a</b) x</script>end",
		true, "Xin ch\xc3\xa0o b\xc3\xa9 <i> &unknown; end"},
	    {"1 < 2 & 3", true, "1 < 2 & 3"},
	    {"<p", true, ""},
	    {"<!-- open", true, ""},
	    {"<style>never closed", true, ""},
	    {"&#0;&#x110000;&#12", true, "\xef\xbf\xbd\xef\xbf\xbd&#12"},
	    {"", false, ""},
	};
	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		struct buf b;
		buf_init(&b, 4096);
		assert_int_equal(preview_make(slice_str(t[i].text), t[i].is_html, &b), 0);
		if (strcmp(buf_cstr(&b), t[i].want) != 0)
			fail_msg("\"%s\" gives \"%s\"", t[i].text, buf_cstr(&b));
		buf_done(&b);
	}
	struct buf s, b;
	buf_init(&s, 100000);
	buf_init(&b, 4096);
	for (int i = 0; i < 5000; i++)
		buf_append_str(&s, i % 7 ? "\xe1\xbb\x87" : " \xe1\xbb\x87");
	preview_make(buf_slice(&s), false, &b);
	size_t chars = 0;
	for (size_t i = 0; i < b.len; i++)
		chars += (b.data[i] & 0xc0) != 0x80;
	assert_int_equal(chars, PREVIEW_CHARS);
	buf_done(&s);
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_base_subject),
	    cmocka_unit_test(test_hostile_subjects),
	    cmocka_unit_test(test_envelope),
	    cmocka_unit_test(test_sort),
	    cmocka_unit_test(test_ordered_subject),
	    cmocka_unit_test(test_references),
	    cmocka_unit_test(test_large),
	    cmocka_unit_test(test_preview),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
