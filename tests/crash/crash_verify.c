/* crash_verify.c: see crash_model.h; opens a store as stored does and compares all of it with the model. Runs in tests. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/stored_priv.h"
#include "tests/crash/crash_model.h"

enum { BODIES = 1 << 20, WAIT_MS = 60000 };

struct mailbox {
	struct mbox_head h;
	struct buf raw;
	uint32_t messages, unseen, deleted, changes;
	uint64_t bytes, modseq;
	uint32_t uid_of_change[CRASH_MESSAGES], flags_of_change[CRASH_MESSAGES];
	uint64_t modseq_of_change[CRASH_MESSAGES];
};
static struct {
	const struct crash_model *m;
	struct loop *l;
	struct backend *be;
	unsigned acct;
	int box; /* of crash_boxes, -1: another one */
	struct mailbox x;
	uint32_t body_of[BODIES]; /* n / 2 + 1 of the message whose body it is, once it was read */
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
	fprintf(stderr, "p-%u %s: ", V.acct, V.box < 0 ? "(account)" : crash_boxes[V.box]);
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
	else if (r->flags > 31 || (p->flags & 1u << r->flags) == 0)
		bad("message %u has flags %u, allowed are the bits of %x", (unsigned)n,
		    (unsigned)r->flags, (unsigned)p->flags);
	if (V.seen[n][V.box] != 0)
		bad("message %u is here twice, uid %u and %u", (unsigned)n,
		    (unsigned)V.seen[n][V.box], (unsigned)r->uid);
	V.seen[n][V.box] = r->uid;
}

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
	unsigned char id[16];
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
	n = (uint32_t)r.email_id[12] << 24 | (uint32_t)r.email_id[13] << 16 |
	    (uint32_t)r.email_id[14] << 8 | r.email_id[15];
	crash_id(n, id);
	if (memcmp(id, r.email_id, 16) != 0) {
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
	if (V.box < 0)
		return;
	if (h->uidnext <= V.m->uid_max[V.acct][V.box])
		bad("uidnext %u, but uid %u was told", (unsigned)h->uidnext,
		    (unsigned)V.m->uid_max[V.acct][V.box]);
	if (h->modseq < V.m->modseq_max[V.acct][V.box])
		bad("modseq %" PRIu64 ", but %" PRIu64 " was told", h->modseq,
		    V.m->modseq_max[V.acct][V.box]);
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
	    (err = scan(object, 'm', message_row)) != 0)
		bad("%s: its rows: %s", object, err_name(err));
	for (size_t i = 0; i < n_wanted; i++)
		check_body(wanted[i].body, wanted[i].n);
	check_head();
	buf_done(&V.x.raw);
}

/* ---- an account ---- */

static uint64_t ids[64];
static int boxes[64];
static size_t n_ids;

static void
name_row(struct slice key, struct slice value)
{
	struct slice name;
	uint32_t use;

	if (n_ids == 64 || key_number(key, 16, &ids[n_ids]) != 0 ||
	    name_row_decode(value, &use, &name) != 0) {
		bad("a row of a name cannot be read");
		return;
	}
	boxes[n_ids] = -1;
	for (int i = 0; i < CRASH_BOXES; i++)
		if (slice_eq_str(name, crash_boxes[i]))
			boxes[n_ids] = i;
	n_ids++;
}

/* What was told to be there is there. */
static void
check_missing(void)
{
	for (uint32_t n = 0; n < V.m->n; n++) {
		if (!V.m->submitted[n][V.acct])
			continue;
		for (V.box = 0; V.box < CRASH_BOXES; V.box++)
			if (V.m->p[n][V.acct][V.box].has == HAS && V.seen[n][V.box] == 0)
				bad("message %u, uid %u, is not there", (unsigned)n,
				    (unsigned)V.m->p[n][V.acct][V.box].uid);
		V.box = 0;
		if (V.m->moving[n][V.acct] && V.seen[n][0] == 0 && V.seen[n][1] == 0)
			bad("message %u was lost on its way", (unsigned)n);
	}
}

static void
check_account(void)
{
	char object[16];
	int err;

	snprintf(object, sizeof object, "a.p-%u", V.acct);
	memset(V.seen, 0, sizeof V.seen);
	V.box = -1;
	n_ids = 0;
	err = scan(object, 'b', name_row);
	if (err != 0 && err != ERR_GONE && err != ERR_NOTFOUND)
		bad("its mailboxes: %s", err_name(err));
	for (size_t i = 0; i < n_ids; i++) {
		V.box = boxes[i];
		check_mailbox(ids[i]);
	}
	check_missing();
}

int
model_verify(const struct crash_model *m, const char *dir, bool close)
{
	struct backend_kv_options o = {
	    .dir = dir, .threads = 1, .cache_bytes = 8 << 20, .reserve = 1 << 20};
	int err;

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
	for (V.acct = 0; V.acct < CRASH_ACCOUNTS; V.acct++)
		check_account();
	if (close) {
		V.be->ops->close(V.be);
		loop_free(V.l);
	}
	buf_done(&V.value);
	buf_done(&V.next);
	return V.n_bad == 0 ? 0 : -1;
}
