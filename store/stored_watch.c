/* stored_watch.c: sessions that hear of changes of a mailbox, connections that hear of changes of names. Runs in stored. What they hear is a hint, over the backend's watch
 * and poke, so that a mailbox changed elsewhere (a backend shared by several hosts) is heard of the same way. */
#include "store/stored_priv.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"

static void
tell(const struct watch *w, bool gone)
{
	struct buf b;

	buf_init(&b, 64);
	ipc_put_u32(&b, w->s->id);
	ipc_put_u64(&b, w->m->id);
	ipc_put_u64(&b, w->m->h.modseq);
	ipc_put_u8(&b, gone);
	(void)ipc_notify(w->s->conn->ipc, STORE_EVENT, &b);
	buf_done(&b);
}

static void
on_hint(void *arg, struct slice object)
{
	struct mbox *m = arg;

	(void)object;
	for (const struct watch *w = m->watches; w != NULL; w = w->next_of_mbox)
		tell(w, false);
}

void
watch_add(struct session *s, struct mbox *m)
{
	struct backend *be = s->st->be;
	struct watch *w;

	for (w = s->watches; w != NULL; w = w->next_of_session)
		if (w->m == m)
			return;
	if (m->watches == NULL)
		must(be->ops->watch(be, slice_str(m->object), on_hint, m, &m->watch_id));
	w = xcalloc(1, sizeof *w);
	w->s = s;
	w->m = m;
	w->next_of_mbox = m->watches;
	m->watches = w;
	w->next_of_session = s->watches;
	s->watches = w;
}

static void
watch_end(struct watch *w)
{
	struct mbox *m = w->m;
	struct watch **at;

	for (at = &m->watches; *at != w;)
		at = &(*at)->next_of_mbox;
	*at = w->next_of_mbox;
	for (at = &w->s->watches; *at != w;)
		at = &(*at)->next_of_session;
	*at = w->next_of_session;
	free(w);
	if (m->watches == NULL) {
		m->acc->st->be->ops->unwatch(m->acc->st->be, m->watch_id);
		m->watch_id = 0;
	}
}

void
watch_remove(struct session *s, struct mbox *m)
{
	for (struct watch *w = s->watches; w != NULL; w = w->next_of_session)
		if (w->m == m) {
			watch_end(w);
			return;
		}
}

void
watch_session_done(struct session *s)
{
	while (s->watches != NULL)
		watch_end(s->watches);
}

void
watch_session_renewed(struct session *s)
{
	struct watch *next;

	for (struct watch *w = s->watches; w != NULL; w = next) {
		const char *rights;
		struct mbox *m;

		next = w->next_of_session; /* w may end */
		int err = session_mbox(s, w->m->id, "r", &m, &rights);
		if (err == ERR_NOTFOUND || err == ERR_DENIED) {
			tell(w, true);
			watch_end(w);
		}
	}
}

void
watch_tell_gone(struct mbox *m)
{
	while (m->watches != NULL) {
		tell(m->watches, true);
		watch_end(m->watches);
	}
}

void
mbox_changed(struct mbox *m)
{
	struct backend *be = m->acc->st->be;

	if (m->watches != NULL)
		must(be->ops->poke(be, slice_str(m->object)));
}

/* ---- names ---- */

int
on_names_watch(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if (c->names_at == NULL) {
		c->names_next = c->st->names_watchers;
		c->names_at = &c->st->names_watchers;
		if (c->names_next != NULL)
			c->names_next->names_at = &c->names_next;
		c->st->names_watchers = c;
	}
	(void)ipc_reply_ok(c->ipc, id);
	return 0;
}

void
names_watch_end(struct conn *c)
{
	if (c->names_at == NULL)
		return;
	*c->names_at = c->names_next;
	if (c->names_next != NULL)
		c->names_next->names_at = c->names_at;
	c->names_at = NULL;
}

void
names_changed(struct stored *st)
{
	for (struct conn *c = st->names_watchers; c != NULL; c = c->names_next)
		(void)ipc_notify(c->ipc, STORE_NAMES_CHANGED, NULL);
}
