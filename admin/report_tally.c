/* report_tally.c: counters by name. Pure; runs in congvu. Names come from senders (signers, agencies of the directory, rules): a bound keeps a day's log from
 * filling the memory; what is beyond is counted together. */
#include "config.h"

#include "admin/report_tally.h"

#include "admin/shown.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

static int
order(const struct tally_row *r, struct slice name)
{
	return slice_cmp(slice_str(r->name), name);
}

static uint64_t *
numbers_of(struct tally *t, struct slice name)
{
	size_t lo = 0, hi = t->n_rows;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;
		int c = order(&t->rows[mid], name);

		if (c == 0)
			return t->rows[mid].n;
		if (c < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (t->n_rows >= TALLY_NAMES_MAX)
		return t->others;
	if (t->n_rows == t->alloc) {
		t->alloc = t->alloc == 0 ? 64 : 2 * t->alloc;
		t->rows = xrealloc(t->rows, t->alloc * sizeof *t->rows);
	}
	memmove(t->rows + lo + 1, t->rows + lo, (t->n_rows - lo) * sizeof *t->rows);
	t->n_rows++;
	memset(&t->rows[lo], 0, sizeof t->rows[lo]);
	t->rows[lo].name = slice_dup(name);
	if (t->rows[lo].name == NULL)
		fatal("out of memory");
	return t->rows[lo].n;
}

void
tally_add(struct tally *t, struct slice name, unsigned number, uint64_t by)
{
	numbers_of(t, name)[number] += by;
}

void
tally_max(struct tally *t, struct slice name, unsigned number, uint64_t v)
{
	uint64_t *n = numbers_of(t, name);

	if (v > n[number])
		n[number] = v;
}

static int
by_sum(const void *a, const void *b)
{
	const struct tally_row *x = a, *y = b;
	uint64_t sx = 0, sy = 0;

	for (unsigned i = 0; i < TALLY_NUMBERS; i++) {
		sx += x->n[i];
		sy += y->n[i];
	}
	return sx != sy ? (sx > sy ? -1 : 1) : strcmp(x->name, y->name);
}

void
tally_sort(struct tally *t)
{
	if (t->n_rows > 1)
		qsort(t->rows, t->n_rows, sizeof *t->rows, by_sum);
}

void
tally_done(struct tally *t)
{
	for (size_t i = 0; i < t->n_rows; i++)
		free(t->rows[i].name);
	free(t->rows);
	memset(t, 0, sizeof *t);
}

struct json *
tally_json(const struct tally *t, const char *key, const char *const *keys)
{
	struct json *arr = json_arr_new(), *o;
	struct buf b;

	for (size_t i = 0; i < t->n_rows; i++) {
		o = json_obj_new();
		buf_init(&b, 65536);
		shown_append(slice_str(t->rows[i].name), SHOWN_TEXT, &b);
		json_set_slice(o, key, buf_slice(&b));
		buf_done(&b);
		for (unsigned k = 0; keys[k] != NULL; k++)
			json_set_int(o, keys[k], (int64_t)t->rows[i].n[k]);
		json_push_take(arr, o);
	}
	return arr;
}
