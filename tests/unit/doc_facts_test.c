/* doc_facts_test.c: the head of official documents and subjects (Decree 30/2020): number, type, agency, place and date, summary, urgency. */
#include "config.h"

#include "milter/doc_facts.h"
#include "tests/unit/unit.h"

static void
check(bool text, const char *s, const char *want)
{
	struct doc_facts d;
	struct buf got;

	buf_init(&got, 4096);
	doc_facts_init(&d);
	if (text)
		doc_facts_text(slice_str(s), &d);
	else
		doc_facts_subject(slice_str(s), &d);
	buf_appendf(&got, "%s|%s|%s|", buf_cstr(&d.symbol), buf_cstr(&d.type), buf_cstr(&d.agency));
	buf_appendf(&got, "%s|%s|", buf_cstr(&d.place), buf_cstr(&d.date));
	buf_appendf(&got, "%s|%s", buf_cstr(&d.summary), buf_cstr(&d.urgency));
	if (strcmp(buf_cstr(&got), want) != 0)
		fail_msg("%s\n  is   %s\n  want %s", s, buf_cstr(&got), want);
	buf_done(&got);
	doc_facts_done(&d);
}

static void
texts(void **state)
{
	(void)state;
	check(true,
	    "UBND TỈNH MẪU   CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM\r\n"
	    "SỞ NỘI VỤ   Độc lập - Tự do - Hạnh phúc\r\n"
	    "Số: 15/QĐ-SNV   Tỉnh Mẫu, ngày 12 tháng 3 năm 2026\r\n\r\n"
	    "QUYẾT ĐỊNH\r\nVề việc phê duyệt kế hoạch\r\n",
	    "15/QĐ-SNV|QĐ|SỞ NỘI VỤ|Tỉnh Mẫu|2026-03-12|phê duyệt kế hoạch|");
	check(true,
	    "SỞ NỘI VỤ\nSố: 282/SNV-VP\nV/v báo cáo tuần\nTỉnh Mẫu, ngày 02 tháng 11 năm 2026\n"
	    "THƯỢNG KHẨN\nKính gửi: các sở\n",
	    "282/SNV-VP||SỞ NỘI VỤ|Tỉnh Mẫu|2026-11-02|báo cáo tuần|thuong khan");
	/* a heading without "Về việc"; NFD; the date alone */
	check(true,
	    "KE\xcc\x82\xcc\x81 HOA\xcc\xa3"
	    "CH\nTriển khai năm 2026\nngày 1 tháng 2 năm 2026",
	    "|KH|||2026-02-01|Triển khai năm 2026|");
	check(true, "Kính gửi anh, số điện thoại 0123/456, ngày 32 tháng 1 năm 2026\n", "||||||");
	check(true, "", "||||||");
}

/* Whether somebody signs in another's place. */
static void
capacities(void **state)
{
	static const char *const v[][2] = {{"KT. GIÁM ĐỐC\nPHÓ GIÁM ĐỐC", "KT"},
	    {"Nơi nhận:   TM. ỦY BAN NHÂN DÂN\n- Như trên;   KT. CHỦ TỊCH", "KT"},
	    {"TUQ. CHỦ TỊCH", "TUQ"}, {"Q. GIÁM ĐỐC\r\n", "Q"}, {"TL.BỘ TRƯỞNG", "TL"},
	    {"TM. ỦY BAN NHÂN DÂN\nCHỦ TỊCH", "TM"}, {"GIÁM ĐỐC", ""}, {"Q. 5 TP MẪU", ""},
	    {"Kt. giám đốc", ""}, {"KT. Giám đốc", ""}, {"KT.", ""}, {"XKT. GIÁM ĐỐC", ""}};
	struct doc_facts d;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof v / sizeof *v; i++) {
		doc_facts_init(&d);
		doc_facts_text(slice_str(v[i][0]), &d);
		if (strcmp(buf_cstr(&d.capacity), v[i][1]) != 0)
			fail_msg("%s: %s", v[i][0], buf_cstr(&d.capacity));
		doc_facts_done(&d);
	}
}

static void
subjects(void **state)
{
	(void)state;
	check(false, "15/QĐ-UBND Về việc họp", "15/QĐ-UBND|QĐ||||họp|");
	check(false, "[Hỏa tốc] 15/QĐ-UBND V/v: họp gấp", "15/QĐ-UBND|QĐ||||họp gấp|hoa toc");
	check(false, "KHẨN: Công văn số 282/SNV-VP - báo cáo", "282/SNV-VP|||||báo cáo|khan");
	check(false, "Họp giao ban", "|||||Họp giao ban|");
	check(false, "15/QĐ-UBND", "15/QĐ-UBND|QĐ|||||");
	check(false, "", "||||||");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(texts), cmocka_unit_test(capacities), cmocka_unit_test(subjects)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
