/* sign_mail.h: the key of a functional mailbox with its certificates, and its signature over a digest. For milter-sign; congvu check looks whether a
 * pair of files is one. */
#ifndef CV_SIGN_MAIL_H
#define CV_SIGN_MAIL_H

#include "lib/buf.h"

struct sign_mail_key;
/* key: PEM without a password, or the URI of one in a token (sign_token.h); certs: PEM, the mailbox's certificate first, then its chain without the root. NULL with *why_out (static): they do not
 * belong together, or the certificate does not name the address, or cannot sign mail. */
struct sign_mail_key *sign_mail_key_new(
    struct slice address, struct slice key, struct slice certs, const char **why_out);
void sign_mail_key_free(struct sign_mail_key *k); /* NULL accepted */
/* Whether it is in a token, which may go away. */
bool sign_mail_key_is_token(const struct sign_mail_key *k);
/* Seconds since 1970 at which the certificate ends. */
int64_t sign_mail_key_end(const struct sign_mail_key *k);
/* Appends CMS SignedData (RFC 5652; detached; SHA-256; signed attributes contentType, messageDigest, signingTime) over content with this digest,
 * DER. 0 or ERR_IO. */
int sign_mail_cms(
    const struct sign_mail_key *k, const unsigned char digest[32], struct buf *der_out);
/* Loads what is looked up late: before the sandbox. */
void sign_mail_init(void);

#endif
