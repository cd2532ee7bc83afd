/* expunge_bench.c: what it costs that expunged mail stays restorable. A real congvu-stored-db, a mailbox of -n messages (10,000) with the rows of ordinary
 * mail (an ENVELOPE of 600 octets, 400 of trace), expunged at once as EXPUNGE and by UIDs as UID EXPUNGE: CPU of stored and time, with undelete_days 0 and
 * 14. By hand, from the build folder: tests/bench/expunge_bench [-n N] */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/log.h"
#include "tests/unit/kept_fix.h"

static double
cpu_of(pid_t pid)
{
	char path[64], text[1024];
	unsigned long u = 0, s = 0;
	FILE *f;

	snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
	f = fopen(path, "r");
	if (f == NULL || fgets(text, sizeof text, f) == NULL ||
	    sscanf(strrchr(text, ')') + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
		&u, &s) != 2)
		abort();
	fclose(f);
	return (double)(u + s) / (double)sysconf(_SC_CLK_TCK);
}

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
on_delivered(void *arg, int err, const struct deliver_result *r, size_t n)
{
	(void)arg;
	(void)r;
	(void)n;
	if (err != 0)
		abort();
	X->done = true;
}

/* One real message, copied until there are n. */
static void
fill(struct store_session *s, uint64_t mb, size_t n)
{
	static char envelope[601], trace[401];
	struct deliver_message m = {.fd = -1, .body = slice_str("text")};
	struct deliver_target t = {.account = slice_str("p-1"), .mailbox = slice_str("INBOX")};
	static uint32_t uids[1000];
	size_t have = 1;

	memset(envelope, 'e', 600);
	memset(trace, 't', 400);
	m.envelope = slice_str(envelope);
	t.trace = slice_str(trace);
	m.size = m.body.len;
	sha256_of(m.body, m.sha256);
	random_bytes(m.id, sizeof m.id);
	X->done = false;
	if (deliver_send(X->ingest, &m, &t, 1, 0, on_delivered, NULL, NULL) != 0)
		abort();
	while (!X->done)
		loop_run_once(X->l, 20);
	X->done = false;
	fix_rows(s, mb);
	uids[0] = X->rows[0].row.uid;
	while (have < n) {
		size_t k = have < 1000 ? have : 1000;

		k = n - have < k ? n - have : k;
		fix_copy(s, mb, uids, k, mb, false);
		for (size_t i = 0; i < k && have + i < 1000; i++)
			uids[have + i] = X->dst[i];
		have += k;
	}
}

static void
run(const char *conf, size_t n)
{
	struct store_session *s;
	static uint32_t uids[250000];
	uint64_t mb;
	double cpu, t;

	if (fix_new(conf) != 0)
		abort();
	s = fix_login("p-1", "an");
	mb = fix_id(s, "INBOX");
	for (int by_uid = 0; by_uid < 2; by_uid++) {
		uint32_t last;

		fill(s, mb, n);
		last = fix_box(s, "INBOX")->uidnext;
		for (size_t i = 0; i < n; i++)
			uids[i] = last - (uint32_t)n + (uint32_t)i;
		cpu = cpu_of(X->run.pid);
		t = now();
		fix_expunge(s, mb, by_uid ? uids : NULL, by_uid ? n : 0, false);
		printf("%-19.*s %-11s %6zu messages: %6.0f ms, %6.1f us CPU a message\n",
		    (int)strcspn(conf, "\n"), conf, by_uid ? "UID EXPUNGE" : "EXPUNGE", n,
		    (now() - t) * 1e3, (cpu_of(X->run.pid) - cpu) * 1e6 / (double)n);
		if (fix_box(s, "INBOX")->messages != 0)
			abort();
	}
	fix_free();
}

int
main(int argc, char **argv)
{
	size_t n = argc == 3 && strcmp(argv[1], "-n") == 0 ? strtoul(argv[2], NULL, 10) : 10000;

	log_init("expunge_bench", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	if (n < 1 || n > 250000)
		return 64;
	for (int i = 0; i < 2; i++) {
		run("undelete_days = 0\n", n);
		run("undelete_days = 14\n", n);
	}
	return 0;
}
