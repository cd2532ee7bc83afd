/* cert_scope.h: what the policy in force asks of who signs under an address, before a certificate for it is published. */
#ifndef CV_CERT_SCOPE_H
#define CV_CERT_SCOPE_H

#include "admin/ctl.h"
#include "milter/policy_load.h"

struct cert_scope {
	const char *address; /* borrowed, as agency is */
	struct rule_trust trust;
	const struct policy_setting *from; /* NULL: no trust of the policy holds for it */
	struct policy *policy;             /* NULL: none is configured */
};
/* address: normalized; agency: its owner's code, "" for nobody's. 0, or a sysexit after a message: what is in force cannot be read. Ended by cert_scope_done. */
int cert_scope_read(struct ctl *c, const char *address, const char *agency, struct cert_scope *out);
void cert_scope_done(struct cert_scope *s);
/* What congvu-milter-judge is told of it (judge_cert.h). The caller's. */
struct json *cert_scope_json(const struct cert_scope *s);
/* "trust \"bo\", policy \"so\" version 3, line 12", for who is told of a refusal; "" where none holds. */
void cert_scope_print(const struct cert_scope *s, struct buf *out);

#endif
