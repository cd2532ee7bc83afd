/* rule_doc.c: rules about the documents that a mail carries: P13 to P16, P18 to P21, P26, P29 to P31, P34, M12. Pure; runs in milter. DOMAIN.md
 * C3. They bind what our people issue; M12 (case 39) is about every mail: what a signature does not cover is held whoever sends it. */
#include "config.h"

#include "milter/rule.h"

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
