/* imap_parse.h: frames a client's bytes into commands: lines with literals inside. Pure and incremental; it keeps what belongs
 * to the command under way and nothing else, bounded by struct imap_limits. RFC 3501 4.3 and 9, RFC 7888 (LITERAL+).
 *
 * A whole command is given as one slice, literals standing in it as they came ("{3}\r\nabc"): imap_cur.h reads it. The message of an
 * APPEND is not kept: it is announced (IMAP_EV_STREAM) and its octets are the caller's to take. */
#ifndef CV_IMAP_PARSE_H
#define CV_IMAP_PARSE_H

#include "lib/buf.h"

struct imap_limits {
	size_t line;    /* octets of all lines of a command, literals not counted */
	size_t literal; /* octets of one literal that is kept */
	size_t total;   /* octets of a command */
};
extern const struct imap_limits imap_limits_before_login; /* 8 KiB, 4 KiB, 16 KiB */
extern const struct imap_limits imap_limits_after_login;  /* 64 KiB, 64 KiB, 256 KiB */

enum imap_event {
	IMAP_EV_MORE,     /* all input was taken, nothing is whole yet */
	IMAP_EV_COMMAND,  /* imap_parse_text() is a command without its final CRLF */
	IMAP_EV_LINE,     /* imap_parse_text() is the line asked for by imap_parse_want_line */
	IMAP_EV_CONTINUE, /* a synchronising literal was accepted: say "+", then go on */
	IMAP_EV_STREAM, /* APPEND: text ends before the literal ("{" or "~{") of literal_size octets, which come next */
	IMAP_EV_BAD, /* a literal that may not be kept was asked for: text is the command so far, why says it; it is over */
	IMAP_EV_FATAL, /* the stream cannot be followed any more: BYE; why says it */
};

struct imap_parse {
	const struct imap_limits *lim;
	bool may_stream; /* signed in: the message of an APPEND is streamed */
	/* with an event */
	uint64_t literal_size;
	bool literal_sync;
	bool literal8;   /* "~{n}" (RFC 4466) */
	const char *why; /* static text */
	/* inside */
	struct buf text;
	size_t line_octets, line_start;
	uint64_t literal_left;
	size_t want_line; /* > 0: the next line is data, of at most so many octets */
	bool in_quote, escaped;
};
void imap_parse_init(struct imap_parse *p);
void imap_parse_done(struct imap_parse *p);
/* After a login: wider limits, and APPEND streams. */
void imap_parse_signed_in(struct imap_parse *p);
/* Takes input until an event; *used_out octets of it were taken. After COMMAND, LINE, STREAM and BAD call imap_parse_next when
 * the text is not needed any more, before feeding again. */
enum imap_event imap_parse_feed(struct imap_parse *p, struct slice in, size_t *used_out);
struct slice imap_parse_text(const struct imap_parse *p);
void imap_parse_next(struct imap_parse *p);
/* The next line is not a command (DONE, an answer to a challenge, the end of an APPEND): given whole as IMAP_EV_LINE. */
void imap_parse_want_line(struct imap_parse *p, size_t max);
/* "{n}", "{n+}", "~{n}" or "~{n+}" at the end of a line: *at_out is where it begins. */
bool imap_parse_literal(
    struct slice line, size_t *at_out, uint64_t *size_out, bool *sync_out, bool *literal8_out);

#endif
