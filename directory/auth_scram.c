/* auth_scram.c: what is ours in a SCRAM exchange: which keys, which channel binding. Pure. Runs in lookup's workers. RFC 5802, RFC 5803,
 * RFC 5929, RFC 9266. */
#include "config.h"

#include "directory/auth_priv.h"

#include "directory/scram.h"
#include "lib/err.h"

#include <string.h>
#include <strings.h>

static bool
is_plus(const char *mech)
{
	size_t n = strlen(mech);

	return n > 5 && strcasecmp(mech + n - 5, "-PLUS") == 0;
}

/* "SCRAM-SHA-256" of "SCRAM-SHA-256-PLUS". */
static struct slice
hash_mech(const char *mech)
{
	struct slice s = slice_str(mech);

	if (is_plus(mech))
		s.len -= 5;
	return s;
}

int
auth_scram_value(const struct auth_source *s, const struct person *u, struct slice name,
    const char *mech, struct buf *out, bool *is_decoy_out)
{
	struct slice hash = hash_mech(mech);

	*is_decoy_out = false;
	for (size_t i = 0; u != NULL && !u->keys_are_old && i < u->n_scram; i++) {
		struct slice v = slice_str(u->scram[i]);

		if (v.len > hash.len && v.ptr[hash.len] == '$' &&
		    slice_caseeq(slice_sub(v, 0, hash.len), hash))
			return buf_append_slice(out, v);
	}
	*is_decoy_out = true;
	return scram_decoy(s->secret, name, slice_caseeq_str(hash, "SCRAM-SHA-1"), out);
}

int
auth_scram_binding(const char *mech, struct slice initial, bool plus_is_offered, bool has_data,
    const char **name_out)
{
	*name_out = NULL;
	if (strncasecmp(mech, "SCRAM-", 6) != 0)
		return 0;
	if (!is_plus(mech))
		return slice_starts(initial, "y,") && plus_is_offered && has_data ? ERR_AUTH
		       : slice_starts(initial, "p=")                              ? ERR_SYNTAX
										  : 0;
	if (slice_starts(initial, "p=tls-exporter,"))
		*name_out = "tls-exporter";
	else if (slice_starts(initial, "p=tls-server-end-point,"))
		*name_out = "tls-server-end-point";
	else
		return slice_starts(initial, "p=") ? ERR_UNSUPPORTED : ERR_SYNTAX;
	return 0;
}
