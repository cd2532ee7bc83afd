/* restore_take.c: single mailboxes out of a backup, for `congvu store restore --mailbox`: which rows are meant is found by reading the rows of the backup several
 * times, keeping little each time; then the messages go to congvu one by one, which hands over of the files of bodies what each needs. Runs in
 * congvu-stored-restore ("index" 2), as the user of the store, in a scratch folder, in a sandbox.
 *
 * The stream brings first the request: u32 length, str account, str mailbox (empty: all), u8 below (those below it too). Then as often as "again" is said rows, journal and end as for
 * a whole restore; then an octet for each 'S': 1 when the range is in place. The result is frames: u8 kind, u32 length, payload; restore_client.h has them. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/backend_kv_priv.h"
#include "store/kept.h"
#include "store/restore.h"
#include "store/restore_client.h"
#include "store/stored_priv.h"

enum { PIECE = 256 << 10, REQUEST_MAX = 8192, PAGE = 200, SEGMENTS_MAX = 1 << 20 };
enum pass { PASS_ACCOUNT, PASS_MESSAGES, PASS_BODIES, PASS_PARTS };

struct taken { /* a mailbox */
	uint64_t id;
	char *name;
};
struct take {
	struct restore *r;
	int in_fd, out_fd;
	char *account, *mailbox;
	bool below;
	enum pass pass;
	char *prefix; /* of the account's rows */
	struct taken *boxes;
	size_t n_boxes;
	uint64_t *bodies; /* ascending, each once, from the end of a pass on */
	size_t n_bodies, bodies_alloc;
	uint64_t messages, octets;
	uint32_t segment_max;
	struct bkv b;
};

/* ---- the pipe ---- */

static void
frame(struct take *t, char kind, struct buf *payload)
{
	unsigned char head[5] = {(unsigned char)kind};
	struct slice parts[2];

	if (payload->err != 0)
		fatal("restore: a frame is too long");
	for (int i = 0; i < 4; i++)
		head[1 + i] = (unsigned char)(payload->len >> (24 - 8 * i));
	parts[0] = slice_of(head, sizeof head);
	parts[1] = buf_slice(payload);
	for (int i = 0; i < 2; i++)
		while (parts[i].len > 0) {
			ssize_t n = write(t->out_fd, parts[i].ptr, parts[i].len);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				fatal("restore: nobody listens");
			parts[i] = slice_from(parts[i], (size_t)n);
		}
	buf_done(payload);
}

static void
frame_empty(struct take *t, char kind)
{
	struct buf b;

	buf_init(&b, 16);
	frame(t, kind, &b);
}

/* Exactly n octets. 0, ERR_EOF, ERR_IO. */
static int
get(struct take *t, void *p, size_t n)
{
	size_t have = 0;

	while (have < n) {
		ssize_t got = read(t->in_fd, (unsigned char *)p + have, n - have);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? ERR_IO : ERR_EOF;
		have += (size_t)got;
	}
	return 0;
}

static int
request_read(struct take *t)
{
	unsigned char text[REQUEST_MAX], head[4];
	struct ipc_reader r;
	uint32_t n;
	int err = get(t, head, sizeof head);

	n = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
	if (err == 0 && n > sizeof text)
		err = ERR_PROTO;
	if (err == 0)
		err = get(t, text, n);
	if (err != 0)
		return err;
	ipc_reader_init(&r, slice_of(text, n));
	t->account = ipc_get_strdup(&r);
	t->mailbox = ipc_get_strdup(&r);
	t->below = ipc_get_u8(&r) != 0;
	return ipc_reader_end(&r);
}

/* ---- which rows ---- */

static bool
is_box(const struct take *t, uint64_t id)
{
	for (size_t i = 0; i < t->n_boxes; i++)
		if (t->boxes[i].id == id)
			return true;
	return false;
}

