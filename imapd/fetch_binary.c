/* fetch_binary.c: BINARY[…] and BINARY.SIZE[…]: parts with their transfer encoding undone. Runs in imapd-session. RFC 3516 4.2, 4.3.
 * A part up to 1 MiB is decoded in memory; a larger one is read twice, piece by piece: once for its size, once for its octets. Both ways decode
 * the same. Content without an encoding goes out as BODY[…] does. */
#include "config.h"

#include "imapd/fetch_priv.h"

#include <string.h>

#include "imapd/fetch_section.h"
#include "lib/err.h"

#define IN_MEMORY ((uint64_t)1 << 20)
#define LINE_MAX_OCTETS \
	262144 /* of quoted-printable without an end: cut anywhere between escapes */

/* ---- decoding in pieces ---- */

static bool
is_b64(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/' || c == '=';
}

/* What of raw can be decoded now: whole quanta, whole lines. */
static size_t
whole(struct fetch *st, bool last)
{
	struct buf *raw = &st->bytes;
	if (st->cte == CTE_BASE64) {
		size_t n = st->clean; /* those before it hold no white space or junk any more */
		for (size_t i = n; i < raw->len; i++)
			if (is_b64(raw->data[i]))
				raw->data[n++] = raw->data[i];
		buf_truncate(raw, n);
		st->clean = last ? 0 : n % 4;
		return last ? n : n - n % 4;
	}
	if (last || raw->len == 0)
		return raw->len;
	const unsigned char *lf = memrchr(raw->data, '\n', raw->len);
	if (lf != NULL)
		return (size_t)(lf - raw->data) + 1;
	if (raw->len < LINE_MAX_OCTETS)
		return 0;
	for (size_t back = 1; back <= 2; back++)
		if (raw->data[raw->len - back] == '=')
			return raw->len - back;
	return raw->len;
}

static int
decode_more(struct fetch *st, struct slice piece, bool last, struct buf *out)
{
	if (buf_append_slice(&st->bytes, piece) != 0)
		return ERR_LIMIT;
	size_t n = whole(st, last);
	int err = mime_decode_body(st->cte, slice_sub(buf_slice(&st->bytes), 0, n), out, NULL);
	buf_consume(&st->bytes, n);
	return err;
}

static void
begin_pass(struct cmd *m, bool counting)
{
	struct fetch *st = m->state;
	buf_reset(&st->bytes);
	st->clean = 0;
	st->decoded_at = 0;
	st->counting = counting;
	st->decoding = true;
	fetch_again(m, st->part_off, st->part_end);
}

void
fetch_decoded(struct cmd *m, struct slice piece)
{
	struct fetch *st = m->state;
	bool last = st->off == st->end;
	struct buf out;
	buf_init(&out, 2 * (size_t)IMAP_PIECE + 2 * LINE_MAX_OCTETS);
	int err = decode_more(st, piece, last, &out);
	if (err == 0 && st->counting) {
		st->decoded_nul = st->decoded_nul || (out.len > 0 && memchr(out.data, 0, out.len));
	} else if (err == 0) {
		/* the octets of [want_off, want_end) that this piece holds */
		uint64_t from = st->want_off > st->decoded_at ? st->want_off - st->decoded_at : 0;
		uint64_t to = st->want_end > st->decoded_at ? st->want_end - st->decoded_at : 0;
		if (to > out.len)
			to = out.len;
		if (from < to)
			client_write(
			    m->c, slice_sub(buf_slice(&out), (size_t)from, (size_t)(to - from)));
	}
	st->decoded_at += out.len;
	buf_done(&out);
	bool enough = !st->counting && st->decoded_at >= st->want_end;
	if (err) {
		st->decoding = false;
		fetch_failed(m, err);
	} else if (last || enough) {
		st->decoding = st->literal_open = false;
		st->decoded_size = st->counting ? st->decoded_at : st->decoded_size;
		fetch_go_on(m, st->counting ? PHASE_COUNTED : PHASE_DONE);
	} else {
		fetch_ask_when_drained(m);
	}
}

/* ---- the item ---- */

static void
put_octets_head(struct fetch *st, uint64_t n, bool nul)
{
	/* RFC 3516 4.4: what holds NUL is a literal8 */
	buf_appendf(&st->out, "%s{%llu}\r\n", nul ? "~" : "", (unsigned long long)n);
}

