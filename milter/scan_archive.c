/* scan_archive.c: looks into archives with libarchive, from memory. The only includer of <archive.h>. Runs in milter-scan, the
 * sandboxed child. Invariants: bounded members, octets, ratio and depth for the whole message; "no entries" is never "clean"
 * (encrypted headers show none); no filter that would start a program is enabled. */
#include "config.h"

#include "milter/scan_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

#define HEAD_MAX 65536
#define RATIO_FROM (16u << 20)

static struct archive *
reader_new(struct slice bytes)
{
	struct archive *a = archive_read_new();

	if (a == NULL)
		return NULL;
	archive_read_support_filter_gzip(a);
	archive_read_support_filter_bzip2(a);
	archive_read_support_filter_xz(a);
	archive_read_support_filter_lzma(a);
	archive_read_support_filter_compress(a);
	archive_read_support_filter_zstd(a);
	archive_read_support_filter_lzip(a);
	archive_read_support_filter_lz4(a);
	archive_read_support_format_zip(a);
	archive_read_support_format_7zip(a);
	archive_read_support_format_rar(a);
	archive_read_support_format_rar5(a);
	archive_read_support_format_tar(a);
	archive_read_support_format_gnutar(a);
	archive_read_support_format_cab(a);
	archive_read_support_format_lha(a);
	archive_read_support_format_iso9660(a);
	archive_read_support_format_ar(a);
	archive_read_support_format_cpio(a);
	archive_read_support_format_raw(a);
	if (archive_read_open_memory(a, bytes.ptr, bytes.len) != ARCHIVE_OK) {
		archive_read_free(a);
		return NULL;
	}
	return a;
}

static bool
over_budget(struct scan_ctx *c, size_t packed)
{
	return c->unpacked > c->max.bytes ||
	       (c->unpacked > RATIO_FROM && c->unpacked / c->max.ratio > (packed > 0 ? packed : 1));
}

/* What is looked into beside archives. */
static bool
is_document(const char *type)
{
	return strcmp(type, "ole2") == 0 || strcmp(type, "pdf") == 0 || strcmp(type, "rtf") == 0 ||
	       strcmp(type, "tnef") == 0 || strcmp(type, "activemime") == 0;
}

/* Reads a member: its head, and all of it when it may be an archive itself, or whole is said. 0 or a part flag. */
static uint32_t
read_member(struct scan_ctx *c, struct archive *a, size_t packed, bool whole, struct buf *content,
    struct scan_type *type, uint64_t *size)
{
	unsigned char *room;
	unsigned char waste[32768];
	la_ssize_t n;
	bool keep = true, typed = false;

	*type = (struct scan_type){"", CLASS_OTHER};
	for (;;) {
		room = keep ? buf_reserve(content, sizeof waste) : waste;
		if (room == NULL)
			return PART_LIMIT;
		n = archive_read_data(a, room, sizeof waste);
		if (n <= 0)
			break;
		if (keep)
			buf_commit(content, (size_t)n);
		*size += (uint64_t)n;
		c->unpacked += (uint64_t)n;
		if (over_budget(c, packed) || scan_late(c))
			return PART_LIMIT;
		if (!typed && content->len >= HEAD_MAX) {
			*type = scan_type(buf_slice(content));
			typed = true;
			keep = whole || type->cls == CLASS_ARCHIVE || is_document(type->name);
		}
		if (keep && content->len >= SCAN_MEMBER_MAX)
			return PART_LIMIT;
	}
	if (!typed)
		*type = scan_type(buf_slice(content));
	return n < 0 ? PART_BROKEN : 0;
}

static void
add_member(struct scan_ctx *c, struct slice path, struct slice name, struct slice norm,
    struct scan_type type, struct slice content, uint64_t size, uint32_t flags)
{
	struct find_part *p = findings_add_part(c->f);
	struct buf full;

