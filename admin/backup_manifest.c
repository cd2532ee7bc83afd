/* backup_manifest.c: see backup_manifest.h. Runs in congvu. */
#include "config.h"

#include "admin/backup_manifest.h"

#include <stdlib.h>
#include <string.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum { SEGMENTS_MAX = 4 << 20, TAIL_LEN = 72 /* "sha256 ", 64 digits, line feed */ };

/* ---- reading ---- */

static int
get_u64(const struct json *obj, const char *key, uint64_t max, uint64_t *out)
{
	const struct json *j = json_get(obj, key);
	int64_t v = json_int(j, -1);

	if (json_kind(j) != JSON_T_INT || v < 0 || (uint64_t)v > max)
		return ERR_CORRUPT;
	*out = (uint64_t)v;
	return 0;
}

static int
get_hex(const struct json *j, unsigned char *out, size_t n)
{
	return json_kind(j) == JSON_T_STR && hex_decode(json_str(j), out, n) == 0 ? 0 : ERR_CORRUPT;
}

static int
get_part(const struct json *obj, struct backup_part *p)
{
	int err = get_u64(obj, "octets", INT64_MAX, &p->octets);

	return err != 0 ? err : get_hex(json_get(obj, "sha256"), p->sha256, sizeof p->sha256);
}

static int
get_set(const struct json *obj, struct backup_set *s)
{
	struct slice key = json_str(json_get(obj, "last_key"));
	uint64_t gen = 0;

	if (obj == NULL || json_kind(obj) == JSON_T_NULL)
		return 0;
	s->there = true;
	s->rows_done = json_bool(json_get(obj, "rows_done"));
	s->last_key_len = key.len / 2;
	if (get_u64(obj, "gen", UINT32_MAX, &gen) != 0 || gen == 0 ||
	    get_u64(obj, "from", INT64_MAX, &s->from) != 0 ||
	    get_hex(json_get(obj, "epoch"), s->epoch, sizeof s->epoch) != 0 ||
	    get_part(json_get(obj, "rows"), &s->rows) != 0 ||
	    get_part(json_get(obj, "journal"), &s->journal) != 0 ||
	    s->journal.octets > INT64_MAX - s->from || s->last_key_len > sizeof s->last_key ||
	    hex_decode(key, s->last_key, s->last_key_len) != 0)
		return ERR_CORRUPT;
	s->gen = (uint32_t)gen;
	return 0;
}

static int
get_segments(const struct json *arr, struct backup_manifest *m)
{
	size_t n = json_len(arr);

	if (json_kind(arr) != JSON_T_ARR || n > SEGMENTS_MAX)
		return ERR_CORRUPT;
	m->segments = xcalloc(n + 1, sizeof *m->segments);
	for (size_t i = 0; i < n; i++) {
		struct backup_segment *s = &m->segments[i];
		uint64_t number = 0, copy = 0;

		if (get_u64(json_at(arr, i), "file", UINT32_MAX, &number) != 0 || number == 0 ||
		    (i > 0 && number <= m->segments[i - 1].number) ||
		    get_part(json_at(arr, i), &s->part) != 0 ||
		    get_u64(json_at(arr, i), "copy", UINT32_MAX, &copy) != 0)
			return ERR_CORRUPT;
		s->number = (uint32_t)number;
		s->copy = (uint32_t)copy;
		m->n_segments = i + 1;
	}
	return 0;
}

