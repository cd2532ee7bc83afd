/* scan_ole_tree.c: walks the storages and streams of a compound file: Office documents of the old kind, Outlook's .msg, OLE objects inside others. Runs in
 * milter-scan. [MS-CFB], [MS-MSG] 2.1.3 (attachments). Two looks are taken: scan_ole.c finds names wherever they stand in the bytes, libgsf follows the
 * chains; what either sees counts. A file inside is judged by name and content like an attachment. */
#include "config.h"

#include "milter/scan_ole.h"

#include <string.h>

#define STREAM_MAX SCAN_MEMBER_MAX

struct walk {
	struct scan_ctx *c;
	struct slice path;
	struct ole_doc doc;
	struct buf text;
	unsigned entries;
	uint32_t flags;
};

static bool
read_stream(struct walk *w, const struct ole_dir *d, int i, struct buf *out)
{
	struct ole_dir *below = NULL;
	bool good = ole_read(d, i, STREAM_MAX, out, &below);

	good = good && below == NULL;
	ole_close(below);
	w->c->unpacked += out->len;
	return good;
}

static bool
read_named(struct walk *w, const struct ole_dir *d, const char *name, struct buf *out)
{
	int i = ole_find(d, name);

	return i >= 0 && read_stream(w, d, i, out);
}

/* What is found inside says what it is in its own row; here only that not all could be seen. */
static void
inside(struct walk *w, struct slice name, struct slice bytes)
{
	w->flags |= scan_inside(w->c, name, bytes, w->path) & (PART_LIMIT | PART_ENCRYPTED);
}

static bool
on_object(void *arg, struct slice bytes)
{
	struct walk *w = arg;

	w->c->unpacked += bytes.len;
	inside(w, slice_str("object"), bytes);
	return w->c->unpacked <= w->c->max.bytes && !scan_late(w->c);
}

static void
package(struct walk *w, struct slice s)
{
	struct slice name = {NULL, 0}, data;

	/* the stream's length, then the package; other programs put their own data there */
	s = slice_from(s, 4);
	if (!ole_package(s, &name, &data))
		data = s;
	inside(w, name.len > 0 ? name : slice_str("Ole10Native"), data);
}

/* An attachment of a .msg: its content and names are streams side by side. */
static void
msg_attachment(struct walk *w, const struct ole_dir *d)
{
	static const struct {
		const char *name;
		bool wide;
	} names[] = {{"__substg1.0_3707001F", true}, {"__substg1.0_3704001F", true},
	    {"__substg1.0_3001001F", true}, {"__substg1.0_3707001E", false},
	    {"__substg1.0_3704001E", false}};
	struct buf data, raw, name;
	size_t i;

	buf_init(&data, STREAM_MAX + 65536);
	buf_init(&raw, 65536);
	buf_init(&name, 8192);
	for (i = 0; i < sizeof names / sizeof *names && name.len == 0; i++) {
		buf_reset(&raw);
		if (!read_named(w, d, names[i].name, &raw))
			continue;
		/* a NUL inside counts, those behind are padding */
		while (raw.len > 0 && raw.data[raw.len - 1] == 0)
			buf_truncate(&raw, raw.len - 1);
		if (names[i].wide && raw.len % 2 != 0)
			buf_append_byte(&raw, 0);
		if (names[i].wide)
			ole_utf16(buf_slice(&raw), &name);
		else
			buf_append_slice(&name, buf_slice(&raw));
	}
	if (read_named(w, d, "__substg1.0_37010102", &data))
		inside(w, buf_slice(&name), buf_slice(&data));
	else if (ole_find(d, "__substg1.0_37010102") >= 0)
		w->flags |= PART_LIMIT;
	buf_done(&data);
	buf_done(&raw);
	buf_done(&name);
}

static void
word(struct walk *w, const struct ole_dir *d, struct slice main)
{
	const char *name = NULL;
	struct buf table;

	buf_init(&table, STREAM_MAX + 65536);
	if (ole_word_table(main, &name))
		read_named(w, d, name, &table);
	ole_word(main, buf_slice(&table), &w->doc);
	buf_done(&table);
}

/* The header token says whether the slides are encrypted ([MS-PPT] 2.3.2). */
static bool
slides_are_locked(struct slice s)
{
	return s.len >= 16 && memcmp(s.ptr + 12, "\xdf\xc4\xd1\xf3", 4) == 0;
}

/* Control characters at the front belong to the name. */
static bool
is_named(const char *name, const char *want)
{
	return strcasecmp(
		   (unsigned char)name[0] < ' ' && name[0] != '\0' ? name + 1 : name, want) == 0;
}

