/* crash_load.c: loads a congvu-stored-db under shim.c for crash_check.c: deliveries, APPEND, flags, expunges, copies and moves, many at
 * once, with kill -9 and orderly ends in between. Runs in tests:
 *   crash_load [-n acts] [-s seed] [-r restarts] RECORD
 * STORED_BIN, STORED_PRELOAD: the program and the shim. Before each act it writes to RECORD what it will do, and after the answer that it
 * is done, as texts (seq: number of the act, a: account, n: message, flags: all those it has then):
 *   D seq n a...        delivery                          d seq uid...   (0: not to this one)
 *   A seq n a           APPEND to Archive                 d seq uid
 *   F seq a box flags n...                                f seq modseq
 *   X seq a box n...    expunge                           f seq modseq
 *   C seq a n...        copy from INBOX to Archive        c seq uid...
 *   M seq a n...        move, the same                    c seq uid...
 * A message is in one act at a time; what an act without an answer did is not known, and the message is left alone then, but for
 * deliveries, which are made again under the same id until they are answered. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/deliver_client.h"
#include "store/store_client.h"
#include "tests/crash/crash.h"
#include "tests/unit/stored_run.h"

enum { WORKERS = 12, SENDERS = 3, LIMIT_S = 120 };

struct msg {
	uint32_t uid[CRASH_BOXES]; /* 0: not there, or nobody knows */
	bool busy;
};
struct worker {
	bool busy;
	uint32_t seq;
	char what;
	unsigned acct, box;
	uint32_t n[CRASH_BATCH];
	size_t count;
	/* a delivery that waits for its answer */
	uint32_t message;
	unsigned to[2];
	size_t n_to;
	bool again; /* it must be made again */
};
static struct {
	struct loop *l;
	struct stored_run run;
	int record;
	uint32_t seed, seq, next, acts, errors, done;
	struct deliver_client *ingest[SENDERS];
	struct store_client *imap;
	struct store_session *s[CRASH_ACCOUNTS];
	struct buf ticket[CRASH_ACCOUNTS];
	uint64_t box[CRASH_ACCOUNTS][CRASH_BOXES];
	struct msg m[CRASH_MESSAGES][CRASH_ACCOUNTS];
	struct worker w[WORKERS];
	unsigned ready, failed;
	bool dies; /* stored will end by itself (shim.c) */
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
	struct crash_rec r = {CRASH_TEXT, (uint32_t)b->len, 0, 0};
	struct iovec v[2] = {{&r, sizeof r}, {b->data, b->len}};

