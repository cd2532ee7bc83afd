/* preview.c: makes the text of a PREVIEW. Runs in imapd-session; pure. RFC 8970 3.3. One pass over the text, whatever it holds. */
#include "config.h"

#include "imapd/preview.h"

#include <string.h>

#include "lib/uni.h"

struct writer {
	struct buf *out;
	size_t chars;
	bool space; /* white space stands before the next character */
};

static bool
is_full(const struct writer *w)
{
	return w->chars >= PREVIEW_CHARS || w->out->err;
}

static void
put(struct writer *w, uint32_t cp)
{
	bool blank = cp <= 0x20 || (cp >= 0x7f && cp <= 0xa0) || cp == 0x200b || cp == 0x2028 ||
		     cp == 0x2029 || cp == 0xfeff || cp == 0xad || cp == 0x34f ||
		     (cp >= 0x200c && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e);
	if (blank || is_full(w)) {
		w->space = w->space || blank;
		return;
	}
	if (w->space && w->chars > 0) {
		buf_append_byte(w->out, ' ');
		w->chars++;
	}
	w->space = false;
	if (is_full(w))
		return;
	uni_append(w->out, cp);
	w->chars++;
}

static void
put_text(struct writer *w, struct slice s)
{
	while (s.len > 0 && !is_full(w)) {
		uint32_t cp;
		put(w, uni_next(&s, &cp) > 0 ? cp : 0xfffd);
	}
}

/* Line by line, without what was answered to and the signature. */
static void
plain(struct writer *w, struct slice text)
{
	while (text.len > 0 && !is_full(w)) {
		ptrdiff_t lf = slice_index(text, '\n');
		struct slice line = lf < 0 ? text : slice_sub(text, 0, (size_t)lf);
		text = slice_from(text, line.len + 1);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (slice_eq_str(line, "-- "))
			return;
		if (line.len > 0 && line.ptr[0] == '>')
			continue;
		put_text(w, line);
		put(w, ' ');
	}
}

/* ---- HTML ---- */

/* "&amp;", "&#233;", "&#xe9;" at the front of s: its length, 0 when it is none. */
static size_t
entity(struct slice s, uint32_t *cp_out)
{
	static const struct {
		const char *name;
		uint32_t cp;
	} names[] = {{"amp;", '&'}, {"lt;", '<'}, {"gt;", '>'}, {"quot;", '"'}, {"apos;", '\''},
	    {"nbsp;", ' '}, {"zwnj;", ' '}, {"shy;", 0xad}};
	struct slice rest = slice_from(s, 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (slice_starts(rest, names[i].name)) {
			*cp_out = names[i].cp;
			return 1 + strlen(names[i].name);
		}
	}
	if (rest.len < 3 || rest.ptr[0] != '#')
		return 0;
	bool hex = rest.ptr[1] == 'x' || rest.ptr[1] == 'X';
	uint32_t cp = 0;
	for (size_t i = hex ? 2 : 1; i < rest.len && i < 10; i++) {
		int v = hex_value(rest.ptr[i]);
		if (rest.ptr[i] == ';' && i > (hex ? 2u : 1u)) {
			*cp_out = cp > 0 && cp <= 0x10ffff ? cp : 0xfffd;
			return i + 2;
		}
		if (v < 0 || (!hex && v > 9))
			return 0;
		cp = cp * (hex ? 16 : 10) + (uint32_t)v;
	}
	return 0;
}

/* Behind the tag or comment at the front; *skip_out: "style", "script", … whose content is no text, or NULL. */
static struct slice
behind_tag(struct slice s, const char **skip_out)
{
	static const char *const silent[] = {"style", "script", "head", "title", "template"};
	*skip_out = NULL;
	if (slice_starts(s, "<!--")) {
		ptrdiff_t end = slice_find(slice_from(s, 4), slice_str("-->"));
		return end < 0 ? slice_of("", 0) : slice_from(s, (size_t)end + 7);
	}
	for (size_t i = 0; i < sizeof(silent) / sizeof(silent[0]); i++) {
		size_t n = strlen(silent[i]);
		struct slice name = slice_from(s, 1);
		if (slice_casestarts(name, silent[i]) &&
		    (name.len == n || memchr(" \t\r\n>/", name.ptr[n], 6) != NULL))
			*skip_out = silent[i];
	}
	ptrdiff_t end = slice_index(s, '>');
	return end < 0 ? slice_of("", 0) : slice_from(s, (size_t)end + 1);
}

/* Behind "</name". */
static struct slice
behind_end(struct slice s, const char *name)
{
	while (s.len > 0) {
		ptrdiff_t at = slice_find(s, slice_str("</"));
		if (at < 0)
			break;
		s = slice_from(s, (size_t)at + 2);
		if (slice_casestarts(s, name)) {
			ptrdiff_t end = slice_index(s, '>');
			return end < 0 ? slice_of("", 0) : slice_from(s, (size_t)end + 1);
		}
	}
	return slice_of("", 0);
}

static void
html(struct writer *w, struct slice s)
{
	while (s.len > 0 && !is_full(w)) {
		uint32_t cp;
		const char *skip;
		size_t n;
		if (s.ptr[0] == '<' && s.len > 1 && s.ptr[1] > ' ') {
			s = behind_tag(s, &skip);
			if (skip != NULL)
				s = behind_end(s, skip);
			put(w, ' ');
		} else if (s.ptr[0] == '&' && (n = entity(s, &cp)) > 0) {
			put(w, cp);
			s = slice_from(s, n);
		} else {
			put(w, uni_next(&s, &cp) > 0 ? cp : 0xfffd);
		}
	}
}

int
preview_make(struct slice text, bool is_html, struct buf *out)
{
	struct writer w = {.out = out};
	if (is_html)
		html(&w, text);
	else
		plain(&w, text);
	return out->err;
}
