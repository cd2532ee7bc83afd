/* rule_doc.c: rules about the documents that a mail carries: P11, P13 to P16, P18 to P21, P26, P29 to P31, P34, M12. Pure; runs in milter. DOMAIN.md
 * C3. They bind what our people issue; M12 (case 39) is about every mail: what a signature does not cover is held whoever sends it. */
#include "config.h"

#include "milter/rule.h"
#include "milter/symbol.h"

#include "lib/fold.h"

#include <string.h>

/* ---- PDF ---- */

static void
tell_part(struct buf *detail, struct slice part)
{
	buf_append_str(detail, "part ");
	buf_append_slice(detail, part.len > 0 ? slice_sub(part, 0, 80) : slice_str("1"));
}

static bool
any_note(const struct rule_facts *f, const char *id, struct buf *detail)
{
	const struct find_note *n = findings_note_find(f->scan, id);

	if (n == NULL)
		return false;
	tell_part(detail, n->part);
	buf_append_str(detail, ": ");
	buf_append_slice(detail, slice_sub(n->detail, 0, 160));
	return true;
}

bool
rule_bad_pdf(const struct rule_facts *f, struct buf *detail)
{
	return f->issued &&
	       (any_note(f, "pdf_damaged", detail) || any_note(f, "pdf_old_version", detail));
}

/* A signature that does not verify any more; of what is issued also what was added behind it. */
bool
rule_pdf_altered(const struct rule_facts *f, struct buf *detail)
{
	const struct find_sig *s;

	for (s = f->scan->sigs; s != NULL && rule_enforced(f); s = s->next) {
		if (s->coverage != SIG_DOCUMENT || s->status != SIG_BAD)
			continue;
		tell_part(detail, s->part);
		buf_append_str(detail, ": ");
		buf_append_slice(detail, slice_sub(s->why, 0, 160));
		return true;
	}
	return f->issued && any_note(f, "pdf_sig_not_covering", detail);
}

bool
rule_pdf_not_covering(const struct rule_facts *f, struct buf *detail)
{
	return any_note(f, "pdf_sig_not_covering", detail);
}

/* Whose certificate signed a document: an agency's (a seal) or a person's. */
static enum rule_owner
owner_of(const struct rule_facts *f, const struct find_sig *s, size_t nth)
{
	size_t i, k;

	for (i = 0; i < f->n_authors; i++) {
		const struct rule_author *a = &f->authors[i];

		for (k = 0; a->owner == OWNER_FUNCTIONAL && k < a->n_keys; k++) {
			if (memcmp(s->cert_sha256, a->keys[k], 32) == 0)
				return OWNER_FUNCTIONAL;
		}
	}
	return f->sig_owners != NULL ? (enum rule_owner)f->sig_owners[nth] : OWNER_NONE;
}

/* Good signatures of one PDF: 1 a person's, 2 an agency's. */
static unsigned
signed_by(const struct rule_facts *f, struct slice part, bool *any_out)
{
	const struct find_sig *s;
	unsigned who = 0;
	size_t nth = 0;

	*any_out = false;
	for (s = f->scan->sigs; s != NULL; s = s->next, nth++) {
		enum rule_owner o;

		if (s->coverage != SIG_DOCUMENT || !slice_eq(s->part, part))
			continue;
		*any_out = true;
		if (s->status != SIG_VALID || s->rev == REV_REVOKED)
			continue;
		o = owner_of(f, s, nth);
		who |= o == OWNER_FUNCTIONAL ? 2u : o == OWNER_PERSON ? 1u : 0u;
	}
	return who;
}

static bool
is_pdf(const struct find_part *p)
{
	return slice_eq_str(p->true_type, "pdf") && !(p->flags & PART_IN_ARCHIVE);
}

