/* urgent.c: urgent documents (P32) in smtpd-session: what our milter's verdict says of the mail, and the receipts its sender gets. Runs in smtpd-session.
 * Invariants: the word is a milter's: a field that came with the message says nothing, whatever its name; it counts for mail of somebody who signed in,
 * whose envelope sender is an address of ours: nobody outside gets a place in front, or hears who read what. */
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

/* Who signed in sends it, under an address of ours that is the person's or that the person may send as. What relay brings back to be judged was asked so
 * when it was submitted. */
static bool
is_from_us(const struct client *c)
{
	const char *from = c->t->from;

	return client_is_submission(c) && c->login != NULL && c->login->login[0] != '\0' &&
	       from[0] != '\0' && conf_is_our_address(role_conf(), from) &&
	       (c->port == PORT_JUDGE || client_may_send_as(c, slice_str(from), NULL));
}

bool
urgent_judged(const struct client *c, const struct msg *m)
{
	const struct msg_field *f;

	for (size_t i = 0; is_from_us(c) && (f = msg_find(m, "X-Congvu-Verdict", i)) != NULL; i++)
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
