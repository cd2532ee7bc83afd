/* smtp_parse.c: SMTP commands and message data, pure. Runs in smtpd-session. Invariants: a line ends in CRLF and
 * nothing else; DATA ends at CRLF.CRLF and nothing else, so that no two servers can disagree where a message ends;
 * what is refused is still read to its end and never taken for commands. RFC 5321, 1870, 3030, 3461, 6152, 6531. */
#include "config.h"

#include "smtpd/smtp_parse.h"

#include "lib/addr.h"
#include "lib/err.h"

#include <assert.h>
#include <string.h>

int
smtp_line(struct slice in, size_t max, struct slice *line_out, size_t *used_out)
{
	ptrdiff_t lf = slice_index(in, '\n');

	if (lf < 0 || (size_t)lf >= max)
		return lf >= 0 || in.len >= max ? ERR_LIMIT : ERR_AGAIN;
	*used_out = (size_t)lf + 1;
	if (lf == 0 || in.ptr[lf - 1] != '\r')
		return ERR_SYNTAX;
	struct slice line = slice_sub(in, 0, (size_t)lf - 1);
	if (slice_index(line, '\r') >= 0 || slice_index(line, '\0') >= 0)
		return ERR_SYNTAX;
	*line_out = line;
	return 0;
}

void
smtp_split(struct slice line, struct slice *verb_out, struct slice *args_out)
{
	line = slice_trim(line);
	ptrdiff_t sp = slice_index(line, ' ');

	if (sp < 0) {
		*verb_out = line;
		*args_out = slice_of(NULL, 0);
		return;
	}
	*verb_out = slice_sub(line, 0, (size_t)sp);
	*args_out = slice_trim(slice_from(line, (size_t)sp));
}

/* The next space-separated word of *rest; false at the end. */
static bool
next_word(struct slice *rest, struct slice *word)
{
	*rest = slice_trim(*rest);
	if (rest->len == 0)
		return false;
	ptrdiff_t sp = slice_index(*rest, ' ');
	size_t n = sp < 0 ? rest->len : (size_t)sp;
	*word = slice_sub(*rest, 0, n);
	*rest = slice_from(*rest, n);
	return true;
}

/* "KEY=value" or "KEY" (value.ptr NULL). RFC 5321 4.1.2 esmtp-param. */
static int
split_param(struct slice word, struct slice *key, struct slice *value)
{
	ptrdiff_t eq = slice_index(word, '=');

	*key = eq < 0 ? word : slice_sub(word, 0, (size_t)eq);
	*value = eq < 0 ? slice_of(NULL, 0) : slice_from(word, (size_t)eq + 1);
	if (key->len == 0 || (eq >= 0 && value->len == 0))
		return ERR_SYNTAX;
	for (size_t i = 0; i < word.len; i++)
		if (word.ptr[i] <= ' ' || word.ptr[i] == 0x7F)
			return ERR_SYNTAX;
	return 0;
}

/* RFC 3461 4: xtext is printable ASCII without "+" and "=", "+" begins two upper-case hex digits. */
static bool
is_xtext(struct slice s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] < '!' || s.ptr[i] > '~' || s.ptr[i] == '=')
			return false;
		if (s.ptr[i] != '+')
			continue;
		if (i + 2 >= s.len)
			return false;
		for (size_t k = i + 1; k <= i + 2; k++)
			if (!(s.ptr[k] >= '0' && s.ptr[k] <= '9') &&
			    !(s.ptr[k] >= 'A' && s.ptr[k] <= 'F'))
				return false;
	}
	return true;
}

/* The path after "FROM:" or "TO:", and the parameters behind it. */
static int
path_of(struct slice args, const char *word, bool lenient, struct arena *a, struct slice *addr,
    struct slice *rest)
{
	if (!slice_casestarts(args, word))
		return ERR_SYNTAX;
	args = slice_from(args, strlen(word));
	if (lenient)
		args = slice_trim(args);
	if (args.len == 0 || args.ptr[0] != '<')
		return ERR_SYNTAX;
	int r = addr_path_parse(args, true, a, addr, rest);
	if (r == ERR_SYNTAX)
		return ERR_RANGE;
	if (r == 0 && rest->len > 0 && rest->ptr[0] != ' ')
		return ERR_SYNTAX;
	return r;
}

