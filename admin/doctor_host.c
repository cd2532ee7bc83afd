/* doctor_host.c: this host as `congvu doctor` sees it: programs and sandboxes, ports and who has them, folders and secrets, disk, queue,
 * clock. Reads /proc and the status files. Runs in congvu. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "admin/check.h"
#include "admin/ctl_mailbox.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/proc.h"

enum { INODES_MAX = 16, OLD_S = 86400, MANY_MESSAGES = 5000, BACKUP_OLD_H = 48, LINE = 512 };

/* ---- programs ---- */

static void
check_role(struct check *k, const char *program, const struct json *r)
{
	const char *role = json_cstr(json_get(r, "role")),
		   *sandbox = json_cstr(json_get(r, "sandbox"));
	char what[96];

	snprintf(what, sizeof(what), "%.40s/%.40s", program, role);
	if (json_int(json_get(r, "pid"), 0) <= 0 || !ctl_pid_alive(json_int(json_get(r, "pid"), 0)))
		finding(k, DOWN, what,
		    _("does not run; it last ended with \"%s\": its log tells why"),
		    json_cstr(json_get(r, "last_exit")));
	else if (strcmp(sandbox, "none") == 0 || strcmp(sandbox, "partial") == 0)
		finding(k, WARN, what,
		    _("runs with a sandbox that is %s: the kernel lacks seccomp or Landlock, or "
		      "CONGVU_SANDBOX is set; its log tells "
		      "which part"),
		    strcmp(sandbox, "none") == 0 ? _("not there") : _("not whole"));
	if (json_int(json_get(r, "restarts"), 0) >= 10)
		finding(k, WARN, what,
		    _("was restarted %lld times, last after \"%s\": its log tells why"),
		    (long long)json_int(json_get(r, "restarts"), 0),
		    json_cstr(json_get(r, "last_exit")));
}

/* The process of a program, 0 when it does not run. */
static int64_t
check_program(struct check *k, const char *program)
{
	struct json *j = ctl_status_read(k->c, program);
	const struct json *roles = json_get(j, "roles");
	int64_t pid = j != NULL ? json_int(json_get(j, "pid"), 0) : 0;

	if (!ctl_pid_alive(pid)) {
		finding(k, DOWN, program, "%s",
		    _("does not run: systemctl start congvu.target, or congvu run --daemon"));
		pid = 0;
	} else {
		finding(k, GOOD, program, _("runs, process %lld"), (long long)pid);
	}
	for (size_t i = 0; pid != 0 && i < json_len(roles); i++)
		check_role(k, program, json_at(roles, i));
	if (json_bool(json_get(j, "reload_failed")))
		finding(k, WARN, program, "%s",
		    _("did not take over all at the last reload: mend what its log says, then "
		      "congvu reload"));
	json_free(j);
	return pid;
}

/* ---- ports ---- */

/* Inodes of the sockets that listen on a port, from /proc/net/tcp and tcp6 (proc(5)). */
static size_t
listeners(unsigned port, uint64_t inodes[INODES_MAX])
{
	static const char *const files[] = {"/proc/net/tcp", "/proc/net/tcp6"};
	char line[LINE];
	size_t n = 0;

	for (size_t i = 0; i < 2; i++) {
		FILE *f = fopen(files[i], "re");
		unsigned local, state;
		uint64_t inode;

		while (f != NULL && n < INODES_MAX && fgets(line, sizeof(line), f) != NULL)
			if (sscanf(line,
				" %*u: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*x:%*x %*x:%*x %*x "
				"%*u %*u %" SCNu64,
				&local, &state, &inode) == 3 &&
			    local == port && state == 10)
				inodes[n++] = inode;
		if (f != NULL)
			fclose(f);
	}
	return n;
}

/* Whether a process holds one of the sockets. */
static bool
holds_one(const char *pid, const uint64_t *inodes, size_t n)
{
	char path[80], target[80], want[40];
	struct dirent *e;
	bool found = false;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%.20s/fd", pid);
	d = opendir(path);
	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		ssize_t len = readlinkat(dirfd(d), e->d_name, target, sizeof(target) - 1);

		target[len > 0 ? len : 0] = '\0';
		for (size_t i = 0; i < n && !found; i++) {
			snprintf(
			    want, sizeof(want), "socket:[%llu]", (unsigned long long)inodes[i]);
			found = strcmp(target, want) == 0;
		}
	}
	if (d != NULL)
		closedir(d);
	return found;
}

