/* crash_load.c: loads a congvu-stored-db under shim.c for crash_check.c: deliveries, APPEND, flags, expunges, copies and moves, mailboxes
 * that come and go, many at once, with kill -9 and orderly ends in between; what it reads meanwhile must be right. Runs in tests:
 *   crash_load [-n acts] [-s seed] [-r restarts] [-f fault] [-c] [-K kills] [-d folder] RECORD
 * -f: CONGVU_FAULT (shim.c) for the first process; where a sync fails, it must end. -c: the clock is set ahead and back, by a day and ten years.
 * -K: so many kill -9, some milliseconds apart, until which it goes on; -d: where the store is put at the end (crash_check -v).
 * STORED_BIN, STORED_PRELOAD: the program and the shim. Before each act it writes to RECORD what it will do, and after the answer that it
 * is done, as texts (seq: number of the act, a: account, n: message, box, to: crash.h's, v: value, all flags and keywords it has then):
 *   D seq n a...        delivery                          d seq uid...   (0: not to this one)
 *   A seq n a           APPEND to Archive                 d seq uid
 *   B seq a n...        several by one MULTIAPPEND        b seq uid      (of the first one)
 *   F seq a box v n...  flags and keywords                f seq modseq
 *   X seq a box n...    expunge                           f seq modseq
 *   C seq a box to n... copy                              c seq uid...
 *   M seq a box to n... move, the same                    c seq uid...
 *   N seq a box         CREATE   R: RENAME to the other name   E: DELETE   I: RENAME of INBOX to it       n seq
 *   S a                 the account is there              V a box uidvalidity: what LIST said
 * A message is in one act at a time; what an act without an answer did is not known, and the message (or mailbox) is left alone then, but
 * for deliveries, which are made again under the same id until they are answered. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "store/deliver_client.h"
#include "store/store_client.h"
#include "store/store_proto.h"
#include "tests/crash/crash_record.h"
#include "tests/crash/crash_text.h"
#include "tests/unit/stored_run.h"

enum {
	WORKERS = 12,
	SPACE_ACTS = 20,
	SENDERS = 3,
	LIMIT_S = 120,
	READ_LEN = 65536,
	TICKET_S = 30 * 365 * 86400,
	DEATHS = 20,
	KILLED_LIMIT_S = 900,
	ANSWER_MS = 3000,
};
#define TRACE "X-Crash: yes\r\n"

struct msg {
	uint32_t uid[CRASH_BOXES]; /* 0: not there, or nobody knows */
	unsigned value;
	bool busy;
};
struct worker {
	bool busy;
	uint32_t seq;
	char what;
	unsigned acct, box, to_box, value;
	uint32_t n[CRASH_BATCH];
	size_t count;
	size_t part; /* of a MULTIAPPEND */
	/* a delivery that waits for its answer */
	uint32_t message;
	unsigned to[2];
	size_t n_to;
	bool again; /* it must be made again */
};
enum state { NONE, BUSY, READY };
struct box {
	enum state state;
	bool renamed;
	uint64_t id;
	uint32_t uidvalidity;
	unsigned users; /* acts under way there */
};
static struct {
	struct loop *l;
	struct stored_run run;
	uint32_t seed, seq, next, acts, errors, done, spaces;
	struct deliver_client *ingest[SENDERS];
	struct store_client *imap;
	struct store_session *s[CRASH_ACCOUNTS];
	struct buf ticket[CRASH_ACCOUNTS];
	struct box box[CRASH_ACCOUNTS][CRASH_BOXES];
	struct msg m[CRASH_MESSAGES][CRASH_ACCOUNTS];
	struct worker w[WORKERS];
	unsigned reads, read_errors, of_kind[128];
	bool dies; /* stored will end by itself (shim.c) */
	struct fault_page *page;
	const char *fault;
	unsigned deaths;
	unsigned char up[CRASH_ACCOUNTS];
	bool clock;
} T;

static uint32_t
rnd(uint32_t below)
{
	T.seed = T.seed * 1664525u + 1013904223u;
	return (T.seed >> 8) % below;
}

static void
put(const struct buf *b)
{
	crash_record_text(buf_slice(b));
}

/* "what seq" and the numbers. */
static void
tell(
    char what, uint32_t seq, const unsigned *fixed, size_t n_fixed, const uint32_t *n, size_t count)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_appendf(&b, "%c %u", what, (unsigned)seq);
	for (size_t i = 0; i < n_fixed; i++)
		buf_appendf(&b, " %u", fixed[i]);
	for (size_t i = 0; i < count; i++)
		buf_appendf(&b, " %u", (unsigned)n[i]);
	put(&b);
	buf_done(&b);
}

