/* lookup_client.c: lookup_client.h on the loop. Runs in sessions and ingest, which link neither libldap nor libsasl2. Whatever goes
 * wrong between here and the directory is ERR_TEMP. A reply that breaks its grammar is treated the same: lookup is another role, and is
 * not believed. */
#include "config.h"

#include "directory/lookup_client_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

enum { TARGETS_MAX = 10000, LIST_MAX = 100000, AUTH_TIMEOUT_MS = 20000 };

struct rcpt_call {
	struct lookup_client *client;
	lookup_rcpt_fn fn;
	void *arg;
	uint32_t call;
	struct rcpt_call *next;
};
struct lookup_client {
	struct ipc_client *ipc;
	struct rcpt_call *calls;
	struct lookup_auth *auths;
	struct lookup_watches *watches;
};
struct lookup_auth {
	struct lookup_client *client;
	lookup_auth_fn fn;
	void *arg;
	uint32_t exchange; /* 0: not known yet */
	bool is_waiting;   /* a call is under way */
	bool is_aborted;   /* free it when that call ends */
	struct lookup_auth *next;
};

static void
on_notify(void *arg, uint16_t type, struct ipc_reader *r)
{
	struct lookup_client *c = arg;

	lookup_watches_notify(c->watches, type, r);
}

static void
on_up(void *arg)
{
	struct lookup_client *c = arg;

	lookup_watches_up(c->watches);
}

static void
on_down(void *arg)
{
	struct lookup_client *c = arg;

	lookup_watches_down(c->watches);
}

struct lookup_client *
lookup_client_new(struct loop *l, const char *socket, uint32_t self)
{
	static const struct ipc_client_ops ops = {on_notify, on_up, on_down};
	struct lookup_client *c = xcalloc(1, sizeof(*c));

	c->watches = lookup_watches_new(c, l);
	c->ipc = ipc_client_new(l, socket, &lookup_proto, self, &ops, c);
	return c;
}

struct lookup_watches *
lookup_client_watches(struct lookup_client *c)
{
	return c->watches;
}

struct ipc_client *
lookup_client_ipc(struct lookup_client *c)
{
	return c->ipc;
}

static void
auth_unlink_free(struct lookup_auth *a)
{
	struct lookup_auth **at = &a->client->auths;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
	free(a);
}

void
lookup_client_free(struct lookup_client *c)
{
	if (c == NULL)
		return;
	ipc_client_free(
	    c->ipc); /* calls under way end with ERR_CANCELED, and free what is theirs */
	while (c->auths != NULL)
		auth_unlink_free(c->auths);
	while (c->calls != NULL) {
		struct rcpt_call *next = c->calls->next;

		free(c->calls);
		c->calls = next;
	}
	lookup_watches_free(c->watches);
	free(c);
}

/* ---- recipients ---- */

static void
rcpt_done(struct lookup_rcpt *r)
{
	for (size_t i = 0; i < r->n_targets; i++) {
		free(r->targets[i].account);
		free(r->targets[i].address);
		free(r->targets[i].name);
	}
	free(r->targets);
}

static int
rcpt_parse(struct ipc_reader *r, struct lookup_rcpt *out)
{
	uint8_t kind = ipc_get_u8(r);
	uint32_t n = ipc_get_count(r, TARGETS_MAX, 12);

	if (kind < LOOKUP_RCPT_LOCAL || kind > LOOKUP_RCPT_NONE)
		return ERR_PROTO;
	out->kind = kind;
	out->targets = calloc((size_t)n + 1, sizeof(*out->targets));
	if (out->targets == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct lookup_target *t = &out->targets[out->n_targets++];

		t->account = ipc_get_strdup(r);
		t->address = ipc_get_strdup(r);
		t->name = ipc_get_strdup(r);
		if (t->account == NULL || t->address == NULL || t->name == NULL)
			return ERR_PROTO;
	}
	out->official = ipc_get_u8(r) != 0;
	return ipc_reader_end(r);
}

static void
rcpt_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct rcpt_call *call = arg, **at = &call->client->calls;
	struct lookup_rcpt rcpt = {0};

	(void)fd;
	while (*at != call)
		at = &(*at)->next;
	*at = call->next;
	if (err == 0)
		err = type == LOOKUP_RCPT_IS ? rcpt_parse(r, &rcpt) : ERR_PROTO;
	if (err != 0 && err != ERR_LIMIT)
		err = ERR_TEMP;
	call->fn(call->arg, err, err == 0 ? &rcpt : NULL);
	rcpt_done(&rcpt);
	free(call);
}

