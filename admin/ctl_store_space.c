/* ctl_store_space.c: `congvu store stats`, `collect` and `compact`: how much there is, and getting space back. The work is the store's own
 * (store/stored_task_space.c). */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "admin/ctl_store.h"
#include "lib/log.h"

static long long
number(const struct json *status, const char *name)
{
	return (long long)json_int(json_get(json_get(status, "result"), name), 0);
}

static const char *
octets(const struct json *status, const char *name)
{
	return store_octets(number(status, name));
}

/* a of b, as a percentage. */
static int
share(long long a, long long b)
{
	return b <= 0 ? 0 : (int)(100 * (double)a / (double)b + 0.5);
}

static bool
is_dry(const struct json *status)
{
	return json_bool(json_get(json_get(status, "result"), "dry_run"));
}

/* ---- stats ---- */

static void
stats_file(struct ctl *c, const struct json *f)
{
	long long all = (long long)json_int(json_get(f, "octets"), 0),
		  live = (long long)json_int(json_get(f, "live"), 0);

	(void)c;
	printf(_("file %08llx: %s"), (unsigned long long)json_int(json_get(f, "file"), 0),
	    store_octets(all));
	printf(_(", %s live (%d %%), %lld bodies%s\n"), store_octets(live), share(live, all),
	    (long long)json_int(json_get(f, "bodies"), 0),
	    json_bool(json_get(f, "writing")) ? _(", written to now") : "");
}

/* A key that was set later encrypts what comes from then on. */
static void
tell_clear(const struct ctl *c, long long clear)
{
	char *path = conf_path(c->conf, "store_key_file");

	if (path[0] != '\0' && clear > 0)
		printf(
		    _("NOT encrypted, though store_key_file is set: %s, from before it was; congvu "
		      "store compact --min-live=100 writes it anew\n"),
		    store_octets(clear));
	free(path);
}

/* What store-text has read of documents. Nothing is said where nothing ever was wanted. */
static void
tell_texts(const struct json *s)
{
	long long wanted = number(s, "texts_wanted"), failed = number(s, "texts_failed"),
		  since = number(s, "texts_since");

	if (json_bool(json_get(s, "texts_old_asked")) &&
	    !json_bool(json_get(s, "texts_old_through")))
		printf(_("text of documents: mail from before is being looked through for them, "
			 "body %lld of %lld\n"),
		    number(s, "texts_old_upto"), number(s, "texts_old_last"));
	if (wanted + failed + number(s, "texts_read") + number(s, "texts_none") == 0)
		return;
	printf(_("text of documents: read from %lld mails, %lld have none, %lld wait"),
	    number(s, "texts_read"), number(s, "texts_none"), wanted);
	if (wanted > 0 && since > 0)
		printf(_(", the oldest for %lld s"),
		    (long long)time(NULL) > since ? (long long)time(NULL) - since : 0);
	printf("\n");
	if (failed > 0)
		printf(
		    _("text of documents: %lld could not be read (congvu store text failed tells "
		      "why; congvu store text retry tries again)\n"),
		    failed);
}

static int
stats_result(struct ctl *c, const struct json *s)
{
	if (c->json)
		return EX_OK;
	printf(
	    _("accounts: %lld, mailboxes: %lld\n"), number(s, "accounts"), number(s, "mailboxes"));
	printf(_("messages: %lld, %s as users see them\n"), number(s, "messages"),
	    octets(s, "message_octets"));
	printf(_("expunged and kept: %lld, %s (undelete_days, undelete_mb)\n"),
	    number(s, "retained"), octets(s, "retained_octets"));
	if (number(s, "holds") > 0)
		printf(_("legal holds in force: %lld: of these accounts nothing goes, whatever "
			 "undelete_mb says, until they are released (congvu mailbox holds)\n"),
		    number(s, "holds"));
	tell_texts(s);
	printf(_("bodies: %lld (%s before compression), named %lld times\n"), number(s, "bodies"),
	    octets(s, "body_octets"), number(s, "references"));
	printf(_("kept once and not more often: %lld copies less\n"),
	    number(s, "references") - number(s, "referred"));
	printf(_("compressed: %s, %d %% of that\n"), octets(s, "stored_octets"),
	    share(number(s, "stored_octets"), number(s, "body_octets")));
	tell_clear(c, number(s, "clear_octets"));
	printf(
	    _("named by nothing: %lld bodies, %s\n"), number(s, "dead"), octets(s, "dead_octets"));
	printf(_("files of bodies: %lld, %s"), number(s, "files"), octets(s, "file_octets"));
	printf(_(", %d %% live\n"),
	    share(number(s, "stored_octets") - number(s, "dead_octets"), number(s, "file_octets")));
	printf(_("database: %s\n"), octets(s, "database_octets"));
	return EX_OK;
}

