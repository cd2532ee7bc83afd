/* lookup_client_watch.c: the people who are signed in with this session process, as lookup is told of them. Runs in sessions. Nothing is dropped because
 * lookup is away: when it is back each presents its ticket again, RENEW_AT_ONCE at a time, so that a restart of lookup with thousands of
 * clients is no storm. Its word is not believed beyond its grammar. */
#include "config.h"

#include "directory/lookup_client_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>

enum { BUCKETS = 4096, RENEW_AT_ONCE = 100, RENEW_MS = 50 };

struct lookup_watch {
	struct lookup_watches *all;
	uint32_t number;
	struct buf ticket;
	const struct lookup_watch_ops *ops;
	void *arg;
	bool is_told;                              /* lookup knows of it */
	bool is_ended;                             /* nothing more is expected */
	struct lookup_watch *next, **at;           /* all */
	struct lookup_watch *hash_next, **hash_at; /* by number */
};
struct lookup_watches {
	struct lookup_client *client;
	struct lookup_watch *list, *by_number[BUCKETS];
	struct loop_timer *renew;
	uint32_t last;
};

struct lookup_watches *
lookup_watches_new(struct lookup_client *c, struct loop *l)
{
	struct lookup_watches *v = xcalloc(1, sizeof(*v));

	v->client = c;
	v->renew = loop_timer_new(l, (void (*)(void *))lookup_watches_up, v);
	return v;
}

void
lookup_watches_free(struct lookup_watches *v)
{
	while (v->list != NULL)
		lookup_watch_free(v->list);
	loop_timer_free(v->renew);
	free(v);
}

static void
watch_send(struct lookup_watch *w)
{
	struct buf b;

	buf_init(&b, 65536);
	ipc_put_u32(&b, w->number);
	if (ipc_put_slice(&b, buf_slice(&w->ticket)) == 0)
		w->is_told = ipc_send(lookup_client_ipc(w->all->client), LOOKUP_WATCH, &b) == 0;
	buf_wipe(&b);
}

void
lookup_watches_down(struct lookup_watches *v)
{
	for (struct lookup_watch *w = v->list; w != NULL; w = w->next)
		w->is_told = false;
}

void
lookup_watches_up(struct lookup_watches *v)
{
	unsigned n = 0;

	for (struct lookup_watch *w = v->list; w != NULL; w = w->next) {
		if (w->is_told || w->is_ended)
			continue;
		if (n++ == RENEW_AT_ONCE) {
			loop_timer_set(v->renew, RENEW_MS);
			return;
		}
		watch_send(w);
		if (!w->is_told)
			return; /* not connected: it calls again when it is */
	}
}

struct lookup_watch *
lookup_watch_new(
    struct lookup_client *c, struct slice ticket, const struct lookup_watch_ops *ops, void *arg)
{
	struct lookup_watches *v = lookup_client_watches(c);
	struct lookup_watch *w = xcalloc(1, sizeof(*w));

	w->all = v;
	w->number = ++v->last;
	w->ops = ops;
	w->arg = arg;
	buf_init(&w->ticket, 65536);
	buf_append_slice(&w->ticket, ticket);
	w->at = &v->list;
	w->next = v->list;
	if (w->next != NULL)
		w->next->at = &w->next;
	v->list = w;
	w->hash_at = &v->by_number[w->number % BUCKETS];
	w->hash_next = *w->hash_at;
	if (w->hash_next != NULL)
		w->hash_next->hash_at = &w->hash_next;
	*w->hash_at = w;
	watch_send(w);
	return w;
}

void
lookup_watch_free(struct lookup_watch *w)
{
	struct buf b;

	if (w == NULL)
		return;
	if (w->is_told && !w->is_ended) {
		buf_init(&b, 16);
		ipc_put_u32(&b, w->number);
		(void)ipc_send(lookup_client_ipc(w->all->client), LOOKUP_UNWATCH, &b);
		buf_done(&b);
	}
	if (w->next != NULL)
		w->next->at = w->at;
	*w->at = w->next;
	if (w->hash_next != NULL)
		w->hash_next->hash_at = w->hash_at;
	*w->hash_at = w->hash_next;
	buf_wipe(&w->ticket);
	free(w);
}

static struct lookup_watch *
watch_find(const struct lookup_watches *v, uint32_t number)
{
	struct lookup_watch *w = v->by_number[number % BUCKETS];

	while (w != NULL && w->number != number)
		w = w->hash_next;
	return w;
}

static void
changed(struct lookup_watch *w, struct ipc_reader *r)
{
	struct lookup_login *l = xcalloc(1, sizeof(*l));

	if (lookup_login_get(r, l) != 0 || ipc_reader_end(r) != 0) {
		log_msg(LOG_LVL_ERROR, "lookup_changed", "a message that cannot be read");
		lookup_login_free(l);
		return;
	}
	buf_reset(&w->ticket);
	buf_append_slice(&w->ticket, l->ticket);
	w->ops->on_changed(w->arg, l);
}

void
lookup_watches_notify(struct lookup_watches *v, uint16_t type, struct ipc_reader *r)
{
	struct lookup_watch *w = watch_find(v, ipc_get_u32(r));
	uint8_t why;

	if (w == NULL || w->is_ended)
		return; /* it has just been freed here */
	switch (type) {
	case LOOKUP_ENDED:
		why = ipc_get_u8(r);
		if (ipc_reader_end(r) != 0 || why < LOOKUP_ENDED_PERSON ||
		    why > LOOKUP_ENDED_TICKET)
			return;
		w->is_ended = true;
		w->ops->on_ended(w->arg, (enum lookup_ended)why);
		break;
	case LOOKUP_CHANGED:
		changed(w, r);
		break;
	default:
		break;
	}
}