	if (p == NULL)
		return;
	buf_init(&full, FINDINGS_TEXT_MAX);
	buf_append_slice(&full, slice_sub(path, 0, 200));
	buf_append_byte(&full, '!');
	buf_append_slice(&full, slice_sub(name, 0, 300));
	p->path = findings_text(c->f, buf_slice(&full));
	buf_done(&full);
	p->true_type = findings_str(c->f, type.name);
	p->name_raw = findings_text(c->f, name);
	p->name_norm = findings_text(c->f, norm);
	p->size = size;
	p->flags = flags | PART_IN_ARCHIVE;
	if (content.len == size)
		sha256_of(content, p->sha256);
}

static void
member_path(struct buf *out, struct slice path, struct slice name)
{
	buf_reset(out);
	buf_append_slice(out, slice_sub(path, 0, 200));
	buf_append_byte(out, '!');
	buf_append_slice(out, slice_sub(name, 0, 200));
}

static void
look_at_member(struct scan_ctx *c, struct archive *a, struct archive_entry *e, bool raw,
    struct slice bytes, struct slice path)
{
	const char *given = raw ? NULL : archive_entry_pathname(e);
	struct slice name = slice_str(given != NULL ? given : "");
	struct buf norm, content, inner;
	struct scan_type type;
	struct slice ext;
	uint64_t size = 0;
	uint32_t flags;

	buf_init(&norm, 1024);
	buf_init(&content, SCAN_MEMBER_MAX + 65536);
	buf_init(&inner, FINDINGS_TEXT_MAX);
	flags = scan_name(c->p, slice_sub(name, 0, 1000), &norm);
	ext = scan_name_ext(buf_slice(&norm));
	flags |= read_member(c, a, bytes.len,
	    (c->zip != NULL && scan_office_wants(name)) || scan_is_mail(ext, slice_str("?")),
	    &content, &type, &size);
	if (archive_entry_is_encrypted(e) || archive_entry_is_data_encrypted(e))
		flags = (flags & ~(uint32_t)PART_BROKEN) | PART_ENCRYPTED;
	if (c->zip != NULL && !raw) {
		scan_zip_member(c->zip, name, buf_slice(&content));
		scan_office_member(c, c->zip, name, buf_slice(&content), path);
	}
	if (scan_malware(buf_slice(&content)))
		flags |= PART_MALWARE;
	if ((is_document(type.name) ||
		(type.name[0] == '\0' && scan_is_mail(ext, buf_slice(&content)))) &&
	    !(flags & (PART_LIMIT | PART_ENCRYPTED))) {
		member_path(&inner, path, name);
		flags |= scan_look(c, buf_slice(&content), ext, buf_slice(&inner), &type);
	}
	if (type.cls == CLASS_EXEC) {
		flags |= PART_EXEC |
			 (ext.len > 0 && !(flags & PART_BANNED_NAME) && !raw ? PART_MISMATCH : 0);
		/* a shell script of any name in a source archive is content, not a disguise */
		if (strcmp(type.name, "script") == 0 || slice_caseeq_str(ext, "class"))
			flags &= ~(uint32_t)PART_MISMATCH;
	}
	if (type.cls == CLASS_ARCHIVE && !(flags & (PART_LIMIT | PART_BROKEN | PART_ENCRYPTED))) {
		member_path(&inner, path, name);
		flags |= PART_ARCHIVE |
			 scan_archive(c, buf_slice(&content), buf_slice(&inner), &type.name);
	}
	if (type.cls == CLASS_OPAQUE)
		flags |= PART_ARCHIVE | PART_LIMIT;
	if (!raw)
		flags |= scan_volume(c, buf_slice(&norm), buf_slice(&content), path);
	if (c->zip != NULL)
		c->zip->pdf |= (flags & PART_HAS_PDF) != 0;
	if (flags & ~(uint32_t)(PART_ARCHIVE | PART_HAS_PDF))
		add_member(c, path, name, buf_slice(&norm), type, buf_slice(&content), size, flags);
	buf_done(&norm);
	buf_done(&content);
	buf_done(&inner);
}

/* Names in the headers of a zip, of members and of its directory: where they differ, unpackers do, and libarchive gives one only.
 * Headers are looked for in all bytes, since several zips may stand one behind the other (APPNOTE.TXT 4.3.7, 4.3.12). */
