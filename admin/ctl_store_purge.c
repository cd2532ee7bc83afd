/* ctl_store_purge.c: `congvu store purge`: a mail that must not exist (a leaked secret) goes from every mailbox, from what is retained and from the
 * disk. One officer requests it and sees what is meant, another one confirms it; both are in the audit log before it is done. The work is the task
 * "purge" of stored (store/stored_task_purge.c). */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl_mailbox.h"
#include "admin/ctl_store.h"
#include "lib/log.h"

static const char *
state_label(const char *state)
{
	return strcmp(state, "requested") == 0   ? _("requested")
	       : strcmp(state, "confirmed") == 0 ? _("confirmed, not finished")
	       : strcmp(state, "partly") == 0    ? _("done, but for what is held")
	       : strcmp(state, "done") == 0      ? _("done")
	       : strcmp(state, "canceled") == 0  ? _("canceled")
						 : state;
}

static void
print_request(const struct json *r)
{
	printf("%-5" PRId64 " ", json_int(json_get(r, "request"), 0));
	ctl_label(state_label(json_cstr(json_get(r, "state"))), 28);
	mailbox_column(slice_str(mailbox_when(json_int(json_get(r, "requested"), 0))), 16);
	mailbox_column(json_str(json_get(r, "requested_by")), 16);
	mailbox_column(json_str(json_get(r, "confirmed_by")), 16);
	mailbox_column(json_str(json_get(r, "kind")), 10);
	mailbox_column(json_str(json_get(r, "value")), 0);
	printf("; ");
	mailbox_column(json_str(json_get(r, "reason")), 0);
	if (json_str(json_get(r, "decision")).len > 0) {
		printf("; ");
		mailbox_column(json_str(json_get(r, "decision")), 0);
	}
	printf("\n");
}

static void
print_found(const struct json *f)
{
	mailbox_column(json_str(json_get(f, "account")), 20);
	mailbox_column(json_str(json_get(f, "mailbox")), 24);
	printf("UID %-10" PRId64 " %-10" PRId64 " ", json_int(json_get(f, "uid"), 0),
	    json_int(json_get(f, "size"), 0));
	printf("%s", mailbox_when(json_int(json_get(f, "date"), 0)));
	if (json_bool(json_get(f, "mailbox_deleted")))
		printf("; %s", _("mailbox deleted"));
	if (json_bool(json_get(f, "retained")))
		printf("; %s", _("expunged, retained"));
	if (json_bool(json_get(f, "held")))
		printf("; %s", _("under a legal hold"));
	if (json_bool(json_get(f, "unshown")))
		printf("; %s", _("NOT of this purge"));
	printf("\n");
}

static void
finding(struct ctl *c, const struct json *f)
{
	(void)c;
	if (json_get(f, "state") != NULL)
		print_request(f);
	else
		print_found(f);
}

static int64_t
number(const struct json *r, const char *key)
{
	return json_int(json_get(r, key), 0);
}

/* What the store cannot take it out of. */
static void
print_elsewhere(const struct ctl *c, const struct json *r)
{
	const struct json *backups = json_get(r, "backups");
	bool by_id = strcmp(json_cstr(json_get(r, "kind")), "message_id") == 0;

	for (size_t i = 0; i < json_len(backups); i++) {
		const struct json *b = json_at(backups, i);

		printf("%s", _("Backup: "));
		store_print_clean(json_cstr(json_get(b, "folder")));
		printf(_(" (state of %s) keeps what it has: when the mail was in the store then, "
			 "it is "
			 "there until that folder is removed\n"),
		    mailbox_when(number(b, "moment")));
	}
	if (by_id)
		(void)store_purge_queue(c, json_cstr(json_get(r, "value")));
	printf("%s\n",
	    by_id
		? _("Not searched: backups that the store does not know of, copies of the "
		    "quarantine, backups of other programs, and what clients and other sites have "
		    "of it.")
		: _("Not searched: the queue, the quarantine, backups, and what clients and other "
		    "sites have of it."));
}

