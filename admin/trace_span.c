/* trace_span.c: between which times records of the audit log are looked for, and in which of its files they can be. Runs in congvu. */
#include "config.h"

#include "admin/ctl_trace.h"
#include "lib/err.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CLOCK_S = 3600 };

/* A beginning of "2026-11-22T10:00:00.000000Z" that is one of its parts. */
bool
audit_is_time(const char *s)
{
	static const char form[] = "dddd-dd-ddTdd:dd:dd.ddddddZ";
	size_t n = strlen(s);

	if (n > TRACE_TIME_LEN || (n != 4 && n != 7 && n != 10 && n < 13))
		return false;
	for (size_t i = 0; i < n; i++)
		if (form[i] == 'd' ? s[i] < '0' || s[i] > '9' : s[i] != form[i])
			return false;
	return true;
}

static void
put_time(time_t t, const char *fraction, char out[TRACE_TIME_LEN + 1])
{
	struct tm tm;
	char text[64];

	gmtime_r(&t, &tm);
	strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S.", &tm);
	snprintf(out, TRACE_TIME_LEN + 1, "%.20s%.6sZ", text, fraction);
}

/* A day as the people here count it. */
static int
read_day(struct ctl *c, const char *day, struct trace_span *out)
{
	struct tm tm;
	char *end;
	time_t from, to;

	memset(&tm, 0, sizeof tm);
	end = strptime(day, "%Y-%m-%d", &tm);
	if (end == NULL || *end != '\0' || strlen(day) != 10)
		return ctl_usage(c, "%s", _("--day takes a day: 2026-11-22"));
	tm.tm_isdst = -1;
	from = mktime(&tm);
	tm.tm_mday++;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	to = mktime(&tm);
	put_time(from, "000000", out->since);
	put_time(to - 1, "999999", out->until);
	return 0;
}

int
trace_span_read(
    struct ctl *c, const char *day, const char *since, const char *until, struct trace_span *out)
{
	memset(out, 0, sizeof *out);
	if (day != NULL && (since != NULL || until != NULL))
		return ctl_usage(c, "%s", _("either --day, or --since and --until"));
	if (day != NULL)
		return read_day(c, day, out);
	if ((since != NULL && !audit_is_time(since)) || (until != NULL && !audit_is_time(until)))
		return ctl_usage(
		    c, _("--since and --until take a time in UTC, as the log has it, or its "
			 "beginning: 2026-11-22, 2026-11-22T10:30"));
	snprintf(out->since, sizeof out->since, "%s", since != NULL ? since : "");
	snprintf(out->until, sizeof out->until, "%s", until != NULL ? until : "");
	return 0;
}

/* The time of a file's first record; 0 when it has none. */
static time_t
begins(struct ctl *c, const char *path)
{
	int fd = audit_open_one(c, path);
	struct audit_reader *r;
	struct slice line, ts;
	char text[TRACE_TIME_LEN + 1];
	struct tm tm;
	time_t t = 0;

	if (fd < 0)
		return 0;
	r = audit_reader_new(fd);
	memset(&tm, 0, sizeof tm);
	if (audit_reader_next(r, &line) == 0) {
		ts = trace_line_ts(line);
		memcpy(text, ts.ptr != NULL ? (const char *)ts.ptr : "", ts.len);
		text[ts.len] = '\0';
		if (strptime(text, "%Y-%m-%dT%H:%M:%S", &tm) != NULL)
			t = timegm(&tm);
	}
	audit_reader_free(r);
	close(fd);
	return t;
}

void
trace_span_files(struct ctl *c, const struct audit_files *files, const struct trace_span *s,
    size_t *from_out, size_t *to_out)
{
	size_t from = 0, to = files->n;
	char edge[TRACE_TIME_LEN + 1];
	time_t t;

	/* a file is over before the span when the next one begins before it */
	while (s->since[0] != '\0' && from + 1 < files->n &&
	       (t = begins(c, files->list[from + 1].path)) != 0) {
		put_time(t + CLOCK_S, "999999", edge);
		if (strcmp(edge, s->since) >= 0)
			break;
		from++;
	}
	while (s->until[0] != '\0' && to > from + 1 &&
	       (t = begins(c, files->list[to - 1].path)) != 0) {
		put_time(t - CLOCK_S, "000000", edge);
		if (strncmp(edge, s->until, strlen(s->until)) <= 0)
			break;
		to--;
	}
	*from_out = from;
	*to_out = to;
}
