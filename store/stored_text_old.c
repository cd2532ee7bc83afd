/* stored_text_old.c: mail that came before anybody wanted the text of documents (or while nobody read any) is looked through for them, from the oldest body to the newest, and what may have
 * some is wanted. Runs in stored, behind everything else: a page at a time, only while no text is waited for, so that new mail never stands behind more than a few old ones.
 *
 * stored parses no mail: the trees of a page go to an ingest that asks for them (search_attachment_text), and it says which may have documents. By bodies and not by mailboxes: what is moved and copied
 * meanwhile is missed nowhere, and mail to many is looked at once. The row "p" says how far it came: after a start it goes on there, and what was looked at and not noted is looked at again. Later each hour,
 * from where it ended: what came meanwhile has its rows from the delivery. */
#include "store/stored_text.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/sig.h"
#include "store/stored_handout.h"

#ifndef TEXT_OLD_PAUSE_MS
#define TEXT_OLD_PAUSE_MS 100 /* between two pages */
#endif
#ifndef TEXT_OLD_AGAIN_MS
#define TEXT_OLD_AGAIN_MS 3600000 /* when it is through */
#endif
enum {
	PAGE = TEXT_SHOWN_MAX,
	WANTS = 8,         /* of a page: new mail waits for so many at most */
	NOTE_EVERY = 16,   /* pages: then the row is written though nothing was wanted */
	ANSWER_MS = 60000, /* for a page */
	REST_MS = 5000,    /* when the store could not be read */
	LOST_MS = 200,     /* when who looked at it ended */
	TRIES = 2,
	ROW_MAX = 64,
};

static void found_nothing(int err);

static struct {
	struct stored *st;
	struct handout out;
	struct loop_timer *timer;
	bool known;   /* the row was read */
	bool busy;    /* with a page */
	bool resting; /* until the timer */
	bool asked;
	struct text_old at;
	uint64_t last;
	unsigned tries;  /* of this page that came to nothing */
	unsigned single; /* so many bodies go alone: one among them ends who looks at it */
	unsigned unnoted;
	/* the page */
	uint64_t bodies[PAGE], end; /* end: the last one of it */
	bool settled[PAGE];         /* it has a row */
	size_t n;
	unsigned kind;
	uint64_t shown[PAGE];
	uint32_t n_shown;
} O = {.out = {.is = STORE_TEXT_TREES, .bad = found_nothing}};

static const char kinds[] = {TEXT_WANTED, TEXT_READ, TEXT_FAILED};

static void
rest(unsigned ms)
{
	O.busy = false;
	O.resting = true;
	loop_timer_set(O.timer, ms);
}

/* The page is not done. */
static void
found_nothing(int err)
{
	handout_take_back(&O.out);
	log_msg(LOG_LVL_WARN, "texts", "old mail after body %llu cannot be looked at now: %s",
	    (unsigned long long)O.at.upto, err_name(err));
	rest(REST_MS);
}

/* ---- how far ---- */

static void
on_noted(void *arg, int err)
{
	bool through = arg != NULL;

	if (err != 0) /* it is looked at again after a start */
		log_msg(LOG_LVL_WARN, "texts", "how far old mail was looked through: %s",
		    err_name(err));
	rest(through ? TEXT_OLD_AGAIN_MS : TEXT_OLD_PAUSE_MS);
}

/* Behind the rows of what was wanted: batches are committed in order. */
static void
note(bool through)
{
	struct backend *be = O.st->be;
	struct kv_pair put = {.key = slice_str(TEXT_OLD_KEY)};
	struct backend_batch b = {.object = slice_str(TEXT_OBJECT),
	    .expect = slice_str(TEXT_HEADER),
	    .puts = &put,
	    .n_puts = 1};
	struct buf v;

	O.unnoted = 0;
	text_object(O.st);
	buf_init(&v, ROW_MAX);
	must(text_old_encode(&O.at, &v));
	put.value = buf_slice(&v);
	must(be->ops->batch(be, &b, on_noted, through ? &O : NULL));
	buf_done(&v);
}

static void
page_done(bool wanted)
{
	O.at.upto = O.end;
	O.tries = 0;
	O.single -= O.single > 0;
	if (wanted || ++O.unnoted >= NOTE_EVERY)
		note(false);
	else
		rest(TEXT_OLD_PAUSE_MS);
}

/* ---- what ingest says ---- */

/* Who looked at it ended, or gave no answer. A body that does this each time is wanted unseen: whoever reads it is counted and given up. */
static void
lost(void)
{
	handout_take_back(&O.out);
	if (++O.tries < TRIES) {
		rest(LOST_MS);
	} else if (O.n > 1) {
		O.tries = 0;
		O.single = PAGE;
		rest(LOST_MS);
	} else {
		log_msg(LOG_LVL_WARN, "texts", "body %llu: nobody can say whether it has documents",
		    (unsigned long long)O.bodies[0]);
		text_want(O.st, O.bodies[0]);
		page_done(true);
	}
}

void
text_old_conn_closed(const struct conn *c)
{
	if (handout_gone(&O.out, c)) {
		loop_timer_stop(O.timer);
		lost();
	}
}

int
on_text_old_wait(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	O.asked = true;
	handout_wait(&O.out, c, id);
	if (O.out.worker == c) { /* it gave up */
		loop_timer_stop(O.timer);
		lost();
	}
	text_old_go();
	return 0;
}

