/* revcache.c: the CRLs and OCSP answers that signers' chains ask for. Runs in milter: a few threads of its own get them through the fetch role
 * and get them anew while they are in use; libmilter's threads only note what is wanted and hand what has come to the scanners, which
 * parse and verify it: here it is bytes. Invariants: no callback fetches; memory is bounded; what kills scanners is given up, not sent for
 * ever; each change has a number, and a scanner is asked only when it knows of all up to the number it was brought to. */
#include "config.h"

#include "milter/milter_priv.h"

#include "directory/fetch_client.h"
#include "milter/scan_client.h"
#include "milter/smime_rev.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define THREADS 4
#define ITEMS_MAX 2000
#define CRL_BYTES_MAX (16u << 20)
#define OCSP_BYTES_MAX 65536
#define CRL_DEADLINE_MS 30000
#define OCSP_DEADLINE_MS 10000
#define WAITING_MAX 16 /* messages that wait for the background at a time */
#define RETRY_FIRST_S 10
#define RETRY_LAST_S 600
#define GIVEN_UP_S 3600 /* what cannot be used, or kills scanners */
#define KILLS_MAX 3
#define CRL_KEPT_S (7 * 86400) /* unused */
#define OCSP_KEPT_S 86400
#define ISSUERS_MAX 256

struct item {
	char *key, *url;
	enum want_kind kind;
	unsigned char request[FINDINGS_TEXT_MAX], hash[32]; /* of the bytes */
	size_t n_request;
	int fd; /* sealed memfd; -1: nothing came yet, or it was given up */
	uint64_t size, version;
	int64_t next_try, used;
	unsigned failures, kills;
	bool pinned, tried, busy, forgotten;
	struct item *next;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work = PTHREAD_COND_INITIALIZER, came = PTHREAD_COND_INITIALIZER;
static struct item *items;
static unsigned n_items, n_waiting;
static uint64_t n_bytes, base_version, version; /* of the last change; base_version: none yet */
static struct {
	unsigned char issuer[32];
	int64_t since; /* 0: free */
} unknown[ISSUERS_MAX];
static unsigned next_unknown;

static int64_t
now_s(void)
{
	return (int64_t)time(NULL);
}

/* ---- items; all with the lock held ---- */

static void
key_of(enum want_kind kind, struct slice url, struct slice request, char out[65])
{
	struct sha256 *sha = sha256_new();
	unsigned char digest[32], k = (unsigned char)kind;

	sha256_update(sha, &k, 1);
	sha256_update(sha, url.ptr, url.len);
	sha256_update(sha, "\n", 1);
	sha256_update(sha, request.ptr, request.len);
	sha256_final(sha, digest);
	sha256_free(sha);
	hex_encode(digest, 32, out);
}

static struct item *
find(const char *key)
{
	struct item *it;

	for (it = items; it != NULL && strcmp(it->key, key) != 0; it = it->next)
		;
	return it;
}

static void
drop_bytes(struct item *it)
{
	if (it->fd < 0)
		return;
	close(it->fd);
	it->fd = -1;
	n_bytes -= it->size;
	it->size = 0;
}

/* Its bytes go, and scanners are told to forget it. */
static void
forget(struct item *it)
{
	drop_bytes(it);
	it->forgotten = true;
	it->version = ++version;
}

/* Room for one more: what was forgotten longest ago, or else the answer that was used longest ago. */
static bool
make_room(void)
{
	struct item **p, **oldest = NULL, *it;

	if (n_items < ITEMS_MAX)
		return true;
	for (p = &items; *p != NULL; p = &(*p)->next) {
		it = *p;
		if (it->busy || it->pinned || (it->kind == WANT_CRL && !it->forgotten))
			continue;
		if (oldest == NULL || it->used < (*oldest)->used)
			oldest = p;
	}
	if (oldest == NULL)
		return false;
	it = *oldest;
	*oldest = it->next;
	drop_bytes(it);
	free(it->key);
	free(it->url);
	free(it);
	n_items--;
	return true;
}

static struct item *
add(const char *key, enum want_kind kind, struct slice url, struct slice request)
{
	struct item *it;

	if (request.len > sizeof it->request || memchr(url.ptr, 0, url.len) != NULL || !make_room())
		return NULL;
	it = xcalloc(1, sizeof *it);
	it->key = xstrdup(key);
	it->url = slice_dup(url);
	it->kind = kind;
	it->fd = -1;
	it->n_request = request.len;
	if (request.len > 0)
		memcpy(it->request, request.ptr, request.len);
	it->next_try = now_s();
	it->next = items;
	items = it;
	n_items++;
	pthread_cond_signal(&work);
	return it;
}

static struct item *
item_of(const struct find_want *w, bool make)
{
	struct item *it;
	char key[65];

	key_of(w->kind, w->url, w->request, key);
	it = find(key);
	if (it == NULL && make)
		it = add(key, w->kind, w->url, w->request);
	if (it != NULL && it->forgotten && make) {
		it->forgotten = it->tried = false;
		it->next_try = now_s();
		pthread_cond_signal(&work);
	}
	return it;
}

/* ---- what libmilter's threads ask ---- */

bool
revcache_want(const struct findings *f)
{
	const struct find_want *w;
	struct item *it;
	bool untried = false;

	if (f->wants == NULL || !milter_settings.rev_fetch)
		return false;
	pthread_mutex_lock(&lock);
	for (w = f->wants; w != NULL; w = w->next) {
		it = item_of(w, true);
		if (it == NULL)
			continue;
		it->used = now_s();
		untried |= !it->tried;
	}
	pthread_mutex_unlock(&lock);
	return untried;
}

static bool
all_tried(const struct findings *f, bool *any_out)
{
	const struct find_want *w;
	const struct item *it;
	bool all = true;

	*any_out = false;
	for (w = f->wants; w != NULL; w = w->next) {
		it = item_of(w, false);
		all &= it == NULL || it->tried;
		*any_out |= it != NULL && it->fd >= 0;
	}
	return all;
}

bool
revcache_wait(const struct findings *f, unsigned ms)
{
	struct timespec until;
	bool any = false;
	int rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += (time_t)(ms / 1000);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}
	pthread_mutex_lock(&lock);
	if (n_waiting < WAITING_MAX) {
		n_waiting++;
		while (!all_tried(f, &any) && rc == 0)
			rc = pthread_cond_timedwait(&came, &lock, &until);
		n_waiting--;
	}
	pthread_mutex_unlock(&lock);
	return any;
}

