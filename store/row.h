/* row.h: what the store knows of a message in a mailbox, and its coded form (a row). Pure; used by stored, ingest and imapd.
 * Every coded form begins with a version byte. */
#ifndef CV_ROW_H
#define CV_ROW_H

#include "lib/arena.h"

enum msg_flag { /* RFC 3501 2.3.2; \Recent is not stored here (see store_opened.recent_from) */
	MSG_SEEN = 1,
	MSG_ANSWERED = 2,
	MSG_FLAGGED = 4,
	MSG_DELETED = 8,
	MSG_DRAFT = 16,
};

/* One message in one mailbox. Slices are borrowed from the buffer it was decoded from. */
struct msg_row {
	uint32_t uid;
	uint64_t modseq;
	uint32_t flags; /* enum msg_flag */
	struct slice
	    keywords; /* atoms separated by one space, as first spelled; empty: none. At most 64, 4 KiB */
	int64_t internal_date;      /* seconds since 1970 */
	int16_t internal_zone;      /* minutes */
	int64_t save_date;          /* when it came into this mailbox */
	uint64_t size;              /* RFC822.SIZE: trace.len + body size */
	uint64_t body;              /* body number */
	unsigned char email_id[16]; /* same for all copies (RFC 8474) */
	struct slice
	    trace; /* header fields of this delivery, CRLF-terminated lines, prepended on fetch; at most 8 KiB */
	struct slice
	    envelope; /* IMAP ENVELOPE text as mime_envelope(header, false) gives; at most 16 KiB, else empty: read from the body */
	int64_t sent_date; /* Date: field, seconds since 1970; INT64_MIN when unreadable */
	bool damaged; /* from store_rows alone: the row cannot be read, all but the UID is empty */
	struct slice refs; /* msgid_refs (lib/msgid.h); empty: not known, read the header */
};
int msg_row_encode(const struct msg_row *r, struct buf *out);
int msg_row_decode(struct slice s, struct msg_row *r_out); /* 0 or ERR_CORRUPT */

/* RFC 8474 5.1: the email id as clients see it, out has EMAIL_ID_TEXT octets. */
#define EMAIL_ID_TEXT 34
static inline void
email_id_text(const unsigned char id[16], char *out)
{
	*out++ = 'M';
	for (int i = 0; i < 16; i++) {
		*out++ = "0123456789abcdef"[id[i] >> 4];
		*out++ = "0123456789abcdef"[id[i] & 15];
	}
	*out = '\0';
}

#endif
