/* dir_ldap.c: dir.h over libldap: searches, password checks, names. With dir_ldap_link.c, which has the connections, dir_ldap_write.c and
 * dir_ldap_watch.c the only includer of <ldap.h>. Runs in the worker threads of lookup and in congvu. RFC 4511, RFC 4513, RFC 4514;
 * draft-behera-ldap-password-policy. */
#include "config.h"

#include "directory/dir_ldap_priv.h"

#include "directory/escape.h"
#include "lib/err.h"
#include "lib/log.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <ldap.h>

static void
log_failure(const char *op, const char *what, int rc)
{
	struct log_line line;

	log_begin(&line, LOG_LVL_WARN, "ldap_failed");
	log_str(&line, "op", op);
	log_str(&line, "what", what);
	log_str(&line, "error", ldap_err2string(rc));
	log_end(&line);
}

/* ---- searching ---- */

int
dir_text_only(struct dir *d, const char *const *bytes_attrs, size_t n)
{
	if (n > DIR_BYTES_ATTRS_MAX)
		return ERR_LIMIT;
	while (d->n_bytes_attrs > 0)
		free(d->bytes_attrs[--d->n_bytes_attrs]);
	for (size_t i = 0; i < n; i++)
		d->bytes_attrs[d->n_bytes_attrs++] = xstrdup(bytes_attrs[i]);
	d->is_text_only = true;
	return 0;
}

/* Whether values of the attribute may have any bytes. */
static bool
may_be_bytes(const struct dir *d, const char *name)
{
	size_t n = strcspn(name, ";");

	if (!d->is_text_only || strcasestr(name + n, ";binary") != NULL)
		return true;
	for (size_t i = 0; i < d->n_bytes_attrs; i++)
		if (strncasecmp(d->bytes_attrs[i], name, n) == 0 &&
		    strcspn(d->bytes_attrs[i], ";") == n)
			return true;
	return false;
}

static int
entry_attr_copy(const struct dir *d, LDAP *ld, LDAPMessage *m, const char *name, struct dir_attr *a)
{
	struct berval **values = ldap_get_values_len(ld, m, name);
	bool any = may_be_bytes(d, name);
	int n = ldap_count_values_len(values);
	int err = 0;

	a->name = xstrdup(name);
	a->values = calloc((size_t)n + 1, sizeof(*a->values));
	for (int i = 0; a->values != NULL && i < n && err == 0; i++) {
		unsigned char *copy;

		if (!any && memchr(values[i]->bv_val, 0, values[i]->bv_len) != NULL)
			continue;
		copy = malloc(values[i]->bv_len + 1);
		if (copy == NULL) {
			err = ERR_NOMEM;
			break;
		}
		memcpy(copy, values[i]->bv_val, values[i]->bv_len);
		copy[values[i]->bv_len] = '\0';
		a->values[a->n_values++] = slice_of(copy, values[i]->bv_len);
	}
	ldap_value_free_len(values);
	return a->values == NULL ? ERR_NOMEM : err;
}

int
dir_entry_copy(const struct dir *d, LDAP *ld, LDAPMessage *m, struct dir_entry *e)
{
	struct berval dn = {0, NULL};
	BerElement *ber = NULL;
	size_t room = 0;
	int err = 0;

	/* RFC 4514 2.4: a NUL is escaped in a DN; ldap_get_dn would cut there */
	if (ldap_get_dn_ber(ld, m, NULL, &dn) != LDAP_SUCCESS || dn.bv_val == NULL ||
	    memchr(dn.bv_val, 0, dn.bv_len) != NULL)
		return ERR_TEMP;
	e->dn = slice_dup(slice_of(dn.bv_val, dn.bv_len));
	e->dn_norm = dir_dn_norm(e->dn);
	if (e->dn == NULL || e->dn_norm == NULL)
		return ERR_NOMEM;
	for (char *name = ldap_first_attribute(ld, m, &ber); name != NULL && err == 0;
	     name = ldap_next_attribute(ld, m, ber)) {
		if (e->n_attrs == room) {
			room = room == 0 ? 16 : room * 2;
			e->attrs = xrealloc(e->attrs, room * sizeof(*e->attrs));
		}
		memset(&e->attrs[e->n_attrs], 0, sizeof(*e->attrs));
		err = entry_attr_copy(d, ld, m, name, &e->attrs[e->n_attrs++]);
		ldap_memfree(name);
	}
	ber_free(ber, 0);
	return err;
}

static int
result_copy(const struct dir *d, LDAP *ld, LDAPMessage *res, struct dir_result **out)
{
	int n = ldap_count_entries(ld, res);
	struct dir_result *r;
	int err = 0;

	if (n < 0)
		return ERR_TEMP;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return ERR_NOMEM;
	r->entries = calloc((size_t)n + 1, sizeof(*r->entries));
	if (r->entries == NULL)
		err = ERR_NOMEM;
	for (LDAPMessage *m = ldap_first_entry(ld, res); err == 0 && m != NULL;
	     m = ldap_next_entry(ld, m))
		err = dir_entry_copy(d, ld, m, &r->entries[r->n_entries++]);
	if (err == 0)
		*out = r;
	else
		dir_result_free(r);
	return err;
}

