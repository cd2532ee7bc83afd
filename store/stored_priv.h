/* stored_priv.h: for stored_*.c alone. The stored role (congvu-stored-db) in one picture:
 *
 *   stored.c          start, sockets, which message goes to which function
 *   stored_codec.c    values of rows, keys
 *   stored_account.c  accounts in memory: loading, making, changing their rows one change at a time
 *   stored_mailbox.c  CREATE, DELETE, RENAME, SUBSCRIBE, LIST
 *   stored_session.c  tickets, rights
 *   stored_cycle.c    the queue of a mailbox: what waits becomes one conditional batch
 *   stored_insert.c   new messages in a batch     stored_flags.c    flags and keywords
 *   stored_expunge.c  removal                     stored_copy.c     COPY
 *   stored_deliver*.c from ingest                 stored_fetch.c    reading
 *   stored_sent.c     copies in a shared Sent
 *   stored_import.c   mail of another server, or of a backup
 *   stored_view.c     the compact view            stored_watch.c    who hears of changes
 *   stored_backup.c   what a backup pulls        stored_rebuild.c  bodies handed to ingest (stored_handout.c)
 *   stored_trim.c     forgetting old removals     stored_move.c     MOVE
 *   stored_kept.c     expunged mail               stored_bury.c     deleted mailboxes
 *   stored_restore.c  undelete                    stored_hold.c     legal holds
 *   stored_candidates.c, stored_index.c, stored_seal.c: the index for SEARCH
 *
 * All of it runs on the loop's thread. An account and its mailboxes stay in memory while something refers to the account.
 *
 * Rows. Object "a.<account>": "h" header; "b/<mailbox id>" name and use; "s/<hash of name>" subscription. Object "m.<mailbox id>": "h" header
 * (struct mbox_head); "m/<uid>" message (row.h); "c/<modseq>" the last change of a message, one row each; "x/<modseq>" UIDs expunged;
 * "d/<delivery id>" deliveries seen; "i/<id>" moves not finished; "o/<id>" moves seen; "t/<uid>" blocks of the index
 * (index_block.h). Numbers are fixed-width hex: uid 8, others 16 digits. What left the view and is restorable: kept.h. */
#ifndef CV_STORED_PRIV_H
#define CV_STORED_PRIV_H

#include "lib/arena.h"
#include "lib/ipc.h"
#include "store/backend.h"
#include "store/kept.h"
#include "store/row.h"
#include "store/row_cache.h"
#include "store/store_client.h"
#include "store/store_proto.h"

enum {
	ACCOUNT_ID_MAX = 40,
	KEY_MAX = 64, /* longest of our keys and its NUL */
	OBJECT_ID_MAX = 64,
	NAME_MAX_LEN = 1000,
	MBOXES_MAX = 10000, /* of an account */
	SUBS_MAX = 10000,
	KEYWORDS_IN_USE_MAX = 8192, /* octets, of a mailbox */
	CHUNK = 1000,               /* messages changed in one batch by flags and expunge */
	COPY_MAX = 20000,
	HASH_SIZE = 16384,
};

struct account;
struct import;
struct mbox;
struct move;
struct op;
struct session;

struct stored {
	struct loop *loop;
	struct conn *names_watchers;
	struct backend *be;
	struct row_cache *rows; /* NULL: none */
	unsigned char key[32];
	uint64_t quota;          /* octets of an account */
	uint64_t quota_messages; /* 0: as many as there is room for */
	uint32_t history_max;    /* "x/" rows of a mailbox; a tenth more before they are trimmed */
	int64_t memory_s;        /* of delivery ids */
	int64_t import_memory_s; /* of the ids of imports */
	struct slice *officers;  /* login names of who may purge */
	size_t n_officers;
	int64_t undelete_s;      /* how long expunged mail is kept; 0: not at all */
	uint64_t undelete_bytes; /* of an account */
	struct slice *special;   /* names of the folders made with an account */
	size_t n_special;
	struct account *accounts[HASH_SIZE];
	struct mbox *mboxes[HASH_SIZE];
	struct account *idle_first, *idle_last; /* not referred to, oldest first */
	size_t n_accounts, n_idle;
	uint64_t n_requests, n_inserts, n_deliveries, n_repeated, n_sessions;
	struct seal *seal;           /* the block of the index that is being made: stored_seal.c */
	uint64_t n_sealed, n_remade; /* blocks made; and those that took the place of others */
	int64_t started;
};

