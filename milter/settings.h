/* settings.h: the rules' settings as congvu.conf has them, read once at the start by the filter and by congvu-milter-judge. */
#ifndef CV_SETTINGS_H
#define CV_SETTINGS_H

#include "milter/rule.h"

#include "lib/conf.h"

/* The items of a list option; they live as long as c. */
const char **settings_list(const struct conf *c, const char *option, size_t *n_out);
/* 0; ERR_SYNTAX with the option and the item that cannot be read. */
int settings_rules(const struct conf *c, struct rule_settings *out, const char **option_out,
    const char **item_out, const char **why_out);

#endif
