/* cmd_sort.c: SORT and UID SORT. Runs in imapd-session. RFC 5256, RFC 5957 (DISPLAYFROM, DISPLAYTO), RFC 5267 3 (ESORT: RETURN).
 * First the search, then one pass over the rows of what it found. */
#include "config.h"

#include "imapd/commands.h"

#include <stdio.h>

#include "imapd/esearch.h"
#include "imapd/row_walk.h"
#include "imapd/search_run.h"
#include "imapd/sort_key.h"
#include "lib/err.h"

struct sort {
	struct search_run run; /* first */
	unsigned what;         /* enum esearch_what; 0: a SORT response */
	struct sort_program by;
	struct row_walk walk;
	struct sort_item *items;
	size_t n;
	uint32_t *uids, *index;
};

static void
sort_cleanup(struct cmd *m)
{
	struct sort *st = m->state;
	search_run_done(&st->run, m->c->store != NULL);
	row_walk_done(&st->walk);
}

static void
forget(struct cmd *m)
{
	struct sort *st = m->state;
	if (st->what & ESEARCH_SAVE)
		view_save(&m->c->sel->view, NULL, 0);
}

/* RFC 5182 2.4 with the result in its order: MIN is the first, MAX the last. "$" itself has no order. */
static int
save(struct cmd *m, const uint32_t *sorted)
{
	struct sort *st = m->state;
	if ((st->what & (ESEARCH_ALL | ESEARCH_COUNT)) || st->n == 0 ||
	    !(st->what & (ESEARCH_MIN | ESEARCH_MAX)))
		return view_save(&m->c->sel->view, st->uids, st->n);
	uint32_t ends[2], first = sorted[0], last = sorted[st->n - 1];
	size_t k = 0;
	if (st->what & ESEARCH_MIN)
		ends[k++] = first;
	if ((st->what & ESEARCH_MAX) && (k == 0 || last != first))
		ends[k++] = last;
	if (k == 2 && ends[0] > ends[1]) {
		ends[0] = last;
		ends[1] = first;
	}
	return view_save(&m->c->sel->view, ends, k);
}

/* RFC 7162 3.1.9, 3.1.10: the highest mod-sequence of what is told, when the program has a MODSEQ key; else 0. */
static uint64_t
highest(const struct sort *st)
{
	bool all = st->what == 0 || (st->what & (ESEARCH_ALL | ESEARCH_COUNT));
	uint64_t max = 0;
	for (size_t i = 0; st->run.prog.modseq && i < st->n; i++) {
		bool told = all || (i == 0 && (st->what & ESEARCH_MIN)) ||
			    (i + 1 == st->n && (st->what & ESEARCH_MAX));
		uint64_t modseq = st->run.modseq[st->items[i].index];
		if (told && modseq > max)
			max = modseq;
	}
	return max;
}

static void
answer(struct cmd *m)
{
	struct sort *st = m->state;
	const struct view *v = &m->c->sel->view;
	uint32_t *sorted = arena_calloc(m->a, st->n + 1, sizeof(*sorted));
	struct buf b;
	if (sorted == NULL) {
		forget(m);
		cmd_err(m, ERR_NOMEM);
		return;
	}
	sort_items(&st->by, st->items, st->n);
	for (size_t i = 0; i < st->n; i++)
		sorted[i] = v->uid[st->items[i].index];
	if ((st->what & ESEARCH_SAVE) && save(m, sorted) != 0) {
		forget(m);
		cmd_no(m, "[NOTSAVED] The result is too large to be kept");
		return;
	}
	for (size_t i = 0; i < st->n && !m->uid; i++)
		sorted[i] = st->items[i].index + 1;
	buf_init(&b, IMAP_OUT_CAP);
	char modseq[40] = "";
	uint64_t max = highest(st);
	if (max > 0)
		snprintf(modseq, sizeof(modseq), st->what ? " MODSEQ %llu" : " (MODSEQ %llu)",
		    (unsigned long long)max);
	if (st->what) {
		esearch_write(m->tag, m->uid, st->what, sorted, st->n, modseq, &b);
	} else {
		buf_append_str(&b, "* SORT");
		for (size_t i = 0; i < st->n; i++)
			buf_appendf(&b, " %u", sorted[i]);
		buf_appendf(&b, "%s\r\n", modseq);
	}
	client_write(m->c, buf_slice(&b));
	buf_done(&b);
	cmd_ok(m, "Sorted");
}

static int
on_row(struct cmd *m, size_t i, const struct msg_row *row)
{
	struct sort *st = m->state;
	struct envelope env;
	struct arena *scratch = arena_new(65536);
	int err = scratch == NULL ? ERR_NOMEM : envelope_read(row->envelope, scratch, &env);
	if (err == ERR_CORRUPT) { /* sorted as if nothing were known of it */
		env = (struct envelope){0};
		err = 0;
	}
	/* RFC 5256 2.2: without a Date that can be read, the internal date */
	struct sort_facts f = {.arrival = row->internal_date,
	    .sent = row->sent_date == INT64_MIN ? row->internal_date : row->sent_date,
	    .size = row->size,
	    .env = &env};
	struct sort_item *item = &st->items[st->n];
	if (err == 0) {
		item->index = st->index[i];
		item->value = arena_calloc(m->a, st->by.n, sizeof(*item->value));
		err = item->value == NULL ? ERR_NOMEM
					  : sort_item_fill(&st->by, &f, m->a, item->value);
	}
	arena_free(scratch);
	if (err == 0)
		st->uids[st->n++] = row->uid;
	return err;
}

static void
on_found(struct cmd *m)
{
	struct sort *st = m->state;
	const struct view *v = &m->c->sel->view;
	uint32_t *uids = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*uids));
	size_t n = 0;
	st->uids = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*uids));
	st->index = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*uids));
	st->items = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*st->items));
	search_run_done(&st->run, m->c->store != NULL);
	if (uids == NULL || st->uids == NULL || st->index == NULL || st->items == NULL) {
		forget(m);
		cmd_err(m, ERR_NOMEM);
		return;
	}
	for (uint32_t i = 0; i < v->told; i++) {
		if (st->run.hit[i]) {
			uids[n] = v->uid[i];
			st->index[n++] = i;
		}
	}
	st->walk = (struct row_walk){.uids = uids, .n = n, .row = on_row, .done = answer};
	row_walk_start(m, &st->walk);
}

void
cmd_sort(struct cmd *m)
{
	struct sort *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL) {
		cmd_err(m, ERR_NOMEM);
		return;
	}
	m->state = st;
	m->cleanup = sort_cleanup;
	if (!esearch_parse(&m->args, &st->what) || !imap_cur_sp(&m->args) ||
	    !sort_program_parse(&m->args, &st->by) || !imap_cur_sp(&m->args)) {
		cmd_syntax(m);
		return;
	}
	search_run_charset(m, &st->run, on_found, forget);
}
