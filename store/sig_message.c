/* sig_message.c: the signature of a message that came in (sig.h): of what SEARCH TEXT and SEARCH BODY would look into, by the code that looks
 * (lib/mime_text.h). Runs in ingest. What could not be told from here has everything: too long, or read otherwise behind a trace. */
#include "store/sig_message.h"

#include "lib/err.h"
#include "lib/fold.h"

enum { HEADER_LOOKED_AT = 256 * 1024, TEXT_LOOKED_AT = 8 << 20 };

static void
sign_header(struct slice header, struct sig_set *set)
{
	struct slice rest = header;
	struct buf text, folded;

	/* The first line would go on with the last field of the trace. */
	if (header.len > HEADER_LOOKED_AT ||
	    (header.len > 0 && (header.ptr[0] == ' ' || header.ptr[0] == '\t'))) {
		set->all = true;
		return;
	}
	buf_init(&text, MIME_TEXT_HEADER_MAX);
	buf_init(&folded, 40 * (size_t)MIME_TEXT_HEADER_MAX);
	while (mime_header_text(&rest, slice_of("", 0), &text)) {
		buf_reset(&folded);
		if (text.err != 0 || vn_fold(buf_slice(&text), &folded) != 0)
			set->all = true;
		sig_set_add(set, buf_slice(&folded));
	}
	buf_done(&text);
	buf_done(&folded);
}

static bool
on_folded(void *arg, struct slice folded)
{
	sig_set_add(arg, folded);
	return false;
}

static int
sign_stretch(struct mime_text *t, const struct mime_stretch *s, struct slice whole)
{
	struct slice rest;
	int err = 0;

	rest = slice_sub(whole, (size_t)s->off, (size_t)(s->end - s->off));
	mime_text_begin(t, s->cte, s->charset, s->header);
	while (rest.len > 0 && err == 0) {
		struct slice piece = slice_sub(rest, 0, MIME_TEXT_PIECE);

		rest = slice_from(rest, piece.len);
		err = mime_text_feed(t, piece, rest.len == 0);
	}
	return err;
}

int
sig_message(struct slice whole, const struct mime_part *root, struct arena *a, struct buf *out)
{
	struct sig_set header, body;
	struct mime_stretch *s = NULL;
	struct mime_text t;
	uint64_t octets = 0;
	int err = mime_stretches(root, a, &s);

	sig_set_init(&header);
	sig_set_init(&body);
	sign_header(slice_sub(whole, 0, (size_t)root->body_off), &header);
	mime_text_init(&t, 4, on_folded, &body);
	for (; s != NULL && err == 0; s = s->next) {
		octets += s->end - s->off;
		if (octets > TEXT_LOOKED_AT || s->end > whole.len)
			body.all = true;
		else
			err = sign_stretch(&t, s, whole);
	}
	mime_text_done(&t);
	if (err != 0)
		body.all = true;
	return sig_encode(&header, &body, out);
}

int
sig_text(struct slice text, struct buf *out)
{
	const struct mime_stretch all = {
	    .end = text.len, .cte = CTE_8BIT, .charset = slice_str("utf-8")};
	struct sig_set header, body;
	struct mime_text t;

	sig_set_init(&header);
	sig_set_init(&body);
	mime_text_init(&t, 4, on_folded, &body);
	if (sign_stretch(&t, &all, text) != 0)
		body.all = true;
	mime_text_done(&t);
	return sig_encode(&header, &body, out);
}
