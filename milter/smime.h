/* smime.h: verification of one CMS SignedData over bytes given to it: structure, algorithm floor, signatures, path, revocation.
 * RFC 5652, 5280, 8550, 8551, 9598. smime_*.c are the milter's only includers of <openssl/...>; they run in milter-scan, the
 * unprivileged child. Facts go to findings; binding a signer to the From address is a rule's work (rule_sign.c). */
#ifndef CV_SMIME_H
#define CV_SMIME_H

#include "milter/findings.h"
#include "milter/scan_terms.h"

#define SMIME_CMS_MAX (256u << 10) /* octets of a detached SignedData */
#define SMIME_CERTS_MAX 20
#define SMIME_SIGNERS_MAX 4
#define SMIME_CRLS_MAX 8

/* Loads algorithms and texts: before the sandbox. Logs a warning for an OpenSSL older than 3.0.22. */
void smime_init(void);

/* Trust anchors, further CA certificates and CRLs per domain. */
struct smime_trust;
struct smime_trust *smime_trust_new(void);
void smime_trust_free(struct smime_trust *t);
/* Takes the bytes of one file in, PEM (any number of certificates and CRLs) or DER (one). is_crl tells which, for DER. 0, ERR_SYNTAX (nothing
 * usable in it); of a file also ERR_IO, ERR_LIMIT. */
int smime_trust_add(struct smime_trust *t, const char *domain, struct slice text, bool is_crl);
int smime_trust_add_file(struct smime_trust *t, const char *domain, const char *path, bool is_crl);
/* Certificates, PEM or one DER, of which one must be a recipient of what the domain's people encrypt (P30). 0, ERR_SYNTAX. */
int smime_trust_add_archive(struct smime_trust *t, const char *domain, struct slice text);
/* Everything below dir: <domain>/<file>.{pem,crt,cer,der,crl}, the certificates in <domain>/archive/, and default/. A file that cannot be used is a log line, not an
 * error; so is a missing folder. 0 or ERR_NOMEM. */
int smime_trust_load(const char *dir, struct smime_trust **out);

enum smime_kind {
	SMIME_SIGNED = 1,    /* one or more find_sig were added */
	SMIME_ENCRYPTED = 2, /* enveloped, authEnveloped or encrypted data: nothing to verify */
	SMIME_OTHER = 3,     /* certs-only, compressed, … */
	SMIME_MALFORMED = 4, /* no CMS object that could be read; one find_sig SIG_BAD was added */
};
struct smime_input {
	struct slice cms;     /* DER or BER, all of it */
	bool detached;        /* content was signed; otherwise it stands in cms */
	struct slice content; /* when detached: exact bytes */
	struct slice
	    domain; /* whose trust anchors; lower case. "DOMAIN=STORE": those of the folder STORE and no others; DOMAIN's archive (P30) */
	enum scan_prefer prefer; /* which source of revocation is asked first */
	int64_t now;             /* time of receipt, seconds since 1970: the time of verification */
	struct slice part;       /* for the findings */
	enum sig_coverage coverage;
};
/* content_out: the content inside SignedData, whether or not its signatures are good, is appended to it; may be NULL. A detached
 * signature should have none, and is SIG_BAD with one. */
enum smime_kind smime_verify(const struct smime_trust *t, const struct smime_input *in,
    struct findings *f, struct buf *content_out);

/* Judges a certificate by itself, as of now, for mail of a domain: may it sign, or is it for encryption alone; is there a path to an anchor, is it in its time, is it
 * revoked. certs: DER, one behind another; the first is judged, the others (at most SMIME_CERTS_MAX) help to build its path. One find_sig is added to f, of coverage
 * WHOLE, and what would tell more of revocation (wants). *use_out: what its key usage allows. 0; ERR_SYNTAX: no certificates. */
struct smime_use {
	bool signs, encrypts;
};
int smime_cert_check(const struct smime_trust *t, struct slice certs, struct slice domain,
    int64_t now, struct findings *f, struct smime_use *use_out);

#endif
