/* backend_kv_parts.c: messages with large parts, in the embedded backend: parts are bodies of their own ("p/<digest>": number), so that what is
 * forwarded ten times is there once. Runs in stored's threads.
 *
 * A part is written, and in the list of bodies that await their rows, before the message that is made of it: so no commit has a message's row
 * without those of its parts. What is put together again was compared with the message before anything was written. */
#include "store/backend_kv_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/composite.h"

enum {
	SPLIT_MAX = 64 << 20, /* larger messages are kept as they are */
	LARGE = 16 << 20,     /* of messages above, one at a time is in memory */
	READ_TRIES = 3,
	PROOF_PIECE = 256 * 1024,
};

/* ---- writing ---- */

static int
read_all(struct job *j, struct buf *mem, struct slice *out)
{
	int err;

	if (j->fd < 0) {
		*out = buf_slice(&j->content);
		return out->len == j->size ? 0 : ERR_CORRUPT;
	}
	err = seg_read_fd(j->fd, (size_t)j->size, mem);
	*out = buf_slice(mem);
	return err;
}

/* Keeps one part by itself: its octets as they are, or decoded. *piece_out: what the message is made of there. */
static int
part_keep(struct bkv *b, struct slice text, bool base64, struct piece *piece_out)
{
	struct piece p = {.kind = PIECE_RAW, .len = text.len};
	unsigned char sha256[32];
	struct slice octets = text;
	struct buf decoded;
	int err;

	buf_init(&decoded, SPLIT_MAX);
	if (base64 && b64_lines_decode(text, &p.form, &p.len, &decoded) == 0) {
		p.kind = PIECE_BASE64;
		octets = buf_slice(&decoded);
	} else {
		p.len = text.len;
	}
	p.size = octets.len;
	sha256_of(octets, sha256);
	err = bkv_part_put(b, sha256, octets, &p.body);
	if (err == 0)
		*piece_out = p;
	buf_done(&decoded);
	return err;
}

static void
literal_add(struct piece *pieces, size_t *n, struct buf *literals, struct slice s)
{
	if (s.len == 0)
		return;
	pieces[(*n)++] = (struct piece){.kind = PIECE_LITERAL, .len = s.len};
	buf_append_slice(literals, s);
}

static int
split(struct bkv *b, struct slice whole, const struct candidate *c, size_t n_c,
    struct bkv_composite *out)
{
	struct piece *pieces = xcalloc(COMPOSITE_PIECES_MAX, sizeof *pieces);
	struct buf literals;
	uint64_t at = 0;
	size_t n = 0;
	int err = 0;

	buf_init(&literals, SPLIT_MAX);
	for (size_t i = 0; i < n_c && err == 0; i++) {
		struct slice text = slice_sub(whole, (size_t)c[i].off, (size_t)c[i].len);

		literal_add(
		    pieces, &n, &literals, slice_sub(whole, (size_t)at, (size_t)(c[i].off - at)));
		err = part_keep(b, text, c[i].base64, &pieces[n]);
		if (err == 0) {
			out->refs[out->n_refs++] = pieces[n].body;
			at = c[i].off + pieces[n].len;
			n++;
		}
	}
	literal_add(pieces, &n, &literals, slice_from(whole, (size_t)at));
	if (err == 0)
		err = manifest_encode(pieces, n, &out->content);
	if (err == 0)
		err = buf_append_slice(&out->content, buf_slice(&literals));
	if (err == 0)
		err = literals.err;
	buf_done(&literals);
	free(pieces);
	return err;
}

int
bkv_compose(struct bkv *b, struct job *j, struct bkv_composite *out)
{
	struct candidate *c;
	unsigned char digest[32];
	struct slice whole;
	struct buf mem;
	size_t n;
	int err;

	memset(out, 0, sizeof *out);
	buf_init(&out->content, SPLIT_MAX + COMPOSITE_MANIFEST_MAX);
	if (j->size <= SEG_WHOLE_MAX || j->size > SPLIT_MAX)
		return 0;
	c = xcalloc(SEG_REFS_MAX, sizeof *c);
	n = composite_candidates(buf_slice(&j->summary), j->size, c, SEG_REFS_MAX);
	if (n == 0) {
		free(c);
		return 0;
	}
	if (j->size > LARGE)
		pthread_mutex_lock(&b->large_mu);
	buf_init(&mem, SPLIT_MAX);
	err = read_all(j, &mem, &whole);
	if (err == 0) {
		sha256_of(whole, digest);
		err = memcmp(digest, j->sha256, 32) != 0 ? ERR_CORRUPT : 0;
	}
	if (err == 0)
		err = split(b, whole, c, n, out);
	buf_done(&mem);
	if (j->size > LARGE)
		pthread_mutex_unlock(&b->large_mu);
	free(c);
	return err;
}

/* ---- what is there already ---- */

