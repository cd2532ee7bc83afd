/* maildir.c: see maildir.h. Runs in congvu (mailbox import). */
#include "config.h"

#include "admin/maildir.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/utf7.h"
#include "store/store_client.h"

enum { LEVEL_MAX = 255, NAME_LEN_MAX = 1000 };

/* ---- messages ---- */

static size_t
info_at(struct slice name)
{
	for (size_t i = name.len; i-- > 0;)
		if ((name.ptr[i] == ':' || name.ptr[i] == ';' || name.ptr[i] == '!') &&
		    i + 2 < name.len && name.ptr[i + 1] == '2' && name.ptr[i + 2] == ',')
			return i;
	return name.len;
}

/* The digits that s begins with, at most max of them; s is moved behind them. */
static uint64_t
digits(struct slice *s, size_t max)
{
	uint64_t n = 0;

	for (; s->len > 0 && max > 0 && s->ptr[0] >= '0' && s->ptr[0] <= '9'; max--) {
		n = n * 10 + (s->ptr[0] - '0');
		*s = slice_from(*s, 1);
	}
	return n;
}

/* "1700000000.M1P2.host" and "1700000000.M1P2V3.host": the number behind M is microseconds. */
static uint64_t
name_time(struct slice base)
{
	uint64_t t = digits(&base, 12) * 1000000;

	if (base.len > 2 && base.ptr[0] == '.' && base.ptr[1] == 'M') {
		base = slice_from(base, 2);
		t += digits(&base, 6);
	}
	return t;
}

struct maildir_name
maildir_name_parse(struct slice name)
{
	struct maildir_name m = {.base = slice_sub(name, 0, info_at(name))};

	m.time = name_time(m.base);
	for (size_t i = m.base.len + 3; i < name.len; i++)
		switch (name.ptr[i]) {
		case 'S':
			m.flags |= MSG_SEEN;
			break;
		case 'R':
			m.flags |= MSG_ANSWERED;
			break;
		case 'F':
			m.flags |= MSG_FLAGGED;
			break;
		case 'T':
			m.flags |= MSG_DELETED;
			break;
		case 'D':
			m.flags |= MSG_DRAFT;
			break;
		case 'P':
			m.passed = true;
			break;
		case ',': /* what programs put behind it */
			return m;
		default:
			if (name.ptr[i] >= 'a' && name.ptr[i] <= 'z')
				m.keywords |= 1u << (name.ptr[i] - 'a');
		}
	return m;
}

bool
maildir_keyword_ok(struct slice s)
{
	if (s.len == 0 || s.len > 255)
		return false;
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] <= ' ' || s.ptr[i] >= 0x7f || strchr("(){%*\"\\]", s.ptr[i]) != NULL)
			return false;
	return true;
}

void
maildir_keywords_parse(struct slice rest, struct maildir_keywords *k)
{
	memset(k, 0, sizeof *k);
	while (rest.len > 0) {
		ptrdiff_t end = slice_index(rest, '\n'), space;
		struct slice line = end < 0 ? rest : slice_sub(rest, 0, (size_t)end), word;
		uint64_t n;

		rest = end < 0 ? slice_of(NULL, 0) : slice_from(rest, (size_t)end + 1);
		space = slice_index(line, ' ');
		if (space <= 0 ||
		    slice_to_u64(slice_sub(line, 0, (size_t)space), MAILDIR_KEYWORDS - 1, &n) != 0)
			continue;
		word = slice_trim(slice_from(line, (size_t)space + 1));
		if (!maildir_keyword_ok(word))
			continue;
		free(k->name[n]);
		k->name[n] = slice_dup(word);
	}
}

void
maildir_keywords_done(struct maildir_keywords *k)
{
	for (size_t i = 0; i < MAILDIR_KEYWORDS; i++)
		free(k->name[i]);
	memset(k, 0, sizeof *k);
}

/* ---- mailboxes ---- */

