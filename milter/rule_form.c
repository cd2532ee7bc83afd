/* rule_form.c: rules about who a mail says it is from, and its form. Pure; runs in milter. MILTER.md section 5, cases 5 to 10, 33,
 * 40. RFC 5322 3.6: From exactly once. */
#include "config.h"

#include "milter/rule.h"

#include "lib/addr.h"

bool
rule_two_from(const struct rule_facts *f, struct buf *detail)
{
	(void)detail;
	return f->from_fields > 1;
}

/* Old mailers bounce with "From: MAILER-DAEMON": the null sender may. */
bool
rule_no_from(const struct rule_facts *f, struct buf *detail)
{
	(void)detail;
	return f->n_authors == 0 && (!f->null_sender || f->authenticated);
}

bool
rule_several_authors(const struct rule_facts *f, struct buf *detail)
{
	(void)detail;
	return rule_enforced(f) && (f->n_authors > 1 || f->more_authors) &&
	       (f->more_authors || !rule_signature_good(f));
}

bool
rule_send_as(const struct rule_facts *f, struct buf *detail)
{
	size_t i;

	for (i = 0; f->authenticated && i < f->n_authors; i++) {
		if (!f->authors[i].may_send_as) {
			buf_append_slice(detail, f->authors[i].address);
			return true;
		}
	}
	return false;
}

static bool
atom_char(unsigned char c)
{
	return c > 0x20 && c != '<' && c != '>' && c != '(' && c != ')' && c != ',' && c != ';' &&
	       c != ':' && c != '"' && c != '[' && c != ']' && c != '@' && c != '\'';
}

/* "manager@x" <eve@x>: the display name holds an address that is not the author's (case 6, 7). */
bool
rule_display_name(const struct rule_facts *f, struct buf *detail)
{
	struct slice d, shown;
	size_t i, at, from, to;

	if (!rule_enforced(f))
		return false;
	for (i = 0; i < f->n_authors; i++) {
		d = f->authors[i].display;
		for (at = 1; at + 1 < d.len; at++) {
			if (d.ptr[at] != '@')
				continue;
			for (from = at; from > 0 && atom_char(d.ptr[from - 1]); from--)
				;
			for (to = at + 1; to < d.len && atom_char(d.ptr[to]); to++)
				;
			shown = slice_sub(d, from, to - from);
			if (from == at || to == at + 1 || slice_index(slice_from(d, at), '.') < 0 ||
			    addr_same(shown, f->authors[i].address))
				continue;
			buf_append_slice(detail, shown);
			return true;
		}
	}
	return false;
}

bool
rule_ambiguous_mime(const struct rule_facts *f, struct buf *detail)
{
	static const char *const ids[] = {
	    "mime_dup_header", "mime_dup_boundary", "mime_too_deep", "mime_too_many"};
	size_t i;

	for (i = 0; i < sizeof ids / sizeof *ids; i++) {
		if (findings_has_note(f->scan, ids[i])) {
			buf_append_str(detail, ids[i]);
			return true;
		}
	}
	return false;
}

/* Until SPF, DKIM and DMARC results are read (P35 in full), a note. */
bool
rule_own_unauthenticated(const struct rule_facts *f, struct buf *detail)
{
	size_t i;

	for (i = 0; !f->authenticated && i < f->n_authors; i++) {
		if (f->authors[i].is_ours) {
			buf_append_slice(detail, f->authors[i].address);
			return true;
		}
	}
	return false;
}
