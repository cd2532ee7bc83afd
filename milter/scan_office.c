/* scan_office.c: what stands inside the members of OOXML and ODF documents: active content that needs no macro (DDE fields and links, templates
 * and objects fetched from elsewhere), and the text, for the marks of secrecy and the facts of a document. Runs in milter-scan. ECMA-376 parts 1
 * (17.16 fields, 18.14 external links) and 2 (relationships), ODF 1.3. */
#include "config.h"

#include "milter/scan_priv.h"

#include "lib/err.h"

#include <string.h>

#define FIELD_MAX 4096
#define FIELD_DEPTH 16
#define FIELD_MARK 1

struct reader {
	struct scan_ctx *c;
	struct slice path, name;
	struct zip_facts *z;
	struct buf *text;   /* NULL: not wanted */
	struct buf a, b, t; /* attributes */
	struct buf field;   /* instructions of the fields that are open */
	struct buf outer;   /* of the outermost alone: what stands around fields inside it */
	unsigned depth;     /* fields inside fields */
	bool instr, is_text, dde;
};

static bool
has_suffix(struct slice s, const char *suffix)
{
	size_t n = strlen(suffix);

	return s.len >= n && slice_caseeq_str(slice_from(s, s.len - n), suffix);
}

static bool
word_end(struct slice s, size_t at)
{
	return at >= s.len || !((s.ptr[at] | 0x20) >= 'a' && (s.ptr[at] | 0x20) <= 'z');
}

/* Numbers of a QUOTE field as the letters that they stand for ({QUOTE 68 68 69}). */
static void
unquote(struct slice s, struct buf *out)
{
	size_t i;

	for (i = 5; i < s.len; i++) {
		unsigned v = 0, n = 0;

		while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9' && n++ < 3)
			v = v * 10 + (s.ptr[i++] - '0');
		if (n >= 2 && v >= ' ' && v < 0x7f)
			buf_append_byte(out, (unsigned char)v);
	}
}

/* "DDE cmd …", "DDEAUTO …": the kind of field is its first word. */
static bool
starts_dde(struct slice s)
{
	while (s.len > 0 && (s.ptr[0] <= ' ' || s.ptr[0] == '"'))
		s = slice_from(s, 1);
	return (slice_casestarts(s, "dde") && word_end(s, 3)) || slice_casestarts(s, "ddeauto");
}

/* The instructions of fields, each behind FIELD_MARK. */
bool
scan_office_dde(struct slice s)
{
	bool yes = false;

	while (s.len > 0 && !yes) {
		ptrdiff_t mark = slice_index(s, FIELD_MARK);
		struct slice one = slice_trim(slice_sub(s, 0, mark >= 0 ? (size_t)mark : s.len));

		s = slice_from(s, mark >= 0 ? (size_t)mark + 1 : s.len);
		yes = starts_dde(one);
		if (!yes && slice_casestarts(one, "quote")) {
			struct buf plain;

			buf_init(&plain, FIELD_MAX);
			unquote(one, &plain);
			yes = starts_dde(buf_slice(&plain));
			buf_done(&plain);
		}
	}
	return yes;
}

static void
field_ends(struct reader *r)
{
	r->dde |= scan_office_dde(buf_slice(&r->field)) || starts_dde(buf_slice(&r->outer));
	if (r->depth > 0)
		r->depth--;
	if (r->depth == 0) {
		buf_reset(&r->field);
		buf_reset(&r->outer);
	}
}

static void
field_char(struct reader *r, struct scan_xml *x)
{
	if (!scan_xml_attr(x, "fldCharType", &r->a))
		return;
	if (slice_eq_str(buf_slice(&r->a), "begin") && r->depth < FIELD_DEPTH) {
		buf_append_byte(&r->field, FIELD_MARK);
		r->depth++;
	} else if (slice_eq_str(buf_slice(&r->a), "end"))
		field_ends(r);
}

/* Fetched from elsewhere when the document is opened: over the network, not from the disk of who wrote it (Word names local templates so). */
bool
scan_office_remote(struct slice target)
{
	static const char *const schemes[] = {"http:", "https:", "ftp:", "mhtml:", "ms-", "\\\\",
	    "//", "script:", "data:", "file:\\\\\\\\", "file:////", "x-usc:", "dav"};
	size_t i;

	target = slice_trim(target);
	for (i = 0; i < sizeof schemes / sizeof *schemes; i++) {
		if (slice_casestarts(target, schemes[i]))
			return true;
	}
	/* file://host/share, not file:///C:/ */
	return slice_casestarts(target, "file://") && target.len > 7 && target.ptr[7] != '/';
}

static void
relationship(struct reader *r, struct scan_xml *x)
{
	static const char *const kinds[] = {
	    "/attachedTemplate", "/oleObject", "/frame", "/subDocument", "/aFChunk", "/package"};
	struct slice type, target;
	size_t i;

	if (!scan_xml_attr(x, "TargetMode", &r->a) ||
	    !slice_caseeq_str(buf_slice(&r->a), "External") || !scan_xml_attr(x, "Type", &r->t) ||
	    !scan_xml_attr(x, "Target", &r->b))
		return;
	type = buf_slice(&r->t);
	target = buf_slice(&r->b);
	for (i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		if (has_suffix(type, kinds[i]) && scan_office_remote(target)) {
			r->z->remote = true;
			findings_note(r->c->f, "office_external", NOTE_REJECT, r->path, "%s %.*s",
			    kinds[i] + 1, (int)(target.len < 120 ? target.len : 120),
			    (const char *)target.ptr);
			return;
		}
	}
}

