/* deflate.c: see deflate.h. Runs in imapd-session. Invariants: output after a flush ends on a byte and a new compressor never looks back, so one can be
 * dropped then; a decompressor is dropped only between blocks, and its window is kept. */
#include "lib/deflate.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "lib/err.h"
#include "lib/log.h"

enum { LEVEL = 6, WINDOW_BITS = -15, MEM_LEVEL = 8, PIECE = 16384, WINDOW = 32768 };

struct deflate {
	z_stream *w, *r; /* NULL: at rest */
	unsigned char *window;
	unsigned window_len;
	bool dirty, more, ended;
};

struct deflate *
deflate_new(void)
{
	return xcalloc(1, sizeof(struct deflate));
}

static void
end_writer(struct deflate *d)
{
	if (d->w != NULL)
		deflateEnd(d->w);
	free(d->w);
	d->w = NULL;
}

static void
end_reader(struct deflate *d)
{
	if (d->r != NULL)
		inflateEnd(d->r);
	free(d->r);
	d->r = NULL;
}

static void
drop_window(struct deflate *d)
{
	free(d->window);
	d->window = NULL;
	d->window_len = 0;
}

void
deflate_free(struct deflate *d)
{
	if (d == NULL)
		return;
	end_writer(d);
	end_reader(d);
	drop_window(d);
	free(d);
}

int
deflate_write(struct deflate *d, struct slice in, bool flush, struct buf *out)
{
	unsigned char piece[PIECE];

	if (in.len == 0 && !d->dirty)
		return 0;
	if (d->w == NULL) {
		d->w = xcalloc(1, sizeof *d->w);
		if (deflateInit2(d->w, LEVEL, Z_DEFLATED, WINDOW_BITS, MEM_LEVEL,
			Z_DEFAULT_STRATEGY) != Z_OK) {
			end_writer(d);
			return ERR_NOMEM;
		}
	}
	d->dirty = !flush;
	do {
		size_t n = in.len < UINT32_MAX / 2 ? in.len : UINT32_MAX / 2;

		/* zlib does not write to it */
		d->w->next_in = (unsigned char *)(uintptr_t)in.ptr;
		d->w->avail_in = (uInt)n;
		in = slice_from(in, n);
		do {
			d->w->next_out = piece;
			d->w->avail_out = sizeof piece;
			(void)deflate(d->w, flush && in.len == 0 ? Z_SYNC_FLUSH : Z_NO_FLUSH);
			if (buf_append(out, piece, sizeof piece - d->w->avail_out) != 0)
				return ERR_NOMEM;
		} while (d->w->avail_out == 0);
	} while (in.len > 0);
	return 0;
}

bool
deflate_is_dirty(const struct deflate *d)
{
	return d->dirty;
}

static int
wake_reader(struct deflate *d)
{
	if (d->r != NULL)
		return 0;
	d->r = xcalloc(1, sizeof *d->r);
	if (inflateInit2(d->r, WINDOW_BITS) != Z_OK ||
	    (d->window_len > 0 && inflateSetDictionary(d->r, d->window, d->window_len) != Z_OK)) {
		end_reader(d);
		return ERR_NOMEM;
	}
	drop_window(d);
	return 0;
}

/* Nothing of the input is held, nothing of the output is to come. */
static bool
between_blocks(const struct deflate *d)
{
	/* zlib.h: 128: behind a block; the low bits: of the last byte, not used yet */
	return d->r->avail_in == 0 && (d->r->data_type & ~64) == 128;
}

int
deflate_read(struct deflate *d, struct slice in, size_t *used_out, unsigned char *out, size_t room)
{
	size_t given = in.len < UINT32_MAX / 2 ? in.len : UINT32_MAX / 2;
	int r, err;

	*used_out = 0;
	if (d->ended)
		return ERR_EOF;
	if ((given == 0 && !d->more) || room == 0)
		return 0;
	if ((err = wake_reader(d)) != 0)
		return err;
	if (room > INT32_MAX)
		room = INT32_MAX;
	d->r->next_in = (unsigned char *)(uintptr_t)in.ptr;
	d->r->avail_in = (uInt)given;
	d->r->next_out = out;
	d->r->avail_out = (uInt)room;
	/* Z_BLOCK stops at each boundary, where the stream can rest */
	do {
		r = inflate(d->r, Z_BLOCK);
	} while (r == Z_OK && d->r->avail_in > 0 && d->r->avail_out > 0);
	*used_out = given - d->r->avail_in;
	d->more = d->r->avail_out == 0 && !between_blocks(d);
	d->ended = r == Z_STREAM_END;
	if (r == Z_MEM_ERROR)
		return ERR_NOMEM;
	if (r != Z_OK && r != Z_BUF_ERROR && r != Z_STREAM_END)
		return ERR_PROTO;
	if (room == d->r->avail_out && d->ended)
		return ERR_EOF;
	return (int)(room - d->r->avail_out);
}

bool
deflate_has_more(const struct deflate *d)
{
	return d->more;
}

void
deflate_rest(struct deflate *d)
{
	if (!d->dirty)
		end_writer(d);
	if (d->r != NULL && !d->more && between_blocks(d)) {
		unsigned char window[WINDOW];
		uInt n = sizeof window;

		if (inflateGetDictionary(d->r, window, &n) != Z_OK)
			return;
		drop_window(d);
		if (n > 0) {
			d->window = xmalloc(n);
			memcpy(d->window, window, n);
			d->window_len = n;
		}
		end_reader(d);
	}
}

size_t
deflate_memory(const struct deflate *d)
{
	/* zconf.h: (1 << (windowBits + 2)) + (1 << (memLevel + 9)) for one direction, the window and about 7 KiB for the other */
	return sizeof *d + d->window_len +
	       (d->w != NULL ? (1u << 17) + (1u << (MEM_LEVEL + 9)) + 6000 : 0) +
	       (d->r != NULL ? WINDOW + 7200 : 0);
}
