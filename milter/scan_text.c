/* scan_text.c: marks of secrecy (P12) in subjects, names and texts of a mail. Runs in milter-scan. */
#include "config.h"

#include "milter/doc_facts.h"
#include "milter/scan_priv.h"
#include "milter/secrecy.h"

#include "lib/err.h"
#include "lib/uni.h"

#include <string.h>

#define TEXT_MAX (1u << 20)
#define SUBJECTS_MAX 4

static void
note(struct scan_ctx *c, struct slice path, const char *where, struct buf *found)
{
	findings_note(c->f, "secrecy_mark", NOTE_REJECT, path, "%s: %s", where, buf_cstr(found));
}

static struct slice
param(const struct hdr_param *p, const char *name)
{
	for (; p != NULL; p = p->next) {
		if (slice_eq_str(p->name, name))
			return p->value;
	}
	return (struct slice){NULL, 0};
}

void
scan_subject(struct scan_ctx *c, struct slice header, struct slice path)
{
	struct hdr_field field;
	struct buf text, found;
	size_t n;

	buf_init(&text, 16384);
	buf_init(&found, 256);
	for (n = 0; n < SUBJECTS_MAX && hdr_find(header, "Subject", n, &field); n++) {
		buf_reset(&text);
		if (hdr_decode(slice_sub(field.body, 0, 4000), &text) == 0 &&
		    secrecy_in_subject(buf_slice(&text), &found)) {
			note(c, path, "subject", &found);
			break;
		}
	}
	buf_done(&text);
	buf_done(&found);
}

/* The head of an official document has a number or a date. */
static void
add_document(struct scan_ctx *c, struct slice text, struct slice path)
{
	struct doc_facts d;
	struct find_doc *f;

	doc_facts_init(&d);
	if (doc_facts_text(text, &d) && (d.symbol.len > 0 || d.date.len > 0) &&
	    c->f->n_docs < FINDINGS_DOCS_MAX && (f = findings_add_doc(c->f)) != NULL) {
		f->part = findings_text(c->f, path);
		f->symbol = findings_text(c->f, buf_slice(&d.symbol));
		f->type = findings_text(c->f, buf_slice(&d.type));
		f->agency = findings_text(c->f, buf_slice(&d.agency));
		f->place = findings_text(c->f, buf_slice(&d.place));
		f->date = findings_text(c->f, buf_slice(&d.date));
		f->summary = findings_text(c->f, buf_slice(&d.summary));
		f->urgency = findings_text(c->f, buf_slice(&d.urgency));
		if (d.capacity.len > 0)
			findings_note(
			    c->f, "doc_capacity", NOTE_INFO, path, "%s", buf_cstr(&d.capacity));
	}
	doc_facts_done(&d);
}

/* TCVN3's letters with marks stand where Latin-1 has signs; VNI writes a mark as a letter behind the vowel. Words of Vietnamese in Unicode have neither.
 * Counted in the text as Latin-1 shows it. */
static bool
is_legacy(struct slice s)
{
	static const char tcvn3[] = "\xae\xad\xac\xab\xaa\xa9\xa8\xb9\xb8\xb7\xb6\xb5\xcb\xd6\xd2";
	static const char vni_marks[] =
	    "\xf8\xf9\xfb\xfc\xf5\xef\xe4\xe0\xe1\xe3\xe5\xe2\xea\xe9\xe8\xeb";
	struct slice rest = slice_sub(s, 0, 65536);
	unsigned t = 0, v = 0, words = 1;
	uint32_t c, before = ' ';

	if (slice_is_ascii(rest))
		return false;
	while (rest.len > 0) {
		if (uni_next(&rest, &c) == 0)
			c = 0xfffd;
		words += c == ' ';
		if ((c >= 0x1ea0 && c <= 0x1ef9) || c == 0x111 || c == 0x1b0 || c == 0x1a1)
			return false;
		if (c >= 0xa8 && c < 0x100 && (before | 0x20) >= 'a' && (before | 0x20) <= 'z') {
			t += memchr(tcvn3, (int)c, sizeof tcvn3 - 1) != NULL;
			v += memchr(vni_marks, (int)c, sizeof vni_marks - 1) != NULL &&
			     memchr("aeouyAEOUY", (int)before, 10) != NULL;
		}
		before = c < 0x80 ? c : ' ';
	}
	return (t >= 5 && 12 * t >= words) || (v >= 5 && 6 * v >= words);
}

