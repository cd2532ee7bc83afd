/* epoch_client.c: epoch_client.h, in the lookup process of congvu-stored. One question at a time; what comes meanwhile waits, the newest epoch of each
 * account, until stored has it on stable storage. */
#include "store/epoch_client.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/store_proto.h"

enum { AGAIN_MS = 1000, ANSWER_MS = 10000, KNOWN = 4096 };

struct raised {
	struct raised *next;
	uint64_t epoch;
	char account[];
};
struct epoch_client {
	struct ipc_client *ipc;
	struct loop_timer *again;
	struct raised *first, **end;
	size_t n;
	bool asking;
	struct {
		uint64_t hash, epoch;
	} known[KNOWN]; /* told of late */
};

static void ask(struct epoch_client *c);

static uint64_t
hash_of(const char *s)
{
	uint64_t h = 14695981039346656037u;

	for (; *s != '\0'; s++)
		h = (h ^ (unsigned char)*s) * 1099511628211u;
	return h;
}

static void
drop_first(struct epoch_client *c)
{
	struct raised *r = c->first;

	c->first = r->next;
	if (c->first == NULL)
		c->end = &c->first;
	c->n--;
	free(r);
}

static void
on_answer(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct epoch_client *c = arg;

	(void)type;
	(void)r;
	(void)fd; /* the table allows none */
	c->asking = false;
	if (err == ERR_CANCELED)
		return;
	/* what it cannot mean to take, it would not take the next time either */
	if (err == 0 || err == ERR_SYNTAX || err == ERR_NOTFOUND) {
		drop_first(c);
		ask(c);
	} else {
		log_msg(LOG_LVL_WARN, "epoch_not_told", "%s: %s", c->first->account, err_name(err));
		loop_timer_set(c->again, AGAIN_MS);
	}
}

static void
ask(struct epoch_client *c)
{
	struct buf b;

	if (c->asking || c->first == NULL)
		return;
	buf_init(&b, 256);
	ipc_put_str(&b, c->first->account);
	ipc_put_u64(&b, c->first->epoch);
	c->asking = true;
	if (ipc_call(c->ipc, STORE_EPOCH, &b, -1, ANSWER_MS, on_answer, c, NULL) != 0) {
		c->asking = false;
		loop_timer_set(c->again, AGAIN_MS);
	}
	buf_done(&b);
}

static void
on_again(void *arg)
{
	ask(arg);
}

struct epoch_client *
epoch_client_new(struct loop *l, const char *socket)
{
	struct epoch_client *c = xcalloc(1, sizeof *c);

	c->end = &c->first;
	c->ipc = ipc_client_new(l, socket, &store_proto, IPC_LOOKUP, NULL, NULL);
	c->again = loop_timer_new(l, on_again, c);
	return c;
}

void
epoch_client_free(struct epoch_client *c)
{
	if (c == NULL)
		return;
	ipc_client_free(c->ipc);
	loop_timer_free(c->again);
	while (c->first != NULL)
		drop_first(c);
	free(c);
}

void
epoch_raise(struct epoch_client *c, const char *account, uint64_t epoch)
{
	uint64_t hash = hash_of(account);
	struct raised *r;

	if (epoch == 0 ||
	    (c->known[hash % KNOWN].hash == hash && c->known[hash % KNOWN].epoch == epoch))
		return;
	c->known[hash % KNOWN].hash = hash;
	c->known[hash % KNOWN].epoch = epoch;
	r = xcalloc(1, sizeof *r + strlen(account) + 1);
	memcpy(r->account, account, strlen(account) + 1);
	r->epoch = epoch;
	*c->end = r;
	c->end = &r->next;
	if (++c->n > EPOCH_WAITING_MAX && !c->asking)
		drop_first(c);
	ask(c);
}
