/* smime_rev.c: fetched CRLs and OCSP answers, kept as they came. Runs in milter-scan. Nothing is believed here: a CRL's signature, times and
 * scope are checked by OpenSSL's walk along the signer's chain, an OCSP answer's by smime_ocsp.c, at each use. An older one never takes the
 * place of a newer: who can replay network traffic cannot undo a revocation that was seen. RFC 5280 5, RFC 6960. */
#include "config.h"

#include "milter/smime_priv.h"
#include "milter/smime_rev.h"

#include "lib/err.h"
#include "lib/log.h"

#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define AHEAD_MAX_S 300

struct rev_entry {
	char *key;
	size_t size;
	X509_CRL *crl;           /* or */
	struct smime_ocsp *ocsp; /* this */
	struct rev_entry *next;
};
struct smime_rev {
	struct rev_entry *entries;
	STACK_OF(X509_CRL) * crls; /* of the entries; each holds a reference */
	size_t n, bytes;
	uint64_t generation; /* of crls */
	enum smime_rev_need need;
};

struct smime_rev *
smime_rev_new(void)
{
	struct smime_rev *r = xcalloc(1, sizeof *r);

	r->crls = sk_X509_CRL_new_null();
	if (r->crls == NULL)
		fatal("smime: no memory");
	return r;
}

static void
entry_free(struct rev_entry *e)
{
	X509_CRL_free(e->crl);
	smime_ocsp_free(e->ocsp);
	free(e->key);
	free(e);
}

void
smime_rev_free(struct smime_rev *r)
{
	struct rev_entry *e, *next;

	if (r == NULL)
		return;
	for (e = r->entries; e != NULL; e = next) {
		next = e->next;
		entry_free(e);
	}
	sk_X509_CRL_pop_free(r->crls, X509_CRL_free);
	free(r);
}

enum smime_rev_need
smime_rev_need(const struct smime_rev *r)
{
	return r->need;
}

void
smime_rev_set_need(struct smime_rev *r, enum smime_rev_need need)
{
	r->need = need;
}

STACK_OF(X509_CRL) * smime_rev_crls(const struct smime_rev *r)
{
	return r->crls;
}

uint64_t
smime_rev_generation(const struct smime_rev *r)
{
	return r->generation;
}

bool
smime_rev_ocsp(const struct smime_rev *r, X509 *cert, X509 *issuer, STACK_OF(X509) * chain,
    X509_STORE *store, int64_t now, struct rev_told *out)
{
	const struct rev_entry *e;
	struct rev_told t;
	bool found = false;

	for (e = r->entries; e != NULL; e = e->next) {
		if (e->ocsp == NULL ||
		    !smime_ocsp_ask(e->ocsp, cert, issuer, chain, store, now, &t))
			continue;
		/* revoked outweighs good, the newer the older */
		if (!found || t.state == REV_REVOKED ||
		    (out->state != REV_REVOKED && t.age_s < out->age_s))
			*out = t;
		found = true;
	}
	return found;
}

int64_t
smime_time(const ASN1_TIME *t)
{
	struct tm tm;

	if (t == NULL || ASN1_TIME_to_tm(t, &tm) != 1)
		return 0;
	return (int64_t)timegm(&tm);
}

static void
unlink_crl(struct smime_rev *r, const X509_CRL *crl)
{
	int i;

	r->generation++;
	for (i = 0; i < sk_X509_CRL_num(r->crls); i++) {
		if (sk_X509_CRL_value(r->crls, i) == crl) {
			X509_CRL_free(sk_X509_CRL_delete(r->crls, i));
			return;
		}
	}
}

static struct rev_entry **
find(struct smime_rev *r, struct slice key)
{
	struct rev_entry **p = &r->entries;

	while (*p != NULL && !slice_eq_str(key, (*p)->key))
		p = &(*p)->next;
	return p;
}

void
smime_rev_remove(struct smime_rev *r, struct slice key)
{
	struct rev_entry **p = find(r, key), *e = *p;

	if (e == NULL)
		return;
	*p = e->next;
	if (e->crl != NULL)
		unlink_crl(r, e->crl);
	r->n--;
	r->bytes -= e->size;
	entry_free(e);
}

static void
times_of(const struct rev_entry *e, int64_t *this_out, int64_t *next_out)
{
	if (e->ocsp != NULL) {
		smime_ocsp_times(e->ocsp, this_out, next_out);
		return;
	}
	*this_out = smime_time(X509_CRL_get0_lastUpdate(e->crl));
	*next_out = smime_time(X509_CRL_get0_nextUpdate(e->crl));
}

int
smime_rev_add(struct smime_rev *r, enum want_kind kind, struct slice key, struct slice bytes,
    int64_t now, int64_t *this_out, int64_t *next_out)
{
	struct rev_entry *e, *old = *find(r, key);
	int64_t old_this = 0, old_next = 0;
	size_t freed = old != NULL ? old->size : 0;

	if ((old == NULL && r->n >= SMIME_REV_ENTRIES_MAX) ||
	    r->bytes - freed + bytes.len > SMIME_REV_BYTES_MAX)
		return ERR_LIMIT;
	e = xcalloc(1, sizeof *e);
	e->size = bytes.len;
	e->key = slice_dup(key);
	if (kind == WANT_CRL)
		e->crl = smime_crl_parse(bytes);
	else
		e->ocsp = smime_ocsp_parse(bytes);
	if (e->key == NULL || (e->crl == NULL && e->ocsp == NULL)) {
		entry_free(e);
		return ERR_SYNTAX;
	}
	times_of(e, this_out, next_out);
	if (*this_out == 0 || *this_out > now + AHEAD_MAX_S) {
		entry_free(e);
		return ERR_SYNTAX;
	}
	if (old != NULL) {
		times_of(old, &old_this, &old_next);
		if (old_this > *this_out) {
			*this_out = old_this;
			*next_out = old_next;
			entry_free(e);
			return 0;
		}
		smime_rev_remove(r, key);
	}
	if (e->crl != NULL) {
		if (sk_X509_CRL_push(r->crls, e->crl) <= 0)
			fatal("smime: no memory");
		X509_CRL_up_ref(e->crl);
		r->generation++;
	}
	e->next = r->entries;
	r->entries = e;
	r->n++;
	r->bytes += e->size;
	return 0;
}