static void
put_size(struct fetch *st, uint64_t n)
{
	buf_appendf(&st->out, "%llu", (unsigned long long)n);
}

/* The part of n octets that the item wants. */
static void
clip(const struct fetch_item *it, uint64_t n, uint64_t *from, uint64_t *to)
{
	*from = it->partial && it->off < n ? it->off : it->partial ? n : 0;
	*to = it->partial && n - *from > it->len ? *from + it->len : n;
}

static void
put_from_memory(struct fetch *st, const struct fetch_item *it)
{
	struct buf out;
	uint64_t from, to;
	buf_init(&out, 2 * (size_t)IN_MEMORY);
	mime_decode_body(st->cte, buf_slice(&st->bytes), &out, NULL);
	clip(it, out.len, &from, &to);
	if (it->kind == FETCH_BINARY_SIZE) {
		put_size(st, out.len);
	} else {
		struct slice s = slice_sub(buf_slice(&out), (size_t)from, (size_t)(to - from));
		put_octets_head(st, s.len, s.len > 0 && memchr(s.ptr, 0, s.len) != NULL);
		buf_append_slice(&st->out, s);
	}
	buf_done(&out);
}

static bool
counted(struct cmd *m, const struct fetch_item *it)
{
	struct fetch *st = m->state;
	if (it->kind == FETCH_BINARY_SIZE) {
		put_size(st, st->decoded_size);
		return true;
	}
	clip(it, st->decoded_size, &st->want_off, &st->want_end);
	put_octets_head(st, st->want_end - st->want_off, st->decoded_nul);
	if (st->want_off == st->want_end)
		return true;
	client_write(m->c, buf_slice(&st->out));
	buf_reset(&st->out);
	st->literal_open = true;
	st->phase = PHASE_STREAM;
	begin_pass(m, false);
	return false;
}

/* Nothing to undo: the octets as they are. */
static bool
put_plain(struct cmd *m, const struct fetch_item *it, uint64_t off, uint64_t end)
{
	struct fetch *st = m->state;
	uint64_t from, to;
	clip(it, end - off, &from, &to);
	if (it->kind == FETCH_BINARY_SIZE) {
		put_size(st, end - off);
		return true;
	}
	if (from == to) {
		buf_append_str(&st->out, "\"\"");
		return true;
	}
	fetch_stream(m, off + from, off + to);
	return false;
}

static bool
begin(struct cmd *m, const struct fetch_item *it)
{
	struct fetch *st = m->state;
	const struct mime_part *p =
	    st->tree != NULL && it->n_path > 0 ? mime_find(st->tree, it->path, it->n_path) : NULL;
	uint64_t off, end;
	buf_append_slice(&st->out, it->label);
	buf_append_byte(&st->out, ' ');
	if (!fetch_section_range(it, fetch_row(st), st->tree, &off, &end)) {
		buf_append_str(&st->out, it->kind == FETCH_BINARY_SIZE ? "0" : "NIL");
		return true;
	}
	/* of a container only its parts are encoded */
	bool plain = p == NULL || p->child != NULL || p->cte == CTE_7BIT || p->cte == CTE_8BIT ||
		     p->cte == CTE_BINARY;
	if (plain)
		return put_plain(m, it, off, end);
	if (p->cte == CTE_OTHER) {
		st->unknown_cte = true;
		buf_append_str(&st->out, it->kind == FETCH_BINARY_SIZE ? "0" : "NIL");
		return true;
	}
	st->cte = p->cte;
	st->part_off = off;
	st->part_end = end;
	st->decoded_nul = false;
	if (off == end)
		put_from_memory(st, it); /* st->bytes is empty */
	else if (end - off <= IN_MEMORY)
		fetch_pull(m, off, end);
	else
		begin_pass(m, true);
	return off == end;
}

bool
fetch_binary(struct cmd *m, const struct fetch_item *it)
{
	struct fetch *st = m->state;
	switch (st->phase) {
	case PHASE_DONE:
		return true;
	case PHASE_BYTES:
		put_from_memory(st, it);
		return true;
	case PHASE_COUNTED:
		return counted(m, it);
	case PHASE_FAILED:
		buf_append_str(&st->out, it->kind == FETCH_BINARY_SIZE ? "0" : "NIL");
		return true;
	default:
		break;
	}
	if (!st->tree_known && it->n_path > 0) {
		fetch_tree(m);
		return false;
	}
	buf_reset(&st->bytes);
	return begin(m, it);
}
