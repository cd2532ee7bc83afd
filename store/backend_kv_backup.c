/* backend_kv_backup.c: what a backup reads of the embedded backend, piece by piece, while it works. Runs in stored's threads.
 *
 * Rows are read in steps, each as it is at that moment; the journal (journal.h) has what was changed since the first step began. The rows and the
 * journal up to any later place make the rows of exactly that moment: a change puts or removes a whole row, so it does not matter whether a step saw it
 * already. Segments only grow: a cut says how far each file is written for good, for all bodies that rows at that place of the journal refer to. */
#include "store/backend_kv_priv.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/backup_rec.h"

enum {
	ROWS_STEP = 1000,
	ROWS_OCTETS = 256 << 10,
	CUT_FILES = 20000,
	SETTLE_MS = 200,
	STORE_ID = 16,
};

/* Where the last committed body ends, in the files that are written. */
struct backup_ends {
	pthread_mutex_t mu;
	uint64_t *end; /* by number */
	uint32_t n;
};

static void
end_note(struct backup_ends *e, uint32_t file, uint64_t end)
{
	pthread_mutex_lock(&e->mu);
	if (file >= e->n) {
		e->end = xrealloc(e->end, ((size_t)file + 1) * sizeof *e->end);
		memset(e->end + e->n, 0, (file + 1 - e->n) * sizeof *e->end);
		e->n = file + 1;
	}
	if (end > e->end[file])
		e->end[file] = end;
	pthread_mutex_unlock(&e->mu);
}

static void
body_committed(void *arg, struct slice key, struct slice value)
{
	struct seg_loc l;

	(void)key;
	if (seg_loc_decode(value, 1, &l) == 0 && l.segment < UINT32_MAX)
		end_note((struct backup_ends *)arg, l.segment, l.off + l.stored);
}

/* What the files hold now is there for good: nothing that the last process left is written over, once it is synced. */
static int
ends_begin(struct bkv *b)
{
	struct seg_file f = {.number = 0};
	int err;

	seg_sync(b->seg);
	while ((err = seg_file_next(b->seg, f.number, &f)) == 0)
		if (f.writing)
			end_note(b->ends, f.number, f.size);
	return err == ERR_NOTFOUND ? 0 : err;
}

int
bkv_backup_open(struct bkv *b, const char *dir)
{
	struct journal_options o = {.body = body_committed};
	struct buf path;
	int err;

	b->ends = xcalloc(1, sizeof *b->ends);
	pthread_mutex_init(&b->ends->mu, NULL);
	buf_init(&path, 4096);
	buf_appendf(&path, "%s/journal", dir);
	o.dir = buf_cstr(&path);
	o.arg = b->ends;
	err = path.err != 0 ? path.err : journal_open(b->kv, &o, &b->journal);
	if (err == 0)
		err = ends_begin(b);
	buf_done(&path);
	return err;
}

void
bkv_backup_close(struct bkv *b)
{
	journal_close(b->journal);
	if (b->ends == NULL)
		return;
	free(b->ends->end);
	pthread_mutex_destroy(&b->ends->mu);
	free(b->ends);
}

static int64_t
now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* As ipc_put_slice has it. */
static int
put_bytes(struct buf *out, struct slice s)
{
	buf_append_u32(out, (uint32_t)s.len);
	return buf_append_slice(out, s);
}

/* What tells this store from others, also from one that was restored out of its backup: keys that begin with "w/" are in none. */
static int
store_id(struct bkv *b, struct buf *out)
{
	unsigned char id[STORE_ID];
	struct kv_txn *t;
	int err = kv_get(b->kv, NULL, slice_str("w/id"), out);

	if (err != ERR_NOTFOUND)
		return err != 0 || out->len == STORE_ID ? err : ERR_CORRUPT;
	random_bytes(id, sizeof id);
	buf_append(out, id, sizeof id);
	if ((err = kv_begin(b->kv, &t)) != 0)
		return err;
	err = kv_insert(t, slice_str("w/id"), slice_of(id, sizeof id));
	if (err == 0)
		return kv_commit(t, true);
	kv_abort(t);
	return err == ERR_EXISTS || err == ERR_AGAIN ? ERR_TEMP : err;
}

static int
run_begin(struct bkv *b, struct job *j)
{
	struct journal_state st;
	struct buf id;
	int err;

	buf_init(&id, STORE_ID);
	err = store_id(b, &id);
	if (err == 0)
		err = put_bytes(&j->value, buf_slice(&id));
	buf_done(&id);
	if (err == 0)
		err = journal_begin(b->journal);
	if (err == 0)
		err = journal_state_get(b->journal, &st);
	if (err == ERR_NOTFOUND)
		err = ERR_TEMP; /* dropped at once: a full disk */
	if (err != 0)
		return err;
	put_bytes(&j->value, slice_of(st.epoch, sizeof st.epoch));
	buf_append_u64(&j->value, st.first);
	buf_append_u64(&j->value, st.end);
	return buf_append_u64(&j->value, (uint64_t)now_us());
}

