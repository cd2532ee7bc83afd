/* scan_encoded.c: files that stand encoded in a text, of which MIME knows nothing but clients show and save them: uuencode, yEnc, BinHex 4.0. Each is
 * decoded and judged like an attachment. POSIX uuencode; yEnc draft 1.3; BinHex 4.0 as Macintosh programs write it. Runs in milter-scan. Bounded files and octets; a
 * file whose end is missing counts as far as it goes. */
#include "config.h"

#include "milter/scan_cursor.h"
#include "milter/scan_priv.h"

#include "lib/mime.h"
#include "lib/octets.h"

#include <string.h>

#define FILES_MAX 64
#define NAME_MAX_OCTETS 1024

/* ---- uuencode ---- */

void
encoded_uu(struct slice rest, struct buf *out)
{
	while (rest.len > 0) {
		struct slice line = scan_cursor_line(&rest);
		size_t octets, i, n = 0;

		if (line.len == 0 || slice_eq_str(slice_trim(line), "end"))
			return;
		octets = (line.ptr[0] - 32u) & 63;
		/* lines that are none end it for some; here they are passed over */
		for (i = 1; n < octets; i += 4) {
			unsigned char four[4];
			size_t k;

			for (k = 0; k < 4; k++)
				four[k] = i + k < line.len ? (line.ptr[i + k] - 32u) & 63 : 0;
			buf_append_byte(out, (unsigned char)(four[0] << 2 | four[1] >> 4));
			if (n + 1 < octets)
				buf_append_byte(out, (unsigned char)(four[1] << 4 | four[2] >> 2));
			if (n + 2 < octets)
				buf_append_byte(out, (unsigned char)(four[2] << 6 | four[3]));
			n += 3;
		}
		if (out->err != 0)
			return;
	}
}

void
encoded_uu64(struct slice rest, struct buf *out)
{
	struct slice from = rest;

	while (rest.len > 0 && !slice_starts(rest, "===="))
		scan_cursor_line(&rest);
	mime_decode_body(CTE_BASE64, slice_sub(from, 0, (size_t)(rest.ptr - from.ptr)), out, NULL);
}

/* ---- yEnc ---- */

/* "name=" is the last of the keywords, and goes to the end of the line. */
static struct slice
y_name(struct slice line)
{
	ptrdiff_t at = slice_find(line, slice_str(" name="));

	return at < 0 ? slice_of(NULL, 0) : slice_trim(slice_from(line, (size_t)at + 6));
}

void
encoded_yenc(struct slice rest, struct buf *out)
{
	while (rest.len > 0 && out->err == 0) {
		struct slice line = scan_cursor_line(&rest);
		size_t i;

		if (slice_starts(line, "=yend"))
			return;
		if (slice_starts(line, "=ypart"))
			continue;
		for (i = 0; i < line.len; i++) {
			unsigned char c = line.ptr[i];

			if (c == '=' && i + 1 < line.len)
				c = (unsigned char)(line.ptr[++i] - 64);
			buf_append_byte(out, (unsigned char)(c - 42));
		}
	}
}

/* ---- BinHex ---- */

/* Runs: 0x90 and a count of the octet before; 0x90 0 is 0x90 itself. */
struct runs {
	struct buf *out;
	unsigned char last;
	bool marked;
};

static void
put_run(struct runs *r, unsigned char c)
{
	if (!r->marked && c == 0x90) {
		r->marked = true;
		return;
	}
	if (!r->marked || c == 0) {
		r->last = r->marked ? 0x90 : c;
		buf_append_byte(r->out, r->last);
	} else {
		while (--c > 0)
			buf_append_byte(r->out, r->last);
	}
	r->marked = false;
}

void
encoded_binhex(struct slice s, struct buf *out)
{
	static const char set[] =
	    "!\"#$%&'()*+,-012345689@ABCDEFGHIJKLMNPQRSTUVXYZ[`abcdefhijklmpqr";
	struct runs r = {.out = out};
	unsigned bits = 0;
	uint32_t acc = 0;
	size_t i;

	for (i = 0; i < s.len && s.ptr[i] != ':' && out->err == 0; i++) {
		const char *at = s.ptr[i] != 0 ? strchr(set, s.ptr[i]) : NULL;

		if (at == NULL)
			continue;
		acc = acc << 6 | (uint32_t)(at - set);
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			put_run(&r, (unsigned char)(acc >> bits));
		}
	}
}

/* Name, type and creator, flags, lengths, a checksum; then the data. */
static void
binhex_file(struct slice s, struct slice *name_out, struct slice *data_out)
{
	size_t n = s.len > 0 ? s.ptr[0] : 0, at = 1 + n + 1 + 4 + 4 + 2;
	uint32_t len;

	*name_out = slice_sub(s, 1, n);
	*data_out = slice_from(s, at + 10);
	if (s.len < at + 4)
		return;
	len = (uint32_t)s.ptr[at] << 24 | (uint32_t)s.ptr[at + 1] << 16 |
	      (uint32_t)s.ptr[at + 2] << 8 | s.ptr[at + 3];
	/* the resources that may follow are no file of their own; a length of 0 hides nothing */
	if (len > 0)
		*data_out = slice_sub(*data_out, 0, len);
}

