/* milter_priv.h: the filter's state, without libmilter: milter.c (its only includer) calls the cb_*.c, which know no mfapi.h. */
#ifndef CV_MILTER_PRIV_H
#define CV_MILTER_PRIV_H

#include "milter/msg_file.h"
#include "lib/arena.h"
#include "lib/ipc.h"

#define MSG_HEADER_MAX (1u << 20)
#define MSG_RCPTS_MAX 10000
#define EDITS_MAX 64

/* One message under way. */
struct msg {
	struct arena *arena;  /* envelope */
	struct buf header;    /* as it goes into the message, CRLF line ends */
	struct msg_file file; /* header, empty line, body */
	bool has_body;        /* the header is in the file */
	int err;              /* ERR_LIMIT: too large; others: could not be kept */
	char *from;           /* envelope, without angle brackets; "" for the null sender */
	char **rcpts;
	size_t n_rcpts;
	char *login, *qid; /* NULL: none */
	char *
	    release; /* "QID RULES": officers released it from the quarantine (smtpd's {cv_release}); NULL */
};
/* One connection of the MTA. */
struct session {
	char *client_ip, *tls;
	bool no_hold;   /* the MTA does not take SMFIF_QUARANTINE */
	bool no_change; /* it takes no other body: nothing is signed here */
	bool
	    answers; /* it waits for an answer to connection, sender, each recipient, header field and piece of body */
	struct msg *msg;
};

enum outcome_action { OUT_ACCEPT, OUT_REJECT, OUT_TEMPFAIL, OUT_HOLD };
/* What is to be told to the MTA. Strings are malloc'd (outcome_done). */
struct outcome {
	enum outcome_action action;
	const char *code, *enhanced; /* "550", "5.7.1" */
	struct buf text;             /* ASCII */
	struct buf authres, verdict; /* header bodies to insert */
	bool urgent;                 /* an urgent document that no field marks so yet (P32) */
	struct {
		const char *name; /* static */
		char *owned;      /* the name as in the message, when it is not static */
		int index;        /* from 1, per name */
	} drop[EDITS_MAX];        /* in descending order of index per name */
	size_t n_drop;
	bool too_many; /* more to drop than EDITS_MAX */
	struct gateway *
	    gateway; /* NULL, or what signing for a mailbox changes; body_fd holds the new body from body_off on */
	int body_fd;
};
void outcome_done(struct outcome *o);

/* cb_connect.c */
struct session *cb_connect(const char *client_ip);
void cb_close(struct session *s);
/* cb_envelope.c: 0 or ERR_NOMEM */
int cb_envfrom(struct session *s, const char *from, const char *login, const char *tls,
    const char *qid, const char *release);
int cb_envrcpt(struct session *s, const char *rcpt);
void cb_abort(struct session *s);
/* cb_header.c, cb_body.c: what goes wrong stands in msg->err and is told at the end of the message. */
void cb_header(struct session *s, const char *name, const char *value);
void cb_body(struct session *s, const unsigned char *p, size_t n);
/* cb_eom.c: judges, records, words. Always gives an outcome. */
void cb_eom(struct session *s, const char *qid, struct outcome *o);

/* edits.c: fields that must not come from outside (RFC 8601 5), and those that we add (RFC 7281). Pure. */
struct rule_facts;
struct verdict;
void edits_drop(struct slice header, const char *authserv_id, struct outcome *o);
void edits_authres(const struct rule_facts *f, const char *authserv_id, struct buf *out);
/* Whether the mail is to be marked as important: an urgent document (P32 is not off or only logged) without a field that says so. */
bool edits_urgent(const struct rule_facts *f, const struct verdict *v, struct slice header);
void edits_verdict(const struct rule_facts *f, const struct verdict *v, struct buf *out);

/* backend.c: connections to lookup, milter-scan and milter-ledger, shared by libmilter's threads. */
struct backend_slot {
	struct ipc_sync *lookup, *ledger, *sign;
	bool taken;
};
void backend_init(unsigned scanners);
void backend_start(void); /* behind the sandbox: opens the slots' connections in the background */
/* Both wait at most timeout_ms for their turn; NULL then. The number of slots bounds the messages judged at a time. */
struct backend_slot *backend_take(unsigned timeout_ms);
void backend_give(struct backend_slot *s);
/* One scanner at a time. rev_version: what it knows of revocations, as far as we know (revcache.c's). */
struct backend_scanner {
	struct ipc_sync *sync;
	uint64_t rev_version;
	bool taken;
};
struct backend_scanner *backend_take_scanner(unsigned timeout_ms);
void backend_give_scanner(struct backend_scanner *s);

/* revcache.c: fetched CRLs and OCSP answers. A thread of its own fetches; no callback ever does. */
void revcache_start(void); /* after the sandbox; fatal() without a thread */
/* Notes what a message's chains ask for. True when something of it was never tried yet. */
struct findings;
bool revcache_want(const struct findings *f);
/* Waits until all of it was tried once, at most that long, and only when few others wait. True: something came. */
bool revcache_wait(const struct findings *f, unsigned ms);
/* Brings a scanner to the present version, which is returned; 0 or less than that: it died or did not answer (err_out). */
int revcache_sync(struct backend_scanner *s);
/* Whether an issuer's revocations have been unknown for longer than the grace; known: they are known now. */
bool revcache_grace_over(struct slice issuer, bool known);

/* Settings, read once at the start. */
struct milter_settings {
	const char *hostname;
	unsigned scan_timeout_ms;
	uint64_t size_max;
	const char **official_headers;
	size_t n_official_headers;
	const char **authserv; /* whose Authentication-Results are believed */
	size_t n_authserv;
	struct modes *modes;
	struct clearances *clearances;
	char **gateway; /* functional mailboxes whose mail is signed here, normalized */
	size_t n_gateway;
	const struct rule_settings *rules;
	unsigned rev_refresh_s, rev_wait_ms, rev_grace_s;
	bool rev_fetch;
	char policy_sha256[65];      /* of the built-in policy */
	const struct policy *policy; /* NULL: the built-in one alone */
	bool policy_refused;         /* it is the one before: policy_file cannot be used */
	bool record_subject;
	char *clamd_socket; /* NULL: none is asked */
	uint64_t clamd_max;
	unsigned clamd_timeout_ms;
	enum { CLAMD_TEMPFAIL, CLAMD_HOLD, CLAMD_ACCEPT } clamd_failure;
};
extern struct milter_settings milter_settings;

#endif
