/* dir_ldap_write.c: dir.h over libldap: writing, one entry or several together. Runs in congvu, and in lookup for the one thing it writes. RFC 4511 4.6
 * to 4.9, RFC 5805. */
#include "config.h"

#include "directory/dir_ldap_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <ldap.h>

enum { COMMIT_S = 120 };

static struct berval
berval_of(struct slice s)
{
	/* libldap does not write to what it sends */
	return (struct berval){
	    s.len, (char *)(uintptr_t)(s.ptr == NULL ? (const void *)"" : s.ptr)};
}

static LDAPMod **
mods_make(const struct dir_mod *mods, size_t n)
{
	static const int ops[] = {LDAP_MOD_ADD, LDAP_MOD_DELETE, LDAP_MOD_REPLACE};
	LDAPMod **list = xcalloc(n + 1, sizeof(*list));

	for (size_t i = 0; i < n; i++) {
		struct berval *values = xcalloc(mods[i].n_values + 1, sizeof(*values));
		struct berval **pointers = xcalloc(mods[i].n_values + 1, sizeof(*pointers));

		for (size_t j = 0; j < mods[i].n_values; j++) {
			values[j] = berval_of(mods[i].values[j]);
			pointers[j] = &values[j];
		}
		list[i] = xcalloc(1, sizeof(*list[i]));
		list[i]->mod_op = ops[mods[i].op] | LDAP_MOD_BVALUES;
		list[i]->mod_type = (char *)(uintptr_t)mods[i].name;
		/* an attribute without values: all of them go (RFC 4511 4.6) */
		list[i]->mod_bvalues = mods[i].n_values == 0 ? NULL : pointers;
		if (mods[i].n_values == 0) {
			free(pointers);
			free(values);
		}
	}
	return list;
}

static void
mods_free(LDAPMod **list)
{
	for (size_t i = 0; list[i] != NULL; i++) {
		if (list[i]->mod_bvalues != NULL)
			free(list[i]->mod_bvalues[0]);
		free(list[i]->mod_bvalues);
		free(list[i]);
	}
	free(list);
}

static int
write_err(struct link *l, int rc, char **why_out)
{
	char *diagnostic = NULL;
	struct buf b;

	if (rc == LDAP_SUCCESS)
		return 0;
	if (why_out != NULL) {
		ldap_get_option(l->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &diagnostic);
		buf_init(&b, 4096);
		buf_append_str(&b, ldap_err2string(rc));
		if (diagnostic != NULL && *diagnostic != '\0')
			buf_appendf(&b, ": %s", diagnostic);
		*why_out = xstrdup(buf_cstr(&b));
		buf_done(&b);
		ldap_memfree(diagnostic);
	}
	switch (rc) {
	case LDAP_ALREADY_EXISTS:
	case LDAP_CONSTRAINT_VIOLATION:
	case LDAP_TYPE_OR_VALUE_EXISTS:
		return ERR_EXISTS;
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_NO_SUCH_ATTRIBUTE:
		return ERR_NOTFOUND;
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_STRONG_AUTH_REQUIRED:
		return ERR_DENIED;
	case LDAP_OBJECT_CLASS_VIOLATION:
	case LDAP_NAMING_VIOLATION:
	case LDAP_UNDEFINED_TYPE:
	case LDAP_INVALID_SYNTAX:
	case LDAP_INVALID_DN_SYNTAX:
		return ERR_SYNTAX;
	default:
		return dir_rc_is_link_trouble(rc) ? ERR_UNKNOWN : ERR_TEMP;
	}
}

/* RFC 4511 4.9, with the RDN that the entry has. */
static int
move_rc(struct link *l, const char *dn, const char *new_parent)
{
	char *rdn = dir_dn_rdn(dn);
	int rc = rdn == NULL ? LDAP_INVALID_DN_SYNTAX
			     : ldap_rename_s(l->ld, dn, rdn, new_parent, 0, NULL, NULL);

	free(rdn);
	return rc;
}

static const char *const no_attrs[] = {LDAP_NO_ATTRS, NULL};

/* A connection for writing. One that waited in the pool is probed first, so that a server's restart in between is no trouble. LDAP result code. */
static int
write_link(struct dir *d, struct link **out, char **why_out)
{
	struct dir_result *r = NULL;
	int rc, ignored = 0;

	if (d->service.idle != NULL && dir_now_ms() - d->service.idle->since > 30000) {
		dir_search_rc(d, "", LDAP_SCOPE_BASE, "(objectClass=*)", no_attrs, 1, &r, &ignored);
		dir_result_free(r);
	}
	rc = dir_link_get(d, true, out);
	if (rc != LDAP_SUCCESS && why_out != NULL)
		*why_out = xstrdup(ldap_err2string(rc));
	return rc;
}