static uint32_t
zip_names(struct scan_ctx *c, struct slice bytes)
{
	const unsigned char *p = bytes.ptr, *end = p + bytes.len;
	uint32_t flags = 0;
	struct buf norm;

	while (end - p > 46 && c->zip_headers < 4 * SCAN_ENTRIES_MAX) {
		size_t fixed, len;

		p = memchr(p, 'P', (size_t)(end - p) - 46);
		if (p == NULL)
			break;
		fixed = memcmp(p, "PK\3\4", 4) == 0 ? 30 : memcmp(p, "PK\1\2", 4) == 0 ? 46 : 0;
		if (fixed == 0) {
			p++;
			continue;
		}
		c->zip_headers++;
		len = fixed == 30 ? (size_t)p[26] | (size_t)p[27] << 8
				  : (size_t)p[28] | (size_t)p[29] << 8;
		buf_init(&norm, 1024);
		if (len > 0 && len <= 1000 && len <= (size_t)(end - p) - fixed)
			flags |= scan_name(c->p, slice_of(p + fixed, len), &norm);
		buf_done(&norm);
		p += 4;
	}
	return flags & (PART_BANNED_NAME | PART_DECEPTIVE_NAME);
}

uint32_t
scan_archive(struct scan_ctx *c, struct slice bytes, struct slice path, const char **type_out)
{
	struct zip_facts *outer = c->zip, *zip = &c->zips[c->depth];
	struct archive_entry *e;
	struct archive *a;
	uint32_t flags = 0;
	unsigned entries = 0;
	bool raw = false;
	int rc;

	if (c->depth >= c->max.depth || scan_late(c))
		return PART_LIMIT;
	a = reader_new(bytes);
	if (a == NULL)
		return PART_BROKEN;
	c->depth++;
	memset(zip, 0, sizeof *zip);
	buf_init(&zip->text, DOC_TEXT_MAX);
	c->zip = zip;
	while ((rc = archive_read_next_header(a, &e)) == ARCHIVE_OK || rc == ARCHIVE_WARN ||
	       rc == ARCHIVE_RETRY) {
		if (++c->entries > c->max.entries || over_budget(c, bytes.len) || scan_late(c)) {
			flags |= PART_LIMIT;
			break;
		}
		raw = archive_format(a) == ARCHIVE_FORMAT_RAW;
		/* raw takes anything: without a compression it only gives the bytes back */
		if (raw && archive_filter_count(a) <= 1)
			break;
		entries++;
		look_at_member(c, a, e, raw, bytes, path);
	}
	if (archive_read_has_encrypted_entries(a) == 1)
		flags |= PART_ENCRYPTED;
	if (rc != ARCHIVE_EOF && !(flags & (PART_LIMIT | PART_ENCRYPTED)))
		flags |= PART_BROKEN;
	if (entries == 0 && !(flags & PART_ENCRYPTED))
		flags |= PART_BROKEN;
	flags |= zip_names(c, bytes);
	flags |= scan_zip_macro(zip) ? PART_MACRO : 0;
	flags |= zip->locked ? PART_ENCRYPTED : 0;
	flags |= zip->pdf ? PART_HAS_PDF : 0;
	if (type_out != NULL && (slice_starts(bytes, "PK") || zip->content_types || zip->odf))
		*type_out = scan_zip_type(zip);
	flags |= (zip->dde ? PART_ACTIVE : 0) | (zip->remote ? PART_REMOTE : 0) |
		 (zip->too_much ? PART_LIMIT : 0);
	/* a fact, no judgement: nothing is inferred from it, least of all that the mail is signed */
	if (zip->is_signed && (zip->content_types || zip->odf))
		findings_note(c->f, "office_signed", NOTE_INFO, path,
		    "the document carries signatures; they are not verified");
	if (zip->text.len > 0 && (zip->content_types || zip->odf))
		scan_doc_text(c, buf_slice(&zip->text), path);
	buf_done(&zip->text);
	c->zip = outer;
	c->depth--;
	archive_read_free(a);
	return flags;
}
