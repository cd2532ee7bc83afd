/* crash_judge.h: what crash_check.c asks of the model of a role: crash_model.c and crash_verify.c for the store, queue_model.c for the queue. */
#ifndef CV_CRASH_JUDGE_H
#define CV_CRASH_JUDGE_H

#include <stdbool.h>

#include "lib/buf.h"
#include "tests/crash/crash.h"

struct crash_model;
struct crash_model *model_new(void);
void model_free(struct crash_model *m);
size_t model_messages(const struct crash_model *m);
/* A text of the driver. */
void model_text(struct crash_model *m, struct slice text);
/* Opens what is in dir as the role does, reads all of it and compares; m is changed by what is found. Ends it again when close is set. 0,
 * or -1 after words on standard error; it may also end the process. */
int model_verify(struct crash_model *m, const char *dir, bool close);

#endif
