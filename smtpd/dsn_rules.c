/* dsn_rules.c: from an answer to the rule of the policy that it names, pure. Runs in smtpd-queue. The table is dsn_rules.def. */
#include "config.h"

#include "smtpd/dsn.h"

#include <string.h>

static const struct dsn_rule rules[] = {
#define DSN_RULE(id, vi, en, advice_vi, advice_en) {id, vi, en, advice_vi, advice_en},
#include "smtpd/dsn_rules.def"
#undef DSN_RULE
};

/* "550 5.7.1 " and the like, as far as they are there. */
static const char *
behind_codes(const char *why)
{
	size_t n = strspn(why, "0123456789");

	if (n == 3 && why[n] == ' ')
		why += n + 1;
	n = strspn(why, "0123456789.");
	return n >= 5 && why[n] == ' ' ? why + n + 1 : why;
}

/* As milter/rule.c words a refusal: "P01 Vietnamese / English (detail) [ticket QID]". Servers of others have rules P22 as well, which are not ours. */
const struct dsn_rule *
dsn_rule_in(const char *why)
{
	const char *p = behind_codes(why), *slash = strstr(p, " / "),
		   *ticket = slash == NULL ? NULL : strstr(slash, " [ticket ");

	if (ticket == NULL || strchr(ticket, ']') == NULL)
		return NULL;
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
		size_t n = strlen(rules[i].id);

		if (strncmp(p, rules[i].id, n) == 0 && p[n] == ' ')
			return &rules[i];
	}
	return NULL;
}