static void
note_encoding(struct scan_ctx *c, struct slice charset, struct slice bytes, bool is_utf8,
    struct slice utf8, struct slice path)
{
	struct buf latin;

	if (charset.len == 0 && !slice_is_ascii(slice_sub(bytes, 0, TEXT_MAX)))
		findings_note(
		    c->f, "text_undeclared", NOTE_WARN, path, "8-bit text that names no charset");
	buf_init(&latin, 8 * TEXT_MAX);
	if (!is_utf8) {
		charset_to_utf8(slice_str("iso-8859-1"), slice_sub(bytes, 0, 65536), &latin);
		utf8 = buf_slice(&latin);
	}
	if (is_legacy(utf8))
		findings_note(c->f, "text_legacy", NOTE_WARN, path, "TCVN3 or VNI, not Unicode");
	buf_done(&latin);
}

/* For a search: what does not fit is left out, at the end of a character. */
static void
keep_text(struct buf *out, struct slice text)
{
	size_t room = out->cap > out->len ? out->cap - out->len : 0, n = text.len;

	if (room == 0)
		return;
	if (n > room - 1)
		for (n = room - 1; n > 0 && (text.ptr[n] & 0xc0) == 0x80;)
			n--;
	(void)uni_scrub(slice_sub(text, 0, n), "?", out, NULL);
	out->err = 0;
	if (out->len < out->cap)
		buf_append_byte(out, '\n');
}

void
scan_doc_text(struct scan_ctx *c, struct slice text, struct slice path)
{
	struct buf found;

	if (c->p->text != NULL) {
		keep_text(c->p->text, text);
		return;
	}
	buf_init(&found, 256);
	if (secrecy_in_text(text, &found))
		note(c, path, "text", &found);
	buf_done(&found);
	add_document(c, text, path);
}

/* Charsets whose texts are what they are where they are UTF-8; none at all is one of them. */
static bool
is_as_it_is(struct slice charset)
{
	charset = slice_trim(charset);
	return charset.len == 0 || slice_caseeq_str(charset, "utf-8") ||
	       slice_caseeq_str(charset, "utf8") || slice_caseeq_str(charset, "us-ascii") ||
	       slice_caseeq_str(charset, "ascii");
}

void
scan_text(struct scan_ctx *c, const struct mime_part *part, struct slice bytes, struct slice path)
{
	struct slice charset = param(part->params, "charset");
	struct slice head = slice_sub(bytes, 0, TEXT_MAX), s;
	struct buf utf8, plain, found;
	bool is_utf8;

	if (charset.len == 0 && bytes.len >= 2 && bytes.ptr[0] == 0xff && bytes.ptr[1] == 0xfe)
		charset = slice_str("utf-16le");
	buf_init(&utf8, 8 * TEXT_MAX);
	buf_init(&plain, 8 * TEXT_MAX);
	buf_init(&found, 256);
	is_utf8 = uni_valid(head); /* whatever it is called */
	if (is_utf8 && is_as_it_is(charset)) {
		s = head;
	} else {
		charset_to_utf8(charset.len > 0 ? charset : slice_str("utf-8"), head, &utf8);
		s = buf_slice(&utf8);
	}
	note_encoding(c, charset, bytes, is_utf8, s, path);
	if (slice_eq_str(part->subtype, "html")) {
		secrecy_html_text(s, &plain);
		s = buf_slice(&plain);
	}
	if (secrecy_in_text(s, &found)) {
		note(c, path, "text", &found);
	} else if (!is_utf8) {
		/* what is no UTF-8 is shown as Latin by many: TCVN3 and VNI look so */
		buf_reset(&utf8);
		charset_to_utf8(slice_str("windows-1252"), head, &utf8);
		if (secrecy_in_text(buf_slice(&utf8), &found))
			note(c, path, "text", &found);
	}
	buf_done(&utf8);
	buf_done(&plain);
	buf_done(&found);
}
