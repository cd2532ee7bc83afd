/* ahead.c: small messages read many at a time (ahead.h). Runs in imapd-session. */
#include "config.h"

#include "imapd/ahead.h"

#include "lib/err.h"

#define DATA_MAX ((size_t)1 << 20)     /* more than an answer of the store can be */
#define ASK_OCTETS ((size_t)192 << 10) /* wanted at once */

void
ahead_done(struct ahead *a)
{
	buf_done(&a->data);
	*a = (struct ahead){0};
}

const struct store_content *
ahead_find(struct ahead *a, uint32_t uid)
{
	/* they are asked for in order */
	while (a->at < a->n && a->v[a->at].uid < uid)
		a->at++;
	return a->at < a->n && a->v[a->at].uid == uid ? &a->v[a->at] : NULL;
}

static struct slice
kept(struct ahead *a, struct slice s)
{
	size_t at = a->data.len;

	buf_append_slice(&a->data, s);
	return slice_of(a->data.data + at, s.len);
}

static void
on_contents(void *arg, int err, const struct store_content *v, size_t n, size_t n_done)
{
	struct ahead *a = arg;
	size_t octets = 0;

	a->n = a->at = 0;
	for (size_t i = 0; i < n && err == 0; i++)
		octets += v[i].summary.len + v[i].bytes.len;
	buf_done(&a->data);
	buf_init(&a->data, DATA_MAX);
	/* all at once: what is kept does not move */
	if (err == 0 && n <= AHEAD_MAX && n_done > 0 && n_done <= a->n_uids &&
	    buf_reserve(&a->data, octets + 1) != NULL) {
		for (size_t i = 0; i < n; i++)
			a->v[a->n++] = (struct store_content){
			    v[i].uid, kept(a, v[i].summary), kept(a, v[i].bytes)};
		a->last = a->uids[n_done - 1];
	}
	a->fn(a->arg);
}

bool
ahead_read(struct ahead *a, struct store_session *s, uint64_t mailbox, const struct msg_row *rows,
    size_t n, void (*fn)(void *arg), void *arg)
{
	size_t octets = 0, k = 0;

	if (n < 2 || rows[0].size > STORE_CONTENT_MAX ||
	    (rows[0].uid >= a->first && rows[0].uid <= a->last))
		return false;
	for (size_t i = 0; i < n && k < AHEAD_MAX && octets < ASK_OCTETS; i++) {
		if (rows[i].size > STORE_CONTENT_MAX)
			continue;
		octets += (size_t)rows[i].size;
		a->uids[k++] = rows[i].uid;
	}
	a->n_uids = k;
	a->first = rows[0].uid;
	a->last = a->uids[k - 1]; /* also when it fails: then one by one */
	a->fn = fn;
	a->arg = arg;
	return store_contents(s, mailbox, a->uids, k, true, on_contents, a) == 0;
}
