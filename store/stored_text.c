/* stored_text.c: see stored_text.h. Runs in stored.
 *
 * A row "wanted" is submitted before the batch that first names the body (text_want), so that it is there when the mail is: the backend commits in order. Each
 * try is counted in the row before the body is handed out: who dies over it, or has stored die, has had one; after two the row says "failed", and
 * why. The row "read" takes the place of "wanted" in one batch, behind the body with the text. */
#include "store/stored_text.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/sig.h"
#include "store/stored_handout.h"

enum {
	TEXT_PATIENCE = 10, /* looks for a gap, at most */
	ROW_MAX = 512,
	COUNT_PAGE = 1000,
	TEXT_MAX = 960 << 10
};

static void on_bad(int err);

static struct {
	struct stored *st;
	struct handout out;
	struct loop_timer *timer;
	bool made;        /* the object of the rows is there, or on its way */
	bool look;        /* there may be rows */
	bool busy;        /* with one body, from the look at its row to the last row of it */
	bool resting;     /* until the timer: the last one came to nothing, or mail comes in */
	uint64_t inserts; /* of stored, at the last look */
	unsigned gap_ms;
	unsigned patience; /* looks that may still end with waiting for a gap */
	unsigned paused;
	/* the one at work */
	uint64_t body, size;
	struct text_wanted row;
	struct buf why; /* what row.why borrows */
	bool ready;     /* it is handed out, or would be if somebody asked */
	struct text_read read;
	struct text_numbers n;
} T = {.out = {.is = STORE_TEXT_IS, .bad = on_bad}};

static void pump(void);

/* ---- rows ---- */

static void
on_made(void *arg, int err)
{
	(void)arg;
	if (err != 0 && err != ERR_EXISTS) {
		T.made = false;
		log_msg(
		    LOG_LVL_WARN, "texts", "the rows of texts cannot be made: %s", err_name(err));
	}
}

static void
on_wanted(void *arg, int err)
{
	(void)arg;
	if (err == ERR_GONE || err == ERR_CONFLICT)
		T.made = false;
	if (err != 0 && err != ERR_EXISTS) /* the mail itself says so where it matters */
		log_msg(LOG_LVL_WARN, "texts", "a text is not wanted: %s", err_name(err));
	if (err != 0)
		return;
	T.n.waiting++;
	text_look();
}

void
text_object(struct stored *st)
{
	if (T.made)
		return;
	T.made = true;
	must(st->be->ops->create(
	    st->be, slice_str(TEXT_OBJECT), slice_str(TEXT_HEADER), on_made, NULL));
}

void
text_want(struct stored *st, uint64_t body)
{
	struct backend *be = st->be;
	char w[TEXT_KEY_LEN + 1], e[TEXT_KEY_LEN + 1], f[TEXT_KEY_LEN + 1];
	struct slice absent[3] = {text_key(w, TEXT_WANTED, body), text_key(e, TEXT_READ, body),
	    text_key(f, TEXT_FAILED, body)};
	struct text_wanted row = {.since = now_s()};
	struct kv_pair put;
	struct backend_batch b = {.object = slice_str(TEXT_OBJECT),
	    .expect = slice_str(TEXT_HEADER),
	    .puts = &put,
	    .n_puts = 1,
	    .absent = absent,
	    .n_absent = 3};
	struct buf v;

	if (T.st == NULL)
		return;
	text_object(st);
	buf_init(&v, ROW_MAX);
	must(text_wanted_encode(&row, &v));
	put = (struct kv_pair){absent[0], buf_slice(&v)};
	must(be->ops->batch(be, &b, on_wanted, NULL));
	buf_done(&v);
}

/* ---- the end of one ---- */

static void
rest(void)
{
	T.busy = T.ready = false;
	handout_take_back(&T.out);
	T.resting = true;
	loop_timer_set(T.timer, TEXT_PAUSE_MS);
}