/* ---- stored_codec.c ---- */

struct mbox_head {
	uint32_t uidvalidity, uidnext, messages, unseen, recent, recent_from, deleted;
	uint64_t modseq, bytes, deleted_bytes; /* deleted_bytes: of those with \Deleted */
	int64_t pruned_at;                     /* when old delivery ids were last removed */
	uint64_t forgotten; /* removals up to this mod-sequence are not all remembered */
	uint32_t history;   /* "x/" rows */
	uint32_t moves;     /* "i/" rows: moves out of here that are not finished */
	/* from version 3: "k/" rows, octets of their messages, and the oldest was made then or later */
	uint32_t kept;
	uint64_t kept_bytes;
	int64_t kept_from;
	struct slice account;
	struct slice keywords; /* ever used in it, by spaces, as first spelled */
};
/* One message more or less with \Deleted. A header of version 1 did not count their octets. */
static inline void
deleted_more(struct mbox_head *h, uint64_t size)
{
	h->deleted++;
	h->deleted_bytes += size;
}
static inline void
deleted_less(struct mbox_head *h, uint64_t size)
{
	h->deleted--;
	h->deleted_bytes -= size < h->deleted_bytes ? size : h->deleted_bytes;
}
struct account_head {
	uint32_t uidvalidity; /* last given */
	uint64_t epoch, seq;
};
struct change_row {
	uint32_t uid, flags;
	uint64_t modseq, size;
};
/* n UIDs of a request, which must ascend, into uids (room for n). 0, or ERR_PROTO, which is latched in r. */
int uids_read(struct ipc_reader *r, uint32_t n, uint32_t *uids);
int mbox_head_encode(const struct mbox_head *h, struct buf *out);
int mbox_head_decode(struct slice v, struct mbox_head *h_out); /* borrows */
int account_head_encode(const struct account_head *h, struct buf *out);
int account_head_decode(struct slice v, struct account_head *h_out);
int name_row_encode(uint32_t use, struct slice name, struct buf *out);
int name_row_decode(struct slice v, uint32_t *use_out, struct slice *name_out);
int change_row_encode(const struct change_row *c, struct buf *out);
int change_row_decode(struct slice key, struct slice v, struct change_row *c_out);
/* until: remembered up to then; 0: for delivery_memory_days. until_out may be NULL. */
int seen_row_encode(int64_t at, uint32_t uid, int64_t until, struct buf *out);
int seen_row_decode(struct slice v, int64_t *at_out, uint32_t *uid_out, int64_t *until_out);
int expunged_row_encode(const uint32_t *uids, size_t n, struct buf *out);
/* Appends to out as u32 in the machine's order. */
int expunged_row_decode(struct slice v, struct buf *out);
/* Keys; out has KEY_MAX bytes. */
struct slice key_u32(char *out, char kind, uint32_t n);
struct slice key_u64(char *out, char kind, uint64_t n);
struct slice key_id(char *out, char kind, const unsigned char *id, size_t n);
int id_of_key(struct slice key, unsigned char *id_out, size_t n); /* of key_id */
int key_number(struct slice key, size_t digits, uint64_t *n_out);
bool account_id_ok(struct slice id);

/* ---- keywords: atoms separated by one space ---- */
bool kw_next(struct slice *rest, struct slice *atom_out);
bool kw_has(struct slice list, struct slice atom); /* ASCII case-insensitive */
/* list with the atoms of add that it lacks; ERR_LIMIT past max octets or max_n atoms. From the arena. */
int kw_union(struct slice list, struct slice add, size_t max, size_t max_n, struct arena *a,
    struct slice *out);
int kw_minus(struct slice list, struct slice remove, struct arena *a, struct slice *out);
/* list in the spelling of known; known_out is known with what it lacked. Bounds of row.h and KEYWORDS_IN_USE_MAX. ERR_SYNTAX, ERR_LIMIT. */
int kw_known(struct slice list, struct slice known, struct arena *a, struct slice *list_out,
    struct slice *known_out);

