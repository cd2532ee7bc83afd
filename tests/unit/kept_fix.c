/* kept_fix.c: see kept_fix.h. Runs in tests. */
#include "tests/unit/kept_fix.h"

#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"

struct fix *X;

static void
wait_done(void)
{
	uint64_t t0 = (uint64_t)time(NULL);

	while (!X->done && (uint64_t)time(NULL) - t0 < 30)
		loop_run_once(X->l, 50);
	assert_true(X->done);
	X->done = false;
}

static void
on_done(void *arg, int err)
{
	(void)arg;
	X->err = err;
	X->done = true;
}

static void
keep(char *out, size_t n, struct slice s)
{
	snprintf(out, n, "%.*s", (int)s.len, (const char *)s.ptr);
}

/* ---- life ---- */

int
fix_new(const char *conf)
{
	X = xcalloc(1, sizeof *X);
	X->l = loop_new();
	unsetenv("STORED_PRELOAD");
	if (stored_run_new(&X->run, conf) != 0)
		return -1;
	X->imap = store_client_new(X->l, X->run.imapd_sock);
	X->ingest = deliver_client_new(X->l, X->run.ingest_sock);
	X->admin = ipc_sync_new(X->run.admin_sock, &store_proto, IPC_ADMIN);
	return 0;
}

void
fix_free(void)
{
	store_client_free(X->imap);
	deliver_client_free(X->ingest);
	ipc_sync_free(X->admin);
	stored_run_done(&X->run);
	loop_free(X->l);
	free(X);
	X = NULL;
}

void
fix_restart(int signo, int64_t ahead)
{
	char text[32];

	stored_run_end(&X->run, signo);
	snprintf(text, sizeof text, "%lld", (long long)ahead);
	if (ahead != 0) {
		setenv("CLOCK_AHEAD", text, 1);
		setenv("STORED_PRELOAD", "tests/unit/clock.so", 1);
	} else {
		unsetenv("STORED_PRELOAD");
	}
	assert_int_equal(stored_run_start(&X->run), 0);
}

static void
on_event(void *arg, uint64_t mailbox, uint64_t modseq, bool gone)
{
	(void)arg;
	(void)mailbox;
	(void)modseq;
	(void)gone;
	X->events++;
}

struct store_session *
fix_login_share(const char *account, const char *login, const char *share)
{
	struct token t = {
	    .issued = (int64_t)time(NULL), .expires = (int64_t)time(NULL) + 400000000};
	struct token_share sh = {.rights = "lrswipkxte"};
	struct store_session *s;
	struct buf b;

	snprintf(t.account, sizeof t.account, "%s", account);
	snprintf(t.login, sizeof t.login, "%s", login);
	if (share != NULL) {
		snprintf(sh.account, sizeof sh.account, "%s", share);
		snprintf(sh.name, sizeof sh.name, "%s", share);
		t.shares = &sh;
		t.n_shares = 1;
	}
	buf_init(&b, 65536);
	assert_int_equal(token_seal(X->run.key, &t, &b), 0);
	s = store_session_new(X->imap, buf_slice(&b), on_done, on_event, NULL, NULL);
	buf_done(&b);
	wait_done();
	assert_int_equal(X->err, 0);
	return s;
}

struct store_session *
fix_login(const char *account, const char *login)
{
	return fix_login_share(account, login, NULL);
}

/* ---- as ingest ---- */

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	on_done(arg, err != 0 || n == 0 ? err : r[0].err);
	X->uid = n > 0 ? r[0].uid : 0;
}

static void
message(struct deliver_message *m, const char *id, const char *text)
{
	*m = (struct deliver_message){.fd = -1, .envelope = slice_str("(E)")};
	m->body = slice_str(text);
	m->size = m->body.len;
	sha256_of(m->body, m->sha256);
	snprintf((char *)m->id, sizeof m->id, "%s", id);
}

