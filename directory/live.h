/* live.h: who is signed in now, on the loop of lookup: sessions ask to be told (LOOKUP_WATCH), and are, when what a person may changes in the directory, or
 * the person may not sign in any more. */
#ifndef CV_LIVE_H
#define CV_LIVE_H

#include "directory/work.h"
#include "lib/loop.h"

struct live;
/* Starts the thread that watches d, unless option dir_watch is "off": after the sandbox. Everything given is borrowed and outlives it. w: does the looking, jobs of
 * kind JOB_LIVE, which come back to live_done. */
/* Further down: what stored must hear. NULL: nothing. */
struct epoch_client;
struct live *live_new(struct loop *l, struct work *w, struct dir *d, struct people *p,
    const struct conf *c, const unsigned char token_key[32], struct epoch_client *epochs);
/* A login was answered with these facts (its deps are taken): a WATCH is likely to follow. */
void live_login(struct live *v, struct login_facts *f);
/* LOOKUP_WATCH and LOOKUP_UNWATCH. 0, ERR_PROTO. */
int live_watch(struct live *v, struct ipc_conn *c, struct ipc_reader *r);
int live_unwatch(struct live *v, struct ipc_conn *c, struct ipc_reader *r);
void live_conn_closed(struct live *v, struct ipc_conn *c);
/* A job of ours is done; it stays the caller's. */
void live_done(struct live *v, struct job *j);

#endif
