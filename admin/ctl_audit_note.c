/* ctl_audit_note.c: who it is that runs congvu, and the line in the audit log about what he does. Runs in congvu. */
#include "config.h"

#include <errno.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_mailbox.h"
#include "lib/err.h"
#include "lib/log.h"
#include "milter/ledger_client.h"

enum { ASK_MS = 10000 };

/* The uid that this login began with, which only a new login changes; -1 where the kernel does not keep it. */
static long long
login_uid(void)
{
	FILE *f = fopen("/proc/self/loginuid", "re");
	unsigned long long uid = 4294967295u;

	if (f != NULL) {
		if (fscanf(f, "%10llu", &uid) != 1)
			uid = 4294967295u;
		fclose(f);
	}
	return uid == 4294967295u ? -1 : (long long)uid;
}

/* Who it is, and by whose word: "login" the kernel's, "sudo" sudo's, which root can choose, "uid" that of a process without either. */
static long long
actor(const char **known_by)
{
	const char *sudo = getenv("SUDO_UID");
	long long uid = login_uid();
	char *end;

	*known_by = "login";
	if (uid >= 0)
		return uid;
	*known_by = "sudo";
	if (getuid() == 0 && sudo != NULL && *sudo != '\0') {
		uid = strtoll(sudo, &end, 10);
		if (*end == '\0' && uid >= 0)
			return uid;
	}
	*known_by = "uid";
	return getuid();
}

const char *
ctl_actor(void)
{
	static char name[64];
	const char *known_by;
	long long uid = actor(&known_by);
	const struct passwd *pw = getpwuid((uid_t)uid);

	if (pw != NULL)
		snprintf(name, sizeof name, "%s", pw->pw_name);
	else
		snprintf(name, sizeof name, "uid %lld", uid);
	return name;
}

const char *
ctl_actor_known_by(void)
{
	const char *known_by;

	(void)actor(&known_by);
	return known_by;
}

int
ctl_officer(struct ctl *c, const char *denied, const char *what)
{
	struct json *rec;

	if (strcmp(ctl_actor_known_by(), "sudo") != 0 || conf_bool(c->conf, "officers_by_sudo"))
		return EX_OK;
	rec = json_obj_new();
	json_set_str(rec, "refused", "no login uid");
	json_set_str(rec, "what", what);
	(void)ctl_audit_note(c, denied, rec);
	return ctl_fail(c, EX_NOPERM,
	    _("the kernel has no login uid of this session (/proc/self/loginuid), and SUDO_UID "
	      "is what root likes: nothing was done. Sign in as yourself, by ssh or at a "
	      "console; where no login has one, as in a container, officers_by_sudo in "
	      "congvu.conf lets sudo's word suffice"));
}

int
ctl_audit_note(struct ctl *c, const char *event, struct json *rec)
{
	struct ipc_sync *s;
	struct buf text, ask, reply;
	uint16_t type;
	int err;

	json_set_str(rec, "event", event);
	json_set_str(rec, "by", ctl_actor());
	json_set_str(rec, "by_known", ctl_actor_known_by());
	buf_init(&text, 32768);
	err = json_canonical(rec, &text);
	json_free(rec);
	if (access("ledger.admin.sock", F_OK) != 0 && errno == ENOENT) {
		/* a store without our milter: its own rows and log are the record */
		fprintf(stderr, "congvu %s: %s\n", c->command,
		    _("there is no audit log here (congvu-milter never ran): the record is in the "
		      "store and its log alone"));
		buf_done(&text);
		return 0;
	}
	buf_init(&ask, 65536);
	buf_init(&reply, 65536);
	ipc_put_slice(&ask, buf_slice(&text));
	s = ipc_sync_new("ledger.admin.sock", &ledger_proto, IPC_ADMIN);
	if (err == 0)
		err = ipc_sync_call(s, LEDGER_NOTE, &ask, -1, ASK_MS, &type, &reply, NULL);
	ipc_sync_free(s);
	buf_done(&text);
	buf_done(&ask);
	buf_done(&reply);
	if (err == 0)
		return 0;
	return ctl_fail(c, EX_TEMPFAIL,
	    _("the audit log cannot be written (%s), so nothing was done: is congvu-milter running "
	      "(congvu status)?"),
	    err_name(err));
}
