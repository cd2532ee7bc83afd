/* stored_task_purge.c: the task "purge": a mail that must not exist is taken out of every mailbox, of what is retained, and off the disk, by two officers.
 * Runs in stored. One requests it: every mailbox is looked at, and what is meant is told and recorded. Another one confirms it within three
 * days: every mailbox is looked at again, what is meant goes, then the bodies go (backend.h, SPACE_PURGE). Both names, the
 * reason, decisions and what came of it stay in the record: rows "l/p<number>" of the object "s.purges", version and JSON. A legal hold
 * wins unless the request overrides it by a decision. Killed in the middle, a confirmed purge is confirmed again. */
#include "store/stored_purge.h"
#include "store/stored_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum { TTL_S = 3 * 86400, TEXT_MAX = 1000, RECORD_MAX = 49152, BUSY_TRIES = 300, BUSY_MS = 200 };
enum { P_LOAD, P_ROWS, P_BEGIN, P_FIND, P_WALK, P_TEXTS, P_SPACE, P_SAVE };
static const char object_id[] = "s.purges";

static void
fail(struct purge *k, int err, const char *why)
{
	task_end(k->t, err, why);
}

static const char *
text(const struct purge *k, const char *key)
{
	return json_cstr(json_get(k->args, key));
}

/* ---- the arguments ---- */

static bool
officer_ok(const struct stored *st, const char *name)
{
	for (size_t i = 0; i < st->n_officers; i++)
		if (slice_eq_str(st->officers[i], name))
			return true;
	return false;
}

static const char *
criteria_wrong(const struct purge *k)
{
	const char *kind = text(k, "kind"), *value = text(k, "value");
	unsigned char sha[32];

	if (*value == '\0' || strlen(value) > TEXT_MAX)
		return "what is to be purged?";
	if (strcmp(kind, "sha256") == 0 &&
	    (strlen(value) != 64 || hex_decode(slice_str(value), sha, 32) != 0))
		return "a SHA-256 has 64 hexadecimal digits";
	if (strcmp(kind, "message_id") != 0 && strcmp(kind, "sha256") != 0 &&
	    (strcmp(kind, "body") != 0 || strtoull(value, NULL, 10) == 0))
		return "what is to be purged?";
	if (text(k, "reason")[0] == '\0' || strlen(text(k, "reason")) > TEXT_MAX ||
	    strlen(text(k, "decision")) > TEXT_MAX)
		return "a purge needs a reason";
	if (json_bool(json_get(k->args, "override_hold")) && text(k, "decision")[0] == '\0')
		return "to override a legal hold takes a decision";
	return NULL;
}

static int
start(struct task *t, const struct json *args, const char **why)
{
	static const char *const names[] = {"request", "confirm", "cancel", "list"};
	struct purge *k = xcalloc(1, sizeof *k);
	const char *what = json_cstr(json_get(args, "what"));
	struct buf b;
	int err;

	t->own = k;
	k->t = t;
	k->what = PURGE_LIST;
	buf_init(&k->raw, BACKEND_VALUE_MAX);
	buf_init(&k->from, BACKEND_KEY_MAX);
	for (unsigned i = 0; i < 4; i++)
		if (strcmp(what, names[i]) == 0)
			k->what = (enum purge_what)i;
	buf_init(&b, 65536); /* a copy of its own */
	err = json_canonical(args, &b);
	if (err == 0)
		err = json_parse(buf_slice(&b), &k->args);
	buf_done(&b);
	if (err != 0)
		return err;
	snprintf(k->by, sizeof k->by, "%s", text(k, "by"));
	k->number = (uint64_t)json_int(json_get(args, "request"), 0);
	if (k->what != PURGE_LIST && t->st->n_officers == 0) {
		*why = "there are no officers: set security_officers";
		return ERR_DENIED;
	}
	if (k->what != PURGE_LIST && !officer_ok(t->st, k->by)) {
		*why = "only those whom security_officers names may purge";
		return ERR_DENIED;
	}
	if (k->what == PURGE_REQUEST && (*why = criteria_wrong(k)) != NULL)
		return ERR_SYNTAX;
	return 0;
}

/* ---- the record ---- */

static struct json *
request_of(const struct purge *k, uint64_t number)
{
	for (size_t i = 0; i < json_len(k->list); i++)
		if (json_int(json_get(json_at(k->list, i), "request"), 0) == (int64_t)number)
			return json_at(k->list, i);
	return NULL;
}

