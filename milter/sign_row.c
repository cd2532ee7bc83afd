/* sign_row.c: rows of gateway_sign. Pure. Runs in milter-sign (which opens the files), the milter (which wants the address alone) and congvu check. */
#include "config.h"

#include "milter/sign_row.h"

#include "lib/addr.h"
#include "lib/err.h"

int
sign_row_parse(const char *row, struct buf *address, struct slice *key_out, struct slice *certs_out,
    const char **why_out)
{
	struct slice s = slice_str(row), files;
	ptrdiff_t eq = slice_index(s, '='), colon, more;

	*why_out = "it must be ADDRESS=KEY:CERTIFICATES";
	if (eq <= 0)
		return ERR_SYNTAX;
	files = slice_from(s, (size_t)eq + 1);
	colon = slice_index(files, ':');
	/* RFC 7512 2.3: a URI has colons of its own */
	while (slice_casestarts(files, "pkcs11:") &&
	       (more = slice_index(slice_from(files, (size_t)colon + 1), ':')) >= 0)
		colon += more + 1;
	if (slice_casestarts(files, "pkcs11:") && colon < 7)
		return ERR_SYNTAX;
	*why_out = "the PIN stands in pkcs11_pin_file, the module in pkcs11_module, never here";
	if (slice_casestarts(files, "pkcs11:") && (slice_find(files, slice_str("pin-")) >= 0 ||
						      slice_find(files, slice_str("module-")) >= 0))
		return ERR_SYNTAX;
	*why_out = "it must be ADDRESS=KEY:CERTIFICATES";
	if (colon <= 0 || (size_t)colon + 1 >= files.len)
		return ERR_SYNTAX;
	*why_out = "the address is none";
	if (addr_normalize(slice_sub(s, 0, (size_t)eq), address) != 0 || address->len > 320)
		return ERR_SYNTAX;
	*key_out = slice_sub(files, 0, (size_t)colon);
	*certs_out = slice_from(files, (size_t)colon + 1);
	return 0;
}
