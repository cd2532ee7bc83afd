/* ctl_directory_rows.c: lists of people to hire: JSON Lines, or CSV as spreadsheets write it (RFC 4180, and with semicolons or tabs; BOM and
 * CRLF taken). Heads are matched folded, so that HR's own list can be used as it is. Pure. */
#include "config.h"

#include "admin/ctl_directory.h"

#include "lib/err.h"
#include "lib/fold.h"
#include "lib/log.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1000000, COLUMNS_MAX = 64 };

#define FIELD(f) offsetof(struct ctl_row, f)
static const struct {
	const char *head; /* folded */
	size_t field;
} heads[] = {
    {"name", FIELD(name)},
    {"ho va ten", FIELD(name)},
    {"agency", FIELD(agency)},
    {"ma don vi", FIELD(agency)},
    {"title", FIELD(title)},
    {"chuc vu", FIELD(title)},
    {"role", FIELD(role)},
    {"vai tro", FIELD(role)},
    {"id", FIELD(id)},
    {"mail", FIELD(mail)},
    {"password", FIELD(password)},
    {"cert", FIELD(cert)},
    {"decision", FIELD(decision)},
    {"so quyet dinh", FIELD(decision)},
    {"employee_number", FIELD(employee_number)},
    {"so hieu cbccvc", FIELD(employee_number)},
};

static int
bad(char **why_out, unsigned line, const char *what)
{
	if (asprintf(why_out, "line %u: %s", line, what) < 0)
		*why_out = NULL;
	return ERR_SYNTAX;
}

static char **
field_of(struct ctl_row *row, size_t offset)
{
	return (char **)(void *)((char *)row + offset);
}

/* The field a head names; (size_t)-1 for a column that is not ours. */
static size_t
head_find(struct slice head)
{
	size_t found = (size_t)-1;
	struct buf b;

	buf_init(&b, 4096);
	if (vn_fold(slice_trim(head), &b) == 0) {
		for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
			if (slice_eq_str(buf_slice(&b), heads[i].head))
				found = heads[i].field;
		}
	}
	buf_done(&b);
	return found;
}

static struct ctl_row *
row_new(struct ctl_rows *r, size_t *room, unsigned line)
{
	if (r->n == *room) {
		*room = *room == 0 ? 64 : *room * 2;
		r->v = xrealloc(r->v, *room * sizeof(*r->v));
	}
	memset(&r->v[r->n], 0, sizeof(*r->v));
	r->v[r->n].line = line;
	return &r->v[r->n++];
}

void
ctl_rows_done(struct ctl_rows *r)
{
	for (size_t i = 0; i < r->n; i++) {
		for (size_t k = 0; k < sizeof(heads) / sizeof(heads[0]); k++) {
			char **f = field_of(&r->v[i], heads[k].field);

			if (*f != NULL)
				explicit_bzero(*f, strlen(*f));
			free(*f);
			*f = NULL;
		}
	}
	free(r->v);
	memset(r, 0, sizeof(*r));
}

/* A copy of a value; empty is as absent. ERR_SYNTAX: a NUL inside, or the signs of a spreadsheet's damage. */
static int
field_set(struct ctl_row *row, size_t offset, struct slice v)
{
	char **f = field_of(row, offset);

	if (v.len == 0 || *f != NULL)
		return 0;
	if (memchr(v.ptr, 0, v.len) != NULL)
		return ERR_SYNTAX;
	*f = slice_dup(v);
	return *f == NULL ? ERR_NOMEM : 0;
}

/* ---- JSON Lines ---- */

static int
json_row(struct slice line, unsigned number, struct ctl_rows *r, size_t *room, char **why_out)
{
	struct ctl_row *row = row_new(r, room, number);
	struct json *j = NULL, *v;
	const char *key;
	void *iter = NULL;
	int err = 0;

	if (json_parse(line, &j) != 0 || json_kind(j) != JSON_T_OBJ) {
		json_free(j);
		return bad(why_out, number, "no JSON object");
	}
	while (err == 0 && json_next(j, &iter, &key, &v)) {
		size_t offset = head_find(slice_str(key));

		if (offset == (size_t)-1)
			err = bad(why_out, number, "a key that is not known");
		else if (json_kind(v) != JSON_T_STR)
			err = bad(why_out, number, "a value that is no text (ids too are texts)");
		else if (field_set(row, offset, json_str(v)) != 0)
			err = bad(why_out, number, "a value that cannot be taken");
	}
	json_free(j);
	return err;
}

