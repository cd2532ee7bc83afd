/* limits.h: how many connections an address and its network hold in this process. Pure. A network is a /24 of IPv4, a /48 of IPv6; an
 * address of IPv6 is its /64, which is what one host is given. */
#ifndef CV_LIMITS_H
#define CV_LIMITS_H

#include "lib/buf.h"

struct limits;
/* 0: no limit. fatal() for no memory. */
struct limits *limits_new(unsigned per_address, unsigned per_network);
void limits_free(struct limits *l); /* NULL accepted */
/* A connection came, from an IP literal without brackets. 0: counted until limits_leave with the same ip; ERR_LIMIT: not counted. What is
 * no IP literal is not limited. */
int limits_enter(struct limits *l, const char *ip);
void limits_leave(struct limits *l, const char *ip);
/* Addresses and networks in memory. */
size_t limits_used(const struct limits *l);

#endif
