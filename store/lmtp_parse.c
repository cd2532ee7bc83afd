/* lmtp_parse.c: LMTP commands and the text of DATA, pure. Runs in ingest.
 *
 * As strict as SMTP must be: a line ends in CRLF, the message in CRLF.CRLF; a CR or LF alone never ends anything, so two
 * programs cannot disagree where a message ends. RFC 2033; RFC 5321 4.1.1, 4.5.2; RFC 1870, 3030, 6152, 6531. */
#include "store/lmtp_parse.h"

#include <string.h>

#include "lib/addr.h"
#include "lib/err.h"

enum lmtp_verb
lmtp_verb_parse(struct slice line, struct slice *args_out)
{
	static const struct {
		const char *name;
		enum lmtp_verb verb;
	} verbs[] = {{"LHLO", LMTP_LHLO}, {"MAIL", LMTP_MAIL}, {"RCPT", LMTP_RCPT},
	    {"DATA", LMTP_DATA}, {"BDAT", LMTP_BDAT}, {"RSET", LMTP_RSET}, {"NOOP", LMTP_NOOP},
	    {"QUIT", LMTP_QUIT}, {"VRFY", LMTP_VRFY}, {"HELO", LMTP_HELO}, {"EHLO", LMTP_HELO}};
	ptrdiff_t space = slice_index(line, ' ');
	struct slice verb = slice_sub(line, 0, space < 0 ? line.len : (size_t)space);

	*args_out = slice_trim(slice_from(line, verb.len));
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
		if (slice_caseeq_str(verb, verbs[i].name))
			return verbs[i].verb;
	return LMTP_UNKNOWN;
}

/* "SMTPUTF8" among the parameters: it must be known before the path is read. */
static bool
has_word(struct slice s, const char *word)
{
	while (s.len > 0) {
		ptrdiff_t space = slice_index(s, ' ');
		struct slice w = slice_sub(s, 0, space < 0 ? s.len : (size_t)space);

		if (slice_caseeq_str(w, word))
			return true;
		s = slice_from(s, w.len + (space >= 0));
	}
	return false;
}

static const char *
mail_param(struct slice p, struct lmtp_mail *out)
{
	if (slice_casestarts(p, "SIZE=")) {
		if (slice_to_u64(slice_from(p, 5), UINT64_MAX / 2, &out->size) != 0)
			return "501 5.5.4 SIZE is not a number";
	} else if (slice_casestarts(p, "BODY=")) {
		struct slice v = slice_from(p, 5);

		if (!slice_caseeq_str(v, "7BIT") && !slice_caseeq_str(v, "8BITMIME"))
			return "501 5.5.4 BODY is 7BIT or 8BITMIME";
	} else if (slice_caseeq_str(p, "SMTPUTF8")) {
		out->utf8 = true;
	} else if (slice_caseeq_str(p, "XCVSENT")) {
		out->sent = true;
	} else if (slice_casestarts(p, "XCVID=") || slice_casestarts(p, "XCVSEEN=")) {
		bool seen = slice_casestarts(p, "XCVSEEN=");
		struct slice v = slice_from(p, seen ? 8 : 6);

		if (hex_decode(v, out->id, sizeof(out->id)) != 0)
			return "501 5.5.4 XCVID and XCVSEEN are 32 hexadecimal digits";
		out->has_id = !seen;
		out->asks_seen = seen;
	} else {
		return "555 5.5.4 parameter not supported";
	}
	return NULL;
}

const char *
lmtp_mail_parse(struct slice args, struct arena *a, struct lmtp_mail *out)
{
	struct slice rest;
	int r;

	memset(out, 0, sizeof(*out));
	if (!slice_casestarts(args, "FROM:"))
		return "501 5.5.4 MAIL FROM:<address>";
	r = addr_path_parse(
	    slice_from(args, 5), has_word(args, "SMTPUTF8"), a, &out->sender, &rest);
	if (r == ERR_NOMEM)
		return "451 4.3.0 no memory";
	if (r != 0)
		return "501 5.1.7 bad sender address";
	while (rest.len > 0) {
		ptrdiff_t space;
		struct slice p;
		const char *bad;

		if (rest.ptr[0] != ' ')
			return "501 5.5.4 a space must stand before a parameter";
		rest = slice_from(rest, 1);
		space = slice_index(rest, ' ');
		p = slice_sub(rest, 0, space < 0 ? rest.len : (size_t)space);
		rest = slice_from(rest, p.len);
		bad = p.len == 0 ? NULL : mail_param(p, out);
		if (bad != NULL)
			return bad;
	}
	/* without its id it could be doubled */
	return out->sent && !out->has_id ? "501 5.5.4 XCVSENT needs XCVID" : NULL;
}

const char *
lmtp_rcpt_parse(struct slice args, bool utf8, struct arena *a, struct slice *address_out)
{
	struct slice rest;
	int r;

	if (!slice_casestarts(args, "TO:"))
		return "501 5.5.4 RCPT TO:<address>";
	r = addr_path_parse(slice_from(args, 3), utf8, a, address_out, &rest);
	if (r == ERR_NOMEM)
		return "451 4.3.0 no memory";
	if (r != 0 || address_out->len == 0)
		return "501 5.1.3 bad recipient address";
	if (slice_trim(rest).len > 0)
		return "555 5.5.4 parameter not supported";
	return NULL;
}

