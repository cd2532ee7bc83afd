/* smime_priv.h: for smime_*.c alone. */
#ifndef CV_SMIME_PRIV_H
#define CV_SMIME_PRIV_H

#include "milter/smime.h"

/* OpenSSL's own struct tags: X509, X509_CRL, X509_STORE, X509_ALGOR and its stacks, without showing its headers. */
struct x509_st;
struct x509_store_st;
struct X509_algor_st;
struct stack_st_X509;
struct stack_st_X509_CRL;

/* One domain's anchors; NULL when there are none at all. Borrowed. */
struct smime_domain {
	char *name;
	struct x509_store_st *store;
	struct stack_st_X509_CRL *crls; /* the same CRLs as in the store */
	size_t n_certs;
	struct smime_domain *next;
};
const struct smime_domain *smime_trust_find(const struct smime_trust *t, struct slice domain);

/* smime_cert.c: facts of a certificate into s. */
void smime_cert_describe(struct x509_st *cert, struct findings *f, struct find_sig *s);
/* NULL when the key is strong enough, else what is wrong with it (static). */
const char *smime_key_weakness(struct x509_st *cert);
/* The same for an algorithm identifier of a digest or signature. */
const char *smime_digest_weakness(const struct X509_algor_st *alg);
const char *smime_sigalg_weakness(const struct X509_algor_st *alg);

/* smime_chain.c: path and revocation of s's signer; sets status (when it was SIG_VALID), chain, rev. */
void smime_chain_check(const struct smime_domain *d, struct x509_st *signer,
    struct stack_st_X509 *others, struct stack_st_X509_CRL *embedded, int64_t now,
    struct findings *f, struct find_sig *s);

#endif