/* Who holds one of the sockets: process and name; 0 when it cannot be seen. */
static int64_t
holder(const uint64_t *inodes, size_t n, char *name, size_t size)
{
	struct dirent *e;
	int64_t pid = 0;
	DIR *d = opendir("/proc");

	snprintf(name, size, "?");
	while (d != NULL && pid == 0 && (e = readdir(d)) != NULL) {
		char path[80];
		FILE *f;

		if (!isdigit((unsigned char)e->d_name[0]) || !holds_one(e->d_name, inodes, n))
			continue;
		pid = strtoll(e->d_name, NULL, 10);
		snprintf(path, sizeof(path), "/proc/%.20s/comm", e->d_name);
		f = fopen(path, "re");
		if (f != NULL && fgets(name, (int)size, f) != NULL)
			name[strcspn(name, "\n")] = '\0';
		if (f != NULL)
			fclose(f);
	}
	if (d != NULL)
		closedir(d);
	return pid;
}

static void
check_port(struct check *k, const char *option, bool runs)
{
	const char *text = conf_str(k->conf, option), *colon = strrchr(text, ':');
	uint64_t inodes[INODES_MAX], number = 0;
	unsigned long long port;
	char name[64];
	int64_t pid;
	size_t n;

	if (colon == NULL || slice_to_u64(slice_str(colon + 1), 65535, &number) != 0)
		return; /* none, or told by check */
	port = number;
	n = listeners((unsigned)port, inodes);
	pid = n > 0 ? holder(inodes, n, name, sizeof(name)) : 0;
	if (n == 0 && runs)
		finding(k, DOWN, option, _("nobody listens on port %llu: see the log"), port);
	else if (n > 0 && pid != 0 && strncmp(name, "congvu", 6) != 0)
		finding(k, BAD, option,
		    _("port %llu is held by %s (process %lld): end it (systemctl disable "
		      "--now %s), or choose another port"),
		    port, name, (long long)pid, name);
	else if (n > 0)
		finding(
		    k, GOOD, option, _("port %llu, %s (process %lld)"), port, name, (long long)pid);
	else
		finding(k, GOOD, option, _("port %llu is free"), port);
}

/* ---- folders and secrets ---- */

static void
check_owner(struct check *k, const char *option, const char *user_option)
{
	const char *user = conf_str(k->conf, user_option);
	char *path = conf_path(k->conf, option);
	struct stat st;
	uid_t uid;
	gid_t gid;

	if (geteuid() == 0 && stat(path, &st) == 0 && proc_user(user, &uid, &gid) == 0) {
		if (st.st_uid != uid)
			finding(k, BAD, option,
			    _("%s belongs to user %u, not to %s: chown -R %s: %s"), path,
			    (unsigned)st.st_uid, user, user, path);
		else if ((st.st_mode & 077) != 0)
			finding(k, BAD, option,
			    _("%s can be entered by others (mode %03o): chmod 700 %s"), path,
			    st.st_mode & 0777, path);
	}
	free(path);
}

/* What root reads and obeys must not be others' to write. */
static void
check_conf_file(struct check *k)
{
	const char *file = conf_file(k->conf);
	struct stat st;

	if (stat(file, &st) == 0 && ((st.st_mode & 022) != 0 || (geteuid() == 0 && st.st_uid != 0)))
		finding(k, BAD, "configuration",
		    _("%s can be changed by others than root: chown root %s; chmod 640 %s"), file,
		    file, file);
}

static bool
has_pem(const char *dir)
{
	struct dirent *e;
	bool found = false;
	DIR *d = opendir(dir);

	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		const char *dot = strrchr(e->d_name, '.');

		found = dot != NULL && strcmp(dot, ".pem") == 0;
	}
	if (d != NULL)
		closedir(d);
	return found;
}

