/* ctl_mailbox_import_run.c: see ctl_mailbox_import.h. Runs in congvu. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_mailbox.h"
#include "admin/ctl_mailbox_import.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"

enum {
	ASK_MS = 60000,
	WAIT_MS = 60000,
	TRY_MS = 250,
	LIST_MAX = 10000,
	TELL_TTY_MS = 250,
	TELL_MS = 10000
};

static const struct {
	const char *why, *text;
} whys[] = {
    {"symlink", "a symbolic link: not followed"},
    {"not_a_file", "not a plain file"},
    {"too_large", "larger than message_size_max"},
    {"nul", "there are NUL octets in it"},
    {"unreadable", "it cannot be read"},
    {"empty", "it is empty"},
    {"not_a_message", "it does not begin as a message does"},
    {"not_an_mbox", "it does not begin as an mbox does"},
    {"locked", "another program has it locked"},
    {"vanished", "it is there no more"},
    {"folder_name", "no mailbox may be called so"},
    {"too_deep", "too many folders in one another"},
    {"mailbox", "its mailbox cannot be made"},
    {"mailbox_gone", "its mailbox was deleted meanwhile: give the command again"},
    {"quota", "no room: the account's quota, or the disk"},
    {"store", "the store refused it"},
    {"damaged", "it is damaged in the backup"},
    {"mailbox_there",
	"this mailbox is in the store still: without --own-name its mail goes below \"Restored\""},
};

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* Names of files may hold anything: what a terminal would act on is shown as "?". */
static void
print_name(FILE *f, const char *s)
{
	for (; *s != '\0'; s++)
		fputc((unsigned char)*s < 0x20 || *s == 0x7f ? '?' : *s, f);
}

static void
line_close(struct import_run *k)
{
	if (k->line_open)
		fputc('\n', stderr);
	k->line_open = false;
}

static struct import_box *
box_of(struct import_run *k, const char *name)
{
	for (size_t i = k->n_boxes; i-- > 0;)
		if (strcmp(k->boxes[i].name, name) == 0)
			return &k->boxes[i];
	k->boxes = xrealloc(k->boxes, (k->n_boxes + 1) * sizeof *k->boxes);
	k->boxes[k->n_boxes] = (struct import_box){.name = xstrdup(name)};
	return &k->boxes[k->n_boxes++];
}

/* ---- what becomes of messages ---- */

void
import_run_refuse(struct import_run *k, const char *where, const char *why, int sys)
{
	const char *text = why;
	struct json *j;

	for (size_t i = 0; i < sizeof whys / sizeof whys[0]; i++)
		if (strcmp(whys[i].why, why) == 0)
			text = _(whys[i].text);
	k->refused++;
	line_close(k);
	fprintf(stderr, "%s: ", _("refused"));
	print_name(stderr, where[0] == '\0' || where[0] == '@' ? k->from : "");
	print_name(stderr, where);
	fprintf(stderr, ": %s%s%s\n", text, sys != 0 ? ": " : "", sys != 0 ? strerror(sys) : "");
	if (k->list == NULL || k->refused > LIST_MAX)
		return;
	j = json_obj_new();
	json_set_slice(j, "where", slice_str(where));
	json_set_str(j, "why", why);
	if (sys != 0)
		json_set_str(j, "error", strerror(sys));
	json_push_take(k->list, j);
}

static void
on_done(void *arg, const struct import_msg *m, int err, bool repeated, bool no_keywords)
{
	struct import_run *k = arg;
	struct import_box *b = box_of(k, m->box);

	if (err == 0) {
		k->imported += !repeated;
		k->there += repeated;
		k->octets += repeated ? 0 : spool_size(m->spool);
		k->keywords_lost += no_keywords;
		b->imported += !repeated;
		b->there += repeated;
		return;
	}
	if (err == ERR_TEMP) {
		k->stop = ERR_TEMP;
		return; /* told once: the next run goes on */
	}
	b->refused++;
	if (err == ERR_FULL)
		k->stop = ERR_FULL;
	import_run_refuse(k, m->where,
	    err == ERR_FULL       ? "quota"
	    : err == ERR_LIMIT    ? "too_large"
	    : err == ERR_NOTFOUND ? "mailbox_gone"
	    : err == ERR_SYNTAX   ? "nul"
				  : "store",
	    0);
}

/* ---- progress ---- */

