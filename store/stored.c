/* stored.c: the stored role, congvu-stored-db: the one owner of the mail store. It serves four sockets, each one a role:
 * store.imapd (sessions by ticket), store.ingest (deliveries, APPEND), store.lookup (raised epochs), store.admin (numbers, tasks). It has no network and no LDAP; its
 * working folder is the store. Killed at any point it comes back with every acknowledged message (backend_kv.c). */
#include "store/stored_space.h"
#include "store/stored_text.h"
#include "store/stored_task.h"

#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "directory/token.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "store/seg_head.h"

enum { MAX_CONNS = 256, STAT_EVERY_MS = 1000, SWEEP_EVERY_MS = 600000 };

struct server {
	struct ipc_server *s;
	const char *name;
	uint32_t role;
	int64_t uid;
};
static struct server servers[] = {
    {NULL, "store.imapd", IPC_IMAPD, -1},
    {NULL, "store.ingest", IPC_INGEST, -1},
    {NULL, "store.admin", IPC_ADMIN, -1},
    {NULL, "store.lookup", IPC_LOOKUP, -1},
};

/* The table of ipc has seen to it that the sender may send this. */
static const struct handler {
	uint16_t type;
	int (*fn)(struct conn *c, uint32_t id, struct ipc_reader *r);
} handlers[] = {
    {STORE_SESSION_OPEN, on_session_open},
    {STORE_SESSION_CLOSE, on_session_close},
    {STORE_SESSION_RENEW, on_session_renew},
    {STORE_EPOCH, on_epoch},
    {STORE_LIST, on_list},
    {STORE_CREATE, on_create},
    {STORE_DELETE, on_delete},
    {STORE_RENAME, on_rename},
    {STORE_SUBSCRIBE, on_subscribe},
    {STORE_SUBS, on_subs},
    {STORE_OPEN, on_open},
    {STORE_UNWATCH, on_unwatch},
    {STORE_UIDS, on_uids},
    {STORE_ROWS, on_rows},
    {STORE_CHANGES, on_changes},
    {STORE_FLAGS, on_flags},
    {STORE_EXPUNGE, on_expunge},
    {STORE_COPY, on_copy},
    {STORE_MOVE, on_move},
    {STORE_QUOTA, on_quota},
    {STORE_BODY, on_body},
    {STORE_SUMMARY, on_summary},
    {STORE_CONTENTS, on_contents},
    {STORE_CANDIDATES, on_candidates},
    {STORE_ROWS_OF, on_rows_of},
    {STORE_CHECK, on_check},
    {STORE_READ_STATE, on_read_state},
    {STORE_NAMES_WATCH, on_names_watch},
    {STORE_REBUILD_WAIT, on_rebuild_wait},
    {STORE_REBUILD_PIECE, on_rebuild_piece},
    {STORE_REBUILD_DONE, on_rebuild_done},
    {STORE_TEXT_WAIT, on_text_wait},
    {STORE_TEXT_PIECE, on_text_piece},
    {STORE_TEXT_DONE, on_text_done},
    {STORE_TEXT_OLD_WAIT, on_text_old_wait},
    {STORE_TEXT_OLD_DONE, on_text_old_done},
    {STORE_TEXTS_MAYBE, on_texts_maybe},
    {STORE_TEXT, on_text},
    {STORE_TASK_START, on_task_start},
    {STORE_TASK_STATUS, on_task_status},
    {STORE_TASK_STOP, on_task_stop},
    {STORE_KEPT_BOXES, on_kept_boxes},
    {STORE_KEPT_ROWS, on_kept_rows},
    {STORE_KEPT_RESTORE, on_kept_restore},
    {STORE_BACKUP_BEGIN, on_backup_begin},
    {STORE_BACKUP_ROWS, on_backup_rows},
    {STORE_BACKUP_JOURNAL, on_backup_journal},
    {STORE_BACKUP_CUT, on_backup_cut},
    {STORE_BACKUP_SEGMENT, on_backup_segment},
    {STORE_BACKUP_DONE, on_backup_done},
    {STORE_HOLD, on_hold},
    {STORE_IMPORT_CHECK, on_import_check},
    {STORE_IMPORT_OPEN, on_import_open},
};