/* The document itself must have both; which of several PDFs it is, the best signed one says. */
bool
rule_pdf_unsigned(const struct rule_facts *f, struct buf *detail)
{
	const struct find_part *p, *first = NULL;
	unsigned best = 0, who;
	bool any;

	for (p = f->scan->parts; p != NULL && f->issued; p = p->next) {
		if (!is_pdf(p))
			continue;
		who = signed_by(f, p->path, &any);
		if (who == 3)
			return false;
		if (first == NULL || who > best)
			first = p;
		best = who > best ? who : best;
	}
	if (first == NULL)
		return false;
	tell_part(detail, first->path);
	buf_append_str(detail, best == 0   ? ": no good signature of ours"
			       : best == 1 ? ": the agency's seal is missing"
					   : ": the leader's signature is missing");
	return true;
}

/* One file is signed, another beside it is not. */
bool
rule_appendix_unsigned(const struct rule_facts *f, struct buf *detail)
{
	const struct find_part *p, *bare = NULL;
	bool any, one = false;

	for (p = f->scan->parts; p != NULL && f->issued; p = p->next) {
		if (!(p->flags & PART_ATTACHED) || (p->flags & (PART_IN_ARCHIVE | PART_INLINE)))
			continue;
		any = false;
		if (is_pdf(p))
			signed_by(f, p->path, &any);
		one |= any;
		if (!any && bare == NULL)
			bare = p;
	}
	if (!one || bare == NULL)
		return false;
	tell_part(detail, bare->path);
	if (bare->name_norm.len > 0) {
		buf_append_str(detail, " \"");
		buf_append_slice(detail, slice_sub(bare->name_norm, 0, 80));
		buf_append_byte(detail, '"');
	}
	return true;
}

/* One half of "QĐ;KT" against what the document says; what it does not say is not held against anybody. */
static bool
half_fits(struct slice half, struct slice said, bool known)
{
	struct buf a, b;
	bool same;

	half = slice_trim(half);
	if (slice_eq_str(half, "*") || !known)
		return true;
	if (said.len == 0)
		return slice_eq_str(half, "-");
	buf_init(&a, 65536);
	buf_init(&b, 65536);
	/* "qđ" is QĐ */
	same = vn_fold(half, &a) == 0 && vn_fold(said, &b) == 0 &&
	       slice_eq(buf_slice(&a), buf_slice(&b));
	buf_done(&a);
	buf_done(&b);
	return same;
}

static bool
may_sign(const struct rule_authority *a, struct slice type, struct slice capacity)
{
	size_t i;

	for (i = 0; a != NULL && i < a->n; i++) {
		ptrdiff_t at = slice_index(a->v[i], ';');
		struct slice how = at < 0 ? slice_str("*") : slice_from(a->v[i], (size_t)at + 1);

		if (half_fits(
			slice_sub(a->v[i], 0, at < 0 ? a->v[i].len : (size_t)at), type, true) &&
		    half_fits(how, capacity, capacity.len > 0))
			return true;
	}
	return false;
}

/* Type and capacity as the text of this PDF has them; else the type of the mail's own symbol. False: neither says. */
static bool
doc_says(const struct rule_facts *f, struct slice part, struct slice *type, struct slice *capacity)
{
	const struct find_note *n;
	const struct find_doc *d;

	*type = f->doc.type;
	*capacity = slice_str("");
	for (n = f->scan->notes; n != NULL; n = n->next) {
		if (slice_eq_str(n->id, "doc_capacity") && slice_eq(n->part, part))
			*capacity = n->detail;
	}
	for (d = f->scan->docs; d != NULL; d = d->next) {
		if (slice_eq(d->part, part) && d->symbol.len > 0) {
			*type = d->type;
			return true;
		}
	}
	return f->doc.number != 0;
}

