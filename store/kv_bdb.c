/* kv_bdb.c: kv.h on Berkeley DB 5.3; the only includer of <db.h>. Runs in stored, smtpd-queue and milter-ledger.
 *
 * The environment is private to this process and recovered at every open. Write-ahead log in the same folder (log.*), one B-tree
 * (rows.db), pages of 4,096 bytes with checksums. Readers outside of a transaction hold locks on a page or two at a time;
 * when they lose a deadlock they go on by themselves; a writer that loses gets ERR_AGAIN. A panic ends the process. */
#include "store/kv.h"

#include <assert.h>
#include <db.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/kv_page.h"

enum {
	PAGE_SIZE = KV_PAGE_SIZE,
	LOG_BUFFER = 1 << 20,
	BULK_SIZE = 128 * 1024,
	CHECKPOINT_LOG_KB = 8 * 1024,
	CHECKPOINT_EVERY_S = 2,
	READ_RETRIES = 10000,
	NOTES_MAX = 1 << 20,
	RESERVE = 32 << 20, /* twice the log between checkpoints, and as much again for recovery */
	ROOM_EVERY_MS = 50,
	SETTLE_STEP = 65536,
	/* records of ours in the log; behind a head that Berkeley DB reads: type, transaction (0), record before it (none), big-endian the rest */
	NOTE = DB_user_BEGIN + 1,
	NOTE_SETTLED = DB_user_BEGIN + 2, /* u32 file, u32 offset: notes before it are settled */
	NOTE_PLACE = DB_user_BEGIN + 3,   /* nothing: it has a place */
	NOTE_HEAD = 16,
	FILLER = 32 * 1024,
	FORGET_TRIES = 20,
	FORGET_WAIT_US = 50000,
};

struct bdb {
	struct kv kv;
	DB_ENV *env;
	DB *db;
	int lock_fd;
	uint64_t reserve;
	int64_t room_checked_ms; /* these two are atomic */
	bool is_full;
	pthread_t keeper; /* writes checkpoints */
	pthread_mutex_t mu;
	pthread_cond_t wake;
	bool keeper_on, ending, paged;
	bool notes;                    /* options.notes */
	pthread_mutex_t checkpoint_mu; /* one at a time; and for: */
	void (*settle)(void *arg);
	void *settle_arg;
	DB_LSN settled_at; /* the checkpoint after which was settled last */
};
struct bdb_txn {
	struct kv_txn t;
	DB_TXN *txn;
};

static struct bdb *
bdb_of(struct kv *kv)
{
	return (struct bdb *)kv;
}

static DB_TXN *
txn_of(struct kv_txn *t)
{
	return t == NULL ? NULL : ((struct bdb_txn *)t)->txn;
}

/* Berkeley DB's results as ours. Does not return from a panic: recovery needs a new process. */
static int
err_of(int ret)
{
	switch (ret) {
	case 0:
		return 0;
	case DB_NOTFOUND:
	case DB_KEYEMPTY:
		return ERR_NOTFOUND;
	case DB_KEYEXIST:
		return ERR_EXISTS;
	case DB_LOCK_DEADLOCK:
	case DB_LOCK_NOTGRANTED:
		return ERR_AGAIN;
	case DB_RUNRECOVERY:
		fatal("kv: the database needs recovery: %s", db_strerror(ret));
	case DB_LOG_BUFFER_FULL:
		return ERR_LIMIT;
	case DB_CHKSUM_FAIL:
	case DB_VERIFY_BAD:
		return ERR_CORRUPT;
	default:
		return ret > 0 ? err_from_errno(ret) : ERR_IO;
	}
}

static DBT
dbt_of(struct slice s)
{
	DBT d;

	memset(&d, 0, sizeof d);
	memcpy(&d.data, &s.ptr, sizeof d.data); /* Berkeley DB's DBT has no const */
	d.size = d.ulen = (u_int32_t)s.len;
	d.flags = DB_DBT_USERMEM;
	return d;
}

