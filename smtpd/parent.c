/* smtpd/parent.c: congvu-smtpd: the sockets and roles of the SMTP server. The whole process graph is on this screen;
 * lib/parent.c does the work. Runs as root, maybe; reads no byte from any peer. */
#include "lib/parent.h"

#define N(a) (sizeof(a) / sizeof((a)[0]))

static const struct parent_socket sockets[] = {
    /* role_fd, option of a TCP port, or UNIX socket below run_dir and the one user who may connect */
    {"listen.mx", "listen_mx", NULL, NULL},
    {"listen.submission", "listen_submission", NULL, NULL},
    {"listen.submissions", "listen_submissions", NULL, NULL},
    {"lookup.smtpd", NULL, "lookup.smtpd.sock", "user_smtpd"},
    {"lookup.relay", NULL, "lookup.relay.sock", "user_relay"},
    {"queue.smtpd", NULL, "queue.smtpd.sock", "user_smtpd"},
    {"queue.relay", NULL, "queue.relay.sock", "user_relay"},
    {"judge", NULL, "judge.sock", "user_relay"},
    {"queue.admin", NULL, "queue.admin.sock", ""},
};

static const struct parent_role roles[] = {
    {.name = "smtpd-queue",
	.binary = "congvu-smtpd-queue",
	.user_option = "user_queue",
	.dir_option = "queue_dir",
	.sockets = (const char *const[]){"queue.smtpd", "queue.relay", "queue.admin", NULL},
	.options = (const char *const[]){"hostname", "queue_lifetime_s", "queue_warn_s",
	    "queue_retry_s", "disk_reserve_mb", "security_officers", "urgent_unread_s",
	    "urgent_alert_mail", "urgent_per_hour", "alert_mail", "alert_gap_s", NULL},
	.expendable = false},
    {.name = "lookup",
	.binary = "congvu-lookup",
	.user_option = "user_lookup",
	.count_option = "lookup_processes",
	.sockets = (const char *const[]){"lookup.smtpd", "lookup.relay", NULL},
	.secrets = (const char *const[]){"token_key_file", "ldap_password_file",
	    "tls_client_ca_file", "gssapi_keytab", NULL},
	.expendable = true,
	.replaceable = true},
    {.name = "relay",
	.binary = "congvu-relay",
	.user_option = "user_relay",
	.secrets = (const char *const[]){"smarthost_auth_file", NULL},
	.expendable = true},
    {.name = "smtpd-session",
	.binary = "congvu-smtpd-session",
	.user_option = "user_smtpd",
	.count_option = "smtpd_processes",
	.sockets = (const char *const[]){"listen.mx", "listen.submission", "listen.submissions",
	    "judge", NULL},
	.secrets =
	    (const char *const[]){"tls_cert_file", "tls_key_file", "tls_client_ca_file", NULL},
	.expendable = true,
	.replaceable = true},
};

int
main(int argc, char **argv)
{
	static const struct parent_spec spec = {.program = "congvu-smtpd",
	    .sockets = sockets,
	    .n_sockets = N(sockets),
	    .roles = roles,
	    .n_roles = N(roles)};

	return parent_main(&spec, argc, argv);
}
