/* fetch_structure.c: BODY and BODYSTRUCTURE. Runs in imapd-session. RFC 3501 7.4.2. The tree comes from the store; only the headers of embedded
 * messages (their ENVELOPE is part of the structure) are read, into a range of memory as long as the message, of which nothing else is touched. */
#include "config.h"

#include "imapd/fetch_priv.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"

#define EMBEDDED_MAX 64       /* further ones get an empty ENVELOPE */
#define HEADER_MAX (1u << 18) /* of one embedded message that is read */

static void
collect(struct fetch *st, const struct mime_part *p)
{
	for (; p != NULL; p = p->next) {
		if (p->child != NULL && slice_eq_str(p->type, "message") &&
		    st->n_embedded < EMBEDDED_MAX)
			st->embedded[st->n_embedded++] = p->child;
		collect(st, p->child);
	}
}

static uint64_t
header_end(const struct mime_part *p)
{
	return p->body_off - p->hdr_off > HEADER_MAX ? p->hdr_off + HEADER_MAX : p->body_off;
}

/* Takes in what was pulled and asks for the next header; false when there is none left. */
static bool
next_header(struct cmd *m, uint64_t body_size)
{
	struct fetch *st = m->state;
	uint64_t trace = fetch_row(st)->trace.len;
	if (st->phase == PHASE_BYTES && st->embedded_at > 0) {
		const struct mime_part *p = st->embedded[st->embedded_at - 1];
		if (st->bytes.len > 0 && p->hdr_off + st->bytes.len <= body_size)
			memcpy(st->whole + p->hdr_off, st->bytes.data, st->bytes.len);
	}
	while (st->embedded_at < st->n_embedded) {
		const struct mime_part *p = st->embedded[st->embedded_at++];
		uint64_t end = header_end(p);
		if (end <= p->hdr_off || end > body_size)
			continue;
		fetch_pull(m, trace + p->hdr_off, trace + end);
		return true;
	}
	return false;
}

bool
fetch_structure(struct cmd *m, bool extensible)
{
	struct fetch *st = m->state;
	const struct msg_row *row = fetch_row(st);
	const char *name = extensible ? "BODYSTRUCTURE " : "BODY ";
	if (!st->tree_known) {
		fetch_tree(m);
		return false;
	}
	if (st->tree == NULL) {
		buf_appendf(&st->out, "%sNIL", name);
		return true;
	}
	uint64_t body_size = row->size > row->trace.len ? row->size - row->trace.len : 0;
	if (st->embedded == NULL) {
		st->embedded = arena_calloc(st->tree_arena, EMBEDDED_MAX, sizeof(*st->embedded));
		if (st->embedded != NULL)
			collect(st, st->tree);
		if (st->n_embedded > 0) {
			/* zero pages until a header is put there */
			st->whole = calloc(1, body_size + 1);
			if (st->whole == NULL)
				st->n_embedded = 0;
		}
	}
	if (next_header(m, body_size))
		return false;
	struct slice whole = slice_of(st->whole, st->whole != NULL ? body_size : 0);
	buf_append_str(&st->out, name);
	size_t before = st->out.len;
	if (mime_bodystructure(st->tree, whole, extensible, client_utf8(m->c), &st->out) != 0 ||
	    st->out.len == before)
		client_close(m->c, "structure_too_large");
	return true;
}
