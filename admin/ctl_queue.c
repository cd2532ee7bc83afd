/* ctl_queue.c: `congvu queue list`: the mail that waits, as smtpd-queue tells it on queue.admin.sock, page by page. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "smtpd/queue_client.h"

#define PAGE 200
#define ASK_MS 10000
#define ARENA_MAX (64u << 20)

struct row {
	struct delivery_id id;
	uint8_t state;
	int64_t arrived, due; /* milliseconds since 1970 */
	uint32_t attempts;
	uint64_t size;
	struct envelope env;
};

static const char *
state_text(unsigned state)
{
	return state == QUEUE_ST_ONHOLD       ? "hold"
	       : state == QUEUE_ST_QUEUED     ? "queued"
	       : state == QUEUE_ST_QUARANTINE ? "quarantine"
					      : "held";
}

static const char *
rcpt_text(enum rcpt_state state)
{
	return state == RCPT_LOCAL ? "local" : state == RCPT_REMOTE ? "remote" : "failed";
}

/* "2026-11-21T01:00:00Z" */
static const char *
when(int64_t ms, struct buf *b)
{
	buf_reset(b);
	if (date_rfc3339_format(ms / 1000 * 1000000, b) == 0 && b->len > 8) {
		buf_truncate(b, b->len - 8);
		buf_append_str(b, "Z");
	}
	return buf_cstr(b);
}

static struct json *
row_json(const struct row *r, const char *qid, struct buf *b)
{
	struct json *j = json_obj_new(), *rcpts = json_arr_new();

	json_set_str(j, "qid", qid);
	json_set_str(j, "state", state_text(r->state));
	json_set_str(j, "arrived", when(r->arrived, b));
	json_set_str(j, "next_try", r->due == 0 ? NULL : when(r->due, b));
	json_set_int(j, "attempts", r->attempts);
	json_set_int(j, "size", (int64_t)r->size);
	json_set_str(j, "from", r->env.from);
	json_set_str(j, "login", r->env.login[0] != '\0' ? r->env.login : NULL);
	if (r->env.quarantine[0] != '\0')
		json_set_str(j, "quarantine", r->env.quarantine);
	for (uint32_t i = 0; i < r->env.n_rcpts; i++) {
		struct json *one = json_obj_new();

		json_set_str(one, "address", r->env.rcpts[i].address);
		json_set_str(one, "kind", rcpt_text(r->env.rcpts[i].state));
		json_set_str(
		    one, "why", r->env.rcpts[i].why[0] != '\0' ? r->env.rcpts[i].why : NULL);
		json_push_take(rcpts, one);
	}
	json_set_take(j, "recipients", rcpts);
	return j;
}

/* Peers chose addresses and answers: control characters do not reach the terminal. */
static void
print_clean(const char *text)
{
	for (; *text != '\0'; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void
print_row(const struct row *r, const char *qid, struct buf *b)
{
	printf("%s  %-10s %s  %llu octets, %u attempts", qid, state_text(r->state),
	    when(r->arrived, b), (unsigned long long)r->size, r->attempts);
	printf(", next %s\n  from ", r->due == 0 ? "-" : when(r->due, b));
	print_clean(r->env.from[0] != '\0' ? r->env.from : "<>");
	printf("\n");
	for (uint32_t i = 0; i < r->env.n_rcpts; i++) {
		printf("  to   ");
		print_clean(r->env.rcpts[i].address);
		if (r->env.rcpts[i].why[0] != '\0') {
			printf("  (");
			print_clean(r->env.rcpts[i].why);
			printf(")");
		}
		printf("\n");
	}
}

static int
read_row(struct ipc_reader *in, struct arena *a, struct row *r)
{
	struct slice id = ipc_get_slice(in);

	r->state = ipc_get_u8(in);
	r->arrived = ipc_get_i64(in);
	r->due = ipc_get_i64(in);
	r->attempts = ipc_get_u32(in);
	r->size = ipc_get_u64(in);
	if (in->err != 0 || id.len != DELIVERY_ID_LEN)
		return ERR_PROTO;
	memcpy(r->id.b, id.ptr, DELIVERY_ID_LEN);
	return envelope_get(in, a, &r->env);
}

/* One page after *last; the rows are printed, or put into list. */
static int
page(struct ipc_sync *s, struct json *list, struct arena *a, struct buf *reply,
    struct delivery_id *last, uint32_t *n_out, bool *more_out)
{
	struct ipc_reader in;
	struct buf ask, text;
	char qid[QID_LEN + 1];
	struct row row;
	uint16_t type;
	int rc;

	buf_init(&ask, 64);
	buf_init(&text, 64);
	ipc_put_slice(&ask, slice_of(last->b, *n_out > 0 ? DELIVERY_ID_LEN : 0));
	ipc_put_u32(&ask, PAGE);
	rc = ipc_sync_call(s, QUEUE_LIST, &ask, -1, ASK_MS, &type, reply, NULL);
	ipc_reader_init(&in, buf_slice(reply));
	for (uint32_t n = rc == 0 ? ipc_get_count(&in, 65536, 30) : 0; n > 0 && rc == 0; n--) {
		rc = read_row(&in, a, &row);
		if (rc != 0)
			break;
		delivery_id_qid(&row.id, qid);
		if (list != NULL)
			json_push_take(list, row_json(&row, qid, &text));
		else
			print_row(&row, qid, &text);
		*last = row.id;
		(*n_out)++;
	}
	*more_out = rc == 0 && ipc_get_u8(&in) != 0;
	if (rc == 0)
		rc = ipc_reader_end(&in);
	buf_done(&ask);
	buf_done(&text);
	return rc;
}

static int
list_all(struct ctl *c)
{
	struct ipc_sync *s = ipc_sync_new("queue.admin.sock", &queue_proto, IPC_ADMIN);
	struct json *list = c->json ? json_arr_new() : NULL;
	struct arena *a = arena_new(ARENA_MAX);
	struct delivery_id last;
	struct buf reply;
	uint32_t n = 0;
	bool more = true;
	int rc = a != NULL ? 0 : ERR_NOMEM;

	buf_init(&reply, IPC_FRAME_MAX);
	while (rc == 0 && more) {
		uint32_t before = n;

		rc = page(s, list, a, &reply, &last, &n, &more);
		more = more && n > before;
		arena_reset(a);
	}
	arena_free(a);
	ipc_sync_free(s);
	buf_done(&reply);
	if (rc != 0) {
		json_free(list);
		return ctl_fail(c, ctl_exit_code(rc),
		    _("the queue does not answer (%s): is congvu-smtpd running (congvu status)?"),
		    err_name(rc));
	}
	if (c->json)
		return ctl_json_take(list, EX_OK);
	if (n == 0)
		printf("%s\n", _("The queue is empty."));
	return EX_OK;
}

int
ctl_queue(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_option none[] = {{NULL, NULL, NULL}};
	char *run;
	int code;

	if (ctl_options(c, none, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || strcmp(argv[1], "list") != 0)
		return ctl_usage(c, _("list is needed"));
	run = conf_path(c->conf, "run_dir");
	/* the name of a socket has 107 bytes at most, wherever the instance lies */
	if (chdir(run) != 0)
		code = ctl_fail(
		    c, EX_UNAVAILABLE, _("%s is not there: the suite was never started"), run);
	else
		code = list_all(c);
	free(run);
	return code;
}