static int
on_stat(struct conn *c, uint32_t id)
{
	const struct stored *st = c->st;
	struct backend_stat bs;
	struct buf json, b;

	backend_kv_stat(st->be, &bs);
	buf_init(&json, 32768);
	buf_appendf(&json,
	    "{\"uptime_s\":%lld,\"requests\":%llu,\"messages_added\":%llu,\"deliveries\":%llu,"
	    "\"repeated\":%llu,\"sessions\":%llu,\"accounts_in_memory\":%zu,\"commits\":%llu,"
	    "\"batches\":%llu,\"bodies\":%llu,\"bodies_shared\":%llu,\"parts\":%llu,\"parts_"
	    "shared\":%llu,\"segment_bytes\":%llu,"
	    "\"index_blocks\":%llu,\"index_remade\":%llu,\"index_in_memory\":%zu,",
	    (long long)(now_s() - st->started), (unsigned long long)st->n_requests,
	    (unsigned long long)st->n_inserts, (unsigned long long)st->n_deliveries,
	    (unsigned long long)st->n_repeated, (unsigned long long)st->n_sessions, st->n_accounts,
	    (unsigned long long)bs.groups, (unsigned long long)bs.batches,
	    (unsigned long long)bs.bodies, (unsigned long long)bs.bodies_shared,
	    (unsigned long long)bs.parts, (unsigned long long)bs.parts_shared,
	    (unsigned long long)bs.segment_bytes, (unsigned long long)st->n_sealed,
	    (unsigned long long)st->n_remade, index_in_memory(st));
	backup_stat(&json);
	buf_append_str(&json, "}");
	buf_init(&b, 40000);
	ipc_put_slice(&b, buf_slice(&json));
	(void)ipc_reply(c->ipc, id, STORE_STAT_IS, &b, -1);
	buf_done(&b);
	buf_done(&json);
	return 0;
}

static int
on_msg(struct ipc_conn *ipc, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct stored *st = arg;
	struct conn *c = ipc_user(ipc);

	st->n_requests++;
	if (id == 0 && type != STORE_SESSION_CLOSE && type != STORE_UNWATCH) {
		if (fd >= 0)
			close(fd);
		return ERR_PROTO; /* everything else wants an answer */
	}
	if (type == STORE_DELIVER || type == STORE_SENT_COPY)
		return on_deliver(c, id, r, fd, type == STORE_SENT_COPY);
	if (type == STORE_IMPORT)
		return on_import(c, id, r, fd);
	if (type == STORE_APPEND || type == STORE_APPEND_PART)
		return on_append(c, id, r, fd, type == STORE_APPEND_PART);
	assert(fd < 0); /* by the table */
	if (type == STORE_STAT)
		return ipc_reader_end(r) != 0 ? ERR_PROTO : on_stat(c, id);
	for (size_t i = 0; i < sizeof handlers / sizeof handlers[0]; i++)
		if (handlers[i].type == type)
			return handlers[i].fn(c, id, r);
	return ERR_PROTO;
}

static int
on_conn(struct ipc_conn *ipc, void *arg, void **user_out)
{
	struct conn *c = xcalloc(1, sizeof *c);

	c->st = arg;
	c->ipc = ipc;
	c->refs = 1;
	ipc_hold(ipc);
	*user_out = c;
	return 0;
}

static void
on_conn_closed(struct ipc_conn *ipc, void *arg)
{
	(void)arg;
	backup_conn_closed(ipc_user(ipc));
	rebuild_conn_closed(ipc_user(ipc));
	text_conn_closed(ipc_user(ipc));
	text_old_conn_closed(ipc_user(ipc));
	conn_closed(ipc_user(ipc));
	ipc_release(ipc);
}

#ifdef STORED_SEGMENT_MAX
enum { TEXT_GAP_MS = 0 }; /* the load of tests/crash never pauses, and wants many texts */
#else
enum { TEXT_GAP_MS = 20 };
#endif

static const struct ipc_server_ops server_ops = {on_conn, on_msg, on_conn_closed};

static void
on_term(void *arg, int signo)
{
	struct stored *st = arg;

	(void)signo;
	loop_stop(st->loop);
}

struct ticker {
	struct stored *st;
	struct loop_timer *t, *sweep;
};

/* What was retained long enough goes, of accounts in memory; of others by stored_sweep.c. */
static void
on_sweep(void *arg)
{
	struct ticker *k = arg;

	kept_sweep(k->st);
	loop_timer_set(k->sweep, SWEEP_EVERY_MS);
}

static void
on_tick(void *arg)
{
	struct ticker *k = arg;
	struct text_numbers texts = text_numbers();
	struct text_old_numbers old = text_old_numbers();
	struct backend_stat bs;

	backend_kv_stat(k->st->be, &bs);
	role_stat_set(0, k->st->n_requests);
	role_stat_set(1, k->st->n_inserts);
	role_stat_set(2, bs.groups);
	role_stat_set(3, backup_newest());
	role_stat_set(4, texts.waiting);
	role_stat_set(
	    5, texts.oldest > 0 && now_s() > texts.oldest ? (uint64_t)(now_s() - texts.oldest) : 0);
	role_stat_set(6, texts.done);
	role_stat_set(7, texts.failed);
	role_stat_set(8, old.asked && !old.through ? old.last - old.upto : 0);
	loop_timer_set(k->t, STAT_EVERY_MS);
}

static struct seg_keys *keys;

