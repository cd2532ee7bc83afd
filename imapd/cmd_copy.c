/* cmd_copy.c: COPY and UID COPY. Runs in imapd-session. RFC 3501 6.4.7, RFC 4315 (COPYUID). All or nothing. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"
#include "lib/err.h"

struct copy {
	uint32_t *uids;
	size_t n;
};

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
	buf_appendf(&b, "[COPYUID %u ", uidvalidity);
	seqset_format(src, n, &b);
	buf_append_byte(&b, ' ');
	seqset_format(dst, n, &b);
	if (b.err) /* too scattered to be told */
		cmd_ok(m, "Copied");
	else
		cmd_ok(m, "%s] Copied", buf_cstr(&b));
	buf_done(&b);
}

static void
copy_found(struct cmd *m, int err, const struct mbox *b)
{
	struct copy *st = m->state;
	if (err == ERR_NOTFOUND) {
		cmd_no(m, "[TRYCREATE] No such mailbox");
		return;
	}
	if (err == 0)
		err = store_copy(
		    m->c->store, m->c->sel->mailbox, st->uids, st->n, b->id, on_copied, m);
	if (err)
		cmd_err(m, err);
}

void
cmd_copy(struct cmd *m)
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
	int err = view_select(&m->c->sel->view, &set, m->uid, true, m->a, &st->uids, &st->n);
	if (err == ERR_RANGE) {
		cmd_bad(m, "No message of such a number");
		return;
	}
	if (err) {
		cmd_err(m, err);
		return;
	}
	if (st->n == 0) {
		cmd_ok(m, "Nothing to copy");
		return;
	}
	mbox_find(m, name, copy_found);
}
