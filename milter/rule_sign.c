/* rule_sign.c: rules about signatures: P01 to P08, P10. Pure; runs in milter. MILTER.md sections 4 and 5, DOMAIN.md C3.
 * Only a signature over the whole body counts. All SignerInfos must be valid, and one must be bound to the author by an address in
 * its certificate (RFC 8550 3, RFC 9598): we compare ourselves, octet for octet in the local part (without regard to case for
 * our own domains, whose mailboxes have none), A-labels in the domain. Sender never stands in for From. */
#include "config.h"

#include "milter/rule.h"

#include "lib/addr.h"

#include <string.h>

#define SKEW_MAX_S 3600

static bool
whole(const struct find_sig *s)
{
	return s->coverage == SIG_WHOLE;
}

bool
rule_whole_signature(const struct rule_facts *f)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (whole(s))
			return true;
	}
	return false;
}

/* "local@domain" of a certificate against an author. */
static bool
same_mailbox(const struct sig_address *sa, const struct rule_author *a)
{
	struct slice local, domain;
	ptrdiff_t at = -1;
	size_t i;

	for (i = 0; i < sa->value.len; i++) {
		if (sa->value.ptr[i] == 0)
			return false;
		if (sa->value.ptr[i] == '@')
			at = (ptrdiff_t)i;
	}
	if (at <= 0)
		return false;
	local = slice_sub(sa->value, 0, (size_t)at);
	domain = slice_from(sa->value, (size_t)at + 1);
	if (domain.len == 0 || !slice_caseeq(domain, a->domain))
		return false;
	return slice_eq(local, a->local) || (a->is_ours && slice_caseeq(local, a->local));
}

static bool
is_known(const struct sig_address *sa, const struct rule_author *a)
{
	struct buf norm;
	bool found = false;
	size_t i;

	if (sa->value.len == 0 || memchr(sa->value.ptr, 0, sa->value.len) != NULL)
		return false;
	buf_init(&norm, 1024);
	if (addr_normalize(sa->value, &norm) == 0) {
		for (i = 0; !found && i < a->n_known; i++)
			found = slice_eq(buf_slice(&norm), a->known[i]);
	}
	buf_done(&norm);
	return found;
}

enum rule_bind
rule_bind(const struct find_sig *s, const struct rule_author *a)
{
	const struct sig_address *sa;
	enum rule_bind best = BIND_NONE;

	for (sa = s->addresses; sa != NULL; sa = sa->next) {
		if (same_mailbox(sa, a))
			return BIND_EXACT;
		if (a->is_ours && is_known(sa, a))
			best = BIND_FORMER;
	}
	return best;
}

/* The best binding of an author by any whole signature. */
static enum rule_bind
bound(const struct rule_facts *f, const struct rule_author *a)
{
	const struct find_sig *s;
	enum rule_bind b, best = BIND_NONE;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		b = whole(s) && s->status == SIG_VALID ? rule_bind(s, a) : BIND_NONE;
		if (b > best)
			best = b;
	}
	return best;
}

static bool
all_bound(const struct rule_facts *f)
{
	size_t i;

	for (i = 0; i < f->n_authors; i++) {
		if (bound(f, &f->authors[i]) == BIND_NONE)
			return false;
	}
	return f->n_authors > 0 && !f->more_authors;
}

bool
rule_signature_good(const struct rule_facts *f)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (whole(s) && (s->status != SIG_VALID || s->rev == REV_REVOKED))
			return false;
	}
	return rule_whole_signature(f) && f->scan->n_sigs < FINDINGS_SIGS_MAX && all_bound(f);
}

/* A whole signature with this status on a mail that must not have it. */
static bool
has_status(const struct rule_facts *f, enum sig_status st, struct buf *detail)
{
	const struct find_sig *s;

	if (!rule_enforced(f))
		return false;
	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (whole(s) && s->status == st) {
			buf_append_slice(detail, s->why);
			return true;
		}
	}
	return false;
}

