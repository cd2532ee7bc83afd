/* sig.h: signatures of messages: which grams (three octets in a row, and five) stand in their folded texts, as sets of bits. A text that is not
 * all in the set is not in the message; one that is may be: whoever asks looks. Pure. Made in ingest, asked in stored. (Three alone say little of Vietnamese
 * without its marks, which has few of them: of texts of 3 KB made of 2,000 syllables two in three looked as if they had a phrase that they had not; with five besides, one in
 * five.)
 *
 * A signature: version, the sizes of two sets (of the header's grams, of the body's: 0 none, 6 to 16 the logarithm of the bits, 255 everything),
 * their bits (bit n is bit n % 8 of octet n / 8). A set of 2^k bits has bit h % 2^k for each gram's hash h of 16 bits, so that a large set is
 * folded to a smaller one. */
#ifndef CV_SIG_H
#define CV_SIG_H

#include "lib/buf.h"

enum {
	/* Of the format and of what is looked into: a change of decoding or folding that finds more must raise it. 1 had grams of three alone. */
	SIG_VERSION = 2,
	SIG_LOG_MIN = 6,
	SIG_LOG_MAX = 16,
	SIG_ALL = 255,
	SIG_SIZE_MAX = 3 + 2 * (1 << (SIG_LOG_MAX - 3)),
	SIG_NEEDLE_MAX = 12, /* grams of a text that are asked for; of a longer one some */
};

/* A set under construction. */
struct sig_set {
	uint64_t bits[1 << (SIG_LOG_MAX - 6)];
	size_t n; /* grams added, the same ones too */
	bool all; /* the text could not be read */
};
void sig_set_init(struct sig_set *s);
void sig_set_add(struct sig_set *s, struct slice folded);
/* The smallest sets that are not too full; header and body are used up. 0 or the latched error of out. */
int sig_encode(struct sig_set *header, struct sig_set *body, struct buf *out);

/* A set that was read. */
struct sig_bits {
	unsigned char log; /* 0, SIG_LOG_MIN to SIG_LOG_MAX, SIG_ALL */
	const unsigned char *bits;
};
struct sig {
	struct sig_bits header, body;
};
/* Of hostile octets too: what cannot be read has everything. Borrows. */
struct sig sig_decode(struct slice s);

/* The hashes of a text's grams. n 0: too short (below three octets) to tell anything. */
struct sig_needle {
	uint32_t n;
	uint16_t hash[SIG_NEEDLE_MAX];
};
void sig_needle_init(struct sig_needle *n, struct slice folded);
/* false: surely not there. */
bool sig_maybe(const struct sig_bits *b, const struct sig_needle *n);
/* Hashes of all grams of a text into out (room for max): how many; max + 1 when there are more. */
size_t sig_hashes(struct slice folded, uint16_t *out, size_t max);

/* ---- the summary of a body, as ingest writes it: the tree (lib/mime.h) alone (version 1), or version 2, u32 length of the tree, the tree, the
 * signature ---- */
int summary_encode(struct slice tree, struct slice sig, struct buf *out);
struct slice summary_tree(struct slice summary);
struct slice summary_sig(struct slice summary); /* empty: it has none */
/* Whether it is of the version that ingest writes today, in all its parts. */
bool summary_is_current(struct slice summary);

#endif
