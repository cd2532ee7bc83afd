/* smime_priv.h: for smime_*.c alone. */
#ifndef CV_SMIME_PRIV_H
#define CV_SMIME_PRIV_H

#include "milter/smime_rev.h"

/* OpenSSL's own struct tags: X509, X509_CRL, X509_STORE, X509_ALGOR and its stacks, without showing its headers. */
struct x509_st;
struct x509_store_st;
struct X509_algor_st;
struct stack_st_X509;
struct stack_st_X509_CRL;
struct X509_crl_st;
struct asn1_string_st;
struct CMS_SignerInfo_st;
struct CMS_ContentInfo_st;

/* One domain's anchors; NULL when there are none at all. Borrowed. */
struct smime_domain {
	char *name;
	struct x509_store_st *store;
	struct stack_st_X509_CRL *crls; /* the same CRLs as in the store */
	struct stack_st_X509 *
	    archive; /* certificates of which one must be able to read what is encrypted (P30); NULL: none */
	size_t n_certs;
	uint64_t generation; /* another one whenever anchors or CRLs are others */
	struct smime_domain *next;
};
/* By smime_input's domain. */
const struct smime_domain *smime_trust_find(const struct smime_trust *t, struct slice domain);
/* Whose archive it is: a store that the policy names does not change that. */
const struct smime_domain *smime_archive_find(const struct smime_trust *t, struct slice domain);
struct smime_rev;
struct smime_kept;
struct smime_rev *smime_trust_rev(const struct smime_trust *t);
struct smime_kept *smime_trust_kept(const struct smime_trust *t);
/* One CRL, PEM or DER, all of it; NULL: none. */
struct X509_crl_st *smime_crl_parse(struct slice s);

/* smime_cert.c: facts of a certificate into s. */
void smime_cert_describe(struct x509_st *cert, struct findings *f, struct find_sig *s);
/* Why it may not sign mail, its key's weakness included (static); NULL: it may. *status_out: what the signature is then. */
const char *smime_cert_fault(struct x509_st *cert, enum sig_status *status_out);
/* The same of a certificate that signed nothing here: one for encryption alone need not be able to. */
const char *smime_cert_fault_apart(struct x509_st *cert, enum sig_status *status_out);
/* Whether its key usage lets mail be encrypted to it; and whether that is all that it is for. */
bool smime_cert_encrypts(struct x509_st *cert);
bool smime_cert_only_encrypts(struct x509_st *cert);
/* The certificates of a path that holds, leaf first, into s (find_sig.certs); a note when they are too large. */
void smime_cert_keep(struct stack_st_X509 *chain, struct findings *f, struct find_sig *s);
/* NULL, or what is wrong with an algorithm identifier of a digest or signature (static). */
const char *smime_digest_weakness(const struct X509_algor_st *alg);
const char *smime_sigalg_weakness(const struct X509_algor_st *alg);

/* smime_ess.c: label, receipt request and list history of a SignerInfo into s. NULL, or what is wrong with them (static): the signature is bad then. signer:
 * may be NULL. */
const char *smime_ess_read(
    struct CMS_SignerInfo_st *si, struct x509_st *signer, struct findings *f, struct find_sig *s);

/* smime_archive.c: notes "smime_no_archive" when an enveloped object names none of the domain's archive certificates as a recipient; nothing where the
 * domain has none. */
void smime_archive_check(const struct smime_domain *d, struct CMS_ContentInfo_st *cms,
    struct slice part, struct findings *f);
/* Takes certificates in, PEM or one DER. ERR_SYNTAX: there is none. */
int smime_archive_add(struct smime_domain *d, struct slice text);
void smime_archive_free(struct smime_domain *d);

