/* people_policy.c: the password policy as it holds for who signs in. Runs in lookup's workers. A bind has its policy applied by the
 * server; SCRAM, certificates and remembered logins are judged here from the same attributes (ppolicy.h). Policies are read anew every
 * few seconds: a change of one takes effect as soon as others do. */
#include "config.h"

#include "directory/people_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

enum { KEEP_MS = 3000, POLICIES_MAX = 64 };

struct policy_kept {
	char *dn;
	struct ppolicy policy;
	uint64_t until_ms;
	struct policy_kept *next;
};

/* "cn=default,ou=policies" stands below the base. */
char *
people_policy_dn(const struct conf *c)
{
	const char *rdn = conf_str(c, "dir_policy");
	char *dn = NULL;

	if (*rdn == '\0')
		return xstrdup("");
	if (asprintf(&dn, "%s,%s", rdn, conf_str(c, "ldap_base")) < 0)
		fatal("out of memory");
	return dn;
}

void
people_policies_free(struct people *p)
{
	while (p->policies != NULL) {
		struct policy_kept *k = p->policies;

		p->policies = k->next;
		free(k->dn);
		free(k);
	}
	pthread_mutex_destroy(&p->policies_lock);
}

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int64_t
number(const struct dir_entry *e, const char *attr)
{
	uint64_t n = 0;

	return slice_to_u64(dir_entry_value(e, attr), INT32_MAX, &n) == 0 ? (int64_t)n : 0;
}

static bool
is_true(struct slice v)
{
	return slice_caseeq_str(v, "TRUE");
}

/* 0, or ERR_TEMP. A policy that is not there leaves *out all zero. */
static int
policy_read(struct people *p, const char *dn, struct ppolicy *out)
{
	static const char *const attrs[] = {"pwdMustChange", "pwdLockoutDuration", "pwdMaxAge",
	    "pwdExpireWarning", "pwdMaxIdle", "pwdGraceExpiry", "pwdGraceAuthNLimit", NULL};
	struct dir_result *r = NULL;
	int err = dir_read(p->d, dn, attrs, &r);

	memset(out, 0, sizeof(*out));
	if (err == ERR_NOTFOUND)
		return 0;
	if (err != 0)
		return err;
	*out = (struct ppolicy){.is_known = true,
	    .must_change = is_true(dir_entry_value(&r->entries[0], "pwdMustChange")),
	    .lockout_s = number(&r->entries[0], "pwdLockoutDuration"),
	    .max_age_s = number(&r->entries[0], "pwdMaxAge"),
	    .warn_s = number(&r->entries[0], "pwdExpireWarning"),
	    .max_idle_s = number(&r->entries[0], "pwdMaxIdle"),
	    .grace_s = number(&r->entries[0], "pwdGraceExpiry"),
	    .grace_count = (uint32_t)number(&r->entries[0], "pwdGraceAuthNLimit")};
	dir_result_free(r);
	return 0;
}

static bool
kept_get(struct people *p, const char *dn, struct ppolicy *out)
{
	uint64_t now = now_ms();
	bool found = false;

	pthread_mutex_lock(&p->policies_lock);
	for (struct policy_kept *k = p->policies; k != NULL && !found; k = k->next) {
		found = k->until_ms > now && strcasecmp(k->dn, dn) == 0;
		if (found)
			*out = k->policy;
	}
	pthread_mutex_unlock(&p->policies_lock);
	return found;
}

static void
kept_put(struct people *p, const char *dn, const struct ppolicy *policy)
{
	struct policy_kept *k = xcalloc(1, sizeof(*k)), **at;
	size_t n = 0;

	k->dn = xstrdup(dn);
	k->policy = *policy;
	k->until_ms = now_ms() + KEEP_MS;
	pthread_mutex_lock(&p->policies_lock);
	k->next = p->policies;
	p->policies = k;
	for (at = &k->next; *at != NULL;) {
		struct policy_kept *old = *at;

		if (++n < POLICIES_MAX && strcasecmp(old->dn, dn) != 0) {
			at = &old->next;
			continue;
		}
		*at = old->next;
		free(old->dn);
		free(old);
	}
	pthread_mutex_unlock(&p->policies_lock);
}

