/* stored_read_state.c: whether a message that was delivered under an id was read: what smtpd-queue asks about urgent documents (P32), through relay and
 * ingest. Runs in stored. It is a yes or no about an id of 16 octets that who asks must know; nothing of the message is told. A mailbox has one
 * state for all who may open it: what any holder of a post has read is read. */
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/row.h"
#include "store/stored_priv.h"

struct asking {
	struct req r;
	unsigned char id[16];
	struct account *acc;
	struct mbox *m;
};

static void
asking_end(struct asking *k, int err)
{
	if (err == 0)
		req_ok(&k->r);
	else
		req_err(&k->r, err, "read state");
	if (k->acc != NULL)
		account_unref(k->acc);
	free(k);
}

/* What was moved, or expunged, somebody has dealt with. */
static void
on_row(void *arg, int err, struct slice value)
{
	struct asking *k = arg;
	struct msg_row row;

	if (err == 0)
		err = msg_row_decode(value, &row);
	if (err == 0 && (row.flags & MSG_SEEN) == 0)
		err = ERR_AGAIN;
	asking_end(k, err == ERR_NOTFOUND ? 0 : err);
}

static void
on_delivery(void *arg, int err, struct slice value)
{
	struct asking *k = arg;
	struct backend *be = k->r.st->be;
	char key[KEY_MAX];
	uint32_t uid;
	int64_t at;

	if (err == 0)
		err = seen_row_decode(value, &at, &uid, NULL);
	if (err != 0) {
		asking_end(k, err);
		return;
	}
	must(be->ops->get(be, slice_str(k->m->object), key_u32(key, 'm', uid), on_row, k));
}

static void
on_account(void *arg, int err, struct account *a)
{
	struct asking *k = arg;
	struct backend *be = k->r.st->be;
	char key[KEY_MAX];

	k->m = err == 0 ? account_mbox(a, slice_str("INBOX")) : NULL;
	if (k->m == NULL || k->m->damaged) {
		asking_end(k, err != 0 ? err : k->m == NULL ? ERR_NOTFOUND : ERR_CORRUPT);
		return;
	}
	k->acc = a;
	account_ref(a);
	must(be->ops->get(
	    be, slice_str(k->m->object), key_id(key, 'd', k->id, sizeof k->id), on_delivery, k));
}

int
on_read_state(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice account = ipc_get_slice(r), delivery = ipc_get_slice(r);
	struct asking *k;

	if (ipc_reader_end(r) != 0 || id == 0 || delivery.len != sizeof k->id)
		return ERR_PROTO;
	k = xcalloc(1, sizeof *k);
	req_init(&k->r, c->st, c->ipc, id, NULL);
	memcpy(k->id, delivery.ptr, sizeof k->id);
	account_find(c->st, account, on_account, k);
	return 0;
}
