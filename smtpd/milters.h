/* milters.h: the configured milters in order, as one: each step goes to one after the other until one refuses. */
#ifndef CV_MILTERS_H
#define CV_MILTERS_H

#include "smtpd/milter_client.h"

struct milters;
/* Those of confs that are asked on that port, in order; may be none. */
struct milters *milters_new(struct milter_conf *const *confs, size_t n, enum milter_ports port);
void milters_free(struct milters *ms); /* NULL accepted */

enum milters_stage { MILTERS_MAIL, MILTERS_RCPT, MILTERS_DATA, MILTERS_MESSAGE };
/* fn gets the first verdict that is not CONTINUE (FAILED has become what the milter's option "failure" says; a quarantine is
 * CONTINUE and a change of the message), from the loop or, when nobody needs to be
 * asked, at once (true is returned then). rcpt for MILTERS_RCPT, ch for MILTERS_MESSAGE, else NULL. */
bool milters_run(struct milters *ms, enum milters_stage stage, const struct milter_env *env,
    const char *rcpt, struct milter_changes *ch, milter_fn fn, void *arg);
void milters_abort(struct milters *ms);

#endif
