/* ctl_policy.h: what the files of `congvu policy` and `congvu explain` share, and ctl_run.c after a reload. */
#ifndef CV_CTL_POLICY_H
#define CV_CTL_POLICY_H

#include "admin/ctl.h"
#include "milter/policy_load.h"
#include "milter/judgement.h"

/* Reads and compiles FILE; what is wrong is told on standard error. NULL: not usable; *code_out: EX_NOINPUT (it cannot be read) or EX_DATAERR. */
struct policy *policy_open(struct ctl *c, const char *file, int *code_out);
/* --policy FILE, or without it (NULL) the one in force: of the archive, by current.json; policy_file when there is none yet. */
struct policy *policy_open_or_current(struct ctl *c, const char *file, int *code_out);
/* archive/current.json, the caller's; NULL: none. */
struct json *policy_state(struct ctl *c);
/* The scanner, the rules and the policy over one message, in congvu-milter-judge. text: the policy's; params: see judge.c. The record is
 * the caller's; NULL: it failed (why: static text). */
struct json *policy_judge(struct ctl *c, struct slice text, int message_fd,
    const struct json *params, const char **why_out);
/* Tests of the file, run and told (into list when not NULL: JSON). The number of those that failed; -1: none could be run. */
int policy_run_tests(struct ctl *c, const struct policy *p, const char *file, struct json *list);
/* "depth:1->3,bytes:...": limits of then and those of the policy that was asked, where they differ; what does not fit is left out. */
void policy_other_limits(const struct policy_replay *r, char *out, size_t n);
/* Text without control characters, on standard output. */
void policy_print_clean(struct slice text);
/* "2026-12-31" and the like; static, ten at a time. */
const char *policy_day_text(int64_t day);

/* "accept", "reject", "tempfail", "quarantine". */
const char *policy_verdict_action(const struct verdict *v);
/* Whether a record of then came to a judgement, so that there is something to replay. */
bool policy_was_judged(const struct json *rec, const struct policy_replay *r);

#define POLICY_COMMAND(name, fn, usage) int fn(struct ctl *c, int argc, char **argv);
#include "admin/policy_commands.def"
#undef POLICY_COMMAND

#endif
