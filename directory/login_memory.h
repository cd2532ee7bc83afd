/* login_memory.h: what logins of late were given, by the names that signed in; for people of whom nothing has changed since, which live.c knows. On the loop
 * of lookup alone; what is found may be used by a worker as long as it is held. */
#ifndef CV_LOGIN_MEMORY_H
#define CV_LOGIN_MEMORY_H

#include "directory/work.h"

#include <stdatomic.h>

/* Nobody changes it after it is made. */
struct login_known {
	atomic_uint refs;
	atomic_bool is_over;      /* something changed: what it says was so */
	struct person *person;    /* as it was read: policy.state is OK, no app password */
	struct buf reply;         /* of put_login (work.c) */
	struct login_facts facts; /* without deps */
	int64_t until;            /* seconds since 1970: then it is over by itself */
};
/* All is copied, of the facts all but deps. */
struct login_known *login_known_new(
    const struct person *u, struct slice reply, const struct login_facts *f, int64_t until);
struct login_known *login_known_hold(struct login_known *k);
void login_known_release(struct login_known *k); /* NULL accepted */

struct login_memory;
struct login_memory *login_memory_new(size_t bytes_max);
void login_memory_free(struct login_memory *m);
/* By a name folded by people_name_fold. NULL: not known, or over. Borrowed. */
struct login_known *login_memory_find(struct login_memory *m, const char *name, int64_t now);
/* Keeps k (held) under one more name; the longest unused ones give way. */
void login_memory_put(struct login_memory *m, const char *name, struct login_known *k);
bool login_memory_has(struct login_memory *m, const char *account, int64_t now);
/* Something of that person, or of whoever has the name, has changed. */
void login_memory_drop(struct login_memory *m, const char *account);
void login_memory_drop_name(struct login_memory *m, const char *name);
void login_memory_clear(struct login_memory *m);
size_t login_memory_bytes(const struct login_memory *m);

#endif
