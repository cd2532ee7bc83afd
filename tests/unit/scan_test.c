/* scan_test.c: attachments: names, true types, archives, careless encodings. MILTER.md section 2 and cases 33 to 37, 40. */
#include "config.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/mime.h"
#include "milter/scan_priv.h"
#include "tests/unit/unit.h"

#include <magic.h>
#include <stdio.h>

static const char *const banned[] = {"exe", "scr", "js", "bat", "msi"};
static const struct scan_params params = {
    .domain = {NULL, 0}, .now = 1795000000, .banned = banned, .n_banned = 5};

static void
names_are_judged(void **state)
{
	static const struct {
		const char *name;
		size_t len;
		uint32_t flags;
		const char *norm;
	} t[] = {
#define N(s) s, sizeof s - 1
	    {N("bao-cao.pdf"), 0, "bao-cao.pdf"},
	    {N("report.v1.2.pdf"), 0, "report.v1.2.pdf"},
	    {N("a.pdf.exe"), PART_BANNED_NAME, "a.pdf.exe"},
	    {N("a.EXE"), PART_BANNED_NAME, "a.EXE"},
	    {N("a.exe. . "), PART_BANNED_NAME, "a.exe"},
	    {N("a.exe\0.pdf"), PART_DECEPTIVE_NAME, "a.exe.pdf"},
	    {N("a.scr.xz"), PART_DOUBLE_EXT, "a.scr.xz"},
	    {N("a.tar.gz"), 0, "a.tar.gz"},
	    {N("offer\xe2\x80\xae"
	       "fdp.exe"),
		PART_DECEPTIVE_NAME | PART_BANNED_NAME, "offerfdp.exe"},
	    {N("a\xe2\x81\xa6.pdf"), PART_DECEPTIVE_NAME, "a.pdf"},
	    {N("..\\..\\a.js"), PART_BANNED_NAME, "a.js"},
	    {N("a/b.bat"), PART_BANNED_NAME, "b.bat"},
	    {N("x.exe:stream"), PART_BANNED_NAME, "x.exe:stream"},
	    {N("a\xef\xbc\x8e"
	       "exe"),
		PART_BANNED_NAME, "a.exe"},
	    {N("a.e\xe2\x80\x8bxe"), PART_BANNED_NAME, "a.exe"},
	    {N("a.exe\r\n"), PART_BANNED_NAME, "a.exe"},
	    {N("exe"), 0, "exe"},
	    {N("Kế hoạch số 5.docx"), 0, "Kế hoạch số 5.docx"},
	    {N(""), 0, ""},
	};
	struct buf norm;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		uint32_t flags;

		buf_init(&norm, 1024);
		flags = scan_name(&params, slice_of(t[i].name, t[i].len), &norm);
		if (flags != t[i].flags || strcmp(buf_cstr(&norm), t[i].norm) != 0)
			fail_msg("%s: flags %x, \"%s\"", t[i].name, flags, buf_cstr(&norm));
		buf_done(&norm);
	}
}

static void
uuencoded_names_are_judged(void **state)
{
	static const struct {
		const char *text;
		uint32_t flags;
	} t[] = {
	    {"begin 644 a.exe\n#0V%T\n`\nend\n", PART_BANNED_NAME},
	    {"hi\r\n\r\nbegin 0755 bao cao.pdf.EXE\r\n#0V%T\r\n`\r\nend\r\n", PART_BANNED_NAME},
	    {"x\nbegin-base64 644 a.js\nQ2F0\n====\n", PART_BANNED_NAME},
	    {"begin 644 a.txt\n#0V%T\n`\nend\nbegin 644 a.scr.xz\n#0V%T\n`\nend", PART_DOUBLE_EXT},
	    {"begin 644 a.pdf\n#0V%T\n`\nend\n", 0},
	    /* talk about it */
	    {"begin 644 a.exe\nis how such a file starts", 0},
	    {"to begin 644 a.exe\n#0V%T\n", 0},
	    {"begin a.exe\n#0V%T\n", 0},
	    {"begin 644 \n#0V%T\n", 0},
	    {"begin 644 a.exe", 0},
	    {"begin", 0},
	    {"", 0},
	};

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		if (scan_uu(&params, slice_str(t[i].text), NULL, NULL) != t[i].flags)
			fail_msg("%s: flags %x", t[i].text,
			    scan_uu(&params, slice_str(t[i].text), NULL, NULL));
}

