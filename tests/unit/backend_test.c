/* backend_test.c: one suite over both backends of store/backend.h: the embedded one and its twin in memory. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/backend.h"

struct fix {
	struct loop *l;
	struct backend *b;
	char dir[64];
	bool mem;
};
/* What the last completion told. */
struct got {
	int n, err;
	uint64_t body;
	struct buf value;
	size_t rows;
	bool more;
	int errs[64];
};

static int
open_kv(struct fix *f)
{
	struct backend_kv_options o = {.dir = f->dir, .threads = 2, .segment_max = 1 << 20};

	return backend_kv_open(f->l, &o, &f->b);
}

static int
setup_kv(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	f->l = loop_new();
	snprintf(f->dir, sizeof f->dir, "/tmp/backend_test.XXXXXX");
	*state = f;
	return mkdtemp(f->dir) == NULL ? -1 : open_kv(f);
}

static int
setup_mem(void **state)
{
	struct fix *f = xcalloc(1, sizeof *f);

	f->l = loop_new();
	f->mem = true;
	*state = f;
	return backend_mem_open(f->l, &f->b);
}

static int
teardown(void **state)
{
	struct fix *f = *state;
	char cmd[128];

	f->b->ops->close(f->b);
	loop_free(f->l);
	if (!f->mem) {
		snprintf(cmd, sizeof cmd, "rm -r '%s'", f->dir);
		if (system(cmd) != 0)
			return -1;
	}
	free(f);
	return 0;
}

static void
got_init(struct got *g)
{
	memset(g, 0, sizeof *g);
	buf_init(&g->value, 8 << 20);
}

static void
on_done(void *arg, int err)
{
	struct got *g = arg;

	g->n++;
	g->err = err;
}

static void
on_value(void *arg, int err, struct slice v)
{
	struct got *g = arg;

	g->n++;
	g->err = err;
	buf_reset(&g->value);
	buf_append_slice(&g->value, v);
}

static void
on_rows(void *arg, int err, const struct kv_pair *rows, size_t n, bool more)
{
	struct got *g = arg;

	g->n++;
	g->err = err;
	g->rows = n;
	g->more = more;
	buf_reset(&g->value);
	for (size_t i = 0; i < n; i++) {
		buf_append_slice(&g->value, rows[i].key);
		buf_append_byte(&g->value, '=');
		buf_append_slice(&g->value, rows[i].value);
		buf_append_byte(&g->value, ' ');
	}
}

static void
on_body(void *arg, int err, uint64_t body)
{
	struct got *g = arg;

	g->n++;
	g->err = err;
	g->body = body;
}

static void
on_group(void *arg, const int *errs, size_t n)
{
	struct got *g = arg;

	g->n++;
	memcpy(g->errs, errs, n * sizeof *errs);
}

static void
wait_n(struct fix *f, struct got *g, int n)
{
	for (int i = 0; i < 2000 && g->n < n; i++)
		loop_run_once(f->l, 10);
	assert_int_equal(g->n, n);
	g->n = 0;
}

static int
create(struct fix *f, const char *object, const char *header)
{
	struct got g;

	got_init(&g);
	assert_int_equal(
	    f->b->ops->create(f->b, slice_str(object), slice_str(header), on_done, &g), 0);
	assert_int_equal(g.n, 0); /* never from within the call */
	wait_n(f, &g, 1);
	return g.err;
}

static int
batch(struct fix *f, const char *object, const char *expect, const char *header, const char *key,
    const char *value, const char *del, const char *absent)
{
	struct kv_pair puts[2] = {
	    {slice_str("h"), slice_str(header)}, {slice_str(key), slice_str(value)}};
	struct slice dels[1] = {slice_str(del)}, abs[1] = {slice_str(absent)};
	struct backend_batch b = {.object = slice_str(object),
	    .expect = slice_str(expect),
	    .puts = puts,
	    .n_puts = 2,
	    .dels = dels,
	    .n_dels = del != NULL,
	    .absent = abs,
	    .n_absent = absent != NULL};
	struct got g;

	got_init(&g);
	assert_int_equal(f->b->ops->batch(f->b, &b, on_done, &g), 0);
	assert_int_equal(g.n, 0);
	wait_n(f, &g, 1);
	return g.err;
}

