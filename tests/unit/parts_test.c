/* parts_test.c: messages whose large parts are kept by themselves, in the embedded backend: one copy of what is forwarded, every octet and every range as
 * it came in, whatever the MIME looks like; damage of a part is told. */
#include "config.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "store/backend.h"
#include "store/row.h"
#include "store/seg_head.h"
#include "store/sig.h"

struct fix {
	struct loop *l;
	struct backend *b;
	char dir[64];
	struct seg_keys keys;
	bool sealed;
	int n, err;
	uint64_t body;
	struct buf value;
};

static void
open_it(struct fix *f)
{
	struct backend_kv_options o = {.dir = f->dir, .threads = 4};

	if (f->sealed)
		o.keys = &f->keys;
	assert_int_equal(backend_kv_open(f->l, &o, &f->b), 0);
}

static int
setup(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	f->l = loop_new();
	buf_init(&f->value, 8 << 20);
	snprintf(f->dir, sizeof f->dir, "/tmp/parts_test.XXXXXX");
	*state = f;
	if (mkdtemp(f->dir) == NULL)
		return -1;
	open_it(f);
	return 0;
}

static int
setup_sealed(void **state)
{
	struct fix *f;

	if (setup(state) != 0)
		return -1;
	f = *state;
	f->b->ops->close(f->b);
	f->sealed = true;
	assert_int_equal(seg_keys_parse(slice_str("k1 000102030405060708090a0b0c0d0e0f"
						  "101112131415161718191a1b1c1d1e1f"),
			     &f->keys, NULL),
	    0);
	open_it(f);
	return 0;
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];

	f->b->ops->close(f->b);
	loop_free(f->l);
	buf_done(&f->value);
	snprintf(cmd, sizeof cmd, "rm -r '%s'", f->dir);
	if (system(cmd) != 0)
		return -1;
	free(f);
	return 0;
}

static void
wait_n(struct fix *f, int n)
{
	for (int i = 0; i < 3000 && f->n < n; i++)
		loop_run_once(f->l, 10);
	assert_int_equal(f->n, n);
	f->n = 0;
}

static void
on_body(void *arg, int err, uint64_t body)
{
	struct fix *f = arg;

	f->n++;
	f->err = err;
	f->body = body;
}

static void
on_value(void *arg, int err, struct slice v)
{
	struct fix *f = arg;

	f->n++;
	f->err = err;
	buf_reset(&f->value);
	buf_append_slice(&f->value, v);
}

static void
on_done(void *arg, int err)
{
	on_value(arg, err, slice_str(""));
}

/* The rows of what was put. */
static void
commit(struct fix *f)
{
	static unsigned n;
	char name[32];

	snprintf(name, sizeof name, "m.%016x", ++n);
	assert_int_equal(f->b->ops->create(f->b, slice_str(name), slice_str("h"), on_done, f), 0);
	wait_n(f, 1);
	assert_int_equal(f->err, 0);
}

static void
summary_of(struct slice msg, struct buf *out)
{
	struct arena *a = arena_new(16 << 20);
	struct mime_part *root;
	struct buf tree;

	buf_init(&tree, 1 << 20);
	buf_init(out, 1 << 20);
	assert_int_equal(mime_parse(msg, &mime_limits_default, a, &root), 0);
	assert_int_equal(mime_tree_encode(root, &tree), 0);
	assert_int_equal(summary_encode(buf_slice(&tree), slice_str(""), out), 0);
	buf_done(&tree);
	arena_free(a);
}

static int
memfile(struct slice s)
{
	int fd = memfd_create("parts_test", MFD_CLOEXEC);

	assert_int_equal(write(fd, s.ptr, s.len), (ssize_t)s.len);
	return fd;
}

static void
put_start(struct fix *f, struct slice msg, bool by_fd)
{
	unsigned char sha[32];
	struct buf summary;
	int fd = by_fd ? memfile(msg) : -1;

	summary_of(msg, &summary);
	sha256_of(msg, sha);
	assert_int_equal(f->b->ops->body_put(f->b, sha, by_fd ? slice_str("") : msg, fd, msg.len,
			     buf_slice(&summary), on_body, f),
	    0);
	if (fd >= 0)
		close(fd);
	buf_done(&summary);
}

