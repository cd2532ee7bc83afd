/* stored_check_mbox.c: one mailbox of the tasks "check" and "repair" is read: its header, all its rows, its messages' bodies, its header
 * again. Runs in stored.
 *
 * Writers go on meanwhile. The header row guards every change, so rows read between two equal headers are those of one moment; when the
 * header changed the mailbox is read again, and what was found is dropped. */
#include "store/stored_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "store/sig.h"

enum {
	ROWS_STEP = 400,
	TRIES = 8,
	FOUND_MAX = 10000,
	EMIT = 200,
	WHOLE_OCTETS = 2 << 20, /* of bodies read by one call */
	EXPUNGED_MAX = 64 << 20,
	TREE_MEM = 8 << 20,
};

void
check_found_take(struct check *k, struct json *f)
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

static void
refs_clear(struct check_mbox_run *m)
{
	for (size_t i = 0; i < m->n_refs; i++)
		free(m->refs[i].message_id);
	m->n_refs = m->at_ref = m->upto_ref = 0;
}

void
check_mbox_begin(struct check *k)
{
	struct check_mbox_run *m = k->run = xcalloc(1, sizeof *m);

	snprintf(m->object, sizeof m->object, "m.%016" PRIx64, k->boxes[k->at_box].id);
	buf_init(&m->raw, BACKEND_VALUE_MAX);
	buf_init(&m->from, BACKEND_KEY_MAX);
	buf_init(&m->expunged, EXPUNGED_MAX);
	buf_init(&m->unread, EXPUNGED_MAX);
	buf_init(&m->bad_keys, EXPUNGED_MAX);
	buf_init(&m->keywords, KEYWORDS_IN_USE_MAX + 256);
	m->refs = xcalloc(ROWS_STEP, sizeof *m->refs);
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
	refs_clear(m);
	free(m->refs);
	free(m->msgs);
	free(m->changes);
	buf_done(&m->raw);
	buf_done(&m->from);
	buf_done(&m->expunged);
	buf_done(&m->unread);
	buf_done(&m->bad_keys);
	buf_done(&m->keywords);
	free(m);
	k->run = NULL;
}

/* ---- rows ---- */

static void
on_all_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct check *k = arg;
	struct check_mbox_run *m = k->run;

	if (check_failed(k, err))
		return;
	refs_clear(m);
	for (size_t i = 0; i < n; i++)
		check_row(k, &rows[i]);
	if (n > 0) {
		buf_reset(&m->from);
		buf_append_slice(&m->from, rows[n - 1].key);
		buf_append_byte(&m->from, '!');
	}
	m->more = more;
	m->phase = P_BODIES;
	task_next(k->t);
}

/* ---- bodies ---- */

static void
body_fault(struct check *k, const struct check_ref *ref, const char *code, uint32_t file)
{
	struct json *f = check_finding_new(k, CHECK_FAULT, code);
	char number[20];

	json_set_int(f, "uid", ref->uid);
	if (ref->message_id != NULL)
		json_set_slice(f, "message_id", slice_str(ref->message_id));
	snprintf(number, sizeof number, "%016" PRIx64, ref->body);
	json_set_str(f, "body", number);
	if (file != 0) {
		snprintf(number, sizeof number, "seg-%08" PRIx32, file);
		json_set_str(f, "segment", number);
	}
	check_found_take(k, f);
}

/* Bodies of messages [at_ref, upto_ref) that were not known to be good: marked by body 0 when they are. */
static void
on_checked(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct check_mbox_run *m = k->run;
	size_t n = 0;

	if (check_failed(k, err))
		return;
	for (size_t i = m->at_ref; i < m->upto_ref; i++) {
		struct check_ref *ref = &m->refs[i];
		struct backend_checked c;

		if (ref->body == 0)
			continue;
		memcpy(&c, value.ptr + n++ * sizeof c, sizeof c);
		if (c.err == 0 && c.size != ref->size) {
			body_fault(k, ref, "size_wrong", c.file);
			ref->body = 0;
		} else if (c.err != 0) {
			body_fault(k, ref,
			    c.err == ERR_NOTFOUND ? "body_missing"
			    : c.err == ERR_GONE   ? "segment_missing"
						  : "body_corrupt",
			    c.file);
			ref->body = 0;
		} else {
			m->bodies++;
			if (!k->deep)
				check_body_sound(k, ref->body);
		}
	}
	if (k->deep) {
		m->phase = P_SUMMARIES;
	} else {
		m->at_ref = m->upto_ref;
	}
	task_next(k->t);
}

