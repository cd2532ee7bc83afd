/* work.c: lookup's worker threads: libldap and Cyrus SASL block, so the loop hands them jobs and gets replies through an
 * eventfd. A directory that answers in microseconds is asked by one thread after the other: to wake four of them for four questions costs
 * twice the CPU of asking four times; who waits for longer has more of them woken (work_nudge). Every job ends with a reply, also when the directory is down (ERR_TEMP). The threads share struct people and struct dir,
 * which are made for it; an exchange belongs to the one job that holds it. */
#include "config.h"

#include "directory/work_priv.h"

#include "directory/login_memory.h"
#include "directory/lookup_client.h"
#include "directory/token.h"
#include "lib/addr.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { NAMES_UP_TO = 2000 }; /* a larger group's names would not fit the frame */

struct work {
	struct work_params p;
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct job *todo, **todo_tail;
	struct job *done, **done_tail;
	bool (*is_good)(void *arg, const struct login_known *k);
	void *is_good_arg;
	unsigned n_todo;
	unsigned n_awake, n_wake; /* threads at work, or woken for it; of these not up yet */
	int event;
};

struct job *
job_new(enum job_kind kind)
{
	struct job *j = xcalloc(1, sizeof(*j));

	j->kind = kind;
	buf_init(&j->input, AUTH_STEP_MAX);
	buf_init(&j->reply, IPC_FRAME_MAX);
	return j;
}

void
job_free(struct job *j)
{
	if (j == NULL)
		return;
	free(j->address);
	free(j->login);
	for (size_t i = 0; i < j->n_list; i++)
		free(j->list[i]);
	free(j->list);
	buf_wipe(&j->input);
	buf_wipe(&j->reply);
	login_facts_done(&j->facts);
	login_known_release(j->known);
	free(j);
}

void
login_facts_done(struct login_facts *f)
{
	for (size_t i = 0; i < f->n_deps; i++)
		free(f->deps[i]);
	free(f->deps);
	f->deps = NULL;
	f->n_deps = 0;
}

/* ---- recipients ---- */

/* RFC 5321 4.5.1: a domain that takes mail has a postmaster. ERR_NOTFOUND for all other addresses. */
static int
postmaster_rcpt(struct work *w, struct slice address, struct people_rcpt **out)
{
	const char *to = conf_str(w->p.conf, "postmaster");
	struct slice local, domain;
	char *norm;
	int err;

	if (*to == '\0' || addr_split(address, &local, &domain) != 0 ||
	    (!slice_caseeq_str(local, "postmaster") && !slice_caseeq_str(local, "abuse")))
		return ERR_NOTFOUND;
	norm = work_address(w->p.conf, to);
	err = norm == NULL ? ERR_NOTFOUND : people_rcpt(w->p.people, slice_str(norm), out);
	free(norm);
	return err;
}

/* Who receives for the job's address: *kind_out, and the people when it is one of ours. 0, ERR_LIMIT, ERR_TEMP. */
static int
find_rcpt(struct work *w, struct job *j, uint8_t *kind_out, struct people_rcpt **out)
{
	char *address = work_address(w->p.conf, j->address);
	struct people_rcpt *r = NULL;
	int err = ERR_NOTFOUND;
	uint8_t kind;

	if (address == NULL) {
		kind = LOOKUP_RCPT_NONE; /* no address at all is nobody's */
	} else if (!people_is_ours(w->p.people, slice_str(address))) {
		kind = LOOKUP_RCPT_REMOTE;
	} else {
		err = people_rcpt(w->p.people, slice_str(address), &r);
		if (err == ERR_NOTFOUND)
			err = postmaster_rcpt(w, slice_str(address), &r);
		kind = err == 0 ? LOOKUP_RCPT_LOCAL : LOOKUP_RCPT_NONE;
	}
	free(address);
	if (err != 0 && err != ERR_NOTFOUND)
		return err == ERR_LIMIT ? ERR_LIMIT : ERR_TEMP;
	*kind_out = kind;
	*out = r;
	return 0;
}

