/* rule_sign.c: rules about signatures: P01 to P10, M09. Pure; runs in milter. MILTER.md sections 4 and 5, DOMAIN.md C3.
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

bool
rule_mail_signature(const struct rule_facts *f)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (s->coverage != SIG_DOCUMENT)
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

/* Another address of the author, of now or of before. */
static enum rule_bind
is_known(const struct sig_address *sa, const struct rule_author *a)
{
	enum rule_bind found = BIND_NONE;
	struct buf norm;
	size_t i;

	if (sa->value.len == 0 || memchr(sa->value.ptr, 0, sa->value.len) != NULL)
		return BIND_NONE;
	buf_init(&norm, 1024);
	if (addr_normalize(sa->value, &norm) == 0) {
		for (i = 0; found == BIND_NONE && i < a->n_known; i++) {
			if (slice_eq(buf_slice(&norm), a->known[i]))
				found = i < a->n_current ? BIND_ALIAS : BIND_FORMER;
		}
	}
	buf_done(&norm);
	return found;
}

enum rule_bind
rule_bind(const struct find_sig *s, const struct rule_author *a)
{
	const struct sig_address *sa;
	enum rule_bind b, best = BIND_NONE;

	for (sa = s->addresses; sa != NULL; sa = sa->next) {
		if (same_mailbox(sa, a))
			return BIND_EXACT;
		b = a->is_ours ? is_known(sa, a) : BIND_NONE;
		if (b > best)
			best = b;
	}
	return best;
}

/* Whether a mailing list that the site allows signed this layer. */
static bool
by_allowed_list(const struct rule_facts *f, const struct find_sig *s)
{
	const struct sig_address *sa;
	size_t i;

	for (sa = s->ml_expansion ? s->addresses : NULL; sa != NULL; sa = sa->next) {
		for (i = 0; f->settings != NULL && i < f->settings->n_lists; i++) {
			if (addr_same(sa->value, slice_str(f->settings->lists[i])))
				return true;
		}
	}
	return false;
}

/* Whether in is the signature of all that outer signed, not of a part of it: "1" in "", "2.1" in "2", "~" in an opaque "". */
static bool
directly_inside(const struct find_sig *in, const struct find_sig *outer)
{
	struct slice rest;

	if (in->coverage != SIG_INNER || in->part.len <= outer->part.len ||
	    !slice_eq(slice_sub(in->part, 0, outer->part.len), outer->part))
		return false;
	rest = slice_from(in->part, outer->part.len);
	return slice_eq_str(rest, outer->opaque ? "~" : outer->part.len > 0 ? ".1" : "1");
}

/* What an allowed list signed is bound by the author's own signature just inside (RFC 2634 4: the list signs around it). */
static enum rule_bind
bound_through_list(
    const struct rule_facts *f, const struct find_sig *outer, const struct rule_author *a)
{
	const struct find_sig *s;
	enum rule_bind b, best = BIND_NONE;

	if (!by_allowed_list(f, outer))
		return BIND_NONE;
	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (!directly_inside(s, outer))
			continue;
		/* each of its signers must be good */
		if (s->status != SIG_VALID || s->rev == REV_REVOKED)
			return BIND_NONE;
		b = rule_bind(s, a);
		best = b > best ? b : best;
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
		if (b == BIND_NONE && whole(s) && s->status == SIG_VALID)
			b = bound_through_list(f, s, a);
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
		if (whole(s) && (s->status != SIG_VALID || s->rev == REV_REVOKED ||
				    rule_below_floor(f, s, NULL)))
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

/* A digest, or a key, that the built-in floor lets pass and the policy's does not. */
static bool
any_below_floor(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL && rule_enforced(f); s = s->next) {
		if (whole(s) && s->status == SIG_VALID && rule_below_floor(f, s, detail))
			return true;
	}
	return false;
}