int
lookup_rcpt(struct lookup_client *c, struct slice address, unsigned timeout_ms, lookup_rcpt_fn fn,
    void *arg, uint32_t *call_out)
{
	struct rcpt_call *call = xcalloc(1, sizeof(*call));
	struct buf b;
	int err;

	call->client = c;
	call->fn = fn;
	call->arg = arg;
	call->next = c->calls;
	c->calls = call;
	buf_init(&b, 1024);
	err = ipc_put_slice(&b, address);
	if (err == 0)
		err = ipc_call(
		    c->ipc, LOOKUP_RCPT, &b, -1, timeout_ms, rcpt_reply, call, &call->call);
	buf_done(&b);
	if (err != 0) {
		c->calls = call->next;
		free(call);
		return err;
	}
	if (call_out != NULL)
		*call_out = call->call;
	return 0;
}

/* ---- logins ---- */

void
lookup_login_free(struct lookup_login *l)
{
	if (l == NULL)
		return;
	free(l->login);
	free(l->account);
	free(l->address);
	free(l->name);
	free((void *)(uintptr_t)l->ticket.ptr);
	for (size_t i = 0; i < l->n_identities; i++)
		free(l->identities[i].address);
	free(l->identities);
	for (size_t i = 0; i < l->n_shares; i++) {
		free(l->shares[i].account);
		free(l->shares[i].address);
		free(l->shares[i].name);
		free(l->shares[i].rights);
	}
	free(l->shares);
	free(l);
}

static int
shares_parse(struct ipc_reader *r, struct lookup_login *l)
{
	uint32_t n = ipc_get_count(r, LIST_MAX, 16);

	l->shares = calloc((size_t)n + 1, sizeof(*l->shares));
	if (l->shares == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct lookup_share *s = &l->shares[l->n_shares++];

		s->account = ipc_get_strdup(r);
		s->address = ipc_get_strdup(r);
		s->name = ipc_get_strdup(r);
		s->rights = ipc_get_strdup(r);
		if (s->account == NULL || s->address == NULL || s->name == NULL ||
		    s->rights == NULL)
			return ERR_PROTO;
	}
	return 0;
}

int
lookup_login_get(struct ipc_reader *r, struct lookup_login *l)
{
	struct slice ticket;
	unsigned char *copy;
	uint32_t n;

	l->login = ipc_get_strdup(r);
	l->account = ipc_get_strdup(r);
	l->address = ipc_get_strdup(r);
	l->name = ipc_get_strdup(r);
	ticket = ipc_get_slice(r);
	copy = malloc(ticket.len + 1);
	if (copy == NULL)
		return ERR_NOMEM;
	if (ticket.len > 0)
		memcpy(copy, ticket.ptr, ticket.len);
	l->ticket = slice_of(copy, ticket.len);
	l->expires = ipc_get_i64(r);
	n = ipc_get_count(r, LIST_MAX, 21);
	l->identities = calloc((size_t)n + 1, sizeof(*l->identities));
	if (l->identities == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct lookup_identity *id = &l->identities[l->n_identities++];

		id->address = ipc_get_strdup(r);
		uint8_t kind = ipc_get_u8(r);

		id->functional = kind == LOOKUP_IDENTITY_FUNCTIONAL;
		id->own = kind == LOOKUP_IDENTITY_OWN;
		id->from = ipc_get_i64(r);
		id->until = ipc_get_i64(r);
		if (id->address == NULL)
			return ERR_PROTO;
	}
	if (l->login == NULL || l->account == NULL || l->address == NULL || l->name == NULL)
		return ERR_PROTO;
	return shares_parse(r, l);
}

/* final is borrowed from the payload; its ptr is NULL when there is none. */
static int
login_parse(struct ipc_reader *r, struct lookup_login *l, struct slice *final)
{
	int err = lookup_login_get(r, l);

	if (err != 0)
		return err;
	*final = ipc_get_slice(r);
	if (ipc_get_u8(r) == 0)
		*final = slice_of(NULL, 0);
	else if (final->ptr == NULL)
		*final = slice_of("", 0);
	l->password_until = ipc_get_i64(r);
	l->is_grace = ipc_get_u8(r) != 0;
	l->grace_left = ipc_get_u32(r);
	return ipc_reader_end(r);
}