static void
do_rcpt(struct work *w, struct job *j)
{
	struct people_rcpt *r = NULL;
	uint8_t kind = LOOKUP_RCPT_NONE;

	j->err = find_rcpt(w, j, &kind, &r);
	if (j->err != 0)
		return;
	ipc_put_u8(&j->reply, kind);
	ipc_put_u32(&j->reply, (uint32_t)(r == NULL ? 0 : r->n));
	for (size_t i = 0; r != NULL && i < r->n; i++) {
		ipc_put_str(&j->reply, r->v[i].account);
		ipc_put_str(&j->reply, r->v[i].address);
		ipc_put_str(&j->reply, r->n > NAMES_UP_TO ? "" : r->v[i].name);
	}
	ipc_put_u8(&j->reply, r != NULL && r->is_official);
	people_rcpt_free(r);
}

static enum people_forward_to
forward_policy(const struct conf *c)
{
	const char *s = conf_str(c, "forward_to");

	return strcmp(s, "any") == 0   ? PEOPLE_FORWARD_ANY
	       : strcmp(s, "own") == 0 ? PEOPLE_FORWARD_OWN
				       : PEOPLE_FORWARD_OFF;
}

static void
put_reply(const struct people_rcpt *r, struct buf *b)
{
	const struct people_reply *x = r == NULL || r->n == 0 ? NULL : r->reply;

	ipc_put_u8(b, x != NULL);
	if (x == NULL)
		return;
	ipc_put_str(b, r->v[0].account);
	ipc_put_str(b, r->v[0].address);
	ipc_put_str(b, r->v[0].name);
	ipc_put_str(b, x->subject);
	ipc_put_str(b, x->text);
	ipc_put_u32(b, x->days);
	ipc_put_u32(b, (uint32_t)x->n_addresses);
	for (size_t i = 0; i < x->n_addresses; i++)
		ipc_put_str(b, x->addresses[i]);
}

/* By which the session marks what somebody forwards, and knows it again: nobody else can tell whose mark it is. */
static void
put_secret(const struct work *w, const char *by, struct buf *b)
{
	unsigned char key[32], secret[32];

	hmac_sha256(slice_of(w->p.token_key, 32), slice_str("congvu forward"), key);
	hmac_sha256(slice_of(key, 32), slice_str(by), secret);
	ipc_put_slice(b, slice_of(secret, 32));
}

static void
do_route(struct work *w, struct job *j)
{
	struct people_rcpt *r = NULL;
	struct people_route *route = NULL;
	char *sender = work_address(w->p.conf, j->login);
	struct slice from = slice_str(sender == NULL ? "" : sender);
	uint8_t kind = LOOKUP_RCPT_NONE;
	bool may = true;

	j->err = find_rcpt(w, j, &kind, &r);
	if (j->err == 0 && r != NULL)
		j->err = people_rcpt_may_send(w->p.people, r, from, j->signed_in, &may);
	if (j->err == 0 && r != NULL)
		j->err = people_route(
		    w->p.people, r, forward_policy(w->p.conf), from, j->signed_in, &route);
	if (j->err == 0) {
		ipc_put_u8(&j->reply, kind);
		ipc_put_u8(&j->reply, may);
		ipc_put_u8(&j->reply, r != NULL && r->is_group);
		ipc_put_u8(&j->reply, route == NULL || route->keep);
		ipc_put_u32(&j->reply, (uint32_t)(route == NULL ? 0 : route->n));
		for (size_t i = 0; route != NULL && i < route->n; i++) {
			ipc_put_str(&j->reply, route->hops[i].to);
			ipc_put_str(&j->reply, route->hops[i].by);
			put_secret(w, route->hops[i].by, &j->reply);
			ipc_put_u8(&j->reply, route->hops[i].is_remote);
		}
		put_reply(r, &j->reply);
	}
	free(sender);
	people_route_free(route);
	people_rcpt_free(r);
}

