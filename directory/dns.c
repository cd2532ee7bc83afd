/* dns.c: the wrapper of libunbound (its only includer). Runs in lookup. libunbound has a thread of its own that asks and validates; its
 * pipe is watched by the loop, on which callbacks come. Invariants: every question gets one answer, at its deadline the latest; what
 * nobody knows is ERR_TEMP, never "no such name". RFC 1035, 5321 5.1. */
#include "config.h"

#include "directory/dns.h"

#include "lib/err.h"
#include "lib/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include <unbound.h>

enum { ASKED_MAX = 2000, RDATAS_MAX = 100, RDATA_MAX = 65535 };

struct dns {
	struct ub_ctx *ub;
	struct loop *loop;
	struct loop_fd *watch;
	unsigned timeout_ms, n_asked;
};

struct question {
	struct dns *d;
	int id;
	struct loop_timer *timer;
	dns_fn fn;
	void *arg;
};

/* libunbound's settings beside its defaults. A resolver of this host is as good as any; one that was away is asked again soon. */
static const struct {
	const char *name, *value;
	bool must;
} settings[] = {
    {"do-not-query-localhost:", "no", true},
    {"infra-host-ttl:", "5", false},
    {"infra-keep-probing:", "yes", false},
    {"cache-max-negative-ttl:", "60", false},
    {"msg-cache-size:", "2m", false},
    {"rrset-cache-size:", "4m", false},
    {"use-syslog:", "no", false},
};

static int
configure(struct ub_ctx *ub, const struct dns_params *p, const char **why_out)
{
	for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
		if (ub_ctx_set_option(ub, settings[i].name, settings[i].value) != 0 &&
		    settings[i].must) {
			*why_out = "libunbound lacks a setting";
			return ERR_UNSUPPORTED;
		}
	if (p->anchor_file == NULL || p->anchor_file[0] == '\0') {
		(void)ub_ctx_set_option(ub, "module-config:", "iterator");
	} else if (ub_ctx_add_ta_file(ub, p->anchor_file) != 0) {
		*why_out = "the trust anchors cannot be read";
		return ERR_IO;
	}
	for (size_t i = 0; i < p->n_resolvers; i++)
		if (ub_ctx_set_fwd(ub, p->resolvers[i]) != 0) {
			*why_out = "a resolver is no IP address (with @port)";
			return ERR_SYNTAX;
		}
	/* without the file libunbound asks from the root down */
	if (p->n_resolvers == 0)
		(void)ub_ctx_resolvconf(ub, NULL);
	(void)ub_ctx_hosts(ub, NULL);
	(void)ub_ctx_debugout(ub, NULL);
	if (ub_ctx_async(ub, 1) != 0) {
		*why_out = "no thread for libunbound";
		return ERR_NOMEM;
	}
	return 0;
}

static void
on_readable(void *arg, int events)
{
	struct dns *d = arg;

	(void)events;
	(void)ub_process(d->ub);
}

int
dns_new(struct loop *l, const struct dns_params *p, struct dns **dns_out, const char **why_out)
{
	struct ub_ctx *ub = ub_ctx_create();

	*why_out = "no memory for libunbound";
	if (ub == NULL)
		return ERR_NOMEM;
	int r = configure(ub, p, why_out);
	if (r != 0) {
		ub_ctx_delete(ub);
		return r;
	}
	struct dns *d = xcalloc(1, sizeof(*d));
	d->ub = ub;
	d->loop = l;
	d->timeout_ms = p->timeout_ms;
	*dns_out = d;
	return 0;
}

static void
question_end(struct question *q, int err, const struct dns_answer *a)
{
	dns_fn fn = q->fn;
	void *arg = q->arg;

	q->d->n_asked--;
	loop_timer_free(q->timer);
	free(q);
	fn(arg, err, a);
}

static void
on_timer(void *arg)
{
	struct question *q = arg;

	(void)ub_cancel(q->d->ub, q->id);
	question_end(q, ERR_TEMP, NULL);
}

static void
on_answer(void *arg, int err, struct ub_result *res)
{
	struct question *q = arg;
	struct slice rdatas[RDATAS_MAX];
	struct dns_answer a = {.rdatas = rdatas};

	/* REFUSED, SERVFAIL and whatever else: somebody may know later */
	if (err != 0 || res == NULL || res->bogus || (res->rcode != 0 && !res->nxdomain)) {
		ub_resolve_free(res);
		question_end(q, ERR_TEMP, NULL);
		return;
	}
	a.kind = res->havedata ? DNS_FOUND : res->nxdomain ? DNS_NXDOMAIN : DNS_NODATA;
	a.secure = res->secure;
	while (res->havedata && a.n < RDATAS_MAX && res->data[a.n] != NULL && res->len[a.n] >= 0 &&
	       res->len[a.n] <= RDATA_MAX) {
		rdatas[a.n] = slice_of(res->data[a.n], (size_t)res->len[a.n]);
		a.n++;
	}
	question_end(q, 0, &a);
	ub_resolve_free(res);
}

int
dns_ask(struct dns *d, const char *name, enum dns_type type, dns_fn fn, void *arg)
{
	struct question *q;
	sigset_t all, old;

	if (d->n_asked >= ASKED_MAX)
		return ERR_LIMIT;
	q = xcalloc(1, sizeof(*q));
	q->d = d;
	q->fn = fn;
	q->arg = arg;
	/* the first question starts libunbound's thread: signals are the loop's */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int r = ub_resolve_async(d->ub, name, type, 1, q, on_answer, &q->id);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0) {
		free(q);
		return r == UB_SYNTAX ? ERR_SYNTAX : ERR_NOMEM;
	}
	if (d->watch == NULL) {
		d->watch = loop_fd_new(d->loop, ub_fd(d->ub), on_readable, d);
		loop_fd_want(d->watch, LOOP_READ);
	}
	q->timer = loop_timer_new(d->loop, on_timer, q);
	loop_timer_set(q->timer, d->timeout_ms);
	d->n_asked++;
	return 0;
}
