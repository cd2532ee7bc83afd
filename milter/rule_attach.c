/* rule_attach.c: rules about attachments: P12, P17, P22 to P25, and what cannot be looked into. Pure; runs in milter. MILTER.md section 5,
 * cases 35 to 40: a signature never whitelists, so what is dangerous is for every mail; P12, P17 and P25 bind our own people. */
#include "config.h"

#include "milter/rule.h"

/* part 1.2 "name": type */
static void
tell(struct buf *detail, const struct find_part *p)
{
	buf_append_str(detail, "part ");
	buf_append_slice(detail, p->path.len > 0 ? slice_sub(p->path, 0, 80) : slice_str("1"));
	if (p->name_norm.len > 0) {
		buf_append_str(detail, " \"");
		buf_append_slice(detail, slice_sub(p->name_norm, 0, 80));
		buf_append_byte(detail, '"');
	}
	if (p->true_type.len > 0) {
		buf_append_str(detail, ": ");
		buf_append_slice(detail, p->true_type);
	}
}

static bool
any_part(const struct rule_facts *f, uint32_t flags, struct buf *detail)
{
	const struct find_part *p;

	for (p = f->scan->parts; p != NULL; p = p->next) {
		if (p->flags & flags) {
			tell(detail, p);
			return true;
		}
	}
	return false;
}

bool
rule_mismatch(const struct rule_facts *f, struct buf *detail)
{
	return any_part(f, PART_MISMATCH | PART_DECEPTIVE_NAME, detail);
}

bool
rule_banned(const struct rule_facts *f, struct buf *detail)
{
	if (any_part(f, PART_EXEC | PART_BANNED_NAME | PART_DOUBLE_EXT | PART_FRAGMENT, detail))
		return true;
	if (any_part(f, PART_ACTIVE, detail)) {
		buf_append_str(detail, ", active content");
		return true;
	}
	if (!any_part(f, PART_MACRO, detail))
		return false;
	buf_append_str(detail, ", macro");
	return true;
}

/* What the site's virus scanner said of the whole message. */
static bool
clamd_said(const struct rule_facts *f, const char *id, struct buf *detail)
{
	const struct find_note *n = findings_note_find(f->scan, id);

	if (n == NULL)
		return false;
	buf_append_str(detail, "clamd: ");
	buf_append_slice(detail, slice_sub(n->detail, 0, 120));
	return true;
}

bool
rule_malware(const struct rule_facts *f, struct buf *detail)
{
	return any_part(f, PART_MALWARE, detail) || clamd_said(f, "clamd_found", detail);
}

/* Case 34: a reading that not every program takes, so that a person decides. */
bool
rule_hidden_malware(const struct rule_facts *f, struct buf *detail)
{
	return any_part(f, PART_HIDDEN_MALWARE, detail);
}

bool
rule_remote(const struct rule_facts *f, struct buf *detail)
{
	const struct find_note *n = findings_note_find(f->scan, "office_external");

	if (!any_part(f, PART_REMOTE, detail))
		return false;
	if (n != NULL) {
		buf_append_str(detail, ", ");
		buf_append_slice(detail, slice_sub(n->detail, 0, 120));
	}
	return true;
}

bool
rule_unscannable(const struct rule_facts *f, struct buf *detail)
{
	if (f->scan->truncated && f->scan->n_parts >= FINDINGS_PARTS_MAX) {
		buf_append_str(detail, "too many parts");
		return true;
	}
	return any_part(f, PART_LIMIT, detail) || clamd_said(f, "clamd_unscanned", detail);
}

bool
rule_locked_archive(const struct rule_facts *f, struct buf *detail)
{
	return any_part(f, PART_ENCRYPTED, detail);
}

/* "No entries" is never "clean"; but a torn download is no crime either. */
bool
rule_broken_archive(const struct rule_facts *f, struct buf *detail)
{
	return any_part(f, PART_BROKEN, detail);
}

bool
rule_secrecy(const struct rule_facts *f, struct buf *detail)
{
	const struct find_note *n;

	if (!rule_enforced(f))
		return false;
	for (n = f->scan->notes; n != NULL; n = n->next) {
		if (!slice_eq_str(n->id, "secrecy_mark"))
			continue;
		if (n->part.len > 0) {
			buf_append_str(detail, "part ");
			buf_append_slice(detail, slice_sub(n->part, 0, 80));
			buf_append_str(detail, ", ");
		}
		buf_append_slice(detail, n->detail);
		return true;
	}
	return false;
}

/* What an agency issues in: office documents, scans, archives of them. An image shown in the text is decoration. */
static bool
is_document(const struct find_part *p)
{
	static const char *const types[] = {"docx", "xlsx", "pptx", "ooxml", "odf", "doc", "xls",
	    "ppt", "ole2", "rtf", "tiff", "zip", "rar", "7z"};
	size_t i;

	if ((p->flags & PART_IN_ARCHIVE) || !(p->flags & PART_ATTACHED) ||
	    (p->flags & PART_HAS_PDF))
		return false;
	for (i = 0; i < sizeof types / sizeof *types; i++) {
		if (slice_eq_str(p->true_type, types[i]))
			return true;
	}
	return !(p->flags & PART_INLINE) &&
	       (slice_eq_str(p->true_type, "jpeg") || slice_eq_str(p->true_type, "png"));
}

/* A mail that announces a document by symbol or header field and carries documents must have a PDF among them: the others are then its
 * appendices. An announcement without attachments issues nothing. */
bool
rule_not_pdf(const struct rule_facts *f, struct buf *detail)
{
	const struct find_part *p, *other = NULL;

	if (!f->issued)
		return false;
	for (p = f->scan->parts; p != NULL; p = p->next) {
		if (slice_eq_str(p->true_type, "pdf") || (p->flags & PART_HAS_PDF))
			return false;
		if (other == NULL && is_document(p))
			other = p;
	}
	if (other != NULL)
		tell(detail, other);
	return other != NULL;
}

static bool
over(uint64_t size, uint64_t max, const char *what, struct buf *detail)
{
	if (max == 0 || size <= max)
		return false;
	buf_appendf(
	    detail, "%s%.1f MB > %.0f MB", what, (double)size / 1048576.0, (double)max / 1048576.0);
	return true;
}

/* Those of the message itself, not what archives hold. */
static size_t
attached_files(const struct rule_facts *f)
{
	const struct find_part *p;
	size_t n = 0;

	for (p = f->scan->parts; p != NULL; p = p->next)
		n += (p->flags & PART_ATTACHED) && !(p->flags & PART_IN_ARCHIVE);
	return n;
}

bool
rule_too_large(const struct rule_facts *f, struct buf *detail)
{
	size_t files;

	if (!rule_enforced(f))
		return false;
	if (over(f->scan->attach_size, f->attach_max, "", detail) ||
	    over(f->scan->size, f->message_max, "message ", detail))
		return true;
	files = attached_files(f);
	if (f->files_max == 0 || files <= f->files_max)
		return false;
	buf_appendf(detail, "%zu files > %llu", files, (unsigned long long)f->files_max);
	return true;
}
