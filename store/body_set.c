/* body_set.c: see body_set.h. Runs in stored. */
#include "store/body_set.h"

#include <stdlib.h>

#include "lib/log.h"

enum { PAGE_BITS = 32768, WORD_BITS = 64, PAGE_WORDS = PAGE_BITS / WORD_BITS };

struct body_set {
	uint64_t **pages;
	size_t n_pages, made;
	uint64_t count;
};

struct body_set *
body_set_new(void)
{
	return xcalloc(1, sizeof(struct body_set));
}

void
body_set_free(struct body_set *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->n_pages; i++)
		free(s->pages[i]);
	free(s->pages);
	free(s);
}

static uint64_t
bit(uint64_t body)
{
	return (uint64_t)1 << body % WORD_BITS;
}

/* The word of a number, or NULL. */
static uint64_t *
word(const struct body_set *s, uint64_t body)
{
	uint64_t page = body / PAGE_BITS;

	return page >= s->n_pages || s->pages[page] == NULL
		   ? NULL
		   : &s->pages[page][body % PAGE_BITS / WORD_BITS];
}

static uint64_t *
word_made(struct body_set *s, uint64_t body)
{
	size_t page = (size_t)(body / PAGE_BITS);

	if (page >= s->n_pages) {
		s->pages = xrealloc(s->pages, (page + 1) * sizeof *s->pages);
		for (size_t i = s->n_pages; i <= page; i++)
			s->pages[i] = NULL;
		s->n_pages = page + 1;
	}
	if (s->pages[page] == NULL) {
		s->pages[page] = xcalloc(PAGE_WORDS, sizeof **s->pages);
		s->made++;
	}
	return word(s, body);
}

bool
body_set_add(struct body_set *s, uint64_t body)
{
	uint64_t *w;

	if (body >= BODY_SET_MAX)
		return false;
	w = word_made(s, body);
	if ((*w & bit(body)) != 0)
		return false;
	*w |= bit(body);
	s->count++;
	return true;
}

bool
body_set_remove(struct body_set *s, uint64_t body)
{
	uint64_t *w = body >= BODY_SET_MAX ? NULL : word(s, body);

	if (w == NULL || (*w & bit(body)) == 0)
		return false;
	*w &= ~bit(body);
	s->count--;
	return true;
}

bool
body_set_has(const struct body_set *s, uint64_t body)
{
	const uint64_t *w = s == NULL || body >= BODY_SET_MAX ? NULL : word(s, body);

	return w != NULL && (*w & bit(body)) != 0;
}

uint64_t
body_set_count(const struct body_set *s)
{
	return s->count;
}

size_t
body_set_memory(const struct body_set *s)
{
	return s->n_pages * sizeof *s->pages + s->made * PAGE_WORDS * sizeof **s->pages;
}
