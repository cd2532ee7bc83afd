/* audit.c: the audit log's record format: sealing a record into the hash chain and checking it again. No file is opened here.
 * Runs in milter-ledger (audit_seal) and congvu (audit_verify). A line is compared with the canonical form of its own content, so
 * that no byte of the log is free to change. */
#include "config.h"

#include "milter/audit.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char zero_hash[] = "0000000000000000000000000000000000000000000000000000000000000000";

void
audit_chain_init(struct audit_chain *c)
{
	c->seq = 0;
	memcpy(c->h, zero_hash, sizeof c->h);
}

void
audit_digest(struct slice canon, char out[65])
{
	unsigned char digest[32];

	sha256_of(canon, digest);
	hex_encode(digest, sizeof digest, out);
}

void
audit_link(const char prev[65], const char d[65], char out[65])
{
	char both[128];

	memcpy(both, prev, 64);
	memcpy(both + 64, d, 64);
	audit_digest(slice_of(both, sizeof both), out);
}

/* h of a record whose canonical form without h is canon. */
static void
chain_hash(int64_t version, const char prev[65], struct slice canon, char out[65])
{
	unsigned char raw[32], digest[32];
	struct sha256 *sha;
	char d[65];

	if (version >= 2) {
		audit_digest(canon, d);
		audit_link(prev, d, out);
		return;
	}
	sha = sha256_new();
	if (hex_decode(slice_of(prev, 64), raw, sizeof raw) != 0)
		memset(raw, 0, sizeof raw);
	sha256_update(sha, raw, sizeof raw);
	sha256_update(sha, canon.ptr, canon.len);
	sha256_final(sha, digest);
	sha256_free(sha);
	hex_encode(digest, sizeof digest, out);
}

/* From the beginning of a value in canonical form: where its "," or the object's "}" stands. */
static size_t
value_end(struct slice s, size_t at)
{
	unsigned depth = 0;
	bool quoted = false;

	for (; at < s.len; at++) {
		unsigned char c = s.ptr[at];

		if (quoted) {
			at += c == '\\';
			quoted = c != '"';
		} else if (c == '"') {
			quoted = true;
		} else if (c == '{' || c == '[') {
			depth++;
		} else if (depth == 0 && (c == ',' || c == '}')) {
			return at;
		} else if (c == '}' || c == ']') {
			depth--;
		}
	}
	return s.len;
}

/* Where the member "h" belongs in an object in canonical form that has none: members are sorted. s.len: a key is not plain, or this is no object. */
static size_t
place_of_h(struct slice s)
{
	size_t at = 1, key, end;

	while (at < s.len && s.ptr[at] == '"') {
		key = at + 1;
		for (end = key; end < s.len && s.ptr[end] != '"'; end++)
			if (s.ptr[end] == '\\')
				return s.len;
		if (end == key)
			return s.len;
		if (s.ptr[key] > 'h' || (s.ptr[key] == 'h' && end > key + 1))
			return at;
		at = value_end(s, end + 2);
		if (at >= s.len || s.ptr[at] != ',')
			return s.len;
		at++;
	}
	return s.len;
}

/* The canonical form with h: what was hashed, and h in its place. */
static int
append_sealed(struct slice canon, struct json *rec, const char *h, struct buf *out)
{
	size_t at = place_of_h(canon);
	struct buf again;
	int err = 0;

	if (at < canon.len) {
		buf_append_slice(out, slice_sub(canon, 0, at));
		buf_append_str(out, "\"h\":\"");
		buf_append_str(out, h);
		buf_append_str(out, "\",");
		buf_append_slice(out, slice_from(canon, at));
	} else {
		json_set_str(rec, "h", h);
		buf_init(&again, AUDIT_LINE_MAX);
		err = json_canonical(rec, &again);
		if (err == 0)
			buf_append_slice(out, buf_slice(&again));
		buf_done(&again);
	}
	buf_append_byte(out, '\n');
	return err != 0 ? err : out->err;
}

int
audit_seal(
    struct audit_chain *c, struct json *rec, const char *ts, const char *host, struct buf *out)
{
	static const char *const ours[] = {"v", "seq", "ts", "host", "salt", "prev", "h"};
	unsigned char salt[16];
	struct buf canon;
	char h[65], salt_hex[2 * sizeof salt + 1];
	size_t i, had = out->len;
	int err;

