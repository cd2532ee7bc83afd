/* queue_load.c: loads a congvu-smtpd-queue under shim.c for queue_check: messages held, committed, given up, taken by a relay and settled, many at
 * once, with kill -9 and orderly ends in between. Runs in tests:
 *   queue_load [-n messages] [-s seed] [-r restarts] RECORD
 * QUEUE_BIN, QUEUE_PRELOAD: the program and the shim. Texts (n: message): O n id id recipients (its id is known); H n, C n, A n, G n: it is about to be
 * held, committed, given up, settled; h n, c n, g n: that was answered. */
#include "config.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "smtpd/queue_client.h"
#include "tests/crash/crash_record.h"

enum { WORKERS = 8, RCPTS = 3, LIMIT_S = 60, SOCKETS = 3 };
static const char *const sockets[SOCKETS] = {"queue.smtpd", "queue.relay", "queue.admin"};

struct worker {
	bool busy, hold;
	uint32_t n;
	struct delivery_id id;
	unsigned rcpts;
};
static struct {
	struct loop *l;
	char dir[64];
	pid_t pid;
	int fd[SOCKETS];
	uint32_t seed, next, committed, settled;
	struct queue_client *smtp, *relay;
	struct worker w[WORKERS];
	struct arena *mem;
	bool taking, gone[CRASH_MESSAGES], dies;
	uint32_t leased; /* the message at hand */
	struct queue_entry entry;
} T;

static uint32_t
rnd(uint32_t below)
{
	T.seed = T.seed * 1664525u + 1013904223u;
	return (T.seed >> 8) % below;
}

static void
tell(char what, uint32_t n)
{
	char text[64];

	snprintf(text, sizeof text, "%c %u", what, (unsigned)n);
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
		fatal("queue_load: sockets");
}

static void
run_child(void)
{
	const char *bin = getenv("QUEUE_BIN");
	char conf[96], dir[96], fds[SOCKETS][64];

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	snprintf(conf, sizeof conf, "%s/congvu.conf", T.dir);
	snprintf(dir, sizeof dir, "%s/queue", T.dir);
	for (int i = 0; i < SOCKETS; i++)
		snprintf(fds[i], sizeof fds[i], "%s=%d", sockets[i], dup(T.fd[i]));
	setenv("CONGVU_CRASH_DIR", dir, 1);
	if (getenv("QUEUE_PRELOAD") != NULL)
		setenv("LD_PRELOAD", getenv("QUEUE_PRELOAD"), 1);
	execl(bin != NULL ? bin : "./congvu-smtpd-queue", "congvu-smtpd-queue", "--conf", conf,
	    "--name", "smtpd-queue", "--index", "0", "--user", "-", "--dir", dir, "--fd", fds[0],
	    "--fd", fds[1], "--fd", fds[2], (char *)NULL);
	_exit(127);
}

/* dies: by itself, as by kill -9, at some write. */
static void
start(bool dies)
{
	char text[16];

	T.dies = dies;
	snprintf(text, sizeof text, "%u", dies ? 20 + rnd(900) : 0);
	setenv("CONGVU_CRASH_END", text, 1);
	setenv("CONGVU_CRASH_AT", rnd(2) == 0 ? "" : "db/log.", 1);
	T.pid = fork();
	if (T.pid == 0)
		run_child();
	if (T.pid < 0)
		fatal("queue_load: fork");
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
	if (!T.dies)
		fatal("queue_load: smtpd-queue ended by itself: %x", (unsigned)status);
	start(false);
}

