/* dns_rdata.h: what stands in DNS records, as bytes; pure, no I/O. RFC 1035 3.1, 3.3.9; RFC 5321 5.1. */
#ifndef CV_DNS_RDATA_H
#define CV_DNS_RDATA_H

#include "lib/buf.h"

/* An uncompressed name of the wire ("\3www\2vn\0") at the start of in, as text: lower case, no dot at its end; the root is "". *used_out:
 * its bytes. Only letters, digits, "-" and "_" can be names of hosts: ERR_SYNTAX for any other; ERR_LIMIT past 253 octets. Appended
 * to out. */
int dns_name_text(struct slice in, size_t *used_out, struct buf *out);
/* An MX record: preference and host ("" for the null MX, RFC 7505), appended to host_out. All of rdata is read. */
int dns_mx_parse(struct slice rdata, uint16_t *pref_out, struct buf *host_out);
/* An A (4 octets) or AAAA record (16) as text. ERR_SYNTAX for other lengths. */
int dns_addr_text(struct slice rdata, struct buf *out);

#endif
