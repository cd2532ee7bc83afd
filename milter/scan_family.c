/* scan_family.c: whether a name's ending and a content belong together (P24). Pure; runs in milter-scan. Families, not types: a .doc that is
 * RTF, HTML or OOXML opens as what it is, an image under another image's ending is shown, one archive under another's ending is unpacked;
 * a .xls may be a table in HTML or text, as many programs write it. Only what is positively something else, or is not what its ending
 * cannot do without, is a mismatch: an ending that is not in the table says nothing. */
#include "config.h"

#include "milter/scan_priv.h"

#include <stdio.h>
#include <string.h>

#define LOOK 65536

enum family {
	F_PDF = 1 << 0,
	F_ZIP = 1 << 1, /* a zip that is no document */
	F_OOXML = 1 << 2,
	F_ODF = 1 << 3,
	F_OLE = 1 << 4,
	F_RTF = 1 << 5,
	F_MARKUP = 1 << 6, /* HTML, XML, SVG */
	F_TEXT = 1 << 7,   /* no NUL, or UTF-16 */
	F_IMAGE = 1 << 8,
	F_PACKED = 1 << 9, /* rar, 7z, gzip, … */
	F_MEDIA = 1 << 10,
	F_BINARY = 1 << 11, /* none of these */
};
#define ANY_TEXT (F_TEXT | F_MARKUP | F_RTF)
#define ANY_PACKED (F_ZIP | F_OOXML | F_ODF | F_PACKED)

static const struct {
	const char *exts;
	unsigned allowed;
} table[] = {
    {" pdf ", F_PDF},
    {" docx dotx xlsx xltx pptx potx ppsx docm xlsm pptm dotm xltm xlsb ", F_OOXML | F_OLE},
    {" doc dot ", F_OLE | F_OOXML | F_ZIP | ANY_TEXT},
    {" xls xlt xlw ", F_OLE | F_OOXML | F_ZIP | ANY_TEXT | F_BINARY},
    {" ppt pps pot ", F_OLE | F_OOXML | F_ZIP},
    {" odt ott ods ots odp otp odg odf odb ", F_ODF},
    {" fodt fods fodp xml svg html htm xhtml ", F_MARKUP | F_TEXT},
    {" rtf ", ANY_TEXT | F_OLE},
    {" txt csv tsv log md ini json eml ics vcf vcs mht mhtml css ", ANY_TEXT | F_BINARY},
    {" jpg jpeg jpe jfif png gif bmp dib tif tiff webp heic heif avif ico ", F_IMAGE | F_BINARY},
    {" zip ", ANY_PACKED},
    {" rar 7z gz tgz bz2 tbz xz txz zst tar cab lzh ", ANY_PACKED},
    {" msg vsd mpp pub ", F_OLE | F_OOXML | F_ZIP},
    {" epub kmz xps oxps vsdx ", F_ZIP | F_OOXML | F_ODF | F_OLE},
    {" mp3 mp4 m4a avi mov wav wmv mkv webm ogg 3gp flv ", F_MEDIA | F_BINARY},
};

static unsigned
allowed_for(struct slice ext)
{
	char key[16];
	size_t i;

	if (ext.len == 0 || ext.len > 8)
		return 0;
	key[0] = ' ';
	for (i = 0; i < ext.len; i++) {
		unsigned char c = ext.ptr[i];

		if (c <= ' ' || c >= 0x7f)
			return 0;
		key[i + 1] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
	}
	key[i + 1] = ' ';
	key[i + 2] = '\0';
	for (i = 0; i < sizeof table / sizeof *table; i++) {
		if (strstr(table[i].exts, key) != NULL)
			return table[i].allowed;
	}
	return 0;
}

/* UTF-16: a byte order mark, or text of which every second octet is mostly 0 or the page of Vietnamese letters (1E). */
static bool
is_utf16(struct slice s)
{
	size_t i, odd = 0, even = 0, n = s.len < 4096 ? s.len : 4096;

	if (s.len >= 2 &&
	    ((s.ptr[0] == 0xff && s.ptr[1] == 0xfe) || (s.ptr[0] == 0xfe && s.ptr[1] == 0xff)))
		return true;
	for (i = 0; i + 1 < n; i += 2) {
		even +=
		    s.ptr[i] <= 0x1e && s.ptr[i] != '\n' && s.ptr[i] != '\r' && s.ptr[i] != '\t';
		odd += s.ptr[i + 1] <= 0x1e && s.ptr[i + 1] != '\n' && s.ptr[i + 1] != '\r' &&
		       s.ptr[i + 1] != '\t';
	}
	return n >= 8 && (even * 10 >= n / 2 * 9 || odd * 10 >= n / 2 * 9) &&
	       (even == 0 || odd == 0 || even > 8 * odd || odd > 8 * even);
}

