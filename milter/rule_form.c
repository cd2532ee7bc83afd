/* rule_form.c: rules about who a mail says it is from, and its form. Pure; runs in milter. MILTER.md section 5, cases 5 to 10, 33,
 * 40; P28, P35. RFC 5322 3.6: From exactly once. */
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

static bool
is_an_author(const struct rule_facts *f, size_t only, struct slice address)
{
	size_t i;

	for (i = 0; i < f->n_authors; i++) {
		if ((only == i || only == RULE_FROM_MAX) &&
		    addr_same(address, f->authors[i].address))
			return true;
	}
	return false;
}

/* An address in d that is not that of the author (RULE_FROM_MAX: of any). */
static bool
shows_another(const struct rule_facts *f, size_t author, struct slice d, struct buf *detail)
{
	struct slice shown;
	size_t at, from, to;

	for (at = 1; at + 1 < d.len; at++) {
		if (d.ptr[at] != '@')
			continue;
		for (from = at; from > 0 && atom_char(d.ptr[from - 1]); from--)
			;
		for (to = at + 1; to < d.len && atom_char(d.ptr[to]); to++)
			;
		shown = slice_sub(d, from, to - from);
		if (from == at || to == at + 1 || slice_index(slice_from(d, at), '.') < 0 ||
		    is_an_author(f, author, shown))
			continue;
		buf_append_slice(detail, shown);
		return true;
	}
	return false;
}

/* "manager@x" <eve@x>, (manager@x) Eve <eve@x>: display name or comment hold an address that is not the author's (cases 6, 7). */
bool
rule_display_name(const struct rule_facts *f, struct buf *detail)
{
	size_t i;

	if (!rule_enforced(f))
		return false;
	for (i = 0; i < f->n_authors; i++) {
		if (shows_another(f, i, f->authors[i].display, detail))
			return true;
	}
	return shows_another(f, RULE_FROM_MAX, f->comments, detail);
}

/* Case 30, RFC 9788: what was signed says who wrote it. Mail from outside may come by a list that writes its own From: a note there. */
bool
rule_protected_from(const struct rule_facts *f, struct buf *detail)
{
	const struct find_note *n = findings_note_find(f->scan, "hp_from_differs");

	if (n == NULL || !rule_enforced(f))
		return false;
	buf_append_slice(detail, n->detail);
	return true;
}

bool
rule_protected_header(const struct rule_facts *f, struct buf *detail)
{
	static const struct {
		const char *note, *field;
	} fields[] = {{"hp_subject_differs", "Subject"}, {"hp_to_differs", "To"},
	    {"hp_cc_differs", "Cc"}, {"hp_date_differs", "Date"}, {"hp_from_differs", "From"}};
	bool any = false;
	size_t i;

	for (i = 0; i < sizeof fields / sizeof *fields; i++) {
		/* of a From that our own rule refuses M10 tells */
		if (!findings_has_note(f->scan, fields[i].note) ||
		    (slice_eq_str(slice_str(fields[i].field), "From") && rule_enforced(f)))
			continue;
		buf_append_str(detail, any ? ", " : "");
		buf_append_str(detail, fields[i].field);
		any = true;
	}
	return any;
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

/* The first author of one of our domains on a mail that nobody signed in for, and that no good signature vouches for. */
static const struct rule_author *
unvouched(const struct rule_facts *f)
{
	size_t i;

	if (f->authenticated || rule_signature_good(f))
		return NULL;
	for (i = 0; i < f->n_authors; i++) {
		if (f->authors[i].is_ours)
			return &f->authors[i];
	}
	return NULL;
}

bool
rule_spoofed(const struct rule_facts *f, struct buf *detail)
{
	const struct rule_author *a = f->origin == ORIGIN_FAIL ? unvouched(f) : NULL;

	if (a == NULL)
		return false;
	buf_append_str(detail, "From ");
	buf_append_slice(detail, slice_sub(a->address, 0, 100));
	buf_append_str(detail, ", ");
	buf_append_slice(detail, f->origin_text);
	return true;
}

/* Nobody is trusted to say where it comes from, or could say it just now. */
bool
rule_own_unchecked(const struct rule_facts *f, struct buf *detail)
{
	const struct rule_author *a =
	    f->origin == ORIGIN_UNCHECKED || f->origin == ORIGIN_TEMPERROR ? unvouched(f) : NULL;

	if (a != NULL)
		buf_append_slice(detail, a->address);
	return a != NULL;
}
