/* crash_model.h: what the clients of a store know at a moment of the record (the texts of crash_load.c), and whether a store agrees. */
#ifndef CV_CRASH_MODEL_H
#define CV_CRASH_MODEL_H

#include <stdbool.h>

#include "lib/buf.h"
#include "tests/crash/crash.h"

enum has { HAS_NOT, HAS_MAYBE, HAS };
struct place { /* of a message in a mailbox */
	uint8_t has;
	uint32_t uid;   /* 0: not told yet */
	uint32_t flags; /* bit v: the flags may be v */
};
struct crash_model {
	struct place p[CRASH_MESSAGES][CRASH_ACCOUNTS][CRASH_BOXES];
	bool submitted[CRASH_MESSAGES][CRASH_ACCOUNTS];
	bool moving[CRASH_MESSAGES][CRASH_ACCOUNTS]; /* it must be in one of the two */
	uint32_t uid_max[CRASH_ACCOUNTS][CRASH_BOXES];
	uint64_t modseq_max[CRASH_ACCOUNTS][CRASH_BOXES];
	uint32_t n; /* messages below this were submitted */
	struct act {
		char what;
		unsigned acct, box, flags;
		uint32_t n[CRASH_BATCH];
		unsigned to[2];
		size_t count;
	} * acts; /* by their number */
	size_t n_acts;
};
void model_text(struct crash_model *m, struct slice text);
/* Opens the store in dir as stored does, reads all of it and compares. Ends it again when close is set. 0, or -1 after words on standard
 * error; it may also end the process. */
int model_verify(const struct crash_model *m, const char *dir, bool close);

#endif
