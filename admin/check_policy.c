/* check_policy.c: policy_file as `congvu check` and `congvu doctor` see it: whether it compiles and is signed, what runs out soon, and whether what is in force
 * is what the file says. Reads files. Runs in congvu. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "admin/check.h"
#include "admin/ctl_policy.h"
#include "lib/err.h"

enum { SOON_DAYS = 30, DAY = 86400 };

static void
check_signed(struct check *k, const char *file)
{
	struct policy_signers s;
	struct buf text;

	if (conf_int(k->conf, "policy_signatures") == 0)
		return;
	buf_init(&text, POLICY_FILE_MAX + 131072);
	policy_signers_init(&s);
	if (policy_read_file(file, &text) == 0 &&
	    policy_check_signatures(k->conf, file, buf_slice(&text), false, &s) != 0)
		finding(k, BAD, "policy_file", "%s", buf_cstr(&s.why));
	buf_done(&text);
	policy_signers_done(&s);
}

static void
check_days(struct check *k, const struct policy *p)
{
	int64_t today = (int64_t)time(NULL) / DAY;
	const struct policy_rule *r;

	for (r = p->rules; r != NULL; r = r->next) {
		if (r->expires < today)
			finding(k, WARN, "policy_file", _("rule %s expired on %s: it is not asked"),
			    r->as_rule.id, policy_day_text(r->expires));
		else if (r->expires < today + SOON_DAYS)
			finding(k, WARN, "policy_file", _("rule %s expires on %s"), r->as_rule.id,
			    policy_day_text(r->expires));
	}
}

/* What is in force, as milter wrote it down. */
static void
check_in_force(struct check *k, const struct policy *p)
{
	struct ctl c = *k->c;
	struct json *state;

	c.conf = k->conf;
	state = policy_state(&c);
	if (json_kind(json_get(state, "refused")) == JSON_T_OBJ)
		finding(k, WARN, "policy_file",
		    _("could not be used at the last start or reload; version %lld stays in force: "
		      "mend it, then congvu reload"),
		    (long long)json_int(json_get(state, "version"), 0));
	else if (state != NULL && !slice_eq_str(json_str(json_get(state, "sha256")), p->sha256))
		finding(k, WARN, "policy_file",
		    _("is not what is in force (version %lld): congvu reload takes it over"),
		    (long long)json_int(json_get(state, "version"), 0));
	json_free(state);
}

void
check_policy_file(struct check *k)
{
	char *file = conf_path(k->conf, "policy_file");
	struct policy *p = NULL;
	struct buf why;

	buf_init(&why, 65536);
	if (conf_str(k->conf, "policy_file")[0] == '\0') {
		free(file);
		return;
	}
	if (policy_load_file(file, file, strcmp(k->c->lang, "vi") == 0, &p, &why) != 0) {
		finding(k, BAD, "policy_file", "%s", buf_cstr(&why));
	} else {
		check_signed(k, file);
		check_days(k, p);
		check_in_force(k, p);
		finding(k, GOOD, "policy_file", _("compiles: version %llu, %zu rules"),
		    (unsigned long long)p->version, p->n_rules);
	}
	policy_free(p);
	buf_done(&why);
	free(file);
}