	if (writev(T.record, v, 2) != (ssize_t)(sizeof r + b->len))
		fatal("crash_load: the record cannot be written");
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
tell_modseq(uint32_t seq, uint64_t modseq)
{
	struct buf b;

	buf_init(&b, 4096);
	buf_appendf(&b, "f %u %llu", (unsigned)seq, (unsigned long long)modseq);
	put(&b);
	buf_done(&b);
}

/* ---- deliveries ---- */

static void
delivered(struct worker *w, const uint32_t *uids)
{
	bool all = true;

	for (size_t i = 0; i < w->n_to; i++)
		if (uids[i] != 0)
			T.m[w->message][w->to[i]].uid[w->what == 'A' ? 1 : 0] = uids[i];
		else
			all = false;
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

static void
deliver(struct worker *w)
{
	static unsigned char body[400000];
	static char text[DELIVER_ENVELOPE_MAX];
	struct deliver_message m = {.fd = -1, .sent_date = 1, .summary = slice_str("summary")};
	struct deliver_target t[2];
	struct deliver_client *c = T.ingest[rnd(SENDERS)];
	char account[2][8];

	crash_id(w->message, m.id);
	memcpy(m.email_id, m.id, 16);
	m.size = crash_body_size(w->message);
	crash_body(w->message, body);
	m.body = slice_of(body, m.size);
	sha256_of(m.body, m.sha256);
	if (m.size > DELIVER_INLINE_MAX)
		m.fd = body_file(m.body);
	memset(text, 'e', sizeof text);
	m.envelope = slice_of(text, crash_mix(w->message) % 5 == 0 ? sizeof text : 300);
	for (size_t i = 0; i < w->n_to; i++) {
		snprintf(account[i], sizeof account[i], "p-%u", w->to[i]);
		t[i] = (struct deliver_target){.account = slice_str(account[i]),
		    .mailbox = slice_str("INBOX"),
		    .trace = slice_str("X-Crash: yes\r\n")};
	}
	w->seq = T.seq++;
	w->busy = true;
	w->again = false;
	{
		unsigned fixed[3] = {w->message, w->to[0], w->to[1]};

		tell(w->what, w->seq, fixed, 1 + w->n_to, NULL, 0);
	}
	if (w->what == 'A') {
		struct deliver_append a = {.ticket = buf_slice(&T.ticket[w->to[0]]),
		    .mailbox = T.box[w->to[0]][1],
		    .keywords = slice_str(""),
		    .last = true};

		if (deliver_append(c, &m, &a, 4000, on_appended, w, NULL) != 0)
			fatal("crash_load: append");
	} else if (deliver_send(c, &m, t, w->n_to, 4000, on_delivered, w, NULL) != 0) {
		fatal("crash_load: deliver");
	}
	if (m.fd >= 0)
		close(m.fd);
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
	for (size_t i = 0; i < w->n_to; i++)
		T.m[w->message][w->to[i]].busy = true;
	deliver(w);
}

/* ---- acts on messages ---- */

static void
act_done(struct worker *w, int err)
{
	if (err != 0)
		T.errors++;
	for (size_t i = 0; i < w->count && err == 0; i++)
		T.m[w->n[i]][w->acct].busy = false;
	w->busy = false;
	T.done++;
}

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_uid *u, size_t n,
    const uint32_t *x, size_t nx)
{
	struct worker *w = arg;

	(void)u;
	(void)x;
	if (err == 0 && (n != w->count || nx != 0))
		fatal("crash_load: flags of %zu of %zu messages", n, w->count);
	if (err == 0)
		tell_modseq(w->seq, highest);
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
		tell_modseq(w->seq, highest);
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

			if (m->uid[0] != src[i])
				continue;
			uids[k] = m->uid[1] = dst[i];
			if (w->what == 'M')
				m->uid[0] = 0;
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

/* Some messages of one mailbox that nobody is busy with: copies and moves need them not to be in Archive yet. */
static void
choose(struct worker *w, uint32_t *uids)
{
	bool only_here = w->what == 'C' || w->what == 'M';
	uint32_t want = 1 + rnd(CRASH_BATCH), at = T.next == 0 ? 0 : rnd(T.next);

	w->count = 0;
	for (uint32_t i = 0; i < T.next && i < 400 && w->count < want; i++) {
		uint32_t n = (at + i) % T.next;
		struct msg *m = &T.m[n][w->acct];

		if (m->busy || m->uid[w->box] == 0 || (only_here && m->uid[1] != 0))
			continue;
		m->busy = true;
		w->n[w->count] = n;
		uids[w->count++] = m->uid[w->box];
	}
	qsort(uids, w->count, sizeof *uids, by_number);
}

static void
act(struct worker *w, char what)
{
	uint32_t uids[CRASH_BATCH], flags = rnd(8); /* \Seen, \Answered, \Flagged */
	unsigned char id[16];
	struct store_session *s;
	uint64_t box;
	unsigned fixed[3];

	w->what = what;
	w->acct = rnd(CRASH_ACCOUNTS);
	w->box = what == 'F' || what == 'X' ? rnd(CRASH_BOXES) : 0;
	choose(w, uids);
	if (w->count == 0)
		return;
	s = T.s[w->acct];
	box = T.box[w->acct][w->box];
	fixed[0] = w->acct;
	fixed[1] = w->box;
	fixed[2] = flags;
	w->seq = T.seq++;
	w->busy = true;
	tell(what, w->seq, fixed, what == 'F' ? 3 : what == 'X' ? 2 : 1, w->n, w->count);
	if (what == 'F')
		store_flags(s, box, uids, w->count, STORE_SET, flags, slice_str(""), UINT64_MAX,
		    on_flags, w);
	else if (what == 'X')
		store_expunge(s, box, uids, w->count, false, on_expunged, w);
	else if (what == 'C')
		store_copy(s, box, uids, w->count, T.box[w->acct][1], on_copied, w);
	else {
		random_bytes(id, sizeof id);
		store_move(s, box, uids, w->count, T.box[w->acct][1], id, on_copied, w);
	}
}

static void
work(struct worker *w)
{
	static const char acts[] = "DDDDDDDAFFFFFXCM";

	if (w->busy)
		return;
	if (w->again) {
		deliver(w);
		return;
	}
	T.acts++;
	switch (acts[rnd(sizeof acts - 1)]) {
	case 'A':
		deliver_new(w, 'A');
		break;
	case 'F':
		act(w, 'F');
		break;
	case 'X':
		act(w, 'X');
		break;
	case 'C':
		act(w, 'C');
		break;
	case 'M':
		act(w, 'M');
		break;
	default:
		deliver_new(w, 'D');
	}
}

/* ---- from start to end ---- */

static void
on_session(void *arg, int err)
{
	(void)arg;
	if (err != 0)
		T.failed++;
	T.ready++;
}

static void
on_list(void *arg, int err, const struct mbox_info *b, size_t n)
{
	uint64_t *box = arg;

	if (err != 0)
		T.failed++;
	for (size_t i = 0; i < n && err == 0; i++)
		for (size_t k = 0; k < CRASH_BOXES; k++)
			if (slice_eq_str(b[i].name, crash_boxes[k]))
				box[k] = b[i].id;
	T.ready++;
}

static void
wait_for(unsigned ready)
{
	for (int i = 0; i < 1500 && T.ready < ready; i++)
		loop_run_once(T.l, 20);
	if (T.ready < ready || T.failed > 0)
		fatal("crash_load: stored does not answer");
}

static void
begin(void)
{
	T.l = loop_new();
	if (stored_run_new(&T.run, "store_cache_mb = 8\nquota_mb = 100000\n") != 0)
		fatal("crash_load: stored cannot be started");
	for (int i = 0; i < SENDERS; i++)
		T.ingest[i] = deliver_client_new(T.l, T.run.ingest_sock);
	T.imap = store_client_new(T.l, T.run.imapd_sock);
	for (unsigned i = 0; i < CRASH_ACCOUNTS; i++) {
		char account[8];

		snprintf(account, sizeof account, "p-%u", i);
		buf_init(&T.ticket[i], 65536);
		stored_run_ticket(
		    &T.run, account, 0, (int64_t)time(NULL) + 1000, NULL, 0, &T.ticket[i]);
		T.s[i] = store_session_new(
		    T.imap, buf_slice(&T.ticket[i]), on_session, NULL, NULL, NULL);
	}
	wait_for(CRASH_ACCOUNTS);
	for (unsigned i = 0; i < CRASH_ACCOUNTS; i++)
		store_list(T.s[i], on_list, T.box[i]);
	wait_for(2 * CRASH_ACCOUNTS);
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
 * written and not synced. */
static void
start(bool dies)
{
	char text[16];
	bool early = rnd(3) == 0;

	T.dies = dies;
	snprintf(text, sizeof text, "%u", dies ? 20 + rnd(900) : 0);
	if (setenv("CONGVU_CRASH_END", text, 1) != 0 ||
	    setenv("CONGVU_CRASH_AT", early ? "" : "db/log.", 1) != 0 ||
	    stored_run_start(&T.run) != 0)
		fatal("crash_load: stored cannot be started again");
}

static void
revive(void)
{
	if (T.dies && waitpid(T.run.pid, NULL, WNOHANG) == T.run.pid)
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
	unsigned restarts = 4;
	int o;

	T.seed = 1;
	while ((o = getopt(argc, argv, "n:s:r:")) != -1) {
		unsigned v = (unsigned)strtoul(optarg == NULL ? "" : optarg, NULL, 10);

		if (o == 'n')
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
	T.record = open(argv[optind], O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (T.record < 0 || setenv("CONGVU_CRASH_LOG", argv[optind], 1) != 0)
		fatal("crash_load: %s cannot be made", argv[optind]);
	begin();
	run(acts, restarts);
	store_client_free(T.imap);
	for (int i = 0; i < SENDERS; i++)
		deliver_client_free(T.ingest[i]);
	stored_run_done(&T.run);
	loop_free(T.l);
	close(T.record);
	printf("%u acts, %u messages, %u answered, %u without an answer\n", (unsigned)T.acts,
	    (unsigned)T.next, (unsigned)T.done, (unsigned)T.errors);
	return T.done < acts / 2;
}
