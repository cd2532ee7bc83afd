/* stored_walk.c: see stored_walk.h. Runs in stored, in steps of one read each. */
#include "store/stored_walk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { NAMES = 500 };

void
walk_init(struct walk *w, struct task *t, const char *only, void (*found)(struct task *t),
    void (*over)(struct task *t))
{
	*w = (struct walk){.t = t, .found = found, .over = over};
	snprintf(w->only, sizeof w->only, "%s", only);
	buf_init(&w->after, BACKEND_OBJECT_MAX + 8);
	walk_begin(w);
}

void
walk_begin(struct walk *w)
{
	w->n_boxes = w->at_box = 0;
	w->more_boxes = true;
	buf_reset(&w->after);
}

void
walk_leave(struct walk *w)
{
	if (w->acc != NULL)
		account_unref(w->acc);
	w->acc = NULL;
	w->m = NULL;
}

void
walk_done(struct walk *w)
{
	walk_leave(w);
	free(w->boxes);
	w->boxes = NULL;
	buf_done(&w->after);
}

static bool
failed(struct walk *w, int err)
{
	if (err != 0)
		task_end(w->t, err, "the store's rows cannot be read");
	return err != 0;
}

static void
on_account(void *arg, int err, struct account *a)
{
	struct walk *w = arg;
	uint64_t id = w->boxes[w->at_box++];

	if (err == ERR_NOTFOUND) {
		task_next(w->t);
		return;
	}
	if (failed(w, err))
		return;
	w->m = bury_find(a, id);
	if (w->m == NULL)
		w->m = mbox_find(a->st, id);
	if (w->m == NULL || w->m->acc != a) { /* nobody's: its rows are being removed */
		w->m = NULL;
		task_next(w->t);
		return;
	}
	account_ref(a);
	w->acc = a;
	w->found(w->t);
}

static void
on_head(void *arg, int err, struct slice value)
{
	struct walk *w = arg;
	struct mbox_head h;

	if (err == 0)
		err = mbox_head_decode(value, &h);
	if (err == ERR_NOTFOUND || err == ERR_CORRUPT ||
	    (err == 0 && w->only[0] != '\0' && !slice_eq(h.account, slice_str(w->only)))) {
		w->at_box++;
		task_next(w->t);
		return;
	}
	if (!failed(w, err))
		account_find(w->t->st, h.account, on_account, w);
}

static void
on_names(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct walk *w = arg;

	if (failed(w, err))
		return;
	free(w->boxes);
	w->boxes = xcalloc(n + 1, sizeof *w->boxes);
	w->n_boxes = w->at_box = 0;
	for (size_t i = 0; i < n; i++) /* "m.<16 hex>" */
		if (key_number(rows[i].key, 16, &w->boxes[w->n_boxes]) == 0)
			w->n_boxes++;
	if (n > 0) {
		buf_reset(&w->after);
		buf_append_slice(&w->after, rows[n - 1].key);
	}
	w->more_boxes = more;
	task_next(w->t);
}

void
walk_next(struct walk *w)
{
	struct backend *be = w->t->st->be;
	char object[OBJECT_ID_MAX];

	if (w->at_box < w->n_boxes) {
		snprintf(
		    object, sizeof object, "m.%016llx", (unsigned long long)w->boxes[w->at_box]);
		must(be->ops->get(be, slice_str(object), slice_str("h"), on_head, w));
	} else if (w->more_boxes) {
		must(be->ops->objects(
		    be, slice_str("m."), buf_slice(&w->after), NAMES, on_names, w));
	} else {
		w->over(w->t);
	}
}
