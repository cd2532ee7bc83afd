/* ctl_mailbox_import.c: `congvu mailbox import`: the mail of another server (a Maildir, mbox files, EML files) into an account. What lies there is read by
 * import_files.c and import_mbox.c, and goes through ingest as all mail does; under ids that stored remembers, so that the command may be given again
 * after whatever ended it, and brings each message once. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_mailbox.h"
#include "admin/ctl_mailbox_import.h"
#include "admin/import_source.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/deliver_client.h"

struct importing {
	struct import_run run;
	struct import_source source;
	const char *into;
};

static int
on_box(void *arg, const char *name)
{
	struct importing *k = arg;
	struct buf b;
	int err;

	if (k->into == NULL)
		return import_run_box(&k->run, name[0] == '\0' ? "INBOX" : name);
	buf_init(&b, 8192);
	buf_append_str(&b, k->into);
	if (name[0] != '\0' && strcmp(name, "INBOX") != 0)
		buf_appendf(&b, "/%s", name);
	err = import_run_box(&k->run, buf_cstr(&b));
	buf_done(&b);
	return err;
}

static int
on_msg(void *arg, struct import_msg *m)
{
	struct importing *k = arg;

	return import_run_take(&k->run, m);
}

static void
on_refused(void *arg, const char *where, const char *why, int sys)
{
	struct importing *k = arg;

	import_run_refuse(&k->run, where, why, sys);
}

static void
on_passed(void *arg)
{
	struct importing *k = arg;

	k->run.passed++;
}

static uint64_t
get_at(void *arg)
{
	const struct importing *k = arg;

	return k->source.at;
}

static uint64_t
get_total(void *arg)
{
	const struct importing *k = arg;

	return k->source.total;
}

static int
note(struct importing *k)
{
	static const char *const names[] = {"", "maildir", "mbox", "eml"};
	struct json *rec = json_obj_new();

	json_set_str(rec, "account", k->run.account);
	json_set_str(rec, "from", k->run.from);
	json_set_str(rec, "format", names[k->source.format]);
	json_set_str(rec, "into", k->into == NULL ? "" : k->into);
	json_set_bool(rec, "over_quota", (k->run.how & IMPORT_OVER_QUOTA) != 0);
	return ctl_audit_note(k->run.c, "store_import", rec);
}

static int
read_format(struct ctl *c, const char *format, const char *quoting, struct import_source *s)
{
	static const char *const formats[] = {"maildir", "mbox", "eml"};
	static const char *const quotings[] = {"auto", "rd", "o", "none"};
	int f = -1, q = quoting == NULL ? 0 : -1;

	for (int i = 0; i < 4; i++) {
		if (i < 3 && format != NULL && strcmp(format, formats[i]) == 0)
			f = i;
		if (quoting != NULL && strcmp(quoting, quotings[i]) == 0)
			q = i;
	}
	if (format != NULL && f < 0)
		return ctl_usage(c, _("--format takes maildir, mbox or eml"));
	if (q < 0)
		return ctl_usage(c, _("--mbox-quoting takes auto, rd, o or none"));
	s->format = (enum import_format)(f + 1);
	s->quoting = (enum mboxfile_quoting)q;
	return 0;
}

/* The source is open, and what it is is known. */
static int
import(struct importing *k, const char *user)
{
	struct ctl *c = k->run.c;
	int code = mailbox_account(c, user, &k->run.account, &k->run.known), err;

	if (code != 0)
		return code;
	k->run.store = mailbox_store(c, &code);
	if (k->run.store == NULL || (!k->run.dry && (code = note(k)) != 0)) {
		ipc_sync_free(k->run.store);
		free(k->run.account);
		return code;
	}
	if (faccessat(AT_FDCWD, "ingest.admin.sock", W_OK, AT_EACCESS) != 0 && errno == EACCES) {
		ipc_sync_free(k->run.store);
		free(k->run.account);
		return mailbox_fail(c, ERR_TEMP);
	}
	import_source_count(&k->source);
	k->run.in_octets = k->source.in_octets;
	import_run_begin(&k->run);
	err = import_source_read(&k->source);
	code = import_run_end(&k->run, err);
	ipc_sync_free(k->run.store);
	return code;
}

int
mailbox_import(struct ctl *c, int argc, char **argv)
{
	const char *from = NULL, *format = NULL, *quoting = NULL;
	bool over = false;
	struct importing k = {.run = {.c = c, .at = get_at, .total = get_total},
	    .source = {
		.box = on_box, .msg_take = on_msg, .refused = on_refused, .passed = on_passed}};
	const struct ctl_option options[] = {{"from", &from, NULL}, {"format", &format, NULL},
	    {"mbox-quoting", &quoting, NULL}, {"into", &k.into, NULL}, {"over-quota", NULL, &over},
	    {"dry-run", NULL, &k.run.dry}, {NULL, NULL, NULL}};
	int code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || from == NULL)
		return ctl_usage(c, _("an account and --from are needed"));
	if (read_format(c, format, quoting, &k.source) != 0)
		return EX_USAGE;
	k.run.arg = k.source.arg = &k;
	k.run.from = from;
	k.run.how = over ? IMPORT_OVER_QUOTA : 0;
	k.source.size_max = (uint64_t)conf_int(c->conf, "message_size_max");
	/* a FIFO there does not hold it up */
	k.source.fd = open(from, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (k.source.fd < 0)
		return ctl_fail(c, EX_NOINPUT, "%s: %s", from, strerror(errno));
	if (k.source.format == IMPORT_GUESS)
		k.source.format = import_source_guess(k.source.fd);
	if (k.source.format == IMPORT_GUESS)
		code = ctl_usage(c, _("%s: it cannot be told what this is: say --format"), from);
	else
		code = import(&k, argv[1]);
	close(k.source.fd);
	return code;
}
