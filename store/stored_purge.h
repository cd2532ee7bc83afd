/* stored_purge.h: what stored_task_purge.c (who asks, the record of it) and stored_purge_walk.c (every mailbox) share. For these alone. */
#ifndef CV_STORED_PURGE_H
#define CV_STORED_PURGE_H

#include "store/stored_task.h"
#include "store/stored_walk.h"

enum {
	PURGE_BODIES_MAX = 2000, /* different mails of one request: what its record holds */
	PURGE_PAGE = 200,        /* rows read at once */
	PURGE_NAMES = 500,       /* mailboxes named at once */
	PURGE_PASSES = 5,
};
enum purge_what { PURGE_REQUEST, PURGE_CONFIRM, PURGE_CANCEL, PURGE_LIST };
enum purge_by { PURGE_BY_MESSAGE_ID, PURGE_BY_SHA256, PURGE_BY_BODY };

/* One message of a page that is meant, or may be. */
struct purge_match {
	uint64_t modseq; /* of a retained row; 0: in the mailbox */
	uint32_t uid;
	uint64_t body, size;
	int64_t date;
	bool sure; /* else the Message-ID has to be read from the message */
};
struct purge_sums {
	uint64_t messages, retained, mailboxes, accounts,
	    held; /* held: of both, in accounts under a hold */
	uint64_t
	    unshown; /* messages that the request did not show: they came since, or are of more mails than it holds */
	uint64_t removed, left; /* left: a hold wins, or they are in no account's mailbox */
};
struct purge {
	struct task *t;
	enum purge_what what;
	char by[KEPT_BY_MAX + 1];
	struct json *args; /* of the request under way: kind, value, … */
	uint64_t number;
	/* the record */
	struct buf raw;    /* header of the object */
	struct json *list; /* all requests */
	/* what is meant */
	enum purge_by kind;
	char value[1200]; /* Message-ID or digest */
	uint64_t body;    /* 0: not known */
	bool override;
	/* the walk */
	bool removes;
	struct walk walk;
	unsigned pass;
	uint64_t removed_in_pass;
	bool held, kept_rows, counted_box;
	char (*accounts)[ACCOUNT_ID_MAX + 1]; /* with something that is meant */
	size_t n_accounts;
	struct buf from;
	bool more_rows;
	struct purge_match *page;
	size_t n_page, at_page;
	struct purge_sums sums;
	uint64_t *bodies;
	size_t n_bodies;
	bool bound;      /* only mails in shown are meant: what was confirmed is what was seen */
	uint64_t *shown; /* of the record; sorted */
	size_t n_shown;
	bool fresh;                    /* it is confirmed for the first time */
	void (*over)(struct purge *k); /* the walk is at its end */
	/* the end */
	unsigned tries;
	bool idle;
	size_t n_mails; /* bodies, before those with their texts */
	bool pauses;    /* no texts of documents are read meanwhile */
	size_t at_text; /* bodies whose text was looked for */
	int phase;
};
/* Looks at every mailbox, deleted ones too: tells what is meant (first pass), takes it away (removes); then over is called. A step each. */
void purge_walk_begin(struct purge *k, bool removes, void (*over)(struct purge *k));
void purge_walk_step(struct purge *k);
/* From now on, where a Message-ID says what is meant, those mails alone whose bodies have these numbers: anybody can write a mail with a Message-ID. */
void purge_bind(struct purge *k, const struct json *numbers);
void purge_walk_free(struct purge *k);

#endif