/* ---- stored_account.c ---- */

struct watch { /* a session that hears of changes of a mailbox */
	struct watch *next_of_mbox, *next_of_session;
	struct session *s;
	struct mbox *m;
};
struct sub {
	struct sub *next;
	char *name;
};
struct account_op;
struct mbox {
	struct mbox *next_hash, *next; /* of the account, by name */
	struct account *acc;
	uint64_t id;
	char object[OBJECT_ID_MAX];
	char *name;
	uint32_t use;       /* enum mbox_attr, special uses */
	struct mbox_head h; /* as committed; keywords point into raw */
	struct buf raw;     /* the header row */
	bool gone;          /* deleted: in no list but the account's graveyard */
	bool damaged; /* its header cannot be read: nothing is done with it until it was repaired */
	struct op *first, **end; /* waiting */
	struct cycle *cycle;     /* the batch in flight */
	struct watch *watches;
	uint32_t watch_id; /* at the backend; 0: none */
	struct view *view;
	struct index *index; /* stored_index.c; NULL: not read */
	uint32_t index_due;  /* uidnext from which on another block may be made */
	struct move *moves;  /* out of here, the first one is running */
	/* Deleted and restorable: in the account's list "buried", not found by sessions. 0: not. Of one that is gone: what it will be. */
	int64_t buried_at;
	char *buried_by;
	int64_t kept_wait; /* no trim of "k/" rows before */
};
struct hold { /* of an account, in force or over; slices point into raw */
	struct hold *next;
	uint64_t number;
	struct buf raw;
	struct hold_row row;
};
struct account {
	struct account *next_hash, *idle_prev, *idle_next;
	struct stored *st;
	char id[ACCOUNT_ID_MAX + 1];
	char object[OBJECT_ID_MAX];
	unsigned refs;
	bool ready, is_idle;
	struct loading *loading;
	struct account_head h;
	struct buf raw;
	struct mbox *mboxes; /* by name, byte order */
	size_t n_mboxes;
	struct mbox *graveyard;
	struct mbox *buried; /* oldest first */
	size_t n_buried;
	struct hold *holds; /* by number */
	struct sub *subs;
	size_t n_subs;
	struct account_op *ops, **ops_end; /* the first one is running */
};
/* fn is called at once when the account is in memory. It is referred to for the call only: account_ref to keep it. Makes what does not
 * exist. err: ERR_SYNTAX (no account id), ERR_TEMP, ERR_FULL, ERR_IO, ERR_CORRUPT. */
typedef void (*account_fn)(void *arg, int err, struct account *acc);
void account_get(struct stored *st, struct slice id, account_fn fn, void *arg);
/* The same, but ERR_NOTFOUND for one that does not exist. */
void account_find(struct stored *st, struct slice id, account_fn fn, void *arg);
void account_ref(struct account *a);
void account_unref(struct account *a);
uint64_t account_usage(const struct account *a);
struct mbox *account_mbox(struct account *a, struct slice name);
/* Every change of an account's own rows is an operation; they run one after the other. run calls account_op_end, now or later. */
struct account_op {
	struct account_op *next;
	struct account *acc;
	void (*run)(struct account_op *op);
};
void account_op_start(struct account *a, struct account_op *op);
void account_op_end(struct account_op *op); /* the caller frees op before or after */
/* Commits rows with a new header (a->h is changed by the caller before; restored on failure). From within an operation. */
void account_commit(struct account_op *op, const struct account_head *h, const struct kv_pair *puts,
    size_t n_puts, const struct slice *dels, size_t n_dels, backend_done_fn fn, void *arg);
