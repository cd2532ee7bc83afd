/* cmd_create.c: CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE. Runs in imapd-session. RFC 3501 6.3.3 to 6.3.7, RFC 6154 3
 * (CREATE with a use), RFC 8474 4.1 (MAILBOXID). */
#include "config.h"

#include "imapd/commands.h"

#include <string.h>

#include "imapd/mbox_name.h"
#include "imapd/session.h"
#include "lib/err.h"
#include "lib/utf7.h"

/* A name to be made: where it goes. The account of a share is only known from the list. */
struct target {
	struct slice full, share, name;
	void (*fn)(struct cmd *m, int err, struct slice account, struct slice name);
	struct cmd *m;
	bool on;
	uint32_t use; /* enum mbox_attr */
	uint64_t mailbox;
	struct slice from_share;
	bool denormal; /* RENAME: a name came in another form */
};

static void
name_error(struct cmd *m, int err)
{
	if (err == ERR_UNSUPPORTED || err == ERR_SYNTAX)
		cmd_no(m, "[CANNOT] Not a name for a mailbox");
	else
		cmd_err(m, err);
}

static void
on_done(void *arg, int err)
{
	struct cmd *m = arg;
	if (err)
		name_error(m, err);
	else
		cmd_ok(m, "Done");
}

static void
on_accounts(void *arg, int err, const struct mbox_info *boxes, size_t n)
{
	struct target *t = arg;
	const struct mbox_info *hit = NULL;
	for (size_t i = 0; err == 0 && hit == NULL && i < n; i++)
		if (slice_eq(boxes[i].share, t->share))
			hit = &boxes[i];
	if (err == 0 && hit == NULL)
		err = ERR_DENIED;
	t->fn(t->m, err, hit != NULL ? hit->account : slice_of("", 0), t->name);
}

/* Takes a whole name apart and finds its account; fn is called, maybe at once. */
static void
find_account(struct cmd *m, struct target *t)
{
	static const unsigned char none[1] = "";
	int err = mailbox_name_ok(t->full)
		      ? mbox_name_split(m->c->d->other_prefix, t->full, &t->share, &t->name)
		      : ERR_UNSUPPORTED;
	t->m = m;
	if (err == 0 && t->share.len > 0)
		err = store_list(m->c->store, on_accounts, t);
	else if (err == 0) {
		t->fn(m, 0, slice_of(none, 0), t->name);
		return;
	}
	if (err)
		t->fn(m, err, slice_of(none, 0), t->name);
}

/* ---- CREATE ---- */

static void
created(struct cmd *m, int err, const struct mbox *b)
{
	struct target *t = m->state;
	mbox_tell_list(m, t->full, err ? 0 : b->attrs, "", true);
	if (err) /* gone again already */
		cmd_ok(m, "Created");
	else
		cmd_ok(m, "[MAILBOXID (F%016llx)] Created", (unsigned long long)b->id);
}

static void
on_created(void *arg, int err)
{
	struct cmd *m = arg;
	struct target *t = m->state;
	if (err == ERR_CONFLICT)
		cmd_no(m, "[USEATTR] There is a mailbox for that use");
	else if (err)
		name_error(m, err);
	else
		mbox_find(m, t->full, created);
}

static void
create_in(struct cmd *m, int err, struct slice account, struct slice name)
{
	struct target *t = m->state;
	if (err == 0)
		err = store_create(m->c->store, account, name, t->use, on_created, m);
	if (err)
		name_error(m, err);
}

/* [SP "(" "USE" SP "(" uses ")" ")"]; *known_out: each of them is one that a mailbox here may be made for. */
static bool
read_use(struct cmd *m, uint32_t *use_out, bool *known_out)
{
	struct imap_cur *cur = &m->args;
	struct slice word;
	*known_out = true;
	if (imap_cur_end(cur))
		return true;
	if (!imap_cur_sp(cur) || !imap_cur_char(cur, '(') || !imap_cur_atom(cur, &word) ||
	    !slice_caseeq_str(word, "USE") || !imap_cur_sp(cur) || !imap_cur_char(cur, '('))
		return false;
	while (!imap_cur_peek(cur, ')')) {
		uint32_t hit = 0;
		if (!imap_cur_char(cur, '\\') || !imap_cur_atom(cur, &word))
			return false;
		for (uint32_t bit = MBOX_DRAFTS; bit <= MBOX_ARCHIVE; bit <<= 1)
			if (slice_caseeq_str(word, mbox_use_name(bit) + 1))
				hit = bit;
		*known_out = *known_out && hit != 0;
		*use_out |= hit;
		if (!imap_cur_sp(cur) && !imap_cur_peek(cur, ')'))
			return false;
	}
	return imap_cur_char(cur, ')') && imap_cur_char(cur, ')') && imap_cur_end(cur);
}

