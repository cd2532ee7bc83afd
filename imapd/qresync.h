/* qresync.h: what a client missed since a mod-sequence, for SELECT (QRESYNC …) and FETCH (CHANGEDSINCE … VANISHED); mod-sequences told. Runs in
 * imapd-session. RFC 7162. */
#ifndef CV_QRESYNC_H
#define CV_QRESYNC_H

#include "imapd/session.h"

/* SELECT … (QRESYNC (uidvalidity modseq [known [(numbers uids)]])): RFC 7162 3.2.5. */
struct qresync_args {
	uint32_t uidvalidity;
	uint64_t modseq;
	bool has_known, has_match;
	struct seqset known, match_seq, match_uid;
};
/* Behind "QRESYNC": SP "(" … ")". */
bool qresync_parse(struct imap_cur *c, struct arena *a, struct qresync_args *out);
/* The UID up to which number and UID pairs agree with the view (3.2.5.2): nothing vanished at or below it. */
uint32_t qresync_match(const struct view *v, const struct qresync_args *q);
/* "1:*" for a mod-sequence: 63 bits. */
bool qresync_modseq(struct imap_cur *c, uint64_t *out);

/* VANISHED lines: UIDs or ranges, ascending; sent in lines of bounded length. */
struct vanished {
	struct client *c;
	bool earlier;
	struct buf line;
	uint64_t lo, hi; /* the range being grown; lo 0: none */
};
void vanished_begin(struct vanished *v, struct client *c, bool earlier);
void vanished_add(struct vanished *v, uint64_t lo, uint64_t hi);
void vanished_end(struct vanished *v);

/* What happened since: set since, known (resolved; NULL: all), above, want_gone; zero the rest. */
struct resync {
	struct cmd *m;
	uint64_t since;
	const struct seqset *known;
	uint32_t above; /* UIDs at or below it did not vanish */
	bool want_gone; /* tell VANISHED (EARLIER) before done */
	void (*done)(struct cmd *m, int err);
	/* out: UIDs of known that are in the view and changed, ascending */
	uint32_t *uids;
	size_t n;
	/* inside */
	size_t alloc;
	uint32_t *gone;
	size_t n_gone, gone_alloc;
	bool compare; /* removals are not all known: the view tells */
	uint64_t at;
};
void resync_run(struct resync *r);
void resync_done(struct resync *r); /* frees what is inside; r may be zero */

/* The client is aware of mod-sequences from now on (3.1): tells HIGHESTMODSEQ when a mailbox is selected and it was not before. */
void condstore_on(struct client *c);
/* " MODSEQ (n)" in a FETCH of the selected mailbox, counted as told. */
void modseq_put(struct selected *s, uint64_t modseq, struct buf *out);
/* Up to where the client knows everything, for HIGHESTMODSEQ. */
uint64_t modseq_complete(const struct selected *s);

#endif
