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
	/* OpenSSL's purpose for encryption knows key encipherment alone: its CAs are looked at in ca_fault */
	X509_VERIFY_PARAM_set_purpose(
	    param, smime_cert_only_encrypts(signer) ? X509_PURPOSE_ANY : X509_PURPOSE_SMIME_SIGN);
	X509_VERIFY_PARAM_set_auth_level(param, 2);
	X509_VERIFY_PARAM_set_depth(param, SMIME_DEPTH);
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
name_subjects(struct smime_path *path)
{
	STACK_OF(X509) *chain = path->chain;
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
	if (n > FINDINGS_TEXT_MAX)
		n = FINDINGS_TEXT_MAX;
	if (n > 0) {
		path->subjects = slice_dup(slice_of(p, (size_t)n));
		path->n_subjects = path->subjects != NULL ? (size_t)n : 0;
	}
	BIO_free(bio);
}

static int rev_index = -1;

/* Goes on after every error: a missing CRL for the signer must not hide that its CA was revoked. */
static int
rev_cb(int ok, X509_STORE_CTX *ctx)
{
	struct rev_walk *w = X509_STORE_CTX_get_ex_data(ctx, rev_index);
	X509_STORE_CTX *parent = ctx;
	bool revoked = X509_STORE_CTX_get_error(ctx) == X509_V_ERR_CERT_REVOKED, inner = w == NULL;
	int at = X509_STORE_CTX_get_error_depth(ctx);

	/* a walk inside (the CRL issuer's own path) has no data of ours */
	while (w == NULL && (parent = X509_STORE_CTX_get0_parent_ctx(parent)) != NULL)
		w = X509_STORE_CTX_get_ex_data(parent, rev_index);
	if (ok || w == NULL)
		return ok;
	if (inner || at < 0 || at >= (int)(sizeof w->state / sizeof *w->state))
		w->all_unknown = true;
	else if (revoked)
		w->state[at] = REV_REVOKED;
	else if (w->state[at] != REV_REVOKED)
		w->state[at] = REV_UNKNOWN;
	return 1;
}

static int64_t
crl_age(STACK_OF(X509_CRL) * crls, X509 *cert, int64_t now, int64_t best)
{
	int64_t age, when;
	int i;

	for (i = 0; i < sk_X509_CRL_num(crls); i++) {
		X509_CRL *crl = sk_X509_CRL_value(crls, i);

		if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(cert)) != 0 ||
		    (when = smime_time(X509_CRL_get0_lastUpdate(crl))) == 0)
			continue;
		age = now > when ? now - when : 0;
		if (best < 0 || age < best)
			best = age;
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

/* The places a certificate names, as wants: http and ldap URLs of its CRLs and delta CRLs (RFC 5280 4.2.1.13, 4.2.1.15), its OCSP
 * responder. */
static bool
want_crls(X509 *cert, int nid, struct findings *f)
{
	STACK_OF(DIST_POINT) *points = X509_get_ext_d2i(cert, nid, NULL, NULL);
	bool any = false;
	int i, k;

	for (i = 0; i < sk_DIST_POINT_num(points); i++) {
		const DIST_POINT *dp = sk_DIST_POINT_value(points, i);

		if (dp->distpoint == NULL || dp->distpoint->type != 0)
			continue;
		for (k = 0; k < sk_GENERAL_NAME_num(dp->distpoint->name.fullname); k++) {
			const GENERAL_NAME *gn =
			    sk_GENERAL_NAME_value(dp->distpoint->name.fullname, k);
			struct slice url;

			if (gn->type != GEN_URI)
				continue;
			url = slice_of(ASN1_STRING_get0_data(gn->d.uniformResourceIdentifier),
			    (size_t)ASN1_STRING_length(gn->d.uniformResourceIdentifier));
			if (slice_casestarts(url, "http") || slice_casestarts(url, "ldap")) {
				findings_add_want(f, WANT_CRL, url, slice_str(""));
				any = true;
			}
		}
	}
	CRL_DIST_POINTS_free(points);
	return any;
}

