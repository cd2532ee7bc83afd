/* segment_priv.h: for segment*.c alone: files, records, blocks. */
#ifndef CV_SEGMENT_PRIV_H
#define CV_SEGMENT_PRIV_H

#include <pthread.h>

#include "lib/rw.h"
#include "lib/zst.h"
#include "store/seg_head.h"
#include "store/segment.h"

enum {
	FILE_HEADER = SEG_HEADER_MAX,
	REC_HEADER = 96,
	REC_DEAD = 0x80, /* flag of a header: space of a write that failed */
	BLOCK = 256 << 10,
	ALIGN = 8,
	NONCE = 12,
	TAG = 16,
	CODEC_RAW = 0,
	CODEC_ZSTD = 1,
	CODEC_SHIFT = 28,
	WORD_LEN = (1 << CODEC_SHIFT) - 1,
};
/* Which file what is written goes to. */
enum stream_kind { STREAM_NEW, STREAM_COPY, STREAMS };

struct file {
	int fd; /* -1: not open now */
	unsigned users;
	bool dirty;
	bool copies; /* made in this run for copies: synced by seg_sync_copies */
	bool key_known;
	unsigned char key[32]; /* of its data */
	uint64_t used_at;
};
struct stream {
	uint32_t file;   /* 0: none yet */
	uint64_t end;    /* of its records */
	uint64_t filled; /* of the zeros behind them; at least end */
};
/* What one call works with; kept for the next one. */
struct work {
	struct work *next;
	struct zst *zst;
	unsigned char *stored, *plain, *clear;
	size_t stored_room, plain_room, clear_room;
};
struct seg {
	pthread_mutex_t mu;
	pthread_mutex_t sync_mu; /* one seg_sync at a time, so that it ends after all before it */
	int dir_fd;
	uint64_t file_max, reserve;
	uint64_t
	    room; /* of the disk, as it was when it was asked last, less what was written since */
	int64_t room_asked_ms;
	struct file *files; /* by number */
	uint32_t n_files;
	struct stream streams[STREAMS];
	uint64_t next_body;
	uint64_t written, clock;
	unsigned n_open, pins;
	struct work *idle;     /* under mu */
	struct seg_keys *keys; /* NULL: what is written is not encrypted */
	struct writing {       /* where a record is being written now */
		uint32_t file;
		uint64_t off;
	} * writing;
	size_t n_writing;
};

/* segment_codec.c: pure */
void put32(unsigned char *p, uint32_t v);
void put64(unsigned char *p, uint64_t v);
uint32_t get32(const unsigned char *p);
uint64_t get64(const unsigned char *p);
/* The header of a record, version 2. */
void rec_head_encode(const struct seg_loc *l, unsigned flags, const unsigned char nonce[NONCE],
    unsigned char h[REC_HEADER]);
int rec_head_decode(const unsigned char h[REC_HEADER], struct seg_loc *l, unsigned *flags_out,
    unsigned char nonce_out[NONCE]);
/* Blocks of a record: 0 is the summary, the content follows. */
uint64_t rec_blocks(const struct seg_loc *l);
size_t rec_plain_len(const struct seg_loc *l, uint64_t index);
size_t rec_entry_len(unsigned flags);
/* Octets of header and table. */
uint64_t rec_table_end(const struct seg_loc *l);
uint64_t rec_padded(uint64_t len);
/* An entry of the table is a word (codec, length as stored), a check of both and the octets, and when sealed a tag. */
static inline uint32_t
word_len(uint32_t word)
{
	return word & WORD_LEN;
}
static inline unsigned
word_codec(uint32_t word)
{
	return word >> CODEC_SHIFT;
}
/* Whether a block of plain octets can have been stored so. */
bool word_ok(uint32_t word, size_t plain);
/* What a sealed block is bound to: its file, body and place, all that the header says. */
enum { BLOCK_AAD = 88 };
struct slice block_aad(
    const struct seg_loc *l, uint64_t index, uint32_t word, unsigned char aad[BLOCK_AAD]);
/* base: random for each record, so that no place and no number that a crash freed can bring one back. */
void block_nonce(const unsigned char base[NONCE], uint64_t index, unsigned char out[NONCE]);
uint32_t block_check(uint64_t body, uint64_t index, uint32_t word, const void *p);

/* segment.c: files */
int read_at(int fd, void *p, size_t n, uint64_t off); /* exactly n: else ERR_EOF */
void file_name(uint32_t number, char out[16]);
/* The descriptor of a file, to be given back by file_put. */
int file_get(struct seg *s, uint32_t number, int *fd_out);
void file_put(struct seg *s, uint32_t number, bool written);
/* With the lock: begins a file of this stream. */
int file_make(struct seg *s, enum stream_kind kind);
/* The data key of a file that is sealed. ERR_CORRUPT, ERR_DENIED, ERR_NOTFOUND, ERR_IO. */
int file_key(struct seg *s, uint32_t number, unsigned char key_out[32]);
struct work *work_get(struct seg *s);
void work_put(struct seg *s, struct work *w);
/* Room for n octets; what was there is gone. */
unsigned char *work_stored(struct work *w, size_t n);
unsigned char *work_plain(struct work *w, size_t n);
unsigned char *work_clear(struct work *w, size_t n);

/* segment_read.c: a record that is open to be read block by block. */
struct rec {
	struct seg *s;
	const struct seg_loc *l;
	struct work *w;
	int fd;
	unsigned char *
	    head; /* header, table up to the last block wanted; the whole record when it is small */
	size_t have;
	uint64_t at, off; /* block and where it begins */
	unsigned char nonce[NONCE], key[32];
};
/* last: index of the last block that will be asked for. Closed by rec_close when 0. */
int rec_open(struct seg *s, const struct seg_loc *l, uint64_t last, struct rec *r);
void rec_close(struct rec *r);
/* The word and the octets of a block as stored, checked (and, when sealed, in the clear): valid until the next call. Indexes rise. */
int rec_stored(struct rec *r, uint64_t index, uint32_t *word_out, const unsigned char **p_out);
/* The plain octets to to. */
int rec_block(struct rec *r, uint64_t index, unsigned char *to);

/* segment_backup.c: a record is written from here on (with the lock), and no more */
void writing_begin(struct seg *s, const struct seg_loc *l);
void writing_end(struct seg *s, const struct seg_loc *l);

/* segment_v1.c: records of version 1 */
uint64_t v1_table_len(uint64_t size);
uint64_t v1_record_len(uint64_t size, uint32_t summary_len);
int v1_read(struct seg *s, const struct seg_loc *l, uint64_t off, uint32_t len, struct buf *out);
int v1_read_summary(struct seg *s, const struct seg_loc *l, struct buf *out);
int v1_read_whole(struct seg *s, const struct seg_loc *l, bool want_summary, struct buf *out);

#endif