static void
on_settled(void *arg, int err)
{
	bool failed = arg != NULL;

	if (err != 0) {
		log_msg(LOG_LVL_WARN, "texts", "body %llu: its row cannot be written: %s",
		    (unsigned long long)T.body, err_name(err));
		rest();
		return;
	}
	T.n.waiting -= T.n.waiting > 0;
	T.n.failed += failed;
	T.n.done += !failed;
	T.busy = T.ready = false;
	handout_take_back(&T.out);
	pump();
}

static void
on_noted(void *arg, int err)
{
	(void)arg;
	(void)err; /* the row as it was counts the try as well */
	rest();
}

/* One batch: the row "wanted" goes, and with a kind (0: none) one takes its place. */
static void
swap(enum text_kind kind, struct slice value, backend_done_fn fn, void *arg)
{
	struct backend *be = T.st->be;
	char w[TEXT_KEY_LEN + 1], k[TEXT_KEY_LEN + 1];
	struct slice del = text_key(w, TEXT_WANTED, T.body);
	struct kv_pair put = {text_key(k, kind == 0 ? TEXT_READ : kind, T.body), value};
	struct backend_batch b = {.object = slice_str(TEXT_OBJECT),
	    .expect = slice_str(TEXT_HEADER),
	    .puts = &put,
	    .n_puts = kind != 0,
	    .dels = &del,
	    .n_dels = kind != TEXT_WANTED};

	must(be->ops->batch(be, &b, fn, arg));
}

static void
keep_why(struct slice why)
{
	if (why.ptr == T.why.data && why.len == T.why.len) /* it stays */
		return;
	buf_reset(&T.why);
	for (size_t i = 0; i < why.len && i < TEXT_WHY_MAX; i++)
		buf_append_byte(&T.why, why.ptr[i] >= ' ' && why.ptr[i] < 0x7f ? why.ptr[i] : '?');
	T.row.why = buf_slice(&T.why);
}

/* final: another try would be the same. */
static void
came_to_nothing(struct slice why, bool final)
{
	bool failed = final || T.row.tries >= TEXT_TRIES;
	struct buf v;

	loop_timer_stop(T.timer);
	T.ready = false;
	handout_take_back(&T.out);
	keep_why(why);
	buf_init(&v, ROW_MAX);
	if (failed)
		T.row.since = now_s();
	must(text_wanted_encode(&T.row, &v));
	if (failed)
		log_msg(LOG_LVL_WARN, "text_failed", "body %llu: %s", (unsigned long long)T.body,
		    buf_cstr(&T.why));
	swap(failed ? TEXT_FAILED : TEXT_WANTED, buf_slice(&v), failed ? on_settled : on_noted,
	    failed ? &T : NULL);
	buf_done(&v);
}

static void
put_read(uint64_t text)
{
	struct buf v;

	T.read.text = text;
	T.read.at = now_s();
	buf_init(&v, ROW_MAX);
	must(text_read_encode(&T.read, &v));
	swap(TEXT_READ, buf_slice(&v), on_settled, NULL);
	buf_done(&v);
}

static void
on_text_put(void *arg, int err, uint64_t text)
{
	(void)arg;
	if (err != 0)
		came_to_nothing(slice_str(err_name(err)), false);
	else
		put_read(text);
}

/* The body with the text; its summary has no tree, and the signature. */
static void
put_text(struct slice text, struct slice sig)
{
	struct backend *be = T.st->be;
	unsigned char sha[32];
	struct buf content, summary;
	int err;

	buf_init(&content, TEXT_HEAD + TEXT_MAX);
	buf_init(&summary, SIG_SIZE_MAX + 16);
	text_head_put(T.body, &content);
	buf_append_slice(&content, text);
	err = summary_encode(slice_str(""), sig, &summary);
	if (err == 0)
		err = content.err;
	if (err == 0) {
		sha256_of(buf_slice(&content), sha);
		must(be->ops->body_put(be, sha, buf_slice(&content), -1, content.len,
		    buf_slice(&summary), on_text_put, NULL));
	} else {
		came_to_nothing(slice_str(err_name(err)), true);
	}
	buf_done(&content);
	buf_done(&summary);
}

