/* judge_cert_fuzz.c: what congvu-milter-judge gets of a certificate that is to be published: the certificates that came with a mail, and what was fetched of
 * revocations. It answers with JSON or not at all, and never "valid" without a path to the anchor. */
#include "tests/fuzz/fuzz.h"

#include "lib/json.h"
#include "milter/judge_cert.h"
#include "milter/smime_rev.h"

#include <string.h>

/* rev_fuzz.c's. */
static const char root[] = "-----BEGIN CERTIFICATE-----\n"
			   "MIIBYDCCAQagAwIBAgIUOM6lvfTJCo/FVB47yRv8GSLCr8kwCgYIKoZIzj0EAwIw\n"
			   "DjEMMAoGA1UEAwwDcmV2MB4XDTI2MTEyMjA0MjEzMFoXDTQ2MDEyMTA0MjEzMFow\n"
			   "DjEMMAoGA1UEAwwDcmV2MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEA9g2f391\n"
			   "f0sRyVcuk2U/1m1326Z1OwH4zGuqcU4EmJUrbkbzfJWcyQ4HceCEaPx7D0r7PDIO\n"
			   "2CiSOfX3UlCGp6NCMEAwDwYDVR0TAQH/BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYw\n"
			   "HQYDVR0OBBYEFBH6uKQSDfHDwa2pS5JICyPVdmqAMAoGCCqGSM49BAMCA0gAMEUC\n"
			   "IQCkmfdlAwjPisW7kDhZpWOPteWBoPQEymh3gpNGUXP1+QIge0gGyfp7vhq0tjR2\n"
			   "RkNtphijkjzOaFAgYnqPEu6zrIA=\n"
			   "-----END CERTIFICATE-----\n";

/* flags, u16 length, the certificates, what was fetched */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct json *params = json_obj_new(), *out = NULL;
	struct smime_trust *trust;
	struct slice certs, rev;
	struct buf b;
	bool anchored;
	size_t n;

	if (size < 3) {
		json_free(params);
		return 0;
	}
	json_init();
	smime_init();
	n = (size_t)data[1] << 8 | data[2];
	certs = slice_sub(slice_of(data, size), 3, n);
	rev = slice_from(slice_of(data, size), 3 + certs.len);
	anchored = (data[0] & 1) == 0;
	trust = smime_trust_new();
	MUST(smime_trust_add(trust, "x.example", slice_str(root), false) == 0);
	smime_trust_need(trust, data[0] & 2 ? SMIME_REV_REQUIRE : SMIME_REV_AUTO);
	json_set_str(params, "domain", anchored ? "x.example" : "y.example");
	if (data[0] & 4) {
		json_set_str(params, "trust", "t");
		json_set_str(params, "store", anchored ? "x.example" : "none");
		json_set_int(params, "rsa", 3072);
		json_set_int(params, "ec", 384);
		json_set_int(params, "rev_age_s", 1);
	}
	buf_init(&b, 1 << 20);
	if (judge_cert(trust, certs, rev, params, &b) == 0) {
		MUST(json_parse(buf_slice(&b), &out) == 0);
		MUST(strlen(json_cstr(json_get(out, "sha256"))) == 64);
		MUST(anchored || strcmp(json_cstr(json_get(out, "status")), "valid") != 0);
		json_free(out);
	}
	buf_done(&b);
	smime_trust_free(trust);
	json_free(params);
	return 0;
}
