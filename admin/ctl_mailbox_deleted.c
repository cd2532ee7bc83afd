/* ctl_mailbox_deleted.c: `congvu mailbox deleted` and `undelete`: mail that users expunged, or deleted with its mailbox, and that the store still
 * keeps. Filters are judged here, page by page; what they take is then restored, at most a thousand messages a request, each once
 * whatever is repeated or killed (store/stored_restore.c). */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl_mailbox.h"
#include "lib/crypto.h"
#include "lib/envelope.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/log.h"
#include "store/store_client.h"
#include "store/store_proto.h"

enum { ASK_MS = 60000, STEP = 1000, KEY_OCTETS = 26, WHY_MOVED = 2 };

struct box {
	uint64_t id;
	char *name, *by;
	int64_t deleted_at;
	uint32_t messages, kept;
	uint64_t octets;
};
struct found { /* what the filters took of one mailbox and kind */
	uint64_t modseq;
	uint32_t uid;
};
struct run {
	struct ctl *c;
	struct ipc_sync *s;
	char *account;
	/* filters */
	const char *mailbox, *since, *uid, *message_id;
	int64_t since_at;
	bool all;
	/* undelete */
	bool restores, dry_run;
	const char *to;
	/* what came */
	bool held;
	int64_t days;
	struct box *boxes;
	size_t n_boxes;
	struct found *found;
	size_t n_found, found_alloc;
	struct json *list; /* messages, or mailboxes restored */
	size_t n_listed, n_restored;
	bool headed;
};

/* ---- filters ---- */

/* "1,5:9" */
static bool
uid_taken(const char *set, uint32_t uid)
{
	while (*set != '\0') {
		char *end;
		unsigned long long lo = strtoull(set, &end, 10), hi = lo;

		if (end == set)
			return false;
		if (*end == ':')
			hi = strtoull(end + 1, &end, 10);
		if (uid >= lo && uid <= hi)
			return true;
		if (*end != ',')
			return false;
		set = end + 1;
	}
	return false;
}

static bool
uid_set_ok(const char *set)
{
	return *set != '\0' && set[strspn(set, "0123456789,:")] == '\0';
}

/* <id> is meant with and without its brackets. */
static bool
id_is(struct slice have, const char *want)
{
	struct slice w = slice_str(want);

	if (have.len > 2 && have.ptr[0] == '<' && !slice_starts(w, "<"))
		have = slice_sub(have, 1, have.len - 2);
	return slice_eq(have, w);
}

static bool
takes(const struct run *k, const struct msg_row *row, int64_t at)
{
	struct buf id;
	bool yes;

	if ((k->since != NULL && at < k->since_at) ||
	    (k->uid != NULL && !uid_taken(k->uid, row->uid)))
		return false;
	if (k->message_id == NULL)
		return true;
	buf_init(&id, 32768);
	yes = envelope_part(row->envelope, ENVELOPE_MESSAGE_ID, &id) == 0 &&
	      id_is(buf_slice(&id), k->message_id);
	buf_done(&id);
	return yes;
}

/* ---- showing ---- */

static void
header_text(const struct msg_row *row, enum envelope_part part, struct buf *out)
{
	struct buf raw;

	buf_init(&raw, 32768);
	if (envelope_part(row->envelope, part, &raw) != 0 || hdr_decode(buf_slice(&raw), out) != 0)
		buf_reset(out);
	buf_done(&raw);
}

static struct json *
row_json(const struct box *b, const struct msg_row *row, int64_t at, unsigned why, struct slice by)
{
	struct json *j = json_obj_new();
	struct buf t;

	buf_init(&t, 65536);
	json_set_str(j, "mailbox", b->name);
	json_set_bool(j, "mailbox_deleted", b->deleted_at != 0);
	json_set_int(j, "uid", row->uid);
	json_set_int(j, "when", at);
	json_set_slice(j, "by", by);
	json_set_str(j, "how",
	    b->deleted_at != 0 && why == 0 ? "mailbox deleted"
	    : why == WHY_MOVED             ? "moved out"
					   : "expunged");
	json_set_int(j, "size", (int64_t)row->size);
	json_set_int(j, "date", row->internal_date);
	header_text(row, ENVELOPE_FROM, &t);
	json_set_slice(j, "from", buf_slice(&t));
	buf_reset(&t);
	header_text(row, ENVELOPE_SUBJECT, &t);
	json_set_slice(j, "subject", buf_slice(&t));
	buf_reset(&t);
	header_text(row, ENVELOPE_MESSAGE_ID, &t);
	json_set_slice(j, "message_id", buf_slice(&t));
	buf_done(&t);
	return j;
}

