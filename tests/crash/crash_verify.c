/* crash_verify.c: see crash_model.h; opens a store as stored does and compares all of it with the model. Runs in tests. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/stored_priv.h"
#include "store/text_row.h"
#include "tests/crash/crash_model.h"

enum { BODIES = 1 << 20, WAIT_MS = 60000 };

struct mailbox {
	struct mbox_head h;
	struct buf raw;
	uint32_t messages, unseen, deleted, changes;
	uint64_t bytes, modseq;
	uint8_t gone[CRASH_UIDS];      /* in a row of removals */
	uint32_t seen[CRASH_MESSAGES]; /* UID that a row of deliveries seen has */
	uint32_t uid_of_change[CRASH_MESSAGES], flags_of_change[CRASH_MESSAGES];
	uint64_t modseq_of_change[CRASH_MESSAGES];
};
static struct {
	struct crash_model *m;
	struct loop *l;
	struct backend *be;
	struct stored st;
	struct account *acc;
	unsigned acct;
	int box; /* of crash.h, -1: another one */
	bool there[CRASH_BOXES];
	struct mailbox x;
	uint32_t body_of[BODIES]; /* n / 2 + 1 of the message whose body it is, once it was read */
	char text_of[BODIES];     /* enum text_kind of the row that a body has */
	uint32_t seen[CRASH_MESSAGES][CRASH_BOXES]; /* UID in the account at hand */
	uint32_t n_bad;
	/* one call at a time */
	bool done, more;
	int err;
	struct buf value, next;
	void (*row)(struct slice key, struct slice value);
} V;

__attribute__((format(printf, 1, 2))) static void
bad(const char *fmt, ...)
{
	va_list ap;

	if (V.n_bad++ >= 10)
		return;
	fprintf(stderr, "p-%u box %d: ", V.acct, V.box);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* ---- calls ---- */

static int
wait_done(void)
{
	uint64_t t0 = loop_now_ms(V.l);

	while (!V.done && loop_now_ms(V.l) - t0 < WAIT_MS)
		loop_run_once(V.l, 100);
	if (!V.done)
		fatal("crash_verify: the backend does not answer");
	return V.err;
}

static void
on_value(void *arg, int err, struct slice value)
{
	(void)arg;
	buf_reset(&V.value);
	if (err == 0)
		buf_append_slice(&V.value, value);
	V.err = err;
	V.done = true;
}

static void
called(int err)
{
	if (err != 0)
		fatal("crash_verify: the backend refuses a call: %s", err_name(err));
}

static int
get(struct slice object, struct slice key)
{
	V.done = false;
	called(V.be->ops->get(V.be, object, key, on_value, NULL));
	return wait_done();
}

static int
body_get(uint64_t body, uint32_t len)
{
	V.done = false;
	called(V.be->ops->body_get(V.be, body, 0, len, on_value, NULL));
	return wait_done();
}

static void
got_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	(void)arg;
	V.err = err;
	V.more = more;
	for (size_t i = 0; i < n; i++) {
		V.row(rows[i].key, rows[i].value);
		if (i + 1 == n) {
			buf_reset(&V.next);
			buf_append_slice(&V.next, rows[i].key);
			buf_append_byte(&V.next, 0);
		}
	}
	V.done = true;
}

/* All rows whose key begins with kind. */
static int
scan(const char *object, char kind, void (*row)(struct slice key, struct slice value))
{
	char from[3] = {kind, '/', 0}, to[3] = {kind, '/' + 1, 0};
	int err;

	V.row = row;
	buf_reset(&V.next);
	buf_append_str(&V.next, from);
	do {
		char start[BACKEND_KEY_MAX + 2];
		size_t n = V.next.len;

		memcpy(start, V.next.data, n);
		V.done = false;
		/* "\0" behind the last key is not printable: the smallest printable key behind it will do as well */
		if (n > 2 && start[n - 1] == '\0')
			start[n - 1] = '!';
		called(V.be->ops->scan(V.be, slice_str(object), slice_of(start, n), slice_of(to, 2),
		    BACKEND_SCAN_MAX, got_rows, NULL));
		err = wait_done();
	} while (err == 0 && V.more);
	return err;
}

/* ---- a mailbox ---- */

