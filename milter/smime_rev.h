/* smime_rev.h: what is known of revocations beside the trust folder: CRLs and OCSP answers that were fetched (RFC 5280 5, RFC 6960), and
 * which ones a chain asks for. In milter-scan: whatever came over the network is parsed and verified there. */
#ifndef CV_SMIME_REV_H
#define CV_SMIME_REV_H

#include "milter/smime.h"

#define SMIME_REV_ENTRIES_MAX 4096
#define SMIME_REV_BYTES_MAX (48u << 20) /* of all entries, as they came */

/* How much revocation is asked for. */
enum smime_rev_need {
	SMIME_REV_OFF,  /* the CRLs of the trust folder alone, where there are any */
	SMIME_REV_AUTO, /* also what the certificates name; one that names nothing is not checked */
	SMIME_REV_REQUIRE, /* what cannot be checked is unknown */
};
void smime_trust_need(struct smime_trust *t, enum smime_rev_need need);

/* Takes in a CRL (DER or PEM) or an OCSP answer under a key, in the place of the older one under it; one that is older than what is there
 * is left out. Times of what holds now; next_out 0: not said. 0; ERR_SYNTAX; ERR_LIMIT (too many, too large together). Nothing is verified
 * yet: that is done against the issuer whenever it is used. */
int smime_rev_put(struct smime_trust *t, enum want_kind kind, struct slice key, struct slice bytes,
    int64_t now, int64_t *this_out, int64_t *next_out);
void smime_rev_drop(struct smime_trust *t, struct slice key);

#endif
