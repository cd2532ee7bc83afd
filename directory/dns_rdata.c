/* dns_rdata.c: records of the DNS, pure. Runs in lookup. Whoever runs a name server writes these bytes: each is checked. RFC 1035. */
#include "config.h"

#include "directory/dns_rdata.h"

#include "lib/err.h"

#include <arpa/inet.h>

enum { NAME_MAX_TEXT = 253 };

static bool
is_host_byte(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

int
dns_name_text(struct slice in, size_t *used_out, struct buf *out)
{
	size_t at = 0, written = 0;

	for (;;) {
		if (at >= in.len || in.ptr[at] > 63 || at + 1 + in.ptr[at] > in.len)
			return ERR_SYNTAX;
		size_t n = in.ptr[at++];
		if (n == 0)
			break;
		written += n + (written > 0);
		if (written > NAME_MAX_TEXT)
			return ERR_LIMIT;
		if (written > n)
			buf_append_byte(out, '.');
		for (size_t i = 0; i < n; i++, at++) {
			unsigned char c = in.ptr[at];
			if (!is_host_byte(c))
				return ERR_SYNTAX;
			buf_append_byte(out, c >= 'A' && c <= 'Z' ? (unsigned char)(c + 32) : c);
		}
	}
	*used_out = at;
	return out->err;
}

int
dns_mx_parse(struct slice rdata, uint16_t *pref_out, struct buf *host_out)
{
	size_t used;

	if (rdata.len < 3)
		return ERR_SYNTAX;
	int r = dns_name_text(slice_from(rdata, 2), &used, host_out);
	if (r == 0 && used != rdata.len - 2)
		r = ERR_SYNTAX;
	if (r == 0)
		*pref_out = (uint16_t)(rdata.ptr[0] << 8 | rdata.ptr[1]);
	return r;
}

int
dns_addr_text(struct slice rdata, struct buf *out)
{
	char text[INET6_ADDRSTRLEN];
	int family = rdata.len == 4 ? AF_INET : AF_INET6;

	if ((rdata.len != 4 && rdata.len != 16) ||
	    inet_ntop(family, rdata.ptr, text, sizeof(text)) == NULL)
		return ERR_SYNTAX;
	return buf_append_str(out, text);
}
