/* stored_test.c: a real congvu-stored-db, driven as imapd and as ingest do it. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/epoch_client.h"
#include "store/deliver_client.h"
#include "store/store_client.h"
#include "store/store_proto.h"
#include "tests/unit/stored_run.h"

struct box {
	uint64_t id;
	char account[48], share[64], name[200], rights[32];
	uint32_t attrs, uidvalidity, uidnext, messages, unseen, recent;
	uint64_t modseq, size;
};
struct fix {
	struct loop *l;
	struct stored_run run;
	struct store_client *imap;
	struct deliver_client *ingest;
	/* what came */
	bool done;
	int err;
	struct box boxes[100];
	size_t n_boxes;
	char subs[2000];
	struct store_opened opened;
	char keywords[500];
	struct store_uid uids[10000];
	size_t n_uids;
	uint32_t numbers[10000], dst[10000];
	size_t n_numbers;
	uint32_t next, uidvalidity, uid;
	uint64_t highest, forgotten, before;
	bool more;
	struct buf bytes;
	char row_kw[200];
	struct msg_row row;
	size_t n_rows;
	struct deliver_result res[DELIVER_TARGETS_MAX];
	size_t n_res;
	unsigned events, lost;
	uint64_t event_mailbox;
	bool event_gone;
};
static struct fix *F;

static void
wait_done(void)
{
	uint64_t t0 = (uint64_t)time(NULL);

	while (!F->done && (uint64_t)time(NULL) - t0 < 20)
		loop_run_once(F->l, 50);
	assert_true(F->done);
	F->done = false;
}

static void
spin(unsigned ms)
{
	for (unsigned i = 0; i < ms / 10 + 1; i++)
		loop_run_once(F->l, 10);
}

static int
setup_conf(void **state, const char *conf)
{
	F = xcalloc(1, sizeof *F);
	*state = F;
	F->l = loop_new();
	buf_init(&F->bytes, 1 << 20);
	if (stored_run_new(&F->run, conf) != 0)
		return -1;
	F->imap = store_client_new(F->l, F->run.imapd_sock);
	F->ingest = deliver_client_new(F->l, F->run.ingest_sock);
	return 0;
}

static int
setup(void **state)
{
	return setup_conf(state, NULL);
}

static int
setup_small(void **state)
{
	return setup_conf(state, "quota_mb = 1\n");
}

static int
setup_few(void **state)
{
	return setup_conf(state, "quota_messages = 3\n");
}

static int
setup_history(void **state)
{
	return setup_conf(state, "expunge_history = 10\n");
}

static int
teardown(void **state)
{
	(void)state;
	store_client_free(F->imap);
	deliver_client_free(F->ingest);
	stored_run_done(&F->run);
	buf_done(&F->bytes);
	loop_free(F->l);
	free(F);
	return 0;
}

/* ---- completions ---- */

static void
on_done(void *arg, int err)
{
	(void)arg;
	F->err = err;
	F->done = true;
}

static void
on_event(void *arg, uint64_t mailbox, uint64_t modseq, bool gone)
{
	(void)arg;
	(void)modseq;
	F->events++;
	F->event_mailbox = mailbox;
	F->event_gone = gone;
}

static void
on_lost(void *arg)
{
	(void)arg;
	F->lost++;
}

static void
keep(char *out, size_t n, struct slice s)
{
	snprintf(out, n, "%.*s", (int)s.len, (const char *)s.ptr);
}

static void
on_list(void *arg, int err, const struct mbox_info *b, size_t n)
{
	F->n_boxes = n;
	for (size_t i = 0; i < n; i++) {
		struct box *o = &F->boxes[i];

		o->id = b[i].id;
		keep(o->account, sizeof o->account, b[i].account);
		keep(o->share, sizeof o->share, b[i].share);
		keep(o->name, sizeof o->name, b[i].name);
		keep(o->rights, sizeof o->rights, b[i].rights);
		o->attrs = b[i].attrs;
		o->uidvalidity = b[i].uidvalidity;
		o->uidnext = b[i].uidnext;
		o->messages = b[i].messages;
		o->unseen = b[i].unseen;
		o->recent = b[i].recent;
		o->modseq = b[i].highest_modseq;
		o->size = b[i].size;
	}
	on_done(arg, err);
}

static void
on_subs(void *arg, int err, const struct store_sub *s, size_t n)
{
	F->subs[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(F->subs + strlen(F->subs), sizeof F->subs - strlen(F->subs), "%.*s ",
		    (int)s[i].name.len, (const char *)s[i].name.ptr);
	on_done(arg, err);
}

static void
on_opened(void *arg, int err, const struct store_opened *o)
{
	if (err == 0) {
		F->opened = *o;
		keep(F->keywords, sizeof F->keywords, o->keywords);
	}
	on_done(arg, err);
}

static void
on_uids(void *arg, int err, const struct store_uid *u, size_t n, uint32_t next)
{
	F->n_uids = n;
	if (n > 0)
		memcpy(F->uids, u, n * sizeof *u);
	F->next = next;
	on_done(arg, err);
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	F->n_rows = n;
	F->next = next;
	if (n > 0) {
		F->row = rows[0];
		keep(F->row_kw, sizeof F->row_kw, rows[0].keywords);
	}
	on_done(arg, err);
}

static void
on_changes(void *arg, int err, uint64_t highest, bool more, uint64_t forgotten,
    const struct store_uid *u, size_t n, const uint32_t *x, size_t nx)
{
	F->forgotten = forgotten;
	F->highest = highest;
	F->more = more;
	on_uids(arg, err, u, n, 0);
	F->n_numbers = nx;
	if (nx > 0)
		memcpy(F->numbers, x, nx * sizeof *x);
}

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_flagged *u, size_t n,
    const uint32_t *x, size_t nx)
{
	struct store_uid plain[8] = {{0, 0, 0}};

	assert_true(n <= 8);
	for (size_t i = 0; i < n; i++)
		plain[i] = (struct store_uid){u[i].uid, u[i].flags, u[i].modseq};
	F->before = n > 0 ? u[0].before : 0;
	on_changes(arg, err, highest, false, 0, plain, n, x, nx);
}

static void
on_expunged(void *arg, int err, uint64_t highest, const uint32_t *x, size_t nx)
{
	on_changes(arg, err, highest, false, 0, NULL, 0, x, nx);
}

static void
on_copied(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	F->uidvalidity = uidvalidity;
	F->n_numbers = n;
	if (n > 0) {
		memcpy(F->numbers, src, n * sizeof *src);
		memcpy(F->dst, dst, n * sizeof *dst);
	}
	on_done(arg, err);
}

static void
on_bytes(void *arg, int err, struct slice b)
{
	buf_reset(&F->bytes);
	buf_append_slice(&F->bytes, b);
	on_done(arg, err);
}

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	F->n_res = n;
	if (n > 0)
		memcpy(F->res, r, n * sizeof *r);
	on_done(arg, err);
}

static void
on_appended(void *arg, int err, uint32_t uidvalidity, uint32_t uid)
{
	F->uidvalidity = uidvalidity;
	F->uid = uid;
	on_done(arg, err);
}

/* ---- acts ---- */

static struct store_session *
login_with(const char *account, uint64_t epoch, const struct token_share *shares, size_t n)
{
	struct store_session *s;
	struct buf t;

	buf_init(&t, 65536);
	stored_run_ticket(&F->run, account, epoch, (int64_t)time(NULL) + 1000, shares, n, &t);
	s = store_session_new(F->imap, buf_slice(&t), on_done, on_event, on_lost, NULL);
	buf_done(&t);
	wait_done();
	return s;
}

static struct store_session *
login(const char *account)
{
	struct store_session *s = login_with(account, 0, NULL, 0);

	assert_int_equal(F->err, 0);
	return s;
}

static struct deliver_message
message(const char *id, const char *text)
{
	struct deliver_message m = {.size = strlen(text),
	    .body = slice_str(text),
	    .fd = -1,
	    .summary = slice_str("SUM"),
	    .envelope = slice_str("(ENV)"),
	    .sent_date = 1000};

	memset(m.id, 0, sizeof m.id);
	memcpy(m.id, id, strlen(id));
	sha256_of(m.body, m.sha256);
	memset(m.email_id, 7, sizeof m.email_id);
	return m;
}