static uint64_t
put(struct fix *f, struct slice msg, bool by_fd)
{
	put_start(f, msg, by_fd);
	wait_n(f, 1);
	assert_int_equal(f->err, 0);
	return f->body;
}

static int
get(struct fix *f, uint64_t body, uint64_t off, uint32_t len)
{
	assert_int_equal(f->b->ops->body_get(f->b, body, off, len, on_value, f), 0);
	wait_n(f, 1);
	return f->err;
}

static void
get_is(struct fix *f, uint64_t body, uint64_t off, uint32_t len, struct slice msg)
{
	struct slice want = off >= msg.len ? slice_str("") : slice_sub(msg, (size_t)off, len);

	assert_int_equal(get(f, body, off, len), 0);
	assert_int_equal(f->value.len, want.len);
	if (want.len > 0)
		assert_memory_equal(f->value.data, want.ptr, want.len);
}

static uint32_t seed = 7;

static uint32_t
rnd(uint32_t n)
{
	seed = seed * 1664525 + 1013904223;
	return n == 0 ? 0 : (seed >> 8) % n;
}

static void
noise(struct buf *b, size_t n, uint32_t of)
{
	uint32_t keep = seed;

	seed = of;
	for (size_t i = 0; i < n; i++)
		buf_append_byte(b, (unsigned char)rnd(256));
	seed = keep;
}

/* base64 in lines of so many characters. */
static void
lines(struct buf *b, struct slice s, size_t line, const char *eol, bool end)
{
	struct buf one;

	buf_init(&one, 64 << 20);
	assert_int_equal(b64_encode(s, false, &one), 0);
	for (size_t i = 0; i < one.len; i += line) {
		if (i > 0)
			buf_append_str(b, eol);
		buf_append_slice(b, slice_sub(buf_slice(&one), i, line));
	}
	if (end)
		buf_append_str(b, eol);
	buf_done(&one);
}

static void
begin(struct buf *b, unsigned n)
{
	buf_appendf(b,
	    "From: a@example.org\r\nMessage-ID: <%u@example.org>\r\nMIME-Version: 1.0\r\n"
	    "Content-Type: multipart/mixed; boundary=BB\r\n\r\n--BB\r\nContent-Type: "
	    "text/plain\r\n\r\nForwarded, time %u\r\n",
	    n, n);
}

static void
attach(struct buf *b, const char *cte)
{
	buf_appendf(b,
	    "\r\n--BB\r\nContent-Type: application/pdf\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n",
	    cte);
}

static uint64_t
disk(struct fix *f)
{
	struct backend_stat st;

	backend_kv_stat(f->b, &st);
	return st.segment_bytes;
}

static void
one_copy(void **state)
{
	enum { SIZE = 5 << 20 };
	struct fix *f = *state;
	uint64_t bodies[10], first = 0;
	struct backend_stat st;
	struct buf pdf, msg[10];

	buf_init(&pdf, SIZE);
	noise(&pdf, SIZE, 99);
	for (unsigned i = 0; i < 10; i++) {
		buf_init(&msg[i], 16 << 20);
		begin(&msg[i], i);
		attach(&msg[i], "base64");
		/* three of them by a program that writes other lines */
		lines(&msg[i], buf_slice(&pdf), i % 4 == 3 ? 72 : 76, i == 7 ? "\n" : "\r\n", true);
		buf_append_str(&msg[i], "\r\n--BB--\r\n");
		assert_int_equal(msg[i].err, 0);
		bodies[i] = put(f, buf_slice(&msg[i]), true);
		commit(f);
		if (i == 0)
			first = disk(f);
	}
	/* decoded and once: each of the others costs what is its own */
	assert_true(first < SIZE + 4096);
	assert_true(disk(f) < SIZE + 10 * 2048);
	backend_kv_stat(f->b, &st);
	assert_int_equal(st.parts, 1);
	assert_int_equal(st.parts_shared, 9);
	print_message("[ bytes    ] ten messages of %zu octets: %llu octets of segments\n",
	    msg[0].len, (unsigned long long)disk(f));
	f->b->ops->close(f->b);
	open_it(f);
	for (unsigned i = 0; i < 10; i++) {
		for (size_t off = 0; off < msg[i].len; off += 4 << 20)
			get_is(f, bodies[i], off, 4 << 20, buf_slice(&msg[i]));
		for (unsigned k = 0; k < 30; k++)
			get_is(f, bodies[i], rnd((uint32_t)msg[i].len + 9), rnd(5000),
			    buf_slice(&msg[i]));
		buf_done(&msg[i]);
	}
	buf_done(&pdf);
}

