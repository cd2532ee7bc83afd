/* scan_rtf.c: RTF: the objects inside, each unpacked and judged like an attachment; fields and templates that fetch or start something; the text. RTF 1.9.1
 * (control words, destinations), [MS-OLEDS] 2.2 (what \objdata holds). Runs in milter-scan. Writers of malware hide the hexadecimal digits among spaces,
 * groups and control words, and readers differ in what they skip: objects are read strictly and as careless as can be, and both are looked at. */
#include "config.h"

#include "milter/scan_ole.h"

#include "lib/err.h"
#include "lib/mime.h"
#include "lib/uni.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 1024
#define OBJECTS_MAX 256
#define FIELD_MAX 2048
#define NAME_MAX_OCTETS 1024

enum dest { D_TEXT, D_SKIP, D_OBJECT, D_CLASS, D_FIELD, D_TEMPLATE };

struct group {
	unsigned char dest;
	unsigned short uc; /* octets that stand in for a \u */
};
struct rtf {
	struct scan_ctx *c;
	struct slice s, path;
	struct group stack[DEPTH_MAX];
	size_t depth, over; /* over: groups deeper than the stack */
	struct group now;
	bool star;
	size_t object_depth; /* of the group whose digits are read; 0: none */
	struct buf strict, careless, field, text, pending;
	int nibble[2]; /* of strict, of careless; -1: none */
	unsigned codepage, skip, objects;
	uint32_t flags;
	bool update;
};

static void
add_digit(struct buf *out, int *nibble, int digit)
{
	if (*nibble < 0) {
		*nibble = digit;
		return;
	}
	buf_append_byte(out, (unsigned char)(*nibble << 4 | digit));
	*nibble = -1;
}

/* ---- what \objdata holds ---- */

struct cursor {
	struct slice s;
	bool bad;
};

static uint32_t
take32(struct cursor *c)
{
	uint32_t v;

	if (c->s.len < 4) {
		c->bad = true;
		return 0;
	}
	v = c->s.ptr[0] | (uint32_t)c->s.ptr[1] << 8 | (uint32_t)c->s.ptr[2] << 16 |
	    (uint32_t)c->s.ptr[3] << 24;
	c->s = slice_from(c->s, 4);
	return v;
}

/* Counted, with its NUL. */
static struct slice
take_string(struct cursor *c)
{
	uint32_t n = take32(c);
	struct slice s = slice_sub(c->s, 0, n);

	c->bad = c->bad || n > NAME_MAX_OCTETS || n > c->s.len;
	c->s = slice_from(c->s, n);
	if (s.len > 0 && s.ptr[s.len - 1] == 0)
		s.len--;
	return s;
}

static void
inside(struct rtf *r, struct slice name, struct slice data)
{
	r->flags |= scan_inside(r->c, name, data, r->path) & (PART_LIMIT | PART_ENCRYPTED);
}

static void
note_object(struct rtf *r, struct slice class, const char *how)
{
	struct buf shown;

	buf_init(&shown, 400);
	uni_scrub(slice_sub(class, 0, 80), "?", &shown, NULL);
	findings_note(r->c->f, "rtf_object", NOTE_INFO, r->path, "%s %s", how, buf_cstr(&shown));
	buf_done(&shown);
}

static void
linked(struct rtf *r, struct slice target)
{
	if (!scan_office_remote(target))
		return;
	r->flags |= PART_REMOTE;
	findings_note(r->c->f, "office_external", NOTE_REJECT, r->path, "link %.*s",
	    (int)(target.len < 120 ? target.len : 120), (const char *)target.ptr);
}