static void
tell_number(char what, uint32_t seq, uint64_t v)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_appendf(&b, "%c %u %llu", what, (unsigned)seq, (unsigned long long)v);
	put(&b);
	buf_done(&b);
}

/* ---- deliveries ---- */

static void
told_there(uint32_t n, unsigned acct, unsigned box, uint32_t uid)
{
	T.m[n][acct].uid[box] = uid;
	T.m[n][acct].value = 0;
}

static void
delivered(struct worker *w, const uint32_t *uids)
{
	unsigned box = w->what == 'A' ? 1 : 0;
	bool all = true;

	for (size_t i = 0; i < w->n_to; i++) {
		if (uids[i] != 0)
			told_there(w->message, w->to[i], box, uids[i]);
		else
			all = false;
	}
	tell('d', w->seq, NULL, 0, uids, w->n_to);
	/* now and then a message that is there comes once more, as after a lost answer */
	w->again = !all || (w->what == 'D' && rnd(12) == 0);
	for (size_t i = 0; i < w->n_to && !w->again; i++)
		T.m[w->message][w->to[i]].busy = false;
	w->busy = false;
	T.done++;
}

static void
failed(struct worker *w)
{
	T.errors++;
	w->busy = false;
	w->again = w->what == 'D';
}

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	struct worker *w = arg;
	uint32_t uids[2] = {0};

	if (err != 0) {
		failed(w);
		return;
	}
	for (size_t i = 0; i < n; i++)
		uids[i] = r[i].err == 0 ? r[i].uid : 0;
	delivered(w, uids);
}

static void
on_appended(void *arg, int err, uint32_t uidvalidity, uint32_t uid)
{
	(void)uidvalidity;
	if (err != 0)
		failed(arg);
	else
		delivered(arg, &uid);
}

static int
body_file(struct slice body)
{
	int fd = memfd_create("body", MFD_CLOEXEC);

	if (fd < 0 || write(fd, body.ptr, body.len) != (ssize_t)body.len)
		fatal("crash_load: memfd");
	return fd;
}

struct made {
	struct deliver_message m;
	unsigned char body[400000];
};

/* The tree of a message with a part (crash.h). */
static struct slice
part_summary(void)
{
	static struct buf b;
	struct mime_part p = {.body_off = CRASH_PART_AT,
	    .end_off = CRASH_PART_AT + CRASH_PART_LEN,
	    .cte = CTE_BASE64,
	    .type = slice_str("application"),
	    .subtype = slice_str("pdf")};

	if (b.len == 0) {
		buf_init(&b, 4096);
		if (mime_tree_encode(&p, &b) != 0)
			fatal("crash_load: tree");
	}
	return buf_slice(&b);
}

static void
make_message(struct made *d, uint32_t n)
{
	static char text[DELIVER_ENVELOPE_MAX];
	struct deliver_message *m = &d->m;

	*m = (struct deliver_message){.fd = -1, .sent_date = 1, .summary = slice_str("summary")};
	if (crash_has_part(n))
		m->summary = part_summary();
	m->documents = crash_has_document(n);
	crash_id(n, m->id);
	memcpy(m->email_id, m->id, 16);
	m->size = crash_body_size(n);
	crash_body(n, d->body);
	m->body = slice_of(d->body, m->size);
	sha256_of(m->body, m->sha256);
	if (m->size > DELIVER_INLINE_MAX)
		m->fd = body_file(m->body);
	memset(text, 'e', sizeof text);
	m->envelope = slice_of(text, crash_mix(n) % 5 == 0 ? sizeof text : 300);
}

static void
append(struct worker *w, struct made *d, const unsigned char *group, uint32_t index,
    deliver_append_fn fn)
{
	unsigned acct = group == NULL ? w->to[0] : w->acct;
	struct deliver_append a = {.ticket = buf_slice(&T.ticket[acct]),
	    .mailbox = T.box[acct][1].id,
	    .keywords = slice_str(""),
	    .group = group,
	    .index = index,
	    .last = group == NULL || index + 1 == w->count};

	if (deliver_append(
		T.ingest[w - T.w < SENDERS ? w - T.w : 0], &d->m, &a, 4000, fn, w, NULL) != 0)
		fatal("crash_load: append");
}

