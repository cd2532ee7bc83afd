/* buf.h: bytes with a hard maximum. NUL is data. A buf that would pass its cap, or for which there is
 * no memory, latches an error: appends after that do nothing, and the error is checked once at the end. */
#ifndef CV_BUF_H
#define CV_BUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Borrowed bytes; ptr may be NULL when len is 0. */
struct slice {
	const unsigned char *ptr;
	size_t len;
};

struct buf {
	unsigned char
	    *data; /* NULL until the first append; always NUL-terminated beyond len when not NULL */
	size_t len;
	size_t alloc;
	size_t cap; /* most bytes it may ever hold */
	int err;    /* 0, ERR_LIMIT or ERR_NOMEM */
};

/* Makes b empty, with cap bytes at most. No memory is taken until the first append. */
void buf_init(struct buf *b, size_t cap);
/* Frees the bytes; b is as after buf_init with the same cap. NULL is accepted. */
void buf_done(struct buf *b);
/* As buf_done, and overwrites the bytes first: for secrets. */
void buf_wipe(struct buf *b);
/* Drops content and error, keeps memory and cap. */
void buf_reset(struct buf *b);

/* Append n bytes at p (p may be NULL if n is 0). Each returns 0 or the latched error. */
int buf_append(struct buf *b, const void *p, size_t n);
int buf_append_slice(struct buf *b, struct slice s);
int buf_append_str(struct buf *b, const char *s);
int buf_append_byte(struct buf *b, unsigned char c);
/* printf into the buffer; the NUL is not counted. */
int buf_appendf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vappendf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));
/* Big-endian numbers. */
int buf_append_u16(struct buf *b, uint16_t v);
/* In decimal; with leading zeros when it has fewer than digits (0 to 20). Many times faster than buf_appendf. */
int buf_append_decimal(struct buf *b, uint64_t v, unsigned digits);
int buf_append_u32(struct buf *b, uint32_t v);
int buf_append_u64(struct buf *b, uint64_t v);

/* Makes room for n more bytes and gives their address, NULL on error (latched). Follow with buf_commit. */
unsigned char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Removes the first n bytes (n <= len). */
void buf_consume(struct buf *b, size_t n);
/* Cuts to n bytes (n <= len). */
void buf_truncate(struct buf *b, size_t n);
/* The content as a C string, "" when empty; valid until the next change. May hold NULs inside. */
const char *buf_cstr(struct buf *b);
/* Gives the allocation to the caller (free it); b is empty afterwards. NULL when empty. */
unsigned char *buf_take(struct buf *b, size_t *len_out);

static inline struct slice
buf_slice(const struct buf *b)
{
	return (struct slice){b->data, b->len};
}

static inline struct slice
slice_of(const void *p, size_t n)
{
	return (struct slice){(const unsigned char *)p, n};
}

/* A slice of a C string; NULL gives the empty slice. */
struct slice slice_str(const char *s);
bool slice_eq(struct slice a, struct slice b);
bool slice_eq_str(struct slice a, const char *s);
/* ASCII case-insensitive. */
bool slice_caseeq(struct slice a, struct slice b);
bool slice_caseeq_str(struct slice a, const char *s);
bool slice_starts(struct slice s, const char *prefix);
bool slice_casestarts(struct slice s, const char *prefix);
bool slice_is_ascii(struct slice s); /* no octet above 0x7f; the empty one is */
/* Byte-wise order as memcmp, the shorter first. */
int slice_cmp(struct slice a, struct slice b);
/* Index of c in s, or -1. */
ptrdiff_t slice_index(struct slice s, unsigned char c);
/* Index of needle in s, or -1; an empty needle is at 0. */
ptrdiff_t slice_find(struct slice s, struct slice needle);
/* From byte at (bounded) to the end. */
struct slice slice_from(struct slice s, size_t at);
/* n bytes from at, both bounded by s. */
struct slice slice_sub(struct slice s, size_t at, size_t n);
/* Without ASCII spaces and tabs at both ends. */
struct slice slice_trim(struct slice s);
/* malloc'd NUL-terminated copy, NULL for no memory; the caller frees it. */
char *slice_dup(struct slice s);
/* Value of a hexadecimal digit; -1 for any other byte. */
int hex_value(unsigned char c);
/* Lower-case hex; out has 2 * n + 1 bytes. */
void hex_encode(const unsigned char *p, size_t n, char *out);
/* Exactly 2 * n hex digits. 0 or ERR_SYNTAX. */
int hex_decode(struct slice hex, unsigned char *out, size_t n);
/* Decimal number of all of s: 0, ERR_SYNTAX or ERR_RANGE (above max). No sign, no space, not empty. */
int slice_to_u64(struct slice s, uint64_t max, uint64_t *v_out);

#endif
