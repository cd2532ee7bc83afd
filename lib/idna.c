/* idna.c: internationalised domain names; the only includer of <idn2.h>. Runs in smtpd-session, lookup, ingest. RFC 5891. */
#include "lib/idna.h"

#include <idn2.h>
#include <string.h>

#include "lib/err.h"
#include "lib/uni.h"

int
idna_to_ascii(struct slice domain, struct buf *out)
{
	unsigned char name[1025];
	uint8_t *ascii = NULL;
	int r;

	if (domain.len == 0 || domain.len >= sizeof(name) || !uni_valid(domain) ||
	    memchr(domain.ptr, '\0', domain.len) != NULL)
		return ERR_SYNTAX;
	if (slice_is_ascii(domain)) {
		for (size_t i = 0; i < domain.len; i++) {
			unsigned char c = domain.ptr[i];

			buf_append_byte(out, c >= 'A' && c <= 'Z' ? c | 0x20 : c);
		}
		return out->err;
	}
	memcpy(name, domain.ptr, domain.len);
	name[domain.len] = '\0';
	r = idn2_lookup_u8(name, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
	if (r != IDN2_OK)
		return r == IDN2_MALLOC ? ERR_NOMEM : ERR_SYNTAX;
	r = buf_append_str(out, (const char *)ascii);
	idn2_free(ascii);
	return r;
}
