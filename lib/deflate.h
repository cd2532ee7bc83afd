/* deflate.h: a raw DEFLATE stream in both directions (RFC 1951), for protocols that compress a connection (RFC 4978). Pure; deflate.c is the
 * only includer of <zlib.h>. An idle stream can be put to rest: it then holds no more than the last 32 KiB of what it has read. */
#ifndef CV_DEFLATE_H
#define CV_DEFLATE_H

#include "lib/buf.h"

struct deflate;
struct deflate *deflate_new(void);
void deflate_free(struct deflate *d); /* NULL accepted */

/* Compresses in, appended to out; flush: all of it can be read by the peer then. 0, ERR_NOMEM. */
int deflate_write(struct deflate *d, struct slice in, bool flush, struct buf *out);
/* Whether something was written and not flushed. */
bool deflate_is_dirty(const struct deflate *d);
/* Reads compressed bytes: at most room bytes into out; *used_out of in were taken. > 0: so many bytes came out; 0: more input is needed (all of in
 * was taken); ERR_EOF: the peer ended its stream; ERR_PROTO: this is no DEFLATE; ERR_NOMEM. */
int deflate_read(
    struct deflate *d, struct slice in, size_t *used_out, unsigned char *out, size_t room);
/* Whether more comes out without new input. */
bool deflate_has_more(const struct deflate *d);
/* Gives memory back until the next call; the streams go on as if nothing had happened. */
void deflate_rest(struct deflate *d);
/* Octets held now, about. */
size_t deflate_memory(const struct deflate *d);

#endif
