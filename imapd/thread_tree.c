/* thread_tree.c: threads messages, step by step as RFC 5256 section 3 numbers them. Runs in imapd-session; pure.
 * Invariants: no recursion (a thread may be as deep as the mailbox is long); parents make no loop; memory comes from the arena, time is that of
 * sorting but for the looks at ancestors, which THREAD_STEPS_MAX bounds. */
#include "config.h"

#include "imapd/thread_tree.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

#define NONE UINT32_MAX

/* Node 0 … n-1 is message 0 … n-1, behind them the dummies; the last one is the root. */
struct node {
	uint32_t parent, child, next; /* next: sibling */
	uint32_t n_links;             /* children while links are made */
};
struct tree {
	const struct thread_msg *msgs;
	size_t n_msgs, n, room;
	struct node *nodes;
	struct arena *a;
	/* Message-ID → node: open addressing */
	uint64_t *ids;
	uint32_t *id_node;
	size_t mask;
	uint32_t steps, probes;
	uint32_t root;
	uint32_t *scratch; /* room of them */
};

static bool
is_dummy(const struct tree *t, uint32_t i)
{
	return i >= t->n_msgs;
}

/* ---- Message-IDs ---- */

static uint64_t
ref_at(struct slice refs, size_t i)
{
	uint64_t v = 0;
	for (size_t k = 0; k < 8; k++)
		v = v << 8 | refs.ptr[i * 8 + k];
	return v;
}

/* Who writes ids and subjects that meet in a table makes its search long: bounded as the looks at ancestors are. */
static bool
may_probe(struct tree *t)
{
	return t->probes < THREAD_STEPS_MAX && ++t->probes;
}

/* The place of the id in the table; its node is NONE when it is new. */
static size_t
id_slot(struct tree *t, uint64_t id)
{
	uint64_t h = (id ^ id >> 30) * 0xbf58476d1ce4e5b9u;
	h = (h ^ h >> 27) * 0x94d049bb133111ebu;
	size_t i = (size_t)(h ^ h >> 31) & t->mask;
	while (t->id_node[i] != NONE && t->ids[i] != id && may_probe(t))
		i = (i + 1) & t->mask;
	return i;
}

static uint32_t
node_of_id(struct tree *t, uint64_t id)
{
	size_t at = id_slot(t, id);
	if (t->id_node[at] == NONE) {
		t->ids[at] = id;
		t->id_node[at] = (uint32_t)t->n;
		t->nodes[t->n++] = (struct node){NONE, NONE, NONE, 0};
	}
	return t->id_node[at];
}

static int
tree_init(struct tree *t, const struct thread_msg *msgs, size_t n, struct arena *a)
{
	size_t refs = 0, slots = 16;
	memset(t, 0, sizeof(*t));
	for (size_t i = 0; i < n; i++)
		refs += msgs[i].refs.len / 8;
	/* one node for a message and each reference, one for each thread merged by subject, the root */
	t->room = n + refs + n + 1;
	while (slots < 2 * (n + refs + 1))
		slots *= 2;
	if (t->room >= NONE)
		return ERR_NOMEM;
	t->msgs = msgs;
	t->n_msgs = t->n = n;
	t->a = a;
	t->mask = slots - 1;
	t->nodes = arena_calloc(a, t->room, sizeof(*t->nodes));
	t->ids = arena_calloc(a, slots, sizeof(*t->ids));
	t->id_node = arena_calloc(a, slots, sizeof(*t->id_node));
	if (t->nodes == NULL || t->ids == NULL || t->id_node == NULL)
		return ERR_NOMEM;
	memset(t->id_node, 0xff, slots * sizeof(*t->id_node));
	for (size_t i = 0; i < n; i++) {
		t->nodes[i] = (struct node){NONE, NONE, NONE, 0};
		uint64_t id = msgs[i].refs.len >= 8 ? ref_at(msgs[i].refs, 0) : 0;
		/* No id, or one that an earlier message has: a unique one, which nothing can refer to. */
		if (id == 0)
			continue;
		size_t at = id_slot(t, id);
		if (t->id_node[at] == NONE) {
			t->ids[at] = id;
			t->id_node[at] = (uint32_t)i;
		}
	}
	return 0;
}

/* ---- (1) links ---- */

/* Whether child may be put below parent: it must not be above it, nor be it. */
static bool
may_link(struct tree *t, uint32_t parent, uint32_t child)
{
	if (parent == child)
		return false;
	if (t->nodes[child].n_links == 0)
		return true;
	for (uint32_t up = parent; up != NONE; up = t->nodes[up].parent) {
		if (up == child || ++t->steps > THREAD_STEPS_MAX)
			return false;
	}
	return true;
}

