/* smtp_reply.h: what an SMTP or LMTP server answers, as bytes; pure, no I/O. RFC 5321 4.2, RFC 2034, RFC 5321 4.1.1.1 (EHLO). */
#ifndef CV_SMTP_REPLY_H
#define CV_SMTP_REPLY_H

#include "lib/buf.h"

enum {
	SMTP_REPLY_LINE_MAX = 8192, /* RFC 5321 4.5.3.1.5 says 512; servers are more generous */
	SMTP_REPLY_LINES_MAX = 200,
	SMTP_REPLY_TEXT_MAX = 511,
};
struct smtp_reply {
	unsigned code;  /* 200 to 599; of the line read last */
	unsigned lines; /* read so far */
	size_t len;
	char
	    text[SMTP_REPLY_TEXT_MAX +
		 1]; /* the lines in one, controls as spaces, an enhanced code said once; cut off */
};
void smtp_reply_init(struct smtp_reply *r);
/* Reads one line of the reply from in. *used_out: its bytes with the line end (0: no whole line is there). *text_out: what stands
 * behind the code, borrowed from in. 0: the reply is complete; ERR_AGAIN: it is not; ERR_PROTO: no reply; ERR_LIMIT: too long. */
int smtp_reply_read(
    struct smtp_reply *r, struct slice in, size_t *used_out, struct slice *text_out);

enum smtp_ext_bit {
	SMTP_EXT_PIPELINING = 1,
	SMTP_EXT_8BITMIME = 2,
	SMTP_EXT_SMTPUTF8 = 4,
	SMTP_EXT_SIZE = 8,
	SMTP_EXT_XCVID = 16,
	SMTP_EXT_STARTTLS = 32,
	SMTP_EXT_DSN = 64,
	SMTP_EXT_AUTH_PLAIN = 128,
	SMTP_EXT_CHUNKING = 256,
	SMTP_EXT_XCVJUDGE = 512,
	SMTP_EXT_XCVSENT = 1024,
	SMTP_EXT_XCVSEEN = 2048,
};
struct smtp_ext {
	unsigned bits; /* enum smtp_ext_bit */
	uint64_t size; /* SIZE's number; 0: none was given */
};
/* Notes one line of the answer to EHLO or LHLO. */
void smtp_ext_note(struct smtp_ext *e, struct slice line);

#endif
