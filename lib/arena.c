/* arena.c: memory that ends all at once: of one SMTP transaction or IMAP command. Runs in every process.
 * Blocks grow from 1 KiB, doubling to 64 KiB; larger requests get a block of their own. Invariant: used never
 * passes cap, whatever the peer sends. */
#include "config.h"

#include "lib/arena.h"

#include <assert.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_MIN = 1024, BLOCK_MAX = 65536 };

struct block {
	struct block *next;
	size_t size;
	size_t used;
	alignas(max_align_t) unsigned char bytes[];
};

struct arena {
	struct block *head;
	size_t cap;
	size_t used;
	size_t next_size;
};

struct arena *
arena_new(size_t cap)
{
	struct arena *a = malloc(sizeof(*a));

	if (a != NULL)
		*a = (struct arena){.cap = cap, .next_size = BLOCK_MIN};
	return a;
}

static void
free_blocks(struct block *b)
{
	while (b != NULL) {
		struct block *next = b->next;
		free(b);
		b = next;
	}
}

void
arena_free(struct arena *a)
{
	if (a == NULL)
		return;
	free_blocks(a->head);
	free(a);
}

void
arena_reset(struct arena *a)
{
	struct block *keep = NULL;

	/* one small block stays, so that the next command takes no memory */
	for (struct block **p = &a->head; *p != NULL; p = &(*p)->next)
		if ((*p)->size == BLOCK_MIN) {
			keep = *p;
			*p = keep->next;
			break;
		}
	free_blocks(a->head);
	a->head = keep;
	if (keep != NULL) {
		keep->next = NULL;
		keep->used = 0;
	}
	a->used = 0;
	a->next_size = keep != NULL ? 2 * BLOCK_MIN : BLOCK_MIN;
}

static struct block *
block_add(struct arena *a, size_t n)
{
	size_t size = a->next_size;

	if (n > size)
		size = n;
	else if (a->next_size < BLOCK_MAX)
		a->next_size *= 2;
	struct block *b = malloc(sizeof(*b) + size);
	if (b == NULL)
		return NULL;
	b->size = size;
	b->used = 0;
	/* a block made for one large thing goes behind the current one, which still has room */
	if (a->head != NULL && size == n) {
		b->next = a->head->next;
		a->head->next = b;
	} else {
		b->next = a->head;
		a->head = b;
	}
	return b;
}

void *
arena_alloc(struct arena *a, size_t n)
{
	size_t align = alignof(max_align_t);

	if (n > SIZE_MAX - align)
		return NULL;
	n = (n + align - 1) / align * align;
	if (n == 0)
		n = align;
	if (n > a->cap - a->used)
		return NULL;
	struct block *b = a->head;
	if (b == NULL || n > b->size - b->used)
		b = block_add(a, n);
	if (b == NULL)
		return NULL;
	void *p = b->bytes + b->used;
	b->used += n;
	a->used += n;
	memset(p, 0, n);
	return p;
}

void *
arena_calloc(struct arena *a, size_t n, size_t size)
{
	size_t all;

	if (__builtin_mul_overflow(n, size, &all))
		return NULL;
	return arena_alloc(a, all);
}

char *
arena_slicedup(struct arena *a, struct slice s)
{
	if (s.len == SIZE_MAX)
		return NULL;
	char *p = arena_alloc(a, s.len + 1);
	if (p != NULL && s.len > 0)
		memcpy(p, s.ptr, s.len);
	return p;
}

char *
arena_strdup(struct arena *a, const char *s)
{
	return arena_slicedup(a, slice_str(s));
}

struct slice
arena_slice(struct arena *a, struct slice s)
{
	const char *p = arena_slicedup(a, s);

	return p == NULL ? slice_of(NULL, 0) : slice_of(p, s.len);
}

char *
arena_printf(struct arena *a, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		return NULL;
	char *p = arena_alloc(a, (size_t)n + 1);
	if (p == NULL)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(p, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return p;
}

size_t
arena_used(const struct arena *a)
{
	return a->used;
}