static void
link_to(struct tree *t, uint32_t parent, uint32_t child)
{
	t->nodes[child].parent = parent;
	t->nodes[parent].n_links++;
}

static void
link_message(struct tree *t, uint32_t i)
{
	const struct thread_msg *m = &t->msgs[i];
	uint32_t last = NONE;
	/* (A) */
	for (size_t k = 1; k < m->refs.len / 8; k++) {
		uint32_t ref = node_of_id(t, ref_at(m->refs, k));
		if (last != NONE && t->nodes[ref].parent == NONE && may_link(t, last, ref))
			link_to(t, last, ref);
		last = ref;
	}
	/* (B) */
	if (t->nodes[i].parent != NONE && t->nodes[i].parent != last) {
		t->nodes[t->nodes[i].parent].n_links--;
		t->nodes[i].parent = NONE;
	}
	if (last != NONE && t->nodes[i].parent == NONE && may_link(t, last, i))
		link_to(t, last, i);
}

/* (2) The children of each node, in the order of their numbers; those without a parent below the root. */
static void
gather(struct tree *t)
{
	t->root = (uint32_t)t->n;
	t->nodes[t->n++] = (struct node){NONE, NONE, NONE, 0};
	for (uint32_t i = t->root; i-- > 0;) {
		struct node *c = &t->nodes[i];
		if (c->parent == NONE)
			c->parent = t->root;
		c->next = t->nodes[c->parent].child;
		t->nodes[c->parent].child = i;
	}
}

/* Nodes below top, each before its children, into order: their number. */
static size_t
preorder(const struct tree *t, uint32_t top, uint32_t *order)
{
	size_t n = 0;
	uint32_t at = t->nodes[top].child;
	while (at != NONE) {
		order[n++] = at;
		if (t->nodes[at].child != NONE) {
			at = t->nodes[at].child;
			continue;
		}
		while (at != NONE && at != top && t->nodes[at].next == NONE)
			at = t->nodes[at].parent;
		at = at == NONE || at == top ? NONE : t->nodes[at].next;
	}
	return n;
}

/* (3) The children of one node without the dummies among them. Those further down are gone already. */
static void
prune_children(struct tree *t, uint32_t up)
{
	uint32_t *at = &t->nodes[up].child;
	while (*at != NONE) {
		uint32_t c = *at;
		struct node *d = &t->nodes[c];
		bool one = d->child != NONE && t->nodes[d->child].next == NONE;
		if (!is_dummy(t, c) || (up == t->root && d->child != NONE && !one)) {
			at = &d->next;
			continue;
		}
		/* its children take its place */
		*at = d->child;
		while (*at != NONE) {
			t->nodes[*at].parent = up;
			at = &t->nodes[*at].next;
		}
		*at = d->next;
	}
}

static void
prune(struct tree *t)
{
	size_t n = preorder(t, t->root, t->scratch);
	for (size_t i = n; i-- > 0;)
		prune_children(t, t->scratch[i]);
	prune_children(t, t->root);
}

/* ---- sorting ---- */

/* The message that a node is sorted by: a dummy's first child, which is a message. */
static const struct thread_msg *
sort_msg(const struct tree *t, uint32_t i)
{
	return &t->msgs[is_dummy(t, i) ? t->nodes[i].child : i];
}

static int
by_date(const void *x, const void *y, void *arg)
{
	const struct tree *t = arg;
	const struct thread_msg *a = sort_msg(t, *(const uint32_t *)x);
	const struct thread_msg *b = sort_msg(t, *(const uint32_t *)y);
	if (a->sent != b->sent)
		return a->sent < b->sent ? -1 : 1;
	return a < b ? -1 : a > b; /* the order of the mailbox */
}

/* kids: room for the children. */
static void
sort_children(struct tree *t, uint32_t up, uint32_t *kids)
{
	size_t n = 0;
	for (uint32_t c = t->nodes[up].child; c != NONE; c = t->nodes[c].next)
		kids[n++] = c;
	if (n < 2)
		return;
	qsort_r(kids, n, sizeof(*kids), by_date, t);
	for (size_t i = 0; i < n; i++)
		t->nodes[kids[i]].next = i + 1 < n ? kids[i + 1] : NONE;
	t->nodes[up].child = kids[0];
}

/* (4) */
static void
sort_root(struct tree *t)
{
	for (uint32_t c = t->nodes[t->root].child; c != NONE; c = t->nodes[c].next)
		if (is_dummy(t, c))
			sort_children(t, c, t->scratch);
	sort_children(t, t->root, t->scratch);
}

