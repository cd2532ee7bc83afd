/* scan_uu.c: names of files that stand uuencoded in a text: MIME knows nothing of them, many clients show and save them as attachments.
 * Pure; runs in milter-scan. POSIX uuencode: "begin MODE NAME" (or "begin-base64"), then lines that tell their own length. */
#include "config.h"

#include "milter/scan_cursor.h"
#include "milter/scan_priv.h"

#include <string.h>

enum { FILES_MAX = 64, LINE_MAX_OCTETS = 1200 };

/* "644 a name": the name, or nothing. */
static struct slice
name_of(struct slice s)
{
	size_t n = 0;

	while (n < s.len && n < 6 && s.ptr[n] >= '0' && s.ptr[n] <= '7')
		n++;
	return n < 3 || n == s.len || s.ptr[n] != ' ' ? slice_of(NULL, 0)
						      : slice_trim(slice_from(s, n));
}

/* Whether a line is one of uuencode's with content: its length fits the number that it begins with. Trailing spaces may be lost, or be more. */
static bool
is_uu(struct slice line)
{
	size_t octets = line.len > 0 ? (line.ptr[0] - 32u) & 63 : 0, want = (octets + 2) / 3 * 4;

	if (octets == 0 || line.len > 70 || line.len > want + 4 || line.len + 4 < want)
		return false;
	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] < 32 || line.ptr[i] > 96)
			return false;
	return true;
}

static bool
is_base64(struct slice line)
{
	static const char set[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";

	for (size_t i = 0; i < line.len; i++)
		if (line.ptr[i] == 0 || strchr(set, line.ptr[i]) == NULL)
			return false;
	return line.len >= 4 && line.len % 4 == 0;
}

uint32_t
scan_uu(const struct scan_params *p, struct slice text, uu_fn *on, void *arg)
{
	uint32_t flags = 0;
	unsigned files = 0;
	bool at_start = true;

	while (text.len > 0) {
		struct slice line, next, rest, body, name = {NULL, 0};
		bool base64 = false;
		struct buf norm;

		if (!at_start) {
			ptrdiff_t at = slice_find(text, slice_str("\nbegin"));
			if (at < 0)
				break;
			text = slice_from(text, (size_t)at + 1);
		}
		at_start = false;
		rest = text;
		line = scan_cursor_line(&rest);
		if (slice_casestarts(line, "begin-base64 ")) {
			base64 = true;
			name = name_of(slice_from(line, 13));
		} else if (slice_casestarts(line, "begin ")) {
			name = name_of(slice_from(line, 6));
		}
		body = rest;
		next = scan_cursor_line(&rest);
		if (name.len == 0 || line.len > LINE_MAX_OCTETS ||
		    !(base64 ? is_base64(next) : is_uu(next)))
			continue;
		if (files++ == FILES_MAX) {
			flags |= PART_LIMIT;
			break;
		}
		buf_init(&norm, 2048);
		flags |= scan_name(p, name, &norm);
		buf_done(&norm);
		if (on != NULL)
			on(arg, name, base64, body);
	}
	return flags & (PART_BANNED_NAME | PART_DOUBLE_EXT | PART_DECEPTIVE_NAME | PART_LIMIT);
}
