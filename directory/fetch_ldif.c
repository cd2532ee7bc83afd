/* fetch_ldif.c: fetch_ldif.h; in fetch. What stands there came from a directory of somebody else. */
#include "config.h"

#include "directory/fetch_ldif.h"

#include "lib/err.h"
#include "lib/mime.h"

static struct slice
without_binary(struct slice name)
{
	static const char option[] = ";binary";
	size_t n = sizeof(option) - 1;

	if (name.len > n && slice_caseeq_str(slice_from(name, name.len - n), option))
		name.len -= n;
	return name;
}

/* "\tname: value" or "\tname:: base64". */
static int
line_value(struct slice line, struct slice attr, struct buf *out)
{
	ptrdiff_t colon = slice_index(line, ':');
	struct slice value;

	if (line.len == 0 || line.ptr[0] != '\t' || colon < 0 ||
	    !slice_caseeq(
		without_binary(slice_sub(line, 1, (size_t)colon - 1)), without_binary(attr)))
		return ERR_NOTFOUND;
	value = slice_from(line, (size_t)colon + 1);
	if (slice_starts(value, ": "))
		return b64_decode(slice_from(value, 2), true, out);
	return buf_append_slice(out, slice_starts(value, " ") ? slice_from(value, 1) : value);
}

int
fetch_ldif_value(struct slice text, struct slice attr, struct buf *out)
{
	while (text.len > 0) {
		ptrdiff_t end = slice_index(text, '\n');
		struct slice line = end < 0 ? text : slice_sub(text, 0, (size_t)end);
		int err = line_value(line, attr, out);

		if (err != ERR_NOTFOUND)
			return err;
		text = end < 0 ? slice_of(NULL, 0) : slice_from(text, (size_t)end + 1);
	}
	return ERR_NOTFOUND;
}
