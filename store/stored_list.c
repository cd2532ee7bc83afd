/* stored_list.c: LIST, STATUS and LSUB: what a session may see, from memory. Runs in stored. Long answers come in pages. */
#include "store/stored_priv.h"

#include <string.h>

#include "lib/err.h"

enum { PAGE_OCTETS = 900 * 1024 };

static bool
has_children(const struct mbox *m)
{
	size_t n = strlen(m->name);

	/* Names that begin with it follow it, those with other letters before "/" first. */
	for (const struct mbox *o = m->next; o != NULL && strncmp(o->name, m->name, n) == 0;
	     o = o->next)
		if (o->name[n] == '/')
			return true;
	return false;
}

static bool
is_subscribed(const struct account *a, const char *name)
{
	for (const struct sub *s = a->subs; s != NULL; s = s->next) {
		int d = strcmp(s->name, name);

		if (d >= 0)
			return d == 0;
	}
	return false;
}

static void
put_mbox(struct buf *b, struct session_account *sa, const struct mbox *m)
{
	uint32_t attrs = m->use;

	if (is_subscribed(m->acc, m->name))
		attrs |= MBOX_SUBSCRIBED;
	if (has_children(m))
		attrs |= MBOX_HAS_CHILDREN;
	if (m->h.recent > 0)
		attrs |= MBOX_MARKED;
	ipc_put_u64(b, m->id);
	ipc_put_str(b, m->acc->id);
	ipc_put_str(b, sa->share);
	ipc_put_str(b, m->name);
	ipc_put_u32(b, attrs);
	ipc_put_str(
	    b, m->damaged ? "l" : session_rights(sa)); /* nothing is known of it: \\Noselect */
	ipc_put_u32(b, m->h.uidvalidity);
	ipc_put_u32(b, m->h.uidnext);
	ipc_put_u32(b, m->h.messages);
	ipc_put_u32(b, m->h.unseen);
	ipc_put_u32(b, m->h.recent);
	ipc_put_u64(b, m->h.modseq);
	ipc_put_u64(b, m->h.bytes);
	ipc_put_u32(b, m->h.deleted);
	ipc_put_u64(b, m->h.deleted_bytes);
}

/* The page: how many, what, and where the next one begins. */
static int
reply_page(struct conn *c, uint32_t id, uint16_t type, uint32_t next, uint32_t n, struct buf *items)
{
	struct buf b;
	int err;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u32(&b, next);
	ipc_put_u32(&b, n);
	buf_append_slice(&b, buf_slice(items));
	err = items->err != 0 ? items->err : b.err;
	if (err == 0)
		(void)ipc_reply(c->ipc, id, type, &b, -1);
	else
		(void)ipc_reply_err(c->ipc, id, err, "list");
	buf_done(&b);
	buf_done(items);
	return 0;
}

int
on_list(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	uint32_t start = ipc_get_u32(r), at = 0, n = 0, next = 0;
	struct buf b;

	if (s == NULL)
		return err;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	buf_init(&b, IPC_FRAME_MAX);
	for (size_t i = 0; i < s->n_accounts && next == 0; i++) {
		struct session_account *sa = &s->accounts[i];

		if (!rights_have(session_rights(sa), "l"))
			continue;
		for (const struct mbox *m = sa->acc->mboxes; m != NULL; m = m->next, at++) {
			if (at < start)
				continue;
			if (b.len > PAGE_OCTETS) {
				next = at;
				break;
			}
			put_mbox(&b, sa, m);
			n++;
		}
	}
	return reply_page(c, id, STORE_LIST_IS, next, n, &b);
}

int
on_subs(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct session *s = session_of(c, id, r, &err);
	uint32_t start = ipc_get_u32(r), at = 0, n = 0, next = 0;
	struct buf b;

	if (s == NULL)
		return err;
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	buf_init(&b, IPC_FRAME_MAX);
	for (size_t i = 0; i < s->n_accounts && next == 0; i++) {
		struct session_account *sa = &s->accounts[i];

		if (!rights_have(session_rights(sa), "l"))
			continue;
		for (const struct sub *u = sa->acc->subs; u != NULL; u = u->next, at++) {
			if (at < start)
				continue;
			if (b.len > PAGE_OCTETS) {
				next = at;
				break;
			}
			ipc_put_str(&b, sa->acc->id);
			ipc_put_str(&b, sa->share);
			ipc_put_str(&b, u->name);
			n++;
		}
	}
	return reply_page(c, id, STORE_SUBS_ARE, next, n, &b);
}