static bool
want_ocsp(X509 *cert, X509 *issuer, struct findings *f)
{
	struct buf url, request;
	bool any;

	buf_init(&url, FINDINGS_TEXT_MAX);
	buf_init(&request, FINDINGS_TEXT_MAX);
	any = smime_ocsp_url(cert, &url);
	if (any && f != NULL && smime_ocsp_request(cert, issuer, &request))
		findings_add_want(f, WANT_OCSP, buf_slice(&url), buf_slice(&request));
	buf_done(&url);
	buf_done(&request);
	ERR_clear_error();
	return any;
}

/* In the order in which they are to be asked; the other one only while the preferred one has not answered. True: the certificate names some. */
static bool
want_sources(X509 *cert, X509 *issuer, enum scan_prefer prefer, bool crl_told, bool ocsp_told,
    struct findings *f)
{
	bool any = false, ocsp = want_ocsp(cert, issuer, NULL);

	if (prefer == PREFER_OCSP)
		any = want_ocsp(cert, issuer, f);
	if (prefer != PREFER_OCSP || !ocsp || !ocsp_told) {
		any |= want_crls(cert, NID_crl_distribution_points, f);
		want_crls(cert, NID_freshest_crl, f);
	}
	if (prefer == PREFER_NONE || (prefer == PREFER_CRL && !crl_told))
		any |= want_ocsp(cert, issuer, f);
	return any || ocsp;
}

static void
walk_crls(const struct smime_domain *d, STACK_OF(X509_CRL) * fetched, X509 *signer,
    STACK_OF(X509) * others, int64_t now, struct rev_walk *w)
{
	X509_STORE_CTX *ctx;
	size_t i;

	bool any =
	    sk_X509_CRL_num(d->crls) > 0 || (fetched != NULL && sk_X509_CRL_num(fetched) > 0);

	w->all_unknown = false;
	for (i = 0; i < sizeof w->state / sizeof *w->state; i++)
		w->state[i] = any ? REV_GOOD : REV_UNKNOWN;
	/* without a single CRL the walk would say the same, and build the path again for it */
	if (!any)
		return;
	ctx = ctx_new(d, signer, others, now,
	    X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL | X509_V_FLAG_EXTENDED_CRL_SUPPORT |
		X509_V_FLAG_USE_DELTAS);
	if (ctx == NULL || rev_index < 0 || X509_STORE_CTX_set_ex_data(ctx, rev_index, w) != 1) {
		w->all_unknown = true;
	} else {
		if (fetched != NULL && sk_X509_CRL_num(fetched) > 0)
			X509_STORE_CTX_set0_crls(ctx, fetched);
		X509_STORE_CTX_set_verify_cb(ctx, rev_cb);
		if (X509_verify_cert(ctx) != 1)
			w->all_unknown = true;
	}
	X509_STORE_CTX_free(ctx);
}

struct revocation {
	const struct smime_domain *domain;
	const struct smime_rev *rev; /* NULL: nothing is fetched */
	STACK_OF(X509) * chain;
	const struct rev_walk *walk;
	enum scan_prefer prefer;
	int64_t now;
	struct findings *f;
	bool strict, by_crl, by_ocsp;
	int64_t age;
};

/* What OCSP says, beside what the CRLs do. first: it is the signer's own, of which source and age are told. */
static enum rev_state
with_ocsp(struct revocation *v, enum rev_state st, const struct rev_told *told, bool first)
{
	bool by_crl = st == REV_GOOD, good = told->state == REV_GOOD;

	/* what a fresh CRL says is revoked stays so; what it does not know, OCSP may */
	if (!good || !by_crl)
		st = told->state;
	if (!first || (good && by_crl && v->prefer == PREFER_CRL))
		return st;
	v->by_ocsp = true;
	v->by_crl &= by_crl && !(good && v->prefer == PREFER_OCSP);
	if (!v->by_crl || told->age_s < v->age)
		v->age = told->age_s;
	return st;
}

