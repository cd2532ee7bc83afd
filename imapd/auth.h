/* auth.h: one SASL exchange of a client, relayed to lookup. */
#ifndef CV_IMAPD_AUTH_H
#define CV_IMAPD_AUTH_H

#include "lib/buf.h"

#define AUTH_LINE_MAX 12288 /* octets of one answer of the client, base64 */

struct client;
struct cmd;
/* mech: as offered. Answers the command in the end. */
void auth_start(struct cmd *m, const char *mech, bool has_initial, struct slice initial);

/* Whether the client showed a certificate to sign in with (SASL EXTERNAL). */
bool auth_has_cert(const struct client *c);

#endif