static void
on_saved(void *arg, int err)
{
	struct purge *k = arg;

	if (err != 0)
		fail(k, err, "the record of the purge cannot be written");
	else
		task_next(k->t);
}

/* The record of one request, as it is now; task_next when it is durable. */
static void
save(struct purge *k, const struct json *req)
{
	struct backend *be = k->t->st->be;
	struct buf value, head;
	char key[KEY_MAX];
	struct kv_pair puts[2];
	struct backend_batch b = {.object = slice_str(object_id), .puts = puts, .n_puts = 2};
	int n = snprintf(
	    key, sizeof key, "l/p%016" PRIx64, (uint64_t)json_int(json_get(req, "request"), 0));

	buf_init(&value, RECORD_MAX);
	buf_append_byte(&value, 1);
	if (json_canonical(req, &value) != 0) {
		buf_done(&value);
		fail(k, ERR_LIMIT, "the record of the purge is too long");
		return;
	}
	buf_init(&head, 64);
	buf_append_byte(&head, 1);
	buf_append_u64(&head, (uint64_t)now_s());
	random_bytes(buf_reserve(&head, 16), 16); /* a guard that is never the same */
	buf_commit(&head, 16);
	puts[0] = (struct kv_pair){slice_str("h"), buf_slice(&head)};
	puts[1] = (struct kv_pair){slice_of(key, (size_t)n), buf_slice(&value)};
	b.expect = buf_slice(&k->raw);
	must(be->ops->batch(be, &b, on_saved, k));
	buf_reset(&k->raw);
	buf_append_slice(&k->raw, buf_slice(&head));
	buf_done(&head);
	buf_done(&value);
}

static void
on_requests(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct purge *k = arg;

	(void)more; /* the first thousand: who purges more than that has another trouble */
	k->list = json_arr_new();
	for (size_t i = 0; i < n && err == 0; i++) {
		struct json *j = NULL;

		if (rows[i].value.len == 0 || rows[i].value.ptr[0] != 1 ||
		    json_parse(slice_from(rows[i].value, 1), &j) != 0)
			err = ERR_CORRUPT;
		else
			json_push_take(k->list, j);
	}
	if (err != 0) {
		fail(k, err, "the record of purges cannot be read");
		return;
	}
	k->phase = P_BEGIN;
	task_next(k->t);
}

static void load(struct purge *k);

static void
on_made(void *arg, int err)
{
	struct purge *k = arg;

	if (err != 0 && err != ERR_EXISTS)
		fail(k, err, "the record of purges cannot be made");
	else
		load(k);
}

static void
on_head(void *arg, int err, struct slice value)
{
	struct purge *k = arg;
	struct backend *be = k->t->st->be;

	if (err == ERR_NOTFOUND) {
		must(be->ops->create(be, slice_str(object_id), slice_of("\x01", 1), on_made, k));
	} else if (err != 0) {
		fail(k, err, "the record of purges cannot be read");
	} else {
		buf_reset(&k->raw);
		buf_append_slice(&k->raw, value);
		must(be->ops->scan(be, slice_str(object_id), slice_str("l/p"), slice_str("l/q"),
		    BACKEND_SCAN_MAX, on_requests, k));
	}
}

static void
load(struct purge *k)
{
	struct backend *be = k->t->st->be;

	must(be->ops->get(be, slice_str(object_id), slice_str("h"), on_head, k));
}

/* ---- what is meant ---- */

static void
on_found(void *arg, int err, uint64_t body)
{
	struct purge *k = arg;

	k->body = err == 0 ? body : 0;
	if (err != 0 && err != ERR_NOTFOUND) {
		fail(k, err, "the store's rows cannot be read");
		return;
	}
	k->phase = P_WALK;
	task_next(k->t);
}

static void
find(struct purge *k)
{
	struct backend *be = k->t->st->be;
	unsigned char sha[32];

	k->phase = P_WALK;
	if (k->kind == PURGE_BY_SHA256 && hex_decode(slice_str(k->value), sha, 32) == 0) {
		must(be->ops->body_find(be, sha, on_found, k));
		return;
	}
	if (k->kind == PURGE_BY_BODY)
		k->body = strtoull(k->value, NULL, 10);
	task_next(k->t);
}

/* k->args is then the request itself. */
static void
take_request(struct purge *k, struct json *req)
{
	const char *kind = json_cstr(json_get(req, "kind"));

	k->kind = strcmp(kind, "sha256") == 0 ? PURGE_BY_SHA256
		  : strcmp(kind, "body") == 0 ? PURGE_BY_BODY
					      : PURGE_BY_MESSAGE_ID;
	snprintf(k->value, sizeof k->value, "%s", json_cstr(json_get(req, "value")));
	k->override = json_bool(json_get(req, "override_hold"));
	k->phase = P_FIND;
}

