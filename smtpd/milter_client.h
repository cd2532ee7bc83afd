/* milter_client.h: one milter as one SMTP client sees it: connection, steps in order, verdicts, modifications.
 * MILTER.md section 3. Answers come on the loop, never from within the call. */
#ifndef CV_MILTER_CLIENT_H
#define CV_MILTER_CLIENT_H

#include "lib/loop.h"
#include "smtpd/milter_options.h"
#include "smtpd/msg.h"

/* One configured milter; keeps a few connections that ended cleanly for the next client. */
struct milter_conf;
/* Copies o; a unix path is relative to the working folder. */
struct milter_conf *milter_conf_new(struct loop *l, const struct milter_options *o);
const char *milter_conf_name(const struct milter_conf *mc);
enum milter_failure milter_conf_failure(const struct milter_conf *mc);
bool milter_conf_serves(const struct milter_conf *mc, enum milter_ports port);

/* Macros and arguments; strings are borrowed for each call, NULL or "" when unknown. */
struct milter_env {
	const char *hostname;    /* {j} */
	const char *daemon_name; /* "mx" or "submission" */
	const char *client_ip;   /* {client_addr} */
	uint16_t client_port;
	const char *helo;
	const char *tls_version, *tls_cipher;
	unsigned tls_bits;
	const char *auth_type, *auth_authen;
	const char *qid;       /* {i} */
	const char *release;   /* {cv_release}: "QID RULES" of a message that officers released */
	const char *mail_from; /* without <> */
	const char *const *mail_args;
	size_t n_mail_args;
};

enum milter_verdict_kind {
	MILTER_CONTINUE,
	MILTER_REJECT,
	MILTER_TEMPFAIL,
	MILTER_DISCARD,
	MILTER_FAILED, /* it could not be asked: the caller's default action */
};
struct milter_verdict {
	enum milter_verdict_kind kind;
	unsigned code; /* 0: no reply text of its own */
	const char
	    *text; /* lines separated by LF, beginning with the enhanced code if it gave one */
	const char *why; /* MILTER_FAILED: for the log */
};
/* Modifications at the end of a message; header changes are made in the msg directly. */
struct milter_changes {
	struct arena *arena;
	struct msg *msg;
	struct buf *body; /* 'b': the new body; replaced is set */
	bool body_replaced;
	const char *from; /* 'e'; NULL: unchanged */
	const char **add_rcpt, **del_rcpt;
	size_t n_add, n_del;
	const char *quarantine; /* 'q'; NULL: no */
};
typedef void (*milter_fn)(void *arg, const struct milter_verdict *v);

struct milter;
struct milter *milter_new(struct milter_conf *mc);
/* Ends what is under way (its fn is not called), quits or gives the connection back. NULL accepted. */
void milter_free(struct milter *m);

/* Each returns true when it needs no asking (then fn is not called and the verdict is CONTINUE). env is borrowed until fn is called. */
bool milter_mail(struct milter *m, const struct milter_env *env, milter_fn fn, void *arg);
bool milter_rcpt(
    struct milter *m, const struct milter_env *env, const char *rcpt, milter_fn fn, void *arg);
bool milter_data(struct milter *m, const struct milter_env *env, milter_fn fn, void *arg);
/* The whole message; ch is changed as it answers. */
bool milter_message(struct milter *m, const struct milter_env *env, struct milter_changes *ch,
    milter_fn fn, void *arg);
/* The transaction is given up (RSET, a refusal, loss of the client). */
void milter_abort(struct milter *m);

#endif