void
lmtp_data_init(struct lmtp_data *d)
{
	*d = (struct lmtp_data){.state = LMTP_D_BOL};
}

struct sink {
	void (*put)(void *arg, const void *p, size_t n);
	void *arg;
};

/* Bytes inside a line, up to its CR or a LF alone: gives how many were taken. */
static size_t
feed_mid(struct lmtp_data *d, struct slice in, const struct sink *out)
{
	const unsigned char *lf = memchr(in.ptr, '\n', in.len), *cr;
	size_t n = lf == NULL ? in.len : (size_t)(lf - in.ptr);

	cr = memchr(in.ptr, '\r', n);
	if (cr != NULL) {
		n = (size_t)(cr - in.ptr);
		out->put(out->arg, in.ptr, n);
		d->state = LMTP_D_CR;
		return n + 1;
	}
	if (lf != NULL) {
		d->bare = true; /* and no line begins behind it */
		n++;
	}
	out->put(out->arg, in.ptr, n);
	return n;
}

/* One byte at a border of lines: whether it was taken (else the state changed and it comes again). */
static bool
feed_border(struct lmtp_data *d, unsigned char c, const struct sink *out)
{
	switch (d->state) {
	case LMTP_D_BOL:
		d->state = c == '.' ? LMTP_D_DOT : LMTP_D_MID;
		return c == '.';
	case LMTP_D_DOT: /* RFC 5321 4.5.2: a dot that begins a line is dropped when more follows */
		d->state = c == '\r' ? LMTP_D_DOT_CR : LMTP_D_MID;
		return c == '\r';
	case LMTP_D_DOT_CR: /* LF would have been the end */
	case LMTP_D_CR:
		if (c == '\n') {
			out->put(out->arg, "\r\n", 2);
			d->state = LMTP_D_BOL;
			return true;
		}
		d->bare = true;
		out->put(out->arg, "\r", 1);
		d->state = LMTP_D_MID;
		return false;
	case LMTP_D_MID:
		break;
	}
	return false;
}

bool
lmtp_data_feed(struct lmtp_data *d, struct slice in, size_t *used_out,
    void (*put)(void *arg, const void *p, size_t n), void *arg)
{
	struct sink out = {put, arg};
	struct slice all = in;

	while (in.len > 0) {
		if (d->state == LMTP_D_DOT_CR && in.ptr[0] == '\n') {
			*used_out = all.len - in.len + 1;
			if (memchr(all.ptr, '\0', *used_out) != NULL)
				d->nul = true;
			return true;
		}
		if (d->state == LMTP_D_MID)
			in = slice_from(in, feed_mid(d, in, &out));
		else if (feed_border(d, in.ptr[0], &out))
			in = slice_from(in, 1);
	}
	*used_out = all.len;
	if (all.len > 0 && memchr(all.ptr, '\0', all.len) != NULL)
		d->nul = true;
	return false;
}

int
lmtp_bdat_parse(struct slice args, uint64_t *size_out, bool *last_out)
{
	ptrdiff_t space = slice_index(args, ' ');
	struct slice n = slice_sub(args, 0, space < 0 ? args.len : (size_t)space);
	struct slice rest = slice_trim(slice_from(args, n.len));

	if ((rest.len > 0 && !slice_caseeq_str(rest, "LAST")) ||
	    slice_to_u64(n, UINT64_MAX / 2, size_out) != 0)
		return ERR_SYNTAX;
	*last_out = rest.len > 0;
	return 0;
}

/* An LF is good exactly behind a CR, and a CR exactly before an LF: one comparison for each octet, of which the compiler makes vectors. */
void
lmtp_chunk_look(struct lmtp_data *d, struct slice in)
{
	enum { STEP = 64 }; /* known to the compiler: it takes that many at once */
	unsigned char odd, nul;
	size_t i = 1;

	if (in.len == 0)
		return;
	odd = (in.ptr[0] == '\n') ^ (d->state == LMTP_D_CR);
	nul = in.ptr[0] == 0;
	for (; in.len - i >= STEP; i += STEP) {
		const unsigned char *p = in.ptr + i, *before = p - 1;

		for (size_t k = 0; k < STEP; k++) {
			odd |= (p[k] == '\n') ^ (before[k] == '\r');
			nul |= p[k] == 0;
		}
	}
	for (; i < in.len; i++) {
		odd |= (in.ptr[i] == '\n') ^ (in.ptr[i - 1] == '\r');
		nul |= in.ptr[i] == 0;
	}
	d->bare = d->bare || odd != 0;
	d->nul = d->nul || nul != 0;
	d->state = in.ptr[in.len - 1] == '\n'   ? LMTP_D_BOL
		   : in.ptr[in.len - 1] == '\r' ? LMTP_D_CR
						: LMTP_D_MID;
}
