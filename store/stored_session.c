/* stored_session.c: who is asking, and what that person may do. Runs in stored. A session exists by its ticket alone; rights are RFC
 * 4314's letters: all of them in the own account, unless the ticket has it among the shares; those of the
 * ticket in shared ones. A person whose epoch was raised is let in by
 * newer tickets only, and the sessions of older ones end. */
#include "store/stored_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "directory/token.h"
#include "lib/err.h"
#include "lib/log.h"

/* A session being made: its accounts are read one after the other. */
struct making {
	struct session *s;
	struct token *t;
	size_t at;
	bool looping, ready;
	int err;
	session_fn fn;
	void *arg;
	struct account_op op;
};

int64_t
now_s(void)
{
	return (int64_t)time(NULL);
}

static int64_t
running_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec;
}

/* The clock as it was when this was first asked, and what has passed since. */
static int64_t
steady_s(void)
{
	static int64_t behind = INT64_MIN;
	int64_t running = running_s();

	if (behind == INT64_MIN)
		behind = now_s() - running;
	return running + behind;
}

int64_t
age_now_s(void)
{
	int64_t steady = steady_s(), wall = now_s();

	return wall < steady ? wall : steady;
}

int64_t
age_from_s(void)
{
	int64_t steady = steady_s(), wall = now_s();

	return wall > steady ? wall : steady;
}

void
must(int err)
{
	if (err != 0)
		fatal("stored: the backend refused a call of ours: %s", err_name(err));
}

bool
rights_have(const char *rights, const char *need)
{
	for (; *need != '\0'; need++)
		if (strchr(rights, *need) == NULL)
			return false;
	return true;
}

const char *
session_rights(struct session_account *sa)
{
	int64_t now = now_s();
	size_t n = 0;

	if (sa->share[0] == '\0' && sa->n_grants == 0)
		return RIGHTS_ALL;
	/* in RFC 4314's order, each once, whichever grants give it */
	for (const char *letter = RIGHTS_ALL; *letter != '\0'; letter++)
		for (size_t i = 0; i < sa->n_grants; i++) {
			const struct session_grant *g = &sa->grants[i];

			if (now < g->from || (g->until != 0 && now >= g->until) ||
			    strchr(g->rights, *letter) == NULL)
				continue;
			sa->rights[n++] = *letter;
			break;
		}
	sa->rights[n] = '\0';
	return sa->rights;
}

uint32_t
rights_flags(const char *rights)
{
	uint32_t f = 0;

	if (rights_have(rights, "s"))
		f |= MSG_SEEN;
	if (rights_have(rights, "t"))
		f |= MSG_DELETED;
	if (rights_have(rights, "w"))
		f |= MSG_ANSWERED | MSG_FLAGGED | MSG_DRAFT | RIGHTS_KEYWORDS;
	return f;
}

/* ---- life ---- */

void
session_free(struct session *s)
{
	if (s == NULL)
		return;
	watch_session_done(s);
	for (size_t i = 0; i < s->n_accounts; i++) {
		account_unref(s->accounts[i].acc);
		free(s->accounts[i].grants);
		free(s->accounts[i].share);
	}
	free(s->accounts);
	free(s->login);
	s->st->n_sessions--;
	free(s);
}

void
conn_closed(struct conn *c)
{
	struct session *s;

	c->closed = true;
	names_watch_end(c);
	append_groups_free(c);
	while ((s = c->sessions) != NULL) {
		c->sessions = s->next;
		session_free(s);
	}
	conn_unref(c);
}

void
conn_unref(struct conn *c)
{
	if (--c->refs == 0)
		free(c);
}

static void
making_end(struct making *k, int err)
{
	struct session *s = k->s;

	if (err != 0) {
		session_free(s);
		s = NULL;
	}
	token_free(k->t);
	k->fn(k->arg, err, s);
	free(k);
}

static void
on_epoch_kept(void *arg, int err)
{
	struct making *k = arg;

	account_op_end(&k->op);
	making_end(k, err);
}