static void
deliver(struct worker *w)
{
	static struct made d;
	struct deliver_target t[2];
	char account[2][8];
	unsigned fixed[3] = {w->message, w->to[0], w->to[1]};

	make_message(&d, w->message);
	for (size_t i = 0; i < w->n_to; i++) {
		snprintf(account[i], sizeof account[i], "p-%u", w->to[i]);
		t[i] = (struct deliver_target){.account = slice_str(account[i]),
		    .mailbox = slice_str("INBOX"),
		    .trace = slice_str(TRACE)};
	}
	w->seq = T.seq++;
	w->busy = true;
	w->again = false;
	tell(w->what, w->seq, fixed, 1 + w->n_to, NULL, 0);
	if (w->what == 'A')
		append(w, &d, NULL, 0, on_appended);
	else if (deliver_send(
		     T.ingest[rnd(SENDERS)], &d.m, t, w->n_to, 4000, on_delivered, w, NULL) != 0)
		fatal("crash_load: deliver");
	if (d.m.fd >= 0)
		close(d.m.fd);
}

static void
deliver_new(struct worker *w, char what)
{
	if (T.next >= CRASH_MESSAGES)
		return;
	w->what = what;
	w->message = T.next++;
	w->to[0] = rnd(CRASH_ACCOUNTS);
	w->to[1] = (w->to[0] + 1) % CRASH_ACCOUNTS;
	w->n_to = what == 'D' && rnd(3) == 0 ? 2 : 1;
	if (T.box[w->to[0]][0].state != READY || T.box[w->to[1]][0].state != READY)
		w->n_to = 0; /* INBOX is being renamed */
	for (size_t i = 0; i < w->n_to; i++)
		T.m[w->message][w->to[i]].busy = true;
	if (w->n_to > 0)
		deliver(w);
}

/* ---- several by one MULTIAPPEND: one after the other, and the last one's answer counts ---- */

static void on_part(void *arg, int err, uint32_t uidvalidity, uint32_t uid);

static void
part(struct worker *w)
{
	static struct made d;
	unsigned char group[16];

	make_message(&d, w->n[w->part]);
	crash_id(w->n[0], group);
	group[0] = 'g';
	append(w, &d, group, (uint32_t)w->part++, on_part);
	if (d.m.fd >= 0)
		close(d.m.fd);
}

static void
on_part(void *arg, int err, uint32_t uidvalidity, uint32_t uid)
{
	struct worker *w = arg;

	(void)uidvalidity;
	if (err == 0 && w->part < w->count) {
		part(w);
		return;
	}
	if (err == 0) {
		tell_number('b', w->seq, uid);
		for (size_t i = 0; i < w->count; i++) {
			told_there(w->n[i], w->acct, 1, uid + (uint32_t)i);
			T.m[w->n[i]][w->acct].busy = false;
		}
		T.done++;
	}
	T.errors += err != 0;
	w->busy = false;
}

static void
append_several(struct worker *w)
{
	w->what = 'B';
	w->acct = rnd(CRASH_ACCOUNTS);
	w->count = 2 + rnd(3);
	if (T.next + w->count > CRASH_MESSAGES)
		return;
	for (size_t i = 0; i < w->count; i++) {
		w->n[i] = T.next++;
		T.m[w->n[i]][w->acct].busy = true;
	}
	w->seq = T.seq++;
	w->busy = true;
	w->part = 0;
	tell('B', w->seq, &w->acct, 1, w->n, w->count);
	part(w);
}

/* ---- acts on messages ---- */

/* An act begins (1) or ends (-1) in a mailbox: meanwhile it stays what it is. */
static void
use(unsigned acct, unsigned box, int n)
{
	T.box[acct][box].users += (unsigned)n;
}

static void
act_done(struct worker *w, int err)
{
	T.errors += err != 0;
	for (size_t i = 0; i < w->count && err == 0; i++)
		T.m[w->n[i]][w->acct].busy = false;
	use(w->acct, w->box, -1);
	if (w->what == 'C' || w->what == 'M')
		use(w->acct, w->to_box, -1);
	w->busy = false;
	T.done += err == 0;
}

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_flagged *u, size_t n,
    const uint32_t *x, size_t nx)
{
	struct worker *w = arg;

	(void)u;
	(void)x;
	if (err == 0 && (n != w->count || nx != 0))
		fatal("crash_load: flags of %zu of %zu messages", n, w->count);
	if (err == 0)
		tell_number('f', w->seq, highest);
	for (size_t i = 0; i < w->count && err == 0; i++)
		T.m[w->n[i]][w->acct].value = w->value;
	act_done(w, err);
}