void
fix_deliver(const char *id, const char *account, const char *mailbox, const char *text)
{
	struct deliver_message m;
	struct deliver_target t = {.account = slice_str(account),
	    .mailbox = slice_str(mailbox),
	    .trace = slice_str("A: b\r\n"),
	    .internal_date = 5000,
	    .internal_zone = 420};

	message(&m, id, text);
	assert_int_equal(deliver_send(X->ingest, &m, &t, 1, 10000, on_delivered, NULL, NULL), 0);
	wait_done();
}

static void
on_appended(void *arg, int err, uint32_t uidvalidity, uint32_t uid)
{
	(void)uidvalidity;
	X->uid = uid;
	on_done(arg, err);
}

void
fix_append(const char *account, uint64_t mailbox, uint32_t flags, const char *text)
{
	struct deliver_message m;
	struct deliver_append a = {
	    .mailbox = mailbox, .flags = flags, .keywords = slice_str("kw"), .internal_date = 77};
	struct buf t;

	message(&m, text, text);
	random_bytes(m.id, sizeof m.id);
	buf_init(&t, 65536);
	stored_run_ticket(&X->run, account, 0, (int64_t)time(NULL) + 400000000, NULL, 0, &t);
	a.ticket = buf_slice(&t);
	assert_int_equal(deliver_append(X->ingest, &m, &a, 10000, on_appended, NULL, NULL), 0);
	wait_done();
	buf_done(&t);
}

/* ---- as imapd ---- */

static void
on_list(void *arg, int err, const struct mbox_info *b, size_t n)
{
	X->n_boxes = n < 200 ? n : 200;
	for (size_t i = 0; i < X->n_boxes; i++) {
		struct fix_box *o = &X->boxes[i];

		*o = (struct fix_box){.id = b[i].id,
		    .modseq = b[i].highest_modseq,
		    .size = b[i].size,
		    .deleted_size = b[i].deleted_size,
		    .uidvalidity = b[i].uidvalidity,
		    .uidnext = b[i].uidnext,
		    .messages = b[i].messages,
		    .unseen = b[i].unseen,
		    .deleted = b[i].deleted};
		keep(o->name, sizeof o->name, b[i].name);
	}
	on_done(arg, err);
}

struct fix_box *
fix_box(struct store_session *s, const char *name)
{
	store_list(s, on_list, NULL);
	wait_done();
	for (size_t i = 0; i < X->n_boxes; i++)
		if (strcmp(X->boxes[i].name, name) == 0)
			return &X->boxes[i];
	return NULL;
}

uint64_t
fix_id(struct store_session *s, const char *name)
{
	const struct fix_box *b = fix_box(s, name);

	assert_non_null(b);
	return b->id;
}

static void
on_flags(void *arg, int err, uint64_t highest, const struct store_flagged *u, size_t n,
    const uint32_t *x, size_t nx)
{
	(void)highest;
	(void)u;
	(void)n;
	(void)x;
	(void)nx;
	on_done(arg, err);
}

void
fix_flags(struct store_session *s, uint64_t m, const uint32_t *uids, size_t n, enum store_op op,
    uint32_t flags, const char *keywords)
{
	store_flags(s, m, uids, n, op, flags, slice_str(keywords), UINT64_MAX, on_flags, NULL);
	wait_done();
}

static void
on_expunged(void *arg, int err, uint64_t highest, const uint32_t *x, size_t nx)
{
	(void)highest;
	X->n = nx < FIX_ROWS ? nx : FIX_ROWS;
	if (nx > 0)
		memcpy(X->src, x, X->n * sizeof *x);
	on_done(arg, err);
}

void
fix_expunge(struct store_session *s, uint64_t m, const uint32_t *uids, size_t n, bool deleted)
{
	store_expunge(s, m, uids, n, deleted, on_expunged, NULL);
	wait_done();
}

static void
on_copied(
    void *arg, int err, uint32_t uidvalidity, const uint32_t *src, const uint32_t *dst, size_t n)
{
	X->uidvalidity = uidvalidity;
	X->n = n;
	if (n > 0) {
		memcpy(X->src, src, n * sizeof *src);
		memcpy(X->dst, dst, n * sizeof *dst);
	}
	on_done(arg, err);
}

