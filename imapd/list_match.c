/* list_match.c: LIST patterns. Runs in imapd-session; pure. RFC 3501 6.3.8. */
#include "config.h"

#include "imapd/list_match.h"

static unsigned char
upper(unsigned char c)
{
	return c >= 'a' && c <= 'z' ? (unsigned char)(c - 32) : c;
}

/* Octets of the name that are compared without case: INBOX as the first element. RFC 3501 5.1. */
static size_t
caseless_len(struct slice name)
{
	bool inbox = slice_casestarts(name, "INBOX") && (name.len == 5 || name.ptr[5] == '/');
	return inbox ? 5 : 0;
}

bool
list_match(struct slice pattern, struct slice name)
{
	/* Greedy with two places to come back to: the last "*" and the last "%" behind it. */
	size_t p = 0, n = 0, caseless = caseless_len(name);
	size_t star_p = SIZE_MAX, star_n = 0, pct_p = SIZE_MAX, pct_n = 0;
	for (;;) {
		if (p < pattern.len && pattern.ptr[p] == '*') {
			star_p = ++p;
			star_n = n;
			pct_p = SIZE_MAX;
			continue;
		}
		if (p < pattern.len && pattern.ptr[p] == '%') {
			pct_p = ++p;
			pct_n = n;
			continue;
		}
		if (p == pattern.len && n == name.len)
			return true;
		if (p < pattern.len && n < name.len) {
			unsigned char a = pattern.ptr[p], b = name.ptr[n];
			if (a == b || (n < caseless && upper(a) == upper(b))) {
				p++;
				n++;
				continue;
			}
		}
		if (pct_p != SIZE_MAX && pct_n < name.len && name.ptr[pct_n] != '/') {
			n = ++pct_n;
			p = pct_p;
		} else if (star_p != SIZE_MAX && star_n < name.len) {
			n = ++star_n;
			p = star_p;
			pct_p = SIZE_MAX;
		} else {
			return false;
		}
	}
}