static int
json_rows(struct slice text, struct ctl_rows *r, char **why_out)
{
	size_t room = 0;
	unsigned number = 0;
	int err = 0;

	while (err == 0 && text.len > 0) {
		ptrdiff_t nl = slice_index(text, '\n');
		struct slice line = slice_sub(text, 0, nl < 0 ? text.len : (size_t)nl);

		number++;
		text = slice_from(text, nl < 0 ? text.len : (size_t)nl + 1);
		if (line.len > 0 && line.ptr[line.len - 1] == '\r')
			line.len--;
		if (slice_trim(line).len == 0)
			continue;
		if (r->n >= ROWS_MAX)
			return bad(why_out, number, "too many rows");
		err = json_row(line, number, r, &room, why_out);
	}
	return err;
}

/* ---- CSV ---- */

/* One field from *text on; *end_out: the line ended with it. */
static int
csv_field(struct slice *text, char separator, struct buf *out, bool *end_out, unsigned *line)
{
	bool quoted = text->len > 0 && text->ptr[0] == '"';
	size_t i = quoted ? 1 : 0;

	for (;; i++) {
		unsigned char c = i < text->len ? text->ptr[i] : '\n';

		if (quoted) {
			if (i >= text->len)
				return ERR_SYNTAX;
			if (c == '"' && i + 1 < text->len && text->ptr[i + 1] == '"') {
				i++;
			} else if (c == '"') {
				quoted = false;
				continue;
			}
			*line += c == '\n';
		} else if (c == (unsigned char)separator || c == '\n') {
			break;
		} else if (c == '\r') {
			continue;
		}
		if (buf_append_byte(out, c) != 0)
			return ERR_LIMIT;
	}
	*end_out = i >= text->len || text->ptr[i] == '\n';
	*text = slice_from(*text, i + 1);
	return 0;
}

static char
separator_of(struct slice text)
{
	ptrdiff_t nl = slice_index(text, '\n');
	struct slice head = slice_sub(text, 0, nl < 0 ? text.len : (size_t)nl);

	if (slice_index(head, '\t') >= 0)
		return '\t';
	return slice_index(head, ';') >= 0 ? ';' : ',';
}

static int
csv_rows(struct slice text, struct ctl_rows *r, char **why_out)
{
	size_t columns[COLUMNS_MAX], n_columns = 0, room = 0;
	char separator = separator_of(text);
	bool is_head = true, named = false;
	unsigned line = 0;
	struct buf b;
	int err = 0;

	buf_init(&b, 65536);
	while (err == 0 && text.len > 0) {
		struct ctl_row *row = NULL;
		bool end = false;
		unsigned first = ++line;

		for (size_t i = 0; err == 0 && !end; i++) {
			buf_reset(&b);
			if (csv_field(&text, separator, &b, &end, &line) != 0) {
				err = bad(why_out, first,
				    "a quote that is not closed, or a field too long");
			} else if (is_head) {
				if (n_columns == COLUMNS_MAX)
					err = bad(why_out, first, "too many columns");
				else
					columns[n_columns++] = head_find(buf_slice(&b));
				named =
				    named || (err == 0 && columns[n_columns - 1] == FIELD(name));
			} else if (i >= n_columns) {
				if (b.len > 0)
					err = bad(why_out, first, "more fields than heads");
			} else if (columns[i] != (size_t)-1 && slice_trim(buf_slice(&b)).len > 0) {
				row = row == NULL ? row_new(r, &room, first) : row;
				if (field_set(row, columns[i], slice_trim(buf_slice(&b))) != 0)
					err = bad(why_out, first, "a value that cannot be taken");
			}
		}
		if (r->n > ROWS_MAX)
			err = bad(why_out, first, "too many rows");
		is_head = false;
		if (err == 0 && !named) /* else a list of something else is done with in silence */
			err = bad(why_out, first,
			    "no column of names: the first line must have \"name\" or \"Họ và "
			    "tên\", or the file be JSON Lines");
	}
	if (err == 0 && is_head)
		err = bad(why_out, 1, "the list is empty");
	buf_wipe(&b);
	return err;
}

int
ctl_rows_parse(struct slice text, struct ctl_rows *out, char **why_out)
{
	struct ctl_rows r = {0};
	size_t at = 0;
	int err;

	if (slice_starts(text, "\xef\xbb\xbf"))
		text = slice_from(text, 3);
	while (at < text.len && strchr(" \t\r\n", text.ptr[at]) != NULL)
		at++;
	if (at < text.len && text.ptr[at] == '{')
		err = json_rows(text, &r, why_out);
	else
		err = csv_rows(text, &r, why_out);
	if (err != 0)
		ctl_rows_done(&r);
	else
		*out = r;
	return err;
}