static void
types_are_true(void **state)
{
	static unsigned char pe[256], mz_text[] = "MZ is how some Vietnamese texts begin, at least "
						  "sixty-four octets of them, of course.";
	static unsigned char ole[1024];
	static const unsigned char clsid[16] = {
	    0x84, 0x10, 0x0c, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46};

	(void)state;
	memcpy(pe, "MZ", 2);
	pe[0x3c] = 128;
	memcpy(pe + 128, "PE", 2);
	assert_string_equal(scan_type(slice_of(pe, sizeof pe)).name, "pe");
	assert_int_equal(scan_type(slice_of(mz_text, sizeof mz_text)).cls, CLASS_OTHER);
	assert_string_equal(scan_type(slice_str("\177ELF\2")).name, "elf");
	assert_string_equal(scan_type(slice_str("#! /bin/sh\n")).name, "script");
	assert_int_equal(scan_type(slice_str("#!hashtag")).cls, CLASS_OTHER);
	assert_string_equal(scan_type(slice_str("junk %PDF-1.7")).name, "pdf");
	memcpy(ole, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8);
	ole[0x1e] = 9;
	assert_string_equal(scan_type(slice_of(ole, sizeof ole)).name, "ole2");
	memcpy(ole + 512 + 0x50, clsid, 16);
	assert_string_equal(scan_type(slice_of(ole, sizeof ole)).name, "msi");
	assert_string_equal(scan_type(slice_str("")).name, "");
	assert_string_equal(scan_type((struct slice){NULL, 0}).name, "");
}

/* Flags of all parts of a message with one attachment, in one word. */
static uint32_t
scan(const char *head, const void *data, size_t n, bool raw)
{
	struct arena *a = arena_new(4 << 20);
	struct find_part *p;
	struct findings f;
	struct buf m;
	uint32_t flags = 0;

	buf_init(&m, 4 << 20);
	buf_append_str(&m, "From: a@b.example\r\n");
	buf_append_str(&m, head);
	buf_append_str(&m, "\r\n");
	if (raw)
		buf_append(&m, data, n);
	else
		b64_encode(slice_of(data, n), true, &m);
	findings_init(&f, a);
	scan_message(buf_slice(&m), &params, &f);
	for (p = f.parts; p != NULL; p = p->next)
		flags |= p->flags;
	buf_done(&m);
	arena_free(a);
	return flags;
}

#define B64 "Content-Transfer-Encoding: base64\r\n"
#define ZIP "Content-Type: application/zip; name=a.zip\r\n" B64

static void
archives_are_opened(void **state)
{
	/* zip -P x of "a.txt" (ZipCrypto), stored "hello" */
	static const unsigned char locked[] =
	    "PK\3\4\12\0\11\0\0\0\0\0\0\0\x86\xa6\x10\x36\x11\0\0\0\5\0\0\0\5\0\0\0a."
	    "txt0123456789abcdefg"
	    "PK\1\2\36\3\12\0\11\0\0\0\0\0\0\0\x86\xa6\x10\x36\x11\0\0\0\5\0\0\0\5\0\0\0\0\0\0\0\0"
	    "\0\0\0\0\0\0\0\0\0a.txt"
	    "PK\5\6\0\0\0\0\1\0\1\0\x33\0\0\0\x34\0\0\0\0";
	/* stored members, made by hand: "x.exe" with one octet */
	static const unsigned char plain[] =
	    "PK\3\4\12\0\0\0\0\0\0\0\0\0\xb7\xef\xdc\x83\1\0\0\0\1\0\0\0\5\0\0\0x.exe@"
	    "PK\1\2\36\3\12\0\0\0\0\0\0\0\0\0\xb7\xef\xdc\x83\1\0\0\0\1\0\0\0\5\0\0\0\0\0\0\0\0\0\0"
	    "\0\0\0\0\0\0\0x.exe"
	    "PK\5\6\0\0\0\0\1\0\1\0\x33\0\0\0\x24\0\0\0\0";
	uint32_t flags;

	(void)state;
	assert_true(scan(ZIP, locked, sizeof locked, false) & PART_ENCRYPTED);
	flags = scan(ZIP, plain, sizeof plain, false);
	assert_true(flags & PART_BANNED_NAME);
	assert_true(flags & PART_IN_ARCHIVE);
	/* "no entries" is not "clean" */
	assert_true(
	    scan(ZIP, "PK\3\4 nothing of the kind", 24, false) & (PART_BROKEN | PART_ENCRYPTED));
	assert_true(scan("Content-Type: application/x-7z-compressed\r\n" B64,
			"7z\xbc\xaf\x27\x1c\0\4garbage", 15, false) &
		    PART_BROKEN);
}

