/* relay.c: the relay role: its start, and what it takes from the queue. relay_work.c has what becomes of a message, relay_dest.c where it goes. It keeps nothing
 * itself: the queue has a message until its relay has told it what became of each recipient. RFC 2033, RFC 5321 4.5.4. */
#include "config.h"

#include "smtpd/relay_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "milter/ledger_client.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ENTRY_ARENA = 64 << 20, SECRET_MAX = 4096 };

struct relay relay;
static struct {
	bool asking; /* a NEXT is under way */
	bool again;  /* woken meanwhile */
} self;

/* ---- the queue ---- */

static void
on_next(void *arg, int err, const struct queue_entry *e)
{
	struct arena *a = arg;
	bool again = self.again && err == ERR_NOTFOUND;

	self.asking = self.again = false;
	if (err != 0 || relay_work_readopt(e))
		arena_free(a);
	else
		relay_work_begin(a, e);
	if (err == 0 || again)
		relay_ask();
}

void
relay_ask(void)
{
	struct arena *a;

	if (self.asking || relay_work_count() >= relay_dest_messages_most()) {
		self.again = true;
		return;
	}
	a = arena_new(ENTRY_ARENA);
	self.asking = a != NULL && queue_next(relay.queue, a, on_next, a) != NULL;
	if (!self.asking)
		arena_free(a);
}

static void
on_wake(void *arg)
{
	(void)arg;
	relay_ask();
}

/* ---- start ---- */

/* "user:password", without the line end an editor leaves. */
static void
read_secret(void)
{
	int fd = role_fd("smarthost_auth_file");
	unsigned char bytes[SECRET_MAX];
	ssize_t n = fd < 0 ? 0 : pread(fd, bytes, sizeof(bytes), 0);

	buf_init(&relay.user, SECRET_MAX);
	buf_init(&relay.password, SECRET_MAX);
	while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
		n--;
	struct slice s = slice_of(bytes, n > 0 ? (size_t)n : 0);
	ptrdiff_t colon = slice_index(s, ':');
	if (fd >= 0 && colon <= 0)
		fatal("smarthost_auth_file: no user:password there");
	if (colon > 0) {
		buf_append_slice(&relay.user, slice_sub(s, 0, (size_t)colon));
		buf_append_slice(&relay.password, slice_from(s, (size_t)colon + 1));
	}
	explicit_bzero(bytes, sizeof(bytes));
}

static void
open_tls(const struct conf *conf)
{
	char *ca = conf_path(conf, "relay_tls_ca_file");
	const char *why = "";

	/* opportunistic: an unverified TLS is better than none, and none better than no mail */
	if (tls_client_new(NULL, &relay.tls_any, &why) != 0)
		log_msg(LOG_LVL_WARN, "tls", "%s", why);
	if (tls_client_new(ca, &relay.tls_verify, &why) != 0)
		log_msg(LOG_LVL_WARN, "tls",
		    "relay_tls_ca_file: %s: no certificate can be verified", why);
	free(ca);
}

static unsigned
ms(const struct conf *conf, const char *option)
{
	return (unsigned)conf_int(conf, option) * 1000;
}

static void
read_conf(const struct conf *conf)
{
	const char *why = "", *what = "";

	relay.hostname = conf_str(conf, "hostname");
	relay.concurrency = (unsigned)conf_int(conf, "relay_concurrency");
	relay.connections = (unsigned)conf_int(conf, "relay_connections");
	relay.port = (unsigned)conf_int(conf, "relay_port");
	relay.backoff_ms = ms(conf, "relay_backoff_s");
	relay.idle_ms = ms(conf, "relay_idle_s");
	relay.dns_ms = (unsigned)conf_int(conf, "dns_timeout_ms") + 2000;
	relay.local_ms = (unsigned)conf_int(conf, "lmtp_timeout_ms");
	relay.ms = (struct lmtp_timeouts){.connect = ms(conf, "relay_connect_s"),
	    .greeting = ms(conf, "relay_greeting_s"),
	    .command = ms(conf, "relay_command_s"),
	    .data = ms(conf, "relay_data_s"),
	    .body = ms(conf, "relay_body_s"),
	    .final = ms(conf, "relay_final_s")};
	for (size_t i = 0; i < conf_list_len(conf, "relay_families"); i++) {
		bool six = strcmp(conf_list_item(conf, "relay_families", i), "6") == 0;
		relay.has_family[six] = true;
		relay.six_first |= six && i == 0;
	}
	if (relay_route_parse(conf_str(conf, "lmtp_route"), RELAY_LMTP, &relay.local) != 0 ||
	    relay.local.way != RELAY_LMTP)
		fatal("lmtp_route: neither unix:PATH nor inet:IP:PORT");
	if (relay_routes_new(conf, &relay.routes, &why, &what) != 0)
		fatal("%s: %s", why, what);
}

int
main(int argc, char **argv)
{
	role_init(argc, argv, "relay");
	const struct conf *conf = role_conf();
	relay.loop = loop_new();
	read_conf(conf);
	read_secret();
	open_tls(conf);
	relay_self_init(conf);
	relay_dest_init(conf);
	relay.queue = queue_client_new(relay.loop, "queue.relay.sock", IPC_RELAY, on_wake, NULL);
	relay.ledger =
	    ipc_client_new(relay.loop, "ledger.relay.sock", &ledger_proto, IPC_RELAY, NULL, NULL);
	relay.lookup = lookup_client_new(relay.loop, "lookup.relay.sock", IPC_RELAY);
	role_enter();
	relay_ask();
	return loop_run(relay.loop) == 0 ? 0 : 70;
}
