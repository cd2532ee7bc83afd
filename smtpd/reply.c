/* reply.c: automatic replies of recipients who are away. Runs in smtpd-session. Order: the message is safe in store or queue, then the reply is
 * with the queue (which makes one to each sender in so many days), then the client gets its 250. So a session that is killed before that has
 * its client send again: the mail comes a second time, the reply does not. What the queue cannot take is logged and given up: mail goes
 * before replies. RFC 3834. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdlib.h>
#include <time.h>

enum { REPLIES_MAX = 50, ARENA = 1 << 22 };

struct one {
	struct replies *r;
	struct queue_call *call;
	const struct autoreply_rule *rule;
};
struct replies {
	struct client *c;
	void (*fn)(void *arg);
	void *arg;
	size_t n, open;
	bool starting;
	struct one v[REPLIES_MAX];
};

void
replies_free(struct replies *r)
{
	if (r == NULL)
		return;
	for (size_t i = 0; i < r->n; i++)
		queue_call_cancel(r->v[i].call);
	free(r);
}

static void
over(struct replies *r)
{
	void (*fn)(void *arg) = r->fn;
	void *arg = r->arg;

	replies_free(r);
	fn(arg);
}

static void
on_done(void *arg, int err)
{
	struct one *o = arg;
	struct replies *r = o->r;

	o->call = NULL;
	if (err != 0)
		log_msg(LOG_LVL_WARN, "auto_reply_lost", "%s of %s: %s", r->c->t->qid,
		    o->rule->address, err_name(err));
	if (--r->open == 0 && !r->starting)
		over(r);
}

static void
send_one(struct replies *r, const struct autoreply_rule *rule, const struct msg *m)
{
	struct client *c = r->c;
	struct one *o = &r->v[r->n++];
	int64_t now = (int64_t)time(NULL);
	struct autoreply_env e = {.hostname = smtpd.hostname,
	    .qid = c->t->qid,
	    .to = c->t->from,
	    .now = now,
	    .zone_min = date_local_zone(now)};
	struct buf header, body;

	*o = (struct one){.r = r, .rule = rule};
	buf_init(&header, 32768);
	buf_init(&body, 65536);
	r->open++;
	if (autoreply_build(rule, m, &e, &header, &body) == 0)
		o->call = queue_auto_reply(smtpd.queue, rule->account, c->t->from, rule->days,
		    buf_slice(&header), buf_slice(&body), on_done, o);
	if (o->call == NULL)
		on_done(o, ERR_TEMP);
	buf_done(&header);
	buf_done(&body);
}

/* Whether nobody of ours answers mail of that sender: a reply outside needs a way there. */
static bool
can_reach(const char *from)
{
	return conf_is_our_address(role_conf(), from) ||
	       relay_routes_has(smtpd.routes, from, false);
}

void
replies_start(
    struct client *c, const struct msg *m, struct replies **out, void (*fn)(void *arg), void *arg)
{
	struct txn *t = c->t;
	struct replies *r = NULL;
	struct arena *a = NULL;

	for (size_t i = 0; i < t->n_rcpts && can_reach(t->from); i++) {
		const struct autoreply_rule *rule = t->rcpts[i].reply;
		const char *why;

		if (rule == NULL)
			continue;
		if (a == NULL && (a = arena_new(ARENA)) == NULL)
			break;
		arena_reset(a);
		if ((why = autoreply_refusal(rule, m, t->from, a)) != NULL) {
			log_msg(LOG_LVL_DEBUG, "no_auto_reply", "%s of %s: %s", t->qid,
			    rule->address, why);
			continue;
		}
		if (r == NULL) {
			r = xcalloc(1, sizeof(*r));
			*r = (struct replies){.c = c, .fn = fn, .arg = arg, .starting = true};
		}
		if (r->n < REPLIES_MAX)
			send_one(r, rule, m);
	}
	arena_free(a);
	if (r != NULL && r->open > 0) {
		r->starting = false;
		*out = r;
		return;
	}
	replies_free(r);
	fn(arg);
}