/* ---- the end ---- */

static void
put_sums(const struct purge *k, struct json *j)
{
	json_set_int(j, "messages", (int64_t)k->sums.messages);
	json_set_int(j, "retained", (int64_t)k->sums.retained);
	json_set_int(j, "mailboxes", (int64_t)k->sums.mailboxes);
	json_set_int(j, "accounts", (int64_t)k->sums.accounts);
	json_set_int(j, "held", (int64_t)k->sums.held);
	json_set_int(j, "bodies", (int64_t)(k->n_mails > 0 ? k->n_mails : k->n_bodies));
	json_set_int(j, "unshown", (int64_t)k->sums.unshown);
}

static void
log_purge(const struct purge *k, const char *event, const struct json *req)
{
	struct log_line l;

	log_begin(&l, LOG_LVL_WARN, event);
	log_u64(&l, "request", (uint64_t)json_int(json_get(req, "request"), 0));
	log_str(&l, "kind", json_cstr(json_get(req, "kind")));
	log_str(&l, "value", json_cstr(json_get(req, "value")));
	log_str(&l, "by", k->by);
	log_str(&l, "requested_by", json_cstr(json_get(req, "requested_by")));
	log_str(&l, "reason", json_cstr(json_get(req, "reason")));
	log_str(&l, "decision", json_cstr(json_get(req, "decision")));
	log_u64(&l, "messages", k->sums.messages + k->sums.retained);
	log_u64(&l, "removed", k->sums.removed);
	log_u64(&l, "left", k->sums.left);
	log_end(&l);
}

/* The numbers of the bodies: what was shown, and is confirmed; and when the rows are gone, and stored is killed before the disk was cleaned, only the
 * record has them. */
static void
put_bodies(const struct purge *k, struct json *req)
{
	struct json *list = json_arr_new();

	for (size_t i = 0; i < k->n_bodies; i++)
		json_push_take(list, json_int_new((int64_t)k->bodies[i]));
	json_set_take(req, "body_numbers", list);
}

/* The walk of a request is over: it is recorded when there is something. */
static void
on_looked(struct purge *k)
{
	static const char *const copied[] = {"kind", "value", "reason", "decision"};
	struct json *req;
	uint64_t last = 0;

	/* A body that no row names any more can still be on the disk. */
	if (k->kind != PURGE_BY_MESSAGE_ID && k->body != 0 && k->n_bodies == 0) {
		k->bodies = xcalloc(1, sizeof *k->bodies);
		k->bodies[k->n_bodies++] = k->body;
	}
	if (k->n_bodies == 0) {
		fail(k, ERR_NOTFOUND, "nothing in the store is meant by that");
		return;
	}
	for (size_t i = 0; i < json_len(k->list); i++) {
		uint64_t n = (uint64_t)json_int(json_get(json_at(k->list, i), "request"), 0);

		last = n > last ? n : last;
	}
	req = json_obj_new();
	k->number = last + 1;
	json_set_int(req, "request", (int64_t)k->number);
	json_set_str(req, "state", "requested");
	json_set_str(req, "requested_by", k->by);
	json_set_int(req, "requested", now_s());
	json_set_int(req, "expires", now_s() + TTL_S);
	for (size_t i = 0; i < sizeof copied / sizeof copied[0]; i++)
		json_set_str(req, copied[i], text(k, copied[i]));
	json_set_bool(req, "override_hold", k->override);
	put_sums(k, req);
	put_bodies(k, req);
	log_purge(k, "purge_requested", req);
	json_push_take(k->list, req);
	k->phase = P_SAVE;
	save(k, req);
}

static void
finish(struct purge *k)
{
	struct json *req = request_of(k, k->number);

	bool all = k->sums.left == 0 && json_int(json_get(req, "bodies_left"), 0) == 0;

	json_set_str(req, "state", all ? "done" : "partly");
	json_set_int(req, "done", now_s());
	put_sums(k, req);
	json_set_int(req, "removed", (int64_t)k->sums.removed);
	json_set_int(req, "left", (int64_t)k->sums.left);
	log_purge(k, "purge_done", req);
	k->phase = P_SAVE;
	save(k, req);
}

