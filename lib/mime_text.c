/* mime_text.c: texts of a message, decoded and folded (mime_text.h). Runs in ingest and imapd-session; pure. RFC 2045, 2047.
 * Pieces are cut behind a line end (encoded text: behind whole quanta), so that decoding and folding see whole characters. Where a text is cut
 * depends on its octets alone: two readers of the same message get the same text. */
#include "config.h"

#include "lib/mime_text.h"

#include <string.h>

#include "lib/err.h"
#include "lib/fold.h"

enum {
	WAIT_MAX = 1 << 20,
	LINE_MAX = 1 << 18, /* longer lines are cut anywhere */
	/* Folded at once: what is found in it ends the work. The first steps are small: a common word stands at the beginning. */
	FOLD_FIRST = 1024,
	FOLD_STEP = 16384
};

/* ---- which parts ---- */

static int
add(const struct mime_part *p, bool header, struct arena *a, struct mime_stretch ***tail)
{
	struct mime_stretch *s = arena_alloc(a, sizeof *s);

	if (s == NULL)
		return ERR_NOMEM;
	*s = (struct mime_stretch){.header = header,
	    .off = header ? p->hdr_off : p->body_off,
	    .end = header ? p->body_off : p->end_off,
	    .cte = header ? CTE_8BIT : p->cte};
	for (const struct hdr_param *q = p->params; !header && q != NULL; q = q->next)
		if (slice_eq_str(q->name, "charset"))
			s->charset = q->value;
	if (s->end > s->off) {
		**tail = s;
		*tail = &s->next;
	}
	return 0;
}

static int
collect(const struct mime_part *p, struct arena *a, struct mime_stretch ***tail)
{
	int err = 0;

	for (; p != NULL && err == 0; p = p->next) {
		if (p->parent != NULL && slice_eq_str(p->parent->type, "message"))
			err = add(p, true, a, tail);
		if (err == 0 && p->child == NULL && slice_eq_str(p->type, "text"))
			err = add(p, false, a, tail);
		if (err == 0)
			err = collect(p->child, a, tail);
	}
	return err;
}

int
mime_stretches(const struct mime_part *root, struct arena *a, struct mime_stretch **first_out)
{
	struct mime_stretch *first = NULL, **tail = &first;
	int err = collect(root, a, &tail);

	if (err == 0)
		*first_out = first;
	return err;
}

/* ---- headers ---- */

bool
mime_header_text(struct slice *rest, struct slice field, struct buf *text)
{
	struct hdr_field f;
	int err;

	while ((err = hdr_next(rest, &f)) != ERR_EOF) {
		if (err != 0 || (field.len > 0 && !slice_caseeq(f.name, field)))
			continue;
		buf_reset(text);
		if (field.len == 0) {
			buf_append_slice(text, f.name);
			buf_append_str(text, ": ");
		}
		hdr_decode(f.body, text);
		return true;
	}
	return false;
}

/* ---- one stretch ---- */

void
mime_text_init(
    struct mime_text *t, size_t keep, bool (*fn)(void *arg, struct slice folded), void *arg)
{
	memset(t, 0, sizeof *t);
	t->keep = keep;
	t->fn = fn;
	t->arg = arg;
	buf_init(&t->raw, 2 * (size_t)WAIT_MAX);
	buf_init(&t->text, 4 * (size_t)WAIT_MAX);
	buf_init(&t->folded, keep + 36 * (size_t)FOLD_STEP + 64);
	buf_init(&t->head, MIME_TEXT_HEADER_MAX);
}

void
mime_text_done(struct mime_text *t)
{
	buf_done(&t->raw);
	buf_done(&t->text);
	buf_done(&t->folded);
	buf_done(&t->head);
}

void
mime_text_begin(struct mime_text *t, enum mime_cte cte, struct slice charset, bool header)
{
	t->cte = cte;
	t->charset = charset.len > 0 ? charset : slice_str("UTF-8");
	t->header = header;
	t->enough = false;
	buf_reset(&t->raw);
	buf_reset(&t->text);
	buf_reset(&t->folded);
	buf_reset(&t->head);
}

