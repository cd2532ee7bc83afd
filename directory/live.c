/* live.c: live.h, on the loop of lookup. The thread that watches the directory turns each change into keys (people_change_keys) and puts them into a bounded
 * list; the loop finds by them whose rights rest on the entry, or may come to rest on it, and has a worker look at these people anew: nobody else is looked
 * at. A directory that does not answer changes nothing: what was known stays, for ticket_seconds at most, and is looked at again until there is an answer.
 *
 * What a login was given is kept (login_memory.h) for as long as its person is known here and nothing of it changes, and given to the next one, but only while the
 * directory is heard of: FRESH_MS after its last sign of life it is asked again, as it is where changes are polled for.
 *
 * A person is known here while sessions watch it, and for LINGER_MS after a login, so that a login costs no second look. At most JOBS_MAX looks are under
 * way, so that logins do not wait behind a thousand of them. */
#include "config.h"

#include "directory/live.h"

#include "directory/dir_watch.h"
#include "directory/lookup_client.h"
#include "directory/token.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/epoch_client.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum {
	BUCKETS = 16384,
	JOBS_MAX = 2,
	TICK_MS = 1000,
	LINGER_MS = 60000,
	FRESH_MS = 3000, /* dir_ldap_watch.c asks for a sign of life each 1.5 s */
	MEMORY_MAX = 16 << 20,
	CHANGES = 256,    /* of late */
	LATER = 3,        /* ticks that a change is kept for being taken in again */
	SWEEP_MS = 60000, /* where removals are not heard of, everybody is looked at so often */
};

struct person_now;
struct watch {
	struct ipc_conn *conn;
	uint32_t number;
	struct person_now *person;
	uint64_t epoch; /* of its ticket */
	int64_t issued, expires;
	unsigned char state[32];
	struct watch *next, **at;           /* of the person's */
	struct watch *hash_next, **hash_at; /* by number */
};
/* A key that a person's rights rest on. */
struct dep {
	char *key;
	bool is_subject;
	struct person_now *person;
	struct dep *next, **at; /* of the bucket */
};
struct person_now {
	char account[48], login[256];
	struct dep *deps;
	size_t n_deps;
	struct watch *watches;
	/* as of the last look, unless n_deps is 0 */
	unsigned char state[32];
	uint64_t epoch;
	uint64_t linger_until, retry_at, looked_ms;
	bool is_dirty, is_queued, is_looked_at;
	struct person_now *next, **at; /* of all */
	struct person_now *hash_next, **hash_at;
	struct person_now *queue_next;
};
struct live {
	struct loop *loop;
	struct work *work;
	struct dir *dir;
	struct people *people;
	struct epoch_client *epochs; /* NULL: stored hears of them by another lookup */
	unsigned char token_key[32];
	struct person_now *all, *by_account[BUCKETS];
	struct dep *by_key[BUCKETS];
	struct watch *by_number[BUCKETS];
	struct person_now *queue, **queue_tail;
	struct loop_timer *tick;
	unsigned n_jobs;
	struct login_memory *memory;
	struct {
		uint32_t hash;
		bool is_subject;
	} changes[CHANGES]; /* the keys of late, in a ring */
	uint64_t n_changes;
	bool is_off, is_polling;
	/* between the thread and the loop */
	pthread_mutex_t lock;
	struct buf keys;   /* each u8 1 subject, 0 entry; then the key and NUL */
	struct buf raised; /* people_epochs_put */
	bool any, polling;
	atomic_bool is_pending; /* some of these wait */
	_Atomic uint64_t heard_ms;
	int event;
	struct buf later[LATER]; /* keys of changes, by the ticks since */
	bool later_all;
	bool poll_only;
	struct dir_watch_params params;
};

static void queue_run(struct live *v);

static uint32_t
whole_hash(const char *s)
{
	uint32_t h = 2166136261u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 16777619u;
	return h;
}

static unsigned
hash_of(const char *s)
{
	return whole_hash(s) % BUCKETS;
}

static int64_t
now_s(void)
{
	return (int64_t)time(NULL);
}

/* ---- people ---- */

