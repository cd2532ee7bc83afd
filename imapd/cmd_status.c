/* cmd_status.c: STATUS. Runs in imapd-session. RFC 3501 6.3.10, RFC 7162 3.1.7, RFC 7889, RFC 8438, RFC 8474, RFC 9208 4.1.4. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/mbox_name.h"
#include "imapd/qresync.h"
#include "imapd/session.h"
#include "imapd/status_item.h"
#include "lib/err.h"

static const char *const names[STATUS_ITEMS] = {"MESSAGES", "RECENT", "UIDNEXT", "UIDVALIDITY",
    "UNSEEN", "SIZE", "HIGHESTMODSEQ", "DELETED", "DELETED-STORAGE", "MAILBOXID", "APPENDLIMIT"};

bool
status_items_parse(struct imap_cur *c, struct status_items *out)
{
	uint32_t seen = 0;
	out->n = 0;
	if (!imap_cur_char(c, '('))
		return false;
	do {
		struct slice s;
		uint8_t i = 0;
		if (!imap_cur_atom(c, &s))
			return false;
		while (i < STATUS_ITEMS && !slice_caseeq_str(s, names[i]))
			i++;
		if (i == STATUS_ITEMS)
			return false;
		if (!(seen & 1u << i))
			out->item[out->n++] = i;
		seen |= 1u << i;
	} while (imap_cur_sp(c));
	return imap_cur_char(c, ')');
}

void
status_items_write(
    const struct status_items *st, const struct mbox_info *b, uint64_t append_max, struct buf *out)
{
	const uint64_t values[STATUS_ITEMS] = {b->messages, b->recent, b->uidnext, b->uidvalidity,
	    b->unseen, b->size, b->highest_modseq, b->deleted, b->deleted_size, b->id, append_max};
	for (uint8_t i = 0; i < st->n; i++) {
		unsigned item = st->item[i];
		/* RFC 8474 4.1 */
		buf_appendf(out, item == STATUS_MAILBOXID ? "%s%s (F%016llx)" : "%s%s %llu",
		    i == 0 ? "(" : " ", names[item], (unsigned long long)values[item]);
	}
	buf_append_byte(out, ')');
}

bool
status_items_have(const struct status_items *st, unsigned item)
{
	for (uint8_t i = 0; i < st->n; i++)
		if (st->item[i] == item)
			return true;
	return false;
}

struct status {
	struct status_items items;
	struct slice name;
};

static void
status_found(struct cmd *m, int err, const struct mbox *b)
{
	struct status *st = m->state;
	if (err == 0 && !mbox_has_right(b, 'r'))
		err = ERR_DENIED;
	if (err) {
		cmd_err(m, err);
		return;
	}
	struct mbox_info info = {
	    .messages = b->messages,
	    .recent = b->recent,
	    .uidnext = b->uidnext,
	    .uidvalidity = b->uidvalidity,
	    .unseen = b->unseen,
	    .size = b->size,
	    .id = b->id,
	    .highest_modseq = b->highest_modseq,
	    .deleted = b->deleted,
	    .deleted_size = b->deleted_size,
	};
	struct buf out;
	buf_init(&out, 65536);
	buf_append_str(&out, "* STATUS ");
	mbox_name_out(st->name, client_utf8(m->c), &out);
	buf_append_byte(&out, ' ');
	status_items_write(&st->items, &info, m->c->d->message_max, &out);
	buf_append_str(&out, "\r\n");
	client_write(m->c, buf_slice(&out));
	buf_done(&out);
	cmd_ok(m, "Done");
}

void
cmd_status(struct cmd *m)
{
	struct status *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL || !cmd_mailbox_arg(m, &st->name) || !imap_cur_sp(&m->args) ||
	    !status_items_parse(&m->args, &st->items) || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	m->state = st;
	if (status_items_have(&st->items, STATUS_HIGHESTMODSEQ))
		condstore_on(m->c);
	mbox_find(m, st->name, status_found);
}
