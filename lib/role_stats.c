/* role_stats.c: the names of the numbers that roles show through role_stat_set: role, then slot 0, 1, ... Read by
 * the parents for run/<program>.status. Adding a number is adding its name here. */
#include "config.h"

#include <string.h>

#include "lib/proc.h"
#include "lib/role.h"

static const struct {
	const char *role;
	const char *names[PROC_STATS];
} table[] = {
    {"smtpd-session", {"clients", "accepted", "refused"}},
    {"imapd-session", {"clients", "logins", "commands"}},
    {"lookup", {"requests", "ldap_up", "ldap_failures", "wrong_logins", "throttled_logins"}},
    {"smtpd-queue", {"messages", "recipients", "oldest_s"}},
    {"relay", {"deliveries", "failures", "active"}},
    {"stored", {"requests", "appends", "syncs", "backup_at", "texts_waiting", "texts_oldest_s",
		   "texts_read", "texts_failed", "texts_old_left"}},
    {"store-text", {"texts", "failures"}},
    {"ingest", {"clients", "deliveries", "failures"}},
    {"milter", {"messages", "rejected", "tempfailed", "held", "policy_version", "policy_refused"}},
    {"milter-scan", {"scans", "failures"}},
    {"milter-ledger", {"records", "syncs", "checkpoint_seq", "checkpoint_at", "unsigned_since",
			  "checkpoints_refused", "syslog_lost"}},
    {"milter-sign", {"checkpoints", "refused", "has_key", "mails", "mailboxes"}},
    {"fetch", {"requests", "transfers", "failures", "remembered_bytes"}},
    {"test-role", {"starts"}},
};

const char *
role_stat_name(const char *role, unsigned slot)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
		if (strcmp(table[i].role, role) == 0)
			return slot < PROC_STATS ? table[i].names[slot] : NULL;
	return NULL;
}
