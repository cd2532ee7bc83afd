/* stored_task_check.c: the task "check": whether the rows of accounts and mailboxes agree with one another. Runs in stored, beside all
 * else. This file walks over the accounts; stored_check_mbox.c reads one mailbox.
 *
 * Arguments: "account" (one alone), "deep" (bodies are read whole). Findings: "level" (fault, warning, note), "code", "account",
 * "mailbox" (its name), and what the code needs; the reader makes sentences of them (admin/ctl_store_check.c). */
#include "store/stored_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/kept.h"

enum { PAGE = 200 };
#define SOUND_MAX ((uint64_t)1 << 33) /* bodies remembered: a GiB of bits */

struct json *
check_finding_new(const struct check *k, enum check_level level, const char *code)
{
	static const char *const levels[] = {"note", "warning", "fault"};
	struct json *j = json_obj_new();

	json_set_str(j, "level", levels[level]);
	json_set_str(j, "code", code);
	if (k->account[0] != '\0')
		json_set_str(j, "account", k->account);
	if (k->at_box < k->n_boxes)
		json_set_slice(j, "mailbox", slice_str(k->boxes[k->at_box].name));
	return j;
}

/* Whether a repair mends it: all else needs a backup, or the owner. */
static bool
is_mended(const char *code)
{
	static const char *const codes[] = {"header_count", "uidnext_low", "modseq_low",
	    "change_row_corrupt", "change_row_missing", "change_row_stale", "change_row_wrong",
	    "expunged_row_corrupt", "delivery_row_corrupt", "mailbox_header_corrupt",
	    "account_header_corrupt", "name_row_corrupt", "subscription_row_corrupt"};

	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (strcmp(codes[i], code) == 0)
			return true;
	return false;
}

void
check_emit_take(struct check *k, struct json *finding)
{
	const char *level = json_cstr(json_get(finding, "level"));
	const char *code = json_cstr(json_get(finding, "code"));

	if (level[0] == 'f' ? !is_mended(code) : strcmp(code, "mend_failed") == 0)
		k->sums.left++;
	if (level[0] == 'f')
		k->sums.faults++;
	else if (level[0] == 'w')
		k->sums.warnings++;
	else
		k->sums.notes++;
	task_finding_take(k->t, finding);
}

bool
check_body_known(const struct check *k, uint64_t body)
{
	return body / 64 < k->n_sound && (k->sound[body / 64] >> (body % 64) & 1) != 0;
}

void
check_body_sound(struct check *k, uint64_t body)
{
	size_t word = (size_t)(body / 64), n = k->n_sound;

	if (body >= SOUND_MAX) /* no number that was ever given: checked again each time */
		return;
	if (word >= n) {
		n = word + word / 2 + 1024;
		k->sound = xrealloc(k->sound, n * sizeof *k->sound);
		memset(k->sound + k->n_sound, 0, (n - k->n_sound) * sizeof *k->sound);
		k->n_sound = n;
	}
	k->sound[word] |= (uint64_t)1 << (body % 64);
}

static void
lists_free(struct check *k)
{
	for (size_t i = 0; i < k->n_boxes; i++)
		free(k->boxes[i].name);
	free(k->boxes);
	k->boxes = NULL;
	k->n_boxes = k->at_box = 0;
}

static void
page_free(struct check *k)
{
	for (size_t i = 0; i < k->n_page; i++)
		free(k->page[i]);
	free(k->page);
	k->page = NULL;
	k->n_page = k->at_page = 0;
}

bool
check_failed(struct check *k, int err)
{
	if (err == 0)
		return false;
	task_end(k->t, err, "the store's rows cannot be read");
	return true;
}

/* ---- one account ---- */

static void
box_add(struct check *k, uint64_t id, struct slice name)
{
	k->boxes = xrealloc(k->boxes, (k->n_boxes + 1) * sizeof *k->boxes);
	if (k->all)
		check_names_add(k, id);
	k->boxes[k->n_boxes].id = id;
	k->boxes[k->n_boxes].name = slice_dup(name);
	k->n_boxes++;
	k->at_box = k->n_boxes; /* findings of rows name no mailbox */
}

