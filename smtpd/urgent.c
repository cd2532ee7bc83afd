/* urgent.c: urgent documents (P32) in smtpd-session: what our milter's verdict says of the mail, and the receipts its sender gets. Runs in smtpd-session.
 * Invariant: the word is a milter's: a field that came with the message says nothing, whatever its name. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/role.h"

#include <string.h>

/* Whether the field came with the message's own octets. */
static bool
is_clients(const struct msg *m, const struct msg_field *f)
{
	uintptr_t at = (uintptr_t)f->whole.ptr, from = (uintptr_t)m->content.ptr;

	return at >= from && at < from + m->content.len;
}

bool
urgent_judged(const struct msg *m)
{
	const struct msg_field *f;

	for (size_t i = 0; (f = msg_find(m, "X-Congvu-Verdict", i)) != NULL; i++)
		if (!is_clients(m, f) && slice_starts(slice_trim(f->value), "accept;") &&
		    slice_find(f->value, slice_str("; urgency=")) >= 0)
			return true;
	return false;
}

void
urgent_receipts(struct txn *t)
{
	const unsigned all = SMTP_NOTIFY_SUCCESS | SMTP_NOTIFY_FAILURE | SMTP_NOTIFY_DELAY;

	for (size_t i = 0; conf_bool(role_conf(), "urgent_receipt") && i < t->n_rcpts; i++)
		if (t->rcpts[i].notify == 0)
			t->rcpts[i].notify = all;
}
