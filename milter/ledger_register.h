/* ledger_register.h: the register of issued documents: which number of an agency and year names which content. */
#ifndef CV_LEDGER_REGISTER_H
#define CV_LEDGER_REGISTER_H

#include "lib/ipc.h"
#include "lib/json.h"

#include <sys/types.h>

#define LEDGER_REGISTER_FILE "register.jsonl" /* in ledger_dir */

enum ledger_registered {
	REGISTERED_NEW = 1,   /* the number is free */
	REGISTERED_SAME = 2,  /* it names this content */
	REGISTERED_OTHER = 3, /* it names another content */
};
/* What was found of a number. */
struct ledger_entry {
	enum ledger_registered state;
	char qid[64], ts[40]; /* of the entry that is there */
};

/* ledger_register.c, in milter-ledger: reads the file of the working folder (from, a folder: NULL), which stays open for appending. 0, ERR_IO,
 * ERR_CORRUPT: a line that is no entry (only the last may be torn). */
int register_open(const char *folder, uid_t owner);
/* Looks at an entry's key and sha256. ERR_SYNTAX: it has not what an entry needs. */
int register_ask(const struct json *entry, struct ledger_entry *out);
/* Appends it, with its time, durably. 0, ERR_IO, ERR_FULL. */
int register_add(struct json *entry, const char *ts);

/* ledger_register_client.c, in milter's threads. json: the entry. *out as far as the answer has it; entered: NEW. */
int ledger_register_sync(
    struct ipc_sync *s, bool add, struct slice json, unsigned timeout_ms, struct ledger_entry *out);

#endif