static void
deps_drop(struct person_now *p)
{
	for (size_t i = 0; i < p->n_deps; i++) {
		struct dep *d = &p->deps[i];

		if (d->next != NULL)
			d->next->at = d->at;
		*d->at = d->next;
		free(d->key);
	}
	free(p->deps);
	p->deps = NULL;
	p->n_deps = 0;
}

static void
deps_take(struct live *v, struct person_now *p, struct login_facts *f)
{
	deps_drop(p);
	p->deps = xcalloc(f->n_deps + 1, sizeof(*p->deps));
	p->n_deps = f->n_deps;
	for (size_t i = 0; i < f->n_deps; i++) {
		struct dep *d = &p->deps[i];

		d->key = f->deps[i];
		d->is_subject = i < f->n_subjects;
		d->person = p;
		d->at = &v->by_key[hash_of(d->key)];
		d->next = *d->at;
		if (d->next != NULL)
			d->next->at = &d->next;
		*d->at = d;
	}
	free(f->deps);
	f->deps = NULL;
	f->n_deps = 0;
	memcpy(p->state, f->state, sizeof(p->state));
	p->epoch = f->epoch;
}

static struct person_now *
person_find(struct live *v, const char *account)
{
	struct person_now *p = v->by_account[hash_of(account)];

	while (p != NULL && strcmp(p->account, account) != 0)
		p = p->hash_next;
	return p;
}

static struct person_now *
person_make(struct live *v, const char *account, const char *login)
{
	struct person_now *p = person_find(v, account);

	if (p != NULL)
		return p;
	p = xcalloc(1, sizeof(*p));
	snprintf(p->account, sizeof(p->account), "%s", account);
	snprintf(p->login, sizeof(p->login), "%s", login);
	p->at = &v->all;
	p->next = v->all;
	if (p->next != NULL)
		p->next->at = &p->next;
	v->all = p;
	p->hash_at = &v->by_account[hash_of(account)];
	p->hash_next = *p->hash_at;
	if (p->hash_next != NULL)
		p->hash_next->hash_at = &p->hash_next;
	*p->hash_at = p;
	p->linger_until = loop_now_ms(v->loop) + LINGER_MS;
	return p;
}

static void
person_drop(struct live *v, struct person_now *p)
{
	login_memory_drop(v->memory, p->account); /* nobody would hear of what changes */
	deps_drop(p);
	if (p->next != NULL)
		p->next->at = p->at;
	*p->at = p->next;
	if (p->hash_next != NULL)
		p->hash_next->hash_at = p->hash_at;
	*p->hash_at = p->hash_next;
	free(p);
}

static void
person_look(struct live *v, struct person_now *p)
{
	login_memory_drop(v->memory, p->account);
	p->is_dirty = true;
	if (p->is_queued || p->is_looked_at)
		return; /* what is under way may have read before the change: is_dirty has it looked at again */
	p->is_queued = true;
	p->queue_next = NULL;
	*v->queue_tail = p;
	v->queue_tail = &p->queue_next;
	queue_run(v);
}

static void
look_at_all(struct live *v)
{
	for (struct person_now *p = v->all; p != NULL; p = p->next)
		person_look(v, p);
}

/* Has workers look at those in the queue, some at a time. */
static void
queue_run(struct live *v)
{
	while (v->queue != NULL && v->n_jobs < JOBS_MAX) {
		struct person_now *p = v->queue;
		struct job *j = job_new(JOB_LIVE);

		j->address = xstrdup(p->account);
		j->login = xstrdup(p->login);
		if (work_put_take(v->work, j) != 0) {
			job_free(j);
			return; /* too much to do: at the next tick */
		}
		v->n_jobs++;
		v->queue = p->queue_next;
		if (v->queue == NULL)
			v->queue_tail = &v->queue;
		p->is_queued = p->is_dirty = false;
		p->is_looked_at = true;
	}
}

/* ---- telling ---- */

static void
tell_ended(struct ipc_conn *c, uint32_t number, enum lookup_ended why)
{
	struct buf b;

	buf_init(&b, 16);
	ipc_put_u32(&b, number);
	ipc_put_u8(&b, (uint8_t)why);
	(void)ipc_notify(c, LOOKUP_ENDED, &b);
	buf_done(&b);
}

