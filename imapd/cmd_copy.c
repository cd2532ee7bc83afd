/* cmd_copy.c: COPY, UID COPY, MOVE and UID MOVE. Runs in imapd-session. RFC 3501 6.4.7, RFC 4315 (COPYUID), RFC 6851. COPY is all or
 * nothing; MOVE goes in slices of 1,000 messages, each of which is in one place at any time (store/stored_move.c). */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/qresync.h"
#include "imapd/session.h"
#include "lib/crypto.h"
#include "lib/err.h"

#define MOVE_SLICE 1000

struct copy {
	uint32_t *uids;
	size_t n;
	/* MOVE */
	bool move;
	uint64_t to;
	size_t at;
	uint32_t uidvalidity;
	uint32_t *src, *dst; /* moved so far */
	size_t n_moved;
	int err;
};

/* "[COPYUID …" without "]"; false: too scattered to be told. */
static bool
put_copyuid(
    uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n, struct buf *out)
{
	buf_appendf(out, "[COPYUID %u ", uidvalidity);
	seqset_format(src, n, out);
	buf_append_byte(out, ' ');
	seqset_format(dst, n, out);
	return out->err == 0;
}

static void
on_copied(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	struct cmd *m = arg;
	if (err == ERR_NOTFOUND || err == ERR_GONE) {
		cmd_no(m, "[TRYCREATE] No such mailbox");
		return;
	}
	if (err) {
		cmd_err(m, err);
		return;
	}
	if (n == 0) {
		cmd_ok(m, "Nothing was copied");
		return;
	}
	struct buf b;
	buf_init(&b, 1000000);
	if (put_copyuid(uidvalidity, src, dst, n, &b))
		cmd_ok(m, "%s] Copied", buf_cstr(&b));
	else
		cmd_ok(m, "Copied");
	buf_done(&b);
}

/* ---- MOVE ---- */

static void
move_synced(struct client *c)
{
	struct copy *st = c->cmd->state;
	if (st->err == ERR_NOTFOUND || st->err == ERR_GONE)
		cmd_no(c->cmd, "[TRYCREATE] No such mailbox");
	else if (st->err)
		cmd_err(c->cmd, st->err);
	else if (st->n_moved > 0 && (c->enabled & ENABLED_QRESYNC)) /* RFC 7162 3.2, as EXPUNGE */
		cmd_ok(c->cmd, "[HIGHESTMODSEQ %llu] Moved",
		    (unsigned long long)modseq_complete(c->sel));
	else
		cmd_ok(c->cmd, "Moved");
}

/* RFC 6851 4.3: COPYUID comes before EXPUNGE; so it does for what was moved before an error. */
static void
move_end(struct cmd *m, int err)
{
	struct copy *st = m->state;
	struct buf b;
	st->err = err;
	buf_init(&b, 1000000);
	if (st->n_moved > 0 && put_copyuid(st->uidvalidity, st->src, st->dst, st->n_moved, &b))
		client_printf(m->c, "* OK %s] Moved\r\n", buf_cstr(&b));
	buf_done(&b);
	for (size_t i = 0; i < st->n_moved; i++)
		view_expunge(&m->c->sel->view, st->src[i]);
	sync_run(m->c, true, true, move_synced);
}

static void move_slice(struct cmd *m);

static void
on_moved(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	struct cmd *m = arg;
	struct copy *st = m->state;
	for (size_t i = 0; err == 0 && i < n && st->n_moved < st->n; i++) {
		st->src[st->n_moved] = src[i];
		st->dst[st->n_moved++] = dst[i];
	}
	st->uidvalidity = uidvalidity;
	if (err)
		move_end(m, err);
	else
		move_slice(m);
}

static void
move_slice(struct cmd *m)
{
	struct copy *st = m->state;
	unsigned char id[16];
	size_t from = st->at, n = st->n - from < MOVE_SLICE ? st->n - from : MOVE_SLICE;
	if (n == 0) {
		move_end(m, 0);
		return;
	}
	st->at += n;
	random_bytes(id, sizeof(id));
	int err = store_move(
	    m->c->store, m->c->sel->mailbox, st->uids + from, n, st->to, id, on_moved, m);
	if (err)
		move_end(m, err);
}

static void
copy_found(struct cmd *m, int err, const struct mbox *b)
{
	struct copy *st = m->state;
	if (err == ERR_NOTFOUND) {
		cmd_no(m, "[TRYCREATE] No such mailbox");
		return;
	}
	if (err == 0 && st->move) {
		st->to = b->id;
		move_slice(m);
		return;
	}
	if (err == 0)
		err = store_copy(
		    m->c->store, m->c->sel->mailbox, st->uids, st->n, b->id, on_copied, m);
	if (err)
		cmd_err(m, err);
}

static void
run_copy(struct cmd *m, bool move)
{
	struct copy *st = arena_alloc(m->a, sizeof(*st));
	struct seqset set;
	struct slice name;
	if (st == NULL || !imap_cur_sp(&m->args) || !imap_cur_set(&m->args, m->a, &set) ||
	    !cmd_mailbox_arg(m, &name) || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	m->state = st;
	st->move = move;
	if (move && m->c->sel->read_only) {
		cmd_no(m, "[READ-ONLY] The mailbox is open for reading only");
		return;
	}
	int err = view_select(&m->c->sel->view, &set, m->uid, true, m->a, &st->uids, &st->n);
	if (err == 0 && move) {
		st->src = arena_calloc(m->a, st->n + 1, sizeof(*st->src));
		st->dst = arena_calloc(m->a, st->n + 1, sizeof(*st->dst));
		err = st->src == NULL || st->dst == NULL ? ERR_NOMEM : 0;
	}
	if (err == ERR_RANGE) {
		cmd_bad(m, "No message of such a number");
		return;
	}
	if (err) {
		cmd_err(m, err);
		return;
	}
	if (st->n == 0) { /* gone already: no error */
		cmd_ok(m, move ? "Nothing to move" : "Nothing to copy");
		return;
	}
	mbox_find(m, name, copy_found);
}

void
cmd_copy(struct cmd *m)
{
	run_copy(m, false);
}

void
cmd_move(struct cmd *m)
{
	run_copy(m, true);
}
