/* smime_fuzz.c: a whole message through the scanner: MIME, CMS, paths, attachments, archives; its findings go over the wire and back. */
#include "tests/fuzz/fuzz.h"

#include "milter/scan_message.h"

/* A throw-away CA (tests/unit/smime_certs.sh); the seeds are signed below it. */
static const char root[] = "-----BEGIN CERTIFICATE-----\n"
			   "MIIDJjCCAg6gAwIBAgIUdc7gZZ8jIVQX8kvy2Te5EP9JBGowDQYJKoZIhvcNAQEL\n"
			   "BQAwKzELMAkGA1UEBhMCVk4xDTALBgNVBAoMBFRlc3QxDTALBgNVBAMMBHJvb3Qw\n"
			   "HhcNMjYxMTIyMDExNTU1WhcNNDYxMTE3MDExNTU1WjArMQswCQYDVQQGEwJWTjEN\n"
			   "MAsGA1UECgwEVGVzdDENMAsGA1UEAwwEcm9vdDCCASIwDQYJKoZIhvcNAQEBBQAD\n"
			   "ggEPADCCAQoCggEBAIwP6qc+8cxj1QqWQSs5SRyEhFmx/1LiYJCIAVAUgWpJysmT\n"
			   "J97+Jw4T+gAXjB5orGhBeytCXsnrq50L71926G9T+t+MXDqzlr1q1Y4wlQ69aQnq\n"
			   "0X8gglxj2VdzOi4mbzjvzI5fibahY4E6CqwFfk89Kws2YThbWscw4BBmGT/aMX0x\n"
			   "jKkSJaXkbOz8lKRMD1xYqsBYa+xLz11QiT0QSip3w+bQtx13rheE9pcKu/ZaAzz7\n"
			   "ghbSU4fAkdXJ5nupU6ojzycCaL+E/0vLWnhc7utlnFERBWp+RfP2gAYOBwBTjiMP\n"
			   "NybcpAwEoxDd/DZekvwaTiHuYS790g9sbNJs6EMCAwEAAaNCMEAwDwYDVR0TAQH/\n"
			   "BAUwAwEB/zAOBgNVHQ8BAf8EBAMCAQYwHQYDVR0OBBYEFOXDXn39Q21fhbza5ohH\n"
			   "sKFD4U2eMA0GCSqGSIb3DQEBCwUAA4IBAQAyaACaE8lH4kjQy0QkXhpKxm7ZcXVd\n"
			   "crMJhH+ZEskVJqxUqCg3Bfx3MKbnfE5MADt8D9Ju768eIOiDP8y1mGpCfoS+/DsP\n"
			   "yBZSfSMTQuPQK6S8nEXjlWbwdFLAnQALu1rNEo701jz3i5Iis1XGOKZ70iToZ4bW\n"
			   "ONyUJB73grLCRsTKwJhsVK2TXfa4QLPEk7RxYa4culwhzddd8CuQXDMWQREJOXDw\n"
			   "o5XQWwsZ6iIMxVHxcb17n3e9olJDtq7cGREswgr38j/rj0ZO3leX+/vxim06j6IX\n"
			   "vOmhKMP8pk1v+SBQTyWW+eCkNsCCzSN5rlpvu2peCJhFx2XnDECCrEr4\n"
			   "-----END CERTIFICATE-----\n";

#define NOW 1795000000 /* within its validity */

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const banned[] = {"exe", "js"};
	static struct smime_trust *trust;
	struct scan_params p = {
	    .domain = slice_str("x.example"), .now = NOW, .banned = banned, .n_banned = 2};
	struct arena *a = arena_new(8 << 20), *a2 = arena_new(8 << 20);
	struct findings f, back;
	struct buf b;

	if (trust == NULL) {
		smime_init();
		trust = smime_trust_new();
		MUST(smime_trust_add(trust, "x.example", slice_str(root), false) == 0);
	}
	p.trust = trust;
	findings_init(&f, a);
	scan_message(slice_of(data, size), &p, &f);
	buf_init(&b, 1 << 22);
	MUST(findings_encode(&f, &b) == 0);
	MUST(findings_decode(buf_slice(&b), a2, &back) == 0);
	MUST(back.n_sigs == f.n_sigs && back.n_parts == f.n_parts);
	buf_done(&b);
	arena_free(a);
	arena_free(a2);
	return 0;
}
