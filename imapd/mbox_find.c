/* mbox_find.c: from the mailbox name of a command to the mailbox of the store. Runs in imapd-session. RFC 3501 5.1, RFC 2342. */
#include "config.h"

#include "imapd/session.h"

#include <string.h>

#include "imapd/mbox_name.h"
#include "lib/err.h"

struct find {
	struct cmd *m;
	struct slice name;
	void (*fn)(struct cmd *m, int err, const struct mbox *b);
};

bool
cmd_mailbox_arg(struct cmd *m, struct slice *name_out)
{
	struct slice wire;
	bool utf8 = client_utf8(m->c);
	if (!imap_cur_sp(&m->args) || !imap_cur_astring(&m->args, m->a, &wire))
		return false;
	m->given = wire;
	int err = mbox_name_in(wire, utf8, m->a, name_out);
	if (err == ERR_SYNTAX)
		m->why =
		    utf8
			? "the mailbox name is not UTF-8"
			: "the mailbox name is not in modified UTF-7 (or ENABLE UTF8=ACCEPT first)";
	return err == 0;
}

bool
mbox_has_right(const struct mbox *b, char right)
{
	return slice_index(b->rights, (unsigned char)right) >= 0;
}

void
mbox_tell_list(struct cmd *m, struct slice name, uint32_t attrs, const char *more, bool only_other)
{
	struct buf b;
	const char *sep = more[0] != '\0' ? " " : "";
	bool other = !slice_eq(m->given, name);
	if (!(m->c->enabled & ENABLED_REV2) || (only_other && !other))
		return;
	buf_init(&b, 65536);
	buf_appendf(&b, "* LIST (%s", more);
	for (uint32_t bit = 1; bit <= MBOX_ALL; bit <<= 1) {
		if (attrs & bit) {
			buf_appendf(&b, "%s%s", sep, mbox_use_name(bit));
			sep = " ";
		}
	}
	buf_append_str(&b, ") \"/\" ");
	mbox_name_out(name, true, &b);
	if (other) {
		buf_append_str(&b, " (\"OLDNAME\" (");
		mbox_name_out(m->given, true, &b);
		buf_append_str(&b, "))");
	}
	buf_append_str(&b, "\r\n");
	client_write(m->c, buf_slice(&b));
	buf_done(&b);
}

const char *
mbox_use_name(uint32_t bit)
{
	switch (bit) {
	case MBOX_DRAFTS:
		return "\\Drafts";
	case MBOX_SENT:
		return "\\Sent";
	case MBOX_JUNK:
		return "\\Junk";
	case MBOX_TRASH:
		return "\\Trash";
	case MBOX_ARCHIVE:
		return "\\Archive";
	case MBOX_FLAGGED:
		return "\\Flagged";
	case MBOX_ALL:
		return "\\All";
	default:
		return NULL;
	}
}

static void
on_list(void *arg, int err, const struct mbox_info *boxes, size_t n)
{
	struct find *f = arg;
	struct cmd *m = f->m;
	const struct mbox_info *hit = NULL;
	bool has_children = false;
	for (size_t i = 0; err == 0 && i < n; i++) {
		struct slice full =
		    mbox_name_full(m->c->d->other_prefix, boxes[i].share, boxes[i].name, m->a);
		if (slice_eq(full, f->name))
			hit = &boxes[i];
		else if (full.len > f->name.len && full.ptr[f->name.len] == '/' &&
			 slice_eq(slice_sub(full, 0, f->name.len), f->name))
			has_children = true;
	}
	if (err || hit == NULL) {
		f->fn(m, err ? err : ERR_NOTFOUND, NULL);
		return;
	}
	struct mbox b = {
	    .id = hit->id,
	    .account = arena_slice(m->a, hit->account),
	    .share = arena_slice(m->a, hit->share),
	    .name = arena_slice(m->a, hit->name),
	    .rights = arena_slice(m->a, hit->rights),
	    .attrs = hit->attrs,
	    .uidvalidity = hit->uidvalidity,
	    .uidnext = hit->uidnext,
	    .messages = hit->messages,
	    .unseen = hit->unseen,
	    .recent = hit->recent,
	    .size = hit->size,
	    .highest_modseq = hit->highest_modseq,
	    .deleted = hit->deleted,
	    .deleted_size = hit->deleted_size,
	    .has_children = has_children,
	};
	f->fn(m, 0, &b);
}

void
mbox_find(
    struct cmd *m, struct slice name, void (*fn)(struct cmd *m, int err, const struct mbox *b))
{
	struct find *f = arena_alloc(m->a, sizeof(*f));
	int err = f == NULL ? ERR_NOMEM : 0;
	if (err == 0) {
		*f = (struct find){m, name, fn};
		err = store_list(m->c->store, on_list, f);
	}
	if (err)
		fn(m, err, NULL);
}