/* Where a linked object is ([MS-OLEDS] 2.3.3): a URL moniker's address is fetched when the document is opened. */
static void
link_source(struct walk *w, struct slice s)
{
	static const char url_moniker[] =
	    "\xe0\xc9\xea\x79\xf9\xba\xce\x11\x8c\x82\x00\xaa\x00\x4b\xa9\x0b";
	ptrdiff_t at = slice_find(s, slice_of(url_moniker, 16));
	struct buf url;

	if (at < 0)
		return;
	buf_init(&url, 1024);
	s = slice_sub(s, (size_t)at + 20, 240);
	s.len &= ~(size_t)1;
	while (s.len > 1 && s.ptr[s.len - 1] == 0 && s.ptr[s.len - 2] == 0)
		s.len -= 2;
	ole_utf16(s, &url);
	w->flags |= PART_REMOTE;
	findings_note(w->c->f, "office_external", NOTE_REJECT, w->path, "link %s", buf_cstr(&url));
	buf_done(&url);
}

static void
stream(struct walk *w, const struct ole_dir *d, const char *name, struct slice s)
{
	struct scan_type t = scan_type(s);

	if (is_named(name, "Ole10Native"))
		package(w, s);
	else if (is_named(name, "Package") || (is_named(name, "CONTENTS") && t.name[0] != '\0'))
		inside(w, slice_str(name), s);
	else if (is_named(name, "Ole"))
		link_source(w, s);
	else if (is_named(name, "WordDocument"))
		word(w, d, s);
	else if (is_named(name, "Workbook") || is_named(name, "Book"))
		ole_sheet(s, &w->doc);
	else if (is_named(name, "PowerPoint Document"))
		ole_slides(s, &w->doc, on_object, w);
	else if (is_named(name, "Current User"))
		w->doc.locked |= slides_are_locked(s);
	else if (strcasecmp(name, "__substg1.0_1000001F") == 0)
		ole_utf16(s, &w->text);
	else if (strcasecmp(name, "__substg1.0_1000001E") == 0)
		ole_latin(s, &w->text);
	else if (t.cls == CLASS_EXEC && strcmp(t.name, "script") != 0)
		inside(w, slice_str(name), s);
	if (scan_malware(s))
		w->flags |= PART_MALWARE;
}

/* Properties of a message, of which there are thousands; only those that are read. */
static bool
is_skipped(const char *name)
{
	return strncasecmp(name, "__substg1.0_", 12) == 0 &&
	       strcasecmp(name, "__substg1.0_1000001F") != 0 &&
	       strcasecmp(name, "__substg1.0_1000001E") != 0 &&
	       strcasecmp(name + 12, "3701000D") != 0;
}

static void
walk(struct walk *w, const struct ole_dir *d, unsigned depth)
{
	int i, n = ole_count(d);

	if (depth > OLE_DEPTH_MAX || n > OLE_CHILDREN_MAX)
		w->flags |= PART_LIMIT;
	for (i = 0; i < n && !(w->flags & PART_LIMIT); i++) {
		const char *name = ole_name(d, i);
		struct ole_dir *below = NULL;
		struct buf b;

		if (++w->entries > OLE_ENTRIES_MAX || w->c->unpacked > w->c->max.bytes ||
		    (w->entries % 16 == 0 && scan_late(w->c))) {
			w->flags |= PART_LIMIT;
			break;
		}
		if (is_skipped(name))
			continue;
		buf_init(&b, STREAM_MAX + 65536);
		if (!ole_read(d, i, STREAM_MAX, &b, &below)) {
			/* torn files are many, and Office does not open them; too much is too much */
			w->flags |= b.err != 0 ? PART_LIMIT : PART_BROKEN;
		} else if (below != NULL) {
			w->doc.macro |= strcasecmp(name, "VBA") == 0 ||
					strcasecmp(name, "_VBA_PROJECT_CUR") == 0;
			if (strncasecmp(name, "__attach_version1.0_#", 21) == 0)
				msg_attachment(w, below);
			walk(w, below, depth + 1);
		} else {
			w->c->unpacked += b.len;
			stream(w, d, name, buf_slice(&b));
		}
		ole_close(below);
		buf_done(&b);
	}
}

uint32_t
scan_ole_file(struct scan_ctx *c, struct slice bytes, struct slice path, const char **type_out)
{
	struct walk w = {.c = c, .path = path};
	struct ole_dir *root = NULL;
	struct ole_facts f;

	scan_ole(bytes, &f);
	*type_out = f.type;
	buf_init(&w.text, DOC_TEXT_MAX);
	w.doc = (struct ole_doc){.macro = f.macro, .locked = f.locked, .text = &w.text};
	root = scan_late(c) ? NULL : ole_open(bytes);
	if (root != NULL)
		walk(&w, root, 0);
	else if (c->late || f.object)
		w.flags |=
		    PART_LIMIT; /* a reader that takes more than libgsf would find something there */
	else
		w.flags |= PART_BROKEN;
	ole_close(root);
	w.text.err = 0;
	if (w.text.len > 0)
		scan_doc_text(c, buf_slice(&w.text), path);
	if (w.doc.dde)
		findings_note(c->f, "office_dde", NOTE_REJECT, path, "%s", f.type);
	buf_done(&w.text);
	return w.flags | (w.doc.macro ? PART_MACRO : 0) | (w.doc.locked ? PART_ENCRYPTED : 0) |
	       (w.doc.dde ? PART_ACTIVE : 0) | (w.doc.too_much ? PART_LIMIT : 0);
}