static void
begin(void)
{
	char path[96];
	FILE *f;

	snprintf(T.dir, sizeof T.dir, "%.30s/queue_load.XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	if (mkdtemp(T.dir) == NULL)
		fatal("queue_load: no folder");
	snprintf(path, sizeof path, "%s/queue", T.dir);
	mkdir(path, 0700);
	snprintf(path, sizeof path, "%s/congvu.conf", T.dir);
	f = fopen(path, "w");
	if (f == NULL)
		fatal("queue_load: no configuration");
	fputs("log_level = \"warn\"\nhostname = \"mail.tinhmau.example\"\nuser_smtpd = \"root\"\n"
	      "user_relay = \"root\"\nqueue_retry_s = {1}\n",
	    f);
	fclose(f);
	for (int i = 0; i < SOCKETS; i++)
		make_socket(i);
	start(false);
	snprintf(path, sizeof path, "%s/%s", T.dir, sockets[0]);
	T.smtp = queue_client_new(T.l, path, IPC_SMTPD, NULL, NULL);
	snprintf(path, sizeof path, "%s/%s", T.dir, sockets[1]);
	T.relay = queue_client_new(T.l, path, IPC_RELAY, NULL, NULL);
}

/* ---- in ---- */

static void
on_committed(void *arg, int err)
{
	struct worker *w = arg;

	if (err == 0) {
		tell('c', w->n);
		T.committed++;
	}
	w->busy = false;
}

static void on_held(void *arg, int err);

static void
give(struct worker *w, bool hold)
{
	static unsigned char body[400000];
	static const char *const names[RCPTS] = {"a@x.example", "b@y.example", "c@z.example"};
	struct envelope_rcpt rcpt[RCPTS];
	struct envelope e = {.from = "",
	    .ret = "",
	    .envid = "",
	    .login = "an",
	    .client_ip = "",
	    .quarantine = "",
	    .rcpts = rcpt,
	    .n_rcpts = w->rcpts};
	struct queue_message m = {.fd = -1};
	char header[64];

	for (unsigned i = 0; i < w->rcpts; i++)
		rcpt[i] = (struct envelope_rcpt){names[i], RCPT_REMOTE, 0, "", "", ""};
	snprintf(header, sizeof header, "X-Number: %u\r\n\r\n", (unsigned)w->n);
	crash_body(w->n, body);
	m.header = slice_str(header);
	m.content = slice_of(body, crash_body_size(w->n));
	if (m.content.len > QUEUE_INLINE_MAX) {
		m.fd = memfd_create("body", MFD_CLOEXEC);
		if (m.fd < 0 || write(m.fd, body, m.content.len) != (ssize_t)m.content.len)
			fatal("queue_load: memfd");
	}
	tell(hold ? 'H' : 'C', w->n);
	if (hold)
		(void)queue_hold(T.smtp, &w->id, &e, &m, on_held, w);
	else
		(void)queue_commit(T.smtp, &w->id, &e, &m, on_committed, w);
	if (m.fd >= 0)
		close(m.fd);
}

static void
on_held(void *arg, int err)
{
	struct worker *w = arg;

	if (err == 0)
		tell('h', w->n);
	if (err != 0 || rnd(4) == 0) {
		if (err == 0 && rnd(2) == 0) {
			tell('A', w->n);
			queue_abort(T.smtp, &w->id);
		}
		w->busy = false; /* it stays held */
		return;
	}
	give(w, false);
}

static uint64_t
half(const unsigned char *p)
{
	uint64_t v = 0;

	for (int i = 0; i < 8; i++)
		v = v << 8 | p[i];
	return v;
}

static void
on_opened(void *arg, int err, const struct delivery_id *id)
{
	struct worker *w = arg;
	char text[96];

	if (err != 0) {
		w->busy = false;
		return;
	}
	w->id = *id;
	w->n = T.next++;
	w->rcpts = 1 + rnd(RCPTS);
	snprintf(text, sizeof text, "O %u %llu %llu %u", (unsigned)w->n,
	    (unsigned long long)half(id->b), (unsigned long long)half(id->b + 8), w->rcpts);
	crash_record_text(slice_str(text));
	give(w, rnd(2) == 0);
}

/* ---- out ---- */

static void
on_settled(void *arg, int err)
{
	bool whole = arg != NULL;

	if (err == 0 && whole) {
		tell('g', T.leased);
		T.gone[T.leased] = true;
		T.settled++;
	}
	T.taking = false;
}

static void
on_body(void *arg, int err, const struct queue_body *b)
{
	static unsigned char want[400000], got[400000];
	struct queue_rcpt_result r[RCPTS];
	struct slice content = b->inline_content;
	bool whole = rnd(4) > 0;
	uint64_t n = 0;

	(void)arg;
	if (err != 0) {
		T.taking = false;
		return;
	}
	if (!slice_starts(b->header, "X-Number: ") ||
	    slice_to_u64(slice_sub(b->header, 10, b->header.len - 14), CRASH_MESSAGES, &n) != 0)
		fatal("queue_load: a header nobody wrote");
	if (b->fd >= 0) {
		content = slice_of(got, (size_t)b->size);
		if (b->size > sizeof got ||
		    pread(b->fd, got, (size_t)b->size, 0) != (ssize_t)b->size)
			fatal("queue_load: message %u cannot be read", (unsigned)n);
		close(b->fd);
	}
	crash_body((uint32_t)n, want);
	if (content.len != crash_body_size((uint32_t)n) ||
	    memcmp(content.ptr, want, content.len) != 0)
		fatal("queue_load: message %u has other octets", (unsigned)n);
	if (T.gone[n])
		fatal("queue_load: message %u was settled, and is given out again", (unsigned)n);
	T.leased = (uint32_t)n;
	for (uint32_t i = 0; i < T.entry.env.n_rcpts; i++)
		r[i] = (struct queue_rcpt_result){i, whole ? QUEUE_DELIVERED : QUEUE_RETRY,
		    whole ? "" : "451 4.4.1 later", whole ? "" : "mx.x.example"};
	if (whole)
		tell('G', T.leased);
	(void)queue_result(
	    T.relay, &T.entry.id, r, T.entry.env.n_rcpts, on_settled, whole ? &T : NULL);
}

static void
on_next(void *arg, int err, const struct queue_entry *e)
{
	(void)arg;
	if (err != 0) {
		T.taking = false;
		return;
	}
	T.entry = *e;
	(void)queue_body(T.relay, &e->id, on_body, NULL);
}

static void
work(void)
{
	for (unsigned i = 0; i < WORKERS; i++)
		if (!T.w[i].busy && rnd(6) == 0 && T.next < CRASH_MESSAGES - WORKERS) {
			T.w[i].busy = true;
			if (queue_open(T.smtp, 1000, on_opened, &T.w[i]) == NULL)
				T.w[i].busy = false;
		}
	if (!T.taking) {
		T.taking = true;
		arena_reset(T.mem);
		if (queue_next(T.relay, T.mem, on_next, NULL) == NULL)
			T.taking = false;
	}
}

int
main(int argc, char **argv)
{
	uint32_t messages = 300;
	unsigned restarts = 6, done = 0;
	uint64_t t0;
	char cmd[128];
	int o;

	T.seed = 1;
	while ((o = getopt(argc, argv, "n:s:r:")) != -1) {
		unsigned v = (unsigned)strtoul(optarg == NULL ? "" : optarg, NULL, 10);

		*(o == 'n' ? &messages : o == 's' ? &T.seed : &restarts) = v;
	}
	if (optind + 1 != argc)
		return 64;
	log_init("queue_load", 2);
	T.l = loop_new();
	T.mem = arena_new(8 << 20);
	crash_record_begin(argv[optind]);
	begin();
	t0 = loop_now_ms(T.l);
	while (T.next < messages && loop_now_ms(T.l) - t0 < LIMIT_S * 1000) {
		work();
		loop_run_once(T.l, 5);
		revive();
		if (done < restarts && T.next > (done + 1) * messages / (restarts + 1)) {
			done++;
			end(rnd(2) == 0 ? SIGTERM : SIGKILL);
			start(true);
		}
	}
	queue_client_free(T.smtp);
	queue_client_free(T.relay);
	end(SIGTERM);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", T.dir);
	if (system(cmd) != 0)
		perror(cmd);
	printf("%u messages, %u committed, %u settled\n", (unsigned)T.next, (unsigned)T.committed,
	    (unsigned)T.settled);
	return T.committed < messages / 4 || T.settled == 0;
}