	if (json_kind(rec) != JSON_T_OBJ || json_has_real(rec))
		return ERR_SYNTAX;
	for (i = 0; i < sizeof ours / sizeof *ours; i++) {
		if (json_get(rec, ours[i]) != NULL)
			return ERR_EXISTS;
	}
	buf_init(&canon, AUDIT_LINE_MAX);
	json_set_int(rec, "v", AUDIT_VERSION);
	json_set_int(rec, "seq", (int64_t)(c->seq + 1));
	json_set_str(rec, "ts", ts);
	json_set_str(rec, "host", host);
	random_bytes(salt, sizeof salt);
	hex_encode(salt, sizeof salt, salt_hex);
	json_set_str(rec, "salt", salt_hex);
	json_set_str(rec, "prev", c->h);
	err = json_canonical(rec, &canon);
	if (err != 0)
		goto out;
	chain_hash(AUDIT_VERSION, c->h, buf_slice(&canon), h);
	/* the reader's bound is on the whole line: 71 octets more */
	err = canon.len + 71 > AUDIT_LINE_MAX ? ERR_LIMIT
					      : append_sealed(buf_slice(&canon), rec, h, out);
	if (err != 0)
		goto out;
	c->seq++;
	memcpy(c->h, h, sizeof c->h);
out:
	if (err != 0) {
		out->err = 0;
		buf_truncate(out, had);
	}
	buf_done(&canon);
	return err;
}

static bool
is_hash(struct slice s)
{
	unsigned char raw[32];
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] >= 'A' && s.ptr[i] <= 'F')
			return false;
	}
	return s.len == 64 && hex_decode(s, raw, sizeof raw) == 0;
}

/* prev_out: 65 bytes. */
static int
line_check(struct slice line, struct audit_chain *c, char *prev_out, struct json **rec_out,
    const char **why_out)
{
	struct json *rec = NULL;
	struct buf canon;
	struct slice h, prev;
	char want[65];
	int64_t seq, version;
	int err = ERR_CORRUPT;

	buf_init(&canon, AUDIT_LINE_MAX);
	if (line.len > AUDIT_LINE_MAX || json_parse(line, &rec) != 0 ||
	    json_kind(rec) != JSON_T_OBJ) {
		*why_out = "no record: the line is not one JSON object";
		goto out;
	}
	if (json_canonical(rec, &canon) != 0 || !slice_eq(buf_slice(&canon), line)) {
		*why_out = "changed: the line is not in canonical form";
		goto out;
	}
	seq = json_int(json_get(rec, "seq"), -1);
	h = json_str(json_get(rec, "h"));
	prev = json_str(json_get(rec, "prev"));
	version = json_int(json_get(rec, "v"), -1);
	if (version < 1 || version > AUDIT_VERSION || seq < 1 || !is_hash(h) || !is_hash(prev)) {
		*why_out = "no record: v, seq, prev or h is missing or malformed";
		goto out;
	}
	memcpy(prev_out, prev.ptr, 64);
	prev_out[64] = '\0';
	memcpy(c->h, h.ptr, 64);
	c->h[64] = '\0';
	c->seq = (uint64_t)seq;
	json_del(rec, "h");
	buf_reset(&canon);
	if (json_canonical(rec, &canon) != 0)
		goto out;
	chain_hash(version, prev_out, buf_slice(&canon), want);
	if (memcmp(want, c->h, 64) != 0) {
		*why_out = "changed: the content does not have the hash it states";
		goto out;
	}
	json_set_str(rec, "h", c->h);
	if (rec_out != NULL) {
		*rec_out = rec;
		rec = NULL;
	}
	err = 0;
out:
	json_free(rec);
	buf_done(&canon);
	return err;
}

int
audit_line_parse(
    struct slice line, struct audit_chain *c, struct json **rec_out, const char **why_out)
{
	struct audit_chain got;
	char prev[65];
	int err;

	audit_chain_init(&got);
	err = line_check(line, &got, prev, rec_out, why_out);
	if (err == 0)
		*c = got;
	return err;
}

int
audit_check_line(
    struct audit_chain *c, struct slice line, struct json **rec_out, const char **why_out)
{
	struct audit_chain got;
	struct json *rec = NULL;
	char prev[65];

