/* view.h: a selected mailbox as one client knows it: message number ↔ UID, flags, and what changed that the client was not told
 * yet. Pure and compact (5 octets a message). RFC 3501 2.3.1.2, 7.3, 7.4.1.
 *
 * The client knows the messages 1 … told. Messages that came since stand behind them; those that were expunged stay in their place,
 * marked, until view_take_expunged may tell. */
#ifndef CV_VIEW_H
#define CV_VIEW_H

#include "imapd/seqset.h"
#include "store/row.h"

enum view_flag { /* beside enum msg_flag */
	VIEW_RECENT = 32,
	VIEW_GONE = 64,   /* expunged; the client does not know */
	VIEW_DIRTY = 128, /* flags changed; the client does not know */
};

struct view {
	uint32_t *uid; /* ascending */
	uint8_t *flags;
	uint32_t n, alloc, told, gone, dirty;
	uint32_t recent; /* messages with VIEW_RECENT */
	uint64_t modseq; /* complete up to here */
	uint32_t *saved; /* UIDs of the last SEARCH RETURN (SAVE), ascending */
	uint32_t n_saved;
	uint64_t held; /* modseq when the first of what is gone or dirty now became so */
};
void view_init(struct view *v);
void view_done(struct view *v);
/* Adds one message behind all others. Ignored when uid is not above the last one. 0 or ERR_NOMEM. */
int view_add(struct view *v, uint32_t uid, uint32_t flags);
/* Index of uid, or -1. */
int64_t view_find(const struct view *v, uint32_t uid);
/* Index of the first message with at least this uid; n when there is none. */
uint32_t view_lower(const struct view *v, uint32_t uid);
/* A change read from the store: known uid: flags are set and the message becomes dirty; own: the change is the client's own
 * and it knows. A new uid is added. 0 or ERR_NOMEM. */
int view_change(struct view *v, uint32_t uid, uint32_t flags, bool own);
void view_expunge(struct view *v, uint32_t uid);
/* Messages with UID from … (exclusive) to become \Recent. */
void view_set_recent(struct view *v, uint32_t from, uint32_t to);
/* Removes the gone messages; fn is told each message number and UID, in an order in which each number is right when told. Messages that the
 * client never knew vanish silently. */
void view_take_expunged(
    struct view *v, void (*fn)(void *arg, uint32_t seq, uint32_t uid), void *arg);
/* The message at index becomes dirty: the client is told of its flags. */
void view_touch(struct view *v, uint32_t index);
/* Whether there are messages to announce; view_announce says they were. */
bool view_has_news(const struct view *v);
void view_announce(struct view *v);
/* The number of messages the client was told of with \Recent. */
uint32_t view_recent(const struct view *v);
/* Message number of the first unseen message, 0: none. */
uint32_t view_first_unseen(const struct view *v);

#define VIEW_SAVED_MAX (1u << 20) /* UIDs of a saved search result (4 octets each) */
/* Remembers a search result ("$", RFC 5182) in place of the last one. 0; ERR_LIMIT, ERR_NOMEM: the last one stays. */
int view_save(struct view *v, const uint32_t *uids, size_t n);
/* Those of them that are still there and known to the client, as a resolved set of UIDs in the arena. 0 or ERR_NOMEM. */
int view_saved_set(const struct view *v, struct arena *a, struct seqset *out);

/* The UIDs that a set of numbers (is_uid false) or UIDs names, ascending, in the arena; messages that are gone are left out when skip_gone.
 * "*" is resolved now. 0, ERR_RANGE (a number the client cannot know of), ERR_NOMEM. */
int view_select(const struct view *v, struct seqset *set, bool is_uid, bool skip_gone,
    struct arena *a, uint32_t **uids_out, size_t *n_out);

#endif
