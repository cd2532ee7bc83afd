/* scan_type.c: true types by the first bytes: the two dozen that policy names. Pure; runs in milter-scan. */
#include "config.h"

#include "milter/scan_priv.h"

#include <string.h>

static const struct {
	size_t at;
	const char *bytes;
	size_t len;
	struct scan_type type;
} table[] = {
    {0, "MZ", 2, {"pe", CLASS_EXEC}},
    {0, "\177ELF", 4, {"elf", CLASS_EXEC}},
    {0, "\xfe\xed\xfa\xce", 4, {"macho", CLASS_EXEC}},
    {0, "\xfe\xed\xfa\xcf", 4, {"macho", CLASS_EXEC}},
    {0, "\xce\xfa\xed\xfe", 4, {"macho", CLASS_EXEC}},
    {0, "\xcf\xfa\xed\xfe", 4, {"macho", CLASS_EXEC}},
    {0, "\xca\xfe\xba\xbe", 4, {"macho-fat-or-java-class", CLASS_EXEC}},
    {0, "dex\n03", 6, {"dex", CLASS_EXEC}},
    {0, "L\0\0\0\x01\x14\x02\0", 8, {"lnk", CLASS_EXEC}},
    {0, "ITSF", 4, {"chm", CLASS_EXEC}},
    {0, "%PDF-", 5, {"pdf", CLASS_OTHER}},
    {0, "PK\x03\x04", 4, {"zip", CLASS_ARCHIVE}},
    {0, "PK\x05\x06", 4, {"zip", CLASS_ARCHIVE}},
    {0, "PK00PK\x03\x04", 8, {"zip", CLASS_ARCHIVE}},
    {0, "Rar!\x1a\x07", 6, {"rar", CLASS_ARCHIVE}},
    {0, "7z\xbc\xaf\x27\x1c", 6, {"7z", CLASS_ARCHIVE}},
    {0, "\x1f\x8b", 2, {"gzip", CLASS_ARCHIVE}},
    {0, "BZh", 3, {"bzip2", CLASS_ARCHIVE}},
    {0,
	"\xfd"
	"7zXZ\0",
	6, {"xz", CLASS_ARCHIVE}},
    {0, "\x28\xb5\x2f\xfd", 4, {"zstd", CLASS_ARCHIVE}},
    {0, "\x1f\x9d", 2, {"compress", CLASS_ARCHIVE}},
    {0, "MSCF", 4, {"cab", CLASS_ARCHIVE}},
    {2, "-lh", 3, {"lha", CLASS_ARCHIVE}},
    {0, "LZIP", 4, {"lzip", CLASS_ARCHIVE}},
    {0, "\x04\x22\x4d\x18", 4, {"lz4", CLASS_ARCHIVE}},
    {0, "!<arch>\n", 8, {"ar", CLASS_ARCHIVE}},
    {0, "070701", 6, {"cpio", CLASS_ARCHIVE}},
    {0, "070702", 6, {"cpio", CLASS_ARCHIVE}},
    {0, "070707", 6, {"cpio", CLASS_ARCHIVE}},
    {0, "xar!", 4, {"xar", CLASS_OPAQUE}},
    {7, "**ACE**", 7, {"ace", CLASS_OPAQUE}},
    {0, "MSWIM\0\0\0", 8, {"wim", CLASS_OPAQUE}},
    {0, "WLPWM\0\0\0", 8, {"wim", CLASS_OPAQUE}},
    {0, "EGGA", 4, {"egg", CLASS_OPAQUE}},
    {0, "ALZ\x01", 4, {"alz", CLASS_OPAQUE}},
    {0, "SIT!", 4, {"stuffit", CLASS_OPAQUE}},
    {0, "StuffIt (c)", 11, {"stuffit", CLASS_OPAQUE}},
    {20, "\xdc\xa7\xc4\xfd", 4, {"zoo", CLASS_OPAQUE}},
    {0, "zPQ", 3, {"zpaq", CLASS_OPAQUE}},
    {0, "conectix", 8, {"vhd", CLASS_OPAQUE}},
    {0, "vhdxfile", 8, {"vhdx", CLASS_OPAQUE}},
    {0, "KDMV", 4, {"vmdk", CLASS_OPAQUE}},
    {0x8001, "BEA01", 5, {"udf", CLASS_OPAQUE}},
    {0x8001, "NSR0", 4, {"udf", CLASS_OPAQUE}},
    {257, "ustar", 5, {"tar", CLASS_ARCHIVE}},
    {0x8001, "CD001", 5, {"iso9660", CLASS_ARCHIVE}},
    {0, "\x89PNG\r\n\x1a\n", 8, {"png", CLASS_OTHER}},
    {0, "\xff\xd8\xff", 3, {"jpeg", CLASS_OTHER}},
    {0, "GIF8", 4, {"gif", CLASS_OTHER}},
    {0, "II*\0", 4, {"tiff", CLASS_OTHER}},
    {0, "MM\0*", 4, {"tiff", CLASS_OTHER}},
    {0, "{\\rt", 4, {"rtf", CLASS_OTHER}}, /* Word asks for no more */
    {0, "ActiveMime", 10, {"activemime", CLASS_OTHER}},
    {0, "<?xml", 5, {"xml", CLASS_OTHER}},
    {0, "\x78\x9f\x3e\x22", 4, {"tnef", CLASS_OTHER}},
};

