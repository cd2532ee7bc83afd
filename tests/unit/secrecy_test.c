/* secrecy_test.c: marks of state secrets (P12): what must be found, in each way that it is written; and what must not, in at least 2,000 ordinary
 * sentences of secrecy_make.py: under one in a thousand. DOMAIN.md P12, B4. */
#include "config.h"

#include "milter/secrecy.h"
#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

enum where { TEXT, SUBJECT, NAME };

static bool
marked(enum where w, struct slice s)
{
	struct buf found;
	bool yes;

	buf_init(&found, 256);
	yes = w == TEXT      ? secrecy_in_text(s, &found)
	      : w == SUBJECT ? secrecy_in_subject(s, &found)
			     : secrecy_in_name(s, &found);
	assert_int_equal(yes, found.len > 0);
	buf_done(&found);
	return yes;
}

static void
marks_are_found(void **state)
{
	static const struct {
		enum where w;
		const char *s;
	} t[] = {
	    /* stamps */
	    {TEXT, "MẬT"},
	    {TEXT, "UBND TỈNH MẪU\r\nTỐI MẬT\r\nSố: 15/BC\r\n"},
	    {TEXT, "x\nTUYỆT MẬT\ny"},
	    /* other scripts' letters, and what is not seen */
	    {TEXT, "\xd0\x9cẬ\xd0\xa2"},
	    {TEXT, "M\xe2\x80\x8dẬ\xe2\x81\xa0T"},
	    {TEXT, "M\xc2\xadẬT"},
	    {TEXT, "\xef\xbc\xadẬ\xef\xbc\xb4"},
	    {TEXT, "TUYỆT M\xd0\x90\xcc\xa3\xcc\x82T"},
	    {TEXT, "   [ TỐI MẬT ]   "},
	    {TEXT, "*** TUYỆT MẬT ***"},
	    {TEXT, "SỞ NỘI VỤ\tTỐI MẬT"},
	    {TEXT, "SỞ NỘI VỤ        CỘNG HÒA XÃ HỘI CHỦ NGHĨA VIỆT NAM\nMẬT        Độc lập"},
	    {TEXT, "> TỐI MẬT"},
	    /* letters apart */
	    {TEXT, "T Ố I  M Ậ T"},
	    {TEXT, "T U Y Ệ T   M Ậ T"},
	    {TEXT, "M Ậ T"},
	    {TEXT, "T\xc2\xa0Ố\xc2\xa0I M\xc2\xa0Ậ\xc2\xa0T"},
	    /* header phrases */
	    {TEXT, "Độ mật: Tối mật"},
	    {TEXT, "Độ mật: Mật"},
	    {TEXT, "ĐỘ MẬT: TUYỆT MẬT"},
	    {TEXT, "Mức độ mật - Tối mật."},
	    {TEXT, "Do mat: Toi mat"},
	    /* NFD */
	    {TEXT, "TO\xcc\x82\xcc\x81I MA\xcc\x82\xcc\xa3T"},
	    {TEXT, "TO\xcc\x82\xcc\x81I MA\xcc\xa3\xcc\x82T"},
	    {TEXT, "\xc4\x90o\xcc\xa3\xcc\x82 ma\xcc\xa3\xcc\x82t: Ma\xcc\xa3\xcc\x82t"},
	    /* without marks, the longer two */
	    {TEXT, "TOI MAT"},
	    {TEXT, "TUYET MAT"},
	    /* TCVN3 and VNI as they look in a mail that calls them Latin: in capitals, and in small letters of a capital font */
	    {TEXT, "TèI MËT"},
	    {TEXT, "tèi mËt"},
	    {TEXT, "TUYÖT MËT"},
	    {TEXT, "tuyÖt mËt"},
	    {TEXT, "MËT"},
	    {TEXT, "TOÁI MAÄT"},
	    {TEXT, "TUYEÄT MAÄT"},
	    {TEXT, "MAÄT"},
	    {SUBJECT, "[MẬT] Kế hoạch"},
	    {SUBJECT, "(Tối mật) Kế hoạch"},
	    {SUBJECT, "TỐI MẬT: kế hoạch"},
	    {SUBJECT, "Kế hoạch - TUYỆT MẬT"},
	    {SUBJECT, "15/BC-UBND [tuyệt mật]"},
	    {SUBJECT, "Độ mật: Mật"},
	    {SUBJECT, "TO\xcc\x82\xcc\x81I MA\xcc\xa3\xcc\x82T - kế hoạch"},
	    {NAME, "TOI MAT_BC 15.pdf"},
	    {NAME, "ke-hoach-TUYET-MAT.docx"},
	    {NAME, "[MẬT] ke hoach.pdf"},
	    {NAME, "TỐI MẬT.pdf"},
	    {NAME, "TUYỆT MẬT - kế hoạch 5.docx"},
	    {NAME, "Ke hoach (toi mat).pdf"},
	    {NAME, "T_O_I M_A_T.pdf"},
	};
	size_t i;
	int wrong = 0;

	(void)state;
	for (i = 0; i < sizeof t / sizeof *t; i++) {
		if (!marked(t[i].w, slice_str(t[i].s))) {
			print_error("not found (%d): %s\n", (int)t[i].w, t[i].s);
			wrong++;
		}
	}
	assert_int_equal(wrong, 0);
}

