/* arena.h: memory of one SMTP transaction or one IMAP command, given back all at once. Bounded. Never
 * for secrets (those live in a buf and end in buf_wipe). */
#ifndef CV_ARENA_H
#define CV_ARENA_H

#include "lib/buf.h"

struct arena;

/* An arena that gives out at most cap bytes; NULL for no memory. */
struct arena *arena_new(size_t cap);
/* Frees everything given out. NULL is accepted. */
void arena_free(struct arena *a);
/* Takes back everything given out, keeps a little memory for the next use. */
void arena_reset(struct arena *a);

/* n zeroed bytes aligned for any type; NULL past the cap or for no memory. */
void *arena_alloc(struct arena *a, size_t n);
/* n * size, checked for overflow. */
void *arena_calloc(struct arena *a, size_t n, size_t size);
/* NUL-terminated copies; NULL as above. */
char *arena_strdup(struct arena *a, const char *s);
char *arena_slicedup(struct arena *a, struct slice s);
struct slice arena_slice(struct arena *a, struct slice s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Bytes given out so far. */
size_t arena_used(const struct arena *a);

#endif