/* TCVN3 and VISCII have letters where ASCII has controls: only NUL is no text. */
static bool
is_text(struct slice s)
{
	struct slice head = slice_sub(s, 0, LOOK);

	return slice_index(head, 0) < 0 || is_utf16(head);
}

static bool
is_markup(struct slice s)
{
	static const char *const starts[] = {"<?xml", "<!doctype", "<html", "<head", "<body",
	    "<table", "<svg", "<meta", "<!--", "<style", "<div"};
	size_t i;

	s = slice_sub(s, 0, 1024);
	if (slice_starts(s, "\xef\xbb\xbf"))
		s = slice_from(s, 3);
	while (s.len > 0 && (s.ptr[0] == ' ' || (s.ptr[0] >= '\t' && s.ptr[0] <= '\r')))
		s = slice_from(s, 1);
	for (i = 0; i < sizeof starts / sizeof *starts; i++) {
		if (slice_casestarts(s, starts[i]))
			return true;
	}
	return false;
}

/* Images and recordings that the table of types does not know. */
static unsigned
media_of(struct slice s)
{
	static const char *const images[] = {
	    "heic", "heix", "mif1", "msf1", "avif", "hevc", "heim"};
	size_t i;

	if (slice_starts(s, "BM") && s.len > 26 && s.ptr[6] == 0 && s.ptr[7] == 0)
		return F_IMAGE;
	if (slice_starts(s, "RIFF") && s.len > 12)
		return slice_starts(slice_from(s, 8), "WEBP") ? F_IMAGE : F_MEDIA;
	if (s.len > 12 && slice_starts(slice_from(s, 4), "ftyp")) {
		for (i = 0; i < sizeof images / sizeof *images; i++) {
			if (slice_starts(slice_from(s, 8), images[i]))
				return F_IMAGE;
		}
		return F_MEDIA;
	}
	if (slice_starts(s, "ID3") || slice_starts(s, "OggS"))
		return F_MEDIA;
	if (s.len > 6 && memcmp(s.ptr, "\0\0\1\0", 4) == 0)
		return F_IMAGE;
	return 0;
}

static unsigned
family_of(const char *type, struct slice s)
{
	static const struct {
		const char *types;
		unsigned family;
	} known[] = {{" pdf ", F_PDF}, {" docx xlsx pptx ooxml ", F_OOXML}, {" odf ", F_ODF},
	    {" zip jar ", F_ZIP}, {" doc xls ppt vsd msg ole2 msi ", F_OLE}, {" rtf ", F_RTF},
	    {" xml ", F_MARKUP}, {" png jpeg gif tiff ", F_IMAGE},
	    {" rar 7z gzip bzip2 xz zstd compress cab lha tar iso9660 lzip lz4 ar cpio "
	     "xar ace wim egg alz stuffit zoo zpaq vhd vhdx vmdk udf arj ",
		F_PACKED}};
	char key[24];
	size_t i;
	unsigned m;

	snprintf(key, sizeof key, " %.20s ", type);
	for (i = 0; type[0] != '\0' && i < sizeof known / sizeof *known; i++) {
		if (strstr(known[i].types, key) != NULL)
			return known[i].family;
	}
	if ((m = media_of(s)) != 0)
		return m;
	if (is_markup(s))
		return F_MARKUP;
	return is_text(s) ? F_TEXT : F_BINARY;
}

bool
scan_family_fits(struct slice ext, const char *type, struct slice bytes)
{
	unsigned allowed = allowed_for(ext), f;

	if (allowed == 0 || bytes.len == 0)
		return true;
	f = family_of(type, bytes);
	/* "%PDF-" is looked for in the first kilobyte; a text may speak of it, and lead in to one */
	if (f == F_PDF && !slice_starts(bytes, "%PDF-") && (allowed & F_TEXT))
		f = is_text(bytes) ? F_TEXT : F_PDF;
	/* a tiny text: what a program left that had nothing to say, under any image's or media's ending */
	return (f & allowed) != 0 || (f == F_TEXT && (allowed & (F_IMAGE | F_MEDIA)) != 0);
}
