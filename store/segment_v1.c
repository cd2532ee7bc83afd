/* segment_v1.c: reads records of version 1: header of 80 octets, a CRC-32C of the summary and of each 64 KiB, the summary, the body as it is. They
 * are written no more. Runs in stored. */
#include "store/segment_priv.h"

#include <stdlib.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum { V1_HEADER = 80, V1_BLOCK = 65536 };

uint64_t
v1_table_len(uint64_t size)
{
	return 4 * (1 + (size + V1_BLOCK - 1) / V1_BLOCK);
}

uint64_t
v1_record_len(uint64_t size, uint32_t summary_len)
{
	return rec_padded(V1_HEADER + v1_table_len(size) + summary_len + size);
}

static uint64_t
body_off(const struct seg_loc *l)
{
	return l->off + V1_HEADER + v1_table_len(l->size) + l->summary_len;
}

int
v1_read(struct seg *s, const struct seg_loc *l, uint64_t off, uint32_t len, struct buf *out)
{
	uint64_t end = len < l->size - off ? off + len : l->size, first = off / V1_BLOCK;
	uint64_t n = (end + V1_BLOCK - 1) / V1_BLOCK - first, start = first * V1_BLOCK;
	unsigned char *table, *p;
	size_t want = (size_t)(end - off);
	int fd, err = file_get(s, l->segment, &fd);

	if (err != 0)
		return err;
	end = (first + n) * V1_BLOCK < l->size ? (first + n) * V1_BLOCK : l->size;
	table = xmalloc((size_t)(4 * n));
	p = xmalloc((size_t)(end - start));
	err = read_at(fd, table, (size_t)(4 * n), l->off + V1_HEADER + 4 * (1 + first));
	if (err == 0)
		err = read_at(fd, p, (size_t)(end - start), body_off(l) + start);
	for (uint64_t i = 0; i < n && err == 0; i++) {
		size_t at = (size_t)(i * V1_BLOCK), left = (size_t)(end - start) - at;

		if (crc32c(0, p + at, left < V1_BLOCK ? left : V1_BLOCK) != get32(table + 4 * i))
			err = ERR_CORRUPT;
	}
	if (err == 0)
		err = buf_append(out, p + (off - start), want);
	file_put(s, l->segment, false);
	free(table);
	free(p);
	return err == ERR_EOF ? ERR_CORRUPT : err;
}

int
v1_read_summary(struct seg *s, const struct seg_loc *l, struct buf *out)
{
	unsigned char crc[4], *p;
	int fd, err = file_get(s, l->segment, &fd);

	if (err != 0)
		return err;
	if ((err = read_at(fd, crc, 4, l->off + V1_HEADER)) != 0)
		goto out;
	p = buf_reserve(out, l->summary_len + 1);
	if (p == NULL) {
		err = out->err;
		goto out;
	}
	err = read_at(fd, p, l->summary_len, l->off + V1_HEADER + v1_table_len(l->size));
	if (err == 0 && crc32c(0, p, l->summary_len) != get32(crc))
		err = ERR_CORRUPT;
	if (err == 0)
		buf_commit(out, l->summary_len);
out:
	file_put(s, l->segment, false);
	return err == ERR_EOF ? ERR_CORRUPT : err;
}

int
v1_read_whole(struct seg *s, const struct seg_loc *l, bool want_summary, struct buf *out)
{
	/* checks of the summary and of the one block, summary, body stand one behind the other */
	size_t tlen = (size_t)v1_table_len(l->size), len;
	unsigned char *p;
	int fd, err;

	len = tlen + l->summary_len + (size_t)l->size;
	if ((err = file_get(s, l->segment, &fd)) != 0)
		return err;
	p = xmalloc(len);
	err = read_at(fd, p, len, l->off + V1_HEADER);
	file_put(s, l->segment, false);
	if (err == 0 && ((want_summary && crc32c(0, p + tlen, l->summary_len) != get32(p)) ||
			    (l->size > 0 && crc32c(0, p + tlen + l->summary_len, (size_t)l->size) !=
						get32(p + 4))))
		err = ERR_CORRUPT;
	if (err == 0 && want_summary)
		err = buf_append(out, p + tlen, l->summary_len);
	if (err == 0)
		err = buf_append(out, p + tlen + l->summary_len, (size_t)l->size);
	free(p);
	return err == ERR_EOF ? ERR_CORRUPT : err;
}