static void
on_expunged(void *arg, int err, uint64_t highest, const uint32_t *x, size_t nx)
{
	struct worker *w = arg;

	(void)x;
	if (err == 0 && nx != w->count)
		fatal("crash_load: %zu of %zu messages expunged", nx, w->count);
	if (err == 0)
		tell_number('f', w->seq, highest);
	for (size_t i = 0; i < w->count; i++)
		T.m[w->n[i]][w->acct].uid[w->box] = 0;
	act_done(w, err);
}

static void
on_copied(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	struct worker *w = arg;
	uint32_t uids[CRASH_BATCH] = {0};

	(void)uidvalidity;
	if (err == 0 && n != w->count)
		fatal("crash_load: %zu of %zu messages copied", n, w->count);
	for (size_t i = 0; i < n && err == 0; i++)
		for (size_t k = 0; k < w->count; k++) {
			struct msg *m = &T.m[w->n[k]][w->acct];

			if (m->uid[w->box] != src[i])
				continue;
			uids[k] = m->uid[w->to_box] = dst[i];
			if (w->what == 'M')
				m->uid[w->box] = 0;
			break;
		}
	if (err == 0)
		tell('c', w->seq, NULL, 0, uids, w->count);
	act_done(w, err);
}

static int
by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* Some messages of one mailbox that nobody is busy with: copies and moves need them not to be where they go yet. */
static void
choose(struct worker *w, uint32_t *uids)
{
	bool only_here = w->what == 'C' || w->what == 'M';
	uint32_t want = 1 + rnd(CRASH_BATCH), at = T.next == 0 ? 0 : rnd(T.next);

	w->count = 0;
	for (uint32_t i = 0; i < T.next && i < 400 && w->count < want; i++) {
		uint32_t n = (at + i) % T.next;
		struct msg *m = &T.m[n][w->acct];

		if (m->busy || m->uid[w->box] == 0 || (only_here && m->uid[w->to_box] != 0))
			continue;
		m->busy = true;
		w->n[w->count] = n;
		uids[w->count++] = m->uid[w->box];
	}
	qsort(uids, w->count, sizeof *uids, by_number);
}

/* A mailbox that is there, mostly one of the first two. */
static unsigned
some_box(unsigned acct)
{
	unsigned box = rnd(2) == 0 ? rnd(CRASH_FIXED) : rnd(CRASH_BOXES);

	return T.box[acct][box].state == READY ? box : 1;
}

static void
act_go(struct worker *w, const uint32_t *uids)
{
	struct store_session *s = T.s[w->acct];
	uint64_t box = T.box[w->acct][w->box].id, to = T.box[w->acct][w->to_box].id;
	unsigned char id[16];

	switch (w->what) {
	case 'F':
		store_flags(s, box, uids, w->count, STORE_SET, crash_flags(w->value),
		    slice_str(crash_keywords(w->value)), UINT64_MAX, on_flags, w);
		break;
	case 'X':
		store_expunge(s, box, uids, w->count, false, on_expunged, w);
		break;
	case 'C':
		store_copy(s, box, uids, w->count, to, on_copied, w);
		break;
	default:
		random_bytes(id, sizeof id);
		store_move(s, box, uids, w->count, to, id, on_copied, w);
	}
}

static void
act(struct worker *w, char what)
{
	uint32_t uids[CRASH_BATCH];
	unsigned fixed[3];
	bool two = what == 'C' || what == 'M';

	w->what = what;
	w->acct = rnd(CRASH_ACCOUNTS);
	w->box = some_box(w->acct);
	w->to_box = some_box(w->acct);
	w->value = rnd(CRASH_VALUES);
	if (T.box[w->acct][w->box].state != READY || (two && w->to_box == w->box))
		return;
	choose(w, uids);
	if (w->count == 0)
		return;
	fixed[0] = w->acct;
	fixed[1] = w->box;
	fixed[2] = what == 'F' ? w->value : w->to_box;
	w->seq = T.seq++;
	w->busy = true;
	use(w->acct, w->box, 1);
	if (two)
		use(w->acct, w->to_box, 1);
	T.of_kind[(unsigned char)what]++;
	tell(what, w->seq, fixed, what == 'X' ? 2 : 3, w->n, w->count);
	act_go(w, uids);
}

/* ---- reading ---- */

