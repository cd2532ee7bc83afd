/* store_client.h: imapd's door to stored (store.imapd.sock). All calls are submit + completion on the loop; every completion is
 * called exactly once unless cancelled with the session. err: ERR_TEMP (stored is not there), ERR_DENIED (no right),
 * ERR_NOTFOUND, ERR_EXISTS, ERR_GONE (mailbox deleted), ERR_FULL (quota or disk), ERR_CONFLICT, ERR_EXPIRED (ticket).
 *
 * A store_session stands for one signed-in person on the shared connection: it presents the ticket (again after stored was
 * restarted). Mailboxes are named by account + id; rights come from the ticket: the own account all, shares as RFC 4314 letters. */
#ifndef CV_STORE_CLIENT_H
#define CV_STORE_CLIENT_H

#include "lib/ipc.h"
#include "store/row.h"

struct store_client;
struct store_session;

struct store_client *store_client_new(struct loop *l, const char *socket);
void store_client_free(struct store_client *c);

typedef void (*store_done_fn)(void *arg, int err);

/* Presents the ticket; makes the account with INBOX and the special folders when it is new. fn(0) when ready. on_event: a watched
 * mailbox changed (modseq rose) or is gone: a hint; read the changes. on_lost: the connection to stored was lost and is back; watches were
 * renewed; re-read. Both may be NULL. */
struct store_session *store_session_new(struct store_client *c, struct slice ticket,
    store_done_fn fn, void (*on_event)(void *arg, uint64_t mailbox, uint64_t modseq, bool gone),
    void (*on_lost)(void *arg), void *arg);
/* Another ticket of the same person, which counts from here on. When it is not taken the session ends as with an expired ticket. */
void store_session_renew(struct store_session *s, struct slice ticket);
void store_session_free(struct store_session *s); /* pending completions are never called */

/* ---- mailboxes ---- */
enum mbox_attr { /* RFC 6154 and own */
	MBOX_DRAFTS = 1,
	MBOX_SENT = 2,
	MBOX_JUNK = 4,
	MBOX_TRASH = 8,
	MBOX_ARCHIVE = 16,
	MBOX_FLAGGED = 32,
	MBOX_ALL = 64,
	MBOX_SUBSCRIBED = 1 << 8,
	MBOX_HAS_CHILDREN = 1 << 9,
	MBOX_MARKED = 1 << 10,
};
struct mbox_info {
	uint64_t id;
	struct slice account; /* owner; equal to the session's own account for own mailboxes */
	struct slice share;   /* name of the share below Other Users; empty for own */
	struct slice
	    name; /* UTF-8 NFC, "/" as separator, within the account; "INBOX" is upper case */
	uint32_t attrs;
	struct slice rights; /* of this session, RFC 4314 letters */
	uint32_t uidvalidity, uidnext, messages, unseen, recent;
	uint64_t highest_modseq, size;
	uint32_t deleted;      /* messages with \Deleted */
	uint64_t deleted_size; /* their octets */
};
/* All mailboxes this session may see ('l'), own account first, in byte order of names; borrowed for the call. */
typedef void (*store_list_fn)(void *arg, int err, const struct mbox_info *boxes, size_t n);
int store_list(struct store_session *s, store_list_fn fn, void *arg);
/* A number that changes when mailboxes of any account were made, renamed or removed: what store_list has told of a name is true while it is what it was when
 * it was told. 0: nothing is known of that now. */
uint64_t store_names(const struct store_session *s);
/* account: empty for the own. name: UTF-8 NFC. Parents are made too (RFC 3501 6.3.3). ERR_CONFLICT: another mailbox has the use. */
int store_create(struct store_session *s, struct slice account, struct slice name,
    uint32_t special_use, store_done_fn fn, void *arg);
int store_delete(struct store_session *s, uint64_t mailbox, store_done_fn fn,
    void *arg); /* INBOX: ERR_DENIED; with children: keeps them */
/* Renames with all children; INBOX: its messages move to the new name (RFC 3501 6.3.5). */
int store_rename(
    struct store_session *s, uint64_t mailbox, struct slice new_name, store_done_fn fn, void *arg);
int store_subscribe(struct store_session *s, struct slice account, struct slice name, bool on,
    store_done_fn fn, void *arg);