static void
epoch_run(struct account_op *op)
{
	struct making *k = (struct making *)((char *)op - offsetof(struct making, op));
	struct account_head h = op->acc->h;

	if (h.epoch >= k->t->epoch) { /* another one was quicker */
		account_op_end(op);
		making_end(k, h.epoch > k->t->epoch ? ERR_EXPIRED : 0);
		return;
	}
	h.epoch = k->t->epoch;
	account_commit(op, &h, NULL, 0, NULL, 0, on_epoch_kept, k);
}

static void
epoch_check(struct making *k)
{
	struct account *own = k->s->accounts[0].acc;

	if (k->t->epoch < own->h.epoch) {
		making_end(k, ERR_EXPIRED);
	} else if (k->t->epoch > own->h.epoch) {
		k->op.run = epoch_run;
		account_op_start(own, &k->op);
	} else {
		making_end(k, 0);
	}
}

/* sh: NULL for the own account. */
static void
grant_add(struct session *s, struct account *a, const struct token_share *sh)
{
	struct session_account *sa = s->accounts;
	struct session_grant *g;

	while (sa < s->accounts + s->n_accounts && sa->acc != a)
		sa++;
	if (sa == s->accounts + s->n_accounts) {
		account_ref(a);
		sa->acc = a;
		sa->share = xstrdup(sh == NULL ? "" : sh->name);
		s->n_accounts++;
	}
	if (sh == NULL)
		return;
	sa->grants = xrealloc(sa->grants, (sa->n_grants + 1) * sizeof *sa->grants);
	g = &sa->grants[sa->n_grants++];
	*g = (struct session_grant){.from = sh->from, .until = sh->until};
	snprintf(g->rights, sizeof g->rights, "%s", sh->rights);
}

static void
on_account(void *arg, int err, struct account *a)
{
	struct making *k = arg;

	/* A share that cannot be read is left out; the own account must be there. */
	if (err == 0)
		grant_add(k->s, a, k->at == 0 ? NULL : &k->t->shares[k->at - 1]);
	else if (k->at == 0)
		k->err = err;
	k->at++;
	k->ready = true;
	if (k->looping)
		return;
	k->looping = true;
	while (k->ready && k->err == 0 && k->at <= k->t->n_shares) {
		k->ready = false;
		account_get(k->s->st, slice_str(k->t->shares[k->at - 1].account), on_account, k);
	}
	k->looping = false;
	if (!k->ready)
		return;
	if (k->err != 0)
		making_end(k, k->err);
	else
		epoch_check(k);
}

void
session_make(struct stored *st, struct slice ticket, session_fn fn, void *arg)
{
	struct token *t;
	struct making *k;
	int err = token_open(st->key, ticket, now_s(), &t);

	if (err != 0) {
		fn(arg, err, NULL);
		return;
	}
	k = xcalloc(1, sizeof *k);
	k->t = t;
	k->fn = fn;
	k->arg = arg;
	k->s = xcalloc(1, sizeof *k->s);
	k->s->st = st;
	k->s->expires = t->expires;
	k->s->epoch = t->epoch;
	k->s->login = xstrdup(t->login);
	k->s->accounts = xcalloc(t->n_shares + 1, sizeof *k->s->accounts);
	st->n_sessions++;
	account_get(st, slice_str(t->account), on_account, k);
}

/* ---- an epoch that lookup tells of, before any ticket has it ---- */

struct epoch_told {
	struct account_op op;
	struct req r;
	uint64_t epoch;
};

static void
on_told_kept(void *arg, int err)
{
	struct epoch_told *k = arg;

	account_op_end(&k->op);
	if (err == 0)
		req_ok(&k->r);
	else
		req_err(&k->r, err, "epoch");
	free(k);
}

static void
told_run(struct account_op *op)
{
	struct epoch_told *k = (struct epoch_told *)((char *)op - offsetof(struct epoch_told, op));
	struct account_head h = op->acc->h;

	if (h.epoch >= k->epoch) {
		on_told_kept(k, 0);
		return;
	}
	h.epoch = k->epoch;
	account_commit(op, &h, NULL, 0, NULL, 0, on_told_kept, k);
}