#define SMIME_DEPTH 6 /* certificates between signer and anchor */
/* What is known of each certificate of a chain, leaf first. */
struct rev_walk {
	enum rev_state state[SMIME_DEPTH + 3]; /* by CRL */
	bool all_unknown; /* a walk inside failed: which certificate it was for is not told */
};
/* A path that holds. */
struct smime_path {
	struct stack_st_X509 *chain; /* leaf first */
	char *subjects;              /* of the chain, for people */
	size_t n_subjects;
	struct rev_walk walk;
};
void smime_path_done(struct smime_path *p);

/* smime_chain.c: path and revocation of s's signer; sets status (when it was SIG_VALID), chain, rev, and what the findings want. t: NULL has no anchors. */
void smime_chain_check(const struct smime_trust *t, const struct smime_domain *d,
    struct x509_st *signer, struct stack_st_X509 *others, struct stack_st_X509_CRL *embedded,
    enum scan_prefer prefer, int64_t now, struct findings *f, struct find_sig *s);

/* smime_kept.c: what was worked out before. */
struct smime_span {
	int64_t from, until; /* seconds since 1970: from <= t < until */
};
struct smime_kept *smime_kept_new(void);
void smime_kept_free(struct smime_kept *k); /* NULL accepted */
/* One certificate that is all of der; the caller's reference. NULL: it is none. */
struct x509_st *smime_kept_cert(struct smime_kept *k, struct slice der);
/* The path that was worked out for the same; NULL: none. Borrowed, to the next call. */
const struct smime_path *smime_kept_path(struct smime_kept *k, const struct smime_domain *d,
    const struct smime_rev *r, struct x509_st *signer, struct stack_st_X509 *others, int64_t now);
/* Keeps it, and gives it back, borrowed; NULL: it stays the caller's. */
const struct smime_path *smime_kept_path_take(struct smime_kept *k, const struct smime_domain *d,
    const struct smime_rev *r, struct x509_st *signer, struct stack_st_X509 *others, int64_t now,
    struct smime_path *path);

/* smime_rev.c: what was fetched. */
struct rev_told {
	enum rev_state state; /* REV_GOOD or REV_REVOKED */
	int64_t age_s;
};
struct smime_rev *smime_rev_new(void);
void smime_rev_free(struct smime_rev *r);
int smime_rev_add(struct smime_rev *r, enum want_kind kind, struct slice key, struct slice bytes,
    int64_t now, int64_t *this_out, int64_t *next_out);
void smime_rev_remove(struct smime_rev *r, struct slice key);
enum smime_rev_need smime_rev_need(const struct smime_rev *r);
void smime_rev_set_need(struct smime_rev *r, enum smime_rev_need need);
struct stack_st_X509_CRL *smime_rev_crls(const struct smime_rev *r); /* borrowed */
/* Another one whenever these are others. */
uint64_t smime_rev_generation(const struct smime_rev *r);
/* What fetched OCSP answers say of a certificate; false: nothing that counts. */
bool smime_rev_ocsp(const struct smime_rev *r, struct x509_st *cert, struct x509_st *issuer,
    struct stack_st_X509 *chain, struct x509_store_st *store, int64_t now, struct rev_told *out);
/* Seconds since 1970; 0 when it cannot be read, or t is NULL. */
int64_t smime_time(const struct asn1_string_st *t);

/* smime_ocsp.c: one OCSP answer, and the request for one. */
struct smime_ocsp;
struct smime_ocsp *smime_ocsp_parse(struct slice bytes); /* NULL: none that can be used */
void smime_ocsp_free(struct smime_ocsp *o);              /* NULL accepted */
void smime_ocsp_times(const struct smime_ocsp *o, int64_t *this_out, int64_t *next_out);
bool smime_ocsp_ask(const struct smime_ocsp *o, struct x509_st *cert, struct x509_st *issuer,
    struct stack_st_X509 *chain, struct x509_store_st *store, int64_t now, struct rev_told *out);
bool smime_ocsp_request(struct x509_st *cert, struct x509_st *issuer, struct buf *out);
/* The first http address of the certificate's authorityInfoAccess. */
bool smime_ocsp_url(struct x509_st *cert, struct buf *out);

#endif