static int
hex_digit(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* "\2e" → ".": of graphic ASCII only, which is what listescape writes so. */
static void
unescape(struct slice s, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		int hi = -1, lo = -1;

		if (s.ptr[i] == '\\' && i + 2 < s.len) {
			hi = hex_digit(s.ptr[i + 1]);
			lo = hex_digit(s.ptr[i + 2]);
		}
		if (hi >= 2 && lo >= 0 && hi * 16 + lo < 0x7f) {
			buf_append_byte(out, (unsigned char)(hi * 16 + lo));
			i += 2;
		} else {
			buf_append_byte(out, s.ptr[i]);
		}
	}
}

/* How many octets the UTF-8 character at the beginning has; 0: it is none. */
static size_t
character(struct slice s)
{
	size_t n = s.ptr[0] < 0x80 ? 1 : s.ptr[0] < 0xe0 ? 2 : s.ptr[0] < 0xf0 ? 3 : 4;

	return n <= s.len && utf8_valid(slice_sub(s, 0, n)) ? n : 0;
}

/* What no mailbox may be called, replaced; at most LEVEL_MAX octets. */
static void
clean(struct slice s, struct buf *out)
{
	size_t begin = out->len;

	while (s.len > 0) {
		size_t n = character(s);
		bool ok = n > 0 && s.ptr[0] >= 0x20 && s.ptr[0] != 0x7f && s.ptr[0] != '/' &&
			  s.ptr[0] != '%' && s.ptr[0] != '*' &&
			  !(n == 2 && s.ptr[0] == 0xc2 && s.ptr[1] < 0xa0) && /* C1 controls */
			  !(n == 3 && memcmp(s.ptr, "\xe2\x80", 2) == 0 &&
			      (s.ptr[2] | 1) == 0xa9); /* line separators */

		if (out->len - begin + (ok ? n : 1) > LEVEL_MAX)
			break;
		if (ok)
			buf_append_slice(out, slice_sub(s, 0, n));
		else
			buf_append_byte(out, '_');
		s = slice_from(s, n > 0 ? n : 1);
	}
}

int
maildir_level_name(struct slice level, struct buf *name)
{
	struct buf raw, text, nfc;
	size_t before = name->len;
	int err;

	if (level.len == 0)
		return ERR_SYNTAX;
	buf_init(&raw, 4096);
	buf_init(&text, 8192);
	buf_init(&nfc, 8192);
	unescape(level, &raw);
	if (utf7_to_utf8(buf_slice(&raw), &text) != 0) {
		buf_reset(&text);
		buf_append_slice(&text, buf_slice(&raw));
	}
	if (utf8_nfc(buf_slice(&text), &nfc) != 0) {
		buf_reset(&nfc);
		buf_append_slice(&nfc, buf_slice(&text));
	}
	if (before > 0)
		buf_append_byte(name, '/');
	clean(buf_slice(&nfc), name);
	err = raw.err != 0 || text.err != 0 || nfc.err != 0 || name->err != 0 ||
		      name->len > NAME_LEN_MAX
		  ? ERR_LIMIT
		  : 0;
	if (err == 0 && !mailbox_name_ok(buf_slice(name)))
		err = ERR_SYNTAX;
	if (err != 0 && name->err == 0)
		buf_truncate(name, before);
	buf_done(&raw);
	buf_done(&text);
	buf_done(&nfc);
	return err;
}

int
maildir_folder_name(struct slice dir, struct buf *name)
{
	if (dir.len < 2 || dir.ptr[0] != '.')
		return ERR_SYNTAX;
	dir = slice_from(dir, 1);
	for (;;) {
		ptrdiff_t dot = slice_index(dir, '.');
		int err = 0;

		/* ".A..B": a level without a name is none */
		if (dot != 0 && dir.len > 0)
			err = maildir_level_name(
			    dot < 0 ? dir : slice_sub(dir, 0, (size_t)dot), name);
		if (err != 0)
			return err;
		if (dot < 0)
			return name->len > 0 ? 0 : ERR_SYNTAX;
		dir = slice_from(dir, (size_t)dot + 1);
	}
}
