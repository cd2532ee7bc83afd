/* smime_kept.c: what was worked out for an earlier mail and holds for this one: certificates as they are parsed, and the paths of signers. Runs in milter-scan.
 * A path is kept for exactly the question that it answers: the same octets of the signer's certificate and of all that came with it, the same anchors and
 * the same CRLs (their generations), and a time with which every comparison of OpenSSL's with a date comes out the same: between the same two of all the
 * dates in all of these. What was refused is not kept, nor what an OCSP answer says; no signature over mail is ever kept. Bounded: tables of fixed size in which
 * an entry gives way to another, and a path is worked out anew after KEPT_S in any case. */
#include "config.h"

#include "milter/smime_priv.h"

#include "lib/crypto.h"
#include "lib/log.h"

#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CERTS 512
#define PATHS 512
#define KEPT_S 600
#define CERT_MAX 16384 /* octets; larger ones are not kept */

struct kept_cert {
	unsigned char sha256[32];
	X509 *cert; /* NULL: free */
};
struct kept_path {
	unsigned char key[32];
	const struct smime_domain *domain;
	uint64_t domain_generation, rev_generation;
	struct smime_span span;
	int64_t until;          /* CLOCK_MONOTONIC, seconds */
	struct smime_path path; /* chain NULL: free */
};
struct smime_kept {
	struct kept_cert certs[CERTS];
	struct kept_path paths[PATHS];
	/* of anchors and CRLs, which are many, as they were last */
	const struct smime_domain *domain;
	uint64_t domain_generation, rev_generation;
	struct smime_span span;
};

struct smime_kept *
smime_kept_new(void)
{
	return xcalloc(1, sizeof(struct smime_kept));
}

void
smime_path_done(struct smime_path *p)
{
	sk_X509_pop_free(p->chain, X509_free);
	free(p->subjects);
	memset(p, 0, sizeof *p);
}

void
smime_kept_free(struct smime_kept *k)
{
	size_t i;

	if (k == NULL)
		return;
	for (i = 0; i < CERTS; i++)
		X509_free(k->certs[i].cert);
	for (i = 0; i < PATHS; i++)
		smime_path_done(&k->paths[i].path);
	free(k);
}

static size_t
place_of(const unsigned char digest[32], size_t n)
{
	return ((size_t)digest[0] << 8 | digest[1]) % n;
}

/* ---- certificates ---- */

X509 *
smime_kept_cert(struct smime_kept *k, struct slice der)
{
	const unsigned char *p = der.ptr;
	struct kept_cert *at;
	unsigned char digest[32];
	X509 *cert;

	sha256_of(der, digest);
	at = &k->certs[place_of(digest, CERTS)];
	if (at->cert != NULL && memcmp(at->sha256, digest, 32) == 0) {
		X509_up_ref(at->cert);
		return at->cert;
	}
	cert = der.len <= INT32_MAX ? d2i_X509(NULL, &p, (long)der.len) : NULL;
	if (cert != NULL && p != der.ptr + der.len) {
		X509_free(cert);
		cert = NULL;
	}
	if (cert != NULL && der.len <= CERT_MAX) {
		X509_up_ref(cert);
		X509_free(at->cert);
		at->cert = cert;
		memcpy(at->sha256, digest, 32);
	}
	return cert;
}

/* ---- time ---- */

/* OpenSSL asks of a date whether it is behind the time of verification or not. */
static void
narrow(struct smime_span *span, int64_t now, const ASN1_TIME *date)
{
	int64_t at = smime_time(date);

	/* one that cannot be read is an error at any time */
	if (at == 0)
		return;
	if (at <= now && at > span->from)
		span->from = at;
	else if (at > now && at < span->until)
		span->until = at;
}

static void
narrow_certs(struct smime_span *span, int64_t now, STACK_OF(X509) * certs)
{
	int i;

	for (i = 0; certs != NULL && i < sk_X509_num(certs); i++) {
		narrow(span, now, X509_get0_notBefore(sk_X509_value(certs, i)));
		narrow(span, now, X509_get0_notAfter(sk_X509_value(certs, i)));
	}
}

static void
narrow_crl(struct smime_span *span, int64_t now, X509_CRL *crl)
{
	narrow(span, now, X509_CRL_get0_lastUpdate(crl));
	narrow(span, now, X509_CRL_get0_nextUpdate(crl));
}