static void
get_is(struct fix *f, const char *object, const char *key, const char *want)
{
	struct got g;

	got_init(&g);
	assert_int_equal(f->b->ops->get(f->b, slice_str(object), slice_str(key), on_value, &g), 0);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, want == NULL ? ERR_NOTFOUND : 0);
	if (want != NULL)
		assert_string_equal(buf_cstr(&g.value), want);
	buf_done(&g.value);
}

static void
scan_is(struct fix *f, const char *object, const char *from, const char *to, unsigned max,
    const char *want, bool more)
{
	struct got g;

	got_init(&g);
	assert_int_equal(f->b->ops->scan(f->b, slice_str(object), slice_str(from), slice_str(to),
			     max, on_rows, &g),
	    0);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, 0);
	assert_string_equal(buf_cstr(&g.value), want);
	assert_int_equal(g.more, more);
	buf_done(&g.value);
}

static void
conditions(void **state)
{
	struct fix *f = *state;

	assert_int_equal(batch(f, "m.1", "1", "2", "k", "v", NULL, NULL), ERR_GONE);
	assert_int_equal(create(f, "m.1", "1"), 0);
	assert_int_equal(create(f, "m.1", "1"), ERR_EXISTS);
	assert_int_equal(batch(f, "m.1", "0", "2", "k", "v", NULL, NULL), ERR_CONFLICT);
	get_is(f, "m.1", "k", NULL);
	assert_int_equal(batch(f, "m.1", "1", "2", "k", "v", NULL, NULL), 0);
	get_is(f, "m.1", "k", "v");
	get_is(f, "m.1", "h", "2");
	assert_int_equal(batch(f, "m.1", "2", "3", "k2", "v2", "k", NULL), 0);
	get_is(f, "m.1", "k", NULL);
	assert_int_equal(batch(f, "m.1", "3", "4", "k3", "v3", NULL, "k2"), ERR_EXISTS);
	get_is(f, "m.1", "h", "3");
	assert_int_equal(batch(f, "m.1", "3", "4", "k3", "v3", NULL, "k4"), 0);
	scan_is(f, "m.1", "", "", 10, "h=4 k2=v2 k3=v3 ", false);
}

static void
bounds(void **state)
{
	struct fix *f = *state;
	static char long_key[200], long_value[70000];
	struct kv_pair put = {slice_str("k"), slice_str("v")};
	struct backend_batch b = {.object = slice_str("m.1"), .puts = &put, .n_puts = 1};
	struct got g;

	got_init(&g);
	memset(long_key, 'k', 97);
	put.key = slice_str(long_key);
	assert_int_equal(f->b->ops->batch(f->b, &b, on_done, &g), ERR_RANGE);
	put.key = slice_of("a b", 3);
	assert_int_equal(f->b->ops->batch(f->b, &b, on_done, &g), ERR_RANGE);
	put = (struct kv_pair){slice_str("k"), slice_of(long_value, 65537)};
	assert_int_equal(f->b->ops->batch(f->b, &b, on_done, &g), ERR_RANGE);
	put.value = slice_str("v");
	b.object = slice_str("a/b");
	assert_int_equal(f->b->ops->batch(f->b, &b, on_done, &g), ERR_RANGE);
	assert_int_equal(f->b->ops->scan(f->b, slice_str("m.1"), slice_str(""), slice_str(""), 1001,
			     on_rows, &g),
	    ERR_RANGE);
	assert_int_equal(
	    f->b->ops->body_get(f->b, 1, 0, BACKEND_READ_MAX + 1, on_value, &g), ERR_RANGE);
}

