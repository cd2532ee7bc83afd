/* row.c: the coded form of a message in a mailbox. Pure; runs in stored, ingest and imapd-session.
 * Version 1: u8 version, u32 uid, u64 modseq, u32 flags, i64 internal date, u16 zone, i64 save date, u64 size, u64 body, 16 bytes
 * email id, i64 sent date, then keywords, trace, envelope each as u32 length + bytes. Version 2 (written today): refs behind them, as they.
 * Big-endian. A later version may only follow by a new version byte. */
#include "store/row.h"

#include <string.h>

#include "lib/err.h"
#include "lib/msgid.h"

enum {
	VERSION_NO_REFS = 1,
	VERSION = 2,
	KEYWORDS_MAX = 4096,
	TRACE_MAX = 8192,
	ENVELOPE_MAX = 16384,
	REFS_MAX = MSGID_REFS_SIZE,
	ROW_MAX = 65536,
};

struct reader {
	struct slice rest;
	int err;
};

static uint64_t
get(struct reader *r, size_t n)
{
	uint64_t v = 0;

	if (r->rest.len < n) {
		r->err = ERR_CORRUPT;
		r->rest.len = 0;
		return 0;
	}
	for (size_t i = 0; i < n; i++)
		v = v << 8 | r->rest.ptr[i];
	r->rest = slice_from(r->rest, n);
	return v;
}

static struct slice
get_bytes(struct reader *r, size_t max)
{
	size_t n = (size_t)get(r, 4);
	struct slice s;

	if (n > max || n > r->rest.len) {
		r->err = ERR_CORRUPT;
		n = 0;
	}
	s = slice_sub(r->rest, 0, n);
	r->rest = slice_from(r->rest, n);
	return s;
}

static void
put_bytes(struct buf *out, struct slice s)
{
	buf_append_u32(out, (uint32_t)s.len);
	buf_append_slice(out, s);
}

int
msg_row_encode(const struct msg_row *r, struct buf *out)
{
	if (r->keywords.len > KEYWORDS_MAX || r->trace.len > TRACE_MAX ||
	    r->envelope.len > ENVELOPE_MAX || r->refs.len > REFS_MAX)
		return ERR_LIMIT;
	buf_append_byte(out, VERSION);
	buf_append_u32(out, r->uid);
	buf_append_u64(out, r->modseq);
	buf_append_u32(out, r->flags);
	buf_append_u64(out, (uint64_t)r->internal_date);
	buf_append_u16(out, (uint16_t)r->internal_zone);
	buf_append_u64(out, (uint64_t)r->save_date);
	buf_append_u64(out, r->size);
	buf_append_u64(out, r->body);
	buf_append(out, r->email_id, sizeof r->email_id);
	buf_append_u64(out, (uint64_t)r->sent_date);
	put_bytes(out, r->keywords);
	put_bytes(out, r->trace);
	put_bytes(out, r->envelope);
	put_bytes(out, r->refs);
	return out->err;
}

int
msg_row_decode(struct slice s, struct msg_row *r_out)
{
	struct reader r = {s, 0};
	struct msg_row m;
	uint64_t version = get(&r, 1);

	if (s.len > ROW_MAX || (version != VERSION && version != VERSION_NO_REFS))
		return ERR_CORRUPT;
	m.uid = (uint32_t)get(&r, 4);
	m.modseq = get(&r, 8);
	m.flags = (uint32_t)get(&r, 4);
	m.internal_date = (int64_t)get(&r, 8);
	m.internal_zone = (int16_t)get(&r, 2);
	m.save_date = (int64_t)get(&r, 8);
	m.size = get(&r, 8);
	m.body = get(&r, 8);
	memset(m.email_id, 0, sizeof m.email_id);
	if (r.rest.len >= sizeof m.email_id) {
		memcpy(m.email_id, r.rest.ptr, sizeof m.email_id);
		r.rest = slice_from(r.rest, sizeof m.email_id);
	} else {
		r.err = ERR_CORRUPT;
	}
	m.sent_date = (int64_t)get(&r, 8);
	m.damaged = false;
	m.keywords = get_bytes(&r, KEYWORDS_MAX);
	m.trace = get_bytes(&r, TRACE_MAX);
	m.envelope = get_bytes(&r, ENVELOPE_MAX);
	m.refs = version == VERSION ? get_bytes(&r, REFS_MAX) : slice_of("", 0);
	if (r.err != 0 || r.rest.len != 0 || m.uid == 0)
		return ERR_CORRUPT;
	*r_out = m;
	return 0;
}