static void
row_print(struct run *k, const struct msg_row *row, int64_t at, struct slice by)
{
	struct buf t;

	buf_init(&t, 65536);
	if (!k->headed) {
		k->headed = true;
		ctl_label(_("removed"), 17);
		ctl_label("UID", 11);
		ctl_label(_("octets"), 11);
		ctl_label(_("by"), 17);
		ctl_label(_("from"), 29);
		printf("%s\n", _("subject"));
	}
	mailbox_column(slice_str(mailbox_when(at)), 16);
	printf("%-10u %-10llu ", row->uid, (unsigned long long)row->size);
	mailbox_column(by, 16);
	header_text(row, ENVELOPE_FROM, &t);
	mailbox_column(buf_slice(&t), 28);
	buf_reset(&t);
	header_text(row, ENVELOPE_SUBJECT, &t);
	mailbox_column(buf_slice(&t), 0);
	printf("\n");
	buf_done(&t);
}

static void
box_print(const struct box *b)
{
	printf("\n");
	mailbox_column(slice_str(b->name), 0);
	if (b->deleted_at != 0) {
		printf(" (%s %s, ", _("mailbox deleted"), mailbox_when(b->deleted_at));
		mailbox_column(slice_str(b->by), 0);
		printf(")");
	}
	printf("\n");
}

/* ---- reading ---- */

static int
read_boxes(struct run *k)
{
	struct buf ask, reply;
	struct ipc_reader r;
	uint16_t type;
	uint32_t n;
	int err;

	buf_init(&ask, 256);
	buf_init(&reply, IPC_FRAME_MAX);
	ipc_put_str(&ask, k->account);
	err = ipc_sync_call(k->s, STORE_KEPT_BOXES, &ask, -1, ASK_MS, &type, &reply, NULL);
	ipc_reader_init(&r, buf_slice(&reply));
	if (err == 0) {
		k->held = ipc_get_u8(&r) != 0;
		k->days = ipc_get_i64(&r) / 86400;
		n = ipc_get_count(&r, 100000, 40);
		k->boxes = xcalloc((size_t)n + 1, sizeof *k->boxes);
		for (uint32_t i = 0; i < n && r.err == 0; i++) {
			struct box *b = &k->boxes[k->n_boxes++];

			b->id = ipc_get_u64(&r);
			b->name = ipc_get_strdup(&r);
			b->deleted_at = ipc_get_i64(&r);
			b->by = ipc_get_strdup(&r);
			b->messages = ipc_get_u32(&r);
			b->kept = ipc_get_u32(&r);
			b->octets = ipc_get_u64(&r);
		}
		err = ipc_reader_end(&r);
	}
	buf_done(&ask);
	buf_done(&reply);
	return err;
}

static void
take_row(struct run *k, const struct box *b, struct ipc_reader *r, int *err)
{
	uint64_t modseq = ipc_get_u64(r);
	int64_t at = ipc_get_i64(r);
	unsigned why = ipc_get_u8(r);
	struct slice by = ipc_get_slice(r), coded = ipc_get_slice(r);
	struct msg_row row;

	if (r->err != 0 || msg_row_decode(coded, &row) != 0) {
		*err = ERR_PROTO;
		return;
	}
	if (!takes(k, &row, at))
		return;
	if (k->n_found == k->found_alloc) {
		k->found_alloc = k->found_alloc == 0 ? 1024 : 2 * k->found_alloc;
		k->found = xrealloc(k->found, k->found_alloc * sizeof *k->found);
	}
	k->found[k->n_found++] = (struct found){modseq, row.uid};
	if (k->restores && !k->dry_run)
		return;
	if (k->list != NULL) {
		json_push_take(k->list, row_json(b, &row, at, modseq == 0 ? 0 : why, by));
	} else {
		if (k->n_found == 1)
			box_print(b);
		row_print(k, &row, at, by);
	}
	k->n_listed++;
}

