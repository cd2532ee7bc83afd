/* milter_proto.h: packets of the milter protocol, version 6, as Sendmail's libmilter speaks it; pure. Packet: u32 length of what
 * follows, command byte, data. */
#ifndef CV_MILTER_PROTO_H
#define CV_MILTER_PROTO_H

#include "lib/buf.h"

enum {
	MILTER_VERSION = 6,
	MILTER_CHUNK_MAX = 65535,   /* data of a packet to a milter */
	MILTER_REPLY_MAX = 1048576, /* and from one */
	MILTER_ACTIONS = 0x1FF,     /* all modifications up to version 6 */
	/* every step may be left out or go unanswered, and leading spaces be kept; not RCPT_REJ (0x800): refused
	 * recipients are not shown to milters */
	MILTER_STEPS = 0x1FF7FF,
};
enum milter_action_bit {
	MILTER_F_ADDHDRS = 0x1,
	MILTER_F_CHGBODY = 0x2,
	MILTER_F_ADDRCPT = 0x4,
	MILTER_F_DELRCPT = 0x8,
	MILTER_F_CHGHDRS = 0x10,
	MILTER_F_QUARANTINE = 0x20,
	MILTER_F_CHGFROM = 0x40,
	MILTER_F_ADDRCPT_PAR = 0x80,
	MILTER_F_SETSYMLIST = 0x100,
};
enum milter_step_bit {
	MILTER_P_NOCONNECT = 0x1,
	MILTER_P_NOHELO = 0x2,
	MILTER_P_NOMAIL = 0x4,
	MILTER_P_NORCPT = 0x8,
	MILTER_P_NOBODY = 0x10,
	MILTER_P_NOHDRS = 0x20,
	MILTER_P_NOEOH = 0x40,
	MILTER_P_NR_HDR = 0x80,
	MILTER_P_NOUNKNOWN = 0x100,
	MILTER_P_NODATA = 0x200,
	MILTER_P_SKIP = 0x400,
	MILTER_P_NR_CONN = 0x1000,
	MILTER_P_NR_HELO = 0x2000,
	MILTER_P_NR_MAIL = 0x4000,
	MILTER_P_NR_RCPT = 0x8000,
	MILTER_P_NR_DATA = 0x10000,
	MILTER_P_NR_UNKN = 0x20000,
	MILTER_P_NR_EOH = 0x40000,
	MILTER_P_NR_BODY = 0x80000,
	MILTER_P_HDR_LEADSPC = 0x100000,
};

/* ---- to a milter: each appends one packet ---- */
int milter_put(struct buf *b, char cmd, struct slice data);
int milter_put_optneg(struct buf *b, uint32_t actions, uint32_t steps);
/* Strings, each ended by a NUL: helo, mail and rcpt with their arguments, header name and value. */
int milter_put_strings(struct buf *b, char cmd, const struct slice *s, size_t n);
/* family '4', '6', 'L' or 'U'. */
int milter_put_connect(
    struct buf *b, const char *host, char family, uint16_t port, const char *address);
struct milter_macro {
	const char *name, *value; /* left out when value is NULL or empty */
};
/* The macros of a stage: nothing is appended when there are none. */
int milter_put_macros(struct buf *b, char stage, const struct milter_macro *m, size_t n);

/* ---- from a milter ---- */
/* The packet at the start of in. 0, ERR_AGAIN, ERR_PROTO (length 0 or over MILTER_REPLY_MAX). */
int milter_packet(struct slice in, char *cmd_out, struct slice *data_out, size_t *used_out);
/* What was agreed: a milter may only take away from what was offered. 0 or ERR_PROTO. */
int milter_get_optneg(
    struct slice data, uint32_t *version_out, uint32_t *actions_out, uint32_t *steps_out);
/* Index and two strings of 'm' and 'i' (has_index), two strings of 'h', one or two of '+', '-', '2', 'e', 'q'; the second is
 * empty when missing. */
int milter_get_mod(struct slice data, bool has_index, uint32_t *index_out, struct slice *a_out,
    struct slice *b_out);
/* The text of 'y': "550 5.7.1 text" or lines "550-5.7.1 text" CRLF "550 5.7.1 text". code_out 400..599; the text without codes, lines
 * separated by LF, "%%" made "%", appended to text. 0 or ERR_PROTO. */
int milter_get_reply(struct slice data, unsigned *code_out, struct buf *text);

#endif