bool
rule_bad_signature(const struct rule_facts *f, struct buf *detail)
{
	if (rule_enforced(f) && rule_whole_signature(f) && f->scan->n_sigs >= FINDINGS_SIGS_MAX) {
		buf_append_str(detail, "too many signatures");
		return true;
	}
	return has_status(f, SIG_BAD, detail) || has_status(f, SIG_PURPOSE, detail);
}

bool
rule_weak(const struct rule_facts *f, struct buf *detail)
{
	return has_status(f, SIG_WEAK, detail);
}

bool
rule_untrusted(const struct rule_facts *f, struct buf *detail)
{
	return has_status(f, SIG_UNTRUSTED, detail);
}

bool
rule_expired(const struct rule_facts *f, struct buf *detail)
{
	return has_status(f, SIG_EXPIRED, detail);
}

static const struct find_sig *
find_rev(const struct rule_facts *f, enum rev_state r)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (whole(s) && s->rev == r)
			return s;
	}
	return NULL;
}

bool
rule_revoked(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s = rule_enforced(f) ? find_rev(f, REV_REVOKED) : NULL;

	if (s != NULL)
		buf_append_slice(detail, s->signer);
	return s != NULL;
}

/* Unknown is not good: a mail that must be signed waits (case 24); another goes with the state in its record. */
bool
rule_rev_unknown(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s = f->official ? find_rev(f, REV_UNKNOWN) : NULL;

	if (s != NULL)
		buf_append_slice(detail, s->issuer);
	return s != NULL;
}

bool
rule_rev_note(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s = find_rev(f, REV_UNKNOWN);

	if (s != NULL)
		buf_append_slice(detail, s->issuer);
	return s != NULL;
}

bool
rule_binding(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;
	const struct sig_address *sa;

	if (!rule_enforced(f) || !rule_whole_signature(f) || all_bound(f))
		return false;
	if (f->n_authors > 0) {
		buf_append_str(detail, "From ");
		buf_append_slice(detail, f->authors[0].address);
	}
	buf_append_str(detail, ", certificate");
	for (s = f->scan->sigs; s != NULL; s = s->next) {
		for (sa = whole(s) ? s->addresses : NULL; sa != NULL; sa = sa->next) {
			buf_append_byte(detail, ' ');
			buf_append_slice(detail, sa->value);
		}
		if (whole(s) && s->addresses == NULL)
			buf_append_str(detail, " without address");
	}
	return true;
}

bool
rule_unsigned(const struct rule_facts *f, struct buf *detail)
{
	if (!f->official || rule_whole_signature(f))
		return false;
	if (f->scan->sigs != NULL)
		buf_append_str(detail, "only a part of the message is signed");
	else if (f->scan->encrypted)
		buf_append_str(detail, "encrypted, no signature visible");
	return true;
}

bool
rule_former_address(const struct rule_facts *f, struct buf *detail)
{
	size_t i;

	for (i = 0; rule_enforced(f) && i < f->n_authors; i++) {
		if (bound(f, &f->authors[i]) == BIND_FORMER) {
			buf_append_slice(detail, f->authors[i].address);
			return true;
		}
	}
	return false;
}

/* Mail from outside is not refused for its signature: the sender's CA may not be known here. It is told in header and record. */
bool
rule_foreign_signature(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;

	if (rule_enforced(f) || !rule_whole_signature(f) || rule_signature_good(f))
		return false;
	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (whole(s) && s->status != SIG_VALID) {
			buf_append_slice(detail, s->why);
			return true;
		}
	}
	buf_append_str(detail,
	    find_rev(f, REV_REVOKED) != NULL ? "revoked" : "sender differs from certificate");
	return true;
}

bool
rule_partial(const struct rule_facts *f, struct buf *detail)
{
	(void)detail;
	return f->scan->sigs != NULL && !rule_whole_signature(f);
}

bool
rule_time_skew(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;
	int64_t d;

	for (s = f->scan->sigs; s != NULL && f->date != 0; s = s->next) {
		d = s->signing_time - f->date;
		if (whole(s) && s->signing_time != 0 && (d > SKEW_MAX_S || d < -SKEW_MAX_S)) {
			buf_appendf(detail, "%lld s", (long long)d);
			return true;
		}
	}
	return false;
}
