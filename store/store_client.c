/* store_client.c: imapd's connection to stored and the sessions on it. Runs in imapd-session.
 *
 * A session is open on the server as long as the connection lasts. When stored goes away, calls that change nothing (and those
 * that can be repeated) wait and are sent again; others end with ERR_TEMP. When it is back, each session presents its ticket and
 * its watches again, is told by on_lost, and what waited goes out. */
#include "store/store_client_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { CALL_MS = 30000, OPEN_MS = 10000, REOPEN_MS = 200, SWEEP_MS = 500, TRIES_MAX = 4 };

struct watched {
	struct watched *next;
	uint64_t mailbox;
};
struct store_session {
	struct store_session *next;
	struct store_client *c;
	uint32_t id;
	struct buf ticket;
	bool ready, opening;
	int dead; /* the ticket is not taken any more */
	uint32_t open_handle;
	bool renewing,
	    renew_due; /* a renewal is on its way; the ticket is newer than what stored has */
	uint32_t renew_handle;
	store_done_fn fn; /* until the first answer */
	void (*on_event)(void *arg, uint64_t mailbox, uint64_t modseq, bool gone);
	void (*on_lost)(void *arg);
	void *arg;
	struct store_call *calls;
	struct watched *watched;
};
struct store_client {
	struct loop *loop;
	struct ipc_client *ipc;
	struct store_session *sessions;
	struct loop_timer *sweep, *reopen;
	uint32_t next_id;
	uint64_t names; /* 0: not heard of */
	uint64_t next_names;
};

static void session_open(struct store_session *s);

/* ---- calls ---- */

static void
call_unlink(struct store_call *k)
{
	*k->at = k->next;
	if (k->next != NULL)
		k->next->at = k->at;
}

static void
call_free(struct store_call *k)
{
	buf_done(&k->payload);
	buf_done(&k->pages);
	free(k);
}

struct store_call *
store_call_new(struct store_session *s, uint16_t type, uint16_t want, void *arg,
    bool (*tell)(struct store_call *k, int err, struct ipc_reader *r))
{
	struct store_call *k = xcalloc(1, sizeof *k);

	k->s = s;
	k->type = type;
	k->want = want;
	k->arg = arg;
	k->tell = tell;
	k->deadline = loop_now_ms(s->c->loop) + CALL_MS;
	buf_init(&k->payload, IPC_FRAME_MAX);
	buf_init(&k->pages, (size_t)64 << 20);
	ipc_put_u32(&k->payload, s->id);
	return k;
}

static void
client_lost(struct store_client *c)
{
	for (struct store_session *s = c->sessions; s != NULL; s = s->next)
		s->ready = false;
	if (!loop_timer_is_set(c->reopen))
		loop_timer_set(c->reopen, 1);
}

/* What a caller is told of a failing call. */
static int
told(int err)
{
	return err == ERR_CLOSED || err == ERR_TIMEOUT || err == ERR_CANCELED || err == ERR_PROTO
		   ? ERR_TEMP
		   : err;
}

static int call_send(struct store_call *k);

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct store_call *k = arg;
	struct store_session *s = k->s;

	(void)fd; /* the table allows none */
	k->sent = false;
	if (err == ERR_CLOSED) {
		client_lost(s->c);
		if (k->repeat && k->tries < TRIES_MAX)
			return; /* it waits in the list */
	}
	call_unlink(k);
	if (err == 0 && type != k->want)
		err = ERR_PROTO;
	if (k->tell(k, told(err), r)) {
		/* the session is there: paged calls do not end in their callback */
		k->next = s->calls;
		k->at = &s->calls;
		if (k->next != NULL)
			k->next->at = &k->next;
		s->calls = k;
		if (!s->ready || call_send(k) == 0)
			return;
		call_unlink(k);
		(void)k->tell(k, ERR_TEMP, NULL);
	}
	call_free(k);
}

static int
call_send(struct store_call *k)
{
	int err =
	    ipc_call(k->s->c->ipc, k->type, &k->payload, -1, CALL_MS, on_reply, k, &k->handle);

	if (err == 0) {
		k->sent = true;
		k->tries++;
	}
	return err;
}

int
store_call_go(struct store_call *k)
{
	struct store_session *s = k->s;
	struct store_call **at = &s->calls;
	int err = k->payload.err;

	if (err == 0 && s->dead != 0)
		err = s->dead;
	while (*at != NULL) /* waiting ones go out in order */
		at = &(*at)->next;
	k->at = at;
	*at = k;
	if (err == 0 && s->ready)
		err = call_send(k);
	if (err != 0) {
		call_unlink(k);
		call_free(k);
	}
	return err;
}

/* ---- sessions ---- */

static void
send_waiting(struct store_session *s)
{
	for (struct store_call *k = s->calls, *next; k != NULL; k = next) {
		next = k->next;
		if (!k->sent && call_send(k) != 0)
			k->deadline = 0; /* the sweep ends it */
	}
}

