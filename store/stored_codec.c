/* stored_codec.c: the values and keys of stored's rows. Runs in stored. Each value begins with a version byte; what cannot be read
 * is ERR_CORRUPT. */
#include "store/stored_priv.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"

enum { VERSION = 1, SEEN_UNTIL_VERSION = 2, HEAD_VERSION = 3 };

static int
end_of(struct ipc_reader *r)
{
	return ipc_reader_end(r) == 0 ? 0 : ERR_CORRUPT;
}

static bool
version_ok(struct ipc_reader *r, struct slice v)
{
	ipc_reader_init(r, v);
	return ipc_get_u8(r) == VERSION;
}

int
mbox_head_encode(const struct mbox_head *h, struct buf *b)
{
	ipc_put_u8(b, HEAD_VERSION);
	ipc_put_u32(b, h->uidvalidity);
	ipc_put_u32(b, h->uidnext);
	ipc_put_u32(b, h->messages);
	ipc_put_u32(b, h->unseen);
	ipc_put_u32(b, h->recent);
	ipc_put_u32(b, h->recent_from);
	ipc_put_u32(b, h->deleted);
	ipc_put_u64(b, h->modseq);
	ipc_put_u64(b, h->bytes);
	ipc_put_i64(b, h->pruned_at);
	ipc_put_u64(b, h->deleted_bytes);
	ipc_put_u64(b, h->forgotten);
	ipc_put_u32(b, h->history);
	ipc_put_u32(b, h->moves);
	ipc_put_u32(b, h->kept);
	ipc_put_u64(b, h->kept_bytes);
	ipc_put_i64(b, h->kept_from);
	ipc_put_slice(b, h->account);
	return ipc_put_slice(b, h->keywords);
}

int
mbox_head_decode(struct slice v, struct mbox_head *h)
{
	struct ipc_reader r;
	struct mbox_head n = {0};
	unsigned version;

	ipc_reader_init(&r, v);
	version = ipc_get_u8(&r);
	if (version < VERSION || version > HEAD_VERSION)
		return ERR_CORRUPT;
	n.uidvalidity = ipc_get_u32(&r);
	n.uidnext = ipc_get_u32(&r);
	n.messages = ipc_get_u32(&r);
	n.unseen = ipc_get_u32(&r);
	n.recent = ipc_get_u32(&r);
	n.recent_from = ipc_get_u32(&r);
	n.deleted = ipc_get_u32(&r);
	n.modseq = ipc_get_u64(&r);
	n.bytes = ipc_get_u64(&r);
	n.pruned_at = ipc_get_i64(&r);
	if (version >= 2) { /* version 1 remembered every removal and knew no moves */
		n.deleted_bytes = ipc_get_u64(&r);
		n.forgotten = ipc_get_u64(&r);
		n.history = ipc_get_u32(&r);
		n.moves = ipc_get_u32(&r);
	}
	if (version >= 3) {
		n.kept = ipc_get_u32(&r);
		n.kept_bytes = ipc_get_u64(&r);
		n.kept_from = ipc_get_i64(&r);
	}
	n.account = ipc_get_slice(&r);
	n.keywords = ipc_get_slice(&r);
	if (end_of(&r) != 0 || n.uidnext == 0 || n.uidvalidity == 0)
		return ERR_CORRUPT;
	*h = n;
	return 0;
}

int
account_head_encode(const struct account_head *h, struct buf *b)
{
	ipc_put_u8(b, VERSION);
	ipc_put_u32(b, h->uidvalidity);
	ipc_put_u64(b, h->epoch);
	return ipc_put_u64(b, h->seq);
}

int
account_head_decode(struct slice v, struct account_head *h)
{
	struct ipc_reader r;

	if (!version_ok(&r, v))
		return ERR_CORRUPT;
	h->uidvalidity = ipc_get_u32(&r);
	h->epoch = ipc_get_u64(&r);
	h->seq = ipc_get_u64(&r);
	return end_of(&r);
}

int
name_row_encode(uint32_t use, struct slice name, struct buf *b)
{
	ipc_put_u8(b, VERSION);
	ipc_put_u32(b, use);
	return ipc_put_slice(b, name);
}

int
name_row_decode(struct slice v, uint32_t *use_out, struct slice *name_out)
{
	struct ipc_reader r;

	if (!version_ok(&r, v))
		return ERR_CORRUPT;
	*use_out = ipc_get_u32(&r);
	*name_out = ipc_get_slice(&r);
	return end_of(&r);
}

int
change_row_encode(const struct change_row *c, struct buf *b)
{
	ipc_put_u8(b, VERSION);
	ipc_put_u32(b, c->uid);
	ipc_put_u32(b, c->flags);
	return ipc_put_u64(b, c->size);
}

