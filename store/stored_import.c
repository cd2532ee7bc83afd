/* stored_import.c: mail that comes from another server's folders or out of a backup, message by message under an id that its importer makes of where
 * it comes from. Runs in stored. The id is remembered for import_memory_days beside the delivery ids: so an import that is given again, or was killed
 * anywhere, adds nothing twice. Mailboxes are made for congvu on store.admin; the messages come through ingest, as all mail does. */
#include "store/stored_priv.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/utf7.h"
#include "store/deliver_client.h"

enum { OP_MEM = 128 * 1024, IMPORT_MEM = 2 << 20, CHAIN_MAX = 100 };

struct import {
	struct req r;
	struct arena *mem;
	unsigned char id[16];
	uint64_t mailbox;
	uint8_t how;
	unsigned chain;
	struct mbox *m; /* its account is held by r */
	bool check;     /* STORE_IMPORT_CHECK: the message itself is not here */
	/* STORE_IMPORT */
	struct msg_row row;
	struct content msg;
	struct buf bytes, summary;
	int fd;
	bool has_body;
	/* Those of a connection get their rows in the order in which they came, however long their bodies take: UIDs are in the order of the source. */
	struct conn *c; /* while it is in the list */
	struct import *next;
};

static struct import *
import_new(struct conn *c, uint32_t id)
{
	struct import *k = xcalloc(1, sizeof *k);

	req_init(&k->r, c->st, c->ipc, id, NULL);
	k->fd = -1;
	k->mem = arena_new(IMPORT_MEM);
	if (k->mem == NULL)
		fatal("no memory");
	buf_init(&k->bytes, DELIVER_INLINE_MAX);
	buf_init(&k->summary, DELIVER_SUMMARY_MAX);
	return k;
}

static void import_insert(struct import *k);

static void
import_list(struct import *k, struct conn *c)
{
	struct import **at = &c->imports;

	while (*at != NULL)
		at = &(*at)->next;
	*at = k;
	k->c = c;
	c->refs++;
}

static void
import_unlist(struct import *k)
{
	struct import **at = &k->c->imports;

	while (*at != k)
		at = &(*at)->next;
	*at = k->next;
	conn_unref(k->c);
	k->c = NULL;
}

/* The first ones whose bodies are there get their rows. */
static void
imports_run(struct conn *c)
{
	struct import *k;

	c->refs++;
	while ((k = c->imports) != NULL && k->has_body) {
		import_unlist(k);
		import_insert(k);
	}
	conn_unref(c);
}

static void
import_free(struct import *k)
{
	struct conn *c = k->c;

	if (c != NULL) {
		c->refs++;
		import_unlist(k);
	}
	if (k->fd >= 0)
		close(k->fd);
	buf_done(&k->bytes);
	buf_done(&k->summary);
	arena_free(k->mem);
	free(k);
	if (c != NULL) {
		imports_run(c);
		conn_unref(c);
	}
}

static void
import_err(struct import *k, int err)
{
	req_err(&k->r, err, "import");
	import_free(k);
}

static void
import_reply(struct import *k, uint32_t uid, bool repeated)
{
	struct buf b;

	buf_init(&b, 16);
	ipc_put_u32(&b, k->m->h.uidvalidity);
	ipc_put_u32(&b, uid);
	ipc_put_u8(&b, repeated);
	k->r.st->n_repeated += repeated;
	req_reply(&k->r, STORE_IMPORTED, &b);
	import_free(k);
}

static int
import_proto(struct import *k)
{
	import_err(k, ERR_PROTO);
	return ERR_PROTO;
}

/* The mailbox is there still: it may have gone while something was read or written. */
static bool
import_mbox(struct import *k)
{
	k->m = mbox_find(k->r.st, k->mailbox);
	if (k->m != NULL)
		return true;
	import_err(k, ERR_NOTFOUND);
	return false;
}

/* ---- whether it is there ---- */

static void import_absent(struct import *k);
static void import_look(struct import *k);

/* IMPORT_AGAIN: what was brought and is there no more comes under the next id of a chain, which again is brought once. */
static void
on_first(void *arg, int err, struct slice value)
{
	struct import *k = arg;
	unsigned char text[20], digest[32];
	struct msg_row row;

	if (!import_mbox(k))
		return;
	if (err == 0)
		err = msg_row_decode(value, &row);
	if (err == 0) {
		import_reply(k, row.uid, true);
		return;
	}
	if (err != ERR_NOTFOUND || k->chain++ >= CHAIN_MAX) {
		import_err(k, err == ERR_NOTFOUND ? ERR_LIMIT : err);
		return;
	}
	memcpy(text, k->id, 16);
	memset(text + 16, 0xff, 4); /* no id is made of such a text otherwise */
	sha256_of(slice_of(text, sizeof text), digest);
	memcpy(k->id, digest, sizeof k->id);
	import_look(k);
}