static void
scans(void **state)
{
	struct fix *f = *state;
	char k[16], v[16], was[16] = "0", next[16];

	create(f, "m.a", "0");
	create(f, "m.a0", "other"); /* a neighbour whose name begins the same */
	create(f, "m.", "other");
	for (int i = 1; i <= 5; i++) {
		snprintf(k, sizeof k, "u/%02d", i);
		snprintf(v, sizeof v, "%d", i);
		snprintf(next, sizeof next, "%d", i);
		assert_int_equal(batch(f, "m.a", was, next, k, v, NULL, NULL), 0);
		memcpy(was, next, sizeof was);
	}
	scan_is(f, "m.a", "", "", 1000, "h=5 u/01=1 u/02=2 u/03=3 u/04=4 u/05=5 ", false);
	scan_is(f, "m.a", "u/02", "u/04", 1000, "u/02=2 u/03=3 ", false);
	scan_is(f, "m.a", "u/02", "", 2, "u/02=2 u/03=3 ", true);
	scan_is(f, "m.a", "u/04", "", 2, "u/04=4 u/05=5 ", false);
	scan_is(f, "m.none", "", "", 10, "", false);
}

static void
removal(void **state)
{
	struct fix *f = *state;
	static struct kv_pair puts[2500];
	static char keys[2500][16];
	struct backend_batch b = {
	    .object = slice_str("m.r"), .expect = slice_str("0"), .puts = puts, .n_puts = 2500};
	struct got g;

	got_init(&g);
	create(f, "m.r", "0");
	for (int i = 0; i < 2500; i++) {
		snprintf(keys[i], sizeof keys[i], "u/%05d", i);
		puts[i] = (struct kv_pair){slice_str(keys[i]), slice_str("x")};
	}
	f->b->ops->batch(f->b, &b, on_done, &g);
	wait_n(f, &g, 1);
	f->b->ops->remove(f->b, slice_str("m.r"), slice_str("1"), on_done, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, ERR_CONFLICT);
	f->b->ops->remove(f->b, slice_str("m.r"), slice_str("0"), on_done, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, 0);
	get_is(f, "m.r", "h", NULL);
	f->b->ops->remove(f->b, slice_str("m.r"), slice_str("0"), on_done, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, ERR_GONE);
	/* The rows go in steps; the name is free again when they are gone. */
	for (int i = 0; i < 100 && create(f, "m.r", "new") == ERR_EXISTS; i++)
		usleep(10000);
	scan_is(f, "m.r", "", "", 1000, "h=new ", false);
}

static void
groups(void **state)
{
	struct fix *f = *state;
	struct kv_pair puts[3] = {{slice_str("h"), slice_str("2")},
	    {slice_str("h"), slice_str("2")}, {slice_str("h"), slice_str("3")}};
	struct backend_batch b[3] = {
	    {.object = slice_str("m.g1"), .expect = slice_str("1"), .puts = &puts[0], .n_puts = 1},
	    {.object = slice_str("m.none"),
		.expect = slice_str("1"),
		.puts = &puts[1],
		.n_puts = 1},
	    {.object = slice_str("m.g1"), .expect = slice_str("2"), .puts = &puts[2], .n_puts = 1},
	};
	struct got g;

	got_init(&g);
	create(f, "m.g1", "1");
	assert_int_equal(f->b->ops->batch_group(f->b, b, 3, on_group, &g), 0);
	wait_n(f, &g, 1);
	assert_int_equal(g.errs[0], 0);
	assert_int_equal(g.errs[1], ERR_GONE);
	assert_int_equal(g.errs[2], 0);
	get_is(f, "m.g1", "h", "3");
}

static uint64_t
body_put(struct fix *f, struct slice bytes, int fd, int want)
{
	unsigned char sha[32];
	struct got g;

	got_init(&g);
	sha256_of(bytes, sha);
	assert_int_equal(f->b->ops->body_put(f->b, sha, fd < 0 ? bytes : slice_str(""), fd,
			     bytes.len, slice_str("summary"), on_body, &g),
	    0);
	assert_int_equal(g.n, 0);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, want);
	return g.body;
}

static void
body_is(struct fix *f, uint64_t body, uint64_t off, uint32_t len, struct slice want)
{
	struct got g;

	got_init(&g);
	assert_int_equal(f->b->ops->body_get(f->b, body, off, len, on_value, &g), 0);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, 0);
	assert_true(slice_eq(buf_slice(&g.value), want));
	buf_done(&g.value);
}

