/* backend.c: the filter's connections to lookup, milter-scan and milter-ledger. libmilter starts a thread whenever none is idle, so the
 * bound on work at the end of messages is ours: a fixed set of slots, each with its own blocking connections, taken by one thread at
 * a time. Scanners work on one message each: there are as many connections to them as processes. */
#include "config.h"

#include "milter/milter_priv.h"

#include "directory/lookup_client.h"
#include "milter/ledger_client.h"
#include "milter/scan_client.h"
#include "milter/sign_client.h"

#include "lib/log.h"

#include <pthread.h>
#include <sys/queue.h>
#include <time.h>
#include <unistd.h>

#define SLOTS 64
#define SCANNERS_MAX 32
#define OPEN_TRIES 30
#define OPEN_MS 2000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t freed = PTHREAD_COND_INITIALIZER;
static struct backend_slot slots[SLOTS];
static struct backend_scanner scanners[SCANNERS_MAX];
static unsigned n_scanners;

void
backend_init(unsigned n)
{
	unsigned i;

	for (i = 0; i < SLOTS; i++) {
		slots[i].lookup = ipc_sync_new("lookup.milter.sock", &lookup_proto, IPC_MILTER);
		slots[i].sign = ipc_sync_new("sign.milter.sock", &sign_proto, IPC_MILTER);
		slots[i].ledger = ipc_sync_new("ledger.milter.sock", &ledger_proto, IPC_MILTER);
	}
	n_scanners = n < 1 ? 1 : n > SCANNERS_MAX ? SCANNERS_MAX : n;
	for (i = 0; i < n_scanners; i++)
		scanners[i].sync = ipc_sync_new("scan.milter.sock", &scan_proto, IPC_MILTER);
}

static bool
take_this(struct backend_slot *s)
{
	bool is_free;

	pthread_mutex_lock(&lock);
	is_free = !s->taken;
	s->taken |= is_free;
	pthread_mutex_unlock(&lock);
	return is_free;
}

/* A server takes connections one by one, some milliseconds apart (ipc_server.c), so that they spread over the processes of its role: a burst of mail
 * would wait half a second for slots that were never used. */
static void *
open_slots(void *arg)
{
	unsigned i, tries = 0;
	int err;

	(void)arg;
	for (i = 0; i < SLOTS && tries < OPEN_TRIES; i++) {
		/* who has it opens it */
		if (!take_this(&slots[i]))
			continue;
		err = ipc_sync_open(slots[i].lookup, OPEN_MS);
		if (err == 0)
			err = ipc_sync_open(slots[i].ledger, OPEN_MS);
		backend_give(&slots[i]);
		if (err != 0) {
			/* not up yet; mail opens what it needs by itself */
			tries++;
			i--;
			sleep(1);
		}
	}
	return NULL;
}

void
backend_start(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, open_slots, NULL) != 0 || pthread_detach(thread) != 0)
		fatal("milter: no thread");
}

static struct timespec
deadline(unsigned ms)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += (time_t)(ms / 1000);
	ts.tv_nsec += (long)(ms % 1000) * 1000000;
	if (ts.tv_nsec >= 1000000000) {
		ts.tv_sec++;
		ts.tv_nsec -= 1000000000;
	}
	return ts;
}

struct backend_slot *
backend_take(unsigned timeout_ms)
{
	struct timespec until = deadline(timeout_ms);
	struct backend_slot *got = NULL;
	unsigned i;
	int rc = 0;

	pthread_mutex_lock(&lock);
	for (;;) {
		for (i = 0; i < SLOTS && got == NULL; i++) {
			if (!slots[i].taken)
				got = &slots[i];
		}
		if (got != NULL || rc != 0)
			break;
		rc = pthread_cond_timedwait(&freed, &lock, &until);
	}
	if (got != NULL)
		got->taken = true;
	pthread_mutex_unlock(&lock);
	return got;
}

void
backend_give(struct backend_slot *s)
{
	if (s == NULL)
		return;
	pthread_mutex_lock(&lock);
	s->taken = false;
	pthread_cond_signal(&freed);
	pthread_mutex_unlock(&lock);
}

/* In the order in which they come: with all scanners at work for a while, who came first would else wait as long as chance wants. Each waits on its own. */
struct waiting {
	pthread_cond_t come;
	struct backend_scanner *got;
	TAILQ_ENTRY(waiting) link;
};
static TAILQ_HEAD(, waiting) queue = TAILQ_HEAD_INITIALIZER(queue);

static struct backend_scanner *
free_scanner(void)
{
	unsigned i;

	for (i = 0; i < n_scanners; i++) {
		if (!scanners[i].taken)
			return &scanners[i];
	}
	return NULL;
}

struct backend_scanner *
backend_take_scanner(unsigned timeout_ms)
{
	struct timespec until = deadline(timeout_ms);
	struct waiting w = {.come = PTHREAD_COND_INITIALIZER};
	int rc = 0;

	pthread_mutex_lock(&lock);
	/* one is free only while nobody waits */
	w.got = free_scanner();
	if (w.got != NULL) {
		w.got->taken = true;
	} else {
		TAILQ_INSERT_TAIL(&queue, &w, link);
		while (w.got == NULL && rc == 0)
			rc = pthread_cond_timedwait(&w.come, &lock, &until);
		if (w.got == NULL)
			TAILQ_REMOVE(&queue, &w, link);
	}
	pthread_mutex_unlock(&lock);
	pthread_cond_destroy(&w.come);
	return w.got;
}

void
backend_give_scanner(struct backend_scanner *s)
{
	struct waiting *next;

	pthread_mutex_lock(&lock);
	next = TAILQ_FIRST(&queue);
	if (next != NULL) {
		/* it stays taken, by the next one */
		TAILQ_REMOVE(&queue, next, link);
		next->got = s;
		pthread_cond_signal(&next->come);
	} else {
		s->taken = false;
	}
	pthread_mutex_unlock(&lock);
}
