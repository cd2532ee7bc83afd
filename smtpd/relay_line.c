/* relay_line.c: the jobs that wait for a destination: urgent ones (P32) pass others, as far as these do not starve. Pure; runs in relay. Invariants: at most
 * RELAY_URGENT_RUN urgent jobs are put before the others from one of these to the next; how many may wait is bounded for both. */
#include "config.h"

#include "smtpd/relay_priv.h"

void
relay_line_init(struct relay_line *l)
{
	*l = (struct relay_line){.tail = &l->first};
}

void
relay_line_add(struct relay_line *l, struct relay_job *j)
{
	struct relay_job **at = l->tail;

	if (j->urgent && l->passed < RELAY_URGENT_RUN) {
		for (at = &l->first; *at != NULL && (*at)->urgent; at = &(*at)->next)
			;
		l->passed += *at != NULL;
	}
	j->next = *at;
	*at = j;
	if (j->next == NULL)
		l->tail = &j->next;
	l->n++;
}

struct relay_job *
relay_line_take(struct relay_line *l)
{
	struct relay_job *j = l->first;

	if (j == NULL)
		return NULL;
	l->first = j->next;
	if (l->first == NULL)
		l->tail = &l->first;
	l->n--;
	if (!j->urgent)
		l->passed = 0;
	return j;
}

bool
relay_line_is_full(const struct relay_line *l, unsigned most, bool urgent)
{
	return l->n >= (urgent ? 2 * most : most);
}
