/* milter_client_priv.h: one milter's conversation, for milter_client.c, milter_send.c and milter_changes.c alone. */
#ifndef CV_MILTER_CLIENT_PRIV_H
#define CV_MILTER_CLIENT_PRIV_H

#include "lib/io.h"
#include "smtpd/milter_client.h"
#include "smtpd/milter_proto.h"

/* A connection with what was agreed on it. */
struct mconn {
	struct io *io;
	struct milter_conf *conf;
	struct milter *user; /* NULL when it is only flushed and closed */
	uint32_t version, actions, steps;
};

struct milter_conf {
	struct loop *loop;
	struct milter_options o;
	const char *path, *hostport; /* one of them */
};

enum step {
	S_IDLE,
	S_CONNECT,
	S_OPTNEG,
	S_CONN,
	S_HELO,
	S_MAIL,
	S_RCPT,
	S_DATA,
	S_HDR,
	S_EOH,
	S_BODY,
	S_EOM
};

struct milter {
	struct milter_conf *conf;
	struct mconn *c;
	struct loop_timer *timer;
	struct loop_defer *defer;
	enum step step;
	bool waiting;     /* for the answer to step */
	bool introduced;  /* C and H were sent on this connection */
	bool in_mail;     /* M was sent */
	bool accept_conn; /* accepted for good */
	bool refuse_conn; /* refused for good: verdict and text stay */
	bool accept_mail;
	bool failed_mail; /* skip it for the rest of this message */
	const struct milter_env *env;
	const char *rcpt;
	struct milter_changes *ch;
	size_t at;         /* next header field, or body offset */
	int progress_left; /* how often it may ask for more time */
	milter_fn fn;
	void *arg;
	struct milter_verdict verdict;
	struct buf text;
};

/* What a step needs: the command's letter; the milter's wish not to see it, not to answer it. */
struct milter_step_rule {
	char cmd;
	uint32_t skip, no_reply;
};
extern const struct milter_step_rule milter_steps[];

/* ---- milter_send.c ---- */
/* The packet of the step with its macros; false when there is nothing (more) to send for it. */
bool milter_put_step(struct milter *m, struct buf *b);
/* The body as the milters before left it. */
struct slice milter_body(const struct milter *m);

/* ---- milter_changes.c ---- */
/* A modification, permitted by what was agreed. 0; ERR_PROTO or another error: the milter failed. */
int milter_modify(struct milter *m, char cmd, struct slice data);

#endif
