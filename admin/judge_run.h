/* judge_run.h: congvu-milter-judge from congvu: what is hostile is looked at by a process of its own, as user_scan and in milter-scan's sandbox. */
#ifndef CV_JUDGE_RUN_H
#define CV_JUDGE_RUN_H

#include "admin/ctl.h"

enum { JUDGE_INPUTS_MAX = 4 };
struct judge_input {
	const char *name; /* of the descriptor, as judge.c knows it */
	int fd;           /* the caller's */
};
/* Gives it the descriptors (at most JUDGE_INPUTS_MAX) and appends what it writes to out. 0, or ERR_IO with *why (static, in the language of people). */
int judge_run(
    struct ctl *c, const struct judge_input *in, size_t n, struct buf *out, const char **why);
/* A memory file with these octets, at its begin; -1. */
int judge_memory_file(struct slice s);

#endif