bool
revcache_grace_over(struct slice issuer, bool known)
{
	unsigned char digest[32];
	bool over = false;
	unsigned i;

	sha256_of(issuer, digest);
	pthread_mutex_lock(&lock);
	for (i = 0; i < ISSUERS_MAX; i++) {
		if (unknown[i].since != 0 && memcmp(unknown[i].issuer, digest, 32) == 0)
			break;
	}
	if (known) {
		if (i < ISSUERS_MAX)
			unknown[i].since = 0;
	} else if (i < ISSUERS_MAX) {
		over = milter_settings.rev_grace_s > 0 &&
		       now_s() - unknown[i].since > (int64_t)milter_settings.rev_grace_s;
	} else {
		i = next_unknown++ % ISSUERS_MAX;
		memcpy(unknown[i].issuer, digest, 32);
		unknown[i].since = now_s();
	}
	pthread_mutex_unlock(&lock);
	return over;
}

/* ---- bringing a scanner up to date ---- */

/* The next change after a version: a copy of what is to be sent. False: none. */
struct change {
	uint64_t version;
	enum want_kind kind;
	char key[65];
	int fd;
};

static bool
next_change(uint64_t after, struct change *c)
{
	struct item *it, *best = NULL;

	pthread_mutex_lock(&lock);
	for (it = items; it != NULL; it = it->next) {
		if (it->version > after && (it->fd >= 0 || it->forgotten) &&
		    (best == NULL || it->version < best->version))
			best = it;
	}
	if (best != NULL) {
		c->version = best->version;
		c->kind = best->kind;
		memcpy(c->key, best->key, sizeof c->key);
		c->fd = best->fd >= 0 ? fcntl(best->fd, F_DUPFD_CLOEXEC, 0) : -1;
	}
	pthread_mutex_unlock(&lock);
	return best != NULL;
}

