/* scan_fd.c: see scan_fd.h. Runs in milter-scan and store-text. The seals see to it that nobody changes the bytes while they are read. */
#include "config.h"

#include "milter/scan_fd.h"

#include "lib/err.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sysexits.h>
#include <unistd.h>

#define READ_MAX 65536 /* octets; larger messages are mapped */
#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

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

void
scan_deadline_init(void)
{
	struct sigaction sa = {.sa_handler = on_deadline};

	sigaction(SIGALRM, &sa, NULL);
}

/* 0 ms: none. */
static void
set_deadline(unsigned ms)
{
	struct itimerval t = {{0, 0}, {(time_t)(ms / 1000), (suseconds_t)(ms % 1000) * 1000}};

	setitimer(ITIMER_REAL, &t, NULL);
}

/* A small one is read: mapping it, its pages and letting go of them cost more. */
static int
read_message(int fd, size_t size, struct slice *out)
{
	unsigned char *p = malloc(size);
	size_t at = 0;
	ssize_t n;

	while (p != NULL && at < size && (n = pread(fd, p + at, size - at, (off_t)at)) != 0) {
		if (n < 0 && errno != EINTR)
			break;
		at += n > 0 ? (size_t)n : 0;
	}
	if (p == NULL || at < size) {
		free(p);
		return p == NULL ? ERR_NOMEM : ERR_IO;
	}
	*out = slice_of(p, size);
	return 0;
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
	if (st.st_size <= READ_MAX)
		return read_message(fd, (size_t)st.st_size, out);
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

	if (s.len > READ_MAX)
		munmap(u.p, s.len);
	else
		free(u.p);
}

int
scan_with_bytes(int fd, unsigned deadline_ms, int (*work)(struct slice bytes, void *arg), void *arg)
{
	struct slice whole;
	int err = map_message(fd, &whole);

	close(fd);
	if (err != 0)
		return err;
	set_deadline(deadline_ms == 0 || deadline_ms > SCAN_DEADLINE_MAX_MS ? SCAN_DEADLINE_MAX_MS
									    : deadline_ms);
	err = work(whole, arg);
	set_deadline(0);
	unmap(whole);
	return err;
}
