/* ctl_store.c: `congvu store`: care for the mail store, as stored does it when it is asked on store.admin.sock. The subcommands
 * are store_commands.def; following a task is ctl_store_follow.c. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "admin/ctl_store.h"
#include "lib/err.h"
#include "lib/log.h"

static const struct {
	const char *name;
	int (*fn)(struct ctl *c, struct ipc_sync *s, int argc, char **argv);
} subs[] = {
#define STORE_COMMAND(name, fn, usage) {name, fn},
#include "admin/store_commands.def"
#undef STORE_COMMAND
};
enum { N_SUBS = sizeof subs / sizeof subs[0], CONNECT_MS = 2000 };

/* By the kind of task (store/stored_tasks.def), for `congvu store follow`. */
static const struct {
	const char *kind;
	const struct store_view *view;
} views[] = {
    {"check", &store_view_check},
    {"rekey", &store_view_rekey},
    {"collect", &store_view_collect},
    {"compact", &store_view_compact},
    {"stats", &store_view_stats},
    {"purge", &store_view_purge},
    {"repair", &store_view_repair},
    {"upgrade", &store_view_upgrade},
    {"rebuild", &store_view_rebuild},
    {"text", &store_view_text},
};

const struct store_view *
store_view_of(const char *kind)
{
	static const struct store_view plain;

	for (size_t i = 0; i < sizeof views / sizeof views[0]; i++)
		if (strcmp(views[i].kind, kind) == 0)
			return views[i].view;
	return &plain;
}

static int called_from = -1;

int
store_cwd(void)
{
	return called_from;
}

struct ipc_sync *
store_admin_new(void)
{
	struct ipc_sync *s = ipc_sync_new("store.admin.sock", &store_proto, IPC_ADMIN);

	ipc_sync_connect_limit(s, CONNECT_MS);
	return s;
}

/* Its parent holds the socket, also while stored itself is started again. */
bool
store_is_down(void)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "store.admin.sock"};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	bool down = fd >= 0 && connect(fd, (const struct sockaddr *)&un, sizeof un) != 0 &&
		    (errno == ECONNREFUSED || errno == ENOENT);

	if (fd >= 0)
		close(fd);
	return down;
}

int
store_fail(const struct ctl *c, int err, const char *why)
{
	if (err == ERR_TEMP && faccessat(AT_FDCWD, "store.admin.sock", W_OK, AT_EACCESS) != 0 &&
	    errno == EACCES)
		return ctl_fail(c, EX_NOPERM, "%s", _("only root may do this: call it with sudo"));
	if ((err == ERR_TEMP || err == ERR_CLOSED || err == ERR_IO) && store_is_down())
		return ctl_fail(c, EX_UNAVAILABLE, "%s",
		    _("the store is not running: start it (systemctl start congvu.target, or "
		      "congvu "
		      "run), and see its log when it does not stay"));
	switch (err) {
	case ERR_TEMP:
	case ERR_CLOSED:
	case ERR_TIMEOUT:
	case ERR_IO:
		return ctl_fail(c, EX_TEMPFAIL,
		    _("the store does not answer (%s): is congvu-stored running (congvu status)?"),
		    err_name(err));
	case ERR_EXISTS:
		return ctl_fail(c, EX_TEMPFAIL,
		    _("such work is under way already: congvu store tasks shows it"));
	case ERR_LIMIT:
		return ctl_fail(c, EX_TEMPFAIL,
		    _("too much other work is under way: congvu store tasks shows it"));
	default:
		return ctl_fail(
		    c, ctl_exit_code(err), "%s", why[0] != '\0' ? ctl_text(why) : err_name(err));
	}
}

const char *
store_octets(int64_t n)
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
	static char text[32];
	double v = (double)n;
	size_t u = 0;

	for (; v >= 1024 && u + 1 < sizeof units / sizeof units[0]; u++)
		v /= 1024;
	snprintf(text, sizeof text, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
	return text;
}

void
store_print_clean(const char *text)
{
	for (; *text != '\0'; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

/* What speaks with no store: on a host that has to be set up again, nothing ran yet. */
static bool
offline(const char *name)
{
	return strcmp(name, "restore") == 0 || strcmp(name, "verify-backup") == 0;
}

int
ctl_store(struct ctl *c, int argc, char **argv)
{
	struct ipc_sync *s;
	char *dir;
	int code = -1;

	if (argc > 1 && strncmp(argv[1], "--", 2) == 0)
		return ctl_usage(c, _("there is no option %s"), argv[1]);
	if (argc < 2)
		return ctl_usage(c, _("a subcommand is needed"));
	for (size_t i = 0; i < N_SUBS && code == -1; i++) {
		if (strcmp(argv[1], subs[i].name) != 0)
			continue;
		dir = conf_path(c->conf, "run_dir");
		called_from = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
		/* the name of a socket has 107 bytes at most, wherever the instance lies */
		if (chdir(dir) != 0 && !offline(subs[i].name)) {
			code = ctl_fail(c, EX_UNAVAILABLE,
			    _("%s is not there: the suite was never started"), dir);
		} else {
			s = store_admin_new();
			code = subs[i].fn(c, s, argc - 1, argv + 1);
			ipc_sync_free(s);
		}
		free(dir);
	}
	return code == -1 ? ctl_usage(c, _("there is no %s"), argv[1]) : code;
}
