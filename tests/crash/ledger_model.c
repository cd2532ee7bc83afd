/* ledger_model.c: what the clients of milter-ledger know (the texts of ledger_load.c), and whether an audit log agrees. Runs in tests, under
 * crash_check.c: see crash_judge.h. An outcome is acknowledged before it is synced: it must be there once a verdict that was told later was acknowledged. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "milter/ledger_file.h"
#include "tests/crash/crash_judge.h"
#include "tests/crash/ledger_record.h"

enum { FILES = 256, WORDS = 10 };
#define LOG "audit.jsonl"

struct crash_model {
	struct record {
		bool told;
		uint64_t seq;                      /* 0: not acknowledged */
		uint32_t told_at, acknowledged_at; /* numbers of texts */
	} r[CRASH_MESSAGES];
	uint32_t n, texts;
	uint32_t synced; /* what was acknowledged before this text is on stable storage */
};
static struct {
	struct crash_model *m;
	struct audit_chain last;
	uint64_t seq[CRASH_MESSAGES]; /* of what is there */
	unsigned n_bad;
	bool done;
	int err;
} V;

struct crash_model *
model_new(void)
{
	return xcalloc(1, sizeof(struct crash_model));
}

void
model_free(struct crash_model *m)
{
	free(m);
}

size_t
model_messages(const struct crash_model *m)
{
	return m->n;
}

void
model_text(struct crash_model *m, struct slice text)
{
	char line[64], *at;
	unsigned long n;
	struct record *r;

	if (text.len < 3 || text.len >= sizeof line)
		fatal("ledger_model: a text of %zu octets", text.len);
	memcpy(line, text.ptr, text.len);
	line[text.len] = '\0';
	n = strtoul(line + 2, &at, 10);
	if (n >= CRASH_MESSAGES)
		fatal("ledger_model: a record that cannot be");
	if (n >= m->n)
		m->n = (uint32_t)n + 1;
	r = &m->r[n];
	m->texts++;
	if (line[0] == 'V' || line[0] == 'U') {
		r->told = true;
		r->told_at = m->texts;
		return;
	}
	r->seq = strtoull(at, NULL, 10);
	r->acknowledged_at = m->texts;
	if (r->seq == 0)
		fatal("ledger_model: record %lu was acknowledged as none", n);
	if (line[0] == 'v' && r->told_at > m->synced)
		m->synced = r->told_at;
}

__attribute__((format(printf, 1, 2))) static void
bad(const char *fmt, ...)
{
	va_list ap;

	if (V.n_bad++ >= WORDS)
		return;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
}

/* ---- what is there ---- */

static void
check_record(const struct json *rec)
{
	static char pad[LEDGER_PAD_MAX + 1];
	struct slice event = json_str(json_get(rec, "event")), qid = json_str(json_get(rec, "qid"));
	bool verdict = slice_eq_str(event, "verdict");
	uint64_t n;

	if (!verdict && !slice_eq_str(event, "outcome"))
		return; /* its own */
	if (!slice_starts(qid, "N") ||
	    slice_to_u64(slice_from(qid, 1), CRASH_MESSAGES - 1, &n) != 0 || !V.m->r[n].told) {
		bad("record %llu: nobody told it", (unsigned long long)V.last.seq);
		return;
	}
	if (V.seq[n] != 0)
		bad("told %u: it is there twice", (unsigned)n);
	V.seq[n] = V.last.seq;
	ledger_pad((uint32_t)n, pad);
	if (verdict != ledger_is_verdict((uint32_t)n) ||
	    !slice_eq_str(json_str(json_get(rec, "text")), pad))
		bad("told %u: it has other octets", (unsigned)n);
}

