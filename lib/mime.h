/* mime.h: the MIME structure of a message as a tree of offsets into its bytes, pure. RFC 2045, 2046. Bounded in depth, parts and
 * header size; never fails on content: what is wrong is noted in flags. Used by ingest (summaries), imapd (FETCH) and the milter. */
#ifndef CV_MIME_H
#define CV_MIME_H

#include "lib/hdr.h"

enum mime_flag {
	MIME_F_NO_CTYPE = 1 << 0, /* no Content-Type: the default was taken */
	MIME_F_BAD_CTYPE = 1 << 1,
	MIME_F_DUP_HEADER =
	    1 << 2, /* two Content-Type, Content-Transfer-Encoding or Content-Disposition fields */
	MIME_F_DUP_PARAM = 1 << 3,
	MIME_F_NO_BOUNDARY = 1 << 4,  /* multipart without usable boundary: no children */
	MIME_F_UNTERMINATED = 1 << 5, /* closing delimiter missing */
	MIME_F_TOO_DEEP = 1 << 6,     /* limits: taken as one opaque part */
	MIME_F_TOO_MANY = 1 << 7,
	MIME_F_BAD_CTE = 1 << 8, /* unknown or forbidden transfer encoding */
	MIME_F_8BIT_HEADER = 1 << 9,
	MIME_F_BARE_LF = 1 << 10, /* LF without CR or CR without LF inside */
	MIME_F_PREAMBLE =
	    1 << 11, /* text that is not white space before the first or after the last part */
	MIME_F_NUL = 1 << 12,
};
enum mime_cte { CTE_7BIT, CTE_8BIT, CTE_BINARY, CTE_QP, CTE_BASE64, CTE_OTHER };

struct mime_part {
	uint64_t hdr_off, body_off,
	    end_off; /* header [hdr_off, body_off), body [body_off, end_off); end excludes the CRLF before a delimiter */
	uint32_t body_lines; /* CRLF (or LF) count of the body */
	uint32_t flags;      /* enum mime_flag */
	enum mime_cte cte;
	struct slice type, subtype; /* lower case */
	struct hdr_param *params;   /* of Content-Type */
	struct slice disposition;   /* lower case; ptr NULL when none */
	struct hdr_param *disp_params;
	struct slice id, description, md5, language, location,
	    cte_raw; /* raw header bodies unfolded; ptr NULL when none */
	struct mime_part *parent, *child, *next;
	uint32_t n_children;
	/* message/rfc822: child is the embedded message's root. */
};
struct mime_limits {
	unsigned depth;    /* 32 */
	unsigned parts;    /* 2000 */
	size_t header_max; /* 256 KiB a part header */
};
extern const struct mime_limits mime_limits_default;

/* Parses whole (header and body). The tree lives in the arena and borrows nothing from whole except through
 * its offsets. 0, ERR_NOMEM. */
int mime_parse(struct slice whole, const struct mime_limits *lim, struct arena *a,
    struct mime_part **root_out);
/* The part by IMAP section number ("1.2.3" as n numbers; RFC 9051 6.4.5: message/rfc822 children number through); NULL if none. */
const struct mime_part *mime_find(const struct mime_part *root, const uint32_t *path, size_t n);
/* Of the flat form: a tree that says more than before raises it, and `congvu store rebuild` makes those of old mail anew. */
enum { MIME_TREE_VERSION = 1 };
/* A flat form for storage, version byte first; decode is safe on hostile bytes (ERR_CORRUPT). */
int mime_tree_encode(const struct mime_part *root, struct buf *out);
int mime_tree_decode(struct slice s, struct arena *a, struct mime_part **root_out);
/* IMAP "ENVELOPE" and "BODYSTRUCTURE"/"BODY" texts, RFC 3501 7.4.2 / 9051 7.5.2, all-ASCII unless utf8. envelope reads the
 * message's header; structure needs the tree, and whole for embedded ENVELOPEs (may be empty: then NIL fields). */
int mime_envelope(struct slice header, bool utf8, struct buf *out);
int mime_bodystructure(
    const struct mime_part *root, struct slice whole, bool extensible, bool utf8, struct buf *out);
/* Decodes a part's transfer encoding into out; *clean_out (may be NULL) false when anything had to be skipped (junk in base64, early "="). */
int mime_decode_body(enum mime_cte cte, struct slice body, struct buf *out, bool *clean_out);

/* Codecs. strict: any byte outside the alphabet but CRLF, or bad padding, is ERR_SYNTAX; else skipped. */
int b64_encode(struct slice s, bool wrap76, struct buf *out);
int b64_decode(struct slice s, bool strict, struct buf *out);
int qp_decode(struct slice s, bool strict, struct buf *out);
/* Text with CRLF line ends in lines of at most 76 (RFC 2045 6.7); CR or LF alone are encoded. */
int qp_encode(struct slice s, struct buf *out);

#endif