bool
rule_weak(const struct rule_facts *f, struct buf *detail)
{
	if (!has_status(f, SIG_WEAK, detail) && !any_below_floor(f, detail))
		return false;
	/* the text of the rule sends its reader here */
	buf_append_str(detail, detail->len > 0 ? "; >= " : ">= ");
	rule_floor(f, detail);
	return true;
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
		if (whole(s) && rule_rev_of(f, s) == r)
			return s;
	}
	return NULL;
}

/* "serial 6A, CN=..., crl, 60 s old": who, by what, how fresh. */
static void
tell_rev(const struct find_sig *s, struct slice who, struct buf *detail)
{
	buf_append_str(detail, "serial ");
	buf_append_slice(detail, slice_sub(s->serial, 0, 60));
	buf_append_str(detail, ", ");
	buf_append_slice(detail, slice_sub(who, 0, 120));
	if (s->rev_source.len > 0) {
		buf_append_str(detail, ", ");
		buf_append_slice(detail, s->rev_source);
	}
	if (s->rev_age_s >= 0)
		buf_appendf(detail, ", %lld s old", (long long)s->rev_age_s);
}

/* Revoked at receipt is revoked: a claimed time of signing before it proves nothing (case 23). */
bool
rule_revoked(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s = rule_enforced(f) ? find_rev(f, REV_REVOKED) : NULL;

	if (s != NULL)
		tell_rev(s, s->signer, detail);
	return s != NULL;
}

/* Unknown is not good: a mail that must be signed waits (case 24), until the grace is over; another goes with the state in its
 * record. */
bool
rule_rev_unknown(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s =
	    f->official && !f->rev_grace_over ? find_rev(f, REV_UNKNOWN) : NULL;

	if (s != NULL)
		tell_rev(s, s->issuer, detail);
	return s != NULL;
}

bool
rule_rev_note(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s = find_rev(f, REV_UNKNOWN);

	if (s != NULL)
		tell_rev(s, s->issuer, detail);
	return s != NULL;
}

static bool
inside_allowed_list(const struct rule_facts *f, const struct find_sig *s)
{
	const struct find_sig *outer;

	for (outer = f->scan->sigs; outer != NULL; outer = outer->next) {
		if (whole(outer) && outer->status == SIG_VALID && by_allowed_list(f, outer) &&
		    directly_inside(s, outer))
			return true;
	}
	return false;
}

/* Whether the directory names keys for the mailbox, and none of them signed. */
static bool
key_not_named(const struct rule_facts *f, const struct rule_author *a)
{
	const struct find_sig *s;
	size_t i;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (s->status != SIG_VALID || !(whole(s) || inside_allowed_list(f, s)))
			continue;
		for (i = 0; i < a->n_keys; i++) {
			if (memcmp(s->cert_sha256, a->keys[i], 32) == 0)
				return false;
		}
	}
	return a->n_keys > 0;
}

/* The certificate is good by its CA and path, but officers of the site said "not this one" (congvu cert ban). */
bool
rule_cert_banned(const struct rule_facts *f, struct buf *detail)
{
	buf_append_slice(detail, f->cert_banned);
	return f->cert_banned.len > 0;
}

/* A clerk's own key on the office's mail: TT 41/2017 has the office sign with the agency's. With anybody else's it is P07. */
bool
rule_agency_key(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;
	size_t i;

	if (!rule_enforced(f) || !rule_whole_signature(f))
		return false;
	for (i = 0; i < f->n_authors; i++) {
		const struct rule_author *a = &f->authors[i];

		if (!a->is_ours || a->owner != OWNER_FUNCTIONAL ||
		    !(bound(f, a) != BIND_NONE ? key_not_named(f, a) : f->signer_is_sender))
			continue;
		buf_append_slice(detail, slice_sub(a->address, 0, 100));
		for (s = f->scan->sigs; s != NULL && !whole(s); s = s->next)
			;
		if (s != NULL && s->signer.len > 0) {
			buf_append_str(detail, ", signed by ");
			buf_append_slice(detail, slice_sub(s->signer, 0, 120));
		}
		return true;
	}
	return false;
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
	if (rule_mail_signature(f))
		buf_append_str(detail, "only a part of the message is signed");
	else if (f->scan->encrypted)
		buf_append_str(detail, "encrypted, no signature visible");
	return true;
}

