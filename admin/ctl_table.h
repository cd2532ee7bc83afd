/* ctl_table.h: columns for people, each as wide as its widest text on the screen: Vietnamese letters with marks of their own, wide signs and
 * zero-width ones counted as they are shown. What a terminal would obey (controls, direction) is shown as "?". */
#ifndef CV_CTL_TABLE_H
#define CV_CTL_TABLE_H

#include "lib/buf.h"

#include <stdbool.h>

struct ctl_table;
/* columns: how many. */
struct ctl_table *ctl_table_new(unsigned columns);
/* The next text, row by row; copied; NULL is "". */
void ctl_table_cell(struct ctl_table *t, const char *text);
bool ctl_table_is_empty(const struct ctl_table *t);
/* Prints to standard output and frees. The last column has no spaces behind it. */
void ctl_table_print_take(struct ctl_table *t);
void ctl_table_free(struct ctl_table *t);
/* Columns that a text takes on the screen. Pure. */
unsigned ctl_width(struct slice text);
/* Appends the text as it may be shown. */
void ctl_shown(struct slice text, struct buf *out);

#endif