static void
on_read(void *arg, int err, struct slice bytes)
{
	static unsigned char want[400000];
	struct worker *w = arg;
	size_t size = crash_body_size(w->n[0]), trace = 0;

	if (err == 0) {
		crash_body(w->n[0], want);
		if (slice_starts(bytes, TRACE))
			trace = sizeof TRACE - 1;
		if (bytes.len - trace != (size < READ_LEN - trace ? size : READ_LEN - trace) ||
		    memcmp(bytes.ptr + trace, want, bytes.len - trace) != 0)
			fatal("crash_load: message %u was read with other octets", w->n[0]);
		T.reads++;
	}
	T.read_errors += err != 0;
	act_done(w, 0); /* it is as it was, whatever was answered */
}

static void
read_one(struct worker *w)
{
	uint32_t uids[CRASH_BATCH];

	w->what = 'L';
	w->acct = rnd(CRASH_ACCOUNTS);
	w->box = some_box(w->acct);
	if (T.box[w->acct][w->box].state != READY)
		return;
	choose(w, uids);
	for (size_t i = 1; i < w->count; i++)
		T.m[w->n[i]][w->acct].busy = false;
	if (w->count == 0)
		return;
	w->count = 1;
	w->busy = true;
	use(w->acct, w->box, 1);
	store_body(T.s[w->acct], T.box[w->acct][w->box].id, T.m[w->n[0]][w->acct].uid[w->box], 0,
	    READ_LEN, on_read, w);
}

/* ---- mailboxes that come and go ---- */

static void
learn(unsigned acct, unsigned i, const struct mbox_info *b)
{
	unsigned v[3] = {acct, i, b->uidvalidity};
	struct box *box = &T.box[acct][i];
	struct buf text;

	if (box->id == b->id && box->uidvalidity == b->uidvalidity)
		return;
	if (box->id == b->id)
		fatal("crash_load: the UIDVALIDITY of a mailbox is another one");
	box->id = b->id;
	box->uidvalidity = b->uidvalidity;
	buf_init(&text, 64);
	buf_appendf(&text, "V %u %u %u", v[0], v[1], v[2]);
	put(&text);
	buf_done(&text);
}

/* What the list of an account says of its mailboxes: numbers and UIDVALIDITY. Those that another act is changing are what they are once its
 * end was told. */
static void
take_list(unsigned acct, const struct mbox_info *b, size_t n)
{
	char name[16];

	for (size_t i = 0; i < n; i++)
		for (unsigned k = 0; k < CRASH_BOXES; k++)
			for (int renamed = 0; renamed < 2; renamed++) {
				crash_box_name(k, renamed, name);
				if (slice_eq_str(b[i].name, name) && T.box[acct][k].state != BUSY &&
				    (renamed == 0 || k >= CRASH_FIXED))
					learn(acct, k, &b[i]);
			}
}

static void
on_listed(void *arg, int err, const struct mbox_info *b, size_t n)
{
	struct worker *w = arg;

	w->busy = false;
	T.errors += err != 0;
	if (err != 0)
		return; /* nobody knows its number: left alone */
	T.box[w->acct][w->box].state = READY;
	if (w->what == 'I')
		T.box[w->acct][0].state = READY;
	take_list(w->acct, b, n);
}

static void
inbox_renamed(unsigned acct, unsigned box)
{
	T.box[acct][box].id = T.box[acct][0].id;
	T.box[acct][box].uidvalidity = T.box[acct][0].uidvalidity;
	T.box[acct][box].renamed = true;
	T.box[acct][0].id = 0;
	for (uint32_t n = 0; n < T.next; n++) {
		T.m[n][acct].uid[box] = T.m[n][acct].uid[0];
		T.m[n][acct].uid[0] = 0;
	}
}

static void
on_box(void *arg, int err)
{
	struct worker *w = arg;
	struct box *b = &T.box[w->acct][w->box];

	T.errors += err != 0;
	if (err != 0) {
		w->busy = false;
		return;
	}
	tell('n', w->seq, NULL, 0, NULL, 0);
	T.done++;
	if (w->what == 'R')
		b->renamed = !b->renamed;
	if (w->what == 'I')
		inbox_renamed(w->acct, w->box);
	if (w->what == 'E') {
		for (uint32_t n = 0; n < T.next; n++)
			T.m[n][w->acct].uid[w->box] = 0;
		*b = (struct box){.state = NONE};
		w->busy = false;
	} else {
		store_list(T.s[w->acct], on_listed, w);
	}
}