/* ---- handing out ---- */

static void
on_bad(int err)
{
	(void)err;
	came_to_nothing(slice_str("the mail cannot be read from the disk"), false);
}

static void
give(void)
{
	if (T.ready && T.out.worker == NULL && T.paused == 0 && handout_give(&T.out, T.size, NULL))
		loop_timer_set(T.timer, TEXT_ANSWER_MS);
}

static void
on_begun(void *arg, int err)
{
	(void)arg;
	if (err != 0) {
		rest();
		return;
	}
	T.ready = true;
	give();
}

static void
begin(void)
{
	struct buf v;

	T.row.tries++;
	keep_why(slice_str("whoever read it ended in the middle"));
	buf_init(&v, ROW_MAX);
	must(text_wanted_encode(&T.row, &v));
	swap(TEXT_WANTED, buf_slice(&v), on_begun, NULL);
	buf_done(&v);
}

static void
on_checked(void *arg, int err, struct slice value)
{
	struct backend_checked c;

	(void)arg;
	if (err != 0 || value.len < sizeof c) {
		rest();
		return;
	}
	memcpy(&c, value.ptr, sizeof c);
	T.size = c.size;
	if (c.err == ERR_NOTFOUND) /* the mail is gone */
		swap(0, slice_str(""), on_settled, NULL);
	else if (c.err != 0)
		came_to_nothing(slice_str("the mail cannot be read from the disk"), true);
	else if (c.size > TEXT_BODY_MAX)
		came_to_nothing(slice_str("the mail is larger than is read"), true);
	else if (T.row.tries >= TEXT_TRIES)
		came_to_nothing(T.row.why, true);
	else
		begin();
}

static void
on_next(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct backend *be = T.st->be;

	(void)arg;
	(void)more;
	if ((err == 0 && n == 0) || err == ERR_GONE) {
		T.look = T.busy = false;
		T.n.waiting = 0;
		T.n.oldest = 0;
		text_old_go();
		return;
	}
	if (err != 0 || text_key_body(rows[0].key, &T.body) != 0) {
		log_msg(
		    LOG_LVL_WARN, "texts", "the rows of texts cannot be read: %s", err_name(err));
		rest();
		return;
	}
	buf_reset(&T.why);
	T.read = (struct text_read){.text = 0};
	if (rows[0].value.ptr == NULL || text_wanted_decode(rows[0].value, &T.row) != 0) {
		T.row = (struct text_wanted){.since = now_s(), .tries = 0};
	} else {
		buf_append_slice(&T.why, T.row.why);
		T.row.why = buf_slice(&T.why);
	}
	T.n.oldest = T.row.since;
	must(be->ops->bodies_check(be, &T.body, 1, false, on_checked, NULL));
}

/* Mail came in since the last look: the next body waits for a gap, for so long at most that under a flow that never ends some are read all the same. */
static bool
gives_way(void)
{
	if (T.st->n_inserts == T.inserts || T.patience == 0) {
		T.patience = TEXT_PATIENCE;
		return false;
	}
	T.inserts = T.st->n_inserts;
	T.patience--;
	T.resting = true;
	loop_timer_set(T.timer, T.gap_ms);
	return true;
}

static void
pump(void)
{
	struct backend *be = T.st->be;

	if (text_is_quiet())
		text_old_go();
	if (T.busy || T.resting || T.paused > 0 || !T.look || T.out.waiters == NULL || gives_way())
		return;
	T.busy = true;
	must(be->ops->scan(
	    be, slice_str(TEXT_OBJECT), slice_str("w/"), slice_str("w0"), 1, on_next, NULL));
}

static void
on_time(void *arg)
{
	(void)arg;
	if (T.resting) {
		T.resting = false;
		pump();
	} else if (T.busy && T.out.worker != NULL) {
		came_to_nothing(slice_str("no answer in time"), false);
	}
}

void
text_look(void)
{
	T.look = true;
	pump();
}

