/* fetch.c: the fetch role, a server on fetch.milter.sock (and fetch.relay.sock, where a parent binds it). The loop reads requests, answers
 * what is remembered, hands the rest to worker threads (fetch_work.c) and sends what they bring. Invariants: no URL leaves without
 * fetch_policy_url, no connection is made but through the guard in fetch_curl.c; the same question asked twice at a time goes out
 * once; an origin that failed is left alone for RETRY_S, and what it said before serves. Nothing here reads what was fetched. */
#include "config.h"

#include "directory/fetch_cache.h"
#include "directory/fetch_client.h"
#include "directory/fetch_curl.h"
#include "directory/fetch_work.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/loop.h"
#include "lib/role.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	CONNS_MAX = 256,
	QUEUE_MAX = 256,
	WAITERS_MAX = 1024, /* for one transfer */
	CACHE_ENTRIES = 4096,
	RETRY_S = 10,
	CA_MAX = 4 << 20,
};

struct fetch_waiter {
	struct ipc_conn *conn; /* held */
	uint32_t id;
	struct fetch_waiter *next;
};

static struct {
	struct loop *loop;
	struct fetch_work *work;
	struct fetch_policy *policy;
	struct fetch_cache *cache;
	struct fetch_job *flying; /* by next_flying */
	size_t bytes_max;
	uint64_t n_requests, n_transfers, n_failures;
} self;

/* ---- replies ---- */

/* A memory file with the bytes; -1 for none, ERR_* in *err_out when it could not be made. */
static int
body_file(struct slice body, int *err_out)
{
	int fd = body.len == 0 ? -1 : memfd_create("fetched", MFD_CLOEXEC);
	size_t done = 0;

	*err_out = body.len > 0 && fd < 0 ? ERR_TEMP : 0;
	while (fd >= 0 && done < body.len) {
		ssize_t n = write(fd, body.ptr + done, body.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			close(fd);
			*err_out = ERR_TEMP;
			return -1;
		}
		done += (size_t)n;
	}
	return fd;
}

static void
reply_answer(struct ipc_conn *c, uint32_t id, const struct fetch_answer *a, enum fetch_from from)
{
	struct fetch_answer told = *a;
	struct buf b;
	int err, fd = body_file(a->body, &err);

	if (err != 0) {
		ipc_reply_err(c, id, err, "no memory file");
		return;
	}
	told.from = from;
	buf_init(&b, 4096);
	fetch_answer_put(&b, &told);
	ipc_reply(c, id, FETCH_ANSWER, &b, fd);
	buf_done(&b);
}

/* What is to be said of a failure: what the origin said before, if it is known. */
static void
reply_failure(struct ipc_conn *c, uint32_t id, const unsigned char *key, int err, const char *why)
{
	const struct fetch_answer *old = fetch_cache_get(self.cache, key);

	if (old != NULL && (err == ERR_TEMP || err == ERR_TIMEOUT))
		reply_answer(c, id, old, FETCH_FROM_STALE);
	else
		ipc_reply_err(c, id, err, why);
}

/* ---- transfers that are done ---- */

static void
log_transfer(const struct fetch_job *j)
{
	struct log_line l;

	log_begin(
	    &l, j->err == 0 ? LOG_LVL_INFO : LOG_LVL_WARN, j->err == 0 ? "fetch" : "fetch_failed");
	log_str(&l, "url", j->url);
	if (j->err == 0) {
		log_u64(&l, "status", j->answer->status);
		log_u64(&l, "bytes", j->answer->body.len);
	} else {
		log_err(&l, "error", j->err);
		log_str(&l, "why", j->why);
	}
	log_end(&l);
}

/* An origin in trouble: it says so itself, or says nothing. */
static bool
is_trouble(const struct fetch_job *j)
{
	return j->err != 0 || j->answer->status >= 500;
}

