/* ctl_store_restore_mailbox.c: `congvu store restore FOLDER --mailbox USER[/MAILBOX]`: mailboxes of one account out of a backup into the store that runs.
 * congvu-stored-restore finds and reads the messages (store/restore_take.c); congvu puts what it asks for of the files of bodies in a scratch folder, and hands
 * the messages to ingest as those of an import: under ids, so that none comes twice. Nothing of the store is changed or removed. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/ctl_mailbox.h"
#include "admin/ctl_mailbox_import.h"
#include "admin/ctl_store_restore.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/deliver_client.h"
#include "store/restore_client.h"
#include "store/store_client.h"

enum { HEAD = 4096, COPY_PIECE = 1 << 20, RANGES_MAX = 1024 };

struct range {
	uint32_t segment;
	uint64_t from, octets;
};
struct taking {
	struct restore_job j;
	struct import_run run;
	const struct restore_mailbox_args *a;
	char *mailbox; /* "": all */
	int segments_fd;
	/* what lies in the scratch folder for the message that is read */
	struct range ranges[RANGES_MAX];
	size_t n_ranges;
	uint64_t messages, at;
	/* the mailbox, and the message */
	uint64_t box_id;
	char *box;
	int box_err; /* 1: none of it is brought */
	struct import_msg *m;
	uint32_t uid;
	char error[64]; /* what the role ended with */
	bool ended;
};

/* ---- files of bodies ---- */