/* One certificate of the chain: CRL and OCSP together; either may say "revoked", either may say "good". */
static enum rev_state
one_state(struct revocation *v, int i)
{
	X509 *cert = sk_X509_value(v->chain, i), *issuer = sk_X509_value(v->chain, i + 1);
	enum smime_rev_need need = v->rev != NULL ? smime_rev_need(v->rev) : SMIME_REV_OFF;
	enum rev_state st = v->walk->state[i];
	STACK_OF(X509_CRL) *fetched = v->rev != NULL ? smime_rev_crls(v->rev) : NULL;
	int64_t age = crl_age(fetched, cert, v->now, crl_age(v->domain->crls, cert, v->now, -1));
	bool told_ocsp, named = false;
	struct rev_told told;

	if (st == REV_GOOD && v->walk->all_unknown)
		st = REV_UNKNOWN;
	told_ocsp = st != REV_REVOKED && v->rev != NULL &&
		    smime_rev_ocsp(v->rev, cert, issuer, v->chain, v->domain->store, v->now, &told);
	if (need != SMIME_REV_OFF)
		named = want_sources(
		    cert, issuer, v->prefer, st == REV_GOOD && age >= 0, told_ocsp, v->f);
	v->by_crl |= i == 0 && age >= 0;
	if (i == 0)
		v->age = age;
	if (told_ocsp)
		st = with_ocsp(v, st, &told, i == 0);
	if (st == REV_UNKNOWN && !v->strict && !named && age < 0)
		st = REV_UNCHECKED;
	return st;
}

static void
check_revocation(struct revocation *v, struct find_sig *s)
{
	bool revoked = false, unknown = false, good = false;
	int i, n = sk_X509_num(v->chain);

	v->strict = sk_X509_CRL_num(v->domain->crls) > 0 ||
		    (v->rev != NULL && smime_rev_need(v->rev) == SMIME_REV_REQUIRE);
	for (i = 0; i + 1 < n && i < SMIME_DEPTH + 3; i++) {
		enum rev_state st = one_state(v, i);

		revoked |= st == REV_REVOKED;
		unknown |= st == REV_UNKNOWN;
		good |= st == REV_GOOD;
	}
	s->rev = revoked ? REV_REVOKED : unknown ? REV_UNKNOWN : good ? REV_GOOD : REV_UNCHECKED;
	if (s->rev == REV_UNCHECKED)
		return;
	s->rev_source = findings_str(v->f, v->by_crl && v->by_ocsp ? "crl+ocsp"
					   : v->by_ocsp            ? "ocsp"
					   : v->by_crl             ? "crl"
								   : "");
	s->rev_age_s = v->age;
}

/* Which certificate it was, and its dates. */
static struct slice
expired_text(X509_STORE_CTX *ctx, struct findings *f)
{
	X509 *cert = X509_STORE_CTX_get_current_cert(ctx);
	BIO *bio = BIO_new(BIO_s_mem());
	struct slice out = {NULL, 0};
	char *p;
	long n;

	if (cert != NULL && bio != NULL) {
		X509_NAME_print_ex(bio, X509_get_subject_name(cert), 0,
		    XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_ESC_MSB);
		BIO_puts(bio, ", ");
		ASN1_TIME_print(bio, X509_get0_notBefore(cert));
		BIO_puts(bio, " - ");
		ASN1_TIME_print(bio, X509_get0_notAfter(cert));
		n = BIO_get_mem_data(bio, &p);
		if (n > 0)
			out = findings_text(f, slice_of(p, (size_t)n));
	}
	BIO_free(bio);
	return out;
}