/* When to ask again: at the pace of refreshing, but before it runs out. */
static int64_t
schedule(int64_t now, int64_t to)
{
	int64_t at = now + (int64_t)milter_settings.rev_refresh_s, early = to - 300;

	if (to != 0 && early < at)
		at = early > now + 60 ? early : now + 60;
	return at;
}

static void
told(const struct change *c, int err, int64_t to)
{
	struct item *it;

	pthread_mutex_lock(&lock);
	it = find(c->key);
	if (it != NULL && it->version == c->version && it->fd >= 0) {
		if (err == 0) {
			it->kills = 0;
			it->next_try = schedule(now_s(), to);
		} else if (err == ERR_CLOSED || err == ERR_TIMEOUT) {
			it->kills++;
		}
		if (err == ERR_SYNTAX || err == ERR_LIMIT || it->kills >= KILLS_MAX) {
			log_msg(
			    LOG_LVL_WARN, "revocation_unusable", "%s: %s", it->url, err_name(err));
			drop_bytes(it);
			it->next_try = now_s() + GIVEN_UP_S;
		}
	}
	pthread_mutex_unlock(&lock);
}

int
revcache_sync(struct backend_scanner *s)
{
	int64_t from = 0, to = 0;
	struct change c;
	int err, tries = 0;

	for (;;) {
		if (s->rev_version == 0) {
			/* a scanner may have served another filter before: from here on it counts by our numbers */
			err = scan_rev_sync(
			    s->sync, base_version, WANT_CRL, slice_str(""), -1, &from, &to);
			/* a connection that was lost meanwhile is told by its first use */
			if (err == ERR_CLOSED && tries++ < 2)
				continue;
			if (err != 0)
				return err;
			s->rev_version = base_version;
		}
		if (!next_change(s->rev_version, &c))
			return 0;
		to = 0;
		err = scan_rev_sync(s->sync, c.version, c.kind, slice_str(c.key), c.fd, &from, &to);
		told(&c, err, to);
		if (err == 0 || err == ERR_SYNTAX || err == ERR_LIMIT) {
			s->rev_version = c.version;
			continue;
		}
		s->rev_version = 0;
		if (tries++ >= KILLS_MAX)
			return err;
	}
}

/* ---- fetching ---- */

