/* charset.c: charsets of mail to UTF-8; the only includer of <iconv.h>. Runs in imapd-session, ingest and the milter roles.
 *
 * Only the charsets of the table are converted: iconv's other converters (stateful ISO-2022 variants, UTF-7, EBCDIC) have
 * a history of memory errors and endless loops on hostile bytes, and no mail needs them. UTF-8, US-ASCII and Latin-1, which are
 * nearly all mail, do not go through iconv at all. RFC 2045 5.1, RFC 2978. */
#include "lib/charset.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>

#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/uni.h"

/* MIME name → glibc's name. */
static const struct charset_row {
	const char *name, *iconv_name;
} table[] = {
    {"windows-1252", "CP1252"},
    {"cp1252", "CP1252"},
    {"windows-1258", "CP1258"},
    {"cp1258", "CP1258"},
    {"tcvn", "TCVN"},
    {"tcvn5712-1", "TCVN"},
    {"viscii", "VISCII"},
    {"windows-1250", "CP1250"},
    {"windows-1251", "CP1251"},
    {"windows-1253", "CP1253"},
    {"windows-1254", "CP1254"},
    {"windows-1255", "CP1255"},
    {"windows-1256", "CP1256"},
    {"windows-1257", "CP1257"},
    {"windows-874", "CP874"},
    {"tis-620", "TIS-620"},
    {"iso-8859-2", "ISO-8859-2"},
    {"iso-8859-3", "ISO-8859-3"},
    {"iso-8859-4", "ISO-8859-4"},
    {"iso-8859-5", "ISO-8859-5"},
    {"iso-8859-6", "ISO-8859-6"},
    {"iso-8859-7", "ISO-8859-7"},
    {"iso-8859-8", "ISO-8859-8"},
    {"iso-8859-8-i", "ISO-8859-8"},
    {"iso-8859-9", "ISO-8859-9"},
    {"iso-8859-10", "ISO-8859-10"},
    {"iso-8859-13", "ISO-8859-13"},
    {"iso-8859-14", "ISO-8859-14"},
    {"iso-8859-15", "ISO-8859-15"},
    {"iso-8859-16", "ISO-8859-16"},
    {"koi8-r", "KOI8-R"},
    {"koi8-u", "KOI8-U"},
    {"macintosh", "MACINTOSH"},
    {"gb2312", "GBK"},
    {"gbk", "GBK"},
    {"gb18030", "GB18030"},
    {"big5", "BIG5"},
    {"shift_jis", "CP932"},
    {"windows-31j", "CP932"},
    {"euc-jp", "EUC-JP"},
    {"iso-2022-jp", "ISO-2022-JP"},
    {"euc-kr", "CP949"},
    {"ks_c_5601-1987", "CP949"},
    {"utf-16", "UTF-16"},
    {"utf-16le", "UTF-16LE"},
    {"utf-16be", "UTF-16BE"},
};
enum { N_TABLE = sizeof(table) / sizeof(table[0]) };

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

void
charset_preload(void)
{
	/* The descriptors stay open for the life of the process: they hold the converters in memory. */
	static iconv_t kept[N_TABLE];

	for (size_t i = 0; i < N_TABLE; i++)
		if (kept[i] == NULL)
			kept[i] = iconv_open("UTF-8", table[i].iconv_name);
}

static const char *
iconv_name_of(struct slice charset)
{
	for (size_t i = 0; i < N_TABLE; i++)
		if (slice_caseeq_str(charset, table[i].name))
			return table[i].iconv_name;
	return NULL;
}

/* Octets of ASCII at the beginning. */
static size_t
ascii_run(struct slice text)
{
	size_t n = 0;

	while (n < text.len && text.ptr[n] < 0x80)
		n++;
	return n;
}

static bool
latin1_to_utf8(struct slice text, struct buf *out)
{
	while (text.len > 0) {
		size_t n = ascii_run(text);

		buf_append(out, text.ptr, n);
		if (n < text.len)
			uni_append(out, text.ptr[n++]);
		text = slice_from(text, n);
	}
	return true;
}

/* ASCII kept, the rest unknown. */
static bool
ascii_only(struct slice text, struct buf *out)
{
	bool clean = true;

	while (text.len > 0) {
		size_t n = ascii_run(text);

		buf_append(out, text.ptr, n);
		if (n < text.len) {
			buf_append_str(out, replacement);
			clean = false;
			n++;
		}
		text = slice_from(text, n);
	}
	return clean;
}

/* Converts what it can; each byte that cannot be is replaced. Every turn consumes input or ends. */
static bool
by_iconv(iconv_t cd, struct slice text, struct buf *out)
{
	char piece[1024], *to, *from;
	size_t to_left, from_left, r;
	bool clean = true;

	while (text.len > 0 && out->err == 0) {
		to = piece;
		to_left = sizeof(piece);
		from_left = text.len;
		memcpy(&from, &text.ptr, sizeof(from)); /* iconv's prototype lacks a const */
		r = iconv(cd, &from, &from_left, &to, &to_left);
		buf_append(out, piece, sizeof(piece) - to_left);
		if (r == (size_t)-1 && errno != E2BIG) {
			buf_append_str(out, replacement);
			clean = false;
			from_left -= from_left > 0;
		} else if (r != (size_t)-1) {
			clean = clean && r == 0;
			from_left = 0;
		} else if (from_left == text.len && to_left == sizeof(piece)) {
			return false;
		}
		text = slice_from(text, text.len - from_left);
	}
	/* Converters that compose hold the last letter back. */
	to = piece;
	to_left = sizeof(piece);
	if (iconv(cd, NULL, NULL, &to, &to_left) != (size_t)-1)
		buf_append(out, piece, sizeof(piece) - to_left);
	return clean;
}

/* Charsets with separate tone marks come out composed (NFC), as everything we store. */
static bool
convert(iconv_t cd, bool compose, struct slice text, struct buf *out)
{
	struct buf raw;
	bool clean;

	buf_init(&raw, out->cap);
	clean = by_iconv(cd, text, &raw);
	if (raw.err != 0)
		out->err = raw.err;
	else if (!compose || uni_normalize(UNI_NFC, buf_slice(&raw), out) != 0)
		clean = uni_scrub(buf_slice(&raw), replacement, out, NULL) == 0 && clean;
	buf_done(&raw);
	return clean;
}

bool
charset_to_utf8(struct slice charset, struct slice text, struct buf *out)
{
	const char *name;
	iconv_t cd;
	bool clean;

	charset = slice_trim(charset);
	if (slice_caseeq_str(charset, "utf-8") || slice_caseeq_str(charset, "utf8")) {
		uni_scrub(text, replacement, out, &clean);
		return clean;
	}
	/* Undeclared 8-bit text is UTF-8 when it is well-formed as such: chance does not make it so. */
	if (charset.len == 0 || slice_caseeq_str(charset, "us-ascii") ||
	    slice_caseeq_str(charset, "ascii")) {
		uni_scrub(text, replacement, out, &clean);
		return clean;
	}
	if (slice_caseeq_str(charset, "iso-8859-1") || slice_caseeq_str(charset, "latin1"))
		return latin1_to_utf8(text, out);
	name = iconv_name_of(charset);
	if (name == NULL)
		return ascii_only(text, out);
	cd = iconv_open("UTF-8", name);
	if (cd == (iconv_t)-1)
		return ascii_only(text, out);
	clean = convert(cd, strcmp(name, "CP1258") == 0 || strcmp(name, "TCVN") == 0, text, out);
	iconv_close(cd);
	return clean;
}