static void
job_end(struct fetch_job *j)
{
	struct fetch_job **at = &self.flying;
	bool remembered;

	while (*at != j)
		at = &(*at)->next_flying;
	*at = j->next_flying;
	log_transfer(j);
	role_stat_set(2, self.n_failures += is_trouble(j));
	if (is_trouble(j))
		fetch_cache_failed(
		    self.cache, j->key, (int64_t)time(NULL), j->err != 0 ? j->err : ERR_TEMP);
	while (j->waiters != NULL) {
		struct fetch_waiter *w = j->waiters;

		j->waiters = w->next;
		if (is_trouble(j) && (j->err != 0 || fetch_cache_get(self.cache, j->key) != NULL))
			reply_failure(
			    w->conn, w->id, j->key, j->err != 0 ? j->err : ERR_TEMP, j->why);
		else
			reply_answer(w->conn, w->id, j->answer, FETCH_FROM_NET);
		ipc_release(w->conn);
		free(w);
	}
	remembered = j->err == 0 && j->answer->status == 200 && !j->no_store;
	if (remembered) {
		fetch_cache_put_take(self.cache, j->key, j->answer);
		j->answer = NULL;
	}
	role_stat_set(3, fetch_cache_bytes(self.cache));
	fetch_job_free(j);
}

static void
jobs_done(void *arg, int events)
{
	struct fetch_job *next;

	(void)arg;
	(void)events;
	for (struct fetch_job *j = fetch_work_done(self.work); j != NULL; j = next) {
		next = j->next;
		job_end(j);
	}
}

/* ---- requests ---- */

static void
waiter_add(struct fetch_job *j, struct ipc_conn *c, uint32_t id)
{
	struct fetch_waiter *w = xcalloc(1, sizeof(*w));

	ipc_hold(c);
	w->conn = c;
	w->id = id;
	w->next = j->waiters;
	j->waiters = w;
	j->n_waiters++;
}

/* One under way that asks the same, under the same conditions. */
static struct fetch_job *
flying_find(const unsigned char *key, const struct fetch_request *r)
{
	for (struct fetch_job *j = self.flying; j != NULL; j = j->next_flying)
		if (memcmp(j->key, key, FETCH_KEY) == 0 && j->request.max_bytes == r->max_bytes &&
		    j->request.max_redirects == r->max_redirects && j->n_waiters < WAITERS_MAX)
			return j;
	return NULL;
}

static void
job_begin(struct ipc_conn *c, uint32_t id, const struct fetch_request *r, struct slice host,
    const unsigned char *key)
{
	struct fetch_job *j = fetch_job_new();

	j->url = xstrdup(r->url);
	j->content_type = xstrdup(r->content_type);
	j->host = slice_dup(host);
	if (j->host == NULL)
		fatal("no memory");
	buf_append_slice(&j->body, r->body);
	j->request = *r;
	j->request.url = j->url;
	j->request.content_type = j->content_type;
	j->request.body = buf_slice(&j->body);
	memcpy(j->key, key, FETCH_KEY);
	j->deadline_ms = loop_now_ms(self.loop) + r->deadline_ms;
	if (fetch_work_put_take(self.work, j) != 0) {
		ipc_reply_err(c, id, ERR_LIMIT, "too much to fetch");
		fetch_job_free(j);
		return;
	}
	role_stat_set(1, ++self.n_transfers);
	j->next_flying = self.flying;
	self.flying = j;
	waiter_add(j, c, id);
}

static void
on_get(struct ipc_conn *c, uint32_t id, struct fetch_request *r)
{
	int64_t now = (int64_t)time(NULL);
	const struct fetch_answer *old;
	unsigned char key[FETCH_KEY];
	struct fetch_job *j;
	struct fetch_url u;
	int err = fetch_url_parse(slice_str(r->url), &u);

	if (err == 0 && r->is_post && fetch_scheme_is_ldap(u.scheme))
		err = ERR_SYNTAX;
	if (err == 0)
		err = fetch_policy_url(self.policy, &u);
	if (err != 0) {
		ipc_reply_err(c, id, err,
		    err == ERR_DENIED ? "the configuration does not permit it" : "no URL");
		return;
	}
	if (r->max_bytes == 0 || r->max_bytes > self.bytes_max)
		r->max_bytes = (uint32_t)self.bytes_max;
	fetch_key_of(r, key);
	old = fetch_cache_get(self.cache, key);
	if (old != NULL && old->body.len > r->max_bytes)
		old = NULL;
	if (old != NULL && now >= old->fetched && now - old->fetched < (int64_t)r->max_age_s) {
		reply_answer(c, id, old, FETCH_FROM_MEMORY);
		return;
	}
	err = fetch_cache_failure(self.cache, key, now, RETRY_S);
	j = flying_find(key, r);
	if (err != 0)
		reply_failure(c, id, key, err, "it failed a moment ago");
	else if (j != NULL)
		waiter_add(j, c, id);
	else
		job_begin(c, id, r, u.host, key);
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	struct fetch_request q;
	char *url, *content_type;

	(void)arg;
	if (fd >= 0)
		close(fd);
	if (type != FETCH_GET || id == 0 || fetch_request_get(r, &q, &url, &content_type) != 0)
		return ERR_PROTO;
	role_stat_set(0, ++self.n_requests);
	on_get(c, id, &q);
	free(url);
	free(content_type);
	return 0;
}