static void
on_idle(void *arg)
{
	struct import_run *k = arg;
	uint64_t now = now_ms(), n = k->imported + k->there, unit = k->in_octets ? 1 << 20 : 1;
	bool tty = isatty(STDERR_FILENO) != 0;
	double seconds = (double)(now - k->began_ms) / 1000;

	if (now - k->told_ms < (tty ? TELL_TTY_MS : TELL_MS))
		return;
	k->told_ms = now;
	fprintf(stderr, tty ? "\r\033[K" : "");
	fprintf(stderr, k->in_octets ? _("%llu of %llu MiB read") : _("%llu of %llu messages read"),
	    (unsigned long long)(k->at(k->arg) / unit),
	    (unsigned long long)(k->total(k->arg) / unit));
	fprintf(stderr, _("; brought: %llu, there already: %llu, refused: %llu; %.0f a second"),
	    (unsigned long long)k->imported, (unsigned long long)k->there,
	    (unsigned long long)k->refused, seconds > 0 ? (double)n / seconds : 0);
	if (!tty)
		fputc('\n', stderr);
	k->line_open = tty;
	fflush(stderr);
}

/* ---- mailboxes ---- */

void
import_run_begin(struct import_run *k)
{
	struct import_send_opts o = {.socket = "ingest.admin.sock",
	    .account = k->account,
	    .how = k->how,
	    .dry = k->dry,
	    .wait_ms = WAIT_MS,
	    .done = on_done,
	    .idle = on_idle,
	    .arg = k};

	k->list = k->c->json ? json_arr_new() : NULL;
	k->began_ms = k->told_ms = now_ms();
	k->send = import_send_new(&o);
}

/* make: as STORE_IMPORT_OPEN has it. */
static int
box_ask(struct import_run *k, const char *name, uint8_t make)
{
	struct buf ask, reply;
	struct ipc_reader r;
	uint16_t type;
	int err;

	buf_init(&ask, 4096);
	buf_init(&reply, 65536);
	ipc_put_str(&ask, k->account);
	ipc_put_str(&ask, name);
	ipc_put_u8(&ask, make);
	err = ipc_sync_call(k->store, STORE_IMPORT_OPEN, &ask, -1, ASK_MS, &type, &reply, NULL);
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&reply));
		k->mailbox = ipc_get_u64(&r);
		k->made = ipc_get_u8(&r) != 0;
		free(k->box);
		k->box = ipc_get_strdup(&r);
		err = ipc_reader_end(&r);
	}
	buf_done(&ask);
	buf_done(&reply);
	return err;
}

static bool
is_away(int err)
{
	return err == ERR_TEMP || err == ERR_CLOSED || err == ERR_TIMEOUT || err == ERR_IO;
}

static int
box_open(struct import_run *k, const char *name, uint8_t make)
{
	struct timespec ts = {0, TRY_MS * 1000000L};
	uint64_t since = now_ms();
	int err;

	while (is_away(err = box_ask(k, name, make)) && now_ms() - since < WAIT_MS)
		nanosleep(&ts, NULL);
	return is_away(err) ? ERR_TEMP : err;
}

int
import_run_find(struct import_run *k, const char *name, uint64_t *id_out)
{
	int err = box_open(k, name, 0);

	if (err == 0)
		*id_out = k->mailbox;
	return err;
}

int
import_run_box(struct import_run *k, const char *name)
{
	int err;

	if (k->stop != 0)
		return k->stop;
	err = box_open(k, name, k->dry ? 0 : k->known ? 2 : 1);
	if (err == ERR_TEMP)
		return k->stop = ERR_TEMP;
	if (err == ERR_NOTFOUND && k->dry) { /* all of it is new */
		k->mailbox = 0;
		free(k->box);
		k->box = xstrdup(name);
		err = 0;
	}
	if (err == ERR_NOTFOUND && !k->known) /* the account itself is not there */
		return k->stop = ERR_NOTFOUND;
	if (err != 0) {
		import_run_refuse(k, name, "mailbox", 0);
		return 1;
	}
	(void)box_of(k, k->box);
	return 0;
}

int
import_run_take(struct import_run *k, struct import_msg *m)
{
	int err;

	m->mailbox = k->mailbox;
	m->box = xstrdup(k->box);
	if (k->stop != 0) {
		import_msg_free(m);
		return k->stop;
	}
	if (k->dry && k->mailbox == 0) { /* there is none yet to ask for */
		on_done(k, m, 0, false, false);
		import_msg_free(m);
		on_idle(k);
		return 0;
	}
	err = import_send_take(k->send, m);
	return err != 0 ? err : k->stop;
}

