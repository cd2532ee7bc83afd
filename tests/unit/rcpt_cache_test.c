/* rcpt_cache_test.c: what is remembered of recipients, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/rcpt_cache.h"

static void
remembers_one_account_for_a_while(void **state)
{
	struct rcpt_cache *c = rcpt_cache_new();
	struct lookup_target t[2] = {
	    {.account = (char *)"p-1", .address = (char *)"a@b.example", .name = (char *)"A"},
	    {.account = (char *)"p-2", .address = (char *)"c@b.example", .name = (char *)"C"}};
	struct lookup_rcpt r = {.kind = LOOKUP_RCPT_LOCAL, .targets = t, .n_targets = 1};
	const struct lookup_rcpt *got;

	(void)state;
	assert_null(rcpt_cache_get(c, slice_str("a@b.example"), 0));
	rcpt_cache_put(c, slice_str("a@b.example"), &r, 100);
	got = rcpt_cache_get(c, slice_str("a@b.example"), 100 + RCPT_CACHE_MS - 1);
	assert_non_null(got);
	assert_int_equal(got->n_targets, 1);
	assert_string_equal(got->targets[0].account, "p-1");
	assert_null(rcpt_cache_get(c, slice_str("a@b.exampl"), 100));
	assert_null(rcpt_cache_get(c, slice_str("a@b.example"), 100 + RCPT_CACHE_MS));
	rcpt_cache_free(c);
}

static void
forgets_what_is_no_single_account(void **state)
{
	struct rcpt_cache *c = rcpt_cache_new();
	struct lookup_target t[2] = {
	    {.account = (char *)"p-1", .address = (char *)"a@b.example", .name = (char *)"A"},
	    {.account = (char *)"p-2", .address = (char *)"c@b.example", .name = (char *)"C"}};
	struct lookup_rcpt r = {.kind = LOOKUP_RCPT_LOCAL, .targets = t, .n_targets = 1};

	(void)state;
	rcpt_cache_put(c, slice_str("a@b.example"), &r, 1);
	r.n_targets = 2;
	rcpt_cache_put(c, slice_str("a@b.example"), &r, 2);
	assert_null(rcpt_cache_get(c, slice_str("a@b.example"), 2));
	rcpt_cache_put(
	    c, slice_str("a@b.example"), &(struct lookup_rcpt){.kind = LOOKUP_RCPT_NONE}, 3);
	assert_null(rcpt_cache_get(c, slice_str("a@b.example"), 3));
	rcpt_cache_free(c);
}

static void
holds_many_and_stays_bounded(void **state)
{
	struct rcpt_cache *c = rcpt_cache_new();
	struct lookup_target t = {
	    .account = (char *)"p-1", .address = (char *)"x", .name = (char *)""};
	struct lookup_rcpt r = {.kind = LOOKUP_RCPT_LOCAL, .targets = &t, .n_targets = 1};
	struct buf b;
	unsigned kept = 0;

	(void)state;
	buf_init(&b, 64);
	for (unsigned i = 0; i < 3000; i++) {
		buf_reset(&b);
		buf_appendf(&b, "u%u@b.example", i);
		rcpt_cache_put(c, buf_slice(&b), &r, 5);
	}
	for (unsigned i = 0; i < 3000; i++) {
		buf_reset(&b);
		buf_appendf(&b, "u%u@b.example", i);
		kept += rcpt_cache_get(c, buf_slice(&b), 5) != NULL;
	}
	assert_in_range(kept, 500, 1024);
	buf_done(&b);
	rcpt_cache_free(c);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(remembers_one_account_for_a_while),
	    cmocka_unit_test(forgets_what_is_no_single_account),
	    cmocka_unit_test(holds_many_and_stays_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
