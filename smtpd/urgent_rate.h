/* urgent_rate.h: how many urgent documents (P32) a login sent in an hour (urgent_per_hour). Pure; in memory alone. */
#ifndef CV_URGENT_RATE_H
#define CV_URGENT_RATE_H

#include <stdint.h>

struct urgent_rate;
/* per_hour: 0: no bound. fatal() for no memory. */
struct urgent_rate *urgent_rate_new(unsigned per_hour);
void urgent_rate_free(struct urgent_rate *r); /* NULL accepted */
/* One more of that login, at that time (ms, any clock that does not go back by more than an hour). 0: counted; ERR_LIMIT: per_hour of them came in the hour
 * before; it is not counted. Beyond 4096 logins that sent one in the last hour the one that did so first begins anew. */
int urgent_rate_take(struct urgent_rate *r, const char *login, int64_t now);
/* The last one that was counted of that login was not taken after all: it counts no more. */
void urgent_rate_back(struct urgent_rate *r, const char *login);

#endif
