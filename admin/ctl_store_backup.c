/* ctl_store_backup.c: `congvu store backup FOLDER`: brings the folder to the present state of the store; with --follow it stays and keeps it there. Whoever may
 * connect to store.admin.sock and write the folder can do it: root, as a rule; stored itself writes none. Ended by a signal at any point
 * it leaves the backup whole that the folder had. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/backup_pull.h"
#include "admin/ctl_store.h"
#include "lib/err.h"
#include "lib/log.h"

enum {
	PATIENCE_MS = 60000, /* while the store does not answer, without --follow */
	TRY_MS = 250,
	TELL_EVERY_MS = 10000,
};
static volatile sig_atomic_t stopped;

static void
on_signal(int signo)
{
	stopped = signo;
}

static void
catch_signals(void)
{
	struct sigaction sa;

	memset(&sa, 0, sizeof sa);
	sa.sa_handler = on_signal;
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	sigaction(SIGHUP, &sa, NULL);
}

static int64_t
now_us(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void
sleep_ms(long ms)
{
	struct timespec ts = {ms / 1000, ms % 1000 * 1000000};

	nanosleep(&ts, NULL); /* a signal ends it */
}

/* What went wrong, and what to do. */
static int
backup_fail(struct ctl *c, const struct backup_pull *p, int err)
{
	if (!p->at_folder)
		return store_fail(c, err, "");
	switch (err) {
	case ERR_FULL:
		return ctl_fail(c, EX_CANTCREAT,
		    _("%s is full: nothing was lost, the backup before this one is whole; make "
		      "room and call it again"),
		    p->folder);
	case ERR_CORRUPT:
		return ctl_fail(c, EX_DATAERR,
		    _("%s in %s is damaged: that backup cannot be gone on with; begin one in "
		      "another folder"),
		    p->file, p->folder);
	case ERR_CONFLICT:
		return ctl_fail(c, EX_DATAERR,
		    _("%s in %s is of another store, or of a store that was replaced: use another "
		      "folder"),
		    p->file, p->folder);
	default:
		return ctl_fail(c, EX_IOERR, _("%s in %s cannot be written: %s"), p->file,
		    p->folder, strerror(errno));
	}
}

int
store_backup_open_fail(struct ctl *c, const char *folder, int err)
{
	switch (err) {
	case ERR_EXISTS:
		return ctl_fail(c, EX_TEMPFAIL, _("another congvu works with %s now"), folder);
	case ERR_DENIED:
		return ctl_fail(c, EX_CANTCREAT,
		    _("there are other things in %s: a backup needs a folder of its own"), folder);
	case ERR_CORRUPT:
		return ctl_fail(c, EX_DATAERR,
		    _("the manifest in %s is damaged: that backup cannot be gone on with"), folder);
	case ERR_UNSUPPORTED:
		return ctl_fail(
		    c, EX_DATAERR, _("the backup in %s is of a later version of congvu"), folder);
	case ERR_NOTFOUND:
		return ctl_fail(c, EX_NOINPUT, _("there is no backup in %s"), folder);
	default:
		return ctl_fail(c, EX_CANTCREAT, "%s: %s", folder, strerror(errno));
	}
}

/* Whether to go on in a moment. */
static bool
may_pass(const struct backup_pull *p, int err)
{
	return !p->at_folder && (err == ERR_TEMP || err == ERR_CLOSED || err == ERR_TIMEOUT ||
				    err == ERR_GONE || err == ERR_IO || err == ERR_AGAIN);
}

struct follow {
	int64_t worst_us; /* the farthest the folder was behind */
	int64_t told_ms, last_us;
	int64_t failing_ms; /* since when the store does not answer; 0: it does */
};

static void
follow_note(struct follow *f, const struct backup_pull *p, bool json)
{
	int64_t now = now_us(CLOCK_REALTIME), ms = now_us(CLOCK_MONOTONIC) / 1000, behind;

	/* until this moment the folder had the state of the one before */
	behind = f->last_us > 0 ? now - f->last_us : 0;
	if (behind > f->worst_us)
		f->worst_us = behind;
	f->last_us = p->moment_us;
	f->failing_ms = 0;
	if (json || ms - f->told_ms < TELL_EVERY_MS)
		return;
	f->told_ms = ms;
	fprintf(stderr, _("behind by %.1f s now, %.1f s at the most; %s copied\n"),
	    (double)(now - p->moment_us) / 1e6, (double)f->worst_us / 1e6,
	    store_octets((int64_t)(p->rows + p->changes + p->segments)));
}

static int
report(struct ctl *c, const struct backup_pull *p, const struct follow *f, bool follow)
{
	uint64_t all = p->rows + p->changes + p->segments;
	struct json *j;

	if (!c->json) {
		printf(_("%s has the state of %.1f s ago.\n"), p->folder,
		    (double)(now_us(CLOCK_REALTIME) - p->moment_us) / 1e6);
		printf(_("Copied: %llu octets, of them rows %llu, changes %llu, messages %llu.\n"),
		    (unsigned long long)all, (unsigned long long)p->rows,
		    (unsigned long long)p->changes, (unsigned long long)p->segments);
		if (follow)
			printf(_("It was %.1f s behind at the most.\n"), (double)f->worst_us / 1e6);
		return EX_OK;
	}
	j = json_obj_new();
	json_set_str(j, "folder", p->folder);
	json_set_int(j, "moment_us", p->moment_us);
	json_set_int(j, "copied", (int64_t)all);
	json_set_int(j, "rows", (int64_t)p->rows);
	json_set_int(j, "changes", (int64_t)p->changes);
	json_set_int(j, "segments", (int64_t)p->segments);
	json_set_int(j, "commits", (int64_t)p->n_commits);
	if (follow)
		json_set_int(j, "worst_behind_ms", f->worst_us / 1000);
	return ctl_json_take(j, EX_OK);
}

/* The store did not answer: whether to ask again. Who waits is told. */
static bool
patience(struct ctl *c, struct follow *f, bool follow)
{
	int64_t ms = now_us(CLOCK_MONOTONIC) / 1000;
	bool first = f->failing_ms == 0;

	if (first)
		f->failing_ms = ms;
	if (!follow && (store_is_down() || ms - f->failing_ms > PATIENCE_MS))
		return false;
	if (first && !c->json)
		fprintf(stderr, "%s\n", _("the store does not answer now: waiting for it"));
	return true;
}

static int
run(struct ctl *c, struct backup_pull *p, bool follow, unsigned every_ms)
{
	struct follow f = {.last_us = p->moment_us};
	bool fresh = true;

	for (;;) {
		bool whole = false;
		int err = stopped != 0 ? ERR_CANCELED : backup_pull_step(p, &whole);

		if (err == ERR_CANCELED)
			return p->n_commits > 0
				   ? report(c, p, &f, follow)
				   : ctl_fail(c, EX_TEMPFAIL,
					 _("ended by a signal; the next call goes on"));
		if (err != 0 &&
		    (!may_pass(p, err) || (err != ERR_GONE && !patience(c, &f, follow))))
			return backup_fail(c, p, err);
		if (err != 0) {
			if (err != ERR_GONE)
				sleep_ms(TRY_MS);
			continue;
		}
		f.failing_ms = 0;
		if (!whole)
			continue;
		if (fresh) /* how old the folder was before is no lag of ours */
			f.last_us = 0;
		fresh = false;
		follow_note(&f, p, c->json || !follow);
		if (!follow)
			return report(c, p, &f, false);
		sleep_ms(every_ms);
	}
}

/* As the store keeps it for `congvu status`. */
static char *
whole_path(int fd, const char *path)
{
	char link[40], full[4096];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, full, sizeof full - 1);
	return n > 0 && n < 1000 ? slice_dup(slice_of(full, (size_t)n)) : xstrdup(path);
}

int
store_backup(struct ctl *c, struct ipc_sync *s, int argc, char **argv)
{
	const char *every = NULL;
	bool follow = false;
	const struct ctl_option options[] = {
	    {"follow", NULL, &follow}, {"every", &every, NULL}, {NULL, NULL, NULL}};
	struct backup_dir d;
	struct backup_pull p;
	uint64_t seconds = 1;
	char *folder;
	int err, code;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(c, _("one folder is needed"));
	if (every != NULL && (slice_to_u64(slice_str(every), 3600, &seconds) != 0 || seconds == 0))
		return ctl_usage(c, _("--every takes 1 to 3600 seconds"));
	if ((err = backup_dir_open(store_cwd(), argv[1], true, &d)) != 0)
		return err == ERR_NOTFOUND
			   ? ctl_fail(c, EX_CANTCREAT, "%s: %s", argv[1], strerror(ENOENT))
			   : store_backup_open_fail(c, argv[1], err);
	catch_signals();
	folder = whole_path(d.fd, argv[1]);
	backup_pull_init(&p, s, &d, folder, &stopped);
	code = run(c, &p, follow, (unsigned)seconds * 1000);
	backup_pull_done(&p);
	backup_dir_close(&d);
	free(folder);
	return code;
}
