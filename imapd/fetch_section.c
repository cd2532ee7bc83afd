/* fetch_section.c: sections of a message as ranges of octets. Runs in imapd-session; pure. RFC 3501 6.4.5.
 * Offsets of the tree count from the body as stored; the message as fetched has the trace fields of its delivery in front. */
#include "config.h"

#include "imapd/fetch_section.h"

#include "lib/err.h"

bool
fetch_section_is_whole(const struct fetch_item *it)
{
	return it->n_path == 0 && it->text == FETCH_ALL;
}

static bool
root_range(const struct fetch_item *it, const struct msg_row *row, const struct mime_part *tree,
    uint64_t *off, uint64_t *end)
{
	uint64_t body = row->trace.len + tree->body_off;
	*off = it->text == FETCH_TEXT ? body : 0;
	*end = it->text == FETCH_TEXT ? row->size : body;
	return true;
}

bool
fetch_section_range(const struct fetch_item *it, const struct msg_row *row,
    const struct mime_part *tree, uint64_t *off, uint64_t *end)
{
	if (fetch_section_is_whole(it)) {
		*off = 0;
		*end = row->size;
		return true;
	}
	if (tree == NULL)
		return false;
	if (it->n_path == 0) {
		root_range(it, row, tree, off, end);
	} else {
		const struct mime_part *p = mime_find(tree, it->path, it->n_path);
		if (p == NULL)
			return false;
		uint64_t t = row->trace.len;
		if (it->text == FETCH_MIME) {
			*off = p == tree ? 0 : t + p->hdr_off;
			*end = t + p->body_off;
		} else if (it->text == FETCH_ALL) {
			*off = t + p->body_off;
			*end = t + p->end_off;
		} else {
			/* HEADER and TEXT of a part: only of an embedded message */
			if (p->child == NULL || !slice_eq_str(p->type, "message"))
				return false;
			const struct mime_part *msg = p->child;
			*off = t + (it->text == FETCH_TEXT ? msg->body_off : msg->hdr_off);
			*end = t + (it->text == FETCH_TEXT ? msg->end_off : msg->body_off);
		}
	}
	if (*end > row->size)
		*end = row->size;
	if (*off > *end)
		*off = *end;
	return true;
}

int
fetch_section_fields(const struct fetch_item *it, struct slice header, struct buf *out)
{
	struct slice rest = header;
	struct hdr_field f;
	int err;
	while ((err = hdr_next(&rest, &f)) != ERR_EOF) {
		bool named = false;
		if (err)
			continue;
		for (uint32_t i = 0; i < it->n_fields && !named; i++)
			named = slice_caseeq(f.name, it->fields[i]);
		if (named != it->fields_not)
			buf_append_slice(out, f.whole);
	}
	return buf_append_str(out, "\r\n");
}
