/* rule_send.c: rules about where a mail goes and who can read it there: P27, P30, P33. Pure; runs in milter. DOMAIN.md C3. */
#include "config.h"

#include "milter/rule.h"

#include <string.h>

static bool
is_inside(const struct rule_settings *s, struct slice domain)
{
	struct slice one;
	size_t i;

	for (i = 0; s != NULL && i < s->n_inside; i++) {
		one = slice_str(s->inside[i]);
		if (slice_caseeq(domain, one) ||
		    (domain.len > one.len + 1 && domain.ptr[domain.len - one.len - 1] == '.' &&
			slice_caseeq(slice_from(domain, domain.len - one.len), one)))
			return true;
	}
	return false;
}

/* What a person's program forwards by itself, in his name or from his login. What smtpd forwards is forward_to's. */
bool
rule_auto_forward(const struct rule_facts *f, struct buf *detail)
{
	size_t i;

	if (!rule_enforced(f) || f->auto_forward.len == 0)
		return false;
	for (i = 0; i < f->n_rcpts; i++) {
		if (is_inside(f->settings, rule_domain_of(f->rcpts[i])))
			continue;
		buf_append_slice(detail, f->auto_forward);
		buf_append_str(detail, ", to ");
		buf_append_slice(detail, slice_sub(f->rcpts[i], 0, 120));
		return true;
	}
	return false;
}

/* The scanner knows the archive's certificates: it notes what does not name one of them. */
bool
rule_no_archive_copy(const struct rule_facts *f, struct buf *detail)
{
	const struct find_note *n = findings_note_find(f->scan, "smime_no_archive");

	if (n == NULL || !rule_enforced(f))
		return false;
	if (n->part.len > 0) {
		buf_append_str(detail, "part ");
		buf_append_slice(detail, slice_sub(n->part, 0, 80));
		buf_append_str(detail, ": ");
	}
	buf_append_slice(detail, slice_sub(n->detail, 0, 160));
	return true;
}

/* "Địa chỉ đã đổi thành %s": the mail goes on. */
bool
rule_moved(const struct rule_facts *f, struct buf *detail)
{
	size_t i;

	for (i = 0; i < f->n_moved && i < 5; i++) {
		if (i > 0)
			buf_append_str(detail, ", ");
		buf_append_slice(detail, slice_sub(f->moved[i].was, 0, 120));
		buf_append_str(detail, " -> ");
		buf_append_slice(detail, slice_sub(f->moved[i].is, 0, 120));
	}
	return f->n_moved > 0;
}