static void
no_answer(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	(void)arg;
	(void)err;
	(void)type;
	(void)r;
	(void)fd;
}

static void
renew_watches(struct store_session *s)
{
	struct buf b;

	for (const struct watched *w = s->watched; w != NULL; w = w->next) {
		buf_init(&b, 64);
		ipc_put_u32(&b, s->id);
		ipc_put_u64(&b, w->mailbox);
		ipc_put_u8(&b, 0);
		ipc_put_u8(&b, 1);
		(void)ipc_call(s->c->ipc, STORE_OPEN, &b, -1, CALL_MS, no_answer, NULL, NULL);
		buf_done(&b);
	}
}

static void session_renew(struct store_session *s);

static void
on_renewed(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct store_session *s = arg;

	(void)type;
	(void)r;
	(void)fd;
	s->renewing = false;
	if (err == 0 || told(err) == ERR_TEMP) { /* a lost connection presents the ticket anew */
		session_renew(s);
		return;
	}
	s->dead = told(err);
	for (struct store_call *k = s->calls; k != NULL; k = k->next)
		k->deadline = 0;
	if (s->on_lost != NULL)
		s->on_lost(s->arg);
}

static void
session_renew(struct store_session *s)
{
	struct buf b;

	if (!s->ready || s->renewing || !s->renew_due)
		return;
	buf_init(&b, 65536);
	ipc_put_u32(&b, s->id);
	ipc_put_slice(&b, buf_slice(&s->ticket));
	s->renewing = ipc_call(s->c->ipc, STORE_SESSION_RENEW, &b, -1, CALL_MS, on_renewed, s,
			  &s->renew_handle) == 0;
	s->renew_due = !s->renewing;
	buf_wipe(&b);
}

void
store_session_renew(struct store_session *s, struct slice ticket)
{
	buf_reset(&s->ticket);
	buf_append_slice(&s->ticket, ticket);
	s->renew_due = true;
	session_renew(s);
}

static void
on_session_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct store_session *s = arg;
	store_done_fn fn = s->fn;

	(void)r;
	(void)fd;
	s->opening = false;
	if (err == 0 && type != STORE_SESSION_IS)
		err = ERR_PROTO;
	if (err == ERR_CLOSED || (err != 0 && fn == NULL && told(err) == ERR_TEMP)) {
		client_lost(s->c); /* again, soon */
		return;
	}
	s->fn = NULL;
	if (err != 0) {
		s->dead = told(err);
		for (struct store_call *k = s->calls; k != NULL; k = k->next)
			k->deadline = 0;
		if (fn != NULL)
			fn(s->arg, s->dead);
		else if (s->on_lost != NULL)
			s->on_lost(s->arg);
		return;
	}
	s->ready = true;
	session_renew(s);
	renew_watches(s);
	send_waiting(s);
	if (fn != NULL)
		fn(s->arg, 0);
	else if (s->on_lost != NULL)
		s->on_lost(s->arg);
}

static void
session_open(struct store_session *s)
{
	struct buf b;

	buf_init(&b, 65536);
	/* A number of its own each time: on the server the old one may not have ended yet. */
	s->id = ++s->c->next_id;
	for (struct store_call *k = s->calls; k != NULL;
	     k = k->next) /* it stands first in what waits */
		for (unsigned i = 0; i < 4; i++)
			k->payload.data[i] = (unsigned char)(s->id >> (24 - 8 * i));
	ipc_put_u32(&b, s->id);
	ipc_put_slice(&b, buf_slice(&s->ticket));
	s->renew_due = false;
	s->opening = ipc_call(s->c->ipc, STORE_SESSION_OPEN, &b, -1, OPEN_MS, on_session_reply, s,
			 &s->open_handle) == 0;
	buf_wipe(&b);
	if (!s->opening)
		loop_timer_set(s->c->reopen, REOPEN_MS);
}

static void
on_reopen(void *arg)
{
	struct store_client *c = arg;

	for (struct store_session *s = c->sessions; s != NULL; s = s->next)
		if (!s->ready && !s->opening && s->dead == 0)
			session_open(s);
}

struct store_session *
store_session_new(struct store_client *c, struct slice ticket, store_done_fn fn,
    void (*on_event)(void *arg, uint64_t mailbox, uint64_t modseq, bool gone),
    void (*on_lost)(void *arg), void *arg)
{
	struct store_session *s = xcalloc(1, sizeof *s);

	s->c = c;
	s->fn = fn;
	s->on_event = on_event;
	s->on_lost = on_lost;
	s->arg = arg;
	buf_init(&s->ticket, 65536);
	buf_append_slice(&s->ticket, ticket);
	s->next = c->sessions;
	c->sessions = s;
	session_open(s);
	return s;
}

