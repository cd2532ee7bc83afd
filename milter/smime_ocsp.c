/* smime_ocsp.c: OCSP (RFC 6960): the request for a certificate, and what an answer says of it. The only includer of <openssl/ocsp.h>. Runs in
 * milter-scan. An answer counts when it is signed by the issuer or a responder the issuer delegated (id-kp-OCSPSigning), with an algorithm
 * above the floor, and is of now: thisUpdate and nextUpdate with 300 s of skew; without nextUpdate it is good for a day. No nonce is
 * sent: answers are remembered and shared, and many responders give none. */
#include "config.h"

#include "milter/smime_priv.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

#define SKEW_S 300
#define DAY_S 86400
#define RESPONSES_MAX 16

struct smime_ocsp {
	OCSP_BASICRESP *basic;
};

struct smime_ocsp *
smime_ocsp_parse(struct slice bytes)
{
	const unsigned char *p = bytes.ptr;
	OCSP_RESPONSE *resp = NULL;
	struct smime_ocsp *o = NULL;
	OCSP_BASICRESP *basic = NULL;

	if (bytes.len > 0 && bytes.len <= INT32_MAX)
		resp = d2i_OCSP_RESPONSE(NULL, &p, (long)bytes.len);
	if (resp != NULL && p == bytes.ptr + bytes.len &&
	    OCSP_response_status(resp) == OCSP_RESPONSE_STATUS_SUCCESSFUL)
		basic = OCSP_response_get1_basic(resp);
	if (basic != NULL && OCSP_resp_count(basic) > 0 &&
	    OCSP_resp_count(basic) <= RESPONSES_MAX) {
		o = xcalloc(1, sizeof *o);
		o->basic = basic;
	} else {
		OCSP_BASICRESP_free(basic);
	}
	OCSP_RESPONSE_free(resp);
	ERR_clear_error();
	return o;
}

void
smime_ocsp_free(struct smime_ocsp *o)
{
	if (o == NULL)
		return;
	OCSP_BASICRESP_free(o->basic);
	free(o);
}

void
smime_ocsp_times(const struct smime_ocsp *o, int64_t *this_out, int64_t *next_out)
{
	ASN1_GENERALIZEDTIME *thisupd = NULL, *nextupd = NULL;
	OCSP_SINGLERESP *single = OCSP_resp_get0(o->basic, 0);

	OCSP_single_get0_status(single, NULL, NULL, &thisupd, &nextupd);
	*this_out = smime_time(thisupd);
	*next_out = smime_time(nextupd);
}

/* Signed by whom the issuer lets sign, and not weakly. */
static bool
is_genuine(OCSP_BASICRESP *basic, STACK_OF(X509) * chain, X509_STORE *store)
{
	if (smime_sigalg_weakness(OCSP_resp_get0_tbs_sigalg(basic)) != NULL)
		return false;
	return OCSP_basic_verify(basic, chain, store, 0) == 1;
}

/* A cheap look before names and keys are hashed. */
static bool
has_serial(OCSP_BASICRESP *basic, const X509 *cert)
{
	ASN1_INTEGER *serial = NULL;
	int i;

	for (i = 0; i < OCSP_resp_count(basic); i++) {
		union {
			const OCSP_CERTID *c;
			OCSP_CERTID *p;
		} id = {.c = OCSP_SINGLERESP_get0_id(OCSP_resp_get0(basic, i))};

		if (OCSP_id_get0_info(NULL, NULL, NULL, &serial, id.p) == 1 &&
		    ASN1_INTEGER_cmp(serial, X509_get0_serialNumber(cert)) == 0)
			return true;
	}
	return false;
}

bool
smime_ocsp_ask(const struct smime_ocsp *o, X509 *cert, X509 *issuer, STACK_OF(X509) * chain,
    X509_STORE *store, int64_t now, struct rev_told *out)
{
	ASN1_GENERALIZEDTIME *thisupd = NULL, *nextupd = NULL;
	const EVP_MD *digests[2];
	OCSP_CERTID *id;
	int status = 0, at = -1, i;
	int64_t from, to;

	if (!has_serial(o->basic, cert))
		return false;
	digests[0] = EVP_sha1();
	digests[1] = EVP_sha256();
	for (i = 0; i < 2 && at < 0; i++) {
		id = OCSP_cert_to_id(digests[i], cert, issuer);
		at = id != NULL ? OCSP_resp_find(o->basic, id, -1) : -1;
		OCSP_CERTID_free(id);
	}
	if (at < 0)
		return false;
	status =
	    OCSP_single_get0_status(OCSP_resp_get0(o->basic, at), NULL, NULL, &thisupd, &nextupd);
	from = smime_time(thisupd);
	to = nextupd != NULL ? smime_time(nextupd) : from + DAY_S;
	if (from == 0 || from > now + SKEW_S || to + SKEW_S < now ||
	    (status != V_OCSP_CERTSTATUS_GOOD && status != V_OCSP_CERTSTATUS_REVOKED) ||
	    !is_genuine(o->basic, chain, store)) {
		ERR_clear_error();
		return false;
	}
	out->state = status == V_OCSP_CERTSTATUS_GOOD ? REV_GOOD : REV_REVOKED;
	out->age_s = now > from ? now - from : 0;
	return true;
}

/* DER of a request for one certificate. SHA-1 names the certificate here, it protects nothing: RFC 5019 2.1.1 wants it. */
bool
smime_ocsp_request(X509 *cert, X509 *issuer, struct buf *out)
{
	OCSP_REQUEST *req = OCSP_REQUEST_new();
	OCSP_CERTID *id = OCSP_cert_to_id(EVP_sha1(), cert, issuer);
	unsigned char *der = NULL;
	int n = -1;

	if (req != NULL && id != NULL && OCSP_request_add0_id(req, id) != NULL) {
		id = NULL;
		n = i2d_OCSP_REQUEST(req, &der);
	}
	if (n > 0)
		buf_append(out, der, (size_t)n);
	OPENSSL_free(der);
	OCSP_CERTID_free(id);
	OCSP_REQUEST_free(req);
	ERR_clear_error();
	return n > 0 && out->err == 0;
}

bool
smime_ocsp_url(X509 *cert, struct buf *out)
{
	STACK_OF(OPENSSL_STRING) *urls = X509_get1_ocsp(cert);
	const char *url;
	int i;

	for (i = 0; urls != NULL && i < sk_OPENSSL_STRING_num(urls) && out->len == 0; i++) {
		url = sk_OPENSSL_STRING_value(urls, i);
		if (strncasecmp(url, "http", 4) == 0 && strlen(url) < FINDINGS_TEXT_MAX)
			buf_append_str(out, url);
	}
	X509_email_free(urls);
	return out->len > 0;
}
