/* scan_message.h: everything there is to find out about one message, from its bytes alone: no I/O. Runs in milter-scan; tests and
 * fuzzers call it too. */
#ifndef CV_SCAN_MESSAGE_H
#define CV_SCAN_MESSAGE_H

#include "milter/findings.h"
#include "milter/scan_terms.h"
#include "milter/smime.h"

struct scan_params {
	const struct smime_trust *trust; /* NULL: no anchors at all */
	struct slice domain;             /* the author's */
	int64_t now;
	const char *const *banned; /* name endings without dot, lower case */
	size_t n_banned;
	unsigned
	    cpu_ms; /* of processor time for looking into contents, then PART_LIMIT; 0: no bound */
	bool
	    shallow; /* structure, names and signatures alone: no document is opened, each content counts as not inspected */
	struct scan_terms terms;
	struct buf *
	    text; /* not NULL: the texts of documents go there (UTF-8, as far as they fit) and are not judged */
};
/* f: findings_init. Never fails: what could not be done stands in the findings. */
void scan_message(struct slice whole, const struct scan_params *p, struct findings *f);

#endif
