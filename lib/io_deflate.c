/* io_deflate.c: puts DEFLATE over an io stream, above TLS. Runs in imapd-session. Streams that were quiet for REST_MS give their memory back: one timer for
 * all of a loop looks for them, while there are any. */
#include "config.h"

#include "lib/io_priv.h"

#include <malloc.h>
#include <stdlib.h>

#include "lib/deflate.h"
#include "lib/err.h"
#include "lib/log.h"

enum { REST_MS = 2000 };

struct io_filter {
	struct deflate *d;
	struct loop *loop;
	struct io_filter *next, **at; /* of those awake; at NULL: at rest */
	uint64_t used;                /* when last */
};
static struct io_filter *awake;
static struct loop_timer *timer;

static void
sleep_now(struct io_filter *f)
{
	if (f->at == NULL)
		return;
	*f->at = f->next;
	if (f->next != NULL)
		f->next->at = f->at;
	f->at = NULL;
}

static void
on_timer(void *arg)
{
	struct loop *l = arg;
	uint64_t now = loop_now_ms(l);
	bool rested = false;

	for (struct io_filter *f = awake, *next; f != NULL; f = next) {
		next = f->next;
		if (f->used + REST_MS > now || deflate_is_dirty(f->d))
			continue;
		deflate_rest(f->d);
		sleep_now(f);
		rested = true;
	}
	if (rested) /* the pages lie between others' small blocks: free() alone keeps them */
		malloc_trim(0);
	if (awake != NULL) {
		loop_timer_set(timer, REST_MS / 2);
	} else { /* made again when it is needed: the loop may end before */
		loop_timer_free(timer);
		timer = NULL;
	}
}

static void
wake(struct io_filter *f)
{
	f->used = loop_now_ms(f->loop);
	if (f->at != NULL)
		return;
	f->next = awake;
	f->at = &awake;
	if (f->next != NULL)
		f->next->at = &f->next;
	awake = f;
	if (timer == NULL) {
		timer = loop_timer_new(f->loop, on_timer, f->loop);
		loop_timer_set(timer, REST_MS / 2);
	}
}

static int
filter_write(struct io_filter *f, struct slice in, bool flush, struct buf *out)
{
	wake(f);
	return deflate_write(f->d, in, flush, out);
}

static int
filter_read(struct io_filter *f, struct slice in, size_t *used_out, unsigned char *out, size_t room)
{
	wake(f);
	return deflate_read(f->d, in, used_out, out, room);
}

static bool
filter_is_dirty(const struct io_filter *f)
{
	return deflate_is_dirty(f->d);
}

static bool
filter_has_more(const struct io_filter *f)
{
	return deflate_has_more(f->d);
}

static void
filter_free(struct io_filter *f)
{
	sleep_now(f);
	deflate_free(f->d);
	free(f);
	if (awake == NULL && timer != NULL) {
		loop_timer_free(timer);
		timer = NULL;
	}
}

static const struct io_filter_ops ops = {
    .write = filter_write,
    .read = filter_read,
    .is_dirty = filter_is_dirty,
    .has_more = filter_has_more,
    .free = filter_free,
};

int
io_start_deflate(struct io *io)
{
	struct io_filter *f = xcalloc(1, sizeof(*f));

	f->loop = io_loop(io);
	f->d = deflate_new();
	return io_priv_filter(io, f, &ops);
}