/* ---- start ---- */

static const struct {
	const char *socket;
	uint32_t peer;
	const char *user_option;
} doors[] = {
    {"fetch.milter", IPC_MILTER, "user_milter"}, {"fetch.relay", IPC_RELAY, "user_relay"},
    {"fetch.admin", IPC_ADMIN, NULL}, /* root's: congvu cert */
};

static void
give_up(const char *what, const char *why)
{
	log_msg(LOG_LVL_ERROR, "fetch_start", "%s: %s", what, why);
	exit(EX_CONFIG);
}

/* fetch_ca_file, opened by the parent; it stays in memory. */
static struct slice
ca_read(void)
{
	int fd = role_fd("fetch_ca_file");
	struct buf b;
	off_t at = 0;
	ssize_t n = 0;
	size_t len;

	buf_init(&b, CA_MAX);
	while (fd >= 0) {
		unsigned char *p = buf_reserve(&b, 65536);

		n = p == NULL ? -1 : pread(fd, p, 65536, at);
		if (n <= 0)
			break;
		buf_commit(&b, (size_t)n);
		at += n;
	}
	if (n < 0)
		give_up("fetch_ca_file", "cannot be read");
	len = b.len;
	return slice_of(buf_take(&b, &len), len);
}

static void
on_term(void *arg, int signo)
{
	(void)arg;
	(void)signo;
	_exit(0); /* threads may be in a library */
}

int
main(int argc, char **argv)
{
	static const struct ipc_server_ops ops = {NULL, on_msg, NULL};
	int64_t uids[sizeof(doors) / sizeof(doors[0])];
	const struct conf *c;
	unsigned n_servers = 0;
	char *why = NULL;

	role_init(argc, argv, "fetch");
	c = role_conf();
	if (fetch_policy_new(c, &self.policy, &why) != 0)
		give_up("congvu.conf", why);
	if (fetch_curl_init(self.policy, ca_read()) != 0)
		give_up("libcurl", "cannot be started");
	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++)
		uids[i] = role_fd(doors[i].socket) < 0 || doors[i].user_option == NULL
			      ? -1
			      : role_uid_of(doors[i].user_option);
	self.loop = loop_new();
	self.bytes_max = (size_t)conf_int(c, "fetch_bytes_max");
	self.cache = fetch_cache_new((size_t)conf_int(c, "fetch_cache_mb") << 20, CACHE_ENTRIES);
	role_enter();
	self.work = fetch_work_new((unsigned)conf_int(c, "fetch_threads"), QUEUE_MAX);
	loop_fd_want(loop_fd_new(self.loop, fetch_work_fd(self.work), jobs_done, NULL), LOOP_READ);
	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
		if (role_fd(doors[i].socket) < 0)
			continue;
		ipc_server_new(self.loop, role_fd(doors[i].socket), &fetch_proto, doors[i].peer,
		    uids[i], CONNS_MAX, &ops, NULL);
		n_servers++;
	}
	if (n_servers == 0)
		give_up("sockets", "none was given");
	loop_signal(self.loop, SIGTERM, on_term, NULL);
	return loop_run(self.loop) == 0 ? 0 : EX_SOFTWARE;
}
