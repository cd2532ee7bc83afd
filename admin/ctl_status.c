/* ctl_status.c: `congvu status`: what run/<program>.status of each parent says, checked against the processes that are
 * there. Exit 0 when everything runs, 69 (unavailable) otherwise. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "lib/log.h"

#define STATUS_MAX (1 << 20)

const char *const ctl_programs[] = {
    "congvu-stored", "congvu-milter", "congvu-smtpd", "congvu-imapd", NULL};

/* A status file outlives a power cut: then its pid may be anybody's, and stop would end it. So the process must bear a
 * name of ours too, and be no zombie. */
bool
ctl_pid_alive(int64_t pid)
{
	char path[40], text[64] = "";
	const char *name, *state;
	ssize_t n;
	int fd;

	if (pid <= 0 || (kill((pid_t)pid, 0) != 0 && errno != EPERM))
		return false;
	snprintf(path, sizeof(path), "/proc/%lld/stat", (long long)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return access("/proc/self/stat", R_OK) != 0; /* no /proc: nothing more is known */
	n = read(fd, text, sizeof(text) - 1);                /* proc(5): pid (comm) state ... */
	close(fd);
	name = n > 0 ? strchr(text, '(') : NULL;
	state = name != NULL ? strrchr(text, ')') : NULL;
	return state != NULL && strncmp(name, "(congvu", 7) == 0 && state[1] == ' ' &&
	       strchr("ZXx", state[2]) == NULL;
}

struct json *
ctl_status_read(const struct ctl *c, const char *program)
{
	char *run = conf_path(c->conf, "run_dir");
	struct json *j = NULL;
	struct buf path, text;
	ssize_t n;
	int fd;

	buf_init(&path, 8192);
	buf_init(&text, STATUS_MAX + 1);
	buf_appendf(&path, "%s/%s.status", run, program);
	fd = open(buf_cstr(&path), O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, buf_reserve(&text, STATUS_MAX), STATUS_MAX);
		buf_commit(&text, n > 0 ? (size_t)n : 0);
		if (json_parse(buf_slice(&text), &j) != 0)
			j = NULL;
		close(fd);
	}
	buf_done(&text);
	buf_done(&path);
	free(run);
	return j;
}

/* "3 d 4 h", "12 min", "40 s". */
static const char *
ago(int64_t since, char *text, size_t size)
{
	long long s = (long long)time(NULL) - since;

	s = s < 0 ? 0 : s;
	if (s >= 86400)
		snprintf(text, size, _("%lld d %lld h"), s / 86400, s % 86400 / 3600);
	else if (s >= 3600)
		snprintf(text, size, _("%lld h %lld min"), s / 3600, s % 3600 / 60);
	else if (s >= 60)
		snprintf(text, size, _("%lld min"), s / 60);
	else
		snprintf(text, size, _("%lld s"), s);
	return text;
}

/* What the parents write there (lib/role_stats.c, parent_status.c), for people: "status: held" in the catalogue, as "held" is another word elsewhere. As
 * it stands where that has no row. */
static const char *
word(const char *s)
{
	char key[96];
	const char *text;

	snprintf(key, sizeof(key), "status: %.80s", s);
	text = ctl_text(key);
	return text == key ? s : text;
}

static void
print_role(const struct json *r)
{
	const struct json *stats = json_get(r, "stats");
	int64_t pid = json_int(json_get(r, "pid"), 0);
	const char *key, *exit_text = json_cstr(json_get(r, "last_exit"));
	struct json *value;
	void *iter = NULL;
	char since[48];

	printf("  %-16s %-3lld ", json_cstr(json_get(r, "role")),
	    (long long)json_int(json_get(r, "index"), 0));
	if (pid == 0)
		printf("%s", _("NOT RUNNING"));
	else
		printf(_("pid %-7lld uid %-6lld %-10s sandbox %s"), (long long)pid,
		    (long long)json_int(json_get(r, "uid"), -1),
		    ago(json_int(json_get(r, "since"), 0), since, sizeof(since)),
		    word(json_cstr(json_get(r, "sandbox"))));
	while (pid != 0 && json_next(stats, &iter, &key, &value))
		if (strcmp(key, "backup_at") == 0 && json_int(value, 0) != 0)
			printf(_("  last backup %s old"),
			    ago(json_int(value, 0), since, sizeof(since)));
		else if (strcmp(key, "checkpoint_at") == 0 && json_int(value, 0) != 0)
			printf(_("  last checkpoint %s old"),
			    ago(json_int(value, 0), since, sizeof(since)));
		else if (strcmp(key, "unsigned_since") == 0 && json_int(value, 0) != 0)
			printf(_("  CHECKPOINT OWED for %s"),
			    ago(json_int(value, 0), since, sizeof(since)));
		else if (json_int(value, 0) != 0)
			printf("  %s %lld", word(key), (long long)json_int(value, 0));
	if (json_bool(json_get(r, "leaving")))
		printf("  %s", _("leaves with its last clients (a reload replaced it)"));
	if (json_int(json_get(r, "restarts"), 0) > 0)
		printf(_("  restarts %lld"), (long long)json_int(json_get(r, "restarts"), 0));
	if (exit_text[0] != '\0')
		printf(_("  last end: %s"), exit_text);
	printf("\n");
}

/* Puts "running" into the status and tells whether all of it is well. */
static bool
judge(struct json *j)
{
	const struct json *roles = json_get(j, "roles");
	bool alive = ctl_pid_alive(json_int(json_get(j, "pid"), 0));
	bool well = alive && strcmp(json_cstr(json_get(j, "state")), "up") == 0;

	for (size_t i = 0; i < json_len(roles); i++)
		well = well && ctl_pid_alive(json_int(json_get(json_at(roles, i), "pid"), 0));
	json_set_bool(j, "running", alive);
	json_set_bool(j, "well", well);
	return well;
}

static void
print_program(const char *name, const struct json *j)
{
	const struct json *roles = json_get(j, "roles");
	char since[48];

	if (!json_bool(json_get(j, "running"))) {
		printf("%-16s %s\n", name,
		    j == NULL ? _("stopped") : _("DEAD: its status file is left over"));
		return;
	}
	printf(_("%-16s %s, pid %lld, %s\n"), name, word(json_cstr(json_get(j, "state"))),
	    (long long)json_int(json_get(j, "pid"), 0),
	    ago(json_int(json_get(j, "started"), 0), since, sizeof(since)));
	for (size_t i = 0; i < json_len(roles); i++)
		print_role(json_at(roles, i));
}

int
ctl_status(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_option none[] = {{NULL, NULL, NULL}};
	struct json *all = json_obj_new(), *list = json_arr_new();
	bool well = true;

	if (ctl_options(c, none, &argc, argv) != 0 || argc > 1) {
		json_free(all);
		json_free(list);
		return argc > 1 ? ctl_usage(c, _("status takes no argument")) : EX_USAGE;
	}
	for (const char *const *p = ctl_programs; *p != NULL; p++) {
		struct json *j = ctl_status_read(c, *p);

		well = j != NULL && judge(j) && well;
		if (!c->json)
			print_program(*p, j);
		if (j == NULL) {
			j = json_obj_new();
			json_set_str(j, "program", *p);
			json_set_str(j, "state", "stopped");
			json_set_bool(j, "running", false);
			json_set_bool(j, "well", false);
		}
		json_push_take(list, j);
	}
	json_set_bool(all, "well", well);
	json_set_take(all, "programs", list);
	if (c->json)
		return ctl_json_take(all, well ? EX_OK : EX_UNAVAILABLE);
	json_free(all);
	return well ? EX_OK : EX_UNAVAILABLE;
}