/* ---- (5) subjects ---- */

struct subject {
	struct slice text;
	uint32_t node; /* NONE: free */
};

static uint64_t
text_hash(struct slice s)
{
	uint64_t h = 14695981039346656037u;
	for (size_t i = 0; i < s.len; i++)
		h = (h ^ s.ptr[i]) * 1099511628211u;
	return h ^ h >> 32;
}

static struct subject *
subject_slot(struct tree *t, struct subject *table, size_t mask, struct slice text)
{
	size_t i = (size_t)text_hash(text) & mask;
	while (table[i].node != NONE && !slice_eq(table[i].text, text) && may_probe(t))
		i = (i + 1) & mask;
	return &table[i];
}

static bool
is_reply(const struct tree *t, uint32_t i)
{
	return !is_dummy(t, i) && t->msgs[i].is_reply;
}

/* (B) */
static void
fill_subjects(struct tree *t, struct subject *table, size_t mask)
{
	for (uint32_t c = t->nodes[t->root].child; c != NONE; c = t->nodes[c].next) {
		struct slice text = sort_msg(t, c)->subject;
		if (text.len == 0)
			continue;
		struct subject *s = subject_slot(t, table, mask, text);
		if (s->node == NONE ||
		    (!is_dummy(t, s->node) &&
			(is_dummy(t, c) || (is_reply(t, s->node) && !is_reply(t, c)))))
			*s = (struct subject){text, c};
	}
}

static void
add_child(struct tree *t, uint32_t up, uint32_t c)
{
	t->nodes[c].parent = up;
	t->nodes[c].next = t->nodes[up].child;
	t->nodes[up].child = c;
}

/* (C) of one child of the root: what stands in its place afterwards, NONE: nothing. */
static uint32_t
merge(struct tree *t, uint32_t c, struct subject *s)
{
	if (is_dummy(t, s->node) && is_dummy(t, c)) {
		for (uint32_t k = t->nodes[c].child, next; k != NONE; k = next) {
			next = t->nodes[k].next;
			add_child(t, s->node, k);
		}
		t->nodes[c].child = NONE;
		return NONE;
	}
	if (is_dummy(t, s->node) || (is_reply(t, c) && !is_reply(t, s->node))) {
		add_child(t, s->node, c);
		return NONE;
	}
	/* Both below a new dummy, which stands where the first of them stood. */
	uint32_t d = (uint32_t)t->n++;
	t->nodes[d] = (struct node){t->root, NONE, NONE, 0};
	t->scratch[s->node] = d;
	add_child(t, d, s->node);
	add_child(t, d, c);
	s->node = d;
	return NONE;
}

static int
merge_subjects(struct tree *t)
{
	size_t slots = 16, n_root = 0;
	for (uint32_t c = t->nodes[t->root].child; c != NONE; c = t->nodes[c].next)
		n_root++;
	while (slots < 2 * n_root)
		slots *= 2;
	struct subject *table = arena_calloc(t->a, slots, sizeof(*table));
	uint32_t *kids = arena_calloc(t->a, n_root + 1, sizeof(*kids));
	if (table == NULL || kids == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < slots; i++)
		table[i].node = NONE;
	fill_subjects(t, table, slots - 1);
	n_root = 0;
	for (uint32_t c = t->nodes[t->root].child; c != NONE; c = t->nodes[c].next)
		kids[n_root++] = c;
	/* scratch: by which dummy a child of the root was replaced */
	memset(t->scratch, 0xff, t->room * sizeof(*t->scratch));
	size_t kept = 0;
	for (size_t i = 0; i < n_root; i++) {
		uint32_t c = kids[i];
		struct slice text = sort_msg(t, c)->subject;
		struct subject *s = text.len > 0 ? subject_slot(t, table, slots - 1, text) : NULL;
		/* one that a dummy took in before its turn came is merged already */
		if (s == NULL || s->node == c || t->nodes[c].parent != t->root)
			kids[kept++] = c;
		else
			merge(t, c, s);
	}
	uint32_t *at = &t->nodes[t->root].child;
	for (size_t i = 0; i < kept; i++) {
		uint32_t c = t->scratch[kids[i]] != NONE ? t->scratch[kids[i]] : kids[i];
		t->nodes[c].parent = t->root;
		*at = c;
		at = &t->nodes[c].next;
	}
	*at = NONE;
	return 0;
}

/* (6) Children before parents, so that a dummy's first child is known when it is compared. */
static void
sort_all(struct tree *t, uint32_t *kids)
{
	size_t n = preorder(t, t->root, t->scratch);
	for (size_t i = n; i-- > 0;)
		sort_children(t, t->scratch[i], kids);
	sort_children(t, t->root, kids);
}

