/* ahead.c: small messages read many at a time (ahead.h). Runs in imapd-session. Invariants: one request is under way at most; its answer finds nobody
 * when the reader is gone; who waits is called from the loop, behind the request for what comes next, so that stored reads while we look. */
#include "config.h"

#include "imapd/ahead.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"

#define DATA_MAX ((size_t)1 << 20)     /* more than an answer of the store can be */
#define ASK_OCTETS ((size_t)192 << 10) /* wanted at once */

struct ahead_call {
	struct ahead *a; /* NULL: it is gone */
	struct ahead_part *p;
};

void
ahead_done(struct ahead *a, bool answers_come)
{
	for (int i = 0; i < 2; i++) {
		buf_done(&a->part[i].data);
		if (a->part[i].call != NULL)
			a->part[i].call->a = NULL;
		if (!answers_come)
			free(a->part[i].call);
	}
	loop_defer_free(a->defer);
	*a = (struct ahead){.now = 0};
}

static bool
covers(const struct ahead_part *p, uint32_t uid)
{
	return p->last != 0 && uid >= p->first && uid <= p->last;
}

const struct store_content *
ahead_find(struct ahead *a, uint32_t uid)
{
	struct ahead_part *p = &a->part[a->now];

	/* they are asked for in order */
	while (p->at < p->n && p->v[p->at].uid < uid)
		p->at++;
	if (p->at == p->n || p->v[p->at].uid != uid)
		return NULL;
	if (p->counted <= p->at) {
		p->counted = p->at + 1;
		p->used++;
	}
	return &p->v[p->at];
}

static struct slice
kept(struct ahead_part *p, struct slice s)
{
	size_t at = p->data.len;

	buf_append_slice(&p->data, s);
	return slice_of(p->data.data + at, s.len);
}

static void on_contents(void *arg, int err, const struct store_content *v, size_t n, size_t n_done);

/* false: there is nothing to ask for, or it cannot be asked now. */
static bool
request(struct ahead *a, struct ahead_part *p, const struct msg_row *rows, size_t n)
{
	struct ahead_call *call;
	size_t octets = 0, k = 0;

	for (size_t i = 0; i < n && k < AHEAD_MAX && octets < ASK_OCTETS; i++) {
		if (rows[i].size > STORE_CONTENT_MAX)
			continue;
		octets += (size_t)rows[i].size;
		p->uids[k++] = rows[i].uid;
	}
	p->n = p->at = p->used = p->counted = 0;
	p->last = 0;
	if (k == 0)
		return false;
	call = xcalloc(1, sizeof(*call));
	*call = (struct ahead_call){a, p};
	if (store_contents(a->s, a->mailbox, p->uids, k, a->summaries, on_contents, call) != 0) {
		free(call);
		return false;
	}
	p->n_uids = k;
	p->first = rows[0].uid;
	p->last = p->uids[k - 1]; /* also when it fails: then one by one */
	p->call = call;
	return true;
}

/* Asks for what comes behind the part that is there. */
static bool
request_next(struct ahead *a)
{
	const struct ahead_part *now = &a->part[a->now];
	struct ahead_part *next = &a->part[!a->now];
	size_t i = 0;

	if (now->n == 0 || (!a->all && 2 * next->used <= next->n))
		return false;
	while (i < a->n_rows && a->rows[i].uid <= now->last)
		i++;
	return i < a->n_rows && request(a, next, a->rows + i, a->n_rows - i);
}

static void
on_contents(void *arg, int err, const struct store_content *v, size_t n, size_t n_done)
{
	struct ahead_call *call = arg;
	struct ahead *a = call->a;
	struct ahead_part *p = call->p;
	size_t octets = 0;

	free(call);
	if (a == NULL)
		return;
	p->call = NULL;
	for (size_t i = 0; i < n && err == 0; i++)
		octets += v[i].summary.len + v[i].bytes.len;
	buf_done(&p->data);
	buf_init(&p->data, DATA_MAX);
	/* all at once: what is kept does not move */
	if (err == 0 && n <= AHEAD_MAX && n_done > 0 && n_done <= p->n_uids &&
	    buf_reserve(&p->data, octets + 1) != NULL) {
		for (size_t i = 0; i < n; i++)
			p->v[p->n++] = (struct store_content){
			    v[i].uid, kept(p, v[i].summary), kept(p, v[i].bytes)};
		p->last = p->uids[n_done - 1];
	}
	if (!a->waits || p != &a->part[a->now])
		return;
	(void)request_next(a);
	loop_defer_set(a->defer);
}

static void
on_defer(void *arg)
{
	struct ahead *a = arg;

	a->waits = false;
	a->fn(a->arg);
}

bool
ahead_read(struct ahead *a, struct loop *l, struct store_session *s, uint64_t mailbox,
    const struct msg_row *rows, size_t n, const struct ahead_want *want, void (*fn)(void *arg),
    void *arg)
{
	struct ahead_part *next = &a->part[!a->now];

	if (covers(&a->part[a->now], rows[0].uid))
		return false;
	if (a->defer == NULL)
		a->defer = loop_defer_new(l, on_defer, a);
	a->s = s;
	a->mailbox = mailbox;
	a->rows = rows;
	a->n_rows = n;
	a->summaries = want->summaries;
	a->all = want->all;
	a->fn = fn;
	a->arg = arg;
	if (covers(next, rows[0].uid)) {
		a->now = !a->now;
		a->waits = next->call != NULL;
		if (!a->waits && request_next(a)) {
			a->waits = true;
			loop_defer_set(a->defer);
		}
		return a->waits;
	}
	if (next->call != NULL) {
		next->call->a = NULL;
		next->call = NULL;
	}
	next->last = 0;
	next->n = next->used = 0;
	if (n < 2 || rows[0].size > STORE_CONTENT_MAX)
		return false;
	a->waits = request(a, &a->part[a->now], rows, n);
	return a->waits;
}