static void
watch_drop(struct live *v, struct watch *w)
{
	if (w->next != NULL)
		w->next->at = w->at;
	*w->at = w->next;
	if (w->hash_next != NULL)
		w->hash_next->hash_at = w->hash_at;
	*w->hash_at = w->hash_next;
	w->person->linger_until = loop_now_ms(v->loop) + LINGER_MS;
	free(w);
}

static void
log_change(const struct person_now *p, const char *event, const char *why)
{
	struct log_line l;

	log_begin(&l, LOG_LVL_INFO, event);
	log_str(&l, "login", p->login);
	log_str(&l, "account", p->account);
	log_str(&l, "why", why);
	log_end(&l);
}

/* May sign in as before: each session that has another state, or a ticket that is half over, gets a new one; those of an older epoch end. */
static void
tell_state(struct live *v, struct person_now *p, struct job *j)
{
	const struct login_facts *f = &j->facts;
	struct watch *next;
	struct buf b;

	for (struct watch *w = p->watches; w != NULL; w = next) {
		bool is_half = now_s() > w->issued + (w->expires - w->issued) / 2;

		next = w->next;
		if (f->epoch > w->epoch) {
			log_change(p, "session_ended", "epoch");
			tell_ended(w->conn, w->number, LOOKUP_ENDED_EPOCH);
			watch_drop(v, w);
			continue;
		}
		if (memcmp(w->state, f->state, sizeof(w->state)) == 0 && !is_half)
			continue;
		if (memcmp(w->state, f->state, sizeof(w->state)) != 0)
			log_change(p, "session_changed", "rights or addresses");
		buf_init(&b, IPC_FRAME_MAX);
		ipc_put_u32(&b, w->number);
		buf_append_slice(&b, buf_slice(&j->reply));
		(void)ipc_notify(w->conn, LOOKUP_CHANGED, &b);
		buf_wipe(&b);
		memcpy(w->state, f->state, sizeof(w->state));
		w->issued = now_s();
		w->expires = f->expires;
	}
}

void
live_done(struct live *v, struct job *j)
{
	struct person_now *p = person_find(v, j->address);

	v->n_jobs--;
	if (p != NULL) {
		p->is_looked_at = false;
		p->retry_at = 0;
		p->looked_ms = loop_now_ms(v->loop);
	}
	if (p != NULL && j->err == 0) {
		tell_state(v, p, j);
		deps_take(v, p, &j->facts);
	} else if (p != NULL && j->err == ERR_NOTFOUND) {
		if (p->watches != NULL)
			log_change(p, "session_ended", "may not sign in");
		while (p->watches != NULL) {
			tell_ended(p->watches->conn, p->watches->number, LOOKUP_ENDED_PERSON);
			watch_drop(v, p->watches);
		}
		login_memory_drop(v->memory, p->account);
		deps_drop(p);
		p->linger_until = 0;
	} else if (p != NULL) {
		p->retry_at =
		    p->looked_ms + TICK_MS; /* no answer: nothing is known to have changed */
	}
	if (p != NULL && p->is_dirty)
		person_look(v, p);
	queue_run(v);
}

/* ---- what is known ---- */

uint64_t
live_mark(const struct live *v)
{
	return v->n_changes;
}

/* Whether a change since mark is of what the facts rest on, or may be. */
static bool
is_changed_since(const struct live *v, uint64_t mark, const struct login_facts *f, const char *name)
{
	if (v->n_changes - mark > CHANGES)
		return true;
	for (uint64_t n = mark; n < v->n_changes; n++) {
		uint32_t hash = v->changes[n % CHANGES].hash;
		bool is_subject = v->changes[n % CHANGES].is_subject;

		if (name != NULL && hash == whole_hash(name))
			return true;
		for (size_t i = 0; i < (is_subject ? f->n_subjects : f->n_deps); i++)
			if (hash == whole_hash(f->deps[i]))
				return true;
	}
	return false;
}

