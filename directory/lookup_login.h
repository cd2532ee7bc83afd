/* lookup_login.h: how lookup finds and verifies who signs in: auth.h's source over people.h, with the memory of verified logins
 * (login_cache.h) and the throttle (throttle.h) before the directory. */
#ifndef CV_LOOKUP_LOGIN_H
#define CV_LOOKUP_LOGIN_H

#include "directory/people.h"

/* Starts auth.h with the configuration's mechanisms. Before the sandbox and the threads; once. p is borrowed for the life of the
 * process. 0, or an enum err with *what_out the option that is wrong (static). */
int lookup_login_open(const struct conf *c, struct people *p, const unsigned char token_key[32],
    const char **what_out);

/* Tries that were held back so far. */
/* Whether that password of that person (of those that auth_source.find gives) has been verified of late, and a try may be made and is no other's: then it is
 * counted as a good one. Does not block. False: nothing is known of it, and nothing was counted. */
bool lookup_login_recent(const struct person *u, struct slice name, struct slice authzid,
    struct slice password, const char *ip);
unsigned lookup_login_throttled(void);

#endif
