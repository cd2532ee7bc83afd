/* judge_run.c: judge_run.h. Runs in congvu. */
#include "config.h"

#include "admin/judge_run.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/proc.h"

enum { RESULT_MAX = 1 << 20, ARGS_FIXED = 11, FIRST_FD = 3 };

static char *
judge_path(const struct ctl *c)
{
	char *libexec = conf_path(c->conf, "libexec_dir"), *path = NULL;
	const char *env;

	free(ctl_programs_folder()); /* sets CONGVU_LIBEXEC in a build folder */
	env = getenv("CONGVU_LIBEXEC");
	if (asprintf(&path, "%s/congvu-milter-judge",
		libexec != NULL && libexec[0] != '\0' ? libexec
		: env != NULL                         ? env
						      : PKGLIBEXECDIR) < 0)
		fatal("out of memory");
	free(libexec);
	return path;
}

int
judge_memory_file(struct slice s)
{
	int fd = memfd_create("congvu", MFD_CLOEXEC);

	while (fd >= 0 && s.len > 0) {
		ssize_t n = write(fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			close(fd);
			return -1;
		}
		s = slice_from(s, (size_t)n);
	}
	if (fd >= 0)
		lseek(fd, 0, SEEK_SET);
	return fd;
}

static void
read_result(int fd, struct buf *out)
{
	ssize_t n = 1;

	while (n > 0 && out->len < RESULT_MAX) {
		unsigned char *p = buf_reserve(out, 65536);

		n = p != NULL ? read(fd, p, 65536) : -1;
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			buf_commit(out, (size_t)n);
	}
}

static pid_t
start(struct ctl *c, const struct judge_input *in, size_t n, int *result_out)
{
	const char *user = geteuid() == 0 ? conf_str(c->conf, "user_scan") : "-";
	char *binary = judge_path(c), *conf = xstrdup(conf_file(c->conf)), *who = xstrdup(user);
	char *argv[ARGS_FIXED + 2 * (JUDGE_INPUTS_MAX + 1) + 1] = {"congvu-milter-judge", "--conf",
	    conf, "--name", "milter-judge", "--index", "0", "--user", who, "--dir", "/"};
	char names[JUDGE_INPUTS_MAX + 1][40];
	int fds[JUDGE_INPUTS_MAX + 1], out[2];
	pid_t pid = ERR_IO;
	size_t i;

	if (n <= JUDGE_INPUTS_MAX && pipe2(out, O_CLOEXEC) == 0) {
		for (i = 0; i <= n; i++) {
			fds[i] = i < n ? in[i].fd : out[1];
			snprintf(names[i], sizeof names[i], "%s=%zu", i < n ? in[i].name : "result",
			    i + FIRST_FD);
			argv[ARGS_FIXED + 2 * i] = "--fd";
			argv[ARGS_FIXED + 2 * i + 1] = names[i];
		}
		pid = proc_spawn(binary, argv, fds, n + 1);
		close(out[1]);
		*result_out = out[0];
		if (pid < 0)
			close(out[0]);
	}
	free(binary);
	free(conf);
	free(who);
	return pid;
}

int
judge_run(struct ctl *c, const struct judge_input *in, size_t n, struct buf *out, const char **why)
{
	int result = -1, status = 0;
	pid_t pid = start(c, in, n, &result);

	*why = _("congvu-milter-judge cannot be started");
	if (pid <= 0)
		return ERR_IO;
	read_result(result, out);
	close(result);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	*why = _("congvu-milter-judge ended before it came to a verdict: too long, too "
		 "large, or its log tells");
	return status == 0 ? 0 : ERR_IO;
}
