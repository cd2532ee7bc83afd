/* ctl_audit.c: `congvu audit show` and `congvu audit verify`: the audit log for security officers. Reads the log and the
 * ledger's state file, writes nothing, asks no running program. verify exits 0, or 65 with the first wrong record named. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl.h"
#include "lib/err.h"
#include "lib/log.h"
#include "milter/audit.h"

static int
open_log(const struct ctl *c, const char *file, char **path_out)
{
	int fd;

	*path_out = file != NULL ? xstrdup(file) : conf_path(c->conf, "audit_log");
	fd = open(*path_out, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		ctl_fail(c, errno == EACCES ? EX_NOPERM : EX_NOINPUT, "%s: %s", *path_out,
		    strerror(errno));
	return fd;
}

/* The state file stands beside the log; one for a copy elsewhere there is none. */
static int
open_state(const char *log_path)
{
	char *path = NULL;
	int fd;

	if (asprintf(&path, "%s.state", log_path) < 0)
		fatal("out of memory");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	free(path);
	return fd;
}

static int
report_json(const struct audit_report *r, const char *path)
{
	struct json *j = json_obj_new();

	json_set_str(j, "file", path);
	json_set_bool(j, "ok", r->ok);
	json_set_int(j, "records", (int64_t)r->records);
	json_set_int(j, "last_seq", (int64_t)r->last.seq);
	json_set_str(j, "last_h", r->last.h);
	json_set_bool(j, "state_checked", r->has_state);
	json_set_int(j, "unfinished_octets", (int64_t)r->torn);
	if (!r->ok) {
		json_set_int(j, "line", (int64_t)r->line);
		json_set_str(j, "why", r->why);
	}
	return ctl_json_take(j, r->ok ? EX_OK : EX_DATAERR);
}

static int
verify(struct ctl *c, const char *file)
{
	struct audit_report r;
	char *path;
	int fd = open_log(c, file, &path), state_fd, code = EX_NOINPUT;

	if (fd < 0) {
		free(path);
		return code;
	}
	state_fd = open_state(path);
	if (audit_verify(fd, state_fd, &r) != 0) {
		code = ctl_fail(c, EX_IOERR, _("%s cannot be read"), path);
	} else if (c->json) {
		code = report_json(&r, path);
	} else if (r.ok) {
		printf(_("%s: %llu records, the chain is whole up to number %llu"), path,
		    (unsigned long long)r.records, (unsigned long long)r.last.seq);
		if (r.torn > 0)
			printf(_("; %zu octets of a record not yet finished follow"), r.torn);
		if (!r.has_state)
			printf(
			    _("; without the ledger's state file a cut at the end cannot be seen"));
		printf("\n");
		code = EX_OK;
	} else {
		code = EX_DATAERR;
		printf(_("%s, line %llu: %s; the %llu records before it are whole\n"), path,
		    (unsigned long long)r.line, r.why, (unsigned long long)r.records);
	}
	close(fd);
	if (state_fd >= 0)
		close(state_fd);
	free(path);
	return code;
}

static void
print_field(const struct json *rec, const char *key)
{
	const struct json *v = json_get(rec, key);

	if (json_kind(v) == JSON_T_STR)
		printf(" %s=%s", key, json_cstr(v));
	else if (json_kind(v) == JSON_T_INT)
		printf(" %s=%lld", key, (long long)json_int(v, 0));
}

/* One line a record, the fields one looks for first; --json gives all of it. */
static void
print_record(const struct json *rec)
{
	const struct json *decision = json_get(rec, "decision");

	printf("%lld %s %s", (long long)json_int(json_get(rec, "seq"), 0),
	    json_cstr(json_get(rec, "ts")), json_cstr(json_get(rec, "event")));
	print_field(decision, "action");
	print_field(decision, "rule");
	print_field(rec, "qid");
	print_field(rec, "code");
	print_field(rec, "login");
	print_field(rec, "mail_from");
	print_field(rec, "from");
	printf("\n");
}

/* The last records are kept in a ring of lines. */
static int
show(struct ctl *c, const char *file, uint64_t last)
{
	struct json *list = json_arr_new(), *rec;
	struct audit_reader *r;
	struct audit_chain chain;
	struct slice line;
	uint64_t total = 0, n = 0;
	const char *why;
	char *path;
	int rc, fd = open_log(c, file, &path);

	if (fd < 0) {
		free(path);
		json_free(list);
		return EX_NOINPUT;
	}
	r = audit_reader_new(fd);
	while (last > 0 && audit_reader_next(r, &line) == 0)
		total++;
	audit_reader_free(r);
	lseek(fd, 0, SEEK_SET);
	r = audit_reader_new(fd);
	while ((rc = audit_reader_next(r, &line)) == 0) {
		if (last > 0 && n++ + last < total)
			continue;
		if (audit_line_parse(line, &chain, &rec, &why) != 0) {
			ctl_fail(c, EX_DATAERR, _("%s, line %llu: %s"), path,
			    (unsigned long long)audit_reader_line(r), why);
			rc = ERR_CORRUPT;
			break;
		}
		if (c->json) {
			json_push_take(list, rec);
		} else {
			print_record(rec);
			json_free(rec);
		}
	}
	audit_reader_free(r);
	close(fd);
	free(path);
	if (c->json)
		return ctl_json_take(list, rc == ERR_EOF ? EX_OK : ctl_exit_code(rc));
	json_free(list);
	return rc == ERR_EOF ? EX_OK : ctl_exit_code(rc);
}

int
ctl_audit(struct ctl *c, int argc, char **argv)
{
	const char *file = NULL, *last_text = NULL;
	const struct ctl_option options[] = {
	    {"file", &file, NULL}, {"last", &last_text, NULL}, {NULL, NULL, NULL}};
	uint64_t last = 0;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2)
		return ctl_usage(c, _("one of show, verify is needed"));
	if (last_text != NULL &&
	    (slice_to_u64(slice_str(last_text), UINT32_MAX, &last) != 0 || last == 0))
		return ctl_usage(c, _("--last needs a number above 0"));
	if (strcmp(argv[1], "verify") == 0)
		return verify(c, file);
	if (strcmp(argv[1], "show") == 0)
		return show(c, file, last);
	return ctl_usage(c, _("one of show, verify is needed"));
}