/* Names subscribed whether they exist or not: full names within the account with their account. */
struct store_sub {
	struct slice account, share, name;
};
typedef void (*store_subs_fn)(void *arg, int err, const struct store_sub *subs, size_t n);
int store_subscriptions(struct store_session *s, store_subs_fn fn, void *arg);

/* What an account holds and may hold; right 'r'. account: empty for the own. */
struct store_quota {
	uint64_t octets, octets_max, messages, messages_max; /* messages_max 0: no limit */
};
typedef void (*store_quota_fn)(void *arg, int err, const struct store_quota *q);
int store_quota(struct store_session *s, struct slice account, store_quota_fn fn, void *arg);

/* ---- a selected mailbox ---- */
struct store_opened {
	uint32_t uidvalidity, uidnext, messages, unseen;
	uint64_t highest_modseq;
	uint32_t
	    recent_from; /* UIDs >= this are \Recent for this opening (0: none); claimed when read-write */
	struct slice keywords; /* in use in this mailbox, separated by spaces */
	struct slice rights;
};
/* claim_recent: SELECT (true) or EXAMINE (false, recent_from is what it would be). watch: on_event tells changes until store_unwatch. */
typedef void (*store_opened_fn)(void *arg, int err, const struct store_opened *o);
int store_open(struct store_session *s, uint64_t mailbox, bool claim_recent, bool watch,
    store_opened_fn fn, void *arg);
int store_unwatch(struct store_session *s, uint64_t mailbox);

/* The compact view: uid, flags and modseq of every message with uid >= from, ascending, at most 20,000 a call (more: next_uid != 0). */
struct store_uid {
	uint32_t uid, flags;
	uint64_t modseq;
};
typedef void (*store_uids_fn)(
    void *arg, int err, const struct store_uid *u, size_t n, uint32_t next_uid);
int store_uids(
    struct store_session *s, uint64_t mailbox, uint32_t from, store_uids_fn fn, void *arg);
/* Whole rows of UIDs in [from, to], ascending, as many as fit (at most 1,000 rows, 256 KiB); next_uid: where to go on, 0 at the end. Rows borrowed. */
typedef void (*store_rows_fn)(
    void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next_uid);
int store_rows(struct store_session *s, uint64_t mailbox, uint32_t from, uint32_t to,
    store_rows_fn fn, void *arg);
/* What happened after modseq: rows changed or new (uid, flags, modseq, keywords), UIDs expunged; highest: up to which modseq this is
 * complete (call again from there if more). Keywords of changed rows come with store_rows where needed. forgotten: removals up to that
 * mod-sequence are not all remembered: who asked from below it compares with all UIDs (store_uids). */
typedef void (*store_changes_fn)(void *arg, int err, uint64_t highest, bool more,
    uint64_t forgotten, const struct store_uid *changed, size_t n_changed, const uint32_t *expunged,
    size_t n_expunged);
int store_changes(
    struct store_session *s, uint64_t mailbox, uint64_t modseq, store_changes_fn fn, void *arg);

enum store_op { STORE_SET, STORE_ADD, STORE_REMOVE };
/* Changes flags and keywords of the UIDs given (ascending, at most 5,000 a call; others are ignored when gone). unchanged_since: UINT64_MAX for
 * none (RFC 7162). Durable when fn is called. Gives the rows as they are now, also of those that were so before. failed: UIDs whose
 * modseq was above unchanged_since are given in conflicts. */
struct store_flagged {
	uint32_t uid, flags;
	uint64_t modseq, before; /* before: of the row that was changed; equal where nothing was */
};
typedef void (*store_flags_fn)(void *arg, int err, uint64_t highest,
    const struct store_flagged *changed, size_t n_changed, const uint32_t *conflicts,
    size_t n_conflicts);
int store_flags(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    enum store_op op, uint32_t flags, struct slice keywords, uint64_t unchanged_since,
    store_flags_fn fn, void *arg);
/* Removes those of the UIDs (all when n is 0) that carry \Deleted (only_deleted) or all of them. Gives the UIDs removed. */
typedef void (*store_expunge_fn)(
    void *arg, int err, uint64_t highest, const uint32_t *uids, size_t n);
int store_expunge(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    bool only_deleted, store_expunge_fn fn, void *arg);
/* Copies to another mailbox of any account with the right 'i': UIDPLUS answer. All or nothing. src_uids that are gone are left out. At most
 * 20,000 a call: ERR_LIMIT. */
