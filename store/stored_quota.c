/* stored_quota.c: what an account holds and may hold (RFC 9208). Runs in stored. Usage is the sum over the mailboxes' headers, in memory. */
#include "store/stored_priv.h"

#include "lib/err.h"

uint64_t
account_messages(const struct account *a)
{
	uint64_t n = 0;

	for (const struct mbox *m = a->mboxes; m != NULL; m = m->next)
		n += m->h.messages;
	return n;
}

bool
quota_fits(const struct stored *st, uint64_t octets, uint64_t messages)
{
	return octets <= st->quota && (st->quota_messages == 0 || messages <= st->quota_messages);
}

bool
quota_allows(const struct account *a, uint64_t octets, uint64_t messages)
{
	return octets <= a->st->quota &&
	       quota_fits(a->st, account_usage(a) + octets, account_messages(a) + messages);
}

int
on_quota(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	struct slice account = ipc_get_slice(r);
	struct session_account *sa;
	struct buf b;

	if (s == NULL)
		return err;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	if ((err = session_account(s, account, "r", &sa)) != 0) {
		(void)ipc_reply_err(c->ipc, id, err, "account");
		return 0;
	}
	buf_init(&b, 64);
	ipc_put_u64(&b, account_usage(sa->acc));
	ipc_put_u64(&b, c->st->quota);
	ipc_put_u64(&b, account_messages(sa->acc));
	ipc_put_u64(&b, c->st->quota_messages);
	(void)ipc_reply(c->ipc, id, STORE_QUOTA_IS, &b, -1);
	buf_done(&b);
	return 0;
}
