/* symbol_test.c: document symbols at the head of a subject, with the vectors of the source articles. */
#include "config.h"

#include "milter/symbol.h"
#include "tests/unit/unit.h"

#include <stdio.h>

struct vector {
	const char *subject, *text;
	unsigned number, year;
	char letter;
	const char *type;
	unsigned flags;
};

static const struct vector good[] = {
    {"15/QĐ-UBND", "15/QĐ-UBND", 15, 0, 0, "QĐ", 0},
    {"15/QĐ-UBND về việc ban hành quy chế", "15/QĐ-UBND", 15, 0, 0, "QĐ", 0},
    {"Công văn số 282/ BTTTT-ƯDCNTT, ngày 07/02/2012", "282/ BTTTT-ƯDCNTT", 282, 0, 0, "",
	SYMBOL_F_SPACE | SYMBOL_F_NO_TYPE},
    {"282/BTTTT-ƯDCNTT", "282/BTTTT-ƯDCNTT", 282, 0, 0, "", SYMBOL_F_NO_TYPE},
    {"36a/NQ-CP", "36a/NQ-CP", 36, 0, 'a', "NQ", 0},
    {"Nghị quyết 36a/NQ-CP ngày 14/10/2015", "36a/NQ-CP", 36, 0, 'a', "NQ", 0},
    {"1178/BTTTT-THH", "1178/BTTTT-THH", 1178, 0, 0, "", SYMBOL_F_NO_TYPE},
    {"08/HĐCNTT", "08/HĐCNTT", 8, 0, 0, "", SYMBOL_F_NO_TYPE},
    {"80/2014/QĐ-TTg", "80/2014/QĐ-TTg", 80, 2014, 0, "QĐ", 0},
    {"Luật 117/2025/QH15", "117/2025/QH15", 117, 2025, 0, "", SYMBOL_F_NO_TYPE},
    {"130/2018/NĐ-CP", "130/2018/NĐ-CP", 130, 2018, 0, "NĐ", 0},
    {"34/CT-TTg", "34/CT-TTg", 34, 0, 0, "CT", 0},
    {"57-NQ/TW", "57-NQ/TW", 57, 0, 0, "NQ", SYMBOL_F_PARTY},
    {"Số: 05/TTr-STC", "05/TTr-STC", 5, 0, 0, "TTr", 0},
    {"Số 5/KH-UBND", "5/KH-UBND", 5, 0, 0, "KH", SYMBOL_F_NO_PAD},
    {"[Khẩn] Quyết định số 3739/QĐ-UBND", "3739/QĐ-UBND", 3739, 0, 0, "QĐ", 0},
    {"HỎA TỐC: Công điện 12/CĐ-UBND", "12/CĐ-UBND", 12, 0, 0, "CĐ", 0},
    {"V/v: Kế hoạch số 10/KH-SKHCN (lần 2)", "10/KH-SKHCN", 10, 0, 0, "KH", 0},
    {"15/QĐ - UBND về việc", "15/QĐ - UBND", 15, 0, 0, "QĐ", SYMBOL_F_SPACE},
    {"15/QĐ-UBND - về việc", "15/QĐ-UBND", 15, 0, 0, "QĐ", 0},
    {"1250/UBND-VP.NC", "1250/UBND-VP.NC", 1250, 0, 0, "", SYMBOL_F_NO_TYPE},
    {"45/SGD&ĐT-VP.", "45/SGD&ĐT-VP", 45, 0, 0, "", SYMBOL_F_NO_TYPE},
    {"12/BC", "12/BC", 12, 0, 0, "BC", 0},
    /* NFD: Đ does not decompose, Ư does (U + horn) */
    {"Co\xcc\x82ng va\xcc\x86n so\xcc\x82\xcc\x81 7/QĐ-U\xcc\x9b"
     "DCNTT",
	"7/QĐ-U\xcc\x9b"
	"DCNTT",
	7, 0, 0, "QĐ", SYMBOL_F_NO_PAD},
    {"QĐ số 15/QĐ-UBND", "15/QĐ-UBND", 15, 0, 0, "QĐ", 0},
    {"GM 12/GM-STC", "12/GM-STC", 12, 0, 0, "GM", 0},
    {"CV số 15/STC-VP", "15/STC-VP", 15, 0, 0, "", SYMBOL_F_NO_TYPE},
    {"15/Q\xc3\x90-UBND", "15/Q\xc3\x90-UBND", 15, 0, 0, "Q\xc3\x90", 0},
};

static const char *const bad[] = {"", "36A", "Quyết định 1819", "24/7", "09/10", "15/11/2026",
    "Họp ngày 15/11/2026", "and/or", "TCP/IP", "50/50", "1/A", "50/USD", "0/QĐ-UBND",
    "Re: 15/QĐ-UBND", "Fwd: 15/QĐ-UBND", "TL: 15/QĐ-UBND", "Trả lời: 15/QĐ-UBND",
    "Góp ý dự thảo 15/QĐ-UBND", "15/qđ-ubnd", "15 QĐ-UBND", "15/", "15/Hội nghị", "3/4 nhân sự",
    "15/QĐ-UBND@x", "15/QĐ-UBNDxyz", "Mời họp 9/10 lúc 14h", "1234567/QĐ-UBND", "2026", "[", "[x",
    "\xff\xfe", "Công văn số", "Số", "15/2014", "Lịch 2/2026/tuần", "V/v họp giao ban 10/KH-SKHCN",
    "V/v triển khai QĐ 15/QĐ-UBND", "TT 24/7", "CT 50/50", "BC 15/2026"};

static void
vectors_parse(void **state)
{
	struct symbol s;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof good / sizeof *good; i++) {
		if (!symbol_parse(slice_str(good[i].subject), &s))
			fail_msg("not parsed: %s", good[i].subject);
		if (!slice_eq_str(s.text, good[i].text))
			fail_msg("%s: text %.*s", good[i].subject, (int)s.text.len,
			    (const char *)s.text.ptr);
		if (s.number != good[i].number || s.year != good[i].year ||
		    s.letter != good[i].letter || !slice_eq_str(s.type, good[i].type) ||
		    s.flags != good[i].flags)
			fail_msg("%s: number %u year %u letter %d type %.*s flags %u",
			    good[i].subject, s.number, s.year, s.letter, (int)s.type.len,
			    (const char *)s.type.ptr, s.flags);
	}
}

static void
others_do_not(void **state)
{
	struct symbol s;
	size_t i;

	(void)state;
	assert_false(symbol_parse((struct slice){NULL, 0}, &s));
	for (i = 0; i < sizeof bad / sizeof *bad; i++) {
		if (symbol_parse(slice_str(bad[i]), &s))
			fail_msg("parsed: %s as %.*s", bad[i], (int)s.text.len,
			    (const char *)s.text.ptr);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(vectors_parse), cmocka_unit_test(others_do_not)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
