/* deflate_fuzz.c: what a client sends behind COMPRESS: it is read in pieces of any size, put to rest in between, and never gives more than was asked for; and
 * what we compress, in pieces, comes out as it was. The first byte: the size of pieces. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lib/deflate.h"
#include "lib/err.h"

enum { ROOM = 4096, OUT_MAX = 1 << 20, HELD_MAX = 1 << 20 };

/* All of in through a reader: what came out is appended to out (NULL: dropped). The last result. */
static int
read_all(struct slice in, size_t piece, struct buf *out)
{
	struct deflate *d = deflate_new();
	unsigned char room[ROOM];
	size_t total = 0;
	int got = 0;

	while (in.len > 0 || deflate_has_more(d)) {
		struct slice some = slice_sub(in, 0, piece);
		size_t used = 0;

		got = deflate_read(d, some, &used, room, sizeof room);
		MUST(used <= some.len && got <= (int)sizeof room);
		if (got < 0 || (total += (size_t)got) > OUT_MAX)
			break;
		MUST(got > 0 || used > 0 || some.len == 0);
		if (out != NULL && got > 0)
			buf_append(out, room, (size_t)got);
		in = slice_from(in, used);
		if (total % 3 == 0)
			deflate_rest(d);
		MUST(deflate_memory(d) < HELD_MAX);
		if (got == 0 && in.len == 0)
			break;
	}
	deflate_free(d);
	return got;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size), rest;
	struct deflate *d;
	struct buf packed, plain;

	if (size == 0)
		return 0;
	size_t piece = (size_t)data[0] + 1;
	(void)read_all(slice_from(in, 1), piece, NULL);
	buf_init(&packed, 4 << 20);
	buf_init(&plain, 4 << 20);
	d = deflate_new();
	for (rest = in; rest.len > 0;
	     rest = slice_from(rest, piece < rest.len ? piece : rest.len)) {
		MUST(deflate_write(d, slice_sub(rest, 0, piece),
			 rest.len % 5 == 0 || rest.len <= piece, &packed) == 0);
		if (rest.len % 7 == 0 && !deflate_is_dirty(d))
			deflate_rest(d);
	}
	MUST(!deflate_is_dirty(d));
	deflate_free(d);
	MUST(read_all(buf_slice(&packed), piece * 3, &plain) >= 0);
	MUST(plain.len == in.len && memcmp(plain.data, in.ptr, in.len) == 0);
	buf_done(&packed);
	buf_done(&plain);
	return 0;
}
