/* row_bodies.c: see row_bodies.h. A new kind of row gets a line in the table: with a function when it names bodies, with NULL when it does not.
 * Runs in stored. */
#include "store/row_bodies.h"

#include "lib/err.h"
#include "store/index_block.h"
#include "store/kept.h"
#include "store/row.h"
#include "store/text_row.h"

/* "m/": a message */
static int
of_message(struct slice value, row_body_fn fn, void *arg)
{
	struct msg_row r;
	int err = msg_row_decode(value, &r);

	if (err == 0)
		fn(arg, r.body);
	return err;
}

/* "k/": a message that was expunged and is restorable */
static int
of_kept(struct slice value, row_body_fn fn, void *arg)
{
	struct kept_row k;
	int err = kept_row_decode(value, &k);

	return err == 0 ? of_message(k.row, fn, arg) : err;
}

/* "t/": a block of the index for SEARCH */
static int
of_index(struct slice value, row_body_fn fn, void *arg)
{
	uint64_t body;
	int err = index_row_body(value, &body);

	if (err == 0)
		fn(arg, body);
	return err;
}

/* "e/": the text of the documents in a body */
static int
of_text(struct slice value, row_body_fn fn, void *arg)
{
	struct text_read t;
	int err = text_read_decode(value, &t);

	if (err == 0 && t.text != 0)
		fn(arg, t.text);
	return err;
}

static const struct kind {
	const char *object; /* how its id begins */
	const char *key;    /* how the key begins; "h" is the whole of it */
	int (*bodies)(struct slice value, row_body_fn fn, void *arg); /* NULL: names none */
} kinds[] = {
    {"m.", "h", NULL},            /* header */
    {"m.", "m/", of_message},     /* messages */
    {"m.", "c/", NULL},           /* changes */
    {"m.", "x/", NULL},           /* UIDs expunged */
    {"m.", "d/", NULL},           /* deliveries seen */
    {"m.", "i/", NULL},           /* moves out of here */
    {"m.", "o/", NULL},           /* moves to here */
    {"m.", "k/", of_kept},        /* retained */
    {"m.", "t/", of_index},       /* index for SEARCH */
    {"a.", "h", NULL},            /* header */
    {"a.", "b/", NULL},           /* names */
    {"a.", "s/", NULL},           /* subscriptions */
    {"a.", "l/b", NULL},          /* deleted mailboxes: their objects stay as they were */
    {"a.", "l/h", NULL},          /* legal holds */
    {"s.", "h", NULL},            /* of the whole store: header */
    {"s.", "l/p", NULL},          /* purges */
    {TEXT_OBJECT, "w/", NULL},    /* texts of documents that are wanted */
    {TEXT_OBJECT, "e/", of_text}, /* read */
    {TEXT_OBJECT, "f/", NULL},    /* given up */
    {TEXT_OBJECT, "p", NULL},     /* how far old mail was looked through for them */
};

static const struct kind *
kind_of(struct slice object, struct slice key)
{
	for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
		const struct kind *k = &kinds[i];

		if (slice_starts(object, k->object) && slice_starts(key, k->key) &&
		    (k->key[1] != '\0' || key.len == 1))
			return k;
	}
	return NULL;
}

int
row_bodies(struct slice object, struct slice key, struct slice value, row_body_fn fn, void *arg)
{
	const struct kind *k = kind_of(object, key);

	if (k == NULL)
		return ERR_UNSUPPORTED;
	return k->bodies == NULL ? 0 : k->bodies(value, fn, arg);
}

bool
row_is_weak(struct slice object, struct slice key, uint64_t *of_out)
{
	return slice_eq_str(object, TEXT_OBJECT) && slice_starts(key, "e/") &&
	       text_key_body(key, of_out) == 0;
}

static void
count_text(struct slice key, struct slice value, struct row_counts *c)
{
	struct text_wanted w;
	struct text_read t;

	if (slice_starts(key, "w/") && text_wanted_decode(value, &w) == 0) {
		c->texts_wanted++;
		if (c->texts_since == 0 || w.since < c->texts_since)
			c->texts_since = w.since;
	} else if (slice_starts(key, "e/") && text_read_decode(value, &t) == 0) {
		c->texts_read += t.text != 0;
		c->texts_none += t.text == 0;
	} else if (slice_starts(key, "f/")) {
		c->texts_failed++;
	}
}

void
row_count(struct slice object, struct slice key, struct slice value, struct row_counts *c)
{
	struct kept_row kept;
	struct hold_row hold;
	struct msg_row r;

	c->rows++;
	if (slice_eq_str(key, "h")) {
		c->accounts += slice_starts(object, "a.");
		c->mailboxes += slice_starts(object, "m.");
	} else if (slice_starts(object, "m.") && slice_starts(key, "m/") &&
		   msg_row_decode(value, &r) == 0) {
		c->messages++;
		c->message_octets += r.size;
	} else if (slice_starts(object, "m.") && slice_starts(key, "k/") &&
		   kept_row_decode(value, &kept) == 0 && msg_row_decode(kept.row, &r) == 0) {
		c->retained++;
		c->retained_octets += r.size;
	} else if (slice_starts(object, "a.") && slice_starts(key, "l/h") &&
		   hold_row_decode(value, &hold) == 0) {
		c->holds += hold_row_holds(&hold, c->now_s);
	} else if (slice_eq_str(object, TEXT_OBJECT)) {
		count_text(key, value, c);
	}
}
