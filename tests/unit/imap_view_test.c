/* imap_view_test.c: the selected mailbox: message numbers, news, expunges under concurrent changes. RFC 3501 7.4.1, 5.2. */
#include "config.h"

#include "tests/unit/unit.h"

#include <stdio.h>
#include <stdlib.h>

#include "imapd/view.h"
#include "lib/err.h"

static char told[200];

static void
tell(void *arg, uint32_t seq, uint32_t uid)
{
	(void)uid;
	size_t n = strlen(told);
	(void)arg;
	snprintf(told + n, sizeof(told) - n, "%u ", seq);
}

static void
fill(struct view *v, uint32_t n)
{
	view_init(v);
	for (uint32_t i = 1; i <= n; i++)
		assert_int_equal(view_add(v, i * 10, 0), 0);
	view_announce(v);
	told[0] = '\0';
}

static void
test_expunge_numbers(void **state)
{
	struct view v;
	(void)state;
	fill(&v, 6);
	view_expunge(&v, 20);
	view_expunge(&v, 30);
	view_expunge(&v, 60);
	view_expunge(&v, 60);
	view_expunge(&v, 65);
	assert_int_equal(v.gone, 3);
	/* numbers stay until told */
	assert_int_equal(view_find(&v, 40), 3);
	view_take_expunged(&v, tell, NULL);
	assert_string_equal(told, "2 2 4 ");
	assert_int_equal(v.n, 3);
	assert_int_equal(v.told, 3);
	assert_int_equal(view_find(&v, 40), 1);
	view_done(&v);
}

/* A message that came and went between two looks is never heard of. */
static void
test_unannounced_vanish(void **state)
{
	struct view v;
	(void)state;
	fill(&v, 2);
	view_change(&v, 30, 0, false);
	view_change(&v, 40, 0, false);
	assert_true(view_has_news(&v));
	view_expunge(&v, 30);
	view_expunge(&v, 10);
	view_take_expunged(&v, tell, NULL);
	assert_string_equal(told, "1 ");
	assert_int_equal(v.told, 1);
	assert_int_equal(v.n, 2);
	view_announce(&v);
	assert_int_equal(v.told, 2);
	assert_int_equal(v.uid[1], 40);
	view_done(&v);
}

static void
test_changes(void **state)
{
	struct view v;
	(void)state;
	fill(&v, 3);
	view_change(&v, 10, MSG_SEEN, true);
	assert_int_equal(v.dirty, 0);
	view_change(&v, 20, MSG_SEEN, false);
	view_change(&v, 20, MSG_SEEN | MSG_DELETED, false);
	assert_int_equal(v.dirty, 1);
	assert_int_equal(v.flags[1], MSG_SEEN | MSG_DELETED | VIEW_DIRTY);
	view_expunge(&v, 20);
	assert_int_equal(v.dirty, 0);
	/* a change of what is gone does not bring it back */
	view_change(&v, 20, 0, false);
	assert_true(v.flags[1] & VIEW_GONE);
	view_done(&v);
}

static void
test_recent(void **state)
{
	struct view v;
	(void)state;
	fill(&v, 4);
	view_set_recent(&v, 0, 100);
	assert_int_equal(view_recent(&v), 0);
	view_set_recent(&v, 30, 40);
	assert_int_equal(view_recent(&v), 1);
	view_set_recent(&v, 30, 100);
	assert_int_equal(view_recent(&v), 2);
	view_change(&v, 40, MSG_SEEN, false);
	assert_true(v.flags[3] & VIEW_RECENT);
	view_expunge(&v, 40);
	view_take_expunged(&v, tell, NULL);
	assert_int_equal(view_recent(&v), 1);
	assert_int_equal(view_first_unseen(&v), 1);
	view_done(&v);
}

static int
pick(struct view *v, const char *set, bool uid, bool skip_gone, char *out, size_t room)
{
	struct arena *a = arena_new(100000);
	struct seqset s;
	uint32_t *uids;
	size_t n;
	int err = seqset_parse(slice_str(set), a, &s);
	if (err == 0)
		err = view_select(v, &s, uid, skip_gone, a, &uids, &n);
	out[0] = '\0';
	for (size_t i = 0; err == 0 && i < n; i++)
		snprintf(out + strlen(out), room - strlen(out), "%u ", uids[i]);
	arena_free(a);
	return err;
}

