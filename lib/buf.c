/* buf.c: bounded byte buffers and slices. Pure; runs in every process. Invariants: len <= cap, data is
 * NUL-terminated beyond len whenever it is not NULL, and after an error nothing is appended. */
#include "config.h"

#include "lib/buf.h"

#include "lib/err.h"
#include "lib/octets.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHORT_NEEDLE = 64 };

void
buf_init(struct buf *b, size_t cap)
{
	*b = (struct buf){.cap = cap};
}

void
buf_done(struct buf *b)
{
	if (b == NULL)
		return;
	free(b->data);
	buf_init(b, b->cap);
}

void
buf_wipe(struct buf *b)
{
	if (b == NULL)
		return;
	if (b->data != NULL)
		explicit_bzero(b->data, b->alloc);
	buf_done(b);
}

void
buf_reset(struct buf *b)
{
	b->len = 0;
	b->err = 0;
	if (b->data != NULL)
		b->data[0] = '\0';
}

unsigned char *
buf_reserve(struct buf *b, size_t n)
{
	if (b->err != 0)
		return NULL;
	if (n > b->cap - b->len) {
		b->err = ERR_LIMIT;
		return NULL;
	}
	size_t need = b->len + n + 1;
	if (need > b->alloc || b->data == NULL) {
		/* doubling keeps appends linear; the cap bounds it */
		size_t want = b->alloc < 64 ? 64 : b->alloc * 2;
		if (want < need)
			want = need;
		if (want > b->cap + 1)
			want = b->cap + 1;
		unsigned char *p = realloc(b->data, want);
		if (p == NULL) {
			b->err = ERR_NOMEM;
			return NULL;
		}
		b->data = p;
		b->alloc = want;
	}
	return b->data + b->len;
}

void
buf_commit(struct buf *b, size_t n)
{
	assert(b->data != NULL && n < b->alloc - b->len);
	b->len += n;
	b->data[b->len] = '\0';
}

int
buf_append(struct buf *b, const void *p, size_t n)
{
	unsigned char *to = buf_reserve(b, n);

	if (to == NULL)
		return b->err;
	if (n > 0)
		memcpy(to, p, n);
	buf_commit(b, n);
	return 0;
}

int
buf_append_slice(struct buf *b, struct slice s)
{
	return buf_append(b, s.ptr, s.len);
}

int
buf_append_str(struct buf *b, const char *s)
{
	return buf_append(b, s, strlen(s));
}

int
buf_append_byte(struct buf *b, unsigned char c)
{
	return buf_append(b, &c, 1);
}

int
buf_vappendf(struct buf *b, const char *fmt, va_list ap)
{
	char small[256];
	va_list again;

	if (b->err != 0)
		return b->err;
	va_copy(again, ap);
	int n = vsnprintf(small, sizeof(small), fmt, ap);
	if (n < 0) {
		b->err = ERR_NOMEM;
	} else if ((size_t)n < sizeof(small)) {
		buf_append(b, small, (size_t)n);
	} else {
		unsigned char *to = buf_reserve(b, (size_t)n);
		if (to != NULL) {
			/* room for the NUL is always there: buf_reserve adds one */
			vsnprintf((char *)to, (size_t)n + 1, fmt, again);
			buf_commit(b, (size_t)n);
		}
	}
	va_end(again);
	return b->err;
}

int
buf_appendf(struct buf *b, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int r = buf_vappendf(b, fmt, ap);
	va_end(ap);
	return r;
}

static int
append_be(struct buf *b, uint64_t v, size_t n)
{
	unsigned char tmp[8];

	for (size_t i = 0; i < n; i++)
		tmp[i] = (unsigned char)(v >> (8 * (n - 1 - i)));
	return buf_append(b, tmp, n);
}

int
buf_append_decimal(struct buf *b, uint64_t v, unsigned digits)
{
	char text[20];
	size_t at = sizeof(text);

	do
		text[--at] = (char)('0' + v % 10);
	while ((v /= 10) > 0);
	while (at > 0 && sizeof(text) - at < digits)
		text[--at] = '0';
	return buf_append(b, text + at, sizeof(text) - at);
}

int
buf_append_u16(struct buf *b, uint16_t v)
{
	return append_be(b, v, 2);
}

int
buf_append_u32(struct buf *b, uint32_t v)
{
	return append_be(b, v, 4);
}

int
buf_append_u64(struct buf *b, uint64_t v)
{
	return append_be(b, v, 8);
}

void
buf_consume(struct buf *b, size_t n)
{
	assert(n <= b->len);
	if (n == 0)
		return;
	b->len -= n;
	if (b->len > 0)
		memmove(b->data, b->data + n, b->len);
	b->data[b->len] = '\0';
}

void
buf_truncate(struct buf *b, size_t n)
{
	assert(n <= b->len);
	b->len = n;
	if (b->data != NULL)
		b->data[n] = '\0';
}

const char *
buf_cstr(struct buf *b)
{
	return b->data == NULL ? "" : (const char *)b->data;
}

unsigned char *
buf_take(struct buf *b, size_t *len_out)
{
	unsigned char *p = b->data;

	if (b->len == 0) {
		*len_out = 0;
		buf_done(b);
		return NULL;
	}
	*len_out = b->len;
	buf_init(b, b->cap);
	return p;
}