static void
on_open(struct reader *r, const char *name, struct scan_xml *x)
{
	if (strcmp(name, "Relationship") == 0 && has_suffix(r->name, ".rels"))
		relationship(r, x);
	else if (strcmp(name, "fldChar") == 0)
		field_char(r, x);
	else if (strcmp(name, "fldSimple") == 0 && scan_xml_attr(x, "instr", &r->a))
		r->dde |= scan_office_dde(buf_slice(&r->a));
	else if (strcmp(name, "ddeLink") == 0 || strcmp(name, "dde-source") == 0 ||
		 strcmp(name, "dde-connection-decl") == 0)
		r->dde = true;
	else if (strcmp(name, "instrText") == 0)
		r->instr = true;
	else if (strcmp(name, "tab") == 0 && r->text != NULL)
		buf_append_str(r->text, "   ");
	r->is_text = strcmp(name, "t") == 0 || r->is_text;
}

static void
on_close(struct reader *r, const char *name)
{
	static const char *const lines[] = {
	    "p", "h", "br", "si", "tc", "tr", "line-break", "table-cell", "row"};
	size_t i;

	if (strcmp(name, "instrText") == 0)
		r->instr = false;
	if (strcmp(name, "t") == 0)
		r->is_text = false;
	for (i = 0; r->text != NULL && i < sizeof lines / sizeof *lines; i++) {
		if (strcmp(name, lines[i]) == 0) {
			buf_append_byte(r->text, '\n');
			break;
		}
	}
}

static void
on_event(void *arg, enum xml_event what, const char *name, struct slice text, struct scan_xml *x)
{
	struct reader *r = arg;
	bool odf =
	    slice_caseeq_str(r->name, "content.xml") || slice_caseeq_str(r->name, "styles.xml");

	switch (what) {
	case XML_OPEN:
		on_open(r, name, x);
		break;
	case XML_CLOSE:
		on_close(r, name);
		break;
	case XML_CHARS:
		if (r->instr) {
			buf_append_slice(&r->field, text);
			if (r->depth <= 1)
				buf_append_slice(&r->outer, text);
		} else if (r->text != NULL && (r->is_text || odf))
			buf_append_slice(r->text, text);
		break;
	}
}

/* Which members are read at all; and of which the text counts. */
static bool
is_wanted(struct slice name, bool *text_out)
{
	static const char *const texts[] = {"word/document", "word/header", "word/footer",
	    "word/footnotes", "word/comments", "xl/sharedstrings", "xl/worksheets/sheet",
	    "ppt/slides/slide", "content.xml", "styles.xml"};
	static const char *const more[] = {"word/", "xl/externallinks/", "xl/workbook"};
	size_t i;

	*text_out = false;
	for (i = 0; i < sizeof texts / sizeof *texts; i++)
		*text_out = *text_out || slice_casestarts(name, texts[i]);
	if (has_suffix(name, ".rels"))
		return true;
	if (!has_suffix(name, ".xml"))
		return false;
	for (i = 0; i < sizeof more / sizeof *more; i++) {
		if (slice_casestarts(name, more[i]))
			return true;
	}
	return *text_out;
}

bool
scan_office_wants(struct slice name)
{
	bool text;

	while (name.len > 0 && (name.ptr[0] == '/' || name.ptr[0] == '\\'))
		name = slice_from(name, 1);
	return is_wanted(name, &text) || slice_caseeq_str(name, "[Content_Types].xml");
}

void
scan_office_member(struct scan_ctx *c, struct zip_facts *z, struct slice name, struct slice content,
    struct slice path)
{
	struct reader r = {.c = c, .path = path, .z = z};
	bool text;

	while (name.len > 0 && (name.ptr[0] == '/' || name.ptr[0] == '\\'))
		name = slice_from(name, 1);
	r.name = name;
	if (!is_wanted(name, &text))
		return;
	r.text = text ? &z->text : NULL;
	buf_init(&r.a, 4096);
	buf_init(&r.b, 4096);
	buf_init(&r.t, 4096);
	buf_init(&r.field, FIELD_MAX);
	buf_init(&r.outer, FIELD_MAX);
	z->too_much |= scan_xml_walk(c, content, on_event, &r) == ERR_LIMIT;
	/* fields that are never closed are instructions all the same */
	r.dde |= scan_office_dde(buf_slice(&r.field));
	if (r.dde)
		findings_note(c->f, "office_dde", NOTE_REJECT, path, "%.*s",
		    (int)(name.len < 100 ? name.len : 100), (const char *)name.ptr);
	z->dde |= r.dde;
	buf_done(&r.a);
	buf_done(&r.b);
	buf_done(&r.t);
	buf_done(&r.field);
	buf_done(&r.outer);
}
