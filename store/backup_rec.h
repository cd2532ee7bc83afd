/* backup_rec.h: the record of changes of rows, as stored's journal and the files of a backup have it: whole transactions, one behind the other. Pure; used by
 * stored (journal.c) and by congvu-stored-restore, which reads a backup folder: hostile input.
 *
 * A record: u32 magic, u32 length of the payload, i64 microseconds since 1970, u32 CRC of the record before it (0 in the first one of a file of
 * rows), u32 CRC-32C of all that and of the payload. The payload: changes, each u8 kind, u16 length of the key, then for a put
 * u32 length of the value; key, value. */
#ifndef CV_BACKUP_REC_H
#define CV_BACKUP_REC_H

#include "lib/buf.h"
#include "store/backup_client.h"

#define BACKUP_REC_HEAD 24
#define BACKUP_REC_MAX \
	(96u << 20) /* of a payload: a commit has at most 32 MiB of batches, and purges */

enum backup_op_kind { BACKUP_PUT = 1, BACKUP_DEL = 2 };
struct backup_op {
	enum backup_op_kind kind;
	struct slice key, value;
};
struct backup_head {
	uint32_t len;
	int64_t at_us;
	uint32_t before, crc;
};
/* Makes b the beginning of a record; then changes; then the end, which fills in the head. Errors are latched in b. */
void backup_rec_begin(struct buf *b);
void backup_rec_put(struct buf *b, struct slice key, struct slice value);
void backup_rec_del(struct buf *b, struct slice key);
/* Gives the record's CRC. */
uint32_t backup_rec_end(struct buf *b, int64_t at_us, uint32_t before);
/* Reads BACKUP_REC_HEAD octets: 0 or ERR_CORRUPT. */
int backup_head_read(struct slice s, struct backup_head *h_out);
/* head: its BACKUP_REC_HEAD octets. 0 or ERR_CORRUPT. */
int backup_rec_check(struct slice head, struct slice payload);
/* The next change of a payload, borrowed: 1; 0 at the end; ERR_CORRUPT (a length that does not fit, an unknown kind, an empty key). */
int backup_op_next(struct slice *rest, struct backup_op *op_out);

/* ---- a stream of records, as congvu hands a backup to congvu-stored-restore ----
 * Sections, each a mark of BACKUP_REC_HEAD octets and records: rows, then the journal, whose records follow one another; then the mark of the end. */

struct backup_stream {
	struct buf in;
	enum backup_section section;
	bool chained; /* before is known */
	uint32_t before;
	uint64_t records, changes;
	/* Each change of a record that was checked, in order. Other than 0 ends it. */
	int (*op)(void *arg, const struct backup_op *op);
	void *arg;
};
void backup_stream_init(
    struct backup_stream *s, int (*op)(void *arg, const struct backup_op *op), void *arg);
void backup_stream_done(struct backup_stream *s);
/* Octets as they come. 0, ERR_CORRUPT, ERR_NOMEM, or what op gave; after an error it is over. It is whole when section is BACKUP_END. */
int backup_stream_feed(struct backup_stream *s, struct slice bytes);

#endif
