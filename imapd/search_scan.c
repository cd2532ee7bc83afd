/* search_scan.c: substring search in body parts that are pulled in pieces. Runs in imapd-session; pure. RFC 3501 6.4.4 (BODY, TEXT).
 * Pieces are cut behind a line end (encoded text: behind whole quanta), so that decoding and folding see whole characters. */
#include "config.h"

#include "imapd/search_scan.h"

#include <string.h>

#include "lib/err.h"
#include "lib/fold.h"

#define PIECE_MAX (1u << 20)
#define LINE_MAX (1u << 18) /* longer lines are cut anywhere */

void
search_scan_init(struct search_scan *s, const struct search_prog *prog)
{
	memset(s, 0, sizeof(*s));
	s->prog = prog;
	buf_init(&s->raw, 2 * (size_t)PIECE_MAX);
	buf_init(&s->text, 4 * (size_t)PIECE_MAX);
	buf_init(&s->folded, 32 * (size_t)PIECE_MAX);
	for (uint32_t i = 0; i < prog->n_texts; i++)
		if (prog->texts[i]->needle.len > s->keep)
			s->keep = prog->texts[i]->needle.len;
}

void
search_scan_done(struct search_scan *s)
{
	buf_done(&s->raw);
	buf_done(&s->text);
	buf_done(&s->folded);
}

void
search_scan_part(struct search_scan *s, enum mime_cte cte, struct slice charset)
{
	s->cte = cte;
	s->charset = charset;
	buf_reset(&s->raw);
	buf_reset(&s->text);
	buf_reset(&s->folded);
}

bool
search_scan_is_full(const struct search_scan *s)
{
	uint32_t n = s->prog->n_texts;
	uint64_t all = n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
	return (s->found & all) == all;
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
decode_base64(struct search_scan *s, bool last)
{
	size_t n = 0;
	for (size_t i = 0; i < s->raw.len; i++) {
		unsigned char c = s->raw.data[i];
		if (c != '\r' && c != '\n' && c != ' ' && c != '\t')
			s->raw.data[n++] = c;
	}
	buf_truncate(&s->raw, n);
	size_t cut = last ? n : n - n % 4;
	int err =
	    mime_decode_body(CTE_BASE64, slice_sub(buf_slice(&s->raw), 0, cut), &s->text, NULL);
	buf_consume(&s->raw, cut);
	return err;
}

static int
decode(struct search_scan *s, bool last)
{
	if (s->cte == CTE_BASE64)
		return decode_base64(s, last);
	size_t cut = last ? s->raw.len : line_cut(&s->raw);
	bool whole_lines = last || (cut > 0 && s->raw.data[cut - 1] == '\n');
	if (!whole_lines && cut < LINE_MAX)
		return 0; /* wait for the end of the line, within reason */
	/* an escape over the seam of a line without end */
	for (size_t back = 1; !whole_lines && s->cte == CTE_QP && back <= 2; back++)
		if (s->raw.data[s->raw.len - back] == '=')
			cut = s->raw.len - back;
	struct slice part = slice_sub(buf_slice(&s->raw), 0, cut);
	int err = mime_decode_body(s->cte, part, &s->text, NULL);
	buf_consume(&s->raw, cut);
	return err;
}

static void
look(struct search_scan *s)
{
	for (uint32_t i = 0; i < s->prog->n_texts; i++)
		if (!(s->found >> i & 1) &&
		    slice_find(buf_slice(&s->folded), s->prog->texts[i]->needle) >= 0)
			s->found |= (uint64_t)1 << i;
}

int
search_scan_feed(struct search_scan *s, struct slice piece, bool last)
{
	if (buf_append_slice(&s->raw, piece) != 0)
		return s->raw.err;
	int err = decode(s, last);
	size_t cut = last ? s->text.len : line_cut(&s->text);
	if (!last && cut == s->text.len && cut < PIECE_MAX && s->text.len > 0 &&
	    s->text.data[cut - 1] != '\n')
		cut = 0; /* a long line: wait for its end, within reason */
	if (cut > 0) {
		struct buf utf8;
		buf_init(&utf8, 16 * (size_t)PIECE_MAX);
		struct slice cs = s->charset.len > 0 ? s->charset : slice_str("UTF-8");
		charset_to_utf8(cs, slice_sub(buf_slice(&s->text), 0, cut), &utf8);
		vn_fold(buf_slice(&utf8), &s->folded);
		buf_done(&utf8);
		buf_consume(&s->text, cut);
		look(s);
		if (s->folded.len > s->keep)
			buf_consume(&s->folded, s->folded.len - s->keep);
	}
	if (last) {
		buf_reset(&s->raw);
		buf_reset(&s->text);
		buf_reset(&s->folded);
	}
	return err;
}