/* An OLE 1 object: version, kind, class, topic, item, then the content of one that is embedded. */
static bool
ole1(struct rtf *r, struct slice s)
{
	struct cursor c = {s, false};
	struct slice class, topic, name = {NULL, 0}, data;
	uint32_t kind, size;

	take32(&c);
	kind = take32(&c);
	class = take_string(&c);
	topic = take_string(&c);
	take_string(&c);
	if (c.bad || kind < 1 || kind > 2)
		return false;
	note_object(r, class, kind == 1 ? "linked" : "embedded");
	if (kind == 1) {
		linked(r, topic);
		return true;
	}
	size = take32(&c);
	if (c.bad)
		return false;
	data = slice_sub(c.s, 0, size);
	if (ole_package(data, &name, &data))
		inside(r, name.len > 0 ? name : slice_str("Package"), data);
	else
		inside(r, class.len > 0 ? class : slice_str("object"), data);
	return true;
}

static void
payload(struct rtf *r, struct slice s)
{
	static const char ole2[] = "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1";
	ptrdiff_t at;

	if (s.len == 0 || ole1(r, s))
		return;
	/* a header that is not as it should be: readers find the file behind it */
	at = slice_find(s, slice_of(ole2, 8));
	note_object(r, slice_str(""), "object without a header");
	inside(r, slice_str("object"), at < 0 ? s : slice_from(s, (size_t)at));
}

static void
object_ends(struct rtf *r)
{
	r->object_depth = 0;
	if (r->objects++ >= OBJECTS_MAX || r->strict.err != 0 || r->careless.err != 0) {
		r->flags |= PART_LIMIT;
	} else {
		r->c->unpacked += r->strict.len + r->careless.len;
		payload(r, buf_slice(&r->strict));
		if (!slice_eq(buf_slice(&r->strict), buf_slice(&r->careless)))
			payload(r, buf_slice(&r->careless));
	}
	buf_reset(&r->strict);
	buf_reset(&r->careless);
	r->nibble[0] = r->nibble[1] = -1;
}

/* ---- text ---- */

static void
flush(struct rtf *r)
{
	char name[24];

	if (r->pending.len == 0)
		return;
	if (r->codepage == 65001)
		snprintf(name, sizeof name, "utf-8");
	else
		snprintf(name, sizeof name, "windows-%u", r->codepage);
	charset_to_utf8(slice_str(name), buf_slice(&r->pending), &r->text);
	r->text.err = 0;
	buf_reset(&r->pending);
}

static void
put_octet(struct rtf *r, unsigned char c)
{
	switch ((enum dest)r->now.dest) {
	case D_TEXT:
		if (r->skip > 0)
			r->skip--;
		else
			buf_append_byte(&r->pending, c);
		if (r->pending.len >= 4096)
			flush(r);
		break;
	case D_FIELD:
	case D_TEMPLATE:
		if (r->field.len < FIELD_MAX)
			buf_append_byte(&r->field, c);
		break;
	default:
		break;
	}
}

static void
break_line(struct rtf *r)
{
	if (r->now.dest != D_TEXT)
		return;
	flush(r);
	buf_append_byte(&r->text, '\n');
	r->text.err = 0;
}

/* ---- groups and words ---- */

static void
field_ends(struct rtf *r)
{
	struct slice s = slice_trim(buf_slice(&r->field));

	if (r->now.dest == D_TEMPLATE) {
		linked(r, s);
	} else if (scan_office_dde(s)) {
		r->flags |= PART_ACTIVE;
		findings_note(r->c->f, "office_dde", NOTE_REJECT, r->path, "field");
	}
	buf_reset(&r->field);
}

static void
open_group(struct rtf *r)
{
	if (r->depth == DEPTH_MAX) {
		r->over++;
		return;
	}
	r->stack[r->depth++] = r->now;
	r->star = false;
}

static void
close_group(struct rtf *r)
{
	struct group before;

	if (r->over > 0) {
		r->over--;
		return;
	}
	if (r->depth == 0)
		return;
	before = r->stack[--r->depth];
	/* an instruction may be spread over groups inside its own */
	if ((r->now.dest == D_FIELD || r->now.dest == D_TEMPLATE) && before.dest != r->now.dest)
		field_ends(r);
	r->now = before;
	r->star = false;
	if (r->object_depth > r->depth)
		object_ends(r);
}