/* One piece says nothing of what is in the whole; nor does an archive that nothing here opens. */
static void
what_cannot_be_opened_is_never_clean(void **state)
{
#define S(s) s, sizeof s - 1
	static const struct {
		const char *name, *data;
		size_t len;
		bool limit;
	} t[] = {
	    {"a.rar", S("Rar!\x1a\x07\x01\0cccc\x05\x01\0\x01    "), true},
	    {"a.rar", S("Rar!\x1a\x07\x01\0cccc\x05\x01\x01\x80\x01\x03   "), true},
	    {"a.rar", S("Rar!\x1a\x07\x01\0cccc\x05\x01\0\0     "), false},
	    {"a.rar", S("Rar!\x1a\x07\0cc\x73\x01\x01     "), true},
	    {"a.rar", S("Rar!\x1a\x07\0cc\x73\0\x01     "), false},
	    {"a.zip", S("PK\7\10PK\3\4        "), true},
	    {"b.zip", S("data PK\5\6\1\0\1\0\1\0\1\0\0\0\0\0\0\0\0\0\0\0"), true},
	    {"b.zip", S("data PK\5\6\0\0\0\0\1\0\1\0\0\0\0\0\0\0\0\0\0\0"), false},
	    {"c.cab", S("MSCF00000000000000000000000000\1\0012345"), true},
	    {"d.7z.001", S("anything"), true},
	    {"d.ZIP.017", S("anything"), true},
	    {"d.z01", S("anything"), true},
	    {"d.r00", S("Rar!\x1a\x07\0cc"), true},
	    /* versions, days, and what has such an ending by chance */
	    {"d.001", S("anything"), false},
	    {"bao-cao.2026", S("anything"), false},
	    {"ke-hoach.v1.002", S("anything"), false},
	    {"du-lieu.r00", S("text"), false},
	    {"a.part1.rar", S("Rar!\x1a\x07\x01\0cccc\x05\x01\0\0     "), false},
	    /* nothing here opens these */
	    {"a.arj", S("\x60\xea\x29\0\x22\x0b\1\x0b\x10\0\2 23456789012345678901234567890"),
		true},
	    {"a.arj", S("\x60\xeb\x29\0\x22\x0b\1\x0b\x10\0\2 23456789012345678901234567890"),
		false},
	    {"a.ace", S("1234567**ACE**  "), true},
	    {"a.txt", S("12345678**ACE**  "), false},
	    {"a.xar", S("xar!\0\x1c\0\1"), true},
	    {"a.wim", S("MSWIM\0\0\0"), true},
	};
	char head[200];

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		uint32_t flags;

		snprintf(
		    head, sizeof head, "Content-Type: application/x; name=%s\r\n" B64, t[i].name);
		flags = scan(head, t[i].data, t[i].len, false);
		if (((flags & PART_LIMIT) != 0) != t[i].limit)
			fail_msg("%zu, %s: %x", i, t[i].name, flags);
	}
#undef S
}