static void
print_unshown(const struct json *r)
{
	if (number(r, "unshown") > 0)
		printf(_("%lld messages with this Message-ID are NOT of this purge: other mails, "
			 "which "
			 "came since it was requested or are more than one request holds. Look at "
			 "them, "
			 "and request another purge.\n"),
		    (long long)number(r, "unshown"));
}

static void
print_result(const struct ctl *c, const struct json *r)
{
	printf(
	    _("request %lld: %lld messages and %lld retained in %lld mailboxes of %lld accounts; "
	      "%lld of them under a legal hold\n"),
	    (long long)number(r, "request"), (long long)number(r, "messages"),
	    (long long)number(r, "retained"), (long long)number(r, "mailboxes"),
	    (long long)number(r, "accounts"), (long long)number(r, "held"));
	if (strcmp(json_cstr(json_get(r, "state")), "requested") == 0) {
		printf(_("Nothing was changed. Another officer confirms it until %s:\n"),
		    mailbox_when(number(r, "expires")));
		printf("  congvu store purge --confirm %lld\n", (long long)number(r, "request"));
		print_unshown(r);
		if (number(r, "held") > 0 && !json_bool(json_get(r, "override_hold")))
			printf("%s\n", _("What is under a legal hold will stay, unless it is "
					 "requested with --override-hold and --decision."));
		print_elsewhere(c, r);
		return;
	}
	if (json_get(r, "removed") == NULL)
		return;
	printf(_("%lld removed, %lld left; %lld bodies are off the disk, %lld bodies stay "
		 "because something still refers to them\n"),
	    (long long)number(r, "removed"), (long long)number(r, "left"),
	    (long long)number(r, "bodies_dropped"), (long long)number(r, "bodies_left"));
	if (number(r, "erased_octets") > 0)
		printf(
		    _("%s of files of bodies that nothing refers to were made zeros, these among "
		      "them\n"),
		    store_octets(number(r, "erased_octets")));
	print_unshown(r);
	if (number(r, "parts_left") > 0)
		printf(_("%lld attachments of it stay: other messages have them too. Purge those "
			 "as well.\n"),
		    (long long)number(r, "parts_left"));
	print_elsewhere(c, r);
}

static int
result(struct ctl *c, const struct json *status)
{
	const struct json *r = json_get(status, "result");
	const char *state = json_cstr(json_get(r, "state"));
	struct json *rec;
	int code = EX_OK;

	if (r == NULL || json_kind(r) != JSON_T_OBJ || json_get(r, "request") == NULL) {
		if (!c->json && json_get(r, "requests") != NULL && number(r, "requests") == 0)
			printf("%s\n", _("Nobody has requested a purge."));
		return EX_OK;
	}
	if (json_get(r, "removed") != NULL && json_get(r, "done") != NULL) {
		rec = json_obj_new();
		json_set_int(rec, "request", number(r, "request"));
		json_set_str(rec, "state", state);
		/* which mail: congvu trace finds it by that */
		json_set_str(rec, "kind", json_cstr(json_get(r, "kind")));
		json_set_str(rec, "value", json_cstr(json_get(r, "value")));
		json_set_int(rec, "removed", number(r, "removed"));
		json_set_int(rec, "left", number(r, "left"));
		json_set_int(rec, "bodies_left", number(r, "bodies_left"));
		json_set_int(rec, "parts_left", number(r, "parts_left"));
		json_set_int(rec, "unshown", number(r, "unshown"));
		code = ctl_audit_note(c, "store_purge_done", rec);
	}
	if (!c->json)
		print_result(c, r);
	return code != EX_OK                  ? code
	       : number(r, "left") > 0        ? EX_TEMPFAIL
	       : number(r, "bodies_left") > 0 ? EX_TEMPFAIL
	       : number(r, "unshown") > 0     ? EX_TEMPFAIL
					      : EX_OK;
}

const struct store_view store_view_purge = {.finding = finding, .result = result};

