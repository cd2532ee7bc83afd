/* seg_head.c: headers of segment files, their data keys under named master keys, and the file of these. Pure but for seg_keys_read. Runs in stored, and
 * in congvu check. */
#include "store/seg_head.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"

enum {
	VERSION = 2,
	V1_HEADER = SEG_HEADER1,
	AT_VERSION = 16,
	AT_KIND = 17,
	AT_CIPHER = 18, /* 1: AES-256-GCM */
	AT_NUMBER = 20,
	AT_KEY_ID = 24,
	AT_WRAPPED = 64,
	AT_CHECK = SEG_SECTOR - 4,
	KINDS = 2,
	KEY_FILE_MAX = 16384,
};
static const char magic[16] = "congvu-segment\n";

static void
put_u32(unsigned char *p, uint32_t v)
{
	for (int i = 0; i < 4; i++)
		p[i] = (unsigned char)(v >> (24 - 8 * i));
}

static uint32_t
get_u32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* ---- master keys ---- */

static bool
id_ok(struct slice id)
{
	static const char also[] = "-_.";

	for (size_t i = 0; i < id.len; i++) {
		unsigned char c = id.ptr[i], lower = c | 0x20;

		if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'z') &&
		    (c == '\0' || strchr(also, c) == NULL))
			return false;
	}
	return id.len > 0 && id.len <= SEG_KEY_ID_MAX;
}

static ptrdiff_t
key_find(const struct seg_keys *keys, struct slice id)
{
	for (size_t i = 0; keys != NULL && i < keys->n; i++)
		if (slice_eq_str(id, keys->k[i].id))
			return (ptrdiff_t)i;
	return -1;
}

static int
key_line(struct slice line, struct seg_keys *out)
{
	size_t n = 0;

	line = slice_trim(line);
	if (line.len == 0 || line.ptr[0] == '#')
		return 0;
	while (n < line.len && line.ptr[n] != ' ' && line.ptr[n] != '\t')
		n++;
	if (!id_ok(slice_sub(line, 0, n)) || key_find(out, slice_sub(line, 0, n)) >= 0)
		return ERR_SYNTAX;
	if (out->n == SEG_KEYS_MAX)
		return ERR_LIMIT;
	memset(out->k[out->n].id, 0, sizeof out->k[out->n].id);
	memcpy(out->k[out->n].id, line.ptr, n);
	if (hex_decode(slice_trim(slice_from(line, n)), out->k[out->n].key, 32) != 0)
		return ERR_SYNTAX;
	out->n++;
	return 0;
}

int
seg_keys_parse(struct slice text, struct seg_keys *out, unsigned *line_out)
{
	unsigned line = 0;
	int err = 0;

	out->n = 0;
	while (text.len > 0 && err == 0) {
		ptrdiff_t lf = slice_index(text, '\n');
		size_t n = lf < 0 ? text.len : (size_t)lf;
		struct slice s = slice_sub(text, 0, n);

		if (s.len > 0 && s.ptr[s.len - 1] == '\r')
			s.len--;
		line++;
		err = key_line(s, out);
		text = slice_from(text, n + 1);
	}
	if (err == 0 && out->n == 0) {
		line = 0;
		err = ERR_SYNTAX;
	}
	if (err != 0) {
		seg_keys_wipe(out);
		if (line_out != NULL)
			*line_out = line;
	}
	return err;
}

