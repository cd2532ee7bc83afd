/* msg.h: the header of a message on its way through: the fields as the client sent them, and what milters change. Pure.
 * A field that nobody changed keeps its exact bytes, and so does the order. RFC 5322 2.2. */
#ifndef CV_MSG_H
#define CV_MSG_H

#include "lib/arena.h"

struct msg_field {
	struct slice name;  /* without the colon */
	struct slice value; /* behind the colon, folding included, without the final CRLF */
	struct slice whole; /* all of it with the final CRLF */
};
struct msg {
	struct arena *arena;
	struct slice content; /* as received; borrowed */
	size_t skip;          /* where the body begins (behind the empty line) */
	bool has_blank;       /* an empty line ended the header */
	struct msg_field *fields;
	size_t n, alloc;
	bool changed;
};
enum { MSG_FIELDS_MAX = 5000 };

/* 0; ERR_SYNTAX: a header line that is no field; ERR_LIMIT: too many fields; ERR_NOMEM. */
int msg_parse(struct msg *m, struct slice content, struct arena *a);
size_t msg_count(const struct msg *m, const char *name);
/* The n-th (from 0) field of that name; NULL. */
const struct msg_field *msg_find(const struct msg *m, const char *name, size_t n);
struct slice msg_body(const struct msg *m);

/* Milter modifications (values with LF or CRLF folding; leadspc: the value brings its own space). 0, ERR_SYNTAX (a name or value
 * that cannot stand in a header), ERR_LIMIT, ERR_NOMEM. */
int msg_add(struct msg *m, struct slice name, struct slice value, bool leadspc);
/* index counts all fields from 0. */
int msg_insert(struct msg *m, size_t index, struct slice name, struct slice value, bool leadspc);
/* The index-th field of that name, from 1; an empty value removes it; one that is not there is added (unless empty). */
int msg_change(struct msg *m, size_t index, struct slice name, struct slice value, bool leadspc);
/* Removes every field of that name. Gives how many. */
size_t msg_remove(struct msg *m, const char *name);
/* Removes every Authentication-Results that names authserv_id, or whose authserv-id cannot be read: only our own milters may speak
 * in that name (RFC 8601 5). Gives how many. */
size_t msg_remove_results(struct msg *m, const char *authserv_id);
/* trace (own fields, CRLF-terminated), the fields, the empty line. */
int msg_render(const struct msg *m, struct slice trace, struct buf *out);
/* The value as milters want it: folding as LF, one leading space removed unless leadspc. */
int msg_milter_value(struct slice value, bool leadspc, struct buf *out);

#endif
