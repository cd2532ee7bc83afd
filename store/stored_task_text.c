/* stored_task_text.c: the task "text": what is known of the texts of documents that were given up, and their being wanted again. Runs in stored. Arguments: "retry":
 * rows "failed" become "wanted"; else each of them is a finding. */
#include "store/stored_task.h"
#include "store/stored_text.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { PAGE = 200, ROW_MAX = 512 };

struct work {
	bool retry;
	char from[TEXT_KEY_LEN + 2];
	size_t from_len;
	uint64_t n, in_batch;
	bool more;
};

static void
page_over(struct task *t)
{
	struct work *k = t->own;

	t->done = k->n;
	if (k->more) {
		task_next(t);
		return;
	}
	if (k->retry && k->n > 0)
		text_look();
	task_end(t, 0, NULL);
}

static void
on_wanted(void *arg, int err)
{
	struct task *t = arg;
	struct work *k = t->own;

	if (err != 0) {
		task_end(t, err, "the rows of texts cannot be changed");
		return;
	}
	k->n += k->in_batch;
	text_retried(k->in_batch);
	page_over(t);
}

static void
want_again(struct task *t, const struct kv_pair *rows, size_t n)
{
	struct backend *be = t->st->be;
	struct work *k = t->own;
	struct slice dels[PAGE];
	struct kv_pair puts[PAGE];
	char keys[PAGE][TEXT_KEY_LEN + 1];
	struct backend_batch b = {.object = slice_str(TEXT_OBJECT),
	    .expect = slice_str(TEXT_HEADER),
	    .puts = puts,
	    .dels = dels};
	struct text_wanted row = {.since = now_s()};
	struct buf v;
	uint64_t body;

	buf_init(&v, ROW_MAX);
	must(text_wanted_encode(&row, &v));
	for (size_t i = 0; i < n; i++) {
		if (text_key_body(rows[i].key, &body) != 0)
			continue;
		dels[b.n_dels++] = rows[i].key;
		puts[b.n_puts] =
		    (struct kv_pair){text_key(keys[b.n_puts], TEXT_WANTED, body), buf_slice(&v)};
		b.n_puts++;
	}
	k->in_batch = b.n_puts;
	must(be->ops->batch(be, &b, on_wanted, t));
	buf_done(&v);
}

static void
tell(struct task *t, const struct kv_pair *row)
{
	struct work *k = t->own;
	struct json *j = json_obj_new();
	struct text_wanted f;
	uint64_t body = 0;

	(void)text_key_body(row->key, &body);
	json_set_int(j, "body", (int64_t)body);
	if (row->value.ptr != NULL && text_wanted_decode(row->value, &f) == 0) {
		json_set_int(j, "failed", f.since);
		json_set_int(j, "tries", f.tries);
		json_set_slice(j, "why", f.why);
	}
	task_finding_take(t, j);
	k->n++;
}

static void
on_text_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct task *t = arg;
	struct work *k = t->own;

	if (err == ERR_GONE) /* nothing ever was wanted */
		err = 0, n = 0;
	if (err != 0) {
		task_end(t, err, "the rows of texts cannot be read");
		return;
	}
	k->more = more && n > 0;
	if (n > 0 && rows[n - 1].key.len == TEXT_KEY_LEN) {
		memcpy(k->from, rows[n - 1].key.ptr, TEXT_KEY_LEN);
		k->from[TEXT_KEY_LEN] = '0'; /* behind it */
		k->from_len = TEXT_KEY_LEN + 1;
	}
	if (k->retry && n > 0) {
		want_again(t, rows, n);
		return;
	}
	for (size_t i = 0; i < n; i++)
		tell(t, &rows[i]);
	page_over(t);
}

static void
text_step(struct task *t)
{
	struct work *k = t->own;
	struct backend *be = t->st->be;

	must(be->ops->scan(be, slice_str(TEXT_OBJECT), slice_of(k->from, k->from_len),
	    slice_str("f0"), PAGE, on_text_rows, t));
}

static int
text_start(struct task *t, const struct json *args, const char **why)
{
	struct work *k = t->own = xcalloc(1, sizeof *k);

	(void)why;
	k->retry = json_bool(json_get(args, "retry"));
	memcpy(k->from, "f/", 2);
	k->from_len = 2;
	return 0;
}

static struct json *
text_report(struct task *t)
{
	const struct work *k = t->own;
	struct json *j = json_obj_new();

	json_set_bool(j, "retry", k->retry);
	json_set_int(j, "texts", (int64_t)k->n);
	return j;
}

static void
text_free(struct task *t)
{
	free(t->own);
}

const struct task_kind task_kind_text = {
    .name = "text",
    .start = text_start,
    .step = text_step,
    .report = text_report,
    .free = text_free,
};
