/* ctl_audit_verify.c: `congvu audit verify`: all files of the audit log against the ledger's state file, the keys of --key and the checkpoints that
 * another host kept (--checkpoints), and, for the instance's own log, milter-sign's list of what it signed. Runs in congvu. Exits 0; 65 with every finding
 * named: what, where, which record; 76 where checkpoints are absent and nothing at hand tells what they said. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_audit.h"
#include "lib/err.h"
#include "lib/log.h"
#include "milter/audit_verify.h"
#include "milter/sign_text.h"

enum { KEY_MAX = 65536, EX_UNDECIDED = 76 };

int
audit_open_one(struct ctl *c, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		ctl_fail(
		    c, errno == EACCES ? EX_NOPERM : EX_NOINPUT, "%s: %s", path, strerror(errno));
	return fd;
}

int
audit_open_files(struct ctl *c, const char *file, struct audit_files *out)
{
	char *path = file != NULL ? xstrdup(file) : conf_path(c->conf, "audit_log"), *dot;
	struct audit_files files = {0};
	uint64_t first;
	int rc = 0;

	dot = strrchr(path, '.');
	if (dot != NULL && strlen(dot + 1) >= 12 &&
	    slice_to_u64(slice_str(dot + 1), INT64_MAX, &first) == 0 && access(path, F_OK) == 0) {
		files.list = xcalloc(1, sizeof *files.list);
		files.list[0].path = xstrdup(path);
		files.list[0].first = first;
		files.n = 1;
	} else if (audit_files_list(path, &files) != 0 || files.n == 0) {
		rc = errno == EACCES ? EX_NOPERM : EX_NOINPUT;
		ctl_fail(c, rc, "%s: %s", path, strerror(rc == EX_NOPERM ? EACCES : ENOENT));
		audit_files_done(&files);
	}
	free(path);
	if (rc == 0)
		*out = files;
	return rc;
}

struct sign_key *
audit_read_key(struct ctl *c, const char *path, size_t len)
{
	char *name = slice_dup(slice_of(path, len));
	struct sign_key *key = NULL;
	const char *why = "";
	struct buf pem;
	ssize_t n = -1;
	int fd = audit_open_one(c, name);

	buf_init(&pem, KEY_MAX);
	if (fd >= 0)
		n = read(fd, buf_reserve(&pem, KEY_MAX), KEY_MAX);
	if (n >= 0) {
		buf_commit(&pem, (size_t)n);
		key = sign_key_public(buf_slice(&pem), &why);
		if (key == NULL)
			ctl_fail(c, EX_DATAERR, "%s: %s", name, why);
	}
	if (fd >= 0)
		close(fd);
	buf_done(&pem);
	free(name);
	return key;
}

/* --key A.pem,B.pem */
static int
add_keys(struct ctl *c, struct audit_verifier *v, const char *list)
{
	struct sign_key *key;
	size_t n;

	for (; list != NULL && *list != '\0'; list += n + (list[n] == ',')) {
		n = strcspn(list, ",");
		key = audit_read_key(c, list, n);
		if (key == NULL)
			return EX_NOINPUT;
		audit_verifier_key_take(v, key);
	}
	return 0;
}

static int
add_known(struct ctl *c, struct audit_verifier *v, const char *path)
{
	int fd = path != NULL ? audit_open_one(c, path) : -1, n;

	if (path == NULL)
		return 0;
	if (fd < 0)
		return EX_NOINPUT;
	n = audit_verifier_known(v, fd);
	close(fd);
	if (n > 0)
		return 0;
	return ctl_fail(c, n < 0 ? EX_IOERR : EX_DATAERR,
	    n < 0 ? _("%s cannot be read") : _("%s has no checkpoint (of the key given)"), path);
}

/* The state file stands beside the log; one for a copy elsewhere there is none. */
static int
add_state(struct ctl *c, struct audit_verifier *v, const struct audit_files *files)
{
	const struct audit_file *last = &files->list[files->n - 1];
	char *path = NULL;
	int fd, rc = 0;

	if (last->first != 0)
		return 0;
	if (asprintf(&path, "%s" AUDIT_STATE_SUFFIX, last->path) < 0)
		fatal("out of memory");
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (audit_verifier_state(v, fd) != 0)
			rc = ctl_fail(c, EX_IOERR, _("%s cannot be read"), path);
		close(fd);
	}
	free(path);
	return rc;
}