/* Nothing is under way for INBOX, and nothing will come again. */
static bool
is_quiet(unsigned acct)
{
	for (unsigned i = 0; i < WORKERS; i++)
		for (size_t k = 0; k < T.w[i].n_to; k++)
			if (T.w[i].to[k] == acct && (T.w[i].busy || T.w[i].again))
				return false;
	return T.box[acct][0].state == READY && T.box[acct][0].users == 0;
}

static void
change_box(struct worker *w)
{
	static const char when_there[] = "RRE", when_not[] = "NNNNNI";
	unsigned fixed[2];
	struct box *b;
	char name[16];

	w->acct = rnd(CRASH_ACCOUNTS);
	w->box = CRASH_FIXED + rnd(CRASH_BOXES - CRASH_FIXED);
	b = &T.box[w->acct][w->box];
	if (b->state == BUSY || b->users > 0)
		return;
	w->what = b->state == READY ? when_there[rnd(3)] : when_not[rnd(6)];
	if (w->what == 'I' && !is_quiet(w->acct))
		w->what = 'N';
	b->state = BUSY;
	fixed[0] = w->acct;
	fixed[1] = w->box;
	w->seq = T.seq++;
	w->busy = true;
	w->n_to = w->count = 0;
	T.of_kind[(unsigned char)w->what]++;
	tell(w->what, w->seq, fixed, 2, NULL, 0);
	crash_box_name(w->box, w->what == 'I' || (w->what == 'R' && !b->renamed), name);
	if (w->what == 'N')
		store_create(T.s[w->acct], slice_str(""), slice_str(name), 0, on_box, w);
	else if (w->what == 'E')
		store_delete(T.s[w->acct], b->id, on_box, w);
	else if (w->what == 'R')
		store_rename(T.s[w->acct], b->id, slice_str(name), on_box, w);
	else {
		T.box[w->acct][0].state = BUSY;
		store_rename(T.s[w->acct], T.box[w->acct][0].id, slice_str(name), on_box, w);
	}
}

/* What nobody refers to is collected, and files that hold little are rewritten, beside all else. */
static void
space(void)
{
	struct ipc_sync *s = ipc_sync_new(T.run.admin_sock, &store_proto, IPC_ADMIN);
	bool collect = T.spaces++ % 2 == 0;
	struct buf b, reply;
	uint16_t type;

	buf_init(&b, 256);
	buf_init(&reply, 65536);
	ipc_put_str(&b, collect ? "collect" : "compact");
	ipc_put_str(&b, collect ? "{}" : "{\"min_live\":99}");
	/* one may be under way, or stored be away */
	(void)ipc_sync_call(s, STORE_TASK_START, &b, -1, 300, &type, &reply, NULL);
	buf_done(&b);
	buf_done(&reply);
	ipc_sync_free(s);
}

static void
work(struct worker *w)
{
	static const char acts[] = "DDDDDDDDDAABFFFFFFXXCCMMMNNLL";
	char what;

	if (w->busy)
		return;
	if (w->again) {
		deliver(w);
		return;
	}
	T.acts++;
	if (T.acts % SPACE_ACTS == 0)
		space();
	w->n_to = 0;
	what = acts[rnd(sizeof acts - 1)];
	if (what == 'A' || what == 'D')
		deliver_new(w, what);
	else if (what == 'B')
		append_several(w);
	else if (what == 'N')
		change_box(w);
	else if (what == 'L')
		read_one(w);
	else
		act(w, what);
}

/* ---- from start to end ---- */

enum { ASKED = 1, OPEN, LISTED };

static void
on_session(void *arg, int err)
{
	unsigned char *up = arg;

	*up = err == 0 ? OPEN : 0;
	T.errors += err != 0;
}

static void
on_list(void *arg, int err, const struct mbox_info *b, size_t n)
{
	struct box *box = arg;
	unsigned acct = (unsigned)((struct box(*)[CRASH_BOXES])box - T.box);
	struct buf text;

	T.up[acct] = err == 0 ? LISTED : OPEN;
	T.errors += err != 0;
	if (err != 0)
		return;
	buf_init(&text, 64);
	buf_appendf(&text, "S %u", acct);
	put(&text);
	buf_done(&text);
	take_list(acct, b, n);
	for (unsigned k = 0; k < CRASH_FIXED; k++)
		box[k].state = READY;
}

