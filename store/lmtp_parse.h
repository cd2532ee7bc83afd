/* lmtp_parse.h: LMTP commands and the text of DATA, pure. RFC 2033, RFC 5321. */
#ifndef CV_LMTP_PARSE_H
#define CV_LMTP_PARSE_H

#include "lib/arena.h"

enum lmtp_verb {
	LMTP_UNKNOWN,
	LMTP_LHLO,
	LMTP_MAIL,
	LMTP_RCPT,
	LMTP_DATA,
	LMTP_BDAT,
	LMTP_RSET,
	LMTP_NOOP,
	LMTP_QUIT,
	LMTP_VRFY,
	LMTP_HELO, /* HELO and EHLO: refused, RFC 2033 4.1 */
};
/* The verb of a line without its CRLF; *args_out is what follows it and one space. */
enum lmtp_verb lmtp_verb_parse(struct slice line, struct slice *args_out);

struct lmtp_mail {
	struct slice sender; /* "" for <> */
	uint64_t size;       /* 0 when not told */
	bool utf8;           /* SMTPUTF8 */
	bool sent;   /* XCVSENT: no delivery, a copy of what was sent, for the recipients' Sent */
	bool has_id; /* XCVID came */
	unsigned char id[16];
	/* XCVSEEN came: no message follows; each RCPT asks whether what was delivered there under id is read (P32) */
	bool asks_seen;
};
/* The arguments of MAIL ("FROM:<…> params") and RCPT ("TO:<…>"). NULL, or the reply to refuse with, without CRLF. Texts lie
 * in the arena. */
const char *lmtp_mail_parse(struct slice args, struct arena *a, struct lmtp_mail *out);
const char *lmtp_rcpt_parse(
    struct slice args, bool utf8, struct arena *a, struct slice *address_out);

/* The text behind DATA, in pieces as they come. What is found wrong is noted and the rest is read over up to the end, which
 * is CRLF.CRLF and nothing else. */
enum lmtp_data_state { LMTP_D_BOL, LMTP_D_DOT, LMTP_D_DOT_CR, LMTP_D_MID, LMTP_D_CR };
struct lmtp_data {
	enum lmtp_data_state state;
	bool bare; /* a CR or LF alone */
	bool nul;
};
void lmtp_data_init(struct lmtp_data *d);
/* Takes bytes of in up to the end of the message: *used_out of them; text without the stuffed dots goes to put in pieces. True
 * when the end was reached. */
bool lmtp_data_feed(struct lmtp_data *d, struct slice in, size_t *used_out,
    void (*put)(void *arg, const void *p, size_t n), void *arg);

/* "n [LAST]" of BDAT (RFC 3030 2): 0 or ERR_SYNTAX. */
int lmtp_bdat_parse(struct slice args, uint64_t *size_out, bool *last_out);
/* Looks at octets of a chunk as they come, and notes what lmtp_data_feed would: a text is good when neither bare nor nul is set and the state is
 * LMTP_D_BOL at its end. */
void lmtp_chunk_look(struct lmtp_data *d, struct slice in);

#endif