/* Changes are heard of as they happen, and all that were heard of are looked at. */
static bool
is_heard(struct live *v)
{
	uint64_t heard = v->heard_ms;
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return heard != 0 && !v->is_pending &&
	       (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000 < heard + FRESH_MS;
}

struct login_known *
live_known(struct live *v, const char *name)
{
	return is_heard(v) ? login_memory_find(v->memory, name, now_s()) : NULL;
}

bool
live_is_good(struct live *v, const struct login_known *k)
{
	return !k->is_over && now_s() < k->until && is_heard(v);
}

void
live_login_again(struct live *v, const struct login_known *k)
{
	struct person_now *p = person_find(v, k->facts.account);

	if (p != NULL)
		p->linger_until = loop_now_ms(v->loop) + LINGER_MS;
}

void
live_login(
    struct live *v, struct login_facts *f, uint64_t mark, const char *name, struct login_known *k)
{
	struct person_now *p = person_make(v, f->account, f->login);
	char key[PEOPLE_NAME_MAX + 2] = {PEOPLE_KEY_NAME};

	if (name != NULL)
		snprintf(key + 1, sizeof(key) - 1, "%s", name);
	p->linger_until = loop_now_ms(v->loop) + LINGER_MS;
	if (is_changed_since(v, mark, f, name == NULL ? NULL : key)) {
		person_look(v, p);
		return;
	}
	/* others of this person may have to be told what this login found */
	for (const struct watch *w = p->watches; w != NULL; w = w->next)
		if (f->epoch > w->epoch || memcmp(w->state, f->state, sizeof(w->state)) != 0) {
			person_look(v, p);
			return;
		}
	if (!p->is_dirty && !p->is_looked_at) {
		deps_take(v, p, f);
		if (k != NULL && name != NULL && is_heard(v))
			login_memory_put(v->memory, name, k);
	}
	p->looked_ms = loop_now_ms(v->loop);
}

/* ---- sessions ---- */

int
live_watch(struct live *v, struct ipc_conn *c, struct ipc_reader *r)
{
	uint32_t number = ipc_get_u32(r);
	struct slice ticket = ipc_get_slice(r);
	struct watch *w, *old = v->by_number[number % BUCKETS];
	struct person_now *p;
	struct token *t = NULL;

	while (old != NULL && (old->conn != c || old->number != number))
		old = old->hash_next;
	if (ipc_reader_end(r) != 0 || old != NULL)
		return ERR_PROTO;
	if (v->is_off)
		return 0;
	if (token_open(v->token_key, ticket, now_s(), &t) != 0) {
		tell_ended(c, number, LOOKUP_ENDED_TICKET);
		return 0;
	}
	p = person_make(v, t->account, t->login);
	w = xcalloc(1, sizeof(*w));
	w->conn = c;
	w->number = number;
	w->person = p;
	w->epoch = t->epoch;
	w->issued = t->issued;
	w->expires = t->expires;
	memcpy(w->state, t->state, sizeof(w->state));
	token_free(t);
	w->at = &p->watches;
	w->next = p->watches;
	if (w->next != NULL)
		w->next->at = &w->next;
	p->watches = w;
	w->hash_at = &v->by_number[number % BUCKETS];
	w->hash_next = *w->hash_at;
	if (w->hash_next != NULL)
		w->hash_next->hash_at = &w->hash_next;
	*w->hash_at = w;
	/* not known after a restart of ours; or something changed since the ticket was given */
	if (p->n_deps == 0 || p->epoch != w->epoch ||
	    memcmp(w->state, p->state, sizeof(w->state)) != 0)
		person_look(v, p);
	return 0;
}

int
live_unwatch(struct live *v, struct ipc_conn *c, struct ipc_reader *r)
{
	uint32_t number = ipc_get_u32(r);

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	for (struct watch *w = v->by_number[number % BUCKETS]; w != NULL; w = w->hash_next)
		if (w->conn == c && w->number == number) {
			watch_drop(v, w);
			break;
		}
	return 0; /* not there: it ended at the same time */
}

void
live_conn_closed(struct live *v, struct ipc_conn *c)
{
	for (struct person_now *p = v->all; p != NULL; p = p->next)
		for (struct watch *w = p->watches, *next; w != NULL; w = next) {
			next = w->next;
			if (w->conn == c)
				watch_drop(v, w);
		}
}

/* ---- time ---- */

static void later_take(struct live *v);

static void
on_tick(void *arg)
{
	struct live *v = arg;
	struct person_now *next;
	uint64_t now = loop_now_ms(v->loop);

	for (struct person_now *p = v->all; p != NULL; p = next) {
		bool is_due = v->is_polling && now > p->looked_ms + SWEEP_MS;

		next = p->next;
		for (const struct watch *w = p->watches; w != NULL && !is_due; w = w->next)
			is_due = now_s() > w->issued + (w->expires - w->issued) / 2;
		if (p->retry_at != 0 ? now >= p->retry_at : is_due && p->watches != NULL)
			person_look(v, p);
		if (p->watches == NULL && now > p->linger_until && !p->is_queued &&
		    !p->is_looked_at && !login_memory_has(v->memory, p->account, now_s()))
			person_drop(v, p);
	}
	later_take(v);
	queue_run(v);
	loop_timer_set(v->tick, TICK_MS);
}

/* ---- changes ---- */

static void
on_key(struct live *v, bool is_subject, const char *key)
{
	v->changes[v->n_changes % CHANGES].hash = whole_hash(key);
	v->changes[v->n_changes++ % CHANGES].is_subject = is_subject;
	if (strcmp(key, PEOPLE_KEY_ALL) == 0) {
		v->n_changes += CHANGES;
		login_memory_clear(v->memory);
	} else if (key[0] == PEOPLE_KEY_NAME) {
		login_memory_drop_name(v->memory, key + 1);
	}
	for (struct dep *d = v->by_key[hash_of(key)]; d != NULL; d = d->next)
		/* of what a changed entry names, only persons, posts and groups become something by it */
		if ((!is_subject || d->is_subject) && strcmp(d->key, key) == 0)
			person_look(v, d->person);
}

/* Each u8 1 subject, 0 entry; then the key and NUL. */
static void
keys_take(struct live *v, const struct buf *keys)
{
	for (size_t at = 0; at < keys->len;) {
		const char *key = (const char *)keys->data + at + 1;

		on_key(v, keys->data[at] != 0, key);
		at += strlen(key) + 2;
	}
}

/* slapd tells of the writes of a transaction before anybody can read them (RFC 5805): whoever was looked at, or signed in, at once may have been read as
 * they were. So each change is taken in again on two ticks, one to three seconds after it. */
static void
later_take(struct live *v)
{
	for (size_t i = 1; i < LATER; i++)
		keys_take(v, &v->later[i]);
	if (v->later_all) {
		v->n_changes += CHANGES + 1;
		look_at_all(v);
	}
	v->later_all = false;
	buf_done(&v->later[LATER - 1]);
	memmove(v->later + 1, v->later, (LATER - 1) * sizeof(v->later[0]));
	buf_init(&v->later[0], (size_t)16 << 20);
}

static void
on_raised(void *arg, const char *account, uint64_t epoch)
{
	struct live *v = arg;

	epoch_raise(v->epochs, account, epoch);
}

static void
on_changes(void *arg, int events)
{
	struct live *v = arg;
	struct buf keys, raised;
	uint64_t n;
	bool any;

	(void)events;
	(void)!read(v->event, &n, sizeof(n));
	pthread_mutex_lock(&v->lock);
	keys = v->keys;
	raised = v->raised;
	buf_init(&v->keys, (size_t)16 << 20);
	buf_init(&v->raised, (size_t)16 << 20);
	any = v->any || keys.err != 0;
	v->any = false;
	v->is_pending = false;
	v->is_polling = v->polling;
	pthread_mutex_unlock(&v->lock);
	people_epochs_each(buf_slice(&raised), on_raised, v);
	if (raised.err != 0)
		log_msg(LOG_LVL_ERROR, "epochs_lost",
		    "more epochs were raised at once than are kept: tickets of the others are "
		    "good until they end (ticket_seconds)");
	buf_done(&raised);
	if (any) {
		v->n_changes += CHANGES + 1;
		look_at_all(v);
	}
	if (!any)
		keys_take(v, &keys);
	if (!any && buf_append_slice(&v->later[0], buf_slice(&keys)) != 0) {
		buf_done(&v->later[0]); /* too many: everybody, once more */
		buf_init(&v->later[0], (size_t)16 << 20);
		v->later_all = true;
	}
	buf_done(&keys);
}

/* ---- the thread ---- */

static void
key_add(void *arg, const char *key, bool is_subject)
{
	struct live *v = arg;

	if (v->any)
		return;
	buf_append_byte(&v->keys, is_subject);
	buf_append(&v->keys, key, strlen(key) + 1);
}

static void
on_dir_event(void *arg, enum dir_watch_kind kind, const struct dir_entry *e)
{
	static const uint64_t one = 1;
	struct live *v = arg;
	char account[48];
	uint64_t epoch;

	pthread_mutex_lock(&v->lock);
	v->is_pending = true;
	switch (kind) {
	case DIR_WATCH_CHANGE:
	case DIR_WATCH_GONE:
		if (v->epochs != NULL && (epoch = people_epoch_of(v->people, e, account)) != 0)
			(void)people_epochs_put(&v->raised, account, epoch); /* on_changes */
		people_change_keys(v->people, e, key_add, v);
		break;
	case DIR_WATCH_ANY:
		v->any = true;
		break;
	case DIR_WATCH_UP:
	case DIR_WATCH_UP_POLL:
		v->polling = kind == DIR_WATCH_UP_POLL;
		break;
	case DIR_WATCH_DOWN:
		break;
	}
	pthread_mutex_unlock(&v->lock);
	if (kind == DIR_WATCH_DOWN)
		log_msg(LOG_LVL_WARN, "directory_not_watched",
		    "no server answers: open sessions go on with what was known");
	if (write(v->event, &one, sizeof(one)) != sizeof(one))
		fatal("eventfd");
}

static void *
watch_thread(void *arg)
{
	struct live *v = arg;

	dir_watch(v->dir, &v->params);
}

struct live *
live_new(struct loop *l, struct work *w, struct dir *d, struct people *p, const struct conf *c,
    const unsigned char token_key[32], struct epoch_client *epochs)
{
	const char *how = conf_str(c, "dir_watch");
	struct live *v = xcalloc(1, sizeof(*v));
	struct loop_fd *f;
	sigset_t every, old;
	pthread_t t;

	v->loop = l;
	v->work = w;
	v->dir = d;
	v->people = p;
	v->epochs = epochs;
	v->memory = login_memory_new(MEMORY_MAX);
	memcpy(v->token_key, token_key, sizeof(v->token_key));
	v->queue_tail = &v->queue;
	buf_init(&v->keys, (size_t)16 << 20);
	buf_init(&v->raised, (size_t)16 << 20);
	for (size_t i = 0; i < LATER; i++)
		buf_init(&v->later[i], (size_t)16 << 20);
	pthread_mutex_init(&v->lock, NULL);
	v->is_off = strcmp(how, "off") == 0;
	v->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (v->event < 0)
		fatal("eventfd");
	v->tick = loop_timer_new(l, on_tick, v);
	loop_timer_set(v->tick, TICK_MS);
	f = loop_fd_new(l, v->event, on_changes, v);
	loop_fd_want(f, LOOP_READ);
	if (v->is_off)
		return v;
	v->params = (struct dir_watch_params){.attrs = people_watch_attrs(p),
	    .attr_modified = conf_str(c, "dir_attr_modified"),
	    .poll_only = strcmp(how, "poll") == 0,
	    .heard_ms = &v->heard_ms,
	    .fn = on_dir_event,
	    .arg = v};
	/* signals are the loop's */
	sigfillset(&every);
	pthread_sigmask(SIG_SETMASK, &every, &old);
	if (pthread_create(&t, NULL, watch_thread, v) != 0)
		fatal("no threads");
	pthread_detach(t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return v;
}
