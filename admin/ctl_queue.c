/* ctl_queue.c: `congvu queue`: the mail that waits, as smtpd-queue tells it on queue.admin.sock, page by page, and which of it a command
 * means. Changes are ctl_queue_change.c. */
#include "config.h"

#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "admin/ctl_queue.h"
#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"

#define PAGE 200
#define ASK_MS 10000
#define ARENA_MAX (64u << 20)

static const char *
state_text(unsigned state)
{
	return state == QUEUE_ST_ONHOLD       ? "hold"
	       : state == QUEUE_ST_QUEUED     ? "queued"
	       : state == QUEUE_ST_QUARANTINE ? "quarantine"
					      : "held";
}

/* For people; JSON has the words of state_text. */
static const char *
state_label(unsigned state)
{
	return state == QUEUE_ST_ONHOLD       ? _("on hold")
	       : state == QUEUE_ST_QUEUED     ? _("waiting")
	       : state == QUEUE_ST_QUARANTINE ? _("quarantine")
					      : _("held");
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

/* ---- which ---- */

bool
queue_filter_is_set(const struct queue_filter *f)
{
	return (f->qids != NULL && f->qids[0] != NULL) || f->from != NULL || f->to != NULL ||
	       f->domain != NULL || f->state != NULL || f->all;
}

static bool
matches(const char *pattern, const char *text)
{
	return fnmatch(pattern, text, FNM_CASEFOLD) == 0;
}

bool
queue_filter_takes_rcpt(const struct queue_filter *f, const char *address)
{
	const char *at = strrchr(address, '@');

	return (f->to == NULL || matches(f->to, address)) &&
	       (f->domain == NULL || (at != NULL && strcasecmp(at + 1, f->domain) == 0));
}

bool
queue_filter_takes(const struct queue_filter *f, const struct queue_row *r)
{
	bool named = f->qids == NULL || f->qids[0] == NULL;
	bool rcpt = f->to == NULL && f->domain == NULL;

	for (size_t i = 0; !named && f->qids[i] != NULL; i++)
		named = strcasecmp(f->qids[i], r->qid) == 0;
	for (uint32_t i = 0; !rcpt && i < r->env.n_rcpts; i++)
		rcpt = queue_filter_takes_rcpt(f, r->env.rcpts[i].address);
	return named && rcpt && (f->from == NULL || matches(f->from, r->env.from)) &&
	       (f->state == NULL || strcmp(f->state, state_text(r->state)) == 0);
}

/* ---- one message ---- */

int
queue_row_read(struct ipc_reader *in, struct arena *a, struct queue_row *r)
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
	delivery_id_qid(&r->id, r->qid);
	return envelope_get(in, a, &r->env);
}

struct json *
queue_row_json(const struct queue_row *r)
{
	struct json *j = json_obj_new(), *rcpts = json_arr_new();
	struct buf b;

	buf_init(&b, 64);
	json_set_str(j, "qid", r->qid);
	json_set_str(j, "state", state_text(r->state));
	json_set_str(j, "arrived", when(r->arrived, &b));
	json_set_str(j, "next_try", r->due == 0 ? NULL : when(r->due, &b));
	json_set_int(j, "attempts", r->attempts);
	json_set_int(j, "size", (int64_t)r->size);
	json_set_str(j, "from", r->env.from);
	json_set_str(j, "login", r->env.login[0] != '\0' ? r->env.login : NULL);
	if (r->env.quarantine[0] != '\0')
		json_set_str(j, "quarantine", r->env.quarantine);
	for (uint32_t i = 0; i < r->env.n_rcpts; i++) {
		const struct envelope_rcpt *x = &r->env.rcpts[i];
		struct json *one = json_obj_new();

		json_set_str(one, "address", x->address);
		json_set_str(one, "kind", rcpt_text(x->state));
		json_set_str(one, "why", x->why[0] != '\0' ? x->why : NULL);
		json_set_str(one, "server", x->mta[0] != '\0' ? x->mta : NULL);
		json_push_take(rcpts, one);
	}
	json_set_take(j, "recipients", rcpts);
	buf_done(&b);
	return j;
}