static void
ordinary_text_is_not(void **state)
{
	const char *src = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
	char command[1100], line[1000];
	unsigned n = 0, wrong = 0;
	FILE *f;

	(void)state;
	snprintf(command, sizeof command, "/usr/bin/python3 '%s/tests/unit/secrecy_make.py'", src);
	f = popen(command, "r");
	assert_non_null(f);
	while (fgets(line, sizeof line, f) != NULL) {
		char *tab = strchr(line, '\t');
		enum where w = line[0] == 't' ? TEXT : line[0] == 's' ? SUBJECT : NAME;

		assert_non_null(tab);
		tab[strcspn(tab, "\n")] = '\0';
		n++;
		if (marked(w, slice_str(tab + 1))) {
			print_error("found in: %s\n", line);
			wrong++;
		}
	}
	assert_int_equal(pclose(f), 0);
	print_message("%u of %u ordinary lines\n", wrong, n);
	assert_true(n >= 2000);
	assert_true(wrong * 1000 < n);
}

/* A stamp in its column, wherever the column and its line stand: texts are looked through many octets at a time. */
static void
columns_at_every_place(void **state)
{
	static const struct {
		const char *gap;
		bool is;
	} t[] = {{"\t", true}, {"|", true}, {"   ", true}, {"    ", true}, {"\n", true},
	    {"  ", false}, {" ", false}, {"  \n ", true}};
	struct buf b;

	(void)state;
	buf_init(&b, 1000);
	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		for (size_t before = 0; before < 140; before++)
			for (size_t in_line = 1; in_line < 70; in_line += 3) {
				buf_reset(&b);
				for (size_t k = 0; k < before; k++)
					buf_append_byte(&b, k % 50 == 49 ? '\n' : 'x');
				buf_append_byte(&b, '\n');
				for (size_t k = 0; k < in_line; k++)
					buf_append_byte(&b, 'y');
				buf_append_str(&b, t[i].gap);
				buf_append_str(&b, "TỐI MẬT");
				if (marked(TEXT, buf_slice(&b)) != t[i].is)
					fail_msg("%zu %zu %zu", i, before, in_line);
				buf_append_str(&b, before % 2 ? "\nz" : "\tz\n");
				if (marked(TEXT, buf_slice(&b)) != t[i].is)
					fail_msg("%zu %zu %zu, more behind", i, before, in_line);
			}
	buf_done(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(marks_are_found),
	    cmocka_unit_test(columns_at_every_place), cmocka_unit_test(ordinary_text_is_not)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