int
on_text_old_done(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	uint64_t job = ipc_get_u64(r);
	struct slice maybe = ipc_get_slice(r);
	unsigned wanted = 0;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	(void)ipc_reply_ok(c->ipc, id);
	if (!handout_has(&O.out, c, job))
		return 0;
	loop_timer_stop(O.timer);
	if (maybe.len != O.n_shown) {
		lost();
		return 0;
	}
	handout_take_back(&O.out);
	for (uint32_t i = 0; i < O.n_shown; i++) {
		if (maybe.ptr[i] != '1')
			continue;
		if (wanted == WANTS) {
			O.end = O.shown[i] - 1;
			break;
		}
		text_want(O.st, O.shown[i]);
		wanted++;
	}
	page_done(wanted > 0);
	return 0;
}

/* ---- a page ---- */

/* What has a tree is a mail; other bodies (parts, texts, blocks of the index) have none. One whose summary is too large to be given here is shown without: perhaps. */
static void
on_summaries(void *arg, int err, struct slice v)
{
	struct buf list, rest_of;
	struct backend_whole w;

	(void)arg;
	if (err != 0) {
		found_nothing(err);
		return;
	}
	buf_init(&list, TEXT_TREES_MAX);
	buf_init(&rest_of, IPC_FRAME_MAX);
	O.n_shown = 0;
	for (size_t i = 0; i < O.n; i++) {
		struct slice tree = slice_str("");

		if (O.settled[i])
			continue;
		if (backend_bodies_next(&v, &w) && w.err != ERR_FULL) {
			if (w.err == 0)
				tree = summary_tree(w.summary);
			if (w.err != ERR_LIMIT && tree.len == 0)
				continue;
			if (list.len + tree.len + 8 <= TEXT_TREES_MAX) {
				ipc_put_slice(&list, tree);
				O.shown[O.n_shown++] = O.bodies[i];
				continue;
			}
		}
		O.end = O.bodies[i] - 1; /* the others in another page */
		break;
	}
	ipc_put_u32(&rest_of, O.n_shown);
	buf_append_slice(&rest_of, buf_slice(&list));
	if (O.n_shown == 0)
		page_done(false);
	else if (handout_give(&O.out, 0, &rest_of))
		loop_timer_set(O.timer, ANSWER_MS);
	else
		rest(TEXT_OLD_PAUSE_MS); /* they went away: from the same place, when one asks */
	buf_done(&list);
	buf_done(&rest_of);
}

static void look_for_rows(void);

static void
on_text_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct backend *be = O.st->be;
	uint64_t open[PAGE], body;
	size_t n_open = 0, k = 0;

	(void)arg;
	(void)more;
	if (err != 0 && err != ERR_GONE && err != ERR_NOTFOUND) {
		found_nothing(err);
		return;
	}
	for (size_t i = 0; err == 0 && i < n; i++) {
		if (text_key_body(rows[i].key, &body) != 0)
			continue;
		while (k < O.n && O.bodies[k] < body)
			k++;
		if (k < O.n && O.bodies[k] == body)
			O.settled[k] = true;
	}
	if (++O.kind < sizeof kinds) {
		look_for_rows();
		return;
	}
	for (size_t i = 0; i < O.n; i++)
		if (!O.settled[i])
			open[n_open++] = O.bodies[i];
	if (n_open == 0)
		page_done(false);
	else
		must(be->ops->summaries_get(be, open, n_open, on_summaries, NULL));
}

static void
look_for_rows(void)
{
	struct backend *be = O.st->be;
	char from[TEXT_KEY_LEN + 1], to[TEXT_KEY_LEN + 2];
	struct slice last = text_key(to, (enum text_kind)kinds[O.kind], O.bodies[O.n - 1]);

	to[last.len] = '0'; /* behind it */
	must(be->ops->scan(be, slice_str(TEXT_OBJECT),
	    text_key(from, (enum text_kind)kinds[O.kind], O.bodies[0]), slice_of(to, last.len + 1),
	    PAGE, on_text_rows, NULL));
}

static void
on_bodies(void *arg, int err, struct slice v)
{
	(void)arg;
	if (err != 0 || v.len < sizeof O.last) {
		found_nothing(err != 0 ? err : ERR_CORRUPT);
		return;
	}
	memcpy(&O.last, v.ptr, sizeof O.last);
	v = slice_from(v, sizeof O.last);
	O.n = v.len / sizeof *O.bodies;
	if (O.n == 0) {
		O.at.at = now_s();
		note(true);
		return;
	}
	memcpy(O.bodies, v.ptr, O.n * sizeof *O.bodies);
	memset(O.settled, 0, sizeof O.settled);
	O.end = O.bodies[O.n - 1];
	O.kind = 0;
	look_for_rows();
}

void
text_old_go(void)
{
	struct backend *be;

	if (!O.known || O.busy || O.resting || O.out.waiters == NULL || !text_is_quiet())
		return;
	be = O.st->be;
	O.busy = true;
	must(be->ops->bodies_after(be, O.at.upto, O.single > 0 ? 1 : PAGE, on_bodies, NULL));
}

static void
on_time(void *arg)
{
	(void)arg;
	if (O.resting) {
		O.resting = false;
		text_old_go();
	} else if (O.out.worker != NULL) {
		lost();
	}
}

struct text_old_numbers
text_old_numbers(void)
{
	return (struct text_old_numbers){
	    .asked = O.asked, .through = O.at.at != 0, .upto = O.at.upto, .last = O.last};
}

static void
on_row(void *arg, int err, struct slice value)
{
	(void)arg;
	if (err == 0)
		err = text_old_decode(value, &O.at);
	if (err != 0) /* none, or it says nothing: from the first one */
		O.at = (struct text_old){.upto = 0};
	O.known = true;
	text_old_go();
}

void
text_old_begin(struct stored *st)
{
	O.st = st;
	O.timer = loop_timer_new(st->loop, on_time, NULL);
	must(st->be->ops->get(
	    st->be, slice_str(TEXT_OBJECT), slice_str(TEXT_OLD_KEY), on_row, NULL));
}
