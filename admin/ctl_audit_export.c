/* ctl_audit_export.c: `congvu audit export`: records of a time as JSON Lines, CSV or CEF (for a SIEM). A formatter only: the log stays what counts. Runs
 * in congvu. What senders put into records cannot leave its field: control octets become spaces, and a spreadsheet sees text, never a formula. */
#include "config.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_audit.h"
#include "lib/err.h"

enum { SHOWN_RCPTS = 100, ROW_MAX = 1 << 21 };

struct exporting {
	const char *since, *until;
	void (*row)(const struct json *rec, struct slice line, struct buf *out);
};

static const struct json *
at(const struct json *rec, const char *object, const char *key)
{
	return json_get(object[0] == '\0' ? rec : json_get(rec, object), key);
}

/* A column: where it stands in a record, its name as a column and as CEF's extension. */
static const struct column {
	const char *object, *key, *name, *cef;
} columns[] = {{"", "seq", "seq", "externalId"}, {"", "ts", "ts", "rt"},
    {"", "event", "event", NULL}, {"", "qid", "qid", "cs1"},
    {"decision", "action", "action", "act"}, {"decision", "rule", "rule", "cs2"},
    {"decision", "code", "code", "cn1"}, {"", "code", "reply", "cn2"},
    {"session", "auth", "login", "suid"}, {"session", "ip", "ip", "src"},
    {"env", "from", "from", "suser"}, {"env", "rcpts", "rcpts", "duser"},
    {"", "size", "size", "in"}, {"decision", "detail", "detail", "reason"},
    {"", "text", "text", "msg"}, {"", "by", "by", "cs3"}, {"", "h", "h", "cs4"}};
enum { N_COLUMNS = sizeof columns / sizeof *columns };

/* The value as text; lists with spaces between. Control octets, DEL and C1 controls become spaces. */
static void
value_text(const struct json *rec, const struct column *col, struct buf *out)
{
	const struct json *v = at(rec, col->object, col->key), *item;
	size_t from = out->len, n;

	if (v == NULL && strcmp(col->key, "rcpts") == 0)
		v = json_get(rec, "rcpts");
	n = json_len(v);
	if (json_kind(v) == JSON_T_INT)
		buf_appendf(out, "%lld", (long long)json_int(v, 0));
	else if (json_kind(v) == JSON_T_STR)
		buf_append_slice(out, json_str(v));
	for (size_t i = 0; i < n && i < SHOWN_RCPTS; i++) {
		item = json_at(v, i);
		if (i > 0)
			buf_append_byte(out, ' ');
		buf_append_slice(out,
		    json_str(json_kind(item) == JSON_T_OBJ ? json_get(item, "address") : item));
	}
	if (n > SHOWN_RCPTS)
		buf_appendf(out, " +%zu", n - SHOWN_RCPTS);
	for (size_t i = from; i < out->len; i++) {
		bool c1 = out->data[i] == 0xc2 && i + 1 < out->len && out->data[i + 1] >= 0x80 &&
			  out->data[i + 1] <= 0x9f;

		if (out->data[i] < 0x20 || out->data[i] == 0x7f)
			out->data[i] = ' ';
		if (c1)
			out->data[i] = out->data[i + 1] = ' ';
	}
}

static void
json_row(const struct json *rec, struct slice line, struct buf *out)
{
	(void)rec;
	buf_append_slice(out, line);
	buf_append_byte(out, '\n');
}

/* RFC 4180 2; what a spreadsheet would take for a formula gets an apostrophe before it. */
static void
csv_row(const struct json *rec, struct slice line, struct buf *out)
{
	struct buf v;

	(void)line;
	for (size_t i = 0; i < N_COLUMNS; i++) {
		buf_init(&v, ROW_MAX);
		value_text(rec, &columns[i], &v);
		if (i > 0)
			buf_append_byte(out, ',');
		buf_append_byte(out, '"');
		if (v.len > 0 && strchr("=+-@", v.data[0]) != NULL)
			buf_append_byte(out, '\'');
		for (size_t k = 0; k < v.len; k++) {
			if (v.data[k] == '"')
				buf_append_byte(out, '"');
			buf_append_byte(out, v.data[k]);
		}
		buf_append_byte(out, '"');
		buf_done(&v);
	}
	buf_append_str(out, "\r\n");
}

