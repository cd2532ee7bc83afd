/* session_main.c: the start and the end of the smtpd-session role: configuration, listening sockets, SIGTERM. Invariant: no file is opened
 * after role_enter. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

enum {
	END_MS = 400, /* less than the parent waits when all roles restart */
	END_STEP_MS = 10,
	MILTER_CONNECT_MS = 10000,
	MILTER_COMMAND_MS = 10000,
	LEAVE_STEP_MS = 100,
};

struct smtpd smtpd;

static void
accept_mx(void *arg, int fd)
{
	(void)arg;
	client_new(fd, PORT_MX);
}

static void
accept_submission(void *arg, int fd)
{
	(void)arg;
	client_new(fd, PORT_SUBMISSION);
}

static void
accept_submissions(void *arg, int fd)
{
	(void)arg;
	client_new(fd, PORT_SUBMISSIONS);
}

static void
accept_judge(void *arg, int fd)
{
	(void)arg;
	client_new(fd, PORT_JUDGE);
}

/* ---- start ---- */

static void
load_tls(const struct conf *conf)
{
	char *cert = conf_path(conf, "tls_cert_file");
	char *key = conf_path(conf, "tls_key_file");
	char *ca = conf_path(conf, "tls_client_ca_file");
	char by_fd[3][40];
	const char *why = "", *cert_now, *key_now;
	int cert_fd = role_fd("tls_cert_file"), key_fd = role_fd("tls_key_file");
	int ca_fd = role_fd("tls_client_ca_file");

	/* the parent opened them, for a role that starts without the right to */
	snprintf(by_fd[0], sizeof(by_fd[0]), "/proc/self/fd/%d", cert_fd);
	snprintf(by_fd[1], sizeof(by_fd[1]), "/proc/self/fd/%d", key_fd);
	snprintf(by_fd[2], sizeof(by_fd[2]), "/proc/self/fd/%d", ca_fd);
	cert_now = cert_fd >= 0 ? by_fd[0] : cert;
	key_now = key_fd >= 0 ? by_fd[1] : key;
	if (tls_server_new(cert_now, key_now, NULL, &smtpd.tls, &why) != 0) {
		log_msg(LOG_LVL_ERROR, "tls", "%s (%s, %s)", why, cert, key);
		smtpd.tls = NULL;
		if (role_replaces())
			exit(EX_CONFIG); /* the one that works stays */
	}
	/* a server that sends mail has no business with certificates of people: MX never asks */
	smtpd.tls_submission = smtpd.tls;
	if (smtpd.tls != NULL && strcmp(conf_str(conf, "tls_client_certs"), "off") != 0 &&
	    tls_server_new(
		cert_now, key_now, ca_fd >= 0 ? by_fd[2] : ca, &smtpd.tls_submission, &why) != 0) {
		log_msg(LOG_LVL_ERROR, "client_certs", "%s (%s): nobody signs in by certificate",
		    why, ca);
		if (role_replaces())
			exit(EX_CONFIG);
	}
	free(cert);
	free(key);
	free(ca);
}

static void
load_milters(const struct conf *conf)
{
	size_t n = conf_list_len(conf, "milters");
	bool accept = strcmp(conf_str(conf, "milter_default_action"), "accept") == 0;

	if (n > MILTER_CONFS_MAX)
		fatal("milters: more than %d", MILTER_CONFS_MAX);
	for (size_t i = 0; i < n; i++) {
		struct milter_options o = {.connect_ms = MILTER_CONNECT_MS,
		    .command_ms = MILTER_COMMAND_MS,
		    .message_ms = (unsigned)conf_int(conf, "milter_timeout_ms"),
		    .failure = accept ? MILTER_ON_FAILURE_ACCEPT : MILTER_ON_FAILURE_TEMPFAIL,
		    .ports = MILTER_PORT_MX | MILTER_PORT_SUBMISSION};
		const char *row = conf_list_item(conf, "milters", i), *why = "";

		if (milter_options_parse(row, &o, &why) != 0)
			fatal("milters: %s: %s", row, why);
		smtpd.milters[smtpd.n_milters++] = milter_conf_new(smtpd.loop, &o);
	}
}