/* Another log's list is not ours. fd_out: to be closed behind the verification, or -1. */
static int
add_rows(struct ctl *c, struct audit_verifier *v, const char *file, int *fd_out)
{
	char *dir = conf_path(c->conf, "sign_dir"), *path = NULL;
	int rc = 0;

	if (file == NULL && asprintf(&path, "%s/" SIGN_ROWS_FILE, dir) < 0)
		fatal("out of memory");
	*fd_out = path != NULL ? open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW) : -1;
	if (*fd_out >= 0 && audit_verifier_rows(v, *fd_out) != 0)
		rc = ctl_fail(c, EX_IOERR, _("%s cannot be read"), path);
	free(path);
	free(dir);
	return rc;
}

static int
exit_code(const struct audit_report *r)
{
	return !r->ok ? EX_DATAERR : r->undecided > 0 ? EX_UNDECIDED : EX_OK;
}

static struct json *
finding_json(const struct audit_finding *f)
{
	struct json *j = json_obj_new();

	json_set_str(j, "kind", audit_finding_name(f->kind));
	json_set_str(j, "file", f->file);
	json_set_int(j, "line", (int64_t)f->line);
	json_set_int(j, "seq", (int64_t)f->seq);
	json_set_str(j, "text", f->text);
	return j;
}

static int
report_json(const struct audit_report *r, const struct audit_files *files)
{
	struct json *j = json_obj_new(), *list = json_arr_new(), *found = json_arr_new();

	for (size_t i = 0; i < files->n; i++)
		json_push_take(list, json_str_new(slice_str(files->list[i].path)));
	for (size_t i = 0; i < r->n_findings; i++)
		json_push_take(found, finding_json(&r->findings[i]));
	json_set_str(j, "file", files->list[files->n - 1].path);
	json_set_take(j, "files", list);
	json_set_bool(j, "ok", r->ok);
	json_set_int(j, "records", (int64_t)r->records);
	json_set_int(j, "first_seq", (int64_t)r->first_seq);
	json_set_int(j, "last_seq", (int64_t)r->last.seq);
	json_set_str(j, "last_h", r->last.h);
	json_set_bool(j, "state_checked", r->has_state);
	json_set_int(j, "unfinished_octets", (int64_t)r->torn);
	json_set_int(j, "checkpoints", (int64_t)r->checkpoints);
	json_set_int(j, "signatures_checked", (int64_t)r->checked_signatures);
	json_set_int(j, "signed_seq", (int64_t)r->signed_seq);
	json_set_int(j, "known_checkpoints", (int64_t)r->known);
	json_set_int(j, "checkpoints_not_there", (int64_t)r->not_there);
	json_set_int(j, "checkpoints_undecided", (int64_t)r->undecided);
	json_set_bool(j, "signed_rows_checked", r->has_rows);
	json_set_int(j, "signed_rows", (int64_t)r->rows);
	json_set_take(j, "findings", found);
	json_set_int(j, "more_findings", (int64_t)r->more_findings);
	if (!r->ok) {
		json_set_int(j, "line", (int64_t)r->line);
		json_set_str(j, "why", r->why);
	}
	return ctl_json_take(j, exit_code(r));
}