static struct deliver_target
target(const char *account, const char *mailbox)
{
	return (struct deliver_target){.account = slice_str(account),
	    .mailbox = slice_str(mailbox),
	    .trace = slice_str("Return-Path: <>\r\n"),
	    .internal_date = 5000,
	    .internal_zone = 420};
}

static void
deliver(const char *id, const char *account, const char *text)
{
	struct deliver_message m = message(id, text);
	struct deliver_target t = target(account, "INBOX");

	assert_int_equal(deliver_send(F->ingest, &m, &t, 1, 0, on_delivered, NULL, NULL), 0);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(F->n_res, 1);
}

static struct box *
box(struct store_session *s, const char *name)
{
	store_list(s, on_list, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	for (size_t i = 0; i < F->n_boxes; i++)
		if (strcmp(F->boxes[i].name, name) == 0)
			return &F->boxes[i];
	return NULL;
}

static void
flags(struct store_session *s, uint64_t mb, uint32_t uid, enum store_op op, uint32_t f,
    const char *kw, uint64_t unchanged)
{
	store_flags(s, mb, &uid, 1, op, f, slice_str(kw), unchanged, on_flags, NULL);
	wait_done();
}

static void
row(struct store_session *s, uint64_t mb, uint32_t uid)
{
	store_rows(s, mb, uid, uid, on_rows, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
}

/* The first of the messages whole, the UIDs of the rest. */
static void
on_contents(void *arg, int err, const struct store_content *v, size_t n, size_t n_done)
{
	(void)arg;
	F->err = err;
	buf_reset(&F->bytes);
	buf_appendf(&F->bytes, "done %zu:", n_done);
	for (size_t i = 0; i < n; i++) {
		buf_appendf(&F->bytes, " %u ", v[i].uid);
		if (i > 0)
			continue;
		buf_append_slice(&F->bytes, v[i].summary);
		buf_append_byte(&F->bytes, '|');
		buf_append_slice(&F->bytes, v[i].bytes);
		buf_append_byte(&F->bytes, ';');
	}
	F->done = true;
}

static void
changes(struct store_session *s, uint64_t mb, uint64_t since)
{
	store_changes(s, mb, since, on_changes, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
}

static void
body_is(struct store_session *s, uint64_t mb, uint32_t uid, uint64_t off, uint32_t len,
    const char *want)
{
	store_body(s, mb, uid, off, len, on_bytes, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_string_equal(buf_cstr(&F->bytes), want);
}

/* ---- tests ---- */

static void
new_account(void **state)
{
	struct store_session *s = login("p-1");
	struct box *b;

	(void)state;
	assert_non_null(b = box(s, "INBOX"));
	assert_int_equal(F->n_boxes, 6);
	assert_string_equal(b->account, "p-1");
	assert_string_equal(b->rights, "lrswipkxtea");
	assert_true(b->attrs & MBOX_SUBSCRIBED);
	assert_true(b->uidvalidity > 0 && b->uidnext == 1 && b->messages == 0);
	assert_true(box(s, "Sent")->attrs & MBOX_SENT);
	assert_true(box(s, "Trash")->attrs & MBOX_TRASH);
	store_subscriptions(s, on_subs, NULL);
	wait_done();
	assert_string_equal(F->subs, "Archive Drafts INBOX Junk Sent Trash ");
	store_session_free(s);
	s = login("p-1"); /* nothing is made twice */
	box(s, "INBOX");
	assert_int_equal(F->n_boxes, 6);
}

static void
deliver_and_read(void **state)
{
	struct store_session *s;
	struct box *b;
	uint64_t mb;

	(void)state;
	deliver("d1", "p-1", "Subject: hi\r\n\r\nbody\r\n");
	assert_int_equal(F->res[0].err, 0);
	assert_int_equal(F->res[0].uid, 1);
	assert_false(F->res[0].repeated);
	deliver("d1", "p-1", "Subject: hi\r\n\r\nbody\r\n"); /* the answer was lost: again */
	assert_int_equal(F->res[0].err, 0);
	assert_int_equal(F->res[0].uid, 1);
	assert_true(F->res[0].repeated);
	deliver("d2", "p-1", "Subject: two\r\n\r\nbody\r\n");
	assert_int_equal(F->res[0].uid, 2);
	s = login("p-1");
	b = box(s, "INBOX");
	mb = b->id;
	assert_int_equal(b->messages, 2);
	assert_int_equal(b->unseen, 2);
	assert_int_equal(b->recent, 2);
	assert_true(b->attrs & MBOX_MARKED);
	store_open(s, mb, false, false, on_opened, NULL);
	wait_done();
	assert_int_equal(F->opened.recent_from, 1);
	store_open(s, mb, true, false, on_opened, NULL);
	wait_done();
	assert_int_equal(F->opened.recent_from, 1);
	assert_int_equal(F->opened.messages, 2);
	store_open(s, mb, true, false, on_opened, NULL);
	wait_done();
	assert_int_equal(F->opened.recent_from, 0);
	store_uids(s, mb, 1, on_uids, NULL);
	wait_done();
	assert_int_equal(F->n_uids, 2);
	assert_int_equal(F->uids[1].uid, 2);
	assert_int_equal(F->next, 0);
	row(s, mb, 1);
	assert_int_equal(F->n_rows, 1);
	assert_int_equal(F->row.size, 17 + 21);
	assert_int_equal(F->row.internal_date, 5000);
	assert_int_equal(F->row.internal_zone, 420);
	assert_int_equal(F->row.sent_date, 1000);
	assert_int_equal(F->row.email_id[3], 7);
	store_rows(s, mb, 1, UINT32_MAX, on_rows, NULL);
	wait_done();
	assert_int_equal(F->n_rows, 2);
	body_is(s, mb, 1, 0, 1000, "Return-Path: <>\r\nSubject: hi\r\n\r\nbody\r\n");
	body_is(s, mb, 1, 15, 6, "\r\nSubj");
	body_is(s, mb, 1, 0, 6, "Return");
	body_is(s, mb, 1, 17, 7, "Subject");
	body_is(s, mb, 1, 38, 7, "");
	store_contents(s, mb, (const uint32_t[]){1, 2, 9}, 3, true, on_contents, NULL);
	wait_done();
	assert_string_equal(buf_cstr(&F->bytes),
	    "done 3: 1 SUM|Return-Path: <>\r\nSubject: hi\r\n\r\nbody\r\n; 2 ");
	assert_int_equal(store_contents(s, mb, NULL, 0, true, on_contents, NULL), ERR_RANGE);
	store_body(s, mb, 9, 0, 10, on_bytes, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
	store_summary(s, mb, 1, on_bytes, NULL);
	wait_done();
	assert_string_equal(buf_cstr(&F->bytes), "SUM");
}

static void
many_targets(void **state)
{
	struct deliver_message m = message("multi", "To: all\r\n\r\n");
	struct deliver_target t[6] = {target("p-1", "INBOX"), target("p-2", "INBOX"),
	    target("p-1", "INBOX"), target("Bad/Id", "INBOX"), target("p-3", "Nowhere"),
	    target("p-3", "Archive")};
	struct store_session *s;

	(void)state;
	assert_int_equal(deliver_send(F->ingest, &m, t, 6, 0, on_delivered, NULL, NULL), 0);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(F->n_res, 6);
	assert_int_equal(F->res[0].err, 0);
	assert_int_equal(F->res[1].err, 0);
	assert_int_equal(F->res[2].err, 0);
	assert_int_equal(F->res[2].uid, F->res[0].uid); /* the same mailbox once */
	assert_true(F->res[2].repeated || F->res[0].repeated);
	assert_int_equal(F->res[3].err, ERR_SYNTAX);
	assert_int_equal(F->res[4].err, 0);
	assert_int_equal(F->res[5].err, 0);
	s = login("p-3");
	assert_int_equal(box(s, "INBOX")->messages, 1);
	assert_int_equal(box(s, "Archive")->messages, 1);
	m.sha256[0] ^= 1;
	m.id[0] ^= 1;
	deliver_send(F->ingest, &m, t, 1, 0, on_delivered, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_CORRUPT);
}

static void
change_flags(void **state)
{
	struct store_session *s;
	uint64_t mb, seq;

	(void)state;
	deliver("f1", "p-1", "one");
	deliver("f2", "p-1", "two");
	s = login("p-1");
	mb = box(s, "INBOX")->id;
	seq = box(s, "INBOX")->modseq;
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "Urgent $Label1", UINT64_MAX);
	assert_int_equal(F->err, 0);
	assert_int_equal(F->n_uids, 1);
	assert_int_equal(F->uids[0].flags, MSG_SEEN);
	assert_true(F->uids[0].modseq > seq && F->highest == F->uids[0].modseq);
	assert_true(F->before > 0 && F->before < seq); /* two deliveries */
	seq = F->uids[0].modseq;
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "", UINT64_MAX);
	assert_true(F->uids[0].modseq == seq && F->before == seq);
	flags(s, mb, 1, STORE_ADD, 0, "$Label1", UINT64_MAX);
	assert_true(F->uids[0].modseq == seq && F->before == seq);
	seq = box(s, "INBOX")->modseq - 1;
	row(s, mb, 1);
	assert_string_equal(F->row_kw, "Urgent $Label1");
	flags(s, mb, 2, STORE_SET, MSG_FLAGGED | MSG_DELETED, "urgent", UINT64_MAX);
	row(s, mb, 2);
	assert_string_equal(F->row_kw, "Urgent"); /* as first spelled in this mailbox */
	flags(s, mb, 1, STORE_REMOVE, MSG_SEEN, "URGENT", UINT64_MAX);
	row(s, mb, 1);
	assert_string_equal(F->row_kw, "$Label1");
	assert_int_equal(F->row.flags, 0);
	changes(s, mb, seq);
	assert_int_equal(F->n_uids, 2);
	assert_int_equal(F->n_numbers, 0);
	assert_false(F->more);
	seq = F->highest;
	changes(s, mb, seq);
	assert_int_equal(F->n_uids, 0);
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "", F->row.modseq - 1);
	assert_int_equal(F->n_uids, 0);
	assert_int_equal(F->n_numbers, 1); /* conflict */
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "", F->row.modseq);
	assert_int_equal(F->n_uids, 1);
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "", UINT64_MAX); /* no change, no new modseq */
	assert_int_equal(F->n_uids, 1);
	assert_true(F->uids[0].modseq == F->highest);
	assert_int_equal(box(s, "INBOX")->unseen, 1);
	flags(s, mb, 77, STORE_ADD, MSG_SEEN, "", UINT64_MAX);
	assert_int_equal(F->err, 0);
	assert_int_equal(F->n_uids, 0);
	flags(s, mb, 1, STORE_ADD, 0, "bad(word", UINT64_MAX);
	assert_int_equal(F->err, ERR_SYNTAX);
	store_open(s, mb, false, false, on_opened, NULL);
	wait_done();
	assert_string_equal(F->keywords, "Urgent $Label1");
}

