/* scan_text.c: marks of secrecy (P12) in subjects, names and texts of a mail. Runs in milter-scan. */
#include "config.h"

#include "milter/scan_priv.h"
#include "milter/secrecy.h"

#include "lib/err.h"
#include "lib/uni.h"

#define TEXT_MAX (1u << 20)
#define SUBJECTS_MAX 4

static void
note(struct scan_ctx *c, struct slice path, const char *where, struct buf *found)
{
	findings_note(c->f, "secrecy_mark", NOTE_REJECT, path, "%s: %s", where, buf_cstr(found));
}

static struct slice
param(const struct hdr_param *p, const char *name)
{
	for (; p != NULL; p = p->next) {
		if (slice_eq_str(p->name, name))
			return p->value;
	}
	return (struct slice){NULL, 0};
}

void
scan_subject(struct scan_ctx *c, struct slice header, struct slice path)
{
	struct hdr_field field;
	struct buf text, found;
	size_t n;

	buf_init(&text, 16384);
	buf_init(&found, 256);
	for (n = 0; n < SUBJECTS_MAX && hdr_find(header, "Subject", n, &field); n++) {
		buf_reset(&text);
		if (hdr_decode(slice_sub(field.body, 0, 4000), &text) == 0 &&
		    secrecy_in_subject(buf_slice(&text), &found)) {
			note(c, path, "subject", &found);
			break;
		}
	}
	buf_done(&text);
	buf_done(&found);
}

void
scan_doc_text(struct scan_ctx *c, struct slice text, struct slice path)
{
	struct buf found;

	buf_init(&found, 256);
	if (secrecy_in_text(text, &found))
		note(c, path, "text", &found);
	buf_done(&found);
}

void
scan_text(struct scan_ctx *c, const struct mime_part *part, struct slice bytes, struct slice path)
{
	struct slice charset = param(part->params, "charset");
	struct buf utf8, plain, found;
	struct slice s;

	if (charset.len == 0 && bytes.len >= 2 && bytes.ptr[0] == 0xff && bytes.ptr[1] == 0xfe)
		charset = slice_str("utf-16le");
	buf_init(&utf8, 8 * TEXT_MAX);
	buf_init(&plain, 8 * TEXT_MAX);
	buf_init(&found, 256);
	charset_to_utf8(
	    charset.len > 0 ? charset : slice_str("utf-8"), slice_sub(bytes, 0, TEXT_MAX), &utf8);
	s = buf_slice(&utf8);
	if (slice_eq_str(part->subtype, "html")) {
		secrecy_html_text(s, &plain);
		s = buf_slice(&plain);
	}
	if (secrecy_in_text(s, &found)) {
		note(c, path, "text", &found);
	} else if (!uni_valid(slice_sub(bytes, 0, TEXT_MAX))) {
		/* what is no UTF-8 is shown as Latin by many: TCVN3 and VNI look so */
		buf_reset(&utf8);
		charset_to_utf8(slice_str("windows-1252"), slice_sub(bytes, 0, TEXT_MAX), &utf8);
		if (secrecy_in_text(buf_slice(&utf8), &found))
			note(c, path, "text", &found);
	}
	buf_done(&utf8);
	buf_done(&plain);
	buf_done(&found);
}