int
bkv_content_is(const struct job *j)
{
	unsigned char digest[32];
	struct sha256 *h;
	struct buf piece;
	int err = 0;

	if (j->fd < 0) {
		sha256_of(buf_slice(&j->content), digest);
		return memcmp(digest, j->sha256, 32) == 0 ? 0 : ERR_CORRUPT;
	}
	h = sha256_new();
	buf_init(&piece, PROOF_PIECE);
	for (uint64_t at = 0; at < j->size && err == 0;) {
		size_t want = j->size - at < PROOF_PIECE ? (size_t)(j->size - at) : PROOF_PIECE;
		unsigned char *to;
		ssize_t n;

		buf_reset(&piece);
		if ((to = buf_reserve(&piece, want)) == NULL) {
			err = piece.err;
			break;
		}
		n = pread(j->fd, to, want, (off_t)at);
		if (n > 0) {
			sha256_update(h, to, (size_t)n);
			at += (uint64_t)n;
		} else if (n == 0 || errno != EINTR) {
			err = n == 0 ? ERR_EOF : err_from_errno(errno);
		}
	}
	sha256_final(h, digest);
	if (err == 0 && memcmp(digest, j->sha256, 32) != 0)
		err = ERR_CORRUPT;
	sha256_free(h);
	buf_done(&piece);
	return err;
}

/* ---- reading ---- */

static int
part_loc(struct bkv *b, const struct piece *p, struct seg_loc *loc)
{
	int err = bkv_body_loc(b, p->body, loc);

	if (err == ERR_NOTFOUND || (err == 0 && (loc->size != p->size || loc->content != p->size)))
		err = ERR_CORRUPT;
	return err;
}

/* [off, off + len) of a part's own octets. */
static int
part_read(struct bkv *b, const struct piece *p, uint64_t off, uint64_t len, struct buf *out)
{
	struct seg_loc loc;
	size_t before = out->len;
	int err = ERR_NOTFOUND;

	/* it may move in between */
	for (int i = 0; i < READ_TRIES && err == ERR_NOTFOUND; i++) {
		if ((err = part_loc(b, p, &loc)) == 0)
			err = seg_read(b->seg, &loc, off, (uint32_t)len, out);
	}
	if (err == 0 && out->len - before != len)
		err = ERR_CORRUPT;
	return err == ERR_NOTFOUND ? ERR_CORRUPT : err;
}

/* [off, off + len) of a piece. literal: where it stands in the content. */
static int
piece_read(struct bkv *b, const struct seg_loc *loc, const struct piece *p, uint64_t literal,
    uint64_t off, uint64_t len, struct buf *out)
{
	uint64_t from, to;
	struct buf part;
	int err;

	if (p->kind == PIECE_LITERAL)
		return seg_read(b->seg, loc, literal + off, (uint32_t)len, out);
	if (p->kind == PIECE_RAW)
		return part_read(b, p, off, len, out);
	b64_lines_need(&p->form, p->size, off, len, &from, &to);
	buf_init(&part, SEG_READ_MAX);
	err = part_read(b, p, from, to - from, &part);
	if (err == 0)
		err = b64_lines_encode(&p->form, buf_slice(&part), off, len, out);
	buf_done(&part);
	return err;
}

int
bkv_read(struct bkv *b, const struct seg_loc *loc, uint64_t off, uint32_t len, struct buf *out)
{
	uint64_t at = 0, literal, end;
	struct piece *p;
	struct buf begin;
	size_t n = 0;
	int err;

	if ((loc->flags & SEG_COMPOSITE) == 0)
		return seg_read(b->seg, loc, off, len, out);
	if (len > SEG_READ_MAX)
		return ERR_LIMIT;
	if (off >= loc->size || len == 0)
		return 0;
	end = len < loc->size - off ? off + len : loc->size;
	p = xcalloc(COMPOSITE_PIECES_MAX, sizeof *p);
	buf_init(&begin, COMPOSITE_MANIFEST_MAX);
	err = seg_read(b->seg, loc, 0, COMPOSITE_MANIFEST_MAX, &begin);
	if (err == 0)
		err = manifest_decode(buf_slice(&begin), loc->size, loc->content, p, &n, &literal);
	for (size_t i = 0; i < n && err == 0 && at < end; i++) {
		uint64_t from = off > at ? off - at : 0, to = end - at;

		to = to < p[i].len ? to : p[i].len;
		if (from < to)
			err = piece_read(b, loc, &p[i], literal, from, to - from, out);
		at += p[i].len;
		if (p[i].kind == PIECE_LITERAL)
			literal += p[i].len;
	}
	buf_done(&begin);
	free(p);
	return err;
}

int
bkv_check(struct bkv *b, const struct seg_loc *loc)
{
	struct sha256 *h;
	unsigned char digest[32];
	struct buf v;
	int err = seg_check(b->seg, loc);

	if (err != 0 || (loc->flags & SEG_COMPOSITE) == 0)
		return err;
	h = sha256_new();
	buf_init(&v, SEG_READ_MAX);
	for (uint64_t off = 0; off < loc->size && err == 0; off += 1 << 20) {
		buf_reset(&v);
		err = bkv_read(b, loc, off, 1 << 20, &v);
		sha256_update(h, v.data, v.len);
	}
	sha256_final(h, digest);
	if (err == 0 && memcmp(digest, loc->sha256, 32) != 0)
		err = ERR_CORRUPT;
	sha256_free(h);
	buf_done(&v);
	return err;
}
