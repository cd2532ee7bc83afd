/* role.h: how a role process starts. main() of each role is:
 *
 *   role_init(argc, argv, "imapd-session");   configuration, inherited descriptors, log: still as root
 *   ... open keys and certificates, create the loop, bind nothing ...
 *   role_enter();                             chdir, drop privileges, sandbox: no files after this
 *   loop_run(...)
 *
 * The parent passes:  --conf FILE --name imapd-session --index 0 --user NAME|- --dir DIR --fd name=N ...
 * A role exits by itself when its parent dies (PR_SET_PDEATHSIG) and on SIGTERM. */
#ifndef CV_ROLE_H
#define CV_ROLE_H

#include "lib/conf.h"

/* Parses the arguments above; exits with a message and EX_USAGE/EX_CONFIG on a bad command line or
 * configuration. role: must equal --name. After it role_conf() is the configuration. */
void role_init(int argc, char **argv, const char *role);
const struct conf *role_conf(void);
/* An inherited descriptor by its name; -1 when the parent gave none. */
int role_fd(const char *name);
/* 0 for the first process of this role, then 1, 2, … */
unsigned role_index(void);
/* Whether this process is to take the place of one that works, after a reload: then it ends with EX_CONFIG where it cannot
 * do all that the other does (a certificate that cannot be read), and the other stays. */
bool role_replaces(void);
/* Changes to --dir, drops to --user (and no_new_privs, no core files), enters the sandbox of the role
 * (sandbox.h). Closes the inherited secrets (descriptors named for an option): read them before.
 * Exits when privileges cannot be dropped. Tells the parent through the status page whether the
 * sandbox is whole. */
void role_enter(void);
/* fn is called by role_enter as the role's user, before its sandbox: what has to be loaded by that user, and could not be later. */
void role_before_sandbox(void (*fn)(void));
/* The uid a named user has in this instance, for SO_PEERCRED checks; -1 ("any same uid") when the suite
 * does not run as root. Call before role_enter. user_option: for instance "user_smtpd". */
int64_t role_uid_of(const char *user_option);
/* Counters and states shown by `congvu status`: 16 of them per role, names in role_stats.c's table. */
void role_stat_set(unsigned slot, uint64_t value);
/* The name of a role's slot; NULL when it has none. For the parents. */
const char *role_stat_name(const char *role, unsigned slot);

#endif
