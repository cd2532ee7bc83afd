/* sort_key.h: the criteria of SORT and the order they make. Pure. RFC 5256 (SORT), RFC 5957 (DISPLAYFROM, DISPLAYTO). Texts are compared by
 * i;unicode-casemap (lib/uni.h uni_casemap). */
#ifndef CV_SORT_KEY_H
#define CV_SORT_KEY_H

#include "imapd/envelope_read.h"
#include "imapd/imap_cur.h"

#define SORT_CRITERIA_MAX 16
#define SORT_TEXT_MAX 1024 /* octets of a text that are compared */

enum sort_kind {
	SORT_ARRIVAL,
	SORT_CC,
	SORT_DATE,
	SORT_DISPLAYFROM,
	SORT_DISPLAYTO,
	SORT_FROM,
	SORT_SIZE,
	SORT_SUBJECT,
	SORT_TO,
};
struct sort_program {
	size_t n;
	struct {
		enum sort_kind kind;
		bool reverse;
	} by[SORT_CRITERIA_MAX];
};
/* "(REVERSE DATE SUBJECT)" */
bool sort_program_parse(struct imap_cur *c, struct sort_program *out);

/* What a message brings to a sort. */
struct sort_facts {
	int64_t arrival, sent; /* seconds since 1970 */
	uint64_t size;
	const struct envelope *env;
};
struct sort_value {
	int64_t number;
	struct slice text;
};
struct sort_item {
	uint32_t index;           /* in the mailbox: the last criterion */
	struct sort_value *value; /* one for each criterion */
};
/* Fills value; texts go to the arena. 0 or ERR_NOMEM. */
int sort_item_fill(const struct sort_program *p, const struct sort_facts *f, struct arena *a,
    struct sort_value *value);
void sort_items(const struct sort_program *p, struct sort_item *items, size_t n);
/* The base subject in the form that is compared, in the arena; empty: none, or no memory. is_reply_out may be NULL. */
struct slice sort_subject(const struct envelope *e, struct arena *a, bool *is_reply_out);

#endif