static void
test_select(void **state)
{
	struct view v;
	char out[200];
	(void)state;
	fill(&v, 5);
	view_add(&v, 60, 0); /* not announced */
	assert_int_equal(pick(&v, "1:2,2:3,5", false, true, out, sizeof(out)), 0);
	assert_string_equal(out, "10 20 30 50 ");
	assert_int_equal(pick(&v, "*", false, true, out, sizeof(out)), 0);
	assert_string_equal(out, "50 ");
	assert_int_equal(pick(&v, "6", false, true, out, sizeof(out)), ERR_RANGE);
	assert_int_equal(pick(&v, "3:6", false, true, out, sizeof(out)), ERR_RANGE);
	assert_int_equal(pick(&v, "7:*", false, true, out, sizeof(out)), 0);
	assert_string_equal(out, "50 ");
	assert_int_equal(pick(&v, "15:35,1000", true, true, out, sizeof(out)), 0);
	assert_string_equal(out, "20 30 ");
	assert_int_equal(pick(&v, "999:*", true, true, out, sizeof(out)), 0);
	assert_string_equal(out, "50 ");
	view_expunge(&v, 30);
	assert_int_equal(pick(&v, "2:4", false, true, out, sizeof(out)), 0);
	assert_string_equal(out, "20 40 ");
	assert_int_equal(pick(&v, "2:4", false, false, out, sizeof(out)), 0);
	assert_string_equal(out, "20 30 40 ");
	view_done(&v);
	fill(&v, 0);
	assert_int_equal(pick(&v, "1:*", false, true, out, sizeof(out)), 0);
	assert_string_equal(out, "");
	assert_int_equal(pick(&v, "1:*", true, true, out, sizeof(out)), 0);
	assert_int_equal(pick(&v, "1", false, true, out, sizeof(out)), ERR_RANGE);
	view_done(&v);
}

/* Two histories of one mailbox, told at different times, end at the same numbers: a client that counts along is never wrong. */
static void
test_random_histories(void **state)
{
	(void)state;
	srand(4711);
	for (int round = 0; round < 200; round++) {
		struct view v;
		uint32_t model[200], n = 0, uid = 0; /* what a client believes */
		fill(&v, 0);
		for (int step = 0; step < 60; step++) {
			int what = rand() % 6;
			if (what < 3) {
				view_change(&v, ++uid, 0, false);
			} else if (what == 3 && uid > 0) {
				view_expunge(&v, 1 + (uint32_t)rand() % uid);
			} else if (what == 4) {
				told[0] = '\0';
				uint32_t before = v.told;
				view_take_expunged(&v, tell, NULL);
				unsigned seq;
				int used;
				for (const char *p = told; sscanf(p, "%u %n", &seq, &used) == 1;
				     p += used) {
					assert_true(seq >= 1 && seq <= n);
					memmove(&model[seq - 1], &model[seq],
					    (n - seq) * sizeof(*model));
					n--;
					before--;
				}
				assert_int_equal(before, v.told);
			} else {
				for (uint32_t i = v.told; i < v.n; i++)
					model[n++] = v.uid[i];
				view_announce(&v);
			}
			assert_int_equal(n, v.told);
			for (uint32_t i = 0; i < n; i++)
				assert_int_equal(model[i], v.uid[i]);
		}
		view_done(&v);
	}
}

/* RFC 5182 2.1: expunged messages leave "$"; the next result takes its place; a refused one changes nothing. */
static void
test_saved(void **state)
{
	(void)state;
	struct arena *a = arena_new(65536);
	struct view v;
	struct seqset set = {.saved = true};
	uint32_t *uids = NULL;
	size_t n = 9;
	view_init(&v);
	for (uint32_t i = 1; i <= 9; i++)
		view_add(&v, i * 10, 0);
	view_announce(&v);
	assert_int_equal(view_select(&v, &set, false, false, a, &uids, &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(view_save(&v, (const uint32_t[]){20, 30, 40, 90}, 4), 0);
	for (int is_uid = 0; is_uid < 2; is_uid++) {
		set = (struct seqset){.saved = true};
		assert_int_equal(view_select(&v, &set, is_uid, false, a, &uids, &n), 0);
		assert_int_equal(n, 4);
		assert_int_equal(uids[0], 20);
		assert_int_equal(uids[3], 90);
	}
	view_expunge(&v, 30);
	assert_int_equal(view_saved_set(&v, a, &set), 0);
	assert_int_equal(set.n, 3); /* 20, 40, 90: 30 stands between, and is gone */
	assert_false(seqset_has(&set, 30));
	assert_true(seqset_has(&set, 40));
	uint32_t *many = calloc(VIEW_SAVED_MAX + 1, sizeof(*many));
	assert_non_null(many);
	assert_int_equal(view_save(&v, many, VIEW_SAVED_MAX + 1), ERR_LIMIT);
	free(many);
	assert_int_equal(v.n_saved, 4);
	assert_int_equal(view_save(&v, NULL, 0), 0);
	assert_int_equal(v.n_saved, 0);
	view_done(&v);
	arena_free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_expunge_numbers),
	    cmocka_unit_test(test_unannounced_vanish),
	    cmocka_unit_test(test_changes),
	    cmocka_unit_test(test_recent),
	    cmocka_unit_test(test_select),
	    cmocka_unit_test(test_saved),
	    cmocka_unit_test(test_random_histories),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
