/* groups.h: membership in groups of the directory, as the policy asks for it. */
#ifndef CV_GROUPS_H
#define CV_GROUPS_H

#include "milter/rule.h"

#include "lib/ipc.h"

struct policy;
/* Asks for each of the policy's groups of the directory that its conditions ask about; out: RULE_MEMBERS_MAX. The groups' addresses stay the policy's. A
 * group that is not there has no members. 0; ERR_TEMP; ERR_LIMIT: a group is too large. */
int groups_ask(const struct policy *p, struct ipc_sync *lookup, const char *const *from,
    size_t n_from, const char *const *rcpts, size_t n_rcpts, unsigned timeout_ms,
    struct rule_member *out, size_t *n_out);

#endif
