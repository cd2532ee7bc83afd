/* session.h: one connected client and the command it runs; shared by session.c, sync.c and the cmd_*.c files.
 * One command runs at a time, in the order the client sent them; what it asks of stored, lookup and ingest is answered on the
 * loop. Nothing here is freed while a call into it is under way: client_close only marks, the loop frees. */
#ifndef CV_IMAPD_SESSION_H
#define CV_IMAPD_SESSION_H

#include "directory/lookup_client.h"
#include "imapd/imap_cur.h"
#include "imapd/imap_parse.h"
#include "imapd/view.h"
#include "lib/arena.h"
#include "lib/io.h"
#include "store/ingest_client.h"
#include "store/store_client.h"

#define IMAP_OUT_CAP ((size_t)16 << 20)   /* output held for a client, at most */
#define IMAP_OUT_HIGH ((size_t)512 << 10) /* commands stop producing above this */
#define IMAP_OUT_LOW ((size_t)128 << 10)  /* and go on below this */
#define IMAP_IN_CAP ((size_t)64 << 10)
#define IMAP_ARENA_CAP ((size_t)64 << 20) /* memory of one command, at most */
#define IMAP_PIECE 262144u                /* octets of one pull from the store */

/* What all clients of the process share. */
struct imapd {
	struct loop *loop;
	struct store_client *store;
	struct ingest_client *ingest;
	struct lookup_client *lookup;
	struct tls_ctx *tls; /* NULL: no TLS (tests) */
	const char *hostname;
	const char *other_prefix;    /* "Other Users" */
	const char *const *mechs;    /* SASL mechanisms, NULL-terminated */
	const char *capability_mask; /* option imap_capability_mask; NULL: nothing is masked */
	uint64_t message_max;        /* octets of an APPEND */
	uint64_t idle_s;             /* autologout */
	uint64_t keepalive_s;        /* in IDLE */
	uint64_t login_s;            /* until login */
	uint64_t auth_delay_ms;      /* after a failed login, times the number of failures */
	bool search_documents;       /* option search_attachment_text */
	bool asks_cert;              /* clients may sign in by certificate */
	bool plain_login;            /* tests only: login without TLS */
	struct client *clients;
	unsigned n_clients;
	uint64_t n_logins, n_commands;
	bool stopping;
};

enum client_state { CLIENT_NOTAUTH = 1, CLIENT_AUTH = 2, CLIENT_SELECTED = 4 };
/* What ENABLE (RFC 5161) or a command that implies it switched on, for the rest of the session. */
enum client_enabled {
	ENABLED_CONDSTORE = 1, /* RFC 7162 */
	ENABLED_QRESYNC = 2,
	ENABLED_UTF8 = 4, /* RFC 6855 UTF8=ACCEPT */
	ENABLED_REV2 = 8, /* RFC 9051 */
};

/* The client's own change that the store will tell of again. */
struct own_change {
	uint32_t uid;
	uint64_t modseq;
};
struct selected {
	uint64_t mailbox;
	uint32_t uidvalidity, uidnext;
	bool examine; /* by EXAMINE */
	bool read_only;
	bool may_seen; /* \Seen may be set: the right 's' */
	bool stale;    /* the store said that something changed */
	bool lost;     /* stored was restarted: open again first */
	bool gone;     /* the mailbox was deleted */
	bool
	    unread; /* the last look for changes failed: what the view does not have may be there */
	struct view view;
	struct buf keywords; /* known to the client, separated by spaces */
	struct buf rights;
	struct own_change *own;
	size_t n_own, own_alloc;
	struct store_uid *news; /* new messages, until all pages of changes were read */
	size_t n_news, news_alloc;
	uint64_t told_modseq; /* the highest MODSEQ the client was told */
	bool compare;         /* removals were forgotten: compare all UIDs, from compare_at on */
	uint32_t compare_at;
	uint32_t recent_from, recent_to; /* the UIDs that the last claim took, [from, to) */
};

