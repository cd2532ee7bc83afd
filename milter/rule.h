/* rule.h: from facts to a verdict, pure. Facts come from the headers, the directory and the scanner; each rule of rules.def is a
 * predicate over them. */
#ifndef CV_RULE_H
#define CV_RULE_H

#include "milter/clearance.h"
#include "milter/findings.h"
#include "milter/scan_terms.h"
#include "milter/sio_label.h"

#define RULE_FROM_MAX 8

/* What a rule does in mode "enforce". HOLD: the MTA keeps the mail until a person releases it (quarantine). */
enum rule_action { RULE_REJECT = 1, RULE_DEFER = 2, RULE_NOTE = 3, RULE_HOLD = 4 };
/* off: not asked. log: in the audit record alone (training). warn: in the header and the report as well; the mail goes on. */
enum rule_mode { MODE_OFF, MODE_LOG, MODE_WARN, MODE_ENFORCE };
enum rule_owner { OWNER_NONE, OWNER_PERSON, OWNER_FUNCTIONAL, OWNER_GROUP };

/* One mailbox of the From field with what the directory knows of it. */
struct rule_author {
	struct slice local;   /* as written, unquoted */
	struct slice domain;  /* lower case, A-labels */
	struct slice address; /* normalized local@domain */
	struct slice display; /* decoded, UTF-8 */
	bool is_ours;
	enum rule_owner owner;
	bool may_send_as;     /* the authenticated person may */
	struct slice agency;  /* code of the owner's agency; empty when not known */
	struct slice account; /* of the owner, or of the functional mailbox; empty when not known */
	const struct slice
	    *known; /* the owner's addresses now and before, normalized, those of now first */
	size_t n_known, n_current;
	const unsigned char (*keys)[32]; /* SHA-256 of the owner's certificates in the directory */
	size_t n_keys;
	const struct slice
	    *symbols; /* abbreviations of the agency, by its own entry, and of those above it */
	size_t n_symbols;
};
/* What a signer may sign: "TYPE;CAPACITY" each (dir_attr_authority). */
struct rule_authority {
	const struct slice *v;
	size_t n;
};
/* A recipient whose owner has another address now. */
struct rule_moved {
	struct slice was, is;
};
/* What filters before ours found out about where a mail from outside comes from (authres.h). */
enum rule_origin {
	ORIGIN_UNCHECKED, /* nobody is trusted to say */
	ORIGIN_PASS,      /* DMARC, or SPF or DKIM for the author's domain */
	ORIGIN_FAIL,      /* they failed, or found nothing to check */
	ORIGIN_TEMPERROR, /* could not be checked now */
};
/* What header fields say of the document that a mail announces. Slices of the message's arena. */
struct rule_doc {
	struct slice symbol, type, summary, urgency; /* as doc_facts.h */
	struct slice mark;                           /* the header field's text, when it is there */
	bool mark_bad;                               /* it is no symbol */
	uint32_t number;                             /* 0: no symbol */
	char letter;
	unsigned year, flags; /* enum symbol_flag */
};
/* Settings of the document rules; all may be empty. */
struct rule_settings {
	const char *const *free_mail; /* domains, lower case */
	size_t n_free_mail;
	const char *const *symbols; /* "AGENCY=ABBREVIATION" */
	size_t n_symbols;
	size_t rcpts_max; /* 0: no limit */
	const char *const *
	    inside; /* domains that mail may be forwarded to by a program (P27); those below them too */
	size_t n_inside;
	const char *const
	    *lists; /* addresses of mailing lists whose signatures are accepted (RFC 2634 4) */
	size_t n_lists;
};
/* What the directory said of a group: whether an author, or a recipient, is a member. */
#define RULE_MEMBERS_MAX 32
struct rule_member {
	struct slice group; /* its address */
	bool of_rcpts, is;
};
/* What the policy demands of an author's signatures (policy_trust_of). Zeros: nothing beyond the built-in floor, the store of the domain. */
struct rule_trust {
	struct slice name, store;
	unsigned digest, rsa, ec; /* bits */
	int64_t
	    rev_age_s; /* answers about revocation that are older count as none; 0: any will do */
	enum scan_prefer prefer;
};
struct rule_facts {
	bool authenticated;
	bool null_sender;   /* MAIL FROM:<> */
	size_t from_fields; /* From fields in the header */
	struct rule_author authors[RULE_FROM_MAX];
	size_t n_authors;      /* usable ones */
	bool more_authors;     /* From held more, or unusable ones */
	struct slice comments; /* of the From field, decoded; UTF-8 */
	bool official;
	const char *official_why; /* "functional_mailbox", "header", "symbol"; "" */
	bool issued;              /* official, with a document symbol or the header field */
	bool reply_from_office;   /* would be official, were it no reply */
	bool signer_is_sender;    /* an agency's mail is signed with an own key of who signed in */
	enum rule_origin origin;
	struct slice origin_text;        /* "spf=fail dkim=none" */
	uint64_t attach_max;             /* octets of all attachments, decoded; 0: no limit */
	uint64_t files_max, message_max; /* attachments; octets of the message; 0: no limit */
	uint64_t rcpts_max;              /* of P29; 0: no limit */
	struct rule_trust trust;
	struct scan_terms terms; /* what the scanner is asked with */
	bool rev_grace_over;     /* revocation has been unknown for longer than the grace */
	const unsigned char
	    *modes;   /* enum rule_mode of each rule of rule_table; NULL: the defaults */
	int64_t date; /* Date field, 0: none */
	struct slice
	    released; /* rules that officers released it from, "P23,P15": what they would hold it for is a note; empty: none */
	const struct slice *rcpts; /* envelope recipients as given, without angle brackets */
	size_t n_rcpts;
	const struct clearances *clearances; /* NULL: every domain is cleared for all */
	const unsigned char *
	    sig_owners; /* enum rule_owner of each signature's signer, in their order; NULL: none is known */
	const struct rule_authority
	    *sig_authority; /* of the same signers; NULL: nothing is known */
	const struct rule_moved *moved;
	size_t n_moved;
	struct sio_label sio;              /* the header field SIO-Label */
	const struct rule_member *members; /* what was asked; others are not known */
	size_t n_members;
	struct slice
	    auto_forward; /* the header field that says a program forwarded it; empty: none does */
	struct rule_doc doc;
	struct slice
	    number_used; /* "QID, time" of another document with this number in the register; empty: none */
	struct slice
	    cert_banned; /* "serial 1A, CN=...": officers banned the certificate of a valid signature; empty: none */
	const struct rule_settings *settings; /* NULL: none */
	const struct findings *scan;
};