static void
check_anchors(struct check *k)
{
	char *trust = conf_path(k->conf, "trust_dir"), *path = NULL;
	struct dirent *e;
	bool found = false;
	DIR *d = opendir(trust);

	while (d != NULL && !found && (e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		if (asprintf(&path, "%s/%s", trust, e->d_name) < 0)
			fatal("out of memory");
		found = has_pem(path);
		free(path);
	}
	if (d != NULL)
		closedir(d);
	if (found)
		finding(k, GOOD, "trust_dir", "%s", trust);
	else
		finding(k, WARN, "trust_dir",
		    _("no CA is trusted for signatures, so signed official mail is refused: put "
		      "its certificates into "
		      "%s/default/ (PEM), then congvu reload"),
		    trust);
	free(trust);
}

/* ---- disk, queue, clock ---- */

static void
check_disk(struct check *k, const char *option)
{
	unsigned long long reserve = (unsigned long long)conf_int(k->conf, "disk_reserve_mb"), left,
			   all;
	char *path = conf_path(k->conf, option), *slash;
	struct statvfs fs;
	int rc;

	while ((rc = statvfs(path, &fs)) != 0 && errno == ENOENT &&
	       (slash = strrchr(path, '/')) != NULL && slash != path)
		*slash = '\0'; /* made at the first start */
	left = rc == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize >> 20 : 0;
	all = rc == 0 ? (uint64_t)fs.f_blocks * fs.f_frsize >> 20 : 0;
	if (rc != 0)
		finding(k, BAD, option, "%s: %s", path, strerror(errno));
	else if (left < reserve)
		finding(k, DOWN, option,
		    _("the disk of %s has %llu MiB left, less than disk_reserve_mb (%llu"
		      "): no mail is taken until there is room again; remove what is not needed, "
		      "or make the disk larger"),
		    path, left, reserve);
	else if (left < 4 * reserve || left < all / 20 || fs.f_favail * 20 < fs.f_files)
		finding(k, WARN, option,
		    _("the disk of %s has %llu of %llu"
		      " MiB left; mail is taken until %llu MiB: make room soon"),
		    path, left, all, reserve);
	else
		finding(k, GOOD, option, _("%llu of %llu MiB left; mail is taken until %llu MiB"),
		    left, all, reserve);
	free(path);
}

static void
check_queue(struct check *k)
{
	struct json *j = ctl_status_read(k->c, "congvu-smtpd");
	const struct json *roles = json_get(j, "roles");

	for (size_t i = 0; i < json_len(roles); i++) {
		const struct json *r = json_at(roles, i), *stats = json_get(r, "stats");
		long long messages = json_int(json_get(stats, "messages"), 0),
			  oldest = json_int(json_get(stats, "oldest_s"), 0);

		if (strcmp(json_cstr(json_get(r, "role")), "smtpd-queue") != 0)
			continue;
		if (messages > MANY_MESSAGES || oldest > OLD_S)
			finding(k, WARN, "queue",
			    _("%lld messages wait, the oldest for %lld hours: congvu queue list "
			      "says why"),
			    messages, oldest / 3600);
		else
			finding(k, GOOD, "queue", _("%lld messages wait"), messages);
	}
	json_free(j);
}

/* A backup that nobody looks after gets old. */
static void
check_backup(struct check *k)
{
	struct json *j = ctl_status_read(k->c, "congvu-stored");
	const struct json *roles = json_get(j, "roles");

	for (size_t i = 0; i < json_len(roles); i++) {
		const struct json *r = json_at(roles, i);
		long long at = json_int(json_get(json_get(r, "stats"), "backup_at"), 0),
			  hours = ((long long)time(NULL) - at) / 3600;

		if (strcmp(json_cstr(json_get(r, "role")), "stored") != 0)
			continue;
		if (at == 0)
			finding(k, WARN, "backup",
			    _("there is no backup of the store: congvu store backup FOLDER makes "
			      "one, "
			      "--follow keeps it a second behind"));
		else if (hours > BACKUP_OLD_H)
			finding(k, WARN, "backup",
			    _("the last backup of the store is %lld hours old: congvu store "
			      "backup, "
			      "or --follow"),
			    hours);
		else
			finding(k, GOOD, "backup",
			    _("the last backup of the store is %lld hours old"), hours);
	}
	json_free(j);
}

/* Checkpoints of the audit log: mail does not wait for them, so somebody has to hear when they are not signed. */
static void
check_checkpoints(struct check *k)
{
	struct json *j = ctl_status_read(k->c, "congvu-milter");
	const struct json *roles = json_get(j, "roles"), *stats;
	char *key = conf_path(k->conf, "audit_key_file");
	long long since, late = 3 * conf_int(k->conf, "audit_checkpoint_s") + 30;

	for (size_t i = 0; i < json_len(roles); i++) {
		stats = json_get(json_at(roles, i), "stats");
		if (strcmp(json_cstr(json_get(json_at(roles, i), "role")), "milter-ledger") != 0)
			continue;
		since = json_int(json_get(stats, "unsigned_since"), 0);
		if (json_int(json_get(stats, "checkpoints_refused"), 0) > 0 && since != 0)
			finding(k, BAD, "audit_checkpoints", "%s",
			    _("milter-sign refuses to sign: the audit log went back behind what "
			      "was "
			      "signed, or was written anew: congvu audit verify"));
		else if (since != 0 && access(key, F_OK) != 0)
			finding(k, WARN, "audit_checkpoints",
			    _("there is no key %s, so nothing proves that the audit log was not "
			      "written anew: openssl genpkey -algorithm EC -pkeyopt "
			      "ec_paramgen_curve:P-256 -out %s, chmod 600, congvu reload"),
			    key, key);
		else if (since != 0 && (long long)time(NULL) - since > late)
			finding(k, WARN, "audit_checkpoints",
			    _("the audit log has been unsigned for %lld minutes: see what "
			      "milter-sign says in the log"),
			    ((long long)time(NULL) - since) / 60);
		else
			finding(k, GOOD, "audit_checkpoints", _("signed up to record %lld"),
			    (long long)json_int(json_get(stats, "checkpoint_seq"), 0));
		if (json_int(json_get(stats, "syslog_lost"), 0) > 0)
			finding(k, WARN, "audit_syslog", _("%lld checkpoints did not reach %s"),
			    (long long)json_int(json_get(stats, "syslog_lost"), 0),
			    conf_str(k->conf, "audit_syslog"));
	}
	free(key);
	json_free(j);
}

/* A clock that is behind makes certificates not valid yet and signatures of tomorrow. */
static void
check_clock(struct check *k)
{
	struct timex tx = {.modes = 0};
	struct stat st;
	time_t now = time(NULL);
	int state = adjtimex(&tx);

	if (stat(conf_file(k->conf), &st) == 0 && st.st_mtime > now + 60)
		finding(k, BAD, "clock",
		    _("%s was written %lld minutes in the future: set the clock (timedatectl)"),
		    conf_file(k->conf), (long long)(st.st_mtime - now) / 60);
	else if (state == TIME_ERROR || (tx.status & STA_UNSYNC) != 0)
		finding(k, WARN, "clock", "%s",
		    _("nothing keeps it right (the kernel calls it not synchronised): apt-get "
		      "install systemd-timesyncd, or chrony"));
	else
		finding(k, GOOD, "clock", "%s", _("is kept right"));
}

/* By whose word an officer is one: this session is as those are that release and purge. */
static void
check_officers(struct check *k)
{
	const char *known_by = ctl_actor_known_by();
	bool lax = conf_bool(k->conf, "officers_by_sudo");

	if (conf_list_len(k->conf, "security_officers") == 0)
		return;
	if (lax)
		finding(k, WARN, "security_officers", "%s",
		    _("officers_by_sudo is set: where the kernel keeps no login uid, who is root "
		      "can play two officers by SUDO_UID"));
	else if (strcmp(known_by, "login") != 0)
		finding(k, WARN, "security_officers", "%s",
		    _("the kernel has no login uid of this session: in one like it officers can "
		      "neither release nor purge (pam_loginuid gives one at sign-in; see "
		      "officers_by_sudo)"));
	else
		finding(k, GOOD, "security_officers", _("the kernel says who this is: %s"),
		    ctl_actor());
}

void
doctor_host(struct check *k)
{
	static const struct {
		const char *option, *program;
	} ports[] = {{"listen_mx", "congvu-smtpd"}, {"listen_submission", "congvu-smtpd"},
	    {"listen_submissions", "congvu-smtpd"}, {"listen_imap", "congvu-imapd"},
	    {"listen_imaps", "congvu-imapd"}, {"listen_lmtp", "congvu-stored"}};
	int64_t pids[8] = {0};

	for (size_t i = 0; ctl_programs[i] != NULL && i < 8; i++)
		pids[i] = check_program(k, ctl_programs[i]);
	for (size_t i = 0; i < sizeof(ports) / sizeof(ports[0]); i++)
		for (size_t p = 0; ctl_programs[p] != NULL && p < 8; p++)
			if (strcmp(ctl_programs[p], ports[i].program) == 0)
				check_port(k, ports[i].option, pids[p] != 0);
	check_conf_file(k);
	check_owner(k, "store_dir", "user_stored");
	check_owner(k, "queue_dir", "user_queue");
	check_owner(k, "ledger_dir", "user_ledger");
	check_owner(k, "sign_dir", "user_sign");
	check_anchors(k);
	check_disk(k, "store_dir");
	check_disk(k, "queue_dir");
	check_disk(k, "ledger_dir");
	check_queue(k);
	check_backup(k);
	check_checkpoints(k);
	check_officers(k);
	check_clock(k);
}