void
fix_copy(
    struct store_session *s, uint64_t m, const uint32_t *uids, size_t n, uint64_t to, bool move)
{
	unsigned char id[16];

	random_bytes(id, sizeof id);
	if (move)
		store_move(s, m, uids, n, to, id, on_copied, NULL);
	else
		store_copy(s, m, uids, n, to, on_copied, NULL);
	wait_done();
}

static void
put_row(const struct msg_row *row, uint64_t modseq, int64_t at, struct slice by)
{
	struct fix_row *r = &X->rows[X->n_rows];

	if (X->n_rows == FIX_ROWS)
		return;
	X->n_rows++;
	*r = (struct fix_row){.row = *row, .modseq = modseq, .at = at, .body = row->body};
	keep(r->by, sizeof r->by, by);
	keep(r->keywords, sizeof r->keywords, row->keywords);
}

static void
on_rows(void *arg, int err, const struct msg_row *rows, size_t n, uint32_t next)
{
	for (size_t i = 0; i < n; i++)
		put_row(&rows[i], 0, 0, slice_str(""));
	X->next = next;
	on_done(arg, err);
}

void
fix_rows(struct store_session *s, uint64_t m)
{
	X->n_rows = 0;
	X->next = 1;
	do {
		store_rows(s, m, X->next, UINT32_MAX, on_rows, NULL);
		wait_done();
	} while (X->err == 0 && X->next != 0);
}

void
fix_create(struct store_session *s, const char *name)
{
	store_create(s, slice_str(""), slice_str(name), 0, on_done, NULL);
	wait_done();
}

void
fix_delete(struct store_session *s, uint64_t m)
{
	store_delete(s, m, on_done, NULL);
	wait_done();
}

void
fix_rename(struct store_session *s, uint64_t m, const char *name)
{
	store_rename(s, m, slice_str(name), on_done, NULL);
	wait_done();
}

static void
on_opened(void *arg, int err, const struct store_opened *o)
{
	(void)o;
	on_done(arg, err);
}

void
fix_open(struct store_session *s, uint64_t m)
{
	store_open(s, m, false, true, on_opened, NULL);
	wait_done();
	X->events = 0;
}

void
fix_spin(unsigned ms)
{
	for (unsigned i = 0; i < ms / 10 + 1; i++)
		loop_run_once(X->l, 10);
}

/* ---- as congvu ---- */

int
fix_ask(uint16_t type, struct buf *ask, uint16_t *type_out, struct buf *reply)
{
	int err;

	buf_init(reply, IPC_FRAME_MAX);
	err = ipc_sync_call(X->admin, type, ask, -1, 20000, type_out, reply, NULL);
	if (err == ERR_CLOSED) /* stored was started anew */
		err = ipc_sync_call(X->admin, type, ask, -1, 20000, type_out, reply, NULL);
	buf_done(ask);
	return err;
}

void
fix_kept_boxes(const char *account)
{
	struct buf ask, reply;
	struct ipc_reader r;
	uint16_t type;

	buf_init(&ask, 256);
	ipc_put_str(&ask, account);
	X->n_kept = 0;
	X->held = false;
	X->err = fix_ask(STORE_KEPT_BOXES, &ask, &type, &reply);
	if (X->err == 0) {
		uint32_t n;

		assert_int_equal(type, STORE_KEPT_BOXES_ARE);
		ipc_reader_init(&r, buf_slice(&reply));
		X->held = ipc_get_u8(&r) != 0;
		(void)ipc_get_i64(&r);
		n = ipc_get_u32(&r);
		for (X->n_kept = 0; X->n_kept < n && X->n_kept < 200; X->n_kept++) {
			struct fix_kept *k = &X->kept[X->n_kept];

			k->id = ipc_get_u64(&r);
			keep(k->name, sizeof k->name, ipc_get_slice(&r));
			k->deleted_at = ipc_get_i64(&r);
			keep(k->by, sizeof k->by, ipc_get_slice(&r));
			k->messages = ipc_get_u32(&r);
			k->kept = ipc_get_u32(&r);
			k->octets = ipc_get_u64(&r);
		}
		assert_int_equal(ipc_reader_end(&r), 0);
	}
	buf_done(&reply);
}

