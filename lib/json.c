/* json.c: JSON through jansson, the one place that includes it. Pure. Runs in milter, milter-ledger, stored and congvu.
 * struct json is jansson's json_t under another name: no wrapper object, no second allocation. RFC 8259. */
#include "config.h"

#include "lib/json.h"

#include "lib/err.h"
#include "lib/log.h"

#include <jansson.h>
#include <string.h>

#define DUMP_ROOM 4096

static json_t *
in(const struct json *j)
{
	/* jansson's readers take non-const although they change nothing */
	union {
		const struct json *c;
		json_t *j;
	} u = {.c = j};

	return u.j;
}

static struct json *
out_or_die(json_t *j)
{
	if (j == NULL)
		fatal("json: no memory");
	return (struct json *)j;
}

/* Length of the valid UTF-8 sequence at p, 0 when there is none. NUL counts as invalid. RFC 3629. */
static size_t
utf8_len(const unsigned char *p, size_t n)
{
	unsigned c = p[0];
	size_t len, i;
	uint32_t v;

	if (c == 0)
		return 0;
	if (c < 0x80)
		return 1;
	if (c >= 0xc2 && c <= 0xdf) {
		len = 2;
		v = c & 0x1f;
	} else if ((c & 0xf0) == 0xe0) {
		len = 3;
		v = c & 0x0f;
	} else if (c >= 0xf0 && c <= 0xf4) {
		len = 4;
		v = c & 0x07;
	} else {
		return 0;
	}
	if (len > n)
		return 0;
	for (i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		v = v << 6 | (p[i] & 0x3f);
	}
	if ((len == 3 && v < 0x800) || (len == 4 && (v < 0x10000 || v > 0x10ffff)) ||
	    (v >= 0xd800 && v <= 0xdfff))
		return 0;
	return len;
}

void
json_init(void)
{
	json_object_seed(0);
}

struct json *
json_obj_new(void)
{
	return out_or_die(json_object());
}

struct json *
json_arr_new(void)
{
	return out_or_die(json_array());
}

struct json *
json_str_new(struct slice s)
{
	struct buf b;
	size_t i = 0, n, from = 0;
	json_t *j;

	while (i < s.len && (n = utf8_len(s.ptr + i, s.len - i)) > 0)
		i += n;
	if (i == s.len)
		return out_or_die(
		    json_stringn_nocheck(s.len > 0 ? (const char *)s.ptr : "", s.len));
	buf_init(&b, s.len * 3 + 1);
	i = 0;
	while (i < s.len) {
		n = utf8_len(s.ptr + i, s.len - i);
		if (n == 0) {
			buf_append(&b, s.ptr + from, i - from);
			buf_append(&b, "\xef\xbf\xbd", 3);
			from = ++i;
		} else {
			i += n;
		}
	}
	if (from < s.len)
		buf_append(&b, s.ptr + from, s.len - from);
	if (b.err != 0)
		fatal("json: no memory");
	j = json_stringn_nocheck(buf_cstr(&b), b.len);
	buf_done(&b);
	return out_or_die(j);
}

struct json *
json_int_new(int64_t v)
{
	return out_or_die(json_integer(v));
}

struct json *
json_bool_new(bool v)
{
	return out_or_die(json_boolean(v));
}

struct json *
json_share(struct json *j)
{
	return (struct json *)json_incref((json_t *)j);
}

void
json_free(struct json *j)
{
	json_decref((json_t *)j);
}

void
json_set_take(struct json *obj, const char *key, struct json *child)
{
	if (json_object_set_new_nocheck(
		(json_t *)obj, key, child != NULL ? (json_t *)child : json_null()) != 0)
		fatal("json: no memory or no object");
}

void
json_set_str(struct json *obj, const char *key, const char *s)
{
	json_set_take(obj, key, s != NULL ? json_str_new(slice_str(s)) : NULL);
}

void
json_set_slice(struct json *obj, const char *key, struct slice s)
{
	json_set_take(obj, key, json_str_new(s));
}

void
json_set_int(struct json *obj, const char *key, int64_t v)
{
	json_set_take(obj, key, json_int_new(v));
}

void
json_set_bool(struct json *obj, const char *key, bool v)
{
	json_set_take(obj, key, json_bool_new(v));
}

void
json_del(struct json *obj, const char *key)
{
	json_object_del((json_t *)obj, key);
}