static void
auth_send_abort(struct lookup_auth *a)
{
	struct buf b;

	if (a->exchange == 0)
		return;
	buf_init(&b, 16);
	ipc_put_u32(&b, a->exchange);
	(void)ipc_send(a->client->ipc, LOOKUP_AUTH_ABORT, &b);
	buf_done(&b);
}

static int
auth_err(int err)
{
	static const int told[] = {ERR_AUTH, ERR_DENIED, ERR_EXPIRED, ERR_MUST_CHANGE, ERR_LOCKED,
	    ERR_LIMIT, ERR_SYNTAX, ERR_UNSUPPORTED};

	for (size_t i = 0; i < sizeof(told) / sizeof(told[0]); i++) {
		if (err == told[i])
			return err;
	}
	return ERR_TEMP;
}

static void
auth_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct lookup_login *login = NULL;
	struct lookup_auth *a = arg;
	struct slice data = {NULL, 0};
	lookup_auth_fn fn = a->fn;
	void *fn_arg = a->arg;

	(void)fd;
	a->is_waiting = false;
	if (err == 0 && type == LOOKUP_AUTH_CONTINUE) {
		a->exchange = ipc_get_u32(r);
		data = ipc_get_slice(r);
		err = ipc_reader_end(r);
		if (a->is_aborted)
			auth_send_abort(a);
		if (err == 0 && !a->is_aborted) {
			/* the callee may step, or abort, from within */
			fn(fn_arg, LOOKUP_AUTH_MORE, 0, data, NULL);
			return;
		}
	} else if (err == 0 && type == LOOKUP_AUTH_DONE) {
		login = xcalloc(1, sizeof(*login));
		err = login_parse(r, login, &data);
	} else if (err == 0) {
		err = ERR_PROTO;
	}
	if (a->is_aborted) {
		auth_unlink_free(a);
		lookup_login_free(login);
		return;
	}
	auth_unlink_free(a);
	if (err == 0) {
		fn(fn_arg, LOOKUP_AUTH_OK, 0, data, login);
		return;
	}
	lookup_login_free(login);
	fn(fn_arg, LOOKUP_AUTH_FAILED, auth_err(err), slice_of(NULL, 0), NULL);
}

struct lookup_auth *
lookup_auth_start(
    struct lookup_client *c, const struct lookup_auth_params *p, lookup_auth_fn fn, void *arg)
{
	struct lookup_auth *a = xcalloc(1, sizeof(*a));
	struct buf b;
	int err;

	a->client = c;
	a->fn = fn;
	a->arg = arg;
	a->next = c->auths;
	c->auths = a;
	buf_init(&b, 32768);
	ipc_put_str(&b, p->mech);
	ipc_put_u8(&b, p->has_initial);
	ipc_put_slice(&b, p->initial);
	ipc_put_str(&b, p->service);
	ipc_put_str(&b, p->client_ip);
	ipc_put_u8(&b, p->tls);
	ipc_put_slice(&b, p->binding_exporter);
	ipc_put_slice(&b, p->binding_endpoint);
	err = ipc_put_slice(&b, p->peer_cert);
	if (err == 0)
		err = ipc_call(
		    c->ipc, LOOKUP_AUTH_START, &b, -1, AUTH_TIMEOUT_MS, auth_reply, a, NULL);
	buf_wipe(&b);
	if (err != 0) {
		auth_unlink_free(a);
		return NULL;
	}
	a->is_waiting = true;
	return a;
}

int
lookup_auth_step(struct lookup_auth *a, struct slice response)
{
	struct buf b;
	int err;

	if (a->is_waiting)
		return ERR_PROTO;
	buf_init(&b, 16384);
	ipc_put_u32(&b, a->exchange);
	err = ipc_put_slice(&b, response);
	if (err == 0)
		err = ipc_call(
		    a->client->ipc, LOOKUP_AUTH_STEP, &b, -1, AUTH_TIMEOUT_MS, auth_reply, a, NULL);
	buf_wipe(&b);
	a->is_waiting = err == 0;
	return err;
}

void
lookup_auth_abort(struct lookup_auth *a)
{
	if (a == NULL)
		return;
	if (a->is_waiting) {
		a->is_aborted = true; /* its reply tells the exchange to end */
		return;
	}
	auth_send_abort(a);
	auth_unlink_free(a);
}
