/* cmd_list.c: LIST and LSUB. Runs in imapd-session. RFC 3501 6.3.8 and 6.3.9, RFC 3348 (CHILDREN), RFC 5258 (LIST-EXTENDED),
 * RFC 5819 (LIST-STATUS), RFC 6154 (SPECIAL-USE: attributes in every LIST and LSUB), RFC 2342 (shares below "Other Users").
 * Names that do not exist but have names below them are shown when the pattern asks for that level. */
#include "config.h"

#include "imapd/commands.h"

#include <stdlib.h>
#include <string.h>

#include "imapd/list_match.h"
#include "imapd/mbox_name.h"
#include "imapd/session.h"
#include "imapd/status_item.h"
#include "lib/err.h"

#define PATTERNS_MAX 64
#define USES 127u /* the bits of RFC 6154 in enum mbox_attr */

enum {
	ENTRY_EXISTS = 1,
	ENTRY_SUBSCRIBED = 2,
	ENTRY_SHOWN = 4,
	ENTRY_CHILDINFO = 8, /* RFC 5258 3.5: names below it fit the selection */
	ENTRY_PARENT = 16,   /* only shown for what is below it */
};
struct entry {
	struct slice full;
	uint32_t what;
	struct mbox_info info; /* slices not kept */
};
struct list {
	struct slice patterns[PATTERNS_MAX];
	size_t n_patterns;
	bool lsub, extended;
	bool root; /* the pattern is empty: asks for the separator */
	bool select_subscribed, select_special, recursive;
	bool return_subscribed;
	struct status_items status; /* n 0: none */
	struct entry *entries;
	size_t n, room;
};

static int
by_name(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	return slice_cmp(x->full, y->full);
}

static bool
matches(const struct list *st, struct slice full)
{
	for (size_t i = 0; i < st->n_patterns; i++)
		if (list_match(st->patterns[i], full))
			return true;
	return false;
}