enum {
	P_SIZE = 1,
	P_BODY = 2,
	P_UTF8 = 4,
	P_RET = 8,
	P_ENVID = 16,
	P_AUTH = 32,
	P_NOTIFY = 64,
	P_ORCPT = 128,
	P_JUDGE_ID = 256,
	P_JUDGE_LOGIN = 512,
	P_JUDGE_IP = 1024,
	P_JUDGE_RELEASE = 2048
};

/* Hexadecimal, of at most max octets; without NUL unless it is binary. */
static bool
hex_param(struct slice v, size_t max, bool binary, struct arena *a, struct slice *out)
{
	size_t n = v.len / 2;
	unsigned char *p = v.ptr == NULL || n == 0 || n > max ? NULL : arena_alloc(a, n);

	if (p == NULL || hex_decode(v, p, n) != 0)
		return false;
	*out = slice_of(p, n);
	return binary ? n == max : slice_index(*out, '\0') < 0;
}

/* XCVID, XCVLOGIN, XCVADDR, XCVRELEASE: 0 when it is none of them. */
static int
judge_param(struct slice key, struct slice value, struct arena *a, struct smtp_mail *m)
{
	const struct {
		const char *key;
		size_t max;
		struct slice *out;
		int bit;
	} params[] = {{"XCVID", 16, &m->judge_id, P_JUDGE_ID},
	    {"XCVLOGIN", 200, &m->judge_login, P_JUDGE_LOGIN},
	    {"XCVADDR", 45, &m->judge_ip, P_JUDGE_IP},
	    {"XCVRELEASE", 300, &m->judge_release, P_JUDGE_RELEASE}};

	for (size_t i = 0; i < sizeof(params) / sizeof(params[0]); i++)
		if (slice_caseeq_str(key, params[i].key))
			return hex_param(value, params[i].max, params[i].bit == P_JUDGE_ID, a,
				   params[i].out)
				   ? params[i].bit
				   : ERR_SYNTAX;
	return 0;
}

static int
mail_param(struct slice key, struct slice value, struct arena *a, struct smtp_mail *m)
{
	if (slice_caseeq_str(key, "SIZE")) /* RFC 1870 6: up to 20 digits */
		return value.ptr == NULL || slice_to_u64(value, UINT64_MAX, &m->size) != 0
			   ? ERR_SYNTAX
			   : P_SIZE;
	if (slice_caseeq_str(key, "BODY")) { /* RFC 6152 3 */
		m->body_8bit = slice_caseeq_str(value, "8BITMIME");
		return m->body_8bit || slice_caseeq_str(value, "7BIT") ? P_BODY : ERR_SYNTAX;
	}
	if (slice_caseeq_str(key, "SMTPUTF8")) { /* RFC 6531 3.4 */
		m->smtputf8 = true;
		return value.ptr != NULL ? ERR_SYNTAX : P_UTF8;
	}
	if (slice_caseeq_str(key, "RET")) { /* RFC 3461 4.3 */
		m->ret = slice_str(slice_caseeq_str(value, "FULL") ? "FULL" : "HDRS");
		return slice_caseeq_str(value, "FULL") || slice_caseeq_str(value, "HDRS")
			   ? P_RET
			   : ERR_SYNTAX;
	}
	if (slice_caseeq_str(key, "ENVID")) { /* RFC 3461 4.4: 100 characters */
		m->envid = arena_slice(a, value);
		return value.ptr == NULL || value.len > 100 || !is_xtext(value) ? ERR_SYNTAX
										: P_ENVID;
	}
	if (slice_caseeq_str(key, "AUTH")) /* RFC 4954 5: read, believed by nobody */
		return value.ptr == NULL || value.len > 500 || !is_xtext(value) ? ERR_SYNTAX
										: P_AUTH;
	int r = judge_param(key, value, a, m);
	return r != 0 ? r : ERR_UNSUPPORTED;
}

