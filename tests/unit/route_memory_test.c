/* route_memory_test.c: what smtpd remembers of recipients, for how long, and what it never does. */
#include "config.h"

#include "smtpd/route_memory.h"

#include <stdio.h>
#include <string.h>

#include "tests/unit/unit.h"

static const struct lookup_route plain = {
    .kind = LOOKUP_RCPT_LOCAL, .may_send = true, .keep = true};
static const struct slice who = {(const unsigned char *)"a@b.example", 11};

static void
test_plain(void **state)
{
	struct route_memory *m = route_memory_new();
	const struct lookup_route *r;

	(void)state;
	assert_null(route_memory_get(m, who, 0)); /* nothing was kept at 0 either */
	assert_null(route_memory_get(m, slice_str(""), 0));
	route_memory_put(m, who, &plain, 1000);
	r = route_memory_get(m, who, 1000);
	assert_non_null(r);
	assert_int_equal(r->kind, LOOKUP_RCPT_LOCAL);
	assert_true(r->may_send && r->keep && !r->group && r->n_hops == 0 && r->reply == NULL);
	assert_non_null(route_memory_get(m, who, 1000 + ROUTE_MEMORY_MS - 1));
	assert_null(route_memory_get(m, who, 1000 + ROUTE_MEMORY_MS));
	assert_null(route_memory_get(m, slice_str("a@b.exampl"), 1000));
	assert_null(route_memory_get(m, slice_str("A@b.example"), 1000));
	route_memory_free(m);
	route_memory_free(NULL);
}

/* All that depends on the sender, or is more than a mailbox, is asked about, and what was kept of the address is forgotten. */
static void
test_others(void **state)
{
	struct lookup_hop hop = {.to = "c@d.example", .by = "a@b.example"};
	struct lookup_reply reply = {.account = "p-1"};
	struct lookup_route all[7];

	(void)state;
	for (size_t i = 0; i < 7; i++)
		all[i] = plain;
	all[0].kind = LOOKUP_RCPT_REMOTE;
	all[1].kind = LOOKUP_RCPT_NONE;
	all[2].may_send = false;
	all[3].group = true;
	all[4].keep = false;
	all[5].hops = &hop;
	all[5].n_hops = 1;
	all[6].reply = &reply;
	for (size_t i = 0; i < 7; i++) {
		struct route_memory *m = route_memory_new();

		route_memory_put(m, who, &all[i], 1000);
		assert_null(route_memory_get(m, who, 1000));
		route_memory_put(m, who, &plain, 1001);
		assert_non_null(route_memory_get(m, who, 1001));
		route_memory_put(m, who, &all[i], 1002);
		assert_null(route_memory_get(m, who, 1002));
		route_memory_free(m);
	}
}

/* Any address, of any length, means itself alone. */
static void
test_many(void **state)
{
	struct route_memory *m = route_memory_new();
	char text[300];
	unsigned hits = 0;

	(void)state;
	for (unsigned i = 0; i < 5000; i++) {
		int n = snprintf(text, sizeof(text), "u%u@b.example", i);
		route_memory_put(m, slice_of(text, (size_t)n), &plain, 10);
		assert_non_null(route_memory_get(m, slice_of(text, (size_t)n), 10));
	}
	for (unsigned i = 0; i < 10000; i++) {
		int n = snprintf(text, sizeof(text), "u%u@b.example", i);
		bool hit = route_memory_get(m, slice_of(text, (size_t)n), 10) != NULL;
		assert_true(!hit || i < 5000);
		hits += hit;
	}
	assert_true(hits > 500 && hits <= 1024);
	for (size_t len = 1; len < sizeof(text); len++) {
		memset(text, 'x', len);
		route_memory_put(m, slice_of(text, len), &plain, 10);
		if (len <= 100)
			assert_non_null(route_memory_get(m, slice_of(text, len), 10));
		assert_null(route_memory_get(m, slice_of(text, len - 1), 500));
	}
	route_memory_free(m);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_plain),
	    cmocka_unit_test(test_others),
	    cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