/* ---- finding them ---- */

struct finder {
	struct scan_ctx *c;
	struct slice path;
	unsigned files;
	uint32_t flags;
};

static void
found(struct finder *f, struct slice name, struct slice data, int err)
{
	f->c->unpacked += data.len;
	if (err != 0 || f->c->unpacked > f->c->max.bytes)
		f->flags |= PART_LIMIT;
	f->flags |= scan_inside(f->c, name, data, f->path) & (PART_LIMIT | PART_ENCRYPTED);
}

/* Starts of lines that may begin a file. */
static struct slice
next_start(struct slice text, const char *word, bool at_start)
{
	struct buf key;
	ptrdiff_t at;

	if (at_start && slice_starts(text, word))
		return text;
	buf_init(&key, 64);
	buf_append_byte(&key, '\n');
	buf_append_str(&key, word);
	at = slice_find(text, buf_slice(&key));
	buf_done(&key);
	return at < 0 ? slice_of(NULL, 0) : slice_from(text, (size_t)at + 1);
}

static void
find_yenc(struct finder *f, struct slice text)
{
	bool first = true;

	while ((text = next_start(text, "=ybegin ", first)).len > 0) {
		struct slice line = scan_cursor_line(&text), name = y_name(line);
		struct buf b;

		first = false;
		if (name.len == 0)
			continue;
		if (++f->files > FILES_MAX || scan_late(f->c)) {
			f->flags |= PART_LIMIT;
			return;
		}
		buf_init(&b, SCAN_MEMBER_MAX);
		encoded_yenc(text, &b);
		found(f, slice_sub(name, 0, NAME_MAX_OCTETS), buf_slice(&b), b.err);
		buf_done(&b);
		first = true;
	}
}

static void
find_binhex(struct finder *f, struct slice text)
{
	static const char head[] = "(This file must be converted with BinHex";
	struct slice name, data;
	ptrdiff_t at;

	while ((at = slice_find(text, slice_of(head, sizeof head - 1))) >= 0) {
		struct buf b;

		text = slice_from(text, (size_t)at + sizeof head - 1);
		at = slice_index(text, ':');
		if (at < 0)
			return;
		text = slice_from(text, (size_t)at + 1);
		if (++f->files > FILES_MAX || scan_late(f->c)) {
			f->flags |= PART_LIMIT;
			return;
		}
		buf_init(&b, SCAN_MEMBER_MAX);
		encoded_binhex(text, &b);
		binhex_file(buf_slice(&b), &name, &data);
		if (b.len > 21)
			found(f, name, data, b.err);
		buf_done(&b);
	}
}

static void
on_uu(void *arg, struct slice name, bool base64, struct slice lines)
{
	struct finder *f = arg;
	struct buf b;

	if (scan_late(f->c)) {
		f->flags |= PART_LIMIT;
		return;
	}
	buf_init(&b, SCAN_MEMBER_MAX);
	if (base64)
		encoded_uu64(lines, &b);
	else
		encoded_uu(lines, &b);
	found(f, slice_sub(name, 0, NAME_MAX_OCTETS), buf_slice(&b), b.err);
	buf_done(&b);
}

/* How each of them begins, by two octets of it. */
static bool
begins(const unsigned char *p)
{
	return (p[0] == '\n' && (p[1] == 'b' || p[1] == '=')) || (p[0] == '(' && p[1] == 'T');
}

/* Whether one of them may stand somewhere: one look at a long text instead of three. */
static bool
may_begin(struct slice text)
{
	size_t i = 0;

	if (text.len == 0 || (text.ptr[0] | 0x20) == 'b' || text.ptr[0] == '=')
		return text.len > 0;
#ifdef CV_OCTETS_SSE2
	for (; text.len - i >= 65; i += 64) {
		octets16 any = {0};

		for (size_t k = i; k < i + 64; k += 16) {
			octets16 c = octets16_at(text.ptr + k),
				 next = octets16_at(text.ptr + k + 1);

			any |= (octets16)(((c == '\n') & ((next == 'b') | (next == '='))) |
					  ((c == '(') & (next == 'T')));
		}
		if (octets16_bits(any) != 0)
			return true;
	}
#endif
	for (; i + 1 < text.len; i++) {
		if (begins(text.ptr + i))
			return true;
	}
	return false;
}

uint32_t
scan_encoded(struct scan_ctx *c, struct slice text, struct slice path)
{
	struct finder f = {.c = c, .path = path};
	uint32_t names;

	if (!may_begin(text))
		return 0;
	names = scan_uu(c->p, text, on_uu, &f);
	find_yenc(&f, text);
	find_binhex(&f, text);
	return f.flags | names;
}
