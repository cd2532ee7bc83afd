/* restore_client.h: what congvu-stored-restore says while congvu takes single mailboxes out of a backup (restore_take.c): frames of u8 kind, u32 length, payload
 * (as lib/ipc.h codes it). Used by congvu too. */
#ifndef CV_RESTORE_CLIENT_H
#define CV_RESTORE_CLIENT_H

enum restore_frame {
	RESTORE_AGAIN = 'A',   /* rows, journal, end, from the beginning */
	RESTORE_COUNT = 'N',   /* u64 messages, u64 octets: what will come */
	RESTORE_MAILBOX = 'B', /* u64 id in the backup, str name: of the messages that follow */
	/* u64 mailbox, u32 uid, u32 flags, str keywords, i64 date, u16 zone, bytes trace; then ranges are asked for, pieces, the end */
	RESTORE_MESSAGE = 'M',
	RESTORE_SEGMENT =
	    'S', /* u32 file, u64 from, u64 octets: to be put in place; answered by an octet, 1 when it was */
	RESTORE_PIECE = 'D',       /* octets of the body */
	RESTORE_MESSAGE_END = 'E', /* u8 1 when its digest is right */
	RESTORE_END = 'Z',         /* str error, empty when all came */
};
enum { RESTORE_FRAME_MAX = 512 * 1024, RESTORE_TAKE = 2 /* its "index" then */ };

#endif