static void
change_row(struct slice key, struct slice value)
{
	struct change_row c;
	uint32_t i = V.x.changes;

	if (change_row_decode(key, value, &c) != 0) {
		bad("a row of a change cannot be read");
		return;
	}
	if (i == CRASH_MESSAGES)
		fatal("crash_verify: too many rows");
	V.x.uid_of_change[i] = c.uid;
	V.x.flags_of_change[i] = c.flags;
	V.x.modseq_of_change[i] = c.modseq;
	V.x.changes++;
}

/* The one row of the last change of a message. Ascending by modseq. */
static void
check_change(const struct msg_row *r)
{
	uint32_t lo = 0, hi = V.x.changes;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (V.x.modseq_of_change[mid] < r->modseq)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == V.x.changes || V.x.modseq_of_change[lo] != r->modseq ||
	    V.x.uid_of_change[lo] != r->uid || V.x.flags_of_change[lo] != r->flags)
		bad("uid %u: no row of its last change, modseq %" PRIu64, (unsigned)r->uid,
		    r->modseq);
}

/* As crash.h has it. */
static unsigned
value_of(const struct msg_row *r)
{
	for (unsigned v = 0; v < CRASH_VALUES; v++)
		if (crash_flags(v) == r->flags && slice_eq_str(r->keywords, crash_keywords(v)))
			return v;
	bad("uid %u: flags and keywords that nobody set", (unsigned)r->uid);
	return 0;
}

static void
check_expected(const struct msg_row *r, uint32_t n)
{
	const struct place *p;

	if (V.box < 0 || n >= V.m->n || !V.m->submitted[n][V.acct]) {
		bad("uid %u is message %u, which nobody sent here", (unsigned)r->uid, (unsigned)n);
		return;
	}
	p = &V.m->p[n][V.acct][V.box];
	if (p->has == HAS_NOT)
		bad("message %u is here again, uid %u", (unsigned)n, (unsigned)r->uid);
	else if (p->uid != 0 && p->uid != r->uid)
		bad("message %u has uid %u, was told to have %u", (unsigned)n, (unsigned)r->uid,
		    (unsigned)p->uid);
	else if ((p->values & 1u << value_of(r)) == 0)
		bad("message %u has flags %u and keywords, allowed are the bits of %x", (unsigned)n,
		    (unsigned)r->flags, (unsigned)p->values);
	if (V.seen[n][V.box] != 0)
		bad("message %u is here twice, uid %u and %u", (unsigned)n,
		    (unsigned)V.seen[n][V.box], (unsigned)r->uid);
	V.seen[n][V.box] = r->uid;
}

static uint32_t
message_of(const unsigned char id[16])
{
	unsigned char want[16];
	uint32_t n =
	    (uint32_t)id[12] << 24 | (uint32_t)id[13] << 16 | (uint32_t)id[14] << 8 | id[15];

	crash_id(n, want);
	return n < CRASH_MESSAGES && memcmp(id, want, 16) == 0 ? n : UINT32_MAX;
}

static uint64_t sum; /* octets of the account */
struct body_wanted {
	uint64_t body;
	uint32_t n;
};
static struct body_wanted wanted[CRASH_MESSAGES];
static size_t n_wanted;

static void
message_row(struct slice key, struct slice value)
{
	struct msg_row r;
	uint64_t uid;
	uint32_t n;

	if (msg_row_decode(value, &r) != 0 || key_number(key, 8, &uid) != 0 || uid != r.uid) {
		bad("a row of a message cannot be read");
		return;
	}
	V.x.messages++;
	V.x.unseen += (r.flags & MSG_SEEN) == 0;
	V.x.deleted += (r.flags & MSG_DELETED) != 0;
	V.x.bytes += r.size;
	if (r.modseq > V.x.modseq)
		V.x.modseq = r.modseq;
	if (r.uid >= V.x.h.uidnext || r.modseq > V.x.h.modseq)
		bad("uid %u, modseq %" PRIu64 " are beyond the header's %u, %" PRIu64,
		    (unsigned)r.uid, r.modseq, (unsigned)V.x.h.uidnext, V.x.h.modseq);
	check_change(&r);
	n = message_of(r.email_id);
	if (n == UINT32_MAX) {
		bad("uid %u is no message of ours", (unsigned)r.uid);
		return;
	}
	check_expected(&r, n);
	if (r.size < crash_body_size(n) || r.size - crash_body_size(n) != r.trace.len)
		bad("message %u has %" PRIu64 " octets", (unsigned)n, r.size);
	if (n_wanted == CRASH_MESSAGES)
		fatal("crash_verify: too many messages");
	wanted[n_wanted++] = (struct body_wanted){r.body, n};
}

