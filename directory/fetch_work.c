/* fetch_work.c: fetch_work.h. A job whose host is busy enough lets the next one pass. In fetch. */
#include "config.h"

#include "directory/fetch_work.h"

#include "directory/fetch_curl.h"
#include "lib/err.h"
#include "lib/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { THREADS_MAX = 64 };

struct fetch_work {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct fetch_job *todo, **todo_tail, *done;
	const struct fetch_job *running[THREADS_MAX];
	unsigned n_todo, queue_max, n_threads;
	int event;
};
struct seat {
	struct fetch_work *work;
	unsigned index;
};

struct fetch_job *
fetch_job_new(void)
{
	struct fetch_job *j = xcalloc(1, sizeof(*j));

	buf_init(&j->body, FETCH_BODY_MAX);
	return j;
}

void
fetch_job_free(struct fetch_job *j)
{
	if (j == NULL)
		return;
	free(j->url);
	free(j->content_type);
	free(j->host);
	buf_done(&j->body);
	fetch_answer_free(j->answer);
	free(j);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static bool
host_is_busy(const struct fetch_work *w, const char *host)
{
	unsigned n = 0, most = w->n_threads > 1 ? w->n_threads / 2 : 1;

	for (unsigned i = 0; i < w->n_threads; i++)
		n += w->running[i] != NULL && strcasecmp(w->running[i]->host, host) == 0;
	return n >= most;
}

/* The first job that may run now; one that waited too long runs, too: it ends at once. */
static struct fetch_job *
take(struct fetch_work *w)
{
	uint64_t now = now_ms();

	for (struct fetch_job **at = &w->todo; *at != NULL; at = &(*at)->next) {
		struct fetch_job *j = *at;

		if (j->deadline_ms > now && host_is_busy(w, j->host))
			continue;
		*at = j->next;
		if (*at == NULL)
			w->todo_tail = at;
		w->n_todo--;
		return j;
	}
	return NULL;
}

static void
job_run(struct fetch_job *j)
{
	uint64_t now = now_ms();

	if (now >= j->deadline_ms) {
		j->err = ERR_TIMEOUT;
		j->why = "waited for its turn";
		return;
	}
	j->request.deadline_ms = (uint32_t)(j->deadline_ms - now);
	j->err = fetch_curl_run(&j->request, &j->answer, &j->no_store, &j->why);
}

/* Until something is put, or the next deadline of what waits for its host. */
static void
wait_some(struct fetch_work *w)
{
	struct timespec ts;

	if (w->todo == NULL) {
		pthread_cond_wait(&w->wake, &w->lock);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec++;
	pthread_cond_timedwait(&w->wake, &w->lock, &ts);
}

static void *
work_thread(void *arg)
{
	static const uint64_t one = 1;
	struct seat *s = arg;
	struct fetch_work *w = s->work;

	pthread_mutex_lock(&w->lock);
	for (;;) {
		struct fetch_job *j = take(w);

		if (j == NULL) {
			wait_some(w);
			continue;
		}
		w->running[s->index] = j;
		pthread_mutex_unlock(&w->lock);
		job_run(j);
		pthread_mutex_lock(&w->lock);
		w->running[s->index] = NULL;
		j->next = w->done;
		w->done = j;
		pthread_cond_broadcast(&w->wake); /* its host has a place again */
		if (write(w->event, &one, sizeof(one)) != sizeof(one))
			fatal("eventfd");
	}
	return NULL;
}

struct fetch_work *
fetch_work_new(unsigned threads, unsigned queue_max)
{
	struct fetch_work *w = xcalloc(1, sizeof(*w));
	sigset_t all, old;

	w->todo_tail = &w->todo;
	w->queue_max = queue_max;
	w->n_threads = threads > THREADS_MAX ? THREADS_MAX : threads;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	w->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->event < 0)
		fatal("eventfd");
	sigfillset(&all); /* signals are the loop's */
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (unsigned i = 0; i < w->n_threads; i++) {
		struct seat *s = xcalloc(1, sizeof(*s));
		pthread_t t;

		s->work = w;
		s->index = i;
		if (pthread_create(&t, NULL, work_thread, s) != 0)
			fatal("no threads");
		pthread_detach(t);
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return w;
}

int
fetch_work_fd(const struct fetch_work *w)
{
	return w->event;
}

int
fetch_work_put_take(struct fetch_work *w, struct fetch_job *j)
{
	int err = 0;

	j->next = NULL;
	pthread_mutex_lock(&w->lock);
	if (w->n_todo >= w->queue_max) {
		err = ERR_LIMIT;
	} else {
		*w->todo_tail = j;
		w->todo_tail = &j->next;
		w->n_todo++;
		pthread_cond_signal(&w->wake);
	}
	pthread_mutex_unlock(&w->lock);
	return err;
}

struct fetch_job *
fetch_work_done(struct fetch_work *w)
{
	struct fetch_job *list;
	uint64_t n;

	(void)!read(w->event, &n, sizeof(n));
	pthread_mutex_lock(&w->lock);
	list = w->done;
	w->done = NULL;
	pthread_mutex_unlock(&w->lock);
	return list;
}
