/* cert_table.c: cert_table.h. Runs in milter-ledger and in congvu. The file is the ledger's own, but the certificates in it came with mail, and a power cut can leave
 * anything behind the last sync: every line is checked by itself and bounded, and what is wrong costs that line alone. */
#include "config.h"

#include "milter/cert_table.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUCKETS 16384
#define SUM_LEN 9              /* digits and space */
#define TIME_LAST 253402300799 /* the year 9999 */

struct cert_table {
	struct cert_row *buckets[BUCKETS], *first, **last;
	size_t n[CERT_WITHDRAWN + 1], n_inside; /* n_inside: of those that wait */
};

static const char *const state_names[] = {"unknown", "pending", "published", "banned", "withdrawn"};

const char *
cert_state_name(enum cert_state s)
{
	return state_names[s];
}

enum cert_state
cert_state_of(struct slice name)
{
	for (unsigned i = CERT_PENDING; i <= CERT_WITHDRAWN; i++)
		if (slice_eq_str(name, state_names[i]))
			return (enum cert_state)i;
	return CERT_UNKNOWN;
}

/* ---- rows ---- */

struct cert_table *
cert_table_new(void)
{
	struct cert_table *t = xcalloc(1, sizeof *t);

	t->last = &t->first;
	return t;
}

static void
row_free(struct cert_row *r)
{
	free(r->address);
	free(r);
}

void
cert_table_free(struct cert_table *t)
{
	struct cert_row *r, *next;

	for (r = t != NULL ? t->first : NULL; r != NULL; r = next) {
		next = r->next;
		row_free(r);
	}
	free(t);
}

static struct cert_row **
bucket_of(struct cert_table *t, const unsigned char sha256[32])
{
	return &t->buckets[((size_t)sha256[0] << 8 | sha256[1]) % BUCKETS];
}

struct cert_row *
cert_table_find(struct cert_table *t, const unsigned char sha256[32])
{
	struct cert_row *r = *bucket_of(t, sha256);

	while (r != NULL && memcmp(r->sha256, sha256, 32) != 0)
		r = r->next_in_bucket;
	return r;
}

struct cert_row *
cert_table_first(struct cert_table *t)
{
	return t->first;
}

size_t
cert_table_count(const struct cert_table *t, enum cert_state s)
{
	return t->n[s];
}

size_t
cert_table_total(const struct cert_table *t)
{
	size_t n = 0;

	for (unsigned i = 0; i <= CERT_WITHDRAWN; i++)
		n += t->n[i];
	return n;
}

static void
count(struct cert_table *t, const struct cert_row *r, bool more)
{
	size_t one = more ? 1 : (size_t)-1;

	t->n[r->state] += one;
	if (r->state == CERT_PENDING && r->inside)
		t->n_inside += one;
}

void
cert_table_remove(struct cert_table *t, struct cert_row *r)
{
	struct cert_row **p = bucket_of(t, r->sha256);

	while (*p != r)
		p = &(*p)->next_in_bucket;
	*p = r->next_in_bucket;
	*r->prev = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	else
		t->last = r->prev;
	count(t, r, false);
	row_free(r);
}

bool
cert_table_has_room(const struct cert_table *t, const char *address, bool inside)
{
	const struct cert_row *r;
	unsigned here = 0;

	if (inside ? t->n_inside >= CERTS_PENDING_MAX
		   : t->n[CERT_PENDING] - t->n_inside >= CERTS_OUTSIDE_MAX)
		return false;
	for (r = t->first; r != NULL; r = r->next)
		here += r->state == CERT_PENDING && strcmp(r->address, address) == 0;
	return here < CERTS_PER_ADDRESS;
}

size_t
cert_table_expire(struct cert_table *t, int64_t now, int64_t unseen_s)
{
	struct cert_row *r, *next;
	size_t gone = 0;

	for (r = t->first; r != NULL; r = next) {
		next = r->next;
		if (r->not_after > now && (r->state != CERT_PENDING || now - r->last <= unseen_s))
			continue;
		cert_table_remove(t, r);
		gone++;
	}
	return gone;
}

/* ---- entries and lines ---- */

int
cert_der_first(struct slice s, size_t *len_out)
{
	size_t n, head = 2, i;

	if (s.len < 2 || s.ptr[0] != 0x30)
		return ERR_SYNTAX;
	n = s.ptr[1];
	if (n >= 0x80) {
		head += n & 0x7f;
		if (n == 0x80 || head > 4 || s.len < head)
			return ERR_SYNTAX;
		for (n = 0, i = 2; i < head; i++)
			n = n << 8 | s.ptr[i];
	}
	if (n > CERT_DER_MAX || n > s.len - head)
		return ERR_SYNTAX;
	*len_out = head + n;
	return 0;
}