static void
check_body(uint64_t body, uint32_t n)
{
	static unsigned char want[400000];
	size_t size = crash_body_size(n);
	int err;

	if (body < BODIES && V.body_of[body] == n / 2 + 1)
		return;
	err = body_get(body, (uint32_t)size + 1);
	if (err != 0) {
		bad("message %u: body %" PRIu64 ": %s", (unsigned)n, body, err_name(err));
		return;
	}
	crash_body(n, want);
	if (V.value.len != size || memcmp(V.value.data, want, size) != 0)
		bad("message %u: body %" PRIu64 " has other octets", (unsigned)n, body);
	else if (body < BODIES)
		V.body_of[body] = n / 2 + 1;
}

static const struct box *
box(void)
{
	return &V.m->box[V.acct][V.box];
}

static void
check_head(void)
{
	const struct mbox_head *h = &V.x.h;

	if (h->messages != V.x.messages || h->unseen != V.x.unseen || h->deleted != V.x.deleted ||
	    h->bytes != V.x.bytes)
		bad("header: %u messages, %u unseen, %u deleted, %" PRIu64
		    " octets; counted: %u, %u, %u, %" PRIu64,
		    (unsigned)h->messages, (unsigned)h->unseen, (unsigned)h->deleted, h->bytes,
		    (unsigned)V.x.messages, (unsigned)V.x.unseen, (unsigned)V.x.deleted, V.x.bytes);
	if (V.x.changes != V.x.messages)
		bad("%u messages, %u rows of changes", (unsigned)V.x.messages,
		    (unsigned)V.x.changes);
	if (h->moves != 0)
		bad("%u moves are not finished", (unsigned)h->moves);
	if (V.box < 0)
		return;
	if (h->uidnext <= box()->uid_max)
		bad("uidnext %u, but uid %u was told", (unsigned)h->uidnext,
		    (unsigned)box()->uid_max);
	if (h->modseq < box()->modseq_max)
		bad("modseq %" PRIu64 ", but %" PRIu64 " was told", h->modseq, box()->modseq_max);
	if (box()->uidvalidity != 0 && h->uidvalidity != box()->uidvalidity)
		bad("uidvalidity %u, but %u was told", (unsigned)h->uidvalidity,
		    (unsigned)box()->uidvalidity);
	for (uint32_t i = 1; i < CRASH_UIDS; i++)
		if (box()->gone[i] && !V.x.gone[i])
			bad("no row says that uid %u was removed", (unsigned)i);
}

/* ---- what was removed, what was delivered ---- */

static void
removal_row(struct slice key, struct slice value)
{
	struct ipc_reader r;
	uint32_t n;
	uint64_t modseq;

	ipc_reader_init(&r, value);
	if (key_number(key, 16, &modseq) != 0 || modseq > V.x.h.modseq || ipc_get_u8(&r) != 1)
		bad("a row of removals cannot be read");
	n = ipc_get_count(&r, 1 << 20, 4);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t uid = ipc_get_u32(&r);

		if (uid < CRASH_UIDS)
			V.x.gone[uid] = 1;
	}
	if (ipc_reader_end(&r) != 0)
		bad("a row of removals cannot be read");
}

static void
delivery_row(struct slice key, struct slice value)
{
	unsigned char id[16];
	uint32_t uid, n;
	int64_t at;

	if (id_of_key(key, id, sizeof id) != 0 || seen_row_decode(value, &at, &uid, NULL) != 0)
		bad("a row of a delivery cannot be read");
	else if ((n = message_of(id)) != UINT32_MAX)
		V.x.seen[n] = uid;
}

/* A delivery that comes again finds the first one: its UID is told again, and there is no second copy. */
static void
check_deliveries(void)
{
	for (uint32_t n = 0; n < V.m->n; n++) {
		const struct place *p = &V.m->p[n][V.acct][0];

		if (!V.m->delivery[n] || !V.m->submitted[n][V.acct])
			continue;
		if (V.m->told[n][V.acct] != V.x.seen[n] && V.m->told[n][V.acct] != 0)
			bad("the delivery of message %u is remembered as uid %u, told was %u",
			    (unsigned)n, (unsigned)V.x.seen[n], (unsigned)V.m->told[n][V.acct]);
		if (V.m->told[n][V.acct] == 0 && p->has == HAS_MAYBE && V.x.seen[n] != V.seen[n][0])
			bad("the delivery of message %u is remembered as uid %u, it has %u",
			    (unsigned)n, (unsigned)V.x.seen[n], (unsigned)V.seen[n][0]);
	}
}