/* Mailboxes to be made and names to be changed, with one commit: what CREATE, RENAME and new accounts do. Copied. */
struct naming {
	const struct slice *make;
	const uint32_t *uses;
	size_t n_make;
	struct mbox *const *rename;
	const struct slice *rename_to;
	size_t n_rename;
	bool subscribe; /* those made */
	struct mbox
	    *seen_from; /* its deliveries seen go along to the last one made; held meanwhile */
};
/* Within an operation. fn tells, then the caller ends the operation. */
void names_change(struct account_op *op, const struct naming *n, backend_done_fn fn, void *arg);
enum { NAME_DEPTH_MAX = 40 };
/* name and its parents as far as they do not exist: into names, the outermost first. */
size_t names_missing(struct account *a, struct slice name, struct slice names[NAME_DEPTH_MAX]);
struct slice sub_key(char *out, struct slice name);
void sub_set(struct account *a, struct slice name, bool on); /* in memory */
void mbox_link(struct mbox *m);   /* into the account's list and the table */
void mbox_unlink(struct mbox *m); /* out of the list: to be renamed */
void mbox_bury(struct mbox *m);   /* deleted: into the graveyard */
struct mbox *mbox_new(struct account *a, uint64_t id, struct slice name, uint32_t use);
struct mbox *mbox_find(struct stored *st, uint64_t id);
void mbox_head_set(struct mbox *m, struct slice raw); /* what was just committed */
int mbox_head_load(struct mbox *m, struct slice raw);

/* ---- requests ---- */

/* A request under way: holds the connection and an account. */
struct req {
	struct stored *st;
	struct ipc_conn *conn;
	uint32_t id;
	struct account *acc; /* may be NULL */
	struct mbox *m;
	uint32_t session; /* its number */
};
void req_init(struct req *r, struct stored *st, struct ipc_conn *c, uint32_t id, struct account *a);
/* Answers and lets go; the struct is the caller's. */
void req_reply(struct req *r, uint16_t type, struct buf *payload); /* payload is done with */
void req_ok(struct req *r);
void req_err(struct req *r, int err, const char *why);

/* ---- stored_session.c ---- */

