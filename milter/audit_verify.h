/* audit_verify.h: is this log what the ledger wrote? Over all its files, against its state file, its signed checkpoints and those that another host
 * kept. Runs in congvu. */
#ifndef CV_AUDIT_VERIFY_H
#define CV_AUDIT_VERIFY_H

#include "milter/audit.h"
#include "milter/sign_key.h"

enum audit_finding_kind {
	AUDIT_EDIT,    /* a line is no record, or not the one that its hash was made of */
	AUDIT_DELETE,  /* records are missing in the middle, or at the beginning */
	AUDIT_REORDER, /* a record stands behind later ones, or twice */
	AUDIT_SPLICE, /* a whole record that does not follow the one before it: from another log, or made anew */
	AUDIT_TRUNCATE, /* the end is missing: the state file or a checkpoint knows of more */
	AUDIT_REWRITE, /* the chain is whole, but not the one that the state file or a checkpoint is about */
	AUDIT_SIGNATURE, /* a checkpoint's signature is not good, or of no key that was given */
	AUDIT_STATE,     /* the state file is damaged */
};
const char *audit_finding_name(enum audit_finding_kind kind); /* "edit", … */
struct audit_finding {
	enum audit_finding_kind kind;
	const char *file; /* as given to audit_verifier_file; "" */
	uint64_t order;   /* lines before it in all files: findings are in this order */
	uint64_t line;    /* in the file, from 1 */
	uint64_t seq;     /* the record it is about, as far as known; 0 */
	char text[256];
};

enum { AUDIT_FINDINGS_MAX = 100 };
struct audit_report {
	bool ok;
	uint64_t records;        /* good ones */
	struct audit_chain last; /* of the highest number */
	uint64_t line; /* of the first finding when !ok (one past the end for a truncated log) */
	char why[256]; /* its text */
	size_t
	    torn; /* octets of an unfinished last line: a write under way, or a crash the ledger will note */
	bool has_state; /* the state file was there and was checked */
	uint64_t first_seq;
	uint64_t checkpoints,
	    checked_signatures; /* in the log; of these with a good signature of a key given */
	uint64_t signed_seq;    /* the highest that one of those is about; 0 */
	uint64_t known;         /* checkpoints of another host that agree */
	uint64_t
	    not_there; /* checkpoints that were signed, and are not in the log: lost with a ledger that died, or kept back */
	uint64_t not_there_seq; /* what the last of them is about */
	uint64_t
	    undecided; /* of these: neither milter-sign's list nor another host tells what they said */
	uint64_t undecided_seq;
	uint64_t rows; /* of milter-sign's list that agree */
	bool has_rows;
	size_t n_findings, more_findings;
	struct audit_finding findings[AUDIT_FINDINGS_MAX];
};

struct audit_verifier;
struct audit_verifier *audit_verifier_new(void);
void audit_verifier_free(struct audit_verifier *v);
/* All before the first file. partial: the log may begin at any number. */
void audit_verifier_partial(struct audit_verifier *v);
int audit_verifier_state(struct audit_verifier *v, int state_fd); /* 0 or ERR_IO */
void audit_verifier_key_take(struct audit_verifier *v, struct sign_key *key);
/* Lines of syslog, of any kind: those with a checkpoint of ours count. How many: 0 or more; ERR_IO. */
int audit_verifier_known(struct audit_verifier *v, int fd);
/* milter-sign's own list of what it signed for this log (sign_text.h), as long as it is now; fd is borrowed until the end. 0, ERR_IO, or
 * ERR_CORRUPT for one that is none. Open it before the log: nothing is signed that is not in the log already. */
int audit_verifier_rows(struct audit_verifier *v, int fd);
/* Files in the order of their records. name is borrowed until the end. 0 or ERR_IO. */
int audit_verifier_file(struct audit_verifier *v, const char *name, int fd);
const struct audit_report *audit_verifier_end(struct audit_verifier *v);

/* One file alone, from its record 1. state_fd: -1 for none (truncation at the end is then not noticed). 0 when it could be
 * read (see report->ok), ERR_IO otherwise. */
int audit_verify(int log_fd, int state_fd, struct audit_report *report);

#endif
