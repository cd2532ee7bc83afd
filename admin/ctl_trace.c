/* ctl_trace.c: `congvu trace`: the whole way of a mail, from the audit log: received, verdict, outcome, deliveries, quarantine, purges. Runs in congvu; reads
 * the files of the log, asks no running program. Two passes: the first finds which mails are meant, line by line without parsing; the second takes
 * every record of these. Memory is bounded by --limit and RECORDS_MAX, whatever the log's size. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_trace.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum {
	LIMIT_USUAL = 50,
	LIMIT_MAX = 1000,
	RECORDS_MAX = 500, /* of a mail */
	OCTETS_MAX = 96 << 20,
	PURGES_MAX = 1000,
};

struct tracing {
	struct ctl *c;
	const struct trace_filter *filter;
	struct trace_mail *mails; /* those found last, a ring while they are looked for */
	size_t n, limit;
	uint64_t found; /* in all */
	char last[TRACE_GROUP_MAX + 1];
	size_t first_file, file; /* first_file: where the first hit stood */
	struct trace_mail **by_group;
	size_t octets;
	struct json *purges; /* array of records "store_purge_..." */
};

/* Lines of some files, as long as fn gives 0. */
typedef int (*line_fn)(struct tracing *t, struct slice line, const char *path, uint64_t number);

static int
each_line(struct tracing *t, const struct audit_files *files, size_t from, size_t to, line_fn fn)
{
	struct slice line;
	int rc = 0, err, fd;

	for (t->file = from; t->file < to && rc == 0; t->file++) {
		struct audit_reader *r;

		fd = audit_open_one(t->c, files->list[t->file].path);
		if (fd < 0)
			return EX_NOINPUT;
		r = audit_reader_new(fd);
		while (rc == 0 && (err = audit_reader_next(r, &line)) == 0)
			rc = fn(t, line, files->list[t->file].path, audit_reader_line(r));
		if (rc == 0 && err != ERR_EOF)
			rc = ctl_fail(t->c, ctl_exit_code(err), "%s: %s", files->list[t->file].path,
			    err_name(err));
		audit_reader_free(r);
		close(fd);
	}
	return rc;
}

/* ---- which ---- */

static bool
is_kept(const struct tracing *t, const char *group)
{
	for (size_t i = t->n; i > 0; i--)
		if (strcmp(t->mails[i - 1].group, group) == 0)
			return true;
	return false;
}

static void
keep(struct tracing *t, const char *group)
{
	struct trace_mail *m;

	/* verdict and outcome stand together: the last one saves the search */
	if (strcmp(t->last, group) == 0 || is_kept(t, group))
		return;
	memcpy(t->last, group, sizeof t->last);
	if (t->found == 0)
		t->first_file = t->file;
	t->found++;
	if (t->n == t->limit) { /* the newest count */
		memmove(t->mails, t->mails + 1, (t->n - 1) * sizeof *t->mails);
		t->n--;
	}
	m = &t->mails[t->n++];
	memset(m, 0, sizeof *m);
	memcpy(m->group, group, sizeof m->group);
}

static int
look(struct tracing *t, struct slice line, const char *path, uint64_t number)
{
	char group[TRACE_GROUP_MAX + 1];

	(void)path, (void)number;
	if (trace_filter_has(t->filter, line) && trace_group(trace_line_qid(line), group) == 0)
		keep(t, group);
	return 0;
}

/* ---- all of it ---- */

static int
by_group(const void *a, const void *b)
{
	const struct trace_mail *const *x = a, *const *y = b;

	return strcmp((*x)->group, (*y)->group);
}

static struct trace_mail *
mail_of(struct tracing *t, const char *group)
{
	struct trace_mail probe, *p = &probe, **found;

	snprintf(probe.group, sizeof probe.group, "%s", group);
	found = bsearch(&p, t->by_group, t->n, sizeof *t->by_group, by_group);
	return found == NULL ? NULL : *found;
}

/* A line that is not what its hash was made of is told, and not shown as if it were. */
static void
take(struct tracing *t, struct trace_mail *m, struct slice line, const char *path, uint64_t number)
{
	struct audit_chain chain;
	struct json *rec = NULL;
	const char *why;

	if (json_len(m->records) >= RECORDS_MAX || t->octets + line.len > OCTETS_MAX) {
		m->more++;
	} else if (audit_line_parse(line, &chain, &rec, &why) != 0) {
		m->bad++;
		ctl_fail(t->c, EX_DATAERR, _("%s, line %llu: %s"), path, (unsigned long long)number,
		    why);
	} else {
		t->octets += line.len;
		m->octets += line.len;
		json_push_take(m->records, rec);
	}
}

