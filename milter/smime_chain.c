/* smime_chain.c: path building and revocation for one signer. Runs in milter-scan. OpenSSL builds the path (its verdicts on NIST
 * PKITS are right); our work is its parameters: the sender domain's anchors alone, time of receipt, purpose e-mail signing, level 2,
 * depth 6, no partial chains. Revocation is three-valued and a second walk, so that "no CRL" never looks like "revoked" or "good".
 * RFC 5280, RFC 8550 4. */
#include "config.h"

#include "milter/smime_priv.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define CHAIN_DEPTH 6

static X509_STORE_CTX *
ctx_new(const struct smime_domain *d, X509 *signer, STACK_OF(X509) * others, int64_t now,
    unsigned long flags)
{
	X509_STORE_CTX *ctx = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;

	if (ctx == NULL || X509_STORE_CTX_init(ctx, d->store, signer, others) != 1) {
		X509_STORE_CTX_free(ctx);
		return NULL;
	}
	param = X509_STORE_CTX_get0_param(ctx);
	X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_POLICY_CHECK | flags);
	X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SMIME_SIGN);
	X509_VERIFY_PARAM_set_auth_level(param, 2);
	X509_VERIFY_PARAM_set_depth(param, CHAIN_DEPTH);
	X509_VERIFY_PARAM_set_time(param, (time_t)now);
	return ctx;
}

static enum sig_status
status_of(int err)
{
	switch (err) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return SIG_EXPIRED;
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return SIG_WEAK;
	case X509_V_ERR_INVALID_PURPOSE:
		return SIG_PURPOSE;
	default:
		return SIG_UNTRUSTED;
	}
}

static void
note_subjects(STACK_OF(X509) * chain, struct findings *f, struct find_sig *s)
{
	char text[FINDINGS_TEXT_MAX];
	BIO *bio = BIO_new(BIO_s_mem());
	char *p;
	long n;
	int i;

	if (bio == NULL)
		return;
	for (i = 0; chain != NULL && i < sk_X509_num(chain); i++) {
		if (i > 0)
			BIO_puts(bio, " < ");
		X509_NAME_print_ex(bio, X509_get_subject_name(sk_X509_value(chain, i)), 0,
		    XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
	}
	n = BIO_get_mem_data(bio, &p);
	if (n > (long)sizeof text)
		n = sizeof text;
	if (n > 0)
		s->chain_subjects = findings_text(f, slice_of(p, (size_t)n));
	BIO_free(bio);
}

struct rev_walk {
	bool revoked, unknown;
};
static int rev_index = -1;

/* Goes on after every error: a missing CRL for the signer must not hide that its CA was revoked. */
static int
rev_cb(int ok, X509_STORE_CTX *ctx)
{
	struct rev_walk *w = X509_STORE_CTX_get_ex_data(ctx, rev_index);
	X509_STORE_CTX *parent = ctx;

	/* a walk inside (the CRL issuer's own path) has no data of ours: its errors surface in the outer walk as well */
	while (w == NULL && (parent = X509_STORE_CTX_get0_parent_ctx(parent)) != NULL)
		w = X509_STORE_CTX_get_ex_data(parent, rev_index);
	if (ok || w == NULL)
		return ok;
	if (X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CERT_REVOKED)
		w->revoked = true;
	else
		w->unknown = true;
	return 1;
}

static int64_t
crl_age(const struct smime_domain *d, X509 *cert, int64_t now)
{
	int64_t best = -1, age;
	struct tm tm;
	int i;

	for (i = 0; i < sk_X509_CRL_num(d->crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(d->crls, i);

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(cert)) != 0 ||
		    ASN1_TIME_to_tm(X509_CRL_get0_lastUpdate(crl), &tm) != 1)
			continue;
		age = now - (int64_t)timegm(&tm);
		if (best < 0 || age < best)
			best = age < 0 ? 0 : age;
	}
	return best;
}

/* CRLs that came with the mail may add a revocation; they never make anything good or fresh (MILTER.md case 25). */
static bool
embedded_revokes(STACK_OF(X509) * chain, STACK_OF(X509_CRL) * crls)
{
	X509_REVOKED *rev;
	int i, j;

	for (i = 0; crls != NULL && i < sk_X509_CRL_num(crls) && i < SMIME_CRLS_MAX; i++) {
		X509_CRL *crl = sk_X509_CRL_value(crls, i);

		for (j = 0; j + 1 < sk_X509_num(chain); j++) {
			X509 *cert = sk_X509_value(chain, j), *issuer = sk_X509_value(chain, j + 1);

			if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(cert)) ==
				0 &&
			    X509_CRL_verify(crl, X509_get0_pubkey(issuer)) == 1 &&
			    X509_CRL_get0_by_cert(crl, &rev, cert) == 1)
				return true;
		}
	}
	ERR_clear_error();
	return false;
}

static void
check_revocation(const struct smime_domain *d, X509 *signer, STACK_OF(X509) * others, int64_t now,
    struct findings *f, struct find_sig *s)
{
	struct rev_walk w = {false, false};
	X509_STORE_CTX *ctx;

	s->rev = REV_UNCHECKED;
	if (sk_X509_CRL_num(d->crls) <= 0)
		return;
	ctx = ctx_new(d, signer, others, now,
	    X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_EXTENDED_CRL_SUPPORT |
		X509_V_FLAG_USE_DELTAS);
	if (ctx == NULL || rev_index < 0 || X509_STORE_CTX_set_ex_data(ctx, rev_index, &w) != 1) {
		w.unknown = true;
	} else {
		X509_STORE_CTX_set_verify_cb(ctx, rev_cb);
		if (X509_verify_cert(ctx) != 1)
			w.unknown = true;
	}
	s->rev = w.revoked ? REV_REVOKED : w.unknown ? REV_UNKNOWN : REV_GOOD;
	s->rev_source = findings_str(f, "crl");
	s->rev_age_s = crl_age(d, signer, now);
	X509_STORE_CTX_free(ctx);
}

void
smime_chain_check(const struct smime_domain *d, X509 *signer, STACK_OF(X509) * others,
    STACK_OF(X509_CRL) * embedded, int64_t now, struct findings *f, struct find_sig *s)
{
	X509_STORE_CTX *ctx = NULL;
	STACK_OF(X509) * chain;
	int err = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;

	if (rev_index < 0)
		rev_index = X509_STORE_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (d != NULL)
		ctx = ctx_new(d, signer, others, now, 0);
	if (ctx != NULL && X509_verify_cert(ctx) == 1) {
		err = X509_V_OK;
		chain = X509_STORE_CTX_get0_chain(ctx);
		note_subjects(chain, f, s);
		s->chain = findings_str(f, "ok");
		check_revocation(d, signer, others, now, f, s);
		if (s->rev != REV_REVOKED && embedded_revokes(chain, embedded)) {
			s->rev = REV_REVOKED;
			s->rev_source = findings_str(f, "embedded");
		}
	} else {
		if (ctx != NULL)
			err = X509_STORE_CTX_get_error(ctx);
		s->chain = findings_str(f, d == NULL ? "no trust anchors for this domain"
						     : X509_verify_cert_error_string(err));
		if (s->status == SIG_VALID) {
			s->status = status_of(err);
			s->why = s->chain;
		}
	}
	X509_STORE_CTX_free(ctx);
	ERR_clear_error();
}
