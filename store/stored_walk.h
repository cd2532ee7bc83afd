/* stored_walk.h: every mailbox of the store, deleted ones among them, one after the other, for tasks that look at all mail (stored_task.h). Runs in
 * stored. Mailboxes come in the order of their numbers, so in no order of accounts; one that is made behind the walk is not met. */
#ifndef CV_STORED_WALK_H
#define CV_STORED_WALK_H

#include "store/stored_task.h"

struct walk {
	struct account *acc; /* of m; referred to until walk_leave */
	struct mbox *m;      /* the mailbox that is looked at; NULL: none */
	/* below: stored_walk.c's own */
	struct task *t;
	char only[ACCOUNT_ID_MAX + 1];
	void (*found)(struct task *t);
	void (*over)(struct task *t);
	struct buf after; /* the mailbox that was looked at last */
	uint64_t *boxes;
	size_t n_boxes, at_box;
	bool more_boxes;
};

/* only: mailboxes of that account alone; "": of all; copied. found: m and acc are set; over: there is no other. */
void walk_init(struct walk *w, struct task *t, const char *only, void (*found)(struct task *t),
    void (*over)(struct task *t));
/* From the first mailbox (again). No mailbox is being looked at. */
void walk_begin(struct walk *w);
/* A step of the task while m is NULL: one read on the way to the next mailbox. It ends in found, in over, in task_next, or in task_end because the store's
 * rows cannot be read. */
void walk_next(struct walk *w);
/* Done with m. */
void walk_leave(struct walk *w);
/* Also of one that was never begun (all zeros). */
void walk_done(struct walk *w);

#endif