static int
policy_of(struct people *p, const struct dir_entry *e, struct ppolicy *out)
{
	char *dn = people_text(e, p->a_policy, p->policy_dn);
	int err = 0;

	memset(out, 0, sizeof(*out));
	if (*dn != '\0' && !kept_get(p, dn, out)) {
		err = policy_read(p, dn, out);
		if (err == 0)
			kept_put(p, dn, out);
	}
	free(dn);
	return err;
}

/* Logins with the password since it has expired: those before it was set were with another one. */
static uint32_t
grace_count(const struct dir_entry *e, const char *attr, int64_t changed)
{
	const struct dir_attr *a = dir_entry_attr(e, attr);
	uint32_t n = 0;

	for (size_t i = 0; a != NULL && i < a->n_values; i++)
		n += ppolicy_time(a->values[i]) >= changed;
	return n;
}

int
people_policy_judge(
    struct people *p, const struct dir_entry *e, struct ppolicy_verdict *out, bool *is_steady_out)
{
	int64_t now = time(NULL);
	struct slice own = dir_entry_value(e, p->a_policy);
	struct ppolicy_verdict later;
	struct ppolicy_entry of = {.locked = dir_entry_value(e, p->a_locked),
	    .is_reset = is_true(dir_entry_value(e, p->a_reset)),
	    .changed = ppolicy_time(dir_entry_value(e, p->a_password_time)),
	    .start = ppolicy_time(dir_entry_value(e, "pwdStartTime")),
	    .end = ppolicy_time(dir_entry_value(e, "pwdEndTime")),
	    .last = ppolicy_time(dir_entry_value(e, "pwdLastSuccess"))};
	struct ppolicy policy;
	int err = policy_of(p, e, &policy);

	of.n_grace =
	    grace_count(e, p->a_grace, of.changed) + grace_count(e, p->a_grace_scram, of.changed);
	if (err != 0)
		return err;
	*out = ppolicy_judge(&policy, &of, p->lockout_s, now);
	/* each of its dates comes once: who may sign in now and then may do so in between */
	later = ppolicy_judge(&policy, &of, p->lockout_s, now + PEOPLE_KEEP_S);
	*is_steady_out =
	    out->state == PPOLICY_OK && later.state == PPOLICY_OK && out->until == later.until &&
	    (own.len == 0 ||
		(dir_value_text(own) != NULL && people_is_watched(p, dir_value_text(own))));
	return 0;
}

/* So that the number of logins with an expired password ends. 0, or what the directory said. */
static int
grace_used(struct people *p, const struct person *u)
{
	struct timespec ts;
	struct slice value;
	struct dir_mod mod = {
	    .op = DIR_MOD_ADD, .name = p->a_grace_scram, .values = &value, .n_values = 1};
	char text[40], stamp[20];
	struct tm tm;

	if (*p->a_grace_scram == '\0')
		return ERR_UNSUPPORTED;
	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y%m%d%H%M%S", &tm);
	/* with its fraction: two logins in one second are two */
	snprintf(text, sizeof(text), "%s.%06ldZ", stamp, ts.tv_nsec / 1000);
	value = slice_str(text);
	return dir_modify(p->d, u->dn, &mod, 1, NULL);
}

int
people_admit(struct people *p, const struct person *u, bool by_password)
{
	int err;

	switch (u->policy.state) {
	case PPOLICY_LOCKED:
	case PPOLICY_FROZEN:
		return ERR_LOCKED;
	case PPOLICY_MUST_CHANGE:
		return by_password ? ERR_MUST_CHANGE : 0;
	case PPOLICY_EXPIRED:
		return by_password ? ERR_EXPIRED : 0;
	case PPOLICY_GRACE:
		err = by_password ? grace_used(p, u) : 0;
		if (err != 0)
			log_msg(LOG_LVL_WARN, "password_grace",
			    "%s: a login of grace could not be written down (%s), so it is none",
			    u->dn, err_name(err));
		return err == 0                                ? 0
		       : err == ERR_TEMP || err == ERR_UNKNOWN ? ERR_TEMP
							       : ERR_EXPIRED;
	default:
		return 0;
	}
}

void
people_count_wrong(struct people *p, const struct person *u)
{
	unsigned char random[24];
	char text[2 * sizeof(random) + 1];

	random_bytes(random, sizeof(random));
	hex_encode(random, sizeof(random), text);
	(void)dir_verify(p->d, u->dn, slice_str(text), NULL);
}