/* A step of UTF-8 of at most that many octets, cut before an ASCII character or, failing that, before any. */
static size_t
step_len(struct slice s, size_t most)
{
	size_t n = most;

	if (s.len <= most)
		return s.len;
	while (n > most / 2 && s.ptr[n] >= 0x80)
		n--;
	if (s.ptr[n] < 0x80)
		return n;
	n = most;
	while (n > most - 4 && (s.ptr[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* Text that is UTF-8, or shall be: what is not stands for U+FFFD. */
static int
give_utf8(struct mime_text *t, struct slice utf8)
{
	size_t most = FOLD_FIRST;

	while (utf8.len > 0 && !t->enough) {
		struct slice step = slice_sub(utf8, 0, step_len(utf8, most));
		int err = vn_fold_text(step, &t->folded);

		if (err != 0)
			return err;
		t->enough = t->fn(t->arg, buf_slice(&t->folded));
		if (t->folded.len > t->keep)
			buf_consume(&t->folded, t->folded.len - t->keep);
		utf8 = slice_from(utf8, step.len);
		most = most < FOLD_STEP ? 2 * most : FOLD_STEP;
	}
	return 0;
}

static int
give(struct mime_text *t, struct slice text)
{
	struct buf utf8;
	int err;

	/* as charset_to_utf8 would have it, without a copy */
	if (slice_caseeq_str(t->charset, "utf-8") || slice_caseeq_str(t->charset, "us-ascii"))
		return give_utf8(t, text);
	buf_init(&utf8, 16 * (size_t)WAIT_MAX);
	charset_to_utf8(t->charset, text, &utf8);
	err = utf8.err != 0 ? utf8.err : give_utf8(t, buf_slice(&utf8));
	buf_done(&utf8);
	return err;
}

/* Behind the last line end in b, b.len when there is none. */
static size_t
line_cut(const struct buf *b)
{
	const unsigned char *lf = b->len > 0 ? memrchr(b->data, '\n', b->len) : NULL;

	return lf != NULL ? (size_t)(lf - b->data) + 1 : b->len;
}

/* base64: what is there without white space, in whole quanta; the rest stays in raw. */
static int
decode_base64(struct mime_text *t, bool last)
{
	size_t n = 0, cut;
	int err;

	for (size_t i = 0; i < t->raw.len; i++) {
		unsigned char c = t->raw.data[i];

		if (c != '\r' && c != '\n' && c != ' ' && c != '\t')
			t->raw.data[n++] = c;
	}
	buf_truncate(&t->raw, n);
	cut = last ? n : n - n % 4;
	err = mime_decode_body(CTE_BASE64, slice_sub(buf_slice(&t->raw), 0, cut), &t->text, NULL);
	buf_consume(&t->raw, cut);
	return err;
}

static int
decode(struct mime_text *t, bool last)
{
	size_t cut;
	bool whole_lines;
	int err;

	if (t->cte == CTE_BASE64)
		return decode_base64(t, last);
	cut = last ? t->raw.len : line_cut(&t->raw);
	whole_lines = last || (cut > 0 && t->raw.data[cut - 1] == '\n');
	if (!whole_lines && cut < LINE_MAX)
		return 0; /* wait for the end of the line, within reason */
	/* an escape over the seam of a line without end */
	for (size_t back = 1; !whole_lines && t->cte == CTE_QP && back <= 2; back++)
		if (t->raw.data[t->raw.len - back] == '=')
			cut = t->raw.len - back;
	err = mime_decode_body(t->cte, slice_sub(buf_slice(&t->raw), 0, cut), &t->text, NULL);
	buf_consume(&t->raw, cut);
	return err;
}

/* What was decoded, up to a line end. */
static int
give_lines(struct mime_text *t, bool last)
{
	size_t cut = last ? t->text.len : line_cut(&t->text);
	int err;

	if (!last && cut == t->text.len && cut < WAIT_MAX && cut > 0 &&
	    t->text.data[cut - 1] != '\n')
		cut = 0; /* a long line: wait for its end, within reason */
	if (cut == 0)
		return 0;
	err = give(t, slice_sub(buf_slice(&t->text), 0, cut));
	buf_consume(&t->text, cut);
	return err;
}

/* The fields of the header that was gathered, each a text of its own. */
static int
give_fields(struct mime_text *t)
{
	struct slice rest = buf_slice(&t->head);
	struct buf field;
	int err = 0;

	buf_init(&field, MIME_TEXT_HEADER_MAX);
	while (err == 0 && !t->enough && mime_header_text(&rest, slice_of("", 0), &field)) {
		buf_reset(&t->folded);
		err = give_utf8(t, buf_slice(&field));
	}
	buf_done(&field);
	return err;
}

int
mime_text_feed(struct mime_text *t, struct slice piece, bool last)
{
	bool plain = t->cte != CTE_BASE64 && t->cte != CTE_QP;
	int err = 0;

	if (t->header) /* of a longer one the beginning */
		buf_append_slice(&t->head, slice_sub(piece, 0, t->head.cap - t->head.len));
	if (t->enough) {
		err = 0;
	} else if (plain && last && t->raw.len == 0 && t->text.len == 0) {
		err = give(t, piece);
	} else {
		err = buf_append_slice(&t->raw, piece);
		if (err == 0)
			err = decode(t, last);
		if (err == 0)
			err = give_lines(t, last);
	}
	if (err == 0 && last && t->header && !t->enough)
		err = give_fields(t);
	if (last) {
		buf_reset(&t->raw);
		buf_reset(&t->text);
		buf_reset(&t->folded);
		buf_reset(&t->head);
	}
	return err;
}