static void
on_told_account(void *arg, int err, struct account *a)
{
	struct epoch_told *k = arg;

	if (err == 0) {
		k->r.acc = a;
		account_ref(a);
		k->op.run = told_run;
		account_op_start(a, &k->op);
		return;
	}
	/* nobody has mail there: the first ticket brings its epoch along */
	if (err == ERR_NOTFOUND)
		req_ok(&k->r);
	else
		req_err(&k->r, err, "account");
	free(k);
}

int
on_epoch(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice account = ipc_get_slice(r);
	uint64_t epoch = ipc_get_u64(r);
	struct epoch_told *k;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	k = xcalloc(1, sizeof *k);
	k->epoch = epoch;
	req_init(&k->r, c->st, c->ipc, id, NULL);
	account_find(c->st, account, on_told_account, k);
	return 0;
}

/* ---- the messages ---- */

struct opening {
	struct req r;
	struct conn *c;
	uint32_t number;
};

static void
on_made(void *arg, int err, struct session *s)
{
	struct opening *o = arg;
	struct conn *c = o->c;
	struct buf b;

	if (err != 0) {
		req_err(&o->r, err, "ticket");
	} else if (c->closed) {
		session_free(s);
		req_err(&o->r, ERR_CLOSED, "");
	} else {
		s->conn = c;
		s->id = o->number;
		s->next = c->sessions;
		c->sessions = s;
		buf_init(&b, 1024);
		ipc_put_str(&b, s->accounts[0].acc->id);
		ipc_put_i64(&b, s->expires);
		req_reply(&o->r, STORE_SESSION_IS, &b);
	}
	conn_unref(c);
	free(o);
}

int
on_session_open(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct opening *o;
	uint32_t number = ipc_get_u32(r);
	struct slice ticket = ipc_get_slice(r);

	if (ipc_reader_end(r) != 0 || id == 0)
		return ERR_PROTO;
	for (struct session *s = c->sessions; s != NULL; s = s->next)
		if (s->id == number)
			return ERR_PROTO;
	o = xcalloc(1, sizeof *o);
	o->c = c;
	c->refs++;
	o->number = number;
	req_init(&o->r, c->st, c->ipc, id, NULL);
	session_make(c->st, ticket, on_made, o);
	return 0;
}

int
on_session_close(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint32_t number = ipc_get_u32(r);

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	for (struct session **at = &c->sessions; *at != NULL; at = &(*at)->next)
		if ((*at)->id == number) {
			struct session *s = *at;

			*at = s->next;
			session_free(s);
			break;
		}
	if (id != 0)
		ipc_reply_ok(c->ipc, id);
	return 0;
}

static struct session *
session_find(const struct conn *c, uint32_t number)
{
	struct session *s = c->sessions;

	while (s != NULL && s->id != number)
		s = s->next;
	return s;
}

static void
on_remade(void *arg, int err, struct session *fresh)
{
	struct opening *o = arg;
	struct session *s = o->c->closed ? NULL : session_find(o->c, o->number);

	if (err == 0 && s == NULL)
		err = ERR_CLOSED;
	/* another person's ticket is another session */
	if (err == 0 && fresh->accounts[0].acc != s->accounts[0].acc)
		err = ERR_DENIED;
	if (err == 0) {
		struct session old = *s;

		s->accounts = fresh->accounts;
		s->n_accounts = fresh->n_accounts;
		s->expires = fresh->expires;
		s->epoch = fresh->epoch;
		fresh->accounts = old.accounts;
		fresh->n_accounts = old.n_accounts;
		watch_session_renewed(s);
		/* what a name meant may have been in what is gone */
		(void)ipc_notify(o->c->ipc, STORE_NAMES_CHANGED, NULL);
		req_ok(&o->r);
	} else {
		req_err(&o->r, err, "ticket");
	}
	session_free(fresh);
	conn_unref(o->c);
	free(o);
}

