/* smtp_parse.h: SMTP commands and message data as bytes; pure, no I/O. RFC 5321, 1870, 3030, 3461, 4954, 6152, 6531. */
#ifndef CV_SMTP_PARSE_H
#define CV_SMTP_PARSE_H

#include "lib/arena.h"

enum {
	SMTP_CMD_MAX =
	    4096, /* a command line with CRLF: 512 and what MAIL and RCPT extensions add (RFC 5321 4.5.3.1) */
	SMTP_AUTH_MAX = 12288,  /* a line of an AUTH exchange (RFC 4954 4) */
	SMTP_LINE_MAX = 65536,  /* a line of a message, CRLF not counted */
	SMTP_FIELD_MAX = 60000, /* a header field: one milter packet carries it */
	SMTP_HEADER_MAX = 524288,
};

/* The first line of in: *line_out without CRLF, *used_out with it. 0, ERR_AGAIN (no CRLF yet), ERR_LIMIT (max passed without a
 * line end), ERR_SYNTAX (bare CR or LF or NUL in it; *used_out is up to and with the LF: RFC 5321 2.3.8). */
int smtp_line(struct slice in, size_t max, struct slice *line_out, size_t *used_out);

/* "VERB rest": verb up to the first space, args without leading space; trailing spaces dropped. */
void smtp_split(struct slice line, struct slice *verb_out, struct slice *args_out);

enum smtp_notify {
	SMTP_NOTIFY_NEVER = 1,
	SMTP_NOTIFY_SUCCESS = 2,
	SMTP_NOTIFY_FAILURE = 4,
	SMTP_NOTIFY_DELAY = 8
};

struct smtp_mail {
	struct slice from; /* "local@domain", empty for <> */
	uint64_t size;     /* SIZE=, 0 when not given */
	bool body_8bit, smtputf8;
	struct slice ret, envid; /* DSN: "FULL" or "HDRS"; xtext as sent; ptr NULL when not given */
	/* XCVID, XCVLOGIN, XCVADDR: ours, from relay by judge.sock and nobody else; ptr NULL when not given. 16 octets; a login; an IP address. */
	struct slice judge_id, judge_login, judge_ip;
	struct slice judge_release; /* XCVRELEASE: "QID RULES SHA-256"; likewise */
};
struct smtp_rcpt {
	struct slice to;    /* "local@domain", or "postmaster" */
	struct slice orcpt; /* as sent; ptr NULL when not given */
	unsigned notify;    /* enum smtp_notify; 0 when not given */
};
/* What follows MAIL / RCPT. lenient: spaces after "FROM:" and "TO:" (Outlook), as on submission. 0; ERR_SYNTAX (the command or
 * a parameter's value), ERR_RANGE (the path is no address), ERR_UNSUPPORTED (a parameter we do not know), ERR_EXISTS (a parameter
 * twice), ERR_LIMIT, ERR_NOMEM. */
int smtp_mail_parse(struct slice args, bool lenient, struct arena *a, struct smtp_mail *out);
int smtp_rcpt_parse(struct slice args, bool lenient, struct arena *a, struct smtp_rcpt *out);
/* "n [LAST]" of BDAT. RFC 3030 2. */
int smtp_bdat_parse(struct slice args, uint64_t *size_out, bool *last_out);

/* ---- message data ---- */

enum smtp_data_fault {
	SMTP_DATA_OK = 0,
	SMTP_DATA_BARE_CR,
	SMTP_DATA_BARE_LF,
	SMTP_DATA_NUL,
	SMTP_DATA_LONG_LINE,
	SMTP_DATA_LONG_FIELD,
	SMTP_DATA_LONG_HEADER,
};
/* The reader of a message: with dots for DATA (CRLF.CRLF ends it and nothing else, RFC 5321 4.1.1.4), without for BDAT. After a fault
 * it goes on to the end without giving bytes, so that nothing of the message is taken for commands. */
struct smtp_data {
	bool dots;
	bool at_end; /* the end of DATA was read */
	bool in_header, eight_bit, header_eight_bit, any;
	enum smtp_data_fault fault;
	int state;
	size_t line_len, field_len, header_len;
};
void smtp_data_init(struct smtp_data *d, bool dots);
/* Reads all of in, or up to the end of data; returns how many bytes were read. The message's bytes (dots removed) are appended
 * to out, whose cap must be at least in.len + 2. */
size_t smtp_data_read(struct smtp_data *d, struct slice in, struct buf *out);
/* Whether the message so far ends in CRLF (or is empty): asked at BDAT LAST. */
bool smtp_data_ends_clean(const struct smtp_data *d);

#endif
