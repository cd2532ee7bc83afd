/* segment_fuzz.c: what stands in segment files, and in the file of keys, may be anything. The first octet chooses: a record's header (refused, or it
 * codes to the same octets), a file's header, a file of keys, a whole segment file with one hostile record (refused, or its octets come out
 * within their bounds; nothing is read beyond). */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/segment_priv.h"

static void
record_head(struct slice s)
{
	unsigned char h[REC_HEADER] = {0}, again[REC_HEADER], nonce[NONCE];
	struct seg_loc l;
	unsigned flags;

	if (s.len > 0)
		memcpy(h, s.ptr, s.len < sizeof h ? s.len : sizeof h);
	put32(h + 92, crc32c(0, h, 92)); /* else nothing ever gets past it */
	if (rec_head_decode(h, &l, &flags, nonce) != 0)
		return;
	rec_head_encode(&l, flags, nonce, again);
	/* octets that mean nothing are written as zeros */
	MUST(memcmp(h + 8, again + 8, 80) == 0 && h[5] == again[5]);
	MUST(rec_blocks(&l) >= 1 && rec_table_end(&l) <= l.stored);
	MUST(rec_plain_len(&l, 0) <= SEG_SUMMARY_MAX &&
	     rec_plain_len(&l, rec_blocks(&l) - 1) <= SEG_SUMMARY_MAX);
}

static void
file_head(struct slice s)
{
	unsigned char p[SEG_HEADER_MAX] = {0}, again[SEG_SECTOR];
	struct seg_head h;
	struct seg_keys keys;
	unsigned char key[32];

	if (s.len > 0)
		memcpy(p, s.ptr, s.len < sizeof p ? s.len : sizeof p);
	put32(p + SEG_SECTOR - 4, crc32c(0, p, SEG_SECTOR - 4));
	if (seg_head_decode(p, sizeof p, &h) != 0 || h.version == 1)
		return;
	seg_head_encode(&h, again);
	MUST(h.kind < STREAMS && strlen(h.key_id) <= SEG_KEY_ID_MAX);
	MUST(!h.sealed || memcmp(again + 64, h.wrapped, SEG_WRAPPED) == 0);
	MUST(seg_keys_parse(slice_str("k 00112233445566778899aabbccddeeff"
				      "00112233445566778899aabbccddeeff"),
		 &keys, NULL) == 0);
	if (h.sealed)
		MUST(seg_head_unwrap(&h, &keys, key) != 0);
}

static void
key_file(struct slice s)
{
	struct seg_keys keys;
	unsigned line = UINT32_MAX;
	int err = seg_keys_parse(s, &keys, &line);

	MUST(err == 0 || err == ERR_SYNTAX || err == ERR_LIMIT);
	MUST(err != 0 || (keys.n > 0 && keys.n <= SEG_KEYS_MAX));
	MUST(err == 0 || line != UINT32_MAX);
	for (size_t i = 0; i < keys.n && err == 0; i++) {
		MUST(strlen(keys.k[i].id) > 0 && strlen(keys.k[i].id) <= SEG_KEY_ID_MAX);
		for (size_t j = 0; j < i; j++)
			MUST(strcmp(keys.k[i].id, keys.k[j].id) != 0);
	}
}

/* A record of 300 octets of summary and 5,000 of content behind a header that is good, its table and blocks the input. */
static void
whole_file(struct slice s)
{
	static const char dir[] = "/dev/shm";
	unsigned char file[FILE_HEADER + REC_HEADER] = {0}, nonce[NONCE] = {0};
	struct seg_loc l = {
	    .body = 7, .size = 5000, .content = 5000, .summary_len = 300, .format = 2};
	char path[64], name[96];
	struct seg *seg = NULL;
	struct buf b;
	FILE *f;
	int err;

	s = slice_sub(s, 0, 5300);
	l.stored = rec_padded(REC_HEADER + 16 + (s.len > 16 ? s.len - 16 : 0));
	l.segment = 1;
	l.off = FILE_HEADER;
	snprintf(path, sizeof path, "%s/segment_fuzz.XXXXXX", dir);
	if (mkdtemp(path) == NULL)
		return;
	seg_head_encode(&(struct seg_head){.number = 1, .version = 2}, file);
	memcpy(file + SEG_SECTOR, file, SEG_SECTOR);
	rec_head_encode(&l, 0, nonce, file + FILE_HEADER);
	snprintf(name, sizeof name, "%s/seg-00000001", path);
	if ((f = fopen(name, "w")) != NULL) {
		fwrite(file, 1, sizeof file, f);
		fwrite(s.ptr, 1, s.len, f);
		fclose(f);
		(void)!truncate(name, (off_t)(l.off + l.stored));
	}
	MUST(seg_open(path, &l, 0, &seg) == 0);
	buf_init(&b, 1 << 20);
	err = seg_read_summary(seg, &l, &b);
	MUST((err == 0 && b.len == 300) || (err == ERR_CORRUPT && b.len == 0));
	buf_reset(&b);
	err = seg_read(seg, &l, 100, 10000, &b);
	MUST((err == 0 && b.len == 4900) || (err == ERR_CORRUPT && b.len == 0));
	buf_reset(&b);
	err = seg_read_whole(seg, &l, true, &b);
	MUST((err == 0 && b.len == 5300) || (err == ERR_CORRUPT && b.len == 0));
	buf_done(&b);
	err = seg_copy(seg, &l, &l);
	MUST(err == 0 || err == ERR_CORRUPT || err == ERR_FULL);
	seg_close(seg);
	unlink(name);
	snprintf(name, sizeof name, "%s/seg-00000002", path);
	unlink(name);
	rmdir(path);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_from(slice_of(data, size), 1);

	if (size == 0)
		return 0;
	log_init("segment_fuzz", 0);
	switch (data[0] % 4) {
	case 0:
		record_head(s);
		break;
	case 1:
		file_head(s);
		break;
	case 2:
		key_file(s);
		break;
	default:
		whole_file(s);
	}
	return 0;
}
