/* rev_fuzz.c: a CRL or OCSP answer from the network, taken in and asked about the signer of a mail: what is in neither is never "good". */
#include "tests/fuzz/fuzz.h"

#include "milter/scan_message.h"
#include "milter/smime_rev.h"

/* A throw-away CA; the seeds are CRLs, answers and a mail of its. */
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

#define NOW 1796000000 /* within the validity of all of them */

/* kind, u16 length, the CRL or answer, the mail */
int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct scan_params p = {.domain = slice_str("x.example"), .now = NOW};
	struct smime_trust *trust;
	struct findings f, back;
	struct arena *a, *a2;
	struct slice bytes, mail;
	int64_t from = 0, to = 0;
	struct buf b;
	size_t n;
	int err;

	if (size < 3)
		return 0;
	n = (size_t)data[1] << 8 | data[2];
	bytes = slice_sub(slice_of(data, size), 3, n);
	mail = slice_from(slice_of(data, size), 3 + bytes.len);
	smime_init();
	trust = smime_trust_new();
	MUST(smime_trust_add(trust, "x.example", slice_str(root), false) == 0);
	smime_trust_need(trust, data[0] & 2 ? SMIME_REV_REQUIRE : SMIME_REV_AUTO);
	err = smime_rev_put(
	    trust, data[0] & 1 ? WANT_OCSP : WANT_CRL, slice_str("k"), bytes, NOW, &from, &to);
	MUST(err != 0 || from != 0);
	/* the same again changes nothing */
	MUST(smime_rev_put(trust, data[0] & 1 ? WANT_OCSP : WANT_CRL, slice_str("k"), bytes, NOW,
		 &from, &to) == err);
	a = arena_new(8 << 20);
	a2 = arena_new(8 << 20);
	findings_init(&f, a);
	p.trust = trust;
	scan_message(mail, &p, &f);
	for (const struct find_sig *s = f.sigs; s != NULL; s = s->next)
		MUST(err == 0 || s->rev == REV_UNKNOWN || s->rev == REV_UNCHECKED ||
		     s->rev == REV_REVOKED);
	buf_init(&b, 1 << 22);
	MUST(findings_encode(&f, &b) == 0);
	MUST(findings_decode(buf_slice(&b), a2, &back) == 0 && back.n_wants == f.n_wants);
	buf_done(&b);
	smime_rev_drop(trust, slice_str("k"));
	smime_trust_free(trust);
	arena_free(a);
	arena_free(a2);
	return 0;
}