int
smtp_mail_parse(struct slice args, bool lenient, struct arena *a, struct smtp_mail *out)
{
	struct smtp_mail m = {.size = 0};
	struct slice rest, word, key, value;
	int seen = 0;
	int r = path_of(args, "FROM:", lenient, a, &m.from, &rest);

	if (r != 0)
		return r;
	while (next_word(&rest, &word)) {
		if ((r = split_param(word, &key, &value)) != 0)
			return r;
		if ((r = mail_param(key, value, a, &m)) < 0)
			return r;
		if (seen & r)
			return ERR_EXISTS;
		seen |= r;
	}
	*out = m;
	return 0;
}

/* "NEVER" or a list of the others. RFC 3461 4.1. */
static int
notify_parse(struct slice v, unsigned *out)
{
	static const char *const names[] = {"NEVER", "SUCCESS", "FAILURE", "DELAY"};
	unsigned bits = 0;

	while (v.ptr != NULL) {
		ptrdiff_t comma = slice_index(v, ',');
		struct slice one = comma < 0 ? v : slice_sub(v, 0, (size_t)comma);
		unsigned i = 0;
		while (i < 4 && !slice_caseeq_str(one, names[i]))
			i++;
		if (i == 4 || (bits & 1u << i))
			return ERR_SYNTAX;
		bits |= 1u << i;
		v = comma < 0 ? slice_of(NULL, 0) : slice_from(v, (size_t)comma + 1);
	}
	if (bits == 0 || ((bits & SMTP_NOTIFY_NEVER) && bits != SMTP_NOTIFY_NEVER))
		return ERR_SYNTAX;
	*out = bits;
	return P_NOTIFY;
}

int
smtp_rcpt_parse(struct slice args, bool lenient, struct arena *a, struct smtp_rcpt *out)
{
	struct smtp_rcpt m = {.notify = 0};
	struct slice rest, word, key, value;
	int seen = 0;
	int r = path_of(args, "TO:", lenient, a, &m.to, &rest);

	if (r != 0)
		return r;
	if (m.to.len == 0)
		return ERR_RANGE;
	while (next_word(&rest, &word)) {
		if ((r = split_param(word, &key, &value)) != 0)
			return r;
		if (slice_caseeq_str(key, "NOTIFY")) {
			r = notify_parse(value, &m.notify);
		} else if (slice_caseeq_str(
			       key, "ORCPT")) { /* RFC 3461 4.2: type;xtext, or utf-8 (6533) */
			m.orcpt = arena_slice(a, value);
			r = value.ptr == NULL || value.len > 500 || slice_index(value, ';') < 1
				? ERR_SYNTAX
				: P_ORCPT;
		} else {
			r = ERR_UNSUPPORTED;
		}
		if (r < 0)
			return r;
		if (seen & r)
			return ERR_EXISTS;
		seen |= r;
	}
	*out = m;
	return 0;
}

int
smtp_bdat_parse(struct slice args, uint64_t *size_out, bool *last_out)
{
	struct slice n, last, more;
	uint64_t size;

	if (!next_word(&args, &n) || slice_to_u64(n, UINT64_MAX / 2, &size) != 0)
		return ERR_SYNTAX;
	bool is_last = next_word(&args, &last);
	if ((is_last && !slice_caseeq_str(last, "LAST")) || next_word(&args, &more))
		return ERR_SYNTAX;
	*size_out = size;
	*last_out = is_last;
	return 0;
}

/* ---- message data ---- */

enum { ST_BOL, ST_MID, ST_CR, ST_DOT, ST_DOTCR };

void
smtp_data_init(struct smtp_data *d, bool dots)
{
	*d = (struct smtp_data){.dots = dots, .in_header = true, .state = ST_BOL};
}

static void
fault(struct smtp_data *d, enum smtp_data_fault f)
{
	if (d->fault == SMTP_DATA_OK)
		d->fault = f;
}

static void
give(struct smtp_data *d, const unsigned char *p, size_t n, struct buf *out)
{
	if (d->fault == SMTP_DATA_OK)
		buf_append(out, p, n);
	d->any = true;
}