static void
on_error(const DB_ENV *env, const char *prefix, const char *text)
{
	(void)env;
	(void)prefix;
	log_msg(LOG_LVL_ERROR, "kv", "%s", text);
	/* Berkeley DB goes on with nothing after that: the process ends, and so does the next that reads the page. */
	if (strstr(text, "checksum error") != NULL)
		log_msg(LOG_LVL_ERROR, "page_damaged",
		    "a page of the database is damaged on the disk: stop the program, look at the "
		    "disk, "
		    "and restore the last backup (of the mail store: congvu store restore)");
}

static void
on_event(DB_ENV *env, u_int32_t event, void *info)
{
	(void)env;
	if (event == DB_EVENT_PANIC)
		fatal("kv: panic: %s", db_strerror(info == NULL ? 0 : *(int *)info));
}

/* ---- transactions ---- */

static int
bdb_begin(struct kv *kv, struct kv_txn **txn_out)
{
	struct bdb *b = bdb_of(kv);
	struct bdb_txn *t = xcalloc(1, sizeof *t);
	int ret = b->env->txn_begin(b->env, NULL, &t->txn, 0);

	if (ret != 0) {
		free(t);
		return err_of(ret);
	}
	t->t.kv = kv;
	*txn_out = &t->t;
	return 0;
}

static int
bdb_commit(struct kv_txn *t, bool sync)
{
	DB_TXN *txn = txn_of(t);
	int ret = txn->commit(txn, sync ? DB_TXN_SYNC : DB_TXN_NOSYNC);

	free(t);
	/* A commit that failed was aborted by Berkeley DB itself, or it has panicked. */
	return err_of(ret);
}

static void
bdb_abort(struct kv_txn *t)
{
	DB_TXN *txn = txn_of(t);
	int ret = txn->abort(txn);

	free(t);
	if (ret != 0)
		fatal("kv: abort: %s", db_strerror(ret));
}

static int
bdb_sync(struct kv *kv)
{
	struct bdb *b = bdb_of(kv);

	return err_of(b->env->log_flush(b->env, NULL));
}

/* Whether the disk has more than the reserve, looked up now and then. A database on a disk that is full to the last byte cannot even recover. */
static bool
has_room(struct bdb *b)
{
	struct timespec ts;
	struct statvfs fs;
	int64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
	if (now - __atomic_load_n(&b->room_checked_ms, __ATOMIC_RELAXED) >= ROOM_EVERY_MS) {
		bool full = fstatvfs(b->lock_fd, &fs) == 0 &&
			    (uint64_t)fs.f_bavail * fs.f_frsize < b->reserve;

		__atomic_store_n(&b->is_full, full, __ATOMIC_RELAXED);
		__atomic_store_n(&b->room_checked_ms, now, __ATOMIC_RELAXED);
	}
	return !__atomic_load_n(&b->is_full, __ATOMIC_RELAXED);
}

/* ---- notes ---- */

static void
put_be32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static uint32_t
get_be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static int
log_record(struct bdb *b, u_int32_t type, struct slice s, DB_LSN *lsn_out)
{
	unsigned char *rec = xcalloc(1, NOTE_HEAD + s.len);
	DBT d;
	int ret;

	memcpy(rec, &type, sizeof type);
	if (s.len > 0)
		memcpy(rec + NOTE_HEAD, s.ptr, s.len);
	d = dbt_of(slice_of(rec, NOTE_HEAD + s.len));
	ret = b->env->log_put(b->env, lsn_out, &d, 0);
	free(rec);
	return ret;
}

/* The type of a record of ours, 0 for others. */
static u_int32_t
record_type(const DBT *d)
{
	u_int32_t type = 0;

	if (d->size >= NOTE_HEAD)
		memcpy(&type, d->data, sizeof type);
	return type >= NOTE && type <= NOTE_PLACE ? type : 0;
}

