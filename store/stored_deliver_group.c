/* stored_deliver_group.c: MULTIAPPEND: the parts wait with their connection, then all of them are one batch. Runs in stored. RFC 3502. */
#include "store/stored_deliver_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"

enum { GROUPS_MAX = 64, PARTS_MAX = 1000 };

struct append_group {
	struct append_group *next;
	struct deliver *first, **end;
	uint32_t n;
};

static void
group_free(struct append_group *g)
{
	struct deliver *d;

	while ((d = g->first) != NULL) {
		g->first = d->next;
		deliver_free(d);
	}
	free(g);
}

void
append_groups_free(struct conn *c)
{
	struct append_group *g;

	while ((g = c->groups) != NULL) {
		c->groups = g->next;
		group_free(g);
	}
}

/* Takes the group of d out of the connection's list; NULL when there is none. */
static struct append_group *
group_take(struct deliver *d)
{
	for (struct append_group **at = &d->c->groups; *at != NULL; at = &(*at)->next) {
		struct append_group *g = *at;

		if (memcmp(g->first->group, d->group, sizeof d->group) == 0 &&
		    g->first->mailbox == d->mailbox &&
		    g->first->s->accounts[0].acc == d->s->accounts[0].acc) {
			*at = g->next;
			return g;
		}
	}
	return NULL;
}

static void
on_group_appended(struct op *op)
{
	struct append_group *g = op->arg;
	struct deliver *last = g->first;
	int err = op->err;

	while (last->next != NULL)
		last = last->next;
	if (err != 0)
		req_err(&last->r, err, "append");
	else
		append_tell(last, op->m->h.uidvalidity, op->msgs[0].uid);
	op_free(op);
	group_free(g);
}

static void
group_insert(struct append_group *g, struct mbox *m, const char *rights)
{
	struct op *op =
	    op_new(OP_INSERT, m, (size_t)g->n * 1024 + DELIVER_OP_MEM, on_group_appended, g);
	uint32_t mask = rights_flags(rights);
	size_t i = 0;

	op->msgs = arena_calloc(op->mem, g->n, sizeof *op->msgs);
	if (op->msgs == NULL)
		fatal("no memory");
	op->n_msgs = g->n;
	for (struct deliver *d = g->first; d != NULL; d = d->next, i++) {
		struct new_msg *n = &op->msgs[i];

		n->row = d->row;
		n->row.flags &= mask;
		n->row.keywords = (mask & RIGHTS_KEYWORDS) != 0 ? d->keywords : slice_str("");
	}
	/* the group's id goes with the first: sent again, the whole is found by it */
	op->msgs[0].has_id = true;
	memcpy(op->msgs[0].id, g->first->group, sizeof op->msgs[0].id);
	op_start(op);
}

/* A part came after its group was lost with a connection; perhaps all of it went in before. */
static void
on_group_seen(void *arg, int err, struct slice value)
{
	append_seen(arg, err, value, ERR_UNKNOWN);
}

void
append_part(struct deliver *d, struct mbox *m, const char *rights)
{
	struct append_group *g = group_take(d);
	struct backend *be = m->acc->st->be;
	char key[KEY_MAX];
	unsigned n = 0;

	if (d->index != (g == NULL ? 0 : g->n) || d->index >= PARTS_MAX || d->c->closed) {
		if (g != NULL)
			group_free(g);
		must(be->ops->get(be, slice_str(m->object),
		    key_id(key, 'd', d->group, sizeof d->group), on_group_seen, d));
		return;
	}
	if (g == NULL) {
		g = xcalloc(1, sizeof *g);
		g->end = &g->first;
	}
	*g->end = d;
	g->end = &d->next;
	g->n++;
	if (d->last) {
		group_insert(g, m, rights);
		return;
	}
	g->next = d->c->groups;
	d->c->groups = g;
	/* what was given up in the middle goes when others need the room */
	for (struct append_group **at = &g->next; *at != NULL; at = &(*at)->next)
		if (++n == GROUPS_MAX) {
			struct append_group *old = *at;

			*at = old->next;
			group_free(old);
			break;
		}
	append_tell(d, m->h.uidvalidity, 0);
}
