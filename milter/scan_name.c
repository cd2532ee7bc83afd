/* scan_name.c: judges file names. Pure; runs in milter-scan. MILTER.md section 2: double extensions (packed ones included), trailing
 * dots, spaces and NUL, bidirectional controls; "report.v1.2.pdf" is nothing. */
#include "config.h"

#include "milter/scan_priv.h"

#include "lib/err.h"

#include <string.h>

struct slice
scan_name_ext(struct slice norm)
{
	size_t i;

	for (i = norm.len; i > 0; i--) {
		if (norm.ptr[i - 1] == '.')
			return slice_from(norm, i);
	}
	return (struct slice){NULL, 0};
}

static bool
is_banned(const struct scan_params *p, struct slice ext)
{
	size_t i;

	for (i = 0; ext.len > 0 && i < p->n_banned; i++) {
		if (slice_caseeq_str(ext, p->banned[i]))
			return true;
	}
	return false;
}

static bool
is_packed(struct slice ext)
{
	static const char *const packed[] = {
	    "zip", "gz", "xz", "bz2", "7z", "rar", "z", "zst", "lz", "lzma", "lz4", "cab", "tgz"};
	size_t i;

	for (i = 0; i < sizeof packed / sizeof *packed; i++) {
		if (slice_caseeq_str(ext, packed[i]))
			return true;
	}
	return false;
}

/* One character at s: its length, and what it becomes: 0 dropped, 1 kept, 2 a dot; deceptive ones are told. */
static size_t
classify(struct slice s, int *becomes, bool *deceptive)
{
	unsigned char c = s.ptr[0];
	unsigned v;

	*becomes = 1;
	if (c == 0) {
		*becomes = 0;
		*deceptive = true;
		return 1;
	}
	if (c < 0x20 || c == 0x7f) {
		*becomes = 0;
		return 1;
	}
	if ((c & 0xf0) != 0xe0 || s.len < 3)
		return 1;
	v = (unsigned)(c & 0x0f) << 12 | (unsigned)(s.ptr[1] & 0x3f) << 6 | (s.ptr[2] & 0x3f);
	if ((v >= 0x202a && v <= 0x202e) || (v >= 0x2066 && v <= 0x2069)) {
		*becomes = 0;
		*deceptive = true;
	} else if ((v >= 0x200b && v <= 0x200f) || v == 0xfeff || v == 0x2060) {
		*becomes = 0;
	} else if (v == 0xff0e || v == 0x2024 || v == 0xfe52) {
		*becomes = 2;
	}
	return 3;
}

uint32_t
scan_name(const struct scan_params *p, struct slice name, struct buf *norm)
{
	struct slice rest = name, n, ext, stem;
	uint32_t flags = 0;
	bool deceptive = false;
	size_t len, i;
	int becomes;

	while (rest.len > 0) {
		len = classify(rest, &becomes, &deceptive);
		if (becomes == 2)
			buf_append_byte(norm, '.');
		else if (becomes == 1)
			buf_append(norm, rest.ptr, len);
		rest = slice_from(rest, len);
	}
	if (norm->err != 0) {
		norm->err = 0;
		flags |= PART_LIMIT;
	}
	n = buf_slice(norm);
	for (i = n.len; i > 0; i--) {
		if (n.ptr[i - 1] == '/' || n.ptr[i - 1] == '\\')
			break;
	}
	buf_consume(norm, i);
	while (
	    norm->len > 0 && (norm->data[norm->len - 1] == '.' || norm->data[norm->len - 1] == ' '))
		buf_truncate(norm, norm->len - 1);
	n = buf_slice(norm);
	if (deceptive)
		flags |= PART_DECEPTIVE_NAME;
	ext = scan_name_ext(n);
	/* "x.exe:stream" is x.exe to NTFS */
	if (slice_index(ext, ':') >= 0)
		ext = slice_sub(ext, 0, (size_t)slice_index(ext, ':'));
	ext = slice_trim(ext);
	if (is_banned(p, ext))
		flags |= PART_BANNED_NAME;
	stem = ext.len > 0 ? slice_sub(n, 0, (size_t)(ext.ptr - n.ptr) - 1) : n;
	if (is_packed(ext) && is_banned(p, slice_trim(scan_name_ext(stem))))
		flags |= PART_DOUBLE_EXT;
	return flags;
}
