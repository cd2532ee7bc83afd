/* cert_scope.c: cert_scope.h. The policy is the one that the filter has in force (policy_archive), not the file that may be edited just now. Runs in congvu. */
#include "config.h"

#include "admin/cert_scope.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/err.h"

enum { WHY_MAX = 16384 };

int
cert_scope_read(struct ctl *c, const char *address, const char *agency, struct cert_scope *out)
{
	struct policy_who who = {.agency = slice_str(agency), .address = slice_str(address)};
	struct buf why;
	int rc = 0;

	memset(out, 0, sizeof *out);
	out->address = address;
	who.domain = rule_domain_of(who.address);
	buf_init(&why, WHY_MAX);
	if (policy_now(c->conf, &out->policy, &why) != 0)
		rc = ctl_fail(c, EX_UNAVAILABLE,
		    _("the policy in force cannot be asked (%s): is congvu-milter running (congvu "
		      "status)?"),
		    buf_cstr(&why));
	else if (out->policy != NULL)
		policy_trust_of(out->policy, &who, (int64_t)time(NULL), &out->trust, &out->from);
	buf_done(&why);
	return rc;
}

void
cert_scope_done(struct cert_scope *s)
{
	policy_free(s->policy);
	memset(s, 0, sizeof *s);
}

struct json *
cert_scope_json(const struct cert_scope *s)
{
	struct json *o = json_obj_new();

	json_set_slice(o, "domain", rule_domain_of(slice_str(s->address)));
	if (s->from == NULL)
		return o;
	json_set_slice(o, "trust", s->trust.name);
	json_set_slice(o, "store", s->trust.store);
	json_set_int(o, "rsa", s->trust.rsa);
	json_set_int(o, "ec", s->trust.ec);
	json_set_int(o, "rev_age_s", s->trust.rev_age_s);
	return o;
}

void
cert_scope_print(const struct cert_scope *s, struct buf *out)
{
	if (s->from != NULL)
		buf_appendf(out, _("trust \"%.*s\" of the policy \"%.*s\", version %llu, line %u"),
		    (int)s->trust.name.len, (const char *)s->trust.name.ptr, (int)s->policy->id.len,
		    (const char *)s->policy->id.ptr, (unsigned long long)s->policy->version,
		    s->from->pos.line);
}
