/* crypto.h: digests, random bytes, AES-256-GCM sealing; crypto.c is the only includer of <openssl/evp.h> outside the
 * milter's smime_*.c. Links libcrypto only, never libssl. */
#ifndef CV_CRYPTO_H
#define CV_CRYPTO_H

#include "lib/buf.h"

struct sha256;
struct sha256 *sha256_new(void); /* fatal() for no memory */
void sha256_update(struct sha256 *h, const void *p, size_t n);
void sha256_final(struct sha256 *h, unsigned char out[32]); /* h is reset for another use */
/* The digest of what came so far; more may follow. */
void sha256_peek(const struct sha256 *h, unsigned char out[32]);
void sha256_free(struct sha256 *h);
void sha256_of(struct slice s, unsigned char out[32]);
/* The same of n texts, which may lie in each other. Where the processor has instructions for it, two or three at a time, for little more than the longest of
 * them alone costs. */
void sha256_of_many(const struct slice *s, size_t n, unsigned char (*out)[32]);
void sha512_of(struct slice s, unsigned char out[64]);
/* RFC 2104. */
void hmac_sha256(struct slice key, struct slice s, unsigned char out[32]);
/* RFC 8018 5.2 with HMAC-SHA-256, one block: SCRAM's Hi() (RFC 5802 2.2). */
void pbkdf2_sha256(
    struct slice password, struct slice salt, unsigned iterations, unsigned char out[32]);
/* Random bytes from the kernel; fatal() when there are none. */
void random_bytes(void *p, size_t n);
/* Seals plain with key (AES-256-GCM, random 96-bit nonce, aad authenticated): nonce ‖ ciphertext ‖ tag appended to out. */
int seal(const unsigned char key[32], struct slice aad, struct slice plain, struct buf *out);
/* Opens it: 0, or ERR_DENIED when anything was changed. */
int unseal(
    const unsigned char key[32], struct slice aad, struct slice sealed, struct buf *plain_out);
/* The same cipher with a nonce of the caller's, who uses none twice with one key; n octets from p to to (may be the same place). */
void gcm_seal(const unsigned char key[32], const unsigned char nonce[12], struct slice aad,
    const unsigned char *p, size_t n, unsigned char *to, unsigned char tag_out[16]);
/* 0, or ERR_DENIED: what is at to then is nothing. */
int gcm_open(const unsigned char key[32], const unsigned char nonce[12], struct slice aad,
    const unsigned char *p, size_t n, unsigned char *to, const unsigned char tag[16]);
/* CRC-32C of n bytes at p, continuing from crc (0 to start): row and segment checks. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);
/* Constant-time comparison. */
bool secret_eq(const void *a, const void *b, size_t n);

#endif
