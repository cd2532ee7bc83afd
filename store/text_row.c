/* text_row.c: the coded forms of text_row.h. Pure; runs in stored. */
#include "store/text_row.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/err.h"
#include "lib/ipc.h"

enum { VERSION = 1 };
static const char magic[8] = "CVTEXT"; /* and two NULs */

struct slice
text_key(char *out, enum text_kind kind, uint64_t body)
{
	int n = snprintf(out, TEXT_KEY_LEN + 1, "%c/%016" PRIx64, (char)kind, body);

	return slice_of(out, (size_t)n);
}

static int
hex_of(unsigned char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int
text_key_body(struct slice key, uint64_t *body_out)
{
	uint64_t n = 0;

	if (key.len != TEXT_KEY_LEN || key.ptr[1] != '/')
		return ERR_CORRUPT;
	for (size_t i = 2; i < key.len; i++) {
		int d = hex_of(key.ptr[i]);

		if (d < 0)
			return ERR_CORRUPT;
		n = n << 4 | (uint64_t)d;
	}
	*body_out = n;
	return 0;
}

int
text_wanted_encode(const struct text_wanted *t, struct buf *out)
{
	if (t->why.len > TEXT_WHY_MAX)
		return ERR_LIMIT;
	ipc_put_u8(out, VERSION);
	ipc_put_i64(out, t->since);
	ipc_put_u8(out, t->tries);
	return ipc_put_slice(out, t->why);
}

int
text_wanted_decode(struct slice v, struct text_wanted *t_out)
{
	struct text_wanted t;
	struct ipc_reader r;

	ipc_reader_init(&r, v);
	if (ipc_get_u8(&r) != VERSION)
		return ERR_CORRUPT;
	t.since = ipc_get_i64(&r);
	t.tries = ipc_get_u8(&r);
	t.why = ipc_get_slice(&r);
	if (ipc_reader_end(&r) != 0 || t.why.len > TEXT_WHY_MAX)
		return ERR_CORRUPT;
	*t_out = t;
	return 0;
}

int
text_read_encode(const struct text_read *t, struct buf *out)
{
	ipc_put_u8(out, VERSION);
	ipc_put_u64(out, t->text);
	ipc_put_i64(out, t->at);
	return ipc_put_u8(out, t->how);
}

int
text_read_decode(struct slice v, struct text_read *t_out)
{
	struct text_read t;
	struct ipc_reader r;

	ipc_reader_init(&r, v);
	if (ipc_get_u8(&r) != VERSION)
		return ERR_CORRUPT;
	t.text = ipc_get_u64(&r);
	t.at = ipc_get_i64(&r);
	t.how = ipc_get_u8(&r);
	if (ipc_reader_end(&r) != 0)
		return ERR_CORRUPT;
	*t_out = t;
	return 0;
}

int
text_old_encode(const struct text_old *t, struct buf *out)
{
	ipc_put_u8(out, VERSION);
	ipc_put_u64(out, t->upto);
	return ipc_put_i64(out, t->at);
}

int
text_old_decode(struct slice v, struct text_old *t_out)
{
	struct text_old t;
	struct ipc_reader r;

	ipc_reader_init(&r, v);
	if (ipc_get_u8(&r) != VERSION)
		return ERR_CORRUPT;
	t.upto = ipc_get_u64(&r);
	t.at = ipc_get_i64(&r);
	if (ipc_reader_end(&r) != 0)
		return ERR_CORRUPT;
	*t_out = t;
	return 0;
}

int
text_head_put(uint64_t body, struct buf *out)
{
	buf_append(out, magic, sizeof magic);
	buf_append_u64(out, VERSION);
	return buf_append_u64(out, body);
}

bool
text_head_ok(struct slice content, uint64_t body)
{
	struct buf b;
	bool ok;

	buf_init(&b, TEXT_HEAD);
	ok = text_head_put(body, &b) == 0 && content.len >= TEXT_HEAD &&
	     memcmp(content.ptr, b.data, TEXT_HEAD) == 0;
	buf_done(&b);
	return ok;
}
