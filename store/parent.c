/* store/parent.c: congvu-stored: the sockets and roles of the mail store. The whole process graph is on this screen;
 * lib/parent.c does the work. Runs as root, maybe; reads no byte from any peer. */
#include "lib/parent.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct parent_socket sockets[] = {
    /* role_fd, option of a TCP port, or UNIX socket below run_dir and the one user who may connect */
    {"store.imapd", NULL, "store.imapd.sock", "user_imapd"},
    {"store.ingest", NULL, "store.ingest.sock", "user_ingest"},
    {"store.lookup", NULL, "store.lookup.sock", "user_lookup"},
    {"store.admin", NULL, "store.admin.sock", ""},
    {"lookup.ingest", NULL, "lookup.ingest.sock", "user_ingest"},
    {"text.ingest", NULL, "text.ingest.sock", "user_ingest"},
    {"ingest.imapd", NULL, "ingest.imapd.sock", "user_imapd"},
    {"ingest.admin", NULL, "ingest.admin.sock", ""},
    {"lmtp", NULL, "lmtp.sock", NULL}, /* ingest asks who it is: lmtp_users */
    {"listen.lmtp", "listen_lmtp", NULL, NULL},
};

static const struct parent_role roles[] = {
    {.name = "stored",
	.binary = "congvu-stored-db",
	.user_option = "user_stored",
	.dir_option = "store_dir",
	.sockets = (const char *const[]){"store.imapd", "store.ingest", "store.lookup",
	    "store.admin", NULL},
	.secrets = (const char *const[]){"token_key_file", "store_key_file", NULL},
	.options = (const char *const[]){"store_key_file", "quota_mb", "quota_messages",
	    "expunge_history", "delivery_memory_days", "import_memory_days", "undelete_days",
	    "undelete_mb", "security_officers", "special_folders", "store_threads",
	    "store_cache_mb", "disk_reserve_mb", NULL},
	.expendable = false},
    {.name = "lookup",
	.binary = "congvu-lookup",
	.user_option = "user_lookup",
	.count_option = "lookup_processes",
	.sockets = (const char *const[]){"lookup.ingest", NULL},
	.secrets = (const char *const[]){"token_key_file", "ldap_password_file", NULL},
	.expendable = true,
	.replaceable = true},
    {.name = "store-text",
	.binary = "congvu-store-text",
	.user_option = "user_scan",
	.count_option = "store_texters",
	.sockets = (const char *const[]){"text.ingest", NULL},
	.expendable = true},
    {.name = "ingest",
	.binary = "congvu-ingest",
	.user_option = "user_ingest",
	.count_option = "ingest_processes",
	.sockets =
	    (const char *const[]){"lmtp", "listen.lmtp", "ingest.imapd", "ingest.admin", NULL},
	.expendable = true},
};

int
main(int argc, char **argv)
{
	static const struct parent_spec spec = {.program = "congvu-stored",
	    .sockets = sockets,
	    .n_sockets = N(sockets),
	    .roles = roles,
	    .n_roles = N(roles)};

	return parent_main(&spec, argc, argv);
}
