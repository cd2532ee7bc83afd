/* sign_key.h: a key that signs or that signatures are checked with: ECDSA on P-256 or larger, RSA of 2048 bits and more (both SHA-256), Ed25519.
 * sign_key.c and sign_mail.c are the wrappers of OpenSSL's keys for milter-sign and congvu. */
#ifndef CV_SIGN_KEY_H
#define CV_SIGN_KEY_H

#include "lib/buf.h"

struct sign_key;
/* A private key in PEM without a password; a public key, or the certificate it is in, in PEM. NULL with *why_out (static). */
struct sign_key *sign_key_private(struct slice pem, const char **why_out);
struct sign_key *sign_key_public(struct slice pem, const char **why_out);
void sign_key_free(struct sign_key *k); /* NULL accepted */
/* hex(SHA-256(SubjectPublicKeyInfo)). */
const char *sign_key_id(const struct sign_key *k);
/* "ecdsa-sha256", "rsa-sha256" or "ed25519". */
const char *sign_key_algorithm(const struct sign_key *k);
int sign_key_public_pem(const struct sign_key *k, struct buf *out);
/* Appends the signature over text as openssl dgst (Ed25519: pkeyutl -rawin) reads it. 0 or ERR_IO. */
int sign_key_sign(const struct sign_key *k, struct slice text, struct buf *out);
bool sign_key_verify(const struct sign_key *k, struct slice text, struct slice signature);
/* Loads what is looked up late: before the sandbox. */
void sign_key_init(void);

#endif
