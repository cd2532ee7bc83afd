/* dir_dump_json.c: entries as JSON and back (dir_dump.h). Runs in congvu. One entry a line, so that a large file can be looked at and compared. */
#include "config.h"

#include "directory/dir_dump_priv.h"

#include "lib/err.h"
#include "lib/json.h"
#include "lib/mime.h"

#include <string.h>

static struct json *
value_json(struct slice v)
{
	struct json *j;
	struct buf b;

	if (dump_is_text(v))
		return json_str_new(v);
	buf_init(&b, DIR_ENTRY_BYTES_MAX * 2);
	b64_encode(v, false, &b);
	j = json_obj_new();
	json_set_slice(j, "base64", buf_slice(&b));
	buf_done(&b);
	return j;
}

int
dump_json_write(const struct dir_result *r, struct buf *out)
{
	int err = 0;

	buf_append_str(out, "[\n");
	for (size_t i = 0; err == 0 && i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];
		struct json *j = json_obj_new(), *attrs = json_obj_new();

		for (size_t k = 0; k < e->n_attrs; k++) {
			struct json *list = json_arr_new();

			for (size_t v = 0; v < e->attrs[k].n_values; v++)
				json_push_take(list, value_json(e->attrs[k].values[v]));
			json_set_take(attrs, e->attrs[k].name, list);
		}
		json_set_str(j, "dn", e->dn);
		json_set_take(j, "attributes", attrs);
		err = json_canonical(j, out);
		buf_append_str(out, i + 1 < r->n_entries ? ",\n" : "\n");
		json_free(j);
	}
	buf_append_str(out, "]\n");
	return err != 0 ? err : out->err;
}

static int
value_take(struct dir_entry *e, const char *name, const struct json *j)
{
	const struct json *b64 = json_get(j, "base64");
	struct buf raw;
	int err;

	if (json_kind(j) == JSON_T_STR) {
		dump_value_add(e, slice_str(name), json_str(j));
		return 0;
	}
	if (json_kind(b64) != JSON_T_STR)
		return ERR_SYNTAX;
	buf_init(&raw, DIR_ENTRY_BYTES_MAX * 2);
	err = b64_decode(json_str(b64), true, &raw);
	if (err == 0)
		dump_value_add(e, slice_str(name), buf_slice(&raw));
	buf_done(&raw);
	return err;
}

static int
entry_take(struct dump_builder *b, const struct json *j)
{
	const struct json *attrs = json_get(j, "attributes");
	struct dir_entry *e;
	struct json *list;
	void *iter = NULL;
	const char *name;
	int err = 0;

	if (json_str(json_get(j, "dn")).len == 0 || json_kind(attrs) != JSON_T_OBJ)
		return ERR_SYNTAX;
	e = dump_entry_new(b, json_str(json_get(j, "dn")));
	while (err == 0 && json_next(attrs, &iter, &name, &list)) {
		if (!dump_attr_ok(slice_str(name)) || json_kind(list) != JSON_T_ARR)
			return ERR_SYNTAX;
		for (size_t i = 0; err == 0 && i < json_len(list); i++)
			err = value_take(e, name, json_at(list, i));
	}
	return err;
}

int
dump_json_parse(struct slice text, struct dump_builder *b, char **why_out)
{
	struct json *all = NULL;
	size_t i = 0;
	int err = json_parse(text, &all);

	if (err != 0 || json_kind(all) != JSON_T_ARR || json_len(all) > DUMP_ENTRIES_MAX) {
		json_free(all);
		return dump_fail(
		    why_out, ERR_SYNTAX, "entry", 0, "this is no JSON array of entries");
	}
	for (; err == 0 && i < json_len(all); i++)
		err = entry_take(b, json_at(all, i));
	json_free(all);
	return err == 0 ? 0
			: dump_fail(why_out, err, "entry", i,
			      "wanted: {\"dn\": …, \"attributes\": {name: [values]}}");
}