static void
on_space(void *arg, int err)
{
	struct purge *k = arg;
	struct backend *be = k->t->st->be;
	struct backend_space_state st;
	struct json *req = request_of(k, k->number);

	if (err == ERR_EXISTS && k->tries++ < BUSY_TRIES) { /* a collection: it gives way */
		be->ops->space_stop(be);
		task_next_in(k->t, BUSY_MS);
		return;
	}
	if (err != 0) {
		fail(k, err,
		    err == ERR_AGAIN
			? "it is gone from the mailboxes, and not yet from the disk: a backup is "
			  "being taken; confirm it again when that is over"
			: "it is gone from the mailboxes, and not yet from the disk: confirm it "
			  "again");
		return;
	}
	be->ops->space_state(be, &st);
	json_set_int(req, "bodies_dropped", (int64_t)st.dropped);
	json_set_int(req, "erased_octets", (int64_t)st.erased_octets);
	json_set_int(req, "bodies_left", (int64_t)st.purge_left);
	json_set_int(req, "parts_left", (int64_t)st.purge_parts_left);
	finish(k);
}

static void
body_add(struct purge *k, uint64_t body)
{
	for (size_t n = 0; n < k->n_bodies; n++)
		if (k->bodies[n] == body)
			return;
	k->bodies = xrealloc(k->bodies, (k->n_bodies + 1) * sizeof *k->bodies);
	k->bodies[k->n_bodies++] = body;
}

static void
on_text_row(void *arg, int err, struct slice value)
{
	struct purge *k = arg;
	struct text_read t;

	if (err == 0)
		err = text_read_decode(value, &t);
	if (err != 0 && err != ERR_NOTFOUND && err != ERR_GONE) {
		fail(k, err,
		    "it is gone from the mailboxes, and not yet from the disk: what was read of "
		    "its documents cannot be told; confirm it again");
		return;
	}
	if (err == 0 && t.text != 0)
		body_add(k, t.text);
	k->at_text++;
	task_next(k->t);
}

/* What was read of the documents in a mail goes with it. Who reads just now is waited for: his text would come behind us. */
static void
texts(struct purge *k)
{
	struct backend *be = k->t->st->be;
	char key[TEXT_KEY_LEN + 1];

	if (!k->pauses) {
		k->pauses = true;
		k->n_mails = k->n_bodies;
		k->idle = text_pause(true);
	}
	if (!k->idle && !(k->idle = text_is_idle())) {
		task_what(k->t, "waits for who reads a document");
		task_next_in(k->t, BUSY_MS);
		return;
	}
	if (k->at_text == k->n_mails) {
		k->phase = P_SPACE;
		task_next(k->t);
		return;
	}
	must(be->ops->get(be, slice_str(TEXT_OBJECT),
	    text_key(key, TEXT_READ, k->bodies[k->at_text]), on_text_row, k));
}

static void
space(struct purge *k)
{
	struct backend *be = k->t->st->be;
	struct backend_space_job job = {
	    .what = SPACE_PURGE, .bodies = k->bodies, .n_bodies = k->n_bodies};

	task_what(k->t, "the disk");
	must(be->ops->space(be, &job, on_space, k));
}

/* Every mailbox was looked at, and what is meant went. Bodies of a purge that was killed before are in its record. */
static void
on_removed(struct purge *k)
{
	const struct json *old = json_get(request_of(k, k->number), "body_numbers");

	for (size_t i = 0; i < json_len(old) && k->n_bodies < PURGE_BODIES_MAX; i++) {
		uint64_t body = (uint64_t)json_int(json_at(old, i), 0);
		bool there = body == 0;

		for (size_t n = 0; n < k->n_bodies && !there; n++)
			there = k->bodies[n] == body;
		if (there)
			continue;
		k->bodies = xrealloc(k->bodies, (k->n_bodies + 1) * sizeof *k->bodies);
		k->bodies[k->n_bodies++] = body;
	}
	if (k->sums.removed > 0 || !k->fresh || k->sums.left == 0) {
		k->phase = P_TEXTS;
		task_next(k->t);
		return;
	}
	/* All of it is held: nothing is to be taken off the disk. */
	json_set_int(request_of(k, k->number), "bodies_left", (int64_t)k->n_bodies);
	k->phase = P_SAVE;
	finish(k);
}

/* ---- confirming ---- */

static void
on_looked_again(struct purge *k)
{
	struct json *req = request_of(k, k->number);

	json_set_str(req, "state", "confirmed");
	json_set_str(req, "confirmed_by", k->by);
	json_set_int(req, "confirmed", now_s());
	log_purge(k, "purge_confirmed", req);
	k->sums = (struct purge_sums){.unshown = 0};
	k->n_accounts = 0;
	k->phase = P_WALK;
	purge_walk_begin(k, true, on_removed);
	save(k, req);
}

