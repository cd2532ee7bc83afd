/* doc_facts.c: reads the head of a Vietnamese official document, line by line and column by column. Pure; runs in milter-scan (texts) and in milter
 * (subjects). What is not where the decree puts it is left empty: facts, no guesses. */
#include "config.h"

#include "milter/doc_facts.h"

#include "lib/err.h"
#include "lib/fold.h"
#include "lib/utf7.h"

#include <stdio.h>
#include <string.h>

#define LINES_MAX 120
#define LINE_MAX_LEN 1000
#define VALUE_MAX 480

void
doc_facts_init(struct doc_facts *d)
{
	struct buf *all[] = {&d->symbol, &d->type, &d->agency, &d->place, &d->date, &d->summary,
	    &d->urgency, &d->capacity};
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++)
		buf_init(all[i], VALUE_MAX);
}

void
doc_facts_done(struct doc_facts *d)
{
	struct buf *all[] = {&d->symbol, &d->type, &d->agency, &d->place, &d->date, &d->summary,
	    &d->urgency, &d->capacity};
	size_t i;

	for (i = 0; i < sizeof all / sizeof *all; i++)
		buf_done(all[i]);
}

/* The first value stays; cut at a character when it is too long. */
static void
set(struct buf *to, struct slice v)
{
	v = slice_trim(v);
	if (to->len > 0 || v.len == 0)
		return;
	if (v.len > VALUE_MAX - 4) {
		for (v.len = VALUE_MAX - 4; v.len > 0 && (v.ptr[v.len] & 0xc0) == 0x80;)
			v.len--;
	}
	buf_append_slice(to, v);
}

static const struct {
	const char *heading, *type;
} headings[] = {{"nghi quyet", "NQ"}, {"quyet dinh", "QĐ"}, {"chi thi", "CT"}, {"quy che", "QC"},
    {"quy dinh", "QyĐ"}, {"thong cao", "TC"}, {"thong bao", "TB"}, {"huong dan", "HD"},
    {"chuong trinh", "CTr"}, {"ke hoach", "KH"}, {"phuong an", "PA"}, {"de an", "ĐA"},
    {"du an", "DA"}, {"bao cao", "BC"}, {"bien ban", "BB"}, {"to trinh", "TTr"}, {"hop dong", "HĐ"},
    {"cong dien", "CĐ"}, {"ban ghi nho", "BGN"}, {"ban thoa thuan", "BTT"},
    {"giay uy quyen", "GUQ"}, {"giay moi", "GM"}, {"giay gioi thieu", "GGT"},
    {"giay nghi phep", "GNP"}, {"phieu gui", "PG"}, {"phieu chuyen", "PC"}, {"phieu bao", "PB"}};

/* "hoa toc" and the like as all of a piece, stamped or in brackets. */
static bool
urgency_of(struct slice folded, struct buf *out)
{
	static const char *const marks[] = {"hoa toc hen gio", "hoa toc", "thuong khan", "khan"};
	size_t i;

	while (folded.len > 0 && strchr(" [](){}*:.-!", folded.ptr[0]) != NULL)
		folded = slice_from(folded, 1);
	while (folded.len > 0 && strchr(" [](){}*:.-!", folded.ptr[folded.len - 1]) != NULL)
		folded.len--;
	for (i = 0; i < sizeof marks / sizeof *marks; i++) {
		if (slice_eq_str(folded, marks[i])) {
			set(out, slice_str(marks[i]));
			return true;
		}
	}
	return false;
}

static struct slice
skip(struct slice s, const char *set_of)
{
	while (s.len > 0 && strchr(set_of, s.ptr[0]) != NULL && s.ptr[0] != 0)
		s = slice_from(s, 1);
	return s;
}

static bool
take_number(struct slice *s, unsigned max_digits, unsigned *out)
{
	unsigned n = 0, v = 0;

	*s = skip(*s, " .,:");
	while (s->len > 0 && n < max_digits && s->ptr[0] >= '0' && s->ptr[0] <= '9') {
		v = v * 10 + (s->ptr[0] - '0');
		*s = slice_from(*s, 1);
		n++;
	}
	*out = v;
	return n > 0;
}

