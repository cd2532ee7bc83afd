/* live.h: who is signed in now, on the loop of lookup: sessions ask to be told (LOOKUP_WATCH), and are, when what a person may changes in the directory, or
 * the person may not sign in any more. */
#ifndef CV_LIVE_H
#define CV_LIVE_H

#include "directory/login_memory.h"
#include "directory/work.h"
#include "lib/loop.h"

struct live;
/* Starts the thread that watches d, unless option dir_watch is "off": after the sandbox. Everything given is borrowed and outlives it. w: does the looking, jobs of
 * kind JOB_LIVE, which come back to live_done. */
/* Further down: what stored must hear. NULL: nothing. */
struct epoch_client;
struct live *live_new(struct loop *l, struct work *w, struct dir *d, struct people *p,
    const struct conf *c, const unsigned char token_key[32], struct epoch_client *epochs);
/* Taken before the directory is asked for a login: what changes after it is found out by live_login. */
uint64_t live_mark(const struct live *v);
/* What a login by that name (people_name_fold) was given of late, as long as nothing of it has changed and changes are heard of. NULL: the directory is to be
 * asked. Borrowed. */
struct login_known *live_known(struct live *v, const char *name);
/* Whether what live_known gave is still to be given: asked again when it is, since a step of an exchange may come long after the one before. By any thread. */
bool live_is_good(struct live *v, const struct login_known *k);
/* A login was answered with these facts (its deps are taken), which were read after mark: a WATCH is likely to follow. k: to be known from now on by that
 * name, if nothing has changed meanwhile. NULL accepted. */
void live_login(
    struct live *v, struct login_facts *f, uint64_t mark, const char *name, struct login_known *k);
/* A login was answered with what was known. */
void live_login_again(struct live *v, const struct login_known *k);
/* LOOKUP_WATCH and LOOKUP_UNWATCH. 0, ERR_PROTO. */
int live_watch(struct live *v, struct ipc_conn *c, struct ipc_reader *r);
int live_unwatch(struct live *v, struct ipc_conn *c, struct ipc_reader *r);
void live_conn_closed(struct live *v, struct ipc_conn *c);
/* A job of ours is done; it stays the caller's. */
void live_done(struct live *v, struct job *j);

#endif
