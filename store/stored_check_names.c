/* stored_check_names.c: the end of a check of all accounts: mailboxes that have rows and no name in any account, as a crash between the removal of a name and
 * that of the rows leaves them. Nobody can open them, and their mail takes room for ever. Runs in stored. */
#include "store/stored_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { PAGE = 500 };

struct check_names {
	uint64_t *named; /* by the accounts read; sorted before it is asked */
	size_t n_named, alloc;
	bool sorted;
	struct buf after;
	uint64_t *boxes; /* of a page: those without a name when the accounts were read */
	size_t n_boxes, at;
	bool more;
	char account[ACCOUNT_ID_MAX + 1]; /* of the one at work */
	uint32_t messages;
	uint64_t octets;
};

static struct check_names *
names_of(struct check *k)
{
	if (k->names == NULL) {
		k->names = xcalloc(1, sizeof *k->names);
		buf_init(&k->names->after, BACKEND_OBJECT_MAX + 8);
		k->names->more = true;
	}
	return k->names;
}

void
check_names_free(struct check *k)
{
	if (k->names == NULL)
		return;
	free(k->names->named);
	free(k->names->boxes);
	buf_done(&k->names->after);
	free(k->names);
}

void
check_names_add(struct check *k, uint64_t id)
{
	struct check_names *x = names_of(k);

	if (x->n_named == x->alloc) {
		x->alloc = x->alloc == 0 ? 1024 : 2 * x->alloc;
		x->named = xrealloc(x->named, x->alloc * sizeof *x->named);
	}
	x->named[x->n_named++] = id;
}

static int
by_id(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void
next(struct check *k)
{
	k->names->at++;
	task_next(k->t);
}

static void
on_buried(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct check_names *x = k->names;
	char id[20];
	struct json *f;

	(void)value;
	if (err == ERR_NOTFOUND) {
		snprintf(id, sizeof id, "%016" PRIx64, x->boxes[x->at]);
		snprintf(k->account, sizeof k->account, "%s", x->account);
		f = check_finding_new(k, CHECK_WARNING, "mailbox_nameless");
		json_set_str(f, "object", id);
		json_set_int(f, "messages", x->messages);
		json_set_int(f, "octets", (int64_t)x->octets);
		check_emit_take(k, f);
	}
	next(k);
}

/* key: "b/…", "l/b…" of the account */
static void
ask_row(struct check *k, const char *prefix, backend_value_fn fn)
{
	struct backend *be = k->t->st->be;
	char key[KEY_MAX];
	struct buf object;
	int n = snprintf(key, sizeof key, "%s%016" PRIx64, prefix, k->names->boxes[k->names->at]);

	buf_init(&object, BACKEND_OBJECT_MAX);
	buf_appendf(&object, "a.%s", k->names->account);
	must(be->ops->get(be, buf_slice(&object), slice_of(key, (size_t)n), fn, k));
	buf_done(&object);
}

static void
on_name(void *arg, int err, struct slice value)
{
	struct check *k = arg;

	(void)value;
	if (err == ERR_NOTFOUND)
		ask_row(k, "l/b", on_buried);
	else
		next(k); /* it was made since, or renamed; or cannot be read, which was told */
}

static void
on_head(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct mbox_head h;

	if (err == 0)
		err = mbox_head_decode(value, &h);
	if (err != 0 || h.account.len > ACCOUNT_ID_MAX) { /* gone meanwhile, or told by its name */
		next(k);
		return;
	}
	snprintf(k->names->account, sizeof k->names->account, "%.*s", (int)h.account.len,
	    (const char *)h.account.ptr);
	k->names->messages = h.messages + h.kept;
	k->names->octets = h.bytes + h.kept_bytes;
	ask_row(k, "b/", on_name);
}

static void
on_boxes(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct check *k = arg;
	struct check_names *x = k->names;

	if (check_failed(k, err))
		return;
	free(x->boxes);
	x->boxes = xcalloc(n + 1, sizeof *x->boxes);
	x->n_boxes = x->at = 0;
	for (size_t i = 0; i < n; i++) { /* "m.<16 hex>" */
		uint64_t id = 0;

		buf_reset(&x->after);
		buf_append_slice(&x->after, rows[i].key);
		if (key_number(rows[i].key, 16, &id) == 0 &&
		    bsearch(&id, x->named, x->n_named, sizeof id, by_id) == NULL)
			x->boxes[x->n_boxes++] = id;
	}
	x->more = more && n > 0;
	task_next(k->t);
}

bool
check_names_step(struct check *k)
{
	struct check_names *x = names_of(k);
	struct backend *be = k->t->st->be;
	char object[OBJECT_ID_MAX];

	if (!x->sorted && x->n_named > 0)
		qsort(x->named, x->n_named, sizeof *x->named, by_id);
	x->sorted = true;
	if (x->at < x->n_boxes) {
		snprintf(object, sizeof object, "m.%016" PRIx64, x->boxes[x->at]);
		must(be->ops->get(be, slice_str(object), slice_str("h"), on_head, k));
	} else if (x->more) {
		must(
		    be->ops->objects(be, slice_str("m."), buf_slice(&x->after), PAGE, on_boxes, k));
	} else {
		return false;
	}
	return true;
}