static void
on_seen(void *arg, int err, struct slice value)
{
	struct import *k = arg;
	struct backend *be = k->r.st->be;
	char key[KEY_MAX];
	uint32_t uid;
	int64_t at;

	if (!import_mbox(k))
		return;
	if (err == 0)
		err = seen_row_decode(value, &at, &uid, NULL);
	if (err == ERR_NOTFOUND)
		import_absent(k);
	else if (err != 0)
		import_err(k, err);
	else if ((k->how & IMPORT_AGAIN) == 0)
		import_reply(k, uid, true);
	else
		must(
		    be->ops->get(be, slice_str(k->m->object), key_u32(key, 'm', uid), on_first, k));
}

static void
import_look(struct import *k)
{
	struct backend *be = k->r.st->be;
	char key[KEY_MAX];

	if (!import_mbox(k))
		return;
	must(be->ops->get(
	    be, slice_str(k->m->object), key_id(key, 'd', k->id, sizeof k->id), on_seen, k));
}

/* ---- bringing it in ---- */

static void
on_inserted(struct op *op)
{
	struct import *k = op->arg;
	int err = op->err;
	uint32_t uid = op->msgs[0].uid;
	bool repeated = op->repeated;

	op_free(op);
	if (err != 0)
		import_err(k, err);
	else if (!import_mbox(k))
		return;
	else if (repeated)
		import_look(k); /* another one was quicker */
	else
		import_reply(k, uid, false);
}

static void
import_insert(struct import *k)
{
	struct mbox *m = k->m;
	struct op *op;
	struct new_msg *n;

	op = op_new(OP_INSERT, m, OP_MEM, on_inserted, k);
	n = op->msgs = arena_calloc(op->mem, 1, sizeof *op->msgs);
	if (n == NULL)
		fatal("no memory");
	op->n_msgs = 1;
	op->within = (k->how & IMPORT_OVER_QUOTA) != 0;
	n->row = k->row;
	n->has_id = true;
	n->memory_s = k->r.st->import_memory_s;
	memcpy(n->id, k->id, sizeof n->id);
	account_ref(m->acc);
	op_start(op);
	prune_maybe(m);
	account_unref(m->acc);
}

static void
on_content(void *arg, int err, uint64_t body)
{
	struct import *k = arg;

	if (err != 0) {
		import_err(k, err);
		return;
	}
	if (!import_mbox(k))
		return;
	k->row.body = body;
	if (k->msg.documents)
		text_want(k->r.st, body);
	k->has_body = true;
	if (k->c != NULL)
		imports_run(k->c);
	else
		import_insert(k);
}

static void
import_absent(struct import *k)
{
	struct backend *be = k->r.st->be;
	int err;

	if ((k->how & IMPORT_OVER_QUOTA) == 0 && !quota_allows(k->m->acc, k->row.size, 1)) {
		import_err(k, ERR_FULL);
	} else if (k->check) {
		req_ok(&k->r);
		import_free(k);
	} else if (k->has_body) {
		import_insert(k);
	} else {
		err = be->ops->body_put(be, k->msg.sha256, buf_slice(&k->bytes), k->fd, k->msg.size,
		    buf_slice(&k->summary), on_content, k);
		if (err != 0)
			import_err(k, err);
	}
}

static void
on_account(void *arg, int err, struct account *a)
{
	struct import *k = arg;
	struct mbox *m = err == 0 ? mbox_find(a->st, k->mailbox) : NULL;

	if (err == 0 && (m == NULL || m->acc != a))
		err = ERR_NOTFOUND;
	if (err == 0 && m->damaged)
		err = ERR_CORRUPT;
	if (err != 0) {
		import_err(k, err);
		return;
	}
	account_ref(a);
	k->r.acc = a;
	import_look(k);
}

