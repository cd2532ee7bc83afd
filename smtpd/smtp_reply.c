/* smtp_reply.c: replies of SMTP and LMTP servers, pure. Runs in smtpd-session and relay. Invariant: a reply has a code of 200 to 599
 * and bounded text without controls, whatever the server sent. */
#include "config.h"

#include "smtpd/smtp_reply.h"

#include "lib/err.h"

#include <string.h>

void
smtp_reply_init(struct smtp_reply *r)
{
	r->code = r->lines = 0;
	r->len = 0;
	r->text[0] = '\0';
}

/* "5.7.1 " at the start: its length, else 0. RFC 2034 4. */
static size_t
enhanced_len(struct slice s)
{
	size_t dots = 0, i = 0;

	while (i < s.len && i < 12 && ((s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == '.'))
		dots += s.ptr[i++] == '.';
	return dots == 2 && i >= 5 && i < s.len && s.ptr[i] == ' ' ? i + 1 : 0;
}

static void
add_text(struct smtp_reply *r, struct slice text)
{
	size_t code = enhanced_len(text);

	if (r->len > 0 && code > 0 && code <= r->len && memcmp(text.ptr, r->text, code) == 0)
		text = slice_from(text, code);
	if (r->len > 0 && r->len < SMTP_REPLY_TEXT_MAX && text.len > 0)
		r->text[r->len++] = ' ';
	for (size_t i = 0; i < text.len && r->len < SMTP_REPLY_TEXT_MAX; i++) {
		unsigned char c = text.ptr[i];
		r->text[r->len++] = (char)(c < ' ' || c == 0x7F ? ' ' : c);
	}
	/* a character of several bytes is not cut in two */
	if (r->len == SMTP_REPLY_TEXT_MAX) {
		size_t n = r->len;
		while (n > 0 && r->len - n < 4 && ((unsigned char)r->text[n - 1] & 0xC0) == 0x80)
			n--;
		if (n > 0 && ((unsigned char)r->text[n - 1] & 0xC0) == 0xC0)
			r->len = n - 1;
	}
	r->text[r->len] = '\0';
}

int
smtp_reply_read(struct smtp_reply *r, struct slice in, size_t *used_out, struct slice *text_out)
{
	ptrdiff_t lf = slice_index(slice_sub(in, 0, SMTP_REPLY_LINE_MAX), '\n');
	struct slice line = slice_sub(in, 0, lf < 0 ? 0 : (size_t)lf);
	uint64_t code = 0;

	*used_out = 0;
	*text_out = slice_of(NULL, 0);
	if (lf < 0)
		return in.len >= SMTP_REPLY_LINE_MAX ? ERR_LIMIT : ERR_AGAIN;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (line.len < 3 || slice_to_u64(slice_sub(line, 0, 3), 599, &code) != 0 || code < 200 ||
	    (line.len > 3 && line.ptr[3] != ' ' && line.ptr[3] != '-'))
		return ERR_PROTO;
	if (++r->lines > SMTP_REPLY_LINES_MAX)
		return ERR_LIMIT;
	*used_out = (size_t)lf + 1;
	*text_out = slice_from(line, 4);
	r->code = (unsigned)code;
	add_text(r, *text_out);
	return line.len > 3 && line.ptr[3] == '-' ? ERR_AGAIN : 0;
}

/* "AUTH PLAIN LOGIN", and the "AUTH=PLAIN" of old servers. RFC 4954 3. */
static void
note_auth(struct smtp_ext *e, struct slice mechs)
{
	while (mechs.len > 0) {
		ptrdiff_t sp = slice_index(mechs, ' ');
		struct slice one = sp < 0 ? mechs : slice_sub(mechs, 0, (size_t)sp);
		if (slice_caseeq_str(one, "PLAIN"))
			e->bits |= SMTP_EXT_AUTH_PLAIN;
		mechs = slice_from(mechs, one.len + 1);
	}
}

void
smtp_ext_note(struct smtp_ext *e, struct slice line)
{
	static const struct {
		const char *word;
		unsigned bit;
	} words[] = {{"PIPELINING", SMTP_EXT_PIPELINING}, {"8BITMIME", SMTP_EXT_8BITMIME},
	    {"SMTPUTF8", SMTP_EXT_SMTPUTF8}, {"SIZE", SMTP_EXT_SIZE}, {"XCVID", SMTP_EXT_XCVID},
	    {"XCVJUDGE", SMTP_EXT_XCVJUDGE}, {"STARTTLS", SMTP_EXT_STARTTLS}, {"DSN", SMTP_EXT_DSN},
	    {"CHUNKING", SMTP_EXT_CHUNKING}, {"XCVSENT", SMTP_EXT_XCVSENT},
	    {"XCVSEEN", SMTP_EXT_XCVSEEN}};
	ptrdiff_t sp = slice_index(line, ' ');
	struct slice word = sp < 0 ? line : slice_sub(line, 0, (size_t)sp);
	struct slice rest = slice_trim(slice_from(line, word.len));
	uint64_t size;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (slice_caseeq_str(word, words[i].word))
			e->bits |= words[i].bit;
	if (slice_caseeq_str(word, "SIZE") && slice_to_u64(rest, UINT64_MAX, &size) == 0)
		e->size = size;
	if (slice_caseeq_str(word, "AUTH"))
		note_auth(e, rest);
	else if (slice_casestarts(word, "AUTH="))
		note_auth(e, slice_from(line, 5));
}