/* Who knows a digest alone has no way to the body. */
static void
body_put_false(struct fix *f, struct slice real, struct slice bytes, int fd)
{
	unsigned char sha[32];
	struct got g;

	got_init(&g);
	sha256_of(real, sha);
	assert_int_equal(f->b->ops->body_put(f->b, sha, fd < 0 ? bytes : slice_str(""), fd,
			     bytes.len, slice_str("summary"), on_body, &g),
	    0);
	wait_n(f, &g, 1);
	assert_true(g.err == ERR_CORRUPT && g.body == 0);
}

/* Into out: the last number there is, then those after a number; gives how many these are. */
static size_t
numbers_after(struct fix *f, struct got *g, uint64_t after, unsigned max, uint64_t out[10])
{
	assert_int_equal(f->b->ops->bodies_after(f->b, after, max, on_value, g), 0);
	wait_n(f, g, 1);
	assert_int_equal(g->err, 0);
	assert_true(g->value.len >= sizeof *out && g->value.len <= 10 * sizeof *out);
	memcpy(out, g->value.data, g->value.len);
	return g->value.len / sizeof *out - 1;
}

static void
bodies(void **state)
{
	struct fix *f = *state;
	static unsigned char big[700001];
	struct slice bigs = slice_of(big, sizeof big), hello = slice_str("hello");
	unsigned char sha[32] = {0}, found[32];
	FILE *tmp = tmpfile();
	uint64_t a, b, numbers[10] = {0};
	struct got g;

	got_init(&g);
	for (size_t i = 0; i < sizeof big; i++)
		big[i] = (unsigned char)(i * 7 + i / 1000);
	a = body_put(f, hello, -1, 0);
	assert_true(a > 0);
	assert_int_equal(body_put(f, hello, -1, 0), a);
	body_put_false(f, hello, slice_str("jello"), -1);
	assert_int_equal(fwrite(big, 1, sizeof big, tmp), sizeof big);
	fflush(tmp);
	b = body_put(f, bigs, fileno(tmp), 0);
	assert_true(b != a);
	assert_int_equal(body_put(f, bigs, -1, 0), b);
	body_is(f, a, 0, 100, hello);
	body_is(f, a, 1, 3, slice_str("ell"));
	body_is(f, a, 5, 3, slice_str(""));
	body_is(f, b, 0, sizeof big, bigs);
	body_is(f, b, 65530, 12, slice_sub(bigs, 65530, 12));
	body_is(f, b, 700000, 50, slice_sub(bigs, 700000, 1));
	body_put(f, slice_str(""), -1, 0);
	/* rows commit, bodies with them, and are found again */
	create(f, "m.b", "1");
	assert_int_equal(body_put(f, hello, -1, 0), a);
	body_put_false(f, hello, slice_str("jello"), -1);
	body_put_false(f, hello, slice_str(""), -1);
	body_put_false(f, hello, bigs, fileno(tmp));
	body_is(f, a, 0, 100, hello);
	f->b->ops->summary_get(f->b, b, on_value, &g);
	wait_n(f, &g, 1);
	assert_string_equal(buf_cstr(&g.value), "summary");
	/* by its digest */
	sha256_of(hello, found);
	f->b->ops->body_find(f->b, found, on_body, &g);
	wait_n(f, &g, 1);
	assert_true(g.err == 0 && g.body == a);
	f->b->ops->body_find(f->b, sha, on_body, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, ERR_NOTFOUND);
	f->b->ops->body_get(f->b, 4711, 0, 10, on_value, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, ERR_NOTFOUND);
	/* by number, ascending */
	assert_int_equal(f->b->ops->bodies_after(f->b, 0, 0, on_value, &g), ERR_RANGE);
	assert_int_equal(numbers_after(f, &g, 0, 100, numbers), 3);
	assert_true(numbers[1] == a && numbers[2] == b && numbers[0] >= numbers[3]);
	assert_true(numbers[1] < numbers[2] && numbers[2] < numbers[3]);
	assert_int_equal(numbers_after(f, &g, 0, 2, numbers), 2);
	assert_true(numbers[1] == a && numbers[2] == b);
	assert_int_equal(numbers_after(f, &g, a, 100, numbers), 2);
	assert_true(numbers[1] == b);
	assert_int_equal(numbers_after(f, &g, numbers[0], 100, numbers), 0);
	/* many at once: whole small ones, and a word about the others */
	{
		const uint64_t want[] = {a, b, 4711, a};
		struct backend_whole w;
		struct slice rest;

		assert_int_equal(
		    f->b->ops->bodies_get(f->b, want, 0, true, on_value, &g), ERR_RANGE);
		assert_int_equal(f->b->ops->bodies_get(f->b, want, 4, true, on_value, &g), 0);
		wait_n(f, &g, 1);
		assert_int_equal(g.err, 0);
		rest = buf_slice(&g.value);
		assert_true(backend_bodies_next(&rest, &w) && w.err == 0);
		assert_true(slice_eq(w.bytes, hello) && slice_eq_str(w.summary, "summary"));
		assert_true(
		    backend_bodies_next(&rest, &w) && w.err == ERR_LIMIT && w.bytes.len == 0);
		assert_true(backend_bodies_next(&rest, &w) && w.err == ERR_NOTFOUND);
		assert_true(backend_bodies_next(&rest, &w) && w.err == 0);
		assert_false(backend_bodies_next(&rest, &w));
		assert_int_equal(f->b->ops->bodies_get(f->b, want, 1, false, on_value, &g), 0);
		wait_n(f, &g, 1);
		rest = buf_slice(&g.value);
		assert_true(backend_bodies_next(&rest, &w) && w.summary.len == 0 &&
			    slice_eq(w.bytes, hello));
		assert_int_equal(f->b->ops->summaries_get(f->b, want, 0, on_value, &g), ERR_RANGE);
		assert_int_equal(f->b->ops->summaries_get(f->b, want, 4, on_value, &g), 0);
		wait_n(f, &g, 1);
		rest = buf_slice(&g.value);
		for (size_t i = 0; i < 4; i++) { /* the large one's too */
			assert_true(backend_bodies_next(&rest, &w) && w.bytes.len == 0);
			assert_int_equal(w.err, i == 2 ? ERR_NOTFOUND : 0);
			assert_true(slice_eq_str(w.summary, i == 2 ? "" : "summary"));
		}
		assert_false(backend_bodies_next(&rest, &w));
	}
	/* bytes that are not what their digest says */
	f->b->ops->body_put(f->b, sha, hello, -1, 5, slice_str(""), on_body, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, ERR_CORRUPT);
	f->b->ops->body_drop(f->b, a, on_done, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, 0);
	f->b->ops->body_find(f->b, found, on_body, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, ERR_NOTFOUND);
	assert_true(body_put(f, hello, -1, 0) != a);
	buf_done(&g.value);
	fclose(tmp);
}

