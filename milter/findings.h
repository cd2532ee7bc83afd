/* findings.h: what milter-scan found out about one message: signatures per layer, parts, notes. Facts only, no decisions: those are
 * the rules' (rule.h). Memory is an arena's. The wire form (findings_encode/_decode) is safe on hostile bytes: the scanner is the
 * process that touches hostile content, so its answer is not believed to be well-formed. */
#ifndef CV_FINDINGS_H
#define CV_FINDINGS_H

#include "lib/arena.h"
#include "lib/json.h"

#define FINDINGS_SIGS_MAX 24
#define FINDINGS_OTHERS_MAX 2
#define FINDINGS_PARTS_MAX 256
#define FINDINGS_NOTES_MAX 128
#define FINDINGS_TEXT_MAX 512    /* octets of any one text */
#define FINDINGS_CERTS_MAX 16384 /* octets of one signer's certificates */

enum sig_status {
	SIG_VALID =
	    1, /* digest, signature, algorithms, chain, validity: all good (revocation stands apart) */
	SIG_BAD = 2,       /* does not verify, or is malformed: P02 */
	SIG_WEAK = 3,      /* below the algorithm floor, anywhere in the chain: P10 */
	SIG_UNTRUSTED = 4, /* no path to an anchor of the sender's domain: P03 */
	SIG_EXPIRED = 5,   /* a certificate outside its validity at receipt: P04 */
	SIG_PURPOSE = 6,   /* the certificate may not sign mail: P02 */
};
enum sig_coverage {
	SIG_WHOLE = 1,    /* the signed entity is the whole body */
	SIG_PARTIAL = 2,  /* only a part of the mail is signed: MILTER.md cases 11 to 13 */
	SIG_INNER = 3,    /* a signature inside a signed entity (triple wrap) */
	SIG_DOCUMENT = 4, /* a signature inside a PDF: of the document, not of the mail */
};
enum rev_state {
	REV_UNCHECKED = 1, /* no CRL is configured for the domain, or there was no path to check */
	REV_GOOD = 2,
	REV_REVOKED = 3,
	REV_UNKNOWN = 4, /* CRLs are configured, but none that is fresh and fits */
};

struct sig_address {
	bool utf8;          /* SmtpUTF8Mailbox (RFC 9598), else rfc822Name */
	struct slice value; /* as in the certificate, NULs included */
	struct sig_address *next;
};
struct find_sig {
	struct slice part; /* MIME path of the signed layer: "" for the root, "1.2" */
	bool opaque;
	enum sig_status status;
	enum sig_coverage coverage;
	struct slice why;              /* short English reason when not valid */
	struct slice signer, issuer;   /* RFC 2253 names, UTF-8 */
	struct slice serial;           /* hex */
	struct slice spki_sha256;      /* hex */
	unsigned char cert_sha256[32]; /* of the signer's certificate; zeros: none */
	int64_t not_before, not_after; /* of that certificate; seconds since 1970; 0: none */
	/* DER of that certificate and behind it those of its path, without the anchor: of a valid signature over the whole body alone. Empty: not given, or
	 * larger than FINDINGS_CERTS_MAX. */
	struct slice certs;
	struct slice digest, sigalg; /* "SHA256", "rsaEncryption" */
	struct slice key;            /* "rsa2048", "ec256" */
	struct slice chain;          /* "ok" or the path building error */
	struct slice chain_subjects; /* leaf first, separated by " < " */
	int64_t signing_time;        /* claimed; seconds since 1970; 0: none */
	enum rev_state rev;
	struct slice rev_source; /* "crl", "embedded", "" */
	int64_t rev_age_s;       /* since the CRL's thisUpdate; -1: none */
	struct sig_address *addresses;
	int label; /* eSSSecurityLabel's classification (RFC 2634 3.2); -1: no label */
	struct slice label_policy; /* its security-policy-identifier, dotted; empty without label */
	bool receipt_request;      /* a signed receipt is asked for (RFC 2634 2) */
	bool ml_expansion;         /* mlExpansionHistory: a list signed it anew (RFC 2634 4) */
	struct find_sig *next;
};
#define FIND_LABEL_MAX 256 /* ub-integer-options */