static int
compare_numbers(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static bool
hex_number(struct slice s, uint64_t *out)
{
	unsigned char raw[8];

	if (s.len != 16 || hex_decode(s, raw, sizeof raw) != 0)
		return false;
	*out = 0;
	for (size_t i = 0; i < sizeof raw; i++)
		*out = *out << 8 | raw[i];
	return true;
}

static bool
is_wanted(const struct take *t, struct slice key)
{
	uint64_t n;

	switch (t->pass) {
	case PASS_ACCOUNT:
		return slice_starts(key, t->prefix);
	case PASS_MESSAGES: /* "r/m.<16 hex>/m/" */
		return slice_starts(key, "r/m.") && key.len > 23 &&
		       hex_number(slice_sub(key, 4, 16), &n) &&
		       slice_starts(slice_from(key, 20), "/m/") && is_box(t, n);
	default:
		return slice_starts(key, "b/") && hex_number(slice_from(key, 2), &n) &&
		       t->n_bodies > 0 &&
		       bsearch(&n, t->bodies, t->n_bodies, sizeof n, compare_numbers) != NULL;
	}
}

static int
take_op(void *arg, const struct backup_op *op)
{
	struct take *t = arg;

	return is_wanted(t, op->key) ? restore_op(t->r, op) : 0;
}

/* One reading of all rows and changes. */
static int
pass_read(struct take *t, enum pass pass)
{
	static unsigned char piece[PIECE];
	struct backup_stream s;
	int err = 0;

	t->pass = pass;
	frame_empty(t, RESTORE_AGAIN);
	backup_stream_init(&s, take_op, t);
	while (err == 0 && s.section != BACKUP_END) {
		ssize_t n = read(t->in_fd, piece, sizeof piece);

		if (n < 0 && errno == EINTR)
			continue;
		err = n < 0    ? err_from_errno(errno)
		      : n == 0 ? ERR_EOF
			       : backup_stream_feed(&s, slice_of(piece, (size_t)n));
	}
	backup_stream_done(&s);
	if (err != 0 && t->r->t != NULL) {
		kv_abort(t->r->t);
		t->r->t = NULL;
	}
	return err != 0 ? err : restore_flush(t->r);
}

/* ---- mailboxes ---- */

static bool
name_is_meant(const struct take *t, struct slice name)
{
	size_t n = strlen(t->mailbox);

	return n == 0 || slice_eq_str(name, t->mailbox) ||
	       (t->below && name.len > n && slice_starts(name, t->mailbox) && name.ptr[n] == '/');
}

static void
box_add(struct take *t, uint64_t id, struct slice name)
{
	if (!name_is_meant(t, name))
		return;
	t->boxes = xrealloc(t->boxes, (t->n_boxes + 1) * sizeof *t->boxes);
	t->boxes[t->n_boxes++] = (struct taken){id, slice_dup(name)};
}

/* Names of the account: of mailboxes, or (buried) of those deleted and kept. */
static int
boxes_find(struct take *t, bool buried)
{
	struct buf object, from;
	bool more = true;
	int err = 0;

	buf_init(&object, OBJECT_ID_MAX);
	buf_appendf(&object, "a.%s", t->account);
	buf_init(&from, BACKEND_KEY_MAX + 1);
	buf_append_str(&from, buried ? "l/b" : "b/");
	while (more && err == 0) {
		struct rows_out out;

		err = rows_scan(t->r->kv, buf_slice(&object), buf_slice(&from),
		    slice_str(buried ? "l/c" : "b0"), BACKEND_SCAN_MAX, &out);
		for (size_t i = 0; i < out.n && err == 0; i++) {
			struct slice key = out.pairs[i].key, name;
			struct buried_row dead;
			uint32_t use;
			uint64_t id;

			if (!hex_number(slice_from(key, buried ? 3 : 2), &id))
				continue;
			if (buried ? buried_row_decode(out.pairs[i].value, &dead) == 0
				   : name_row_decode(out.pairs[i].value, &use, &name) == 0)
				box_add(t, id, buried ? dead.name : name);
		}
		more = err == 0 && out.more && out.n > 0 && t->n_boxes < MBOXES_MAX;
		if (more) {
			buf_reset(&from);
			buf_append_slice(&from, out.pairs[out.n - 1].key);
			buf_append_byte(&from, '!');
		}
		rows_out_done(&out);
	}
	buf_done(&object);
	buf_done(&from);
	return err;
}

/* ---- messages ---- */

typedef int (*message_fn)(struct take *t, const struct taken *box, const struct msg_row *m);

/* Each message of a mailbox. Rows that cannot be read are told as damaged by fn (NULL). */
static int
messages_each(struct take *t, const struct taken *box, message_fn fn)
{
	char object[OBJECT_ID_MAX];
	struct buf from;
	bool more = true;
	int err = 0;

	snprintf(object, sizeof object, "m.%016" PRIx64, box->id);
	buf_init(&from, BACKEND_KEY_MAX + 1);
	buf_append_str(&from, "m/");
	while (more && err == 0) {
		struct rows_out out;

		err = rows_scan(
		    t->r->kv, slice_str(object), buf_slice(&from), slice_str("m0"), PAGE, &out);
		for (size_t i = 0; i < out.n && err == 0; i++) {
			struct msg_row m;

			err = fn(t, box, msg_row_decode(out.pairs[i].value, &m) == 0 ? &m : NULL);
		}
		more = err == 0 && out.more && out.n > 0;
		if (more) {
			buf_reset(&from);
			buf_append_slice(&from, out.pairs[out.n - 1].key);
			buf_append_byte(&from, '!');
		}
		rows_out_done(&out);
	}
	buf_done(&from);
	return err;
}

static void
body_add(struct take *t, uint64_t body)
{
	if (t->n_bodies == t->bodies_alloc) {
		t->bodies_alloc = t->bodies_alloc == 0 ? 1024 : 2 * t->bodies_alloc;
		t->bodies = xrealloc(t->bodies, t->bodies_alloc * sizeof *t->bodies);
	}
	t->bodies[t->n_bodies++] = body;
}

static int
message_note(struct take *t, const struct taken *box, const struct msg_row *m)
{
	(void)box;
	t->messages++;
	if (m != NULL) {
		t->octets += m->size;
		body_add(t, m->body);
	}
	return 0;
}

static void
bodies_sort(struct take *t)
{
	size_t to = 0;

	if (t->n_bodies > 0)
		qsort(t->bodies, t->n_bodies, sizeof *t->bodies, compare_numbers);
	for (size_t i = 0; i < t->n_bodies; i++)
		if (to == 0 || t->bodies[to - 1] != t->bodies[i])
			t->bodies[to++] = t->bodies[i];
	t->n_bodies = to;
}

/* The place of a body, and the parts it is made of. */
static int
body_find(struct take *t, uint64_t body, struct seg_loc *loc, uint64_t *refs, size_t *n_refs)
{
	char key[KEY_MAX];
	struct buf v;
	int err;

	snprintf(key, sizeof key, "b/%016" PRIx64, body);
	buf_init(&v, BACKEND_VALUE_MAX);
	err = kv_get(t->r->kv, NULL, slice_str(key), &v);
	if (err == 0)
		err = seg_loc_decode(buf_slice(&v), body, loc);
	if (err == 0)
		err = seg_loc_refs(buf_slice(&v), refs, n_refs);
	buf_done(&v);
	return err;
}

/* The numbers of the parts of all bodies, in their place. */
static int
parts_find(struct take *t)
{
	uint64_t *whole = t->bodies, refs[SEG_REFS_MAX];
	size_t n_whole = t->n_bodies, n;

	t->bodies = NULL;
	t->n_bodies = t->bodies_alloc = 0;
	for (size_t i = 0; i < n_whole; i++) {
		struct seg_loc loc;

		if (body_find(t, whole[i], &loc, refs, &n) != 0)
			continue; /* told when its message is read */
		if (loc.segment < SEGMENTS_MAX && loc.segment > t->segment_max)
			t->segment_max = loc.segment;
		for (size_t j = 0; j < n; j++)
			body_add(t, refs[j]);
	}
	free(whole);
	bodies_sort(t);
	return 0;
}

static void
parts_note(struct take *t)
{
	uint64_t refs[SEG_REFS_MAX];
	struct seg_loc loc;
	size_t n;

	for (size_t i = 0; i < t->n_bodies; i++)
		if (body_find(t, t->bodies[i], &loc, refs, &n) == 0 && loc.segment < SEGMENTS_MAX &&
		    loc.segment > t->segment_max)
			t->segment_max = loc.segment;
}

/* ---- what they are made of ---- */

/* congvu puts the record in its place in the file. */
static int
record_fetch(struct take *t, const struct seg_loc *loc)
{
	unsigned char answer;
	struct buf b;
	int err;

	buf_init(&b, 32);
	ipc_put_u32(&b, loc->segment);
	ipc_put_u64(&b, loc->off);
	ipc_put_u64(&b, loc->stored);
	frame(t, RESTORE_SEGMENT, &b);
	err = get(t, &answer, 1);
	if (err != 0)
		fatal("restore: congvu ended");
	return answer == 1 ? 0 : ERR_CORRUPT;
}

static int
body_fetch(struct take *t, uint64_t body, struct seg_loc *loc)
{
	uint64_t refs[SEG_REFS_MAX], none[SEG_REFS_MAX];
	struct seg_loc part;
	size_t n, n_none;
	int err = body_find(t, body, loc, refs, &n);

	if (err == 0)
		err = record_fetch(t, loc);
	for (size_t i = 0; i < n && err == 0; i++) {
		err = body_find(t, refs[i], &part, none, &n_none);
		if (err == 0)
			err = record_fetch(t, &part);
	}
	return err == ERR_NOTFOUND ? ERR_CORRUPT : err;
}

static void
message_end(struct take *t, bool good)
{
	struct buf b;

	buf_init(&b, 16);
	ipc_put_u8(&b, good);
	frame(t, RESTORE_MESSAGE_END, &b);
}

static int
message_give(struct take *t, const struct taken *box, const struct msg_row *m)
{
	struct sha256 *h;
	unsigned char digest[32];
	struct seg_loc loc;
	struct buf b, v;
	int err = m == NULL ? ERR_CORRUPT : 0;

	buf_init(&b, 65536);
	ipc_put_u64(&b, box->id);
	ipc_put_u32(&b, m == NULL ? 0 : m->uid);
	ipc_put_u32(&b, m == NULL ? 0 : m->flags);
	ipc_put_slice(&b, m == NULL ? slice_str("") : m->keywords);
	ipc_put_i64(&b, m == NULL ? 0 : m->internal_date);
	ipc_put_u16(&b, m == NULL ? 0 : (uint16_t)m->internal_zone);
	ipc_put_slice(&b, m == NULL ? slice_str("") : m->trace);
	frame(t, RESTORE_MESSAGE, &b);
	if (err == 0)
		err = body_fetch(t, m->body, &loc);
	if (err != 0) {
		message_end(t, false);
		return 0;
	}
	h = sha256_new();
	buf_init(&v, SEG_READ_MAX);
	for (uint64_t off = 0; off < loc.size && err == 0; off += PIECE) {
		buf_reset(&v);
		err = bkv_read(&t->b, &loc, off, PIECE, &v);
		if (err == 0 && v.len == 0)
			err = ERR_CORRUPT;
		if (err != 0)
			break;
		sha256_update(h, v.data, v.len);
		buf_init(&b, PIECE);
		buf_append_slice(&b, buf_slice(&v));
		frame(t, RESTORE_PIECE, &b);
	}
	sha256_final(h, digest);
	message_end(t, err == 0 && memcmp(digest, loc.sha256, sizeof digest) == 0);
	sha256_free(h);
	buf_done(&v);
	return 0;
}

/* ---- all of it ---- */

static int
read_rows(struct take *t)
{
	struct buf b;
	int err;

	buf_init(&b, 256);
	buf_appendf(&b, "r/a.%s/", t->account);
	t->prefix = slice_dup(buf_slice(&b));
	buf_done(&b);
	if ((err = pass_read(t, PASS_ACCOUNT)) != 0 || (err = boxes_find(t, false)) != 0)
		return err;
	if (t->n_boxes == 0 && (err = boxes_find(t, true)) != 0)
		return err;
	if (t->n_boxes == 0)
		return ERR_NOTFOUND;
	if ((err = pass_read(t, PASS_MESSAGES)) != 0)
		return err;
	for (size_t i = 0; i < t->n_boxes && err == 0; i++)
		err = messages_each(t, &t->boxes[i], message_note);
	bodies_sort(t);
	if (err == 0 && t->n_bodies > 0)
		err = pass_read(t, PASS_BODIES);
	if (err == 0)
		err = parts_find(t);
	if (err == 0 && t->n_bodies > 0)
		err = pass_read(t, PASS_PARTS);
	if (err == 0)
		parts_note(t);
	return err;
}

static int
give(struct take *t)
{
	struct buf b;
	int err;

	pthread_mutex_init(&t->b.body_mu, NULL);
	t->b.kv = t->r->kv;
	err = seg_open_to_read("segments", t->segment_max, t->r->keys, &t->b.seg);
	if (err != 0)
		return err;
	buf_init(&b, 64);
	ipc_put_u64(&b, t->messages);
	ipc_put_u64(&b, t->octets);
	frame(t, RESTORE_COUNT, &b);
	for (size_t i = 0; i < t->n_boxes && err == 0; i++) {
		buf_init(&b, 8192);
		ipc_put_u64(&b, t->boxes[i].id);
		ipc_put_str(&b, t->boxes[i].name);
		frame(t, RESTORE_MAILBOX, &b);
		err = messages_each(t, &t->boxes[i], message_give);
	}
	seg_close(t->b.seg);
	return err;
}

int
restore_take(struct restore *r, int in_fd, int out_fd, size_t cache)
{
	struct kv_options o = {.dir = "db", .cache_bytes = cache, .max_writes = 10000};
	struct take *t = xcalloc(1, sizeof *t);
	struct buf b;
	int err = 0;

	t->r = r;
	t->in_fd = in_fd;
	t->out_fd = out_fd;
	if (mkdir("db", 0700) != 0 && errno != EEXIST)
		err = err_from_errno(errno);
	if (err == 0)
		err = kv_bdb_open(&o, &r->kv);
	if (err == 0 && (err = request_read(t)) == 0 && (err = read_rows(t)) == 0)
		err = give(t);
	buf_init(&b, 256);
	ipc_put_str(&b, err == 0 ? "" : err_name(err));
	frame(t, RESTORE_END, &b);
	if (r->kv != NULL)
		kv_close(r->kv);
	for (size_t i = 0; i < t->n_boxes; i++)
		free(t->boxes[i].name);
	free(t->boxes);
	free(t->bodies);
	free(t->prefix);
	free(t->account);
	free(t->mailbox);
	free(t);
	return err;
}
