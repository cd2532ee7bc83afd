/* b64_lines.h: base64 as mail programs write it, in lines of one length: a text that can be kept decoded and given back octet for octet,
 * also in part. Pure. RFC 2045 6.8. */
#ifndef CV_B64_LINES_H
#define CV_B64_LINES_H

#include "lib/buf.h"

#define B64_LINE_MAX 65532u
struct b64_form {
	uint32_t
	    line; /* characters of a line, a multiple of 4, at most B64_LINE_MAX; 0: all on one */
	uint8_t eol; /* octets of the line end: 1 LF, 2 CRLF; 0 when line is 0 */
};

/* Appends what text decodes to, when that encodes to the same octets again (it is tried). *len_out: so many octets of text from its begin; white space
 * at its end is not among them. ERR_SYNTAX: it has no such form; ERR_LIMIT. */
int b64_lines_decode(
    struct slice text, struct b64_form *form_out, uint64_t *len_out, struct buf *out);
bool b64_form_ok(const struct b64_form *f);
/* Octets of the text that n octets encode to. n < 2^41. */
uint64_t b64_lines_len(const struct b64_form *f, uint64_t n);
/* Which decoded octets [*from, *to) are needed for octets [off, off + len) of the text; n: of all. off + len <= b64_lines_len, len > 0. */
void b64_lines_need(const struct b64_form *f, uint64_t n, uint64_t off, uint64_t len,
    uint64_t *from_out, uint64_t *to_out);
/* Appends octets [off, off + len) of the text; part: the octets that b64_lines_need names. */
int b64_lines_encode(
    const struct b64_form *f, struct slice part, uint64_t off, uint64_t len, struct buf *out);

#endif
