/* body_set.h: a set of body numbers: one bit each, in pages that are made when they are needed. Pure; runs in stored (backend_kv_space.c),
 * whose lock guards it.
 *
 * Numbers are given in rising order, so what a set of some of them takes is about an eighth of an octet a body. */
#ifndef CV_BODY_SET_H
#define CV_BODY_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BODY_SET_MAX ((uint64_t)1 << 40) /* numbers from here on are not taken */

struct body_set;
struct body_set *body_set_new(void);
void body_set_free(struct body_set *s); /* NULL accepted */
/* Whether it was not there before; false for a number that is not taken. */
bool body_set_add(struct body_set *s, uint64_t body);
/* Whether it was there. */
bool body_set_remove(struct body_set *s, uint64_t body);
bool body_set_has(const struct body_set *s, uint64_t body); /* s may be NULL: it has none */
uint64_t body_set_count(const struct body_set *s);
/* Octets it takes. */
size_t body_set_memory(const struct body_set *s);

#endif
