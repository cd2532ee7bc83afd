/* mboxfile.c: see mboxfile.h. Runs in congvu (mailbox import).
 *
 * A message begins at a line "From " with a date that can be read, at the beginning of the file or behind an empty line; so a "From " that a program
 * forgot to quote begins none as a rule. A Content-Length is believed when a message or the end of the file follows where it says: then such lines in
 * the body are text (Dovecot and Solaris write them as they are). */
#include "config.h"

#include "admin/mboxfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/date.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/store_client.h"

enum { WINDOW = 65536, FROM_MAX = 1000, KEYWORDS_MAX = 4096 };

/* ---- the "From " line ---- */

static bool
number(struct slice *s, unsigned max, unsigned *out)
{
	unsigned v = 0;
	size_t n = 0;

	while (n < s->len && n < 5 && s->ptr[n] >= '0' && s->ptr[n] <= '9')
		v = v * 10 + (s->ptr[n++] - '0');
	if (n == 0 || n == 5 || v > max)
		return false;
	*s = slice_from(*s, n);
	*out = v;
	return true;
}

static bool
byte(struct slice *s, char c)
{
	if (s->len == 0 || s->ptr[0] != (unsigned char)c)
		return false;
	*s = slice_from(*s, 1);
	return true;
}

static bool
spaces(struct slice *s)
{
	size_t n = 0;

	while (n < s->len && (s->ptr[n] == ' ' || s->ptr[n] == '\t'))
		n++;
	*s = slice_from(*s, n);
	return n > 0;
}

/* Which of the names of three letters; -1. */
static int
name3(struct slice *s, const char *names)
{
	for (int i = 0; names[3 * i] != '\0'; i++)
		if (s->len >= 3 && memcmp(s->ptr, names + 3 * (size_t)i, 3) == 0) {
			*s = slice_from(*s, 3);
			return i;
		}
	return -1;
}

/* "+0700", "GMT": true when something of that kind was there. */
static bool
zone(struct slice *s, bool *known, int *minutes)
{
	size_t n = 0;

	if (s->len >= 5 && (s->ptr[0] == '+' || s->ptr[0] == '-')) {
		unsigned v = 0;

		for (size_t i = 1; i < 5; i++) {
			if (s->ptr[i] < '0' || s->ptr[i] > '9')
				return false;
			v = v * 10 + (s->ptr[i] - '0');
		}
		if (v % 100 > 59 || v / 100 > 23)
			return false;
		*minutes = (int)(v / 100 * 60 + v % 100) * (s->ptr[0] == '-' ? -1 : 1);
		*known = true;
		*s = slice_from(*s, 5);
		return true;
	}
	while (n < s->len && n < 6 && s->ptr[n] >= 'A' && s->ptr[n] <= 'Z')
		n++;
	if (n < 2)
		return false;
	if (slice_eq_str(slice_sub(*s, 0, n), "UTC") || slice_eq_str(slice_sub(*s, 0, n), "GMT")) {
		*minutes = 0;
		*known = true;
	}
	*s = slice_from(*s, n); /* other names are local time: they mean different things */
	return true;
}

/* "Sat Nov 21 08:00:00 2026" */
static bool
ctime_parse(struct slice s, int64_t *date_out, int *zone_out)
{
	unsigned day, hour, minute, second = 0, year;
	struct tm tm = {0};
	bool known = false;
	int month, minutes = 0;

	if (name3(&s, "SunMonTueWedThuFriSat") < 0 || !spaces(&s) ||
	    (month = name3(&s, "JanFebMarAprMayJunJulAugSepOctNovDec")) < 0 || !spaces(&s) ||
	    !number(&s, 31, &day) || day == 0 || !spaces(&s) || !number(&s, 23, &hour) ||
	    !byte(&s, ':') || !number(&s, 59, &minute) ||
	    (byte(&s, ':') && !number(&s, 60, &second)) || !spaces(&s))
		return false;
	if (zone(&s, &known, &minutes) && !spaces(&s))
		return false;
	if (!number(&s, 9999, &year) || year < 1970 ||
	    (s.len > 0 && s.ptr[0] != ' ' && s.ptr[0] != '\t'))
		return false;
	if (spaces(&s) && !known)
		(void)zone(&s, &known, &minutes);
	tm.tm_year = (int)year - 1900;
	tm.tm_mon = month;
	tm.tm_mday = (int)day;
	tm.tm_hour = (int)hour;
	tm.tm_min = (int)minute;
	tm.tm_sec = (int)second;
	*date_out = (int64_t)timegm(&tm);
	if (!known) {
		minutes = date_local_zone(*date_out);
		minutes = date_local_zone(*date_out - minutes * 60);
	}
	*date_out -= minutes * 60;
	*zone_out = minutes;
	return true;
}