static void
load_conf(const struct conf *conf)
{
	const char *why = "", *what = "";
	struct buf mechs;

	smtpd.hostname = conf_str(conf, "hostname");
	smtpd.authserv_id = conf_str(conf, "authserv_id");
	if (smtpd.authserv_id[0] == '\0')
		smtpd.authserv_id = smtpd.hostname;
	smtpd.first_domain = conf_list_len(conf, "domains") > 0 ? conf_list_item(conf, "domains", 0)
								: smtpd.hostname;
	smtpd.size_max = (uint64_t)conf_int(conf, "message_size_max");
	smtpd.timeout_ms = (uint64_t)conf_int(conf, "smtp_timeout_s") * 1000;
	smtpd.pace_octets = (uint64_t)conf_int(conf, "smtp_min_rate") * smtpd.timeout_ms / 1000;
	smtpd.errors_max = (unsigned)conf_int(conf, "smtp_errors_max");
	smtpd.limits = limits_new((unsigned)conf_int(conf, "smtpd_clients_per_address"),
	    (unsigned)conf_int(conf, "smtpd_clients_per_network"));
	smtpd.rcpts_max = (size_t)conf_int(conf, "recipients_max");
	if (smtpd.rcpts_max > RCPTS_MAX)
		smtpd.rcpts_max = RCPTS_MAX; /* an envelope travels in one frame */
	if (relay_routes_new(conf, &smtpd.routes, &why, &what) != 0)
		fatal("%s: %s", why, what);
	buf_init(&mechs, 1000);
	for (size_t i = 0; i < conf_list_len(conf, "sasl_mechs"); i++)
		buf_appendf(
		    &mechs, "%s%s", i > 0 ? " " : "", conf_list_item(conf, "sasl_mechs", i));
	smtpd.mechs = xstrdup(buf_cstr(&mechs));
	buf_done(&mechs);
	load_milters(conf);
	smtpd.lmtp = lmtp_pool_new(smtpd.loop, conf_str(conf, "lmtp_route"), smtpd.hostname,
	    (unsigned)conf_int(conf, "lmtp_timeout_ms"));
	if (smtpd.lmtp == NULL)
		fatal("lmtp_route: neither unix:PATH nor inet:IP:PORT");
}

static void
listen_on(enum port port, const char *name, void (*accept_cb)(void *arg, int fd))
{
	int fd = role_fd(name);
	unsigned max = (unsigned)conf_int(role_conf(), "smtpd_max_clients");

	if (fd < 0)
		return;
	if (port != PORT_MX && port != PORT_JUDGE && smtpd.tls == NULL) {
		log_msg(LOG_LVL_ERROR, "listen", "%s: not served without TLS", name);
		return;
	}
	smtpd.listeners[port] = listener_new(smtpd.loop, fd, max, accept_cb, NULL);
}

/* ---- the end ---- */

/* Who is being delivered to the store gets an answer first: a client without one sends the message again. */
static void
on_ending(void *arg)
{
	static unsigned waited;
	struct loop_timer **again = arg;

	if (smtpd.delivering == 0 &&
	    waited > 0) { /* the answers went out in a round of their own */
		loop_stop(smtpd.loop);
		return;
	}
	if (waited >= END_MS) {
		log_msg(LOG_LVL_WARN, "stop", "%u deliveries under way", smtpd.delivering);
		loop_stop(smtpd.loop);
		return;
	}
	waited += END_STEP_MS;
	loop_timer_set(*again, END_STEP_MS);
}

static void
close_listeners(void)
{
	smtpd.leaving = true;
	for (size_t i = 0; i < sizeof(smtpd.listeners) / sizeof(smtpd.listeners[0]); i++) {
		listener_free(smtpd.listeners[i]);
		smtpd.listeners[i] = NULL;
	}
}

static void
on_term(void *arg, int signo)
{
	static struct loop_timer *timer;

	(void)arg;
	(void)signo;
	if (smtpd.ending)
		return;
	smtpd.ending = true;
	close_listeners();
	clients_bye();
	timer = loop_timer_new(smtpd.loop, on_ending, &timer);
	on_ending(&timer);
}

/* Replaced after a reload: the clients that are here are served to their end, within bounds. */
static void
on_leaving(void *arg)
{
	static uint64_t waited;
	struct loop_timer **again = arg;

	if (smtpd.clients == 0 ||
	    waited >= (uint64_t)conf_int(role_conf(), "reload_grace_s") * 1000) {
		on_term(NULL, 0);
		return;
	}
	waited += LEAVE_STEP_MS;
	loop_timer_set(*again, LEAVE_STEP_MS);
}

static void
on_hup(void *arg, int signo)
{
	static struct loop_timer *timer;

	(void)arg;
	(void)signo;
	if (smtpd.leaving)
		return;
	close_listeners();
	timer = loop_timer_new(smtpd.loop, on_leaving, &timer);
	on_leaving(&timer);
}

int
main(int argc, char **argv)
{
	role_init(argc, argv, "smtpd-session");
	smtpd.loop = loop_new();
	loop_signal(smtpd.loop, SIGTERM, on_term, NULL);
	loop_signal(smtpd.loop, SIGHUP, on_hup, NULL);
	load_tls(role_conf());
	load_conf(role_conf());
	smtpd.lookup = lookup_client_new(smtpd.loop, "lookup.smtpd.sock", IPC_SMTPD);
	smtpd.routes_seen = route_memory_new();
	smtpd.queue = queue_client_new(smtpd.loop, "queue.smtpd.sock", IPC_SMTPD, NULL, NULL);
	queue_client_set_wait(smtpd.queue, (unsigned)conf_int(role_conf(), "queue_wait_s"));
	smtpd.ledger =
	    ipc_client_new(smtpd.loop, "ledger.smtpd.sock", &ledger_proto, IPC_SMTPD, NULL, NULL);
	listen_on(PORT_MX, "listen.mx", accept_mx);
	listen_on(PORT_SUBMISSION, "listen.submission", accept_submission);
	listen_on(PORT_SUBMISSIONS, "listen.submissions", accept_submissions);
	listen_on(PORT_JUDGE, "judge", accept_judge);
	role_enter();
	return loop_run(smtpd.loop) == 0 ? 0 : 70;
}