int
manifest_parse(struct slice text, struct backup_manifest *m)
{
	unsigned char said[32], is[32];
	struct json *j = NULL;
	uint64_t version = 0, moment = 0;
	struct slice body;
	int err;

	memset(m, 0, sizeof *m);
	if (text.len <= TAIL_LEN || text.len > MANIFEST_MAX)
		return ERR_CORRUPT;
	body = slice_sub(text, 0, text.len - TAIL_LEN);
	text = slice_from(text, body.len);
	sha256_of(body, is);
	if (!slice_starts(text, "sha256 ") || text.ptr[TAIL_LEN - 1] != '\n' ||
	    hex_decode(slice_sub(text, 7, 64), said, sizeof said) != 0 ||
	    memcmp(said, is, sizeof is) != 0)
		return ERR_CORRUPT;
	if (json_parse(body, &j) != 0)
		return ERR_CORRUPT;
	err = slice_eq_str(json_str(json_get(j, "format")), "congvu-backup")
		  ? get_u64(j, "version", UINT32_MAX, &version)
		  : ERR_CORRUPT;
	if (err == 0 && version != MANIFEST_VERSION)
		err = version > MANIFEST_VERSION ? ERR_UNSUPPORTED : ERR_CORRUPT;
	if (err == 0)
		err = get_hex(json_get(j, "store"), m->store, sizeof m->store);
	if (err == 0)
		err = get_u64(j, "moment_us", INT64_MAX, &moment);
	m->moment_us = (int64_t)moment;
	if (err == 0)
		err = get_set(json_get(j, "set"), &m->set);
	if (err == 0)
		err = get_set(json_get(j, "next"), &m->next);
	if (err == 0)
		err = get_segments(json_get(j, "segments"), m);
	if (err == 0 && m->set.there != (m->moment_us > 0))
		err = ERR_CORRUPT;
	if (err == 0 && m->set.there && !m->set.rows_done)
		err = ERR_CORRUPT;
	if (err == 0 && m->set.there && m->next.there && m->set.gen == m->next.gen)
		err = ERR_CORRUPT;
	json_free(j);
	return err;
}

/* ---- writing ---- */

static void
set_hex(struct json *obj, const char *key, const unsigned char *p, size_t n)
{
	char hex[2 * 256 + 1];

	hex_encode(p, n, hex);
	json_set_str(obj, key, hex);
}

static void
fill_part(struct json *j, const struct backup_part *p)
{
	json_set_int(j, "octets", (int64_t)p->octets);
	set_hex(j, "sha256", p->sha256, sizeof p->sha256);
}

static struct json *
part_json(const struct backup_part *p)
{
	struct json *j = json_obj_new();

	fill_part(j, p);
	return j;
}

static struct json *
set_json(const struct backup_set *s)
{
	struct json *j;

	if (!s->there)
		return NULL;
	j = json_obj_new();
	json_set_int(j, "gen", s->gen);
	set_hex(j, "epoch", s->epoch, sizeof s->epoch);
	json_set_int(j, "from", (int64_t)s->from);
	json_set_bool(j, "rows_done", s->rows_done);
	set_hex(j, "last_key", s->last_key, s->last_key_len);
	json_set_take(j, "rows", part_json(&s->rows));
	json_set_take(j, "journal", part_json(&s->journal));
	return j;
}

int
manifest_format(const struct backup_manifest *m, struct buf *out)
{
	struct json *j = json_obj_new(), *segments = json_arr_new();
	unsigned char sha[32];
	char hex[65];
	int err;

	json_set_str(j, "format", "congvu-backup");
	json_set_int(j, "version", MANIFEST_VERSION);
	set_hex(j, "store", m->store, sizeof m->store);
	json_set_int(j, "moment_us", m->moment_us);
	json_set_take(j, "set", set_json(&m->set));
	json_set_take(j, "next", set_json(&m->next));
	for (size_t i = 0; i < m->n_segments; i++) {
		struct json *one = json_obj_new();

		json_set_int(one, "file", m->segments[i].number);
		json_set_int(one, "copy", m->segments[i].copy);
		fill_part(one, &m->segments[i].part);
		json_push_take(segments, one);
	}
	json_set_take(j, "segments", segments);
	err = json_canonical(j, out);
	json_free(j);
	if (err == 0)
		err = buf_append_byte(out, '\n');
	sha256_of(buf_slice(out), sha);
	hex_encode(sha, sizeof sha, hex);
	return err != 0 ? err : buf_appendf(out, "sha256 %s\n", hex);
}

void
manifest_done(struct backup_manifest *m)
{
	free(m->segments);
	m->segments = NULL;
	m->n_segments = 0;
}

struct backup_segment *
manifest_segment(const struct backup_manifest *m, uint32_t number)
{
	size_t lo = 0, hi = m->n_segments;

	while (lo < hi) {
		size_t mid = (lo + hi) / 2;

		if (m->segments[mid].number == number)
			return &m->segments[mid];
		if (m->segments[mid].number < number)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}