/* ---- the answer ---- */

/* BASE.7.2.THREAD: members in a row while there is one child; brackets where there are more. */
static int
write_tree(const struct tree *t, struct buf *out)
{
	uint32_t at = t->nodes[t->root].child;
	while (at != NONE && out->err == 0) {
		bool only = t->nodes[at].next == NONE && t->nodes[t->nodes[at].parent].child == at;
		uint32_t up = t->nodes[at].parent;
		/* The only child goes on in its parent's row, but for the threads themselves. */
		if (!only || up == t->root) {
			if (up != t->root && !is_dummy(t, up) && t->nodes[up].child == at)
				buf_append_byte(out, ' ');
			buf_append_byte(out, '(');
		} else if (!is_dummy(t, up)) {
			buf_append_byte(out, ' ');
		}
		if (!is_dummy(t, at))
			buf_appendf(out, "%u", t->msgs[at].number);
		if (t->nodes[at].child != NONE) {
			at = t->nodes[at].child;
			continue;
		}
		/* up to where a sibling waits, closing what was opened */
		for (;;) {
			up = t->nodes[at].parent;
			only = t->nodes[at].next == NONE && t->nodes[up].child == at;
			if (!only || up == t->root)
				buf_append_byte(out, ')');
			if (t->nodes[at].next != NONE || up == t->root)
				break;
			at = up;
		}
		at = t->nodes[at].next;
	}
	return out->err;
}

int
thread_references(const struct thread_msg *msgs, size_t n, struct arena *a, struct buf *out)
{
	struct tree t;
	int err = tree_init(&t, msgs, n, a);
	if (err)
		return err;
	for (uint32_t i = 0; i < n; i++)
		link_message(&t, i);
	if (t.probes >= THREAD_STEPS_MAX)
		return ERR_LIMIT;
	gather(&t);
	t.scratch = arena_calloc(a, t.room, sizeof(*t.scratch));
	uint32_t *kids = arena_calloc(a, t.room, sizeof(*kids));
	if (t.scratch == NULL || kids == NULL)
		return ERR_NOMEM;
	prune(&t);
	sort_root(&t);
	err = merge_subjects(&t);
	if (err)
		return err;
	if (t.probes >= THREAD_STEPS_MAX)
		return ERR_LIMIT;
	sort_all(&t, kids);
	return write_tree(&t, out);
}

/* ---- ORDEREDSUBJECT ---- */

static int
by_subject_date(const void *x, const void *y)
{
	const struct thread_msg *a = *(const struct thread_msg *const *)x,
				*b = *(const struct thread_msg *const *)y;
	int r = slice_cmp(a->subject, b->subject);
	if (r != 0)
		return r;
	if (a->sent != b->sent)
		return a->sent < b->sent ? -1 : 1;
	return a < b ? -1 : a > b;
}

struct run {
	const struct thread_msg **first;
	size_t n;
};

static int
by_first(const void *x, const void *y)
{
	const struct thread_msg *a = *((const struct run *)x)->first;
	const struct thread_msg *b = *((const struct run *)y)->first;
	if (a->sent != b->sent)
		return a->sent < b->sent ? -1 : 1;
	return a < b ? -1 : a > b;
}

int
thread_ordered_subject(const struct thread_msg *msgs, size_t n, struct arena *a, struct buf *out)
{
	const struct thread_msg **sorted = arena_calloc(a, n + 1, sizeof(*sorted));
	struct run *runs = arena_calloc(a, n + 1, sizeof(*runs));
	size_t n_runs = 0;
	if (sorted == NULL || runs == NULL)
		return ERR_NOMEM;
	for (size_t i = 0; i < n; i++)
		sorted[i] = &msgs[i];
	if (n > 1)
		qsort(sorted, n, sizeof(*sorted), by_subject_date);
	for (size_t i = 0; i < n; i++) {
		if (i > 0 && slice_eq(sorted[i]->subject, sorted[i - 1]->subject))
			runs[n_runs - 1].n++;
		else
			runs[n_runs++] = (struct run){&sorted[i], 1};
	}
	if (n_runs > 1)
		qsort(runs, n_runs, sizeof(*runs), by_first);
	for (size_t i = 0; i < n_runs; i++) {
		const struct run *r = &runs[i];
		buf_appendf(out, "(%u", r->first[0]->number);
		for (size_t k = 1; k < r->n; k++)
			buf_appendf(out, r->n == 2 ? " %u" : (k == 1 ? " (%u)" : "(%u)"),
			    r->first[k]->number);
		buf_append_byte(out, ')');
	}
	return out->err;
}
