/* sandbox.h: role name → what the kernel lets it do: seccomp allow-list (libseccomp; sandbox.c is its only
 * includer), Landlock where the kernel has it, rlimits, no_new_privs. Entered once, after all dlopen work. */
#ifndef CV_SANDBOX_H
#define CV_SANDBOX_H

#include <stdbool.h>
#include <stdint.h>

enum sandbox_state { SANDBOX_WHOLE = 1, SANDBOX_PARTIAL = 2, SANDBOX_NONE = 3 };

/* role: a name of the table in sandbox.c, such as "smtpd-session"; an unknown one is a bug (fatal). Where a part
 * could not be entered it is one loud log line and SANDBOX_PARTIAL or _NONE, never an exit: the state is shown by
 * `congvu status`. A forbidden system call ends the process with SIGSYS. CONGVU_SANDBOX=none in the environment
 * leaves it out, loudly: for debuggers and valgrind. */
/* Before it: a folder that the role may read beside what its row says. Borrowed until the end. */
void sandbox_may_read(const char *path);
/* The same of an open folder, to write below it. */
void sandbox_may_write(int dir_fd);
enum sandbox_state sandbox_enter(const char *role);
/* Where the number of a forbidden system call is written before the process dies of it. May be NULL. */
void sandbox_report_at(int32_t *where);

#endif
