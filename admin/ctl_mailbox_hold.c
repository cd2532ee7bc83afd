/* ctl_mailbox_hold.c: `congvu mailbox hold`, `release` and `holds`: legal holds of accounts (store/stored_hold.c). Each cites a decision, and is in the
 * audit log before it is in the store. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/ctl_mailbox.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"

enum { ASK_MS = 60000, SET = 1, RELEASE = 2, LIST = 3, LIST_ALL = 4 };

struct ask {
	struct ctl *c;
	unsigned what;
	char *account;
	const char *decision, *until, *reason, *of;
	int64_t until_at;
	bool known; /* in the directory */
	struct json *list;
	size_t n;
};

static void
set_time(struct json *j, const char *key, int64_t t)
{
	if (t != 0)
		json_set_int(j, key, t);
	else
		json_set_take(j, key, NULL);
}

static void
print_hold(const struct json *j)
{
	bool in_force = json_bool(json_get(j, "in_force"));
	int64_t until = json_int(json_get(j, "until"), 0),
		over = json_int(json_get(j, "released"), 0);

	mailbox_column(json_str(json_get(j, "account")), 20);
	ctl_label(in_force ? _("in force") : _("over"), 15);
	mailbox_column(slice_str(mailbox_when(json_int(json_get(j, "since"), 0))), 16);
	mailbox_column(json_str(json_get(j, "by")), 16);
	mailbox_column(json_str(json_get(j, "decision")), 0);
	if (until != 0)
		printf("; %s %s", _("until"), mailbox_when(until));
	if (json_str(json_get(j, "reason")).len > 0) {
		printf("; ");
		mailbox_column(json_str(json_get(j, "reason")), 0);
	}
	if (over != 0) {
		printf("; %s %s, ", _("released"), mailbox_when(over));
		mailbox_column(json_str(json_get(j, "released_by")), 0);
		printf(", ");
		mailbox_column(json_str(json_get(j, "release_decision")), 0);
	}
	printf("\n");
}

static void
take_hold(struct ask *k, struct ipc_reader *r)
{
	struct json *j = json_obj_new();

	json_set_slice(j, "account", ipc_get_slice(r));
	json_set_int(j, "hold", (int64_t)ipc_get_u64(r));
	json_set_bool(j, "in_force", ipc_get_u8(r) != 0);
	json_set_int(j, "since", ipc_get_i64(r));
	set_time(j, "until", ipc_get_i64(r));
	json_set_slice(j, "decision", ipc_get_slice(r));
	json_set_slice(j, "by", ipc_get_slice(r));
	json_set_slice(j, "reason", ipc_get_slice(r));
	set_time(j, "released", ipc_get_i64(r));
	json_set_slice(j, "release_decision", ipc_get_slice(r));
	json_set_slice(j, "released_by", ipc_get_slice(r));
	if (r->err == 0)
		json_push_take(k->list, j);
	else
		json_free(j);
}

/* next: where the list goes on; "" at the end. */
static int
call(struct ask *k, struct ipc_sync *s, struct buf *next)
{
	struct buf ask, reply;
	struct ipc_reader r;
	struct slice after;
	uint16_t type;
	int err;

	buf_init(&ask, 8192);
	buf_init(&reply, IPC_FRAME_MAX);
	ipc_put_u8(&ask, (uint8_t)k->what);
	ipc_put_slice(&ask, k->what == LIST_ALL ? buf_slice(next) : slice_str(k->account));
	ipc_put_i64(&ask, k->until_at);
	ipc_put_str(&ask, k->decision == NULL ? "" : k->decision);
	ipc_put_str(&ask, ctl_actor());
	ipc_put_str(&ask, k->reason == NULL ? "" : k->reason);
	ipc_put_str(&ask, k->of == NULL ? "" : k->of);
	err = ask.err != 0 ? ask.err
			   : ipc_sync_call(s, STORE_HOLD, &ask, -1, ASK_MS, &type, &reply, NULL);
	ipc_reader_init(&r, buf_slice(&reply));
	buf_reset(next);
	if (err == 0) {
		after = ipc_get_slice(&r);
		buf_append_slice(next, after);
		for (uint32_t n = ipc_get_count(&r, 100000, 60); n > 0 && r.err == 0; n--)
			take_hold(k, &r);
		err = ipc_reader_end(&r);
	}
	buf_done(&ask);
	buf_done(&reply);
	return err;
}