static void
same_body_at_once(void **state)
{
	struct fix *f = *state;
	unsigned char sha[32];
	struct got g[10];

	sha256_of(slice_str("together"), sha);
	for (int i = 0; i < 10; i++) {
		got_init(&g[i]);
		f->b->ops->body_put(
		    f->b, sha, slice_str("together"), -1, 8, slice_str(""), on_body, &g[i]);
	}
	for (int i = 0; i < 10; i++) {
		wait_n(f, &g[i], 1);
		assert_int_equal(g[i].err, 0);
		assert_int_equal(g[i].body, g[0].body);
	}
}

static int pokes;
static void
on_poke(void *arg, struct slice object)
{
	assert_true(slice_eq_str(object, "m.w"));
	assert_ptr_equal(arg, &pokes);
	pokes++;
}

static void
list_objects(struct fix *f, const char *prefix, const char *after, unsigned max, struct got *g)
{
	got_init(g);
	assert_int_equal(
	    f->b->ops->objects(f->b, slice_str(prefix), slice_str(after), max, on_rows, g), 0);
	wait_n(f, g, 1);
	assert_int_equal(g->err, 0);
}

/* All objects once, ascending, page by page; none that is removed. */
static void
objects(void **state)
{
	struct fix *f = *state;
	char name[32];
	struct got g;

	assert_int_equal(
	    f->b->ops->objects(f->b, slice_str(""), slice_str(""), 0, on_rows, &g), ERR_RANGE);
	assert_int_equal(
	    f->b->ops->objects(f->b, slice_str(""), slice_str(""), 1001, on_rows, &g), ERR_RANGE);
	list_objects(f, "", "", 10, &g);
	assert_int_equal(g.rows, 0);
	assert_false(g.more);
	buf_done(&g.value);
	for (int i = 0; i < 25; i++) {
		snprintf(name, sizeof name, "m.%02d", i);
		assert_int_equal(create(f, name, "head"), 0);
	}
	create(f, "a.an", "head"); /* its rows stand behind those of the next one */
	create(f, "a.an.binh", "head");
	create(f, "m.0", "head"); /* the beginning of other names */
	list_objects(f, "", "", 5, &g);
	assert_string_equal(buf_cstr(&g.value), "a.an.binh= a.an= m.0= m.00= m.01= ");
	assert_true(g.more);
	buf_done(&g.value);
	list_objects(f, "m.", "m.01", 2, &g);
	assert_string_equal(buf_cstr(&g.value), "m.02= m.03= ");
	buf_done(&g.value);
	got_init(&g);
	f->b->ops->remove(f->b, slice_str("m.03"), slice_str("head"), on_done, &g);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, 0);
	buf_done(&g.value);
	list_objects(f, "m.", "m.02", 1000, &g);
	assert_true(strncmp(buf_cstr(&g.value), "m.04= m.05= ", 12) == 0);
	assert_int_equal(g.rows, 21);
	assert_false(g.more);
	buf_done(&g.value);
	list_objects(f, "a.", "a.an.binh", 1000, &g);
	assert_string_equal(buf_cstr(&g.value), "a.an= ");
	assert_false(g.more);
	buf_done(&g.value);
}