/* Of anchors and CRLs. */
static struct smime_span
known_span(
    struct smime_kept *k, const struct smime_domain *d, const struct smime_rev *r, int64_t now)
{
	STACK_OF(X509_CRL) *crls = r != NULL ? smime_rev_crls(r) : NULL;
	uint64_t rev = r != NULL ? smime_rev_generation(r) : 0;
	STACK_OF(X509_OBJECT) *objects = X509_STORE_get0_objects(d->store);
	int i;

	if (k->domain == d && k->domain_generation == d->generation && k->rev_generation == rev &&
	    now >= k->span.from && now < k->span.until)
		return k->span;
	k->span = (struct smime_span){INT64_MIN, INT64_MAX};
	for (i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		const X509_OBJECT *o = sk_X509_OBJECT_value(objects, i);

		if (X509_OBJECT_get_type(o) == X509_LU_X509) {
			narrow(&k->span, now, X509_get0_notBefore(X509_OBJECT_get0_X509(o)));
			narrow(&k->span, now, X509_get0_notAfter(X509_OBJECT_get0_X509(o)));
		}
	}
	for (i = 0; i < sk_X509_CRL_num(d->crls); i++)
		narrow_crl(&k->span, now, sk_X509_CRL_value(d->crls, i));
	for (i = 0; crls != NULL && i < sk_X509_CRL_num(crls); i++)
		narrow_crl(&k->span, now, sk_X509_CRL_value(crls, i));
	k->domain = d;
	k->domain_generation = d->generation;
	k->rev_generation = rev;
	return k->span;
}

/* ---- paths ---- */

static int64_t
now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec;
}

static bool
add_der(struct sha256 *sha, X509 *cert)
{
	unsigned char *der = NULL;
	int n = i2d_X509(cert, &der);

	if (n > 0)
		sha256_update(sha, der, (size_t)n);
	OPENSSL_free(der);
	return n > 0;
}

/* Each DER says how long it is, so that one list of certificates has one digest. */
static bool
key_of(X509 *signer, STACK_OF(X509) * others, unsigned char key[32])
{
	struct sha256 *sha = sha256_new();
	bool good = add_der(sha, signer);
	int i;

	for (i = 0; good && others != NULL && i < sk_X509_num(others); i++)
		good = add_der(sha, sk_X509_value(others, i));
	sha256_final(sha, key);
	sha256_free(sha);
	return good;
}

const struct smime_path *
smime_kept_path(struct smime_kept *k, const struct smime_domain *d, const struct smime_rev *r,
    X509 *signer, STACK_OF(X509) * others, int64_t now)
{
	uint64_t rev = r != NULL ? smime_rev_generation(r) : 0;
	const struct kept_path *at;
	unsigned char key[32];

	if (!key_of(signer, others, key))
		return NULL;
	at = &k->paths[place_of(key, PATHS)];
	if (at->path.chain == NULL || memcmp(at->key, key, 32) != 0 || at->domain != d ||
	    at->domain_generation != d->generation || at->rev_generation != rev ||
	    now < at->span.from || now >= at->span.until || now_s() >= at->until)
		return NULL;
	return &at->path;
}

const struct smime_path *
smime_kept_path_take(struct smime_kept *k, const struct smime_domain *d, const struct smime_rev *r,
    X509 *signer, STACK_OF(X509) * others, int64_t now, struct smime_path *path)
{
	struct kept_path *at;
	unsigned char key[32];

	if (!key_of(signer, others, key))
		return NULL;
	at = &k->paths[place_of(key, PATHS)];
	smime_path_done(&at->path);
	memcpy(at->key, key, 32);
	at->domain = d;
	at->domain_generation = d->generation;
	at->rev_generation = r != NULL ? smime_rev_generation(r) : 0;
	at->span = known_span(k, d, r, now);
	narrow_certs(&at->span, now, path->chain);
	narrow_certs(&at->span, now, others);
	narrow(&at->span, now, X509_get0_notBefore(signer));
	narrow(&at->span, now, X509_get0_notAfter(signer));
	at->until = now_s() + KEPT_S;
	at->path = *path;
	memset(path, 0, sizeof *path);
	return &at->path;
}
