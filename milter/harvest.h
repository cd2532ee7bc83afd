/* harvest.h: the certificates of who signs well: what the ledger knows of them (banned, published, waiting), and those that it is offered. RFC 8551 2.3: mail is
 * where clients learn certificates; here an officer looks at them first (congvu cert). */
#ifndef CV_HARVEST_H
#define CV_HARVEST_H

#include "lib/ipc.h"
#include "lib/json.h"
#include "milter/rule.h"

/* Of each signature of a message, in their order, and of the certificates for encryption that came along: enum cert_state. */
struct harvest {
	unsigned char states[FINDINGS_SIGS_MAX], others[FINDINGS_OTHERS_MAX];
};
/* Asks about the certificates of valid signatures, unless it is remembered (for ten seconds). 0, or what the ledger's connection says. */
int harvest_ask(
    struct harvest *h, struct ipc_sync *ledger, const struct findings *f, unsigned timeout_ms);
/* "serial 1A2B, CN=..." of the first banned one, in the arena; empty: none. */
struct slice harvest_banned(const struct harvest *h, struct findings *f);
/* Of a mail that goes on: the entries of cert_table.h for the signers whose signature is good in every way, revocation known, that are bound to an author and
 * are not in the directory for who has that address; and for the certificates for encryption alone that came along and are bound to one likewise. NULL: none. */
struct json *harvest_entries(const struct harvest *h, const struct rule_facts *f);
/* The ledger has them: they need not be asked about, nor shown it again, for a while. */
void harvest_told(const struct json *entries);

#endif