void
cmd_create(struct cmd *m)
{
	struct target *t = arena_alloc(m->a, sizeof(*t));
	bool known;
	if (t == NULL || !cmd_mailbox_arg(m, &t->full) || !read_use(m, &t->use, &known)) {
		cmd_syntax(m);
		return;
	}
	m->state = t;
	if (!known) {
		cmd_no(m, "[USEATTR] No mailbox can be made for that use");
		return;
	}
	if (slice_eq_str(t->full, "INBOX")) {
		cmd_no(m, "[ALREADYEXISTS] INBOX is always there");
		return;
	}
	t->fn = create_in;
	find_account(m, t);
}

/* ---- DELETE ---- */

struct deleted {
	uint64_t id;
	struct slice name;
};

static void
on_deleted(void *arg, int err)
{
	struct cmd *m = arg;
	const struct deleted *st = m->state;
	if (err) {
		cmd_err(m, err);
		return;
	}
	/* Who deletes the mailbox it has open leaves it; other sessions get BYE. */
	if (m->c->sel != NULL && m->c->sel->mailbox == st->id)
		client_unselect(m->c);
	mbox_tell_list(m, st->name, 0, "\\NonExistent", true);
	cmd_ok(m, "Deleted");
}

static void
delete_found(struct cmd *m, int err, const struct mbox *b)
{
	struct deleted *st = m->state;
	/* RFC 9051 6.3.5 lets either be; a parent that can be seen but not selected loses Outlook's mail. */
	if (err == 0 && b->has_children) {
		cmd_no(m, "[HASCHILDREN] There are mailboxes below it: delete them first");
		return;
	}
	if (err == 0) {
		st->id = b->id;
		err = store_delete(m->c->store, b->id, on_deleted, m);
	}
	if (err)
		cmd_err(m, err);
}

void
cmd_delete(struct cmd *m)
{
	struct deleted *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL || !cmd_mailbox_arg(m, &st->name) || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	m->state = st;
	if (slice_eq_str(st->name, "INBOX")) {
		cmd_no(m, "[CANNOT] INBOX cannot be deleted");
		return;
	}
	mbox_find(m, st->name, delete_found);
}

/* ---- RENAME ---- */

static void
on_renamed(void *arg, int err)
{
	struct cmd *m = arg;
	struct target *t = m->state;
	if (err) {
		name_error(m, err);
		return;
	}
	/* RFC 9051 6.3.6: when a name was not given as it is kept */
	if (t->denormal)
		mbox_tell_list(m, t->full, 0, "", false);
	cmd_ok(m, "Renamed");
}

static void
rename_to(struct cmd *m, int err, struct slice account, struct slice name)
{
	struct target *t = m->state;
	(void)account;
	/* A mailbox stays in its account: its messages would have to be copied. */
	if (err == 0 && !slice_eq(t->share, t->from_share))
		err = ERR_DENIED;
	if (err == 0)
		err = store_rename(m->c->store, t->mailbox, name, on_renamed, m);
	if (err)
		name_error(m, err);
}

static void
rename_found(struct cmd *m, int err, const struct mbox *b)
{
	struct target *t = m->state;
	if (err) {
		cmd_err(m, err);
		return;
	}
	t->mailbox = b->id;
	t->from_share = b->share;
	t->fn = rename_to;
	find_account(m, t);
}

void
cmd_rename(struct cmd *m)
{
	struct slice from;
	struct target *t = arena_alloc(m->a, sizeof(*t));
	if (t == NULL || !cmd_mailbox_arg(m, &from)) {
		cmd_syntax(m);
		return;
	}
	struct slice given = m->given;
	if (!cmd_mailbox_arg(m, &t->full) || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	t->denormal = !slice_eq(given, from) || !slice_eq(m->given, t->full);
	m->given = given;
	m->state = t;
	mbox_find(m, from, rename_found);
}

/* ---- SUBSCRIBE ---- */

static void
subscribe_in(struct cmd *m, int err, struct slice account, struct slice name)
{
	struct target *t = m->state;
	if (err == 0)
		err = store_subscribe(m->c->store, account, name, t->on, on_done, m);
	if (err)
		name_error(m, err);
}

static void
run_subscribe(struct cmd *m, bool on)
{
	struct target *t = arena_alloc(m->a, sizeof(*t));
	if (t == NULL || !cmd_mailbox_arg(m, &t->full) || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	t->on = on;
	t->fn = subscribe_in;
	m->state = t;
	find_account(m, t);
}

void
cmd_subscribe(struct cmd *m)
{
	run_subscribe(m, true);
}

void
cmd_unsubscribe(struct cmd *m)
{
	run_subscribe(m, false);
}
