/* eom_ask.c: what directory and ledger know about a message at its end. Runs in milter's threads. Whom they cannot tell about, the mail is deferred
 * for: nothing is taken for known that nobody said. */
#include "config.h"

#include "milter/eom_priv.h"
#include "milter/groups.h"
#include "milter/ledger_client.h"
#include "milter/ledger_register.h"
#include "milter/register.h"

#include "directory/lookup_client.h"

#include "lib/addr.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/role.h"

#include <string.h>
#include <time.h>

#define LOOKUP_MS 5000
#define DOC_SIGNERS_ASKED 8
#define KEYS_MAX 64

/* Copies, which outlive the answer that they are of. NULL: no memory. */
static struct slice *
slices_of(struct arena *a, char *const *v, size_t n)
{
	struct slice *list = arena_calloc(a, n + 1, sizeof *list);
	size_t i;

	for (i = 0; list != NULL && i < n; i++) {
		list[i] = arena_slice(a, slice_str(v[i]));
		if (list[i].ptr == NULL)
			return NULL;
	}
	return list;
}

/* What the directory said of an author, as the rules see it. */
static int
fill_author(struct eom *e, struct rule_author *a, const struct lookup_sender *s)
{
	size_t n_keys = s->n_certs < KEYS_MAX ? s->n_certs : KEYS_MAX, k;
	struct slice *known = arena_calloc(e->arena, s->n_addresses + 1, sizeof *known);
	unsigned char(*keys)[32] = arena_calloc(e->arena, n_keys + 1, sizeof *keys);

	if (known == NULL || keys == NULL)
		return ERR_NOMEM;
	for (k = 0; k < s->n_addresses; k++)
		known[k] = slice_str(s->addresses[k]);
	for (k = 0; k < n_keys; k++)
		sha256_of(s->certs[k], keys[k]);
	a->is_ours = s->is_ours;
	a->owner = s->kind == LOOKUP_OWNER_PERSON       ? OWNER_PERSON
		   : s->kind == LOOKUP_OWNER_FUNCTIONAL ? OWNER_FUNCTIONAL
		   : s->kind == LOOKUP_OWNER_GROUP      ? OWNER_GROUP
							: OWNER_NONE;
	a->may_send_as = s->login_may_send_as;
	a->agency = slice_str(s->agency);
	a->account = slice_str(s->account);
	a->known = known;
	a->n_known = s->n_addresses;
	a->n_current = s->n_current;
	a->keys = (const unsigned char(*)[32])keys;
	a->n_keys = n_keys;
	a->symbols = slices_of(e->arena, s->symbols, s->n_symbols);
	a->n_symbols = a->symbols != NULL ? s->n_symbols : 0;
	return a->symbols != NULL ? 0 : ERR_NOMEM;
}

/* Asks the directory about each author. */
int
eom_ask_directory(struct eom *e)
{
	struct rule_facts *f = &e->facts;
	size_t i;
	int err;

	if (f->n_authors > EOM_AUTHORS_ASKED)
		f->more_authors = true;
	for (i = 0; i < f->n_authors && i < EOM_AUTHORS_ASKED; i++) {
		if (f->authors[i].address.len > 320)
			continue;
		err = lookup_sender_sync(e->slot->lookup, f->authors[i].address,
		    e->msg->login != NULL ? e->msg->login : "", eom_within(e, LOOKUP_MS),
		    &e->senders[i]);
		if (err != 0)
			return eom_in_trouble(e, T_DIRECTORY, err);
		if (fill_author(e, &f->authors[i], e->senders[i]) != 0)
			return eom_in_trouble(e, T_BUSY, ERR_NOMEM);
	}
	return 0;
}

/* What officers said of the signers' certificates, where the ledger has them. */
int
eom_ask_certificates(struct eom *e)
{
	int err =
	    harvest_ask(&e->certs, e->slot->ledger, &e->findings, eom_within(e, EOM_LEDGER_MS));

	if (err != 0)
		return eom_in_trouble(e, T_LEDGER, err);
	e->facts.cert_banned = harvest_banned(&e->certs, &e->findings);
	return 0;
}