struct rows {
	struct buf rec, last;
	bool more;
	size_t n;
};

static int
rows_one(void *arg, struct slice key, struct slice value)
{
	struct rows *r = arg;

	if (r->n > 0 && r->rec.len + key.len + value.len > ROWS_OCTETS) {
		r->more = true;
		return 1;
	}
	buf_reset(&r->last);
	buf_append_slice(&r->last, key);
	r->n++;
	if (!slice_starts(key, "w/"))
		backup_rec_put(&r->rec, key, value);
	return r->rec.err;
}

static int
run_rows(struct bkv *b, struct job *j)
{
	struct rows r = {.n = 0};
	int err;

	buf_init(&r.rec, 2 * KV_VALUE_MAX);
	buf_init(&r.last, KV_KEY_MAX);
	backup_rec_begin(&r.rec);
	if (j->key.len > 0) /* the next key there could be */
		buf_append_byte(&j->key, 0);
	err = kv_scan(b->kv, NULL, buf_slice(&j->key), slice_str(""), ROWS_STEP, rows_one, &r);
	if (err == 1)
		err = 0;
	r.more = r.more || r.n == ROWS_STEP;
	(void)backup_rec_end(&r.rec, now_us(), 0);
	if (err == 0)
		err = r.rec.err;
	if (err == 0) {
		buf_append_byte(&j->value, r.more);
		put_bytes(&j->value, buf_slice(&r.last));
		err = put_bytes(&j->value, buf_slice(&r.rec));
	}
	buf_done(&r.rec);
	buf_done(&r.last);
	return err;
}

/* How far the file is as it will always be. ERR_AGAIN: not yet. */
static int
settled_end(struct bkv *b, const struct seg_file *f, uint64_t *end_out)
{
	uint64_t end = f->size;

	if (f->writing) {
		pthread_mutex_lock(&b->ends->mu);
		end = f->number < b->ends->n ? b->ends->end[f->number] : 0;
		pthread_mutex_unlock(&b->ends->mu);
	}
	*end_out = end;
	return seg_settled(b->seg, f->number, end) ? 0 : ERR_AGAIN;
}

static void
sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL);
}

static int
run_cut(struct bkv *b, struct job *j)
{
	struct journal_state st;
	struct seg_file f = {.number = (uint32_t)j->body};
	struct buf list;
	uint32_t n = 0;
	/* first the place in the journal, then the files: whatever its rows refer to is in them */
	int64_t now = now_us();
	int err = journal_state_get(b->journal, &st), waited = 0;

	if (err != 0 || !slice_eq(buf_slice(&j->key), slice_of(st.epoch, sizeof st.epoch)))
		return ERR_GONE;
	buf_init(&list, CUT_FILES * 12);
	while (n < CUT_FILES && (err = seg_file_next(b->seg, f.number, &f)) == 0) {
		uint64_t end;

		while ((err = settled_end(b, &f, &end)) == ERR_AGAIN && waited < SETTLE_MS) {
			sleep_ms(2);
			waited += 2;
		}
		if (err != 0)
			break;
		buf_append_u32(&list, f.number);
		buf_append_u64(&list, end);
		n++;
	}
	if (err == 0 || err == ERR_NOTFOUND) {
		buf_append_u64(&j->value, st.end);
		buf_append_u64(&j->value, (uint64_t)st.at_us);
		buf_append_u64(&j->value, (uint64_t)now);
		buf_append_u32(&j->value, err == 0 ? f.number : 0);
		buf_append_u32(&j->value, n);
		err = buf_append_slice(&j->value, buf_slice(&list));
	}
	buf_done(&list);
	return err == ERR_AGAIN ? ERR_TEMP : err;
}

void
bkv_run_backup(struct bkv *b, struct job *j)
{
	int err = ERR_RANGE;

	switch ((enum backend_backup)j->max) {
	case BACKEND_BACKUP_BEGIN:
		err = run_begin(b, j);
		break;
	case BACKEND_BACKUP_ROWS:
		err = run_rows(b, j);
		break;
	case BACKEND_BACKUP_JOURNAL:
		err = j->key.len != JOURNAL_EPOCH
			  ? ERR_GONE
			  : journal_read(b->journal, j->key.data, j->off, j->len, &j->value);
		break;
	case BACKEND_BACKUP_CUT:
		err = run_cut(b, j);
		break;
	case BACKEND_BACKUP_SEGMENT:
		err = j->body > UINT32_MAX
			  ? ERR_NOTFOUND
			  : seg_raw(b->seg, (uint32_t)j->body, j->off, j->len, &j->value);
		break;
	}
	j->err = err;
}
