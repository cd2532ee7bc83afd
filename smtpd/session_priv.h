/* session_priv.h: one SMTP client and its transaction, for session.c, cmd_*.c, data.c and deliver.c alone. */
#ifndef CV_SESSION_PRIV_H
#define CV_SESSION_PRIV_H

#include "directory/lookup_client.h"
#include "lib/io.h"
#include "lib/spool.h"
#include "milter/ledger_client.h"
#include "smtpd/autoreply.h"
#include "smtpd/limits.h"
#include "smtpd/lmtp_client.h"
#include "smtpd/milters.h"
#include "smtpd/queue_client.h"
#include "smtpd/relay_route.h"
#include "smtpd/route_memory.h"
#include "smtpd/smtp_parse.h"

/* PORT_JUDGE: judge.sock, where relay brings what was submitted and could not be judged then. */
enum port { PORT_MX, PORT_SUBMISSION, PORT_SUBMISSIONS, PORT_JUDGE, PORTS };
enum { MILTER_CONFS_MAX = 8, RCPTS_MAX = 2000, AUTH_TRIES = 3, HOPS_MAX = 100 };

/* The process: what all its clients share. */
struct smtpd {
	struct loop *loop;
	struct tls_ctx *tls;
	struct lookup_client *lookup;
	struct route_memory *routes_seen;
	struct queue_client *queue;
	struct ipc_client *ledger;
	struct lmtp_pool *lmtp;
	struct milter_conf *milters[MILTER_CONFS_MAX];
	size_t n_milters;
	struct relay_routes *routes; /* where mail to others goes */
	const char *hostname, *first_domain, *authserv_id;
	struct tls_ctx *tls_submission; /* asks for certificates, where configured; else tls */
	char *mechs;                    /* "SCRAM-SHA-256 PLAIN LOGIN" */
	uint64_t size_max, timeout_ms;
	size_t rcpts_max;
	unsigned errors_max;  /* refused commands of a client, then 421 */
	uint64_t pace_octets; /* of a message, that must come in timeout_ms */
	struct limits *limits;
	struct client *list; /* all */
	struct listener *listeners[PORTS];
	bool leaving; /* the listeners are gone: stopping, or replaced after a reload */
	uint64_t accepted, refused, clients;
	bool ending;         /* SIGTERM came: nobody new */
	unsigned delivering; /* messages that the store may have and the client does not know */
};
extern struct smtpd smtpd;

struct rcpt {
	const char *address;
	enum rcpt_state kind;
	uint32_t notify;
	const char *orcpt;
	const char *outcome,
	    *detail; /* "delivered", "queued", "refused", "deferred" for the ledger */
	/* where its mail goes besides, and what its owner answers: in the transaction's arena */
	const struct hop *hops;
	size_t n_hops;
	bool keep;
	const struct autoreply_rule *reply; /* NULL: none */
	const char *by; /* added by forward.c: who forwards; NULL: the client named it */
	struct slice by_secret;
};
struct hop {
	const char *to, *by;
	struct slice secret; /* of by: for the mark */
	bool remote;
};

/* RCPT_FORWARDED in kind: its mail goes to others only, no copy stays. Never in an envelope. */
#define RCPT_FORWARDED ((enum rcpt_state)0)

struct deliver;

struct txn {
	struct arena *arena;
	struct smtp_mail mail;
	const char *from;
	struct delivery_id id;
	char qid[QID_LEN + 1];
	struct rcpt *rcpts;
	size_t n_rcpts, rcpts_alloc;
	struct milter_env env;
	bool at_milters; /* they saw MAIL */
	bool refused_rcpt;
	bool held; /* the queue keeps a part of it that is to be dropped unless committed */
	struct spool *spool;
	struct smtp_data data;
	struct buf chunk;
	int data_err; /* the spool's, or ERR_TEMP: told at the end of data */
	bool in_data, in_bdat, bdat_begun, bdat_last;
	uint64_t bdat_left;
	unsigned refuse_code; /* a milter's answer to DATA, told at the end of BDAT */
	char *refuse_text;
	struct deliver *deliver;
	struct ledger_rcpt *copies; /* what became of them (sent_copy.c), for the outcome record */
	size_t n_copies;
	const char *release;      /* "QID RULES" of a message that officers released; NULL */
	struct slice release_sum; /* hexadecimal SHA-256 of the reason it was held for */
	uint64_t began_ms;
};

struct pace;

/* A request that cannot be taken back: its answer looks whether the client is still there. */
struct ask {
	struct client *c;
};

