/* dir_dump.c: dir_dump.h, all but JSON (dir_dump_json.c). Runs in congvu. RFC 2849 (LDIF), RFC 4180 (CSV). */
#include "config.h"

#include "directory/dir_dump_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"
#include "lib/uni.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

int
dump_format_parse(const char *name, enum dump_format *out)
{
	static const char *const names[] = {"ldif", "json", "csv"};

	for (int i = 0; i < 3; i++) {
		if (strcmp(name, names[i]) == 0) {
			*out = (enum dump_format)i;
			return 0;
		}
	}
	return ERR_SYNTAX;
}

int
dump_fail(char **why_out, int err, const char *where, size_t n, const char *what)
{
	if (asprintf(why_out, "%s %zu: %s", where, n, what) < 0)
		*why_out = NULL;
	return err;
}

bool
dump_is_text(struct slice v)
{
	return memchr(v.ptr == NULL ? (const unsigned char *)"" : v.ptr, 0, v.len) == NULL &&
	       uni_valid(v);
}

/* ---- building ---- */

struct dir_entry *
dump_entry_new(struct dump_builder *b, struct slice dn)
{
	struct dir_entry *e;

	if (b->r->n_entries == b->room) {
		b->room = b->room == 0 ? 64 : b->room * 2;
		b->r->entries = xrealloc(b->r->entries, b->room * sizeof(*b->r->entries));
	}
	e = &b->r->entries[b->r->n_entries++];
	memset(e, 0, sizeof(*e));
	e->dn = slice_dup(dn);
	return e;
}

void
dump_value_add(struct dir_entry *e, struct slice name, struct slice value)
{
	struct dir_attr *a = NULL;

	for (size_t i = 0; i < e->n_attrs; i++)
		if (slice_caseeq_str(name, e->attrs[i].name))
			a = &e->attrs[i];
	if (a == NULL) {
		e->attrs = xrealloc(e->attrs, (e->n_attrs + 1) * sizeof(*e->attrs));
		a = &e->attrs[e->n_attrs++];
		*a = (struct dir_attr){.name = slice_dup(name)};
	}
	a->values = xrealloc(a->values, (a->n_values + 1) * sizeof(*a->values));
	a->values[a->n_values++] = slice_of(slice_dup(value), value.len);
}

/* RFC 4512 2.5: an attribute description. */
bool
dump_name_ok(struct slice name)
{
	if (name.len == 0 || name.len > 128 ||
	    !((name.ptr[0] | 0x20) >= 'a' && (name.ptr[0] | 0x20) <= 'z'))
		return false;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = name.ptr[i];

		if (!((c | 0x20) >= 'a' && (c | 0x20) <= 'z') && !(c >= '0' && c <= '9') &&
		    c != '-' && c != ';' && c != '.')
			return false;
	}
	return true;
}

bool
dump_attr_ok(struct slice name)
{
	return dump_name_ok(name) && !slice_caseeq_str(name, "dn") &&
	       !slice_caseeq_str(name, "changetype");
}

/* ---- order ---- */

static int
depth(const char *dn)
{
	int n = 0;

	for (; *dn != '\0'; dn++) {
		if (*dn == '\\' && dn[1] != '\0')
			dn++;
		else
			n += *dn == ',';
	}
	return n;
}

static int
by_dn(const void *x, const void *y)
{
	const struct dir_entry *a = x, *b = y;
	int d = depth(a->dn) - depth(b->dn), c;

	if (d != 0)
		return d;
	c = strcasecmp(a->dn, b->dn);
	return c != 0 ? c : strcmp(a->dn, b->dn);
}

static int
by_name(const void *x, const void *y)
{
	const struct dir_attr *a = x, *b = y;
	int c = strcasecmp(a->name, b->name);

	return c != 0 ? c : strcmp(a->name, b->name);
}

static int
by_value(const void *x, const void *y)
{
	return slice_cmp(*(const struct slice *)x, *(const struct slice *)y);
}

void
dump_sort(struct dir_result *r)
{
	if (r->n_entries > 1)
		qsort(r->entries, r->n_entries, sizeof(*r->entries), by_dn);
	for (size_t i = 0; i < r->n_entries; i++) {
		struct dir_entry *e = &r->entries[i];

		if (e->n_attrs > 1)
			qsort(e->attrs, e->n_attrs, sizeof(*e->attrs), by_name);
		for (size_t k = 0; k < e->n_attrs; k++)
			if (e->attrs[k].n_values > 1)
				qsort(e->attrs[k].values, e->attrs[k].n_values,
				    sizeof(struct slice), by_value);
	}
}