int
seg_keys_read(int fd, struct seg_keys *out, unsigned *line_out)
{
	unsigned char text[KEY_FILE_MAX];
	size_t len = 0;
	int err = 0;

	for (;;) {
		ssize_t n = pread(fd, text + len, sizeof text - len, (off_t)len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			err = ERR_IO;
		if (n <= 0)
			break;
		len += (size_t)n;
		if (len == sizeof text) {
			err = ERR_LIMIT;
			break;
		}
	}
	if (err == 0)
		err = seg_keys_parse(slice_of(text, len), out, line_out);
	explicit_bzero(text, sizeof text);
	return err;
}

void
seg_keys_wipe(struct seg_keys *k)
{
	explicit_bzero(k, sizeof *k);
}

/* ---- headers ---- */

void
seg_head_encode(const struct seg_head *h, unsigned char sector[SEG_SECTOR])
{
	memset(sector, 0, SEG_SECTOR);
	memcpy(sector, magic, sizeof magic);
	sector[AT_VERSION] = VERSION;
	sector[AT_KIND] = h->kind;
	sector[AT_CIPHER] = h->sealed;
	put_u32(sector + AT_NUMBER, h->number);
	if (h->sealed) {
		memcpy(sector + AT_KEY_ID, h->key_id, SEG_KEY_ID_MAX);
		memcpy(sector + AT_WRAPPED, h->wrapped, SEG_WRAPPED);
	}
	put_u32(sector + AT_CHECK, crc32c(0, sector, AT_CHECK));
}

static int
sector_decode(const unsigned char *p, struct seg_head *h)
{
	if (memcmp(p, magic, sizeof magic) != 0 || p[AT_VERSION] != VERSION ||
	    p[AT_KIND] >= KINDS || p[AT_CIPHER] > 1 ||
	    get_u32(p + AT_CHECK) != crc32c(0, p, AT_CHECK))
		return ERR_CORRUPT;
	memset(h, 0, sizeof *h);
	h->version = VERSION;
	h->kind = p[AT_KIND];
	h->number = get_u32(p + AT_NUMBER);
	h->sealed = p[AT_CIPHER] == 1;
	if (h->sealed) {
		memcpy(h->key_id, p + AT_KEY_ID, SEG_KEY_ID_MAX);
		memcpy(h->wrapped, p + AT_WRAPPED, SEG_WRAPPED);
	}
	return h->sealed && !id_ok(slice_str(h->key_id)) ? ERR_CORRUPT : 0;
}

int
seg_head_decode(const unsigned char *p, size_t n, struct seg_head *h_out)
{
	struct seg_head h;

	if (n >= V1_HEADER && memcmp(p, magic, sizeof magic) == 0 && p[AT_VERSION] == 1 &&
	    get_u32(p + V1_HEADER - 4) == crc32c(0, p, V1_HEADER - 4)) {
		*h_out = (struct seg_head){.number = get_u32(p + AT_NUMBER), .version = 1};
		return 0;
	}
	/* the second one when a write of the first was torn, or an octet of it went bad */
	for (size_t at = 0; at + SEG_SECTOR <= n; at += SEG_SECTOR)
		if (sector_decode(p + at, &h) == 0) {
			*h_out = h;
			return 0;
		}
	return ERR_CORRUPT;
}

/* What a wrapped key is bound to: it opens no other file. */
static struct slice
wrap_aad(const struct seg_head *h, unsigned char aad[64])
{
	memset(aad, 0, 64);
	memcpy(aad, magic, sizeof magic);
	aad[16] = VERSION;
	aad[17] = h->kind;
	put_u32(aad + 20, h->number);
	memcpy(aad + 24, h->key_id, SEG_KEY_ID_MAX);
	return slice_of(aad, 64);
}

int
seg_head_wrap(struct seg_head *h, const struct seg_keys *keys, const unsigned char data_key[32])
{
	unsigned char aad[64];
	struct buf b;
	int err;

	h->sealed = true;
	memcpy(h->key_id, keys->k[keys->n - 1].id, sizeof h->key_id);
	buf_init(&b, SEG_WRAPPED);
	err = seal(keys->k[keys->n - 1].key, wrap_aad(h, aad), slice_of(data_key, 32), &b);
	if (err == 0)
		memcpy(h->wrapped, b.data, SEG_WRAPPED);
	buf_done(&b);
	return err;
}

int
seg_head_unwrap(
    const struct seg_head *h, const struct seg_keys *keys, unsigned char data_key_out[32])
{
	ptrdiff_t i = key_find(keys, slice_str(h->key_id));
	unsigned char aad[64];
	struct buf b;
	int err;

	if (i < 0)
		return ERR_NOTFOUND;
	buf_init(&b, 32);
	err = unseal(keys->k[i].key, wrap_aad(h, aad), slice_of(h->wrapped, SEG_WRAPPED), &b);
	if (err == 0)
		memcpy(data_key_out, b.data, 32);
	buf_wipe(&b);
	return err;
}
