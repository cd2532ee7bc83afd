/* backend_kv_body.c: bodies of the embedded backend. Runs in stored's threads.
 *
 * A body goes to a segment first; its rows ("b/<number>": place, "s/<digest>": number) go into the next commit, after the segments were
 * synced. Until then it is "pending": found by its digest, so that the same body twice at once is written once.
 *
 * The record of a small body goes into the log beside its rows instead (kv_note): one sync for both. Its segment is synced before that log goes, and at
 * a start records in the log that rows refer to are put in place again, before the segments are opened. */
#include "store/backend_kv_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum {
	BODY_KEY = 24,
	SHA_KEY = 72,
	SHA_ROW_VERSION = 1,
	PLACE_TRIES =
	    4, /* a file may go away between the look at the row and the read: the row has the new place then */
	NOTE_VERSION = 1,
	NOTE_HEAD = 21, /* u8 version, u64 body, u32 segment, u64 offset; the record follows */
	NOTE_RECORD =
	    32 *
	    1024, /* longest record whose octets go into the log instead of being synced by themselves */
};

struct slice
bkv_body_key(uint64_t body, char key[BODY_KEY])
{
	snprintf(key, BODY_KEY, "b/%016" PRIx64, body);
	return slice_str(key);
}

static struct slice
sha_key(const unsigned char sha256[32], bool part, char key[SHA_KEY])
{
	key[0] = part ? 'p' : 's';
	key[1] = '/';
	hex_encode(sha256, 32, key + 2);
	return slice_str(key);
}

/* The value of "s/": version, number. */
static void
sha_row_encode(uint64_t body, struct buf *out)
{
	buf_append_byte(out, SHA_ROW_VERSION);
	buf_append_u64(out, body);
}

static int
sha_row_decode(struct slice v, uint64_t *body_out)
{
	uint64_t body = 0;

	if (v.len != 9 || v.ptr[0] != SHA_ROW_VERSION)
		return ERR_CORRUPT;
	for (size_t i = 1; i < v.len; i++)
		body = body << 8 | v.ptr[i];
	*body_out = body;
	return 0;
}

static struct pending **
bucket(struct bkv *b, const unsigned char sha256[32])
{
	return &b->pending[((unsigned)sha256[0] << 8 | sha256[1]) % PENDING_BUCKETS];
}

/* With body_mu. */
static struct pending *
pending_find(struct bkv *b, const unsigned char sha256[32], bool part)
{
	struct pending *p = *bucket(b, sha256);

	while (p != NULL && (p->part != part || memcmp(p->sha256, sha256, 32) != 0))
		p = p->next;
	return p;
}

/* With body_mu. */
static void
pending_remove(struct bkv *b, struct pending *p)
{
	struct pending **at = bucket(b, p->sha256);

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
}

/* With body_mu. */
static struct pending *
pending_new(struct bkv *b, const unsigned char sha256[32], uint64_t size, bool part)
{
	struct pending *p = xcalloc(1, sizeof *p);

	memcpy(p->sha256, sha256, 32);
	p->size = size;
	p->part = part;
	buf_init(&p->record, NOTE_RECORD);
	queue_init(&p->waiters);
	p->next = *bucket(b, sha256);
	*bucket(b, sha256) = p;
	return p;
}

static void
pending_free(struct pending *p)
{
	buf_done(&p->record);
	free(p->refs);
	free(p);
}

/* With body_mu: it is written, or (err, or known) was not to be. */
static void
pending_settle(struct bkv *b, struct pending *p, bool written)
{
	if (written) {
		p->ready = true;
		p->ready_next = b->ready;
		b->ready = p;
	} else {
		pending_remove(b, p);
		pending_free(p);
	}
}

/* The number of a body that is there already. */
static int
body_find(struct bkv *b, const unsigned char sha256[32], bool part, uint64_t *body_out)
{
	char key[SHA_KEY];
	struct buf v;
	int err;

	buf_init(&v, 64);
	err = kv_get(b->kv, NULL, sha_key(sha256, part, key), &v);
	if (err == 0)
		err = sha_row_decode(buf_slice(&v), body_out);
	buf_done(&v);
	return err;
}