/* Destinations by name; those that are no text are left out of it. */
static bool
destination(struct rtf *r, struct slice word)
{
	static const struct {
		const char *name;
		enum dest dest;
	} known[] = {{"objdata", D_OBJECT}, {"objclass", D_CLASS}, {"fldinst", D_FIELD},
	    {"template", D_TEMPLATE}, {"fonttbl", D_SKIP}, {"colortbl", D_SKIP},
	    {"stylesheet", D_SKIP}, {"info", D_SKIP}, {"pict", D_SKIP}, {"filetbl", D_SKIP},
	    {"listtable", D_SKIP}, {"listoverridetable", D_SKIP}, {"generator", D_SKIP},
	    {"bkmkstart", D_SKIP}, {"bkmkend", D_SKIP}, {"nonesttables", D_SKIP},
	    {"revtbl", D_SKIP}, {"rsidtbl", D_SKIP}};
	size_t i;

	for (i = 0; i < sizeof known / sizeof *known; i++) {
		if (!slice_eq_str(word, known[i].name))
			continue;
		flush(r);
		r->now.dest = (unsigned char)known[i].dest;
		if (known[i].dest == D_OBJECT && r->object_depth == 0)
			r->object_depth = r->depth > 0 ? r->depth : 1;
		r->star = false;
		return true;
	}
	return false;
}

static void
on_unicode(struct rtf *r, long n)
{
	unsigned char two[2] = {(unsigned char)n, (unsigned char)((unsigned long)n >> 8)};

	if (r->now.dest != D_TEXT) {
		put_octet(r, (unsigned char)(n < 0x80 ? n : '?'));
		return;
	}
	flush(r);
	ole_utf16(slice_of(two, 2), &r->text);
	r->text.err = 0;
	r->skip = r->now.uc;
}

static void
on_word(struct rtf *r, struct slice word, long n, bool has_n)
{
	static const char *const lines[] = {
	    "par", "line", "cell", "row", "page", "sect", "nestcell"};
	static const char *const acts[] = {"objupdate", "objocx", "objhtml"};
	size_t i;

	if (destination(r, word))
		return;
	if (r->star) {
		r->star = false;
		flush(r);
		r->now.dest = D_SKIP;
		return;
	}
	for (i = 0; i < sizeof lines / sizeof *lines; i++) {
		if (slice_eq_str(word, lines[i]))
			break_line(r);
	}
	for (i = 0; i < sizeof acts / sizeof *acts; i++) {
		if (slice_eq_str(word, acts[i]) && !r->update) {
			r->update = true;
			findings_note(
			    r->c->f, "rtf_object_runs", NOTE_REJECT, r->path, "\\%s", acts[i]);
		}
	}
	if (slice_eq_str(word, "tab"))
		put_octet(r, ' ');
	else if (slice_eq_str(word, "u") && has_n)
		on_unicode(r, n);
	else if (slice_eq_str(word, "uc") && has_n && n >= 0 && n < 32)
		r->now.uc = (unsigned short)n;
	else if (slice_eq_str(word, "ansicpg") && n > 0 && n < 65536)
		r->codepage = (unsigned)n;
}