static void
check_mailbox(uint64_t id)
{
	char object[24];
	int err;

	snprintf(object, sizeof object, "m.%016" PRIx64, id);
	memset(&V.x, 0, offsetof(struct mailbox, uid_of_change));
	buf_init(&V.x.raw, BACKEND_VALUE_MAX);
	n_wanted = 0;
	err = get(slice_str(object), slice_str("h"));
	if (err != 0 || buf_append_slice(&V.x.raw, buf_slice(&V.value)) != 0 ||
	    mbox_head_decode(buf_slice(&V.x.raw), &V.x.h) != 0) {
		bad("%s: its header: %s", object, err_name(err));
		buf_done(&V.x.raw);
		return;
	}
	if ((err = scan(object, 'c', change_row)) != 0 ||
	    (err = scan(object, 'm', message_row)) != 0 ||
	    (err = scan(object, 'x', removal_row)) != 0 ||
	    (err = scan(object, 'd', delivery_row)) != 0)
		bad("%s: its rows: %s", object, err_name(err));
	for (size_t i = 0; i < n_wanted; i++)
		check_body(wanted[i].body, wanted[i].n);
	check_head();
	if (V.box == 0)
		check_deliveries();
	sum += V.x.bytes;
	buf_done(&V.x.raw);
}

/* ---- an account ---- */

static uint64_t ids[64];
static int boxes[64];
static size_t n_ids;

/* The names an account begins with. */
static bool
is_special(struct slice name)
{
	return slice_eq_str(name, "Drafts") || slice_eq_str(name, "Sent") ||
	       slice_eq_str(name, "Junk") || slice_eq_str(name, "Trash");
}

static int
box_of(struct slice name)
{
	char text[16];

	for (unsigned i = 0; i < CRASH_BOXES; i++)
		for (int renamed = 0; renamed < 2; renamed++) {
			crash_box_name(i, renamed, text);
			if (!slice_eq_str(name, text))
				continue;
			if (i >= CRASH_FIXED && V.m->inbox_to[V.acct] == i && renamed == 1)
				model_inbox_renamed(V.m, V.acct, i); /* it came about */
			return (int)(i << 1) | (i >= CRASH_FIXED ? renamed : 0);
		}
	return -1;
}

static void
name_row(struct slice key, struct slice value)
{
	struct slice name;
	uint32_t use;
	int box;

	if (n_ids == 64 || key_number(key, 16, &ids[n_ids]) != 0 ||
	    name_row_decode(value, &use, &name) != 0) {
		bad("a row of a name cannot be read");
		return;
	}
	box = box_of(name);
	boxes[n_ids] = box < 0 ? -1 : box >> 1;
	if (box < 0 && !is_special(name))
		bad("a mailbox that nobody made: %.*s", (int)name.len, (const char *)name.ptr);
	if (box >= 0) {
		const struct box *b = &V.m->box[V.acct][box >> 1];

		if (V.there[box >> 1])
			bad("box %d is there twice", box >> 1);
		V.there[box >> 1] = true;
		if (box >> 1 >= CRASH_FIXED && b->has == HAS_NOT)
			bad("box %d is there again", box >> 1);
		if (box >> 1 >= CRASH_FIXED && b->renamed != (box & 1) && !b->renaming)
			bad("box %d has the name it had not been told to have", box >> 1);
	}
	n_ids++;
}

/* What was told to be there is there. */
static void
check_missing(void)
{
	for (unsigned i = 0; i < CRASH_BOXES; i++)
		if (V.m->box[V.acct][i].has == HAS && !V.there[i])
			bad("box %u is not there", i);
	for (uint32_t n = 0; n < V.m->n; n++) {
		unsigned v = V.m->moving[n][V.acct];

		if (!V.m->submitted[n][V.acct])
			continue;
		for (V.box = 0; V.box < CRASH_BOXES; V.box++)
			if (V.m->p[n][V.acct][V.box].has == HAS && V.seen[n][V.box] == 0 &&
			    V.there[V.box])
				bad("message %u, uid %u, is not there", (unsigned)n,
				    (unsigned)V.m->p[n][V.acct][V.box].uid);
		V.box = -1;
		if ((v & MOVING) != 0 && (V.seen[n][v >> 3 & 7] == 0) == (V.seen[n][v & 7] == 0))
			bad("message %u was moved from box %u, uid %u, to %u, uid %u: just one "
			    "must be",
			    (unsigned)n, v >> 3 & 7, (unsigned)V.seen[n][v >> 3 & 7], v & 7,
			    (unsigned)V.seen[n][v & 7]);
	}
}