/* What the filters take of one mailbox: retained rows, or the messages of a deleted one. */
static int
read_rows(struct run *k, const struct box *b, bool messages)
{
	char from[KEY_OCTETS + 1] = "";
	int err = 0;

	do {
		struct buf ask, reply;
		struct ipc_reader r;
		struct slice next;
		uint16_t type;

		buf_init(&ask, 512);
		buf_init(&reply, IPC_FRAME_MAX);
		ipc_put_str(&ask, k->account);
		ipc_put_u64(&ask, b->id);
		ipc_put_u8(&ask, messages);
		ipc_put_str(&ask, from);
		err = ipc_sync_call(k->s, STORE_KEPT_ROWS, &ask, -1, ASK_MS, &type, &reply, NULL);
		ipc_reader_init(&r, buf_slice(&reply));
		from[0] = '\0';
		if (err == 0) {
			next = ipc_get_slice(&r);
			if (next.len < sizeof from)
				snprintf(from, sizeof from, "%.*s", (int)next.len,
				    (const char *)next.ptr);
			for (uint32_t n = ipc_get_count(&r, 1000, 25); n > 0 && err == 0; n--)
				take_row(k, b, &r, &err);
		}
		if (err == 0)
			err = ipc_reader_end(&r);
		buf_done(&ask);
		buf_done(&reply);
	} while (err == 0 && from[0] != '\0');
	return err;
}

/* ---- restoring ---- */

static int
by_uid(const void *a, const void *b)
{
	uint32_t x = ((const struct found *)a)->uid, y = ((const struct found *)b)->uid;

	return x < y ? -1 : x > y;
}

/* One request; what came of it is printed. */
static int
restore_some(struct run *k, const struct box *b, bool messages, size_t from, size_t n)
{
	unsigned char id[16];
	struct buf ask, reply;
	struct ipc_reader r;
	struct slice to;
	uint16_t type;
	uint32_t came;
	int err;

	random_bytes(id, sizeof id);
	buf_init(&ask, 65536);
	buf_init(&reply, IPC_FRAME_MAX);
	ipc_put_str(&ask, k->account);
	ipc_put_u64(&ask, b->id);
	ipc_put_u8(&ask, messages);
	ipc_put_str(&ask, k->to == NULL ? "" : k->to);
	ipc_put_str(&ask, ctl_actor());
	ipc_put_slice(&ask, slice_of(id, sizeof id));
	ipc_put_u32(&ask, (uint32_t)n);
	for (size_t i = from; i < from + n; i++) {
		ipc_put_u64(&ask, k->found[i].modseq);
		ipc_put_u32(&ask, k->found[i].uid);
	}
	err = ipc_sync_call(k->s, STORE_KEPT_RESTORE, &ask, -1, ASK_MS, &type, &reply, NULL);
	ipc_reader_init(&r, buf_slice(&reply));
	if (err == 0) {
		to = ipc_get_slice(&r);
		(void)ipc_get_u32(&r);
		came = ipc_get_count(&r, STEP, 8);
		k->n_restored += came;
		if (k->list != NULL && came > 0) {
			struct json *j = json_obj_new(), *uids = json_arr_new();

			json_set_str(j, "mailbox", b->name);
			json_set_slice(j, "to", to);
			json_set_int(j, "restored", came);
			for (uint32_t i = 0; i < came; i++) {
				(void)ipc_get_u32(&r);
				json_push_take(uids, json_int_new(ipc_get_u32(&r)));
			}
			json_set_take(j, "uids", uids);
			json_push_take(k->list, j);
		} else if (came > 0) {
			mailbox_column(slice_str(b->name), 0);
			printf(": ");
			printf(_("%u messages restored to "), came);
			mailbox_column(to, 0);
			printf("\n");
		}
	}
	buf_done(&ask);
	buf_done(&reply);
	return err;
}

static int
restore_found(struct run *k, const struct box *b, bool messages)
{
	int err = 0;

	qsort(k->found, k->n_found, sizeof *k->found, by_uid);
	for (size_t i = 0; i < k->n_found && err == 0; i += STEP)
		err =
		    restore_some(k, b, messages, i, k->n_found - i < STEP ? k->n_found - i : STEP);
	return err;
}

/* ---- both commands ---- */