/* A write is sent once: when the connection is lost on the way, nobody knows whether it was done. */
static int
do_write(struct dir *d, const struct dir_write *w, char **why_out)
{
	LDAPMod **list = mods_make(w->mods, w->n_mods);
	struct link *l = NULL;
	uint64_t started;
	int rc, err = ERR_TEMP;

	if (write_link(d, &l, why_out) != LDAP_SUCCESS)
		goto out;
	started = dir_now_ms();
	if (w->op == DIR_WRITE_ADD)
		rc = ldap_add_ext_s(l->ld, w->dn, list, NULL, NULL);
	else if (w->op == DIR_WRITE_MODIFY)
		rc = ldap_modify_ext_s(l->ld, w->dn, list, NULL, NULL);
	else if (w->op == DIR_WRITE_MOVE)
		rc = move_rc(l, w->dn, w->new_parent);
	else
		rc = ldap_delete_ext_s(l->ld, w->dn, NULL, NULL);
	err = write_err(l, rc, why_out);
	dir_link_put(d, true, false, l, rc, started);
out:
	mods_free(list);
	return err;
}

/* ---- several writes together: RFC 5805 ---- */

bool
dir_has_transactions(struct dir *d)
{
	static const char *const attrs[] = {"supportedExtension", NULL};
	struct dir_result *r = NULL;

	if (d->transactions != 0)
		return d->transactions > 0;
	if (dir_read(d, "", attrs, &r) != 0)
		return false;
	d->transactions = dir_entry_has_value(&r->entries[0], "supportedExtension",
			      slice_str(LDAP_EXOP_TXN_START)) &&
				  dir_entry_has_value(&r->entries[0], "supportedExtension",
				      slice_str(LDAP_EXOP_TXN_END))
			      ? 1
			      : -1;
	dir_result_free(r);
	return d->transactions > 0;
}

/* What the server says of a write that it keeps for the end: LDAP_SUCCESS. */
static int
kept_rc(struct dir *d, struct link *l, int id)
{
	struct timeval tv = dir_timeval(d);
	LDAPMessage *res = NULL;
	int rc = ldap_result(l->ld, id, LDAP_MSG_ALL, &tv, &res), code = LDAP_OTHER;

	if (rc == 0)
		return LDAP_TIMEOUT;
	if (rc < 0)
		return LDAP_SERVER_DOWN;
	rc = ldap_parse_result(l->ld, res, &code, NULL, NULL, NULL, NULL, 1);
	if (rc != LDAP_SUCCESS)
		return rc;
	return code == LDAP_TXN_SPECIFY_OKAY ? LDAP_SUCCESS : code;
}

static int
send_one(struct dir *d, struct link *l, struct berval *txn, const struct dir_write *w, int *id_out)
{
	LDAPControl in = {(char *)(uintptr_t)LDAP_CONTROL_TXN_SPEC, *txn, 1},
		    *ctrls[] = {&in, NULL};
	LDAPMod **list = mods_make(w->mods, w->n_mods);
	char *rdn = w->op == DIR_WRITE_MOVE ? dir_dn_rdn(w->dn) : NULL;
	int rc;

	if (w->op == DIR_WRITE_ADD)
		rc = ldap_add_ext(l->ld, w->dn, list, ctrls, NULL, id_out);
	else if (w->op == DIR_WRITE_MODIFY)
		rc = ldap_modify_ext(l->ld, w->dn, list, ctrls, NULL, id_out);
	else if (w->op == DIR_WRITE_DELETE)
		rc = ldap_delete_ext(l->ld, w->dn, ctrls, NULL, id_out);
	else
		rc = rdn == NULL
			 ? LDAP_INVALID_DN_SYNTAX
			 : ldap_rename(l->ld, w->dn, rdn, w->new_parent, 0, ctrls, NULL, id_out);
	free(rdn);
	mods_free(list);
	return rc != LDAP_SUCCESS ? rc : kept_rc(d, l, *id_out);
}

/* The message id of the write that failed: TxnEndRes, SEQUENCE { messageID MessageID OPTIONAL, … }; slapd 2.5 leaves the sequence away. -1: not said. */
static int
failed_id(struct berval *data)
{
	BerElement *ber = data == NULL ? NULL : ber_init(data);
	ber_int_t id = -1;
	ber_len_t len;
	ber_tag_t tag = ber == NULL ? LBER_DEFAULT : ber_peek_tag(ber, &len);

	if (tag == LBER_SEQUENCE)
		tag = ber_skip_tag(ber, &len) == LBER_SEQUENCE ? ber_peek_tag(ber, &len)
							       : LBER_DEFAULT;
	if (tag == LBER_INTEGER && ber_get_int(ber, &id) != LBER_INTEGER)
		id = -1;
	ber_free(ber, 1);
	return (int)id;
}