void
json_cut(struct json *arr, size_t n)
{
	while (json_array_size((json_t *)arr) > n)
		json_array_remove((json_t *)arr, json_array_size((json_t *)arr) - 1);
}

void
json_push_take(struct json *arr, struct json *child)
{
	if (json_array_append_new((json_t *)arr, child != NULL ? (json_t *)child : json_null()) !=
	    0)
		fatal("json: no memory or no array");
}

enum json_kind
json_kind(const struct json *j)
{
	if (j == NULL)
		return JSON_T_NULL;
	switch (json_typeof(in(j))) {
	case JSON_OBJECT:
		return JSON_T_OBJ;
	case JSON_ARRAY:
		return JSON_T_ARR;
	case JSON_STRING:
		return JSON_T_STR;
	case JSON_INTEGER:
		return JSON_T_INT;
	case JSON_REAL:
		return JSON_T_REAL;
	case JSON_TRUE:
	case JSON_FALSE:
		return JSON_T_BOOL;
	default:
		return JSON_T_NULL;
	}
}

struct json *
json_get(const struct json *obj, const char *key)
{
	return (struct json *)json_object_get(in(obj), key);
}

bool
json_next(const struct json *obj, void **iter, const char **key_out, struct json **value_out)
{
	void *it =
	    *iter == NULL ? json_object_iter(in(obj)) : json_object_iter_next(in(obj), *iter);

	if (it == NULL)
		return false;
	*iter = it;
	*key_out = json_object_iter_key(it);
	*value_out = (struct json *)json_object_iter_value(it);
	return true;
}

size_t
json_len(const struct json *arr)
{
	return json_array_size(in(arr));
}

struct json *
json_at(const struct json *arr, size_t i)
{
	return (struct json *)json_array_get(in(arr), i);
}

struct slice
json_str(const struct json *j)
{
	if (json_kind(j) != JSON_T_STR)
		return (struct slice){NULL, 0};
	return slice_of(json_string_value(in(j)), json_string_length(in(j)));
}

const char *
json_cstr(const struct json *j)
{
	return json_kind(j) == JSON_T_STR ? json_string_value(in(j)) : "";
}

int64_t
json_int(const struct json *j, int64_t otherwise)
{
	return json_kind(j) == JSON_T_INT ? (int64_t)json_integer_value(in(j)) : otherwise;
}

bool
json_bool(const struct json *j)
{
	return j != NULL && json_is_true(in(j));
}

bool
json_has_real(const struct json *j)
{
	void *iter = NULL;
	const char *key;
	struct json *v;
	size_t i;

	switch (json_kind(j)) {
	case JSON_T_REAL:
		return true;
	case JSON_T_ARR:
		for (i = 0; i < json_len(j); i++) {
			if (json_has_real(json_at(j, i)))
				return true;
		}
		return false;
	case JSON_T_OBJ:
		while (json_next(j, &iter, &key, &v)) {
			if (json_has_real(v))
				return true;
		}
		return false;
	default:
		return false;
	}
}

int
json_parse(struct slice s, struct json **out)
{
	json_t *j =
	    json_loadb((const char *)s.ptr, s.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);

	if (j == NULL)
		return ERR_SYNTAX;
	*out = (struct json *)j;
	return 0;
}

static int
append_cb(const char *p, size_t n, void *arg)
{
	return buf_append(arg, p, n) != 0 ? -1 : 0;
}

static int
dump(const struct json *j, size_t flags, struct buf *out)
{
	/* most texts are of some thousand octets: one piece of memory, not seven */
	if (out->cap - out->len >= DUMP_ROOM && out->alloc - out->len < DUMP_ROOM &&
	    buf_reserve(out, DUMP_ROOM) != NULL)
		buf_commit(out, 0);
	if (json_dump_callback(in(j), append_cb, out, flags | JSON_SORT_KEYS | JSON_ENCODE_ANY) !=
	    0)
		return out->err != 0 ? out->err : ERR_NOMEM;
	return out->err;
}

int
json_canonical(const struct json *j, struct buf *out)
{
	return dump(j, JSON_COMPACT | JSON_ENSURE_ASCII, out);
}

int
json_pretty(const struct json *j, struct buf *out)
{
	return dump(j, JSON_INDENT(2), out);
}