/* ---- the end ---- */

static int
exit_code(const struct import_run *k)
{
	struct ctl *c = k->c;

	if (k->told != 0)
		return k->told;
	switch (k->stop) {
	case 0:
		return k->refused > 0 ? EX_DATAERR : EX_OK;
	case ERR_FULL:
		return ctl_fail(c, EX_CANTCREAT, "%s",
		    _("ended: the account's quota (quota_mb, quota_messages) or the disk has no "
		      "room; "
		      "what was brought stays, and with room made, or --over-quota, the same "
		      "command "
		      "goes on"));
	case ERR_TEMP:
		return ctl_fail(c, EX_TEMPFAIL, "%s",
		    _("ended: the store does not answer; what was brought stays, and the same "
		      "command "
		      "goes on where it was (congvu status)"));
	case ERR_NOTFOUND:
		return ctl_fail(c, EX_NOUSER, _("the store has no account %s"), k->account);
	default:
		return ctl_fail(c, ctl_exit_code(k->stop), "%s", err_name(k->stop));
	}
}

static struct json *
report_json(struct import_run *k)
{
	struct json *j = json_obj_new(), *boxes = json_arr_new();

	json_set_str(j, "account", k->account);
	json_set_bool(j, "dry_run", k->dry);
	json_set_bool(j, "whole", k->stop == 0);
	json_set_int(j, "imported", (int64_t)k->imported);
	json_set_int(j, "already_there", (int64_t)k->there);
	json_set_int(j, "refused", (int64_t)k->refused);
	json_set_int(j, "passed_over", (int64_t)k->passed);
	json_set_int(j, "without_keywords", (int64_t)k->keywords_lost);
	json_set_int(j, "octets", (int64_t)k->octets);
	for (size_t i = 0; i < k->n_boxes; i++) {
		struct json *b = json_obj_new();

		json_set_str(b, "mailbox", k->boxes[i].name);
		json_set_int(b, "imported", (int64_t)k->boxes[i].imported);
		json_set_int(b, "already_there", (int64_t)k->boxes[i].there);
		json_set_int(b, "refused", (int64_t)k->boxes[i].refused);
		json_push_take(boxes, b);
	}
	json_set_take(j, "mailboxes", boxes);
	json_set_take(j, "refused_list", k->list);
	k->list = NULL;
	return j;
}

static void
report_print(const struct import_run *k)
{
	for (size_t i = 0; i < k->n_boxes; i++) {
		mailbox_column(slice_str(k->boxes[i].name), 32);
		printf(k->dry ? _("%llu would be brought, %llu there already")
			      : _("%llu brought, %llu there already"),
		    (unsigned long long)k->boxes[i].imported,
		    (unsigned long long)k->boxes[i].there);
		if (k->boxes[i].refused > 0)
			printf(_(", %llu refused"), (unsigned long long)k->boxes[i].refused);
		printf("\n");
	}
	printf(_("In all: %llu brought (%llu octets), %llu there already, %llu refused.\n"),
	    (unsigned long long)k->imported, (unsigned long long)k->octets,
	    (unsigned long long)k->there, (unsigned long long)k->refused);
	if (k->passed > 0)
		printf(_("%llu files are no mail by their names, and were passed over.\n"),
		    (unsigned long long)k->passed);
	if (k->keywords_lost > 0)
		printf(_("%llu messages came without their keywords: the mailbox has too many.\n"),
		    (unsigned long long)k->keywords_lost);
	if (k->dry)
		printf("%s\n", _("Nothing was changed (--dry-run)."));
}

int
import_run_end(struct import_run *k, int err)
{
	struct json *j;
	int code;

	if (k->send != NULL && import_send_wait(k->send) != 0 && k->stop == 0)
		k->stop = ERR_TEMP;
	if (err < 0 && k->stop == 0)
		k->stop = err;
	line_close(k);
	if (k->c->json) {
		j = report_json(k);
		code = ctl_json_take(j, exit_code(k));
	} else {
		report_print(k);
		fflush(stdout);
		code = exit_code(k);
	}
	import_send_free(k->send);
	for (size_t i = 0; i < k->n_boxes; i++)
		free(k->boxes[i].name);
	free(k->boxes);
	free(k->box);
	free(k->account);
	json_free(k->list);
	return code;
}
