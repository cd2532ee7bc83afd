/* milter/parent.c: congvu-milter: the sockets and roles of the policy filter. The whole process graph is on this
 * screen; lib/parent.c does the work. Runs as root, maybe; reads no byte from any peer. The filter's own socket is
 * opened by libmilter in milter_socket_dir: it takes no inherited one. */
#include "lib/parent.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct parent_socket sockets[] = {
    /* role_fd, option of a TCP port, or UNIX socket below run_dir and the one user who may connect */
    {"lookup.milter", NULL, "lookup.milter.sock", "user_milter"},
    {"scan.milter", NULL, "scan.milter.sock", "user_milter"},
    {"ledger.milter", NULL, "ledger.milter.sock", "user_milter"},
    {"ledger.smtpd", NULL, "ledger.smtpd.sock", "user_smtpd"},
    {"ledger.relay", NULL, "ledger.relay.sock", "user_relay"},
    {"ledger.admin", NULL, "ledger.admin.sock", ""},
    {"sign.milter", NULL, "sign.milter.sock", "user_milter"},
    {"sign.ledger", NULL, "sign.ledger.sock", "user_ledger"},
    {"fetch.milter", NULL, "fetch.milter.sock", "user_milter"},
    {"fetch.admin", NULL, "fetch.admin.sock", ""},
};

static const struct parent_role roles[] = {
    {.name = "milter-sign",
	.binary = "congvu-milter-sign",
	.user_option = "user_sign",
	.dir_option = "sign_dir",
	.sockets = (const char *const[]){"sign.ledger", "sign.milter", NULL},
	.expendable = true},
    {.name = "milter-ledger",
	.binary = "congvu-milter-ledger",
	.user_option = "user_ledger",
	.dir_option = "ledger_dir",
	.sockets = (const char *const[]){"ledger.milter", "ledger.smtpd", "ledger.relay",
	    "ledger.admin", NULL},
	.expendable = true},
    {.name = "milter-scan",
	.binary = "congvu-milter-scan",
	.user_option = "user_scan",
	.count_option = "milter_scanners",
	.sockets = (const char *const[]){"scan.milter", NULL},
	.expendable = true},
    {.name = "lookup",
	.binary = "congvu-lookup",
	.user_option = "user_lookup",
	.count_option = "lookup_processes",
	.sockets = (const char *const[]){"lookup.milter", NULL},
	.secrets = (const char *const[]){"token_key_file", "ldap_password_file", NULL},
	.expendable = true,
	.replaceable = true},
    {.name = "fetch",
	.binary = "congvu-fetch",
	.user_option = "user_fetch",
	.sockets = (const char *const[]){"fetch.milter", "fetch.admin", NULL},
	.secrets = (const char *const[]){"fetch_ca_file", NULL},
	.expendable = true},
    {.name = "milter",
	.binary = "congvu-milter-filter",
	.user_option = "user_milter",
	.expendable = true},
};

static const struct parent_dir dirs[] = {
    {"milter_socket_dir", "user_milter"},
    {"milter_spool_dir", "user_milter"},
};

int
main(int argc, char **argv)
{
	static const struct parent_spec spec = {.program = "congvu-milter",
	    .sockets = sockets,
	    .n_sockets = N(sockets),
	    .roles = roles,
	    .n_roles = N(roles),
	    .dirs = dirs,
	    .n_dirs = N(dirs)};

	return parent_main(&spec, argc, argv);
}
