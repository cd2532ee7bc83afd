/* imap_parse.c: frames IMAP commands. Runs in imapd-session; pure.
 * Invariants: never holds more than lim->total octets; a literal is recognised only at the end of a line and outside a quoted string;
 * a synchronising literal that is refused ends its command, a non-synchronising one that is refused ends the connection (its octets would be
 * read as commands otherwise; RFC 7888 section 4). LF alone ends a line too. */
#include "config.h"

#include "imapd/imap_parse.h"

#include <string.h>

#include "imapd/imap_cur.h"
#include "lib/err.h"

const struct imap_limits imap_limits_before_login = {8192, 4096, 16384};
const struct imap_limits imap_limits_after_login = {65536, 65536, 262144};

void
imap_parse_init(struct imap_parse *p)
{
	memset(p, 0, sizeof(*p));
	p->lim = &imap_limits_before_login;
	buf_init(&p->text, p->lim->total);
}

void
imap_parse_done(struct imap_parse *p)
{
	buf_wipe(&p->text); /* may hold a password */
}

void
imap_parse_signed_in(struct imap_parse *p)
{
	p->lim = &imap_limits_after_login;
	p->may_stream = true;
	p->text.cap = p->lim->total;
}

struct slice
imap_parse_text(const struct imap_parse *p)
{
	return buf_slice(&p->text);
}

void
imap_parse_next(struct imap_parse *p)
{
	/* Idle sessions keep no memory here. */
	buf_wipe(&p->text);
	p->line_octets = p->line_start = 0;
	p->literal_left = 0;
	p->in_quote = p->escaped = false;
	p->want_line = 0;
}

void
imap_parse_want_line(struct imap_parse *p, size_t max)
{
	imap_parse_next(p);
	p->want_line = max;
}

/* "{n}" or "{n+}" at the end of line: its place, or -1. RFC 3501 literal, RFC 7888. */
static ptrdiff_t
literal_spec(struct slice line, uint64_t *size_out, bool *sync_out)
{
	if (line.len < 3 || line.ptr[line.len - 1] != '}')
		return -1;
	size_t end = line.len - 1;
	bool sync = line.ptr[end - 1] != '+';
	size_t digits_end = sync ? end : end - 1;
	size_t at = digits_end;
	while (at > 0 && line.ptr[at - 1] >= '0' && line.ptr[at - 1] <= '9' && digits_end - at < 20)
		at--;
	if (at == digits_end || at == 0 || line.ptr[at - 1] != '{')
		return -1;
	uint64_t v;
	if (slice_to_u64(slice_sub(line, at, digits_end - at), UINT32_MAX, &v) != 0)
		v = UINT64_MAX;
	*size_out = v;
	*sync_out = sync;
	return (ptrdiff_t)at - 1;
}

bool
imap_parse_literal(
    struct slice line, size_t *at_out, uint64_t *size_out, bool *sync_out, bool *literal8_out)
{
	ptrdiff_t at = literal_spec(line, size_out, sync_out);
	if (at < 0)
		return false;
	*literal8_out = at > 0 && line.ptr[at - 1] == '~';
	*at_out = (size_t)at - *literal8_out;
	return true;
}

/* Whether text is "tag APPEND mailbox …": what follows as a literal is the message. */
static bool
is_append_message(struct slice text)
{
	struct imap_cur cur = imap_cur_of(text);
	struct slice s;
	if (!imap_cur_tag(&cur, &s) || !imap_cur_sp(&cur) || !imap_cur_atom(&cur, &s) ||
	    !slice_caseeq_str(s, "APPEND") || !imap_cur_sp(&cur))
		return false;
	return imap_cur_skip_astring(&cur) && imap_cur_sp(&cur);
}

/* A line ended (its CRLF not in text). */
static enum imap_event
line_end(struct imap_parse *p)
{
	if (p->text.len > p->line_start && p->text.data[p->text.len - 1] == '\r')
		buf_truncate(&p->text, p->text.len - 1);
	if (p->want_line)
		return IMAP_EV_LINE;
	struct slice line = slice_from(buf_slice(&p->text), p->line_start);
	uint64_t size;
	bool sync;
	ptrdiff_t at = p->in_quote ? -1 : literal_spec(line, &size, &sync);
	if (at < 0)
		return IMAP_EV_COMMAND;
	p->literal_size = size;
	p->literal_sync = sync;
	p->literal8 = at > 0 && line.ptr[at - 1] == '~';
	size_t spec = p->line_start + (size_t)at;
	if (p->may_stream && is_append_message(slice_sub(buf_slice(&p->text), 0, spec))) {
		buf_truncate(&p->text, p->literal8 ? spec - 1 : spec);
		return IMAP_EV_STREAM;
	}
	if (size > p->lim->literal || p->text.len + 2 + size > p->lim->total) {
		p->why = "literal too large";
		return sync ? IMAP_EV_BAD : IMAP_EV_FATAL;
	}
	buf_append(&p->text, "\r\n", 2);
	p->line_start = p->text.len + (size_t)size;
	p->literal_left = size;
	p->in_quote = p->escaped = false;
	return sync ? IMAP_EV_CONTINUE : IMAP_EV_MORE;
}

/* Follows quoted strings, so that "{5}" inside one is text. */
static void
follow_quotes(struct imap_parse *p, struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (p->escaped)
			p->escaped = false;
		else if (p->in_quote && s.ptr[i] == '\\')
			p->escaped = true;
		else if (s.ptr[i] == '"')
			p->in_quote = !p->in_quote;
	}
}

enum imap_event
imap_parse_feed(struct imap_parse *p, struct slice in, size_t *used_out)
{
	size_t used = 0;
	enum imap_event ev = IMAP_EV_MORE;
	while (ev == IMAP_EV_MORE && used < in.len) {
		struct slice rest = slice_from(in, used);
		if (p->literal_left > 0) {
			size_t n = rest.len < p->literal_left ? rest.len : (size_t)p->literal_left;
			buf_append(&p->text, rest.ptr, n);
			p->literal_left -= n;
			used += n;
			continue;
		}
		ptrdiff_t lf = slice_index(rest, '\n');
		size_t n = lf < 0 ? rest.len : (size_t)lf;
		size_t max = p->want_line ? p->want_line : p->lim->line;
		/* the CR may be the octet over */
		if (p->line_octets + n > max + 1 || p->text.len + n > p->lim->total) {
			p->why = "line too long";
			ev = IMAP_EV_FATAL;
			break;
		}
		if (!p->want_line)
			follow_quotes(p, slice_sub(rest, 0, n));
		buf_append(&p->text, rest.ptr, n);
		p->line_octets += n;
		used += n;
		if (lf >= 0) {
			used++;
			ev = line_end(p);
		}
	}
	if (p->text.err) {
		p->why = "command too long";
		ev = IMAP_EV_FATAL;
	}
	*used_out = used;
	return ev;
}