void
fix_kept_gone(const char *account)
{
	fix_kept_boxes(account);
	for (int i = 0; i < 400 && (X->err != 0 || X->n_kept > 0); i++) {
		fix_spin(50);
		fix_kept_boxes(account);
	}
}

struct fix_kept *
fix_kept(const char *account, const char *name)
{
	fix_kept_boxes(account);
	assert_int_equal(X->err, 0);
	for (size_t i = 0; i < X->n_kept; i++)
		if (strcmp(X->kept[i].name, name) == 0)
			return &X->kept[i];
	return NULL;
}

void
fix_kept_rows(const char *account, uint64_t m, bool messages)
{
	char from[KEPT_KEY_LEN + 1] = "";

	X->n_rows = 0;
	do {
		struct buf ask, reply;
		struct ipc_reader r;
		uint16_t type;
		uint32_t n;

		buf_init(&ask, 512);
		ipc_put_str(&ask, account);
		ipc_put_u64(&ask, m);
		ipc_put_u8(&ask, messages);
		ipc_put_str(&ask, from);
		X->err = fix_ask(STORE_KEPT_ROWS, &ask, &type, &reply);
		from[0] = '\0';
		ipc_reader_init(&r, buf_slice(&reply));
		if (X->err == 0) {
			keep(from, sizeof from, ipc_get_slice(&r));
			n = ipc_get_u32(&r);
			for (uint32_t i = 0; i < n; i++) {
				uint64_t modseq = ipc_get_u64(&r);
				int64_t at = ipc_get_i64(&r);
				struct slice by;
				struct msg_row row;

				(void)ipc_get_u8(&r);
				by = ipc_get_slice(&r);
				assert_int_equal(msg_row_decode(ipc_get_slice(&r), &row), 0);
				put_row(&row, modseq, at, by);
			}
			assert_int_equal(ipc_reader_end(&r), 0);
		}
		buf_done(&reply);
	} while (X->err == 0 && from[0] != '\0');
}

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = ((const struct fix_row *)a)->row.uid, y = ((const struct fix_row *)b)->row.uid;

	return x < y ? -1 : x > y;
}

void
fix_restore(const char *account, uint64_t m, bool messages, const char *to, size_t from, size_t n,
    bool wait)
{
	unsigned char id[16];
	struct buf ask, reply;
	struct ipc_reader r;
	uint16_t type;

	random_bytes(id, sizeof id);
	qsort(X->rows + from, n, sizeof *X->rows, by_uid);
	buf_init(&ask, 65536);
	ipc_put_str(&ask, account);
	ipc_put_u64(&ask, m);
	ipc_put_u8(&ask, messages);
	ipc_put_str(&ask, to);
	ipc_put_str(&ask, "root");
	ipc_put_slice(&ask, slice_of(id, sizeof id));
	ipc_put_u32(&ask, (uint32_t)n);
	for (size_t i = from; i < from + n; i++) {
		ipc_put_u64(&ask, X->rows[i].modseq);
		ipc_put_u32(&ask, X->rows[i].row.uid);
	}
	X->n = 0;
	if (!wait) { /* whoever asked is killed before the answer */
		struct ipc_sync *s = ipc_sync_new(X->run.admin_sock, &store_proto, IPC_ADMIN);

		buf_init(&reply, IPC_FRAME_MAX);
		X->err = ipc_sync_call(s, STORE_KEPT_RESTORE, &ask, -1, 1, &type, &reply, NULL);
		ipc_sync_free(s);
		buf_done(&ask);
		buf_done(&reply);
		return;
	}
	X->err = fix_ask(STORE_KEPT_RESTORE, &ask, &type, &reply);
	if (X->err == 0) {
		assert_int_equal(type, STORE_KEPT_RESTORED);
		ipc_reader_init(&r, buf_slice(&reply));
		keep(X->to, sizeof X->to, ipc_get_slice(&r));
		X->uidvalidity = ipc_get_u32(&r);
		X->n = ipc_get_u32(&r);
		for (size_t i = 0; i < X->n; i++) {
			X->src[i] = ipc_get_u32(&r);
			X->dst[i] = ipc_get_u32(&r);
		}
		assert_int_equal(ipc_reader_end(&r), 0);
	}
	buf_done(&reply);
}

