/* dir_dump_priv.h: shared by dir_dump*.c alone. */
#ifndef CV_DIR_DUMP_PRIV_H
#define CV_DIR_DUMP_PRIV_H

#include "directory/dir_dump.h"

struct dump_builder {
	struct dir_result *r;
	size_t room;
};
/* A new last entry; borrowed until the next one. */
struct dir_entry *dump_entry_new(struct dump_builder *b, struct slice dn);
void dump_value_add(struct dir_entry *e, struct slice name, struct slice value);
bool dump_name_ok(struct slice name);
/* The same of an attribute that an entry can have: in LDIF these two words are something else. */
bool dump_attr_ok(struct slice name);
/* Whether the value can stand as text: UTF-8 without NUL. */
bool dump_is_text(struct slice v);
int dump_fail(char **why_out, int err, const char *where, size_t n, const char *what);
/* ---- dir_dump_json.c ---- */
int dump_json_write(const struct dir_result *r, struct buf *out);
int dump_json_parse(struct slice text, struct dump_builder *b, char **why_out);

#endif