static bool
is_text(const struct json *e, const char *key, size_t max)
{
	const struct json *v = json_get(e, key);

	return json_kind(v) == JSON_T_STR && json_str(v).len <= max;
}

static bool
is_time(const struct json *e, const char *key)
{
	int64_t t = json_int(json_get(e, key), -1);

	return t >= 0 && t <= TIME_LAST;
}

static int
sha_of(const struct json *e, unsigned char out[32])
{
	struct slice hex = json_str(json_get(e, "sha256"));

	return hex.len == 64 ? hex_decode(hex, out, 32) : ERR_SYNTAX;
}

/* Without a look at der. */
static int
fields_check(const struct json *e, unsigned char sha256[32])
{
	struct slice address = json_str(json_get(e, "address"));

	if (json_kind(e) != JSON_T_OBJ || sha_of(e, sha256) != 0 || address.len == 0 ||
	    address.len > CERT_ADDRESS_MAX || slice_index(address, '@') < 0 ||
	    !is_text(e, "account", 128) || !is_text(e, "subject", CERT_TEXT_MAX) ||
	    !is_text(e, "issuer", CERT_TEXT_MAX) || !is_text(e, "serial", CERT_TEXT_MAX) ||
	    !is_text(e, "der", CERT_DER_MAX * 4 / 3 + 4) || !is_time(e, "not_before") ||
	    !is_time(e, "not_after"))
		return ERR_SYNTAX;
	return 0;
}

int
cert_entry_check(const struct json *e, unsigned char sha256_out[32], struct buf *der_out)
{
	unsigned char is[32], said[32];
	struct buf der;
	size_t n;
	int err = fields_check(e, said);

	if (err != 0)
		return ERR_SYNTAX;
	buf_init(&der, CERT_DER_MAX);
	err = b64_decode(json_str(json_get(e, "der")), true, &der);
	if (err == 0)
		err = der.err;
	if (err == 0)
		err = cert_der_first(buf_slice(&der), &n);
	if (err == 0) {
		sha256_of(slice_sub(buf_slice(&der), 0, n), is);
		err = memcmp(is, said, 32) == 0 ? 0 : ERR_SYNTAX;
	}
	if (err == 0)
		memcpy(sha256_out, said, 32);
	if (err == 0 && der_out != NULL)
		err = buf_append_slice(der_out, buf_slice(&der));
	buf_done(&der);
	return err == 0 ? 0 : ERR_SYNTAX;
}

int
cert_line_put(const struct json *j, struct buf *out)
{
	struct buf text;
	int err;

	buf_init(&text, CERT_LINE_MAX - SUM_LEN - 1);
	err = json_canonical(j, &text);
	if (err == 0)
		err = buf_appendf(out, "%08x ", crc32c(0, text.data, text.len));
	if (err == 0)
		err = buf_append_slice(out, buf_slice(&text));
	if (err == 0)
		err = buf_append_byte(out, '\n');
	buf_done(&text);
	return err == 0 ? 0 : ERR_LIMIT;
}

int
cert_line_get(struct slice line, struct json **out)
{
	unsigned char sum[4];
	struct slice text = slice_from(line, SUM_LEN);
	struct json *j = NULL;

	if (line.len <= SUM_LEN || line.len >= CERT_LINE_MAX || line.ptr[SUM_LEN - 1] != ' ' ||
	    hex_decode(slice_sub(line, 0, 8), sum, 4) != 0 ||
	    ((uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3]) !=
		crc32c(0, text.ptr, text.len))
		return ERR_CORRUPT;
	if (json_parse(text, &j) != 0)
		return ERR_CORRUPT;
	if (json_kind(j) != JSON_T_OBJ || json_has_real(j)) {
		json_free(j);
		return ERR_CORRUPT;
	}
	*out = j;
	return 0;
}

/* ---- lines into rows ---- */

static int
line_cert(
    struct cert_table *t, const struct json *j, uint64_t at, size_t len, struct cert_row **row_out)
{
	struct cert_row *r, **bucket;
	unsigned char sha[32];