/* The same, and it stays there for who asked. */
static int
body_known(struct bkv *b, const unsigned char sha256[32], bool part, uint64_t *body_out)
{
	int err = body_find(b, sha256, part, body_out);

	if (err == 0 && !bkv_space_hand(b, *body_out, true))
		err = ERR_NOTFOUND; /* dropped just now: it is written anew */
	return err;
}

/* Writes a body that is not there: as it is, or its large parts by themselves. */
static int
body_write(struct bkv *b, struct job *j, struct pending *p)
{
	struct seg_body sb = {.sha256 = j->sha256,
	    .size = j->size,
	    .content = buf_slice(&j->content),
	    .fd = j->fd,
	    .summary = buf_slice(&j->summary),
	    .record = &p->record};
	struct bkv_composite c;
	int err = bkv_compose(b, j, &c);

	if (err == 0 && c.n_refs > 0) {
		sb.flags = SEG_COMPOSITE;
		sb.content = buf_slice(&c.content);
		sb.fd = -1;
		p->refs = xcalloc(c.n_refs, sizeof *p->refs);
		memcpy(p->refs, c.refs, c.n_refs * sizeof *p->refs);
		p->n_refs = c.n_refs;
	}
	if (err == 0)
		err = seg_write(b->seg, &sb, &p->loc);
	buf_done(&c.content);
	if (err == 0)
		(void)bkv_space_hand(b, p->loc.body, false);
	return err;
}

int
bkv_part_put(struct bkv *b, const unsigned char sha256[32], struct slice octets, uint64_t *body_out)
{
	struct seg_body sb = {.sha256 = sha256,
	    .size = octets.len,
	    .content = octets,
	    .fd = -1,
	    .flags = SEG_PART,
	    .digested = true};
	struct pending *p;
	bool known;
	int err;

	pthread_mutex_lock(&b->body_mu);
	/* Who writes it waits for nobody meanwhile. */
	while ((p = pending_find(b, sha256, true)) != NULL && !p->ready)
		pthread_cond_wait(&b->part_wake, &b->body_mu);
	if (p != NULL) {
		*body_out = p->loc.body;
		/* Not committed, so not dropped either. */
		(void)bkv_space_hand(b, *body_out, false);
		pthread_mutex_unlock(&b->body_mu);
		return 0;
	}
	p = pending_new(b, sha256, octets.len, true);
	pthread_mutex_unlock(&b->body_mu);
	err = body_known(b, sha256, true, body_out);
	known = err == 0;
	if (err == ERR_NOTFOUND && (err = seg_write(b->seg, &sb, &p->loc)) == 0) {
		*body_out = p->loc.body;
		(void)bkv_space_hand(b, *body_out, false);
	}
	pthread_mutex_lock(&b->body_mu);
	pending_settle(b, p, err == 0 && !known);
	pthread_cond_broadcast(&b->part_wake);
	pthread_mutex_unlock(&b->body_mu);
	pthread_mutex_lock(&b->mu);
	b->stat.parts += err == 0 && !known;
	b->stat.parts_shared += known;
	pthread_mutex_unlock(&b->mu);
	return err;
}

static void
job_body(struct bkv *b, struct job *j, int err, uint64_t body)
{
	j->err = err;
	j->body = body;
	bkv_finish(b, j);
}

/* It is there: j's, when j has its octets. */
static void
job_body_shared(struct bkv *b, struct job *j, uint64_t body)
{
	int err = bkv_content_is(j);

	job_body(b, j, err, err == 0 ? body : 0);
}

