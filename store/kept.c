/* kept.c: the coded forms of kept.h. Pure; runs in stored and its tests. Numbers are big-endian, texts u32 length and bytes. */
#include "store/kept.h"

#include <inttypes.h>
#include <stdio.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/ipc.h"

enum { VERSION = 1 };

static bool
version_ok(struct ipc_reader *r, struct slice v)
{
	ipc_reader_init(r, v);
	return ipc_get_u8(r) == VERSION;
}

static int
end_of(struct ipc_reader *r, bool ok)
{
	return ipc_reader_end(r) == 0 && ok ? 0 : ERR_CORRUPT;
}

int
kept_row_encode(const struct kept_row *k, struct buf *b)
{
	if (k->by.len > KEPT_BY_MAX)
		return ERR_LIMIT;
	ipc_put_u8(b, VERSION);
	ipc_put_i64(b, k->at);
	ipc_put_u8(b, k->why);
	ipc_put_slice(b, k->by);
	return ipc_put_slice(b, k->row);
}

int
kept_row_decode(struct slice v, struct kept_row *k_out)
{
	struct ipc_reader r;
	struct kept_row k;

	if (!version_ok(&r, v))
		return ERR_CORRUPT;
	k.at = ipc_get_i64(&r);
	k.why = ipc_get_u8(&r);
	k.by = ipc_get_slice(&r);
	k.row = ipc_get_slice(&r);
	if (end_of(&r, k.by.len <= KEPT_BY_MAX) != 0)
		return ERR_CORRUPT;
	*k_out = k;
	return 0;
}

struct slice
kept_key(char *out, uint64_t modseq, uint32_t uid)
{
	int n = snprintf(out, KEPT_KEY_LEN + 1, "k/%016" PRIx64 "%08" PRIx32, modseq, uid);

	return slice_of(out, (size_t)n);
}

int
kept_key_read(struct slice key, uint64_t *modseq_out, uint32_t *uid_out)
{
	unsigned char b[12];
	uint64_t modseq = 0;
	uint32_t uid = 0;

	if (key.len != KEPT_KEY_LEN || !slice_starts(key, "k/") ||
	    hex_decode(slice_from(key, 2), b, sizeof b) != 0)
		return ERR_CORRUPT;
	for (size_t i = 0; i < 8; i++)
		modseq = modseq << 8 | b[i];
	for (size_t i = 8; i < 12; i++)
		uid = uid << 8 | b[i];
	if (uid == 0)
		return ERR_CORRUPT;
	*modseq_out = modseq;
	*uid_out = uid;
	return 0;
}

int
buried_row_encode(const struct buried_row *w, struct buf *out)
{
	if (w->by.len > KEPT_BY_MAX)
		return ERR_LIMIT;
	ipc_put_u8(out, VERSION);
	ipc_put_i64(out, w->at);
	ipc_put_u32(out, w->use);
	ipc_put_slice(out, w->name);
	return ipc_put_slice(out, w->by);
}

int
buried_row_decode(struct slice v, struct buried_row *w_out)
{
	struct ipc_reader r;
	struct buried_row w;

	if (!version_ok(&r, v))
		return ERR_CORRUPT;
	w.at = ipc_get_i64(&r);
	w.use = ipc_get_u32(&r);
	w.name = ipc_get_slice(&r);
	w.by = ipc_get_slice(&r);
	if (end_of(&r, w.by.len <= KEPT_BY_MAX && w.name.len > 0) != 0)
		return ERR_CORRUPT;
	*w_out = w;
	return 0;
}

int
hold_row_encode(const struct hold_row *h, struct buf *b)
{
	if (h->decision.len == 0 || h->decision.len > KEPT_TEXT_MAX ||
	    h->reason.len > KEPT_TEXT_MAX || h->release_decision.len > KEPT_TEXT_MAX ||
	    h->by.len > KEPT_BY_MAX || h->released_by.len > KEPT_BY_MAX)
		return ERR_LIMIT;
	ipc_put_u8(b, VERSION);
	ipc_put_i64(b, h->at);
	ipc_put_i64(b, h->until);
	ipc_put_slice(b, h->decision);
	ipc_put_slice(b, h->by);
	ipc_put_slice(b, h->reason);
	ipc_put_i64(b, h->released_at);
	ipc_put_slice(b, h->release_decision);
	return ipc_put_slice(b, h->released_by);
}

int
hold_row_decode(struct slice v, struct hold_row *h_out)
{
	struct ipc_reader r;
	struct hold_row h;

	if (!version_ok(&r, v))
		return ERR_CORRUPT;
	h.at = ipc_get_i64(&r);
	h.until = ipc_get_i64(&r);
	h.decision = ipc_get_slice(&r);
	h.by = ipc_get_slice(&r);
	h.reason = ipc_get_slice(&r);
	h.released_at = ipc_get_i64(&r);
	h.release_decision = ipc_get_slice(&r);
	h.released_by = ipc_get_slice(&r);
	if (end_of(&r, h.decision.len > 0 && h.decision.len <= KEPT_TEXT_MAX &&
			   h.reason.len <= KEPT_TEXT_MAX &&
			   h.release_decision.len <= KEPT_TEXT_MAX && h.by.len <= KEPT_BY_MAX &&
			   h.released_by.len <= KEPT_BY_MAX) != 0)
		return ERR_CORRUPT;
	*h_out = h;
	return 0;
}