void
store_session_free(struct store_session *s)
{
	struct store_session **at;
	struct store_call *k;
	struct watched *w;
	struct buf b;

	if (s == NULL)
		return;
	for (at = &s->c->sessions; *at != s;)
		at = &(*at)->next;
	*at = s->next;
	if (s->opening)
		ipc_cancel(s->c->ipc, s->open_handle);
	if (s->renewing)
		ipc_cancel(s->c->ipc, s->renew_handle);
	while ((k = s->calls) != NULL) {
		if (k->sent)
			ipc_cancel(s->c->ipc, k->handle);
		call_unlink(k);
		call_free(k);
	}
	while ((w = s->watched) != NULL) {
		s->watched = w->next;
		free(w);
	}
	buf_init(&b, 16);
	ipc_put_u32(&b, s->id);
	(void)ipc_send(s->c->ipc, STORE_SESSION_CLOSE, &b); /* not connected: it is closed */
	buf_done(&b);
	buf_wipe(&s->ticket);
	free(s);
}

void
store_session_watch(struct store_session *s, uint64_t mailbox, bool on)
{
	struct watched **at = &s->watched, *w;

	while (*at != NULL && (*at)->mailbox != mailbox)
		at = &(*at)->next;
	if (on && *at == NULL) {
		w = xcalloc(1, sizeof *w);
		w->mailbox = mailbox;
		w->next = s->watched;
		s->watched = w;
	} else if (!on && *at != NULL) {
		w = *at;
		*at = w->next;
		free(w);
	}
}

/* ---- the client ---- */

static void
on_names_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct store_client *c = arg;

	(void)type;
	(void)r;
	(void)fd;
	if (err == 0)
		c->names = ++c->next_names;
}

static void
on_up(void *arg)
{
	struct store_client *c = arg;

	(void)ipc_call(c->ipc, STORE_NAMES_WATCH, NULL, -1, CALL_MS, on_names_reply, c, NULL);
}

uint64_t
store_names(const struct store_session *s)
{
	return s->ready ? s->c->names : 0;
}

static void
on_notify(void *arg, uint16_t type, struct ipc_reader *r)
{
	struct store_client *c = arg;

	if (type == STORE_NAMES_CHANGED) {
		if (c->names != 0)
			c->names = ++c->next_names;
		return;
	}
	uint32_t id = ipc_get_u32(r);
	uint64_t mailbox = ipc_get_u64(r), modseq = ipc_get_u64(r);
	bool gone = ipc_get_u8(r) != 0;

	if (type != STORE_EVENT || ipc_reader_end(r) != 0)
		return;
	for (struct store_session *s = c->sessions; s != NULL; s = s->next)
		if (s->id == id) {
			if (gone)
				store_session_watch(s, mailbox, false);
			if (s->on_event != NULL)
				s->on_event(s->arg, mailbox, modseq, gone);
			return;
		}
}

/* Calls on the wire have had their end. Those the connection did not take yet must not go out before their session is open again. */
static void
on_down(void *arg)
{
	struct store_client *c = arg;

	c->names = 0;
	for (struct store_session *s = c->sessions; s != NULL; s = s->next)
		for (struct store_call *k = s->calls; k != NULL; k = k->next)
			if (k->sent) {
				ipc_cancel(c->ipc, k->handle);
				k->sent = false;
			}
	client_lost(c);
}

/* Calls that waited too long end. */
static void
on_sweep(void *arg)
{
	struct store_client *c = arg;
	uint64_t now = loop_now_ms(c->loop);

	loop_timer_set(c->sweep, SWEEP_MS);
	for (struct store_session *s = c->sessions; s != NULL;) {
		struct store_call *k = s->calls;

		while (k != NULL && (k->sent || k->deadline > now))
			k = k->next;
		if (k == NULL) {
			s = s->next;
			continue;
		}
		call_unlink(k);
		(void)k->tell(k, s->dead != 0 ? s->dead : ERR_TEMP, NULL);
		call_free(k);
		s = c->sessions; /* anything may have changed */
	}
}

struct store_client *
store_client_new(struct loop *l, const char *socket)
{
	static const struct ipc_client_ops ops = {on_notify, on_up, on_down};
	struct store_client *c = xcalloc(1, sizeof *c);

	c->loop = l;
	c->ipc = ipc_client_new(l, socket, &store_proto, IPC_IMAPD, &ops, c);
	c->reopen = loop_timer_new(l, on_reopen, c);
	c->sweep = loop_timer_new(l, on_sweep, c);
	loop_timer_set(c->sweep, SWEEP_MS);
	return c;
}

void
store_client_free(struct store_client *c)
{
	if (c == NULL)
		return;
	while (c->sessions != NULL)
		store_session_free(c->sessions);
	ipc_client_free(c->ipc);
	loop_timer_free(c->reopen);
	loop_timer_free(c->sweep);
	free(c);
}
