/* stored_check_mbox.c: one mailbox of the task "check": its header against its rows. Runs in stored.
 *
 * Writers go on meanwhile. The header row guards every change, so rows read between two equal headers are those of one moment; when the
 * header changed the mailbox is read again, and what was found is dropped. After some tries the mailbox is held: no batch begins until
 * it was read. */
#include "store/stored_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { ROWS_STEP = 500, TRIES = 5, FOUND_MAX = 10000, EMIT = 200 };

enum phase { P_HEAD, P_ROWS, P_HEAD_AGAIN, P_EMIT };
struct check_mbox_run {
	enum phase phase;
	char object[OBJECT_ID_MAX];
	unsigned tries;
	struct buf raw, from;
	struct mbox_head h;
	struct mbox_head seen; /* what the rows add up to */
	uint32_t max_uid;
	uint64_t max_modseq, rows;
	struct json **found; /* emitted when the mailbox was read whole */
	size_t n_found, at_found;
};

static void
found_take(struct check *k, struct json *f)
{
	struct check_mbox_run *m = k->run;

	if (m->n_found >= FOUND_MAX) { /* the mailbox is known to be in ruins */
		json_free(f);
		return;
	}
	m->found = xrealloc(m->found, (m->n_found + 1) * sizeof *m->found);
	m->found[m->n_found++] = f;
}

static void
found_free(struct check_mbox_run *m)
{
	while (m->at_found < m->n_found)
		json_free(m->found[m->at_found++]);
	free(m->found);
	m->found = NULL;
	m->n_found = m->at_found = 0;
}

void
check_mbox_begin(struct check *k)
{
	struct check_mbox_run *m = k->run = xcalloc(1, sizeof *m);

	snprintf(m->object, sizeof m->object, "m.%016" PRIx64, k->boxes[k->at_box].id);
	buf_init(&m->raw, BACKEND_VALUE_MAX);
	buf_init(&m->from, BACKEND_KEY_MAX);
	task_what(k->t, "%s: %s", k->account, k->boxes[k->at_box].name);
	check_mbox_step(k);
}

void
check_mbox_free(struct check *k)
{
	struct check_mbox_run *m = k->run;

	if (m == NULL)
		return;
	found_free(m);
	buf_done(&m->raw);
	buf_done(&m->from);
	free(m);
	k->run = NULL;
}

static bool
failed(struct check *k, int err)
{
	if (err == 0)
		return false;
	task_end(k->t, err, "the store's rows cannot be read");
	return true;
}

/* ---- message rows ---- */

static void
message_row(struct check *k, const struct kv_pair *p)
{
	struct check_mbox_run *m = k->run;
	struct msg_row row;
	uint64_t uid = 0;
	struct json *f;

	m->rows++;
	if (key_number(p->key, 8, &uid) != 0 || msg_row_decode(p->value, &row) != 0 ||
	    row.uid != uid) {
		f = check_finding_new(k, CHECK_FAULT, "message_row_corrupt");
		json_set_int(f, "uid", (int64_t)uid);
		found_take(k, f);
		return;
	}
	m->seen.messages++;
	m->seen.bytes += row.size;
	if ((row.flags & MSG_SEEN) == 0)
		m->seen.unseen++;
	if ((row.flags & MSG_DELETED) != 0)
		deleted_more(&m->seen, row.size);
	m->max_uid = row.uid > m->max_uid ? row.uid : m->max_uid;
	m->max_modseq = row.modseq > m->max_modseq ? row.modseq : m->max_modseq;
}

static void
on_messages(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct check *k = arg;
	struct check_mbox_run *m = k->run;

	if (failed(k, err))
		return;
	for (size_t i = 0; i < n; i++)
		message_row(k, &rows[i]);
	if (n > 0) {
		buf_reset(&m->from);
		buf_append_slice(&m->from, rows[n - 1].key);
		buf_append_byte(&m->from, '!');
	}
	if (!more)
		m->phase = P_HEAD_AGAIN;
	task_next(k->t);
}

/* ---- the header ---- */