/* A mailbox that was deleted and can be restored. */
static void
buried_row(struct check *k, const struct kv_pair *row)
{
	unsigned char id[8];
	struct buried_row w;
	uint64_t n = 0;
	struct json *f;

	if (row->key.len != 3 + 2 * sizeof id ||
	    hex_decode(slice_from(row->key, 3), id, sizeof id) != 0 ||
	    buried_row_decode(row->value, &w) != 0) {
		f = check_finding_new(k, CHECK_FAULT, "row_corrupt");
		json_set_slice(f, "key", row->key);
		check_emit_take(k, f);
		return;
	}
	for (size_t i = 0; i < sizeof id; i++)
		n = n << 8 | id[i];
	box_add(k, n, w.name);
}

static void
account_row(struct check *k, const struct kv_pair *row)
{
	char text[40];
	struct slice name;
	uint32_t use;
	uint64_t id = 0;
	struct json *f;

	k->sums.rows++;
	if (slice_starts(row->key, "l/b")) {
		buried_row(k, row);
		return;
	}
	if (!slice_starts(row->key, "b/") && !slice_starts(row->key, "s/")) {
		if (row->value.ptr == NULL) {
			f = check_finding_new(k, CHECK_FAULT, "row_corrupt");
			json_set_slice(f, "key", row->key);
			check_emit_take(k, f);
		}
		return;
	}
	if (name_row_decode(row->value, &use, &name) != 0 ||
	    (row->key.ptr[0] == 'b' && key_number(row->key, 16, &id) != 0)) {
		f = check_finding_new(k, CHECK_FAULT,
		    row->key.ptr[0] == 'b' ? "name_row_corrupt" : "subscription_row_corrupt");
		json_set_slice(f, "key", row->key);
		check_emit_take(k, f);
		if (k->bad_keys.len + row->key.len < k->bad_keys.cap) {
			buf_append_slice(&k->bad_keys, row->key);
			buf_append_byte(&k->bad_keys, 0);
		}
		if (row->key.ptr[0] == 'b' && key_number(row->key, 16, &id) == 0) {
			snprintf(text, sizeof text, "Recovered-%016" PRIx64, id);
			box_add(k, id, slice_str(text));
		}
		return;
	}
	if (row->key.ptr[0] == 'b')
		box_add(k, id, name);
}

static void scan_account(struct check *k, struct slice from);

static void
on_account_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct check *k = arg;
	struct buf next;

	if (check_failed(k, err))
		return;
	for (size_t i = 0; i < n; i++)
		account_row(k, &rows[i]);
	if (more && n > 0) {
		buf_init(&next, BACKEND_KEY_MAX);
		buf_append_slice(&next, rows[n - 1].key);
		buf_append_byte(&next, '!');
		scan_account(k, buf_slice(&next));
		buf_done(&next);
		return;
	}
	k->sums.accounts++;
	k->t->done++;
	k->at_box = k->n_boxes;
	if (k->repair && k->bad_keys.len > 0) {
		check_mend_account(k);
		return;
	}
	k->at_box = 0;
	task_next(k->t);
}

static struct slice
account_object(const struct check *k, struct buf *b)
{
	buf_init(b, BACKEND_OBJECT_MAX);
	buf_append_str(b, "a.");
	buf_append_str(b, k->account);
	return buf_slice(b);
}

static void
scan_account(struct check *k, struct slice from)
{
	struct backend *be = k->t->st->be;
	struct buf object;

	must(be->ops->scan(be, account_object(k, &object), from, slice_str(""), BACKEND_SCAN_MAX,
	    on_account_rows, k));
	buf_done(&object);
}

static void
on_head_mended(void *arg, int err)
{
	struct check *k = arg;

	check_emit_take(k, check_finding_new(k, err == 0 ? CHECK_NOTE : CHECK_WARNING,
			       err == 0 ? "mended" : "mend_failed"));
	k->sums.mended += err == 0;
	scan_account(k, slice_str("b/"));
}

static void
on_account_head(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct account_head h;

	if (err == ERR_NOTFOUND) {
		if (!k->all) {
			task_end(k->t, err, "there is no such account in the store");
			return;
		}
		task_next(k->t); /* it went while we came */
		return;
	}
	if (err == 0)
		err = account_head_decode(value, &h);
	if (err == ERR_CORRUPT) {
		check_emit_take(k, check_finding_new(k, CHECK_FAULT, "account_header_corrupt"));
		if (k->repair && !k->dry_run) {
			check_mend_account_head(k, on_head_mended);
			return;
		}
		err = 0;
	}
	if (!check_failed(k, err))
		scan_account(k, slice_str("b/"));
}

