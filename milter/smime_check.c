/* smime_check.c: a certificate by itself, before it is published: by the same floor, path and revocation as a signature's. Runs in congvu-milter-judge, the
 * unprivileged child: the certificate came with somebody's mail. RFC 5280, RFC 8550 4. */
#include "config.h"

#include "milter/smime_priv.h"

#include "lib/err.h"

#include <openssl/err.h>
#include <openssl/x509.h>

/* All of in, or none. */
static STACK_OF(X509) * parse_all(struct slice in)
{
	STACK_OF(X509) *list = sk_X509_new_null();
	const unsigned char *p = in.ptr, *end = in.ptr + in.len;
	X509 *cert;

	while (list != NULL && p < end) {
		cert = sk_X509_num(list) < SMIME_CERTS_MAX ? d2i_X509(NULL, &p, (long)(end - p))
							   : NULL;
		if (cert != NULL && sk_X509_push(list, cert) > 0)
			continue;
		X509_free(cert);
		sk_X509_pop_free(list, X509_free);
		list = NULL;
	}
	if (list != NULL && sk_X509_num(list) == 0) {
		sk_X509_free(list);
		list = NULL;
	}
	ERR_clear_error();
	return list;
}

int
smime_cert_check(const struct smime_trust *t, struct slice certs, struct slice domain, int64_t now,
    struct findings *f, struct smime_use *use_out)
{
	STACK_OF(X509) *list = certs.len <= FINDINGS_CERTS_MAX ? parse_all(certs) : NULL;
	struct find_sig *s = list != NULL ? findings_add_sig(f) : NULL;
	enum sig_status status;
	const char *why;
	X509 *cert;

	if (s == NULL) {
		sk_X509_pop_free(list, X509_free);
		return ERR_SYNTAX;
	}
	cert = sk_X509_value(list, 0);
	s->coverage = SIG_WHOLE;
	s->status = SIG_VALID;
	smime_cert_describe(cert, f, s);
	if ((why = smime_cert_fault_apart(cert, &status)) != NULL) {
		s->status = status;
		s->why = findings_str(f, why);
	}
	smime_chain_check(t, smime_trust_find(t, domain), cert, list, NULL, PREFER_NONE, now, f, s);
	use_out->encrypts = smime_cert_encrypts(cert);
	use_out->signs = !smime_cert_only_encrypts(cert);
	sk_X509_pop_free(list, X509_free);
	ERR_clear_error();
	return 0;
}
