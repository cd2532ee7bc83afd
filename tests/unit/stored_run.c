/* stored_run.c: see stored_run.h. Runs in tests. */
#include "tests/unit/stored_run.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/log.h"

static int
listen_at(const char *path)
{
	struct sockaddr_un sun = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(sun.sun_path, sizeof sun.sun_path, "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&sun, sizeof sun) != 0 || listen(fd, 64) != 0)
		return -1;
	return fd;
}

static int
write_file(const char *dir, const char *name, const char *text)
{
	char path[128];
	FILE *f;

	snprintf(path, sizeof path, "%s/%s", dir, name);
	f = fopen(path, "w");
	if (f == NULL)
		return -1;
	fputs(text, f);
	return fclose(f);
}

int
stored_run_new(struct stored_run *r, const char *conf)
{
	char text[2048], hex[65], path[96];

	memset(r, 0, sizeof *r);
	r->conf = conf;
	snprintf(r->dir, sizeof r->dir, "%.30s/stored_run.XXXXXX",
	    getenv("TMPDIR") == NULL ? "/tmp" : getenv("TMPDIR"));
	if (mkdtemp(r->dir) == NULL)
		return -1;
	snprintf(path, sizeof path, "%s/store", r->dir);
	mkdir(path, 0700);
	random_bytes(r->key, sizeof r->key);
	hex_encode(r->key, sizeof r->key, hex);
	/* As root the roles' users must exist; here all are the one user. */
	snprintf(text, sizeof text,
	    "log_level = \"%s\"\nuser_imapd = \"root\"\nuser_ingest = \"root\"\nuser_lookup = "
	    "\"root\"\nstore_dir = "
	    "\"store\"\n%s",
	    getenv("STORED_LOG") != NULL ? "debug" : "warn", conf == NULL ? "" : conf);
	if (write_file(r->dir, "congvu.conf", text) != 0 ||
	    write_file(r->dir, "token.key", hex) != 0)
		return -1;
	snprintf(r->imapd_sock, sizeof r->imapd_sock, "%s/store.imapd.sock", r->dir);
	snprintf(r->ingest_sock, sizeof r->ingest_sock, "%s/store.ingest.sock", r->dir);
	snprintf(r->admin_sock, sizeof r->admin_sock, "%s/store.admin.sock", r->dir);
	r->imapd_fd = listen_at(r->imapd_sock);
	r->ingest_fd = listen_at(r->ingest_sock);
	r->admin_fd = listen_at(r->admin_sock);
	snprintf(r->lookup_sock, sizeof r->lookup_sock, "%s/store.lookup.sock", r->dir);
	r->lookup_fd = listen_at(r->lookup_sock);
	if (r->imapd_fd < 0 || r->ingest_fd < 0 || r->admin_fd < 0 || r->lookup_fd < 0)
		return -1;
	return stored_run_start(r);
}

static void
run_child(const struct stored_run *r)
{
	static const char *const names[] = {
	    "store.imapd", "store.ingest", "store.admin", "store.lookup", "token_key_file"};
	char fds[5][64], conf[96], dir[96], key[96];
	int inherited[5] = {
	    dup(r->imapd_fd), dup(r->ingest_fd), dup(r->admin_fd), dup(r->lookup_fd), -1};
	const char *bin = getenv("STORED_BIN");

	prctl(PR_SET_PDEATHSIG,
	    SIGKILL); /* a test that is ended from outside leaves nothing running */
	snprintf(key, sizeof key, "%s/token.key", r->dir);
	inherited[4] = open(key, O_RDONLY);
	for (int i = 0; i < 5; i++)
		snprintf(fds[i], sizeof fds[i], "%s=%d", names[i], inherited[i]);
	snprintf(conf, sizeof conf, "%s/congvu.conf", r->dir);
	snprintf(dir, sizeof dir, "%s/store", r->dir);
	if (getenv("STORED_PRELOAD") != NULL) { /* tests/crash/shim.c */
		setenv("CONGVU_CRASH_DIR", dir, 1);
		setenv("LD_PRELOAD", getenv("STORED_PRELOAD"), 1);
	}
	/* its checker hangs under the sandbox; all is reachable. clock.so comes before its library, and does not mind */
	setenv("ASAN_OPTIONS", "detect_leaks=0:verify_asan_link_order=0", 1);
	execl(bin != NULL ? bin : "./congvu-stored-db", "congvu-stored-db", "--conf", conf,
	    "--name", "stored", "--index", "0", "--user", "-", "--dir", dir, "--fd", fds[0], "--fd",
	    fds[1], "--fd", fds[2], "--fd", fds[3], "--fd", fds[4], (char *)NULL);
	perror("congvu-stored-db");
	_exit(127);
}

int
stored_run_start(struct stored_run *r)
{
	r->pid = fork();
	if (r->pid == 0)
		run_child(r);
	return r->pid < 0 ? -1 : 0;
}

int
stored_run_end(struct stored_run *r, int signo)
{
	int status = 0;

	if (r->pid <= 0)
		return 0;
	kill(r->pid, signo);
	waitpid(r->pid, &status, 0);
	r->pid = 0;
	return status;
}

void
stored_run_done(struct stored_run *r)
{
	char cmd[128];

	stored_run_end(r, SIGTERM);
	close(r->imapd_fd);
	close(r->ingest_fd);
	close(r->admin_fd);
	close(r->lookup_fd);
	snprintf(cmd, sizeof cmd, "rm -rf '%s'", r->dir);
	if (system(cmd) != 0)
		perror(cmd);
}

void
stored_run_ticket(const struct stored_run *r, const char *account, uint64_t epoch, int64_t expires,
    const struct token_share *shares, size_t n, struct buf *out)
{
	struct token t = {.issued = (int64_t)time(NULL), .expires = expires, .epoch = epoch};

	snprintf(t.account, sizeof t.account, "%s", account);
	snprintf(t.login, sizeof t.login, "%s", account);
	if (n > 0) {
		t.shares = xcalloc(n, sizeof *t.shares);
		memcpy(t.shares, shares, n * sizeof *t.shares);
		t.n_shares = n;
	}
	if (token_seal(r->key, &t, out) != 0)
		abort();
	free(t.shares);
}
