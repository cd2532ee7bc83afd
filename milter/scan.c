/* scan.c: the milter-scan role: an unprivileged, sandboxed process (no network, no files, bounded memory) that looks at one message
 * at a time for milter. Trust anchors and libmagic's table are loaded before the sandbox closes. Invariants: the message comes as
 * a sealed memfd, so that nobody changes it meanwhile; past the deadline the process ends itself and the parent starts another, so
 * no input can hold a scanner; each process serves one connection, so that scans spread over the processes. */
#include "config.h"

#include "milter/scan_client.h"
#include "milter/scan_priv.h"

#include "lib/charset.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <fcntl.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#define FINDINGS_ARENA (2u << 20)
#define DEADLINE_MAX_MS 120000
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static struct {
	struct smime_trust *trust;
	const char **banned;
	size_t n_banned;
	uint64_t scans, failures;
} sc;

static void
on_deadline(int signo)
{
	static const char text[] =
	    "level=error event=scan_deadline msg=\"the scan took too long; the scanner ends\"\n";

	(void)signo;
	if (write(STDERR_FILENO, text, sizeof text - 1) < 0)
		_exit(EX_TEMPFAIL);
	_exit(EX_TEMPFAIL);
}

/* 0 ms: none. */
static void
set_deadline(unsigned ms)
{
	struct itimerval t = {{0, 0}, {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000}};

	setitimer(ITIMER_REAL, &t, NULL);
}

static int
map_message(int fd, struct slice *out)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	void *p;

	if (seals < 0 || (seals & SEALS) != SEALS || fstat(fd, &st) != 0 || st.st_size < 0)
		return ERR_PROTO;
	*out = (struct slice){NULL, 0};
	if (st.st_size == 0)
		return 0;
	p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (p == MAP_FAILED)
		return ERR_NOMEM;
	*out = slice_of(p, (size_t)st.st_size);
	return 0;
}

static void
unmap(struct slice s)
{
	union {
		const void *c;
		void *p;
	} u = {.c = s.ptr};

	if (s.len > 0)
		munmap(u.p, s.len);
}

static int
scan(struct slice whole, struct slice domain, int64_t now, struct buf *reply)
{
	struct scan_params p = {sc.trust, domain, now, sc.banned, sc.n_banned};
	struct arena *a = arena_new(FINDINGS_ARENA);
	struct findings f;
	int err;

	if (a == NULL)
		return ERR_NOMEM;
	findings_init(&f, a);
	scan_message(whole, &p, &f);
	err = findings_encode(&f, reply);
	arena_free(a);
	return err;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct slice domain = ipc_get_slice(r), whole;
	int64_t now = ipc_get_i64(r);
	uint32_t deadline = ipc_get_u32(r);
	struct buf reply;
	int err;

	(void)arg;
	if (type != SCAN_MESSAGE || id == 0 || ipc_reader_end(r) != 0 || fd < 0) {
		if (fd >= 0)
			close(fd);
		return ERR_PROTO;
	}
	buf_init(&reply, IPC_FRAME_MAX);
	err = map_message(fd, &whole);
	close(fd);
	if (err == 0) {
		set_deadline(
		    deadline == 0 || deadline > DEADLINE_MAX_MS ? DEADLINE_MAX_MS : deadline);
		err = scan(whole, domain, now, &reply);
		set_deadline(0);
		unmap(whole);
	}
	if (err == 0)
		ipc_reply(c, id, SCAN_FINDINGS, &reply, -1);
	else
		ipc_reply_err(c, id, err, "scan failed");
	buf_done(&reply);
	role_stat_set(0, ++sc.scans);
	role_stat_set(1, sc.failures += err != 0);
	return 0;
}

static void
load_banned(void)
{
	size_t i;

	sc.n_banned = conf_list_len(role_conf(), "policy_banned_extensions");
	sc.banned = xcalloc(sc.n_banned + 1, sizeof *sc.banned);
	for (i = 0; i < sc.n_banned; i++)
		sc.banned[i] = conf_list_item(role_conf(), "policy_banned_extensions", i);
}

int
main(int argc, char **argv)
{
	static const struct ipc_server_ops ops = {.on_msg = on_msg};
	struct sigaction sa = {.sa_handler = on_deadline};
	struct loop *l;
	char *dir;

	role_init(argc, argv, "milter-scan");
	/* libarchive wants to know that member names are UTF-8 */
	setlocale(LC_CTYPE, "C.UTF-8");
	smime_init();
	charset_preload();
	scan_magic_init();
	load_banned();
	dir = conf_path(role_conf(), "trust_dir");
	if (smime_trust_load(dir, &sc.trust) != 0)
		fatal("milter-scan: no memory");
	free(dir);
	sigaction(SIGALRM, &sa, NULL);
	l = loop_new();
	if (role_fd("scan.milter") < 0)
		fatal("milter-scan: no socket");
	ipc_server_new(l, role_fd("scan.milter"), &scan_proto, IPC_MILTER,
	    role_uid_of("user_milter"), 1, &ops, NULL);
	role_enter();
	return loop_run(l) == 0 ? 0 : EX_OSERR;
}
