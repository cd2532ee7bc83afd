/* settings.c: options into the rules' settings. Runs in the filter and in congvu-milter-judge at their start, so that both judge by the same. */
#include "config.h"

#include "milter/settings.h"

#include "lib/err.h"
#include "lib/log.h"

#include <string.h>

const char **
settings_list(const struct conf *c, const char *option, size_t *n_out)
{
	const char **list;
	size_t i;

	*n_out = conf_list_len(c, option);
	list = xcalloc(*n_out + 1, sizeof *list);
	for (i = 0; i < *n_out; i++)
		list[i] = conf_list_item(c, option, i);
	return list;
}

int
settings_rules(const struct conf *c, struct rule_settings *out, const char **option_out,
    const char **item_out, const char **why_out)
{
	size_t i, n = conf_list_len(c, "domains"),
		  more = conf_list_len(c, "policy_forward_domains");
	const char **inside = xcalloc(n + more + 1, sizeof *inside);

	memset(out, 0, sizeof *out);
	out->free_mail = settings_list(c, "policy_free_mail", &out->n_free_mail);
	out->symbols = settings_list(c, "policy_agency_symbols", &out->n_symbols);
	out->lists = settings_list(c, "policy_mailing_lists", &out->n_lists);
	out->rcpts_max = (size_t)conf_int(c, "policy_recipients_max");
	/* what is inside: our own domains, and those that mail may be forwarded to */
	for (i = 0; i < n + more; i++)
		inside[i] = i < n ? conf_list_item(c, "domains", i)
				  : conf_list_item(c, "policy_forward_domains", i - n);
	out->inside = inside;
	out->n_inside = n + more;
	for (i = 0; i < out->n_symbols; i++) {
		if (strchr(out->symbols[i], '=') == NULL) {
			*option_out = "policy_agency_symbols";
			*item_out = out->symbols[i];
			*why_out = "not AGENCY=ABBREVIATION";
			return ERR_SYNTAX;
		}
	}
	return 0;
}
