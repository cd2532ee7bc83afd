/* addr_path.c: addresses of the envelope and their form for comparison, pure. Runs in smtpd-session, ingest, lookup, relay.
 *
 * An address that leaves here has its local part quoted exactly when it must be, so that equal mailboxes have equal texts up to
 * case and normal form. RFC 5321 4.1.2, 4.5.3.1; RFC 6531 3.3. */
#include "lib/addr.h"

#include <arpa/inet.h>
#include <string.h>

#include "lib/err.h"
#include "lib/idna.h"
#include "lib/uni.h"

enum { LOCAL_MAX = 64, DOMAIN_MAX = 255, PATH_MAX_OCTETS = 256, LABEL_MAX = 63 };

static bool
is_alnum(unsigned char c)
{
	return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9');
}

static bool
is_atext(unsigned char c)
{
	return is_alnum(c) || c >= 0x80 || (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}

static bool
is_dot_string(struct slice s)
{
	if (s.len == 0 || s.ptr[0] == '.' || s.ptr[s.len - 1] == '.')
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '.' ? s.ptr[i - 1] == '.' : !is_atext(s.ptr[i]))
			return false;
	}
	return true;
}

static bool
is_literal(struct slice d)
{
	struct slice in = slice_sub(d, 1, d.len - 2);
	unsigned char addr[16];
	char text[64];
	int family = AF_INET;

	if (slice_casestarts(in, "IPv6:")) {
		in = slice_from(in, 5);
		family = AF_INET6;
	}
	if (in.len == 0 || in.len >= sizeof(text) || memchr(in.ptr, '\0', in.len) != NULL)
		return false;
	memcpy(text, in.ptr, in.len);
	text[in.len] = '\0';
	return inet_pton(family, text, addr) == 1;
}

bool
addr_domain_ok(struct slice domain, bool utf8)
{
	size_t label = 0;

	if (domain.len == 0 || domain.len > DOMAIN_MAX)
		return false;
	if (domain.ptr[0] == '[')
		return domain.len > 2 && domain.ptr[domain.len - 1] == ']' && is_literal(domain);
	if (!uni_valid(domain))
		return false;
	for (size_t i = 0; i <= domain.len; i++) {
		unsigned char c = i < domain.len ? domain.ptr[i] : '.';

		if (c == '.') {
			if (label == 0 || label > LABEL_MAX || domain.ptr[i - 1] == '-')
				return false;
			label = 0;
			continue;
		}
		if (c == '-' ? label == 0 : !is_alnum(c) && !(utf8 && c >= 0x80))
			return false;
		label++;
	}
	return true;
}

/* Appends a local part, quoted when it has to be. */
static void
put_local(struct slice local, struct buf *out)
{
	if (is_dot_string(local)) {
		buf_append_slice(out, local);
		return;
	}
	buf_append_byte(out, '"');
	for (size_t i = 0; i < local.len; i++) {
		if (local.ptr[i] == '"' || local.ptr[i] == '\\')
			buf_append_byte(out, '\\');
		buf_append_byte(out, local.ptr[i]);
	}
	buf_append_byte(out, '"');
}

/* A Dot-string or Quoted-string at *s, unquoted into local. */
static int
take_local(struct slice *s, bool utf8, struct buf *local)
{
	size_t n = 0;

	if (s->len > 0 && s->ptr[0] == '"') {
		for (n = 1; n < s->len && s->ptr[n] != '"'; n++) {
			if (s->ptr[n] == '\\' && ++n == s->len)
				return ERR_SYNTAX;
			/* qtextSMTP and quoted-pairSMTP: printable ASCII */
			if (s->ptr[n] < 0x20 || s->ptr[n] == 0x7f)
				return ERR_SYNTAX;
			buf_append_byte(local, s->ptr[n]);
		}
		if (n == s->len)
			return ERR_SYNTAX;
		*s = slice_from(*s, n + 1);
	} else {
		while (n < s->len && (is_atext(s->ptr[n]) || s->ptr[n] == '.'))
			n++;
		if (!is_dot_string(slice_sub(*s, 0, n)))
			return ERR_SYNTAX;
		buf_append(local, s->ptr, n);
		*s = slice_from(*s, n);
	}
	if (local->err != 0)
		return local->err;
	if (!utf8)
		for (size_t i = 0; i < local->len; i++)
			if (local->data[i] >= 0x80)
				return ERR_SYNTAX;
	return uni_valid(buf_slice(local)) ? 0 : ERR_SYNTAX;
}

/* "@a,@b:" is read and dropped (RFC 5321 4.1.1.3, appendix C). */
static int
skip_route(struct slice *s, bool utf8)
{
	ptrdiff_t colon;

	if (s->len == 0 || s->ptr[0] != '@')
		return 0;
	colon = slice_index(*s, ':');
	while (s->len > 0 && s->ptr[0] == '@' && colon > 0) {
		size_t n = 1;

		while (n < s->len && s->ptr[n] != ',' && s->ptr[n] != ':')
			n++;
		if (n == s->len || !addr_domain_ok(slice_sub(*s, 1, n - 1), utf8))
			return ERR_SYNTAX;
		if (s->ptr[n] == ':') {
			*s = slice_from(*s, n + 1);
			return 0;
		}
		*s = slice_from(*s, n + 1);
	}
	return ERR_SYNTAX;
}