static void
check_file(const char *dir, const char *name)
{
	char path[512];
	struct audit_reader *r;
	struct json *rec;
	struct slice line;
	const char *why = "";
	int fd, err;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		bad("%s: cannot be read", name);
		return;
	}
	r = audit_reader_new(fd);
	while ((err = audit_reader_next(r, &line)) == 0) {
		if (audit_check_line(&V.last, line, &rec, &why) != 0) {
			bad("%s, line %llu: %s", name, (unsigned long long)audit_reader_line(r),
			    why);
			break;
		}
		check_record(rec);
		json_free(rec);
	}
	if (err == ERR_EOF && audit_reader_torn(r) != 0)
		bad("%s: %zu octets behind its last line", name, audit_reader_torn(r));
	else if (err != 0 && err != ERR_EOF)
		bad("%s: %s", name, err_name(err));
	audit_reader_free(r);
	close(fd);
}

static int
by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Closed files have the number of their first record behind the name, as many digits as any. */
static void
check_files(const char *dir)
{
	char *name[FILES];
	size_t n = 0;
	DIR *d = opendir(dir);
	struct dirent *e;

	if (d == NULL)
		fatal("ledger_model: %s", dir);
	while ((e = readdir(d)) != NULL)
		if (strncmp(e->d_name, LOG ".", sizeof LOG) == 0 && n < FILES &&
		    e->d_name[sizeof LOG] != '\0' &&
		    strspn(e->d_name + sizeof LOG, "0123456789") == strlen(e->d_name + sizeof LOG))
			name[n++] = xstrdup(e->d_name);
	closedir(d);
	qsort(name, n, sizeof *name, by_name);
	audit_chain_init(&V.last);
	memset(V.seq, 0, sizeof V.seq);
	for (size_t i = 0; i < n; i++) {
		check_file(dir, name[i]);
		free(name[i]);
	}
	check_file(dir, LOG);
}

static void
check_acknowledged(void)
{
	for (uint32_t n = 0; n < V.m->n; n++) {
		const struct record *r = &V.m->r[n];

		if (r->seq == 0)
			continue;
		if (V.seq[n] == 0 && (ledger_is_verdict(n) || r->acknowledged_at < V.m->synced))
			bad("told %u: it was acknowledged as record %llu, and is not there",
			    (unsigned)n, (unsigned long long)r->seq);
		if (V.seq[n] != 0 && V.seq[n] != r->seq)
			bad("told %u: it was acknowledged as record %llu, and is %llu", (unsigned)n,
			    (unsigned long long)r->seq, (unsigned long long)V.seq[n]);
	}
}

/* ---- opening ---- */

static void
on_batch(void *arg, bool done, int err)
{
	(void)arg;
	V.done = done;
	V.err = err;
}

/* One record more. */
static void
go_on(struct ledger_file *f)
{
	struct audit_chain last = *ledger_file_last(f);
	struct loop *l = loop_new();
	struct json *rec = json_obj_new();
	struct buf b;

	buf_init(&b, 65536);
	json_set_str(rec, "event", "load");
	V.done = false;
	if (audit_seal(&last, rec, "2026-01-01T00:00:00.000000Z", "h", &b) != 0 ||
	    ledger_file_start(f, l, on_batch, NULL) != 0)
		fatal("ledger_model: the log cannot go on");
	ledger_file_write(f, &b, &last, true, true);
	while (!V.done)
		loop_run_once(l, 100);
	if (V.err != 0)
		bad("it cannot be written to: %s", err_name(V.err));
	json_free(rec);
}

int
model_verify(struct crash_model *m, const char *dir, bool close)
{
	struct ledger_recovery rec;
	struct ledger_file *f;
	char path[512];
	int err;

	V.m = m;
	V.n_bad = 0;
	snprintf(path, sizeof path, "%s/%s", dir, LOG);
	err = ledger_file_open(path, -1, &f, &rec);
	if (err != 0) {
		fprintf(stderr, "the audit log cannot be opened: %s\n", err_name(err));
		return -1;
	}
	if (rec.kind != NULL && strncmp(rec.kind, "torn_", 5) != 0)
		bad("it is taken for manipulated: %s, last record %llu, expected %llu", rec.kind,
		    (unsigned long long)rec.found_seq, (unsigned long long)rec.expected_seq);
	if (close)
		go_on(f);
	check_files(dir);
	check_acknowledged();
	ledger_file_close(f);
	return V.n_bad == 0 ? 0 : -1;
}
