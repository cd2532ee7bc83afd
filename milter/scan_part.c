/* scan_part.c: one leaf of a message: name, declared and true type, content in each way that a lenient reader may decode it. Runs in
 * milter-scan. MILTER.md section 5, cases 33 to 37, 40: strict and lenient readings are both looked at (union). */
#include "config.h"

#include "milter/scan_priv.h"
#include "milter/secrecy.h"

#include "lib/err.h"
#include "lib/hdr.h"

#include <string.h>

#define LATE_TEXT_MAX (8u << 20)

static struct slice
param(const struct hdr_param *p, const char *name)
{
	for (; p != NULL; p = p->next) {
		if (slice_eq_str(p->name, name))
			return p->value;
	}
	return (struct slice){NULL, 0};
}

enum b64_way { B64_STOP_AT_PAD, B64_SKIP_PAD, B64_RESTART_AT_PAD };

/* base64 as careless readers take it: bytes outside the alphabet skipped, and padding inside handled in one of three ways. */
static void
b64_loose(struct slice s, enum b64_way way, struct buf *out)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	unsigned char value[256];
	uint32_t acc = 0;
	unsigned bits = 0;
	size_t i;

	memset(value, 0xff, sizeof value);
	for (i = 0; i < 64; i++)
		value[(unsigned char)alphabet[i]] = (unsigned char)i;
	for (i = 0; i < s.len && out->err == 0; i++) {
		if (s.ptr[i] == '=' && way == B64_STOP_AT_PAD)
			return;
		if (s.ptr[i] == '=' && way == B64_RESTART_AT_PAD)
			bits = 0;
		if (value[s.ptr[i]] == 0xff)
			continue;
		acc = acc << 6 | value[s.ptr[i]];
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			buf_append_byte(out, (unsigned char)(acc >> bits));
		}
	}
}

/* The end record of a zip (APPNOTE.TXT 4.3.16) in the last 64 KiB. */
static bool
has_zip_end(struct slice s)
{
	size_t from = s.len > 65557 ? s.len - 65557 : 0;

	return slice_find(slice_from(s, from), slice_of("PK\5\6", 4)) >= 0;
}

uint32_t
scan_look(struct scan_ctx *c, struct slice bytes, struct slice ext, struct slice path,
    struct scan_type *type_out)
{
	static const char *const archives[] = {
	    "zip", "rar", "7z", "cab", "iso", "tar", "gz", "tgz", "docx", "xlsx", "pptx", "odt"};
	struct scan_type t = scan_type(bytes);
	uint32_t flags = 0;
	size_t i;

	if (t.cls == CLASS_EXEC)
		flags |= PART_EXEC;
	if (scan_malware(bytes))
		flags |= PART_MALWARE;
	if (scan_late(c)) {
		*type_out = t;
		return flags | (bytes.len > 0 ? PART_LIMIT : 0);
	}
	if (strcmp(t.name, "pdf") == 0)
		flags |= scan_pdf(c, bytes, path);
	if (strcmp(t.name, "tnef") == 0)
		flags |= scan_winmail(c, bytes, path);
	if (strcmp(t.name, "activemime") == 0)
		flags |= scan_activemime(c, bytes, path);
	if (t.name[0] == '\0' && scan_is_mail(ext, bytes))
		flags |= scan_mail_file(c, bytes, path);
	if (strcmp(t.name, "rtf") == 0)
		flags |= scan_rtf(c, bytes, path);
	if (t.cls == CLASS_ARCHIVE)
		flags |= PART_ARCHIVE | scan_archive(c, bytes, path, &t.name);
	if (t.cls == CLASS_OPAQUE)
		flags |= PART_ARCHIVE | PART_LIMIT;
	if (strcmp(t.name, "ole2") == 0) {
		flags |= scan_ole_file(c, bytes, path, &t.name);
		*type_out = t;
		return flags;
	}
	/* a zip may stand behind other bytes: its directory is at the end */
	for (i = 0; t.cls == CLASS_OTHER && bytes.len > 0 && i < sizeof archives / sizeof *archives;
	     i++) {
		if (slice_caseeq_str(ext, archives[i])) {
			flags |= PART_ARCHIVE | scan_archive(c, bytes, path, &t.name);
			break;
		}
	}
	/* two things in one file: some unpacker looks at the end only. What is in there counts; that it cannot be read does not */
	if (!(flags & PART_ARCHIVE) && t.cls == CLASS_OTHER && has_zip_end(bytes))
		flags |= scan_archive(c, bytes, path, NULL) &
			 ~(uint32_t)(PART_BROKEN | PART_HAS_PDF | PART_MACRO);
	*type_out = t;
	return flags;
}

