/* zst.c: zstd block by block. Runs in stored, in the threads that write and read bodies.
 *
 * Frames carry neither checksum nor dictionary: who stores them has checks of its own. The content size in a frame is not believed: the caller
 * knows how much must come out and has room for no more. */
#include "config.h"

#include "lib/zst.h"

#include <stdlib.h>

#include <zstd.h>

#include "lib/err.h"
#include "lib/log.h"

/* Of a small block most of the time goes into the tables of its Huffman codes, when it is read even more: level -1 has none. From SMALL octets on they are
 * made, also of a piece that tells whether a larger block is worth it. */
enum { LEVEL = 1, SMALL = 8 << 10, LEVEL_SMALL = -1 };

struct zst {
	ZSTD_CCtx *c;
	ZSTD_DCtx *d;
};

struct zst *
zst_new(void)
{
	struct zst *z = xcalloc(1, sizeof *z);

	z->c = ZSTD_createCCtx();
	z->d = ZSTD_createDCtx();
	if (z->c == NULL || z->d == NULL)
		fatal("no memory for zstd");
	return z;
}

void
zst_free(struct zst *z)
{
	if (z == NULL)
		return;
	ZSTD_freeCCtx(z->c);
	ZSTD_freeDCtx(z->d);
	free(z);
}

size_t
zst_compress(struct zst *z, struct slice in, unsigned char *to, size_t room)
{
	size_t n =
	    ZSTD_compressCCtx(z->c, to, room, in.ptr, in.len, in.len < SMALL ? LEVEL_SMALL : LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

int
zst_decompress(struct zst *z, struct slice in, unsigned char *to, size_t n)
{
	size_t got = ZSTD_decompressDCtx(z->d, to, n, in.ptr, in.len);

	return ZSTD_isError(got) || got != n ? ERR_CORRUPT : 0;
}