/* ---- logins ---- */

static void
put_identity(
    struct buf *b, const char *address, enum lookup_identity_kind kind, int64_t from, int64_t until)
{
	ipc_put_str(b, address);
	ipc_put_u8(b, (uint8_t)kind);
	ipc_put_i64(b, from);
	ipc_put_i64(b, until);
}

static void
put_identities(struct buf *b, const struct person *u, const struct person_mailboxes *m)
{
	size_t n = u->n_addresses;

	for (size_t i = 0; i < m->n; i++)
		for (size_t g = 0; g < m->v[i].n_grants; g++)
			n += m->v[i].grants[g].may_send ? m->v[i].n_addresses : 0;
	ipc_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < u->n_addresses; i++)
		put_identity(b, u->addresses[i], LOOKUP_IDENTITY_OWN, 0, 0);
	for (size_t i = 0; i < m->n; i++) {
		const struct person_mailbox *x = &m->v[i];

		for (size_t g = 0; g < x->n_grants; g++)
			for (size_t k = 0; x->grants[g].may_send && k < x->n_addresses; k++)
				put_identity(b, x->addresses[k],
				    x->account[0] == 'f' ? LOOKUP_IDENTITY_FUNCTIONAL
							 : LOOKUP_IDENTITY_DELEGATED,
				    x->grants[g].from, x->grants[g].until);
	}
}

static int
ticket_make(struct work *w, const struct person *u, const struct person_mailboxes *m,
    int64_t expires, const unsigned char state[32], struct buf *out)
{
	struct token t = {.expires = expires, .epoch = u->epoch};
	int err;

	memcpy(t.state, state, sizeof(t.state));
	t.issued = time(NULL);
	snprintf(t.account, sizeof(t.account), "%s", u->account);
	snprintf(t.login, sizeof(t.login), "%s", u->login);
	snprintf(t.address, sizeof(t.address), "%s", u->address);
	t.shares = xcalloc(PEOPLE_GRANTS_MAX + 2, sizeof(*t.shares));
	if (u->read_until != 0) { /* a share of the own account: these rights, and not all */
		struct token_share *s = &t.shares[t.n_shares++];

		snprintf(s->account, sizeof(s->account), "%s", u->account);
		snprintf(s->rights, sizeof(s->rights), "%s", PEOPLE_READER);
		s->until = u->read_until;
	}
	for (size_t i = 0; i < m->n; i++)
		for (size_t g = 0; g < m->v[i].n_grants; g++) {
			struct token_share *s = &t.shares[t.n_shares++];

			snprintf(s->account, sizeof(s->account), "%s", m->v[i].account);
			snprintf(s->rights, sizeof(s->rights), "%s", m->v[i].grants[g].rights);
			snprintf(s->name, sizeof(s->name), "%s", m->v[i].ns_name);
			s->from = m->v[i].grants[g].from;
			s->until = m->v[i].grants[g].until;
		}
	err = token_seal(w->p.token_key, &t, out);
	free(t.shares);
	return err;
}

/* Those that are held now. */
static void
put_shares(struct buf *b, const struct person_mailboxes *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n; i++)
		n += m->v[i].rights[0] != '\0';
	ipc_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < m->n; i++) {
		if (m->v[i].rights[0] == '\0')
			continue;
		ipc_put_str(b, m->v[i].account);
		ipc_put_str(b, m->v[i].address);
		ipc_put_str(b, m->v[i].ns_name);
		ipc_put_str(b, m->v[i].rights);
	}
}

