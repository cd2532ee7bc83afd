/* client_cert.c: client_cert.h over OpenSSL's path validation. Runs in the sessions (after a handshake) and in lookup's workers. The parser
 * of hostile DER is OpenSSL's; of what it gives, only rfc822Name values of alternative names are read. RFC 5280 4.2.1.6, 6.1, 6.3. */
#include "config.h"

#include "lib/client_cert.h"

#include "lib/err.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

enum { AUTH_LEVEL = 2 /* 112 bits: keys and digests, as in the handshake */ };

struct client_cas {
	X509_STORE *store;
	bool has_crl;
};

int
client_cas_new(const char *pem_file, struct client_cas **out, const char **why_out)
{
	struct client_cas *c = calloc(1, sizeof(*c));
	STACK_OF(X509_OBJECT) * objects;
	size_t n_certs = 0;

	*why_out = "no memory";
	if (c == NULL)
		return ERR_NOMEM;
	c->store = X509_STORE_new();
	if (c->store == NULL || X509_STORE_load_file(c->store, pem_file) != 1) {
		*why_out = "the CAs of client certificates cannot be read";
		goto fail;
	}
	objects = X509_STORE_get0_objects(c->store);
	for (int i = 0; i < sk_X509_OBJECT_num(objects); i++) {
		X509_LOOKUP_TYPE type = X509_OBJECT_get_type(sk_X509_OBJECT_value(objects, i));
		n_certs += type == X509_LU_X509;
		c->has_crl = c->has_crl || type == X509_LU_CRL;
	}
	if (n_certs == 0) {
		*why_out = "there is no CA of client certificates in it";
		goto fail;
	}
	ERR_clear_error();
	*out = c;
	return 0;
fail:
	ERR_clear_error();
	client_cas_free(c);
	return ERR_IO;
}

void
client_cas_free(struct client_cas *c)
{
	if (c == NULL)
		return;
	X509_STORE_free(c->store);
	free(c);
}

static int
verify(const struct client_cas *c, X509 *cert, const char **why_out)
{
	X509_STORE_CTX *x = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;
	int err = ERR_NOMEM;

	*why_out = "no memory";
	if (x == NULL || X509_STORE_CTX_init(x, c->store, cert, NULL) != 1)
		goto out;
	param = X509_STORE_CTX_get0_param(x);
	X509_VERIFY_PARAM_set_auth_level(param, AUTH_LEVEL);
	if (X509_VERIFY_PARAM_set_flags(
		param, X509_V_FLAG_PARTIAL_CHAIN | (c->has_crl ? X509_V_FLAG_CRL_CHECK : 0)) != 1 ||
	    X509_VERIFY_PARAM_set_purpose(param, X509_PURPOSE_SSL_CLIENT) != 1)
		goto out;
	if (X509_verify_cert(x) == 1) {
		err = 0;
	} else {
		err = ERR_DENIED;
		*why_out = X509_verify_cert_error_string(X509_STORE_CTX_get_error(x));
	}
out:
	X509_STORE_CTX_free(x);
	return err;
}

static int
addresses(X509 *cert, struct client_cert *out)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	int err = 0;

	for (int i = 0; i < sk_GENERAL_NAME_num(names) && err == 0; i++) {
		int type = 0;
		const ASN1_STRING *s =
		    GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names, i), &type);
		struct slice v;

		if (type != GEN_EMAIL)
			continue;
		v = slice_of(ASN1_STRING_get0_data(s), (size_t)ASN1_STRING_length(s));
		/* RFC 5280 4.2.1.6: a mailbox; one with NUL is an attack on who reads it as text */
		if (v.len == 0 || v.len > 320 || memchr(v.ptr, 0, v.len) != NULL)
			continue;
		if (out->n == CLIENT_CERT_NAMES) {
			err = ERR_DENIED;
			break;
		}
		out->addresses[out->n] = slice_dup(v);
		err = out->addresses[out->n] == NULL ? ERR_NOMEM : 0;
		out->n += err == 0;
	}
	GENERAL_NAMES_free(names);
	return err;
}

int
client_cert_check(
    const struct client_cas *c, struct slice der, struct client_cert *out, const char **why_out)
{
	const unsigned char *p = der.ptr;
	struct client_cert found = {.n = 0};
	X509 *cert = NULL;
	int err = ERR_SYNTAX;

	*why_out = "not one certificate";
	if (der.len == 0 || der.len > CLIENT_CERT_MAX)
		return ERR_SYNTAX;
	cert = d2i_X509(NULL, &p, (long)der.len);
	if (cert == NULL || p != der.ptr + der.len)
		goto out;
	*why_out = "more names than are read";
	err = addresses(cert, &found);
	if (err == 0)
		err = verify(c, cert, why_out);
	if (err == 0 && out != NULL) {
		*out = found;
		found.n = 0;
	}
	client_cert_done(&found);
out:
	X509_free(cert);
	ERR_clear_error();
	return err;
}

void
client_cert_done(struct client_cert *c)
{
	for (size_t i = 0; i < c->n; i++)
		free(c->addresses[i]);
	c->n = 0;
}

bool
client_cert_signs(struct slice der)
{
	const unsigned char *p = der.ptr;
	X509 *cert = der.len <= LONG_MAX ? d2i_X509(NULL, &p, (long)der.len) : NULL;
	bool signs = true;

	if (cert != NULL && (X509_get_extension_flags(cert) & EXFLAG_KUSAGE) != 0)
		signs =
		    (X509_get_key_usage(cert) & (KU_DIGITAL_SIGNATURE | KU_NON_REPUDIATION)) != 0;
	X509_free(cert);
	ERR_clear_error();
	return signs;
}

int64_t
client_cert_not_after(struct slice der)
{
	const unsigned char *p = der.ptr;
	X509 *cert = der.len == 0 || der.len > 65536 ? NULL : d2i_X509(NULL, &p, (long)der.len);
	int64_t t = 0;
	struct tm tm;

	if (cert != NULL && ASN1_TIME_to_tm(X509_get0_notAfter(cert), &tm) == 1)
		t = (int64_t)timegm(&tm);
	X509_free(cert);
	ERR_clear_error();
	return t;
}
