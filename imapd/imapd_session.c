/* imapd_session.c: main of the imapd-session role: serves IMAP clients on the sockets that congvu-imapd bound. No files, no LDAP, no database:
 * mail through stored and ingest, logins through lookup. Event-driven, many clients a process. */
#include "config.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "imapd/session.h"
#include "lib/charset.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "lib/tls.h"

#define LOGIN_SECONDS 60
#define AUTH_DELAY_MS 1000
#define STOP_MS 2000 /* for the BYE to leave */
#define STATS_MS 1000
#define LEAVE_STEP_MS 100

static struct imapd imapd;
static struct listener *plain, *tls;

static void
accept_plain(void *arg, int fd)
{
	(void)arg;
	client_new(&imapd, plain, fd, false);
}

static void
accept_tls(void *arg, int fd)
{
	(void)arg;
	client_new(&imapd, tls, fd, true);
}

static void
on_stop_late(void *arg)
{
	loop_stop(arg);
}

static void
close_listeners(struct imapd *d)
{
	listener_free(plain);
	listener_free(tls);
	for (struct client *c = d->clients; c != NULL; c = c->next)
		c->listener = NULL;
	plain = tls = NULL;
}

static void
on_signal(void *arg, int signo)
{
	struct imapd *d = arg;
	(void)signo;
	close_listeners(d);
	loop_timer_set(loop_timer_new(d->loop, on_stop_late, d->loop), STOP_MS);
	imapd_stop(d);
}

/* Replaced after a reload: the clients that are here are served on, within bounds, and told BYE then. */
static void
on_leaving(void *arg)
{
	static struct loop_timer *again;
	static uint64_t waited;
	struct imapd *d = arg;
	if (d->n_clients == 0) {
		loop_stop(d->loop);
		return;
	}
	if (waited >= (uint64_t)conf_int(role_conf(), "reload_grace_s") * 1000) {
		on_signal(d, SIGTERM);
		return;
	}
	waited += LEAVE_STEP_MS;
	if (again == NULL)
		again = loop_timer_new(d->loop, on_leaving, d);
	loop_timer_set(again, LEAVE_STEP_MS);
}

static void
on_hup(void *arg, int signo)
{
	static bool leaving;
	(void)signo;
	if (leaving)
		return;
	leaving = true;
	close_listeners(arg);
	on_leaving(arg);
}

/* What `congvu status` shows; the slots are named in lib/role_stats.c. */
static void
on_stats(void *arg)
{
	static struct loop_timer *again;
	struct imapd *d = arg;
	role_stat_set(0, d->n_clients);
	role_stat_set(1, d->n_logins);
	role_stat_set(2, d->n_commands);
	if (again == NULL)
		again = loop_timer_new(d->loop, on_stats, d);
	loop_timer_set(again, STATS_MS);
}

static const char **
read_mechs(const struct conf *conf)
{
	size_t n = conf_list_len(conf, "sasl_mechs");
	const char **mechs = xcalloc(n + 1, sizeof(*mechs));
	for (size_t i = 0; i < n; i++)
		mechs[i] = conf_list_item(conf, "sasl_mechs", i);
	return mechs;
}

/* The parent opened the files; a role started by hand opens them itself. */
static char *
secret_path(const struct conf *conf, const char *option)
{
	char text[64];
	int fd = role_fd(option);
	if (fd < 0)
		return conf_path(conf, option);
	snprintf(text, sizeof(text), "/proc/self/fd/%d", fd);
	return xstrdup(text);
}

static struct tls_ctx *
read_tls(const struct conf *conf)
{
	struct tls_ctx *ctx = NULL;
	const char *why = NULL;
	char *cert = secret_path(conf, "tls_cert_file");
	char *key = secret_path(conf, "tls_key_file");
	char *ca = secret_path(conf, "tls_client_ca_file");
	imapd.asks_cert = strcmp(conf_str(conf, "tls_client_certs"), "off") != 0;
	if (imapd.asks_cert && tls_server_new(cert, key, ca, &ctx, &why) != 0) {
		log_msg(LOG_LVL_ERROR, "client_certs", "%s (%s): nobody signs in by certificate",
		    why, conf_str(conf, "tls_client_ca_file"));
		if (role_replaces())
			exit(EX_CONFIG); /* the one that works stays */
		imapd.asks_cert = false;
	}
	if (ctx == NULL && tls_server_new(cert, key, NULL, &ctx, &why) != 0) {
		if (!role_replaces())
			fatal("TLS: %s (%s)", why, cert);
		log_msg(LOG_LVL_ERROR, "tls", "%s (%s)", why, cert);
		exit(EX_CONFIG);
	}
	free(cert);
	free(key);
	free(ca);
	return ctx;
}

int
main(int argc, char **argv)
{
	role_init(argc, argv, "imapd-session");
	const struct conf *conf = role_conf();
	unsigned max = (unsigned)conf_int(conf, "imapd_max_clients");
	imapd.loop = loop_new();
	imapd.hostname = conf_str(conf, "hostname");
	imapd.other_prefix = conf_str(conf, "other_users_prefix");
	imapd.mechs = read_mechs(conf);
	imapd.message_max = (uint64_t)conf_int(conf, "message_size_max");
	imapd.idle_s = (uint64_t)conf_int(conf, "imap_timeout_s");
	imapd.keepalive_s = (uint64_t)conf_int(conf, "imap_idle_keepalive_s");
	imapd.search_documents = conf_bool(conf, "search_attachment_text");
	imapd.capability_mask = conf_str(conf, "imap_capability_mask");
	imapd.login_s = LOGIN_SECONDS;
	imapd.auth_delay_ms = AUTH_DELAY_MS;
	imapd.tls = read_tls(conf);
	loop_signal(imapd.loop, SIGTERM, on_signal, &imapd);
	loop_signal(imapd.loop, SIGHUP, on_hup, &imapd);
	charset_preload(); /* SEARCH decodes what mail declares; converters are files */
	role_enter();
	/* The working folder is the run folder now: sockets are named from there. */
	imapd.store = store_client_new(imapd.loop, "store.imapd.sock");
	imapd.ingest = ingest_client_new(imapd.loop, "ingest.imapd.sock");
	imapd.lookup = lookup_client_new(imapd.loop, "lookup.imapd.sock", IPC_IMAPD);
	if (role_fd("listen.imap") >= 0)
		plain = listener_new(imapd.loop, role_fd("listen.imap"), max, accept_plain, NULL);
	if (role_fd("listen.imaps") >= 0)
		tls = listener_new(imapd.loop, role_fd("listen.imaps"), max, accept_tls, NULL);
	on_stats(&imapd);
	return loop_run(imapd.loop) == 0 ? 0 : 70;
}