/* At the same time, from many deliveries: still one copy. */
static void
at_once(void **state)
{
	struct fix *f = *state;
	struct backend_stat st;
	struct buf pdf, msg;

	buf_init(&pdf, 1 << 20);
	noise(&pdf, 1 << 20, 5);
	for (unsigned i = 0; i < 8; i++) {
		buf_init(&msg, 4 << 20);
		begin(&msg, i);
		attach(&msg, "base64");
		lines(&msg, buf_slice(&pdf), 76, "\r\n", false);
		buf_append_str(&msg, "\r\n--BB--\r\n");
		put_start(f, buf_slice(&msg), true);
		buf_done(&msg);
	}
	wait_n(f, 8);
	backend_kv_stat(f->b, &st);
	assert_true(st.parts == 1 && st.bodies == 8);
	assert_true(st.segment_bytes < (1 << 20) + 8 * 2048);
	buf_done(&pdf);
}

/* One shape of the many that come: what may not be kept decoded is kept as it is. */
static void
shape(struct buf *msg, unsigned kind, struct slice octets)
{
	static const char *const eols[] = {"\r\n", "\n", "\r", " \r\n", "\r\n\r\n", ""};
	size_t at;

	attach(msg, kind % 5 == 4 ? "8bit" : "base64");
	at = msg->len;
	lines(msg, octets,
	    kind % 7 == 6   ? 75
	    : kind % 3 == 2 ? 4 * (1 + rnd(300))
			    : 76,
	    eols[kind % 6], kind % 2 == 0);
	switch (kind % 11) {
	case 1: /* the padding is missing */
		while (msg->len > at && msg->data[msg->len - 1] == '=')
			buf_truncate(msg, msg->len - 1);
		break;
	case 2:
		msg->data[at + rnd((uint32_t)(msg->len - at))] = '*';
		break;
	case 3:
		msg->data[at + rnd((uint32_t)(msg->len - at))] = '\r';
		break;
	case 4:
		buf_append_str(msg, "\r\nA footer that a list adds\r\n");
		break;
	case 5:
		buf_append_str(msg, "\r\n \t\r\n\r\n");
		break;
	case 6: /* bits behind the end */
		buf_append_str(msg, "QR==");
		break;
	case 7:
		msg->data[at + rnd((uint32_t)(msg->len - at))] = '=';
		break;
	case 8:
		msg->data[at + rnd((uint32_t)(msg->len - at))] = '\0';
		break;
	default:
		break;
	}
}

static void
any_shape(void **state)
{
	struct fix *f = *state;

	for (unsigned i = 0; i < 132; i++) {
		uint32_t size = 20000 + rnd(90000);
		struct buf msg, octets;
		struct slice m;
		uint64_t body;

		buf_init(&msg, 16 << 20);
		begin(&msg, 1000 + i);
		for (unsigned k = 0; k < 1 + i % 3; k++) {
			buf_init(&octets, 1 << 20);
			noise(&octets, size, k == 1 ? 3 : i);
			shape(&msg, i + k * 5, buf_slice(&octets));
			buf_done(&octets);
		}
		buf_append_str(&msg, i % 13 == 0 ? "" : "\r\n--BB--\r\nbehind it\r\n");
		m = buf_slice(&msg);
		body = put(f, m, m.len > 256 * 1024);
		if (i % 2 == 0)
			commit(f);
		get_is(f, body, 0, 4 << 20, m);
		for (unsigned k = 0; k < 40; k++)
			get_is(
			    f, body, rnd((uint32_t)m.len), k % 4 == 0 ? rnd(200000) : rnd(100), m);
		for (size_t off = m.len - 300; off < m.len; off += 37)
			get_is(f, body, off, 1000, m);
		buf_done(&msg);
	}
}