/* Behind "\": a word with its number, a symbol, an octet in hexadecimal, or binary data. */
static void
control(struct rtf *r)
{
	struct slice word = r->s;
	bool minus, has_n = false;
	long n = 0;
	size_t i = 0;

	if (r->s.len == 0)
		return;
	if (r->s.ptr[0] == '\'') {
		int hi = r->s.len > 2 ? hex_value(r->s.ptr[1]) : -1;
		int lo = hi >= 0 ? hex_value(r->s.ptr[2]) : -1;

		r->s = slice_from(r->s, lo >= 0 ? 3 : 1);
		if (lo >= 0 && r->object_depth > 0) {
			add_digit(&r->careless, &r->nibble[1], hi);
			add_digit(&r->careless, &r->nibble[1], lo);
		} else if (lo >= 0) {
			put_octet(r, (unsigned char)(hi << 4 | lo));
		}
		return;
	}
	while (i < r->s.len && ((r->s.ptr[i] | 0x20) >= 'a' && (r->s.ptr[i] | 0x20) <= 'z'))
		i++;
	if (i == 0) {
		r->star = r->s.ptr[0] == '*' || r->star;
		if (r->s.ptr[0] == '\\' || r->s.ptr[0] == '{' || r->s.ptr[0] == '}')
			put_octet(r, r->s.ptr[0]);
		else if (r->s.ptr[0] == '\n' || r->s.ptr[0] == '\r')
			break_line(r);
		else if (r->s.ptr[0] == '~')
			put_octet(r, ' ');
		r->s = slice_from(r->s, 1);
		return;
	}
	word = slice_sub(r->s, 0, i);
	r->s = slice_from(r->s, i);
	minus = r->s.len > 0 && r->s.ptr[0] == '-';
	if (minus)
		r->s = slice_from(r->s, 1);
	for (i = 0; i < r->s.len && r->s.ptr[i] >= '0' && r->s.ptr[i] <= '9'; i++) {
		n = n < 100000000 ? n * 10 + (r->s.ptr[i] - '0') : n;
		has_n = true;
	}
	r->s = slice_from(r->s, i);
	if (r->s.len > 0 && r->s.ptr[0] == ' ')
		r->s = slice_from(r->s, 1);
	if (slice_eq_str(word, "bin") && has_n && !minus) {
		struct slice raw = slice_sub(r->s, 0, (size_t)n);

		if (r->object_depth > 0) {
			buf_append_slice(&r->strict, raw);
			buf_append_slice(&r->careless, raw);
		}
		r->s = slice_from(r->s, raw.len);
		return;
	}
	on_word(r, word, minus ? -n : n, has_n);
}

static void
plain(struct rtf *r, unsigned char c)
{
	int digit = r->object_depth > 0 ? hex_value(c) : -1;

	if (digit >= 0) {
		if (r->now.dest == D_OBJECT)
			add_digit(&r->strict, &r->nibble[0], digit);
		add_digit(&r->careless, &r->nibble[1], digit);
	} else if (c != '\r' && c != '\n' && c != 0) {
		put_octet(r, c);
	}
}

uint32_t
scan_rtf(struct scan_ctx *c, struct slice bytes, struct slice path)
{
	struct rtf *r = calloc(1, sizeof *r);
	uint32_t flags = 0;
	size_t n = 0;

	if (r == NULL)
		return PART_LIMIT;
	r->c = c;
	r->s = bytes;
	r->path = path;
	r->now.uc = 1;
	r->codepage = 1252;
	r->nibble[0] = r->nibble[1] = -1;
	buf_init(&r->strict, SCAN_MEMBER_MAX);
	buf_init(&r->careless, SCAN_MEMBER_MAX);
	buf_init(&r->field, FIELD_MAX + 16);
	buf_init(&r->pending, 8192);
	buf_init(&r->text, DOC_TEXT_MAX);
	while (r->s.len > 0) {
		unsigned char ch = r->s.ptr[0];

		if (++n % 65536 == 0 && scan_late(c)) {
			r->flags |= PART_LIMIT;
			break;
		}
		r->s = slice_from(r->s, 1);
		if (ch == '{')
			open_group(r);
		else if (ch == '}')
			close_group(r);
		else if (ch == '\\')
			control(r);
		else
			plain(r, ch);
	}
	if (r->field.len > 0)
		field_ends(r);
	if (r->object_depth > 0)
		object_ends(r);
	flush(r);
	if (r->text.len > 0)
		scan_doc_text(c, buf_slice(&r->text), path);
	flags = r->flags | (r->update && r->objects > 0 ? PART_ACTIVE : 0);
	buf_done(&r->strict);
	buf_done(&r->careless);
	buf_done(&r->field);
	buf_done(&r->pending);
	buf_done(&r->text);
	free(r);
	return flags;
}