/* A whole line of line_len bytes ended. */
static void
line_done(struct smtp_data *d, struct buf *out)
{
	give(d, (const unsigned char *)"\r\n", 2, out);
	if (d->in_header) {
		if (d->line_len == 0)
			d->in_header = false;
		d->field_len += 2;
		d->header_len += 2;
	}
	d->line_len = 0;
	d->state = ST_BOL;
}

/* Bytes of a line, without CR, LF and NUL. */
static void
line_bytes(struct smtp_data *d, const unsigned char *p, size_t n, struct buf *out)
{
	bool high = false;

	for (size_t i = 0; i < n; i++)
		high |= p[i] >= 0x80;
	if (d->in_header) {
		/* a line that does not begin with white space begins a field: RFC 5322 2.2.3 */
		if (d->line_len == 0 && p[0] != ' ' && p[0] != '\t')
			d->field_len = 0;
		d->field_len += n;
		d->header_len += n;
		if (d->field_len > SMTP_FIELD_MAX)
			fault(d, SMTP_DATA_LONG_FIELD);
		if (d->header_len > SMTP_HEADER_MAX)
			fault(d, SMTP_DATA_LONG_HEADER);
		d->header_eight_bit |= high;
	}
	d->eight_bit |= high;
	d->line_len += n;
	if (d->line_len > SMTP_LINE_MAX)
		fault(d, SMTP_DATA_LONG_LINE);
	give(d, p, n, out);
	d->state = ST_MID;
}

/* The run of bytes at p that are none of CR, LF, NUL. */
static size_t
run_len(const unsigned char *p, size_t n)
{
	const unsigned char *lf = memchr(p, '\n', n);
	size_t len = lf == NULL ? n : (size_t)(lf - p);
	const unsigned char *cr = memchr(p, '\r', len);
	if (cr != NULL)
		len = (size_t)(cr - p);
	const unsigned char *nul = memchr(p, '\0', len);
	return nul == NULL ? len : (size_t)(nul - p);
}

/* One byte in a state that is not the inside of a line; how many were used (0: look again). */
static size_t
step(struct smtp_data *d, unsigned char c, struct buf *out)
{
	switch (d->state) {
	case ST_DOT:
		if (c == '\r') {
			d->state = ST_DOTCR;
			return 1;
		}
		/* transparency: the first dot of a line is not the message's (RFC 5321 4.5.2) */
		d->state = ST_MID;
		return 0;
	case ST_DOTCR:
		if (c == '\n') {
			d->at_end = true;
			return 1;
		}
		fault(d, SMTP_DATA_BARE_CR);
		d->state = ST_MID;
		return 0;
	case ST_CR:
		if (c == '\n') {
			line_done(d, out);
			return 1;
		}
		fault(d, SMTP_DATA_BARE_CR);
		d->state = c == '\r' ? ST_CR : ST_MID;
		return c == '\r' ? 1 : 0;
	default:
		break;
	}
	if (d->state == ST_BOL && c == '.' && d->dots) {
		d->state = ST_DOT;
		return 1;
	}
	if (c == '\r') {
		d->state = ST_CR;
		return 1;
	}
	fault(d, c == '\n' ? SMTP_DATA_BARE_LF : SMTP_DATA_NUL);
	d->state = ST_MID;
	return 1;
}

size_t
smtp_data_read(struct smtp_data *d, struct slice in, struct buf *out)
{
	size_t at = 0;

	while (at < in.len && !d->at_end) {
		unsigned char c = in.ptr[at];
		bool in_line = d->state == ST_MID || (d->state == ST_BOL && !(c == '.' && d->dots));
		size_t n = in_line ? run_len(in.ptr + at, in.len - at) : 0;
		if (n > 0)
			line_bytes(d, in.ptr + at, n, out);
		else
			n = step(d, c, out);
		at += n;
	}
	return at;
}

bool
smtp_data_ends_clean(const struct smtp_data *d)
{
	return d->state == ST_BOL;
}