void
bkv_run_body_put(struct bkv *b, struct job *j)
{
	struct pending *p;
	struct job_queue waiters;
	struct job *w;
	uint64_t body = 0;
	bool known = false;
	unsigned epoch;
	int err;

	pthread_mutex_lock(&b->body_mu);
	p = pending_find(b, j->sha256, false);
	if (p != NULL) {
		if (p->ready)
			body = p->loc.body;
		else
			queue_add(&p->waiters, j);
		/* Not committed, so not dropped either. */
		if (body > 0)
			(void)bkv_space_hand(b, body, false);
		pthread_mutex_unlock(&b->body_mu);
		if (body > 0)
			job_body_shared(b, j, body);
		return;
	}
	p = pending_new(b, j->sha256, j->size, false);
	pthread_mutex_unlock(&b->body_mu);

	epoch = bkv_space_put_begin(b);
	err = body_known(b, j->sha256, false, &body);
	known = err == 0;
	if (err == ERR_NOTFOUND) {
		err = body_write(b, j, p);
		body = err == 0 ? p->loc.body : 0;
	}
	pthread_mutex_lock(&b->body_mu);
	waiters = p->waiters;
	if (waiters.first == NULL)
		waiters.end = &waiters.first;
	queue_init(&p->waiters);
	pending_settle(b, p, err == 0 && !known);
	pthread_mutex_unlock(&b->body_mu);
	bkv_space_put_end(b, epoch);
	pthread_mutex_lock(&b->mu);
	if (err == 0 && known)
		b->stat.bodies_shared++;
	else if (err == 0)
		b->stat.bodies++;
	pthread_mutex_unlock(&b->mu);
	/* Who waited may have the right bytes where the first one had not. */
	while ((w = queue_take(&waiters)) != NULL)
		if (err == 0)
			job_body_shared(b, w, body);
		else
			job_body(b, w, ERR_TEMP, body);
	if (known)
		job_body_shared(b, j, body);
	else
		job_body(b, j, err, body);
}

int
bkv_body_loc(struct bkv *b, uint64_t body, struct seg_loc *loc)
{
	char key[BODY_KEY];
	struct buf v;
	int err;

	buf_init(&v, BODY_ROW_MAX);
	err = kv_get(b->kv, NULL, bkv_body_key(body, key), &v);
	if (err == 0)
		err = seg_loc_decode(buf_slice(&v), body, loc);
	buf_done(&v);
	if (err != ERR_NOTFOUND)
		return err;
	pthread_mutex_lock(&b->body_mu);
	for (unsigned i = 0; i < PENDING_BUCKETS && err != 0; i++)
		for (struct pending *p = b->pending[i]; p != NULL; p = p->next)
			if (p->ready && p->loc.body == body) {
				*loc = p->loc;
				err = 0;
			}
	pthread_mutex_unlock(&b->body_mu);
	return err;
}

static int
read_whole(void *arg, uint64_t body, bool summary, struct buf *out, uint32_t *summary_len_out)
{
	struct bkv *b = (struct bkv *)arg;
	struct seg_loc loc;
	int err = ERR_NOTFOUND;

	for (int i = 0; i < PLACE_TRIES && err == ERR_NOTFOUND; i++) {
		if ((err = bkv_body_loc(b, body, &loc)) != 0)
			break;
		err = seg_read_whole(b->seg, &loc, summary, out);
	}
	*summary_len_out = err == 0 && summary ? loc.summary_len : 0;
	return err;
}

static int
read_summary(void *arg, uint64_t body, bool summary, struct buf *out, uint32_t *summary_len_out)
{
	struct bkv *b = (struct bkv *)arg;
	struct seg_loc loc;
	int err = ERR_NOTFOUND;

	(void)summary;
	for (int i = 0; i < PLACE_TRIES && err == ERR_NOTFOUND; i++) {
		if ((err = bkv_body_loc(b, body, &loc)) != 0)
			break;
		err = loc.summary_len > BACKEND_WHOLE_MAX ? ERR_LIMIT
							  : seg_read_summary(b->seg, &loc, out);
	}
	*summary_len_out = err == 0 ? loc.summary_len : 0;
	return err;
}

static void
run_bodies(struct bkv *b, struct job *j)
{
	for (size_t at = 0; at + sizeof(uint64_t) <= j->content.len; at += sizeof(uint64_t)) {
		uint64_t body;

		memcpy(&body, j->content.data + at, sizeof body);
		bodies_put(&j->value, j->kind == JOB_SUMMARIES ? read_summary : read_whole, b, body,
		    j->max != 0);
	}
	j->err = j->value.err;
}

