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
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "milter/audit.h"

enum { SHOWN_RCPTS = 3 };

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

/* A value as it may be shown on a terminal: hostile senders put into records what they like. Quoted when it has spaces. */
static void
print_value(const char *key, const char *v)
{
	bool quoted = strpbrk(v, " \"") != NULL;

	printf(" %s=%s", key, quoted ? "\"" : "");
	for (; *v != '\0'; v++) {
		unsigned char ch = (unsigned char)*v, next = (unsigned char)v[1];

		if (ch == 0xc2 && next >= 0x80 && next <= 0x9f) { /* C1 controls in UTF-8 */
			putchar('?');
			v++;
		} else {
			putchar(ch < 0x20 || ch == 0x7f ? '?' : ch == '"' ? '\'' : ch);
		}
	}
	if (quoted)
		putchar('"');
}

static void
print_field(const struct json *rec, const char *key, const char *shown)
{
	const struct json *v = json_get(rec, key);

	if (json_kind(v) == JSON_T_STR && *json_cstr(v) != '\0')
		print_value(shown, json_cstr(v));
	else if (json_kind(v) == JSON_T_INT)
		printf(" %s=%lld", shown, (long long)json_int(v, 0));
}

/* The recipients: of a verdict, addresses; of an outcome, addresses with what became of each. */
static void
print_rcpts(const struct json *rec)
{
	const struct json *list = json_get(json_get(rec, "env"), "rcpts"), *item;
	size_t n;

	if (list == NULL)
		list = json_get(rec, "rcpts");
	n = json_len(list);
	for (size_t i = 0; i < n && i < SHOWN_RCPTS; i++) {
		item = json_at(list, i);
		if (json_kind(item) == JSON_T_STR) {
			print_value("to", json_cstr(item));
		} else {
			print_field(item, "address", "to");
			print_field(item, "result", "result");
		}
	}
	if (n > SHOWN_RCPTS)
		printf(_(" and %zu more"), n - SHOWN_RCPTS);
}

/* One line a record: what happened, to which mail, who sent it from where, to whom, and why; --json gives all of it. */
static void
print_record(const struct json *rec)
{
	const struct json *decision = json_get(rec, "decision"), *env = json_get(rec, "env"),
			  *session = json_get(rec, "session"), *sigs = json_get(rec, "sig");

	printf("%lld %s %s", (long long)json_int(json_get(rec, "seq"), 0),
	    json_cstr(json_get(rec, "ts")), json_cstr(json_get(rec, "event")));
	print_field(rec, "qid", "qid");
	print_field(decision, "action", "action");
	print_field(decision, "rule", "rule");
	print_field(rec, "code", "code");
	print_field(session, "auth", "login");
	print_field(session, "ip", "ip");
	print_field(env, "from", "from");
	print_rcpts(rec);
	for (size_t i = 0; i < json_len(sigs) && i < SHOWN_RCPTS; i++) {
		const struct json *sig = json_at(sigs, i);

		print_field(sig, "status", "signature");
		if (json_len(json_get(sig, "addresses")) > 0)
			print_value("signer", json_cstr(json_at(json_get(sig, "addresses"), 0)));
	}
	print_field(decision, "detail", "detail");
	if (json_int(json_get(rec, "code"), 0) >= 400)
		print_field(rec, "text", "text");
	putchar('\n');
}

/* What --match asks for: the text anywhere in a record (an address, a queue id, a rule, an IP address, a file name), or as
 * the Message-ID or a content, which stand there as their hashes only. */
struct match {
	struct slice text; /* empty: every record */
	char hash[65], id_hash[65];
};

static void
match_init(struct match *m, const char *text)
{
	unsigned char digest[32];
	char *id = NULL;

	m->text = slice_str(text != NULL ? text : "");
	sha256_of(m->text, digest);
	hex_encode(digest, sizeof(digest), m->hash);
	if (asprintf(&id, "<%s>", text != NULL ? text : "") < 0)
		fatal("out of memory");
	sha256_of(slice_str(id), digest);
	hex_encode(digest, sizeof(digest), m->id_hash);
	free(id);
}

static bool
match_line(const struct match *m, struct slice line)
{
	return m->text.len == 0 || slice_find(line, m->text) >= 0 ||
	       slice_find(line, slice_str(m->hash)) >= 0 ||
	       slice_find(line, slice_str(m->id_hash)) >= 0;
}

static uint64_t
count_lines(int fd, const struct match *m)
{
	struct audit_reader *r = audit_reader_new(fd);
	struct slice line;
	uint64_t n = 0;

	while (audit_reader_next(r, &line) == 0)
		n += match_line(m, line);
	audit_reader_free(r);
	lseek(fd, 0, SEEK_SET);
	return n;
}

/* The records that match; the last of them when last is not 0. Two passes over the file, nothing kept. */
static int
show(struct ctl *c, const char *file, uint64_t last, const char *text)
{
	struct json *list = json_arr_new(), *rec;
	struct audit_reader *r;
	struct audit_chain chain;
	struct match match;
	struct slice line;
	uint64_t total, n = 0;
	const char *why;
	char *path;
	int rc, fd = open_log(c, file, &path);

	if (fd < 0) {
		free(path);
		json_free(list);
		return EX_NOINPUT;
	}
	match_init(&match, text);
	total = last > 0 ? count_lines(fd, &match) : 0;
	r = audit_reader_new(fd);
	while ((rc = audit_reader_next(r, &line)) == 0) {
		if (!match_line(&match, line) || (last > 0 && n++ + last < total))
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
	const char *file = NULL, *last_text = NULL, *match = NULL;
	const struct ctl_option options[] = {{"file", &file, NULL}, {"last", &last_text, NULL},
	    {"match", &match, NULL}, {NULL, NULL, NULL}};
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
		return show(c, file, last, match);
	return ctl_usage(c, _("one of show, verify is needed"));
}
