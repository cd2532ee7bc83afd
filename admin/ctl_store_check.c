/* ctl_store_check.c: `congvu store check`: what the store's own check found, for people. The check runs in stored
 * (store/stored_task_check.c); codes of findings become sentences here. Exit 0 when nothing is wrong, 65 (data) when something is. */
#include "config.h"

#include <stdio.h>
#include <string.h>

#include "admin/ctl_store.h"
#include "lib/log.h"

static const struct {
	const char *code, *text;
} codes[] = {
    {"account_header_corrupt", "the account's header cannot be read"},
    {"name_row_corrupt", "the row of a mailbox's name cannot be read"},
    {"subscription_row_corrupt", "the row of a subscription cannot be read"},
    {"mailbox_header_corrupt", "the mailbox's header cannot be read"},
    {"mailbox_gone", "the mailbox has a name and no rows (it may have been deleted just now)"},
    {"mailbox_nameless", "a mailbox has rows and no name: a crash cut its deletion short (or it is "
			 "being deleted now); its mail takes room and nobody can open it"},
    {"mailbox_unsettled", "the mailbox changed whenever it was read: check it again"},
    {"message_row_corrupt", "the row of a message cannot be read"},
    {"change_row_corrupt", "the row of a message's last change cannot be read"},
    {"change_row_missing", "the row of a message's last change is missing"},
    {"change_row_stale", "a row tells of a change and there is no such message"},
    {"change_row_wrong", "the row of a message's last change says otherwise than the message's"},
    {"expunged_row_corrupt", "a row of removed messages cannot be read"},
    {"expunged_is_there", "a message is there that was removed"},
    {"expunged_above_uidnext", "a message was removed whose UID was never given"},
    {"delivery_row_corrupt", "the row of a delivery that was seen cannot be read"},
    {"kept_row_corrupt", "the row of a removed message that can be restored cannot be read"},
    {"mended", "mended"},
    {"would_mend", "this would be mended"},
    {"mend_failed", "this could not be mended now: repair again"},
    {"row_corrupt", "a row cannot be read"},
    {"body_missing", "the message's body is not in the store"},
    {"body_corrupt", "the message's body is damaged"},
    {"segment_missing", "the file with the message's body is missing"},
    {"not_made", "what is made of the message when it comes in could not be made anew"},
    {"size_wrong", "the message's size is not that of its body"},
    {"summary_corrupt", "the summary of the message's structure is damaged"},
    {"header_count", "the header counts otherwise than the rows do"},
    {"uidnext_low", "the next UID was given already"},
    {"modseq_low", "the mailbox's mod-sequence is below that of a message"},
};

static void
member(const struct json *f, const char *key, const char *label)
{
	const struct json *v = json_get(f, key);

	if (v == NULL)
		return;
	printf(", %s ", label);
	if (json_kind(v) == JSON_T_INT)
		printf("%lld", (long long)json_int(v, 0));
	else
		store_print_clean(json_cstr(v));
}

static void
finding(struct ctl *c, const struct json *f)
{
	const char *code = json_cstr(json_get(f, "code")), *text = code,
		   *level = json_cstr(json_get(f, "level"));

	(void)c;
	for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
		if (strcmp(codes[i].code, code) == 0)
			text = _(codes[i].text);
	printf("%s: ", strcmp(level, "fault") == 0     ? _("FAULT")
		       : strcmp(level, "warning") == 0 ? _("warning")
						       : _("note"));
	store_print_clean(json_cstr(json_get(f, "account")));
	if (json_get(f, "mailbox") != NULL) {
		printf(": ");
		store_print_clean(json_cstr(json_get(f, "mailbox")));
	}
	printf(": %s", text);
	member(f, "uid", "UID");
	member(f, "message_id", "Message-ID");
	member(f, "body", _("body"));
	member(f, "segment", _("segment"));
	member(f, "key", _("key"));
	member(f, "object", _("mailbox"));
	member(f, "messages", _("messages"));
	member(f, "field", _("field"));
	member(f, "header", _("header"));
	member(f, "rows", _("rows"));
	member(f, "dropped", _("dropped"));
	member(f, "why", _("why"));
	printf("\n");
}

static int
result(struct ctl *c, const struct json *status)
{
	const struct json *r = json_get(status, "result");
	long long faults = json_int(json_get(r, "faults"), 0);

	if (!c->json)
		printf(
		    _("%lld accounts, %lld mailboxes, %lld messages (%s), %lld rows: %lld faults, "
		      "%lld warnings, %lld notes\n"),
		    (long long)json_int(json_get(r, "accounts"), 0),
		    (long long)json_int(json_get(r, "mailboxes"), 0),
		    (long long)json_int(json_get(r, "messages"), 0),
		    store_octets(json_int(json_get(r, "octets"), 0)),
		    (long long)json_int(json_get(r, "rows"), 0), faults,
		    (long long)json_int(json_get(r, "warnings"), 0),
		    (long long)json_int(json_get(r, "notes"), 0));
	return faults > 0 ? EX_DATAERR : EX_OK;
}

static int
repair_result(struct ctl *c, const struct json *status)
{
	const struct json *r = json_get(status, "result");
	long long left = json_int(json_get(r, "left"), 0);

	(void)result(c, status);
	if (!c->json)
		printf(_("%lld mailboxes and accounts mended (or would be); what was not is left "
			 "as it is: "
			 "congvu store check names it\n"),
		    (long long)json_int(json_get(r, "mended"), 0));
	if (!c->json && left > 0)
		printf(
		    _("%lld faults stay: a backup has what is missing (congvu store restore).\n"),
		    left);
	return left > 0 ? EX_DATAERR : EX_OK;
}

const struct store_view store_view_check = {finding, result};
const struct store_view store_view_repair = {finding, repair_result};

int
store_repair(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool dry_run = false, deep = false, detach = false;
	const struct ctl_option options[] = {{"dry-run", NULL, &dry_run}, {"deep", NULL, &deep},
	    {"detach", NULL, &detach}, {NULL, NULL, NULL}};
	struct json *args;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 2)
		return ctl_usage(c, _("one account at most"));
	args = json_obj_new();
	if (argc == 2)
		json_set_slice(args, "account", slice_str(argv[1]));
	json_set_bool(args, "deep", deep);
	json_set_bool(args, "dry_run", dry_run);
	return store_task_run(c, s, "repair", args, &store_view_repair, detach);
}

int
store_check(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool deep = false, detach = false, quick = false;
	const struct ctl_option options[] = {{"deep", NULL, &deep}, {"quick", NULL, &quick},
	    {"detach", NULL, &detach}, {NULL, NULL, NULL}};
	struct json *args;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 2 || (deep && quick))
		return ctl_usage(c, _("one account at most, and --quick or --deep"));
	args = json_obj_new();
	if (argc == 2)
		json_set_slice(args, "account", slice_str(argv[1]));
	json_set_bool(args, "deep", deep);
	return store_task_run(c, s, "check", args, &store_view_check, detach);
}
