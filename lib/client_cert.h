/* client_cert.h: whose certificate a TLS client showed, for SASL EXTERNAL. One judge for both who ask: the session when the handshake ends
 * (lib/tls.c: whether to offer EXTERNAL) and lookup at the login (whether to believe it). RFC 5280. */
#ifndef CV_CLIENT_CERT_H
#define CV_CLIENT_CERT_H

#include "lib/buf.h"

#define CLIENT_CERT_MAX 8192 /* octets of DER; larger ones are nobody's */
#define CLIENT_CERT_NAMES 8

struct client_cas;
/* From a PEM file: every certificate in it is an anchor, an issuing CA without its root too (so a certificate is judged alone, by the file,
 * and never by what else its holder sent). With one CRL in the file, every CA that is to be believed needs one that is in force.
 * 0; ERR_IO with *why_out a static text: no certificate in it, or what cannot be read. */
int client_cas_new(const char *pem_file, struct client_cas **out, const char **why_out);
void client_cas_free(struct client_cas *c); /* NULL accepted */

struct client_cert {
	char *
	    addresses[CLIENT_CERT_NAMES]; /* the rfc822Name values, as they stand; no NUL in them */
	size_t n;
};
/* Whether der is one certificate, in its time, issued by an anchor, not revoked, for TLS clients (RFC 5280 4.2.1.12: no extended key usage,
 * or one with clientAuth). 0: *out (NULL: not wanted) is the caller's. ERR_SYNTAX, ERR_DENIED; *why_out static text for the log. May be
 * called by many threads at once. */
int client_cert_check(
    const struct client_cas *c, struct slice der, struct client_cert *out, const char **why_out);
void client_cert_done(struct client_cert *c);
/* Until when a certificate (DER) is valid, seconds since 1970; 0: it is none. Nothing else of it is looked at. */
int64_t client_cert_not_after(struct slice der);
/* False: its key usage is for encryption alone. What cannot be read is no such certificate. */
bool client_cert_signs(struct slice der);

#endif