struct cmd;
struct client {
	struct imapd *d;
	struct client *next, *prev;
	struct io *io;
	struct listener *listener;
	enum client_state state;
	unsigned enabled; /* enum client_enabled */
	struct imap_parse parse;
	struct cmd *cmd; /* under way, or NULL */
	struct store_session *store;
	struct lookup_watch *watch; /* of the person signed in */
	struct selected *sel;
	struct loop_defer *defer; /* frees the client */
	struct loop_timer *timer; /* until login; autologout; IDLE's keep-alive */
	char *login, *account;
	struct buf ticket;
	/* cmd_append.c: where the last one went */
	char *append_name;
	uint64_t append_box, append_names; /* store_names() when that was looked up */
	unsigned bad_commands, auth_failures;
	bool secure;      /* TLS, or a test's leave */
	bool greet_later; /* when the TLS handshake has ended */
	bool tls;
	bool compressed; /* COMPRESS DEFLATE is active */
	bool closing;    /* no more commands; freed from the loop */
	bool eof;        /* the peer sends no more */
	bool pumping;
	/* sync.c */
	bool syncing, sync_expunge;
	void (*sync_done)(struct client *c);
	uint32_t sync_at;
	const char *end_reason;
};

enum command_flag {
	COMMAND_UID = 1, /* may stand behind UID */
	COMMAND_NO_EXPUNGE =
	    2,           /* no EXPUNGE may be sent at its end (RFC 3501 7.4.1), unless behind UID */
	COMMAND_ASK = 4, /* asks the store for changes at its end even if it heard of none */
	COMMAND_NO_SYNC = 8, /* ends without looking for changes */
	COMMAND_FRESH = 16,  /* hears of changes before it begins: "*" and new mail are as of now */
};
/* A row of the command table (commands.c). run answers in the end with one of cmd_ok, cmd_no, cmd_bad, cmd_err. */
struct command {
	const char *name;
	unsigned states; /* enum client_state */
	unsigned flags;  /* enum command_flag */
	void (*run)(struct cmd *m);
};
/* NULL when there is none. */
const struct command *command_find(struct slice name);

/* A command under way. Its arguments are borrowed from the parser until it ends or asks for a line. */
struct cmd {
	const struct command *def;
	struct client *c;
	struct arena *a;
	struct slice tag;
	struct imap_cur args; /* behind the name; begins with SP when there are any */
	bool uid;
	bool ended;
	/* APPEND: the message follows (IMAP_EV_STREAM) */
	bool streams, literal_sync, literal8;
	uint64_t literal_size;
	void *state;                     /* the command's own, in the arena */
	void (*cleanup)(struct cmd *m);  /* frees what is not in the arena; may be NULL */
	void (*on_drain)(struct cmd *m); /* output went below IMAP_OUT_LOW: go on */
	void (*on_line)(struct cmd *m, struct slice line); /* after imap_parse_want_line */
	bool (*on_input)(struct cmd *m); /* takes octets from io_in itself; false: wait for more */
	void (*on_timer)(struct cmd *m); /* the client's timer, which the command had set */
	void (*on_event)(struct cmd *m); /* the selected mailbox changed (IDLE) */
	const char *why;                 /* static: what cmd_syntax may add, or NULL */
	struct slice given;              /* the last mailbox name read, as the client wrote it */
	struct buf answer;
};

