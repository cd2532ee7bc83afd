/* judge_cert.h: a certificate judged by itself, with what was fetched of revocations: the work of congvu-milter-judge for `congvu cert`. */
#ifndef CV_JUDGE_CERT_H
#define CV_JUDGE_CERT_H

#include "lib/json.h"
#include "milter/smime.h"

#define JUDGE_CERTS_MAX FINDINGS_CERTS_MAX
#define JUDGE_REV_MAX (48u << 20)

/* certs: DER, as find_sig.certs. rev: what was fetched, one behind another: u8 enum want_kind, u32 length and octets of a key, u32 length and octets of the
 * CRL or OCSP answer (big-endian). params: domain (with a '=': none); what a trust of the policy asks: trust (its name), store, rsa, ec (bits), rev_age_s; each may be left out.
 * Appends JSON: sha256, subject, issuer, serial, key, not_before, not_after, addresses, encrypts, signs, status, why, below ("rsa2048 < rsa 3072 (trust bo)"),
 * chain, rev {state, source, age_s, too_old}, wants [{kind, url, request (base64)}]. 0, ERR_SYNTAX. */
int judge_cert(struct smime_trust *t, struct slice certs, struct slice rev,
    const struct json *params, struct buf *out);

#endif
