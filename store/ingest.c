/* ingest.c: main of the ingest role: LMTP in, APPEND from imapd, imports from congvu, MIME parsing; bodies and rows go to stored. Runs as
 * congvu-ingest, several at a time, expendable: what was not answered is sent again.
 *
 * It reads hostile bytes, so it holds next to nothing: no files, no database, no directory; of stored it may ask
 * to deliver, and reads nothing back but the one body at a time that a rebuild hands it (ingest_rebuild.c). */
#include "config.h"

#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "lib/charset.h"
#include "lib/date.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/role.h"
#include "store/ingest.h"

/* RETRY_MS: within the time that smtpd-session waits (lmtp_timeout_ms). */
enum { LMTP_TIMEOUT_MS = 300000, RETRY_MS = 8000, STATS_MS = 2000 };

static struct loop_timer *stats_timer;

enum { PEERS_MAX = 20 };
static uid_t lmtp_peers[PEERS_MAX];
static size_t n_lmtp_peers;

static void
add_peer(const char *user)
{
	uid_t uid;
	gid_t gid;

	if (n_lmtp_peers == PEERS_MAX)
		log_msg(LOG_LVL_ERROR, "lmtp_users", "too many: %s is left out", user);
	else if (proc_user(user, &uid, &gid) == 0)
		lmtp_peers[n_lmtp_peers++] = uid;
	else
		log_msg(LOG_LVL_WARN, "lmtp_users", "there is no user %s", user);
}

/* Who may deliver on lmtp.sock. Call before the privileges go. */
static void
know_peers(const struct conf *conf)
{
	if (getuid() != 0) {
		lmtp_peers[n_lmtp_peers++] = getuid(); /* all roles are this user */
	} else {
		add_peer(conf_str(conf, "user_smtpd"));
		add_peer(conf_str(conf, "user_relay"));
	}
	for (size_t i = 0; i < conf_list_len(conf, "lmtp_users"); i++)
		add_peer(conf_list_item(conf, "lmtp_users", i));
}

/* What `congvu status` shows: see lib/role_stats.c. */
static void
on_stats(void *arg)
{
	const struct ingest *in = (const struct ingest *)arg;

	role_stat_set(0, in->n_clients);
	role_stat_set(1, in->n_delivered + in->n_appended);
	role_stat_set(2, in->n_failed);
	loop_timer_set(stats_timer, STATS_MS);
}

int
main(int argc, char **argv)
{
	const struct conf *conf;
	struct ingest in = {.timeout_ms = LMTP_TIMEOUT_MS, .retry_ms = RETRY_MS};
	unsigned max_clients;
	int64_t imapd_uid;
	int fd;

	role_init(argc, argv, "ingest");
	conf = role_conf();
	in.loop = loop_new();
	in.hostname = conf_str(conf, "hostname");
	in.size_max = (uint64_t)conf_int(conf, "message_size_max");
	in.texts = conf_int(conf, "store_texters") > 0;
	in.rcpt_max = (size_t)conf_int(conf, "recipients_max");
	max_clients = (unsigned)conf_int(conf, "ingest_max_clients");
	imapd_uid = role_uid_of("user_imapd");
	know_peers(conf);
	/* What libc reads from files must be read before the sandbox. */
	charset_preload();
	(void)date_local_zone((int64_t)time(NULL));
	role_enter();
	in.rcpts = rcpt_cache_new();
	in.lookup = lookup_client_new(in.loop, "lookup.ingest.sock", IPC_INGEST);
	in.store = deliver_client_new(in.loop, "store.ingest.sock");
	(void)rebuild_worker_new(&in, "store.ingest.sock");
	if (in.texts)
		(void)text_worker_new(&in, "store.ingest.sock", "text.ingest.sock");
	if (in.texts && conf_bool(conf, "search_attachment_text"))
		(void)text_old_worker_new(&in, "store.ingest.sock");
	fd = role_fd("lmtp");
	if (fd >= 0)
		lmtp_server_new(&in, fd, max_clients, lmtp_peers, n_lmtp_peers);
	fd = role_fd("listen.lmtp");
	if (fd >= 0)
		lmtp_server_new(&in, fd, max_clients, NULL, SIZE_MAX);
	fd = role_fd("ingest.imapd");
	if (fd >= 0)
		append_server_new(&in, fd, IPC_IMAPD, imapd_uid);
	fd = role_fd("ingest.admin");
	if (fd >= 0)
		append_server_new(&in, fd, IPC_ADMIN, -1);
	stats_timer = loop_timer_new(in.loop, on_stats, &in);
	on_stats(&in);
	if (loop_run(in.loop) != 0)
		fatal("the event loop failed");
	return 0;
}
