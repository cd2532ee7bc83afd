/* parent_setup.c: folders and sockets of a program. Runs in the parents, as root maybe, before any role starts.
 * Invariants: role folders are 0700 and the role's own; the run folder can be passed through, not listed; a
 * UNIX socket belongs to the one user who may connect to it. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/parent_priv.h"

#define BACKLOG 1024

int
parent_user(const struct parent *p, const char *option, uid_t *uid_out, gid_t *gid_out)
{
	*uid_out = geteuid();
	*gid_out = getegid();
	if (!p->root || option == NULL || option[0] == '\0')
		return 0;
	if (proc_user(conf_str(p->conf, option), uid_out, gid_out) == 0)
		return 0;
	log_msg(LOG_LVL_ERROR, "user", "there is no user %s: create it, or set %s in %s",
	    conf_str(p->conf, option), option, conf_file(p->conf));
	return ERR_NOTFOUND;
}

/* mkdir -p; folders made on the way can be passed through by the roles. */
static int
make_path(const char *path, mode_t mode)
{
	char *copy = xstrdup(path);
	int rc = 0;

	for (char *s = strchr(copy + 1, '/'); s != NULL && rc == 0; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (mkdir(copy, 0711) != 0 && errno != EEXIST)
			rc = ERR_IO;
		*s = '/';
	}
	if (rc == 0 && mkdir(path, mode) != 0 && errno != EEXIST)
		rc = ERR_IO;
	if (rc != 0)
		log_msg(LOG_LVL_ERROR, "folder", "%s: %s", path, strerror(errno));
	free(copy);
	return rc;
}

/* Makes a folder the user's own. It is opened without following a link, so that nobody can aim the chown. */
static int
make_dir(const struct parent *p, const char *option, const char *user_option, mode_t mode)
{
	char *path = conf_path(p->conf, option);
	uid_t uid;
	gid_t gid;
	int rc, fd = -1;

	rc = parent_user(p, user_option, &uid, &gid);
	if (rc == 0)
		rc = make_path(path, mode);
	if (rc != 0)
		goto out;
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || (p->root && fchown(fd, uid, gid) != 0) || fchmod(fd, mode) != 0) {
		log_msg(LOG_LVL_ERROR, "folder", "%s (%s): %s", path, option, strerror(errno));
		rc = ERR_IO;
	}
out:
	if (fd >= 0)
		close(fd);
	free(path);
	return rc;
}

int
parent_make_dirs(struct parent *p)
{
	const struct parent_spec *spec = p->spec;
	int rc = make_dir(p, "run_dir", NULL, 0711);

	for (size_t i = 0; i < spec->n_dirs && rc == 0; i++)
		rc = make_dir(p, spec->dirs[i].option, spec->dirs[i].user_option, 0711);
	for (size_t i = 0; i < spec->n_roles && rc == 0; i++)
		if (spec->roles[i].dir_option != NULL)
			rc = make_dir(
			    p, spec->roles[i].dir_option, spec->roles[i].user_option, 0700);
	if (rc != 0)
		return rc;
	p->run_fd = open(p->run_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->run_fd < 0 || fchdir(p->run_fd) != 0) {
		log_msg(LOG_LVL_ERROR, "folder", "%s: %s", p->run_dir, strerror(errno));
		return ERR_IO;
	}
	return 0;
}

/* "host:port" or "[v6]:port" into its halves; host may be empty or "*". */
static int
split_hostport(const char *text, char **host_out, char **port_out)
{
	const char *colon = strrchr(text, ':');
	struct slice host;

	if (colon == NULL || colon[1] == '\0')
		return ERR_SYNTAX;
	host = slice_of(text, (size_t)(colon - text));
	if (host.len >= 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
		host = slice_sub(host, 1, host.len - 2);
	*host_out = host.len == 0 || slice_eq_str(host, "*") ? NULL : slice_dup(host);
	*port_out = xstrdup(colon + 1);
	return 0;
}

static int
bind_addr(const struct addrinfo *ai)
{
	int one = 1, saved;
	int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (ai->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, ai->ai_addr, ai->ai_addrlen) == 0 && listen(fd, BACKLOG) == 0)
		return fd;
	saved = errno;
	close(fd);
	errno = saved;
	return -1;
}

static int
bind_tcp(const struct parent *p, const struct parent_socket *s, int *fd_out)
{
	const char *text = conf_str(p->conf, s->option);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *ai = NULL;
	char *host = NULL, *port = NULL;
	int rc = 0, gai;

	if (text[0] == '\0')
		return 0;
	if (split_hostport(text, &host, &port) != 0) {
		log_msg(LOG_LVL_ERROR, "bind", "%s = \"%s\" must be ADDRESS:PORT", s->option, text);
		return ERR_SYNTAX;
	}
	gai = getaddrinfo(host, port, &hints, &ai);
	if (gai != 0) {
		log_msg(
		    LOG_LVL_ERROR, "bind", "%s = \"%s\": %s", s->option, text, gai_strerror(gai));
		rc = ERR_SYNTAX;
	} else {
		*fd_out = bind_addr(ai);
		if (*fd_out < 0) {
			log_msg(LOG_LVL_ERROR, "bind", "%s = \"%s\": %s", s->option, text,
			    strerror(errno));
			rc = ERR_IO;
		}
	}
	if (ai != NULL)
		freeaddrinfo(ai);
	free(host);
	free(port);
	return rc;
}

/* Relative to the run folder, where we are: the limit of 107 bytes then holds for any place of the instance. */
static int
bind_unix(const struct parent *p, const struct parent_socket *s, int *fd_out)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	mode_t mode = s->peer_user != NULL ? 0600 : 0666, old;
	uid_t uid;
	gid_t gid;
	int fd, rc;

	rc = parent_user(p, s->peer_user, &uid, &gid);
	if (rc != 0)
		return rc;
	if (strlen(s->unix_path) >= sizeof(sa.sun_path))
		fatal("socket name %s is too long", s->unix_path);
	memcpy(sa.sun_path, s->unix_path, strlen(s->unix_path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	/* our lock file says that no other parent of this program runs: what is there is stale */
	if (unlink(s->unix_path) != 0 && errno != ENOENT)
		rc = ERR_IO;
	old = umask(0777);
	if (rc == 0 && (fd < 0 || bind(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0))
		rc = ERR_IO;
	umask(old);
	if (rc == 0 && ((p->root && chown(s->unix_path, uid, gid) != 0) ||
			   chmod(s->unix_path, mode) != 0 || listen(fd, BACKLOG) != 0))
		rc = ERR_IO;
	if (rc != 0) {
		log_msg(
		    LOG_LVL_ERROR, "bind", "%s/%s: %s", p->run_dir, s->unix_path, strerror(errno));
		if (fd >= 0)
			close(fd);
		return rc;
	}
	*fd_out = fd;
	return 0;
}

int
parent_bind(struct parent *p)
{
	int rc = 0;

	p->sockets = xcalloc(p->spec->n_sockets + 1, sizeof(*p->sockets));
	for (size_t i = 0; i < p->spec->n_sockets; i++)
		p->sockets[i] = -1;
	for (size_t i = 0; i < p->spec->n_sockets && rc == 0; i++) {
		const struct parent_socket *s = &p->spec->sockets[i];

		rc = s->option != NULL ? bind_tcp(p, s, &p->sockets[i])
				       : bind_unix(p, s, &p->sockets[i]);
	}
	return rc;
}