struct rule {
	const char *id;
	bool (*hit)(const struct rule_facts *f, struct buf *detail);
	enum rule_action action;
	enum rule_mode mode; /* where nothing is configured */
	const char *vi, *en;
};
extern const struct rule rule_table[];
extern const size_t rule_table_len;

#define RULE_NOTES_MAX 24
struct verdict {
	const struct rule *decision; /* NULL: accept */
	struct buf detail;           /* of the decision, UTF-8 */
	struct {
		const struct rule *rule;
		enum rule_mode mode;
		struct buf detail;
	} notes[RULE_NOTES_MAX]; /* what else was found, decisions of less weight included */
	size_t n_notes;
	struct slice released;  /* as in the facts */
	unsigned char hits[64]; /* by rule_table: what applies, in whatever mode, "off" included */
};
void rule_judge(const struct rule_facts *f, struct verdict *v); /* v: verdict_done */
/* Takes one more finding in: decides: it is to decide when its action weighs more than that of the decision there is. detail: taken. */
void rule_verdict_add(
    struct verdict *v, const struct rule *r, enum rule_mode mode, bool decides, struct buf *detail);
/* Judges by what is known to apply (hits, by rule_table), in the modes of f; details: of each hit, may be NULL. */
void rule_judge_hits(const struct rule_facts *f, const unsigned char *hits,
    const struct slice *details, struct verdict *v);
void verdict_done(struct verdict *v);
/* "P01 Cong van phai duoc ky so. ... / Official mail must be digitally signed. ... (detail) [ticket QID]": printable ASCII, at most 490
 * octets; what does not fit is cut off the detail. */
void rule_reply(const struct rule *r, struct slice detail, struct slice qid, struct buf *out);
/* SHA-256 over ids, actions, modes and texts of the table and the settings given (modes.h): the policy's version in each record. */
void rule_table_hash(struct slice settings, char hex_out[65]);
/* Index in rule_table; -1: no such rule. */
ptrdiff_t rule_index(struct slice id);
enum rule_mode rule_mode_of(const struct rule_facts *f, const struct rule *r);
const char *rule_mode_name(enum rule_mode m);

/* Helpers of rule_*.c. */
struct slice rule_domain_of(struct slice address); /* behind the last "@" */
bool rule_enforced(const struct rule_facts *f);    /* authenticated, or From one of our domains */
bool rule_whole_signature(const struct rule_facts *f);
bool rule_mail_signature(const struct rule_facts *f); /* any, but those inside documents */
/* How a signer's addresses fit an author. */
enum rule_bind { BIND_NONE, BIND_FORMER, BIND_ALIAS, BIND_EXACT };
enum rule_bind rule_bind(const struct find_sig *s, const struct rule_author *a);
bool rule_signature_good(
    const struct rule_facts *f); /* whole, all valid and not revoked, and bound to each author */

/* What is below the floor of f->trust, appended to why; false: nothing is. */
bool rule_below_floor(const struct rule_facts *f, const struct find_sig *s, struct buf *why);
/* What a signature must be at least, the built-in floor and that of f->trust: "SHA-384, RSA 3072, EC 256". */
void rule_floor(const struct rule_facts *f, struct buf *out);
/* The state of revocation, as old as f->trust lets it be. */
enum rev_state rule_rev_of(const struct rule_facts *f, const struct find_sig *s);

enum {
#define RULE(id, fn, action, mode, vi, en) RULE_ROW_##fn,
#include "milter/rules.def"
#undef RULE
	RULE_COUNT
};
#define RULE(id, fn, action, mode, vi, en) bool fn(const struct rule_facts *f, struct buf *detail);
#include "milter/rules.def"
#undef RULE

#endif
