/* stored_text_sweep.c: rows about texts whose mail is gone, and texts that are lost while their mail is there. Runs in stored, after each collection. A collection
 * drops the text with the mail (row_bodies.h, row_is_weak); its row goes here, once nothing of both is on the disk: until then it tells a purge where the text
 * is. Numbers of bodies are never given twice, so what is seen gone stays gone. */
#include "store/stored_text.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { PAGE = BACKEND_BODIES_MAX / 2, ROW_MAX = 512 };

struct line {
	char key[TEXT_KEY_LEN + 1];
	uint64_t body, text; /* text 0: none */
};
static struct sweep {
	struct stored *st;
	bool running, more;
	char from[TEXT_KEY_LEN + 2];
	size_t from_len;
	struct line lines[PAGE];
	size_t n;
	uint64_t gone, again;
} S;

static void next_page(void);

static void
page_done(void)
{
	if (S.more) {
		next_page();
		return;
	}
	S.running = false;
	if (S.gone > 0 || S.again > 0)
		log_msg(LOG_LVL_INFO, "texts",
		    "%llu rows of mails that are gone went; %llu texts are wanted anew",
		    (unsigned long long)S.gone, (unsigned long long)S.again);
	if (S.again > 0)
		text_look();
}

static void
on_swept(void *arg, int err)
{
	(void)arg;
	if (err != 0)
		log_msg(
		    LOG_LVL_WARN, "texts", "rows of texts cannot be changed: %s", err_name(err));
	page_done();
}

static void
on_checked(void *arg, int err, struct slice value)
{
	struct backend *be = S.st->be;
	struct slice dels[PAGE];
	struct kv_pair puts[PAGE];
	char keys[PAGE][TEXT_KEY_LEN + 1];
	struct backend_batch b = {.object = slice_str(TEXT_OBJECT),
	    .expect = slice_str(TEXT_HEADER),
	    .puts = puts,
	    .dels = dels};
	struct text_wanted anew = {.since = now_s()};
	struct buf v;

	(void)arg;
	if (err != 0 || value.len < 2 * S.n * sizeof(struct backend_checked)) {
		S.running = false;
		return;
	}
	buf_init(&v, ROW_MAX);
	must(text_wanted_encode(&anew, &v));
	for (size_t i = 0; i < S.n; i++) {
		struct line *l = &S.lines[i];
		struct backend_checked mail, text;
		bool mail_gone, text_gone;

		memcpy(&mail, value.ptr + 2 * i * sizeof mail, sizeof mail);
		memcpy(&text, value.ptr + (2 * i + 1) * sizeof text, sizeof text);
		mail_gone = mail.err == ERR_NOTFOUND;
		text_gone = l->text == 0 || text.err == ERR_NOTFOUND || text.err == ERR_GONE;
		if (mail_gone && !text_gone)
			continue; /* the next collection drops the text */
		if (!mail_gone && (l->text == 0 || !text_gone))
			continue;
		dels[b.n_dels++] = slice_of(l->key, TEXT_KEY_LEN);
		if (mail_gone) {
			S.gone++;
			continue;
		}
		puts[b.n_puts] =
		    (struct kv_pair){text_key(keys[b.n_puts], TEXT_WANTED, l->body), buf_slice(&v)};
		b.n_puts++;
		S.again++;
	}
	if (b.n_dels == 0)
		page_done();
	else
		must(be->ops->batch(be, &b, on_swept, NULL));
	buf_done(&v);
}

static void
on_text_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct backend *be = S.st->be;
	uint64_t bodies[2 * PAGE];

	(void)arg;
	S.n = 0;
	for (size_t i = 0; err == 0 && i < n; i++) {
		struct line *l = &S.lines[S.n];
		struct text_read t = {.text = 0};

		if (text_key_body(rows[i].key, &l->body) != 0)
			continue;
		if (slice_starts(rows[i].key, "e/") &&
		    (rows[i].value.ptr == NULL || text_read_decode(rows[i].value, &t) != 0))
			t.text = UINT64_MAX; /* of no body: read anew */
		memcpy(l->key, rows[i].key.ptr, TEXT_KEY_LEN);
		l->text = t.text;
		bodies[2 * S.n] = l->body;
		bodies[2 * S.n + 1] = t.text == 0 ? l->body : t.text;
		S.n++;
	}
	S.more = err == 0 && more && n > 0;
	if (S.more) {
		memcpy(S.from, rows[n - 1].key.ptr,
		    rows[n - 1].key.len < TEXT_KEY_LEN ? rows[n - 1].key.len : TEXT_KEY_LEN);
		S.from[TEXT_KEY_LEN] = '0';
		S.from_len = TEXT_KEY_LEN + 1;
	}
	if (S.n == 0) {
		page_done();
		return;
	}
	must(be->ops->bodies_check(be, bodies, 2 * S.n, false, on_checked, NULL));
}

static void
next_page(void)
{
	struct backend *be = S.st->be;

	must(be->ops->scan(be, slice_str(TEXT_OBJECT), slice_of(S.from, S.from_len), slice_str("g"),
	    PAGE, on_text_rows, NULL));
}

void
text_sweep(struct stored *st)
{
	if (S.running)
		return;
	S = (struct sweep){.st = st, .running = true, .from = "e/", .from_len = 2};
	next_page();
}