/* "Tỉnh Mẫu, ngày 12 tháng 3 năm 2026": folded is the same piece without marks. */
static bool
date_of(struct slice piece, struct slice folded, struct doc_facts *d)
{
	ptrdiff_t at = slice_find(folded, slice_str("ngay "));
	struct slice rest, place;
	unsigned day, month, year;
	char text[16];
	ptrdiff_t comma;

	if (at < 0)
		return false;
	rest = slice_from(folded, (size_t)at + 5);
	if (!take_number(&rest, 2, &day) || !slice_starts(rest = skip(rest, " "), "thang"))
		return false;
	rest = slice_from(rest, 5);
	if (!take_number(&rest, 2, &month) || !slice_starts(rest = skip(rest, " "), "nam"))
		return false;
	rest = slice_from(rest, 3);
	if (!take_number(&rest, 4, &year) || day < 1 || day > 31 || month < 1 || month > 12 ||
	    year < 1945 || year > 2199)
		return false;
	if (d->date.len == 0) {
		snprintf(text, sizeof text, "%04u-%02u-%02u", year, month, day);
		set(&d->date, slice_str(text));
		comma = slice_index(piece, ',');
		place = comma > 0 ? slice_sub(piece, 0, (size_t)comma) : slice_str("");
		set(&d->place, place);
	}
	return true;
}

/* "Số: 15/QĐ-UBND". */
static bool
number_of(struct slice piece, struct slice folded, struct doc_facts *d)
{
	struct symbol sym;

	if (!slice_starts(folded, "so") || d->symbol.len > 0 || !symbol_parse(piece, &sym))
		return false;
	set(&d->symbol, sym.text);
	set(&d->type, sym.type);
	return true;
}

static bool
is_heading(struct slice folded, struct doc_facts *d)
{
	size_t i;

	for (i = 0; i < sizeof headings / sizeof *headings; i++) {
		if (slice_eq_str(folded, headings[i].heading)) {
			set(&d->type, slice_str(headings[i].type));
			return true;
		}
	}
	return false;
}

/* "V/v …", "Về việc …": what it is about. */
static bool
summary_of(struct slice piece, struct slice folded, struct doc_facts *d)
{
	static const char *const leads[] = {"v/v", "ve viec", "v.v"};
	size_t i;

	for (i = 0; i < sizeof leads / sizeof *leads; i++) {
		if (!slice_starts(folded, leads[i]))
			continue;
		/* the same number of words off the piece */
		for (size_t words = strcmp(leads[i], "ve viec") == 0 ? 2 : 1; words > 0; words--) {
			ptrdiff_t blank = slice_index(piece, ' ');

			piece =
			    blank < 0 ? slice_str("") : skip(slice_from(piece, (size_t)blank), " ");
		}
		set(&d->summary, skip(piece, ": -"));
		return true;
	}
	return false;
}

struct head {
	struct slice above; /* the piece before, in its column */
	bool heading;       /* the line before was the type: the summary follows */
};

static void
read_piece(struct slice piece, struct head *h, struct doc_facts *d)
{
	struct buf folded;
	struct slice f;

	piece = slice_trim(piece);
	if (piece.len == 0 || piece.len > LINE_MAX_LEN)
		return;
	buf_init(&folded, 4 * LINE_MAX_LEN);
	vn_fold(piece, &folded);
	f = slice_trim(buf_slice(&folded));
	if (number_of(piece, f, d)) {
		set(&d->agency, h->above);
	} else if (h->heading && d->summary.len == 0) {
		if (!summary_of(piece, f, d))
			set(&d->summary, piece);
		h->heading = false;
	} else if (!date_of(piece, f, d) && !urgency_of(f, &d->urgency) &&
		   !summary_of(piece, f, d)) {
		h->heading = is_heading(f, d);
	}
	buf_done(&folded);
}

/* Agencies are the left column: what stands first in its line. */
static void
read_line(struct slice line, struct head *h, struct doc_facts *d)
{
	struct slice first = {NULL, 0}, piece;
	size_t from = 0, i;

	for (i = 0; i <= line.len; i++) {
		if (i < line.len && line.ptr[i] != '\t' &&
		    !slice_starts(slice_from(line, i), "   "))
			continue;
		piece = slice_trim(slice_sub(line, from, i - from));
		if (piece.len > 0) {
			read_piece(piece, h, d);
			if (first.len == 0)
				first = piece;
		}
		from = i;
		while (i + 1 < line.len && line.ptr[i + 1] == ' ')
			i++;
	}
	if (first.len > 0)
		h->above = first;
}

