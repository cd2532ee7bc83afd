/* zst.h: zstd of one block at a time, with contexts that are used again. Pure; zst.c is the only includer of <zstd.h>. A struct zst serves one thread
 * at a time and holds about a MiB once it has worked. */
#ifndef CV_ZST_H
#define CV_ZST_H

#include "lib/buf.h"

struct zst;
struct zst *zst_new(void);    /* fatal() for no memory */
void zst_free(struct zst *z); /* NULL accepted */

/* Compresses in to at most room bytes at to, quickly (level 1). Gives the length, 0 when it would not fit: that is how a caller says what gain
 * is enough. */
size_t zst_compress(struct zst *z, struct slice in, unsigned char *to, size_t room);
/* Decompresses in to exactly n bytes at to. 0, or ERR_CORRUPT when it is no zstd frame or gives another number of bytes. */
int zst_decompress(struct zst *z, struct slice in, unsigned char *to, size_t n);

#endif
