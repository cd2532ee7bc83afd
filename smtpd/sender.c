/* sender.c: what becomes of a submitted header before milters see it. Who really wrote: a message with From of a functional mailbox, or of somebody who
 * delegated, gets Sender: with the address of the person who is signed in (RFC 5322 3.6.2). Whom it went to unseen: Bcc and Resent-Bcc leave (RFC 5322 3.6.3, RFC 6409 8). The body, which signatures
 * cover, is not touched, nor is what is protected in it (RFC 9788). Runs in smtpd-session. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/addr.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <string.h>

/* The identity that an address of the header stands for; NULL: none. */
static const struct lookup_identity *
identity_of(const struct client *c, const struct addr *a, struct arena *arena)
{
	const struct lookup_identity *id = NULL;
	const char *text = arena_printf(arena, "%.*s@%.*s", (int)a->local.len,
	    (const char *)a->local.ptr, (int)a->domain.len, (const char *)a->domain.ptr);

	if (text == NULL || !client_may_send_as(c, slice_str(text), &id))
		return NULL;
	return id;
}

/* How many mailboxes the fields of that name have; of them *own_out are the person's own; *other_out gets one that is not, or NULL. */
static size_t
count(const struct client *c, const struct msg *m, const char *name, struct arena *arena,
    size_t *own_out, const char **other_out)
{
	const struct msg_field *f;
	struct addr *list;
	size_t n = 0;

	*own_out = 0;
	*other_out = NULL;
	for (size_t i = 0; (f = msg_find(m, name, i)) != NULL; i++) {
		if (addr_list_parse(f->value, 100, arena, &list, NULL) != 0)
			continue;
		for (; list != NULL; list = list->next) {
			const struct lookup_identity *id;

			if (list->kind != ADDR_MAILBOX)
				continue;
			n++;
			id = identity_of(c, list, arena);
			if (id != NULL && id->own)
				(*own_out)++;
			else if (id != NULL)
				*other_out = id->address;
		}
	}
	return n;
}

/* Of what relay brings back nothing is known but the login; Sender was stamped, or verified, when it was submitted. */
static const char *
stamped(const struct msg *m, struct arena *arena)
{
	const struct msg_field *f = msg_find(m, "Sender", 0);
	struct addr *a;

	if (f == NULL || msg_count(m, "Sender") != 1 ||
	    addr_list_parse(f->value, 1, arena, &a, NULL) != 0 || a == NULL ||
	    a->kind != ADDR_MAILBOX)
		return NULL;
	return arena_printf(arena, "%.*s@%.*s", (int)a->local.len, (const char *)a->local.ptr,
	    (int)a->domain.len, (const char *)a->domain.ptr);
}

/* The address that the mailbox of From stands for when it is not the actor's own; NULL. */
static const char *
sent_as(const struct client *c, const struct addr *a, const char *actor, struct arena *arena)
{
	const char *text;

	if (c->port != PORT_JUDGE) {
		const struct lookup_identity *id = identity_of(c, a, arena);
		return id == NULL || id->own ? NULL : arena_strdup(arena, id->address);
	}
	text = arena_printf(arena, "%.*s@%.*s", (int)a->local.len, (const char *)a->local.ptr,
	    (int)a->domain.len, (const char *)a->domain.ptr);
	return text == NULL || !conf_is_our_address(role_conf(), text) ||
		       addr_same(slice_str(text), slice_str(actor))
		   ? NULL
		   : text;
}

size_t
sender_as(const struct client *c, const struct msg *m, struct arena *arena, const char **list,
    size_t max, const char **actor_out)
{
	const struct msg_field *f;
	const char *actor, *as;
	struct addr *a;
	size_t n = 0, k;

	if (!client_is_submission(c) || c->login == NULL)
		return 0;
	actor = c->port == PORT_JUDGE ? stamped(m, arena) : c->login->address;
	if (actor == NULL || actor[0] == '\0')
		return 0;
	for (size_t i = 0; (f = msg_find(m, "From", i)) != NULL; i++) {
		if (addr_list_parse(f->value, 100, arena, &a, NULL) != 0)
			continue;
		for (; a != NULL && n < max; a = a->next) {
			if (a->kind != ADDR_MAILBOX || (as = sent_as(c, a, actor, arena)) == NULL)
				continue;
			for (k = 0; k < n && strcmp(list[k], as) != 0; k++)
				;
			if (k == n)
				list[n++] = as;
		}
	}
	*actor_out = actor;
	return n;
}

static int
sender_stamp(const struct client *c, struct msg *m, struct arena *arena)
{
	static const char sender[] = "Sender";
	const char *as, *ignored;
	struct log_line l;
	size_t own;
	int err = 0;

	if (!client_is_submission(c) || c->port == PORT_JUDGE || c->login->address[0] == '\0' ||
	    foreign_sender(c, m, arena) != NULL) /* that is refused */
		return 0;
	(void)count(c, m, "From", arena, &own, &as);
	if (as == NULL)
		return 0;
	log_begin(&l, LOG_LVL_INFO, "sent_as");
	log_str(&l, "login", c->login->login);
	log_str(&l, "as", as);
	log_str(&l, "qid", c->t->qid);
	log_end(&l);
	if (msg_count(m, sender) == 1 && count(c, m, sender, arena, &own, &ignored) == 1 &&
	    own == 1)
		return 0;
	while (err == 0 && msg_count(m, sender) > 0)
		err = msg_change(m, 1, slice_str(sender), slice_str(""), false);
	/* above what was sent: from its first field on it stays as it was, octet by octet */
	return err != 0 ? err
			: msg_insert(m, 0, slice_str(sender), slice_str(c->login->address), false);
}

int
submitted_header(const struct client *c, struct msg *m, struct arena *arena)
{
	static const char *const unseen[] = {"Bcc", "Resent-Bcc"};
	size_t removed = 0;

	if (!client_is_submission(c))
		return 0;
	for (size_t i = 0; i < sizeof(unseen) / sizeof(unseen[0]); i++)
		removed += msg_remove(m, unseen[i]);
	if (removed > 0) /* whose they are stands in no log: how many is enough */
		log_msg(LOG_LVL_INFO, "bcc_removed", "%s %zu", c->t->qid, removed);
	return sender_stamp(c, m, arena);
}