static struct slice
record_text(const DBT *d)
{
	return slice_from(slice_of(d->data, d->size), NOTE_HEAD);
}

/* Recovery meets our records too: they are no business of its. */
static int
on_own_record(DB_ENV *env, DBT *rec, DB_LSN *lsn, db_recops op)
{
	(void)env;
	(void)rec;
	(void)lsn;
	(void)op;
	return 0;
}

static int
bdb_note(struct kv_txn *t, struct slice note)
{
	struct bdb *b = bdb_of(t->kv);
	DB_LSN lsn;

	if (!has_room(b))
		return ERR_FULL;
	return err_of(log_record(b, NOTE, note, &lsn));
}

/* The places of the notes that may not be settled, newest first. */
static int
notes_find(DB_LOGC *c, struct buf *places)
{
	DB_LSN at, settled = {0, 0};
	DBT d = {.flags = DB_DBT_REALLOC};
	int ret = c->get(c, &at, &d, DB_LAST);

	while (ret == 0 && (settled.file == 0 || log_compare(&at, &settled) >= 0)) {
		u_int32_t type = record_type(&d);

		if (type == NOTE && buf_append(places, &at, sizeof at) != 0) {
			ret = ENOMEM;
			break;
		}
		if (type == NOTE_SETTLED && settled.file == 0 && d.size >= NOTE_HEAD + 8) {
			settled.file = get_be32((unsigned char *)d.data + NOTE_HEAD);
			settled.offset = get_be32((unsigned char *)d.data + NOTE_HEAD + 4);
		}
		ret = c->get(c, &at, &d, DB_PREV);
	}
	free(d.data);
	return ret == DB_NOTFOUND ? 0 : ret;
}

static int
bdb_notes(struct kv *kv, kv_note_fn fn, void *arg)
{
	struct bdb *b = bdb_of(kv);
	DBT d = {.flags = DB_DBT_REALLOC};
	struct buf places;
	DB_LOGC *c = NULL;
	int err = 0, ret = b->env->log_cursor(b->env, &c, 0);

	buf_init(&places, NOTES_MAX * sizeof(DB_LSN));
	if (ret == 0)
		ret = notes_find(c, &places);
	for (size_t i = places.len / sizeof(DB_LSN); i > 0 && ret == 0 && err == 0; i--) {
		DB_LSN at;

		memcpy(&at, places.data + (i - 1) * sizeof at, sizeof at);
		ret = c->get(c, &at, &d, DB_SET);
		if (ret == 0)
			err = fn(arg, record_text(&d));
	}
	free(d.data);
	buf_done(&places);
	if (c != NULL)
		c->close(c, 0);
	return ret != 0 ? err_of(ret) : err;
}

static void
bdb_settle_by(struct kv *kv, void (*settle)(void *arg), void *arg)
{
	struct bdb *b = bdb_of(kv);

	pthread_mutex_lock(&b->checkpoint_mu);
	b->settle = settle;
	b->settle_arg = arg;
	pthread_mutex_unlock(&b->checkpoint_mu);
}

/* Behind a checkpoint and before the log that it makes superfluous goes: notes up to here are settled, and the log says so. */
static int
notes_settle(struct bdb *b)
{
	unsigned char text[8];
	DB_TXN_STAT *st = NULL;
	DB_LSN upto, lsn, last;
	int ret = b->env->txn_stat(b->env, &st, 0);

	if (ret != 0)
		return ret;
	last = st->st_last_ckp;
	free(st);
	if (log_compare(&last, &b->settled_at) == 0)
		return 0;
	if ((ret = log_record(b, NOTE_PLACE, slice_of("", 0), &upto)) != 0)
		return ret;
	b->settle(b->settle_arg);
	put_be32(text, upto.file);
	put_be32(text + 4, upto.offset);
	ret = log_record(b, NOTE_SETTLED, slice_of(text, sizeof text), &lsn);
	if (ret == 0)
		b->settled_at = last;
	return ret;
}

