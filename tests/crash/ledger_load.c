/* ledger_load.c: loads a congvu-milter-ledger under shim.c for ledger_check (ledger_model.c): verdicts and outcomes, many at once, with kill -9 and
 * orderly ends in between. Runs in tests:
 *   ledger_load [-n records] [-s seed] [-r restarts] [-f fault] RECORD
 * LEDGER_BIN, LEDGER_PRELOAD: the program and the shim; LEDGER_CONF: lines for its configuration. -f: CONGVU_FAULT (shim.c) for the first process. Where that
 * ends by itself it is begun again, as its parent does. Once a sync has failed it must acknowledge nothing, and end.
 * Texts (n: number of the record): V n, U n: a verdict, an outcome is about to be told; v n seq, u n seq: that was answered. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "milter/ledger_client.h"
#include "tests/crash/crash_record.h"
#include "tests/crash/ledger_record.h"

enum { WORKERS = 12, LIMIT_S = 60, SOCKETS = 2, DEATHS = 20 };
static const char *const sockets[SOCKETS] = {"ledger.milter", "ledger.smtpd"};

struct worker {
	bool busy, verdict;
	uint32_t n;
	unsigned run;
	uint64_t hits; /* what had gone wrong before it was sent */
};
static struct {
	struct loop *l;
	char dir[64];
	pid_t pid;
	int fd[SOCKETS];
	uint32_t seed, next, answered, errors;
	struct ipc_client *milter, *smtp;
	struct worker w[WORKERS];
	bool dies;
	unsigned run, deaths;
	const char *fault;
	struct fault_page *page;
} T;

static uint32_t
rnd(uint32_t below)
{
	T.seed = T.seed * 1664525u + 1013904223u;
	return (T.seed >> 8) % below;
}

static void
tell(char what, uint32_t n, uint64_t seq)
{
	char text[64];

	snprintf(text, sizeof text, "%c %u %llu", what, (unsigned)n, (unsigned long long)seq);
	crash_record_text(slice_str(text));
}

/* ---- the program ---- */

static void
make_socket(int i)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};

	snprintf(sun.sun_path, sizeof sun.sun_path, "%.60s/%s", T.dir, sockets[i]);
	T.fd[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (T.fd[i] < 0 || bind(T.fd[i], (struct sockaddr *)&sun, sizeof sun) != 0 ||
	    listen(T.fd[i], 64) != 0)
		fatal("ledger_load: sockets");
}

