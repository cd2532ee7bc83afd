/* cmd_thread.c: THREAD and UID THREAD. Runs in imapd-session. RFC 5256. First the search, then one pass over the rows of what it found:
 * they have subjects, dates and the Message-IDs referred to. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/row_walk.h"
#include "imapd/search_run.h"
#include "imapd/sort_key.h"
#include "imapd/thread_tree.h"
#include "lib/err.h"

static const struct algorithm {
	const char *name;
	int (*run)(const struct thread_msg *msgs, size_t n, struct arena *a, struct buf *out);
} algorithms[] = {
    {"ORDEREDSUBJECT", thread_ordered_subject},
    {"REFERENCES", thread_references},
};

struct thread {
	struct search_run run; /* first */
	const struct algorithm *by;
	struct row_walk walk;
	struct thread_msg *msgs; /* by their place in uids; number 0: gone */
	uint32_t *uids, *numbers;
	size_t n;
};

static void
thread_cleanup(struct cmd *m)
{
	struct thread *st = m->state;
	search_run_done(&st->run, m->c->store != NULL);
	row_walk_done(&st->walk);
}

static void
answer(struct cmd *m)
{
	struct thread *st = m->state;
	struct buf b;
	size_t n = 0;
	for (size_t i = 0; i < st->n; i++)
		if (st->msgs[i].number != 0)
			st->msgs[n++] = st->msgs[i];
	buf_init(&b, IMAP_OUT_CAP);
	buf_append_str(&b, n > 0 ? "* THREAD " : "* THREAD");
	int err = st->by->run(st->msgs, n, m->a, &b);
	buf_append_str(&b, "\r\n");
	if (err == 0)
		err = b.err;
	if (err == 0)
		client_write(m->c, buf_slice(&b));
	buf_done(&b);
	if (err)
		cmd_err(m, err);
	else
		cmd_ok(m, "Threaded");
}

static int
on_row(struct cmd *m, size_t i, const struct msg_row *row)
{
	struct thread *st = m->state;
	struct thread_msg *t = &st->msgs[i];
	struct envelope env;
	struct arena *scratch = arena_new(65536);
	if (scratch == NULL)
		return ERR_NOMEM;
	if (envelope_read(row->envelope, scratch, &env) != 0)
		env = (struct envelope){0};
	t->number = st->numbers[i];
	t->sent = row->sent_date == INT64_MIN ? row->internal_date : row->sent_date;
	t->subject = sort_subject(&env, m->a, &t->is_reply);
	t->refs = row->refs.len > 0 ? arena_slice(m->a, row->refs) : slice_of("", 0);
	arena_free(scratch);
	return row->refs.len > 0 && t->refs.ptr == NULL ? ERR_NOMEM : 0;
}

static void
on_found(struct cmd *m)
{
	struct thread *st = m->state;
	const struct view *v = &m->c->sel->view;
	size_t room = (size_t)v->told + 1;
	st->uids = arena_calloc(m->a, room, sizeof(*st->uids));
	st->numbers = arena_calloc(m->a, room, sizeof(*st->numbers));
	st->msgs = arena_calloc(m->a, room, sizeof(*st->msgs));
	search_run_done(&st->run, m->c->store != NULL);
	if (st->uids == NULL || st->numbers == NULL || st->msgs == NULL) {
		cmd_err(m, ERR_NOMEM);
		return;
	}
	for (uint32_t i = 0; i < v->told; i++) {
		if (st->run.hit[i]) {
			st->uids[st->n] = v->uid[i];
			st->numbers[st->n++] = m->uid ? v->uid[i] : i + 1;
		}
	}
	st->walk = (struct row_walk){
	    .uids = st->uids, .n = st->n, .refs = true, .row = on_row, .done = answer};
	row_walk_start(m, &st->walk);
}

void
cmd_thread(struct cmd *m)
{
	struct thread *st = arena_alloc(m->a, sizeof(*st));
	struct slice name;
	if (st == NULL) {
		cmd_err(m, ERR_NOMEM);
		return;
	}
	m->state = st;
	m->cleanup = thread_cleanup;
	if (!imap_cur_sp(&m->args) || !imap_cur_atom(&m->args, &name) || !imap_cur_sp(&m->args)) {
		cmd_syntax(m);
		return;
	}
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++)
		if (slice_caseeq_str(name, algorithms[i].name))
			st->by = &algorithms[i];
	if (st->by == NULL) {
		cmd_bad(m, "No such way to thread");
		return;
	}
	search_run_charset(m, &st->run, on_found, NULL);
}