/* ---- checkpoints ---- */

static int
checkpoint(struct bdb *b, u_int32_t kbyte, u_int32_t min)
{
	int ret;

	pthread_mutex_lock(&b->checkpoint_mu);
	ret = b->env->txn_checkpoint(b->env, kbyte, min, 0);
	if (ret == 0 && b->settle != NULL)
		ret = notes_settle(b);
	if (ret == 0 && (b->settle != NULL || !b->notes))
		ret = b->env->log_archive(b->env, NULL, DB_ARCH_REMOVE);
	pthread_mutex_unlock(&b->checkpoint_mu);
	return ret;
}

static int
bdb_checkpoint(struct kv *kv)
{
	return err_of(checkpoint(bdb_of(kv), 0, 0));
}

/* The number of the oldest log file. */
static int
oldest_log(struct bdb *b, u_int32_t *file_out)
{
	DBT d = {.flags = DB_DBT_REALLOC};
	DB_LOGC *c = NULL;
	DB_LSN at = {0, 0};
	int ret = b->env->log_cursor(b->env, &c, 0);

	if (ret == 0)
		ret = c->get(c, &at, &d, DB_FIRST);
	free(d.data);
	if (c != NULL)
		c->close(c, 0);
	*file_out = at.file;
	return ret;
}

/* The present log file is filled up, so that the next one begins: whole files go. A transaction that began in one of them keeps it, and it is over soon. */
static int
bdb_forget_log(struct kv *kv)
{
	static const unsigned char filler[FILLER];
	struct bdb *b = bdb_of(kv);
	DB_LSN first, lsn;
	int ret = log_record(b, NOTE_PLACE, slice_of("", 0), &first);

	lsn = first;
	while (ret == 0 && lsn.file == first.file)
		ret = log_record(b, NOTE_PLACE, slice_of(filler, sizeof filler), &lsn);
	for (int i = 0; ret == 0 && i < FORGET_TRIES; i++) {
		u_int32_t oldest = 0;

		if (i > 0)
			usleep(FORGET_WAIT_US);
		ret = checkpoint(b, 0, 0);
		if (ret == 0)
			ret = oldest_log(b, &oldest);
		if (ret == 0 && oldest > first.file)
			return 0;
	}
	return ret == 0 ? ERR_TEMP : err_of(ret);
}

/* ---- rows ---- */

static int
bdb_get(struct kv *kv, struct kv_txn *t, struct slice key, bool update, struct buf *value_out)
{
	struct bdb *b = bdb_of(kv);
	DBT k = dbt_of(key), v;
	size_t want = 2048;
	int ret;

	for (unsigned tries = 0;; tries++) {
		if (want > value_out->cap)
			want = value_out->cap;
		memset(&v, 0, sizeof v);
		v.data = buf_reserve(value_out, want);
		if (v.data == NULL)
			return value_out->err;
		v.ulen = (u_int32_t)want;
		v.flags = DB_DBT_USERMEM;
		ret = b->db->get(b->db, txn_of(t), &k, &v, update ? DB_RMW : 0);
		if (ret == DB_BUFFER_SMALL) {
			if (v.size > value_out->cap)
				return ERR_LIMIT;
			want = v.size;
			continue;
		}
		if (ret == DB_LOCK_DEADLOCK && t == NULL && tries < READ_RETRIES)
			continue;
		if (ret == 0)
			buf_commit(value_out, v.size);
		return err_of(ret);
	}
}

static int
bdb_put(struct kv_txn *t, struct slice key, struct slice value, bool insert)
{
	struct bdb *b = bdb_of(t->kv);
	DBT k = dbt_of(key), v = dbt_of(value);

	if (!has_room(b))
		return ERR_FULL;
	return err_of(b->db->put(b->db, txn_of(t), &k, &v, insert ? DB_NOOVERWRITE : 0));
}

