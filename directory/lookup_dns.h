/* lookup_dns.h: the DNS requests of lookup. For lookup.c alone. */
#ifndef CV_LOOKUP_DNS_H
#define CV_LOOKUP_DNS_H

#include "directory/dns.h"
#include "lib/ipc.h"

/* LOOKUP_MX and LOOKUP_HOST. dns NULL: everything is ERR_TEMP. 0, or ERR_PROTO to end the sender. */
int lookup_dns_request(
    struct dns *dns, struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r);

#endif