	if (fields_check(j, sha) != 0 || !is_time(j, "first"))
		return ERR_CORRUPT;
	r = cert_table_find(t, sha);
	if (r != NULL && r->state != CERT_PENDING)
		return ERR_CORRUPT; /* each once */
	if (r != NULL)
		cert_table_remove(t, r); /* it was dropped, and came again */
	r = xcalloc(1, sizeof *r);
	memcpy(r->sha256, sha, 32);
	r->state = CERT_PENDING;
	r->address = slice_dup(json_str(json_get(j, "address")));
	r->inside = json_str(json_get(j, "account")).len > 0;
	r->not_after = json_int(json_get(j, "not_after"), 0);
	r->last = json_int(json_get(j, "first"), 0);
	r->count = 1;
	r->at = at;
	r->len = len;
	bucket = bucket_of(t, sha);
	r->next_in_bucket = *bucket;
	*bucket = r;
	r->prev = t->last;
	*t->last = r;
	t->last = &r->next;
	count(t, r, true);
	*row_out = r;
	return 0;
}

static int
line_seen(struct cert_row *r, const struct json *j)
{
	int64_t n = json_int(json_get(j, "n"), -1);

	if (n < 0 || !is_time(j, "last"))
		return ERR_CORRUPT;
	r->count = (uint64_t)n;
	r->last = json_int(json_get(j, "last"), 0);
	return 0;
}

static int
line_state(struct cert_table *t, struct cert_row *r, const struct json *j, uint64_t at, size_t len)
{
	enum cert_state s = cert_state_of(json_str(json_get(j, "state")));
	const struct json *published = json_get(j, "published");

	if (s == CERT_UNKNOWN || !is_time(j, "at") || !is_text(j, "by", CERT_TEXT_MAX) ||
	    !is_text(j, "decision", CERT_TEXT_MAX) || !is_text(j, "reason", CERT_TEXT_MAX))
		return ERR_CORRUPT;
	count(t, r, false);
	r->state = s;
	if (published != NULL)
		r->published = json_bool(published);
	else if (s == CERT_PUBLISHED || s == CERT_WITHDRAWN)
		r->published = s == CERT_PUBLISHED;
	r->decided_at = at;
	r->decided_len = len;
	count(t, r, true);
	return 0;
}

int
cert_table_line(struct cert_table *t, struct slice line, uint64_t at, struct cert_row **row_out)
{
	struct cert_row *r = NULL;
	struct json *j = NULL;
	unsigned char sha[32];
	struct slice kind;
	int err = cert_line_get(line, &j);

	if (err != 0)
		return err;
	kind = json_str(json_get(j, "k"));
	if (slice_eq_str(kind, "cert"))
		err = line_cert(t, j, at, line.len + 1, &r);
	else if (sha_of(j, sha) != 0 || (r = cert_table_find(t, sha)) == NULL)
		err = ERR_CORRUPT;
	else if (slice_eq_str(kind, "seen"))
		err = line_seen(r, j);
	else if (slice_eq_str(kind, "state"))
		err = line_state(t, r, j, at, line.len + 1);
	else
		err = ERR_CORRUPT;
	json_free(j);
	if (err == 0 && row_out != NULL)
		*row_out = r;
	return err;
}

int
cert_table_read(struct cert_table *t, int fd, struct cert_read *out)
{
	uint64_t at = 0; /* of the buffer's first octet */
	struct buf b;
	ssize_t n = 1;
	ptrdiff_t lf;
	int err = 0;

	memset(out, 0, sizeof *out);
	buf_init(&b, 4 * CERT_LINE_MAX);
	while (n > 0 && err == 0) {
		unsigned char *room = buf_reserve(&b, CERT_LINE_MAX);

		n = room != NULL ? pread(fd, room, CERT_LINE_MAX, (off_t)(at + b.len)) : -1;
		if (n < 0 && room != NULL && errno == EINTR) {
			n = 1;
			continue;
		}
		if (n < 0)
			err = ERR_IO;
		else
			buf_commit(&b, (size_t)n);
		while (err == 0 && (lf = slice_index(buf_slice(&b), '\n')) >= 0) {
			out->bad += cert_table_line(
					t, slice_sub(buf_slice(&b), 0, (size_t)lf), at, NULL) != 0;
			buf_consume(&b, (size_t)lf + 1);
			at += (uint64_t)lf + 1;
		}
		out->size = at;
		/* longer than any line: what it is does not matter, and where it ends is found by its LF */
		if (b.len >= 2 * CERT_LINE_MAX) {
			at += b.len;
			buf_reset(&b);
			out->bad++;
		}
	}
	buf_done(&b);
	return err;
}