/* "KT. GIÁM ĐỐC" alone in its column: in whose place somebody signs. Of several ("TM. ỦY BAN NHÂN DÂN", below it "KT. CHỦ TỊCH") the last one is
 * about the person. */
static void
capacity_of(struct slice piece, struct doc_facts *d)
{
	static const char *const marks[] = {"TUQ", "TM", "KT", "TL", "Q"};
	struct slice rest;
	size_t i, k;

	piece = slice_trim(piece);
	for (i = 0; i < sizeof marks / sizeof *marks; i++) {
		if (!slice_starts(piece, marks[i]))
			continue;
		rest = slice_from(piece, strlen(marks[i]));
		if (rest.len < 4 || rest.len > 200 || rest.ptr[0] != '.')
			continue;
		rest = slice_trim(slice_from(rest, 1));
		for (k = 0; k < rest.len && !(rest.ptr[k] >= 'a' && rest.ptr[k] <= 'z') &&
			    !(rest.ptr[k] >= '0' && rest.ptr[k] <= '9');
		     k++)
			;
		if (k < rest.len || rest.len < 3)
			continue;
		buf_reset(&d->capacity);
		buf_append_str(&d->capacity, marks[i]);
		return;
	}
}

/* All columns of all lines: signatures stand at the end. */
static void
read_capacity(struct slice text, struct doc_facts *d)
{
	size_t from = 0, i;

	for (i = 0; i <= text.len; i++) {
		if (i < text.len && text.ptr[i] != '\n' && text.ptr[i] != '\t' &&
		    !slice_starts(slice_from(text, i), "   "))
			continue;
		if (i > from)
			capacity_of(slice_sub(text, from, i - from), d);
		from = i + 1;
	}
}

static bool
any(const struct doc_facts *d)
{
	return d->symbol.len > 0 || d->date.len > 0 || d->summary.len > 0 || d->urgency.len > 0;
}

bool
doc_facts_text(struct slice text, struct doc_facts *d)
{
	struct buf all;
	struct slice rest;
	struct head h = {{NULL, 0}, false};
	unsigned n = 0;

	buf_init(&all, 256 << 10);
	text = slice_sub(text, 0, 64 << 10);
	if (utf8_nfc(text, &all) != 0) {
		buf_reset(&all);
		buf_append_slice(&all, text);
	}
	read_capacity(buf_slice(&all), d);
	for (rest = buf_slice(&all); rest.len > 0 && n < LINES_MAX; n++) {
		ptrdiff_t end = slice_index(rest, '\n');
		struct slice line = slice_sub(rest, 0, end < 0 ? rest.len : (size_t)end);

		rest = slice_from(rest, line.len + 1);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		read_line(line, &h, d);
	}
	buf_done(&all);
	return any(d);
}

bool
doc_facts_subject(struct slice subject, struct doc_facts *d)
{
	struct symbol sym;
	struct slice rest = slice_trim(subject);
	struct buf folded;
	ptrdiff_t end;

	buf_init(&folded, 8192);
	while (rest.len > 1 && (rest.ptr[0] == '[' || rest.ptr[0] == '(')) {
		end = slice_index(rest, rest.ptr[0] == '[' ? ']' : ')');
		if (end < 0)
			break;
		buf_reset(&folded);
		vn_fold(slice_sub(rest, 1, (size_t)end - 1), &folded);
		urgency_of(buf_slice(&folded), &d->urgency);
		rest = skip(slice_from(rest, (size_t)end + 1), " :-");
	}
	end = slice_index(rest, ':');
	if (end > 0 && end < 32) {
		buf_reset(&folded);
		vn_fold(slice_sub(rest, 0, (size_t)end), &folded);
		if (urgency_of(buf_slice(&folded), &d->urgency))
			rest = skip(slice_from(rest, (size_t)end + 1), " -");
	}
	if (symbol_parse(rest, &sym)) {
		set(&d->symbol, sym.text);
		set(&d->type, sym.type);
		rest = skip(
		    slice_from(rest, (size_t)(sym.text.ptr + sym.text.len - rest.ptr)), " :-;,.");
	}
	buf_reset(&folded);
	vn_fold(rest, &folded);
	if (!summary_of(rest, buf_slice(&folded), d))
		set(&d->summary, rest);
	buf_done(&folded);
	return any(d);
}