struct client {
	struct io *io; /* NULL: gone, only the delivery goes on */
	struct client *next, **at;
	struct pace *pace;
	bool counted;   /* in smtpd.limits */
	bool handshake; /* of TLS, under way */
	enum port port;
	struct listener *listener;
	char ip[48];
	uint16_t peer_port;
	char *helo;
	bool esmtp, tls_done;
	bool busy; /* an answer is being made: later commands wait */
	bool eof, closing;
	unsigned errors, auth_failures, idle_commands;
	struct lookup_login *login;
	struct lookup_watch *watch; /* what changes in the directory for it */
	const char *ended;          /* not NULL: it may not go on; why, for its 421 */
	char *mech;
	bool judge_mx; /* judge.sock: what relay brings now came by the MX port */
	struct lookup_auth *auth;
	bool auth_line;                  /* the next line is a response of the exchange */
	bool auth_final;                 /* it answers the server's final data: must be empty */
	struct lookup_login *auth_login; /* kept until then */
	struct milters *milters;
	struct txn *t;
	struct queue_call *call;
	struct ask *ask;
	struct lmtp_job *probe; /* what the store says of a recipient */
	struct lmtp_rcpt probe_rcpt;
	struct loop_timer *delay;
	uint64_t skip_left; /* octets of a BDAT nobody wants */
};

