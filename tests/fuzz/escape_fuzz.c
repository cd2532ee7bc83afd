/* escape_fuzz.c: no name leaves its place in a filter or a DN: what comes out holds no special character but the backslash of an escape, and
 * unescapes to what went in. */
#include "config.h"

#include "directory/escape.h"
#include "lib/crypto.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(struct slice in, const struct buf *out, const char *special)
{
	size_t k = 0;

	if (out->err != 0)
		return;
	for (size_t i = 0; i < out->len; i++) {
		unsigned char c = out->data[i];

		if (c == '\\') {
			if (i + 2 >= out->len ||
			    hex_decode(slice_of(out->data + i + 1, 2), &c, 1) != 0)
				abort();
			i += 2;
		} else if (c == 0 || strchr(special, c) != NULL) {
			abort();
		}
		if (k >= in.len || in.ptr[k++] != c)
			abort();
	}
	if (k != in.len)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	struct buf b;

	buf_init(&b, 1 << 20);
	escape_filter(in, &b);
	check(in, &b, "()*&|!");
	buf_reset(&b);
	escape_rdn(in, &b);
	check(in, &b, "\",+;<>=");
	buf_done(&b);
	return 0;
}
