/* restore.c: congvu-stored-restore: makes the database of a store out of what congvu reads from a backup folder and hands over through a pipe; the segments are
 * in place. Started by `congvu store restore` and `verify-backup`, as the user of the store, in the folder that will be the store, in a
 * sandbox: the backup may have been written by anybody. Ends with 0 and a line of JSON, or says why not. "index" 1: checks every message too;
 * 2: gives single mailboxes (restore_take.c). */
#include "store/restore.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "store/restore_client.h"
#include "store/seg_head.h"

enum { PIECE = 256 << 10 };

static int result_fd;

static void
write_line(struct slice s)
{
	while (s.len > 0) {
		ssize_t n = write(result_fd, s.ptr, s.len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fatal("restore: nobody listens");
		s = slice_from(s, (size_t)n);
	}
}

static void
tell(struct restore *r, struct slice line)
{
	(void)r;
	write_line(line);
	write_line(slice_str("\n"));
}

/* All of the stream. ERR_EOF: it ended before its end was told, since whoever sends it found it damaged. */
static int
load(struct restore *r, int fd)
{
	static unsigned char piece[PIECE];
	struct backup_stream s;
	int err = 0;

	backup_stream_init(&s, restore_op, r);
	while (err == 0 && s.section != BACKUP_END) {
		ssize_t n = read(fd, piece, sizeof piece);

		if (n < 0 && errno == EINTR)
			continue;
		err = n < 0    ? err_from_errno(errno)
		      : n == 0 ? ERR_EOF
			       : backup_stream_feed(&s, slice_of(piece, (size_t)n));
	}
	backup_stream_done(&s);
	if (err != 0 && r->t != NULL) {
		kv_abort(r->t);
		r->t = NULL;
	}
	return err != 0 ? err : restore_flush(r);
}

static int
run(struct restore *r, int stream_fd, size_t cache, bool check, const char **at)
{
	struct kv_options o = {.dir = "db", .cache_bytes = cache, .max_writes = 10000};
	int err;

	*at = "db";
	if (mkdir("db", 0700) != 0 && errno != EEXIST)
		return err_from_errno(errno);
	if ((err = kv_bdb_open(&o, &r->kv)) != 0)
		return err;
	*at = "rows";
	err = load(r, stream_fd);
	if (err == 0) {
		*at = "uidvalidity";
		err = restore_raise(r, (int64_t)time(NULL));
	}
	if (err == 0 && check) {
		*at = "check";
		err = restore_check(r, "segments");
	}
	if (err == 0)
		err = kv_sync(r->kv);
	kv_close(r->kv);
	return err;
}

int
main(int argc, char **argv)
{
	static struct seg_keys keys;
	struct restore r = {.tell = tell};
	unsigned bad_line;
	const char *at = "";
	struct buf line;
	size_t cache;
	int stream_fd, err;

	role_init(argc, argv, "stored-restore");
	if (role_fd("store_key_file") >= 0 &&
	    (err = seg_keys_read(role_fd("store_key_file"), &keys, &bad_line)) != 0)
		fatal("restore: store_key_file: %s", err_name(err));
	if (role_fd("store_key_file") >= 0)
		r.keys = &keys;
	stream_fd = role_fd("stream");
	result_fd = role_fd("result");
	cache = (size_t)conf_int(role_conf(), "store_cache_mb") << 20;
	if (stream_fd < 0 || result_fd < 0)
		fatal("restore: started by congvu alone");
	role_enter();
	if (role_index() == RESTORE_TAKE)
		return restore_take(&r, stream_fd, result_fd, cache) == 0 ? EX_OK : EX_DATAERR;
	err = run(&r, stream_fd, cache, role_index() == 1, &at);
	buf_init(&line, 1024);
	if (err != 0)
		buf_appendf(&line, "{\"error\":\"%s\",\"at\":\"%s\"}\n", err_name(err), at);
	else
		buf_appendf(&line,
		    "{\"changes\":%" PRIu64 ",\"mailboxes\":%" PRIu64 ",\"messages\":%" PRIu64
		    ",\"bodies\":%" PRIu64 ",\"damaged\":%" PRIu64
		    ",\"uidvalidity\":%u,\"checked\":%s}\n",
		    r.rows, r.mailboxes, r.messages, r.bodies, r.damaged, r.uidvalidity,
		    role_index() == 1 ? "true" : "false");
	write_line(buf_slice(&line));
	buf_done(&line);
	return err == 0 ? EX_OK : EX_DATAERR;
}