/* Of the persons who signed a document one must have the authority: others may have looked it through. */
bool
rule_no_authority(const struct rule_facts *f, struct buf *detail)
{
	struct slice type, capacity;
	const struct find_part *p;
	const struct find_sig *s, *by;
	bool fits;
	size_t nth;

	for (p = f->scan->parts; p != NULL && f->issued && f->sig_authority != NULL; p = p->next) {
		if (!is_pdf(p) || !doc_says(f, p->path, &type, &capacity))
			continue;
		by = NULL;
		fits = false;
		for (s = f->scan->sigs, nth = 0; s != NULL; s = s->next, nth++) {
			if (s->coverage != SIG_DOCUMENT || !slice_eq(s->part, p->path) ||
			    s->status != SIG_VALID || owner_of(f, s, nth) != OWNER_PERSON)
				continue;
			by = s;
			fits |= may_sign(&f->sig_authority[nth], type, capacity);
		}
		if (by == NULL || fits)
			continue;
		tell_part(detail, p->path);
		buf_append_str(detail, ": ");
		buf_append_slice(
		    detail, type.len > 0 ? slice_sub(type, 0, 20) : slice_str("công văn"));
		if (capacity.len > 0) {
			buf_append_str(detail, " ");
			buf_append_slice(detail, slice_sub(capacity, 0, 8));
			buf_append_byte(detail, '.');
		}
		buf_append_str(detail, ", signed by ");
		buf_append_slice(detail, slice_sub(by->signer, 0, 120));
		return true;
	}
	return false;
}

/* ---- number and symbol ---- */

bool
rule_bad_symbol(const struct rule_facts *f, struct buf *detail)
{
	if (!f->issued)
		return false;
	if (f->doc.mark_bad) {
		buf_append_slice(detail, slice_sub(f->doc.mark, 0, 100));
		return true;
	}
	if ((f->doc.flags & (SYMBOL_F_SPACE | SYMBOL_F_NO_PAD)) == 0)
		return false;
	buf_append_slice(detail, slice_sub(f->doc.symbol, 0, 100));
	buf_append_str(detail, f->doc.flags & SYMBOL_F_SPACE
				   ? ": white space inside"
				   : ": a number below 10 lacks its zero");
	return true;
}

/* Whether a row "H99.02=SNV" of policy_agency_symbols is about this agency or one above it. */
static bool
row_of(struct slice row, struct slice agency, struct slice *abbrev)
{
	ptrdiff_t eq = slice_index(row, '=');
	struct slice code = slice_trim(slice_sub(row, 0, eq < 0 ? 0 : (size_t)eq));

	*abbrev = slice_trim(slice_from(row, (size_t)(eq + 1)));
	return code.len > 0 && agency.len >= code.len &&
	       slice_caseeq(code, slice_sub(agency, 0, code.len)) &&
	       (agency.len == code.len || agency.ptr[code.len] == '.');
}

/* Whether a group of a symbol is an abbreviation of the agency or of one above it, by the directory or by the option. *any: there is any. */
static bool
is_abbrev(const struct rule_facts *f, struct slice group, bool *any)
{
	const struct rule_author *a = &f->authors[0];
	struct slice abbrev;
	bool is = false;
	size_t i;

	for (i = 0; f->n_authors > 0 && i < a->n_symbols; i++) {
		*any = true;
		is |= slice_eq(a->symbols[i], group);
	}
	for (i = 0; f->n_authors > 0 && f->settings != NULL && i < f->settings->n_symbols; i++) {
		if (row_of(slice_str(f->settings->symbols[i]), a->agency, &abbrev)) {
			*any = true;
			is |= slice_eq(abbrev, group);
		}
	}
	return is;
}