/* The tagged answer, after which the next command may start: "OK", "NO" or "BAD" with text "[CODE] words". */
void cmd_ok(struct cmd *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cmd_no(struct cmd *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void cmd_bad(struct cmd *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* NO with the text for an error of stored, ingest or lookup. */
void cmd_err(struct cmd *m, int err);
/* "[CODE] words" for it. Static. */
const char *err_text(int err);
/* The command has answered by itself (STARTTLS). */
void cmd_drop(struct cmd *m);
/* cmd_bad for wrong arguments. */
void cmd_syntax(struct cmd *m);

/* Takes fd. tls_now: TLS before the greeting. */
void client_new(struct imapd *d, struct listener *ls, int fd, bool tls_now);
/* Ends the session from the loop, after what was written is flushed. reason: for the log, static. */
void client_close(struct client *c, const char *reason);
/* "* BYE text", then client_close. */
void client_bye(struct client *c, const char *text, const char *reason);
void client_printf(struct client *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void client_write(struct client *c, struct slice s);
/* So much is queued that producing should wait for on_drain. */
bool client_is_full(const struct client *c);
/* Reads on: input that waited, the next command. */
void client_pump(struct client *c);
/* The capabilities as they are now, "IMAP4rev1 …" (cmd_capability.c). */
void client_capabilities(const struct client *c, struct buf *out);
/* The site's option imap_capability_mask takes the capability from this client's account. */
bool client_is_masked(const struct client *c, const char *capability);
/* IMAP4rev2 is offered: all extensions that RFC 9051 took in are, to this client. */
bool client_has_rev2(const struct client *c);
/* \Recent and RECENT are told until IMAP4rev2 is enabled, which has none (RFC 9051 appendix E 12). */
static inline bool
client_shows_recent(const struct client *c)
{
	return !(c->enabled & ENABLED_REV2);
}
/* Names and header texts go out as UTF-8 (RFC 6855 3, RFC 9051 5.1). */
static inline bool
client_utf8(const struct client *c)
{
	return c->enabled & (ENABLED_UTF8 | ENABLED_REV2);
}
/* After a login: opens the store session, then answers the command. Takes l. */
void client_signed_in(struct cmd *m, struct lookup_login *l);
/* ---- directory.c: what changes in the directory for who is signed in ---- */
/* From the login on. */
void client_watch(struct client *c);
/* Leaves the selected mailbox, silently. */
void client_unselect(struct client *c);
/* Ends all clients with BYE. */
void imapd_stop(struct imapd *d);

/* ---- sync.c ---- */
/* Reads changes of the selected mailbox (if it heard of some, or ask) and tells the client; EXPUNGE only if expunge. done is called once,
 * maybe before the return. */
void sync_run(struct client *c, bool ask, bool expunge, void (*done)(struct client *c));
/* Remembers a change made by this client, so that the store's word of it is not told again. */
void sync_own(struct selected *s, uint32_t uid, uint64_t modseq);
/* All that a call of store_flags changed was taken over. When it is all that happened since the last look, the view is complete up to highest, and the
 * store is not asked for what is known. */
void sync_own_end(
    struct selected *s, uint64_t highest, const struct store_flagged *changed, size_t n);
void selected_free(struct selected *s);
/* What the rights let this client do in it, from here on (cmd_select.c). */
void selected_rights(struct selected *s, struct slice rights);
/* "* FLAGS (…)" when keywords has a word the client does not know yet. */
void sync_keywords(struct client *c, struct slice keywords);
/* "(\Seen $Label)" */
void flags_write(struct buf *out, uint32_t flags, bool recent, struct slice keywords);

/* ---- mbox_find.c ---- */
struct mbox {
	uint64_t id;
	struct slice account, share, name, rights; /* in the command's arena */
	uint32_t attrs, uidvalidity, uidnext, messages, unseen, recent;
	uint64_t size, highest_modseq, deleted_size;
	uint32_t deleted;
	bool has_children; /* there are names below it */
};
/* Reads a mailbox argument: whole name in UTF-8, in the arena. */
bool cmd_mailbox_arg(struct cmd *m, struct slice *name_out);
/* Finds a mailbox by its whole name; fn with 0, ERR_NOTFOUND or another error. */
void mbox_find(
    struct cmd *m, struct slice name, void (*fn)(struct cmd *m, int err, const struct mbox *b));
bool mbox_has_right(const struct mbox *b, char right);
/* "* LIST (attributes) "/" name": what IMAP4rev2 wants of SELECT, and when the name that the client gave (m->given) is not as it is kept here, with
 * OLDNAME (RFC 9051 6.3.9.7). attrs: enum mbox_attr. Nothing unless IMAP4rev2 is enabled, nor, with only_other, when the names are the same. */
void mbox_tell_list(
    struct cmd *m, struct slice name, uint32_t attrs, const char *more, bool only_other);
/* RFC 6154 attribute of one bit of enum mbox_attr ("\\Sent"), NULL when none. */
const char *mbox_use_name(uint32_t bit);

#endif
