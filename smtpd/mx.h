/* mx.h: in which order the hosts of a domain are tried; pure. RFC 5321 5.1, RFC 7505. */
#ifndef CV_MX_H
#define CV_MX_H

#include "lib/buf.h"

struct mx_host {
	uint16_t pref;
	const char *name;
};
enum mx_verdict {
	MX_OK = 0,
	MX_NULL, /* the domain takes no mail: RFC 7505 */
	MX_SELF, /* the best of them are we: it would go in circles */
};
/* Sorts hosts by preference, equal ones in the order random_u32 gives, drops doubles, and where we (self, a host name) are among
 * them ourselves and all that are no better. *n_io: how many. */
enum mx_verdict mx_order(
    struct mx_host *hosts, size_t *n_io, const char *self, uint32_t (*random_u32)(void));

#endif
