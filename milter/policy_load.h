/* policy_load.h: the policy in force: the file, its signatures, the archive of all that were in force. Files and folders: used by milter at its
 * start, still as root, and by congvu. */
#ifndef CV_POLICY_LOAD_H
#define CV_POLICY_LOAD_H

#include "milter/policy.h"
#include "milter/policy_sign.h"

#include "lib/conf.h"
#include "lib/json.h"

/* Reads at most POLICY_FILE_MAX + 1 octets. 0, ERR_NOTFOUND, ERR_IO. */
int policy_read_file(const char *path, struct buf *out);
/* Reads and compiles. name: as messages call it (NULL: path). 0, or an error with why_out: "FILE:LINE:COLUMN: ..." a line for each, in Vietnamese or English. */
int policy_load_file(
    const char *path, const char *name, bool vietnamese, struct policy **out, struct buf *why_out);
/* The text of errors, a line each. */
void policy_errors_text(
    const struct policy_errors *e, const char *file, bool vietnamese, struct buf *out);

/* FILE.p7s over text against policy_officers and policy_signatures. known: the very policy was in force before, so that the validity of the officers'
 * certificates is not asked again. 0, or an error with signers->why. */
int policy_check_signatures(const struct conf *c, const char *file, struct slice text, bool known,
    struct policy_signers *signers);

struct policy_in_force {
	struct policy *policy;
	bool old;       /* the file could not be used (why): what was in force before is again */
	struct buf why; /* policy_in_force_done */
};
/* Whether each store that p's trusts name is a folder of trust_dir with a certificate in it. 0; ERR_NOTFOUND: one is not (why). */
int policy_stores_check(
    const struct conf *c, const struct policy *p, bool vietnamese, struct buf *why);
/* At the start of milter: policy_file; when it cannot be used, the last one that was in force, from policy_archive. What is loaded is
 * archived by its SHA-256, and archive/current.json says so, highest.json which version of each name it came to. ERR_NOTFOUND: none can be used (why says it); 0 with policy NULL: none is configured. */
int policy_in_force(const struct conf *c, struct policy_in_force *out);
void policy_in_force_done(struct policy_in_force *f);
/* The policy that the filter has in force now, by policy_archive: reads and changes nothing. 0, NULL where none is configured; ERR_NOTFOUND, ERR_CORRUPT (why). */
int policy_now(const struct conf *c, struct policy **out, struct buf *why);
/* Versions rise: whether p may follow what was in force. Refused (ERR_DENIED, why): a version that is not above the highest one that was ever in force
 * under its name, unless it is the very policy in force, or, where no signatures are asked for, another text of the version in force. So no older policy can
 * be put back, whoever signed it then: who wants it back gives its text a new version and has that signed (congvu policy back). */
int policy_version_check(const struct conf *c, const struct policy *p, struct buf *why);
/* A policy of the archive by its SHA-256 in hex; its octets are checked against it. 0, ERR_NOTFOUND, ERR_CORRUPT (why). */
int policy_archived(
    const struct conf *c, struct slice sha256, struct policy **out, struct buf *why_out);

/* The octets of one that policy_archived gave. 0, ERR_NOTFOUND, ERR_IO. */
int policy_archived_text(const struct conf *c, const char *sha256, struct buf *out);
/* Name: highest version that was in force. The caller's; NULL: none is kept yet. */
struct json *policy_highest(const struct conf *c);

#endif