static void
run_check(struct bkv *b, struct job *j)
{
	for (size_t at = 0; at + sizeof(uint64_t) <= j->content.len; at += sizeof(uint64_t)) {
		struct backend_checked c = {0};
		struct seg_loc loc;
		uint64_t body;

		memcpy(&body, j->content.data + at, sizeof body);
		c.err = ERR_GONE;
		/* A compaction may take the file away between the two. */
		for (int i = 0; i < PLACE_TRIES && c.err == ERR_GONE; i++) {
			if ((c.err = bkv_body_loc(b, body, &loc)) != 0)
				break;
			c.size = loc.size;
			c.file = loc.segment;
			c.err = j->max != 0 ? bkv_check(b, &loc) : seg_there(b->seg, &loc);
			if (c.err == ERR_NOTFOUND)
				c.err = ERR_GONE;
		}
		buf_append(&j->value, &c, sizeof c);
	}
	j->err = j->value.err;
}

static int
add_number(void *arg, struct slice key, struct slice value)
{
	struct buf *out = arg;
	uint64_t body;
	int err = bkv_body_of_key(key, &body);

	(void)value;
	return err != 0 ? err : buf_append(out, &body, sizeof body);
}

static void
run_after(struct bkv *b, struct job *j)
{
	struct seg_loc last = {.body = 0};
	char from[24];

	j->err = bkv_last_body(b->kv, &last);
	if (j->err == ERR_NOTFOUND)
		j->err = 0;
	if (j->err == 0)
		j->err = buf_append(&j->value, &last.body, sizeof last.body);
	if (j->err == 0 && j->body < last.body)
		j->err = kv_scan(b->kv, NULL, bkv_body_key(j->body + 1, from), slice_str("b0"),
		    j->max, add_number, &j->value);
}

void
bkv_run_body_get(struct bkv *b, struct job *j)
{
	struct seg_loc loc;

	if (j->kind == JOB_AFTER) {
		run_after(b, j);
		bkv_finish(b, j);
		return;
	}

	if (j->kind == JOB_CHECK) {
		run_check(b, j);
		bkv_finish(b, j);
		return;
	}
	if (j->kind == JOB_BODY_FIND) {
		j->err = body_find(b, j->sha256, false, &j->body);
		bkv_finish(b, j);
		return;
	}
	if (j->kind == JOB_BODIES || j->kind == JOB_SUMMARIES) {
		run_bodies(b, j);
		bkv_finish(b, j);
		return;
	}
	j->err = ERR_NOTFOUND;
	for (int i = 0; i < PLACE_TRIES && j->err == ERR_NOTFOUND; i++) {
		if ((j->err = bkv_body_loc(b, j->body, &loc)) != 0)
			break;
		buf_reset(&j->value); /* a composite may have been read in part */
		j->err = j->kind == JOB_SUMMARY ? seg_read_summary(b->seg, &loc, &j->value)
						: bkv_read(b, &loc, j->off, j->len, &j->value);
	}
	bkv_finish(b, j);
}

void
bkv_run_rewrap(struct bkv *b, struct job *j)
{
	struct seg_file file;
	bool done = false;

	j->err = seg_file_next(b->seg, (uint32_t)j->body, &file);
	if (j->err == 0)
		j->err = seg_file_rewrap(b->seg, file.number, &done);
	if (j->err == 0) {
		buf_append_u32(&j->value, file.number);
		buf_append_byte(&j->value, done);
	}
	bkv_finish(b, j);
}

/* All bodies written so far whose rows are not committed; their segments must be synced after this call. */
struct pending *
bkv_ready_take(struct bkv *b)
{
	struct pending *list;

	pthread_mutex_lock(&b->body_mu);
	list = b->ready;
	b->ready = NULL;
	pthread_mutex_unlock(&b->body_mu);
	return list;
}

bool
bkv_ready_needs_sync(const struct pending *list)
{
	for (; list != NULL; list = list->ready_next)
		if (list->record.len == 0)
			return true;
	return false;
}

static int
note_put(struct kv_txn *t, const struct pending *p, struct buf *v)
{
	if (p->record.len == 0)
		return 0;
	buf_reset(v);
	buf_append_byte(v, NOTE_VERSION);
	buf_append_u64(v, p->loc.body);
	buf_append_u32(v, p->loc.segment);
	buf_append_u64(v, p->loc.off);
	buf_append_slice(v, buf_slice(&p->record));
	return v->err != 0 ? v->err : kv_note(t, buf_slice(v));
}