static const char *
confirm_wrong(const struct purge *k, const struct json *req, int *err_out)
{
	const char *state = json_cstr(json_get(req, "state"));

	*err_out = ERR_NOTFOUND;
	if (req == NULL)
		return "there is no such request";
	*err_out = ERR_DENIED;
	if (strcmp(json_cstr(json_get(req, "requested_by")), k->by) == 0 &&
	    k->what == PURGE_CONFIRM)
		return "another officer than who requested it has to confirm it";
	*err_out = ERR_CONFLICT;
	if (strcmp(state, "requested") != 0 &&
	    (k->what == PURGE_CANCEL ||
		(strcmp(state, "confirmed") != 0 && strcmp(state, "partly") != 0)))
		return "that request is over";
	*err_out = ERR_EXPIRED;
	if (k->what == PURGE_CONFIRM && json_len(json_get(req, "body_numbers")) == 0)
		return "that request is of an older version, which did not record what it showed: "
		       "request it anew";
	if (strcmp(state, "requested") == 0 && k->what == PURGE_CONFIRM &&
	    json_int(json_get(req, "expires"), 0) < now_s())
		return "that request has expired: request it anew";
	return NULL;
}

static void
begin(struct purge *k)
{
	struct json *req = request_of(k, k->number);
	const char *why;
	int err;

	if (k->what == PURGE_LIST) {
		for (size_t i = 0; i < json_len(k->list); i++) {
			struct json *j = NULL;
			struct buf b;

			buf_init(&b, RECORD_MAX);
			if (json_canonical(json_at(k->list, i), &b) == 0 &&
			    json_parse(buf_slice(&b), &j) == 0) {
				json_del(j, "body_numbers");
				task_finding_take(k->t, j);
			}
			buf_done(&b);
		}
		task_end(k->t, 0, NULL);
		return;
	}
	if (k->what == PURGE_REQUEST) {
		take_request(k, k->args);
		purge_walk_begin(k, false, on_looked);
		task_next(k->t);
		return;
	}
	if ((why = confirm_wrong(k, req, &err)) != NULL) {
		fail(k, err, why);
		return;
	}
	if (k->what == PURGE_CANCEL) {
		json_set_str(req, "state", "canceled");
		json_set_str(req, "canceled_by", k->by);
		log_purge(k, "purge_canceled", req);
		k->phase = P_SAVE;
		save(k, req);
		return;
	}
	take_request(k, req);
	k->fresh = strcmp(json_cstr(json_get(req, "state")), "requested") == 0;
	purge_bind(k, json_get(req, "body_numbers"));
	purge_walk_begin(k, false, on_looked_again);
	task_next(k->t);
}

/* ---- the task ---- */

static void
step(struct task *t)
{
	struct purge *k = t->own;

	switch (k->phase) {
	case P_LOAD:
		k->phase = P_ROWS;
		load(k);
		break;
	case P_BEGIN:
		begin(k);
		break;
	case P_FIND:
		find(k);
		break;
	case P_WALK:
		purge_walk_step(k);
		break;
	case P_TEXTS:
		texts(k);
		break;
	case P_SPACE:
		space(k);
		break;
	default: /* the record is durable */
		task_end(t, 0, NULL);
	}
}

static struct json *
report(struct task *t)
{
	const struct purge *k = t->own;
	struct json *req = k->list == NULL ? NULL : request_of(k, k->number), *j = NULL;
	struct buf b;

	if (req == NULL && k->what == PURGE_LIST) {
		j = json_obj_new();
		json_set_int(j, "requests", (int64_t)json_len(k->list));
		return j;
	}
	if (req == NULL)
		return NULL;
	buf_init(&b, RECORD_MAX);
	if (json_canonical(req, &b) == 0 && json_parse(buf_slice(&b), &j) == 0) {
		json_del(j, "body_numbers");
		json_set_take(j, "backups", backup_list());
	}
	buf_done(&b);
	return j;
}

static void
task_done(struct task *t)
{
	struct purge *k = t->own;

	if (k->pauses)
		(void)text_pause(false);
	purge_walk_free(k);
	json_free(k->args);
	json_free(k->list);
	buf_done(&k->raw);
	free(k);
}

const struct task_kind task_kind_purge = {
    .name = "purge", .start = start, .step = step, .report = report, .free = task_done};