size_t
fix_hold(unsigned what, const char *account, int64_t until, const char *decision, const char *of,
    struct fix_hold *holds, size_t max)
{
	struct buf ask, reply;
	struct ipc_reader r;
	uint16_t type;
	size_t n = 0;
	uint32_t all;

	buf_init(&ask, 8192);
	ipc_put_u8(&ask, (uint8_t)what);
	ipc_put_str(&ask, account);
	ipc_put_i64(&ask, until);
	ipc_put_str(&ask, decision);
	ipc_put_str(&ask, "officer");
	ipc_put_str(&ask, "why");
	ipc_put_str(&ask, of);
	X->err = fix_ask(STORE_HOLD, &ask, &type, &reply);
	ipc_reader_init(&r, buf_slice(&reply));
	if (X->err == 0) {
		assert_int_equal(type, STORE_HOLDS_ARE);
		keep(X->to, sizeof X->to, ipc_get_slice(&r));
		all = ipc_get_u32(&r);
		for (n = 0; n < all && n < max; n++) {
			struct fix_hold *h = &holds[n];

			keep(h->account, sizeof h->account, ipc_get_slice(&r));
			h->number = ipc_get_u64(&r);
			h->in_force = ipc_get_u8(&r) != 0;
			h->at = ipc_get_i64(&r);
			h->until = ipc_get_i64(&r);
			keep(h->decision, sizeof h->decision, ipc_get_slice(&r));
			keep(h->by, sizeof h->by, ipc_get_slice(&r));
			keep(h->reason, sizeof h->reason, ipc_get_slice(&r));
			h->released_at = ipc_get_i64(&r);
			keep(h->release_decision, sizeof h->release_decision, ipc_get_slice(&r));
			keep(h->released_by, sizeof h->released_by, ipc_get_slice(&r));
		}
		if (all <= max)
			assert_int_equal(ipc_reader_end(&r), 0);
	}
	buf_done(&reply);
	return n;
}

const struct fix_task *
fix_task(const char *kind, const char *args)
{
	static struct fix_task out;
	struct buf ask, reply;
	struct ipc_reader r;
	uint16_t type;
	uint64_t id, from = 0, found;

	out = (struct fix_task){.why = ""};
	buf_init(&ask, 32768);
	ipc_put_str(&ask, kind);
	ipc_put_str(&ask, args);
	X->err = fix_ask(STORE_TASK_START, &ask, &type, &reply);
	if (X->err != 0) {
		snprintf(out.why, sizeof out.why, "%.*s", (int)reply.len, (const char *)reply.data);
		buf_done(&reply);
		return &out;
	}
	ipc_reader_init(&r, buf_slice(&reply));
	id = ipc_get_u64(&r);
	buf_done(&reply);
	for (int i = 0; i < 3000; i++) {
		struct slice status, lines;
		const char *n;
		size_t at = strlen(out.findings);

		buf_init(&ask, 16);
		ipc_put_u64(&ask, id);
		ipc_put_u64(&ask, from);
		assert_int_equal(fix_ask(STORE_TASK_STATUS, &ask, &type, &reply), 0);
		ipc_reader_init(&r, buf_slice(&reply));
		status = ipc_get_slice(&r);
		from = ipc_get_u64(&r);
		lines = ipc_get_slice(&r);
		keep(out.status, sizeof out.status, status);
		keep(out.findings + at, sizeof out.findings - at, lines);
		buf_done(&reply);
		n = strstr(out.status, "\"findings\":");
		found = n == NULL ? 0 : strtoull(n + 11, NULL, 10);
		if (strstr(out.status, "\"state\":\"running\"") == NULL &&
		    strstr(out.status, "\"state\":\"waiting\"") == NULL && from >= found)
			break;
		fix_spin(10);
	}
	return &out;
}