static int
bdb_del(struct kv_txn *t, struct slice key)
{
	struct bdb *b = bdb_of(t->kv);
	DBT k = dbt_of(key);

	return err_of(b->db->del(b->db, txn_of(t), &k, 0));
}

/* A scan under way: last is the key given to fn most recently, where a scan that lost a deadlock goes on. */
struct scan {
	struct bdb *b;
	DB_TXN *txn;
	struct slice to;
	size_t left; /* rows still wanted; SIZE_MAX: no bound */
	kv_row_fn fn;
	void *arg;
	struct buf last;
	void *bulk;
	u_int32_t bulk_size;
	bool end, resumed; /* resumed: last is already the smallest key behind the one given */
};

/* Gives the rows of one bulk read to fn. */
static int
scan_deliver(struct scan *s, DBT *data)
{
	void *at, *k, *v;
	u_int32_t klen, vlen;
	int err;

	DB_MULTIPLE_INIT(at, data);
	for (;;) {
		struct slice key;

		DB_MULTIPLE_KEY_NEXT(at, data, k, klen, v, vlen);
		if (at == NULL)
			return 0;
		key = slice_of(k, klen);
		if (s->left == 0 || (s->to.len > 0 && slice_cmp(key, s->to) >= 0)) {
			s->end = true;
			return 0;
		}
		if (s->left != SIZE_MAX)
			s->left--;
		s->resumed = false;
		buf_reset(&s->last);
		if ((err = buf_append_slice(&s->last, key)) != 0 ||
		    (err = s->fn(s->arg, key, slice_of(v, vlen))) != 0)
			return err;
	}
}

/* One pass with one cursor, from the key given (exclusive when it is the last one seen). *ret_out: Berkeley DB's result. */
static int
scan_pass(struct scan *s, struct slice from, int *ret_out)
{
	unsigned char first[KV_KEY_MAX + 1];
	DBC *cur = NULL;
	DBT k, v;
	u_int32_t how = DB_SET_RANGE;
	int err = 0, ret;

	memcpy(first, from.ptr == NULL ? (const unsigned char *)"" : from.ptr, from.len);
	memset(&k, 0, sizeof k);
	k.data = first;
	k.size = (u_int32_t)from.len;
	k.ulen = sizeof first;
	k.flags = DB_DBT_USERMEM;
	ret = s->b->db->cursor(s->b->db, s->txn, &cur, 0);
	while (ret == 0 && err == 0 && !s->end) {
		memset(&v, 0, sizeof v);
		v.data = s->bulk;
		v.ulen = s->bulk_size;
		v.flags = DB_DBT_USERMEM;
		ret = cur->get(cur, &k, &v, how | DB_MULTIPLE_KEY);
		if (ret == DB_BUFFER_SMALL && s->bulk_size < 4 * KV_VALUE_MAX) {
			s->bulk_size *= 2;
			s->bulk = xrealloc(s->bulk, s->bulk_size);
			ret = 0;
			continue;
		}
		if (ret != 0)
			break;
		err = scan_deliver(s, &v);
		how = DB_NEXT;
	}
	if (cur != NULL)
		cur->close(cur);
	*ret_out = ret;
	return err;
}

static int
bdb_scan(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, size_t max,
    kv_row_fn fn, void *arg)
{
	struct scan s = {.b = bdb_of(kv), .txn = txn_of(t), .to = to, .fn = fn, .arg = arg};
	int err, ret;

	s.left = max == 0 ? SIZE_MAX : max;
	s.bulk_size = max > 0 && max <= 16 ? BULK_SIZE / 4 : BULK_SIZE;
	s.bulk = xmalloc(s.bulk_size);
	buf_init(&s.last, KV_KEY_MAX + 1);
	for (unsigned tries = 0;; tries++) {
		err = scan_pass(&s, s.last.len > 0 ? buf_slice(&s.last) : from, &ret);
		if (err != 0 || s.end || ret != DB_LOCK_DEADLOCK || t != NULL ||
		    tries >= READ_RETRIES)
			break;
		if (s.last.len > 0 && !s.resumed) {
			buf_append_byte(&s.last, 0);
			s.resumed = true;
		}
	}
	if (err == 0 && !s.end && ret != DB_NOTFOUND)
		err = err_of(ret);
	free(s.bulk);
	buf_done(&s.last);
	return err;
}

