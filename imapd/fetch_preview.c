/* fetch_preview.c: the PREVIEW item. Runs in imapd-session. RFC 8970. It is made when it is asked for, from the beginning of the first text part, which
 * the stored MIME tree finds: two short reads, or none where the message was read ahead. A FETCH with LAZY does that for LAZY_MAX messages and answers
 * NIL for the others, so that a listing is not held up. */
#include "config.h"

#include "imapd/fetch_priv.h"
#include "imapd/preview.h"

#define LAZY_MAX 100
#define READ_PLAIN 4096
#define READ_HTML 16384 /* styles stand before the text */

/* The first text part that is no attachment; plain before HTML. */
static const struct mime_part *
find_text(const struct mime_part *p, const char *subtype)
{
	for (; p != NULL; p = p->next) {
		if (p->disposition.ptr != NULL && slice_eq_str(p->disposition, "attachment"))
			continue;
		if (p->child == NULL && slice_eq_str(p->type, "text") &&
		    slice_eq_str(p->subtype, subtype))
			return p;
		/* RFC 8970 3.2: of what is forwarded nothing is told; encrypted parts have no text */
		const struct mime_part *hit =
		    slice_eq_str(p->type, "message") ? NULL : find_text(p->child, subtype);
		if (hit != NULL)
			return hit;
	}
	return NULL;
}

static void
put_string(struct fetch *st, struct slice s)
{
	if (s.len == 0) {
		buf_append_str(&st->out, "PREVIEW \"\"");
		return;
	}
	buf_appendf(&st->out, "PREVIEW {%zu}\r\n", s.len);
	buf_append_slice(&st->out, s);
}

static void
put_preview(struct fetch *st, const struct mime_part *p)
{
	struct slice charset = slice_str("UTF-8");
	struct buf raw, utf8, text;
	buf_init(&raw, 4 * (size_t)READ_HTML);
	buf_init(&utf8, 16 * (size_t)READ_HTML);
	buf_init(&text, 4096);
	for (const struct hdr_param *q = p->params; q != NULL; q = q->next)
		if (slice_eq_str(q->name, "charset") && q->value.len > 0)
			charset = q->value;
	/* what was cut in the middle of a quantum or a character ends the text, out of sight as a rule */
	mime_decode_body(p->cte, buf_slice(&st->bytes), &raw, NULL);
	charset_to_utf8(charset, buf_slice(&raw), &utf8);
	while (utf8.len >= 3 && st->bytes.len < p->end_off - p->body_off &&
	       slice_eq_str(slice_from(buf_slice(&utf8), utf8.len - 3), "\xef\xbf\xbd"))
		buf_truncate(&utf8, utf8.len - 3);
	preview_make(buf_slice(&utf8), slice_eq_str(p->subtype, "html"), &text);
	put_string(st, buf_slice(&text));
	buf_done(&raw);
	buf_done(&utf8);
	buf_done(&text);
}

bool
fetch_preview(struct cmd *m, const struct fetch_item *it)
{
	struct fetch *st = m->state;
	uint64_t trace = fetch_row(st)->trace.len;
	if (it->lazy && st->phase == PHASE_START && ++st->n_lazy > LAZY_MAX) {
		buf_append_str(&st->out, "PREVIEW NIL");
		return true;
	}
	if (!st->tree_known) {
		fetch_tree(m);
		return false;
	}
	const struct mime_part *p = find_text(st->tree, "plain");
	if (p == NULL || p->end_off == p->body_off) {
		const struct mime_part *other = find_text(st->tree, "html");
		p = other != NULL ? other : p;
	}
	if (p == NULL || p->end_off == p->body_off || st->phase == PHASE_FAILED) {
		put_string(st, slice_of("", 0));
		return true;
	}
	if (st->phase == PHASE_BYTES) {
		put_preview(st, p);
		return true;
	}
	uint64_t max = slice_eq_str(p->subtype, "html") ? READ_HTML : READ_PLAIN;
	uint64_t len = p->end_off - p->body_off;
	fetch_pull(m, trace + p->body_off, trace + p->body_off + (len < max ? len : max));
	return false;
}