/* What the policy asks holds below the built-in bounds, and no more is asked than they are. */
static void
terms_bound_a_scan(void **state)
{
	/* "x.exe" with one octet, stored, in a zip that is a member of a zip */
	static const char inner[] =
	    "PK\3\4\12\0\0\0\0\0\0\0\0\0\xb7\xef\xdc\x83\1\0\0\0\1\0\0\0\5\0\0\0x.exe@"
	    "PK\1\2\36\3\12\0\0\0\0\0\0\0\0\0\xb7\xef\xdc\x83\1\0\0\0\1\0\0\0\5\0\0\0\0\0\0\0\0\0\0"
	    "\0\0\0\0\0\0\0x.exe"
	    "PK\5\6\0\0\0\0\1\0\1\0\x33\0\0\0\x24\0\0\0\0";
	static const struct {
		struct scan_terms terms;
		bool limit;
	} t[] = {{{.depth = 0}, false}, {{.depth = 1}, true}, {{.depth = 2}, false},
	    {{.entries = 1}, false}, {{.bytes = 1}, false}, {{.depth = 100}, false},
	    {{.ratio = 1}, false}, {{.time_s = 1}, false}};
	struct scan_terms wire, bounds = {99, 99999, UINT32_MAX, 999, 999, (enum scan_prefer)77};
	struct ipc_reader r;
	struct buf b;

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct scan_params p = params;
		struct arena *a = arena_new(4 << 20);
		uint32_t flags = 0;
		struct findings f;
		struct buf m;

		p.terms = t[i].terms;
		buf_init(&m, 65536);
		buf_append_str(&m, "From: a@b.example\r\n" ZIP "\r\n");
		b64_encode(slice_of(inner, sizeof inner - 1), true, &m);
		findings_init(&f, a);
		scan_message(buf_slice(&m), &p, &f);
		for (const struct find_part *x = f.parts; x != NULL; x = x->next)
			flags |= x->flags;
		if (((flags & PART_LIMIT) != 0) != t[i].limit)
			fail_msg("%zu: %x", i, flags);
		buf_done(&m);
		arena_free(a);
	}
	buf_init(&b, 100);
	scan_terms_put(&bounds, &b);
	ipc_reader_init(&r, buf_slice(&b));
	scan_terms_get(&r, &wire);
	assert_int_equal(ipc_reader_end(&r), 0);
	assert_int_equal(wire.depth, SCAN_DEPTH_MAX);
	assert_int_equal(wire.entries, SCAN_ENTRIES_MAX);
	assert_int_equal(wire.bytes, SCAN_BYTES_MAX);
	assert_int_equal(wire.ratio, SCAN_RATIO_MAX);
	assert_int_equal(wire.time_s, SCAN_TIME_MAX);
	assert_int_equal(wire.prefer, PREFER_NONE);
	buf_done(&b);
}

static void
careless_encodings_hide_nothing(void **state)
{
	static const char *const ways[] = {
	    "f0VMRgI=", "f0=VMRgI", "f0!VMRgI", "=f0VMRgI", "f0V=MRgI"};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof ways / sizeof *ways; i++) {
		if (!(scan("Content-Type: application/pdf; name=a.pdf\r\n" B64, ways[i],
			  strlen(ways[i]), true) &
			PART_MISMATCH))
			fail_msg("an ELF program hides in %s", ways[i]);
	}
}

/* Only what is a signature is left out of the attachments. */
static void
a_program_is_no_signature(void **state)
{
	static const char m[] = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b\r\n"
				"Content-Type: application/pkcs7-signature; name=a.pdf\r\n" B64
				"\r\nf0VMRgI=\r\n--b--\r\n";

	(void)state;
	assert_true(scan("Content-Type: multipart/signed; "
			 "protocol=\"application/pkcs7-signature\"; boundary=b\r\n",
			m, sizeof m - 1, true) &
		    PART_MISMATCH);
}

static void
fragments_and_doubles_are_told(void **state)
{
	static const char two[] =
	    "From: a@b.example\r\nContent-Type: text/plain\r\nContent-Type: text/html\r\n\r\nx";
	struct arena *a = arena_new(1 << 20);
	struct findings f;

	(void)state;
	assert_true(scan("Content-Type: message/partial; id=1\r\n", "x", 1, true) & PART_FRAGMENT);
	assert_true(scan("Content-Type: message/external-body; access-type=x\r\n", "x", 1, true) &
		    PART_FRAGMENT);
	findings_init(&f, a);
	scan_message(slice_str(two), &params, &f);
	assert_true(findings_has_note(&f, "mime_dup_header"));
	arena_free(a);
}

