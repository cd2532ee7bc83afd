/* dir_dump.h: entries as a file and back: LDIF (RFC 2849), JSON, CSV. Pure. Nothing is left out and nothing is added: what is written and read again is the
 * same octets, and written again the same file: entries come in the order of the tree, attributes and values sorted. */
#ifndef CV_DIR_DUMP_H
#define CV_DIR_DUMP_H

#include "directory/dir.h"

enum dump_format { DUMP_LDIF, DUMP_JSON, DUMP_CSV };
enum { DUMP_ENTRIES_MAX = 1000000, DUMP_BYTES_MAX = 512 << 20 };
/* "ldif", "json", "csv". 0 or ERR_SYNTAX. */
int dump_format_parse(const char *name, enum dump_format *out);

/* Sorts r: parents before children, attributes by name, values by octets. */
void dump_sort(struct dir_result *r);
/* Appends r, which is sorted. 0 or what out latched. */
int dump_write(const struct dir_result *r, enum dump_format format, struct buf *out);
/* JSON: [{"dn": "…", "attributes": {"cn": ["…", {"base64": "…"}]}}]. CSV: the head "dn,attribute,encoding,value", one row a value, encoding "" or "base64". LDIF:
 * content records only, no changes, no URLs. An entry stands there once (in CSV: its rows stand together). *out is dir_result_free's, sorted. 0; ERR_SYNTAX, ERR_LIMIT with *why_out, a malloc'd text with the line
 * or entry. */
int dump_parse(struct slice text, enum dump_format format, struct dir_result **out, char **why_out);

#endif