static void
hints(void **state)
{
	struct fix *f = *state;
	uint32_t id, id2;

	pokes = 0;
	assert_int_equal(f->b->ops->watch(f->b, slice_str("m.w"), on_poke, &pokes, &id), 0);
	assert_int_equal(f->b->ops->watch(f->b, slice_str("m.w"), on_poke, &pokes, &id2), 0);
	f->b->ops->poke(f->b, slice_str("m.other"));
	f->b->ops->poke(f->b, slice_str("m.w"));
	assert_int_equal(pokes, 0);
	for (int i = 0; i < 10; i++)
		loop_run_once(f->l, 1);
	assert_int_equal(pokes, 2);
	f->b->ops->unwatch(f->b, id);
	f->b->ops->poke(f->b, slice_str("m.w"));
	for (int i = 0; i < 10; i++)
		loop_run_once(f->l, 1);
	assert_int_equal(pokes, 3);
}

/* What is given is the caller's again when the call returns. */
static void
copied(void **state)
{
	struct fix *f = *state;
	char key[] = "key", value[] = "value", header[] = "2", expect[] = "1", object[] = "m.c";
	struct kv_pair puts[2] = {
	    {slice_str("h"), slice_str(header)}, {slice_str(key), slice_str(value)}};
	struct backend_batch b = {
	    .object = slice_str(object), .expect = slice_str(expect), .puts = puts, .n_puts = 2};
	struct got g;

	got_init(&g);
	create(f, "m.c", "1");
	assert_int_equal(f->b->ops->batch(f->b, &b, on_done, &g), 0);
	memset(key, 'x', 3);
	memset(value, 'x', 5);
	header[0] = expect[0] = object[0] = 'x';
	memset(puts, 0, sizeof puts);
	wait_n(f, &g, 1);
	assert_int_equal(g.err, 0);
	scan_is(f, "m.c", "", "", 10, "h=2 key=value ", false);
}

