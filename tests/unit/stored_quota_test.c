/* stored_quota_test.c: after any sequence of deliveries, APPEND, COPY, MOVE, flags, expunge, undelete, purge, rename, delete and kill -9, what the headers
 * count is what the rows add up to, the quota is what the headers count, retained mail counts nowhere but as retained, and the quota is never
 * exceeded. Random, against a real congvu-stored-db; STORED_QUOTA_SEED and STORED_QUOTA_STEPS repeat and lengthen it. */
#include "tests/unit/unit.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "lib/err.h"
#include "lib/log.h"
#include "tests/unit/kept_fix.h"

enum { QUOTA_MESSAGES = 150, TEXTS = 12, PICKED = 20 };
static const char conf[] =
    "quota_messages = 150\nquota_mb = 1\nsecurity_officers = {\"an\", \"binh\"}\n";
static const char *const names[] = {"INBOX", "Archive", "Trash", "Dự án", "Dự án/Cầu", "Khác"};
enum { NAMES = sizeof names / sizeof names[0] };

static uint32_t seed;
static struct store_session *S;
static unsigned n_id, done[16], refused;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

static const char *
some_text(void)
{
	static char text[12001];
	uint32_t k = rnd(TEXTS);

	memset(text, 'a' + (int)k, sizeof text - 1);
	text[20 + k * 1000] = '\0';
	return text;
}

/* A mailbox that is there, or 0. */
static uint64_t
some_box(void)
{
	const struct fix_box *b = fix_box(S, names[rnd(NAMES)]);

	return b == NULL ? 0 : b->id;
}

static size_t
some_uids(uint64_t m, uint32_t *uids)
{
	size_t n = 0;

	fix_rows(S, m);
	for (size_t i = 0; i < X->n_rows && n < PICKED; i++)
		if (rnd(3) == 0)
			uids[n++] = X->rows[i].row.uid;
	return n;
}

/* ---- what may happen ---- */

static void
act_deliver(void)
{
	char id[16];

	snprintf(id, sizeof id, "%u", rnd(5) == 0 && n_id > 0 ? rnd(n_id) : n_id);
	n_id++;
	fix_deliver(id, "p-1", names[rnd(NAMES)], some_text());
}

static void
act_append(void)
{
	uint64_t m = some_box();

	if (m != 0)
		fix_append("p-1", m, rnd(32), some_text());
}

static void
act_copy(bool move)
{
	uint64_t m = some_box(), to = some_box();
	uint32_t uids[PICKED];
	size_t n = m == 0 || to == 0 ? 0 : some_uids(m, uids);

	if (n > 0)
		fix_copy(S, m, uids, n, to, move);
}

static void
act_flags(void)
{
	uint64_t m = some_box();
	uint32_t uids[PICKED];
	size_t n = m == 0 ? 0 : some_uids(m, uids);

	if (n > 0)
		fix_flags(S, m, uids, n, (enum store_op)rnd(3), rnd(32), rnd(2) ? "kw" : "");
}

static void
act_expunge(void)
{
	uint64_t m = some_box();
	uint32_t uids[PICKED];
	size_t n = m == 0 ? 0 : some_uids(m, uids);

	if (n > 0)
		fix_expunge(S, m, uids, rnd(2) ? n : 0, rnd(3) > 0);
}

static void
act_undelete(void)
{
	const struct fix_kept *k;
	bool messages;

	fix_kept_boxes("p-1");
	if (X->n_kept == 0)
		return;
	k = &X->kept[rnd((uint32_t)X->n_kept)];
	messages = k->deleted_at != 0 && (k->kept == 0 || rnd(2));
	fix_kept_rows("p-1", k->id, messages);
	if (X->n_rows > 0)
		fix_restore("p-1", k->id, messages, rnd(2) ? "" : names[rnd(NAMES)], 0,
		    1 + rnd((uint32_t)X->n_rows), true);
}

static void
act_purge(void)
{
	char args[300];
	const struct fix_task *t;
	const char *at;
	uint64_t m = some_box();

	if (m == 0)
		return;
	fix_rows(S, m);
	if (X->n_rows == 0)
		return;
	snprintf(args, sizeof args,
	    "{\"what\":\"request\",\"by\":\"an\",\"kind\":\"body\",\"value\":\"%llu\",\"reason\":"
	    "\"test\"}",
	    (unsigned long long)X->rows[rnd((uint32_t)X->n_rows)].body);
	t = fix_task("purge", args);
	at = strstr(t->status, "\"request\":");
	assert_non_null(at);
	snprintf(args, sizeof args, "{\"what\":\"confirm\",\"by\":\"binh\",\"request\":%llu}",
	    strtoull(at + 10, NULL, 10));
	t = fix_task("purge", args);
	assert_non_null(strstr(t->status, "\"state\":\"done\""));
	assert_non_null(strstr(t->status, "\"bodies_left\":0"));
	X->err = 0;
}

