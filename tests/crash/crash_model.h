/* crash_model.h: what the clients of a store know at a moment of the record (the texts of crash_load.c), and whether a store agrees. */
#ifndef CV_CRASH_MODEL_H
#define CV_CRASH_MODEL_H

#include "tests/crash/crash_judge.h"

enum has { HAS_NOT, HAS_MAYBE, HAS };
enum { CRASH_UIDS = 8192 };
struct place { /* of a message in a mailbox */
	uint8_t has;
	uint32_t uid;    /* 0: not told yet */
	uint32_t values; /* bit v: flags and keywords may be v */
};
struct box { /* a mailbox of an account */
	uint8_t has;
	bool renamed, renaming; /* renaming: it may bear the other name already */
	uint32_t uidvalidity;   /* 0: not told yet */
	uint32_t uid_max;
	uint64_t modseq_max;
	uint8_t gone[CRASH_UIDS]; /* UIDs whose removal was answered */
};
struct crash_model {
	struct place p[CRASH_MESSAGES][CRASH_ACCOUNTS][CRASH_BOXES];
	bool submitted[CRASH_MESSAGES][CRASH_ACCOUNTS];
	uint8_t
	    moving[CRASH_MESSAGES]
		  [CRASH_ACCOUNTS]; /* MOVING | from << 3 | to: it must be in just one of the two */
	uint32_t told[CRASH_MESSAGES][CRASH_ACCOUNTS]; /* the UID a delivery was answered with */
	bool delivery[CRASH_MESSAGES];                 /* by its id, not APPEND */
	struct box box[CRASH_ACCOUNTS][CRASH_BOXES];
	unsigned inbox_to[CRASH_ACCOUNTS]; /* INBOX is being renamed to this box; 0: it is not */
	bool account[CRASH_ACCOUNTS];      /* it was told to be there */
	uint32_t validity_max[CRASH_ACCOUNTS];
	uint32_t n; /* messages below this were submitted */
	struct act {
		char what;
		bool open; /* no answer yet */
		unsigned acct, box, to_box, value;
		uint32_t n[CRASH_BATCH];
		unsigned to[2];
		size_t count;
	} * acts; /* by their number */
	size_t n_acts;
};
enum { MOVING = 0x80 };
/* INBOX of the account bears the name of that box now, and there is a new one. */
void model_inbox_renamed(struct crash_model *m, unsigned acct, unsigned box);

#endif