/* Index of the first entry not below key; entries are sorted. */
static size_t
lower(const struct list *st, size_t n, struct slice key)
{
	size_t lo = 0, hi = n;
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		if (slice_cmp(st->entries[mid].full, key) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static struct entry *
find(struct list *st, size_t n, struct slice full)
{
	size_t i = lower(st, n, full);
	return i < n && slice_eq(st->entries[i].full, full) ? &st->entries[i] : NULL;
}

static struct entry *
add(struct cmd *m, struct list *st)
{
	if (st->n == st->room) {
		size_t room = st->room * 2 + 64;
		struct entry *e = arena_calloc(m->a, room, sizeof(*e));
		if (e == NULL)
			return NULL;
		if (st->n > 0)
			memcpy(e, st->entries, st->n * sizeof(*e));
		st->entries = e;
		st->room = room;
	}
	return &st->entries[st->n++];
}

/* ---- which are shown ---- */

static bool
is_selected(const struct list *st, const struct entry *e)
{
	if (st->select_special && (e->info.attrs & USES) == 0)
		return false;
	if (st->lsub || st->select_subscribed)
		return e->what & ENTRY_SUBSCRIBED;
	return e->what & ENTRY_EXISTS;
}

/* The levels above an entry that fits: shown where the pattern asks for them. */
static int
show_parents(struct cmd *m, struct list *st, size_t n, struct slice full, bool matched)
{
	for (size_t len = 1; len < full.len; len++) {
		if (full.ptr[len] != '/')
			continue;
		struct slice up = slice_sub(full, 0, len);
		struct entry *e = find(st, n, up);
		bool up_fits = e != NULL && is_selected(st, e);
		/* RFC 5258 3.5: one that does not fit itself only for what is not shown anyway */
		bool show = st->recursive && (up_fits || !matched);
		if (st->lsub)
			show = !matched && (e == NULL || !(e->what & ENTRY_SUBSCRIBED));
		else if (!st->select_subscribed && !st->select_special)
			show = e == NULL || !(e->what & ENTRY_EXISTS);
		if (!show || !matches(st, up))
			continue;
		if (e == NULL) {
			/* found below n only: one for each name under it, made one by the caller */
			e = add(m, st);
			if (e == NULL)
				return ERR_NOMEM;
			*e = (struct entry){.full = up};
		}
		if (!(e->what & ENTRY_SHOWN) && !up_fits)
			e->what |= ENTRY_PARENT;
		e->what |= ENTRY_SHOWN | (st->recursive ? ENTRY_CHILDINFO : 0);
	}
	return 0;
}

static int
choose(struct cmd *m, struct list *st)
{
	size_t n = st->n;
	int err = 0;
	for (size_t i = 0; i < n; i++)
		if (is_selected(st, &st->entries[i]) && matches(st, st->entries[i].full))
			st->entries[i].what |= ENTRY_SHOWN;
	for (size_t i = 0; i < n && err == 0; i++) {
		if (!is_selected(st, &st->entries[i]))
			continue;
		bool matched = matches(st, st->entries[i].full);
		err = show_parents(m, st, n, st->entries[i].full, matched);
	}
	if (st->n == n)
		return err;
	/* Parents that do not exist were added once for each name below them. */
	qsort(st->entries, st->n, sizeof(*st->entries), by_name);
	size_t w = 0;
	for (size_t i = 1; i < st->n; i++)
		if (!slice_eq(st->entries[i].full, st->entries[w].full))
			st->entries[++w] = st->entries[i];
	st->n = w + 1;
	return err;
}

/* ---- the answers ---- */

static bool
has_children(struct list *st, struct slice full)
{
	/* the first name not before "full/" */
	for (size_t i = lower(st, st->n, full); i < st->n; i++) {
		struct slice other = st->entries[i].full;
		if (other.len < full.len || memcmp(other.ptr, full.ptr, full.len) != 0)
			return false;
		if (other.len > full.len && other.ptr[full.len] == '/' &&
		    ((st->entries[i].what & ENTRY_EXISTS) || st->lsub))
			return true;
		if (other.len > full.len && other.ptr[full.len] > '/')
			return false;
	}
	return false;
}

static void
show(struct cmd *m, struct list *st, const struct entry *e)
{
	struct buf b;
	bool exists = e->what & ENTRY_EXISTS;
	bool parent = e->what & ENTRY_PARENT;
	const char *sep = "";
	buf_init(&b, 65536);
	buf_appendf(&b, "* %s (", st->lsub ? "LSUB" : "LIST");
	bool extended = st->extended || (m->c->enabled & ENABLED_REV2);
	bool readable = slice_index(e->info.rights, 'r') >= 0;
	if (!exists || !readable || (st->lsub && parent)) {
		/* RFC 5258 3: \NonExistent implies \NoSelect; RFC 5819 2: without the right to read it */
		buf_append_str(&b, extended && !exists ? "\\NonExistent" : "\\Noselect");
		sep = " ";
	}
	if ((e->what & ENTRY_SUBSCRIBED) && (st->select_subscribed || st->return_subscribed)) {
		buf_appendf(&b, "%s\\Subscribed", sep);
		sep = " ";
	}
	buf_appendf(
	    &b, "%s%s", sep, has_children(st, e->full) ? "\\HasChildren" : "\\HasNoChildren");
	for (uint32_t bit = 1; bit <= MBOX_ALL; bit <<= 1)
		if (exists && (e->info.attrs & bit))
			buf_appendf(&b, " %s", mbox_use_name(bit));
	buf_append_str(&b, ") \"/\" ");
	mbox_name_out(e->full, client_utf8(m->c), &b);
	if (e->what & ENTRY_CHILDINFO) /* RFC 5258 3.5: by which criteria */
		buf_appendf(&b, " (\"CHILDINFO\" (%s%s%s))",
		    st->select_subscribed ? "\"SUBSCRIBED\"" : "",
		    st->select_subscribed && st->select_special ? " " : "",
		    st->select_special ? "\"SPECIAL-USE\"" : "");
	buf_append_str(&b, "\r\n");
	/* RFC 5819 3: of those that fit, not of their parents */
	if (st->status.n > 0 && exists && readable && !parent) {
		buf_append_str(&b, "* STATUS ");
		mbox_name_out(e->full, client_utf8(m->c), &b);
		buf_append_byte(&b, ' ');
		status_items_write(&st->status, &e->info, m->c->d->message_max, &b);
		buf_append_str(&b, "\r\n");
	}
	client_write(m->c, buf_slice(&b));
	buf_done(&b);
}

static void
answer(struct cmd *m)
{
	struct list *st = m->state;
	if (st->n > 0) {
		qsort(st->entries, st->n, sizeof(*st->entries), by_name);
		int err = choose(m, st);
		if (err) {
			cmd_err(m, err);
			return;
		}
	}
	/* INBOX first, whatever its place in the order of octets */
	for (size_t pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < st->n; i++)
			if ((st->entries[i].what & ENTRY_SHOWN) &&
			    slice_eq_str(st->entries[i].full, "INBOX") == (pass == 0))
				show(m, st, &st->entries[i]);
	cmd_ok(m, "Done");
}

/* ---- what there is ---- */

static void
on_subs(void *arg, int err, const struct store_sub *subs, size_t n)
{
	struct cmd *m = arg;
	struct list *st = m->state;
	if (err) {
		cmd_err(m, err);
		return;
	}
	if (st->n > 0)
		qsort(st->entries, st->n, sizeof(*st->entries), by_name);
	size_t known = st->n;
	for (size_t i = 0; i < n; i++) {
		struct slice full = mbox_name_full(
		    m->c->d->other_prefix, subs[i].share, arena_slice(m->a, subs[i].name), m->a);
		struct entry *e = find(st, known, full);
		if (e == NULL && (e = add(m, st)) != NULL)
			*e = (struct entry){.full = full};
		if (e == NULL || full.ptr == NULL) {
			cmd_err(m, ERR_NOMEM);
			return;
		}
		e->what |= ENTRY_SUBSCRIBED;
	}
	answer(m);
}

static void
on_list(void *arg, int err, const struct mbox_info *boxes, size_t n)
{
	struct cmd *m = arg;
	struct list *st = m->state;
	for (size_t i = 0; err == 0 && i < n; i++) {
		struct entry *e = add(m, st);
		if (e == NULL) {
			err = ERR_NOMEM;
			break;
		}
		*e = (struct entry){.what = ENTRY_EXISTS, .info = boxes[i]};
		e->full = mbox_name_full(
		    m->c->d->other_prefix, boxes[i].share, arena_slice(m->a, boxes[i].name), m->a);
		e->info.rights = arena_slice(m->a, boxes[i].rights);
		/* A client that looks for the place of its own sent mail must not find an agency's. */
		if (boxes[i].share.len > 0)
			e->info.attrs &= ~USES;
		e->info.account = e->info.share = e->info.name = slice_of("", 0);
	}
	if (err == 0 && (st->lsub || st->select_subscribed || st->return_subscribed)) {
		err = store_subscriptions(m->c->store, on_subs, m);
		if (err == 0)
			return;
	}
	if (err)
		cmd_err(m, err);
	else
		answer(m);
}

/* ---- arguments ---- */

static bool
read_selection(struct imap_cur *c, struct list *st)
{
	struct slice s;
	if (imap_cur_char(c, ')'))
		return true;
	do {
		if (!imap_cur_atom(c, &s))
			return false;
		if (slice_caseeq_str(s, "SUBSCRIBED"))
			st->select_subscribed = true;
		else if (slice_caseeq_str(s, "SPECIAL-USE"))
			st->select_special = true;
		else if (slice_caseeq_str(s, "RECURSIVEMATCH"))
			st->recursive = true;
		else if (!slice_caseeq_str(s, "REMOTE"))
			return false;
	} while (imap_cur_sp(c));
	/* RFC 5258 3: RECURSIVEMATCH needs a selection to recurse for */
	if (st->recursive && !st->select_subscribed && !st->select_special)
		return false;
	return imap_cur_char(c, ')');
}

static bool
read_return(struct imap_cur *c, struct list *st)
{
	struct slice s;
	if (!imap_cur_atom(c, &s) || !slice_caseeq_str(s, "RETURN") || !imap_cur_sp(c) ||
	    !imap_cur_char(c, '('))
		return false;
	if (imap_cur_char(c, ')'))
		return true;
	do {
		if (!imap_cur_atom(c, &s))
			return false;
		if (slice_caseeq_str(s, "SUBSCRIBED")) {
			st->return_subscribed = true;
		} else if (slice_caseeq_str(s, "STATUS")) {
			if (!imap_cur_sp(c) || !status_items_parse(c, &st->status))
				return false;
		} else if (!slice_caseeq_str(s, "CHILDREN") &&
			   !slice_caseeq_str(s, "SPECIAL-USE")) {
			return false;
		}
	} while (imap_cur_sp(c));
	return imap_cur_char(c, ')');
}

static bool
read_pattern(struct cmd *m, struct list *st, struct slice reference)
{
	struct slice wire, pat;
	if (st->n_patterns == PATTERNS_MAX || !imap_cur_pattern(&m->args, m->a, &wire) ||
	    mbox_pattern_in(wire, client_utf8(m->c), m->a, &pat) != 0)
		return false;
	st->root = pat.len == 0;
	char *p = arena_printf(m->a, "%.*s%.*s", (int)reference.len, (const char *)reference.ptr,
	    (int)pat.len, (const char *)pat.ptr);
	st->patterns[st->n_patterns++] = slice_str(p);
	return p != NULL;
}

static bool
read_args(struct cmd *m, struct list *st)
{
	struct imap_cur *c = &m->args;
	struct slice wire, reference;
	if (!imap_cur_sp(c))
		return false;
	if (!st->lsub && imap_cur_char(c, '(')) {
		st->extended = true;
		if (!read_selection(c, st) || !imap_cur_sp(c))
			return false;
	}
	if (!imap_cur_astring(c, m->a, &wire) || !imap_cur_sp(c) ||
	    mbox_pattern_in(wire, client_utf8(m->c), m->a, &reference) != 0)
		return false;
	if (!st->lsub && imap_cur_char(c, '(')) {
		st->extended = true;
		do {
			if (!read_pattern(m, st, reference))
				return false;
		} while (imap_cur_sp(c));
		if (!imap_cur_char(c, ')'))
			return false;
	} else if (!read_pattern(m, st, reference)) {
		return false;
	}
	if (!st->lsub && imap_cur_sp(c)) {
		st->extended = true;
		if (!read_return(c, st))
			return false;
	}
	return imap_cur_end(c);
}

static void
run_list(struct cmd *m, bool lsub)
{
	struct list *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL) {
		cmd_err(m, ERR_NOMEM);
		return;
	}
	st->lsub = lsub;
	m->state = st;
	if (!read_args(m, st)) {
		cmd_syntax(m);
		return;
	}
	if (!st->extended && st->root) {
		client_printf(m->c, "* %s (\\Noselect) \"/\" \"\"\r\n", lsub ? "LSUB" : "LIST");
		cmd_ok(m, "Done");
		return;
	}
	int err = store_list(m->c->store, on_list, m);
	if (err)
		cmd_err(m, err);
}

void
cmd_list(struct cmd *m)
{
	run_list(m, false);
}

void
cmd_lsub(struct cmd *m)
{
	run_list(m, true);
}
