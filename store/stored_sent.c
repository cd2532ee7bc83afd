/* stored_sent.c: the copy of what somebody sent as a functional mailbox, or for somebody else, in that one's Sent, where all who hold it see it. Runs in stored.
 * smtpd gives it (STORE_SENT_COPY) with the octets that went out; mail clients may APPEND theirs to the same Sent. Of two that are the same
 * message one stays: the server's, which has Sender and was really sent. A client's that comes later is answered with the server's; one that was earlier leaves
 * (restorable, as by EXPUNGE, by whom the new one is) once the server's is there. The same is what has the same digest (ingest_same: all octets but the fields that the server
 * stamps); whatever differs, if by an attachment that was taken out, or the gateway's signature, is kept beside it, whatever its Message-ID: Sent loses
 * nothing. Marks, rows "d/<digest, its first octet's last bit: by a client>", say which is whose. RFC 6154. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

struct settle {
	struct mbox *m; /* its account is held */
	uint32_t uid;   /* just inserted; 0: not yet */
	bool by_client;
	struct slice by;
	sent_fn fn;
	void *arg;
	uint32_t found; /* the other side's */
	uint32_t victim;
};

struct mbox *
sent_mbox(struct account *a)
{
	for (struct mbox *m = a->mboxes; m != NULL; m = m->next)
		if ((m->use & MBOX_SENT) != 0 && !m->damaged)
			return m;
	return account_mbox(a, slice_str("Sent"));
}

bool
sent_mark(const struct sent_same *same, bool by_client, unsigned char mark[16])
{
	if (!same->known)
		return false;
	memcpy(mark, same->b, 16);
	mark[0] = (unsigned char)((mark[0] & 0xfe) | by_client);
	return true;
}

static void
settle_end(struct settle *k, int err, uint32_t uid)
{
	sent_fn fn = k->fn;
	void *arg = k->arg;
	struct mbox *m = k->m;

	free(k);
	fn(arg, err, m, uid);
	account_unref(m->acc);
}

static void
on_left(struct op *op)
{
	struct settle *k = op->arg;
	int err = op->err;
	struct log_line l;

	log_begin(&l, LOG_LVL_INFO, "sent_copy_same");
	log_str(&l, "mailbox", k->m->object);
	log_slice(&l, "by", k->by);
	log_u64(&l, "stays", k->by_client ? k->found : k->uid);
	log_u64(&l, "leaves", k->victim);
	if (err != 0)
		log_str(&l, "error", err_name(err));
	log_end(&l);
	op_free(op);
	settle_end(k, err, k->by_client ? k->found : k->uid);
}

static void
drop(struct settle *k)
{
	struct op *op = op_new(OP_EXPUNGE, k->m, 64 << 10, on_left, k);

	op->why = KEPT_EXPUNGED;
	op->by = arena_slice(op->mem, slice_sub(k->by, 0, KEPT_BY_MAX));
	k->victim = k->by_client ? k->uid : k->found;
	op->uids = &k->victim;
	op->n_uids = 1;
	op_start(op);
}

static void
on_row(void *arg, int err, struct slice value)
{
	struct settle *k = arg;
	struct msg_row row;

	if (err == 0)
		err = msg_row_decode(value, &row);
	if (err == 0 && (row.flags & MSG_DELETED) != 0)
		err = ERR_NOTFOUND;
	if (err == 0 && k->uid != 0)
		drop(k);
	else if (err == ERR_NOTFOUND && k->uid != 0)
		settle_end(k, 0, k->uid);
	else
		settle_end(k, err, k->found);
}

static void
on_mark(void *arg, int err, struct slice value)
{
	struct settle *k = arg;
	struct backend *be = k->m->acc->st->be;
	char key[KEY_MAX];
	int64_t at;

	if (err == 0)
		err = seen_row_decode(value, &at, &k->found, NULL);
	if (err == 0 && k->found != k->uid)
		must(be->ops->get(
		    be, slice_str(k->m->object), key_u32(key, 'm', k->found), on_row, k));
	else if ((err == 0 || err == ERR_NOTFOUND) && k->uid != 0)
		settle_end(k, 0, k->uid);
	else
		settle_end(k, err, 0);
}

void
sent_settle(struct mbox *m, const struct sent_same *same, uint32_t uid, bool by_client,
    struct slice by, sent_fn fn, void *arg)
{
	struct backend *be = m->acc->st->be;
	struct settle *k = xcalloc(1, sizeof *k);
	unsigned char mark[16];
	char key[KEY_MAX];

	*k = (struct settle){
	    .m = m, .uid = uid, .by_client = by_client, .by = by, .fn = fn, .arg = arg};
	account_ref(m->acc);
	if (!sent_mark(same, !by_client, mark))
		settle_end(k, uid != 0 ? 0 : ERR_NOTFOUND, uid);
	else
		must(be->ops->get(
		    be, slice_str(m->object), key_id(key, 'd', mark, sizeof mark), on_mark, k));
}