static int
copy_out(struct buf *out, const DBT *d)
{
	return out == NULL ? 0 : buf_append(out, d->data, d->size);
}

static int
bdb_last(struct kv *kv, struct kv_txn *t, struct slice from, struct slice to, struct buf *key_out,
    struct buf *value_out)
{
	struct bdb *b = bdb_of(kv);
	DBC *cur = NULL;
	DBT k, v;
	int err, ret;

	for (unsigned tries = 0;; tries++) {
		memset(&k, 0, sizeof k);
		memset(&v, 0, sizeof v);
		k.flags = v.flags = DB_DBT_REALLOC;
		ret = b->db->cursor(b->db, txn_of(t), &cur, 0);
		if (ret != 0)
			return err_of(ret);
		if (to.len > 0) {
			k.data = xmalloc(to.len);
			memcpy(k.data, to.ptr, to.len);
			k.size = (u_int32_t)to.len;
			ret = cur->get(cur, &k, &v, DB_SET_RANGE);
		}
		if (ret == 0 && to.len > 0)
			ret = cur->get(cur, &k, &v, DB_PREV);
		else if (ret == 0 || ret == DB_NOTFOUND)
			ret = cur->get(cur, &k, &v, DB_LAST);
		err = err_of(ret);
		if (ret == 0 && slice_cmp(slice_of(k.data, k.size), from) < 0)
			err = ERR_NOTFOUND;
		if (err == 0 && (err = copy_out(key_out, &k)) == 0)
			err = copy_out(value_out, &v);
		free(k.data);
		free(v.data);
		cur->close(cur);
		if (ret != DB_LOCK_DEADLOCK || t != NULL || tries >= READ_RETRIES)
			return err;
	}
}

/* ---- the keeper: checkpoints, so that recovery is short and the log does not grow ---- */

static void *
keeper_main(void *arg)
{
	struct bdb *b = (struct bdb *)arg;
	struct timespec until;
	int ret;

	pthread_mutex_lock(&b->mu);
	while (!b->ending) {
		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_sec += CHECKPOINT_EVERY_S;
		pthread_cond_timedwait(&b->wake, &b->mu, &until);
		if (b->ending)
			break;
		pthread_mutex_unlock(&b->mu);
		ret = checkpoint(b, CHECKPOINT_LOG_KB, 1);
		if (ret != 0)
			log_msg(LOG_LVL_WARN, "kv", "checkpoint: %s", db_strerror(ret));
		pthread_mutex_lock(&b->mu);
	}
	pthread_mutex_unlock(&b->mu);
	return NULL;
}

static void
bdb_close(struct kv *kv)
{
	struct bdb *b = bdb_of(kv);

	if (b->keeper_on) {
		pthread_mutex_lock(&b->mu);
		b->ending = true;
		pthread_cond_signal(&b->wake);
		pthread_mutex_unlock(&b->mu);
		pthread_join(b->keeper, NULL);
		(void)bdb_checkpoint(kv);
	}
	if (b->db != NULL)
		b->db->close(b->db, 0);
	if (b->env != NULL)
		b->env->close(b->env, 0);
	if (b->paged)
		kv_page_end();
	if (b->lock_fd >= 0)
		close(b->lock_fd);
	pthread_cond_destroy(&b->wake);
	pthread_mutex_destroy(&b->mu);
	pthread_mutex_destroy(&b->checkpoint_mu);
	free(b);
}

