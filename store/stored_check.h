/* stored_check.h: what stored_task_check.c (the walk over accounts) and stored_check_mbox.c (one mailbox) share. For these alone. */
#ifndef CV_STORED_CHECK_H
#define CV_STORED_CHECK_H

#include "store/stored_task.h"

struct check_mbox {
	uint64_t id;
	char *name;
};
/* What was seen, for the result. */
struct check_sums {
	uint64_t accounts, mailboxes, messages, octets, rows, faults, warnings, notes;
	uint64_t unsettled; /* mailboxes that changed whenever they were read */
};
struct check {
	struct task *t;
	bool deep, all;
	char account[ACCOUNT_ID_MAX + 1]; /* the one at work */
	char **page;                      /* accounts still to be read, from a listing */
	size_t n_page, at_page;
	struct buf from; /* behind it the next listing begins */
	bool more;
	struct check_mbox *boxes;
	size_t n_boxes, at_box;
	struct check_mbox_run *run; /* the mailbox at work */
	struct check_sums sums;
};
enum check_level { CHECK_NOTE, CHECK_WARNING, CHECK_FAULT };
/* A finding with its level, code, account and mailbox; the caller adds to it. */
struct json *check_finding_new(const struct check *k, enum check_level level, const char *code);
void check_emit_take(struct check *k, struct json *finding); /* counts it too */

/* Reads the mailbox boxes[at_box]; calls check_mbox_over when it is done with. One bounded piece a call, as a task's step. */
void check_mbox_begin(struct check *k);
void check_mbox_step(struct check *k);
void check_mbox_free(struct check *k); /* NULL run accepted */
void check_mbox_over(struct check *k); /* in stored_task_check.c */

#endif
