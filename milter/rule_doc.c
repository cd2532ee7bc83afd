/* rule_doc.c: rules about the documents that a mail carries: P13 to P16, P18 to P21, P26, P29 to P31, P34, M12. Pure; runs in milter. DOMAIN.md
 * C3. They bind what our people issue; M12 (case 39) is about every mail: what a signature does not cover is held whoever sends it. */
#include "config.h"

#include "milter/rule.h"
#include "milter/symbol.h"

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

/* The abbreviations that an agency, or one above it, may put behind a number: rows "H99.02=SNV". Whether there is any row; *fits: one of them is a
 * group of the symbol, *first: the first group. */
static bool
symbol_agency(const struct rule_facts *f, bool *fits, bool *first)
{
	struct slice agency = f->n_authors > 0 ? f->authors[0].agency : slice_str("");
	struct slice symbol = f->doc.symbol, group;
	ptrdiff_t slash;
	bool any = false, leading = true;
	size_t i;

	*fits = *first = false;
	while ((slash = slice_index(symbol, '/')) >= 0)
		symbol = slice_from(symbol, (size_t)slash + 1);
	while (symbol.len > 0) {
		ptrdiff_t dash = slice_index(symbol, '-');

		group = slice_trim(slice_sub(symbol, 0, dash < 0 ? symbol.len : (size_t)dash));
		symbol = slice_from(symbol, dash < 0 ? symbol.len : (size_t)dash + 1);
		for (i = 0; f->settings != NULL && i < f->settings->n_symbols; i++) {
			struct slice row = slice_str(f->settings->symbols[i]), code;
			ptrdiff_t eq = slice_index(row, '=');

			code = slice_trim(slice_sub(row, 0, eq < 0 ? 0 : (size_t)eq));
			if (code.len == 0 || agency.len < code.len ||
			    !slice_caseeq(code, slice_sub(agency, 0, code.len)) ||
			    (agency.len > code.len && agency.ptr[code.len] != '.'))
				continue;
			any = true;
			if (slice_eq(slice_trim(slice_from(row, (size_t)eq + 1)), group)) {
				*fits = true;
				*first |= leading;
			}
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
	return f->issued && u.len > 0;
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

	if (!f->authenticated || f->settings == NULL || f->settings->rcpts_max == 0 ||
	    f->n_rcpts <= f->settings->rcpts_max)
		return false;
	for (i = 0; i < f->n_authors; i++) {
		if (f->authors[i].owner == OWNER_FUNCTIONAL)
			return false;
	}
	buf_appendf(detail, "%zu > %zu", f->n_rcpts, f->settings->rcpts_max);
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