static int
memfd_of(struct slice bytes)
{
	int fd = memfd_create("revocation", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t n;

	while (fd >= 0 && bytes.len > 0) {
		n = write(fd, bytes.ptr, bytes.len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			close(fd);
			return -1;
		}
		bytes = slice_from(bytes, (size_t)n);
	}
	if (fd >= 0 &&
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
		close(fd);
		return -1;
	}
	return fd;
}

static void
failed(struct item *it, int err, unsigned status)
{
	int64_t wait = RETRY_FIRST_S << (it->failures < 6 ? it->failures : 6);
	struct log_line l;

	it->failures++;
	it->next_try = now_s() + (wait < RETRY_LAST_S ? wait : RETRY_LAST_S);
	if (it->failures > 3 && it->failures % 20 != 0)
		return;
	log_begin(&l, LOG_LVL_WARN, "revocation_fetch");
	log_str(&l, "url", it->url);
	log_u64(&l, "status", status);
	log_err(&l, "err", err);
	log_end(&l);
}

/* What came, in the place of what was there. */
static void
keep(struct item *it, struct slice bytes)
{
	unsigned char hash[32];
	int fd;

	sha256_of(bytes, hash);
	it->failures = 0;
	it->next_try = now_s() + (int64_t)milter_settings.rev_refresh_s;
	if (it->fd >= 0 && memcmp(hash, it->hash, 32) == 0)
		return;
	fd = n_bytes - it->size + bytes.len <= SMIME_REV_BYTES_MAX ? memfd_of(bytes) : -1;
	if (fd < 0) {
		failed(it, ERR_LIMIT, 200);
		return;
	}
	drop_bytes(it);
	it->fd = fd;
	it->size = bytes.len;
	n_bytes += bytes.len;
	memcpy(it->hash, hash, 32);
	it->kills = 0;
	it->version = ++version;
}

/* The item is busy, so nobody frees it. */
static bool
get(struct ipc_sync *s, struct item *it)
{
	struct fetch_request r = {.url = it->url,
	    .is_post = it->kind == WANT_OCSP,
	    .content_type = it->kind == WANT_OCSP ? "application/ocsp-request" : "",
	    .body = slice_of(it->request, it->n_request),
	    .max_bytes = it->kind == WANT_OCSP ? OCSP_BYTES_MAX : CRL_BYTES_MAX,
	    .deadline_ms = it->kind == WANT_OCSP ? OCSP_DEADLINE_MS : CRL_DEADLINE_MS,
	    .max_redirects = it->kind == WANT_OCSP ? 0 : 3};
	struct fetch_answer *a = NULL;
	uint64_t before;
	bool changed;
	int err = fetch_sync(s, &r, &a);

	pthread_mutex_lock(&lock);
	before = it->version;
	if (err == 0 && a->status == 200 && a->body.len > 0)
		keep(it, a->body);
	else
		failed(it, err, err == 0 ? a->status : 0);
	changed = it->version != before;
	pthread_mutex_unlock(&lock);
	fetch_answer_free(a);
	return changed;
}

/* One scanner learns of it at once, so that we learn when it runs out; the others with their next message. */
static void
show_a_scanner(void)
{
	struct backend_scanner *s = backend_take_scanner(2000);

	if (s == NULL)
		return;
	revcache_sync(s);
	backend_give_scanner(s);
}

/* The item that is due first; forgets what nobody used for long. With the lock held. */
static struct item *
next_due(int64_t now, int64_t *at_out)
{
	struct item *it, *best = NULL;

	for (it = items; it != NULL; it = it->next) {
		if (it->busy || it->forgotten)
			continue;
		if (!it->pinned &&
		    now - it->used > (it->kind == WANT_CRL ? CRL_KEPT_S : OCSP_KEPT_S) &&
		    it->tried) {
			forget(it);
			continue;
		}
		if (best == NULL || it->next_try < best->next_try)
			best = it;
	}
	*at_out = best != NULL && best->next_try < now + 60 ? best->next_try : now + 60;
	return best != NULL && best->next_try <= now ? best : NULL;
}

static void *
fetch_thread(void *arg)
{
	struct ipc_sync *s = ipc_sync_new("fetch.milter.sock", &fetch_proto, IPC_MILTER);
	struct timespec until = {0, 0};
	struct item *it;
	int64_t at;
	bool changed;

	(void)arg;
	pthread_mutex_lock(&lock);
	for (;;) {
		it = next_due(now_s(), &at);
		if (it == NULL) {
			until.tv_sec = (time_t)at;
			pthread_cond_timedwait(&work, &lock, &until);
			continue;
		}
		it->busy = true;
		pthread_mutex_unlock(&lock);
		changed = get(s, it);
		if (changed)
			show_a_scanner();
		pthread_mutex_lock(&lock);
		it->busy = false;
		it->tried = true;
		pthread_cond_broadcast(&came);
	}
	return NULL;
}

void
revcache_start(void)
{
	struct timespec ts;
	pthread_t thread;
	char key[65];
	size_t i;

	clock_gettime(CLOCK_REALTIME, &ts);
	/* never the numbers of a filter before this one */
	base_version = version = (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
	if (!milter_settings.rev_fetch)
		return;
	for (i = 0; i < conf_list_len(role_conf(), "revocation_crls"); i++) {
		struct slice url = slice_str(conf_list_item(role_conf(), "revocation_crls", i));
		struct item *it;

		key_of(WANT_CRL, url, slice_str(""), key);
		it = add(key, WANT_CRL, url, slice_str(""));
		if (it != NULL)
			it->pinned = true;
	}
	for (i = 0; i < THREADS; i++) {
		if (pthread_create(&thread, NULL, fetch_thread, NULL) != 0)
			fatal("milter: no thread");
		pthread_detach(thread);
	}
}