static uint32_t
look_at_views(
    struct scan_ctx *c, struct slice raw, struct slice seen, struct slice ext, struct slice path)
{
	static const enum b64_way ways[] = {B64_STOP_AT_PAD, B64_SKIP_PAD, B64_RESTART_AT_PAD};
	struct scan_type t;
	uint32_t flags = 0;
	struct buf b;
	size_t i;

	for (i = 0; i < sizeof ways / sizeof *ways; i++) {
		buf_init(&b, SCAN_PART_MAX);
		b64_loose(raw, ways[i], &b);
		if (b.err != 0)
			flags |= PART_LIMIT;
		if (!slice_eq(buf_slice(&b), seen))
			flags |= PART_LENIENT | scan_look(c, buf_slice(&b), ext, path, &t);
		buf_done(&b);
	}
	/* what only a careless reader finds is for a person to look at */
	if (flags & PART_MALWARE)
		flags = (flags & ~(uint32_t)PART_MALWARE) | PART_HIDDEN_MALWARE;
	return flags;
}

/* Names from Content-Disposition and Content-Type, decoded once more as RFC 2047 since many mailers write that. The worst counts. */
static uint32_t
judge_names(struct scan_ctx *c, const struct mime_part *part, struct slice path,
    struct find_part *p, struct buf *norm_out)
{
	struct slice names[2] = {param(part->disp_params, "filename"), param(part->params, "name")};
	struct buf decoded, norm;
	uint32_t flags = 0;
	size_t i;

	for (i = 0; i < 2; i++) {
		if (names[i].len == 0)
			continue;
		buf_init(&decoded, 4096);
		buf_init(&norm, 1024);
		if (hdr_decode(slice_sub(names[i], 0, 1024), &decoded) != 0)
			buf_reset(&decoded);
		/* a NUL that decoding would drop still counts */
		if (memchr(names[i].ptr, 0, names[i].len) != NULL)
			flags |= PART_DECEPTIVE_NAME;
		flags |= scan_name(c->p, decoded.len > 0 ? buf_slice(&decoded) : names[i], &norm);
		if (p->name_raw.len == 0) {
			p->name_raw = findings_text(c->f, names[i]);
			buf_append_slice(norm_out, buf_slice(&norm));
		} else if (!slice_eq(buf_slice(norm_out), buf_slice(&norm))) {
			findings_note(c->f, "name_differs", NOTE_WARN, path,
			    "filename and name are not the same");
		}
		buf_done(&decoded);
		buf_done(&norm);
	}
	return flags;
}

/* The value behind "=" as somebody reads it who knows neither comments nor quoting well; and in which *s goes on. */
static struct slice
careless_value(struct slice *s, struct buf *out)
{
	unsigned char quote = s->len > 0 && (s->ptr[0] == '"' || s->ptr[0] == '\'') ? s->ptr[0] : 0;
	size_t i = quote != 0;
	ptrdiff_t mark;
	struct slice v;

	for (; i < s->len && s->ptr[i] != '\r' && s->ptr[i] != '\n'; i++) {
		unsigned char c = s->ptr[i];

		if (quote != 0 ? c == quote : c == ';' || c == ' ' || c == '\t' || c == '"')
			break;
		if (c == '\\' && quote == '"' && i + 1 < s->len)
			c = s->ptr[++i];
		buf_append_byte(out, c);
	}
	*s = slice_from(*s, i);
	v = buf_slice(out);
	/* RFC 2231: charset'language'text */
	mark = slice_index(v, '\'');
	if (mark >= 0 && slice_index(slice_from(v, (size_t)mark + 1), '\'') >= 0) {
		v = slice_from(v, (size_t)mark + 1);
		v = slice_from(v, (size_t)slice_index(v, '\'') + 1);
	}
	return v;
}