/* A digest of all that the session is told, but for the ticket. */
static int
state_of(const struct person *u, const struct person_mailboxes *m, unsigned char state[32])
{
	struct buf b;
	int err;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_str(&b, u->login);
	ipc_put_str(&b, u->account);
	ipc_put_str(&b, u->address);
	ipc_put_str(&b, u->name);
	put_identities(&b, u, m);
	ipc_put_i64(&b, u->read_until);
	/* grants, and not what of them holds now: a date that comes changes nothing that the ticket does not say */
	for (size_t i = 0; i < m->n; i++)
		for (size_t g = 0; g < m->v[i].n_grants; g++) {
			ipc_put_str(&b, m->v[i].account);
			ipc_put_str(&b, m->v[i].ns_name);
			ipc_put_str(&b, m->v[i].grants[g].rights);
			ipc_put_i64(&b, m->v[i].grants[g].from);
			ipc_put_i64(&b, m->v[i].grants[g].until);
		}
	err = b.err;
	if (err == 0)
		sha256_of(buf_slice(&b), state);
	buf_done(&b);
	return err;
}

/* What a login is given, into b: all but the end of the exchange. f gets what live.c must know of it. *keep_until_out: people_keep_until. */
static int
put_login(struct work *w, const struct person *u, struct buf *b, struct login_facts *f,
    int64_t *keep_until_out)
{
	int64_t expires = time(NULL) + conf_int(w->p.conf, "ticket_seconds");
	struct person_mailboxes *m = NULL;
	struct buf ticket;
	int err = people_mailboxes(w->p.people, u, &m);

	if (u->read_until != 0 && u->read_until < expires)
		expires = u->read_until;
	buf_init(&ticket, TOKEN_MAX);
	if (err == 0)
		err = state_of(u, m, f->state);
	if (err == 0)
		err = ticket_make(w, u, m, expires, f->state, &ticket);
	if (err == 0) {
		ipc_put_str(b, u->login);
		ipc_put_str(b, u->account);
		ipc_put_str(b, u->address);
		ipc_put_str(b, u->name);
		ipc_put_slice(b, buf_slice(&ticket));
		ipc_put_i64(b, expires);
		put_identities(b, u, m);
		put_shares(b, m);
		err = b->err;
	}
	if (err == 0) {
		*keep_until_out = people_keep_until(w->p.people, u, m);
		snprintf(f->account, sizeof(f->account), "%s", u->account);
		snprintf(f->login, sizeof(f->login), "%s", u->login);
		f->epoch = u->epoch;
		f->expires = expires;
		f->deps = m->deps;
		f->n_deps = m->n_deps;
		f->n_subjects = m->n_subjects;
		m->deps = NULL;
		m->n_deps = 0;
	}
	buf_wipe(&ticket);
	person_mailboxes_free(m);
	return err;
}

/* Who is signed in, anew: ERR_NOTFOUND when that person may not sign in any more. */
static void
do_live(struct work *w, struct job *j)
{
	struct person *u = NULL;
	int64_t until;

	j->err = people_login(w->p.people, slice_str(j->login), &u);
	/* the name may have been given to somebody else; and who was locked by an administrator is out */
	if (j->err == 0 &&
	    (strcmp(u->account, j->address) != 0 || u->policy.state == PPOLICY_FROZEN))
		j->err = ERR_NOTFOUND;
	if (j->err == 0)
		j->err = put_login(w, u, &j->reply, &j->facts, &until);
	person_free(u);
	if (j->err != 0 && j->err != ERR_NOTFOUND)
		j->err = ERR_TEMP;
}

/* Whether the ticket gives the right to administer the account at this moment. */
static bool
may_administer(const struct token *t, const char *account)
{
	bool is_own = strcmp(t->account, account) == 0;
	int64_t now = time(NULL);

	for (size_t i = 0; i < t->n_shares; i++) {
		const struct token_share *s = &t->shares[i];

		if (strcmp(s->account, account) == 0 && now >= s->from &&
		    (s->until == 0 || now < s->until) && strchr(s->rights, 'a') != NULL)
			return true;
		/* as stored has it: a share of the own account takes the other rights away */
		is_own = is_own && strcmp(s->account, account) != 0;
	}
	return is_own;
}

