/* group_test.c: how many syncs the embedded backend makes, counted at fdatasync (linked with --wrap): what a batch costs, what a message to many
 * mailboxes costs, and that what comes while a sync runs is one more group. Bounds are counts, not times. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/backend.h"

enum { MAILBOXES = 100, WAIT_TURNS = 2000 };

static struct {
	struct loop *l;
	struct backend *b;
	char dir[64];
	unsigned done, bad;
	uint64_t body;
	/* under the wrapper, atomic */
	unsigned log, segments, other, slow_ms;
} T;

int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);

int
__wrap_fdatasync(int fd)
{
	char link[64], path[256];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	path[n < 0 ? 0 : n] = '\0';
	__atomic_add_fetch(strstr(path, "/db/log.") != NULL     ? &T.log
			   : strstr(path, "/segments/") != NULL ? &T.segments
								: &T.other,
	    1, __ATOMIC_SEQ_CST);
	usleep(1000 * __atomic_load_n(&T.slow_ms, __ATOMIC_SEQ_CST));
	return __real_fdatasync(fd);
}

static void
wait_for(unsigned done)
{
	for (int i = 0; T.done < done && i < WAIT_TURNS; i++)
		loop_run_once(T.l, 10);
	assert_int_equal(T.done, done);
	assert_int_equal(T.bad, 0);
}

static void
begin(void)
{
	T.done = T.log = T.segments = T.other = 0;
}

static void
on_done(void *arg, int err)
{
	(void)arg;
	T.done++;
	T.bad += err != 0;
}

static void
on_group(void *arg, const int *errs, size_t n)
{
	(void)arg;
	T.done++;
	for (size_t i = 0; i < n; i++)
		T.bad += errs[i] != 0;
}

static void
on_body(void *arg, int err, uint64_t body)
{
	on_done(arg, err);
	T.body = body;
}

static struct slice
object(char out[16], unsigned i)
{
	snprintf(out, 16, "m.%u", i);
	return slice_str(out);
}

static int
setup(void **state)
{
	struct backend_kv_options o = {.dir = T.dir, .threads = 2};
	char name[16];

	(void)state;
	T.l = loop_new();
	snprintf(T.dir, sizeof T.dir, "/tmp/group_test.XXXXXX");
	if (mkdtemp(T.dir) == NULL || backend_kv_open(T.l, &o, &T.b) != 0)
		return -1;
	begin();
	for (unsigned i = 0; i < MAILBOXES; i++)
		T.b->ops->create(T.b, object(name, i), slice_str("0"), on_done, NULL);
	wait_for(MAILBOXES);
	return 0;
}

static int
teardown(void **state)
{
	char cmd[128];

	(void)state;
	T.slow_ms = 0;
	T.b->ops->close(T.b);
	loop_free(T.l);
	snprintf(cmd, sizeof cmd, "rm -r '%s'", T.dir);
	return system(cmd) == 0 ? 0 : -1;
}

static void
put_body(size_t size)
{
	unsigned char *p = xmalloc(size), sha[32];

	random_bytes(p, size);
	sha256_of(slice_of(p, size), sha);
	T.b->ops->body_put(
	    T.b, sha, slice_of(p, size), -1, size, slice_str("summary"), on_body, NULL);
	free(p);
}

static struct backend_batch
batch(const struct kv_pair *row, struct slice name)
{
	return (struct backend_batch){
	    .object = name, .expect = slice_str("0"), .puts = row, .n_puts = 1};
}

/* To n mailboxes, as one group. */
static void
deliver(unsigned n)
{
	struct backend_batch batches[MAILBOXES];
	struct kv_pair row = {slice_str("m/00000001"), slice_str("a message")};
	char names[MAILBOXES][16];

	for (unsigned i = 0; i < n; i++)
		batches[i] = batch(&row, object(names[i], i));
	T.b->ops->batch_group(T.b, batches, n, on_group, NULL);
}

static void
a_small_body_to_many_is_one_sync(void **state)
{
	(void)state;
	begin();
	put_body(4096);
	wait_for(1);
	deliver(MAILBOXES);
	wait_for(2);
	assert_int_equal(T.log, 1);
	assert_int_equal(T.segments, 0); /* the log has the body */
	assert_int_equal(T.other, 0);
}

static void
a_large_body_is_one_more(void **state)
{
	(void)state;
	begin();
	put_body(200000);
	wait_for(1);
	deliver(MAILBOXES);
	wait_for(2);
	assert_int_equal(T.log, 1);
	assert_int_equal(T.segments, 1);
	assert_int_equal(T.other, 0);
}

/* However many come while a sync runs. */
static void
what_comes_during_a_sync_is_one_group(void **state)
{
	struct kv_pair row = {slice_str("m/00000001"), slice_str("a message")};
	char name[16];

	(void)state;
	begin();
	__atomic_store_n(&T.slow_ms, 100, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < MAILBOXES; i++) {
		struct backend_batch b = batch(&row, object(name, i));

		T.b->ops->batch(T.b, &b, on_done, NULL);
		if (i == 0) /* the writer has it, and syncs */
			for (int k = 0; __atomic_load_n(&T.log, __ATOMIC_SEQ_CST) == 0 && k < 500;
			     k++)
				usleep(1000);
	}
	wait_for(MAILBOXES);
	/* the first by itself, the others together; a third for a machine that is slow to submit */
	assert_in_range(T.log, 2, 3);
	assert_int_equal(T.segments, 0);
}

/* Bodies that come while a sync runs share one of the segments, and one of the log. */
static void
bodies_share_syncs(void **state)
{
	char name[16];

	(void)state;
	begin();
	for (unsigned i = 0; i < 20; i++)
		put_body(150000);
	wait_for(20);
	assert_int_equal(T.log + T.segments, 0); /* nothing is promised yet */
	__atomic_store_n(&T.slow_ms, 50, __ATOMIC_SEQ_CST);
	for (unsigned i = 0; i < 20; i++) {
		struct kv_pair row = {slice_str("m/00000001"), slice_str("a message")};
		struct backend_batch b = batch(&row, object(name, i));

		T.b->ops->batch(T.b, &b, on_done, NULL);
	}
	wait_for(40);
	assert_in_range(T.log, 1, 3);
	assert_in_range(T.segments, 1, 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(a_small_body_to_many_is_one_sync, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_large_body_is_one_more, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_comes_during_a_sync_is_one_group, setup, teardown),
	    cmocka_unit_test_setup_teardown(bodies_share_syncs, setup, teardown),
	};

	log_init("group_test", 2);
	log_set_level(LOG_LVL_WARN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
