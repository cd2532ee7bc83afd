/* ctl_audit_proof.h: the folder that `congvu audit prove` makes: names, guides, and its check. */
#ifndef CV_CTL_AUDIT_PROOF_H
#define CV_CTL_AUDIT_PROOF_H

#include "admin/ctl.h"
#include "lib/buf.h"

/* Beside these: record-<seq>.json, each the canonical record without h and without a line end: what its d is the SHA-256 of. */
#define PROOF_CHAIN "chain.txt" /* "start PREV", then lines "SEQ D H" */
#define PROOF_TEXT "checkpoint.txt"
#define PROOF_SIGNATURE "checkpoint.sig"
#define PROOF_KEY "key.pem"

/* The guide in Vietnamese or English; a script for sh with sha256sum and openssl. */
void proof_guide(const char *qid, const char *algorithm, bool vietnamese, struct buf *out);
void proof_script(const char *algorithm, struct buf *out);
/* Exit code; told. key: a public key that was got another way, or NULL: then only that the folder is whole in itself. */
int proof_check(struct ctl *c, const char *dir, const char *key);

#endif