static void
do_acl(struct work *w, struct job *j)
{
	struct people_acl *l = NULL;
	struct token *t = NULL;

	if (token_open(w->p.token_key, buf_slice(&j->input), time(NULL), &t) != 0 ||
	    !may_administer(t, j->address))
		j->err = ERR_DENIED;
	else
		j->err = people_acl(w->p.people, slice_str(j->address), &l);
	if (j->err == 0) {
		ipc_put_u32(&j->reply, (uint32_t)l->n);
		for (size_t i = 0; i < l->n; i++) {
			ipc_put_str(&j->reply, l->v[i].identifier);
			ipc_put_str(&j->reply, l->v[i].rights);
		}
	}
	people_acl_free(l);
	token_free(t);
}

void
work_put_end(struct buf *b, struct slice final, bool has_final, const struct person *u)
{
	ipc_put_slice(b, final);
	ipc_put_u8(b, has_final);
	ipc_put_i64(b, u->policy.until);
	ipc_put_u8(b, u->policy.state == PPOLICY_GRACE);
	ipc_put_u32(b, u->policy.grace_left);
}

static bool
is_known_good(struct work *w, const struct job *j)
{
	return j->known != NULL && w->is_good != NULL && w->is_good(w->is_good_arg, j->known);
}

/* What the one who has signed in is given: what is known, or what the directory says. */
static void
auth_grant(struct work *w, struct job *j, const struct person *u)
{
	int64_t until = 0, soon = time(NULL) + conf_int(w->p.conf, "ticket_seconds") / 8;

	if (is_known_good(w, j) && strcmp(j->known->facts.account, u->account) == 0) {
		buf_append_slice(&j->reply, buf_slice(&j->known->reply));
		j->facts = j->known->facts;
		j->is_as_known = true;
		return;
	}
	j->err = put_login(w, u, &j->reply, &j->facts, &until);
	if (j->err != 0 || until == 0 || j->known != NULL ||
	    people_elsewhere(w->p.people) != j->elsewhere)
		return;
	/* it has a ticket in it */
	j->known = login_known_new(u, buf_slice(&j->reply), &j->facts, until < soon ? until : soon);
	j->is_newly_known = true;
}

static void
do_auth(struct work *w, struct job *j)
{
	struct buf challenge;
	bool has_final = false;
	enum auth_result res;

	/* it was when the name was seen: minutes ago, or before a long queue */
	if (j->known != NULL && !is_known_good(w, j)) {
		auth_withdraw(j->auth);
		login_known_release(j->known);
		j->known = NULL;
	}
	buf_init(&challenge, 16000);
	if (j->kind == JOB_AUTH_START)
		res = auth_start(
		    j->auth, j->has_initial, buf_slice(&j->input), &challenge, &has_final, &j->err);
	else
		res = auth_step(j->auth, buf_slice(&j->input), &challenge, &has_final, &j->err);
	auth_count_wrong(j->auth);
	if (res == AUTH_MORE) {
		j->is_more = true;
		ipc_put_slice(&j->reply, buf_slice(&challenge));
	} else if (res == AUTH_OK && auth_person(j->auth)->read_until != 0 &&
		   strcmp(auth_service(j->auth), "imap") != 0) {
		j->err = ERR_DENIED; /* has left: to read is all there is */
	} else if (res == AUTH_OK) {
		auth_grant(w, j, auth_person(j->auth));
		work_put_end(&j->reply, buf_slice(&challenge), has_final, auth_person(j->auth));
	}
	buf_wipe(&challenge);
}

/* ---- threads ---- */

static void
job_run(struct work *w, struct job *j)
{
	switch (j->kind) {
	case JOB_RCPT:
		do_rcpt(w, j);
		break;
	case JOB_ROUTE:
		do_route(w, j);
		break;
	case JOB_SENDER:
		work_sender(&w->p, j);
		break;
	case JOB_MOVED:
		work_moved(&w->p, j);
		break;
	case JOB_MEMBER:
		work_member(&w->p, j);
		break;
	case JOB_AUTH_START:
	case JOB_AUTH_STEP:
		do_auth(w, j);
		break;
	case JOB_AUTH_WRONG:
		auth_count_wrong(j->auth);
		break;
	case JOB_LIVE:
		do_live(w, j);
		break;
	case JOB_ACL:
		do_acl(w, j);
		break;
	}
	if (j->err == 0 && j->reply.err != 0)
		j->err = j->reply.err;
}