/* Whether its CAs may issue for mail, where the walk did not ask for that. */
static bool
cas_fit(STACK_OF(X509) * chain)
{
	int i;

	for (i = 1; i < sk_X509_num(chain); i++) {
		if (X509_check_purpose(sk_X509_value(chain, i), X509_PURPOSE_SMIME_SIGN, 1) <= 0)
			return false;
	}
	return true;
}

/* Worked out now. Its chain is NULL when there is none; fault_out then says why. */
static void
build_path(const struct smime_domain *d, const struct smime_rev *r, X509 *signer,
    STACK_OF(X509) * others, int64_t now, struct findings *f, struct smime_path *path,
    int *fault_out, struct slice *expired_out)
{
	X509_STORE_CTX *ctx = ctx_new(d, signer, others, now, 0);

	memset(path, 0, sizeof *path);
	*fault_out = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
	if (ctx != NULL && X509_verify_cert(ctx) == 1) {
		path->chain = X509_STORE_CTX_get1_chain(ctx);
		if (path->chain != NULL && smime_cert_only_encrypts(signer) &&
		    !cas_fit(path->chain)) {
			*fault_out = X509_V_ERR_INVALID_PURPOSE;
			smime_path_done(path);
		}
	} else if (ctx != NULL) {
		*fault_out = X509_STORE_CTX_get_error(ctx);
		if (status_of(*fault_out) == SIG_EXPIRED)
			*expired_out = expired_text(ctx, f);
	}
	X509_STORE_CTX_free(ctx);
	if (path->chain == NULL)
		return;
	name_subjects(path);
	walk_crls(d, r != NULL ? smime_rev_crls(r) : NULL, signer, others, now, &path->walk);
}

static void
path_holds(const struct smime_path *path, struct revocation *v, STACK_OF(X509_CRL) * embedded,
    struct find_sig *s)
{
	v->chain = path->chain;
	v->walk = &path->walk;
	if (path->n_subjects > 0)
		s->chain_subjects = findings_text(v->f, slice_of(path->subjects, path->n_subjects));
	s->chain = findings_str(v->f, "ok");
	if (s->status == SIG_VALID && s->coverage == SIG_WHOLE)
		smime_cert_keep(v->chain, v->f, s);
	check_revocation(v, s);
	if (s->rev != REV_REVOKED && embedded_revokes(v->chain, embedded)) {
		s->rev = REV_REVOKED;
		s->rev_source = findings_str(v->f, "embedded");
	}
}

void
smime_chain_check(const struct smime_trust *t, const struct smime_domain *d, X509 *signer,
    STACK_OF(X509) * others, STACK_OF(X509_CRL) * embedded, enum scan_prefer prefer, int64_t now,
    struct findings *f, struct find_sig *s)
{
	struct smime_rev *r = t != NULL ? smime_trust_rev(t) : NULL;
	struct revocation v = {
	    .domain = d, .rev = r, .prefer = prefer, .now = now, .f = f, .age = -1};
	int fault = X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY;
	const struct smime_path *path = NULL, *kept;
	struct slice expired = {NULL, 0};
	struct smime_path own = {0};

	if (rev_index < 0)
		rev_index = X509_STORE_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	if (d != NULL)
		path = smime_kept_path(smime_trust_kept(t), d, r, signer, others, now);
	if (d != NULL && path == NULL) {
		build_path(d, r, signer, others, now, f, &own, &fault, &expired);
		if (own.chain != NULL) {
			kept = smime_kept_path_take(
			    smime_trust_kept(t), d, r, signer, others, now, &own);
			path = kept != NULL ? kept : &own;
		}
	}
	if (path != NULL) {
		path_holds(path, &v, embedded, s);
	} else {
		s->chain = findings_str(f, d == NULL ? "no trust anchors for this domain"
						     : X509_verify_cert_error_string(fault));
		if (s->status == SIG_VALID) {
			s->status = status_of(fault);
			s->why = s->status == SIG_EXPIRED ? expired : s->chain;
		}
	}
	smime_path_done(&own);
	ERR_clear_error();
}