/* Of an act nobody heard the end of: all of it or nothing. */
static void
check_whole(const struct act *a)
{
	unsigned to = a->what == 'B' ? a->box : a->to_box;
	size_t here = 0, out = 0;

	for (size_t i = 0; i < a->count; i++) {
		out += a->what != 'X' && V.seen[a->n[i]][to] != 0;
		here += (a->what == 'X' || a->what == 'M') && V.seen[a->n[i]][a->box] != 0;
	}
	if ((out != 0 && out != a->count) || (here != 0 && here != a->count))
		bad("act %c of %zu messages: %zu are where they were, %zu where they go", a->what,
		    a->count, here, out);
}

/* Reads the account as stored does, which finishes what was left of moves. */
static void
on_account(void *arg, int err, struct account *a)
{
	(void)arg;
	V.err = err;
	V.done = true;
	if (err == 0) {
		account_ref(a);
		V.acc = a;
	}
}

static bool
any_moves(void)
{
	for (struct mbox *m = V.acc->mboxes; m != NULL; m = m->next)
		if (m->moves != NULL || m->cycle != NULL)
			return true;
	return false;
}

static void
recover(struct slice object)
{
	uint64_t t0 = loop_now_ms(V.l);
	int err = get(object, slice_str("h"));

	if (err != 0) {
		if (err != ERR_NOTFOUND || V.m->account[V.acct])
			bad("the account: %s", err_name(err));
		return;
	}
	V.done = false;
	account_get(&V.st, slice_from(object, 2), on_account, NULL);
	if (wait_done() != 0) {
		bad("the account cannot be read: %s", err_name(V.err));
		return;
	}
	while (any_moves() && loop_now_ms(V.l) - t0 < WAIT_MS)
		loop_run_once(V.l, 100);
	if (any_moves())
		bad("moves do not come to an end");
	if (V.acc->h.uidvalidity < V.m->validity_max[V.acct])
		bad("uidvalidity %u would be given again", (unsigned)V.m->validity_max[V.acct]);
}

static void
check_account(void)
{
	char object[16];
	uint64_t usage;
	int err;

	snprintf(object, sizeof object, "a.p-%u", V.acct);
	memset(V.seen, 0, sizeof V.seen);
	memset(V.there, 0, sizeof V.there);
	V.box = -1;
	V.acc = NULL;
	n_ids = 0;
	sum = 0;
	recover(slice_str(object));
	err = scan(object, 'b', name_row);
	if (err != 0 && err != ERR_GONE && err != ERR_NOTFOUND)
		bad("its mailboxes: %s", err_name(err));
	for (size_t i = 0; i < n_ids; i++) {
		V.box = boxes[i];
		check_mailbox(ids[i]);
	}
	V.box = -1;
	usage = V.acc == NULL ? 0 : account_usage(V.acc);
	if (usage != sum)
		bad("the quota counts %" PRIu64 " octets, there are %" PRIu64, usage, sum);
	check_missing();
	V.box = -1;
	for (size_t i = 0; i < V.m->n_acts; i++) {
		const struct act *a = &V.m->acts[i];

		if (a->open && a->acct == V.acct && strchr("BCMX", a->what) != NULL)
			check_whole(a);
	}
	V.acc = NULL;
}

/* ---- the texts of documents ---- */

static struct text_read texts[CRASH_MESSAGES];
static uint64_t read_of[CRASH_MESSAGES];
static size_t n_texts;