/* Whether anything is known of the agency's abbreviations; *fits: a group of the symbol is one, *first: the first group is. */
static bool
symbol_agency(const struct rule_facts *f, bool *fits, bool *first)
{
	struct slice symbol = f->doc.symbol, group;
	bool any = false, leading = true;
	ptrdiff_t slash;

	*fits = *first = false;
	while ((slash = slice_index(symbol, '/')) >= 0)
		symbol = slice_from(symbol, (size_t)slash + 1);
	while (symbol.len > 0) {
		ptrdiff_t dash = slice_index(symbol, '-');

		group = slice_trim(slice_sub(symbol, 0, dash < 0 ? symbol.len : (size_t)dash));
		symbol = slice_from(symbol, dash < 0 ? symbol.len : (size_t)dash + 1);
		if (is_abbrev(f, group, &any)) {
			*fits = true;
			*first |= leading;
		}
		leading = false;
	}
	return any;
}

bool
rule_foreign_symbol(const struct rule_facts *f, struct buf *detail)
{
	bool fits, first;

	if (!f->issued || f->doc.number == 0 || !symbol_agency(f, &fits, &first) || fits)
		return false;
	buf_append_slice(detail, slice_sub(f->doc.symbol, 0, 100));
	buf_append_str(detail, ", agency ");
	buf_append_slice(detail, slice_sub(f->authors[0].agency, 0, 60));
	return true;
}

/* A công văn has no type: its agency stands first. */
bool
rule_unknown_type(const struct rule_facts *f, struct buf *detail)
{
	bool fits, first;

	if (!f->issued || f->doc.number == 0 || f->doc.type.len > 0 ||
	    !symbol_agency(f, &fits, &first) || first)
		return false;
	buf_append_slice(detail, slice_sub(f->doc.symbol, 0, 100));
	return true;
}

bool
rule_no_summary(const struct rule_facts *f, struct buf *detail)
{
	const struct find_doc *d;

	(void)detail;
	for (d = f->scan->docs; d != NULL; d = d->next) {
		if (d->summary.len > 0)
			return false;
	}
	return f->issued && f->doc.summary.len == 0;
}

bool
rule_urgent(const struct rule_facts *f, struct buf *detail)
{
	const struct find_doc *d;
	struct slice u = f->doc.urgency;

	for (d = f->scan->docs; u.len == 0 && d != NULL; d = d->next)
		u = d->urgency;
	buf_append_slice(detail, u);
	/* it changes what goes first and who is told: nobody from outside gets that by a From of ours */
	return f->authenticated && f->issued && u.len > 0;
}

/* ---- text and recipients ---- */

bool
rule_legacy_text(const struct rule_facts *f, struct buf *detail)
{
	return rule_enforced(f) &&
	       (any_note(f, "text_legacy", detail) || any_note(f, "text_undeclared", detail));
}

bool
rule_free_mail(const struct rule_facts *f, struct buf *detail)
{
	size_t i, k;

	for (i = 0; f->official && f->settings != NULL && i < f->n_rcpts; i++) {
		struct slice domain = rule_domain_of(f->rcpts[i]);

		for (k = 0; k < f->settings->n_free_mail; k++) {
			if (slice_caseeq_str(domain, f->settings->free_mail[k])) {
				buf_append_slice(detail, slice_sub(f->rcpts[i], 0, 120));
				return true;
			}
		}
	}
	return false;
}

/* A group or an agency's mailbox is the way to many. */
bool
rule_many_recipients(const struct rule_facts *f, struct buf *detail)
{
	size_t i;

	if (!f->authenticated || f->rcpts_max == 0 || f->n_rcpts <= f->rcpts_max)
		return false;
	for (i = 0; i < f->n_authors; i++) {
		if (f->authors[i].owner == OWNER_FUNCTIONAL)
			return false;
	}
	buf_appendf(detail, "%zu > %llu", f->n_rcpts, (unsigned long long)f->rcpts_max);
	return true;
}

/* The register has the number of this agency and year with another content. */
bool
rule_number_used(const struct rule_facts *f, struct buf *detail)
{
	if (f->number_used.len == 0)
		return false;
	buf_append_slice(detail, slice_sub(f->doc.symbol, 0, 100));
	buf_append_str(detail, ", used by ");
	buf_append_slice(detail, slice_sub(f->number_used, 0, 120));
	return true;
}