static int
gather(struct tracing *t, struct slice line, const char *path, uint64_t number)
{
	static const char purge[] = "\"event\":\"store_purge_";
	char group[TRACE_GROUP_MAX + 1];
	struct trace_mail *m;
	struct slice qid = trace_line_qid(line);
	struct audit_chain chain;
	struct json *rec = NULL;
	const char *why;

	if (qid.len > 0) {
		if (trace_group(qid, group) == 0 && (m = mail_of(t, group)) != NULL)
			take(t, m, line, path, number);
	} else if (json_len(t->purges) < PURGES_MAX &&
		   memmem(line.ptr, line.len, purge, sizeof purge - 1) != NULL &&
		   audit_line_parse(line, &chain, &rec, &why) == 0) {
		json_push_take(t->purges, rec);
	}
	return 0;
}

static void
sort_mails(struct tracing *t)
{
	t->by_group = xcalloc(t->n + 1, sizeof *t->by_group);
	for (size_t i = 0; i < t->n; i++) {
		t->mails[i].records = json_arr_new();
		t->by_group[i] = &t->mails[i];
	}
	qsort(t->by_group, t->n, sizeof *t->by_group, by_group);
}

int
trace_gather(struct ctl *c, struct trace_mail *mails, size_t n, const char *since)
{
	struct tracing t = {.c = c, .mails = mails, .n = n, .purges = json_arr_new()};
	struct audit_files files = {0};
	struct trace_span span = {{0}, {0}};
	size_t from, to;
	int rc;

	snprintf(span.since, sizeof span.since, "%s", since);
	sort_mails(&t);
	rc = audit_open_files(c, NULL, &files);
	if (rc == 0) {
		trace_span_files(c, &files, &span, &from, &to);
		rc = each_line(&t, &files, from, files.n, gather);
	}
	audit_files_done(&files);
	json_free(t.purges);
	free(t.by_group);
	return rc;
}

const struct json *
trace_verdict(const struct trace_mail *m, const char *qid)
{
	for (size_t i = json_len(m->records); i > 0; i--) {
		const struct json *r = json_at(m->records, i - 1);

		if (strcmp(json_cstr(json_get(r, "event")), "verdict") == 0 &&
		    strcmp(json_cstr(json_get(r, "qid")), qid) == 0)
			return r;
	}
	return NULL;
}

/* ---- purges, as far as they name a Message-ID ---- */

static bool
is_id_of(const struct trace_mail *m, struct slice id)
{
	unsigned char digest[32];
	char hex[65];

	sha256_of(id, digest);
	hex_encode(digest, sizeof digest, hex);
	for (size_t i = 0; i < json_len(m->records); i++)
		if (slice_eq_str(json_str(json_get(json_at(m->records, i), "msgid_sha256")), hex))
			return true;
	return false;
}

static bool
is_purge_of(const struct trace_mail *m, const struct json *rec)
{
	const struct json *value = json_get(rec, "value");
	struct buf b;
	bool yes;

	if (strcmp(json_cstr(json_get(rec, "kind")), "message_id") != 0)
		return false;
	buf_init(&b, 4096);
	buf_appendf(&b, "<%s>", json_cstr(value));
	yes = is_id_of(m, json_str(value)) || is_id_of(m, buf_slice(&b));
	buf_done(&b);
	return yes;
}

static void
add_purges(struct tracing *t, struct trace_mail *m)
{
	for (size_t i = 0; i < json_len(t->purges); i++)
		if (is_purge_of(m, json_at(t->purges, i)))
			json_push_take(m->records, json_share(json_at(t->purges, i)));
}

/* ---- answers ---- */

static int
print(struct tracing *t, bool whole)
{
	struct json *list = t->c->json ? json_arr_new() : NULL;
	uint64_t bad = 0;

	for (size_t i = 0; i < t->n; i++) {
		add_purges(t, &t->mails[i]);
		bad += t->mails[i].bad;
		if (list != NULL)
			json_push_take(list, trace_json(&t->mails[i]));
		else
			trace_print(&t->mails[i], whole || t->n == 1);
	}
	if (t->n > 0 && t->found > t->n)
		fprintf(stderr, _("%llu mails match; these are the last %zu (--limit)\n"),
		    (unsigned long long)t->found, t->n);
	else if (list == NULL && t->n > 1 && !whole)
		printf(_("%zu mails. The whole way: congvu trace QID, or --full\n"), t->n);
	if (list != NULL)
		return ctl_json_take(list, bad > 0 ? EX_DATAERR : EX_OK);
	if (t->n == 0)
		return ctl_fail(t->c, EX_NOUSER, "%s", _("the audit log has no such mail"));
	return bad > 0 ? EX_DATAERR : EX_OK;
}

