/* stored_hold.c: legal holds. Runs in stored. A hold is a row "l/h<number>" of the account, which cites a decision and stays as a record when
 * it is over. While one is in force nothing of the account's mail leaves the store: what is expunged, or moved to another account, becomes a
 * retained row whatever undelete_days says, deleted mailboxes keep their objects, nothing retained is trimmed. Users see no
 * difference. Who is held stands in the registry as well ("h/<account>"), so that all of them can be named. */
#include "store/stored_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { HOLDS_MAX = 1000 };

bool
account_is_held(const struct account *a)
{
	int64_t now = now_s();

	for (const struct hold *h = a->holds; h != NULL; h = h->next)
		if (hold_row_holds(&h->row, now))
			return true;
	return false;
}

/* The hold of that number with a new value, made when there is none. */
static int
hold_set(struct account *a, uint64_t number, struct slice value)
{
	struct hold **at = &a->holds, *h;
	struct hold_row row;

	if (hold_row_decode(value, &row) != 0)
		return ERR_CORRUPT;
	while (*at != NULL && (*at)->number < number)
		at = &(*at)->next;
	if (*at == NULL || (*at)->number != number) {
		h = xcalloc(1, sizeof *h);
		h->number = number;
		buf_init(&h->raw, BACKEND_VALUE_MAX);
		h->next = *at;
		*at = h;
	}
	h = *at;
	buf_reset(&h->raw);
	buf_append_slice(&h->raw, value);
	return hold_row_decode(buf_slice(&h->raw), &h->row);
}

int
hold_load(struct account *a, struct slice key, struct slice value)
{
	uint64_t number;
	int err = key_number(slice_from(key, 1), 16, &number);

	return err != 0 ? err : hold_set(a, number, value);
}

void
holds_free(struct account *a)
{
	struct hold *h;

	while ((h = a->holds) != NULL) {
		a->holds = h->next;
		buf_done(&h->raw);
		free(h);
	}
}
