/* ipc_payload.c: typed put and get for payloads. Big-endian; strings and byte strings are u32 length + bytes.
 * Pure; runs in every process. A reader latches its first error and then gives zeroes, so that callers check
 * once at the end; nothing it gives points outside the payload. */
#include "config.h"

#include "lib/ipc.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

int
ipc_put_u8(struct buf *b, uint8_t v)
{
	return buf_append_byte(b, v);
}

int
ipc_put_u16(struct buf *b, uint16_t v)
{
	return buf_append_u16(b, v);
}

int
ipc_put_u32(struct buf *b, uint32_t v)
{
	return buf_append_u32(b, v);
}

int
ipc_put_u64(struct buf *b, uint64_t v)
{
	return buf_append_u64(b, v);
}

int
ipc_put_i64(struct buf *b, int64_t v)
{
	return buf_append_u64(b, (uint64_t)v);
}

int
ipc_put_slice(struct buf *b, struct slice s)
{
	if (s.len > UINT32_MAX)
		return b->err = ERR_LIMIT;
	buf_append_u32(b, (uint32_t)s.len);
	return buf_append_slice(b, s);
}

int
ipc_put_str(struct buf *b, const char *s)
{
	return ipc_put_slice(b, slice_str(s));
}

void
ipc_reader_init(struct ipc_reader *r, struct slice payload)
{
	r->rest = payload;
	r->err = 0;
}

/* The next n bytes, or NULL with the error latched. */
static const unsigned char *
take(struct ipc_reader *r, size_t n)
{
	const unsigned char *p = r->rest.ptr;

	if (r->err != 0 || n > r->rest.len) {
		r->err = ERR_PROTO;
		return NULL;
	}
	r->rest = slice_from(r->rest, n);
	return p;
}

static uint64_t
get_number(struct ipc_reader *r, size_t width)
{
	const unsigned char *p = take(r, width);
	uint64_t v = 0;

	if (p == NULL)
		return 0;
	for (size_t i = 0; i < width; i++)
		v = v << 8 | p[i];
	return v;
}

uint8_t
ipc_get_u8(struct ipc_reader *r)
{
	return (uint8_t)get_number(r, 1);
}

uint16_t
ipc_get_u16(struct ipc_reader *r)
{
	return (uint16_t)get_number(r, 2);
}

uint32_t
ipc_get_u32(struct ipc_reader *r)
{
	return (uint32_t)get_number(r, 4);
}

uint64_t
ipc_get_u64(struct ipc_reader *r)
{
	return get_number(r, 8);
}

int64_t
ipc_get_i64(struct ipc_reader *r)
{
	return (int64_t)get_number(r, 8);
}

struct slice
ipc_get_slice(struct ipc_reader *r)
{
	uint32_t n = ipc_get_u32(r);
	const unsigned char *p = r->err == 0 ? take(r, n) : NULL;

	return p == NULL ? (struct slice){NULL, 0} : slice_of(p, n);
}

char *
ipc_get_strdup(struct ipc_reader *r)
{
	struct slice s = ipc_get_slice(r);
	char *copy;

	if (r->err != 0)
		return NULL;
	if (s.len > 0 && memchr(s.ptr, '\0', s.len) != NULL) {
		r->err = ERR_PROTO;
		return NULL;
	}
	copy = slice_dup(s);
	if (copy == NULL)
		r->err = ERR_NOMEM;
	return copy;
}

uint32_t
ipc_get_count(struct ipc_reader *r, uint32_t max, size_t min_size)
{
	uint32_t n = ipc_get_u32(r);

	if (r->err != 0)
		return 0;
	if (n > max || (min_size > 0 && n > r->rest.len / min_size)) {
		r->err = ERR_PROTO;
		return 0;
	}
	return n;
}

int
ipc_reader_end(struct ipc_reader *r)
{
	if (r->err == 0 && r->rest.len > 0)
		r->err = ERR_PROTO;
	return r->err;
}
