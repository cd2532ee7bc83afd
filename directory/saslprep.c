/* saslprep.c: RFC 4013 by libidn (libidn2 has none); the only includer of <stringprep.h>. Runs in lookup and congvu. */
#include "config.h"

#include "directory/saslprep.h"

#include "lib/err.h"

#include <stdlib.h>
#include <string.h>

#include <stringprep.h>

/* What the profile leaves as it is: printable ASCII (RFC 4013 2). */
static bool
is_printable(struct slice s)
{
	for (size_t i = 0; i < s.len; i++)
		if (s.ptr[i] < 0x20 || s.ptr[i] > 0x7e)
			return false;
	return true;
}

int
saslprep(struct slice utf8, bool is_query, struct buf *out)
{
	char in[SASLPREP_MAX + 1];
	char *prepared = NULL;
	int rc, err;

	if (utf8.len > SASLPREP_MAX)
		return ERR_LIMIT;
	if (is_printable(utf8))
		return buf_append_slice(out, utf8);
	if (utf8.len > 0 && memchr(utf8.ptr, 0, utf8.len) != NULL)
		return ERR_SYNTAX;
	if (utf8.len > 0)
		memcpy(in, utf8.ptr, utf8.len);
	in[utf8.len] = '\0';
	rc = stringprep_profile(in, &prepared, "SASLprep", is_query ? 0 : STRINGPREP_NO_UNASSIGNED);
	explicit_bzero(in, sizeof(in));
	if (rc != STRINGPREP_OK)
		return rc == STRINGPREP_MALLOC_ERROR ? ERR_NOMEM : ERR_SYNTAX;
	err = buf_append_str(out, prepared);
	explicit_bzero(prepared, strlen(prepared));
	free(prepared);
	return err;
}
