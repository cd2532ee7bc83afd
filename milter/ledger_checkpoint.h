/* ledger_checkpoint.h: when milter-ledger has the end of its chain signed by milter-sign, and where the signature goes. */
#ifndef CV_LEDGER_CHECKPOINT_H
#define CV_LEDGER_CHECKPOINT_H

#include "lib/json.h"
#include "lib/loop.h"
#include "milter/audit.h"

/* Before the sandbox: reads the options and opens the folder of the sockets. record takes the checkpoint's record for the chain. */
void checkpoint_init(struct loop *l, void (*record)(struct json *rec));
/* After every sync: the end of what is on stable storage, and how many records other than checkpoints have come since the start. */
void checkpoint_durable(const struct audit_chain *last, uint64_t records);

#endif