static void
bodies_step(struct check *k)
{
	struct check_mbox_run *m = k->run;
	struct backend *be = k->t->st->be;
	uint64_t bodies[BACKEND_BODIES_MAX], octets = 0;
	size_t n = 0, i = m->at_ref;

	for (; i < m->n_refs && n < BACKEND_BODIES_MAX && (n == 0 || octets < WHOLE_OCTETS); i++) {
		struct check_ref *ref = &m->refs[i];

		if (ref->body == 0 || check_body_known(k, ref->body)) {
			ref->body = 0;
			continue;
		}
		bodies[n++] = ref->body;
		octets += k->deep ? ref->size : 0;
	}
	m->upto_ref = i;
	if (n > 0) {
		must(be->ops->bodies_check(be, bodies, n, k->deep, on_checked, k));
		return;
	}
	m->at_ref = i;
	if (i == m->n_refs)
		m->phase = m->more ? P_ROWS : P_HEAD_AGAIN;
	task_next(k->t);
}

static void
on_tree(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct check_mbox_run *m = k->run;
	const struct check_ref *ref = &m->refs[m->at_ref++];
	struct mime_part *root;
	struct arena *a;

	if (err == 0) {
		a = arena_new(TREE_MEM);
		err = a == NULL ? ERR_NOMEM : mime_tree_decode(summary_tree(value), a, &root);
		arena_free(a);
	}
	if (err != 0)
		body_fault(k, ref, "summary_corrupt", 0);
	else
		check_body_sound(k, ref->body);
	task_next(k->t);
}

static void
summaries_step(struct check *k)
{
	struct check_mbox_run *m = k->run;
	struct backend *be = k->t->st->be;

	while (m->at_ref < m->upto_ref &&
	       (m->refs[m->at_ref].body == 0 || check_body_known(k, m->refs[m->at_ref].body)))
		m->at_ref++;
	if (m->at_ref < m->upto_ref) {
		must(be->ops->summary_get(be, m->refs[m->at_ref].body, on_tree, k));
		return;
	}
	m->phase = P_BODIES;
	task_next(k->t);
}

/* ---- the header ---- */

static void
begin_rows(struct check_mbox_run *m)
{
	found_free(m);
	refs_clear(m);
	memset(&m->seen, 0, sizeof m->seen);
	m->max_uid = 0;
	m->max_modseq = m->rows = m->bodies = 0;
	m->max_given = m->bad_expunged = 0;
	m->bad_modseq = 0;
	buf_reset(&m->unread);
	buf_reset(&m->bad_keys);
	buf_reset(&m->keywords);
	m->n_msgs = m->n_changes = 0;
	m->mendable = m->kept_unread = false;
	buf_reset(&m->expunged);
	buf_reset(&m->from);
	m->phase = P_ROWS;
}

static void
on_head(void *arg, int err, struct slice value)
{
	struct check *k = arg;
	struct check_mbox_run *m = k->run;

	if (err == ERR_NOTFOUND) { /* deleted since the names were read; else a name without rows */
		check_emit_take(k, check_finding_new(k, CHECK_WARNING, "mailbox_gone"));
		check_mbox_over(k);
		return;
	}
	if (err != ERR_CORRUPT && check_failed(k, err))
		return;
	buf_reset(&m->raw);
	buf_append_slice(&m->raw, value);
	if (err == 0)
		err = mbox_head_decode(buf_slice(&m->raw), &m->h);
	m->head_bad = err != 0;
	if (err != 0)
		memset(&m->h, 0, sizeof m->h);
	else
		m->head_v1 = m->raw.data[0] == 1;
	begin_rows(m);
	if (err != 0)
		check_found_take(k, check_finding_new(k, CHECK_FAULT, "mailbox_header_corrupt"));
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
	if (err != ERR_CORRUPT && check_failed(k, err))
		return;
	if (!slice_eq(value, buf_slice(&m->raw))) {
		if (++m->tries < TRIES) {
			m->phase = P_HEAD;
			task_next_in(k->t, 10u << m->tries);
			return;
		}
		k->sums.unsettled++;
		check_emit_take(k, check_finding_new(k, CHECK_NOTE, "mailbox_unsettled"));
		check_mbox_over(k);
		return;
	}
	check_rows_compare(k);
	k->sums.messages += m->seen.messages;
	k->sums.octets += m->seen.bytes;
	k->sums.rows += m->rows;
	k->sums.bodies += m->bodies;
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
	else if (k->repair && m->mendable)
		check_mend(k);
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
		    be, object, buf_slice(&m->from), slice_str(""), ROWS_STEP, on_all_rows, k));
		break;
	case P_BODIES:
		bodies_step(k);
		break;
	case P_SUMMARIES:
		summaries_step(k);
		break;
	case P_HEAD_AGAIN:
		must(be->ops->get(be, object, slice_str("h"), on_head_again, k));
		break;
	case P_EMIT:
		emit(k);
		break;
	}
}