int
dir_search_rc(struct dir *d, const char *base, int scope, const char *filter,
    const char *const *attrs, int limit, struct dir_result **out, int *err_out)
{
	int rc = LDAP_SERVER_DOWN;

	for (size_t tries = 0; tries <= d->n_uris; tries++) {
		struct timeval tv = dir_timeval(d);
		LDAPMessage *res = NULL;
		struct link *l = NULL;
		uint64_t started;

		/* whatever the service's bind was answered: it says nothing of the entry */
		if (dir_link_get(d, true, &l) != LDAP_SUCCESS)
			return LDAP_UNAVAILABLE;
		started = dir_now_ms();
		rc = ldap_search_ext_s(l->ld, base, scope, filter, (char **)(uintptr_t)attrs, 0,
		    NULL, NULL, &tv, limit, &res);
		rc = dir_link_rc(l, rc);
		if (l->uri != d->watched)
			d->n_elsewhere++;
		if (rc == LDAP_SUCCESS)
			*err_out = result_copy(d, l->ld, res, out);
		ldap_msgfree(res);
		dir_link_put(d, true, true, l, rc, started);
		if (dir_rc_is_answer(rc))
			return rc;
	}
	return rc;
}

uint64_t
dir_elsewhere(const struct dir *d)
{
	return d->n_elsewhere;
}

int
dir_search(struct dir *d, const char *base, const char *filter, const char *const *attrs,
    unsigned max, struct dir_result **out)
{
	int err = 0;
	int rc = dir_search_rc(d, base == NULL ? d->base : base, LDAP_SCOPE_SUBTREE, filter, attrs,
	    (int)max, out, &err);

	switch (rc) {
	case LDAP_SUCCESS:
		return err;
	case LDAP_SIZELIMIT_EXCEEDED:
		return ERR_LIMIT;
	case LDAP_FILTER_ERROR:
		log_failure("search", filter, rc);
		return ERR_SYNTAX;
	default:
		/* a base that is not there is a fault of the set-up, never "no such user" */
		log_failure("search", filter, rc);
		return ERR_TEMP;
	}
}

int
dir_read(struct dir *d, const char *dn, const char *const *attrs, struct dir_result **out)
{
	struct dir_result *r = NULL;
	int err = 0;
	int rc = dir_search_rc(d, dn, LDAP_SCOPE_BASE, "(objectClass=*)", attrs, 1, &r, &err);

	if (rc == LDAP_NO_SUCH_OBJECT || rc == LDAP_INVALID_DN_SYNTAX)
		return ERR_NOTFOUND;
	if (rc != LDAP_SUCCESS) {
		log_failure("read", dn, rc);
		return ERR_TEMP;
	}
	if (err == 0 && r->n_entries != 1) {
		dir_result_free(r);
		return ERR_NOTFOUND;
	}
	if (err == 0)
		*out = r;
	return err;
}

/* ---- verifying passwords ---- */

/* The server answered, and takes no such name with such a password. */
static bool
is_refusal(int rc)
{
	return rc == LDAP_INVALID_CREDENTIALS || rc == LDAP_INAPPROPRIATE_AUTH ||
	       rc == LDAP_NO_SUCH_OBJECT || rc == LDAP_INVALID_DN_SYNTAX ||
	       rc == LDAP_CONSTRAINT_VIOLATION;
}

int
dir_sign_in(struct dir *d)
{
	struct link *l = NULL;
	int rc;

	d->is_told = true;
	rc = dir_link_get(d, true, &l);
	d->is_told = false;
	if (rc == LDAP_SUCCESS)
		dir_link_put(d, true, true, l, rc, dir_now_ms());
	return rc == LDAP_SUCCESS ? 0 : is_refusal(rc) ? ERR_AUTH : ERR_TEMP;
}

/* What the policy's answer says: 0, ERR_EXPIRED or ERR_MUST_CHANGE. */
static int
policy_says(LDAP *ld, LDAPControl **ctrls, struct dir_says *says)
{
	LDAPControl *c = ldap_control_find(LDAP_CONTROL_PASSWORDPOLICYRESPONSE, ctrls, NULL);
	ber_int_t expire = -1, grace = -1;
	LDAPPasswordPolicyError e = PP_noError;

	if (c == NULL ||
	    ldap_parse_passwordpolicy_control(ld, c, &expire, &grace, &e) != LDAP_SUCCESS)
		return 0;
	says->expires_s = expire;
	says->grace_left = (int32_t)grace;
	return e == PP_passwordExpired    ? ERR_EXPIRED
	       : e == PP_changeAfterReset ? ERR_MUST_CHANGE
					  : 0;
}

static int
verify_once(struct dir *d, struct link *l, const char *dn, struct slice password,
    struct dir_says *says, int *policy_err)
{
	LDAPControl policy = {(char *)(uintptr_t)LDAP_CONTROL_PASSWORDPOLICYREQUEST, {0, NULL}, 0};
	LDAPControl *ctrls[] = {&policy, NULL}, **answer = NULL;
	/* libldap does not write to what it sends */
	struct berval cred = {password.len, (char *)(uintptr_t)password.ptr};
	struct timeval tv = dir_timeval(d);
	LDAPMessage *res = NULL;
	int id, rc, code = LDAP_OTHER;