static int
take_domain(struct slice *s, bool utf8, struct slice *domain_out)
{
	size_t n = 0;

	if (s->len > 0 && s->ptr[0] == '[') {
		while (n < s->len && s->ptr[n] != ']')
			n++;
		n += n < s->len;
	} else {
		while (n < s->len && s->ptr[n] != '>')
			n++;
	}
	*domain_out = slice_sub(*s, 0, n);
	if (n > DOMAIN_MAX)
		return ERR_LIMIT;
	*s = slice_from(*s, n);
	return addr_domain_ok(*domain_out, utf8) ? 0 : ERR_SYNTAX;
}

static int
mailbox_parse(struct slice *s, bool utf8, struct buf *local, struct slice *domain_out)
{
	size_t before = s->len;
	int r = take_local(s, utf8, local);

	*domain_out = (struct slice){0};
	if (r != 0)
		return r;
	if (before - s->len > LOCAL_MAX)
		return ERR_LIMIT;
	if (s->len > 0 && s->ptr[0] == '@') {
		*s = slice_from(*s, 1);
		return take_domain(s, utf8, domain_out);
	}
	return slice_caseeq_str(buf_slice(local), "postmaster") ? 0 : ERR_SYNTAX;
}

int
addr_path_parse(
    struct slice s, bool utf8, struct arena *a, struct slice *addr_out, struct slice *rest_out)
{
	struct slice start = s, domain = {0}, got;
	struct buf local, full;
	int r;

	buf_init(&local, 1024);
	buf_init(&full, 2048);
	r = ERR_SYNTAX;
	if (s.len == 0 || s.ptr[0] != '<')
		goto out;
	s = slice_from(s, 1);
	if (s.len > 0 && s.ptr[0] != '>') {
		r = skip_route(&s, utf8);
		if (r == 0)
			r = mailbox_parse(&s, utf8, &local, &domain);
		if (r != 0)
			goto out;
		put_local(buf_slice(&local), &full);
		if (domain.len > 0)
			buf_append_byte(&full, '@');
		for (size_t i = 0; i < domain.len; i++) {
			unsigned char c = domain.ptr[i];

			buf_append_byte(&full, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		}
	}
	r = ERR_SYNTAX;
	if (s.len == 0 || s.ptr[0] != '>')
		goto out;
	s = slice_from(s, 1);
	r = start.len - s.len > PATH_MAX_OCTETS ? ERR_LIMIT : full.err;
	if (r != 0)
		goto out;
	got = arena_slice(a, buf_slice(&full));
	r = got.ptr == NULL ? ERR_NOMEM : 0;
	if (r == 0) {
		*addr_out = got;
		*rest_out = s;
	}
out:
	buf_done(&full);
	buf_done(&local);
	return r;
}

int
addr_split(struct slice addr, struct slice *local_out, struct slice *domain_out)
{
	size_t at = addr.len;
	bool quoted = false;

	for (size_t i = 0; i < addr.len; i++) {
		if (quoted && addr.ptr[i] == '\\')
			i++;
		else if (addr.ptr[i] == '"')
			quoted = !quoted;
		else if (addr.ptr[i] == '@' && !quoted)
			at = i;
	}
	if (quoted || at == 0 || at + 1 >= addr.len)
		return ERR_SYNTAX;
	*local_out = slice_sub(addr, 0, at);
	*domain_out = slice_from(addr, at + 1);
	return 0;
}

/* NFC, ASCII letters lower; quoted again only when needed. */
static int
normalize_local(struct slice local, struct buf *out)
{
	struct buf plain, nfc;
	int r;

	buf_init(&plain, local.len + 1);
	buf_init(&nfc, local.len * 3 + 1);
	if (local.ptr[0] == '"') {
		struct slice s = local;

		r = take_local(&s, true, &plain);
		if (r == 0 && s.len > 0)
			r = ERR_SYNTAX;
	} else {
		r = buf_append_slice(&plain, local);
	}
	if (r == 0)
		r = uni_normalize(UNI_NFC, buf_slice(&plain), &nfc);
	if (r == 0) {
		for (size_t i = 0; i < nfc.len; i++)
			if (nfc.data[i] >= 'A' && nfc.data[i] <= 'Z')
				nfc.data[i] |= 0x20;
		put_local(buf_slice(&nfc), out);
	}
	buf_done(&nfc);
	buf_done(&plain);
	return r;
}

int
addr_normalize(struct slice addr, struct buf *out)
{
	struct slice local = addr, domain = {0};
	size_t start = out->len;
	int r;

	if (addr.len == 0 || addr.len > 4 * PATH_MAX_OCTETS)
		return ERR_SYNTAX;
	if (addr_split(addr, &local, &domain) != 0 && !slice_caseeq_str(addr, "postmaster"))
		return ERR_SYNTAX;
	r = normalize_local(local, out);
	if (r == 0 && domain.len > 0) {
		buf_append_byte(out, '@');
		r = idna_to_ascii(domain, out);
	}
	if (r != 0 && out->err == 0)
		buf_truncate(out, start);
	return r != 0 ? r : out->err;
}

bool
addr_same(struct slice a, struct slice b)
{
	struct buf na, nb;
	bool same;

	buf_init(&na, 8192);
	buf_init(&nb, 8192);
	same = addr_normalize(a, &na) == 0 && addr_normalize(b, &nb) == 0 &&
	       slice_eq(buf_slice(&na), buf_slice(&nb));
	buf_done(&na);
	buf_done(&nb);
	return same;
}
