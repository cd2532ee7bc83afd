/* model.h: the simple model of a person's mailboxes that stored_model_test.c compares stored with. */
#ifndef CV_TEST_MODEL_H
#define CV_TEST_MODEL_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/row.h"

enum { MODEL_BOXES = 5, MODEL_MSGS = 600, MODEL_UIDS = 20000, MODEL_TOTAL = 20000 };

struct model_msg {
	uint32_t uid, n; /* n: which message */
	uint32_t flags;
	unsigned keywords; /* bits: Alpha, beta */
	uint64_t modseq;   /* 0: it changed; its row tells */
	uint64_t size;     /* of the body */
	bool traced;
};
struct model_box {
	bool there;
	char name[16];
	uint64_t id; /* 0: not known yet */
	uint32_t uidvalidity, uidnext;
	uint64_t modseq;
	size_t n;
	struct model_msg msg[MODEL_MSGS]; /* by UID */
};
struct model {
	struct model_box box[MODEL_BOXES]; /* INBOX, Archive, and three that come and go */
	uint32_t next;                     /* number of the next message */
	bool delivered[MODEL_TOTAL];
};

static inline const char *
model_keywords(unsigned v)
{
	static const char *const all[] = {"", "Alpha", "beta", "Alpha beta"};

	return all[v & 3];
}

/* In any order; what is not one of these, or there twice, gives 8. */
static inline unsigned
model_keyword_bits(struct slice v)
{
	for (unsigned i = 0; i < 4; i++)
		if (slice_eq_str(v, model_keywords(i)))
			return i;
	return slice_eq_str(v, "beta Alpha") ? 3 : 8;
}

static inline void
model_make(struct model *m, unsigned b)
{
	static const char *const names[MODEL_BOXES] = {"INBOX", "Archive", "D-2", "D-3", "D-4"};
	struct model_box *box = &m->box[b];

	box->there = true;
	snprintf(box->name, sizeof box->name, "%s", names[b]);
	box->id = 0;
	box->uidnext = 1;
	box->modseq = 0;
	box->n = 0;
}

static inline struct model_msg *
model_find(const struct model_box *box, uint32_t uid)
{
	for (size_t i = 0; i < box->n; i++)
		if (box->msg[i].uid == uid)
			return (struct model_msg *)(uintptr_t)&box->msg[i];
	return NULL;
}

/* Its UID. */
static inline uint32_t
model_add(struct model_box *box, uint32_t n, uint64_t size, bool traced, uint32_t flags,
    unsigned keywords)
{
	box->msg[box->n++] = (struct model_msg){.uid = box->uidnext,
	    .n = n,
	    .flags = flags,
	    .keywords = keywords,
	    .size = size,
	    .traced = traced};
	return box->uidnext++;
}

static inline void
model_remove(struct model_box *box, size_t i)
{
	box->n--;
	memmove(&box->msg[i], &box->msg[i + 1], (box->n - i) * sizeof *box->msg);
}

/* how: enum store_op. */
static inline void
model_change(struct model_msg *m, int how, uint32_t flags, unsigned keywords)
{
	m->flags = how == 0 ? flags : how == 1 ? m->flags | flags : m->flags & ~flags;
	m->keywords = how == 0   ? keywords
		      : how == 1 ? m->keywords | keywords
				 : m->keywords & ~keywords;
}

static inline uint32_t
model_count(const struct model_box *box, uint32_t mask, uint32_t value)
{
	uint32_t n = 0;

	for (size_t i = 0; i < box->n; i++)
		n += (box->msg[i].flags & mask) == value;
	return n;
}

static inline uint64_t
model_octets(const struct model_box *box, size_t trace)
{
	uint64_t n = 0;

	for (size_t i = 0; i < box->n; i++)
		n += box->msg[i].size + (box->msg[i].traced ? trace : 0);
	return n;
}

static inline size_t
model_boxes(const struct model *m)
{
	size_t n = 0;

	for (unsigned b = 0; b < MODEL_BOXES; b++)
		n += m->box[b].there;
	return n;
}

static inline bool
model_is_ours(const struct model *m, struct slice name)
{
	for (unsigned b = 0; b < MODEL_BOXES; b++)
		if (m->box[b].there && slice_eq_str(name, m->box[b].name))
			return true;
	return false;
}

#endif
