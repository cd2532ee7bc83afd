/* hdr.h: header fields of a message, pure; positions in the caller's bytes, nothing is changed. RFC 5322, RFC 2047, RFC 2231. */
#ifndef CV_HDR_H
#define CV_HDR_H

#include "lib/arena.h"

struct hdr_field {
	struct slice name; /* without colon and without white space before it */
	struct slice body; /* raw bytes after the colon, folding included, without the final CRLF */
	struct slice whole; /* name to final CRLF inclusive */
};

/* Walks fields: *rest starts at the header and is moved behind the field. 0, ERR_EOF at the empty line (rest then begins
 * behind it) or at the end of input, ERR_SYNTAX for a line that is no field (rest moved behind it, so that the caller may go on). LF
 * alone is accepted as line end. */
int hdr_next(struct slice *rest, struct hdr_field *field_out);
/* The n-th (from 0) field of that name in a header block; false when there is none. Case-insensitive. */
bool hdr_find(struct slice header, const char *name, size_t n, struct hdr_field *field_out);
size_t hdr_count(struct slice header, const char *name);
/* Offset of the body: behind the first empty line; header.len when there is none. */
size_t hdr_body_offset(struct slice message);
/* Unfolded (CRLF before white space removed), trimmed, appended to out. */
int hdr_unfold(struct slice body, struct buf *out);
/* RFC 2047 encoded-words decoded to UTF-8 (charsets through iconv, unknown ones as U+FFFD), unfolded; invalid UTF-8 replaced. */
int hdr_decode(struct slice body, struct buf *out);
/* RFC 2047 encoding of UTF-8 text where needed, in lines of at most 76. For fields that we make ourselves. */
int hdr_encode(struct slice utf8, struct buf *out);

/* "type/subtype; a=b; c*=utf-8''d" of Content-Type and Content-Disposition. RFC 2045 5.1, RFC 2231. */
struct hdr_param {
	struct slice name;  /* lower case, without * and section numbers */
	struct slice value; /* decoded to UTF-8; unquoted */
	struct hdr_param *next;
};
struct hdr_ctype {
	struct slice type; /* lower case; for Content-Disposition the disposition, subtype empty */
	struct slice subtype; /* lower case */
	struct hdr_param *params;
	bool
	    duplicate; /* a parameter came twice, or both as name= and name*= (ambiguous: MILTER.md case 33) */
	bool malformed; /* something could not be read */
};
/* ERR_SYNTAX when there is no type; parameters are read leniently. At most 64 parameters. */
int hdr_ctype_parse(struct slice body, bool is_disposition, struct arena *a, struct hdr_ctype *out);
/* The value of a parameter, NULL ptr when absent. */
struct slice hdr_ctype_param(const struct hdr_ctype *c, const char *name);
/* Text in charset → UTF-8 appended to out; unknown charset or bad bytes become U+FFFD. false when anything was replaced. */
bool charset_to_utf8(struct slice charset, struct slice text, struct buf *out);

#endif
