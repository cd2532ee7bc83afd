/* mime_envelope.c: IMAP's ENVELOPE of a message header, pure. Runs in ingest (for the row) and imapd-session.
 *
 * Clients choke on raw 8-bit bytes here, so the text is ASCII unless the client enabled UTF-8. Of fields that must come once the
 * first counts; To, Cc and Bcc are joined. RFC 3501 7.4.2, RFC 9051 7.5.2, RFC 6855 3. */
#include <string.h>

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/idna.h"
#include "lib/mime_priv.h"
#include "lib/uni.h"

enum { ADDRS_MAX = 20000, FIELD_ARENA = 32 * 1024 * 1024 };

static void
put_quoted(struct slice s, bool keep_8bit, struct buf *out)
{
	buf_append_byte(out, '"');
	for (size_t i = 0; i < s.len; i++) {
		unsigned char c = s.ptr[i];

		if (c == '"' || c == '\\')
			buf_append_byte(out, '\\');
		if (c == '\r' || c == '\n' || c == '\0')
			c = ' ';
		buf_append_byte(out, c >= 0x80 && !keep_8bit ? '?' : c);
	}
	buf_append_byte(out, '"');
}

void
mime_put_plain(struct slice s, bool utf8, struct buf *out)
{
	struct buf b;

	buf_init(&b, s.len * 3 + 1);
	if (utf8 && uni_scrub(s, "?", &b, NULL) == 0)
		put_quoted(buf_slice(&b), true, out);
	else
		put_quoted(s, false, out);
	buf_done(&b);
}

/* RFC 2047 words in one line: the folds between them become the space that RFC 2047 drops. */
static void
put_encoded(struct slice utf8, struct buf *out)
{
	struct buf b;
	size_t n = 0;

	buf_init(&b, utf8.len * 8 + 256);
	if (hdr_encode(utf8, &b) != 0)
		out->err = b.err;
	for (size_t i = 0; i < b.len; i++)
		if (b.data[i] != '\r' && b.data[i] != '\n')
			b.data[n++] = b.data[i];
	put_quoted(slice_of(b.data, n), false, out);
	buf_done(&b);
}

void
mime_put_string(struct slice s, bool utf8, struct buf *out)
{
	struct buf text;

	if (slice_is_ascii(s)) {
		put_quoted(s, false, out);
		return;
	}
	if (utf8) {
		mime_put_plain(s, true, out);
		return;
	}
	buf_init(&text, s.len * 6 + 64);
	if (hdr_decode(s, &text) == 0)
		put_encoded(buf_slice(&text), out);
	else
		out->err = text.err != 0 ? text.err : ERR_NOMEM;
	buf_done(&text);
}

void
mime_put_nstring(struct slice s, bool utf8, struct buf *out)
{
	if (s.ptr == NULL)
		buf_append_str(out, "NIL");
	else
		mime_put_string(s, utf8, out);
}

void
mime_put_upper(struct slice s, struct buf *out)
{
	size_t at = out->len;

	put_quoted(s, false, out);
	for (; out->err == 0 && at < out->len; at++)
		if (out->data[at] >= 'a' && out->data[at] <= 'z')
			out->data[at] &= 0xdf;
}

/* A domain as a client can show it: A-labels when 8-bit bytes are not allowed. */
static void
put_domain(struct slice d, bool utf8, struct buf *out)
{
	struct buf b;

	buf_init(&b, 2048);
	if (!utf8 && !slice_is_ascii(d) && idna_to_ascii(d, &b) == 0)
		put_quoted(buf_slice(&b), false, out);
	else
		mime_put_plain(d, utf8, out);
	buf_done(&b);
}

/* (name adl mailbox host). A missing host is "", since NIL would make it the end of a group. */
static void
put_addr(const struct addr *e, bool utf8, struct buf *out)
{
	if (e->kind == ADDR_GROUP_END) {
		buf_append_str(out, "(NIL NIL NIL NIL)");
		return;
	}
	if (e->kind == ADDR_GROUP_START) {
		buf_append_str(out, "(NIL NIL ");
		mime_put_string(e->display, utf8, out);
		buf_append_str(out, " NIL)");
		return;
	}
	buf_append_byte(out, '(');
	if (e->display.len > 0)
		mime_put_string(e->display, utf8, out);
	else
		buf_append_str(out, "NIL");
	buf_append_byte(out, ' ');
	if (e->route.len > 0)
		mime_put_plain(e->route, utf8, out);
	else
		buf_append_str(out, "NIL");
	buf_append_byte(out, ' ');
	mime_put_plain(e->local, utf8, out);
	buf_append_byte(out, ' ');
	put_domain(e->domain, utf8, out);
	buf_append_byte(out, ')');
}

/* All fields of that name (once: the first only) as one list. false: there was no address, nothing was appended. */
static bool
put_list(struct slice header, const char *name, bool once, bool utf8, struct buf *out)
{
	struct arena *a = arena_new(FIELD_ARENA);
	struct hdr_field f;
	bool any = false;
	int r;

	if (a == NULL) {
		out->err = ERR_NOMEM;
		return false;
	}
	while ((r = hdr_next(&header, &f)) != ERR_EOF) {
		struct addr *list = NULL;

		if (r != 0 || !slice_caseeq_str(f.name, name))
			continue;
		if (addr_list_parse(f.body, ADDRS_MAX, a, &list, NULL) == 0 && list != NULL) {
			if (!any)
				buf_append_byte(out, '(');
			any = true;
			for (; list != NULL; list = list->next)
				put_addr(list, utf8, out);
		}
		if (once)
			break;
		arena_reset(a);
	}
	if (any)
		buf_append_byte(out, ')');
	arena_free(a);
	return any;
}

static void
put_field(struct slice header, const char *name, bool utf8, struct buf *out)
{
	struct hdr_field f;
	struct buf b;

	if (!hdr_find(header, name, 0, &f)) {
		buf_append_str(out, "NIL");
		return;
	}
	buf_init(&b, f.body.len + 1);
	if (hdr_unfold(f.body, &b) != 0)
		out->err = b.err;
	mime_put_string(buf_slice(&b), utf8, out);
	buf_done(&b);
}

int
mime_envelope(struct slice header, bool utf8, struct buf *out)
{
	static const char *const more[] = {"To", "Cc", "Bcc"};

	buf_append_byte(out, '(');
	put_field(header, "Date", utf8, out);
	buf_append_byte(out, ' ');
	put_field(header, "Subject", utf8, out);
	buf_append_byte(out, ' ');
	if (!put_list(header, "From", true, utf8, out))
		buf_append_str(out, "NIL");
	/* RFC 3501 7.4.2: absent or empty Sender and Reply-To are those of From. */
	buf_append_byte(out, ' ');
	if (!put_list(header, "Sender", true, utf8, out) &&
	    !put_list(header, "From", true, utf8, out))
		buf_append_str(out, "NIL");
	buf_append_byte(out, ' ');
	if (!put_list(header, "Reply-To", true, utf8, out) &&
	    !put_list(header, "From", true, utf8, out))
		buf_append_str(out, "NIL");
	for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		buf_append_byte(out, ' ');
		if (!put_list(header, more[i], false, utf8, out))
			buf_append_str(out, "NIL");
	}
	buf_append_byte(out, ' ');
	put_field(header, "In-Reply-To", utf8, out);
	buf_append_byte(out, ' ');
	put_field(header, "Message-ID", utf8, out);
	buf_append_byte(out, ')');
	return out->err;
}
