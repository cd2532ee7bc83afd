/* mboxfile.h: reads an mbox file (RFC 4155 and its older kin) message by message, with what its programs keep in header fields of their own. Pure but for
 * the caller's read function; hostile input: one window of 64 KiB, whatever the file is like. Used by congvu mailbox import. */
#ifndef CV_MBOXFILE_H
#define CV_MBOXFILE_H

#include "lib/buf.h"

/* How lines of a body that begin with "From " were written: with one more ">" whether they had some or not (mboxrd), only those without one
 * (mboxo), or as they are. AUTO: as they are where a Content-Length holds (mboxcl2, as Dovecot writes), else mboxrd. */
enum mboxfile_quoting { MBOXFILE_AUTO, MBOXFILE_RD, MBOXFILE_O, MBOXFILE_NONE };

struct mboxfile {
	int64_t (*read)(
	    void *arg, uint64_t off, void *p, size_t n); /* octets, 0 at the end, or negative */
	void *arg;
	enum mboxfile_quoting quoting;
	uint64_t off; /* in the file: of the next octet to be looked at */
	/* private */
	unsigned char *window;
	uint64_t window_off;
	size_t window_len;
	bool begun, eof;
	int err;
};
struct mboxfile_msg {
	uint64_t off;   /* of its "From " line */
	uint32_t flags; /* enum msg_flag, of Status, X-Status and X-Mozilla-Status */
	struct buf
	    keywords; /* X-Keywords and X-Mozilla-Keys, by spaces, as they stand there; $Forwarded */
	int64_t date; /* of the "From " line; INT64_MIN when there is none to be read */
	int zone;
	bool internal; /* no mail: what some programs keep in the first message */
};

void mboxfile_init(struct mboxfile *m, int64_t (*read)(void *arg, uint64_t off, void *p, size_t n),
    void *arg, enum mboxfile_quoting quoting);
void mboxfile_done(struct mboxfile *m);
/* The next message: its octets go to sink in pieces, without quoting, without the fields named above (Content-Length too), line ends as they are.
 * msg_out->keywords is made (buf_done it), also when 0. 1; 0 at the end; ERR_SYNTAX: no "From " line where the file begins; what read gave. */
int mboxfile_next(struct mboxfile *m, struct mboxfile_msg *msg_out,
    void (*sink)(void *arg, struct slice s), void *sink_arg);

/* A line (without its end): "From sender Sat Nov 21 08:00:00 2026", the seconds optional, a zone before or behind the year, anything behind. Without a zone it
 * is local time. */
bool mboxfile_from_line(struct slice line, int64_t *date_out, int *zone_out);

#endif