/* A summary that is not of this message, or lies: the message is what it is. */
static void
lying_summary(void **state)
{
	struct fix *f = *state;
	unsigned char sha[32];
	struct buf a, b, summary;

	buf_init(&a, 1 << 20);
	buf_init(&b, 1 << 20);
	begin(&a, 1);
	attach(&a, "base64");
	noise(&b, 150000, 12);
	lines(&a, buf_slice(&b), 76, "\r\n", true);
	summary_of(buf_slice(&a), &summary);
	for (unsigned i = 0; i < 60; i++) {
		struct slice m = slice_sub(buf_slice(&b), i, 140000 - i * 1000);

		if (i > 0)
			summary.data[rnd((uint32_t)summary.len)] = (unsigned char)rnd(256);
		sha256_of(m, sha);
		assert_int_equal(
		    f->b->ops->body_put(f->b, sha, m, -1, m.len, buf_slice(&summary), on_body, f),
		    0);
		wait_n(f, 1);
		assert_int_equal(f->err, 0);
		get_is(f, f->body, 0, 1 << 20, m);
	}
	/* and a message of another digest is refused */
	sha[0] ^= 1;
	assert_int_equal(f->b->ops->body_put(f->b, sha, slice_sub(buf_slice(&b), 0, 100000), -1,
			     100000, buf_slice(&summary), on_body, f),
	    0);
	wait_n(f, 1);
	assert_int_equal(f->err, ERR_CORRUPT);
	buf_done(&a);
	buf_done(&b);
	buf_done(&summary);
}

static void
on_checked(void *arg, int err, struct slice v)
{
	on_value(arg, err, v);
}

static int
check(struct fix *f, uint64_t body)
{
	struct backend_checked c;

	assert_int_equal(f->b->ops->bodies_check(f->b, &body, 1, true, on_checked, f), 0);
	wait_n(f, 1);
	assert_int_equal(f->err, 0);
	assert_int_equal(f->value.len, sizeof c);
	memcpy(&c, f->value.data, sizeof c);
	return c.err;
}

/* An octet of a part goes bad: those that share it are damaged where it is, and nobody else. */
static void
damage(void **state)
{
	struct fix *f = *state;
	struct buf one, two, msg[3];
	uint64_t bodies[3];
	char file[120];
	off_t at;
	int fd;
	unsigned char c;

	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	noise(&one, 600000, 1);
	noise(&two, 100000, 2);
	for (unsigned i = 0; i < 3; i++) {
		buf_init(&msg[i], 4 << 20);
		begin(&msg[i], i);
		attach(&msg[i], "base64");
		lines(&msg[i], buf_slice(i < 2 ? &one : &two), 76, "\r\n", false);
		buf_append_str(&msg[i], "\r\n--BB--\r\n");
		bodies[i] = put(f, buf_slice(&msg[i]), true);
		commit(f);
	}
	snprintf(file, sizeof file, "%s/segments/seg-%08x", f->dir, f->sealed ? 2 : 1);
	/* the first part stands first: in its third block */
	at = 1024 + 700 + 2 * 262144;
	fd = open(file, O_RDWR);
	assert_int_equal(pread(fd, &c, 1, at), 1);
	c ^= 4;
	assert_int_equal(pwrite(fd, &c, 1, at), 1);
	close(fd);
	for (unsigned i = 0; i < 2; i++) {
		get_is(f, bodies[i], 0, 600000, buf_slice(&msg[i]));
		assert_int_equal(get(f, bodies[i], 700000, 1000), 0);
		assert_int_equal(get(f, bodies[i], 720000, 1000), ERR_CORRUPT);
		assert_int_equal(check(f, bodies[i]), ERR_CORRUPT);
	}
	get_is(f, bodies[2], 0, 1 << 20, buf_slice(&msg[2]));
	assert_int_equal(check(f, bodies[2]), 0);
	for (unsigned i = 0; i < 3; i++)
		buf_done(&msg[i]);
	buf_done(&one);
	buf_done(&two);
}

/* ---- collection and compaction ---- */

