/* imapd/parent.c: congvu-imapd: the sockets and roles of the IMAP server. The whole process graph is on this screen;
 * lib/parent.c does the work. Runs as root, maybe; reads no byte from any peer. */
#include "config.h"

#include "lib/parent.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct parent_socket sockets[] = {
    /* role_fd, option of a TCP port, or UNIX socket below run_dir and the one user who may connect */
    {"listen.imap", "listen_imap", NULL, NULL},
    {"listen.imaps", "listen_imaps", NULL, NULL},
    {"lookup.imapd", NULL, "lookup.imapd.sock", "user_imapd"},
};

static const struct parent_role roles[] = {
    {.name = "lookup",
	.binary = "congvu-lookup",
	.user_option = "user_lookup",
	.count_option = "lookup_processes",
	.sockets = (const char *const[]){"lookup.imapd", NULL},
	.secrets = (const char *const[]){"token_key_file", "ldap_password_file",
	    "tls_client_ca_file", "gssapi_keytab", NULL},
	.expendable = true,
	.replaceable = true},
    {.name = "imapd-session",
	.binary = "congvu-imapd-session",
	.user_option = "user_imapd",
	.count_option = "imapd_processes",
	.sockets = (const char *const[]){"listen.imap", "listen.imaps", NULL},
	.secrets =
	    (const char *const[]){"tls_cert_file", "tls_key_file", "tls_client_ca_file", NULL},
	.expendable = true,
	.replaceable = true},
};

int
main(int argc, char **argv)
{
	static const struct parent_spec spec = {.program = "congvu-imapd",
	    .sockets = sockets,
	    .n_sockets = N(sockets),
	    .roles = roles,
	    .n_roles = N(roles)};

	return parent_main(&spec, argc, argv);
}
