/* rule_trust.c: what the policy's trust demands of a signature beyond the built-in floor: bits of digest and key, age of what is known of revocation.
 * Pure; runs wherever a message is judged. */
#include "config.h"

#include "milter/rule.h"

#include <string.h>

/* The number at the end of "SHA256", "SHA3-384", "rsa3072". 0: none. */
static unsigned
bits_of(struct slice s)
{
	size_t from = s.len;
	uint64_t n = 0;

	while (from > 0 && s.ptr[from - 1] >= '0' && s.ptr[from - 1] <= '9')
		from--;
	if (slice_to_u64(slice_from(s, from), 65536, &n) != 0)
		return 0;
	return (unsigned)n;
}

static bool
is_below(unsigned bits, unsigned floor, struct slice what, const char *name,
    const struct rule_trust *t, struct buf *why)
{
	if (floor == 0 || bits >= floor)
		return false;
	if (why != NULL) {
		buf_append_slice(why, slice_sub(what, 0, 40));
		buf_appendf(why, " < %s %u (trust ", name, floor);
		buf_append_slice(why, t->name);
		buf_append_byte(why, ')');
	}
	return true;
}

bool
rule_below_floor(const struct rule_facts *f, const struct find_sig *s, struct buf *why)
{
	const struct rule_trust *t = &f->trust;

	if (is_below(bits_of(s->digest), t->digest, s->digest, "digest", t, why))
		return true;
	if (slice_casestarts(s->key, "rsa"))
		return is_below(bits_of(s->key), t->rsa, s->key, "rsa", t, why);
	/* Ed25519 is of the strength of 256 bits, Ed448 of 448: their names say it */
	if (slice_casestarts(s->key, "ED25519"))
		return is_below(256, t->ec, s->key, "ec", t, why);
	if (slice_casestarts(s->key, "ED448"))
		return is_below(448, t->ec, s->key, "ec", t, why);
	return is_below(bits_of(s->key), t->ec, s->key, "ec", t, why);
}

void
rule_floor(const struct rule_facts *f, struct buf *out)
{
	const struct rule_trust *t = &f->trust;

	buf_appendf(out, "SHA-%u, RSA %u, EC %u", t->digest > 256 ? t->digest : 256,
	    t->rsa > 2048 ? t->rsa : 2048, t->ec > 256 ? t->ec : 256);
}

enum rev_state
rule_rev_of(const struct rule_facts *f, const struct find_sig *s)
{
	if (s->rev == REV_GOOD && f->trust.rev_age_s != 0 && s->rev_age_s > f->trust.rev_age_s)
		return REV_UNKNOWN;
	return s->rev;
}