static int
hex_of(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Flags of a name, with percent signs taken for octets and for themselves. */
static uint32_t
judge_careless(struct scan_ctx *c, struct slice v)
{
	struct buf plain, norm;
	uint32_t flags;
	size_t i;

	buf_init(&plain, 2048);
	buf_init(&norm, 4096);
	flags = scan_name(c->p, slice_sub(v, 0, 1024), &norm);
	for (i = 0; i < v.len && i < 1024; i++) {
		int hi = v.ptr[i] == '%' && i + 2 < v.len ? hex_of(v.ptr[i + 1]) : -1;
		int lo = hi >= 0 ? hex_of(v.ptr[i + 2]) : -1;

		buf_append_byte(&plain, lo >= 0 ? (unsigned char)(hi << 4 | lo) : v.ptr[i]);
		i += lo >= 0 ? 2 : 0;
	}
	/* what cannot be an octet is left out by some */
	while (plain.len > 0 && plain.data[plain.len - 1] == '%')
		buf_truncate(&plain, plain.len - 1);
	buf_reset(&norm);
	flags |= scan_name(c->p, buf_slice(&plain), &norm);
	buf_done(&plain);
	buf_done(&norm);
	return flags & (PART_BANNED_NAME | PART_DOUBLE_EXT);
}

/* Every "name=" and "filename=" of a field, wherever it stands: what is said twice, or behind a parameter that is not well-formed, is a
 * name to some reader (union of readings, as with the content). */
static uint32_t
judge_field(struct scan_ctx *c, struct slice body)
{
	uint32_t flags = 0;
	unsigned n = 0;
	struct buf b;
	size_t i;

	while (body.len > 4 && n < 32) {
		if (!slice_casestarts(body, "name")) {
			body = slice_from(body, 1);
			continue;
		}
		for (i = 4; i < body.len && (body.ptr[i] == '*' || body.ptr[i] == '0'); i++)
			;
		while (i < body.len && (body.ptr[i] == ' ' || body.ptr[i] == '\t' ||
					   body.ptr[i] == '\r' || body.ptr[i] == '\n'))
			i++;
		if (i == body.len || body.ptr[i] != '=') {
			body = slice_from(body, 4);
			continue;
		}
		for (i++; i < body.len && (body.ptr[i] == ' ' || body.ptr[i] == '\t'); i++)
			;
		body = slice_from(body, i);
		buf_init(&b, body.len + 1);
		flags |= judge_careless(c, careless_value(&body, &b));
		buf_done(&b);
		n++;
	}
	return flags;
}

static uint32_t
judge_fields(struct scan_ctx *c, struct slice header)
{
	uint32_t flags = 0;
	struct hdr_field f;
	int err;

	while ((err = hdr_next(&header, &f)) != ERR_EOF) {
		if (err == 0 && (slice_caseeq_str(f.name, "Content-Type") ||
				    slice_caseeq_str(f.name, "Content-Disposition")))
			flags |= judge_field(c, f.body);
	}
	return flags;
}

static uint32_t
mismatch(uint32_t flags, const struct scan_type *t, const struct mime_part *part, struct slice ext)
{
	if (!(flags & PART_EXEC))
		return 0;
	if (strcmp(t->name, "script") == 0)
		return ext.len > 0 &&
			       (slice_caseeq_str(ext, "pdf") || slice_caseeq_str(ext, "docx") ||
				   slice_caseeq_str(ext, "jpg") || slice_caseeq_str(ext, "png"))
			   ? PART_MISMATCH
			   : 0;
	if (ext.len > 0)
		return flags & PART_BANNED_NAME ? 0 : PART_MISMATCH;
	return slice_eq_str(part->type, "application") ? 0 : PART_MISMATCH;
}

/* Named, or said to be one; what is shown in its place is none to the reader. */
static uint32_t
placement(const struct mime_part *part, const struct find_part *p)
{
	if (slice_eq_str(part->disposition, "inline") ||
	    (part->id.len > 0 && !slice_eq_str(part->disposition, "attachment")))
		return PART_INLINE | (p->name_raw.len > 0 ? PART_ATTACHED : 0);
	return p->name_raw.len > 0 || slice_eq_str(part->disposition, "attachment") ? PART_ATTACHED
										    : 0;
}

/* Marks of secrecy in name and text. */
static void
look_for_marks(struct scan_ctx *c, const struct mime_part *part, const struct find_part *p,
    struct slice name, struct slice ext, struct slice bytes, struct slice path)
{
	struct buf found;

	buf_init(&found, 256);
	if (secrecy_in_name(name, &found))
		findings_note(
		    c->f, "secrecy_mark", NOTE_REJECT, path, "name: %s", buf_cstr(&found));
	/* a text costs little: it is looked at when there is no more time for documents too, and when there never was */
	if (p->true_type.len == 0 &&
	    (slice_eq_str(part->type, "text") || slice_caseeq_str(ext, "txt")) &&
	    (!c->late || c->late_text < LATE_TEXT_MAX)) {
		c->late_text += c->late ? bytes.len : 0;
		scan_text(c, part, bytes, path);
	}
	buf_done(&found);
}

static void
describe(struct scan_ctx *c, const struct mime_part *part, struct slice path, struct find_part *p)
{
	struct buf b;

	buf_init(&b, 256);
	buf_append_slice(&b, slice_sub(part->type, 0, 100));
	buf_append_byte(&b, '/');
	buf_append_slice(&b, slice_sub(part->subtype, 0, 100));
	p->decl = findings_text(c->f, buf_slice(&b));
	p->path = findings_text(c->f, path);
	buf_done(&b);
}

static bool
is_fragment(const struct mime_part *part)
{
	return slice_eq_str(part->type, "message") &&
	       (slice_eq_str(part->subtype, "partial") ||
		   slice_eq_str(part->subtype, "external-body"));
}

/* What a sender wrote, not what he attached: it says that it is plain text and nothing speaks against it. */
static bool
is_shown_text(const struct mime_part *part, const struct find_part *p, const struct scan_type *t)
{
	return slice_eq_str(part->type, "text") && slice_eq_str(part->subtype, "plain") &&
	       p->name_raw.len == 0 && (p->flags & ~(uint32_t)PART_INLINE) == 0 &&
	       t->name[0] == '\0';
}

void
scan_leaf(struct scan_ctx *c, struct slice whole, const struct mime_part *part, struct slice path)
{
	struct slice raw = slice_sub(
			 whole, (size_t)part->body_off, (size_t)(part->end_off - part->body_off)),
		     bytes, ext;
	struct find_part *p = findings_add_part(c->f), unlisted;
	struct scan_type t = {"", CLASS_OTHER};
	struct buf body, norm;
	bool clean = true;

	if (p == NULL) {
		/* past the bound it is not told, but it counts (rule_unscannable) */
		memset(&unlisted, 0, sizeof unlisted);
		p = &unlisted;
	}
	buf_init(&body, SCAN_PART_MAX);
	buf_init(&norm, 1024);
	describe(c, part, path, p);
	p->flags = judge_names(c, part, path, p, &norm);
	p->flags |= judge_fields(
	    c, slice_sub(whole, (size_t)part->hdr_off, (size_t)(part->body_off - part->hdr_off)));
	p->name_norm = findings_text(c->f, buf_slice(&norm));
	ext = scan_name_ext(buf_slice(&norm));
	bytes = raw;
	if (part->cte == CTE_BASE64 || part->cte == CTE_QP) {
		if (mime_decode_body(part->cte, raw, &body, &clean) != 0)
			p->flags |= PART_LIMIT;
		bytes = buf_slice(&body);
	}
	p->size = bytes.len;
	scan_sha256(c, bytes, p->sha256);
	p->flags |= scan_look(c, bytes, ext, path, &t);
	p->flags |= scan_volume(c, buf_slice(&norm), bytes, path);
	/* an encoding that is none: some look for a word they know in it */
	if ((part->cte == CTE_BASE64 && !clean) || part->cte == CTE_OTHER) {
		p->flags |= look_at_views(c, raw, bytes, ext, path);
		/* readers differ in whether they see it at all */
		if (p->flags & PART_MALWARE)
			p->flags = (p->flags & ~(uint32_t)PART_MALWARE) | PART_HIDDEN_MALWARE;
	}
	if (t.name[0] == '\0' && !c->late)
		p->flags |= scan_encoded(c, bytes, path);
	/* "#!" in plain text that is shown, not attached, is talk about scripts */
	if (strcmp(t.name, "script") == 0 && p->name_raw.len == 0 &&
	    slice_eq_str(part->type, "text"))
		p->flags &= ~(uint32_t)PART_EXEC;
	p->flags |= mismatch(p->flags, &t, part, ext) | placement(part, p);
	/* of a zip that could not be read to its end nobody can say which document it is */
	if (p->name_raw.len > 0 && !(p->flags & (PART_EXEC | PART_LIMIT | PART_DOUBLE_EXT)) &&
	    !((p->flags & PART_BROKEN) && slice_starts(bytes, "PK")) &&
	    !scan_family_fits(ext, t.name, bytes))
		p->flags |= PART_MISMATCH;
	if (p->flags & PART_ATTACHED)
		c->f->attach_size += bytes.len;
	p->true_type = findings_str(c->f, t.name);
	if (!c->late && c->p->text == NULL)
		p->magic = findings_str(c->f, scan_magic(bytes, is_shown_text(part, p, &t)));
	if (c->p->text == NULL)
		look_for_marks(c, part, p, buf_slice(&norm), ext, bytes, path);
	if (is_fragment(part))
		p->flags |= PART_FRAGMENT;
	else if (slice_eq_str(part->type, "message") && slice_eq_str(part->subtype, "rfc822") &&
		 body.len > 0)
		scan_entity(c, bytes, path, COVER_OTHER);
	buf_done(&body);
	buf_done(&norm);
}