static const struct kv_ops bdb_ops = {
    .close = bdb_close,
    .begin = bdb_begin,
    .commit = bdb_commit,
    .abort = bdb_abort,
    .sync = bdb_sync,
    .checkpoint = bdb_checkpoint,
    .get = bdb_get,
    .put = bdb_put,
    .del = bdb_del,
    .scan = bdb_scan,
    .last = bdb_last,
    .note = bdb_note,
    .notes = bdb_notes,
    .settle_by = bdb_settle_by,
    .forget_log = bdb_forget_log,
};

/* One process per environment, or both would ruin it. */
static int
lock_dir(const char *dir, int *fd_out)
{
	int dfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1, err = 0;

	if (dfd < 0)
		return err_from_errno(errno);
	fd = openat(dfd, "kv.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		err = err_from_errno(errno);
	else if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		err = errno == EWOULDBLOCK ? ERR_EXISTS : err_from_errno(errno);
	close(dfd);
	if (err == 0)
		*fd_out = fd;
	else if (fd >= 0)
		close(fd);
	return err;
}

/* Writes what is read to its place once more, and syncs it: after a sync that failed the kernel may hold in memory what is not on the disk,
 * and call it clean. */
static int
rewrite(int fd)
{
	static const unsigned char zeros[SETTLE_STEP];
	unsigned char *p = xmalloc(SETTLE_STEP);
	ssize_t n = 0;
	int err = 0;

	for (off_t at = 0; err == 0 && (n = pread(fd, p, SETTLE_STEP, at)) > 0; at += n)
		/* the rest of a log file is zeros since it was made */
		if (memcmp(p, zeros, (size_t)n) != 0 && pwrite(fd, p, (size_t)n, at) != n)
			err = errno != 0 ? err_from_errno(errno) : ERR_IO;
	if (err == 0 && (n < 0 || fdatasync(fd) != 0))
		err = err_from_errno(errno);
	free(p);
	return err;
}

/* What a process wrote of the log and did not sync before it ended is read by recovery, but a power cut may still take it back: Berkeley
 * DB believes what it read, and would put pages in place that are newer than the log. */
static int
log_settle(const char *dir)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = dir_fd < 0 ? NULL : fdopendir(dir_fd);
	struct dirent *e;
	int err = d == NULL ? err_from_errno(errno) : 0;

	if (d == NULL && dir_fd >= 0)
		close(dir_fd);
	while (err == 0 && (e = readdir(d)) != NULL) {
		int fd;

		if (strncmp(e->d_name, "log.", 4) != 0)
			continue;
		fd = openat(dir_fd, e->d_name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
		err = fd < 0 ? err_from_errno(errno) : rewrite(fd);
		if (fd >= 0)
			close(fd);
	}
	if (d != NULL)
		closedir(d);
	return err;
}

/* For the process, before its environment is made. */
static void
use_kv_page(void)
{
	db_env_set_func_open(kv_page_open);
	db_env_set_func_close(kv_page_close);
	db_env_set_func_rename(kv_page_rename);
	db_env_set_func_unlink(kv_page_unlink);
	db_env_set_func_fsync(kv_page_fsync);
	db_env_set_func_ftruncate(kv_page_ftruncate);
	db_env_set_func_pread(kv_page_pread);
	db_env_set_func_pwrite(kv_page_pwrite);
	db_env_set_func_write(kv_page_write);
}

static int
env_open(struct bdb *b, const struct kv_options *o)
{
	size_t cache = o->cache_bytes == 0 ? 8u << 20 : o->cache_bytes;
	u_int32_t locks = 3 * (o->max_writes == 0 ? 10000 : o->max_writes);
	u_int32_t log_max = (u_int32_t)(o->log_file_bytes == 0 ? 4u << 20 : o->log_file_bytes);
	DB_ENV *e;
	int ret = db_env_create(&b->env, 0);

	if (ret != 0)
		return ret;
	e = b->env;
	e->set_errcall(e, on_error);
	if ((ret = e->set_event_notify(e, on_event)) != 0 ||
	    (ret = e->set_cachesize(
		 e, (u_int32_t)(cache >> 30), (u_int32_t)(cache & ((1u << 30) - 1)), 1)) != 0 ||
	    (ret = e->set_lk_detect(e, DB_LOCK_MINWRITE)) != 0 ||
	    (ret = e->set_lk_max_locks(e, locks)) != 0 ||
	    (ret = e->set_lk_max_objects(e, locks)) != 0 ||
	    (ret = e->set_lk_max_lockers(e, 2000)) != 0 || (ret = e->set_tx_max(e, 200)) != 0 ||
	    (ret = e->set_lg_bsize(e, LOG_BUFFER < log_max / 4 ? LOG_BUFFER : log_max / 4)) != 0 ||
	    (ret = e->set_lg_max(e, log_max)) != 0 ||
	    (ret = e->set_app_dispatch(e, on_own_record)) != 0 ||
	    (ret = e->log_set_config(e, DB_LOG_AUTO_REMOVE, !o->notes)) != 0 ||
	    /* written to its full length when it is made: a sync that makes no file longer is half the work */
	    (ret = e->log_set_config(e, DB_LOG_ZERO, 1)) != 0)
		return ret;
	return e->open(e, o->dir,
	    DB_CREATE | DB_PRIVATE | DB_INIT_TXN | DB_INIT_LOG | DB_INIT_MPOOL | DB_INIT_LOCK |
		DB_THREAD | DB_RECOVER,
	    0600);
}

static int
table_open(struct bdb *b)
{
	int ret = db_create(&b->db, b->env, 0);

	if (ret != 0)
		return ret;
	if ((ret = b->db->set_pagesize(b->db, PAGE_SIZE)) != 0 ||
	    (ret = b->db->set_flags(b->db, DB_CHKSUM)) != 0)
		return ret;
	return b->db->open(b->db, NULL, KV_PAGE_FILE, NULL, DB_BTREE,
	    DB_AUTO_COMMIT | DB_CREATE | DB_THREAD, 0600);
}

int
kv_bdb_open(const struct kv_options *o, struct kv **kv_out)
{
	struct bdb *b = xcalloc(1, sizeof *b);
	pthread_condattr_t attr;
	int err, ret;

	b->kv.ops = &bdb_ops;
	b->lock_fd = -1;
	b->reserve = o->reserve_bytes == 0 ? RESERVE : o->reserve_bytes;
	b->room_checked_ms = INT64_MIN / 2;
	pthread_mutex_init(&b->mu, NULL);
	/* not the clock of the wall: it may be set back while the keeper sleeps */
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&b->wake, &attr);
	pthread_condattr_destroy(&attr);
	pthread_mutex_init(&b->checkpoint_mu, NULL);
	b->notes = o->notes;
	if ((err = lock_dir(o->dir, &b->lock_fd)) != 0) {
		log_msg(LOG_LVL_ERROR, "kv", "%s: %s", o->dir,
		    err == ERR_EXISTS ? "another process has it open" : err_name(err));
		goto out;
	}
	use_kv_page();
	if ((err = kv_page_start(o->dir)) != 0) {
		log_msg(LOG_LVL_ERROR, "kv", "open %s: pages.dw: %s", o->dir, err_name(err));
		goto out;
	}
	b->paged = true;
	if ((err = log_settle(o->dir)) != 0) {
		log_msg(LOG_LVL_ERROR, "kv", "open %s: the log: %s", o->dir, err_name(err));
		goto out;
	}
	if ((ret = env_open(b, o)) != 0 || (ret = table_open(b)) != 0) {
		log_msg(LOG_LVL_ERROR, "kv", "open %s: %s", o->dir, db_strerror(ret));
		err = err_of(ret);
		goto out;
	}
	if (pthread_create(&b->keeper, NULL, keeper_main, b) != 0) {
		err = ERR_NOMEM;
		goto out;
	}
	b->keeper_on = true;
	*kv_out = &b->kv;
	return 0;
out:
	bdb_close(&b->kv);
	return err;
}