	audit_chain_init(&got);
	if (line_check(line, &got, prev, &rec, why_out) != 0)
		return ERR_CORRUPT;
	if (got.seq != c->seq + 1) {
		*why_out = got.seq > c->seq + 1 ? "missing records: the number jumps ahead"
						: "out of order: the number was used before";
		json_free(rec);
		return ERR_CORRUPT;
	}
	if (memcmp(prev, c->h, 64) != 0) {
		*why_out = "foreign record: it does not follow the record before it";
		json_free(rec);
		return ERR_CORRUPT;
	}
	*c = got;
	if (rec_out != NULL)
		*rec_out = rec;
	else
		json_free(rec);
	return 0;
}

void
audit_state_format(const struct audit_state *s, char out[AUDIT_STATE_LEN + 1])
{
	snprintf(out, AUDIT_STATE_LEN + 1,
	    "congvu-audit-state 2 seq=%020" PRIu64 " size=%020" PRIu64 " h=%.64s seq=%020" PRIu64
	    "\n",
	    s->last.seq, s->size, s->last.h, s->last.seq);
}

/* Version 1 ended behind h: written in part it was another state, not none. */
int
audit_state_parse(struct slice text, struct audit_state *out)
{
	static const char head1[] = "congvu-audit-state 1 seq=",
			  head2[] = "congvu-audit-state 2 seq=";
	struct audit_state s;
	size_t at = sizeof head1 - 1, end = at + 49 + 64;
	uint64_t again;

	if (text.len == end + 1 && slice_starts(text, head1)) {
		again = 0;
	} else if (text.len != AUDIT_STATE_LEN || !slice_starts(text, head2) ||
		   !slice_eq_str(slice_sub(text, end, 5), " seq=") ||
		   slice_to_u64(slice_sub(text, end + 5, 20), UINT64_MAX, &again) != 0) {
		return ERR_SYNTAX;
	}
	if (slice_to_u64(slice_sub(text, at, 20), UINT64_MAX, &s.last.seq) != 0 ||
	    !slice_eq_str(slice_sub(text, at + 20, 6), " size=") ||
	    slice_to_u64(slice_sub(text, at + 26, 20), UINT64_MAX, &s.size) != 0 ||
	    !slice_eq_str(slice_sub(text, at + 46, 3), " h=") ||
	    !is_hash(slice_sub(text, at + 49, 64)) || text.ptr[text.len - 1] != '\n' ||
	    (text.len == AUDIT_STATE_LEN && again != s.last.seq))
		return ERR_SYNTAX;
	memcpy(s.last.h, text.ptr + at + 49, 64);
	s.last.h[64] = '\0';
	*out = s;
	return 0;
}

struct audit_reader {
	int fd;
	struct buf in;
	size_t at; /* bytes of in that were given out */
	uint64_t line;
	bool eof;
};

struct audit_reader *
audit_reader_new(int fd)
{
	struct audit_reader *r = xcalloc(1, sizeof *r);

	r->fd = fd;
	buf_init(&r->in, AUDIT_LINE_MAX + 65536);
	return r;
}

void
audit_reader_free(struct audit_reader *r)
{
	if (r == NULL)
		return;
	buf_done(&r->in);
	free(r);
}

int
audit_reader_next(struct audit_reader *r, struct slice *line_out)
{
	struct slice rest;
	unsigned char *room;
	ptrdiff_t lf;
	ssize_t n;

	for (;;) {
		rest = slice_from(buf_slice(&r->in), r->at);
		lf = slice_index(rest, '\n');
		if (lf >= 0) {
			*line_out = slice_sub(rest, 0, (size_t)lf);
			r->at += (size_t)lf + 1;
			r->line++;
			return 0;
		}
		if (rest.len > AUDIT_LINE_MAX)
			return ERR_LIMIT;
		if (r->eof)
			return ERR_EOF;
		buf_consume(&r->in, r->at);
		r->at = 0;
		room = buf_reserve(&r->in, 65536);
		if (room == NULL)
			return r->in.err;
		do {
			n = read(r->fd, room, 65536);
		} while (n < 0 && errno == EINTR);
		if (n < 0)
			return ERR_IO;
		if (n == 0)
			r->eof = true;
		buf_commit(&r->in, (size_t)n);
	}
}

uint64_t
audit_reader_line(const struct audit_reader *r)
{
	return r->line;
}

size_t
audit_reader_torn(const struct audit_reader *r)
{
	return r->in.len - r->at;
}
