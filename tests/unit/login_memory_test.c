/* login_memory_test.c: what is known is found by each of its names, until its time, until it is dropped by account or by name, and within its bytes. */
#include "config.h"

#include "directory/login_memory.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/unit.h"

void
login_facts_done(struct login_facts *f)
{
	(void)f;
}

static struct login_known *
make(const char *account, size_t reply_len, int64_t until)
{
	char *none = NULL, text[8] = "x";
	struct person u = {.dn = text,
	    .login = text,
	    .account = text,
	    .address = text,
	    .name = text,
	    .agency = text,
	    .version = text,
	    .addresses = &none,
	    .scram = &none};
	struct login_facts f = {.epoch = 7};
	struct login_known *k;
	struct buf b;

	snprintf(f.account, sizeof(f.account), "%s", account);
	buf_init(&b, 1 << 20);
	for (size_t i = 0; i < reply_len; i++)
		buf_append_byte(&b, (unsigned char)account[0]);
	k = login_known_new(&u, buf_slice(&b), &f, until);
	buf_done(&b);
	assert_int_equal(k->facts.epoch, 7);
	assert_int_equal(k->reply.len, reply_len);
	return k;
}

static void
keep(struct login_memory *m, const char *name, const char *account, int64_t until)
{
	struct login_known *k = make(account, 10, until);

	login_memory_put(m, name, k);
	login_known_release(k);
}

static void
test_names(void **state)
{
	struct login_memory *m = login_memory_new(1 << 20);
	struct login_known *k = make("p-1", 10, 100), *held;

	(void)state;
	assert_null(login_memory_find(m, "binhtv", 1));
	login_memory_put(m, "binhtv", k);
	login_memory_put(m, "binh@x", k);
	assert_ptr_equal(login_memory_find(m, "binhtv", 1), k);
	assert_ptr_equal(login_memory_find(m, "binh@x", 99), k);
	assert_null(login_memory_find(m, "binh", 1));
	assert_true(login_memory_has(m, "p-1", 99));
	/* a change of the person, by whichever name it is looked for */
	held = login_known_hold(k);
	login_known_release(k);
	assert_false(held->is_over);
	login_memory_drop(m, "p-1");
	assert_true(held->is_over);
	assert_memory_equal(
	    held->reply.data, "pppppppppp", 10); /* who holds it may still read it */
	assert_null(login_memory_find(m, "binhtv", 1));
	assert_null(login_memory_find(m, "binh@x", 1));
	assert_int_equal(login_memory_bytes(m), 0);
	/* what was over meanwhile is not kept again */
	login_memory_put(m, "binhtv", held);
	assert_null(login_memory_find(m, "binhtv", 1));
	login_known_release(held);
	/* a name that another one has now takes the first one's away */
	keep(m, "name", "p-1", 100);
	keep(m, "other", "p-2", 100);
	keep(m, "name", "p-2", 100);
	assert_string_equal(login_memory_find(m, "name", 1)->facts.account, "p-2");
	assert_false(login_memory_has(m, "p-1", 1));
	assert_null(login_memory_find(m, "other", 1)); /* read before: not known to be so still */
	login_memory_drop_name(m, "name");
	assert_false(login_memory_has(m, "p-2", 1));
	login_memory_drop_name(m, "name");
	login_memory_drop(m, "p-9");
	login_memory_free(m);
	login_memory_free(NULL);
}

static void
test_time(void **state)
{
	struct login_memory *m = login_memory_new(1 << 20);

	(void)state;
	keep(m, "a", "p-1", 100);
	keep(m, "b", "p-2", 100);
	assert_non_null(login_memory_find(m, "a", 99));
	assert_null(login_memory_find(m, "a", 100));
	assert_false(login_memory_has(m, "p-1", 99)); /* it went when it was over */
	assert_false(login_memory_has(m, "p-2", 100));
	assert_int_equal(login_memory_bytes(m), 0);
	keep(m, "a", "p-1", 100);
	keep(m, "b", "p-2", 100);
	login_memory_clear(m);
	assert_null(login_memory_find(m, "a", 1));
	assert_null(login_memory_find(m, "b", 1));
	login_memory_free(m);
}

static void
test_bounds(void **state)
{
	enum { BYTES = 100000, MANY = 1000 };
	struct login_memory *m = login_memory_new(BYTES);
	struct login_known *k;
	char name[32], account[32];
	size_t left = 0;

	(void)state;
	keep(m, "used", "p-used", 100);
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		snprintf(account, sizeof(account), "p-%d", i);
		keep(m, name, account, 100);
		assert_true(login_memory_bytes(m) <= BYTES);
		assert_non_null(login_memory_find(m, "used", 1)); /* the longest unused goes */
	}
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		left += login_memory_find(m, name, 1) != NULL;
	}
	assert_true(left > 10 && left < MANY / 2);
	assert_non_null(login_memory_find(m, "n999", 1));
	/* one that would push out many is not kept */
	k = make("p-large", BYTES / 8, 100);
	login_memory_put(m, "large", k);
	login_known_release(k);
	assert_null(login_memory_find(m, "large", 1));
	assert_non_null(login_memory_find(m, "n999", 1));
	/* no more names of one than there are places, and each is counted */
	login_memory_clear(m);
	k = make("p-many", 10, 100);
	for (int i = 0; i < 100; i++) {
		size_t before = login_memory_bytes(m);

		memset(name, 'm', sizeof(name));
		snprintf(name, sizeof(name), "m%d", i);
		name[strlen(name)] = i < 4 ? 'm' : '\0';
		name[sizeof(name) - 1] = '\0';
		login_memory_put(m, name, k);
		assert_true(i < 4 ? login_memory_bytes(m) > before + strlen(name)
				  : login_memory_bytes(m) == before);
	}
	login_known_release(k);
	assert_non_null(login_memory_find(m, "m0mmmmmmmmmmmmmmmmmmmmmmmmmmmmm", 1));
	assert_null(login_memory_find(m, "m99", 1));
	login_memory_clear(m);
	assert_int_equal(login_memory_bytes(m), 0);
	login_memory_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_names),
	    cmocka_unit_test(test_time),
	    cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
