/* scan_volume.c: pieces of archives that were cut up (RAR and cabinet volumes, split zips, name.7z.001): what is in them nobody can tell from one piece, and
 * libraries show none or the first of their members. Pure; runs in milter-scan. RAR 4 and 5 technical notes, APPNOTE.TXT 4.4.19 and 8.5, MS-CAB 2.1. */
#include "config.h"

#include "milter/scan_priv.h"

#include <string.h>

#define ZIP_END 22
#define ZIP_COMMENT_MAX 65535

static unsigned
le16(struct slice s, size_t at)
{
	return (unsigned)s.ptr[at] | (unsigned)s.ptr[at + 1] << 8;
}

/* RAR 5: numbers of seven bits an octet, the lowest first. */
static bool
take_vint(struct slice *s, uint64_t *out)
{
	unsigned i;

	*out = 0;
	for (i = 0; i < 9 && i < s->len; i++) {
		*out |= (uint64_t)(s->ptr[i] & 0x7f) << (7 * i);
		if ((s->ptr[i] & 0x80) == 0) {
			*s = slice_from(*s, i + 1);
			return true;
		}
	}
	return false;
}

static bool
is_rar_volume(struct slice s)
{
	uint64_t size, type, flags, extra, archive;

	if (slice_starts(s, "Rar!\x1a\x07") && s.len > 12 && s.ptr[6] == 0) /* RAR 4: MHD_VOLUME */
		return s.ptr[9] == 0x73 && (le16(s, 10) & 1) != 0;
	if (!slice_starts(s, "Rar!\x1a\x07\x01") || s.len < 16)
		return false;
	s = slice_from(s, 12); /* signature and checksum */
	if (!take_vint(&s, &size) || !take_vint(&s, &type) || !take_vint(&s, &flags) || type != 1 ||
	    ((flags & 1) != 0 && !take_vint(&s, &extra)) || !take_vint(&s, &archive))
		return false;
	return (archive & 1) != 0;
}

/* Marked at its begin as the first piece, or at its end as not the only one. */
static bool
is_zip_volume(struct slice s)
{
	size_t i, from;

	if (slice_starts(s, "PK\x07\x08"))
		return true;
	from = s.len > ZIP_END + ZIP_COMMENT_MAX ? s.len - ZIP_END - ZIP_COMMENT_MAX : 0;
	for (i = s.len; i >= from + ZIP_END; i--) {
		struct slice end = slice_from(s, i - ZIP_END);

		/* the record whose comment reaches the end of the file; its numbers of this disk and of the directory's, 0xffff: zip64 */
		if (memcmp(end.ptr, "PK\5\6", 4) == 0 && le16(end, 20) == end.len - ZIP_END)
			return (le16(end, 4) != 0 && le16(end, 4) != 0xffff) ||
			       (le16(end, 6) != 0 && le16(end, 6) != 0xffff);
	}
	return false;
}

static bool
is_cab_volume(struct slice s)
{
	return slice_starts(s, "MSCF") && s.len >= 36 && (le16(s, 30) & 3) != 0;
}

static bool
all_digits(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9'; i++)
		;
	return s.len > 0 && i == s.len;
}

static bool
is_archive_ending(struct slice ext)
{
	static const char *const exts[] = {"zip", "7z", "rar", "tar", "gz", "tgz", "bz2", "xz",
	    "zst", "cab", "arj", "ace", "iso", "exe"};
	size_t i;

	for (i = 0; i < sizeof exts / sizeof *exts; i++) {
		if (slice_caseeq_str(ext, exts[i]))
			return true;
	}
	return false;
}

/* "x.7z.001", "x.part2.rar", "x.r00", "x.z01"; an ending of digits alone is a version or a day. */
static bool
is_volume_name(struct slice norm, struct slice bytes)
{
	struct slice ext = scan_name_ext(norm), stem, before;

	if (ext.len == 0 || ext.len > 8)
		return false;
	stem = slice_sub(norm, 0, (size_t)(ext.ptr - norm.ptr) - 1);
	before = scan_name_ext(stem);
	if (ext.len == 3 && all_digits(ext))
		return is_archive_ending(before);
	if (slice_caseeq_str(ext, "rar"))
		return slice_casestarts(before, "part") && all_digits(slice_from(before, 4)) &&
		       is_rar_volume(bytes);
	/* not "r" and "z" of programs: the pieces but the first begin with no text */
	return ext.len == 3 && all_digits(slice_from(ext, 1)) &&
	       (((ext.ptr[0] | 0x20) == 'z') ||
		   ((ext.ptr[0] | 0x20) == 'r' && slice_starts(bytes, "Rar!")));
}

uint32_t
scan_volume(struct scan_ctx *c, struct slice norm, struct slice bytes, struct slice path)
{
	if (!is_rar_volume(bytes) && !is_zip_volume(bytes) && !is_cab_volume(bytes) &&
	    !is_volume_name(norm, bytes))
		return 0;
	findings_note(c->f, "archive_volume", NOTE_WARN, path,
	    "a piece of an archive in several files: what is in it cannot be told");
	return PART_LIMIT;
}