int
bkv_ready_put_rows(struct kv_txn *t, const struct pending *list)
{
	char key[SHA_KEY];
	struct buf v;
	int err = 0;

	buf_init(
	    &v, BODY_ROW_MAX > NOTE_HEAD + NOTE_RECORD ? BODY_ROW_MAX : NOTE_HEAD + NOTE_RECORD);
	for (const struct pending *p = list; p != NULL && err == 0; p = p->ready_next) {
		if ((err = note_put(t, p, &v)) != 0)
			break;
		buf_reset(&v);
		seg_loc_encode(&p->loc, p->refs, p->n_refs, &v);
		err = kv_put(t, bkv_body_key(p->loc.body, key), buf_slice(&v));
		buf_reset(&v);
		sha_row_encode(p->loc.body, &v);
		if (err == 0)
			err = kv_put(t, sha_key(p->sha256, p->part, key), buf_slice(&v));
	}
	buf_done(&v);
	return err;
}

void
bkv_ready_committed(struct bkv *b, struct pending *list)
{
	struct pending *p;

	pthread_mutex_lock(&b->body_mu);
	while ((p = list) != NULL) {
		list = p->ready_next;
		pending_remove(b, p);
		pending_free(p);
	}
	pthread_mutex_unlock(&b->body_mu);
}

void
bkv_ready_back(struct bkv *b, struct pending *list)
{
	struct pending *p;

	pthread_mutex_lock(&b->body_mu);
	while ((p = list) != NULL) {
		list = p->ready_next;
		p->ready_next = b->ready;
		b->ready = p;
	}
	pthread_mutex_unlock(&b->body_mu);
}

/* The digest's row goes only while it is this body's: another one may have come in the meantime. */
int
bkv_drop(struct kv_txn *t, uint64_t body, uint64_t *octets_out)
{
	char key[SHA_KEY];
	struct seg_loc loc;
	uint64_t other = 0;
	struct buf v;
	int err;

	buf_init(&v, BODY_ROW_MAX);
	err = kv_get_update(t, bkv_body_key(body, key), &v);
	if (err == 0)
		err = seg_loc_decode(buf_slice(&v), body, &loc);
	if (err == 0)
		err = kv_del(t, bkv_body_key(body, key));
	if (err == 0) {
		err = kv_get_update(t, sha_key(loc.sha256, (loc.flags & SEG_PART) != 0, key), &v);
		if (err == 0)
			err = sha_row_decode(buf_slice(&v), &other);
		if (err == 0 && other == body)
			err = kv_del(t, sha_key(loc.sha256, (loc.flags & SEG_PART) != 0, key));
		if (err == ERR_NOTFOUND)
			err = 0;
		if (err == 0 && octets_out != NULL)
			*octets_out = loc.stored;
	}
	buf_done(&v);
	return err;
}

struct mend {
	struct kv *kv;
	struct seg_mender *m;
};

static uint64_t
be(const unsigned char *p, size_t n)
{
	uint64_t v = 0;

	for (size_t i = 0; i < n; i++)
		v = v << 8 | p[i];
	return v;
}

/* Only what a row refers to, at this very place: anything else may have been written over since. */
static int
mend_one(void *arg, struct slice note)
{
	struct mend *k = (struct mend *)arg;
	struct seg_loc l;
	char key[BODY_KEY];
	struct buf v;
	uint64_t body;
	int err;

	if (note.len <= NOTE_HEAD || note.ptr[0] != NOTE_VERSION)
		return ERR_CORRUPT;
	body = be(note.ptr + 1, 8);
	buf_init(&v, KV_VALUE_MAX);
	err = kv_get(k->kv, NULL, bkv_body_key(body, key), &v);
	if (err == 0)
		err = seg_loc_decode(buf_slice(&v), body, &l);
	buf_done(&v);
	if (err != 0)
		return err == ERR_NOTFOUND ? 0 : err;
	if (l.segment != be(note.ptr + 9, 4) || l.off != be(note.ptr + 13, 8) ||
	    l.stored != note.len - NOTE_HEAD)
		return 0;
	err = seg_mend(k->m, &l, slice_from(note, NOTE_HEAD));
	return err == ERR_NOTFOUND ? 0 : err; /* a lost file costs its own messages alone */
}