/* Ends it: all is made (commit), or nothing. Not ldap_txn_end_s, which takes what slapd says of a failure for garbage. LDAP result code. */
static int
txn_end(struct link *l, bool commit, struct berval *txn, int *failed_out)
{
	/* thousands of writes take their time, and half an answer helps nobody */
	struct timeval tv = {COMMIT_S, 0};
	int id, code = LDAP_OTHER, rc = ldap_txn_end(l->ld, commit, txn, NULL, NULL, &id);
	struct berval *data = NULL;
	LDAPMessage *res = NULL;

	if (rc != LDAP_SUCCESS)
		return rc;
	rc = ldap_result(l->ld, id, LDAP_MSG_ALL, &tv, &res);
	if (rc <= 0)
		return rc == 0 ? LDAP_TIMEOUT : LDAP_SERVER_DOWN;
	/* the data first: the diagnostic message is to be of the second one */
	if (ldap_parse_extended_result(l->ld, res, NULL, &data, 0) == LDAP_SUCCESS)
		*failed_out = failed_id(data);
	ber_bvfree(data);
	rc = ldap_parse_result(l->ld, res, &code, NULL, NULL, NULL, NULL, 1);
	return rc != LDAP_SUCCESS ? rc : code;
}

/* The server answers the last write a moment before it is done with keeping it, and slapd 2.5 was seen to crash when the end came within that moment. */
static void
settle(void)
{
	const struct timespec moment = {.tv_nsec = 50000000};

	nanosleep(&moment, NULL);
}

static void
why_at(const struct dir_write *w, size_t n, const int *ids, int id, char **why_out)
{
	char *text = NULL;

	for (size_t i = 0; why_out != NULL && *why_out != NULL && i < n; i++)
		if (ids[i] == id && asprintf(&text, "%s: %s", w[i].dn, *why_out) >= 0) {
			free(*why_out);
			*why_out = text;
			return;
		}
}

int
dir_write_all(struct dir *d, const struct dir_write *w, size_t n, char **why_out)
{
	int *ids = xcalloc(n + 1, sizeof(*ids)), failed = -1, ignored, rc, err = ERR_TEMP;
	bool is_decided = false;
	struct berval *txn = NULL;
	struct link *l = NULL;
	uint64_t started;

	if (write_link(d, &l, why_out) != LDAP_SUCCESS)
		goto out;
	started = dir_now_ms();
	rc = ldap_txn_start_s(l->ld, NULL, NULL, &txn);
	for (size_t i = 0; rc == LDAP_SUCCESS && i < n; i++) {
		rc = send_one(d, l, txn, &w[i], &ids[i]);
		failed = rc == LDAP_SUCCESS ? -1 : ids[i];
	}
	if (rc == LDAP_SUCCESS) {
		settle();
		is_decided = true;
		rc = txn_end(l, true, txn, &failed);
	} else if (txn != NULL && !dir_rc_is_link_trouble(rc)) {
		settle();
		(void)txn_end(l, false, txn, &ignored);
	}
	err = write_err(l, rc, why_out);
	if (!is_decided && err == ERR_UNKNOWN)
		err = ERR_TEMP; /* without its end nothing of it is done */
	why_at(w, n, ids, failed, why_out);
	/* whatever the server keeps of it goes with the connection */
	dir_link_put(d, true, false, l, rc, started);
out:
	ber_bvfree(txn);
	free(ids);
	return err;
}

int
dir_add(struct dir *d, const char *dn, const struct dir_mod *mods, size_t n_mods, char **why_out)
{
	const struct dir_write w = {DIR_WRITE_ADD, dn, mods, n_mods, NULL};

	return do_write(d, &w, why_out);
}

int
dir_modify(struct dir *d, const char *dn, const struct dir_mod *mods, size_t n_mods, char **why_out)
{
	const struct dir_write w = {DIR_WRITE_MODIFY, dn, mods, n_mods, NULL};

	return do_write(d, &w, why_out);
}

int
dir_delete(struct dir *d, const char *dn, char **why_out)
{
	const struct dir_write w = {DIR_WRITE_DELETE, dn, NULL, 0, NULL};

	return do_write(d, &w, why_out);
}

int
dir_move(struct dir *d, const char *dn, const char *new_parent, char **why_out)
{
	const struct dir_write w = {DIR_WRITE_MOVE, dn, NULL, 0, new_parent};

	return do_write(d, &w, why_out);
}