static void
begin(void)
{
	T.l = loop_new();
	if (stored_run_new(&T.run,
		"store_cache_mb = 8\nquota_mb = 100000\nundelete_mb = 1\ncollect_grace_s = 0\n") !=
	    0)
		fatal("crash_load: stored cannot be started");
	for (int i = 0; i < SENDERS; i++)
		T.ingest[i] = deliver_client_new(T.l, T.run.ingest_sock);
	T.imap = store_client_new(T.l, T.run.imapd_sock);
	crash_text_begin(T.l, T.run.ingest_sock, T.seed);
	for (unsigned i = 0; i < CRASH_ACCOUNTS; i++) {
		char account[8];

		snprintf(account, sizeof account, "p-%u", i);
		buf_init(&T.ticket[i], 65536);
		stored_run_ticket(
		    &T.run, account, 0, (int64_t)time(NULL) + TICKET_S, NULL, 0, &T.ticket[i]);
	}
}

/* Signs in, and learns the numbers of the mailboxes; again where it went wrong. Whether all is done. */
static bool
sign_in(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CRASH_ACCOUNTS; i++) {
		n += T.up[i] == LISTED;
		if (T.up[i] == 0) {
			store_session_free(T.s[i]);
			T.up[i] = ASKED;
			T.s[i] = store_session_new(
			    T.imap, buf_slice(&T.ticket[i]), on_session, NULL, NULL, &T.up[i]);
		} else if (T.up[i] == OPEN) {
			T.up[i] = ASKED;
			store_list(T.s[i], on_list, T.box[i]);
		}
	}
	return n == CRASH_ACCOUNTS;
}

static bool
any_busy(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (T.w[i].busy)
			return true;
	return false;
}

/* dies: as by kill -9, while it recovers (which zeros the rest of its log in some eight hundred writes) or later, with a piece of its log
 * written and not synced, in the middle of pages that go to their places or, before that, beside them, or with a file of bodies whose name is not synced. */
static void
start(bool dies)
{
	/* in turn, so that each comes up; a new file of bodies is seldom made, and few records come before */
	static const char *const at[] = {"", "segments/:0", "db/log.", "db/pages.dw:+", "db/log.",
	    "db/rows.db", "segments/:0", "db/pages.dw:+"};
	static unsigned turn;
	const char *where = at[dies ? turn++ % (sizeof at / sizeof *at) : 0];
	char text[16];

	T.dies = dies;
	snprintf(text, sizeof text, "%u", dies ? 20 + rnd(where[0] == 's' ? 100 : 900) : 0);
	if (setenv("CONGVU_CRASH_END", text, 1) != 0 || setenv("CONGVU_CRASH_AT", where, 1) != 0 ||
	    stored_run_start(&T.run) != 0)
		fatal("crash_load: stored cannot be started again");
}

static void
revive(void)
{
	int status;

	if (waitpid(T.run.pid, &status, WNOHANG) != T.run.pid)
		return;
	if (!T.dies && T.fault == NULL)
		fatal("crash_load: stored ended by itself: %x", (unsigned)status);
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		fatal("crash_load: stored crashed: signal %d", WTERMSIG(status));
	if (++T.deaths > DEATHS)
		fatal("crash_load: stored does not stay up");
	if (setenv("CONGVU_FAULT", "", 1) != 0)
		fatal("crash_load: setenv");
	start(false);
}

static void
settle(void)
{
	uint64_t t0 = loop_now_ms(T.l);

	while (any_busy() && loop_now_ms(T.l) - t0 < 30000) {
		revive();
		loop_run_once(T.l, 20);
	}
}

/* As by hand, or by a time server that was away. */
static void
set_clock(void)
{
	static const int64_t by[] = {0, 86400, -86400, 10 * 365 * 86400L, -10 * 365 * 86400L};

	if (T.clock && rnd(40) == 0)
		__atomic_store_n(&T.page->clock_s, by[rnd(5)], __ATOMIC_RELAXED);
}