/* libmagic's table is asked about what is attached, or says it is no plain text, or is none. */
static void
shown_text_needs_no_table(void **state)
{
#define HTML "<html><body>x</body></html>\r\n"
	static const struct {
		const char *head, *body, *magic;
	} t[] = {
	    {"", HTML, "text/plain"},
	    {"Content-Type: text/plain\r\n", HTML, "text/plain"},
	    {"Content-Type: text/plain\r\nContent-Disposition: inline\r\n", HTML, "text/plain"},
	    {"Content-Type: text/plain\r\n", "a\1\2\3", "application/octet-stream"},
	    {"Content-Type: text/plain\r\n", "%PDF-1.7\r\n", "application/pdf"},
	    {"Content-Type: text/plain; name=a.txt\r\n", HTML, "text/html"},
	    {"Content-Type: text/plain\r\nContent-Disposition: attachment\r\n", HTML, "text/html"},
	    {"Content-Type: text/html\r\n", HTML, "text/html"},
	    {"Content-Type: application/x\r\n", HTML, "text/html"},
	};

	(void)state;
	scan_magic_init();
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		struct arena *a = arena_new(1 << 20);
		struct findings f;
		struct buf m;

		buf_init(&m, 4096);
		buf_appendf(&m, "From: a@b.example\r\n%s\r\n%s", t[i].head, t[i].body);
		findings_init(&f, a);
		scan_message(buf_slice(&m), &params, &f);
		if (f.parts == NULL || !slice_eq_str(f.parts->magic, t[i].magic))
			fail_msg("%zu: not %s", i, t[i].magic);
		buf_done(&m);
		arena_free(a);
	}
#undef HTML
}

/* A file encoded in a text, wherever it begins. */
static void
encoded_files_at_every_place(void **state)
{
	static const char *const files[] = {"\nbegin 644 a.exe\n#0V%T\n`\nend\n",
	    "\n=ybegin line=128 size=3 name=a.exe\nabc\n=yend size=3\n",
	    /* and what is none */
	    "\nBegin 644 a.exe\n#0V%T\n`\nend\n", "\n-ybegin line=128 size=3 name=a.exe\nabc\n"};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++)
		for (size_t at = 0; at < 200; at++)
			for (size_t behind = 0; behind < 100; behind += 33) {
				buf_reset(&b);
				for (size_t k = 0; k < at; k++)
					buf_append_byte(&b, k % 60 == 59 ? '\n' : 'x');
				buf_append_str(&b, files[i] + (at == 0));
				for (size_t k = 0; k < behind; k++)
					buf_append_byte(&b, 'y');
				/* at its start any case will do */
				if (((scan("Content-Type: text/plain\r\n", b.data, b.len, true) &
					 PART_BANNED_NAME) != 0) != (i < 2 || (i == 2 && at == 0)))
					fail_msg("%zu at %zu", i, at);
			}
	buf_done(&b);
}

