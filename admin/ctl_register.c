/* ctl_register.c: `congvu register list|export`: the register of issued documents. Reads milter-ledger's file, writes nothing, asks no running
 * program. Runs in congvu. */
#include "config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl.h"
#include "lib/err.h"
#include "lib/json.h"
#include "milter/ledger_register.h"

enum { LINE_OCTETS = 8192 };

struct want {
	const char *agency;
	int64_t year; /* 0: all */
	bool csv, json;
};

/* Terminals are not steered by what a sender wrote. */
static void
print_shown(const char *s)
{
	for (; *s != '\0'; s++) {
		unsigned char ch = (unsigned char)*s;

		putchar(ch < 0x20 || ch == 0x7f ? '?' : ch);
	}
}

/* RFC 4180; what a spreadsheet takes for a formula is led by a quote. */
static void
print_csv(const char *s)
{
	putchar('"');
	if (*s != '\0' && strchr("=+-@", *s) != NULL)
		putchar('\'');
	for (; *s != '\0'; s++) {
		if (*s == '"')
			putchar('"');
		putchar((unsigned char)*s < 0x20 ? ' ' : *s);
	}
	putchar('"');
}

static void
print_entry(const struct want *w, const struct json *e)
{
	static const char *const columns[] = {"agency", "symbol", "type", "date", "summary",
	    "urgency", "from", "ts", "qid", "sha256"};
	struct buf b;
	size_t i;

	if (w->json) {
		buf_init(&b, 2 * LINE_OCTETS);
		json_canonical(e, &b);
		printf("%s\n", buf_cstr(&b));
		buf_done(&b);
		return;
	}
	if (w->csv) {
		printf("%lld", (long long)json_int(json_get(e, "year"), 0));
		for (i = 0; i < sizeof columns / sizeof *columns; i++) {
			putchar(',');
			print_csv(json_cstr(json_get(e, columns[i])));
		}
		printf("\r\n");
		return;
	}
	printf("%lld  ", (long long)json_int(json_get(e, "year"), 0));
	for (i = 0; i < 5; i++) {
		if (i == 2)
			continue;
		print_shown(json_cstr(json_get(e, columns[i])));
		printf("  ");
	}
	print_shown(json_cstr(json_get(e, "qid")));
	putchar('\n');
}

static bool
is_wanted(const struct want *w, const struct json *e)
{
	struct slice agency = json_str(json_get(e, "agency"));
	size_t n = w->agency != NULL ? strlen(w->agency) : 0;

	if (w->year != 0 && json_int(json_get(e, "year"), 0) != w->year)
		return false;
	return n == 0 || (agency.len >= n && slice_caseeq_str(slice_sub(agency, 0, n), w->agency) &&
			     (agency.len == n || agency.ptr[n] == '.'));
}

static int
print_all(struct ctl *c, const struct want *w, const char *path)
{
	char line[LINE_OCTETS + 2];
	uint64_t bad = 0, n_told = 0;
	FILE *f = fopen(path, "re");

	if (f == NULL && errno == ENOENT) {
		if (!w->csv && !w->json)
			printf("%s\n", _("none"));
		return 0;
	}
	if (f == NULL)
		return ctl_fail(c, EX_NOINPUT, "%s: %s", path, strerror(errno));
	if (w->csv)
		printf("year,agency,symbol,type,date,summary,urgency,from,ts,qid,sha256\r\n");
	while (fgets(line, sizeof line, f) != NULL) {
		struct json *e = NULL;
		size_t n = strlen(line);

		/* the last line may be on its way */
		if (n == 0 || line[n - 1] != '\n' || json_parse(slice_of(line, n - 1), &e) != 0)
			bad++;
		else if (is_wanted(w, e)) {
			print_entry(w, e);
			n_told++;
		}
		json_free(e);
	}
	fclose(f);
	if (n_told == 0 && !w->csv && !w->json)
		printf("%s\n", _("none"));
	return bad > 1 ? ctl_fail(
			     c, EX_DATAERR, _("%llu lines are no entries"), (unsigned long long)bad)
		       : 0;
}

int
ctl_register(struct ctl *c, int argc, char **argv)
{
	const char *year = NULL, *format = NULL, *file = NULL;
	struct want w = {NULL, 0, false, false};
	const struct ctl_option options[] = {{"agency", &w.agency, NULL}, {"year", &year, NULL},
	    {"format", &format, NULL}, {"file", &file, NULL}, {NULL, NULL, NULL}};
	char *dir, path[4200];
	uint64_t y = 0;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || (strcmp(argv[1], "list") != 0 && strcmp(argv[1], "export") != 0))
		return ctl_usage(c, _("one of list, export is needed"));
	if (year != NULL && slice_to_u64(slice_str(year), 2199, &y) != 0)
		return ctl_usage(c, _("--year needs a year"));
	if (format != NULL && strcmp(format, "csv") != 0 && strcmp(format, "json") != 0)
		return ctl_usage(c, _("--format is csv or json"));
	w.year = (int64_t)y;
	w.json = c->json || (strcmp(argv[1], "export") == 0 &&
				(format == NULL || strcmp(format, "json") == 0));
	w.csv = !w.json && format != NULL && strcmp(format, "csv") == 0;
	dir = conf_path(c->conf, "ledger_dir");
	snprintf(path, sizeof path, "%s/%s", dir, LEDGER_REGISTER_FILE);
	free(dir);
	return print_all(c, &w, file != NULL ? file : path);
}
