/* conf.h: congvu.conf, read with libconfuse (conf.c is its only includer) against the one table options.def,
 * which also makes congvu.conf(5). No secret stands in it: secrets are files it names. */
#ifndef CV_CONF_H
#define CV_CONF_H

#include "lib/buf.h"

struct conf;

/* Reads and checks path. On failure *why_out is a malloc'd text "file:line: what is wrong". */
int conf_load(const char *path, struct conf **conf_out, char **why_out);
void conf_free(struct conf *c);
/* Values by option name; an unknown name is a bug (fatal). Strings are borrowed; "" when unset. */
const char *conf_str(const struct conf *c, const char *name);
int64_t conf_int(const struct conf *c, const char *name);
bool conf_bool(const struct conf *c, const char *name);
/* List options: count and item. */
size_t conf_list_len(const struct conf *c, const char *name);
const char *conf_list_item(const struct conf *c, const char *name, size_t i);
/* Whether the address ends in "@" and one of "domains", in any case of ASCII. */
bool conf_is_our_address(const struct conf *c, const char *address);
/* The folder the file stands in; file options that are relative are taken from there: malloc'd absolute path. */
char *conf_path(const struct conf *c, const char *name);
/* The same for a path that stands inside another value. */
char *conf_beside(const struct conf *c, struct slice path);
const char *conf_file(const struct conf *c);

/* The table itself, for the manual page and `congvu check`. */
enum conf_type { CONF_STR, CONF_INT, CONF_BOOL, CONF_LIST, CONF_PATH };
struct conf_option {
	const char *name;
	enum conf_type type;
	const char *def; /* as text; lists are comma-separated */
	int64_t min, max;
	const char *help;
};
const struct conf_option *conf_options(size_t *n_out);

#endif