struct slice
slice_str(const char *s)
{
	return s == NULL ? (struct slice){NULL, 0} : slice_of(s, strlen(s));
}

bool
slice_eq(struct slice a, struct slice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool
slice_eq_str(struct slice a, const char *s)
{
	return slice_eq(a, slice_str(s));
}

static unsigned char
ascii_lower(unsigned char c)
{
	return c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c;
}

static bool
same_nocase(const unsigned char *a, const unsigned char *b, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (ascii_lower(a[i]) != ascii_lower(b[i]))
			return false;
	return true;
}

bool
slice_caseeq(struct slice a, struct slice b)
{
	return a.len == b.len && same_nocase(a.ptr, b.ptr, a.len);
}

bool
slice_caseeq_str(struct slice a, const char *s)
{
	return slice_caseeq(a, slice_str(s));
}

bool
slice_starts(struct slice s, const char *prefix)
{
	struct slice p = slice_str(prefix);

	return s.len >= p.len && (p.len == 0 || memcmp(s.ptr, p.ptr, p.len) == 0);
}

bool
slice_casestarts(struct slice s, const char *prefix)
{
	struct slice p = slice_str(prefix);

	return s.len >= p.len && same_nocase(s.ptr, p.ptr, p.len);
}

bool
slice_is_ascii(struct slice s)
{
	size_t i = 0;

	for (; s.len - i >= 64; i += 64)
		if (octets64_any_high(s.ptr + i))
			return false;
	for (; i < s.len; i++)
		if (s.ptr[i] >= 0x80)
			return false;
	return true;
}

int
slice_cmp(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = n == 0 ? 0 : memcmp(a.ptr, b.ptr, n);

	if (r != 0)
		return r;
	return a.len < b.len ? -1 : a.len > b.len;
}

ptrdiff_t
slice_index(struct slice s, unsigned char c)
{
	const unsigned char *p = s.len == 0 ? NULL : memchr(s.ptr, c, s.len);

	return p == NULL ? -1 : p - s.ptr;
}

/* Where first and last octet of the needle stand right: seldom anywhere else than where it does. Its length bounds what a text made for it can cost. */
static ptrdiff_t
find_short(struct slice s, struct slice needle)
{
	size_t last = needle.len - 1, i = 0;
	const unsigned char *p;

	for (; s.len - i >= 64 + last; i += 64) {
		uint64_t m = octets64_eq(s.ptr + i, needle.ptr[0]);

		if (m != 0)
			m &= octets64_eq(s.ptr + i + last, needle.ptr[last]);
		for (; m != 0; m &= m - 1) {
			size_t at = i + (size_t)__builtin_ctzll(m);

			if (memcmp(s.ptr + at + 1, needle.ptr + 1, last - 1) == 0)
				return (ptrdiff_t)at;
		}
	}
	p = s.len - i < needle.len ? NULL : memmem(s.ptr + i, s.len - i, needle.ptr, needle.len);
	return p == NULL ? -1 : p - s.ptr;
}

ptrdiff_t
slice_find(struct slice s, struct slice needle)
{
	if (needle.len == 0)
		return 0;
	if (s.len < needle.len)
		return -1;
	if (needle.len >= 2 && needle.len <= SHORT_NEEDLE)
		return find_short(s, needle);
	const unsigned char *p = memmem(s.ptr, s.len, needle.ptr, needle.len);
	return p == NULL ? -1 : p - s.ptr;
}

struct slice
slice_from(struct slice s, size_t at)
{
	if (at >= s.len)
		return slice_of(s.ptr == NULL ? NULL : s.ptr + s.len, 0);
	return slice_of(s.ptr + at, s.len - at);
}

struct slice
slice_sub(struct slice s, size_t at, size_t n)
{
	struct slice r = slice_from(s, at);

	if (n < r.len)
		r.len = n;
	return r;
}

struct slice
slice_trim(struct slice s)
{
	while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
		s.ptr++;
		s.len--;
	}
	while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
		s.len--;
	return s;
}

char *
slice_dup(struct slice s)
{
	char *p = malloc(s.len + 1);

	if (p == NULL)
		return NULL;
	if (s.len > 0)
		memcpy(p, s.ptr, s.len);
	p[s.len] = '\0';
	return p;
}

int
hex_value(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
		return (c | 0x20) - 'a' + 10;
	return -1;
}

void
hex_encode(const unsigned char *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

int
hex_decode(struct slice hex, unsigned char *out, size_t n)
{
	if (hex.len / 2 != n || hex.len % 2 != 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < hex.len; i++)
		if (hex_value(hex.ptr[i]) < 0)
			return ERR_SYNTAX;
	for (size_t i = 0; i < n; i++)
		out[i] =
		    (unsigned char)(hex_value(hex.ptr[2 * i]) << 4 | hex_value(hex.ptr[2 * i + 1]));
	return 0;
}

int
slice_to_u64(struct slice s, uint64_t max, uint64_t *v_out)
{
	uint64_t v = 0;

	if (s.len == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return ERR_SYNTAX;
	for (size_t i = 0; i < s.len; i++) {
		unsigned d = s.ptr[i] - (unsigned)'0';
		if (v > (UINT64_MAX - d) / 10)
			return ERR_RANGE;
		v = v * 10 + d;
	}
	if (v > max)
		return ERR_RANGE;
	*v_out = v;
	return 0;
}
