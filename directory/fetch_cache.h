/* fetch_cache.h: answers fetch remembers, and origins that failed just now. Bounded in bytes, the longest unused goes first. One
 * thread (fetch's loop); times are the caller's, seconds since 1970. */
#ifndef CV_FETCH_CACHE_H
#define CV_FETCH_CACHE_H

#include "directory/fetch_client.h"

enum { FETCH_KEY = 32 };
/* What was asked: method, URL, and what was posted. */
void fetch_key_of(const struct fetch_request *r, unsigned char key[FETCH_KEY]);

struct fetch_cache;
/* bytes: of the bodies kept, at most; entries: their number. fatal() for no memory. */
struct fetch_cache *fetch_cache_new(size_t bytes, unsigned entries);
void fetch_cache_free(struct fetch_cache *c);
/* The remembered answer; NULL when there is none. Borrowed until the next change. */
const struct fetch_answer *fetch_cache_get(
    struct fetch_cache *c, const unsigned char key[FETCH_KEY]);
/* Keeps it (in the place of an older one) unless it alone would fill half of the room. a is taken. */
void fetch_cache_put_take(
    struct fetch_cache *c, const unsigned char key[FETCH_KEY], struct fetch_answer *a);
/* The origin failed at time now with err; the answer, if any, stays. */
void fetch_cache_failed(
    struct fetch_cache *c, const unsigned char key[FETCH_KEY], int64_t now, int err);
/* The error of a failure at most for_s seconds ago; 0 when there was none, or an answer since. */
int fetch_cache_failure(
    struct fetch_cache *c, const unsigned char key[FETCH_KEY], int64_t now, unsigned for_s);
size_t fetch_cache_bytes(const struct fetch_cache *c);

#endif
