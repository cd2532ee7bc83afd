/* dsn_rules.c: from an answer to the rule of the policy that it names, pure. Runs in smtpd-queue. The table is dsn_rules.def. */
#include "config.h"

#include "smtpd/dsn.h"

#include <string.h>

static const struct dsn_rule rules[] = {
#define DSN_RULE(id, vi, en, advice_vi, advice_en) {id, vi, en, advice_vi, advice_en},
#include "smtpd/dsn_rules.def"
#undef DSN_RULE
};

static bool
is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '_';
}

/* An id is a word of its own: "P01 Cong van ...", "[P01]", "rule P01:". */
const struct dsn_rule *
dsn_rule_in(const char *why)
{
	for (const char *p = why; *p != '\0'; p++) {
		if (p > why && is_word(p[-1]))
			continue;
		for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
			size_t n = strlen(rules[i].id);
			if (strncmp(p, rules[i].id, n) == 0 && !is_word(p[n]))
				return &rules[i];
		}
	}
	return NULL;
}
