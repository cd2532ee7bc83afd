/* ppolicy.h: what a directory's password policy says of an account, judged from attributes as slapd's overlay judges a bind
 * (draft-behera-ldap-password-policy), so that SCRAM, which binds nowhere, says the same. Pure. */
#ifndef CV_PPOLICY_H
#define CV_PPOLICY_H

#include <stdbool.h>
#include <stdint.h>

#include "lib/buf.h"

/* Of the policy's entry; all zero: no policy. Times in seconds; 0: no bound. */
struct ppolicy {
	bool is_known;
	bool must_change;  /* pwdMustChange: what pwdReset marks is of no use until it is changed */
	int64_t lockout_s; /* pwdLockoutDuration; 0: until somebody opens it */
	int64_t max_age_s; /* pwdMaxAge */
	int64_t warn_s;    /* pwdExpireWarning */
	int64_t max_idle_s;   /* pwdMaxIdle */
	int64_t grace_s;      /* pwdGraceExpiry */
	uint32_t grace_count; /* pwdGraceAuthNLimit */
};
/* Of the account's entry; empty or 0: not there. Times: seconds since 1970. */
struct ppolicy_entry {
	struct slice locked; /* pwdAccountLockedTime as it stands */
	bool is_reset;       /* pwdReset */
	int64_t changed;     /* pwdChangedTime */
	int64_t start, end;  /* pwdStartTime, pwdEndTime */
	int64_t last;        /* pwdLastSuccess */
	uint32_t n_grace;    /* values of pwdGraceUseTime */
};
enum ppolicy_state {
	PPOLICY_OK,
	PPOLICY_LOCKED, /* by wrong tries, for a while or until it is opened */
	PPOLICY_FROZEN, /* by somebody, or outside its time of validity, or not used for too long */
	PPOLICY_MUST_CHANGE, /* a first password: good for being changed only */
	PPOLICY_EXPIRED,
	PPOLICY_GRACE, /* expired, and good once more */
};
struct ppolicy_verdict {
	enum ppolicy_state state;
	int64_t until; /* OK: when it expires, if it is time to say so; else 0 */
	uint32_t
	    grace_left; /* GRACE: logins after this one, when their number is bounded; else 0 */
};
/* default_lockout_s: of an account whose policy is not known. */
struct ppolicy_verdict ppolicy_judge(
    const struct ppolicy *p, const struct ppolicy_entry *e, int64_t default_lockout_s, int64_t now);

/* A GeneralizedTime as slapd writes it (RFC 4517 3.3.13, UTC; a fraction is let be): seconds since 1970, 0 when it is none. */
int64_t ppolicy_time(struct slice v);

#endif