static uint32_t
le(const unsigned char *p, unsigned n)
{
	uint32_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

/* "MZ" alone begins many a text: a program has a PE, NE or LE header where it says, or is an old DOS program with sane sizes. */
static bool
is_mz_program(struct slice s)
{
	uint32_t at;

	if (s.len < 64)
		return false;
	at = le(s.ptr + 0x3c, 4);
	if (at < s.len && s.len - at >= 2 &&
	    ((s.ptr[at] == 'P' && s.ptr[at + 1] == 'E') ||
		(s.ptr[at] == 'N' && s.ptr[at + 1] == 'E') ||
		(s.ptr[at] == 'L' && (s.ptr[at + 1] == 'E' || s.ptr[at + 1] == 'X'))))
		return true;
	/* e_cblp < 512, header paragraphs and relocations that fit */
	return le(s.ptr + 2, 2) < 512 && le(s.ptr + 4, 2) > 0 && le(s.ptr + 8, 2) > 0 &&
	       le(s.ptr + 8, 2) < 0x1000;
}

/* An OLE2 file whose root storage has the class of Windows Installer packages or patches. */
static bool
is_msi(struct slice s)
{
	static const unsigned char tail[15] = {
	    0x10, 0x0c, 0, 0, 0, 0, 0, 0xc0, 0, 0, 0, 0, 0, 0, 0x46};
	uint32_t shift, sect;
	uint64_t at;

	if (s.len < 512)
		return false;
	shift = le(s.ptr + 0x1e, 2);
	sect = le(s.ptr + 0x30, 4);
	if (shift < 7 || shift > 16)
		return false;
	at = ((uint64_t)sect + 1) << shift;
	if (at > s.len || s.len - at < 128)
		return false;
	s = slice_from(s, (size_t)at + 0x50);
	return (s.ptr[0] == 0x84 || s.ptr[0] == 0x86) && memcmp(s.ptr + 1, tail, sizeof tail) == 0;
}

/* ARJ's main header: its size, its own size within, and a file type of 2 (ARJ TECHNOTE). */
static bool
is_arj(struct slice s)
{
	return s.len > 34 && s.ptr[0] == 0x60 && s.ptr[1] == 0xea && le(s.ptr + 2, 2) >= 30 &&
	       le(s.ptr + 2, 2) <= 2600 && s.ptr[4] >= 30 && s.ptr[10] == 2;
}

static bool
is_script(struct slice s)
{
	size_t at = 2;

	if (slice_starts(s, "\xef\xbb\xbf"))
		s = slice_from(s, 3);
	if (!slice_starts(s, "#!"))
		return false;
	while (at < s.len && at < 16 && (s.ptr[at] == ' ' || s.ptr[at] == '\t'))
		at++;
	return at < s.len && s.ptr[at] == '/';
}

struct scan_type
scan_type(struct slice s)
{
	static const struct scan_type script = {"script", CLASS_EXEC}, msi = {"msi", CLASS_EXEC},
				      ole = {"ole2", CLASS_OTHER}, unknown = {"", CLASS_OTHER},
				      pdf = {"pdf", CLASS_OTHER}, arj = {"arj", CLASS_OPAQUE};
	struct slice head;
	size_t i;

	if (is_script(s))
		return script;
	if (is_arj(s))
		return arj;
	if (s.len >= 8 && memcmp(s.ptr, "\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", 8) == 0)
		return is_msi(s) ? msi : ole;
	for (i = 0; i < sizeof table / sizeof *table; i++) {
		if (s.len < table[i].at + table[i].len ||
		    memcmp(s.ptr + table[i].at, table[i].bytes, table[i].len) != 0)
			continue;
		if (strcmp(table[i].type.name, "pe") == 0 && !is_mz_program(s))
			continue;
		return table[i].type;
	}
	/* readers look for it in the first kilobyte */
	head = slice_sub(s, 0, 1024);
	return slice_find(head, slice_str("%PDF-")) >= 0 ? pdf : unknown;
}
