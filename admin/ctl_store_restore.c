/* ctl_store_restore.c: `congvu store restore FOLDER --to PLACE` and `congvu store verify-backup FOLDER`. congvu copies what the manifest counts and compares
 * digests; it reads nothing inside: the rows go through a pipe to congvu-stored-restore, which runs as the store's user in a sandbox and
 * makes the database. The place gets its name when all is done: a restore that was cut off leaves none. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/backup_dir.h"
#include "admin/ctl_store.h"
#include "admin/ctl_store_restore.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "store/backup_client.h"

enum { RESULT_MAX = 4 << 20, FINDINGS_SHOWN = 100 };

/* ---- the place ---- */

/* Everything below a folder that was made here. */
void
restore_remove(int dir_fd, const char *name, int depth)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (d == NULL && fd >= 0)
		close(fd);
	while (d != NULL && (e = readdir(d)) != NULL) {
		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlinkat(dirfd(d), e->d_name, 0) != 0 && depth < 4)
			restore_remove(dirfd(d), e->d_name, depth + 1);
	}
	if (d != NULL)
		closedir(d);
	unlinkat(dir_fd, name, AT_REMOVEDIR);
}

static bool
is_empty(int dir_fd, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;
	bool empty = d != NULL;

	if (d == NULL && fd >= 0)
		close(fd);
	while (empty && (e = readdir(d)) != NULL)
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d != NULL)
		closedir(d);
	return empty;
}

/* Whether a process works with the store there. */
static bool
is_served(int dir_fd, const char *name)
{
	char path[4200];
	bool served;
	int fd;

	snprintf(path, sizeof path, "%s/db/kv.lock", name);
	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	served = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
	if (fd >= 0)
		close(fd);
	return served;
}

