/* sign_token.h: keys of functional mailboxes that stay in a token: PKCS#11 by OpenSSL's engine "pkcs11" (Debian: libengine-pkcs11-openssl). For
 * milter-sign, before its sandbox; congvu check opens the same in a child. One token module a process. */
#ifndef CV_SIGN_TOKEN_H
#define CV_SIGN_TOKEN_H

#include "lib/buf.h"
#include "lib/conf.h"

struct evp_pkey_st; /* OpenSSL's EVP_PKEY */

/* Whether a key of gateway_sign is one: "pkcs11:...", RFC 7512. */
bool sign_token_is_uri(struct slice key);
/* Loads engine and module (pkcs11_module) once, with pkcs11_env in the environment, as the user that will sign. pin: without line end; kept by the
 * engine, which logs in with it at the first key. 0, or ERR_NOTFOUND, ERR_IO with *why_out (static). */
int sign_token_setup(const struct conf *c, const char *pin, const char **why_out);
/* The private key that uri names, which never leaves the token; the caller's. NULL with *why_out (static). After a PIN was refused no other
 * one is tried in this process: tokens lock themselves after a few. */
struct evp_pkey_st *sign_token_key(struct slice uri, const char **why_out);

#endif
