/* ledger_certs.h: the certificates that wait for an officer (cert_table.h), as milter-ledger keeps them: who signed well and is not yet in the directory with
 * that certificate. A certificate is there once; what waits is bounded for an address and in all. New ones are written and not synced: a kill loses none, a power
 * cut the last half minute, whose certificates come again with the next mail; what an officer decides is on stable storage. */
#ifndef CV_LEDGER_CERTS_H
#define CV_LEDGER_CERTS_H

#include "milter/cert_table.h"

#include <sys/types.h>

#define CERTS_AT_ONCE 4 /* of one verdict */

/* Reads the file of the folder (NULL: the working one), which stays open. unseen_days: how long what waits is kept after the last mail. 0, ERR_IO. */
int certs_open(const char *folder, uid_t owner, unsigned unseen_days);
void certs_close(void); /* for tests */
enum cert_state certs_state(const unsigned char sha256[32]);
/* A verdict's "harvest": array of entries (cert_table.h; without der: what the milter knows to be there), of which at most CERTS_AT_ONCE count. fn gets for each
 * new one the record of the audit log (taken). What is malformed or has no room is passed over. How many are new. */
typedef void (*certs_new_fn)(struct json *rec);
size_t certs_harvest(const struct json *list, struct slice qid, int64_t now, certs_new_fn fn);
/* An officer's: rec has sha256, state, by, decision, reason. only_look: whether it could be. 0; ERR_EXISTS: it is so already; ERR_NOTFOUND: there is no such
 * certificate; ERR_CONFLICT: not from what it is now; ERR_SYNTAX; ERR_LIMIT; ERR_IO: not done. */
int certs_decide(const struct json *rec, int64_t now, bool only_look);
/* Now and then: counts go into the file, what is over goes, a file of leftovers is written anew. */
void certs_tick(int64_t now);

#endif