static void *
work_thread(void *arg)
{
	struct work *w = arg;
	static const uint64_t one = 1;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct job *j;
		bool was_empty;

		while (w->todo == NULL) {
			w->n_awake--;
			while (w->n_wake == 0)
				pthread_cond_wait(&w->wake, &w->lock);
			w->n_wake--;
		}
		j = w->todo;
		w->todo = j->next;
		if (w->todo == NULL)
			w->todo_tail = &w->todo;
		w->n_todo--;
		pthread_mutex_unlock(&w->lock);
		j->next = NULL;
		job_run(w, j);
		pthread_mutex_lock(&w->lock);
		was_empty = w->done == NULL;
		*w->done_tail = j;
		w->done_tail = &j->next;
		if (was_empty && write(w->event, &one, sizeof(one)) != sizeof(one))
			fatal("eventfd");
	}
	return NULL;
}

static uint64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

/* One more thread, if there is one; under the lock. */
static bool
wake_one(struct work *w)
{
	if (w->n_awake >= w->p.threads)
		return false;
	w->n_awake++;
	w->n_wake++;
	return true;
}

struct work *
work_new(const struct work_params *p)
{
	struct work *w = xcalloc(1, sizeof(*w));
	sigset_t all, old;

	w->p = *p;
	w->n_awake = p->threads; /* until each has looked */
	w->todo_tail = &w->todo;
	w->done_tail = &w->done;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event < 0)
		fatal("eventfd");
	/* signals are the loop's */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < p->threads; i++) {
		pthread_t t;

		if (pthread_create(&t, NULL, work_thread, w) != 0)
			fatal("no threads");
		pthread_detach(t);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return w;
}

void
work_judge(struct work *w, bool (*is_good)(void *arg, const struct login_known *k), void *arg)
{
	w->is_good = is_good;
	w->is_good_arg = arg;
}

int
work_fd(const struct work *w)
{
	return w->event;
}

int
work_put_take(struct work *w, struct job *j)
{
	bool wakes = false;
	unsigned max = j->kind == JOB_AUTH_WRONG ? 2 * w->p.queue_max : w->p.queue_max;
	int err = 0;

	j->next = NULL;
	j->queued_us = now_us();
	pthread_mutex_lock(&w->lock);
	if (w->n_todo >= max) {
		err = ERR_LIMIT;
	} else {
		*w->todo_tail = j;
		w->todo_tail = &j->next;
		w->n_todo++;
		/* nobody's clock stands behind a job of live.c */
		wakes = (w->n_awake == 0 || j->kind == JOB_LIVE) && wake_one(w);
	}
	pthread_mutex_unlock(&w->lock);
	/* outside, so that who wakes need not wait for the lock */
	if (wakes)
		pthread_cond_signal(&w->wake);
	return err;
}

bool
work_nudge(struct work *w)
{
	bool wakes, waits;

	pthread_mutex_lock(&w->lock);
	wakes =
	    w->todo != NULL && now_us() - w->todo->queued_us >= WORK_WAIT_MS * 1000 && wake_one(w);
	/* with all of them at work nobody is left to be woken */
	waits = w->todo != NULL && w->n_awake < w->p.threads;
	pthread_mutex_unlock(&w->lock);
	if (wakes)
		pthread_cond_signal(&w->wake);
	return waits;
}

struct job *
work_done(struct work *w)
{
	struct job *list;
	uint64_t n;

	(void)!read(w->event, &n, sizeof(n));
	pthread_mutex_lock(&w->lock);
	list = w->done;
	w->done = NULL;
	w->done_tail = &w->done;
	pthread_mutex_unlock(&w->lock);
	return list;
}
