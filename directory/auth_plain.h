/* auth_plain.h: names and passwords in the messages of SASL mechanisms, as they stand there: RFC 4616 (PLAIN), RFC 5802 (SCRAM). Pure. */
#ifndef CV_AUTH_PLAIN_H
#define CV_AUTH_PLAIN_H

#include "lib/buf.h"

/* [authzid] NUL authcid NUL passwd, within message. 0 or ERR_SYNTAX. */
struct auth_plain {
	struct slice authzid, name, password;
};
int auth_plain_parse(struct slice message, struct auth_plain *out);
/* The name in a client's first message of a mechanism, when it can be told without more ado (SCRAM: nobody is acted for, and nothing is escaped). Within
 * it. False: it cannot. */
bool auth_first_name(const char *mech, struct slice message, struct slice *name_out);

#endif