static void
text_row(struct slice key, struct slice value)
{
	struct text_wanted w;
	struct text_read t = {.text = 0};
	uint64_t body;
	char kind = key.len > 0 ? (char)key.ptr[0] : 0;

	if (text_key_body(key, &body) != 0 ||
	    (kind == TEXT_READ ? text_read_decode(value, &t) : text_wanted_decode(value, &w)) !=
		0) {
		bad("a row of a text cannot be read");
		return;
	}
	if (body >= BODIES)
		return;
	if (V.text_of[body] != 0)
		bad("body %" PRIu64 " has two rows of its text, %c and %c", body, V.text_of[body],
		    kind);
	V.text_of[body] = kind;
	if (kind != TEXT_READ && (w.tries > TEXT_TRIES || (kind == TEXT_FAILED && w.tries == 0)))
		bad("body %" PRIu64 ": %c after %u tries", body, kind, w.tries);
	if (kind != TEXT_READ)
		return;
	if (n_texts == CRASH_MESSAGES)
		fatal("crash_verify: too many texts");
	read_of[n_texts] = body;
	texts[n_texts++] = t;
}

/* What was read of a mail that is there is there as well, and right. */
static void
check_text(uint64_t body, const struct text_read *t)
{
	static char want[CRASH_TEXT_MAX];
	uint32_t n = V.body_of[body];
	size_t len;
	int err;

	if (n == 0) /* the mail is gone: the next collection takes the row away */
		return;
	n = 2 * (n - 1);
	len = crash_text(n, want);
	err = body_get(t->text, TEXT_HEAD + CRASH_TEXT_MAX);
	if (err != 0)
		bad("message %u: its text, body %" PRIu64 ": %s", (unsigned)n, t->text,
		    err_name(err));
	else if (!text_head_ok(buf_slice(&V.value), body) || V.value.len != TEXT_HEAD + len ||
		 memcmp(V.value.data + TEXT_HEAD, want, len) != 0)
		bad("message %u: its text, body %" PRIu64 " has other octets", (unsigned)n,
		    t->text);
}

/* A mail that was said to have documents is never there without a row that tells what became of their text; the others have none. */
static void
check_texts(void)
{
	static const char kinds[] = {TEXT_WANTED, TEXT_READ, TEXT_FAILED};

	n_texts = 0;
	memset(V.text_of, 0, sizeof V.text_of);
	for (size_t i = 0; i < sizeof kinds; i++) {
		int err = scan(TEXT_OBJECT, kinds[i], text_row);

		if (err != 0 && err != ERR_GONE && err != ERR_NOTFOUND)
			bad("the rows of texts: %s", err_name(err));
	}
	for (size_t i = 0; i < n_texts; i++)
		check_text(read_of[i], &texts[i]);
	for (size_t body = 0; body < BODIES; body++)
		if (V.body_of[body] != 0 &&
		    crash_has_document(2 * (V.body_of[body] - 1)) != (V.text_of[body] != 0))
			bad("message %u, body %zu: %s", (unsigned)(2 * (V.body_of[body] - 1)), body,
			    V.text_of[body] == 0 ? "nothing is known of its text"
						 : "it has a text, and no documents");
}

int
model_verify(struct crash_model *m, const char *dir, bool close)
{
	struct backend_kv_options o = {.dir = dir,
	    .threads = 1,
	    .cache_bytes = 8 << 20,
	    .reserve = 1 << 20,
	    .max_writes = 3000};
	static struct slice special[4];
	int err;

	special[0] = slice_str("Drafts");
	special[1] = slice_str("Sent");
	special[2] = slice_str("Junk");
	special[3] = slice_str("Archive");
	V.m = m;
	V.n_bad = 0;
	memset(V.body_of, 0, sizeof V.body_of);
	V.l = loop_new();
	buf_init(&V.value, BACKEND_READ_MAX);
	buf_init(&V.next, BACKEND_KEY_MAX + 2);
	err = backend_kv_open(V.l, &o, &V.be);
	if (err != 0) {
		fprintf(stderr, "the store cannot be opened: %s\n", err_name(err));
		return -1;
	}
	/* what it has in memory goes with the process */
	V.st = (struct stored){.loop = V.l,
	    .be = V.be,
	    .quota = UINT64_MAX / 4,
	    .history_max = 1000000,
	    .memory_s = 7 * 86400,
	    .special = special,
	    .n_special = 4};
	for (V.acct = 0; V.acct < CRASH_ACCOUNTS; V.acct++)
		check_account();
	V.acct = 0;
	check_texts();
	if (close) {
		V.be->ops->close(V.be);
		loop_free(V.l);
	}
	buf_done(&V.value);
	buf_done(&V.next);
	return V.n_bad == 0 ? 0 : -1;
}
