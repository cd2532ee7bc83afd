/* policy_sign.h: signatures of officers over a policy file: one detached CMS (RFC 5652) beside it, FILE.p7s, with a SignerInfo for each. Bytes in, bytes out. */
#ifndef CV_POLICY_SIGN_H
#define CV_POLICY_SIGN_H

#include "lib/buf.h"

#define POLICY_CMS_MAX 262144
#define POLICY_OFFICERS_MAX 100

struct policy_signers {
	unsigned
	    n; /* officers whose signature is good: different certificates and different keys */
	struct buf who; /* their subjects, a line each */
	struct buf why; /* what is wrong, when something is */
};
void policy_signers_init(struct policy_signers *s);
void policy_signers_done(struct policy_signers *s);
/* Checks all signatures of cms (PEM or DER) over text. officers: PEM certificates; who signed must be one of them, and each signature must be good. now: when
 * their certificates must be valid; 0: not asked (it was when the policy came in force). 0; ERR_SYNTAX, ERR_DENIED (why). */
int policy_signers_check(struct slice text, struct slice cms, struct slice officers, int64_t now,
    struct policy_signers *out);
/* Signs text; cms: the signatures there are (empty: none), which must be good over it. key, cert: PEM. out: PEM. 0; ERR_SYNTAX (key or certificate), ERR_DENIED
 * (they do not fit, or the other signatures are not good), ERR_EXISTS (this officer signed already); why_out. */
int policy_sign_text(struct slice text, struct slice cms, struct slice key, struct slice cert,
    struct buf *out, struct buf *why_out);

#endif
