/* lookup_client.h: what sessions, ingest and the milter ask the directory, through the lookup role. The only door: none of
 * them links libldap or libsasl2. Answers come on the loop, never from within the call. */
#ifndef CV_LOOKUP_CLIENT_H
#define CV_LOOKUP_CLIENT_H

#include "lib/ipc.h"

extern const struct ipc_proto lookup_proto;
enum lookup_msg {
#define IPC_MSG(name, number, from, states, max_len, fds) name = number,
#include "directory/lookup_proto.def"
#undef IPC_MSG
};

struct lookup_client;
/* socket: "lookup.smtpd.sock"; self: the caller's role. fatal() for no memory. */
struct lookup_client *lookup_client_new(struct loop *l, const char *socket, uint32_t self);
void lookup_client_free(struct lookup_client *c);

enum lookup_rcpt_kind {
	LOOKUP_RCPT_LOCAL = 1,  /* targets[] has the mailbox(es) */
	LOOKUP_RCPT_REMOTE = 2, /* not one of our domains */
	LOOKUP_RCPT_NONE = 3,   /* our domain, no such recipient */
};
struct lookup_target {
	char *account; /* store account id, "p-000123" */
	char *address; /* its primary address */
	char *name;
};
struct lookup_rcpt {
	enum lookup_rcpt_kind kind;
	bool official; /* a functional mailbox */
	struct lookup_target
	    *targets; /* one for a person or functional mailbox, the members for a group */
	size_t n_targets;
};
/* err: 0 with r; ERR_TEMP (directory down: a temporary error, never "no such user"); ERR_LIMIT (a group of more than 10,000
 * members, or nested more than 8 deep). r is borrowed for the call. */
typedef void (*lookup_rcpt_fn)(void *arg, int err, const struct lookup_rcpt *r);
int lookup_rcpt(struct lookup_client *c, struct slice address, unsigned timeout_ms,
    lookup_rcpt_fn fn, void *arg, uint32_t *call_out);
/* How mail for an address goes on: as LOOKUP_ROUTE says. */
struct lookup_hop {
	char *to, *by;
	unsigned char secret[32]; /* of who forwards */
	bool remote;
};
struct lookup_reply {
	char *account, *address, *name, *subject, *text;
	unsigned days;
	char **addresses;
	size_t n_addresses;
};
struct lookup_route {
	enum lookup_rcpt_kind kind;
	bool may_send; /* the sender may send to this group */
	bool group;
	bool keep; /* the mailbox itself gets it */
	struct lookup_hop *hops;
	size_t n_hops;
	struct lookup_reply *reply; /* NULL: none is due */
};
/* As lookup_rcpt_fn. */
typedef void (*lookup_route_fn)(void *arg, int err, const struct lookup_route *r);
/* fn is called in any case, unless c is freed first. */
int lookup_route(struct lookup_client *c, struct slice address, const char *sender, bool signed_in,
    unsigned timeout_ms, lookup_route_fn fn, void *arg);

enum lookup_identity_kind { /* as LOOKUP_AUTH_DONE has it */
	LOOKUP_IDENTITY_OWN = 0,
	LOOKUP_IDENTITY_FUNCTIONAL = 1,
	LOOKUP_IDENTITY_DELEGATED = 2,
};
struct lookup_identity {
	char *address; /* normalized */
	bool functional;
	bool own; /* the person's; else of a functional mailbox, or of somebody who delegated */
	/* seconds since 1970, when one may send as it; 0: no bound. An address may stand here several times */
	int64_t from, until;
};
struct lookup_share {
	char *account; /* "f-…" */
	char *address;
	char *name;   /* below the namespace of other users; the same as in the ticket */
	char *rights; /* RFC 4314 letters, "lrswipkxtea" */
};
struct lookup_login {
	char *login; /* the name as the directory has it */
	char *account;
	char *address; /* primary */
	char *name;
	struct slice ticket; /* for stored and ingest */
	int64_t expires;     /* seconds since 1970 */
	int64_t
	    password_until; /* when the password expires, seconds since 1970, if it is time to say so; else 0 */
	bool is_grace;                      /* it has expired, and was taken once more */
	uint32_t grace_left;                /* so many times again */
	struct lookup_identity *identities; /* addresses this person may send as, the own first */
	size_t n_identities;
	struct lookup_share *shares; /* functional mailboxes with the rights held now */
	size_t n_shares;
};
void lookup_login_free(struct lookup_login *l);

/* One SASL exchange (RFC 4422). The session relays; mechanisms, keys and the directory stay in lookup. */
enum lookup_auth_result { LOOKUP_AUTH_MORE, LOOKUP_AUTH_OK, LOOKUP_AUTH_FAILED };
struct lookup_auth;
/* MORE: challenge (not base64). OK: login is the callee's (lookup_login_free), challenge is the server's final data, ptr NULL
 * when there is none. FAILED: err is ERR_AUTH, ERR_DENIED, ERR_LIMIT (too many wrong logins of late: not looked at), ERR_TEMP, ERR_SYNTAX,
 * ERR_UNSUPPORTED, or of right credentials ERR_EXPIRED, ERR_MUST_CHANGE (a first password) or ERR_LOCKED (by an administrator). After OK and
 * FAILED the exchange is over and freed. */