/* ---- LDIF ---- */

/* RFC 2849 SAFE-STRING. */
static bool
is_safe(struct slice v)
{
	if (v.len > 0 &&
	    (v.ptr[0] == ' ' || v.ptr[0] == ':' || v.ptr[0] == '<' || v.ptr[v.len - 1] == ' '))
		return false;
	for (size_t i = 0; i < v.len; i++)
		if (v.ptr[i] == 0 || v.ptr[i] == '\n' || v.ptr[i] == '\r' || v.ptr[i] > 0x7e)
			return false;
	return true;
}

static void
ldif_line(struct buf *out, const char *name, struct slice v)
{
	buf_append_str(out, name);
	if (v.len == 0) {
		buf_append_str(out, ":");
	} else if (is_safe(v)) {
		buf_append_str(out, ": ");
		buf_append_slice(out, v);
	} else {
		buf_append_str(out, ":: ");
		b64_encode(v, false, out);
	}
	buf_append_byte(out, '\n');
}

static int
ldif_write(const struct dir_result *r, struct buf *out)
{
	buf_append_str(out, "version: 1\n");
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];

		buf_append_byte(out, '\n');
		ldif_line(out, "dn", slice_str(e->dn));
		for (size_t k = 0; k < e->n_attrs; k++)
			for (size_t v = 0; v < e->attrs[k].n_values; v++)
				ldif_line(out, e->attrs[k].name, e->attrs[k].values[v]);
	}
	return out->err;
}

/* The next line without its end, folded lines joined (in line); false at the end. */
static bool
ldif_next(struct slice *text, struct buf *line, size_t *number)
{
	bool any = false;

	buf_reset(line);
	while (text->len > 0) {
		ptrdiff_t end = slice_index(*text, '\n');
		struct slice one = end < 0 ? *text : slice_sub(*text, 0, (size_t)end);

		if (any && (one.len == 0 || one.ptr[0] != ' '))
			break;
		*text = slice_from(*text, end < 0 ? text->len : (size_t)end + 1);
		++*number;
		if (one.len > 0 && one.ptr[one.len - 1] == '\r')
			one.len--;
		buf_append_slice(line, any ? slice_from(one, 1) : one);
		any = true;
		if (one.len == 0)
			break;
	}
	return any;
}

/* "name: value" or "name:: base64". */
static int
ldif_parse_line(struct slice line, struct slice *name, struct buf *value, const char **what)
{
	ptrdiff_t colon = slice_index(line, ':');
	struct slice rest;

	*what = "no \"name: value\"";
	if (colon <= 0)
		return ERR_SYNTAX;
	*name = slice_sub(line, 0, (size_t)colon);
	rest = slice_from(line, (size_t)colon + 1);
	*what = "this is no name of an attribute";
	if (!dump_name_ok(*name))
		return ERR_SYNTAX;
	*what = "values from URLs are not taken";
	if (slice_starts(rest, "<"))
		return ERR_SYNTAX;
	*what = "this is no base64";
	buf_reset(value);
	if (slice_starts(rest, ":"))
		return b64_decode(slice_trim(slice_from(rest, 1)), true, value);
	while (rest.len > 0 && rest.ptr[0] == ' ')
		rest = slice_from(rest, 1);
	return buf_append_slice(value, rest);
}

/* One line of a record: e is the entry that it belongs to, NULL before its dn. */
static int
ldif_take(struct dump_builder *b, struct dir_entry **e, struct slice line, struct buf *value,
    const char **what)
{
	struct slice name;
	int err = ldif_parse_line(line, &name, value, what);

	if (err != 0)
		return err;
	if (*e == NULL && b->r->n_entries == 0 && slice_caseeq_str(name, "version"))
		return 0;
	if (*e == NULL) {
		*what = "a record begins with its dn, in UTF-8";
		if (!slice_caseeq_str(name, "dn") || value->len == 0 ||
		    !dump_is_text(buf_slice(value)))
			return ERR_SYNTAX;
		*what = "too many entries";
		if (b->r->n_entries == DUMP_ENTRIES_MAX)
			return ERR_LIMIT;
		*e = dump_entry_new(b, buf_slice(value));
		return 0;
	}
	*what = "this is a file of changes, not of entries";
	if (slice_caseeq_str(name, "changetype") || slice_caseeq_str(name, "dn"))
		return ERR_SYNTAX;
	dump_value_add(*e, name, buf_slice(value));
	return 0;
}