void
text_retried(uint64_t n)
{
	T.n.failed -= n < T.n.failed ? n : T.n.failed;
	T.n.waiting += n;
}

bool
text_pause(bool on)
{
	if (T.st == NULL)
		return true;
	if (on)
		T.paused++;
	else if (T.paused > 0)
		T.paused--;
	if (T.ready)
		give();
	else
		pump();
	return text_is_idle();
}

bool
text_is_idle(void)
{
	return !T.busy || (T.ready && T.out.worker == NULL);
}

bool
text_is_quiet(void)
{
	return T.st != NULL && !T.busy && !T.resting && T.paused == 0 && !T.look;
}

struct text_numbers
text_numbers(void)
{
	return T.n;
}

/* ---- what ingest says ---- */

void
text_conn_closed(const struct conn *c)
{
	if (handout_gone(&T.out, c))
		came_to_nothing(slice_str("whoever read it ended in the middle"), false);
}

int
on_text_wait(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	handout_wait(&T.out, c, id);
	if (T.out.worker == c) /* it gave up */
		came_to_nothing(slice_str("whoever read it gave up"), false);
	else if (T.ready)
		give();
	else
		pump();
	return 0;
}

int
on_text_piece(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	bool by_worker;
	int err = handout_piece(&T.out, c, id, r, T.body, T.size, &by_worker);

	if (by_worker)
		loop_timer_set(T.timer, TEXT_ANSWER_MS);
	return err;
}

int
on_text_done(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint64_t job = ipc_get_u64(r);
	bool read = ipc_get_u8(r) != 0;
	uint8_t how = ipc_get_u8(r);
	struct slice why = ipc_get_slice(r), text = ipc_get_slice(r), sig = ipc_get_slice(r);

	if (ipc_reader_end(r) != 0 || text.len > TEXT_MAX || sig.len > SIG_SIZE_MAX)
		return ERR_PROTO;
	(void)ipc_reply_ok(c->ipc, id);
	if (!handout_has(&T.out, c, job))
		return 0;
	loop_timer_stop(T.timer);
	handout_take_back(&T.out);
	T.ready = false; /* from here on it is ours to end */
	T.read.how = how & (TEXT_PARTLY | TEXT_CUT);
	if (!read)
		came_to_nothing(why, false);
	else if (text.len == 0)
		put_read(0);
	else
		put_text(text, sig);
	return 0;
}

/* ---- the start: how many there are ---- */

struct counting {
	char prefix;
	uint64_t n;
};

static void count_from(struct counting *k, struct slice from);

static void
on_counted(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct counting *k = arg;
	char from[TEXT_KEY_LEN + 2];

	k->n += err == 0 ? n : 0;
	if (err == 0 && more && n > 0 && rows[n - 1].key.len == TEXT_KEY_LEN) {
		memcpy(from, rows[n - 1].key.ptr, TEXT_KEY_LEN);
		from[TEXT_KEY_LEN] = '0'; /* behind it */
		count_from(k, slice_of(from, TEXT_KEY_LEN + 1));
		return;
	}
	if (k->prefix == 'w')
		T.n.waiting += k->n;
	else
		T.n.failed += k->n;
	free(k);
}

static void
count_from(struct counting *k, struct slice from)
{
	struct backend *be = T.st->be;
	char to[] = {k->prefix, '0', '\0'};

	must(be->ops->scan(
	    be, slice_str(TEXT_OBJECT), from, slice_str(to), COUNT_PAGE, on_counted, k));
}

void
text_begin(struct stored *st, unsigned gap_ms)
{
	static const char *const from[] = {"w/", "f/"};

	T.st = st;
	T.gap_ms = gap_ms;
	T.timer = loop_timer_new(st->loop, on_time, NULL);
	buf_init(&T.why, TEXT_WHY_MAX + 1);
	for (size_t i = 0; i < 2; i++) {
		struct counting *k = xcalloc(1, sizeof *k);

		k->prefix = from[i][0];
		count_from(k, slice_str(from[i]));
	}
	text_old_begin(st);
	text_look();
}
