/* rule_attach.c: rules about attachments: P22 and P24 for programs, locked archives, what cannot be looked into. Pure; runs in
 * milter. MILTER.md section 5, cases 35 to 40: a signature never whitelists, so these hold for every mail. */
#include "config.h"

#include "milter/rule.h"

static void
tell(struct buf *detail, const struct find_part *p)
{
	buf_append_slice(detail, p->name_norm.len > 0 ? p->name_norm : p->path);
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
	return any_part(f, PART_EXEC | PART_BANNED_NAME | PART_DOUBLE_EXT | PART_FRAGMENT, detail);
}

bool
rule_unscannable(const struct rule_facts *f, struct buf *detail)
{
	if (f->scan->truncated && f->scan->n_parts >= FINDINGS_PARTS_MAX) {
		buf_append_str(detail, "too many parts");
		return true;
	}
	return any_part(f, PART_LIMIT, detail);
}

bool
rule_locked_archive(const struct rule_facts *f, struct buf *detail)
{
	return any_part(f, PART_ENCRYPTED | PART_BROKEN, detail);
}
