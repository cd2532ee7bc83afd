/* ctl_audit.c: `congvu audit show`, and the verbs beside it: the audit log for security officers. Reads the files of the log, writes nothing, asks
 * no running program. Runs in congvu. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_audit.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

enum { SHOWN_RCPTS = 3 };

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

/* What an operator or officer did: who, to whose mail, by what decision and why. */
static void
print_deed(const struct json *rec)
{
	static const char *const fields[] = {"by", "account", "mailbox", "into", "kind", "value",
	    "request", "decision", "of", "until", "backup", "address", "subject", "reason",
	    "sha256"};

	for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
		print_field(rec, fields[i], fields[i]);
	print_field(rec, "from", "from");
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
	if (json_kind(json_get(rec, "by")) == JSON_T_STR)
		print_deed(rec);
	if (json_int(json_get(rec, "code"), 0) >= 400)
		print_field(rec, "text", "text");
	putchar('\n');
}

/* What --match asks for: the text anywhere in a record (an address, a queue id, a rule, an IP address, a file name), or as
 * the Message-ID or a content, which stand there as their hashes only. */
struct match {
	struct slice text;  /* empty: every record */
	struct buf escaped; /* the same as the log has it, between quotes: "Đ" is \u0110 there */
	char hash[65], id_hash[65];
};

static void
match_init(struct match *m, const char *text)
{
	unsigned char digest[32];
	char *id = NULL;
	struct json *j;

	m->text = slice_str(text != NULL ? text : "");
	j = json_str_new(m->text);
	buf_init(&m->escaped, m->text.len * 6 + 16);
	if (json_canonical(j, &m->escaped) != 0)
		fatal("out of memory");
	json_free(j);
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
	struct slice quoted = buf_slice(&m->escaped);

	return m->text.len == 0 || slice_find(line, m->text) >= 0 ||
	       slice_find(line, slice_sub(quoted, 1, quoted.len - 2)) >= 0 ||
	       slice_find(line, slice_str(m->hash)) >= 0 ||
	       slice_find(line, slice_str(m->id_hash)) >= 0;
}

int
audit_walk(struct ctl *c, const struct audit_files *files, audit_record_fn fn, void *arg)
{
	struct audit_chain chain;
	struct audit_reader *r;
	struct slice line;
	struct json *rec;
	const char *why;
	int rc = 0, err, fd;

	for (size_t i = 0; i < files->n && rc == 0; i++) {
		fd = audit_open_one(c, files->list[i].path);
		if (fd < 0)
			return EX_NOINPUT;
		r = audit_reader_new(fd);
		while (rc == 0 && (err = audit_reader_next(r, &line)) == 0) {
			rec = NULL;
			if (audit_line_parse(line, &chain, &rec, &why) != 0)
				rc = ctl_fail(c, EX_DATAERR, _("%s, line %llu: %s"),
				    files->list[i].path, (unsigned long long)audit_reader_line(r),
				    why);
			else
				rc = fn(arg, line, rec);
		}
		if (rc == 0 && err != ERR_EOF)
			rc = ctl_exit_code(err);
		audit_reader_free(r);
		close(fd);
	}
	return rc;
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
	return n;
}

/* The records that match; the last of them when last is not 0. Two passes over the files, nothing kept. */
struct showing {
	struct ctl *c;
	struct match match;
	struct json *list;
	uint64_t last, total, n;
	int code;
};

static int
show_file(struct showing *s, const char *path)
{
	int fd = audit_open_one(s->c, path), rc;
	struct audit_reader *r;
	struct audit_chain chain;
	struct slice line;
	struct json *rec;
	const char *why;

	if (fd < 0)
		return EX_NOINPUT;
	r = audit_reader_new(fd);
	while ((rc = audit_reader_next(r, &line)) == 0) {
		if (!match_line(&s->match, line) || (s->last > 0 && s->n++ + s->last < s->total))
			continue;
		rec = NULL;
		if (audit_line_parse(line, &chain, &rec, &why) != 0) {
			ctl_fail(s->c, EX_DATAERR, _("%s, line %llu: %s"), path,
			    (unsigned long long)audit_reader_line(r), why);
			rc = ERR_CORRUPT;
			break;
		}
		if (s->c->json) {
			json_push_take(s->list, rec);
		} else {
			print_record(rec);
			json_free(rec);
		}
	}
	audit_reader_free(r);
	close(fd);
	return rc == ERR_EOF ? EX_OK : ctl_exit_code(rc);
}

static int
show(struct ctl *c, const char *file, uint64_t last, const char *text)
{
	struct showing s = {.c = c, .last = last};
	struct audit_files files = {0};
	int fd, rc = audit_open_files(c, file, &files);

	if (rc != 0)
		return rc;
	s.list = json_arr_new();
	match_init(&s.match, text);
	for (size_t i = 0; last > 0 && i < files.n; i++) {
		fd = audit_open_one(c, files.list[i].path);
		if (fd >= 0) {
			s.total += count_lines(fd, &s.match);
			close(fd);
		}
	}
	for (size_t i = 0; i < files.n && rc == 0; i++)
		rc = show_file(&s, files.list[i].path);
	audit_files_done(&files);
	buf_done(&s.match.escaped);
	if (c->json)
		return ctl_json_take(s.list, rc);
	json_free(s.list);
	return rc;
}

int
ctl_audit(struct ctl *c, int argc, char **argv)
{
	const char *last_text = NULL, *match = NULL, *verb;
	struct audit_options o = {0};
	const struct ctl_option options[] = {{"file", &o.file, NULL}, {"last", &last_text, NULL},
	    {"match", &match, NULL}, {"key", &o.key, NULL}, {"checkpoints", &o.checkpoints, NULL},
	    {"partial", NULL, &o.partial}, {"since", &o.since, NULL}, {"until", &o.until, NULL},
	    {"format", &o.format, NULL}, {"out", &o.out, NULL}, {"check", &o.check, NULL},
	    {NULL, NULL, NULL}};
	uint64_t last = 0;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	verb = argc >= 2 ? argv[1] : "";
	if (last_text != NULL &&
	    (slice_to_u64(slice_str(last_text), UINT32_MAX, &last) != 0 || last == 0))
		return ctl_usage(c, _("--last needs a number above 0"));
	if (argc == 2 && strcmp(verb, "verify") == 0)
		return audit_cmd_verify(c, &o);
	if (argc == 2 && strcmp(verb, "show") == 0)
		return show(c, o.file, last, match);
	if (argc == 2 && strcmp(verb, "export") == 0)
		return audit_cmd_export(c, &o);
	if ((argc == 2 || argc == 3) && strcmp(verb, "prove") == 0)
		return audit_cmd_prove(c, &o, argc == 3 ? argv[2] : NULL);
	return ctl_usage(c, _("one of show, verify, prove, export is needed"));
}