typedef void (*store_copy_fn)(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n);
int store_copy(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    uint64_t to_mailbox, store_copy_fn fn, void *arg);

/* The same, and they leave this mailbox (RFC 6851). id: chosen at random for each move; a move that is interrupted is repeated under it by itself and
 * ends in one message. At most 1,000 a call: ERR_LIMIT. */
int store_move(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    uint64_t to_mailbox, const unsigned char id[16], store_copy_fn fn, void *arg);

/* Bytes [off, off + len) of the message as fetched (trace, then body); len at most 256 KiB. Less only at the end. */
typedef void (*store_bytes_fn)(void *arg, int err, struct slice bytes);
int store_body(struct store_session *s, uint64_t mailbox, uint32_t uid, uint64_t off, uint32_t len,
    store_bytes_fn fn, void *arg);
/* The coded MIME tree (lib/mime.h mime_tree_decode) of the body; offsets count from the body, behind the trace. */
int store_summary(
    struct store_session *s, uint64_t mailbox, uint32_t uid, store_bytes_fn fn, void *arg);

/* Whole messages, many at once: trace and body, and the summary when it was asked for. uids ascending, at most STORE_CONTENTS_MAX. As many are given as fit
 * 256 KiB: n_done of the UIDs were looked at (at least one). Of those, messages over STORE_CONTENT_MAX octets, gone or unreadable are not
 * among the contents: store_body tells more. Borrowed for the call. */
#define STORE_CONTENTS_MAX 256
#define STORE_CONTENT_MAX 65536
struct store_content {
	uint32_t uid;
	struct slice summary, bytes;
};
typedef void (*store_contents_fn)(
    void *arg, int err, const struct store_content *v, size_t n, size_t n_done);
int store_contents(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    bool summaries, store_contents_fn fn, void *arg);

/* Which messages with from <= UID <= to may hold which of n texts (folded, at most STORE_NEEDLE_MAX octets, where: bits as below). Told for UIDs from
 * on, as many as fit an answer; next: where to go on, 0 at the end. Bit i of known: something is known about UID from + i; then bit i of maybe[j] is clear when text
 * j is surely not in it. All bitmaps have the length of known; past it nothing is known. Borrowed for the call. */
#define STORE_NEEDLES_MAX 16
#define STORE_NEEDLE_MAX 1024
#define STORE_ROWS_OF_MAX 1000
enum store_where { STORE_IN_HEADER = 1, STORE_IN_BODY = 2 };
struct store_needle {
	unsigned where; /* enum store_where */
	struct slice text;
};
typedef void (*store_candidates_fn)(void *arg, int err, uint32_t from, uint32_t next,
    struct slice known, const struct slice *maybe, size_t n);
int store_candidates(struct store_session *s, uint64_t mailbox, uint32_t from, uint32_t to,
    const struct store_needle *needles, size_t n, store_candidates_fn fn, void *arg);
/* Which of the messages (UIDs ascending, at most STORE_TEXTS_MAX) have documents whose text may hold which of n texts (as above, without "where"; n may be 0). Bit i: text i may
 * be there; STORE_TEXT_THERE: there is text at all. Messages not told of have none, or it was not read yet. Borrowed for the call. */
#define STORE_TEXTS_MAX 256
#define STORE_TEXT_THERE (1u << 31)
struct store_text_bits {
	uint32_t uid, bits;
};
typedef void (*store_texts_fn)(void *arg, int err, const struct store_text_bits *v, size_t n);
int store_texts_maybe(struct store_session *s, uint64_t mailbox, const uint32_t *uids,
    size_t n_uids, const struct slice *needles, size_t n, store_texts_fn fn, void *arg);
/* Octets [off, off + len) of the text of a message's documents, UTF-8; len at most 256 KiB. Less only at the end. ERR_NOTFOUND: there is none. */
int store_text(struct store_session *s, uint64_t mailbox, uint32_t uid, uint64_t off, uint32_t len,
    store_bytes_fn fn, void *arg);
/* As store_rows, of these UIDs (ascending, at most STORE_ROWS_OF_MAX). */
int store_rows_of(struct store_session *s, uint64_t mailbox, const uint32_t *uids, size_t n,
    store_rows_fn fn, void *arg);

#endif