/* An agency's mail that is not signed with the agency's key: whether with a key of who signed in (P09) is the directory's to say. */
int
eom_ask_signer(struct eom *e)
{
	struct rule_facts *f = &e->facts;
	const struct sig_address *first = NULL;
	struct lookup_sender *s = NULL;
	const struct find_sig *sig;
	bool office = false;
	struct buf norm;
	size_t i;
	int err = 0;

	for (i = 0; i < f->n_authors; i++)
		office |= f->authors[i].is_ours && f->authors[i].owner == OWNER_FUNCTIONAL;
	for (sig = f->scan->sigs; sig != NULL && first == NULL; sig = sig->next) {
		if (sig->coverage == SIG_WHOLE && sig->status == SIG_VALID)
			first = sig->addresses;
	}
	if (!office || !f->authenticated || first == NULL || rule_signature_good(f) ||
	    first->value.len > 320 || memchr(first->value.ptr, 0, first->value.len) != NULL)
		return 0;
	buf_init(&norm, 1024);
	if (addr_normalize(first->value, &norm) == 0 && norm.len <= 320)
		err = lookup_sender_sync(
		    e->slot->lookup, buf_slice(&norm), e->msg->login, eom_within(e, LOOKUP_MS), &s);
	buf_done(&norm);
	if (err != 0)
		return eom_in_trouble(e, T_DIRECTORY, err);
	f->signer_is_sender =
	    s != NULL && s->is_ours && s->kind == LOOKUP_OWNER_PERSON && s->login_may_send_as;
	lookup_sender_free(s);
	return 0;
}

/* Whose certificate it is by its first address. *out NULL: nobody is asked about. */
static int
ask_owner(struct eom *e, const struct find_sig *sig, struct lookup_sender **out)
{
	struct slice address = sig->addresses != NULL ? sig->addresses->value : slice_str("");
	struct buf norm;
	int err = 0;

	*out = NULL;
	if (address.len == 0 || address.len > 320 || memchr(address.ptr, 0, address.len) != NULL)
		return 0;
	buf_init(&norm, 1024);
	if (addr_normalize(address, &norm) == 0 && norm.len <= 320)
		err = lookup_sender_sync(
		    e->slot->lookup, buf_slice(&norm), "", eom_within(e, LOOKUP_MS), out);
	buf_done(&norm);
	return err;
}

/* Whose certificates signed the documents of what is issued (P19), and what these people may sign (P11). */
int
eom_ask_documents(struct eom *e)
{
	struct rule_facts *f = &e->facts;
	struct lookup_sender *s = NULL;
	const struct find_sig *sig;
	unsigned char *owners = arena_alloc(e->arena, FINDINGS_SIGS_MAX);
	struct rule_authority *may = arena_calloc(e->arena, FINDINGS_SIGS_MAX, sizeof *may);
	unsigned asked = 0;
	size_t i = 0;
	int err = 0;

	if (owners == NULL || may == NULL)
		return eom_in_trouble(e, T_BUSY, ERR_NOMEM);
	memset(owners, OWNER_NONE, FINDINGS_SIGS_MAX);
	f->sig_owners = owners;
	f->sig_authority = may;
	for (sig = f->scan->sigs; sig != NULL && f->issued; sig = sig->next, i++) {
		if (sig->coverage != SIG_DOCUMENT || sig->status != SIG_VALID ||
		    asked++ >= DOC_SIGNERS_ASKED)
			continue;
		err = ask_owner(e, sig, &s);
		if (err != 0)
			return eom_in_trouble(e, T_DIRECTORY, err);
		if (s != NULL && s->is_ours) {
			owners[i] = s->kind == LOOKUP_OWNER_PERSON       ? OWNER_PERSON
				    : s->kind == LOOKUP_OWNER_FUNCTIONAL ? OWNER_FUNCTIONAL
									 : OWNER_NONE;
			may[i].n = s->n_authorities;
			may[i].v = slices_of(e->arena, s->authorities, s->n_authorities);
		}
		lookup_sender_free(s);
		if (may[i].n > 0 && may[i].v == NULL)
			return eom_in_trouble(e, T_BUSY, ERR_NOMEM);
	}
	return 0;
}