static void
run_child(void)
{
	const char *bin = getenv("LEDGER_BIN");
	char conf[96], dir[96], fds[SOCKETS][64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(conf, sizeof conf, "%s/congvu.conf", T.dir);
	snprintf(dir, sizeof dir, "%s/ledger", T.dir);
	for (int i = 0; i < SOCKETS; i++)
		snprintf(fds[i], sizeof fds[i], "%s=%d", sockets[i], dup(T.fd[i]));
	setenv("CONGVU_CRASH_DIR", dir, 1);
	if (getenv("LEDGER_PRELOAD") != NULL)
		setenv("LD_PRELOAD", getenv("LEDGER_PRELOAD"), 1);
	execl(bin != NULL ? bin : "./congvu-milter-ledger", "congvu-milter-ledger", "--conf", conf,
	    "--name", "milter-ledger", "--index", "0", "--user", "-", "--dir", dir, "--fd", fds[0],
	    "--fd", fds[1], (char *)NULL);
	_exit(127);
}

/* dies: by itself, as by kill -9, at some write. */
static void
start(bool dies)
{
	char text[16];

	T.dies = dies;
	T.run++;
	snprintf(text, sizeof text, "%u", dies ? 4 + rnd(120) : 0);
	setenv("CONGVU_CRASH_END", text, 1);
	setenv("CONGVU_CRASH_AT", rnd(2) == 0 ? "" : "audit.jsonl", 1);
	T.pid = fork();
	if (T.pid == 0)
		run_child();
	if (T.pid < 0)
		fatal("ledger_load: fork");
}

static void
end(int signo)
{
	kill(T.pid, signo);
	waitpid(T.pid, NULL, 0);
}

static void
revive(void)
{
	int status;

	if (waitpid(T.pid, &status, WNOHANG) != T.pid)
		return;
	if (!T.dies && T.fault == NULL)
		fatal("ledger_load: milter-ledger ended by itself: %x", (unsigned)status);
	else if (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL)
		fatal("ledger_load: milter-ledger crashed: signal %d", WTERMSIG(status));
	if (++T.deaths > DEATHS)
		fatal("ledger_load: milter-ledger does not stay up");
	setenv("CONGVU_FAULT", "", 1);
	start(false);
}

static void
begin(void)
{
	const char *more = getenv("LEDGER_CONF");
	char path[96];
	FILE *f;

	snprintf(T.dir, sizeof T.dir, "%.30s/ledger_load.XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	if (mkdtemp(T.dir) == NULL)
		fatal("ledger_load: no folder");
	snprintf(path, sizeof path, "%s/ledger", T.dir);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/congvu.conf", T.dir);
	f = fopen(path, "w");
	if (f == NULL)
		fatal("ledger_load: no configuration");
	fprintf(f,
	    "log_level = \"warn\"\nhostname = \"mail.tinhmau.example\"\nuser_smtpd = \"root\"\n"
	    "user_milter = \"root\"\nuser_ledger = \"root\"\nrun_dir = \".\"\n"
	    "audit_log = \"ledger/audit.jsonl\"\nledger_dir = \".\"\n%s\n",
	    more == NULL ? "" : more);
	fclose(f);
	for (int i = 0; i < SOCKETS; i++)
		make_socket(i);
	start(false);
	snprintf(path, sizeof path, "%s/%s", T.dir, sockets[0]);
	T.milter = ipc_client_new(T.l, path, &ledger_proto, IPC_MILTER, NULL, NULL);
	snprintf(path, sizeof path, "%s/%s", T.dir, sockets[1]);
	T.smtp = ipc_client_new(T.l, path, &ledger_proto, IPC_SMTPD, NULL, NULL);
}

/* ---- records ---- */

static void
over(struct worker *w, int err, uint64_t seq)
{
	w->busy = false;
	if (err != 0) {
		T.errors++;
		return;
	}
	if (w->run == T.run && w->hits > 0 && strncmp(T.fault, "sync", 4) == 0)
		fatal("ledger_load: record %u was acknowledged after a sync had failed",
		    (unsigned)w->n);
	tell(w->verdict ? 'v' : 'u', w->n, seq);
	T.answered++;
}

static void
on_recorded(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	uint64_t seq = err == 0 ? ipc_get_u64(r) : 0;

	(void)fd;
	if (err == 0 && (type != LEDGER_RECORDED || ipc_reader_end(r) != 0))
		fatal("ledger_load: an answer that cannot be");
	over(arg, err, seq);
}

static void
on_outcome(void *arg, int err, uint64_t seq)
{
	over(arg, err, seq);
}

static void
work(struct worker *w)
{
	static char pad[LEDGER_PAD_MAX + 1];
	struct buf b, json;
	char qid[16];
	int err;

	if (w->busy || T.next >= CRASH_MESSAGES)
		return;
	w->busy = true;
	w->n = T.next++;
	w->run = T.run;
	w->hits = T.run == 1 ? __atomic_load_n(&T.page->hits, __ATOMIC_RELAXED) : 0;
	w->verdict = ledger_is_verdict(w->n);
	ledger_qid(w->n, qid);
	ledger_pad(w->n, pad);
	tell(w->verdict ? 'V' : 'U', w->n, 0);
	if (!w->verdict) {
		struct ledger_rcpt rcpt = {"an@tinhmau.example", "delivered", ""};
		struct ledger_outcome o = {
		    qid, "2.0.0", pad, "", "", "127.0.0.1", 250, &rcpt, 1, false};

		err = ledger_outcome(T.smtp, &o, 4000, on_outcome, w, NULL);
	} else {
		buf_init(&json, 262144);
		buf_init(&b, 262144);
		buf_appendf(
		    &json, "{\"event\":\"verdict\",\"qid\":\"%s\",\"text\":\"%s\"}", qid, pad);
		ipc_put_slice(&b, buf_slice(&json));
		err = ipc_call(T.milter, LEDGER_RECORD, &b, -1, 4000, on_recorded, w, NULL);
		buf_done(&b);
		buf_done(&json);
	}
	if (err != 0)
		fatal("ledger_load: a record cannot be told: %s", err_name(err));
}

static bool
any_busy(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (T.w[i].busy)
			return true;
	return false;
}

static void
run(uint32_t records, unsigned restarts)
{
	uint64_t t0 = loop_now_ms(T.l);
	unsigned done = 0;

	while ((T.next < records || T.answered < records / 2 || any_busy()) &&
	       loop_now_ms(T.l) - t0 < LIMIT_S * 1000) {
		/* what is refused comes again as another one */
		for (unsigned i = 0; i < WORKERS; i++)
			if ((T.next < records || T.answered < records / 2) && rnd(3) == 0)
				work(&T.w[i]);
		loop_run_once(T.l, 5);
		revive();
		if (done < restarts && T.next > (done + 1) * records / (restarts + 1)) {
			done++;
			end(rnd(2) == 0 ? SIGTERM : SIGKILL);
			start(true);
		}
	}
}

/* A process that could not sync ends by itself, also where nobody asks it for more. */
static void
check_ended(void)
{
	uint64_t t0 = loop_now_ms(T.l);

	if (T.fault == NULL || strncmp(T.fault, "sync", 4) != 0)
		return;
	while (T.page->hits > 0 && T.deaths == 0) {
		if (loop_now_ms(T.l) - t0 > LIMIT_S * 1000 / 4)
			fatal("ledger_load: milter-ledger does not end after a sync that failed");
		loop_run_once(T.l, 5);
		revive();
	}
}

int
main(int argc, char **argv)
{
	uint32_t records = 300;
	unsigned restarts = 6;
	char cmd[128];
	int o;

	T.seed = 1;
	while ((o = getopt(argc, argv, "n:s:r:f:")) != -1) {
		unsigned v = (unsigned)strtoul(optarg == NULL ? "" : optarg, NULL, 10);

		if (o == 'f')
			T.fault = optarg;
		else if (o == 'n')
			records = v;
		else if (o == 's')
			T.seed = v;
		else if (o == 'r')
			restarts = v;
		else
			return 64;
	}
	if (optind + 1 != argc)
		return 64;
	log_init("ledger_load", 2);
	T.l = loop_new();
	crash_record_begin(argv[optind]);
	T.page = crash_page_make();
	if (T.fault != NULL)
		setenv("CONGVU_FAULT", T.fault, 1);
	begin();
	run(records, restarts);
	check_ended();
	ipc_client_free(T.milter);
	ipc_client_free(T.smtp);
	end(SIGTERM);
	loop_free(T.l);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", T.dir);
	if (system(cmd) != 0)
		perror(cmd);
	printf(
	    "%u records, %u acknowledged, %u not; %llu faults, %u deaths; calls:", (unsigned)T.next,
	    (unsigned)T.answered, (unsigned)T.errors, (unsigned long long)T.page->hits, T.deaths);
	for (unsigned i = 0; i < FAULT_OPS; i++)
		printf(" %s %llu", fault_ops[i], (unsigned long long)T.page->calls[i]);
	putchar('\n');
	return T.answered < records / 2;
}