enum part_flag {
	PART_EXEC = 1 << 0,           /* content is a program or script */
	PART_BANNED_NAME = 1 << 1,    /* its name ends like one */
	PART_DECEPTIVE_NAME = 1 << 2, /* bidi controls, NUL, zero-width characters in the name */
	PART_MISMATCH = 1 << 3,       /* executable content under another type's name */
	PART_ARCHIVE = 1 << 4,
	PART_ENCRYPTED = 1 << 5, /* an archive with encrypted members or headers */
	PART_LIMIT = 1 << 6,     /* could not be looked into whole: too deep, too many, too large */
	PART_IN_ARCHIVE = 1 << 7, /* an archive member: only suspicious ones are listed */
	PART_LENIENT = 1 << 8,    /* its transfer encoding reads differently in lenient clients */
	PART_FRAGMENT = 1 << 9,   /* message/partial or message/external-body */
	PART_BROKEN = 1 << 10,    /* an archive that cannot be read */
	PART_DOUBLE_EXT = 1 << 11,
	PART_MACRO = 1 << 12,          /* a document with macros */
	PART_HAS_PDF = 1 << 13,        /* an archive with a PDF inside */
	PART_ATTACHED = 1 << 14,       /* an attachment: named, or Content-Disposition says so */
	PART_INLINE = 1 << 15,         /* Content-Disposition: inline, or shown by Content-ID */
	PART_MALWARE = 1 << 16,        /* known malware */
	PART_HIDDEN_MALWARE = 1 << 17, /* the same, found by a careless reading alone */
	PART_ACTIVE =
	    1 << 18, /* a document that starts programs without macros: DDE, PDF actions */
	PART_REMOTE = 1 << 19, /* a document that fetches a template or object from elsewhere */
};
struct find_part {
	struct slice path;             /* "1.2", "1.2!dir/member" in archives */
	struct slice decl;             /* "application/pdf" */
	struct slice true_type, magic; /* our table; libmagic's opinion */
	struct slice name_raw, name_norm;
	unsigned char sha256[32];
	uint64_t size;
	uint32_t flags;
	struct find_part *next;
};

/* What the text of a document says of it (doc_facts.h); all UTF-8, empty: not said. */
#define FINDINGS_DOCS_MAX 16
struct find_doc {
	struct slice part, symbol, type, agency, place, date, summary, urgency;
	struct find_doc *next;
};

enum note_severity { NOTE_INFO = 1, NOTE_WARN = 2, NOTE_REJECT = 3 };
struct find_note {
	struct slice id, part, detail; /* "mime_dup_header" */
	enum note_severity severity;
	struct find_note *next;
};

/* What would tell whether a certificate of a good chain is revoked: a CRL by its URL, an OCSP answer by URL and request. */
enum want_kind { WANT_CRL = 1, WANT_OCSP = 2 };
#define FINDINGS_WANTS_MAX 16
struct find_want {
	enum want_kind kind;
	struct slice url, request;
	struct find_want *next;
};

struct findings {
	struct arena *arena; /* borrowed */
	struct find_want *wants;
	size_t n_wants;
	struct find_sig *sigs;
	/* Certificates for encryption alone that came with a good signature over the whole body: no signatures, judged as their signers are; no rule asks about them. */
	struct find_sig *others;
	size_t n_others;
	struct find_part *parts;
	struct find_note *notes;
	struct find_doc *docs;
	size_t n_docs;
	size_t n_sigs, n_parts, n_notes; /* as listed; more were dropped when truncated */
	bool truncated;
	bool encrypted; /* the root is an encrypted S/MIME object */
	uint64_t size;  /* of the message, octets */
	uint64_t body_size;
	uint64_t
	    attach_size; /* octets of all attachments, decoded, those that are not listed included */
	unsigned char body_sha256[32];
	uint32_t us_mime, us_cms, us_scan; /* time spent, microseconds */
};

void findings_init(struct findings *f, struct arena *a);
/* Appends a zeroed entry; NULL (and truncated) past the bound. Order is kept. */
struct find_sig *findings_add_sig(struct findings *f);
/* NULL past the bound, of which nothing is told. */
struct find_sig *findings_add_other(struct findings *f);
struct find_part *findings_add_part(struct findings *f);
struct find_doc *findings_add_doc(struct findings *f);
void findings_note(struct findings *f, const char *id, enum note_severity sev, struct slice part,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));
/* A copy in the arena, cut to FINDINGS_TEXT_MAX. */
struct slice findings_text(struct findings *f, struct slice s);
struct slice findings_str(struct findings *f, const char *s);
void findings_add_address(struct findings *f, struct find_sig *s, bool utf8, struct slice value);
/* A copy in the arena; nothing when it is larger than FINDINGS_CERTS_MAX. */
void findings_set_certs(struct findings *f, struct find_sig *s, struct slice der);
/* What is there already, or past the bound, is left out. */
void findings_add_want(
    struct findings *f, enum want_kind kind, struct slice url, struct slice request);
bool findings_has_note(const struct findings *f, const char *id);
/* The first one of that id; NULL: none. */
const struct find_note *findings_note_find(const struct findings *f, const char *id);

int findings_encode(const struct findings *f, struct buf *out);
/* 0, ERR_PROTO (malformed or over a bound), ERR_NOMEM. Everything is copied into the arena. */
int findings_decode(struct slice s, struct arena *a, struct findings *out);

/* The arrays of the audit record (MILTER.md section 6): "sig", "parts", "findings". date: the Date field's time for skew_s, 0: none. */
struct json *findings_sig_json(const struct findings *f, int64_t date);
struct json *findings_parts_json(const struct findings *f);
struct json *findings_notes_json(const struct findings *f);
struct json *findings_docs_json(const struct findings *f); /* "documents" */

/* The part_flag that a record calls so; 0: none. */
uint32_t findings_flag_of(struct slice name);

const char *sig_status_name(enum sig_status s);
const char *sig_coverage_name(enum sig_coverage c);
const char *rev_state_name(enum rev_state r);

#endif