static void
row(struct fix *f, uint32_t uid, uint64_t body)
{
	struct msg_row r = {.uid = uid, .body = body};
	struct backend_batch batch = {.object = slice_str("m.00000000000000ff"),
	    .expect = slice_str("0"),
	    .n_puts = body != 0,
	    .n_dels = body == 0};
	struct kv_pair p;
	struct buf b;
	char k[16];

	snprintf(k, sizeof k, "m/%08x", (unsigned)uid);
	buf_init(&b, 65536);
	assert_int_equal(msg_row_encode(&r, &b), 0);
	p = (struct kv_pair){slice_str(k), buf_slice(&b)};
	batch.puts = &p;
	batch.dels = &p.key;
	assert_int_equal(f->b->ops->batch(f->b, &batch, on_done, f), 0);
	wait_n(f, 1);
	assert_int_equal(f->err, 0);
	buf_done(&b);
}

static uint64_t
space(struct fix *f, enum backend_space what)
{
	struct backend_space_job job = {.what = what, .min_live = 90};
	struct backend_space_state st;

	assert_int_equal(f->b->ops->space(f->b, &job, on_done, f), 0);
	wait_n(f, 1);
	assert_int_equal(f->err, 0);
	f->b->ops->space_state(f->b, &st);
	return what == SPACE_COLLECT ? st.dropped : st.copied;
}

/* A part stays as long as a message that stays is made of it, moves as other bodies do, and goes with the last. */
static void
collected(void **state)
{
	struct fix *f = *state;
	struct buf octets, msg[3];
	struct backend_stat st;
	uint64_t bodies[3];

	assert_int_equal(
	    f->b->ops->create(f->b, slice_str("m.00000000000000ff"), slice_str("0"), on_done, f),
	    0);
	wait_n(f, 1);
	buf_init(&octets, 1 << 20);
	noise(&octets, 300000, 8);
	for (unsigned i = 0; i < 3; i++) {
		buf_init(&msg[i], 4 << 20);
		begin(&msg[i], i);
		attach(&msg[i], "base64");
		lines(&msg[i], buf_slice(&octets), 76, "\r\n", false);
		buf_append_str(&msg[i], "\r\n--BB--\r\n");
		bodies[i] = put(f, buf_slice(&msg[i]), true);
		if (i < 2)
			row(f, i + 1, bodies[i]);
	}
	put(f, slice_str("the newest, which always stays"), false);
	commit(f);
	assert_int_equal(space(f, SPACE_COLLECT), 1); /* the third, which no row names */
	assert_int_equal(get(f, bodies[2], 0, 10), ERR_NOTFOUND);
	get_is(f, bodies[0], 0, 1 << 20, buf_slice(&msg[0]));
	row(f, 1, 0);
	assert_int_equal(space(f, SPACE_COLLECT), 1);
	get_is(f, bodies[1], 0, 1 << 20, buf_slice(&msg[1]));
	/* the file that they are in is written no more after this: what is live in it moves */
	f->b->ops->close(f->b);
	assert_int_equal(seg_keys_parse(slice_str("k1 000102030405060708090a0b0c0d0e0f"
						  "101112131415161718191a1b1c1d1e1f"),
			     &f->keys, NULL),
	    0);
	f->sealed = true;
	open_it(f);
	assert_int_equal(space(f, SPACE_COMPACT), 3);
	get_is(f, bodies[1], 0, 1 << 20, buf_slice(&msg[1]));
	assert_int_equal(check(f, bodies[1]), 0);
	row(f, 2, 0);
	assert_int_equal(space(f, SPACE_COLLECT), 2);
	assert_int_equal(get(f, bodies[1], 0, 10), ERR_NOTFOUND);
	/* it comes once more: both are written anew */
	bodies[1] = put(f, buf_slice(&msg[1]), true);
	backend_kv_stat(f->b, &st);
	assert_true(st.parts == 1 && st.parts_shared == 0);
	get_is(f, bodies[1], 0, 1 << 20, buf_slice(&msg[1]));
	for (unsigned i = 0; i < 3; i++)
		buf_done(&msg[i]);
	buf_done(&octets);
}

