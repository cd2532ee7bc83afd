/* policy_match.c: how the policy language compares texts, names and networks. Pure. Words are found without regard to case, as whole words
 * (so "mat" is not in "format"), white space counts as one space; marks count: "mật" is not "mat". */
#include "config.h"

#include "milter/policy_priv.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/fold.h"
#include "lib/idna.h"

#include <arpa/inet.h>
#include <string.h>

int
policy_fold(struct slice s, struct buf *out)
{
	struct buf f;
	bool space = true;
	size_t i;
	int err;

	buf_init(&f, 8 * s.len + 64);
	err = case_fold(s, &f);
	for (i = 0; err == 0 && i < f.len; i++) {
		unsigned char c = f.data[i];
		bool blank = c == ' ' || c == '\t' || c == '\r' || c == '\n';

		if (!blank)
			buf_append_byte(out, c);
		else if (!space)
			buf_append_byte(out, ' ');
		space = blank;
	}
	buf_done(&f);
	if (space && out->len > 0 && out->data[out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
	return err != 0 ? err : out->err;
}

int
policy_normal_address(struct slice s, struct buf *out)
{
	return addr_normalize(s, out);
}

int
policy_normal_domain(struct slice s, struct buf *out)
{
	if (s.len > 1 && s.ptr[s.len - 1] == '.')
		s.len--;
	return !addr_domain_ok(s, true) ? ERR_SYNTAX : idna_to_ascii(s, out);
}

bool
policy_domain_in(struct slice domain, const struct policy_list *l)
{
	size_t i;

	for (i = 0; i < l->n; i++) {
		struct slice d = l->v[i];

		if (!slice_starts(d, "*.")) {
			if (slice_caseeq(d, domain))
				return true;
			continue;
		}
		d = slice_from(d, 1); /* ".x.example" */
		if (domain.len > d.len && slice_caseeq(slice_from(domain, domain.len - d.len), d))
			return true;
	}
	return false;
}

bool
policy_domain_is_ours(const struct policy *p, struct slice domain)
{
	return policy_domain_in(domain, &p->organization);
}

/* 16 octets (IPv4 as ::ffff:a.b.c.d) and how many bits count. */
static bool
network_parse(struct slice s, unsigned char out[16], unsigned *bits_out)
{
	ptrdiff_t slash = slice_index(s, '/');
	struct slice ip = slash >= 0 ? slice_sub(s, 0, (size_t)slash) : s;
	char text[INET6_ADDRSTRLEN + 1];
	uint64_t bits = 128;
	bool v4;

	if (ip.len == 0 || ip.len >= sizeof text)
		return false;
	memcpy(text, ip.ptr, ip.len);
	text[ip.len] = '\0';
	memset(out, 0, 16);
	v4 = inet_pton(AF_INET, text, out + 12) == 1;
	if (v4)
		out[10] = out[11] = 0xff;
	else if (inet_pton(AF_INET6, text, out) != 1)
		return false;
	if (slash >= 0) {
		if (slice_to_u64(slice_from(s, (size_t)slash + 1), v4 ? 32 : 128, &bits) != 0)
			return false;
		bits += v4 ? 96 : 0;
	}
	*bits_out = (unsigned)bits;
	return true;
}

bool
policy_network_ok(struct slice s)
{
	unsigned char a[16];
	unsigned bits;

	return network_parse(s, a, &bits);
}

bool
policy_network_has(struct slice network, struct slice ip)
{
	unsigned char n[16], a[16];
	unsigned bits, all, i;

	if (!network_parse(network, n, &bits) || slice_index(ip, '/') >= 0 ||
	    !network_parse(ip, a, &all))
		return false;
	for (i = 0; i < bits; i++) {
		unsigned mask = 0x80u >> (i % 8);

		if ((n[i / 8] & mask) != (a[i / 8] & mask))
			return false;
	}
	return true;
}
