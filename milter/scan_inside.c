/* scan_inside.c: files inside other files that are no archives: winmail.dat, attachments of a PDF, packages of OLE. Runs in milter-scan. Each is
 * judged by name and content like an attachment of its own; what is suspicious is listed as a part "path!name". */
#include "config.h"

#include "milter/scan_priv.h"
#include "milter/secrecy.h"

#include "lib/crypto.h"
#include "lib/deflate.h"
#include "lib/uni.h"

#include <string.h>

/* The test file of the antivirus industry, in two halves, so that this program is none itself. */
bool
scan_malware(struct slice bytes)
{
	static const char head[] = "X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-STANDARD-";
	static const char tail[] = "ANTIVIRUS-TEST-FILE!$H+H*";
	struct slice rest = bytes;
	ptrdiff_t at;

	while ((at = slice_find(rest, slice_of(head, sizeof head - 1))) >= 0) {
		rest = slice_from(rest, (size_t)at + sizeof head - 1);
		if (slice_starts(rest, tail))
			return true;
	}
	return false;
}

static struct slice
add_part(struct scan_ctx *c, struct slice path, struct slice name, struct slice norm,
    struct scan_type type, struct slice bytes, uint32_t flags)
{
	struct find_part *p = findings_add_part(c->f);
	struct buf full;

	if (p == NULL)
		return path;
	buf_init(&full, FINDINGS_TEXT_MAX);
	buf_append_slice(&full, slice_sub(path, 0, 200));
	buf_append_byte(&full, '!');
	buf_append_slice(&full, slice_sub(name, 0, 300));
	p->path = findings_text(c->f, buf_slice(&full));
	buf_done(&full);
	p->true_type = findings_str(c->f, type.name);
	p->name_raw = findings_text(c->f, name);
	p->name_norm = findings_text(c->f, norm);
	p->size = bytes.len;
	p->flags = flags | PART_IN_ARCHIVE;
	sha256_of(bytes, p->sha256);
	return p->path;
}

uint32_t
scan_inside(struct scan_ctx *c, struct slice name, struct slice bytes, struct slice path)
{
	struct scan_type t = {"", CLASS_OTHER};
	struct buf norm, found, inner;
	uint32_t flags;
	struct slice ext;

	if (c->depth >= c->max.depth || scan_late(c))
		return PART_LIMIT;
	if (++c->entries > c->max.entries)
		return PART_LIMIT;
	c->depth++;
	buf_init(&norm, 2048);
	buf_init(&found, 256);
	buf_init(&inner, FINDINGS_TEXT_MAX);
	buf_append_slice(&inner, slice_sub(path, 0, 200));
	buf_append_byte(&inner, '!');
	buf_append_slice(&inner, slice_sub(name, 0, 200));
	flags = scan_name(c->p, slice_sub(name, 0, 1000), &norm);
	ext = scan_name_ext(buf_slice(&norm));
	flags |= scan_look(c, bytes, ext, buf_slice(&inner), &t);
	flags |= scan_volume(c, buf_slice(&norm), bytes, path);
	if ((flags & PART_EXEC) && ext.len > 0 && !(flags & PART_BANNED_NAME) &&
	    strcmp(t.name, "script") != 0)
		flags |= PART_MISMATCH;
	if (secrecy_in_name(buf_slice(&norm), &found))
		findings_note(
		    c->f, "secrecy_mark", NOTE_REJECT, path, "name: %s", buf_cstr(&found));
	if (flags & ~(uint32_t)(PART_ARCHIVE | PART_HAS_PDF))
		add_part(c, path, name, buf_slice(&norm), t, bytes, flags);
	buf_done(&norm);
	buf_done(&found);
	buf_done(&inner);
	c->depth--;
	return flags;
}

void
scan_inflate(struct slice s, size_t max, struct buf *out)
{
	struct deflate *d = deflate_new();
	struct slice in = slice_from(s, 2);
	size_t used;
	int n;

	while (d != NULL && out->len < max) {
		unsigned char *room = buf_reserve(out, 32768);

		if (room == NULL)
			break;
		n = deflate_read(d, in, &used, room, 32768);
		if (n <= 0)
			break;
		in = slice_from(in, used);
		buf_commit(out, (size_t)n);
	}
	deflate_free(d);
}

bool
scan_is_mail(struct slice ext, struct slice bytes)
{
	static const char *const exts[] = {"eml", "emlx", "mht", "mhtml"};
	size_t i;

	for (i = 0; i < sizeof exts / sizeof *exts; i++) {
		if (slice_caseeq_str(ext, exts[i]))
			return bytes.len > 0;
	}
	return slice_casestarts(bytes, "MIME-Version:");
}

uint32_t
scan_mail_file(struct scan_ctx *c, struct slice bytes, struct slice path)
{
	uint64_t size = c->f->attach_size;

	if (c->depth >= c->max.depth || scan_late(c))
		return PART_LIMIT;
	scan_entity(c, bytes, path, COVER_OTHER);
	/* the file itself counts, not once more what is in it */
	c->f->attach_size = size;
	return 0;
}

uint32_t
scan_activemime(struct scan_ctx *c, struct slice bytes, struct slice path)
{
	ptrdiff_t at = slice_index(slice_sub(bytes, 10, 256), 'x');
	uint32_t flags = PART_LIMIT;
	struct buf b;

	buf_init(&b, SCAN_MEMBER_MAX + 65536);
	if (at >= 0)
		scan_inflate(slice_from(bytes, 10 + (size_t)at), SCAN_MEMBER_MAX, &b);
	c->unpacked += b.len;
	if (b.len > 0)
		flags = scan_inside(c, slice_str("ActiveMime"), buf_slice(&b), path) &
			(PART_LIMIT | PART_ENCRYPTED | PART_MACRO);
	buf_done(&b);
	return flags;
}

struct winmail {
	struct scan_ctx *c;
	struct slice path;
	uint32_t flags;
};

static void
on_file(void *arg, struct slice name, struct slice data)
{
	struct winmail *w = arg;

	w->flags |= scan_inside(w->c, name, data, w->path);
}

static void
on_text(void *arg, struct slice text)
{
	struct winmail *w = arg;
	struct buf utf8;

	buf_init(&utf8, 4 * text.len + 16);
	if (uni_scrub(text, "?", &utf8, NULL) == 0)
		scan_doc_text(w->c, buf_slice(&utf8), w->path);
	buf_done(&utf8);
}

uint32_t
scan_winmail(struct scan_ctx *c, struct slice bytes, struct slice path)
{
	struct winmail w = {c, path, 0};

	if (!scan_tnef(bytes, on_file, on_text, &w))
		w.flags |= PART_BROKEN;
	/* what is in there is told of the parts inside */
	return w.flags & (PART_LIMIT | PART_BROKEN | PART_ENCRYPTED);
}