/* A reply from an agency's mailbox is no official mail by the letter of C3; an agency may want it signed all the same. */
bool
rule_reply_unsigned(const struct rule_facts *f, struct buf *detail)
{
	if (!f->reply_from_office || rule_whole_signature(f))
		return false;
	buf_append_slice(detail, f->authors[0].address);
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
	return rule_mail_signature(f) && !rule_whole_signature(f);
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

/* The first recipient's domain that is cleared for less than this. */
static bool
above_clearance(const struct rule_facts *f, int level, struct buf *detail)
{
	size_t i;

	for (i = 0; level >= 0 && i < f->n_rcpts; i++) {
		struct slice domain = rule_domain_of(f->rcpts[i]);
		int cleared = clearances_of(f->clearances, domain);

		if (level <= cleared)
			continue;
		buf_append_str(detail, "label ");
		clearance_name(level, detail);
		buf_append_str(detail, ", ");
		buf_append_slice(detail, slice_sub(domain, 0, 120));
		buf_append_str(detail, " is cleared for ");
		clearance_name(cleared, detail);
		return true;
	}
	return false;
}

/* Case 31: no recipient's domain may be cleared for less than what a label says, whichever layer carries it, or the header field SIO-Label (RFC 7444). Our
 * label or a stranger's: what is marked does not go there. */
bool
rule_label(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (above_clearance(f, s->label, detail))
			return true;
	}
	return f->sio.there && above_clearance(f, f->sio.level, detail);
}

/* What anybody can read of the label must be what was signed. */
static bool
labels_differ(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;

	if (!f->sio.there)
		return false;
	if (f->sio.bad != NULL) {
		buf_append_str(detail, f->sio.bad);
		return true;
	}
	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (!whole(s) || s->label < 0)
			continue;
		if (f->sio.level >= 0 && f->sio.level != s->label) {
			buf_append_str(detail, "SIO-Label ");
			clearance_name(f->sio.level, detail);
			buf_append_str(detail, ", signed ");
			clearance_name(s->label, detail);
			return true;
		}
		if (f->sio.policy.len > 0 && s->label_policy.len > 0 &&
		    !slice_eq(f->sio.policy, s->label_policy)) {
			buf_append_str(detail, "policy ");
			buf_append_slice(detail, slice_sub(f->sio.policy, 0, 80));
			buf_append_str(detail, ", signed ");
			buf_append_slice(detail, slice_sub(s->label_policy, 0, 80));
			return true;
		}
	}
	return false;
}

bool
rule_labels_differ(const struct rule_facts *f, struct buf *detail)
{
	return rule_enforced(f) && labels_differ(f, detail);
}

bool
rule_labels_differ_outside(const struct rule_facts *f, struct buf *detail)
{
	return !rule_enforced(f) && labels_differ(f, detail);
}

/* A list that nobody allowed: of our own mail always, of others' where the site says which lists there are. */
bool
rule_list_unlisted(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;

	if (!rule_enforced(f) && (f->settings == NULL || f->settings->n_lists == 0))
		return false;
	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (whole(s) && s->ml_expansion && !by_allowed_list(f, s)) {
			buf_append_slice(detail, slice_sub(s->signer, 0, 120));
			return true;
		}
	}
	return false;
}

bool
rule_receipt_asked(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (s->receipt_request) {
			buf_append_slice(detail, slice_sub(s->signer, 0, 120));
			return true;
		}
	}
	return false;
}

bool
rule_list_signed(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL; s = s->next) {
		if (s->ml_expansion) {
			buf_append_slice(detail, slice_sub(s->signer, 0, 120));
			return true;
		}
	}
	return false;
}