static int
range_copy(int from, int to, uint64_t off, uint64_t octets)
{
	static unsigned char piece[COPY_PIECE];

	while (octets > 0) {
		size_t want = octets < sizeof piece ? (size_t)octets : sizeof piece;
		ssize_t n = pread(from, piece, want, (off_t)off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? ERR_IO : ERR_CORRUPT;
		for (ssize_t put = 0; put < n;) {
			ssize_t w =
			    pwrite(to, piece + put, (size_t)(n - put), (off_t)off + (off_t)put);

			if (w < 0 && errno == EINTR)
				continue;
			if (w <= 0)
				return w < 0 ? err_from_errno(errno) : ERR_FULL;
			put += w;
		}
		off += (uint64_t)n;
		octets -= (uint64_t)n;
	}
	return 0;
}

/* The scratch file; made with the file's header. The folder is the store's user's: what it makes of it is not followed. */
static int
scratch_open(struct taking *k, const struct backup_segment *s, int from, int *fd_out)
{
	char name[32];
	struct stat st;
	int fd, err = 0;

	backup_segment_name(s->number, 0, name);
	fd = openat(k->segments_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 && errno == ENOENT) {
		fd = openat(k->segments_fd, name,
		    O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
		if (fd >= 0 && geteuid() == 0 && fchown(fd, k->j.uid, k->j.gid) != 0)
			err = ERR_IO;
		if (fd >= 0 && err == 0)
			err =
			    range_copy(from, fd, 0, s->part.octets < HEAD ? s->part.octets : HEAD);
	}
	if (fd < 0)
		return err_from_errno(errno);
	if (err == 0 && (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)))
		err = ERR_CORRUPT;
	if (err != 0)
		close(fd);
	else
		*fd_out = fd;
	return err;
}

/* Room is given back as soon as the message is read: the scratch folder holds one at a time. */
static void
ranges_free(struct taking *k)
{
	for (size_t i = 0; i < k->n_ranges; i++) {
		char name[32];
		int fd;

		backup_segment_name(k->ranges[i].segment, 0, name);
		fd = openat(k->segments_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
		if (fd < 0)
			continue;
		if (k->ranges[i].from >= HEAD)
			(void)fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			    (off_t)k->ranges[i].from, (off_t)k->ranges[i].octets);
		close(fd);
	}
	k->n_ranges = 0;
}

static int
range_put(struct taking *k, const struct range *r)
{
	const struct backup_segment *s = manifest_segment(&k->j.d.m, r->segment);
	char name[32];
	int from, to = -1, err;

	if (s == NULL || r->from > s->part.octets || r->octets > s->part.octets - r->from ||
	    k->n_ranges == RANGES_MAX)
		return ERR_CORRUPT;
	backup_segment_name(s->number, s->copy, name);
	from = openat(
	    k->j.d.segments_fd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (from < 0)
		return ERR_IO;
	err = scratch_open(k, s, from, &to);
	if (err == 0)
		err = range_copy(from, to, r->from, r->octets);
	if (err == 0)
		k->ranges[k->n_ranges++] = *r;
	if (to >= 0)
		close(to);
	close(from);
	return err;
}

static int
on_segment(struct taking *k, struct ipc_reader *r)
{
	struct range one = {.segment = ipc_get_u32(r)};
	unsigned char answer;
	ssize_t n;

	one.from = ipc_get_u64(r);
	one.octets = ipc_get_u64(r);
	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	answer = range_put(k, &one) == 0;
	do
		n = write(k->j.stream_fd, &answer, 1);
	while (n < 0 && errno == EINTR);
	return n == 1 ? 0 : ERR_CLOSED;
}

/* ---- mailboxes and messages ---- */

/* Where it goes: 0, 1 when it is not brought (told), or negative. */
static int
box_begin(struct taking *k)
{
	uint64_t id = 0;
	struct buf b;
	int err;

	buf_init(&b, 8192);
	if (k->a->own_name) {
		buf_append_str(&b, k->box);
	} else if (k->a->into != NULL) {
		buf_append_str(&b, k->a->into);
		/* what lies below the one that was named stays below it */
		if (strcmp(k->box, k->mailbox) != 0)
			buf_appendf(&b, "/%s",
			    k->mailbox[0] != '\0' ? k->box + strlen(k->mailbox) + 1 : k->box);
	} else {
		buf_appendf(&b, "Restored/%s", k->box);
	}
	err = k->a->own_name ? import_run_find(&k->run, buf_cstr(&b), &id) : ERR_NOTFOUND;
	if (err == ERR_TEMP) {
		k->run.stop = ERR_TEMP;
	} else if (err == 0 && id == k->box_id) {
		import_run_refuse(&k->run, k->box, "mailbox_there", 0);
		err = 1;
	} else {
		err = import_run_box(&k->run, buf_cstr(&b));
	}
	buf_done(&b);
	return err;
}

static int
on_mailbox(struct taking *k, struct ipc_reader *r)
{
	size_t n = strlen(k->mailbox);

	k->box_id = ipc_get_u64(r);
	free(k->box);
	k->box = ipc_get_strdup(r);
	if (ipc_reader_end(r) != 0 || k->m != NULL)
		return ERR_PROTO;
	if (n > 0 &&
	    (strncmp(k->box, k->mailbox, n) != 0 || (k->box[n] != '\0' && k->box[n] != '/')))
		return ERR_PROTO;
	k->box_err = box_begin(k);
	return k->box_err < 0 ? k->box_err : 0;
}

static int
on_message(struct taking *k, struct ipc_reader *r)
{
	struct import_msg *m;
	struct slice keywords, trace;
	struct buf where;

	if (k->m != NULL || k->box == NULL || ipc_get_u64(r) != k->box_id)
		return ERR_PROTO;
	k->uid = ipc_get_u32(r);
	m = k->m = import_msg_new(UINT64_C(2) << 30);
	m->flags = ipc_get_u32(r) & ~(uint32_t)MSG_DELETED; /* else it goes again at once */
	keywords = ipc_get_slice(r);
	m->date = ipc_get_i64(r);
	m->zone = (int16_t)ipc_get_u16(r);
	trace = ipc_get_slice(r);
	buf_append_slice(&m->keywords, keywords);
	buf_append_slice(&m->trace, trace);
	buf_init(&where, 8192);
	buf_appendf(&where, "%s: UID %u", k->box, (unsigned)k->uid);
	m->where = xstrdup(buf_cstr(&where));
	buf_done(&where);
	return ipc_reader_end(r) != 0 || m->keywords.err != 0 || m->trace.err != 0 ? ERR_PROTO : 0;
}

/* Of which store, which mailbox and message; not of the backup's moment: the same message of two backups is one. */
static void
id_make(const struct taking *k, struct import_msg *m)
{
	unsigned char digest[32];
	struct buf b;

	buf_init(&b, 256);
	buf_append_str(&b, "congvu restore 1");
	buf_append(&b, k->j.d.m.store, sizeof k->j.d.m.store);
	buf_append_u64(&b, k->box_id);
	buf_append_u32(&b, k->uid);
	buf_append(&b, m->sha256, sizeof m->sha256);
	sha256_of(buf_slice(&b), digest);
	memcpy(m->id, digest, sizeof m->id);
	buf_done(&b);
}

static int
on_message_end(struct taking *k, struct ipc_reader *r)
{
	struct import_msg *m = k->m;
	bool good = ipc_get_u8(r) != 0;

	if (ipc_reader_end(r) != 0 || m == NULL)
		return ERR_PROTO;
	k->m = NULL;
	k->at++;
	ranges_free(k);
	if (k->box_err != 0) {
		import_msg_free(m);
		return 0;
	}
	if (import_msg_end(m) != 0 || !good) {
		import_run_refuse(&k->run, m->where, m->err == ERR_SYNTAX ? "nul" : "damaged", 0);
		import_msg_free(m);
		return 0;
	}
	id_make(k, m);
	return import_run_take(&k->run, m);
}

/* ---- the role ---- */

static int
read_all(int fd, void *p, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(fd, (unsigned char *)p + have, n - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? ERR_IO : ERR_CLOSED;
		have += (size_t)got;
	}
	return 0;
}

static int
on_end(struct taking *k, struct ipc_reader *r)
{
	char *error = ipc_get_strdup(r);

	if (ipc_reader_end(r) == 0) {
		snprintf(k->error, sizeof k->error, "%s", error);
		k->ended = true;
	}
	free(error);
	return k->ended ? 0 : ERR_PROTO;
}

/* One frame of it; its own errors end the work, it is not believed further. */
static int
frame_one(struct taking *k)
{
	static unsigned char payload[RESTORE_FRAME_MAX];
	unsigned char head[5];
	struct ipc_reader r;
	size_t n;
	int err = read_all(k->j.result_fd, head, sizeof head);

	n = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
	if (err == 0 && n > sizeof payload)
		err = ERR_PROTO;
	if (err == 0)
		err = read_all(k->j.result_fd, payload, n);
	if (err != 0)
		return err;
	ipc_reader_init(&r, slice_of(payload, n));
	switch (head[0]) {
	case RESTORE_AGAIN:
		return restore_rows(&k->j);
	case RESTORE_COUNT:
		k->messages = ipc_get_u64(&r);
		return 0;
	case RESTORE_MAILBOX:
		return on_mailbox(k, &r);
	case RESTORE_MESSAGE:
		return on_message(k, &r);
	case RESTORE_SEGMENT:
		return on_segment(k, &r);
	case RESTORE_PIECE:
		if (k->m == NULL)
			return ERR_PROTO;
		import_msg_add(k->m, slice_of(payload, n), false);
		return 0;
	case RESTORE_MESSAGE_END:
		return on_message_end(k, &r);
	case RESTORE_END:
		return on_end(k, &r);
	default:
		return ERR_PROTO;
	}
}

static int
request_send(struct taking *k)
{
	unsigned char head[4];
	struct buf b;
	int err = 0;

	buf_init(&b, 8192);
	ipc_put_str(&b, k->run.account);
	ipc_put_str(&b, k->mailbox);
	ipc_put_u8(&b, 1);
	for (int i = 0; i < 4; i++)
		head[i] = (unsigned char)(b.len >> (24 - 8 * i));
	if (b.err != 0 || write(k->j.stream_fd, head, sizeof head) != (ssize_t)sizeof head ||
	    write(k->j.stream_fd, b.data, b.len) != (ssize_t)b.len)
		err = ERR_CLOSED;
	buf_done(&b);
	return err;
}

static void
role_reap(struct taking *k)
{
	int status;

	close(k->j.stream_fd);
	close(k->j.result_fd);
	while (waitpid(k->j.pid, &status, 0) < 0 && errno == EINTR)
		continue;
}

/* ---- the command ---- */

static uint64_t
get_at(void *arg)
{
	const struct taking *k = arg;

	return k->at;
}

static uint64_t
get_total(void *arg)
{
	const struct taking *k = arg;

	return k->messages;
}

static int
note(struct taking *k)
{
	struct json *rec = json_obj_new();

	json_set_str(rec, "account", k->run.account);
	json_set_str(rec, "mailbox", k->mailbox);
	json_set_str(rec, "backup", k->j.folder);
	json_set_int(rec, "moment_us", k->j.d.m.moment_us);
	json_set_str(rec, "into", k->a->into == NULL ? "" : k->a->into);
	json_set_bool(rec, "own_name", k->a->own_name);
	json_set_bool(rec, "over_quota", k->a->over_quota);
	return ctl_audit_note(k->run.c, "store_restore", rec);
}

/* The folder that the scratch folder is made in: beside the store, where there is room as for it. */
static int
scratch_parent(struct taking *k)
{
	char *dir = conf_path(k->run.c->conf, "store_dir"), *slash;
	int fd;

	if (k->a->scratch != NULL) {
		free(dir);
		return openat(store_cwd(), k->a->scratch, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	}
	slash = strrchr(dir, '/');
	if (slash != NULL && slash != dir)
		*slash = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(dir);
	return fd;
}

/* Folders of runs that were killed. */
static void
scratch_sweep(int parent_fd)
{
	static const char begin[] = "mailbox.restoring-";
	int fd = openat(parent_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (d == NULL && fd >= 0)
		close(fd);
	while (d != NULL && (e = readdir(d)) != NULL) {
		uint64_t pid;

		if (strncmp(e->d_name, begin, sizeof begin - 1) == 0 &&
		    slice_to_u64(slice_str(e->d_name + sizeof begin - 1), INT32_MAX, &pid) == 0 &&
		    pid > 0 && kill((pid_t)pid, 0) != 0 && errno == ESRCH)
			restore_remove(parent_fd, e->d_name, 0);
	}
	if (d != NULL)
		closedir(d);
}

/* What ended it before its end. */
static int
taking_fail(struct taking *k, int err)
{
	struct ctl *c = k->run.c;

	if (k->ended && strcmp(k->error, err_name(ERR_NOTFOUND)) == 0)
		return ctl_fail(c, EX_NOUSER,
		    _("the backup in %s has no such account or mailbox (%s: \"%s\")"), k->j.folder,
		    k->run.account, k->mailbox);
	if (err == ERR_CORRUPT && !k->ended)
		return ctl_fail(c, EX_DATAERR,
		    _("%s in %s is damaged (its digest is not the one in the manifest)"), k->j.file,
		    k->j.folder);
	return ctl_fail(c, EX_DATAERR, _("the rows in %s cannot be restored (%s: %s)"), k->j.folder,
	    "congvu-stored-restore", k->ended ? k->error : err_name(err));
}

static int
take(struct taking *k)
{
	int err;

	k->segments_fd =
	    openat(k->j.place_fd, "segments", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (k->segments_fd < 0 || restore_role(&k->j) != 0)
		return ctl_fail(k->run.c, EX_OSERR, "congvu-stored-restore: %s", strerror(errno));
	import_run_begin(&k->run);
	err = request_send(k);
	while (err == 0 && !k->ended)
		err = frame_one(k);
	role_reap(k);
	import_msg_free(k->m);
	if (k->run.stop == 0 && (err != 0 || k->error[0] != '\0')) {
		/* what came before is in; the report would look as if it were all */
		k->run.told = taking_fail(k, err);
		k->run.stop = ERR_CORRUPT;
	}
	return import_run_end(&k->run, k->run.stop);
}

static int
split_user(struct taking *k, const char *arg)
{
	const char *slash = strchr(arg, '/');
	char *user = slice_dup(slice_of(arg, slash == NULL ? strlen(arg) : (size_t)(slash - arg)));
	int code = mailbox_account(k->run.c, user, &k->run.account, &k->run.known);

	free(user);
	k->mailbox = xstrdup(slash == NULL ? "" : slash + 1);
	if (strcasecmp(k->mailbox, "INBOX") == 0) {
		free(k->mailbox);
		k->mailbox = xstrdup("INBOX");
	}
	return code;
}

int
restore_mailbox(
    struct ctl *c, struct ipc_sync *s, const char *folder, const struct restore_mailbox_args *a)
{
	struct taking *k = xcalloc(1, sizeof *k);
	int code;

	if (a->into != NULL && a->own_name)
		code = ctl_usage(c, _("--into and --own-name exclude one another"));
	else
		code = restore_open(&k->j, c, folder);
	if (code != 0) {
		free(k);
		return code;
	}
	k->a = a;
	k->segments_fd = -1;
	k->run.c = c;
	k->run.store = s;
	k->run.from = folder;
	k->run.dry = a->dry;
	k->run.how = IMPORT_AGAIN | (a->over_quota ? IMPORT_OVER_QUOTA : 0);
	k->run.at = get_at;
	k->run.total = get_total;
	k->run.arg = k;
	k->j.mode = RESTORE_TAKE;
	code = split_user(k, a->mailbox);
	if (code == 0 && restore_user(&k->j) != 0)
		code = ctl_fail(
		    c, EX_NOUSER, _("there is no user %s"), conf_str(c->conf, "user_stored"));
	if (code == 0 && !a->dry)
		code = note(k);
	if (code == 0) {
		k->j.parent_fd = scratch_parent(k);
		if (k->j.parent_fd >= 0)
			scratch_sweep(k->j.parent_fd);
		if (k->j.parent_fd < 0 || restore_place(&k->j, "mailbox") != 0)
			code = ctl_fail(c, EX_CANTCREAT, _("no scratch folder can be made (%s)"),
			    strerror(errno));
		else
			code = take(k);
	} else {
		free(k->run.account);
	}
	if (k->segments_fd >= 0)
		close(k->segments_fd);
	if (k->j.temp[0] != '\0')
		restore_remove(k->j.parent_fd, k->j.temp, 0);
	restore_close(&k->j);
	free(k->mailbox);
	free(k->box);
	free(k);
	return code;
}
