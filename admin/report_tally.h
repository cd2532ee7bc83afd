/* report_tally.h: how often what: names with a few numbers each, bounded. Pure. */
#ifndef CV_REPORT_TALLY_H
#define CV_REPORT_TALLY_H

#include "lib/json.h"

enum { TALLY_NUMBERS = 6, TALLY_NAMES_MAX = 10000 };

struct tally {
	struct tally_row {
		char *name;
		uint64_t n[TALLY_NUMBERS];
	} * rows; /* sorted by name */
	size_t n_rows, alloc;
	uint64_t others[TALLY_NUMBERS]; /* of names beyond the bound */
};
/* Adds by to a number of a name. */
void tally_add(struct tally *t, struct slice name, unsigned number, uint64_t by);
/* Keeps the largest. */
void tally_max(struct tally *t, struct slice name, unsigned number, uint64_t v);
/* The row with the largest sum of its numbers first. */
void tally_sort(struct tally *t);
void tally_done(struct tally *t);
/* [{key: name, keys[0]: n, ...}]; names as shown.h shows them; keys ended by NULL. After tally_sort. */
struct json *tally_json(const struct tally *t, const char *key, const char *const *keys);

#endif