	rc = ldap_sasl_bind(l->ld, dn, LDAP_SASL_SIMPLE, &cred, ctrls, NULL, &id);
	if (rc != LDAP_SUCCESS)
		return rc;
	rc = ldap_result(l->ld, id, LDAP_MSG_ALL, &tv, &res);
	if (rc == 0)
		return LDAP_TIMEOUT;
	if (rc < 0)
		return LDAP_SERVER_DOWN;
	rc = ldap_parse_result(l->ld, res, &code, NULL, NULL, NULL, &answer, 1);
	if (rc != LDAP_SUCCESS)
		return rc;
	*policy_err = answer == NULL ? 0 : policy_says(l->ld, answer, says);
	ldap_controls_free(answer);
	return code;
}

int
dir_verify(struct dir *d, const char *dn, struct slice password, struct dir_says *says_out)
{
	struct dir_says says = {-1, -1};
	int rc = LDAP_SERVER_DOWN, policy_err = 0;

	/* RFC 4513 5.1.2: a bind with a DN and no password succeeds as anonymous */
	if (password.len == 0 || *dn == '\0')
		return ERR_AUTH;
	for (size_t tries = 0; tries <= d->n_uris; tries++) {
		struct link *l = NULL;
		uint64_t started;

		if (dir_link_get(d, false, &l) != LDAP_SUCCESS) {
			rc = LDAP_UNAVAILABLE;
			break;
		}
		started = dir_now_ms();
		rc = verify_once(d, l, dn, password, &says, &policy_err);
		dir_link_put(d, false, true, l, rc, started);
		if (dir_rc_is_answer(rc))
			break;
	}
	if (says_out != NULL)
		*says_out = says;
	if (rc == LDAP_SUCCESS)
		return policy_err;
	if (is_refusal(rc))
		return policy_err != 0 ? policy_err : ERR_AUTH;
	log_failure("bind", dn, rc);
	return ERR_TEMP;
}

/* ---- names ---- */

char *
dir_dn_norm(const char *dn)
{
	LDAPDN parsed = NULL;
	char *text = NULL, *copy = NULL;

	if (dn == NULL || ldap_str2dn(dn, &parsed, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS)
		return NULL;
	if (ldap_dn2str(parsed, &text, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS)
		copy = strdup(text);
	for (char *p = copy; p != NULL && *p != '\0'; p++) {
		if (*p >= 'A' && *p <= 'Z')
			*p = (char)(*p - 'A' + 'a');
	}
	ldap_memfree(text);
	ldap_dnfree(parsed);
	return copy;
}

char *
dir_dn_rdn(const char *dn)
{
	LDAPDN parsed = NULL;
	char *text = NULL, *copy = NULL;

	if (ldap_str2dn(dn, &parsed, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS && parsed != NULL &&
	    ldap_rdn2str(parsed[0], &text, LDAP_DN_FORMAT_LDAPV3) == LDAP_SUCCESS)
		copy = xstrdup(text);
	ldap_memfree(text);
	ldap_dnfree(parsed);
	return copy;
}

/* The first attribute of the DN's RDN; *parsed_out is the caller's (ldap_dnfree), who keeps it while it uses the others. */
static int
rdn_of(const char *dn, LDAPDN *parsed_out, struct slice *type_out, struct slice *value_out)
{
	LDAPDN parsed = NULL;
	const LDAPAVA *ava;

	if (ldap_str2dn(dn, &parsed, LDAP_DN_FORMAT_LDAPV3) != LDAP_SUCCESS)
		return ERR_SYNTAX;
	ava = parsed != NULL && parsed[0] != NULL ? parsed[0][0] : NULL;
	if (ava == NULL || (ava->la_flags & LDAP_AVA_BINARY) != 0) {
		ldap_dnfree(parsed);
		return ERR_SYNTAX;
	}
	*parsed_out = parsed;
	*type_out = slice_of(ava->la_attr.bv_val, ava->la_attr.bv_len);
	*value_out = slice_of(ava->la_value.bv_val, ava->la_value.bv_len);
	return 0;
}

int
dir_dn_rdn_filter(const char *dn, struct buf *out)
{
	struct slice type, value;
	LDAPDN parsed = NULL;
	int err = rdn_of(dn, &parsed, &type, &value);

	if (err != 0)
		return err;
	buf_append_byte(out, '(');
	buf_append_slice(out, type);
	buf_append_byte(out, '=');
	escape_filter(value, out);
	buf_append_byte(out, ')');
	ldap_dnfree(parsed);
	return out->err;
}

int
dir_dn_rdn_value(const char *dn, struct buf *out)
{
	struct slice type, value;
	LDAPDN parsed = NULL;
	int err = rdn_of(dn, &parsed, &type, &value);

	if (err != 0)
		return err;
	buf_append_slice(out, value);
	ldap_dnfree(parsed);
	return out->err;
}