int
on_session_renew(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint32_t number = ipc_get_u32(r);
	struct slice ticket = ipc_get_slice(r);
	struct opening *o;

	if (ipc_reader_end(r) != 0 || id == 0)
		return ERR_PROTO;
	if (session_find(c, number) == NULL) {
		ipc_reply_err(c->ipc, id, ERR_EXPIRED, "no such session");
		return 0;
	}
	o = xcalloc(1, sizeof *o);
	o->c = c;
	c->refs++;
	o->number = number;
	req_init(&o->r, c->st, c->ipc, id, NULL);
	session_make(c->st, ticket, on_remade, o);
	return 0;
}

struct session *
session_of(struct conn *c, uint32_t id, struct ipc_reader *r, int *err_out)
{
	uint32_t number = ipc_get_u32(r);
	struct session *s = c->sessions;

	*err_out = r->err != 0 ? ERR_PROTO : 0;
	if (*err_out != 0)
		return NULL;
	while (s != NULL && s->id != number)
		s = s->next;
	if (s == NULL || s->expires <= now_s() || s->epoch < s->accounts[0].acc->h.epoch) {
		if (id != 0)
			ipc_reply_err(c->ipc, id, ERR_EXPIRED, "no such session");
		return NULL;
	}
	return s;
}

int
session_mbox(
    struct session *s, uint64_t id, const char *need, struct mbox **m_out, const char **rights_out)
{
	struct mbox *m = mbox_find(s->st, id);

	if (m == NULL)
		return ERR_NOTFOUND;
	for (size_t i = 0; i < s->n_accounts; i++)
		if (s->accounts[i].acc == m->acc) {
			const char *rights = session_rights(&s->accounts[i]);

			if (*rights == '\0')
				return ERR_NOTFOUND;
			if (!rights_have(rights, need))
				return ERR_DENIED;
			if (m->damaged)
				return ERR_CORRUPT;
			*m_out = m;
			*rights_out = rights;
			return 0;
		}
	return ERR_NOTFOUND; /* that it exists is nobody else's business */
}

struct session *
session_mbox_of(struct conn *c, uint32_t id, struct ipc_reader *r, const char *need,
    struct mbox **m_out, const char **rights_out, int *err_out)
{
	struct session *s = session_of(c, id, r, err_out);
	uint64_t mailbox = ipc_get_u64(r);
	int err;

	if (s == NULL)
		return NULL;
	*err_out = r->err != 0 || id == 0 ? ERR_PROTO : 0;
	if (*err_out != 0)
		return NULL;
	if ((err = session_mbox(s, mailbox, need, m_out, rights_out)) != 0) {
		(void)ipc_reply_err(c->ipc, id, err, "mailbox");
		return NULL;
	}
	return s;
}

int
session_account(
    struct session *s, struct slice account, const char *need, struct session_account **a_out)
{
	for (size_t i = 0; i < s->n_accounts; i++)
		if (account.len == 0 || slice_eq_str(account, s->accounts[i].acc->id)) {
			const char *rights = session_rights(&s->accounts[i]);

			if (*rights == '\0')
				return ERR_NOTFOUND;
			if (!rights_have(rights, need))
				return ERR_DENIED;
			*a_out = &s->accounts[i];
			return 0;
		}
	return ERR_NOTFOUND;
}

/* ---- requests ---- */

void
req_init(struct req *r, struct stored *st, struct ipc_conn *c, uint32_t id, struct account *a)
{
	*r = (struct req){.st = st, .conn = c, .id = id, .acc = a};
	ipc_hold(c);
	if (a != NULL)
		account_ref(a);
}

static void
req_end(struct req *r)
{
	ipc_release(r->conn);
	if (r->acc != NULL)
		account_unref(r->acc);
}

void
req_reply(struct req *r, uint16_t type, struct buf *payload)
{
	if (payload->err != 0)
		(void)ipc_reply_err(r->conn, r->id, payload->err, "answer too large");
	else
		(void)ipc_reply(r->conn, r->id, type, payload, -1);
	buf_done(payload);
	req_end(r);
}

void
req_ok(struct req *r)
{
	(void)ipc_reply_ok(r->conn, r->id);
	req_end(r);
}

void
req_err(struct req *r, int err, const char *why)
{
	(void)ipc_reply_err(r->conn, r->id, err, why);
	req_end(r);
}
