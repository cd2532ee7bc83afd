/* auth_plain.c: auth_plain.h, in lookup's loop and its workers. RFC 4616 2, RFC 5802 5.1. */
#include "config.h"

#include "directory/auth_plain.h"

#include "lib/err.h"

#include <string.h>
#include <strings.h>

int
auth_plain_parse(struct slice message, struct auth_plain *out)
{
	struct auth_plain m;
	ptrdiff_t at = slice_index(message, '\0'), second;
	struct slice rest;

	if (at < 0)
		return ERR_SYNTAX;
	m.authzid = slice_sub(message, 0, (size_t)at);
	rest = slice_from(message, (size_t)at + 1);
	second = slice_index(rest, '\0');
	if (second <= 0)
		return ERR_SYNTAX;
	m.name = slice_sub(rest, 0, (size_t)second);
	m.password = slice_from(rest, (size_t)second + 1);
	if (slice_index(m.password, '\0') >= 0)
		return ERR_SYNTAX;
	*out = m;
	return 0;
}

/* "n,,n=name,r=...", "p=tls-exporter,,n=name,r=..." */
static bool
scram_name(struct slice message, struct slice *name_out)
{
	ptrdiff_t comma = slice_index(message, ',');
	struct slice rest = comma < 0 ? slice_of(NULL, 0) : slice_from(message, (size_t)comma);

	if (!slice_starts(rest, ",,n="))
		return false;
	rest = slice_from(rest, 4);
	comma = slice_index(rest, ',');
	if (comma <= 0)
		return false;
	*name_out = slice_sub(rest, 0, (size_t)comma);
	return slice_index(*name_out, '=') < 0;
}

bool
auth_first_name(const char *mech, struct slice message, struct slice *name_out)
{
	struct auth_plain plain;

	if (strcasecmp(mech, "PLAIN") == 0) {
		if (auth_plain_parse(message, &plain) != 0)
			return false;
		*name_out = plain.name;
		return true;
	}
	if (strcasecmp(mech, "LOGIN") == 0) {
		*name_out = message;
		return message.len > 0;
	}
	return strncasecmp(mech, "SCRAM-", 6) == 0 && scram_name(message, name_out);
}