void
queue_print_clean(const char *text)
{
	for (; *text != '\0'; text++)
		putchar((unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

void
queue_row_print(const struct queue_row *r)
{
	struct buf b;

	buf_init(&b, 64);
	printf("%s  ", r->qid);
	ctl_label(state_label(r->state), 11);
	printf("%s  ", when(r->arrived, &b));
	printf(_("%llu octets, %u attempts"), (unsigned long long)r->size, r->attempts);
	if (r->due != 0)
		printf(_(", next %s"), when(r->due, &b));
	printf("\n  %s ", _("from"));
	queue_print_clean(r->env.from[0] != '\0' ? r->env.from : "<>");
	printf("\n");
	if (r->env.quarantine[0] != '\0') {
		printf("  %s ", _("why"));
		queue_print_clean(r->env.quarantine);
		printf("\n");
	}
	for (uint32_t i = 0; i < r->env.n_rcpts; i++) {
		printf("  %s ", _("to"));
		queue_print_clean(r->env.rcpts[i].address);
		if (r->env.rcpts[i].why[0] != '\0') {
			printf("  (");
			queue_print_clean(r->env.rcpts[i].why);
			printf(")");
		}
		printf("\n");
	}
	buf_done(&b);
}

/* ---- all of them ---- */

struct cursor {
	struct ipc_sync *s;
	const struct queue_filter *f;
	void (*fn)(void *arg, const struct queue_row *r);
	void *arg;
	struct arena *arena;
	struct buf reply;
	struct delivery_id last;
	uint32_t n;
	bool more;
};

/* One page after the last row. */
static int
page(struct cursor *k)
{
	struct ipc_reader in;
	struct buf ask;
	struct queue_row row;
	uint16_t type;

	buf_init(&ask, 64);
	ipc_put_slice(&ask, slice_of(k->last.b, k->n > 0 ? DELIVERY_ID_LEN : 0));
	ipc_put_u32(&ask, PAGE);
	int rc = ipc_sync_call(k->s, QUEUE_LIST, &ask, -1, ASK_MS, &type, &k->reply, NULL);
	ipc_reader_init(&in, buf_slice(&k->reply));
	for (uint32_t n = rc == 0 ? ipc_get_count(&in, 65536, 30) : 0; n > 0 && rc == 0; n--) {
		rc = queue_row_read(&in, k->arena, &row);
		if (rc != 0)
			break;
		if (queue_filter_takes(k->f, &row))
			k->fn(k->arg, &row);
		k->last = row.id;
		k->n++;
	}
	k->more = rc == 0 && ipc_get_u8(&in) != 0;
	if (rc == 0)
		rc = ipc_reader_end(&in);
	buf_done(&ask);
	return rc;
}

int
queue_each(struct ipc_sync *s, const struct queue_filter *f,
    void (*fn)(void *arg, const struct queue_row *r), void *arg)
{
	struct cursor k = {.s = s, .f = f, .fn = fn, .arg = arg, .more = true};
	int rc;

	k.arena = arena_new(ARENA_MAX);
	rc = k.arena != NULL ? 0 : ERR_NOMEM;
	buf_init(&k.reply, IPC_FRAME_MAX);
	while (rc == 0 && k.more) {
		uint32_t before = k.n;

		rc = page(&k);
		k.more = k.more && k.n > before;
		arena_reset(k.arena);
	}
	arena_free(k.arena);
	buf_done(&k.reply);
	return rc;
}

int
queue_fail(const struct ctl *c, int err)
{
	return ctl_fail(c, ctl_exit_code(err),
	    _("the queue does not answer (%s): is congvu-smtpd running (congvu status)?"),
	    err_name(err));
}

struct listing {
	struct json *list; /* NULL: printed */
	uint32_t n;
};

static void
list_one(void *arg, const struct queue_row *r)
{
	struct listing *l = arg;

	l->n++;
	if (l->list != NULL)
		json_push_take(l->list, queue_row_json(r));
	else
		queue_row_print(r);
}

static int
list_all(struct ctl *c, struct ipc_sync *s, const struct queue_filter *f)
{
	struct listing l = {.list = c->json ? json_arr_new() : NULL};
	int rc = queue_each(s, f, list_one, &l);

	if (rc != 0) {
		json_free(l.list);
		return queue_fail(c, rc);
	}
	if (c->json)
		return ctl_json_take(l.list, EX_OK);
	if (l.n == 0)
		printf("%s\n",
		    queue_filter_is_set(f) ? _("Nothing matches.") : _("The queue is empty."));
	return EX_OK;
}

static int
run(struct ctl *c, const char *verb, bool bounce, const struct queue_filter *f)
{
	static const struct {
		const char *verb;
		enum queue_action action;
	} verbs[] = {{"hold", QUEUE_DO_HOLD}, {"release", QUEUE_DO_RELEASE},
	    {"retry", QUEUE_DO_RETRY}, {"delete", QUEUE_DO_DELETE}};
	struct ipc_sync *s;
	int code = -1;

	if (bounce && strcmp(verb, "delete") != 0)
		return ctl_usage(c, _("--bounce goes with delete"));
	s = ipc_sync_new("queue.admin.sock", &queue_proto, IPC_ADMIN);
	if (strcmp(verb, "list") == 0)
		code = list_all(c, s, f);
	else if (!queue_filter_is_set(f))
		code = ctl_usage(
		    c, _("say which: queue ids, --from, --to, --domain, --state or --all"));
	else if (strcmp(verb, "show") == 0)
		code = queue_show(c, s, f);
	for (size_t i = 0; code == -1 && i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (strcmp(verb, verbs[i].verb) == 0)
			code = queue_change(c, s, f, bounce ? QUEUE_DO_BOUNCE : verbs[i].action);
	ipc_sync_free(s);
	return code == -1 ? ctl_usage(c, _("there is no %s"), verb) : code;
}

int
ctl_queue(struct ctl *c, int argc, char **argv)
{
	struct queue_filter f = {.qids = NULL};
	bool bounce = false;
	const struct ctl_option options[] = {{"from", &f.from, NULL}, {"to", &f.to, NULL},
	    {"domain", &f.domain, NULL}, {"state", &f.state, NULL}, {"all", NULL, &f.all},
	    {"bounce", NULL, &bounce}, {NULL, NULL, NULL}};
	char *dir;
	int code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc < 2)
		return ctl_usage(c, _("list, show, retry, hold, release or delete is needed"));
	f.qids = argv + 2;
	dir = conf_path(c->conf, "run_dir");
	/* the name of a socket has 107 bytes at most, wherever the instance lies */
	if (chdir(dir) != 0)
		code = ctl_fail(
		    c, EX_UNAVAILABLE, _("%s is not there: the suite was never started"), dir);
	else
		code = run(c, argv[1], bounce, &f);
	free(dir);
	return code;
}