typedef void (*lookup_auth_fn)(void *arg, enum lookup_auth_result res, int err,
    struct slice challenge, struct lookup_login *login);
struct lookup_auth_params {
	const char *mech;    /* "PLAIN" */
	const char *service; /* "imap" or "smtp" */
	const char *client_ip;
	bool tls;
	bool has_initial; /* initial response given (may be empty) */
	struct slice initial;
	struct slice binding_exporter, binding_endpoint; /* empty when unknown */
	struct slice
	    peer_cert; /* EXTERNAL: DER, at most 8192 octets, of a certificate the client proved to hold (tls_peer_cert) */
};
/* NULL for no memory or too much queued. */
struct lookup_auth *lookup_auth_start(
    struct lookup_client *c, const struct lookup_auth_params *p, lookup_auth_fn fn, void *arg);
int lookup_auth_step(struct lookup_auth *a, struct slice response);
void lookup_auth_abort(struct lookup_auth *a); /* fn is not called any more; NULL accepted */
/* Mechanisms to offer, as configured ("SCRAM-SHA-256 PLAIN LOGIN" split); from conf sasl_mechs. */

/* Somebody who is signed in: hears of what changes in the directory for that person (LOOKUP_WATCH), also when lookup was restarted in between. */
enum lookup_ended {
	LOOKUP_ENDED_PERSON = 1, /* may not sign in any more */
	LOOKUP_ENDED_EPOCH = 2,  /* all sessions were ended: sign in again */
	LOOKUP_ENDED_TICKET = 3, /* the ticket is over, or not believed */
};
struct lookup_watch;
struct lookup_watch_ops {
	void (*on_ended)(
	    void *arg, enum lookup_ended why); /* nothing follows; the watch is still to be freed */
	/* what the person may is another now, or the ticket was renewed; l is the callee's (lookup_login_free) */
	void (*on_changed)(void *arg, struct lookup_login *l);
};
/* ticket is copied. */
struct lookup_watch *lookup_watch_new(
    struct lookup_client *c, struct slice ticket, const struct lookup_watch_ops *ops, void *arg);
void lookup_watch_free(struct lookup_watch *w); /* NULL accepted; also from its own calls */

/* Who has which rights in an account, as the directory has it now. */
struct lookup_ace {
	char *identifier; /* a login name; or "$" and the name of a post or group */
	char *rights;     /* RFC 4314 letters */
};
/* err: 0 with n of v, borrowed for the call; ERR_DENIED (the ticket gives no right 'a' there), ERR_NOTFOUND, ERR_TEMP. */
typedef void (*lookup_acl_fn)(void *arg, int err, const struct lookup_ace *v, size_t n);
struct lookup_acl_call;
/* NULL: too much queued. fn is called later, unless it is canceled. */
struct lookup_acl_call *lookup_acl(struct lookup_client *c, struct slice ticket,
    struct slice account, lookup_acl_fn fn, void *arg);
void lookup_acl_cancel(struct lookup_acl_call *k); /* NULL accepted */

/* For the milter's threads: blocking. */
enum lookup_owner_kind {
	LOOKUP_OWNER_NONE = 0,
	LOOKUP_OWNER_PERSON = 1,
	LOOKUP_OWNER_FUNCTIONAL = 2,
	LOOKUP_OWNER_GROUP = 3
};
struct lookup_sender {
	bool is_ours; /* the domain is one of ours */
	enum lookup_owner_kind kind;
	char *account, *agency;
	bool login_may_send_as;
	char **addresses; /* the owner's addresses now and before (address history), normalized */
	size_t n_addresses, n_current; /* those of now come first */
	struct slice *certs;           /* DER */
	size_t n_certs;
	char **authorities; /* what a person may sign: "QĐ;KT" (dir_attr_authority) */
	size_t n_authorities;
	char **symbols; /* abbreviations of the agency, its own first, and of those above it */
	size_t n_symbols;
};
int lookup_sender_sync(struct ipc_sync *s, struct slice address, const char *login,
    unsigned timeout_ms, struct lookup_sender **out);
void lookup_sender_free(struct lookup_sender *s);

enum { LOOKUP_ASKED_MAX = 50 };
/* Recipients whose owner has another address now. */
struct lookup_moved {
	char *was[LOOKUP_ASKED_MAX], *is[LOOKUP_ASKED_MAX]; /* was: as asked */
	size_t n;
};
/* 0 (out: lookup_moved_done), ERR_TEMP. */
int lookup_moved_sync(struct ipc_sync *s, const char *const *addresses, size_t n,
    unsigned timeout_ms, struct lookup_moved *out);
void lookup_moved_done(struct lookup_moved *m);
/* Whether each address belongs to a group of the directory. 0; ERR_NOTFOUND: there is no such group; ERR_LIMIT: it is too large; ERR_TEMP. */
int lookup_member_sync(struct ipc_sync *s, const char *group, const char *const *addresses,
    size_t n, unsigned timeout_ms, bool *is_out);

#endif
