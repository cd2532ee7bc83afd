/* work_judge.c: what the milter asks of the directory: who an author is, which recipients have another address now, who is in a group. Runs in
 * lookup's worker threads, as work.c. Every answer is bounded; a directory that does not answer is ERR_TEMP, never "no". */
#include "config.h"

#include "directory/work_priv.h"

#include "directory/lookup_client.h"
#include "directory/people_priv.h"
#include "lib/addr.h"
#include "lib/client_cert.h"
#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Normalized; "postmaster" alone is that of the first domain (RFC 5321 4.1.1.3). NULL when it is no address. */
char *
work_address(const struct conf *conf, const char *text)
{
	char *full = NULL, *norm = NULL;
	struct buf b;

	if (strchr(text, '@') == NULL && strcasecmp(text, "postmaster") == 0 &&
	    conf_list_len(conf, "domains") > 0) {
		if (asprintf(&full, "postmaster@%s", conf_list_item(conf, "domains", 0)) < 0)
			full = NULL;
	}
	buf_init(&b, 1024);
	if (addr_normalize(slice_str(full == NULL ? text : full), &b) == 0 && b.err == 0)
		norm = slice_dup(buf_slice(&b));
	buf_done(&b);
	free(full);
	return norm;
}

static void
put_strings(struct buf *b, char **v, size_t n)
{
	ipc_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		ipc_put_str(b, v[i]);
}

/* The certificates that mail may be signed with (P09): those for encryption alone bind nobody to sign with them. */
static void
put_keys(struct buf *b, const struct people_owner *o)
{
	uint32_t n = 0;

	for (size_t i = 0; o != NULL && i < o->n_certs; i++)
		n += client_cert_signs(o->certs[i]);
	ipc_put_u32(b, n);
	for (size_t i = 0; o != NULL && i < o->n_certs; i++)
		if (client_cert_signs(o->certs[i]))
			ipc_put_slice(b, o->certs[i]);
}

static int
login_may_send(const struct work_params *w, const char *login, struct slice address, bool *may_out)
{
	struct person_mailboxes *m = NULL;
	struct person *u = NULL;
	int err;

	*may_out = false;
	if (*login == '\0')
		return 0;
	err = people_login(w->people, slice_str(login), &u);
	if (err == ERR_NOTFOUND)
		return 0;
	if (err == 0)
		err = people_mailboxes(w->people, u, &m);
	if (err == 0)
		*may_out = people_may_send(u, m, address);
	person_mailboxes_free(m);
	person_free(u);
	return err;
}

void
work_sender(const struct work_params *w, struct job *j)
{
	char *address = work_address(w->conf, j->address);
	struct people_owner *o = NULL;
	bool ours, may = false;
	char **symbols = NULL;
	size_t n_symbols = 0;
	int err = 0;

	ours = address != NULL && people_is_ours(w->people, slice_str(address));
	if (ours)
		err = people_owner(w->people, slice_str(address), &o);
	/* asked of who signed a document, for whom nobody signed in */
	if (o != NULL && err == 0 && j->login[0] == '\0')
		err = people_authorities(w->people, o);
	if (ours && err == 0)
		err = login_may_send(w, j->login, slice_str(address), &may);
	if (o != NULL && err == 0)
		err = people_agency_symbols(
		    w->people, slice_str(o->agency != NULL ? o->agency : ""), &symbols, &n_symbols);
	free(address);
	if (err != 0) {
		j->err = ERR_TEMP;
		people_owner_free(o);
		return;
	}
	ipc_put_u8(&j->reply, ours);
	ipc_put_u8(&j->reply, o == NULL ? LOOKUP_OWNER_NONE : (uint8_t)o->kind);
	ipc_put_str(&j->reply, o == NULL || o->account == NULL ? "" : o->account);
	ipc_put_str(&j->reply, o == NULL || o->agency == NULL ? "" : o->agency);
	ipc_put_u8(&j->reply, may);
	ipc_put_u32(&j->reply, o == NULL ? 0 : (uint32_t)o->n_addresses);
	for (size_t i = 0; o != NULL && i < o->n_addresses; i++)
		ipc_put_str(&j->reply, o->addresses[i]);
	put_keys(&j->reply, o);
	ipc_put_u32(&j->reply, o == NULL ? 0 : (uint32_t)o->n_current);
	put_strings(&j->reply, o == NULL ? NULL : o->authorities, o == NULL ? 0 : o->n_authorities);
	put_strings(&j->reply, symbols, n_symbols);
	strings_free(symbols, n_symbols);
	people_owner_free(o);
}

/* The address of now of who had this one before and has a newer one; NULL: it did not move. */
static int
moved_to(const struct work_params *w, const char *address, char **out)
{
	struct people_owner *o = NULL;
	int err = people_owner(w->people, slice_str(address), &o);

	*out = NULL;
	if (err != 0)
		return err;
	for (size_t i = 0; i < o->n_former && *out == NULL && o->n_current > 0; i++) {
		if (strcmp(o->former[i], address) == 0 && strcmp(o->addresses[0], address) != 0)
			*out = xstrdup(o->addresses[0]);
	}
	people_owner_free(o);
	return 0;
}

void
work_moved(const struct work_params *w, struct job *j)
{
	char *now[LOOKUP_ASKED_MAX] = {NULL};
	uint32_t n = 0;

	for (size_t i = 0; j->err == 0 && i < j->n_list; i++) {
		char *address = work_address(w->conf, j->list[i]);

		if (address != NULL && people_is_ours(w->people, slice_str(address)))
			j->err = moved_to(w, address, &now[i]);
		n += now[i] != NULL;
		free(address);
	}
	ipc_put_u32(&j->reply, n);
	for (size_t i = 0; i < j->n_list; i++) {
		if (now[i] != NULL) {
			ipc_put_str(&j->reply, j->list[i]);
			ipc_put_str(&j->reply, now[i]);
		}
		free(now[i]);
	}
}

void
work_member(const struct work_params *w, struct job *j)
{
	char *group = work_address(w->conf, j->address), *list[LOOKUP_ASKED_MAX];
	bool is[LOOKUP_ASKED_MAX] = {false};

	for (size_t i = 0; i < j->n_list; i++)
		list[i] = work_address(w->conf, j->list[i]);
	if (group == NULL || !people_is_ours(w->people, slice_str(group)))
		j->err = ERR_NOTFOUND;
	else
		j->err = people_members(w->people, slice_str(group), list, j->n_list, is);
	ipc_put_u32(&j->reply, (uint32_t)j->n_list);
	for (size_t i = 0; i < j->n_list; i++) {
		ipc_put_u8(&j->reply, is[i]);
		free(list[i]);
	}
	free(group);
	if (j->err != 0 && j->err != ERR_NOTFOUND)
		j->err = j->err == ERR_LIMIT ? ERR_LIMIT : ERR_TEMP;
}