int
bkv_mend(struct kv *kv, const char *segments)
{
	struct mend k = {kv, seg_mender_new(segments)};
	unsigned n = 0;
	int err = kv_notes(kv, mend_one, &k), synced = seg_mender_end(k.m, &n);

	if (n > 0)
		log_msg(
		    LOG_LVL_INFO, "segment_mend", "%u bodies were put in place from the log", n);
	return err != 0 ? err : synced;
}

int
bkv_switch(struct kv_txn *t, const struct seg_loc *from, const struct seg_loc *to)
{
	char key[BODY_KEY];
	struct seg_loc now;
	struct buf v;
	int err;

	buf_init(&v, BODY_ROW_MAX);
	err = kv_get_update(t, bkv_body_key(from->body, key), &v);
	if (err == 0)
		err = seg_loc_decode(buf_slice(&v), from->body, &now);
	if (err == 0 && (now.segment != from->segment || now.off != from->off))
		err = ERR_CONFLICT;
	if (err == 0) {
		uint64_t refs[SEG_REFS_MAX];
		size_t n;

		err = seg_loc_refs(buf_slice(&v), refs, &n);
		buf_reset(&v);
		if (err == 0)
			err = seg_loc_encode(to, refs, n, &v);
		if (err == 0)
			err = kv_put(t, bkv_body_key(from->body, key), buf_slice(&v));
	}
	buf_done(&v);
	return err;
}

/* ---- "g/next" ---- */

int
bkv_next_put(struct kv_txn *t, uint64_t next)
{
	struct buf v;
	int err;

	buf_init(&v, 16);
	sha_row_encode(next, &v); /* the same form: version, number */
	err = kv_put(t, slice_str("g/next"), buf_slice(&v));
	buf_done(&v);
	return err;
}

int
bkv_next_get(struct kv *kv, uint64_t *next_out)
{
	struct buf v;
	int err;

	buf_init(&v, 64);
	err = kv_get(kv, NULL, slice_str("g/next"), &v);
	if (err == ERR_NOTFOUND)
		*next_out = 0;
	else if (err == 0)
		err = sha_row_decode(buf_slice(&v), next_out);
	buf_done(&v);
	return err == ERR_NOTFOUND ? 0 : err;
}

int
bkv_body_of_key(struct slice key, uint64_t *body_out)
{
	unsigned char n[8];
	uint64_t body = 0;

	if (key.len != 18 || hex_decode(slice_from(key, 2), n, sizeof n) != 0)
		return ERR_CORRUPT;
	for (size_t i = 0; i < sizeof n; i++)
		body = body << 8 | n[i];
	*body_out = body;
	return 0;
}

bool
bkv_pending_in(struct bkv *b, uint32_t segment)
{
	bool found = false;

	pthread_mutex_lock(&b->body_mu);
	for (unsigned i = 0; i < PENDING_BUCKETS && !found; i++)
		for (const struct pending *p = b->pending[i]; p != NULL; p = p->next)
			found = found || (p->ready && p->loc.segment == segment);
	pthread_mutex_unlock(&b->body_mu);
	return found;
}

int
bkv_last_body(struct kv *kv, struct seg_loc *loc_out)
{
	struct buf k, v;
	uint64_t body = 0;
	int err;

	buf_init(&k, KV_KEY_MAX);
	buf_init(&v, BODY_ROW_MAX);
	err = kv_last(kv, NULL, slice_str("b/"), slice_str("b0"), &k, &v);
	if (err == 0)
		err = bkv_body_of_key(buf_slice(&k), &body);
	if (err == 0)
		err = seg_loc_decode(buf_slice(&v), body, loc_out);
	buf_done(&k);
	buf_done(&v);
	return err;
}

void
bkv_bodies_free(struct bkv *b)
{
	for (unsigned i = 0; i < PENDING_BUCKETS; i++) {
		struct pending *p;

		while ((p = b->pending[i]) != NULL) {
			b->pending[i] = p->next;
			pending_free(p);
		}
	}
}