const struct store_view store_view_stats = {stats_file, stats_result};

int
store_stats(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool detach = false;
	const struct ctl_option options[] = {{"detach", NULL, &detach}, {NULL, NULL, NULL}};

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 1)
		return ctl_usage(c, _("store stats takes no arguments"));
	return store_task_run(c, s, "stats", json_obj_new(), &store_view_stats, detach);
}

/* ---- collect ---- */

static int
collect_result(struct ctl *c, const struct json *s)
{
	if (c->json)
		return EX_OK;
	if (is_dry(s))
		printf(_("%lld of %lld bodies are named by nothing (%s); %lld of them are younger "
			 "than "
			 "the grace period\n"),
		    number(s, "dead"), number(s, "bodies"), octets(s, "dead_octets"),
		    number(s, "young"));
	else
		printf(_("%lld bodies dropped (%s), %lld kept by the grace period; congvu store "
			 "compact "
			 "gives their room back\n"),
		    number(s, "dropped"), octets(s, "dropped_octets"), number(s, "young"));
	return EX_OK;
}

const struct store_view store_view_collect = {NULL, collect_result};

int
store_collect(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool detach = false, dry = false;
	const struct ctl_option options[] = {
	    {"detach", NULL, &detach}, {"dry-run", NULL, &dry}, {NULL, NULL, NULL}};
	struct json *args;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 1)
		return ctl_usage(c, _("store collect takes no arguments"));
	args = json_obj_new();
	json_set_bool(args, "dry_run", dry);
	return store_task_run(c, s, "collect", args, &store_view_collect, detach);
}

/* ---- compact ---- */

static int
compact_result(struct ctl *c, const struct json *s)
{
	if (c->json)
		return EX_OK;
	printf(is_dry(s) ? _("%lld files would go, %lld bodies be copied (%s)")
			 : _("%lld files removed, %lld bodies copied (%s)"),
	    number(s, "files_removed"), number(s, "copied"), octets(s, "copied_octets"));
	printf(is_dry(s) ? _(": %s would be free\n") : _(": %s free\n"),
	    store_octets(number(s, "freed_octets") - number(s, "copied_octets")));
	return EX_OK;
}

const struct store_view store_view_compact = {NULL, compact_result};

int
store_compact(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	bool detach = false, dry = false;
	const char *live = NULL;
	const struct ctl_option options[] = {{"detach", NULL, &detach}, {"dry-run", NULL, &dry},
	    {"min-live", &live, NULL}, {NULL, NULL, NULL}};
	struct json *args;
	uint64_t percent = 0;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 1)
		return ctl_usage(c, _("store compact takes no arguments"));
	if (live != NULL && (slice_to_u64(slice_str(live), 100, &percent) != 0 || percent == 0))
		return ctl_usage(c, _("--min-live: a percentage from 1 to 100"));
	args = json_obj_new();
	json_set_bool(args, "dry_run", dry);
	if (percent > 0)
		json_set_int(args, "min_live", (int64_t)percent);
	return store_task_run(c, s, "compact", args, &store_view_compact, detach);
}