static void
cef_escape(struct slice s, const char *special, struct buf *out)
{
	for (size_t i = 0; i < s.len; i++) {
		if (strchr(special, s.ptr[i]) != NULL && s.ptr[i] != '\0')
			buf_append_byte(out, '\\');
		buf_append_byte(out, s.ptr[i]);
	}
}

static unsigned
cef_severity(const struct json *rec)
{
	const char *action = json_cstr(at(rec, "decision", "action")),
		   *rule = json_cstr(at(rec, "decision", "rule"));

	if (strcmp(rule, "P12") == 0 || json_get(rec, "recovery") != NULL)
		return json_kind(json_get(rec, "recovery")) == JSON_T_OBJ || *rule != '\0' ? 9 : 3;
	return strcmp(action, "reject") == 0       ? 6
	       : strcmp(action, "quarantine") == 0 ? 6
	       : strcmp(action, "tempfail") == 0   ? 4
						   : 3;
}

/* CEF:0|vendor|product|version|signature id|name|severity|extension. */
static void
cef_row(const struct json *rec, struct slice line, struct buf *out)
{
	const char *rule = json_cstr(at(rec, "decision", "rule")),
		   *event = json_cstr(json_get(rec, "event"));
	struct buf v;

	(void)line;
	buf_appendf(out, "CEF:0|Congvu|congvu-milter|%s|", PACKAGE_VERSION);
	cef_escape(slice_str(*rule != '\0' ? rule : event), "\\|", out);
	buf_append_byte(out, '|');
	cef_escape(slice_str(event), "\\|", out);
	buf_appendf(out, "|%u|", cef_severity(rec));
	for (size_t i = 0; i < N_COLUMNS; i++) {
		const char *key = columns[i].cef;

		buf_init(&v, ROW_MAX);
		if (key != NULL)
			value_text(rec, &columns[i], &v);
		if (v.len > 0) {
			if ((key[0] == 'c' && (key[1] == 's' || key[1] == 'n')))
				buf_appendf(out, "%sLabel=%s ", key, columns[i].name);
			buf_appendf(out, "%s=", key);
			cef_escape(buf_slice(&v), "\\=", out);
			buf_append_byte(out, ' ');
		}
		buf_done(&v);
	}
	buf_truncate(out, out->len - (out->len > 0 && out->data[out->len - 1] == ' '));
	buf_append_byte(out, '\n');
}

static int
one(void *arg, struct slice line, struct json *rec)
{
	const struct exporting *e = arg;
	const char *ts = json_cstr(json_get(rec, "ts"));
	struct buf out;
	int rc = 0;

	if ((e->since != NULL && strncmp(ts, e->since, strlen(e->since)) < 0) ||
	    (e->until != NULL && strncmp(ts, e->until, strlen(e->until)) > 0)) {
		json_free(rec);
		return 0;
	}
	buf_init(&out, 2 * ROW_MAX);
	e->row(rec, line, &out);
	if (out.err != 0 || fwrite(out.data, 1, out.len, stdout) != out.len)
		rc = EX_IOERR;
	buf_done(&out);
	json_free(rec);
	return rc;
}

int
audit_cmd_export(struct ctl *c, const struct audit_options *o)
{
	struct exporting e = {.since = o->since, .until = o->until};
	const char *format = o->format != NULL ? o->format : "json";
	struct audit_files files = {0};
	int rc;

	if ((o->since != NULL && !audit_is_time(o->since)) ||
	    (o->until != NULL && !audit_is_time(o->until)))
		return ctl_usage(
		    c, _("--since and --until take a time in UTC, as the log has it, or its "
			 "beginning: 2026-11-22, 2026-11-22T10:30"));
	if (strcmp(format, "json") == 0)
		e.row = json_row;
	else if (strcmp(format, "csv") == 0)
		e.row = csv_row;
	else if (strcmp(format, "cef") == 0)
		e.row = cef_row;
	else
		return ctl_usage(c, _("--format is json, csv or cef"));
	rc = audit_open_files(c, o->file, &files);
	if (rc != 0)
		return rc;
	if (e.row == csv_row) {
		for (size_t i = 0; i < N_COLUMNS; i++)
			printf("%s%s", i > 0 ? "," : "", columns[i].name);
		printf("\r\n");
	}
	rc = audit_walk(c, &files, one, &e);
	if (rc == 0 && fflush(stdout) != 0)
		rc = EX_IOERR;
	audit_files_done(&files);
	return rc;
}
