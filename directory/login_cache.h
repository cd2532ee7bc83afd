/* login_cache.h: verified logins, kept for a short time, so that a mail client that signs in every minute costs no bind (an argon2
 * hash is 20 ms of CPU). What is kept is a keyed digest of who, which version of the entry, and the password: nothing to read
 * a password from, and any change of the entry (its version) makes it worthless at once. May be used by many threads. */
#ifndef CV_LOGIN_CACHE_H
#define CV_LOGIN_CACHE_H

#include "lib/buf.h"

struct login_cache;
/* seconds 0: never anything is in it. */
struct login_cache *login_cache_new(unsigned seconds);
void login_cache_free(struct login_cache *c);
/* now_ms: monotonic. version empty: not kept, not found. */
bool login_cache_has(struct login_cache *c, const char *dn, const char *version,
    struct slice password, uint64_t now_ms);
void login_cache_put(struct login_cache *c, const char *dn, const char *version,
    struct slice password, uint64_t now_ms);

#endif