struct options {
	const char *message_id, *sha256, *body, *reason, *decision, *confirm, *cancel;
	bool override, list;
};

/* 0 with the arguments of the task and what the audit log is told, or EX_USAGE. */
static int
request(struct ctl *c, const struct options *o, struct json *args, struct json *note)
{
	struct json *both[2] = {args, note};
	const char *kind = o->message_id != NULL ? "message_id"
			   : o->sha256 != NULL   ? "sha256"
						 : "body";
	const char *value = o->message_id != NULL ? o->message_id
			    : o->sha256 != NULL   ? o->sha256
						  : o->body;

	if ((o->message_id != NULL) + (o->sha256 != NULL) + (o->body != NULL) != 1)
		return ctl_usage(c, _("say which mail: --message-id, --sha256 or --body"));
	if (o->reason == NULL || *o->reason == '\0')
		return ctl_usage(c, _("a purge needs a reason: --reason"));
	if (o->override && (o->decision == NULL || *o->decision == '\0'))
		return ctl_usage(c, _("--override-hold needs --decision"));
	for (int i = 0; i < 2; i++) {
		json_set_str(both[i], "kind", kind);
		json_set_str(both[i], "value", value);
		json_set_str(both[i], "reason", o->reason);
		json_set_str(both[i], "decision", o->decision == NULL ? "" : o->decision);
		json_set_bool(both[i], "override_hold", o->override);
	}
	return 0;
}

int
store_purge(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	struct options o = {0};
	const struct ctl_option options[] = {{"message-id", &o.message_id, NULL},
	    {"sha256", &o.sha256, NULL}, {"body", &o.body, NULL}, {"reason", &o.reason, NULL},
	    {"decision", &o.decision, NULL}, {"override-hold", NULL, &o.override},
	    {"confirm", &o.confirm, NULL}, {"cancel", &o.cancel, NULL}, {"list", NULL, &o.list},
	    {NULL, NULL, NULL}};
	const char *what, *event = NULL;
	struct json *args, *note;
	uint64_t n = 0;
	int code = 0;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 1)
		return ctl_usage(c, _("store purge takes options only"));
	if ((o.message_id != NULL || o.sha256 != NULL || o.body != NULL) + (o.confirm != NULL) +
		(o.cancel != NULL) + o.list >
	    1)
		return ctl_usage(
		    c, _("one of these at a time: a request, --confirm, --cancel or --list"));
	if (o.confirm != NULL || o.cancel != NULL) {
		if (slice_to_u64(
			slice_str(o.confirm != NULL ? o.confirm : o.cancel), INT32_MAX, &n) != 0 ||
		    n == 0)
			return ctl_usage(
			    c, _("the number of a request is needed (congvu store purge --list)"));
	}
	what = o.list              ? "list"
	       : o.confirm != NULL ? "confirm"
	       : o.cancel != NULL  ? "cancel"
				   : "request";
	if (!o.list && (code = ctl_officer(c, "store_purge_denied", what)) != EX_OK)
		return code;
	args = json_obj_new();
	note = json_obj_new();
	json_set_str(args, "what", what);
	json_set_str(args, "by", ctl_actor());
	if (o.confirm != NULL || o.cancel != NULL) {
		json_set_int(args, "request", (int64_t)n);
		json_set_int(note, "request", (int64_t)n);
		event = o.confirm != NULL ? "store_purge_confirm" : "store_purge_cancel";
	} else if (!o.list) {
		code = request(c, &o, args, note);
		event = "store_purge_request";
	}
	if (code == 0 && event != NULL)
		code = ctl_audit_note(c, event, note);
	else
		json_free(note);
	if (code == 0)
		code = store_task_run(c, s, "purge", args, &store_view_purge, false);
	else
		json_free(args);
	if (code == EX_NOUSER && o.message_id != NULL && !c->json) /* it may wait to come in */
		(void)store_purge_queue(c, o.message_id);
	return code;
}
