/* json.h: JSON values behind a thin interface; json.c is the only includer of <jansson.h>. Strings set from bytes are made
 * valid UTF-8 (bad bytes and NUL become U+FFFD). Canonical form: sorted keys, no spaces, ASCII with \u escapes (DEL stands as it is), integers
 * only. Setters accept NULL children and latch nothing: no memory is fatal(). Used by the ledger, the milter, congvu. */
#ifndef CV_JSON_H
#define CV_JSON_H

#include "lib/buf.h"

struct json; /* a value; owned by whoever made it until it is put into another */

enum json_kind {
	JSON_T_NULL,
	JSON_T_BOOL,
	JSON_T_INT,
	JSON_T_REAL,
	JSON_T_STR,
	JSON_T_ARR,
	JSON_T_OBJ
};

/* Seeds the hash tables (reads /dev/urandom once): call it before the sandbox. */
void json_init(void);

struct json *json_obj_new(void);
struct json *json_arr_new(void);
struct json *json_str_new(struct slice s);
struct json *json_int_new(int64_t v);
struct json *json_bool_new(bool v);
void json_free(struct json *j); /* NULL accepted */
/* Another owner of the same value: both free it, neither changes it any more. */
struct json *json_share(struct json *j);

/* Object members; an existing key is replaced. set_take: child is taken (NULL: the key becomes null). */
void json_set_take(struct json *obj, const char *key, struct json *child);
void json_set_str(struct json *obj, const char *key, const char *s); /* NULL: null */
void json_set_slice(struct json *obj, const char *key, struct slice s);
void json_set_int(struct json *obj, const char *key, int64_t v);
void json_set_bool(struct json *obj, const char *key, bool v);
void json_del(struct json *obj, const char *key);
void json_push_take(struct json *arr, struct json *child);

enum json_kind json_kind(const struct json *j); /* NULL: JSON_T_NULL */
/* Borrowed; NULL when absent or obj is no object. */
struct json *json_get(const struct json *obj, const char *key);
/* Walks members in key order of insertion: *iter NULL to start; false at the end. */
bool json_next(const struct json *obj, void **iter, const char **key_out, struct json **value_out);
/* Drops what stands behind the first n of an array. */
void json_cut(struct json *arr, size_t n);
size_t json_len(const struct json *arr); /* 0 for what is no array */
struct json *json_at(const struct json *arr, size_t i);
/* Text of a string value; empty slice (ptr NULL) for other types. Borrowed. */
struct slice json_str(const struct json *j);
const char *json_cstr(const struct json *j); /* "" for other types */
int64_t json_int(const struct json *j, int64_t otherwise);
bool json_bool(const struct json *j);
/* True when a real number stands anywhere inside. */
bool json_has_real(const struct json *j);

/* One JSON value that is all of s; duplicate keys, \u0000 and invalid UTF-8 are refused. 0 or ERR_SYNTAX. */
int json_parse(struct slice s, struct json **out);
/* Appends the canonical form / an indented form for people. 0, ERR_LIMIT, ERR_NOMEM. */
int json_canonical(const struct json *j, struct buf *out);
int json_pretty(const struct json *j, struct buf *out);

#endif