/* Nothing is ever written in the clear because a key could not be read. */
static struct seg_keys *
read_keys(const struct conf *c)
{
	int fd = role_fd("store_key_file"), err;
	struct seg_keys *k;
	unsigned line = 0;
	char *path = conf_path(c, "store_key_file");
	bool set = path[0] != '\0';

	free(path);
	if (!set)
		return NULL;
	k = xcalloc(1, sizeof *k);
	err = fd < 0 ? ERR_IO : seg_keys_read(fd, k, &line);
	if (err != 0 && line > 0)
		fatal("stored: store_key_file, line %u: a name and 64 hex digits must stand there",
		    line);
	if (err != 0)
		fatal("stored: store_key_file: %s", err_name(err));
	return k;
}

static void
configure(struct stored *st, struct backend_kv_options *o)
{
	const struct conf *c = role_conf();
	int fd = role_fd("token_key_file"), err;

	err = fd < 0 ? ERR_IO : token_key_read(fd, st->key);
	if (err != 0)
		fatal("stored: token_key_file: %s", err_name(err));
	st->quota = (uint64_t)conf_int(c, "quota_mb") << 20;
	st->quota_messages = (uint64_t)conf_int(c, "quota_messages");
	st->history_max = (uint32_t)conf_int(c, "expunge_history");
	st->memory_s = conf_int(c, "delivery_memory_days") * 86400;
	st->import_memory_s = conf_int(c, "import_memory_days") * 86400;
	st->undelete_s = conf_int(c, "undelete_days") * 86400;
	st->n_officers = conf_list_len(c, "security_officers");
	st->officers = xcalloc(st->n_officers + 1, sizeof *st->officers);
	for (size_t i = 0; i < st->n_officers; i++)
		st->officers[i] = slice_str(conf_list_item(c, "security_officers", i));
	st->undelete_bytes = (uint64_t)conf_int(c, "undelete_mb") << 20;
	st->n_special = conf_list_len(c, "special_folders");
	st->special = xcalloc(st->n_special + 1, sizeof *st->special);
	for (size_t i = 0; i < st->n_special; i++)
		st->special[i] = slice_str(conf_list_item(c, "special_folders", i));
	o->dir = ".";
#ifdef STORED_SEGMENT_MAX /* tests/crash makes a program with small files */
	o->segment_max = STORED_SEGMENT_MAX;
#endif
	o->keys = keys = read_keys(c);
	o->threads = (unsigned)conf_int(c, "store_threads");
	o->cache_bytes = (size_t)conf_int(c, "store_cache_mb") << 20;
	o->reserve = (uint64_t)conf_int(c, "disk_reserve_mb") << 20;
	o->grace_s = (unsigned)conf_int(c, "collect_grace_s");
	servers[0].uid = role_uid_of("user_imapd");
	servers[1].uid = role_uid_of("user_ingest");
	if (role_fd("store.lookup") >= 0)
		servers[3].uid = role_uid_of("user_lookup");
}

int
main(int argc, char **argv)
{
	struct stored *st = xcalloc(1, sizeof *st);
	struct backend_kv_options o = {0};
	struct ticker ticker = {st, NULL, NULL};
	int err;

	role_init(argc, argv, "stored");
	json_init();
	configure(st, &o);
	st->loop = loop_new();
	st->started = now_s();
	st->rows = row_cache_new();
	(void)age_now_s(); /* from now on */
	loop_signal(st->loop, SIGTERM, on_term, st);
	role_enter();
	backup_places_load();
	err = backend_kv_open(st->loop, &o, &st->be);
	if (keys != NULL)
		seg_keys_wipe(keys); /* copied */
	if (err != 0)
		fatal("stored: the store cannot be opened: %s", err_name(err));
	for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
		int fd = role_fd(servers[i].name);

		if (fd >= 0)
			servers[i].s = ipc_server_new(st->loop, fd, &store_proto, servers[i].role,
			    servers[i].uid, MAX_CONNS, &server_ops, st);
	}
	ticker.t = loop_timer_new(st->loop, on_tick, &ticker);
	loop_timer_set(ticker.t, STAT_EVERY_MS);
	ticker.sweep = loop_timer_new(st->loop, on_sweep, &ticker);
	loop_timer_set(ticker.sweep, SWEEP_EVERY_MS);
	sweep_begin(st);
	text_begin(st, TEXT_GAP_MS);
	space_begin(
	    st, &(struct space_policy){.interval_s = conf_int(role_conf(), "collect_interval_s"),
		    .pace = (unsigned)conf_int(role_conf(), "collect_pace"),
		    .min_live = (unsigned)conf_int(role_conf(), "compact_below")});
	log_msg(LOG_LVL_INFO, "start", "store is open");
	err = loop_run(st->loop);
	/* What was submitted is still committed; nobody is told, so it will be sent again and found. Memory goes with the process. */
	st->be->ops->close(st->be);
	return err == 0 ? 0 : 1;
}