static void
account_begin(struct check *k, const char *id)
{
	struct backend *be = k->t->st->be;
	struct buf object;

	lists_free(k);
	buf_reset(&k->bad_keys);
	memcpy(k->account, id, strlen(id) + 1);
	task_what(k->t, "%s", id);
	must(be->ops->get(be, account_object(k, &object), slice_str("h"), on_account_head, k));
	buf_done(&object);
}

/* ---- all of them ---- */

static void
on_objects(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct check *k = arg;

	if (check_failed(k, err))
		return;
	page_free(k);
	k->page = xcalloc(n + 1, sizeof *k->page);
	k->more = more;
	for (size_t i = 0; i < n; i++) {
		k->page[k->n_page++] = slice_dup(slice_from(rows[i].key, 2));
		buf_reset(&k->from);
		buf_append_slice(&k->from, rows[i].key);
	}
	k->t->total += k->n_page;
	task_next(k->t);
}

void
check_mbox_over(struct check *k)
{
	check_mbox_free(k);
	k->sums.mailboxes++;
	k->at_box++;
	task_next(k->t);
}

static void
check_step(struct task *t)
{
	struct check *k = t->own;
	struct backend *be = t->st->be;

	if (k->run != NULL) {
		check_mbox_step(k);
	} else if (k->at_box < k->n_boxes) {
		check_mbox_begin(k);
	} else if (k->at_page < k->n_page) {
		account_begin(k, k->page[k->at_page++]);
	} else if (k->more) {
		must(be->ops->objects(
		    be, slice_str("a."), buf_slice(&k->from), PAGE, on_objects, k));
	} else if (!k->all || !check_names_step(k)) {
		task_end(t, 0, "");
	}
}

static int
check_start(struct task *t, const struct json *args, const char **why)
{
	const char *account = json_cstr(json_get(args, "account"));
	struct check *k;

	if (account[0] != '\0' && !account_id_ok(slice_str(account))) {
		*why = "that is no account id";
		return ERR_SYNTAX;
	}
	k = t->own = xcalloc(1, sizeof *k);
	k->t = t;
	k->deep = json_bool(json_get(args, "deep"));
	buf_init(&k->from, BACKEND_KEY_MAX);
	buf_init(&k->bad_keys, 1 << 20);
	k->all = k->more = account[0] == '\0';
	if (!k->all) {
		k->page = xcalloc(1, sizeof *k->page);
		k->page[k->n_page++] = xstrdup(account);
		t->total = 1;
	}
	return 0;
}

static struct json *
check_report(struct task *t)
{
	const struct check_sums *s = &((const struct check *)t->own)->sums;
	struct json *j = json_obj_new();

	json_set_int(j, "accounts", (int64_t)s->accounts);
	json_set_int(j, "mailboxes", (int64_t)s->mailboxes);
	json_set_int(j, "messages", (int64_t)s->messages);
	json_set_int(j, "octets", (int64_t)s->octets);
	json_set_int(j, "rows", (int64_t)s->rows);
	json_set_int(j, "bodies", (int64_t)s->bodies);
	json_set_int(j, "faults", (int64_t)s->faults);
	json_set_int(j, "warnings", (int64_t)s->warnings);
	json_set_int(j, "notes", (int64_t)s->notes);
	if (((const struct check *)t->own)->repair)
		json_set_int(j, "mended", (int64_t)s->mended);
	if (((const struct check *)t->own)->repair)
		json_set_int(j, "left", (int64_t)s->left);
	json_set_int(j, "unsettled", (int64_t)s->unsettled);
	return j;
}

static void
check_free(struct task *t)
{
	struct check *k = t->own;

	check_mbox_free(k);
	check_names_free(k);
	lists_free(k);
	page_free(k);
	buf_done(&k->from);
	buf_done(&k->bad_keys);
	free(k->sound);
	free(k);
}

static int
repair_start(struct task *t, const struct json *args, const char **why)
{
	struct check *k;
	int err = check_start(t, args, why);

	if (err == 0 && task_runs(t->st, "check")) {
		*why = "a check runs: wait for its end";
		return ERR_EXISTS;
	}
	if (err != 0)
		return err;
	k = t->own;
	k->repair = true;
	k->dry_run = json_bool(json_get(args, "dry_run"));
	return 0;
}

const struct task_kind task_kind_repair = {
    .name = "repair",
    .start = repair_start,
    .step = check_step,
    .report = check_report,
    .free = check_free,
};
const struct task_kind task_kind_check = {
    .name = "check",
    .start = check_start,
    .step = check_step,
    .report = check_report,
    .free = check_free,
};
