/* ctl_directory_journal.c: `congvu directory journal [verify]`: what was changed in the directory, by whom, by which decision; and whether that record is
 * whole. Runs in congvu. */
#include "config.h"

#include "admin/ctl.h"
#include "admin/ctl_change.h"
#include "admin/ctl_table.h"
#include "admin/dir_journal.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>

enum { LAST_DEFAULT = 50, LAST_MAX = 100000 };

struct wanted {
	const char *op, *target, *decision, *by;
	uint64_t last;
	struct json **ring; /* the last of them */
	uint64_t n;
};

static bool
is_like(const char *want, const struct json *rec, const char *key)
{
	return want == NULL || strcasestr(json_cstr(json_get(rec, key)), want) != NULL;
}

static void
record_take(void *arg, const struct json *rec)
{
	struct wanted *w = arg;
	struct json **at;
	struct buf b;

	if (!is_like(w->op, rec, "op") || !is_like(w->decision, rec, "decision") ||
	    !(is_like(w->by, rec, "by") || is_like(w->by, rec, "as")) ||
	    !(is_like(w->target, rec, "target") || is_like(w->target, rec, "dn")))
		return;
	at = &w->ring[w->n++ % w->last];
	json_free(*at);
	*at = NULL;
	buf_init(&b, AUDIT_LINE_MAX * 2); /* rec is freed behind us */
	if (json_canonical(rec, &b) == 0)
		json_parse(buf_slice(&b), at);
	buf_done(&b);
}

/* "cn=sotc" of "cn=sotc,ou=officers,…"; nothing in records of earlier versions. Static. */
static const char *
rdn_of(const char *dn)
{
	static char out[200];
	size_t n = 0;

	while (dn[n] != '\0' && dn[n] != ',')
		n += dn[n] == '\\' && dn[n + 1] != '\0' ? 2 : 1;
	snprintf(out, sizeof(out), "%.*s", (int)n, dn);
	return out;
}

/* Of records that are no write of an entry. */
__attribute__((unused)) static const char *const marked[] = {N_("undone")};

static void
row_take(struct ctl_table *t, const struct json *rec)
{
	const char *end = json_cstr(json_get(rec, "end")),
		   *write = json_cstr(json_get(rec, "write"));

	ctl_table_cell(t, json_cstr(json_get(rec, "ts")));
	ctl_table_cell(t, json_cstr(json_get(rec, "by")));
	ctl_table_cell(t, rdn_of(json_cstr(json_get(rec, "as"))));
	ctl_table_cell(t, json_cstr(json_get(rec, "op")));
	ctl_table_cell(t, json_cstr(json_get(rec, "target")));
	ctl_table_cell(t, json_cstr(json_get(rec, "decision")));
	ctl_table_cell(t, *end != '\0' ? _(end) : _(write));
	ctl_table_cell(t, json_cstr(json_get(rec, "dn")));
}

static int
journal_show(struct ctl *c, const char *path, struct wanted *w)
{
	struct ctl_table *t = ctl_table_new(8);
	struct json *list = json_arr_new();
	struct dir_journal_check check = {0};
	int err;

	w->ring = xcalloc(w->last, sizeof(*w->ring));
	err = dir_journal_read(path, record_take, w, &check);
	for (uint64_t i = w->n > w->last ? w->n - w->last : 0; i < w->n; i++) {
		struct json *rec = w->ring[i % w->last];

		row_take(t, rec);
		json_push_take(list, rec);
	}
	free(w->ring);
	if (err == ERR_NOTFOUND) /* nothing was ever changed */
		err = 0;
	err = ctl_listed(c, list, t, path, err, NULL);
	if (check.bad_line != 0)
		return ctl_fail(c, EX_DATAERR, _("%s: line %llu breaks the chain: %s"), path,
		    (unsigned long long)check.bad_line, check.why);
	return err;
}

static int
journal_verify(struct ctl *c, const char *path)
{
	struct dir_journal_check k = {0};
	int err = dir_journal_read(path, NULL, NULL, &k);
	bool good = err == 0 && k.bad_line == 0 && !k.is_cut;
	struct json *j;

	if (err != 0)
		return ctl_dir_fail(c, path, err, NULL);
	if (c->json) {
		j = json_obj_new();
		json_set_bool(j, "valid", good);
		json_set_int(j, "records", (int64_t)k.records);
		json_set_int(j, "bad_line", (int64_t)k.bad_line);
		json_set_str(j, "why",
		    k.bad_line != 0 ? k.why
		    : k.is_cut      ? "cut at its end"
				    : NULL);
		json_set_int(j, "unfinished", (int64_t)k.unfinished);
		json_set_int(j, "torn", (int64_t)k.torn);
		json_set_str(j, "head", k.head.h);
		return ctl_json_take(j, good ? 0 : EX_DATAERR);
	}
	if (k.bad_line != 0)
		return ctl_fail(c, EX_DATAERR, _("%s: line %llu breaks the chain: %s"), path,
		    (unsigned long long)k.bad_line, k.why);
	if (k.is_cut)
		return ctl_fail(c, EX_DATAERR,
		    _("%s: the end is missing: %llu records are left, and there were more"), path,
		    (unsigned long long)k.records);
	printf(
	    _("%s: %llu records, the chain is whole; %llu changes without their end\nhead: %s\n"),
	    path, (unsigned long long)k.records, (unsigned long long)k.unfinished, k.head.h);
	return 0;
}

int
directory_journal(struct ctl *c, int argc, char **argv)
{
	const char *last = NULL, *file = NULL;
	struct wanted w = {.last = LAST_DEFAULT};
	const struct ctl_option options[] = {
	    {"last", &last, NULL},
	    {"op", &w.op, NULL},
	    {"match", &w.target, NULL},
	    {"decision", &w.decision, NULL},
	    {"by", &w.by, NULL},
	    {"file", &file, NULL},
	    {NULL, NULL, NULL},
	};
	char *path;
	int rc = ctl_options(c, options, &argc, argv);

	if (rc != 0)
		return rc;
	if (last != NULL && (slice_to_u64(slice_str(last), LAST_MAX, &w.last) != 0 || w.last == 0))
		return ctl_usage(c, _("--last takes a number up to %d"), LAST_MAX);
	if (argc > 2 || (argc == 2 && strcmp(argv[1], "verify") != 0))
		return ctl_usage(c, "%s", _("directory journal, or directory journal verify"));
	path = file != NULL ? xstrdup(file) : conf_path(c->conf, "directory_journal");
	rc = argc == 2 ? journal_verify(c, path) : journal_show(c, path, &w);
	free(path);
	return rc;
}