/* ---- session.c ---- */
/* "550 5.1.1 text": non-ASCII text is folded unless the transaction is SMTPUTF8. enhanced may be NULL. */
void reply(struct client *c, unsigned code, const char *enhanced, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Lines separated by LF; default_text when text is empty. The text may begin with its enhanced code. */
void reply_text(struct client *c, unsigned code, const char *text, const char *default_text);
/* The command is over; the next one may run. */
void client_done(struct client *c);
/* Sends what is queued and ends. */
void client_close(struct client *c);
/* 421 with a text, and ends. */
void client_bye(struct client *c, const char *enhanced, const char *why);
/* 421 to all that wait for nothing; the others get it behind their answer. */
void clients_bye(void);
void client_new(int fd, enum port port);
void client_free(struct client *c);
/* Runs what is buffered, later in this turn. */
void client_kick(struct client *c);
/* Frees the client when its delivery was all that kept it. */
void client_release(struct client *c);
bool client_is_submission(const struct client *c);
/* Drops the transaction, and what the milters and the queue know of it. */
void txn_reset(struct client *c);
/* Whether an address with UTF-8 was refused, since the transaction is not SMTPUTF8 (RFC 6531 3.5); on submission it is taken, and
 * declared downstream (INTEROP.md SMTP 3). */
bool refuse_utf8(struct client *c, struct slice address);
/* The client's name as it may stand in a header field. */
void append_clean(struct buf *b, const char *s);

/* ---- cmd_*.c: each is called with its command's arguments and answers now or later ---- */
void cmd_helo(struct client *c, struct slice args);
void cmd_ehlo(struct client *c, struct slice args);
void cmd_starttls(struct client *c, struct slice args);
void cmd_auth(struct client *c, struct slice args);
void cmd_auth_line(struct client *c, struct slice line);
void cmd_mail(struct client *c, struct slice args);
void cmd_rcpt(struct client *c, struct slice args);
void cmd_data(struct client *c, struct slice args);
void cmd_bdat(struct client *c, struct slice args);
void cmd_rset(struct client *c, struct slice args);
void cmd_noop(struct client *c, struct slice args);
void cmd_vrfy(struct client *c, struct slice args);
void cmd_expn(struct client *c, struct slice args);
void cmd_help(struct client *c, struct slice args);
void cmd_quit(struct client *c, struct slice args);
void auth_reset(struct client *c);
/* ---- directory.c: what changes in the directory for who is signed in ---- */
/* From the login on. */
void client_watch(struct client *c);
/* Whether who is signed in may send as the address at this moment; of the functional mailbox or person it stands for *id_out, which may be NULL. */
bool client_may_send_as(
    const struct client *c, struct slice address, const struct lookup_identity **id_out);

/* Whether the client showed a certificate to sign in with (SASL EXTERNAL). */
bool auth_has_cert(struct client *c);

/* ---- pace.c: a client that is slower than its time allows gets 421 ---- */
struct pace *pace_new(struct client *c);
void pace_free(struct pace *p); /* NULL accepted */
/* A whole command came, or the handshake ended: its time begins anew. */
void pace_step(struct pace *p);
/* Octets of a message came. */
void pace_data(struct pace *p, size_t n);
/* A TLS handshake began. */
void pace_handshake(struct pace *p);

/* ---- forward.c ---- */
/* Keeps in r what lookup said of its mail's further way. 0 or ERR_NOMEM. */
int forward_note(struct txn *t, struct rcpt *r, const struct lookup_route *route);
/* The recipients that forwards add; those that keep no copy become RCPT_FORWARDED. After the milters. 0 or ERR_NOMEM. */
int forward_expand(struct txn *t, const struct msg *m);
/* The trace field by which a forwarded message is known should it come back, for each that forwards. */
void forward_trace(const struct txn *t, struct buf *out);
/* A line in the log for each forward outside. */
void forward_log(const struct txn *t);

/* ---- reply.c: automatic replies, after the message is safe and before its answer ---- */
struct replies;
/* fn is called when all are in the queue or given up. Either later, and *out has what replies_free cancels until then; or at once: *out is
 * not touched. */
void replies_start(
    struct client *c, const struct msg *m, struct replies **out, void (*fn)(void *arg), void *arg);
void replies_free(struct replies *r); /* NULL accepted; fn is not called */

/* ---- refused.c ---- */
/* P28 at MAIL: a line in the log, a record in the audit log unless there were too many, and the answer, which names the record's ticket. The command is
 * over when it is answered: later, or at once. */
void refuse_sender(struct client *c);
/* P28 for the header: every From (and Sender) of a submitted mail is one's own. NULL when it is; else the address that is not, in the arena
 * or static. */
const char *foreign_sender(const struct client *c, const struct msg *m, struct arena *a);

/* ---- sent_copy.c: the copy in the Sent of who it was sent as, after the message is safe and before its answer ---- */
struct sent_message {
	const struct msg *msg;
	struct slice sent; /* what the client sent, octet by octet */
	/* as the client named them, before milters and forwarding: */
	const char *from;
	const struct rcpt *rcpts;
	size_t n_rcpts;
	struct slice body;
	struct queue_message queue; /* as it goes out */
	uint32_t env_flags;         /* ENV_8BIT, ENV_SMTPUTF8 */
};
struct sent_copies;
/* fn is called when each copy is on stable storage, in Sent or in the queue, or given up. As replies_start for *out. m is borrowed until then. */
void sent_copies_start(struct client *c, const struct sent_message *m, struct sent_copies **out,
    void (*fn)(void *arg), void *arg);
void sent_copies_free(struct sent_copies *s); /* NULL accepted; fn is not called */

/* ---- urgent.c ---- */
/* Whether our milter, in this transaction, judged the message to be an urgent document that goes on (P32 in mode enforce), and one of us who signed in sends
 * it, under an envelope sender of ours. After milters changed the envelope. */
bool urgent_judged(const struct client *c, const struct msg *m);
/* Its recipients, where the sender asked for nothing: reports of delivery, delay and failure (urgent_receipt). */
void urgent_receipts(struct txn *t);

/* ---- sender.c ---- */
/* Addresses, of functional mailboxes or of people who delegated, that a submitted message was sent as: at most max into list, each once, in the arena or the
 * client's; *actor_out: the own address of who sent it, when there are any. How many. */
size_t sender_as(const struct client *c, const struct msg *m, struct arena *arena,
    const char **list, size_t max, const char **actor_out);
/* A submitted message without Bcc and Resent-Bcc, and with Sender: when it is written as somebody else. Any other is left alone. 0, ERR_NOMEM, ERR_SYNTAX,
 * ERR_LIMIT. */
int submitted_header(const struct client *c, struct msg *m, struct arena *arena);

/* ---- judge.c: mail that waits to be judged ---- */
/* MAIL by judge.sock: who submitted it, and from where. 0; ERR_UNSUPPORTED: parameters where they have no business; ERR_SYNTAX: they are
 * missing; ERR_NOMEM. */
int judge_mail(struct client *c, const struct smtp_mail *m);
/* Whether the milter's reason is the one that officers released the message from: it is then held no more for that. */
bool judge_is_released(const struct txn *t, const char *reason);
/* The id MAIL gets: another one than the message has in the queue, always the same. */
void judge_id(const struct txn *t, struct delivery_id *out);
/* At the end of the message: the rest of the id, by who was accepted. What comes again with the same recipients is the same delivery; what comes with those
 * left over is another. */
void judge_id_end(struct txn *t);
/* Whether a milter's answer to a submitted message says "not yet", so that it waits with us: mail clients do not try again. */
bool judge_waits(const struct client *c, const struct milter_verdict *v);

/* ---- data.c ---- */
/* Reads message bytes from the input; false when it needs more, or waits. */
bool data_input(struct client *c);
void data_begin(struct client *c, bool dots);

/* ---- deliver.c ---- */
/* The message is whole: milters, store, queue, ledger, answer. */
void deliver_start(struct client *c);
void deliver_free(struct deliver *d); /* NULL accepted */

#endif