/* The newest body stays though no row names it, for its number; with its parts, since it is handed out when it comes again. */
static void
newest_is_whole(void **state)
{
	struct fix *f = *state;
	struct buf octets, msg;
	uint64_t body;

	assert_int_equal(
	    f->b->ops->create(f->b, slice_str("m.00000000000000ff"), slice_str("0"), on_done, f),
	    0);
	wait_n(f, 1);
	buf_init(&octets, 1 << 20);
	noise(&octets, 300000, 8);
	buf_init(&msg, 4 << 20);
	begin(&msg, 1);
	attach(&msg, "base64");
	lines(&msg, buf_slice(&octets), 76, "\r\n", false);
	buf_append_str(&msg, "\r\n--BB--\r\n");
	body = put(f, buf_slice(&msg), true);
	commit(f);
	assert_int_equal(space(f, SPACE_COLLECT), 0);
	/* a batch that was under way; and the same message after a new start */
	row(f, 1, body);
	get_is(f, body, 0, 1 << 20, buf_slice(&msg));
	f->b->ops->close(f->b);
	open_it(f);
	assert_int_equal(put(f, buf_slice(&msg), true), body);
	get_is(f, body, 0, 1 << 20, buf_slice(&msg));
	assert_int_equal(check(f, body), 0);
	buf_done(&msg);
	buf_done(&octets);
}

/* Of a message that is purged the parts go that no other message has. */
static void
purged(void **state)
{
	struct fix *f = *state;
	struct backend_space_job job = {.what = SPACE_PURGE, .n_bodies = 1};
	struct backend_space_state st;
	struct buf shared, own, msg[2];
	uint64_t bodies[2];

	assert_int_equal(
	    f->b->ops->create(f->b, slice_str("m.00000000000000ff"), slice_str("0"), on_done, f),
	    0);
	wait_n(f, 1);
	buf_init(&shared, 1 << 20);
	buf_init(&own, 1 << 20);
	noise(&shared, 200000, 5);
	noise(&own, 100000, 6);
	for (unsigned i = 0; i < 2; i++) {
		buf_init(&msg[i], 1 << 20);
		begin(&msg[i], i);
		attach(&msg[i], "base64");
		lines(&msg[i], buf_slice(&shared), 76, "\r\n", true);
		if (i == 1) {
			attach(&msg[i], "base64");
			lines(&msg[i], buf_slice(&own), 76, "\r\n", true);
		}
		buf_append_str(&msg[i], "\r\n--BB--\r\n");
		bodies[i] = put(f, buf_slice(&msg[i]), true);
		row(f, i + 1, bodies[i]);
	}
	row(f, 2, 0);
	job.bodies = &bodies[1];
	assert_int_equal(f->b->ops->space(f->b, &job, on_done, f), 0);
	wait_n(f, 1);
	assert_int_equal(f->err, 0);
	f->b->ops->space_state(f->b, &st);
	assert_true(st.dropped == 2 && st.purge_left == 0);
	assert_int_equal(st.purge_parts_left, 1); /* the one that the other message has */
	assert_int_equal(get(f, bodies[1], 0, 10), ERR_NOTFOUND);
	get_is(f, bodies[0], 0, 4 << 20, buf_slice(&msg[0]));
	f->b->ops->close(f->b);
	open_it(f);
	get_is(f, bodies[0], 0, 4 << 20, buf_slice(&msg[0]));
	for (unsigned i = 0; i < 2; i++)
		buf_done(&msg[i]);
	buf_done(&shared);
	buf_done(&own);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(purged, setup, teardown),
	    cmocka_unit_test_setup_teardown(one_copy, setup, teardown),
	    cmocka_unit_test_setup_teardown(at_once, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_shape, setup, teardown),
	    cmocka_unit_test_setup_teardown(any_shape, setup_sealed, teardown),
	    cmocka_unit_test_setup_teardown(lying_summary, setup, teardown),
	    cmocka_unit_test_setup_teardown(collected, setup, teardown),
	    cmocka_unit_test_setup_teardown(newest_is_whole, setup, teardown),
	    cmocka_unit_test_setup_teardown(damage, setup, teardown),
	    cmocka_unit_test_setup_teardown(damage, setup_sealed, teardown),
	};

	log_init("parts_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