static int
ldif_parse(struct slice text, struct dump_builder *b, char **why_out)
{
	struct dir_entry *e = NULL;
	struct buf line, value;
	const char *what = "";
	size_t number = 0, first = 1;
	int err = 0;

	buf_init(&line, DIR_ENTRY_BYTES_MAX * 2);
	buf_init(&value, DIR_ENTRY_BYTES_MAX * 2);
	while (err == 0 && ldif_next(&text, &line, &number)) {
		what = "the line is too long";
		err = line.err;
		if (err == 0 && line.len == 0)
			e = NULL;
		else if (err == 0 && line.data[0] != '#')
			err = ldif_take(b, &e, buf_slice(&line), &value, &what);
		if (err == 0)
			first = number + 1;
	}
	buf_done(&line);
	buf_done(&value);
	return err == 0 ? 0 : dump_fail(why_out, err, "line", first, what);
}

/* ---- CSV ---- */

static void
csv_field(struct buf *out, struct slice v, char end)
{
	bool quote = false;

	for (size_t i = 0; i < v.len; i++)
		quote = quote || strchr("\",\r\n", v.ptr[i]) != NULL;
	if (quote)
		buf_append_byte(out, '"');
	for (size_t i = 0; i < v.len; i++) {
		if (v.ptr[i] == '"')
			buf_append_byte(out, '"');
		buf_append_byte(out, v.ptr[i]);
	}
	if (quote)
		buf_append_byte(out, '"');
	buf_append_byte(out, (unsigned char)end);
}

static void
csv_row(struct buf *out, const char *dn, const char *name, struct slice v)
{
	struct buf b64;

	csv_field(out, slice_str(dn), ',');
	csv_field(out, slice_str(name), ',');
	if (dump_is_text(v)) {
		buf_append_byte(out, ',');
		csv_field(out, v, '\n');
		return;
	}
	buf_init(&b64, DIR_ENTRY_BYTES_MAX * 2);
	b64_encode(v, false, &b64);
	buf_append_str(out, "base64,");
	csv_field(out, buf_slice(&b64), '\n');
	if (b64.err != 0)
		out->err = b64.err;
	buf_done(&b64);
}

static int
csv_write(const struct dir_result *r, struct buf *out)
{
	buf_append_str(out, "dn,attribute,encoding,value\n");
	for (size_t i = 0; i < r->n_entries; i++) {
		const struct dir_entry *e = &r->entries[i];

		for (size_t k = 0; k < e->n_attrs; k++)
			for (size_t v = 0; v < e->attrs[k].n_values; v++)
				csv_row(out, e->dn, e->attrs[k].name, e->attrs[k].values[v]);
	}
	return out->err;
}

/* Takes a field and what ends it (',' or '\n') off text. */
static int
csv_take(struct slice *text, struct buf *out, char *end)
{
	bool quoted = text->len > 0 && text->ptr[0] == '"';

	buf_reset(out);
	if (quoted)
		*text = slice_from(*text, 1);
	while (text->len > 0) {
		unsigned char c = text->ptr[0];

		if (quoted && c == '"') {
			*text = slice_from(*text, 1);
			quoted = text->len > 0 && text->ptr[0] == '"';
			if (!quoted)
				break;
		} else if (!quoted && (c == ',' || c == '\n' || c == '\r')) {
			break;
		}
		buf_append_byte(out, c);
		*text = slice_from(*text, 1);
	}
	if (slice_starts(*text, "\r\n"))
		*text = slice_from(*text, 1);
	*end = text->len == 0 ? '\n' : (char)text->ptr[0];
	*text = slice_from(*text, 1);
	return quoted || (*end != ',' && *end != '\n') ? ERR_SYNTAX : out->err;
}

static int
csv_parse_row(struct slice *text, struct buf f[4], const char **what)
{
	char end = ',';
	int err = 0;

	*what = "four columns are wanted: dn,attribute,encoding,value";
	for (int i = 0; err == 0 && i < 4; i++) {
		if (end != ',')
			return ERR_SYNTAX;
		err = csv_take(text, &f[i], &end);
	}
	return err != 0 ? err : end == '\n' ? 0 : ERR_SYNTAX;
}

