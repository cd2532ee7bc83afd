/* seg_head.h: the header of a segment file and the master keys that wrap its data key. For segment*.c in stored; congvu check and the fuzz
 * targets read headers too. Pure but for seg_keys_read. */
#ifndef CV_SEG_HEAD_H
#define CV_SEG_HEAD_H

#include "lib/buf.h"

enum {
	SEG_SECTOR = 512, /* the only atom of a disk */
	SEG_HEADER_MAX =
	    2 * SEG_SECTOR, /* from the begin of a file: version 2 has its header twice */
	SEG_HEADER1 = 64,   /* of version 1 */
};
#define SEG_KEYS_MAX 64
#define SEG_KEY_ID_MAX 32
enum { SEG_WRAPPED = 12 + 32 + 16 };

/* The file of store_key_file: a line for each key, "id 64 hex digits", "#" begins a comment; the last key is the newest and wraps what is made
 * from now on, the others open what is there. Ids: letters, digits, "-", "_", ".". */
struct seg_keys {
	size_t n;
	struct {
		char id[SEG_KEY_ID_MAX + 1];
		unsigned char key[32];
	} k[SEG_KEYS_MAX];
};
/* 0; ERR_SYNTAX: *line_out (may be NULL) is the first bad line, 0 when there is no key at all; ERR_LIMIT. */
int seg_keys_parse(struct slice text, struct seg_keys *out, unsigned *line_out);
/* The whole file at fd: as above, or ERR_IO. */
int seg_keys_read(int fd, struct seg_keys *out, unsigned *line_out);
void seg_keys_wipe(struct seg_keys *k);

struct seg_head {
	uint32_t number;
	uint8_t version, kind; /* kind 0: new bodies, 1: copies */
	bool sealed;
	char key_id[SEG_KEY_ID_MAX + 1];
	unsigned char wrapped[SEG_WRAPPED]; /* the data key of this file */
};
void seg_head_encode(const struct seg_head *h, unsigned char sector[SEG_SECTOR]);
/* n octets from the begin of the file, SEG_HEADER_MAX at most: the first header that is good. 0 or ERR_CORRUPT. */
int seg_head_decode(const unsigned char *p, size_t n, struct seg_head *h_out);
/* Wraps the data key of this file under the newest key. */
int seg_head_wrap(
    struct seg_head *h, const struct seg_keys *keys, const unsigned char data_key[32]);
/* 0; ERR_NOTFOUND: none of the keys has the id; ERR_DENIED: the key of that id is another one, or the header was changed. */
int seg_head_unwrap(
    const struct seg_head *h, const struct seg_keys *keys, unsigned char data_key_out[32]);

#endif