static void
expunge(void **state)
{
	struct store_session *s;
	uint64_t mb, seq;
	uint32_t uids[] = {1, 2, 3};
	char id[16];

	(void)state;
	for (int i = 1; i <= 5; i++) {
		snprintf(id, sizeof id, "e%d", i);
		deliver(id, "p-1", id);
	}
	s = login("p-1");
	mb = box(s, "INBOX")->id;
	store_uids(s, mb, 1, on_uids, NULL);
	wait_done();
	flags(s, mb, 2, STORE_ADD, MSG_DELETED, "", UINT64_MAX);
	flags(s, mb, 4, STORE_ADD, MSG_DELETED | MSG_SEEN, "", UINT64_MAX);
	seq = F->highest;
	store_expunge(s, mb, uids, 3, true, on_expunged, NULL); /* UID EXPUNGE 1:3 */
	wait_done();
	assert_int_equal(F->n_numbers, 1);
	assert_int_equal(F->numbers[0], 2);
	store_expunge(s, mb, NULL, 0, true, on_expunged, NULL);
	wait_done();
	assert_int_equal(F->n_numbers, 1);
	assert_int_equal(F->numbers[0], 4);
	store_expunge(s, mb, NULL, 0, true, on_expunged, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(F->n_numbers, 0);
	changes(s, mb, seq);
	assert_int_equal(F->n_uids, 0);
	assert_int_equal(F->n_numbers, 2);
	store_uids(s, mb, 0, on_uids, NULL);
	wait_done();
	assert_int_equal(F->n_uids, 3);
	assert_int_equal(F->uids[0].uid, 1);
	assert_int_equal(F->uids[1].uid, 3);
	assert_int_equal(F->uids[2].uid, 5);
	assert_int_equal(box(s, "INBOX")->messages, 3);
	assert_int_equal(box(s, "INBOX")->unseen, 3);
	assert_int_equal(box(s, "INBOX")->size, 3 * 19);
	store_expunge(s, mb, NULL, 0, false, on_expunged, NULL);
	wait_done();
	assert_int_equal(F->n_numbers, 3);
	assert_int_equal(box(s, "INBOX")->size, 0);
	assert_int_equal(box(s, "INBOX")->uidnext, 6);
}

static void
copy(void **state)
{
	struct store_session *s;
	uint64_t mb, to;
	uint32_t uids[] = {1, 2, 9};

	(void)state;
	deliver("c1", "p-1", "one");
	deliver("c2", "p-1", "two");
	s = login("p-1");
	mb = box(s, "INBOX")->id;
	to = box(s, "Archive")->id;
	flags(s, mb, 2, STORE_ADD, MSG_SEEN, "kw", UINT64_MAX);
	store_copy(s, mb, uids, 3, to, on_copied, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(F->n_numbers, 2);
	assert_int_equal(F->numbers[1], 2);
	assert_int_equal(F->dst[1], 2);
	assert_int_equal(F->uidvalidity, box(s, "Archive")->uidvalidity);
	row(s, to, 2);
	assert_int_equal(F->row.flags, MSG_SEEN);
	assert_string_equal(F->row_kw, "kw");
	assert_int_equal(F->row.internal_date, 5000);
	body_is(s, to, 2, 17, 100, "two");
	store_copy(s, mb, uids, 2, mb, on_copied, NULL); /* into itself */
	wait_done();
	assert_int_equal(F->dst[0], 3);
	store_copy(s, mb, uids + 2, 1, to, on_copied, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(F->n_numbers, 0);
	store_copy(s, mb, uids, 2, 4711, on_copied, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
}

static void
names(void **state)
{
	struct store_session *s = login("p-1");
	uint64_t id, inbox;
	uint32_t uv;

	(void)state;
	store_create(s, slice_str(""), slice_str("Dự án/Cầu/2026"), 0, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_non_null(box(s, "Dự án/Cầu"));
	assert_true(box(s, "Dự án")->attrs & MBOX_HAS_CHILDREN);
	assert_false(box(s, "Dự án/Cầu/2026")->attrs & MBOX_HAS_CHILDREN);
	store_create(s, slice_str(""), slice_str("inbox"), 0, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_EXISTS);
	store_create(s, slice_str(""), slice_str("a//b"), 0, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_SYNTAX);
	id = box(s, "Dự án")->id;
	store_rename(s, id, slice_str("Dự án/x"), on_done, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_SYNTAX);
	store_rename(s, id, slice_str("Sent"), on_done, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_EXISTS);
	store_rename(s, id, slice_str("Lưu/Dự án"), on_done, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_null(box(s, "Dự án"));
	assert_non_null(box(s, "Lưu"));
	assert_non_null(box(s, "Lưu/Dự án/Cầu/2026"));
	assert_int_equal(box(s, "Lưu/Dự án")->id, id);
	/* INBOX: its messages move, it is there again */
	deliver("n1", "p-1", "one");
	inbox = box(s, "INBOX")->id;
	uv = box(s, "INBOX")->uidvalidity;
	store_rename(s, inbox, slice_str("Old"), on_done, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(box(s, "Old")->messages, 1);
	assert_int_equal(box(s, "INBOX")->messages, 0);
	assert_true(box(s, "INBOX")->uidvalidity > uv);
	/* DELETE */
	store_delete(s, box(s, "INBOX")->id, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_DENIED);
	uv = box(s, "Old")->uidvalidity;
	store_open(s, box(s, "Old")->id, false, true, on_opened, NULL);
	wait_done();
	F->events = 0;
	store_delete(s, inbox, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	spin(50);
	assert_int_equal(F->events, 1);
	assert_true(F->event_gone && F->event_mailbox == inbox);
	assert_null(box(s, "Old"));
	store_uids(s, inbox, 1, on_uids, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
	store_create(s, slice_str(""), slice_str("Old"), 0, on_done, NULL);
	wait_done();
	assert_true(box(s, "Old")->uidvalidity > uv);
	/* subscriptions outlive names */
	store_subscribe(s, slice_str(""), slice_str("Nowhere"), true, on_done, NULL);
	wait_done();
	store_subscribe(s, slice_str(""), slice_str("Junk"), false, on_done, NULL);
	wait_done();
	store_subscriptions(s, on_subs, NULL);
	wait_done();
	assert_string_equal(F->subs, "Archive Drafts INBOX Nowhere Sent Trash ");
	/* all of it is on disk */
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	assert_non_null(box(s, "Lưu/Dự án/Cầu/2026"));
	assert_int_equal(box(s, "Lưu/Dự án")->id, id);
	store_subscriptions(s, on_subs, NULL);
	wait_done();
	assert_string_equal(F->subs, "Archive Drafts INBOX Nowhere Sent Trash ");
}

static void
watching(void **state)
{
	struct store_session *s = login("p-1");
	uint64_t mb = box(s, "INBOX")->id;

	(void)state;
	store_open(s, mb, true, true, on_opened, NULL);
	wait_done();
	F->events = 0;
	deliver("w1", "p-1", "one");
	spin(20);
	assert_int_equal(F->events, 1);
	assert_true(F->event_mailbox == mb && !F->event_gone);
	/* stored comes back: the session and its watch are renewed by themselves */
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	for (int i = 0; i < 500 && F->lost == 0; i++)
		spin(10);
	assert_int_equal(F->lost, 1);
	F->events = 0;
	deliver("w2", "p-1", "two");
	spin(20);
	assert_int_equal(F->events, 1);
	assert_int_equal(box(s, "INBOX")->messages, 2);
	store_unwatch(s, mb);
	spin(50);
	deliver("w3", "p-1", "three");
	spin(20);
	assert_int_equal(F->events, 1);
}

static void
shares(void **state)
{
	struct token_share sh[2] = {
	    {"f-1", "lr", "vanthu", 0, 0}, {"f-2", "lrswipkxte", "so", 0, 0}};
	struct store_session *s, *own;
	uint64_t mb, rw;
	uint32_t uid = 1;

	(void)state;
	deliver("s1", "f-1", "to the office");
	deliver("s2", "f-2", "to the other");
	s = login_with("p-1", 0, sh, 2);
	assert_int_equal(F->err, 0);
	box(s, "INBOX");
	assert_int_equal(F->n_boxes, 18);
	assert_string_equal(F->boxes[0].account, "p-1");
	mb = rw = 0;
	for (size_t i = 0; i < F->n_boxes; i++) {
		if (strcmp(F->boxes[i].share, "vanthu") == 0 &&
		    strcmp(F->boxes[i].name, "INBOX") == 0) {
			mb = F->boxes[i].id;
			assert_string_equal(F->boxes[i].rights, "lr");
		}
		if (strcmp(F->boxes[i].share, "so") == 0 && strcmp(F->boxes[i].name, "INBOX") == 0)
			rw = F->boxes[i].id;
	}
	assert_true(mb != 0 && rw != 0);
	body_is(s, mb, 1, 17, 100, "to the office");
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "", UINT64_MAX);
	assert_int_equal(F->err, ERR_DENIED);
	store_expunge(s, mb, &uid, 1, false, on_expunged, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_DENIED);
	store_copy(s, rw, &uid, 1, mb, on_copied, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_DENIED);
	store_copy(s, mb, &uid, 1, rw, on_copied, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	store_create(s, slice_str("f-1"), slice_str("x"), 0, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_DENIED);
	store_create(s, slice_str("f-2"), slice_str("x"), 0, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	store_create(s, slice_str("p-9"), slice_str("x"), 0, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
	flags(s, rw, 1, STORE_ADD, MSG_SEEN, "", UINT64_MAX);
	assert_int_equal(F->err, 0);
	/* another person's session reaches none of it, whatever number it names */
	own = login("p-2");
	store_body(own, mb, 1, 0, 10, on_bytes, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
	store_open(own, rw, true, true, on_opened, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
	store_delete(own, rw, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
}

static void
tickets(void **state)
{
	struct store_session *s, *old;
	struct buf t;

	(void)state;
	buf_init(&t, 65536);
	stored_run_ticket(&F->run, "p-1", 0, (int64_t)time(NULL) + 1000, NULL, 0, &t);
	t.data[t.len / 2] ^= 1;
	store_session_new(F->imap, buf_slice(&t), on_done, NULL, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_DENIED);
	buf_reset(&t);
	stored_run_ticket(&F->run, "p-1", 0, (int64_t)time(NULL) - 1, NULL, 0, &t);
	s = store_session_new(F->imap, buf_slice(&t), on_done, NULL, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_EXPIRED);
	assert_int_equal(store_list(s, on_list, NULL), ERR_EXPIRED);
	buf_done(&t);
	/* a raised epoch ends what is open, and older tickets are refused even after a restart */
	old = login_with("p-1", 3, NULL, 0);
	assert_int_equal(F->err, 0);
	login_with("p-1", 4, NULL, 0);
	assert_int_equal(F->err, 0);
	store_list(old, on_list, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_EXPIRED);
	login_with("p-1", 3, NULL, 0);
	assert_int_equal(F->err, ERR_EXPIRED);
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	login_with("p-1", 3, NULL, 0);
	assert_int_equal(F->err, ERR_EXPIRED);
}

/* A raised epoch that lookup tells of ends what older tickets opened, before anybody brings a newer one; also one told while stored is away; nobody else is touched. */
static void
epoch_told(void **state)
{
	struct store_session *old = login_with("p-1", 3, NULL, 0), *other = login("p-2");
	struct epoch_client *c = epoch_client_new(F->l, F->run.lookup_sock);
	time_t end = time(NULL) + 10;

	(void)state;
	epoch_raise(c, "p-1", 3);
	epoch_raise(c, "p-1", 2); /* lower: nothing */
	epoch_raise(c, "p-nobody", 9);
	epoch_raise(c, "no account", 9);
	store_list(old, on_list, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	epoch_raise(c, "p-1", 4);
	do {
		if (store_list(old, on_list, NULL) != 0)
			break;
		wait_done();
	} while (F->err == 0 && time(NULL) < end);
	assert_int_equal(F->err, ERR_EXPIRED);
	login_with("p-1", 3, NULL, 0);
	assert_int_equal(F->err, ERR_EXPIRED);
	box(other, "INBOX");
	/* it is kept, and what could not be told at once is told later */
	stored_run_end(&F->run, SIGKILL);
	epoch_raise(c, "p-2", 7);
	stored_run_start(&F->run);
	login_with("p-1", 3, NULL, 0);
	assert_int_equal(F->err, ERR_EXPIRED);
	end = time(NULL) + 10;
	do
		login_with("p-2", 6, NULL, 0);
	while (F->err == 0 && time(NULL) < end);
	assert_int_equal(F->err, ERR_EXPIRED);
	login_with("p-1", 4, NULL, 0);
	assert_int_equal(F->err, 0);
	epoch_client_free(c);
}

/* The id of the INBOX of a share, 0 when it is not seen. */
static uint64_t
share_inbox(struct store_session *s, const char *share, const char *rights)
{
	store_list(s, on_list, NULL);
	wait_done();
	for (size_t i = 0; i < F->n_boxes; i++)
		if (strcmp(F->boxes[i].share, share) == 0 &&
		    strcmp(F->boxes[i].name, "INBOX") == 0) {
			assert_string_equal(F->boxes[i].rights, rights);
			return F->boxes[i].id;
		}
	return 0;
}

/* Rights begin and end by the clock, in a session that is open; what several grants give is held together. */
static void
rights_by_date(void **state)
{
	int64_t now = (int64_t)time(NULL);
	struct token_share sh[3] = {{"f-1", "lr", "vanthu", 0, now + 4},
	    {"f-1", "ls", "vanthu", now + 2, 0}, {"f-2", "lrs", "so", 0, now}};
	struct store_session *s;
	uint64_t mb;

	(void)state;
	deliver("s1", "f-1", "to the office");
	s = login_with("p-1", 0, sh, 3);
	assert_int_equal(F->err, 0);
	assert_int_equal(share_inbox(s, "so", ""), 0); /* over */
	mb = share_inbox(s, "vanthu", "lr");
	assert_true(mb != 0);
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "", UINT64_MAX);
	assert_int_equal(F->err, ERR_DENIED);
	while (time(NULL) < now + 2)
		spin(20);
	assert_int_equal(share_inbox(s, "vanthu", "lrs"), mb);
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "", UINT64_MAX);
	assert_int_equal(F->err, 0);
	while (time(NULL) < now + 4)
		spin(20);
	store_body(s, mb, 1, 0, 10, on_bytes, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_DENIED);
	assert_int_equal(share_inbox(s, "vanthu", "ls"), mb);
	store_session_free(s);
}

static void
renew(struct store_session *s, const char *account, const struct token_share *sh, size_t n)
{
	struct buf t;

	buf_init(&t, 65536);
	stored_run_ticket(&F->run, account, 0, (int64_t)time(NULL) + 1000, sh, n, &t);
	store_session_renew(s, buf_slice(&t));
	buf_done(&t);
}

/* A new ticket counts from here on: what it does not reach is gone, and who watched it hears that. */
/* Once the new ticket counts: the INBOX of a share with these rights; "": it is not seen, 0. */
static uint64_t
share_inbox_soon(struct store_session *s, const char *share, const char *rights)
{
	uint64_t id = 0;
	bool good = false;

	for (int i = 0; i < 500 && !good; i++) {
		if (i > 0)
			spin(10);
		store_list(s, on_list, NULL);
		wait_done();
		id = 0;
		good = rights[0] == '\0';
		for (size_t k = 0; k < F->n_boxes; k++)
			if (strcmp(F->boxes[k].share, share) == 0 &&
			    strcmp(F->boxes[k].name, "INBOX") == 0) {
				id = F->boxes[k].id;
				good = strcmp(F->boxes[k].rights, rights) == 0;
			}
	}
	assert_true(good);
	return id;
}

static void
renewed(void **state)
{
	struct token_share sh[2] = {{"f-1", "lrs", "vanthu", 0, 0}, {"f-2", "lr", "so", 0, 0}};
	struct store_session *s;
	uint64_t mb;

	(void)state;
	deliver("s1", "f-1", "to the office");
	s = login_with("p-1", 0, sh, 1);
	mb = share_inbox(s, "vanthu", "lrs");
	assert_int_equal(store_open(s, mb, true, true, on_opened, NULL), 0);
	wait_done();
	assert_int_equal(F->err, 0);
	F->events = 0;
	renew(s, "p-1", &sh[1], 1);
	assert_int_equal(share_inbox_soon(s, "vanthu", ""), 0);
	assert_true(share_inbox(s, "so", "lr") != 0);
	for (int k = 0; k < 500 && F->events == 0; k++)
		spin(10);
	assert_int_equal(F->events, 1);
	assert_true(F->event_gone && F->event_mailbox == mb);
	flags(s, mb, 1, STORE_ADD, MSG_SEEN, "", UINT64_MAX);
	assert_int_equal(F->err, ERR_NOTFOUND);
	/* two at once: the last one counts */
	renew(s, "p-1", NULL, 0);
	renew(s, "p-1", sh, 2);
	assert_int_equal(share_inbox_soon(s, "vanthu", "lrs"), mb);
	assert_true(share_inbox(s, "so", "lr") != 0);
	/* another person's ticket is another session */
	F->lost = 0;
	renew(s, "p-2", sh, 2);
	for (int k = 0; k < 500 && F->lost == 0; k++)
		spin(10);
	assert_int_equal(F->lost, 1);
	store_list(s, on_list, NULL);
	store_session_free(s);
}

static void
append(void **state)
{
	struct store_session *s = login("p-1");
	struct deliver_message m = message("ap", "Subject: draft\r\n\r\n");
	struct token_share sh = {"f-1", "lrsi", "vanthu", 0, 0};
	struct buf t;
	struct deliver_append a = {.mailbox = box(s, "Drafts")->id,
	    .flags = MSG_DRAFT | MSG_SEEN,
	    .keywords = slice_str("kw"),
	    .internal_date = 99,
	    .internal_zone = -60};

	(void)state;
	buf_init(&t, 65536);
	stored_run_ticket(&F->run, "p-1", 0, (int64_t)time(NULL) + 1000, &sh, 1, &t);
	a.ticket = buf_slice(&t);
	assert_int_equal(deliver_append(F->ingest, &m, &a, 0, on_appended, NULL, NULL), 0);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(F->uid, 1);
	assert_int_equal(F->uidvalidity, box(s, "Drafts")->uidvalidity);
	row(s, a.mailbox, 1);
	assert_int_equal(F->row.flags, MSG_DRAFT | MSG_SEEN);
	assert_string_equal(F->row_kw, "kw");
	assert_int_equal(F->row.internal_zone, -60);
	body_is(s, a.mailbox, 1, 0, 100, "Subject: draft\r\n\r\n");
	/* the same request again is answered the same, behind a restart too */
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	deliver_append(F->ingest, &m, &a, 0, on_appended, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(F->uid, 1);
	m.id[15] = 1; /* APPEND twice is two messages */
	deliver_append(F->ingest, &m, &a, 0, on_appended, NULL, NULL);
	wait_done();
	assert_int_equal(F->uid, 2);
	/* in a share: with 'i' and 's', without 'w' */
	store_session_free(s);
	s = login_with("p-1", 0, &sh, 1);
	box(s, "INBOX");
	a.mailbox = 0;
	for (size_t i = 0; i < F->n_boxes; i++)
		if (strcmp(F->boxes[i].share, "vanthu") == 0 &&
		    strcmp(F->boxes[i].name, "Archive") == 0)
			a.mailbox = F->boxes[i].id;
	deliver_append(F->ingest, &m, &a, 0, on_appended, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	row(s, a.mailbox, 1);
	assert_int_equal(F->row.flags, MSG_SEEN);
	assert_string_equal(F->row_kw, "");
	/* not with somebody else's ticket, nor to a mailbox that is not there */
	buf_reset(&t);
	stored_run_ticket(&F->run, "p-2", 0, (int64_t)time(NULL) + 1000, NULL, 0, &t);
	a.ticket = buf_slice(&t);
	deliver_append(F->ingest, &m, &a, 0, on_appended, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
	deliver_check(F->ingest, slice_str(""), a.ticket, a.mailbox, 10, 0, on_done, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
	buf_done(&t);
}

static struct box *
shared_box(struct store_session *s, const char *name)
{
	box(s, "INBOX");
	for (size_t i = 0; i < F->n_boxes; i++)
		if (F->boxes[i].share[0] != '\0' && strcmp(F->boxes[i].name, name) == 0)
			return &F->boxes[i];
	return NULL;
}

/* As ingest_same: what stands before '|' is what the server stamps. Without a Message-ID there is none. */
static void
put_same(struct deliver_message *m, const char *refs)
{
	const char *bar = strchr((const char *)m->body.ptr, '|');
	struct buf b;
	unsigned char sum[32];

	buf_init(&b, 1000);
	buf_append(&b, refs, 8);
	buf_append_str(&b, bar != NULL ? bar + 1 : (const char *)m->body.ptr);
	sha256_of(buf_slice(&b), sum);
	memcpy(m->same, sum, sizeof m->same);
	m->has_same = refs[0] != '\0';
	buf_done(&b);
}

static uint32_t
append_to(struct deliver_append *a, const char *body, const char *refs)
{
	static unsigned char number;
	struct deliver_message m = message("sent", body);

	m.id[15] = ++number;

	m.refs = slice_of(refs, 16);
	put_same(&m, refs);
	deliver_append(F->ingest, &m, a, 0, on_appended, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	return F->uid;
}

/* What is appended to Sent again is there once, by its Message-ID and its octets; nothing else is taken for a copy, and nothing is lost. */
static void
append_sent(void **state)
{
	static const char id[17] = "12345678abcdefgh", none[16] = "";
	struct store_session *s = login("p-1");
	struct deliver_append a = {.mailbox = box(s, "Sent")->id, .flags = MSG_SEEN};
	struct buf t;

	(void)state;
	buf_init(&t, 65536);
	stored_run_ticket(&F->run, "p-1", 0, (int64_t)time(NULL) + 1000, NULL, 0, &t);
	a.ticket = buf_slice(&t);
	assert_int_equal(append_to(&a, "one", id), 1);
	assert_int_equal(append_to(&a, "one", id), 1);
	assert_int_equal(append_to(&a, "two", id), 2); /* other content */
	assert_int_equal(append_to(&a, "none", none), 3);
	assert_int_equal(append_to(&a, "none", none), 4); /* no Message-ID */
	/* the first copy is to go, or is gone */
	flags(s, a.mailbox, 1, STORE_ADD, MSG_DELETED, "", UINT64_MAX);
	assert_int_equal(append_to(&a, "one", id), 5);
	store_expunge(s, a.mailbox, (const uint32_t[]){2}, 1, false, on_expunged, NULL);
	wait_done();
	assert_int_equal(append_to(&a, "two", id), 6);
	assert_int_equal(box(s, "Sent")->messages, 5);
	/* in another mailbox each is a message */
	a.mailbox = box(s, "Drafts")->id;
	assert_int_equal(append_to(&a, "one", id), 1);
	assert_int_equal(append_to(&a, "one", id), 2);
	buf_done(&t);
}

/* The server's copy of what was sent as f-1; gives its UID. */
static uint32_t
sent_copy(const char *id, const char *body, const char *refs)
{
	struct deliver_message m = message(id, body);
	struct deliver_target t = target("f-1", "huong@tinhmau.example");

	t.sent = true;
	m.refs = slice_of(refs, 16);
	put_same(&m, refs);
	assert_int_equal(deliver_send(F->ingest, &m, &t, 1, 0, on_delivered, NULL, NULL), 0);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(F->res[0].err, 0);
	return F->res[0].uid;
}

/* What was sent as a functional mailbox is in its Sent once, seen, whatever is repeated and killed, and whatever the clients of its holders put there beside it. */
static void
sent_copies(void **state)
{
	static const char one[17] = "12345678abcdefgh", two[17] = "22345678abcdefgh";
	static const char three[17] = "32345678abcdefgh", none[16] = "";
	struct token_share sh = {"f-1", "lrswipkxte", "vanthu", 0, 0};
	struct store_session *s = login_with("p-1", 0, &sh, 1);
	struct deliver_append a = {.mailbox = shared_box(s, "Sent")->id, .flags = MSG_SEEN};
	struct buf t;

	(void)state;
	buf_init(&t, 65536);
	stored_run_ticket(&F->run, "p-1", 0, (int64_t)time(NULL) + 1000, &sh, 1, &t);
	a.ticket = buf_slice(&t);
	assert_int_equal(sent_copy("c1", "Sender: a|Subject: x\r\n\r\n", one), 1);
	row(s, a.mailbox, 1);
	assert_int_equal(F->row.flags, MSG_SEEN);
	assert_int_equal(shared_box(s, "INBOX")->messages, 0);
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	assert_int_equal(sent_copy("c1", "Sender: a|Subject: x\r\n\r\n", one), 1);
	assert_true(F->res[0].repeated);
	/* a client puts its own there, which lacks what the server added: it hears of the one that stays */
	assert_int_equal(append_to(&a, "Subject: x\r\n\r\n", one), 1);
	assert_int_equal(shared_box(s, "Sent")->messages, 1);
	body_is(s, a.mailbox, 1, 0, 100, "Return-Path: <>\r\nSender: a|Subject: x\r\n\r\n");
	/* other octets under the same Message-ID (an attachment that was taken out) are another message: kept */
	assert_int_equal(append_to(&a, "Subject: x\r\n\r\nless", one), 2);
	body_is(s, a.mailbox, 2, 0, 100, "Subject: x\r\n\r\nless");
	/* the client was quicker: its copy leaves when the server's is there, and can be brought back */
	assert_int_equal(append_to(&a, "text", two), 3);
	assert_int_equal(sent_copy("c2", "Sender: a|text", two), 4);
	assert_int_equal(shared_box(s, "Sent")->messages, 3);
	body_is(s, a.mailbox, 4, 0, 100, "Return-Path: <>\r\nSender: a|text");
	assert_int_equal(append_to(&a, "text", two), 4);
	/* another mail with the same Message-ID was sent as well: no copy is left out, or takes another's place, whoever put it there */
	assert_int_equal(sent_copy("c3", "Sender: a|other text", two), 5);
	assert_int_equal(append_to(&a, "a record", three), 6);
	assert_int_equal(sent_copy("c7", "Sender: b|another's", three), 7);
	assert_int_equal(shared_box(s, "Sent")->messages, 6);
	body_is(s, a.mailbox, 6, 0, 100, "a record");
	/* who removed it from Sent may put it there */
	flags(s, a.mailbox, 1, STORE_ADD, MSG_DELETED, "", UINT64_MAX);
	assert_int_equal(append_to(&a, "Subject: x\r\n\r\n", one), 8);
	/* without a Message-ID nothing is known of them */
	assert_int_equal(sent_copy("c4", "no id", none), 9);
	assert_int_equal(append_to(&a, "no id", none), 10);
	/* a Sent that was renamed is still Sent; without one INBOX keeps the copy */
	store_rename(s, a.mailbox, slice_str("Thư đã gửi"), on_done, NULL);
	wait_done();
	assert_int_equal(sent_copy("c5", "renamed", three), 11);
	store_delete(s, a.mailbox, on_done, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_int_equal(sent_copy("c6", "nowhere else", three), 1);
	assert_int_equal(shared_box(s, "INBOX")->messages, 1);
	store_session_free(s);
	buf_done(&t);
}

static void
large_body(void **state)
{
	FILE *f = tmpfile();
	struct sha256 *h = sha256_new();
	struct deliver_message m = message("big", "");
	struct deliver_target t = target("p-1", "INBOX");
	struct store_session *s;
	uint64_t mb;
	char line[81];

	(void)state;
	memset(line, 'x', 80);
	line[80] = '\0';
	for (int i = 0; i < 20000; i++) {
		snprintf(line, 9, "%08d", i);
		line[8] = 'x';
		fwrite(line, 1, 80, f);
		sha256_update(h, line, 80);
	}
	fflush(f);
	sha256_final(h, m.sha256);
	sha256_free(h);
	m.size = 1600000;
	m.fd = fileno(f);
	assert_int_equal(deliver_send(F->ingest, &m, &t, 1, 0, on_delivered, NULL, NULL), 0);
	wait_done();
	assert_int_equal(F->err, 0);
	fclose(f);
	s = login("p-1");
	mb = box(s, "INBOX")->id;
	for (unsigned i = 0; i < 7; i++) {
		store_body(s, mb, 1, 17 + i * 262144ull, 262144, on_bytes, NULL);
		wait_done();
		assert_int_equal(F->err, 0);
		assert_int_equal(F->bytes.len, i < 6 ? 262144 : 1600000 - 6 * 262144);
	}
	store_body(s, mb, 1, 17 + 80 * 12345, 8, on_bytes, NULL);
	wait_done();
	assert_string_equal(buf_cstr(&F->bytes), "00012345");
}

static void
quota(void **state)
{
	static char big[200 * 1024 + 1];
	char id[16];

	(void)state;
	memset(big, 'q', sizeof big - 1);
	for (int i = 0; i < 5; i++) {
		snprintf(id, sizeof id, "q%d", i);
		big[0] = (char)('0' + i);
		deliver(id, "p-1", big);
		assert_int_equal(F->res[0].err, 0);
	}
	deliver("q9", "p-1", big);
	assert_int_equal(F->res[0].err, ERR_FULL);
	deliver_check(
	    F->ingest, slice_str("p-1"), slice_str(""), 0, 200 * 1024, 0, on_done, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_FULL);
	deliver_check(F->ingest, slice_str("p-1"), slice_str(""), 0, 1000, 0, on_done, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	deliver("q0", "p-1", big); /* what is there already is there */
	assert_int_equal(F->res[0].err, 0);
	assert_true(F->res[0].repeated);
}

static void
on_raw(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	(void)fd;
	if (err == 0 && type == STORE_STAT_IS)
		on_bytes(arg, 0, ipc_get_slice(r));
	else
		on_done(arg, err);
}

/* Each role may say what is its own to say; who says more is cut off, and nobody else notices. */
static void
permits(void **state)
{
	static const struct ipc_client_ops ops;
	struct ipc_client *bad =
	    ipc_client_new(F->l, F->run.imapd_sock, &store_proto, IPC_IMAPD, &ops, NULL);
	struct ipc_client *admin =
	    ipc_client_new(F->l, F->run.admin_sock, &store_proto, IPC_ADMIN, &ops, NULL);
	struct store_session *s = login("p-1");
	struct buf b;

	(void)state;
	buf_init(&b, 100);
	assert_true(ipc_call(bad, STORE_STAT, &b, -1, 2000, on_raw, NULL, NULL) != 0);
	ipc_call(admin, STORE_STAT, &b, -1, 2000, on_raw, NULL, NULL);
	wait_done();
	assert_int_equal(F->err, 0);
	assert_non_null(strstr(buf_cstr(&F->bytes), "\"sessions\":1"));
	ipc_put_u32(&b, 1);
	ipc_put_u32(&b, 2); /* junk behind */
	ipc_put_u32(&b, 3);
	ipc_call(bad, STORE_LIST, &b, -1, 2000, on_raw, NULL, NULL);
	wait_done();
	assert_true(F->err == ERR_CLOSED || F->err == ERR_EXPIRED);
	assert_non_null(box(s, "INBOX"));
	buf_done(&b);
	ipc_client_free(bad);
	ipc_client_free(admin);
}

/* Every message with random content, from both sides, many times: the sender alone is cut off. */
static void
hostile(void **state)
{
	static const struct ipc_client_ops ops;
	struct store_session *s = login("p-1");
	unsigned char junk[200];
	pid_t pid = F->run.pid;

	(void)state;
	deliver("h1", "p-1", "kept");
	for (unsigned round = 0; round < 150; round++) {
		bool imapd = round % 2 == 0;
		struct ipc_client *c =
		    ipc_client_new(F->l, imapd ? F->run.imapd_sock : F->run.ingest_sock,
			&store_proto, imapd ? IPC_IMAPD : IPC_INGEST, &ops, NULL);

		for (size_t i = 0; i < store_proto.n_rules; i++) {
			struct buf b, t;

			random_bytes(junk, sizeof junk);
			buf_init(&b, 1000);
			buf_init(&t, 65536);
			if (round % 3 == 0) { /* the session opens, what follows is junk */
				ipc_put_u32(&b, 1);
				stored_run_ticket(
				    &F->run, "p-9", 0, (int64_t)time(NULL) + 9, NULL, 0, &t);
				ipc_put_slice(&b, buf_slice(&t));
				(void)ipc_call(
				    c, STORE_SESSION_OPEN, &b, -1, 300, on_raw, NULL, NULL);
				buf_reset(&b);
				ipc_put_u32(&b, 1);
			}
			buf_append(&b, junk, junk[0] % 60);
			(void)ipc_call(
			    c, store_proto.rules[i].type, &b, -1, 300, on_raw, NULL, NULL);
			buf_done(&b);
			buf_done(&t);
			loop_run_once(F->l, 0);
		}
		loop_run_once(F->l, 1);
		ipc_client_free(c);
	}
	spin(400);
	F->done = false;
	assert_int_equal(waitpid(pid, NULL, WNOHANG), 0); /* it is still the same one */
	assert_int_equal(box(s, "INBOX")->messages, 1);
}

/* ---- kill -9 under deliveries from many clients ---- */

enum { SENDERS = 20, ROUNDS = 5 };
struct sender {
	unsigned i, n; /* deliveries acknowledged */
	bool busy;
	unsigned repeats;
};
static struct sender senders[SENDERS];

static void sender_go(struct sender *s);

static void
on_sent(void *arg, int err, const struct deliver_result *r, size_t n)
{
	struct sender *s = arg;

	s->busy = false;
	if (err == 0 && n == 1 && r[0].err == 0)
		s->n++;
	else
		s->repeats++;
	if (s->repeats > 1000)
		return;
	sender_go(s);
}

static void
sender_go(struct sender *s)
{
	char id[17], text[64], account[16];
	struct deliver_message m;
	struct deliver_target t;

	snprintf(id, sizeof id, "k%02u.%08u", s->i, s->n);
	snprintf(text, sizeof text, "sender %u message %u", s->i, s->n);
	snprintf(account, sizeof account, "p-%u", s->i % 3);
	m = message(id, text);
	t = target(account, "INBOX");
	s->busy = deliver_send(F->ingest, &m, &t, 1, 2000, on_sent, s, NULL) == 0;
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static unsigned
acknowledged(void)
{
	unsigned n = 0;

	for (int i = 0; i < SENDERS; i++)
		n += senders[i].n;
	return n;
}

static void
kill9(void **state)
{
	unsigned counts[SENDERS] = {0}, total = 0;
	uint64_t worst = 0;

	(void)state;
	memset(senders, 0, sizeof senders);
	for (unsigned i = 0; i < SENDERS; i++) {
		senders[i].i = i;
		sender_go(&senders[i]);
	}
	for (int round = 0; round < ROUNDS; round++) {
		unsigned before = acknowledged();
		uint64_t t0;

		while (acknowledged() < before + 100 + 37 * (unsigned)round)
			loop_run_once(F->l, 10);
		stored_run_end(&F->run, SIGKILL);
		before = acknowledged();
		t0 = now_ms();
		stored_run_start(&F->run);
		while (acknowledged() == before && now_ms() - t0 < 10000)
			loop_run_once(F->l, 10);
		if (now_ms() - t0 > worst)
			worst = now_ms() - t0;
	}
	print_message(
	    "%u deliveries acknowledged, longest outage %u ms\n", acknowledged(), (unsigned)worst);
	assert_true(worst < 2000); /* recovery and the clients' back-off */
	for (int i = 0; i < 100; i++)
		spin(10); /* let some more come */
	stored_run_end(&F->run, SIGKILL);
	for (int i = 0; i < 10; i++)
		loop_run_once(F->l, 10);
	deliver_client_free(F->ingest); /* the senders are over */
	F->ingest = NULL;
	stored_run_start(&F->run);
	/* Each message that was acknowledged is there once; at most one more of each sender. */
	for (unsigned a = 0; a < 3; a++) {
		struct store_session *s;
		char account[16];
		uint32_t from = 1, n;
		uint64_t mb;
		unsigned who, what;

		snprintf(account, sizeof account, "p-%u", a);
		s = login(account);
		mb = box(s, "INBOX")->id;
		n = box(s, "INBOX")->messages;
		total += n;
		for (uint32_t seen = 0; seen < n; from++) {
			store_body(s, mb, from, 17, 100, on_bytes, NULL);
			wait_done();
			if (F->err == ERR_NOTFOUND)
				continue;
			assert_int_equal(F->err, 0);
			assert_int_equal(
			    sscanf(buf_cstr(&F->bytes), "sender %u message %u", &who, &what), 2);
			assert_int_equal(
			    what, counts[who]); /* in order, none twice, none missing */
			counts[who]++;
			seen++;
		}
	}
	for (unsigned i = 0; i < SENDERS; i++)
		assert_true(counts[i] == senders[i].n || counts[i] == senders[i].n + 1);
	print_message("%u messages found\n", total);
}

static void
part(struct deliver_append *a, const char *group, uint32_t index, bool last, size_t size)
{
	static char text[400000];
	struct deliver_message m;
	unsigned char id[17] = {0};
	static unsigned number;

	memset(text, 'x', sizeof text);
	memcpy(id, group, strlen(group));
	snprintf(text, sizeof text, "part %u", number++);
	text[strlen(text)] = ' ';
	m = message("part", "");
	m.id[15] = (unsigned char)number;
	m.body = slice_of(text, size);
	m.size = size;
	sha256_of(m.body, m.sha256);
	a->group = id;
	a->index = index;
	a->last = last;
	assert_int_equal(deliver_append(F->ingest, &m, a, 0, on_appended, NULL, NULL), 0);
	wait_done();
}

/* MULTIAPPEND: all messages or none, over quota in the middle, over a restart in the middle; and one answer for ever. */
static void
multiappend(void **state)
{
	struct store_session *s = login("p-1");
	struct deliver_append a = {.mailbox = box(s, "Drafts")->id, .keywords = slice_str("")};
	struct buf t;

	(void)state;
	buf_init(&t, 65536);
	stored_run_ticket(&F->run, "p-1", 0, (int64_t)time(NULL) + 1000, NULL, 0, &t);
	a.ticket = buf_slice(&t);
	part(&a, "one", 0, false, 100);
	assert_true(F->err == 0 && F->uid == 0);
	part(&a, "one", 1, false, 200);
	assert_int_equal(box(s, "Drafts")->messages, 0);
	part(&a, "one", 2, true, 300);
	assert_true(F->err == 0 && F->uid == 1);
	assert_int_equal(box(s, "Drafts")->messages, 3);
	assert_int_equal(box(s, "Drafts")->size, 600);
	/* the answer was lost with stored: the last part again finds all of it */
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	part(&a, "one", 2, true, 300);
	assert_true(F->err == 0 && F->uid == 1);
	assert_int_equal(box(s, "Drafts")->messages, 3);
	/* each would fit, all of them do not */
	for (unsigned i = 0; i < 5; i++)
		part(&a, "two", i, i == 4, 250000);
	assert_int_equal(F->err, ERR_FULL);
	assert_int_equal(box(s, "Drafts")->messages, 3);
	/* stored is killed in the middle: nothing of it */
	part(&a, "three", 0, false, 100);
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	part(&a, "three", 1, true, 100);
	assert_int_equal(F->err, ERR_UNKNOWN);
	/* a part that is not the next one */
	part(&a, "four", 0, false, 100);
	part(&a, "four", 2, true, 100);
	assert_int_equal(F->err, ERR_UNKNOWN);
	/* many that are given up */
	for (unsigned i = 0; i < 100; i++) {
		char group[16];

		snprintf(group, sizeof group, "g%u", i);
		part(&a, group, 0, false, 100);
		assert_int_equal(F->err, 0);
	}
	part(&a, "g0", 1, true, 100);
	assert_int_equal(F->err, ERR_UNKNOWN);
	part(&a, "g99", 1, true, 100);
	assert_true(F->err == 0 && F->uid == 4);
	assert_int_equal(box(s, "Drafts")->messages, 5);
	buf_done(&t);
}

static void
on_quota(void *arg, int err, const struct store_quota *q)
{
	if (err == 0) {
		F->n_rows = (size_t)q->messages;
		F->highest = q->messages_max;
	}
	on_done(arg, err);
}

/* A limit on messages: deliveries, APPEND and COPY stop there; a deleted one makes room. */
static void
quota_messages(void **state)
{
	struct store_session *s = login("p-1");
	struct deliver_message m = message("4", "the fourth");
	struct deliver_target t = target("p-1", "INBOX");
	uint64_t mb = box(s, "INBOX")->id;
	uint32_t uid = 1;

	(void)state;
	deliver("1", "p-1", "one");
	deliver("2", "p-1", "two");
	deliver("3", "p-1", "three");
	deliver_send(F->ingest, &m, &t, 1, 0, on_delivered, NULL, NULL);
	wait_done();
	assert_int_equal(F->res[0].err, ERR_FULL);
	store_copy(s, mb, &uid, 1, box(s, "Trash")->id, on_copied, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_FULL);
	store_quota(s, slice_str(""), on_quota, NULL);
	wait_done();
	assert_true(F->n_rows == 3 && F->highest == 3);
	store_quota(s, slice_str("p-2"), on_quota, NULL);
	wait_done();
	assert_int_equal(F->err, ERR_NOTFOUND);
	store_expunge(s, mb, &uid, 1, false, on_expunged, NULL);
	wait_done();
	deliver("4", "p-1", "the fourth");
	assert_int_equal(F->res[0].err, 0);
}

/* A delivery that comes again finds its first copy, though INBOX was renamed meanwhile, once and again. */
static void
rename_inbox(void **state)
{
	struct store_session *s = login("p-1");
	char name[16];

	(void)state;
	deliver("twice", "p-1", "told once");
	for (unsigned i = 1; i <= 2; i++) {
		snprintf(name, sizeof name, "old%u", i);
		store_rename(s, box(s, "INBOX")->id, slice_str(name), on_done, NULL);
		wait_done();
		assert_int_equal(F->err, 0);
		deliver("twice", "p-1", "told once");
		assert_true(F->res[0].repeated);
		assert_int_equal(box(s, "INBOX")->messages, 0);
		deliver(name, "p-1", "another"); /* the mailbox goes on */
		assert_false(F->res[0].repeated);
		assert_int_equal(box(s, "INBOX")->messages, 1);
	}
	assert_int_equal(box(s, "old1")->messages, 1);
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	deliver("twice", "p-1", "told once");
	assert_true(F->res[0].repeated);
	deliver("old1", "p-1", "another");
	assert_true(F->res[0].repeated);
}

/* Removals are remembered within bounds; who asks from further back is told so, and all else stays right. */
static void
history(void **state)
{
	struct store_session *s = login("p-1");
	uint64_t mb = box(s, "INBOX")->id, early;
	char id[16];

	(void)state;
	for (unsigned i = 1; i <= 40; i++) {
		snprintf(id, sizeof id, "h%u", i);
		deliver(id, "p-1", "to be removed");
	}
	store_uids(s, mb, 1, on_uids, NULL); /* the view of stored is as of now */
	wait_done();
	changes(s, mb, 1);
	early = F->highest;
	assert_int_equal(F->forgotten, 0);
	for (uint32_t uid = 1; uid <= 35; uid++) {
		store_expunge(s, mb, &uid, 1, false, on_expunged, NULL);
		wait_done();
		assert_int_equal(F->err, 0);
	}
	changes(s, mb, early);
	assert_true(F->forgotten > early && F->forgotten < F->highest);
	assert_true(F->n_numbers >= 10 && F->n_numbers <= 11);
	assert_int_equal(F->numbers[F->n_numbers - 1], 35);
	changes(s, mb, F->forgotten); /* complete from there on */
	assert_true(F->n_numbers >= 10 && F->n_numbers <= 11);
	store_uids(s, mb, 1, on_uids, NULL);
	wait_done();
	assert_int_equal(F->n_uids, 5);
	assert_int_equal(F->uids[0].uid, 36);
	stored_run_end(&F->run, SIGKILL);
	stored_run_start(&F->run);
	changes(s, mb, early);
	assert_true(F->forgotten > early);
	assert_int_equal(box(s, "INBOX")->messages, 5);
}

#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    T(new_account),
	    T(deliver_and_read),
	    T(many_targets),
	    T(change_flags),
	    T(expunge),
	    T(copy),
	    T(names),
	    T(watching),
	    T(shares),
	    T(rights_by_date),
	    T(renewed),
	    T(tickets),
	    T(epoch_told),
	    T(append),
	    T(append_sent),
	    T(sent_copies),
	    T(rename_inbox),
	    T(large_body),
	    cmocka_unit_test_setup_teardown(quota, setup_small, teardown),
	    cmocka_unit_test_setup_teardown(multiappend, setup_small, teardown),
	    cmocka_unit_test_setup_teardown(quota_messages, setup_few, teardown),
	    cmocka_unit_test_setup_teardown(history, setup_history, teardown),
	    T(permits),
	    T(hostile),
	    T(kill9),
	};

	log_init("stored_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
