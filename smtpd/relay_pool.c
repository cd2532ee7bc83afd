/* relay_pool.c: the connections relay has at a time to all destinations together. Runs in relay; pure. Invariants: what takes longer than slow_ms leaves its
 * place to others and has one of the slow places, of which there are as many as there are; to destinations that are not known to answer goes a part
 * of the places alone. So whoever hangs, and however many do, a place for who answers is free within slow_ms. */
#include "config.h"

#include "smtpd/relay_priv.h"

void
relay_pool_init(struct relay_pool *p, unsigned connections, unsigned slow_ms)
{
	*p = (struct relay_pool){.slow_ms = slow_ms, .slow_most = connections / 2};
	p->quick_most = connections - p->slow_most;
	p->unsure_most = p->quick_most / 2;
	p->quick.tail = &p->quick.first;
	p->slow.tail = &p->slow.first;
}

bool
relay_pool_has_room(
    const struct relay_pool *p, bool sure, unsigned promised_unsure, unsigned promised_sure)
{
	bool room = p->quick.n + promised_unsure + promised_sure < p->quick_most;

	return room && (sure || p->n_unsure + promised_unsure < p->unsure_most);
}

static void
list_add(struct relay_pool_list *l, struct relay_job *j)
{
	j->pool_next = NULL;
	j->pool_at = l->tail;
	*l->tail = j;
	l->tail = &j->pool_next;
	l->n++;
}

static void
list_remove(struct relay_pool_list *l, struct relay_job *j)
{
	*j->pool_at = j->pool_next;
	if (j->pool_next != NULL)
		j->pool_next->pool_at = j->pool_at;
	else
		l->tail = j->pool_at;
	l->n--;
}

void
relay_pool_add(struct relay_pool *p, struct relay_job *j, bool sure, uint64_t now)
{
	j->started = now;
	j->unsure = !sure;
	j->slow = false;
	p->n_unsure += j->unsure;
	list_add(&p->quick, j);
}

void
relay_pool_remove(struct relay_pool *p, struct relay_job *j)
{
	if (!j->slow)
		p->n_unsure -= j->unsure;
	list_remove(j->slow ? &p->slow : &p->quick, j);
}

struct relay_job *
relay_pool_age(struct relay_pool *p, uint64_t now)
{
	struct relay_job *j = p->quick.first;

	if (j == NULL || j->started + p->slow_ms > now)
		return NULL;
	relay_pool_remove(p, j);
	j->slow = true;
	list_add(&p->slow, j);
	return j;
}

struct relay_job *
relay_pool_victim(const struct relay_pool *p, bool (*spare)(const struct relay_job *j))
{
	struct relay_job *j = p->slow.first;

	if (p->slow.n <= p->slow_most)
		return NULL;
	while (j != NULL && spare(j))
		j = j->pool_next;
	return j != NULL ? j : p->slow.first;
}