bool
mboxfile_from_line(struct slice line, int64_t *date_out, int *zone_out)
{
	if (!slice_starts(line, "From ") || line.len > FROM_MAX)
		return false;
	/* the sender may be anything, empty and with spaces too */
	for (size_t i = 4; i + 20 < line.len; i++)
		if ((line.ptr[i] == ' ' || line.ptr[i] == '\t') &&
		    ctime_parse(slice_from(line, i + 1), date_out, zone_out))
			return true;
	return false;
}

/* ---- the window ---- */

void
mboxfile_init(struct mboxfile *m, int64_t (*read)(void *arg, uint64_t off, void *p, size_t n),
    void *arg, enum mboxfile_quoting quoting)
{
	*m = (struct mboxfile){.read = read, .arg = arg, .quoting = quoting};
	m->window = xcalloc(1, WINDOW);
}

void
mboxfile_done(struct mboxfile *m)
{
	free(m->window);
	m->window = NULL;
}

/* Octets from m->off on; as many as the window takes. */
static struct slice
fill(struct mboxfile *m)
{
	size_t at = (size_t)(m->off - m->window_off);

	if (at > 0) {
		m->window_len -= at;
		memmove(m->window, m->window + at, m->window_len);
		m->window_off = m->off;
	}
	while (!m->eof && m->err == 0 && m->window_len < WINDOW) {
		int64_t n = m->read(m->arg, m->window_off + m->window_len,
		    m->window + m->window_len, WINDOW - m->window_len);

		if (n < 0 || n > (int64_t)(WINDOW - m->window_len))
			m->err = n < 0 ? (int)n : ERR_IO;
		else if (n == 0)
			m->eof = true;
		else
			m->window_len += (size_t)n;
	}
	return slice_of(m->window, m->window_len);
}

/* The next line with its end, or as much of it as the window takes; empty at the end. It stays until the next call; off is not moved. */
static struct slice
line_get(struct mboxfile *m)
{
	struct slice s = slice_of(
	    m->window + (m->off - m->window_off), m->window_len - (size_t)(m->off - m->window_off));
	const unsigned char *end = s.len > 0 ? memchr(s.ptr, '\n', s.len) : NULL;

	if (end == NULL) {
		s = fill(m);
		end = s.len > 0 ? memchr(s.ptr, '\n', s.len) : NULL;
	}
	return end == NULL ? s : slice_sub(s, 0, (size_t)(end - s.ptr) + 1);
}

static bool
is_whole(struct slice line)
{
	return line.len > 0 && line.ptr[line.len - 1] == '\n';
}

/* Without its end. */
static struct slice
bare(struct slice line)
{
	if (line.len > 0 && line.ptr[line.len - 1] == '\n')
		line.len--;
	if (line.len > 0 && line.ptr[line.len - 1] == '\r')
		line.len--;
	return line;
}

/* ---- header fields of the file's own ---- */

static void
add_keywords(struct mboxfile_msg *msg, struct slice value)
{
	if (msg->keywords.len + value.len + 1 > KEYWORDS_MAX)
		return;
	if (msg->keywords.len > 0)
		buf_append_byte(&msg->keywords, ' ');
	buf_append_slice(&msg->keywords, value);
}

