/* shown_test.c: what senders write cannot deceive who looks at it. */
#include "config.h"

#include "admin/shown.h"
#include "tests/unit/check.h"

#include <string.h>

static void
shows(const char *text, enum shown_as as, const char *want)
{
	struct buf b;

	buf_init(&b, 65536);
	shown_append(slice_str(text), as, &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

static void
ends(const char *name, const char *want)
{
	struct buf b;

	buf_init(&b, 65536);
	shown_extension(slice_str(name), &b);
	assert_string_equal(buf_cstr(&b), want);
	buf_done(&b);
}

static void
test_ordinary_text_stays(void **state)
{
	(void)state;
	shows("Kế hoạch đào tạo 15/QĐ-UBND (bản sửa).pdf", SHOWN_TEXT,
	    "Kế hoạch đào tạo 15/QĐ-UBND (bản sửa).pdf");
	shows("Đặng Thị Thu Hường", SHOWN_LATIN, "Đặng Thị Thu Hường");
	shows("e\xcc\xa3\xcc\x82", SHOWN_TEXT, "e\xcc\xa3\xcc\x82"); /* ệ in NFD */
	shows("Договор 2026", SHOWN_TEXT, "Договор 2026");
	shows("北京.pdf", SHOWN_TEXT, "北京.pdf");
}

static void
test_what_deceives_is_named(void **state)
{
	(void)state;
	shows("offer\xe2\x80\xae"
	      "fdp.exe",
	    SHOWN_TEXT, "offer‹U+202E›fdp.exe");
	shows("a\xe2\x80\x8b"
	      "b\xef\xbb\xbf\xc2\xad",
	    SHOWN_TEXT, "a‹U+200B›b‹U+FEFF›‹U+00AD›");
	shows("x\x1b[2J\r\n\t\x7f\xc2\x9b", SHOWN_TEXT,
	    "x‹U+001B›[2J‹U+000D›‹U+000A›‹U+0009›‹U+007F›‹U+009B›");
	shows("\xe2\x81\xa6x\xe2\x81\xa9\xd8\x9c", SHOWN_TEXT, "‹U+2066›x‹U+2069›‹U+061C›");
	shows("\xf3\xa0\x80\xa1", SHOWN_TEXT, "‹U+E0021›");
	shows("bad\xff\xc0\xaf", SHOWN_TEXT, "bad‹0xFF›‹0xC0›‹0xAF›");
	/* nobody writes an escape himself */
	shows("‹U+202E›", SHOWN_TEXT, "‹U+2039›U+202E‹U+203A›");
	/* а and е of Cyrillic in a Latin word; a Cyrillic word is itself, but not in an address */
	shows("p\xd0\xb0yp\xd0\xb0l", SHOWN_TEXT, "p‹U+0430›yp‹U+0430›l");
	shows("\xd1\x83\xd0\xb1@x", SHOWN_LATIN, "‹U+0443›‹U+0431›@x");
	/* wide letters, one dot leader, fraction slash, letters of mathematics */
	shows("\xef\xbd\x85\xef\xbd\x98\xef\xbd\x85", SHOWN_TEXT, "‹U+FF45›‹U+FF58›‹U+FF45›");
	shows("a\xe2\x80\xa4pdf\xe2\x81\x84", SHOWN_TEXT, "a‹U+2024›pdf‹U+2044›");
	shows("\xf0\x9d\x90\x80", SHOWN_TEXT, "‹U+1D400›");
	/* marks heaped up */
	shows("a\xcc\x81\xcc\x81\xcc\x81\xcc\x81", SHOWN_TEXT, "a\xcc\x81\xcc\x81\xcc\x81‹U+0301›");
}

static void
test_the_extension_is_what_programs_take(void **state)
{
	(void)state;
	ends("offer\xe2\x80\xae"
	     "fdp.exe",
	    ".exe");
	ends("report.pdf.EXE", ".exe");
	ends("report.exe. . ", ".exe");
	ends("report.exe\xe2\x80\x8b", ".exe");
	ends("report.p\xe2\x80\x8b"
	     "df",
	    ".p‹U+200B›df");
	ends("a\xe2\x80\xa4"
	     "exe",
	    ".exe");
	ends("x.\xd0\xb5\xd1\x85\xd0\xb5", ".‹U+0435›‹U+0445›‹U+0435›");
	ends("x.\xef\xbc\xa5XE", ".‹U+FF25›xe");
	ends("report", "");
	ends("report.", "");
	ends(".profile", ".profile");
	ends("folder.exe/readme", "");
	ends("folder.pdf\\run.cmd", ".cmd");
	ends("", "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_ordinary_text_stays),
	    cmocka_unit_test(test_what_deceives_is_named),
	    cmocka_unit_test(test_the_extension_is_what_programs_take),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