static int
csv_value(struct dump_builder *b, struct buf f[4], const char **what)
{
	struct dir_entry *e = b->r->n_entries == 0 ? NULL : &b->r->entries[b->r->n_entries - 1];
	struct buf raw;
	int err = 0;

	*what = "the dn is missing or no UTF-8, or this is no name of an attribute";
	if (f[0].len == 0 || !dump_is_text(buf_slice(&f[0])) || !dump_attr_ok(buf_slice(&f[1])))
		return ERR_SYNTAX;
	*what = "too many entries";
	if (e == NULL || !slice_eq_str(buf_slice(&f[0]), e->dn)) {
		if (b->r->n_entries == DUMP_ENTRIES_MAX)
			return ERR_LIMIT;
		e = dump_entry_new(b, buf_slice(&f[0]));
	}
	if (f[2].len == 0) {
		dump_value_add(e, buf_slice(&f[1]), buf_slice(&f[3]));
		return 0;
	}
	*what = "the encoding is base64 or empty";
	buf_init(&raw, DIR_ENTRY_BYTES_MAX * 2);
	err = slice_eq_str(buf_slice(&f[2]), "base64") ? b64_decode(buf_slice(&f[3]), true, &raw)
						       : ERR_SYNTAX;
	if (err == 0)
		dump_value_add(e, buf_slice(&f[1]), buf_slice(&raw));
	buf_done(&raw);
	return err;
}

static int
csv_parse(struct slice text, struct dump_builder *b, char **why_out)
{
	struct buf f[4];
	const char *what = "";
	size_t row = 0;
	int err = 0;

	for (int i = 0; i < 4; i++)
		buf_init(&f[i], DIR_ENTRY_BYTES_MAX * 2);
	if (slice_starts(text, "\xef\xbb\xbf"))
		text = slice_from(text, 3);
	while (err == 0 && text.len > 0) {
		row++;
		err = csv_parse_row(&text, f, &what);
		if (err == 0 && row == 1)
			err = slice_eq_str(buf_slice(&f[0]), "dn") ? 0 : ERR_SYNTAX;
		else if (err == 0)
			err = csv_value(b, f, &what);
	}
	for (int i = 0; i < 4; i++)
		buf_done(&f[i]);
	return err == 0 ? 0 : dump_fail(why_out, err, "row", row, what);
}

/* ---- all ---- */

int
dump_write(const struct dir_result *r, enum dump_format format, struct buf *out)
{
	return format == DUMP_LDIF   ? ldif_write(r, out)
	       : format == DUMP_JSON ? dump_json_write(r, out)
				     : csv_write(r, out);
}

static int
by_dn_norm(const void *x, const void *y)
{
	const struct dir_entry *const *a = x, *const *b = y;

	return strcmp((*a)->dn_norm, (*b)->dn_norm);
}

/* An entry of a directory is there once; what else a second one would mean is nobody's guess. */
static int
once_check(struct dir_result *r, char **why_out)
{
	struct dir_entry **list = xcalloc(r->n_entries + 1, sizeof(struct dir_entry *));
	struct dir_entry *later = NULL;

	for (size_t i = 0; i < r->n_entries; i++)
		list[i] = &r->entries[i];
	qsort(list, r->n_entries, sizeof(struct dir_entry *), by_dn_norm);
	for (size_t i = 1; i < r->n_entries && later == NULL; i++)
		if (strcmp(list[i - 1]->dn_norm, list[i]->dn_norm) == 0)
			later = list[i - 1] > list[i] ? list[i - 1] : list[i];
	free(list);
	return later == NULL ? 0
			     : dump_fail(why_out, ERR_SYNTAX, "entry",
				   (size_t)(later - r->entries) + 1, "it stands there twice");
}

static int
names_check(struct dir_result *r, char **why_out)
{
	for (size_t i = 0; i < r->n_entries; i++) {
		struct dir_entry *e = &r->entries[i];

		e->dn_norm = dir_dn_norm(e->dn);
		if (e->dn_norm == NULL)
			return dump_fail(why_out, ERR_SYNTAX, "entry", i + 1, "this is no dn");
	}
	return once_check(r, why_out);
}

int
dump_parse(struct slice text, enum dump_format format, struct dir_result **out, char **why_out)
{
	struct dump_builder b = {.r = xcalloc(1, sizeof(*b.r))};
	int err = text.len > DUMP_BYTES_MAX ? dump_fail(why_out, ERR_LIMIT, "octet", DUMP_BYTES_MAX,
						  "the file is too large")
		  : format == DUMP_LDIF     ? ldif_parse(text, &b, why_out)
		  : format == DUMP_JSON     ? dump_json_parse(text, &b, why_out)
					    : csv_parse(text, &b, why_out);

	if (err == 0)
		err = names_check(b.r, why_out);
	if (err == 0) {
		dump_sort(b.r);
		*out = b.r;
	} else {
		dir_result_free(b.r);
	}
	return err;
}