/* path without its last name, and that. */
static int
split(struct restore_job *j, const char *path, char *name, size_t size)
{
	char *dir = xstrdup(path), *slash;
	size_t n = strlen(dir);

	while (n > 1 && dir[n - 1] == '/')
		dir[--n] = '\0';
	slash = strrchr(dir, '/');
	snprintf(name, size, "%s", slash == NULL ? dir : slash + 1);
	if (slash != NULL)
		slash[slash == dir] = '\0';
	j->parent_fd =
	    openat(store_cwd(), slash == NULL ? "." : dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return j->parent_fd < 0 || name[0] == '\0' || strcmp(name, ".") == 0 ||
		       strcmp(name, "..") == 0
		   ? ERR_NOTFOUND
		   : 0;
}

/* The folder under a name of its own, and "segments" in it: of the store's user. */
int
restore_place(struct restore_job *j, const char *name)
{
	snprintf(j->temp, sizeof j->temp, "%.200s.restoring-%ld", name, (long)getpid());
	if (mkdirat(j->parent_fd, j->temp, 0700) != 0)
		return err_from_errno(errno);
	j->place_fd =
	    openat(j->parent_fd, j->temp, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (j->place_fd < 0 || mkdirat(j->place_fd, "segments", 0700) != 0)
		return err_from_errno(errno);
	if (geteuid() == 0 && (fchownat(j->place_fd, "segments", j->uid, j->gid, 0) != 0 ||
				  fchown(j->place_fd, j->uid, j->gid) != 0))
		return err_from_errno(errno);
	return 0;
}

/* ---- segments ---- */

struct copy {
	struct restore_job *j;
	int fd;
};

static int
copy_piece(void *arg, struct slice s)
{
	struct copy *k = arg;

	k->j->octets += s.len;
	while (s.len > 0) {
		ssize_t n = write(k->fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_FULL;
		s = slice_from(s, (size_t)n);
	}
	return 0;
}

static int
segments_copy(struct restore_job *j)
{
	char name[32];
	/* the place is the store's user's by now: what it makes of it is not followed */
	int to = openat(j->place_fd, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW),
	    err = 0;

	if (to < 0)
		return err_from_errno(errno);
	for (size_t i = 0; i < j->d.m.n_segments && err == 0; i++) {
		const struct backup_segment *s = &j->d.m.segments[i];
		struct copy k = {.j = j};

		backup_segment_name(s->number, 0, name);
		backup_segment_name(s->number, s->copy, j->file);
		if (s->part.octets == 0)
			continue;
		k.fd = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (k.fd < 0) {
			err = err_from_errno(errno);
			break;
		}
		err = backup_part_read(j->d.segments_fd, j->file, &s->part, copy_piece, &k);
		if (err == 0 && geteuid() == 0 && fchown(k.fd, j->uid, j->gid) != 0)
			err = err_from_errno(errno);
		if (err == 0 && fdatasync(k.fd) != 0)
			err = err_from_errno(errno);
		close(k.fd);
	}
	if (err == 0 && fsync(to) != 0)
		err = err_from_errno(errno);
	close(to);
	return err;
}

/* ---- rows ---- */

static char *
binary_path(const struct ctl *c)
{
	char *libexec = conf_path(c->conf, "libexec_dir"), *path;
	const char *env;
	struct buf b;

	free(ctl_programs_folder()); /* sets CONGVU_LIBEXEC in a build folder */
	env = getenv("CONGVU_LIBEXEC");
	buf_init(&b, 8192);
	buf_appendf(&b, "%s/congvu-stored-restore",
	    libexec != NULL && libexec[0] != '\0' ? libexec
	    : env != NULL                         ? env
						  : PKGLIBEXECDIR);
	path = xstrdup(buf_cstr(&b));
	buf_done(&b);
	free(libexec);
	return path;
}

/* Where bodies are encrypted the role checks them with the keys that the store has. */
static int
key_open(const struct ctl *c)
{
	char *path = conf_path(c->conf, "store_key_file");
	int fd = path[0] != '\0' ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	free(path);
	return fd;
}

int
restore_role(struct restore_job *j)
{
	static char *const modes[] = {"0", "1", "2"};
	char dir[64], fds[3][32], *binary = binary_path(j->c);
	const char *user = geteuid() == 0 ? conf_str(j->c->conf, "user_stored") : "-";
	char *argv[] = {"congvu-stored-restore", "--conf", xstrdup(conf_file(j->c->conf)), "--name",
	    "stored-restore", "--index", modes[j->mode], "--user", xstrdup(user), "--dir", dir,
	    "--fd", fds[0], "--fd", fds[1], NULL, NULL, NULL};
	int in[2], out[2], child[4], key_fd = key_open(j->c);

	snprintf(fds[0], sizeof fds[0], "stream=3");
	snprintf(fds[1], sizeof fds[1], "result=4");
	snprintf(dir, sizeof dir, "/proc/self/fd/5");
	if (pipe2(in, O_CLOEXEC) != 0)
		return err_from_errno(errno);
	if (pipe2(out, O_CLOEXEC) != 0) {
		close(in[0]);
		close(in[1]);
		return err_from_errno(errno);
	}
	child[0] = in[0];
	child[1] = out[1];
	child[2] = j->place_fd;
	child[3] = key_fd;
	if (key_fd >= 0) {
		snprintf(fds[2], sizeof fds[2], "store_key_file=6");
		argv[15] = "--fd";
		argv[16] = fds[2];
	}
	j->pid = proc_spawn(binary, argv, child, key_fd >= 0 ? 4 : 3);
	if (key_fd >= 0)
		close(key_fd);
	close(in[0]);
	close(out[1]);
	j->stream_fd = in[1];
	j->result_fd = out[0];
	free(argv[2]);
	free(argv[8]);
	free(binary);
	return j->pid < 0 ? (int)j->pid : 0;
}

static int
send_piece(void *arg, struct slice s)
{
	struct restore_job *j = arg;

	j->octets += s.len;
	while (s.len > 0) {
		ssize_t n = write(j->stream_fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_CLOSED; /* it says why */
		s = slice_from(s, (size_t)n);
	}
	return 0;
}

static int
send_mark(struct restore_job *j, enum backup_section section)
{
	unsigned char mark[BACKUP_MARK_LEN];

	backup_mark(section, mark);
	return send_piece(j, slice_of(mark, sizeof mark));
}

/* Rows, changes, and the end only when both had the digests that the manifest names. */
int
restore_rows(struct restore_job *j)
{
	const struct backup_set *s = &j->d.m.set;
	int err = send_mark(j, BACKUP_ROWS);

	backup_rows_name(s->gen, j->file);
	if (err == 0)
		err = backup_part_read(j->d.fd, j->file, &s->rows, send_piece, j);
	if (err != 0)
		return err;
	backup_journal_name(s->gen, j->file);
	err = send_mark(j, BACKUP_JOURNAL);
	if (err == 0)
		err = backup_part_read(j->d.fd, j->file, &s->journal, send_piece, j);
	return err != 0 ? err : send_mark(j, BACKUP_END);
}

/* What the role said, and how it ended. */
static int
role_end(struct restore_job *j)
{
	int status = 0;
	ssize_t n;

	close(j->stream_fd);
	buf_init(&j->result, RESULT_MAX);
	do {
		unsigned char *p = buf_reserve(&j->result, 4096);

		n = p == NULL ? 0 : read(j->result_fd, p, 4096);
		if (n > 0)
			buf_commit(&j->result, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	close(j->result_fd);
	while (waitpid(j->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : ERR_CORRUPT;
}

/* ---- what came of it ---- */

static int
fail(struct restore_job *j, int err)
{
	struct ctl *c = j->c;

	switch (err) {
	case ERR_CORRUPT:
		return ctl_fail(c, EX_DATAERR,
		    _("%s in %s is damaged (its digest is not the one in the manifest)"), j->file,
		    j->folder);
	case ERR_FULL:
		return ctl_fail(c, EX_CANTCREAT, _("no room for what is restored"));
	default:
		return ctl_fail(c, EX_IOERR, "%s: %s", j->file[0] != '\0' ? j->file : j->folder,
		    err == ERR_IO ? strerror(errno) : err_name(err));
	}
}

/* The lines of the role: findings, and the last one. */
static struct json *
result_json(struct restore_job *j, struct json *findings)
{
	struct slice rest = buf_slice(&j->result);
	struct json *last = NULL;

	while (rest.len > 0) {
		ptrdiff_t end = slice_index(rest, '\n');
		struct json *one = NULL;

		if (end < 0)
			break;
		if (json_parse(slice_sub(rest, 0, (size_t)end), &one) == 0) {
			if (last != NULL)
				json_push_take(findings, last);
			last = one;
		}
		rest = slice_from(rest, (size_t)end + 1);
	}
	return last != NULL ? last : json_obj_new();
}

static void
print_finding(const struct json *f)
{
	printf("%s: ", _("DAMAGED"));
	if (json_get(f, "uid") != NULL) {
		store_print_clean(json_cstr(json_get(f, "account")));
		printf(": ");
		store_print_clean(json_cstr(json_get(f, "mailbox")));
		printf(": UID %lld, ", (long long)json_int(json_get(f, "uid"), 0));
	}
	printf(_("body %lld"), (long long)json_int(json_get(f, "body"), 0));
	if (json_get(f, "segment") != NULL)
		printf(_(", segment %lld at %lld"), (long long)json_int(json_get(f, "segment"), 0),
		    (long long)json_int(json_get(f, "offset"), 0));
	printf(" (");
	store_print_clean(json_cstr(json_get(f, "why")));
	printf(")\n");
}

static int
tell(struct restore_job *j, const char *place)
{
	struct json *findings = json_arr_new(), *r = result_json(j, findings);
	int64_t damaged = json_int(json_get(r, "damaged"), 0);
	int code = damaged > 0 ? EX_DATAERR : EX_OK;

	json_set_int(r, "moment_us", j->d.m.moment_us);
	json_set_int(r, "octets", (int64_t)j->octets);
	json_set_str(r, "place", place);
	if (j->c->json) {
		json_set_take(r, "findings", findings);
		return ctl_json_take(r, code);
	}
	for (size_t i = 0; i < json_len(findings) && i < FINDINGS_SHOWN; i++)
		print_finding(json_at(findings, i));
	if (json_bool(json_get(r, "checked")))
		printf(_("%lld messages in %lld mailboxes, %lld bodies, each with its digest: %lld "
			 "damaged.\n"),
		    (long long)json_int(json_get(r, "messages"), 0),
		    (long long)json_int(json_get(r, "mailboxes"), 0),
		    (long long)json_int(json_get(r, "bodies"), 0), (long long)damaged);
	if (place != NULL) {
		printf(_("%s is a store with the state of the backup: %lld mailboxes, UIDVALIDITY "
			 "%lld in each.\n"),
		    place, (long long)json_int(json_get(r, "mailboxes"), 0),
		    (long long)json_int(json_get(r, "uidvalidity"), 0));
		printf("%s\n", _("Clients read their mail anew once. congvu store check looks it "
				 "over when it runs."));
	}
	json_free(findings);
	json_free(r);
	return code;
}

/* Says what the role said when it gave up. */
static int
role_fail(struct restore_job *j)
{
	struct json *findings = json_arr_new(), *r = result_json(j, findings);
	const char *why = json_cstr(json_get(r, "error")), *at = json_cstr(json_get(r, "at"));
	int code;

	if (strcmp(why, "full") == 0)
		code = ctl_fail(j->c, EX_CANTCREAT, _("no room for what is restored"));
	else
		code = ctl_fail(j->c, EX_DATAERR, _("the rows in %s cannot be restored (%s: %s)"),
		    j->folder, at[0] != '\0' ? at : "congvu-stored-restore",
		    why[0] != '\0' ? why : _("it ended early"));
	json_free(findings);
	json_free(r);
	return code;
}

/* The whole work below the temporary name. 0, or the exit code + 1 when it was told. */
static int
fill(struct restore_job *j, int *code_out)
{
	int err, ended;

	if ((err = segments_copy(j)) != 0 || (err = restore_role(j)) != 0) {
		*code_out = fail(j, err);
		return -1;
	}
	err = restore_rows(j);
	ended = role_end(j);
	if (err == 0 && ended == 0)
		return 0;
	*code_out = err != 0 && err != ERR_CLOSED ? fail(j, err) : role_fail(j);
	return -1;
}

int
restore_user(struct restore_job *j)
{
	j->uid = geteuid();
	j->gid = getegid();
	if (geteuid() != 0)
		return 0;
	return proc_user(conf_str(j->c->conf, "user_stored"), &j->uid, &j->gid);
}

/* The old place, if there is one, out of the way. */
static int
set_aside(struct restore_job *j, const char *name, char *aside, size_t size)
{
	aside[0] = '\0';
	if (faccessat(j->parent_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) != 0)
		return 0;
	if (is_empty(j->parent_fd, name))
		return unlinkat(j->parent_fd, name, AT_REMOVEDIR) == 0 ? 0 : ERR_IO;
	snprintf(aside, size, "%.200s.before-%lld", name, (long long)time(NULL));
	return renameat(j->parent_fd, name, j->parent_fd, aside) == 0 ? 0 : ERR_IO;
}

static int
restore_to(struct restore_job *j, const char *to, bool force)
{
	struct ctl *c = j->c;
	char name[256], aside[300];
	int code = EX_OK;

	if (split(j, to, name, sizeof name) != 0)
		return ctl_fail(c, EX_CANTCREAT, "%s: %s", to, strerror(errno));
	if (is_served(j->parent_fd, name))
		return ctl_fail(c, EX_TEMPFAIL, _("a store works in %s now: stop it first"), to);
	if (faccessat(j->parent_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	    !is_empty(j->parent_fd, name) && !force)
		return ctl_fail(c, EX_CANTCREAT,
		    _("%s is not empty; with --force what is there is set aside"), to);
	if (restore_user(j) != 0)
		return ctl_fail(
		    c, EX_NOUSER, _("there is no user %s"), conf_str(c->conf, "user_stored"));
	if (restore_place(j, name) != 0)
		code = ctl_fail(c, EX_CANTCREAT, "%s: %s", to, strerror(errno));
	else if (fill(j, &code) == 0) {
		if (set_aside(j, name, aside, sizeof aside) != 0 ||
		    renameat(j->parent_fd, j->temp, j->parent_fd, name) != 0 ||
		    fsync(j->parent_fd) != 0)
			code = ctl_fail(c, EX_CANTCREAT, "%s: %s", to, strerror(errno));
		else {
			code = tell(j, to);
			if (aside[0] != '\0' && !c->json)
				printf(_("What was there is in %s, beside it.\n"), aside);
			j->temp[0] = '\0';
		}
	}
	if (j->temp[0] != '\0')
		restore_remove(j->parent_fd, j->temp, 0);
	return code;
}

/* Digests of all files, in place. */
static int
files_check(struct restore_job *j)
{
	const struct backup_manifest *m = &j->d.m;
	int err = 0, code = EX_OK;

	for (size_t i = 0; i < m->n_segments; i++) {
		backup_segment_name(m->segments[i].number, m->segments[i].copy, j->file);
		err = backup_part_read(j->d.segments_fd, j->file, &m->segments[i].part, NULL, NULL);
		if (err != 0)
			code = fail(j, err);
		j->octets += m->segments[i].part.octets;
	}
	backup_rows_name(m->set.gen, j->file);
	if ((err = backup_part_read(j->d.fd, j->file, &m->set.rows, NULL, NULL)) != 0)
		code = fail(j, err);
	backup_journal_name(m->set.gen, j->file);
	if ((err = backup_part_read(j->d.fd, j->file, &m->set.journal, NULL, NULL)) != 0)
		code = fail(j, err);
	j->octets += m->set.rows.octets + m->set.journal.octets;
	return code;
}

int
restore_open(struct restore_job *j, struct ctl *c, const char *folder)
{
	int err;

	memset(j, 0, sizeof *j);
	j->c = c;
	j->folder = folder;
	j->parent_fd = j->place_fd = -1;
	signal(SIGPIPE, SIG_IGN);
	if ((err = backup_dir_open(store_cwd(), folder, false, &j->d)) != 0)
		return store_backup_open_fail(c, folder, err);
	if (!j->d.m.set.there) {
		backup_dir_close(&j->d);
		return ctl_fail(c, EX_DATAERR,
		    _("the backup in %s was never finished: call congvu store backup again"),
		    folder);
	}
	return EX_OK;
}

void
restore_close(struct restore_job *j)
{
	backup_dir_close(&j->d);
	buf_done(&j->result);
	if (j->place_fd >= 0)
		close(j->place_fd);
	if (j->parent_fd >= 0)
		close(j->parent_fd);
}

int
store_restore(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	const char *to = NULL;
	bool verify = false, force = false;
	struct restore_mailbox_args a = {0};
	const struct ctl_option options[] = {{"to", &to, NULL}, {"verify", NULL, &verify},
	    {"force", NULL, &force}, {"mailbox", &a.mailbox, NULL}, {"into", &a.into, NULL},
	    {"own-name", NULL, &a.own_name}, {"over-quota", NULL, &a.over_quota},
	    {"dry-run", NULL, &a.dry}, {"scratch", &a.scratch, NULL}, {NULL, NULL, NULL}};
	struct restore_job j;
	int code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (a.mailbox != NULL && argc == 2 && to == NULL && !verify && !force)
		return restore_mailbox(c, s, argv[1], &a);
	if (a.mailbox != NULL || a.into != NULL || a.own_name || a.over_quota || a.dry ||
	    a.scratch != NULL)
		return ctl_usage(c, _("--mailbox goes with --into or --own-name, --over-quota, "
				      "--dry-run, --scratch"));
	if (argc != 2 || to == NULL)
		return ctl_usage(c, _("a backup folder and --to PLACE are needed"));
	if ((code = restore_open(&j, c, argv[1])) != EX_OK)
		return code;
	j.mode = verify ? 1 : 0;
	code = restore_to(&j, to, force);
	restore_close(&j);
	return code;
}

int
store_verify_backup(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	const char *scratch = NULL;
	const struct ctl_option options[] = {{"messages", &scratch, NULL}, {NULL, NULL, NULL}};
	struct json *r;
	struct restore_job j;
	int code;

	(void)s;
	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(c, _("one backup folder is needed"));
	if ((code = restore_open(&j, c, argv[1])) != EX_OK)
		return code;
	if (scratch == NULL) {
		code = files_check(&j);
		r = json_obj_new();
		json_set_bool(r, "whole", code == EX_OK);
		json_set_int(r, "octets", (int64_t)j.octets);
		json_set_int(r, "moment_us", j.d.m.moment_us);
		if (c->json)
			code = ctl_json_take(r, code);
		else if (code == EX_OK)
			printf(_("All files of %s have their digests: %s.\n"), j.folder,
			    store_octets((int64_t)j.octets));
		if (!c->json)
			json_free(r);
		restore_close(&j);
		return code;
	}
	j.mode = 1;
	j.parent_fd = openat(store_cwd(), scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (j.parent_fd < 0 || restore_user(&j) != 0 || restore_place(&j, "verify") != 0)
		code = ctl_fail(c, EX_CANTCREAT, "%s: %s", scratch, strerror(errno));
	else if (fill(&j, &code) == 0)
		code = tell(&j, NULL);
	if (j.temp[0] != '\0')
		restore_remove(j.parent_fd, j.temp, 0);
	restore_close(&j);
	return code;
}
