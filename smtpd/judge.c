/* judge.c: submitted mail that no milter can judge yet (whether its signer's certificate was revoked cannot be learnt now, for instance): mail clients
 * do not try again (MILTER.md 3), so it is committed to the queue as it came, and relay brings it back by judge.sock until there is a verdict. Runs
 * in smtpd-session. Invariants: nobody but relay comes by judge.sock (it is its user's, mode 0600); who submitted it was
 * settled when it was submitted; what is tried again for the same recipients has the same delivery id. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>

/* RFC 3463 3.8, "cryptographic failure": what would be needed to validate the message is not at hand. */
#define NOT_YET "4.7.5 "

/* "QID RULES SHA-256". */
static int
take_release(struct txn *t, struct slice s)
{
	ptrdiff_t one = slice_index(s, ' '), two;
	struct slice rest;

	if (one != QID_LEN)
		return ERR_SYNTAX;
	rest = slice_from(s, (size_t)one + 1);
	two = slice_index(rest, ' ');
	if (two <= 0 || rest.len != (size_t)two + 1 + 64)
		return ERR_SYNTAX;
	t->release = arena_slicedup(t->arena, slice_sub(s, 0, (size_t)(one + 1 + two)));
	t->release_sum = slice_from(rest, (size_t)two + 1);
	return t->release == NULL ? ERR_NOMEM : 0;
}

/* Filters of the one port and of the other are not the same (options "ports"). */
static void
come_by_mx(struct client *c, bool mx)
{
	if (c->judge_mx == mx)
		return;
	milters_free(c->milters);
	c->milters = NULL;
	c->judge_mx = mx;
}

int
judge_mail(struct client *c, const struct smtp_mail *m)
{
	bool any = m->judge_id.ptr != NULL || m->judge_login.ptr != NULL ||
		   m->judge_ip.ptr != NULL || m->judge_release.ptr != NULL;
	/* nobody signed in: what officers released, and nothing else */
	bool all = m->judge_id.ptr != NULL && m->judge_ip.ptr != NULL &&
		   (m->judge_login.ptr != NULL || m->judge_release.ptr != NULL);
	int r;

	if (c->port != PORT_JUDGE)
		return any ? ERR_UNSUPPORTED : 0;
	if (!all || m->judge_ip.len >= sizeof(c->ip))
		return ERR_SYNTAX;
	if (m->judge_release.ptr != NULL && (r = take_release(c->t, m->judge_release)) != 0)
		return r;
	come_by_mx(c, m->judge_login.ptr == NULL);
	lookup_login_free(c->login);
	c->login = NULL;
	if (m->judge_login.ptr != NULL) {
		c->login = xcalloc(1, sizeof(*c->login));
		c->login->login = slice_dup(m->judge_login);
		if (c->login->login == NULL)
			return ERR_NOMEM;
		if (c->mech == NULL)
			c->mech = xstrdup("SUBMITTED");
	}
	memcpy(c->ip, m->judge_ip.ptr, m->judge_ip.len);
	c->ip[m->judge_ip.len] = '\0';
	return 0;
}

bool
judge_is_released(const struct txn *t, const char *reason)
{
	unsigned char sum[32];
	char hex[65];

	/* a milter that could not be asked has not looked at it: that is no reason to let it go */
	if (t->release == NULL || slice_starts(slice_str(reason), "milter "))
		return false;
	sha256_of(slice_str(reason), sum);
	hex_encode(sum, sizeof(sum), hex);
	return slice_eq_str(t->release_sum, hex);
}

void
judge_id(const struct txn *t, struct delivery_id *out)
{
	memcpy(out->b, t->mail.judge_id.ptr, sizeof(out->b));
	out->b[7] ^= 0x80; /* behind the time, whose: the short form is another one too */
}

void
judge_id_end(struct txn *t)
{
	unsigned char sum[32];
	struct buf b;

	buf_init(&b, 16 << 20);
	buf_append_slice(&b, t->mail.judge_id);
	for (size_t i = 0; i < t->n_rcpts; i++)
		buf_append(&b, t->rcpts[i].address, strlen(t->rcpts[i].address) + 1);
	if (b.err != 0)
		fatal("no memory");
	sha256_of(buf_slice(&b), sum);
	memcpy(t->id.b + 8, sum, 8);
	buf_done(&b);
}

bool
judge_waits(const struct client *c, const struct milter_verdict *v)
{
	return client_is_submission(c) && c->port != PORT_JUDGE && v->kind == MILTER_TEMPFAIL &&
	       v->text != NULL && slice_starts(slice_str(v->text), NOT_YET);
}