/* The time that a queue id of ours was made at: its first seven octets (microseconds). */
static void
span_of_qid(const char *qid, struct trace_span *span)
{
	unsigned char id[8];
	uint64_t us = 0;
	time_t at;
	struct tm tm;

	if (strlen(qid) != 16 || hex_decode(slice_str(qid), id, 8) != 0)
		return;
	for (int i = 0; i < 7; i++)
		us = us << 8 | id[i];
	at = (time_t)(us / 1000000);
	if (at < 1577836800 || at > time(NULL) + 86400 || span->since[0] != '\0')
		return;
	gmtime_r(&at, &tm);
	strftime(span->since, sizeof span->since, "%Y-%m-%dT%H:%M:%S", &tm);
}

static int
trace(struct tracing *t, const struct trace_want *w, const char *file)
{
	struct audit_files files = {0};
	struct trace_span span = w->span;
	char group[TRACE_GROUP_MAX + 1];
	size_t from, to;
	int rc = audit_open_files(t->c, file, &files);

	if (rc != 0)
		return rc;
	if (w->qid != NULL)
		span_of_qid(w->qid, &span);
	trace_span_files(t->c, &files, &span, &from, &to);
	t->first_file = from;
	if (w->qid != NULL && trace_group(slice_str(w->qid), group) == 0)
		keep(t, group); /* the one pass finds all of it */
	else
		rc = each_line(t, &files, from, to, look);
	if (w->qid != NULL)
		t->first_file = from;
	sort_mails(t);
	/* what becomes of a mail comes later, whatever the span */
	if (rc == 0 && t->n > 0)
		rc = each_line(t, &files, t->first_file, files.n, gather);
	audit_files_done(&files);
	if (rc == 0 && w->qid != NULL && t->n == 1 && json_len(t->mails[0].records) == 0 &&
	    t->mails[0].bad == 0) {
		json_free(t->mails[0].records);
		t->n = 0;
	}
	return rc;
}

/* What a word without an option means. */
static int
guess(struct ctl *c, const char *word, struct trace_want *w)
{
	const char **to = word[0] == '<' || strchr(word, '@') != NULL ? &w->message_id
			  : strlen(word) == 64                        ? &w->digest
								      : &w->qid;

	if (*to != NULL)
		return ctl_usage(c, "%s", _("one mail at a time"));
	*to = word;
	return 0;
}

static bool
is_empty(const struct trace_want *w)
{
	return w->qid == NULL && w->message_id == NULL && w->from == NULL && w->to == NULL &&
	       w->login == NULL && w->subject == NULL && w->attachment == NULL &&
	       w->digest == NULL && w->rule == NULL && w->action == NULL &&
	       w->span.since[0] == '\0' && w->span.until[0] == '\0';
}

int
ctl_trace(struct ctl *c, int argc, char **argv)
{
	const char *day = NULL, *since = NULL, *until = NULL, *limit = NULL, *file = NULL;
	struct trace_want w = {.qid = NULL};
	bool full = false;
	const struct ctl_option options[] = {{"message-id", &w.message_id, NULL},
	    {"from", &w.from, NULL}, {"to", &w.to, NULL}, {"login", &w.login, NULL},
	    {"subject", &w.subject, NULL}, {"attachment", &w.attachment, NULL},
	    {"digest", &w.digest, NULL}, {"rule", &w.rule, NULL}, {"action", &w.action, NULL},
	    {"day", &day, NULL}, {"since", &since, NULL}, {"until", &until, NULL},
	    {"limit", &limit, NULL}, {"file", &file, NULL}, {"full", NULL, &full},
	    {NULL, NULL, NULL}};
	struct tracing t = {.c = c, .limit = LIMIT_USUAL};
	struct trace_filter *filter;
	uint64_t n;
	int rc;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 2)
		return ctl_usage(c, "%s", _("one mail at a time"));
	if (argc == 2 && guess(c, argv[1], &w) != 0)
		return EX_USAGE;
	if (limit != NULL) {
		if (slice_to_u64(slice_str(limit), LIMIT_MAX, &n) != 0 || n == 0)
			return ctl_usage(c, _("--limit takes a number up to %d"), LIMIT_MAX);
		t.limit = (size_t)n;
	}
	if (trace_span_read(c, day, since, until, &w.span) != 0)
		return EX_USAGE;
	if (is_empty(&w))
		return ctl_usage(c, "%s", _("say which mail, or which day"));
	filter = trace_filter_new(c, &w);
	if (filter == NULL)
		return EX_USAGE;
	t.filter = filter;
	t.mails = xcalloc(t.limit, sizeof *t.mails);
	t.purges = json_arr_new();
	rc = trace(&t, &w, file);
	if (rc == 0)
		rc = print(&t, full);
	for (size_t i = 0; i < t.n; i++)
		json_free(t.mails[i].records);
	json_free(t.purges);
	free(t.by_group);
	free(t.mails);
	trace_filter_free(filter);
	return rc;
}