/* What is told to be plain text without libmagic is what libmagic tells. */
static void
magic_is_libmagics(void **state)
{
	static const char *const words[] = {"ke hoach ", "kế hoạch ", "\r\n", "đ", "\t",
	    "\xf0\x9f\x93\x9c", "+/v8-", "{\"a\": 1}", "1,2,3\n", "\x1b[1m", "\a", "\xe1\xba",
	    "\xff", "\x7f", "\x01", "From: a\r\n", "<html>", "#!", "   ", "P"};
	magic_t m = magic_open(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR |
			       MAGIC_NO_CHECK_CDF | MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_TOKENS |
			       MAGIC_NO_CHECK_JSON | MAGIC_NO_CHECK_CSV | MAGIC_NO_CHECK_SOFT);
	unsigned plain = 0;
	uint32_t seed = 9;
	struct buf b;

	(void)state;
	scan_magic_init();
	assert_int_equal(magic_load(m, NULL), 0);
	buf_init(&b, 200000);
	for (unsigned round = 0; round < 6000; round++) {
		uint32_t kinds = round % 3 == 0 ? 20 : round % 3 == 1 ? 6 : 11;
		size_t want = round % 100 == 0 ? 65530 + round / 100 : round % 700;
		const char *w, *said;

		buf_reset(&b);
		while (b.len < want) {
			seed = seed * 1664525 + 1013904223;
			w = words[(seed >> 8) % kinds];
			/* long ones are cut in the middle of a letter */
			buf_append_str(&b, want > 60000 && kinds == 20 ? "ệ" : w);
		}
		if (b.len == 0)
			continue;
		said = magic_buffer(m, b.data, b.len < 65536 ? b.len : 65536);
		assert_non_null(said);
		if (strcmp(scan_magic(buf_slice(&b), true), said) != 0)
			fail_msg("%u: %s, not %s", round, scan_magic(buf_slice(&b), true), said);
		plain += strcmp(said, "text/plain") == 0;
	}
	assert_in_range(plain, 3000, 5900);
	buf_done(&b);
	magic_close(m);
}

/* The digests of the record are those of the octets, computed together or apart. */
static void
digests_are_of_the_octets(void **state)
{
	static const char *const forms[] = {"@", "Content-Type: text/plain\r\n\r\n@",
	    "Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\n\r\n@\r\n--x--\r\n",
	    "Content-Type: multipart/mixed; "
	    "boundary=x\r\n\r\npreamble\r\n--x\r\n\r\n@\r\n--x\r\n\r\nshort\r\n--x--\r\n",
	    "Content-Type: multipart/mixed; "
	    "boundary=x\r\n\r\n--x\r\n\r\nshort\r\n--x\r\n\r\n@\r\n--x\r\n\r\n@\r\n--x--\r\n"};
	unsigned char want[32];
	char text[3000];
	struct buf m;

	(void)state;
	buf_init(&m, 65536);
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		for (size_t n = 0; n < 2900; n += n < 200 ? 1 : 97) {
			struct arena *a = arena_new(1 << 20);
			struct findings f;
			size_t at;

			if (n == strlen("short"))
				n++;
			memset(text, 'k', n);
			text[n] = '\0';
			buf_reset(&m);
			buf_append_str(
			    &m, i == 0 ? "From: a@b.example\r\n\r\n" : "From: a@b.example\r\n");
			at = i == 0 ? m.len : 0;
			for (const char *p = forms[i]; *p != '\0'; p++)
				buf_append(&m, *p == '@' ? text : p, *p == '@' ? n : 1);
			if (i > 0)
				at = (size_t)slice_find(buf_slice(&m), slice_str("\r\n\r\n")) + 4;
			findings_init(&f, a);
			scan_message(buf_slice(&m), &params, &f);
			sha256_of(slice_from(buf_slice(&m), at), want);
			assert_memory_equal(f.body_sha256, want, 32);
			assert_int_equal(f.n_parts, i < 3 ? 1 : i - 1);
			for (struct find_part *p = f.parts; p != NULL; p = p->next) {
				sha256_of(p->size == strlen("short") ? slice_str("short")
								     : slice_of(text, n),
				    want);
				assert_memory_equal(p->sha256, want, 32);
			}
			arena_free(a);
		}
	buf_done(&m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(names_are_judged),
	    cmocka_unit_test(uuencoded_names_are_judged), cmocka_unit_test(types_are_true),
	    cmocka_unit_test(archives_are_opened),
	    cmocka_unit_test(what_cannot_be_opened_is_never_clean),
	    cmocka_unit_test(terms_bound_a_scan), cmocka_unit_test(careless_encodings_hide_nothing),
	    cmocka_unit_test(a_program_is_no_signature),
	    cmocka_unit_test(fragments_and_doubles_are_told),
	    cmocka_unit_test(shown_text_needs_no_table),
	    cmocka_unit_test(encoded_files_at_every_place), cmocka_unit_test(magic_is_libmagics),
	    cmocka_unit_test(digests_are_of_the_octets)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