static void
mozilla_status(struct mboxfile_msg *msg, struct slice v)
{
	static const struct {
		unsigned bit;
		uint32_t flag;
	} bits[] = {{1, MSG_SEEN}, {2, MSG_ANSWERED}, {4, MSG_FLAGGED}, {8, MSG_DELETED}};
	char text[8] = "";
	unsigned long n;

	if (v.len == 0 || v.len > 4)
		return;
	memcpy(text, v.ptr, v.len);
	n = strtoul(text, NULL, 16);
	for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
		if ((n & bits[i].bit) != 0)
			msg->flags |= bits[i].flag;
	if ((n & 0x1000) != 0)
		add_keywords(msg, slice_str("$Forwarded"));
}

static void
status(struct mboxfile_msg *msg, struct slice v, bool x)
{
	for (size_t i = 0; i < v.len; i++)
		switch (v.ptr[i]) {
		case 'R':
			msg->flags |= x ? 0 : MSG_SEEN;
			break;
		case 'A':
			msg->flags |= x ? MSG_ANSWERED : 0;
			break;
		case 'F':
			msg->flags |= x ? MSG_FLAGGED : 0;
			break;
		case 'D':
			msg->flags |= x ? MSG_DELETED : 0;
			break;
		case 'T':
			msg->flags |= x ? MSG_DRAFT : 0;
			break;
		default:
			break;
		}
}

struct reading {
	struct mboxfile *m;
	struct mboxfile_msg *msg;
	void (*sink)(void *arg, struct slice s);
	void *sink_arg;
	bool has_length, is_own; /* is_own: the field under way is not the message's */
	uint64_t length;
	bool imap, folder_data; /* X-IMAP; the subject that goes with it */
};

/* A field of the file's own is taken note of. line: its first line. */
static bool
own_field(struct reading *r, struct slice line)
{
	static const char *const names[] = {"Status", "X-Status", "X-Keywords", "Content-Length",
	    "X-UID", "X-IMAP", "X-IMAPbase", "X-Mozilla-Status", "X-Mozilla-Status2",
	    "X-Mozilla-Keys"};
	ptrdiff_t colon = slice_index(line, ':');
	struct slice name, v;
	size_t i = 0;

	if (colon < 0)
		return false;
	name = slice_sub(line, 0, (size_t)colon);
	v = slice_trim(slice_from(line, (size_t)colon + 1));
	if (slice_caseeq_str(name, "Subject"))
		r->folder_data =
		    slice_starts(v, "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA");
	while (i < sizeof names / sizeof names[0] && !slice_caseeq_str(name, names[i]))
		i++;
	switch (i) {
	case 0:
	case 1:
		status(r->msg, v, i == 1);
		break;
	case 2:
	case 9:
		add_keywords(r->msg, v);
		break;
	case 3:
		r->has_length = slice_to_u64(v, INT64_MAX, &r->length) == 0;
		break;
	case 5:
	case 6:
		r->imap = r->imap || i == 5;
		break;
	case 7:
		mozilla_status(r->msg, v);
		break;
	default:
		break;
	}
	return i < sizeof names / sizeof names[0];
}

/* Up to and with the empty line; without one the message has no body. True when there was one. */
static bool
header_read(struct reading *r)
{
	struct mboxfile *m = r->m;
	bool begins = true;
	int64_t date;
	int zone_min;

	for (;;) {
		struct slice line = line_get(m);
		bool folded = line.len > 0 && (line.ptr[0] == ' ' || line.ptr[0] == '\t');

		if (line.len == 0)
			return false;
		if (begins && bare(line).len == 0) {
			r->sink(r->sink_arg, line);
			m->off += line.len;
			return true;
		}
		/* a message that was cut off in its header */
		if (begins && mboxfile_from_line(bare(line), &date, &zone_min))
			return false;
		if (begins && !folded)
			r->is_own = own_field(r, bare(line));
		if (!r->is_own)
			r->sink(r->sink_arg, line);
		begins = is_whole(line);
		m->off += line.len;
	}
}

/* ---- bodies ---- */