int
on_import(struct conn *c, uint32_t id, struct ipc_reader *r, int fd)
{
	struct import *k = import_new(c, id);
	struct slice account;

	k->fd = fd;
	if (message_get(r, fd, k->mem, k->id, &k->row, &k->msg) != 0)
		return import_proto(k);
	account = ipc_get_slice(r);
	k->mailbox = ipc_get_u64(r);
	k->row.trace = arena_slice(k->mem, ipc_get_slice(r));
	k->how = ipc_get_u8(r);
	k->row.flags =
	    ipc_get_u32(r) & (MSG_SEEN | MSG_ANSWERED | MSG_FLAGGED | MSG_DELETED | MSG_DRAFT);
	k->row.keywords = arena_slice(k->mem, ipc_get_slice(r));
	k->row.internal_date = ipc_get_i64(r);
	k->row.internal_zone = (int16_t)ipc_get_u16(r);
	if (ipc_reader_end(r) != 0 || k->row.trace.len > DELIVER_TRACE_MAX ||
	    (k->how & ~(IMPORT_OVER_QUOTA | IMPORT_AGAIN)) != 0)
		return import_proto(k);
	k->row.size += k->row.trace.len;
	/* the request's bytes go when this returns */
	buf_append_slice(&k->bytes, k->msg.bytes);
	buf_append_slice(&k->summary, k->msg.summary);
	import_list(k, c);
	account_find(c->st, account, on_account, k);
	return 0;
}

int
on_import_check(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct import *k = import_new(c, id);
	struct slice account = ipc_get_slice(r), import_id;

	k->check = true;
	k->mailbox = ipc_get_u64(r);
	import_id = ipc_get_slice(r);
	k->how = ipc_get_u8(r);
	k->row.size = ipc_get_u64(r);
	if (ipc_reader_end(r) != 0 || import_id.len != sizeof k->id)
		return import_proto(k);
	memcpy(k->id, import_id.ptr, sizeof k->id);
	account_find(c->st, account, on_account, k);
	return 0;
}

/* ---- the mailbox ---- */

struct opening {
	struct account_op op;
	struct req r;
	char *name;
	uint8_t make;
};

static void
opening_end(struct opening *k, int err, bool made)
{
	const struct mbox *m = NULL;
	struct buf b;

	if (err == 0) {
		m = account_mbox(k->r.acc, slice_str(k->name));
		err = m == NULL ? ERR_TEMP : m->damaged ? ERR_CORRUPT : 0;
	}
	if (err != 0) {
		req_err(&k->r, err, "mailbox of an import");
	} else {
		buf_init(&b, 4096);
		ipc_put_u64(&b, m->id);
		ipc_put_u8(&b, made);
		ipc_put_str(&b, m->name);
		req_reply(&k->r, STORE_IMPORT_OPENED, &b);
	}
	free(k->name);
	free(k);
}

static void
on_made(void *arg, int err)
{
	struct opening *k = arg;

	account_op_end(&k->op);
	opening_end(k, err, true);
}

static void
make_run(struct account_op *op)
{
	struct opening *k = (struct opening *)op;
	struct slice names[NAME_DEPTH_MAX];
	uint32_t uses[NAME_DEPTH_MAX] = {0};
	struct naming n = {.make = names, .uses = uses, .subscribe = true};

	if (account_mbox(op->acc, slice_str(k->name)) != NULL) { /* meanwhile */
		account_op_end(op);
		opening_end(k, 0, false);
		return;
	}
	n.n_make = names_missing(op->acc, slice_str(k->name), names);
	if (op->acc->n_mboxes + n.n_make > MBOXES_MAX)
		on_made(k, ERR_LIMIT);
	else
		names_change(op, &n, on_made, k);
}

static void
on_opening_account(void *arg, int err, struct account *a)
{
	struct opening *k = arg;

	if (err != 0) {
		opening_end(k, err, false);
		return;
	}
	account_ref(a);
	k->r.acc = a;
	if (account_mbox(a, slice_str(k->name)) != NULL) {
		opening_end(k, 0, false);
	} else if (k->make == 0) {
		opening_end(k, ERR_NOTFOUND, false);
	} else {
		k->op.run = make_run;
		account_op_start(a, &k->op);
	}
}

int
on_import_open(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	struct slice account = ipc_get_slice(r), name = ipc_get_slice(r);
	uint8_t make = ipc_get_u8(r);
	struct opening *k;
	struct buf nfc;

	if (ipc_reader_end(r) != 0 || make > 2)
		return ERR_PROTO;
	k = xcalloc(1, sizeof *k);
	req_init(&k->r, c->st, c->ipc, id, NULL);
	k->make = make;
	buf_init(&nfc, 4 * NAME_MAX_LEN);
	if (utf8_nfc(slice_caseeq_str(name, "INBOX") ? slice_str("INBOX") : name, &nfc) != 0 ||
	    !mailbox_name_ok(buf_slice(&nfc))) {
		buf_done(&nfc);
		opening_end(k, ERR_SYNTAX, false);
		return 0;
	}
	k->name = xstrdup(buf_cstr(&nfc));
	buf_done(&nfc);
	if (make == 2)
		account_get(c->st, account, on_opening_account, k);
	else
		account_find(c->st, account, on_opening_account, k);
	return 0;
}
