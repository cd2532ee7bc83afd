/* cmd_search.c: SEARCH and UID SEARCH: arguments and answers; search_run.c looks. Runs in imapd-session. RFC 3501 6.4.4, RFC 9051 6.4.4,
 * RFC 4731 (ESEARCH), RFC 5182 (SEARCHRES), RFC 7162 3.1.5, 3.1.6, 3.1.10 (MODSEQ). */
#include "config.h"

#include "imapd/commands.h"

#include <stdio.h>

#include "imapd/esearch.h"
#include "imapd/qresync.h"
#include "imapd/search_run.h"
#include "lib/err.h"

struct search {
	struct search_run run; /* first */
	unsigned what;         /* enum esearch_what; 0: a SEARCH response */
};

static void
search_cleanup(struct cmd *m)
{
	struct search *st = m->state;
	search_run_done(&st->run, m->c->store != NULL);
}

/* RFC 5182 2.4: what "$" stands for from now on. */
static int
save(struct cmd *m, unsigned what, const uint32_t *uids, size_t n)
{
	uint32_t ends[2];
	if (!(what & (ESEARCH_ALL | ESEARCH_COUNT)) && (what & (ESEARCH_MIN | ESEARCH_MAX)) &&
	    n > 0) {
		size_t k = 0;
		if (what & ESEARCH_MIN)
			ends[k++] = uids[0];
		if ((what & ESEARCH_MAX) && (n > 1 || k == 0))
			ends[k++] = uids[n - 1];
		return view_save(&m->c->sel->view, ends, k);
	}
	return view_save(&m->c->sel->view, uids, n);
}

/* RFC 5182 2.1: a search that was to be saved and fails leaves nothing saved. */
static void
forget(struct cmd *m)
{
	struct search *st = m->state;
	if (st->what & ESEARCH_SAVE)
		view_save(&m->c->sel->view, NULL, 0);
}

/* The highest mod-sequence of what is told: of MIN and MAX alone, or of all that was found. */
static uint64_t
highest(const struct search *st, const uint32_t *seqs, size_t n)
{
	bool all = st->what == 0 || (st->what & (ESEARCH_ALL | ESEARCH_COUNT));
	uint64_t max = 0;
	for (size_t i = 0; st->run.prog.modseq && i < n; i++) {
		bool told = all || (i == 0 && (st->what & ESEARCH_MIN)) ||
			    (i + 1 == n && (st->what & ESEARCH_MAX));
		if (told && st->run.modseq[seqs[i] - 1] > max)
			max = st->run.modseq[seqs[i] - 1];
	}
	return max;
}

static void
answer(struct cmd *m)
{
	struct search *st = m->state;
	const struct view *v = &m->c->sel->view;
	uint32_t *uids = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*uids));
	uint32_t *seqs = arena_calloc(m->a, (size_t)v->told + 1, sizeof(*seqs));
	size_t n = 0;
	struct buf b;
	if (uids == NULL || seqs == NULL) {
		cmd_err(m, ERR_NOMEM);
		return;
	}
	for (uint32_t i = 0; i < v->told; i++) {
		if (st->run.hit[i]) {
			uids[n] = v->uid[i];
			seqs[n++] = i + 1;
		}
	}
	if ((st->what & ESEARCH_SAVE) && save(m, st->what, uids, n) != 0) {
		forget(m);
		cmd_no(m, "[NOTSAVED] The result is too large to be kept");
		return;
	}
	buf_init(&b, IMAP_OUT_CAP);
	const uint32_t *numbers = m->uid ? uids : seqs;
	char modseq[40] = "";
	uint64_t max = highest(st, seqs, n);
	if (max > 0)
		snprintf(modseq, sizeof(modseq), st->what ? " MODSEQ %llu" : " (MODSEQ %llu)",
		    (unsigned long long)max);
	if (st->what) {
		esearch_write(m->tag, m->uid, st->what, numbers, n, modseq, &b);
	} else {
		buf_append_str(&b, "* SEARCH");
		for (size_t i = 0; i < n; i++)
			buf_appendf(&b, " %u", numbers[i]);
		buf_appendf(&b, "%s\r\n", modseq);
	}
	client_write(m->c, buf_slice(&b));
	buf_done(&b);
	cmd_ok(m, "Searched");
}

void
cmd_search(struct cmd *m)
{
	struct search *st = arena_alloc(m->a, sizeof(*st));
	struct client *c = m->c;
	int err = st == NULL ? ERR_NOMEM : 0;
	if (err == 0)
		err = esearch_parse(&m->args, &st->what) && imap_cur_sp(&m->args)
			  ? search_prog_parse(&m->args, m->a, &st->run.prog)
			  : ERR_SYNTAX;
	/* RFC 6855 3: with UTF-8 enabled the charset is settled */
	if (err != ERR_SYNTAX && err != ERR_NOMEM && st->run.prog.has_charset &&
	    (c->enabled & ENABLED_UTF8))
		err = ERR_SYNTAX;
	if (err == ERR_SYNTAX) {
		cmd_syntax(m);
		return;
	}
	if (st == NULL) {
		cmd_err(m, err);
		return;
	}
	m->state = st;
	m->cleanup = search_cleanup;
	if (err)
		forget(m);
	if (err == ERR_UNSUPPORTED) {
		cmd_no(m, "[BADCHARSET (US-ASCII UTF-8)] Charset not known");
		return;
	}
	if (err) {
		cmd_err(m, err);
		return;
	}
	/* RFC 9051 6.4.4: the ESEARCH response is the only one */
	if (st->what == 0 && (c->enabled & ENABLED_REV2))
		st->what = ESEARCH_ALL;
	if (st->run.prog.modseq)
		condstore_on(c);
	search_run_start(m, &st->run, answer, forget);
}