static int
one_box(struct run *k, const struct box *b)
{
	int err = 0;

	for (int messages = 0; messages < 2 && err == 0; messages++) {
		if (messages ? b->messages == 0 : b->kept == 0)
			continue;
		k->n_found = 0;
		err = read_rows(k, b, messages);
		if (err == 0 && k->restores && !k->dry_run && k->n_found > 0)
			err = restore_found(k, b, messages);
	}
	return err;
}

static int
all_boxes(struct run *k)
{
	int err = read_boxes(k);

	for (size_t i = 0; i < k->n_boxes && err == 0; i++)
		if (k->mailbox == NULL || strcmp(k->mailbox, k->boxes[i].name) == 0)
			err = one_box(k, &k->boxes[i]);
	return err;
}

static void
run_done(struct run *k)
{
	for (size_t i = 0; i < k->n_boxes; i++) {
		free(k->boxes[i].name);
		free(k->boxes[i].by);
	}
	free(k->boxes);
	free(k->found);
	free(k->account);
	ipc_sync_free(k->s);
}

static int
run_report(struct run *k, int err)
{
	struct json *j;

	if (k->list == NULL) {
		if (err == 0 && k->restores && !k->dry_run && k->n_restored == 0)
			printf("%s\n", _("There is nothing to restore."));
		else if (err == 0 && (!k->restores || k->dry_run) && k->n_listed == 0)
			printf("%s\n", _("Nothing deleted is kept that matches."));
		return err == 0 ? EX_OK : mailbox_fail(k->c, err);
	}
	if (err != 0) {
		json_free(k->list);
		return mailbox_fail(k->c, err);
	}
	j = json_obj_new();
	json_set_str(j, "account", k->account);
	json_set_bool(j, "held", k->held);
	json_set_int(j, "undelete_days", k->days);
	if (k->restores && !k->dry_run)
		json_set_int(j, "restored", (int64_t)k->n_restored);
	json_set_take(j, k->restores && !k->dry_run ? "mailboxes" : "messages", k->list);
	return ctl_json_take(j, EX_OK);
}

/* The record of an undelete: who wants what back. */
static int
note(struct run *k)
{
	struct json *rec = json_obj_new();

	json_set_str(rec, "account", k->account);
	json_set_str(rec, "mailbox", k->mailbox);
	json_set_str(rec, "since", k->since);
	json_set_str(rec, "uid", k->uid);
	json_set_str(rec, "message_id", k->message_id);
	json_set_str(rec, "to", k->to);
	return ctl_audit_note(k->c, "store_undelete", rec);
}

static int
run(struct run *k, int argc, char **argv)
{
	const struct ctl_option options[] = {{"mailbox", &k->mailbox, NULL},
	    {"since", &k->since, NULL}, {"uid", &k->uid, NULL},
	    {"message-id", &k->message_id, NULL}, {k->restores ? "to" : NULL, &k->to, NULL},
	    {"dry-run", NULL, &k->dry_run}, {"all", NULL, &k->all}, {NULL, NULL, NULL}};
	int code = EX_OK;
	bool known;

	if (ctl_options(k->c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(k->c, _("whose mailbox?"));
	if (k->since != NULL && mailbox_day(k->since, false, &k->since_at) != 0)
		return ctl_usage(k->c, _("--since needs a day, such as 2026-11-22"));
	if (k->uid != NULL && !uid_set_ok(k->uid))
		return ctl_usage(k->c, _("--uid needs numbers, such as 4,7:9"));
	if (k->restores && !k->all && k->mailbox == NULL && k->since == NULL && k->uid == NULL &&
	    k->message_id == NULL)
		return ctl_usage(
		    k->c, _("say which: --mailbox, --since, --uid, --message-id or --all"));
	code = mailbox_account(k->c, argv[1], &k->account, &known);
	if (code == 0)
		k->s = mailbox_store(k->c, &code);
	if (code == 0 && k->restores && !k->dry_run)
		code = note(k);
	if (code == 0) {
		k->list = k->c->json ? json_arr_new() : NULL;
		code = run_report(k, all_boxes(k));
	}
	run_done(k);
	return code;
}

int
mailbox_deleted(struct ctl *c, int argc, char **argv)
{
	struct run k = {.c = c};

	return run(&k, argc, argv);
}

int
mailbox_undelete(struct ctl *c, int argc, char **argv)
{
	struct run k = {.c = c, .restores = true};

	return run(&k, argc, argv);
}