/* A hold of somebody whom neither the directory nor the store knows is a slip of the pen, and would hold nothing. */
static int
somebody(const struct ask *k, struct ipc_sync *s, struct buf *next)
{
	struct ask q = {.c = k->c, .what = LIST, .account = k->account, .list = json_arr_new()};
	int err = k->what == SET && !k->known ? call(&q, s, next) : 0;

	json_free(q.list);
	buf_reset(next);
	if (err == ERR_NOTFOUND && mailbox_in_directory(k->c, k->account)) /* without mail yet */
		err = 0;
	return err == 0 ? EX_OK : mailbox_fail(k->c, err);
}

static int
note(struct ask *k)
{
	struct json *rec = json_obj_new();

	json_set_str(rec, "account", k->account);
	json_set_str(rec, "decision", k->decision);
	json_set_str(rec, "until", k->until);
	json_set_str(rec, "reason", k->reason);
	json_set_str(rec, "of", k->of);
	return ctl_audit_note(k->c, k->what == SET ? "store_hold" : "store_release", rec);
}

static int
report(struct ask *k, int err)
{
	if (err == ERR_NOTFOUND && k->what == RELEASE)
		return ctl_fail(k->c, EX_NOUSER, "%s",
		    _("there is no hold in force that this would release (congvu mailbox holds)"));
	if (err != 0)
		return mailbox_fail(k->c, err);
	if (k->c->json) {
		struct json *list = k->list;

		k->list = NULL;
		return ctl_json_take(list, EX_OK);
	}
	if (json_len(k->list) == 0)
		printf("%s\n", _("There are no legal holds."));
	for (size_t i = 0; i < json_len(k->list); i++)
		print_hold(json_at(k->list, i));
	return EX_OK;
}

static int
run(struct ask *k)
{
	struct ipc_sync *s = NULL;
	struct buf next;
	int code = EX_OK, err;

	buf_init(&next, 256);
	s = mailbox_store(k->c, &code);
	if (code == 0)
		code = somebody(k, s, &next);
	if (code == 0 && k->what <= RELEASE)
		code = note(k);
	if (code == 0) {
		k->list = json_arr_new();
		do
			err = call(k, s, &next);
		while (err == 0 && next.len > 0);
		code = report(k, err);
	}
	ipc_sync_free(s);
	json_free(k->list);
	free(k->account);
	buf_done(&next);
	return code;
}

int
mailbox_hold(struct ctl *c, int argc, char **argv)
{
	struct ask k = {.c = c, .what = SET};
	const struct ctl_option options[] = {{"decision", &k.decision, NULL},
	    {"until", &k.until, NULL}, {"reason", &k.reason, NULL}, {NULL, NULL, NULL}};
	int code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(c, _("whose mailbox?"));
	if (k.decision == NULL || *k.decision == '\0')
		return ctl_usage(c, _("a legal hold cites its decision: --decision"));
	if (k.until != NULL && mailbox_day(k.until, true, &k.until_at) != 0)
		return ctl_usage(c, _("--until needs a day, such as 2026-11-22"));
	if (k.until != NULL && k.until_at <= (int64_t)time(NULL))
		return ctl_usage(c, _("the day of --until is over already"));
	code = mailbox_account(c, argv[1], &k.account, &k.known);
	return code != 0 ? code : run(&k);
}

int
mailbox_release(struct ctl *c, int argc, char **argv)
{
	struct ask k = {.c = c, .what = RELEASE};
	const struct ctl_option options[] = {
	    {"decision", &k.decision, NULL}, {"of", &k.of, NULL}, {NULL, NULL, NULL}};
	int code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(c, _("whose mailbox?"));
	if (k.decision == NULL || *k.decision == '\0')
		return ctl_usage(c, _("the end of a legal hold cites its decision: --decision"));
	code = mailbox_account(c, argv[1], &k.account, &k.known);
	return code != 0 ? code : run(&k);
}

int
mailbox_holds(struct ctl *c, int argc, char **argv)
{
	static const struct ctl_option none[] = {{NULL, NULL, NULL}};
	struct ask k = {.c = c, .what = LIST_ALL};
	int code = 0;

	if (ctl_options(c, none, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 2)
		return ctl_usage(c, _("whose mailbox?"));
	if (argc == 2) {
		k.what = LIST;
		code = mailbox_account(c, argv[1], &k.account, &k.known);
	}
	return code != 0 ? code : run(&k);
}