/* Recipients that have another address now (P33): those of our domains, a bounded number of them. */
int
eom_ask_moved(struct eom *e)
{
	const char *asked[LOOKUP_ASKED_MAX];
	struct rule_moved *list;
	struct lookup_moved m;
	size_t i, n = 0;
	int err;

	for (i = 0; i < e->msg->n_rcpts && n < LOOKUP_ASKED_MAX; i++) {
		if (strlen(e->msg->rcpts[i]) <= 320 &&
		    conf_is_our_address(role_conf(), e->msg->rcpts[i]))
			asked[n++] = e->msg->rcpts[i];
	}
	if (n == 0)
		return 0;
	err = lookup_moved_sync(e->slot->lookup, asked, n, eom_within(e, LOOKUP_MS), &m);
	if (err != 0)
		return eom_in_trouble(e, T_DIRECTORY, err);
	list = arena_calloc(e->arena, m.n + 1, sizeof *list);
	for (i = 0; list != NULL && i < m.n; i++) {
		list[i].was = arena_slice(e->arena, slice_str(m.was[i]));
		list[i].is = arena_slice(e->arena, slice_str(m.is[i]));
		if (list[i].was.ptr == NULL || list[i].is.ptr == NULL)
			list = NULL;
	}
	e->facts.moved = list;
	e->facts.n_moved = m.n;
	lookup_moved_done(&m);
	return list != NULL ? 0 : eom_in_trouble(e, T_BUSY, ERR_NOMEM);
}

/* What the policy asks about groups of the directory. */
int
eom_ask_groups(struct eom *e)
{
	const char *from[RULE_FROM_MAX];
	struct rule_member *list =
	    arena_calloc(e->arena, RULE_MEMBERS_MAX, sizeof(struct rule_member));
	size_t i;
	int err;

	for (i = 0; list != NULL && i < e->facts.n_authors; i++) {
		from[i] = arena_slicedup(e->arena, e->facts.authors[i].address);
		if (from[i] == NULL)
			list = NULL;
	}
	if (list == NULL)
		return eom_in_trouble(e, T_BUSY, ERR_NOMEM);
	err = groups_ask(milter_settings.policy, e->slot->lookup, from, e->facts.n_authors,
	    (const char *const *)e->msg->rcpts, e->msg->n_rcpts, eom_within(e, LOOKUP_MS), list,
	    &e->facts.n_members);
	e->facts.members = list;
	return err == 0 ? 0 : eom_in_trouble(e, T_DIRECTORY, err);
}

/* What the register has of the number of an issued document (P15). */
int
eom_ask_register(struct eom *e)
{
	struct ledger_entry is;
	int err;

	buf_init(&e->entry, 8192);
	if (!register_entry(&e->facts, e->qid, (int64_t)time(NULL), &e->entry)) {
		buf_reset(&e->entry);
		return 0;
	}
	err = ledger_register_sync(
	    e->slot->ledger, false, buf_slice(&e->entry), eom_within(e, EOM_LEDGER_MS), &is);
	if (err != 0)
		return eom_in_trouble(e, T_LEDGER, err);
	if (is.state == REGISTERED_OTHER) {
		const char *s = arena_printf(e->arena, "%s, %s", is.qid, is.ts);

		e->facts.number_used = slice_str(s != NULL ? s : "?");
	}
	if (is.state != REGISTERED_NEW)
		buf_reset(&e->entry);
	return 0;
}

/* What goes out is entered, durably, before the MTA hears of it. */
int
eom_enter_document(struct eom *e, const struct outcome *o)
{
	struct ledger_entry is;
	int err;

	if (o->action != OUT_ACCEPT || e->entry.len == 0)
		return 0;
	err = ledger_register_sync(e->slot->ledger, true, buf_slice(&e->entry), EOM_LEDGER_MS, &is);
	/* another document got the number since it was asked for: when this mail comes again P15 has it */
	return err == 0 && is.state == REGISTERED_OTHER ? ERR_CONFLICT : err;
}