int
change_row_decode(struct slice key, struct slice v, struct change_row *c)
{
	struct ipc_reader r;

	if (!version_ok(&r, v))
		return ERR_CORRUPT;
	c->uid = ipc_get_u32(&r);
	c->flags = ipc_get_u32(&r);
	c->size = ipc_get_u64(&r);
	return end_of(&r) != 0 || key_number(key, 16, &c->modseq) != 0 ? ERR_CORRUPT : 0;
}

int
seen_row_encode(int64_t at, uint32_t uid, int64_t until, struct buf *b)
{
	ipc_put_u8(b, until == 0 ? VERSION : SEEN_UNTIL_VERSION);
	ipc_put_i64(b, at);
	if (until == 0)
		return ipc_put_u32(b, uid);
	ipc_put_u32(b, uid);
	return ipc_put_i64(b, until);
}

int
seen_row_decode(struct slice v, int64_t *at_out, uint32_t *uid_out, int64_t *until_out)
{
	struct ipc_reader r;
	uint8_t version;
	int64_t at, until = 0;
	uint32_t uid;

	ipc_reader_init(&r, v);
	version = ipc_get_u8(&r);
	if (r.err != 0 || (version != VERSION && version != SEEN_UNTIL_VERSION))
		return ERR_CORRUPT;
	at = ipc_get_i64(&r);
	uid = ipc_get_u32(&r);
	if (version == SEEN_UNTIL_VERSION && (until = ipc_get_i64(&r)) == 0)
		return ERR_CORRUPT;
	if (end_of(&r) != 0)
		return ERR_CORRUPT;
	*at_out = at;
	*uid_out = uid;
	if (until_out != NULL)
		*until_out = until;
	return 0;
}

int
expunged_row_encode(const uint32_t *uids, size_t n, struct buf *b)
{
	ipc_put_u8(b, VERSION);
	ipc_put_u32(b, (uint32_t)n);
	for (size_t i = 0; i < n; i++)
		ipc_put_u32(b, uids[i]);
	return b->err;
}

int
expunged_row_decode(struct slice v, struct buf *out)
{
	struct ipc_reader r;
	uint32_t n;

	if (!version_ok(&r, v))
		return ERR_CORRUPT;
	n = ipc_get_count(&r, 16000, 4);
	for (uint32_t i = 0; i < n; i++) {
		uint32_t uid = ipc_get_u32(&r);

		buf_append(out, &uid, sizeof uid);
	}
	return end_of(&r) != 0 ? ERR_CORRUPT : out->err;
}

struct slice
key_u32(char *out, char kind, uint32_t n)
{
	int len = snprintf(out, KEY_MAX, "%c/%08" PRIx32, kind, n);

	return slice_of(out, (size_t)len);
}

struct slice
key_u64(char *out, char kind, uint64_t n)
{
	int len = snprintf(out, KEY_MAX, "%c/%016" PRIx64, kind, n);

	return slice_of(out, (size_t)len);
}

struct slice
key_id(char *out, char kind, const unsigned char *id, size_t n)
{
	out[0] = kind;
	out[1] = '/';
	hex_encode(id, n, out + 2);
	return slice_of(out, 2 + 2 * n);
}

int
id_of_key(struct slice key, unsigned char *id_out, size_t n)
{
	if (key.len != 2 + 2 * n || hex_decode(slice_from(key, 2), id_out, n) != 0)
		return ERR_CORRUPT;
	return 0;
}

int
key_number(struct slice key, size_t digits, uint64_t *n_out)
{
	unsigned char b[8];
	uint64_t n = 0;

	if (key.len != digits + 2 || digits > 16 ||
	    hex_decode(slice_from(key, 2), b, digits / 2) != 0)
		return ERR_CORRUPT;
	for (size_t i = 0; i < digits / 2; i++)
		n = n << 8 | b[i];
	*n_out = n;
	return 0;
}

bool
account_id_ok(struct slice id)
{
	if (id.len == 0 || id.len > ACCOUNT_ID_MAX)
		return false;
	for (size_t i = 0; i < id.len; i++) {
		unsigned char c = id.ptr[i];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '-'))
			return false;
	}
	return true;
}

int
uids_read(struct ipc_reader *r, uint32_t n, uint32_t *uids)
{
	uint32_t last = 0;

	for (uint32_t i = 0; i < n; i++) {
		uids[i] = ipc_get_u32(r);
		if (uids[i] <= last)
			r->err = ERR_PROTO;
		last = uids[i];
	}
	return r->err;
}
