/* stored_check.h: what the files of the tasks "check" and "repair" share: stored_task_check.c (the walk over accounts), stored_check_mbox.c
 * (reading one mailbox), stored_check_rows.c (what its rows say), stored_repair.c. For these alone. */
#ifndef CV_STORED_CHECK_H
#define CV_STORED_CHECK_H

#include "store/stored_task.h"

struct check_mbox {
	uint64_t id;
	char *name;
};
/* What was seen, for the result. */
struct check_sums {
	uint64_t accounts, mailboxes, messages, octets, rows, bodies, faults, warnings, notes;
	uint64_t unsettled; /* mailboxes that changed whenever they were read */
	uint64_t mended;    /* by a repair, or that one would mend */
	uint64_t left;      /* faults that a repair does not mend, or could not now */
};
struct check {
	struct task *t;
	bool deep, all, repair, dry_run;
	char account[ACCOUNT_ID_MAX + 1]; /* the one at work */
	char **page;                      /* accounts still to be read, from a listing */
	size_t n_page, at_page;
	struct buf from; /* behind it the next listing begins */
	bool more;
	struct check_mbox *boxes;
	size_t n_boxes, at_box;
	struct buf
	    bad_keys; /* of the account: rows that a repair makes anew or drops, NUL after each */
	struct check_mbox_run *run; /* the mailbox at work */
	uint64_t *sound;            /* bodies found good, a bit each */
	size_t n_sound;             /* of its words */
	struct check_names *names;  /* stored_check_names.c; NULL: none yet */
	struct check_sums sums;
};
enum check_level { CHECK_NOTE, CHECK_WARNING, CHECK_FAULT };
/* A finding with its level, code, account and mailbox; the caller adds to it. */
struct json *check_finding_new(const struct check *k, enum check_level level, const char *code);
void check_emit_take(struct check *k, struct json *finding); /* counts it too */
bool check_body_known(const struct check *k, uint64_t body);
void check_body_sound(struct check *k, uint64_t body);
/* A read of the backend itself failed: the task ends. */
bool check_failed(struct check *k, int err);

/* ---- stored_check_names.c ---- */

void check_names_add(struct check *k, uint64_t id); /* a mailbox that an account names */
/* When all accounts were read: a bounded piece, as a task's step; false: there is no more, and nothing was done. */
bool check_names_step(struct check *k);
void check_names_free(struct check *k);

/* ---- one mailbox ---- */

/* A message, as its row and as its change row have it. */
struct check_msg {
	uint32_t uid, flags;
	uint64_t modseq, size;
};
/* A message whose body is still to be looked at. */
struct check_ref {
	uint32_t uid;
	uint64_t body, size; /* of the body alone */
	char *message_id;    /* or NULL */
};
enum check_phase { P_HEAD, P_ROWS, P_BODIES, P_SUMMARIES, P_HEAD_AGAIN, P_EMIT };
struct check_mbox_run {
	enum check_phase phase;
	char object[OBJECT_ID_MAX];
	unsigned tries;
	struct buf raw, from;
	struct mbox_head h;
	bool head_v1;
	struct mbox_head seen; /* what the rows add up to */
	uint32_t max_uid;
	uint64_t max_modseq, rows, bodies;
	bool head_bad;      /* the header cannot be read; a repair makes it anew */
	uint32_t max_given; /* the highest UID that any row knows of */
	struct buf keywords;
	struct buf bad_keys;   /* NUL after each: rows that a repair drops */
	uint32_t bad_expunged; /* of these "x/" */
	uint64_t bad_modseq;   /* the highest of these */
	struct buf
	    unread; /* u32 UIDs: rows of messages that cannot be read; the header counts them */
	struct check_msg *msgs, *changes; /* by UID; by mod-sequence */
	size_t n_msgs, n_changes, msgs_alloc, changes_alloc;
	struct buf expunged; /* u32 each */
	struct check_ref *refs;
	size_t n_refs, at_ref, upto_ref;
	bool more;
	struct json **found; /* emitted when the mailbox was read whole */
	size_t n_found, at_found;
	bool kept_unread;
	bool mendable; /* a repair would change something */
};
/* Reads the mailbox boxes[at_box]; calls check_mbox_over when it is done with. One bounded piece a call, as a task's step. */
void check_mbox_begin(struct check *k);
void check_mbox_step(struct check *k);
void check_mbox_free(struct check *k); /* NULL run accepted */
void check_mbox_over(struct check *k); /* in stored_task_check.c */
/* Mends it after it was read whole; calls check_mbox_over. stored_repair.c */
void check_mend(struct check *k);
/* The rows of the account in bad_keys, and its header; calls task_next. */
void check_mend_account(struct check *k);
void check_mend_account_head(struct check *k, backend_done_fn fn);
void check_found_take(struct check *k, struct json *finding);

/* ---- stored_check_rows.c ---- */

/* What one row says: added to run. */
void check_row(struct check *k, const struct kv_pair *row);
bool check_is_unread(const struct check_mbox_run *m, uint32_t uid);
/* All rows are read: what they say together, against the header. */
void check_rows_compare(struct check *k);

#endif