static void
print_good(const struct audit_report *r, const struct audit_files *files, bool key)
{
	const char *path = files->list[files->n - 1].path;

	printf(_("%s: %llu records, the chain is whole up to number %llu"), path,
	    (unsigned long long)r->records, (unsigned long long)r->last.seq);
	if (files->n > 1)
		printf(_(", in %zu files"), files->n);
	if (r->first_seq > 1)
		printf(_(", from number %llu"), (unsigned long long)r->first_seq);
	if (r->torn > 0)
		printf(_("; %zu octets of a record not yet finished follow"), r->torn);
	if (!r->has_state)
		printf(_("; without the ledger's state file a cut at the end cannot be seen"));
	printf("\n");
	if (key)
		printf(_("%llu of %llu checkpoints have a good signature of the key, the last over "
			 "record %llu; signed by none yet: %llu records\n"),
		    (unsigned long long)r->checked_signatures, (unsigned long long)r->checkpoints,
		    (unsigned long long)r->signed_seq,
		    (unsigned long long)(r->last.seq - r->signed_seq));
	else if (r->checkpoints > 0)
		printf(_("%llu checkpoints; their signatures were not checked (--key FILE)\n"),
		    (unsigned long long)r->checkpoints);
	if (r->has_rows)
		printf(_("milter-sign signed %llu checkpoints of these records, and all agree\n"),
		    (unsigned long long)r->rows);
	if (r->not_there > r->undecided)
		printf(_("%llu checkpoints that were signed are not in the log, the last over "
			 "record %llu: what they said is known, and agrees\n"),
		    (unsigned long long)(r->not_there - r->undecided),
		    (unsigned long long)r->not_there_seq);
	if (r->undecided > 0)
		printf(
		    _("UNDECIDED: %llu checkpoints were signed and are not in the log, the last "
		      "over record %llu: lost when the ledger died, or kept back because they "
		      "would tell on it. milter-sign's list (sign_dir) says which, or the host of "
		      "audit_syslog (--checkpoints FILE)\n"),
		    (unsigned long long)r->undecided, (unsigned long long)r->undecided_seq);
	if (r->known > 0)
		printf(_("%llu checkpoints of another host agree\n"), (unsigned long long)r->known);
}

static int
print_report(const struct audit_report *r, const struct audit_files *files, bool key)
{
	if (r->ok) {
		print_good(r, files, key);
		return exit_code(r);
	}
	for (size_t i = 0; i < r->n_findings; i++) {
		const struct audit_finding *f = &r->findings[i];

		printf(_("%s, line %llu: %s: %s\n"), f->file, (unsigned long long)f->line,
		    audit_finding_name(f->kind), f->text);
	}
	if (r->more_findings > 0)
		printf(_("and %zu findings more\n"), r->more_findings);
	printf(_("%llu records were read, up to number %llu\n"), (unsigned long long)r->records,
	    (unsigned long long)r->last.seq);
	return EX_DATAERR;
}

int
audit_verify_run(struct ctl *c, const struct audit_options *o, audit_verified_fn fn, void *arg)
{
	struct audit_verifier *v = audit_verifier_new();
	struct audit_files files = {0};
	const struct audit_report *r;
	int rc = audit_open_files(c, o->file, &files), fd, rows_fd = -1;

	if (rc == 0)
		rc = add_keys(c, v, o->key);
	if (rc == 0)
		rc = add_known(c, v, o->checkpoints);
	/* the state before the log: a ledger that is writing meanwhile only makes the log longer than it says */
	if (rc == 0)
		rc = add_state(c, v, &files);
	if (rc == 0)
		rc = add_rows(c, v, o->file, &rows_fd);
	if (rc == 0 && (o->partial || (files.n == 1 && files.list[0].first != 0)))
		audit_verifier_partial(v);
	for (size_t i = 0; i < files.n && rc == 0; i++) {
		fd = audit_open_one(c, files.list[i].path);
		if (fd < 0)
			rc = EX_NOINPUT;
		else if (audit_verifier_file(v, files.list[i].path, fd) != 0)
			rc = ctl_fail(c, EX_IOERR, _("%s cannot be read"), files.list[i].path);
		if (fd >= 0)
			close(fd);
	}
	if (rc == 0) {
		r = audit_verifier_end(v);
		if (fn != NULL)
			fn(arg, r);
		else
			rc = c->json ? report_json(r, &files)
				     : print_report(r, &files, o->key != NULL);
	}
	if (rows_fd >= 0)
		close(rows_fd);
	audit_verifier_free(v);
	audit_files_done(&files);
	return rc;
}

int
audit_cmd_verify(struct ctl *c, const struct audit_options *o)
{
	return audit_verify_run(c, o, NULL, NULL);
}