/* Whether a body of so many octets is followed by the end of the file, or by an empty line and that or the next message. */
static bool
length_holds(struct mboxfile *m, uint64_t length)
{
	unsigned char text[FROM_MAX + 16];
	size_t have = 0;
	int64_t n, date;
	struct slice s;
	ptrdiff_t end;
	int zone_min;

	if (length > (uint64_t)INT64_MAX - m->off)
		return false;
	/* it is not past the end */
	if (length > 0 && m->read(m->arg, m->off + length - 1, text, 1) != 1)
		return false;
	do {
		n = m->read(m->arg, m->off + length + have, text + have, sizeof text - have);
		if (n < 0 || n > (int64_t)(sizeof text - have))
			return false;
		have += (size_t)n;
	} while (n > 0 && have < sizeof text);
	s = slice_of(text, have);
	if (s.len > 0 && s.ptr[0] == '\r')
		s = slice_from(s, 1);
	if (s.len > 0 && s.ptr[0] == '\n')
		s = slice_from(s, 1);
	if (s.len == 0)
		return true;
	end = slice_index(s, '\n');
	return end >= 0 && mboxfile_from_line(bare(slice_sub(s, 0, (size_t)end)), &date, &zone_min);
}

/* How many octets of ">" to leave out before "From ". */
static size_t
quoted(const struct mboxfile *m, bool by_length, struct slice line)
{
	size_t n = 0;

	while (n < line.len && line.ptr[n] == '>')
		n++;
	if (n == 0 || m->quoting == MBOXFILE_NONE || (m->quoting == MBOXFILE_AUTO && by_length) ||
	    (m->quoting == MBOXFILE_O && n > 1) || !slice_starts(slice_from(line, n), "From "))
		return 0;
	return 1;
}

/* Up to off end (UINT64_MAX: up to the next message, whose empty line before it is not the body's). */
static void
body_read(struct reading *r, uint64_t end)
{
	struct mboxfile *m = r->m;
	unsigned char blank[2];
	size_t n_blank = 0;
	bool begins = true, behind_blank = true; /* the header's empty line */
	int64_t date;
	int zone_min;

	while (m->off < end) {
		struct slice line = line_get(m);

		if (line.len > end - m->off)
			line.len = (size_t)(end - m->off);
		if (line.len == 0)
			break;
		if (end == UINT64_MAX && begins && behind_blank &&
		    mboxfile_from_line(bare(line), &date, &zone_min))
			return;
		r->sink(r->sink_arg, slice_of(blank, n_blank));
		n_blank = 0;
		behind_blank = begins && is_whole(line) && bare(line).len == 0;
		m->off += line.len;
		if (behind_blank && end == UINT64_MAX) {
			memcpy(blank, line.ptr, n_blank = line.len);
		} else {
			struct slice text =
			    begins ? slice_from(line, quoted(m, end != UINT64_MAX, line)) : line;

			r->sink(r->sink_arg, text);
		}
		begins = is_whole(line);
	}
	/* at the end of the file an empty line is the one that a message ends with, too */
}

/* Behind a body with a length: the empty line. */
static void
skip_blank(struct mboxfile *m)
{
	struct slice line = line_get(m);

	if (line.len > 0 && bare(line).len == 0)
		m->off += line.len;
}

int
mboxfile_next(struct mboxfile *m, struct mboxfile_msg *msg, void (*sink)(void *arg, struct slice s),
    void *sink_arg)
{
	struct reading r = {.m = m, .msg = msg, .sink = sink, .sink_arg = sink_arg};
	bool first = !m->begun;
	struct slice line;

	*msg = (struct mboxfile_msg){.date = INT64_MIN};
	buf_init(&msg->keywords, KEYWORDS_MAX);
	line = line_get(m);
	while (line.len > 0 && bare(line).len == 0) { /* empty lines between messages */
		m->off += line.len;
		line = line_get(m);
	}
	if (line.len == 0 || m->err != 0)
		return m->err;
	msg->off = m->off;
	if (!mboxfile_from_line(bare(line), &msg->date, &msg->zone)) {
		msg->date = INT64_MIN;
		if (first || !slice_starts(line, "From "))
			return ERR_SYNTAX;
	}
	m->begun = true;
	m->off += line.len;
	if (header_read(&r)) {
		if (r.has_length && length_holds(m, r.length)) {
			body_read(&r, m->off + r.length);
			skip_blank(m);
		} else {
			body_read(&r, UINT64_MAX);
		}
	}
	msg->internal = first && r.imap && r.folder_data;
	return m->err != 0 ? m->err : 1;
}