/* Of those who saw the same header one wins, whoever they are. */
static void
one_wins(void **state)
{
	struct fix *f = *state;
	enum { N = 20 };
	struct got g[N];
	char headers[N][16], keys[N][16], want[64];
	unsigned won = N, n_won = 0;

	create(f, "m.o", "0");
	for (unsigned i = 0; i < N; i++) {
		snprintf(headers[i], sizeof headers[i], "by %u", i);
		snprintf(keys[i], sizeof keys[i], "k/%02u", i);
		struct kv_pair puts[2] = {
		    {slice_str("h"), slice_str(headers[i])}, {slice_str(keys[i]), slice_str("v")}};
		struct backend_batch b = {.object = slice_str("m.o"),
		    .expect = slice_str("0"),
		    .puts = puts,
		    .n_puts = 2};

		got_init(&g[i]);
		assert_int_equal(f->b->ops->batch(f->b, &b, on_done, &g[i]), 0);
	}
	for (unsigned i = 0; i < N; i++) {
		wait_n(f, &g[i], 1);
		if (g[i].err == 0) {
			won = i;
			n_won++;
		} else {
			assert_int_equal(g[i].err, ERR_CONFLICT);
		}
	}
	assert_int_equal(n_won, 1);
	snprintf(want, sizeof want, "h=%s %s=v ", headers[won], keys[won]);
	scan_is(f, "m.o", "", "", 100, want, false);
}

/* close waits for nobody's completion: none comes after it. */
static void
closed(void **state)
{
	struct fix *f = *state;
	struct kv_pair puts[1] = {{slice_str("h"), slice_str("2")}};
	struct backend_batch b = {
	    .object = slice_str("m.x"), .expect = slice_str("1"), .puts = puts, .n_puts = 1};
	struct got g;

	got_init(&g);
	create(f, "m.x", "1");
	assert_int_equal(f->b->ops->batch(f->b, &b, on_done, &g), 0);
	assert_int_equal(f->b->ops->get(f->b, slice_str("m.x"), slice_str("h"), on_value, &g), 0);
	assert_int_equal(
	    f->b->ops->scan(f->b, slice_str("m.x"), slice_str(""), slice_str(""), 9, on_rows, &g),
	    0);
	f->b->ops->close(f->b);
	for (int i = 0; i < 20; i++)
		loop_run_once(f->l, 1);
	assert_int_equal(g.n, 0);
	assert_int_equal(f->mem ? backend_mem_open(f->l, &f->b) : open_kv(f), 0);
	if (!f->mem) { /* it was done, or not at all */
		int err = batch(f, "m.x", "1", "3", "k", "v", NULL, NULL);

		assert_true(err == 0 || err == ERR_CONFLICT);
		get_is(f, "m.x", "h", err == 0 ? "3" : "2");
	}
}

static void
persists(void **state)
{
	struct fix *f = *state;
	static unsigned char big[600000];
	uint64_t a, b[5];

	create(f, "m.p", "1");
	a = body_put(f, slice_str("kept"), -1, 0);
	for (int i = 0; i < 5; i++) { /* more than one segment file */
		memset(big, i, sizeof big);
		b[i] = body_put(f, slice_of(big, sizeof big), -1, 0);
		assert_true(b[i] > a);
	}
	assert_int_equal(batch(f, "m.p", "1", "2", "k", "v", NULL, NULL), 0);
	f->b->ops->close(f->b);
	assert_int_equal(open_kv(f), 0);
	get_is(f, "m.p", "k", "v");
	body_is(f, a, 0, 100, slice_str("kept"));
	for (int i = 0; i < 5; i++) {
		memset(big, i, sizeof big);
		body_is(f, b[i], 0, sizeof big, slice_of(big, sizeof big));
	}
	assert_int_equal(body_put(f, slice_str("kept"), -1, 0), a);
	assert_true(body_put(f, slice_str("new"), -1, 0) > b[4]);
}

#define BOTH(fn)                                          \
	{"kv_" #fn, fn, setup_kv, teardown, NULL},        \
	{                                                 \
		"mem_" #fn, fn, setup_mem, teardown, NULL \
	}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    BOTH(conditions),
	    BOTH(bounds),
	    BOTH(scans),
	    BOTH(removal),
	    BOTH(objects),
	    BOTH(groups),
	    BOTH(bodies),
	    BOTH(same_body_at_once),
	    BOTH(hints),
	    BOTH(copied),
	    BOTH(one_wins),
	    BOTH(closed),
	    cmocka_unit_test_setup_teardown(persists, setup_kv, teardown),
	};

	log_init("backend_test", 2);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
