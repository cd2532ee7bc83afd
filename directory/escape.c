/* escape.c: RFC 4515 and RFC 4514 escaping, and the expansion of configured filters. Runs in lookup and congvu. The one
 * place where text from outside becomes part of a filter or a DN. */
#include "config.h"

#include "directory/escape.h"

#include "lib/err.h"

#include <string.h>

int
escape_filter(struct slice value, struct buf *out)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = value.ptr[i];

		/* RFC 4515 3 asks for NUL ( ) * \ only; the others cannot be misread this way either */
		if (c <= 0x20 || c >= 0x7f || strchr("()*\\&|!=<>~", c) != NULL)
			buf_appendf(out, "\\%02x", c);
		else
			buf_append_byte(out, c);
	}
	return out->err;
}

int
escape_rdn(struct slice value, struct buf *out)
{
	for (size_t i = 0; i < value.len; i++) {
		unsigned char c = value.ptr[i];
		bool at_end = i == 0 || i + 1 == value.len;

		/* RFC 4514 2.4: hex pairs are allowed for every character */
		if (c < 0x20 || c == 0x7f || strchr("\"+,;<>\\=", c) != NULL ||
		    (at_end && (c == ' ' || c == '#')))
			buf_appendf(out, "\\%02X", c);
		else
			buf_append_byte(out, c);
	}
	return out->err;
}

int
escape_template(const char *tmpl, struct slice name, struct slice dn, struct buf *out)
{
	for (const char *p = tmpl; *p != '\0'; p++) {
		if (*p != '%') {
			buf_append_byte(out, (unsigned char)*p);
			continue;
		}
		switch (*++p) {
		case 's':
			escape_filter(name, out);
			break;
		case 'd':
			escape_filter(dn, out);
			break;
		case '%':
			buf_append_byte(out, '%');
			break;
		default:
			return ERR_SYNTAX;
		}
	}
	return out->err;
}