static void
compare(struct check *k, const char *what, uint64_t header, uint64_t rows)
{
	struct json *f;

	if (header == rows)
		return;
	f = check_finding_new(k, CHECK_FAULT, "header_count");
	json_set_str(f, "field", what);
	json_set_int(f, "header", (int64_t)header);
	json_set_int(f, "rows", (int64_t)rows);
	found_take(k, f);
}

static void
compare_all(struct check *k)
{
	const struct check_mbox_run *m = k->run;
	const struct mbox_head *h = &m->h, *s = &m->seen;
	struct json *f;

	compare(k, "messages", h->messages, s->messages);
	compare(k, "octets", h->bytes, s->bytes);
	compare(k, "unseen", h->unseen, s->unseen);
	compare(k, "deleted", h->deleted, s->deleted);
	if (m->max_uid >= h->uidnext) {
		f = check_finding_new(k, CHECK_FAULT, "uidnext_low");
		json_set_int(f, "header", h->uidnext);
		json_set_int(f, "rows", (int64_t)m->max_uid);
		found_take(k, f);
	}
	if (m->max_modseq > h->modseq) {
		f = check_finding_new(k, CHECK_FAULT, "modseq_low");
		json_set_int(f, "header", (int64_t)h->modseq);
		json_set_int(f, "rows", (int64_t)m->max_modseq);
		found_take(k, f);
	}
}

static void
begin_rows(struct check_mbox_run *m)
{
	found_free(m);
	memset(&m->seen, 0, sizeof m->seen);
	m->max_uid = 0;
	m->max_modseq = m->rows = 0;
	buf_reset(&m->from);
	buf_append_str(&m->from, "m/");
	m->phase = P_ROWS;
}

static void
on_head(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct check_mbox_run *m = k->run;

	if (err ==
	    ERR_NOTFOUND) { /* deleted since the names were read; else a name without a mailbox */
		check_emit_take(k, check_finding_new(k, CHECK_WARNING, "mailbox_gone"));
		check_mbox_over(k);
		return;
	}
	if (err != ERR_CORRUPT && failed(k, err))
		return;
	buf_reset(&m->raw);
	buf_append_slice(&m->raw, value);
	if (err == 0)
		err = mbox_head_decode(buf_slice(&m->raw), &m->h);
	if (err != 0) {
		check_emit_take(k, check_finding_new(k, CHECK_FAULT, "mailbox_header_corrupt"));
		check_mbox_over(k);
		return;
	}
	begin_rows(m);
	task_next(k->t);
}

static void
on_head_again(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct check_mbox_run *m = k->run;

	if (err == ERR_NOTFOUND) {
		check_mbox_over(k);
		return;
	}
	if (failed(k, err))
		return;
	if (!slice_eq(value, buf_slice(&m->raw))) {
		if (++m->tries < TRIES) {
			m->phase = P_HEAD;
			task_next_in(k->t, 20u << m->tries);
			return;
		}
		k->sums.unsettled++;
		check_emit_take(k, check_finding_new(k, CHECK_NOTE, "mailbox_unsettled"));
		check_mbox_over(k);
		return;
	}
	compare_all(k);
	k->sums.messages += m->seen.messages;
	k->sums.octets += m->seen.bytes;
	k->sums.rows += m->rows;
	m->phase = P_EMIT;
	task_next(k->t);
}

static void
emit(struct check *k)
{
	struct check_mbox_run *m = k->run;

	for (unsigned i = 0; i < EMIT && m->at_found < m->n_found; i++)
		check_emit_take(k, m->found[m->at_found++]);
	if (m->at_found < m->n_found)
		task_next(k->t);
	else
		check_mbox_over(k);
}

void
check_mbox_step(struct check *k)
{
	struct check_mbox_run *m = k->run;
	struct backend *be = k->t->st->be;
	struct slice object = slice_str(m->object);

	switch (m->phase) {
	case P_HEAD:
		must(be->ops->get(be, object, slice_str("h"), on_head, k));
		break;
	case P_ROWS:
		must(be->ops->scan(
		    be, object, buf_slice(&m->from), slice_str("m0"), ROWS_STEP, on_messages, k));
		break;
	case P_HEAD_AGAIN:
		must(be->ops->get(be, object, slice_str("h"), on_head_again, k));
		break;
	case P_EMIT:
		emit(k);
		break;
	}
}