static void
act_names(void)
{
	uint64_t m = some_box();

	if (rnd(2))
		fix_create(S, names[3 + rnd(NAMES - 3)]);
	else if (m != 0 && rnd(2))
		fix_delete(S, m);
	else if (m != 0)
		fix_rename(S, m, names[rnd(NAMES)]);
}

static void
act(void)
{
	static const uint8_t weights[] = {30, 10, 8, 8, 12, 14, 9, 2, 6, 1};
	uint32_t r = rnd(100), k = 0;

	while (r >= weights[k])
		r -= weights[k++];
	X->err = 0;
	switch (k) {
	case 0:
		act_deliver();
		break;
	case 1:
		act_append();
		break;
	case 2:
	case 3:
		act_copy(k == 3);
		break;
	case 4:
		act_flags();
		break;
	case 5:
		act_expunge();
		break;
	case 6:
		act_undelete();
		break;
	case 7:
		act_purge();
		break;
	case 8:
		act_names();
		break;
	default:
		fix_restart(SIGKILL, 0);
	}
	done[k]++;
	refused += X->err == ERR_FULL;
	assert_true(X->err == 0 || X->err == ERR_FULL || X->err == ERR_EXISTS ||
		    X->err == ERR_DENIED || X->err == ERR_SYNTAX);
}

/* ---- what must hold ---- */

static uint64_t q_octets, q_messages;

static void
on_quota(void *arg, int err, const struct store_quota *q)
{
	(void)arg;
	X->err = err;
	q_octets = q->octets;
	q_messages = q->messages;
	X->done = true;
}

static void
judge(void)
{
	static struct fix_box boxes[200];
	static struct fix_kept kept[200];
	uint64_t octets = 0, messages = 0;
	size_t n, n_kept;

	(void)fix_box(S, "");
	n = X->n_boxes;
	memcpy(boxes, X->boxes, sizeof boxes);
	for (size_t i = 0; i < n; i++) {
		struct fix_box sum = {.id = 0};

		fix_rows(S, boxes[i].id);
		assert_int_equal(X->err, 0);
		for (size_t k = 0; k < X->n_rows; k++) {
			const struct msg_row *row = &X->rows[k].row;

			sum.messages++;
			sum.size += row->size;
			sum.unseen += (row->flags & MSG_SEEN) == 0;
			sum.deleted += (row->flags & MSG_DELETED) != 0;
			sum.deleted_size += (row->flags & MSG_DELETED) != 0 ? row->size : 0;
			assert_true(row->uid < boxes[i].uidnext);
		}
		assert_int_equal(sum.messages, boxes[i].messages);
		assert_int_equal(sum.unseen, boxes[i].unseen);
		assert_int_equal(sum.deleted, boxes[i].deleted);
		assert_true(sum.size == boxes[i].size);
		assert_true(sum.deleted_size == boxes[i].deleted_size);
		octets += sum.size;
		messages += sum.messages;
	}
	X->done = false;
	store_quota(S, slice_str(""), on_quota, NULL);
	for (int i = 0; i < 500 && !X->done; i++)
		loop_run_once(X->l, 20);
	X->done = false;
	assert_true(q_octets == octets && q_messages == messages);
	assert_true(octets <= (1u << 20) && messages <= QUOTA_MESSAGES);
	/* what is retained, too, is counted as it is */
	fix_kept_boxes("p-1");
	assert_int_equal(X->err, 0);
	n_kept = X->n_kept;
	memcpy(kept, X->kept, sizeof kept);
	for (size_t i = 0; i < n_kept; i++) {
		uint64_t sum = 0;

		for (int messages_too = 0; messages_too < 2; messages_too++) {
			if (messages_too && kept[i].deleted_at == 0)
				break;
			fix_kept_rows("p-1", kept[i].id, messages_too);
			assert_int_equal(X->err, 0);
			assert_int_equal(X->n_rows, messages_too ? kept[i].messages : kept[i].kept);
			for (size_t k = 0; k < X->n_rows; k++)
				sum += X->rows[k].row.size;
		}
		assert_true(sum == kept[i].octets);
	}
}

static void
exact(void **state)
{
	const char *s = getenv("STORED_QUOTA_SEED"), *n = getenv("STORED_QUOTA_STEPS");
	unsigned steps = n == NULL ? 400 : (unsigned)strtoul(n, NULL, 10);

	(void)state;
	seed = s == NULL ? (uint32_t)time(NULL) : (uint32_t)strtoul(s, NULL, 10);
	print_message("STORED_QUOTA_SEED=%u\n", (unsigned)seed);
	assert_int_equal(fix_new(conf), 0);
	S = fix_login("p-1", "an");
	for (unsigned i = 0; i < steps; i++) {
		act();
		if (i % 8 == 0)
			judge();
	}
	judge();
	fix_restart(SIGTERM, 0);
	judge();
	print_message(
	    "%u deliveries, %u undeletes, %u purges, %u kills, %u refused for the quota\n", done[0],
	    done[6], done[7], done[9], refused);
	fix_free();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(exact)};

	log_init("stored_quota_test", 2);
	log_set_level(LOG_LVL_ERROR);
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