/* Rights for a time: RFC 4314 letters; seconds since 1970, 0: no bound. */
struct session_grant {
	char rights[24];
	int64_t from, until;
};
struct session_account {
	struct account *acc;
	char rights[32];              /* session_rights */
	struct session_grant *grants; /* of a shared one */
	size_t n_grants;
	char *share; /* "" for the own account */
};
/* The rights that hold at this moment; borrowed. */
const char *session_rights(struct session_account *sa);
struct session {
	struct session *next;
	struct stored *st;
	struct conn *conn;
	uint32_t id;
	struct session_account *accounts; /* the own one first */
	size_t n_accounts;
	int64_t expires;
	uint64_t epoch;
	char *login; /* who it is, for those who ask later who removed something */
	struct watch *watches;
};
/* What is kept with a connection. */
struct conn {
	struct stored *st;
	struct ipc_conn *ipc;
	uint32_t role;
	struct session *sessions;
	struct append_group *groups; /* MULTIAPPEND under way */
	struct import *imports;      /* under way, in order: stored_import.c */
	unsigned refs;               /* the connection itself, and sessions being made */
	bool closed;
	bool pins;                           /* segment files of a cut: stored_backup.c */
	struct conn *names_next, **names_at; /* of names_watchers; names_at NULL: it is not there */
};
typedef void (*session_fn)(void *arg, int err, struct session *s);
/* Opens the ticket and loads its accounts. conn may be NULL (APPEND): then the caller ends it with session_free. */
void session_make(struct stored *st, struct slice ticket, session_fn fn, void *arg);
void session_free(struct session *s); /* NULL accepted */
int on_session_open(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_session_close(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_epoch(struct conn *c, uint32_t id, struct ipc_reader *r); /* from lookup */
int on_session_renew(struct conn *c, uint32_t id, struct ipc_reader *r);
void conn_closed(struct conn *c); /* ends its sessions, drops the connection's reference */
void conn_unref(struct conn *c);
/* Reads the session number. NULL after it was answered (no such session, expired), or *err_out is ERR_PROTO. */
struct session *session_of(struct conn *c, uint32_t id, struct ipc_reader *r, int *err_out);
/* The mailbox and the rights there. ERR_NOTFOUND; ERR_DENIED when a letter of need is missing. */
int session_mbox(
    struct session *s, uint64_t id, const char *need, struct mbox **m_out, const char **rights_out);
/* Both, of a request that begins with the numbers of session and mailbox and wants an answer. NULL as session_of; also when the right is missing. */
struct session *session_mbox_of(struct conn *c, uint32_t id, struct ipc_reader *r, const char *need,
    struct mbox **m_out, const char **rights_out, int *err_out);
/* account: empty for the own. */
int session_account(
    struct session *s, struct slice account, const char *need, struct session_account **a_out);
bool rights_have(const char *rights, const char *need); /* all letters */
uint32_t rights_flags(const char *rights); /* flags that may be changed; bit 31: keywords */
#define RIGHTS_KEYWORDS (1u << 31)
#define RIGHTS_ALL "lrswipkxtea"

/* ---- stored_cycle.c ---- */

enum op_kind {
	OP_INSERT,
	OP_CLAIM,
	OP_NOTE,
	OP_PRUNE,
	OP_TRIM,
	OP_HOLD,
	OP_FLAGS,
	OP_EXPUNGE,
	OP_KEPT,
	OP_INDEX,
	OP_REDO,
};
/* What is made of a message's header, for its row: OP_REDO. */
struct redo {
	uint32_t uid;
	uint64_t body;
	int64_t sent_date;
	struct slice envelope, refs;
};
struct new_msg {
	struct msg_row row; /* uid, modseq, save_date are set by the batch */
	bool has_id;
	unsigned char id[16]; /* delivery id */
	int64_t memory_s;     /* how long that is remembered; 0: delivery_memory_days */
	bool has_mark;        /* another one, that points at the newest message with it */
	unsigned char mark[16];
	uint32_t uid; /* out */
};
/* A "k/" row: which, and what was read of it. */
struct kept_at {
	uint64_t modseq;
	uint32_t uid;
	bool there;
	struct msg_row row;
};
enum kept_how { KEPT_RESTORE, KEPT_REMOVE, KEPT_TRIM };
/* One change of a mailbox. Made by op_new, given to op_start; done is called once (perhaps from within op_start), err tells, then op_free is
 * the callee's. */
struct op {
	struct op *next;
	enum op_kind kind;
	struct mbox *m;
	void (*done)(struct op *op);
	void *arg;
	struct arena *mem; /* of the whole operation */
	int err;
	bool finished;
	/* OP_INSERT */
	struct new_msg *msgs;
	size_t n_msgs;
	bool repeated;
	struct op *same_as;     /* the same delivery in the same batch */
	struct slice moved_key; /* a move: "o/<id>"; uids are those in the source */
	uint64_t moved_from;    /* the source */
	bool within;            /* a move within an account: no quota */
	/* OP_NOTE: the intent of a move; OP_INDEX: the row of a block; OP_EXPUNGE: the intent that is fulfilled, or empty */
	struct slice note_key, note_value, note_del;
	/* OP_HOLD: called when nothing is in flight; nothing will be until hold_release */
	void (*held)(struct op *op);
	/* OP_REDO: by UID, as uids; out_changed gets a UID (u32) for each row that was put anew */
	const struct redo *redo;
	/* OP_CLAIM: out */
	uint32_t recent_from, recent_to; /* claimed; messages of the same batch may follow */
	/* OP_FLAGS, OP_EXPUNGE, OP_PRUNE */
	uint32_t *uids;
	size_t n_uids, at, upto; /* [at, upto) is the present chunk */
	bool all, only_deleted, more;
	enum store_op how;
	uint32_t flags, mask; /* mask: what may be changed (rights) */
	struct slice keywords;
	uint64_t unchanged_since;
	struct arena *chunk_mem; /* of one batch */
	struct msg_row *rows;
	size_t n_rows;
	struct change_row *victims;
	size_t n_victims;
	/* OP_EXPUNGE: enum kept_why, 0: what goes is not lost; and who does it. keep: they become "k/" rows */
	uint8_t why;
	struct slice by;
	bool keep;
	struct msg_row *victim_rows; /* beside victims when they are kept */
	/* OP_KEPT: restore (then msgs are what came of them) or remove those given; trim: the old ones */
	enum kept_how kept_how;
	struct kept_at *kept;
	size_t n_kept, kept_left;
	int64_t kept_next; /* KEPT_TRIM: when the first one that stays was made; 0: none is known */
	struct slice *old_keys;
	size_t n_old_keys;
	uint64_t old_modseq; /* OP_TRIM: of the last of old_keys */
	bool moves_too;      /* OP_PRUNE: "d/" is done, "o/" is under way */
	struct buf from;     /* where the scan goes on */
	struct buf out_changed, out_conflicts, out_gone; /* struct store_uid; uint32_t; uint32_t */
	size_t chunk_changed, chunk_conflicts, chunk_gone; /* lengths before this chunk */
};
/* A batch being built. */
struct cycle {
	struct arena *mem;
	struct kv_pair *puts;
	size_t n_puts, puts_alloc;
	struct slice *dels;
	size_t n_dels, dels_alloc;
	struct slice *absent;
	size_t n_absent, absent_alloc;
	struct mbox_head h;
	struct slice raw;
	struct op *ops;
	struct op *reader; /* the one that reads first */
	size_t checks;     /* deliveries being looked up after ERR_EXISTS */
};
struct op *op_new(
    enum op_kind kind, struct mbox *m, size_t mem, void (*done)(struct op *op), void *arg);
void op_free(struct op *op);
void op_start(struct op *op);
/* Goes on; renamed: deliveries that waited fail for now, as the mailbox is not INBOX any more. */
void hold_release(struct op *op, bool renamed);
void mbox_fail_waiting(struct mbox *m, int err);
/* For stored_insert.c and its like: */
int cycle_put(struct cycle *c, struct slice key, struct slice value);    /* both copied */
int cycle_put_buf(struct cycle *c, struct slice key, struct buf *value); /* value is done with */
int cycle_del(struct cycle *c, struct slice key);
int cycle_absent(struct cycle *c, struct slice key);
void cycle_gathered(struct mbox *m, int err); /* the reader has what it needs */

int insert_build(struct op *op, struct cycle *c);
/* One message into the batch; its uid is set. */
int insert_put(struct new_msg *n, struct cycle *c);
/* Whether the account as the batch leaves it may take so much more. */
bool insert_fits(const struct mbox *m, const struct cycle *c, uint64_t octets, uint64_t messages);
int claim_build(struct op *op, struct cycle *c);
void prune_gather(struct op *op);
int prune_build(struct op *op, struct cycle *c);
void prune_maybe(struct mbox *m);
void trim_gather(struct op *op);
int trim_build(struct op *op, struct cycle *c);
void trim_maybe(struct mbox *m); /* after a commit */
int note_build(struct op *op, struct cycle *c);
void redo_gather(struct op *op); /* stored_redo.c */
int redo_build(struct op *op, struct cycle *c);
int index_build(struct op *op, struct cycle *c);
void flags_gather(struct op *op);
int flags_build(struct op *op, struct cycle *c);
void expunge_gather(struct op *op);
int expunge_build(struct op *op, struct cycle *c);
/* After a commit: whether the operation needs another batch. */
bool flags_again(struct op *op);
bool expunge_again(struct op *op);

/* Message rows by UID (ascending): those that are there, in the arena. ERR_CORRUPT with rows: some cannot be read, these are the others. Any other
 * error comes without rows. */
typedef void (*rows_read_fn)(void *arg, int err, struct msg_row *rows, size_t n);
void rows_read(
    struct mbox *m, const uint32_t *uids, size_t n, struct arena *mem, rows_read_fn fn, void *arg);

/* ---- stored_kept.c: expunged mail, "k/" rows ---- */
/* Whether what an account loses is kept now. */
bool account_keeps(const struct account *a);
int kept_put(struct op *op, struct cycle *c, const struct msg_row *row, uint64_t modseq);
void kept_gather(struct op *op);
int kept_build(struct op *op, struct cycle *c);
/* Reads those of the rows that are there into mem; what is read is marked "there". fn may be called at once. */
void kept_read(struct mbox *m, struct kept_at *list, size_t n, struct arena *mem,
    void (*fn)(void *arg, int err), void *arg);
void kept_trim_maybe(struct mbox *m); /* after a commit, and now and then */
uint64_t account_kept(
    const struct account *a); /* octets kept, those of deleted mailboxes among them */

/* ---- stored_bury.c: deleted mailboxes ---- */
/* Within the account's operation that takes the name away: what goes with it into the same commit. ERR_LIMIT: too many under a hold. */
int bury_row(struct account *a, const struct mbox *m, struct slice by, int64_t at,
    char key[KEY_MAX], struct slice *key_out, struct buf *value_out);
void bury_over(struct mbox *m); /* a mailbox that is gone is at rest: kept, or removed */
int bury_load(struct account *a, struct slice key, struct slice value); /* a row "l/b" */
struct mbox *bury_find(struct account *a, uint64_t id);
void bury_lost(struct mbox *m);    /* there is a row and no object */
void bury_emptied(struct mbox *m); /* after something was restored: one without mail goes */
void bury_sweep(
    struct account *a); /* those that were kept long enough go, unless the account is held */
void bury_free(struct account *a);
void kept_sweep(struct stored *st); /* all accounts in memory: now and then */
void kept_sweep_account(struct account *a);
void sweep_begin(
    struct stored *st); /* stored_sweep.c: all accounts, one after the other, for ever */

/* ---- stored_hold.c: legal holds ---- */
bool account_is_held(const struct account *a);
int hold_load(struct account *a, struct slice key, struct slice value); /* a row "l/h" */
void holds_free(struct account *a);

/* ---- messages ---- */

int on_kept_boxes(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_kept_rows(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_kept_restore(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_hold(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_list(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_create(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_delete(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_rename(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_subscribe(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_subs(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_open(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_unwatch(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_uids(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_rows(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_changes(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_flags(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_expunge(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_copy(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_move(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_body(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_summary(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_contents(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_candidates(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_rows_of(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_deliver(struct conn *c, uint32_t id, struct ipc_reader *r, int fd, bool sent);
int on_append(struct conn *c, uint32_t id, struct ipc_reader *r, int fd, bool part);
void append_groups_free(struct conn *c);
int on_check(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_read_state(struct conn *c, uint32_t id, struct ipc_reader *r);

/* ---- stored_deliver.c: a message as ingest sends it ---- */
/* What the server's copy of a message in Sent and the client's have in common (ingest_same). */
struct sent_same {
	bool known;
	unsigned char b[16];
};
struct content {
	unsigned char sha256[32];
	struct slice bytes, summary; /* borrowed from the request */
	bool by_fd, documents;
	uint64_t size;
	struct sent_same same;
};
/* The fields that begin STORE_DELIVER, STORE_APPEND and STORE_IMPORT; what row borrows is from mem. fd: that of the request, or -1. 0 or ERR_PROTO. */
int message_get(struct ipc_reader *r, int fd, struct arena *mem, unsigned char id[16],
    struct msg_row *row, struct content *c);

/* ---- stored_import.c ---- */
int on_import(struct conn *c, uint32_t id, struct ipc_reader *r, int fd);
int on_import_check(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_import_open(struct conn *c, uint32_t id, struct ipc_reader *r);

/* ---- stored_quota.c ---- */
uint64_t account_messages(const struct account *a);
/* So much in all is allowed; so much more is. */
bool quota_fits(const struct stored *st, uint64_t octets, uint64_t messages);
bool quota_allows(const struct account *a, uint64_t octets, uint64_t messages);
int on_quota(struct conn *c, uint32_t id, struct ipc_reader *r);

/* ---- stored_move.c ---- */
void moves_recover(struct mbox *m); /* finishes or forgets what was left in the middle */
/* Restoring: messages of a deleted mailbox (mods NULL), or "k/" rows of m by their mod-sequences, to another mailbox of the account, as a
 * move under id. uids ascend, at most CHUNK; both are copied. fn tells which became which. */
typedef void (*moved_fn)(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n);
void move_restore(struct mbox *from, struct mbox *to, const uint64_t *mods, const uint32_t *uids,
    size_t n, const unsigned char id[16], moved_fn fn, void *arg);
int moved_row_encode(int64_t at, uint64_t from, uint32_t uidvalidity, const uint32_t *src,
    const struct new_msg *dst, size_t n, struct buf *b);
int moved_row_at(struct slice v, int64_t *at_out);

/* ---- stored_sent.c: copies of what was sent in a shared Sent ---- */
/* Where they go: the mailbox with that use, else the one of that name; NULL: there is none. */
struct mbox *sent_mbox(struct account *a);
/* The id under which a copy is known by what it says: of a client's APPEND, or of the server's. false: not known (it has no Message-ID). */
bool sent_mark(const struct sent_same *same, bool by_client, unsigned char mark[16]);
/* One of both is to stay, when they are the same message. by: the login or address of whom the new one is; like m borrowed until fn. uid: the copy that
 * was just inserted, the client's or the server's; 0: the client's is not inserted yet. fn, now or later: 0 and the UID of the one that stays, when that is on stable storage; ERR_NOTFOUND (uid 0 alone): the server's is not there; or what went wrong. */
typedef void (*sent_fn)(void *arg, int err, struct mbox *m, uint32_t uid);
void sent_settle(struct mbox *m, const struct sent_same *same, uint32_t uid, bool by_client,
    struct slice by, sent_fn fn, void *arg);

/* ---- stored_index.c, stored_seal.c, stored_candidates.c: the index for SEARCH ---- */
void index_maybe(struct mbox *m); /* after a commit: makes blocks when there is enough for one */
void index_free(struct mbox *m);  /* what is in memory */
size_t index_in_memory(const struct stored *st); /* blocks of the mailboxes in memory */

/* ---- stored_watch.c ---- */
void watch_add(struct session *s, struct mbox *m);
void watch_remove(struct session *s, struct mbox *m);
void watch_session_done(struct session *s);
void watch_session_renewed(struct session *s); /* ends those its rights do not reach, and says so */
void watch_tell_gone(struct mbox *m);          /* and ends the watches */
void mbox_changed(struct mbox *m);             /* after a commit */
int on_names_watch(struct conn *c, uint32_t id, struct ipc_reader *r);
void names_changed(
    struct stored *st); /* mailboxes were made, renamed or removed: before anybody is answered */
void names_watch_end(struct conn *c);

/* ---- stored_view.c: what changed, and everything as (uid, flags, modseq) ---- */
/* forgotten: see store_client.h. */
typedef void (*changes_fn)(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *changed, size_t n_changed, const uint32_t *expunged, size_t n_expunged);
void changes_read(struct mbox *m, uint64_t since, changes_fn fn, void *arg);
typedef void (*view_fn)(void *arg, int err, const struct store_uid *u, size_t n);
void view_get(struct mbox *m, bool fresh, view_fn fn, void *arg);
void view_free(struct mbox *m);

/* ---- stored_rebuild.c ---- */
int on_rebuild_wait(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_rebuild_piece(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_rebuild_done(struct conn *c, uint32_t id, struct ipc_reader *r);
void rebuild_conn_closed(const struct conn *c);

/* ---- stored_text.c: the text of documents in mails ---- */
/* There are documents in the body: their text is wanted, unless a row of it is there already. To be called before the batch that names the body is submitted. */
void text_want(struct stored *st, uint64_t body);
int on_text_wait(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_text_piece(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_text_done(struct conn *c, uint32_t id, struct ipc_reader *r);
void text_conn_closed(const struct conn *c);
/* stored_text_old.c */
int on_text_old_wait(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_text_old_done(struct conn *c, uint32_t id, struct ipc_reader *r);
/* stored_text_read.c */
int on_texts_maybe(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_text(struct conn *c, uint32_t id, struct ipc_reader *r);

/* ---- stored_backup.c ---- */
int on_backup_begin(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_backup_rows(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_backup_journal(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_backup_cut(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_backup_segment(struct conn *c, uint32_t id, struct ipc_reader *r);
int on_backup_done(struct conn *c, uint32_t id, struct ipc_reader *r);
void backup_conn_closed(struct conn *c);
void backup_places_load(void); /* once, in the working folder */
uint64_t backup_newest(void);  /* the moment of the newest backup, seconds since 1970; 0: none */
struct json;
struct json *backup_list(void);     /* the same as an array of {"folder", "moment"} */
void backup_stat(struct buf *json); /* a member: where backups are, and how old */

int64_t now_s(void);
/* For whatever goes once its time is over: the clock as it was when stored began, and what has really passed since; earlier when the clock says
 * so. A clock that is set ahead while stored runs ends nothing. */
int64_t age_now_s(void);
/* From when the term of something counts that is kept from now on: the later of both. What comes while the clock is set back is not years old
 * once it is put right. */
int64_t age_from_s(void);
/* A backend call refused our own arguments: a bug. */
void must(int err);

#endif