/* kill -9 at random moments, every other one only when something was answered since the last: on a busy machine most would meet a start. */
static void
run_killed(unsigned kills, uint32_t acts)
{
	uint64_t t0 = loop_now_ms(T.l), next = 0;
	unsigned killed = 0, done = 0;

	while (killed < kills && loop_now_ms(T.l) - t0 < KILLED_LIMIT_S * 1000) {
		if (T.acts < acts * (killed + 1) / kills || any_busy())
			for (unsigned i = 0; i < WORKERS; i++)
				if (T.w[i].again || T.acts < acts * (killed + 1) / kills)
					work(&T.w[i]);
		loop_run_once(T.l, 2);
		revive();
		if (loop_now_ms(T.l) - t0 < next ||
		    (killed % 2 == 0 && T.done == done && T.acts < acts &&
			loop_now_ms(T.l) - t0 < next + ANSWER_MS))
			continue;
		stored_run_end(&T.run, SIGKILL);
		start(false);
		killed++;
		done = T.done;
		next = loop_now_ms(T.l) - t0 + 20 + rnd(180);
	}
	if (killed < kills)
		fatal("crash_load: %u of %u kills in time", killed, kills);
	settle();
	for (int i = 0; i < 10; i++) {
		for (unsigned k = 0; k < WORKERS; k++)
			if (T.w[k].again)
				deliver(&T.w[k]);
		settle();
	}
	printf("%u kills; ", killed);
}

static void
run(uint32_t acts, unsigned restarts)
{
	uint64_t t0 = loop_now_ms(T.l);
	unsigned restarted = 0;

	while (T.acts < acts && loop_now_ms(T.l) - t0 < LIMIT_S * 1000) {
		for (unsigned i = 0; i < WORKERS; i++)
			work(&T.w[i]);
		loop_run_once(T.l, 5);
		revive();
		set_clock();
		if (restarted < restarts && T.acts > (restarted + 1) * acts / (restarts + 1)) {
			restarted++;
			stored_run_end(&T.run, SIGTERM);
			start(true);
		}
	}
	settle();
	for (unsigned i = 0; i < WORKERS; i++)
		if (T.w[i].again)
			deliver(&T.w[i]);
	settle();
}

int
main(int argc, char **argv)
{
	uint32_t acts = 600;
	unsigned restarts = 4, kills = 0;
	const char *keep = NULL;
	char store[128];
	unsigned texts;
	int o;

	T.seed = 1;
	while ((o = getopt(argc, argv, "n:s:r:f:cK:d:")) != -1) {
		unsigned v = (unsigned)strtoul(optarg == NULL ? "" : optarg, NULL, 10);

		if (o == 'f')
			T.fault = optarg;
		else if (o == 'c')
			T.clock = true;
		else if (o == 'K')
			kills = v;
		else if (o == 'd')
			keep = optarg;
		else if (o == 'n')
			acts = v;
		else if (o == 's')
			T.seed = v;
		else if (o == 'r')
			restarts = v;
		else
			return 64;
	}
	if (optind + 1 != argc)
		return 64;
	log_init("crash_load", 2);
	crash_record_begin(argv[optind]);
	T.page = crash_page_make();
	if (T.fault != NULL && setenv("CONGVU_FAULT", T.fault, 1) != 0)
		fatal("crash_load: setenv");
	begin();
	for (int i = 0; i < 1500 && !sign_in(); i++) {
		loop_run_once(T.l, 20);
		revive();
	}
	if (!sign_in())
		fatal("crash_load: stored does not answer");
	if (kills > 0)
		run_killed(kills, acts);
	else
		run(acts, restarts);
	snprintf(store, sizeof store, "%s/store", T.run.dir);
	stored_run_end(&T.run, SIGTERM);
	if (keep != NULL && rename(store, keep) != 0)
		fatal("crash_load: the store cannot be put to %s", keep);
	store_client_free(T.imap);
	texts = crash_text_end();
	for (int i = 0; i < SENDERS; i++)
		deliver_client_free(T.ingest[i]);
	stored_run_done(&T.run);
	loop_free(T.l);
	printf("%u acts, %u messages, %u answered, %u without an answer, %u read, %u texts;",
	    (unsigned)T.acts, (unsigned)T.next, (unsigned)T.done, (unsigned)T.errors, T.reads,
	    texts);
	for (unsigned i = 0; i < sizeof T.of_kind / sizeof *T.of_kind; i++)
		if (T.of_kind[i] > 0)
			printf(" %c %u", (int)i, T.of_kind[i]);
	if (T.fault != NULL)
		printf("; %llu faults, %u deaths, %u reads refused",
		    (unsigned long long)T.page->hits, T.deaths, T.read_errors);
	printf("; calls:");
	for (unsigned i = 0; i < FAULT_OPS; i++)
		printf(" %s %llu", fault_ops[i], (unsigned long long)T.page->calls[i]);
	putchar('\n');
	return T.done <
	       T.acts / 6; /* an account whose INBOX is in the middle of something is left alone */
}
