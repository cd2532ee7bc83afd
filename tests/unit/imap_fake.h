/* imap_fake.h: what the fakes behind an imapd-session under test share: imap_fake_store.c stands for stored and ingest, imap_fake_login.c for
 * lookup, imap_fake_server.c is the program. */
#ifndef CV_IMAP_FAKE_H
#define CV_IMAP_FAKE_H

#include "store/ingest_client.h"
#include "store/store_client.h"

/* Tickets of the fake: "account" or "account +share-account share-name rights" (one share). */
/* All sessions hear that stored was restarted. */
void fake_store_restart(struct store_client *c);
/* From now on, until told again, no look at a mailbox comes through; all else does. */
void fake_store_away(void);

#endif
