/* setup_files.c: what `congvu setup` puts below /etc: keys, certificate, trust anchors, congvu.conf. Runs in congvu, as root.
 * Invariants: a file that is there with other content is never overwritten unless setup wrote it; secrets are 0600 from the start. */
#include "config.h"

#include "admin/setup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/proc.h"

enum { FILE_MAX = 1 << 20 };

/* ---- small tools ---- */

int
setup_run(const char *const *argv, struct buf *out)
{
	char chunk[4096];
	int fds[2], status = 0;
	ssize_t n;
	pid_t pid;

	if (pipe2(fds, O_CLOEXEC) != 0)
		return 127;
	pid = fork();
	if (pid == 0) {
		int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

		dup2(null, STDIN_FILENO);
		dup2(fds[1], STDOUT_FILENO);
		dup2(fds[1], STDERR_FILENO);
		setenv("PATH", "/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin", 1);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		_exit(127);
	}
	close(fds[1]);
	/* a server started here may keep the pipe open: the end of the program counts, not that of its output */
	while (pid > 0 && (n = read(fds[0], chunk, sizeof(chunk))) > 0)
		if (out != NULL)
			(void)buf_append(out, chunk, (size_t)n);
	close(fds[0]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
		return 127;
	return WEXITSTATUS(status);
}

bool
setup_has_systemd(void)
{
	return access("/run/systemd/system", F_OK) == 0;
}

char *
setup_path(const struct setup *s, const char *name)
{
	char *path = NULL;

	if (asprintf(&path, "%s/%s", s->etc, name) < 0)
		fatal("out of memory");
	return path;
}

int
setup_folder(struct setup *s, const char *path, unsigned mode)
{
	char *copy = xstrdup(path);
	struct stat st;
	int rc = 0;

	if (s->dry_run || stat(path, &st) == 0)
		goto out;
	for (char *p = strchr(copy + 1, '/'); p != NULL && rc == 0; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(copy, 0755) != 0 && errno != EEXIST)
			rc = -1;
		*p = '/';
	}
	if (rc == 0 && mkdir(path, mode) != 0 && errno != EEXIST)
		rc = -1;
	if (rc != 0)
		setup_say(s, SETUP_FAILED, path, "%s", strerror(errno));
out:
	free(copy);
	return rc;
}

/* The content of a file; false when it cannot be read. */
static bool
read_file(const char *path, struct buf *out)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char chunk[4096];
	ssize_t n = -1;

	while (fd >= 0 && (n = read(fd, chunk, sizeof(chunk))) > 0)
		if (buf_append(out, chunk, (size_t)n) != 0)
			break;
	explicit_bzero(chunk, sizeof(chunk));
	if (fd >= 0)
		close(fd);
	return fd >= 0 && n == 0;
}

static bool
holds(const char *path, struct slice data)
{
	struct buf b;
	bool same;

	buf_init(&b, FILE_MAX);
	same = read_file(path, &b) && slice_eq(buf_slice(&b), data);
	buf_wipe(&b);
	return same;
}

int
setup_write(struct setup *s, const char *path, struct slice data, unsigned mode)
{
	char *tmp = NULL;
	bool good;
	int fd;

	if (holds(path, data)) {
		setup_say(s, SETUP_THERE, path, "%s", _("unchanged"));
		return 0;
	}
	if (s->dry_run) {
		setup_say(s, SETUP_WOULD, path, _("would be written, mode %03o"), mode);
		return 0;
	}
	if (asprintf(&tmp, "%s.new", path) < 0)
		fatal("out of memory");
	unlink(tmp);
	fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	good = fd >= 0 && write(fd, data.ptr, data.len) == (ssize_t)data.len &&
	       fchmod(fd, mode) == 0 && fsync(fd) == 0;
	if (fd >= 0)
		close(fd);
	good = good && rename(tmp, path) == 0;
	if (good)
		setup_say(s, SETUP_DONE, path, _("written, mode %03o"), mode);
	else
		setup_say(s, SETUP_FAILED, path, "%s", strerror(errno));
	free(tmp);
	return good ? 0 : -1;
}

/* ---- users ---- */

int
setup_users(struct setup *s)
{
	size_t n, missing = 0;
	const struct conf_option *o = conf_options(&n);
	uid_t uid;
	gid_t gid;

	for (size_t i = 0; i < n; i++) {
		const char *name = o[i].def;
		const char *const argv[] = {"useradd", "--system", "--user-group",
		    "--no-create-home", "--home-dir", "/nonexistent", "--shell",
		    "/usr/sbin/nologin", name, NULL};

		if (strncmp(o[i].name, "user_", 5) != 0 || proc_user(name, &uid, &gid) == 0)
			continue;
		missing++;
		if (!s->dry_run && setup_run(argv, NULL) != 0) {
			setup_say(s, SETUP_FAILED, _("users"), _("useradd %s failed"), name);
			return -1;
		}
	}
	setup_say(s,
	    missing == 0 ? SETUP_THERE
	    : s->dry_run ? SETUP_WOULD
			 : SETUP_DONE,
	    _("users"), _("one for each role; %zu were missing"), missing);
	return 0;
}

/* ---- keys ---- */

int
setup_keys(struct setup *s)
{
	static const char digits[] = "0123456789abcdef";
	char *path = setup_path(s, "token.key"), text[66];
	unsigned char key[32];
	int rc = 0;

	if (access(path, F_OK) == 0) {
		setup_say(s, SETUP_THERE, path, "%s", _("the key of tickets is kept"));
		goto out;
	}
	if (getrandom(key, sizeof(key), 0) != (ssize_t)sizeof(key)) {
		setup_say(s, SETUP_FAILED, path, "%s", strerror(errno));
		rc = -1;
		goto out;
	}
	for (size_t i = 0; i < sizeof(key); i++) {
		text[2 * i] = digits[key[i] >> 4];
		text[2 * i + 1] = digits[key[i] & 15];
	}
	text[64] = '\n';
	rc = setup_write(s, path, slice_of(text, 65), 0600);
	explicit_bzero(key, sizeof(key));
	explicit_bzero(text, sizeof(text));
out:
	free(path);
	return rc;
}

/* Made by openssl, whose public key files everybody's tools read. */
int
setup_audit_key(struct setup *s)
{
	char *key = setup_path(s, "audit.key"), *made = setup_path(s, "audit.key.new"),
	     *public = setup_path(s, "audit-public.pem");
	const char *const make[] = {"openssl", "genpkey", "-algorithm", "EC", "-pkeyopt",
	    "ec_paramgen_curve:P-256", "-out", made, NULL};
	const char *const show[] = {
	    "openssl", "pkey", "-in", made, "-pubout", "-out", public, NULL};
	struct buf out;
	int rc = 0;

	buf_init(&out, 65536);
	if (access(key, F_OK) == 0) {
		setup_say(s, SETUP_THERE, key, "%s", _("the key of the audit log is kept"));
	} else if (s->dry_run) {
		setup_say(s, SETUP_WOULD, key, "%s",
		    _("a key for the audit log's checkpoints would be made"));
	} else if (setup_run(make, &out) != 0 || chmod(made, 0600) != 0 ||
		   setup_run(show, &out) != 0 || chmod(public, 0644) != 0 ||
		   rename(made, key) != 0) {
		setup_say(s, SETUP_FAILED, key, "openssl: %s", buf_cstr(&out));
		rc = -1;
	} else {
		setup_say(s, SETUP_DONE, key, "%s",
		    _("a key for the audit log's checkpoints was made, mode 600"));
		setup_left(s,
		    _("give %s to who is to verify the audit log one day, on paper too: a "
		      "signature proves "
		      "nothing to who got the key from the same host later"),
		    public);
	}
	buf_done(&out);
	free(key);
	free(made);
	free(public);
	return rc;
}

/* ---- the certificate ---- */

static int
check_files(struct setup *s)
{
	const unsigned files[] = {SETUP_Q_tls_cert_file, SETUP_Q_tls_key_file};

	for (size_t i = 0; i < 2; i++) {
		const char *path = setup_answer(s, files[i]);

		if (access(path, R_OK) != 0) {
			setup_say(s, SETUP_FAILED, path, "%s", strerror(errno));
			return -1;
		}
		setup_say(s, SETUP_THERE, path, "%s",
		    _("is used where it is: renew it there, then congvu reload"));
	}
	return 0;
}

int
setup_certificate(struct setup *s)
{
	char *dir = setup_path(s, "tls"), *cert = setup_path(s, "tls/cert.pem"),
	     *key = setup_path(s, "tls/key.pem"), *csr = setup_path(s, "tls/request.csr"),
	     *subject = NULL, *san = NULL;
	const char *host = setup_answer(s, SETUP_Q_hostname);
	struct buf out;
	int rc = -1;

	buf_init(&out, 65536);
	if (asprintf(&subject, "/CN=%s", host) < 0 ||
	    asprintf(&san, "subjectAltName=DNS:%s", host) < 0)
		fatal("out of memory");
	const char *const request[] = {"openssl", "req", "-new", "-newkey", "rsa:3072", "-nodes",
	    "-keyout", key, "-out", csr, "-subj", subject, "-addext", san, NULL};
	const char *const sign[] = {"openssl", "x509", "-req", "-in", csr, "-signkey", key, "-days",
	    "365", "-copy_extensions", "copy", "-out", cert, NULL};

	if (setup_is(s, SETUP_Q_tls, "files")) {
		rc = check_files(s);
		goto out;
	}
	if (access(cert, F_OK) == 0) {
		setup_say(s, SETUP_THERE, cert, "%s", _("is kept"));
		rc = 0;
	} else if (s->dry_run) {
		setup_say(s, SETUP_WOULD, cert,
		    _("a key and a self-signed certificate for %s would be made"), host);
		rc = 0;
	} else if (setup_folder(s, dir, 0700) == 0) {
		mode_t old = umask(077);

		rc = setup_run(request, &out) == 0 && setup_run(sign, &out) == 0 ? 0 : -1;
		umask(old);
		if (rc == 0)
			setup_say(s, SETUP_DONE, cert,
			    _("a key and a SELF-SIGNED certificate for %s were made"), host);
		else
			setup_say(s, SETUP_FAILED, cert, "openssl: %s", buf_cstr(&out));
	}
	if (rc == 0)
		setup_left(s,
		    _("the certificate is self-signed, so mail clients warn: have a CA sign %s, "
		      "put its answer with the "
		      "chain into %s, then congvu reload"),
		    csr, cert);
out:
	buf_done(&out);
	free(dir);
	free(cert);
	free(key);
	free(csr);
	free(subject);
	free(san);
	return rc;
}

int
setup_trust(struct setup *s)
{
	const char *from = setup_answer(s, SETUP_Q_trust_file);
	char *dir = setup_path(s, "trust/default"),
	     *path = setup_path(s, "trust/default/anchors.pem");
	struct buf b;
	int rc = setup_folder(s, dir, 0755);

	buf_init(&b, FILE_MAX);
	if (rc == 0 && from[0] == '\0') {
		if (access(path, F_OK) != 0)
			setup_left(s,
			    _("no CA is trusted for signatures yet, so signed official mail is "
			      "refused: put its root and issuing "
			      "certificates into %s (PEM), then congvu reload"),
			    dir);
	} else if (rc == 0 && !read_file(from, &b)) {
		setup_say(s, SETUP_FAILED, from, "%s", strerror(errno));
		rc = -1;
	} else if (rc == 0 &&
		   slice_find(buf_slice(&b), slice_str("-----BEGIN CERTIFICATE-----")) < 0) {
		setup_say(s, SETUP_FAILED, from, "%s", _("no certificate in PEM stands there"));
		rc = -1;
	} else if (rc == 0) {
		rc = setup_write(s, path, buf_slice(&b), 0644);
	}
	buf_done(&b);
	free(dir);
	free(path);
	return rc;
}

/* ---- congvu.conf ---- */

static void
put_list(struct buf *b, const char *option, const char *commas)
{
	buf_appendf(b, "%s = {", option);
	for (const char *p = commas; *p != '\0';) {
		size_t n = strcspn(p, ",");
		struct slice item = slice_trim(slice_of(p, n));

		buf_appendf(b, "%s\"%.*s\"", p == commas ? "" : ", ", (int)item.len,
		    (const char *)item.ptr);
		p += n + (p[n] == ',');
	}
	buf_append_str(b, "}\n");
}

static void
put_str(struct buf *b, const char *option, const char *value)
{
	buf_appendf(b, "%s = \"%s\"\n", option, value);
}

static void
put_directory(const struct setup *s, struct buf *b)
{
	bool local = setup_is(s, SETUP_Q_ldap, "local");
	const char *base = setup_answer(s, SETUP_Q_ldap_base);

	buf_append_str(b, "\n# directory\n");
	put_str(b, "ldap_base", base);
	if (local) {
		put_list(b, "ldap_uris", setup_answer(s, SETUP_Q_ldap_listen));
		buf_appendf(b, "ldap_bind_dn = \"cn=lookup,ou=services,%s\"\n", base);
		buf_appendf(b, "admin_bind_dn = \"cn=hr,ou=services,%s\"\n", base);
	} else {
		put_list(b, "ldap_uris", setup_answer(s, SETUP_Q_ldap_uris));
		buf_appendf(b, "ldap_starttls = %s\n",
		    setup_is(s, SETUP_Q_ldap_starttls, "yes") ? "true" : "false");
		put_str(b, "ldap_ca_file", setup_answer(s, SETUP_Q_ldap_ca_file));
		put_str(b, "ldap_bind_dn", setup_answer(s, SETUP_Q_ldap_bind_dn));
		put_str(b, "admin_bind_dn", setup_answer(s, SETUP_Q_admin_bind_dn));
	}
	if (local || setup_answer(s, SETUP_Q_ldap_bind_dn)[0] != '\0')
		put_str(b, "ldap_password_file", "ldap.password");
	if (local || setup_answer(s, SETUP_Q_admin_bind_dn)[0] != '\0')
		put_str(b, "admin_password_file", "hr.password");
}

/* What lies in ../var and ../run by default: data and sockets have folders of their own on a host of its own. */
static void
put_folders(struct setup *s, struct buf *b)
{
	size_t n;
	const struct conf_option *o = conf_options(&n);

	buf_append_str(b, "\n# folders\n");
	for (size_t i = 0; i < n; i++) {
		unsigned q =
		    strncmp(o[i].def, "../var/", 7) == 0 ? SETUP_Q_data_dir : SETUP_Q_run_dir;

		if (o[i].type == CONF_PATH &&
		    (q == SETUP_Q_data_dir || strncmp(o[i].def, "../run/", 7) == 0))
			buf_appendf(
			    b, "%s = \"%s/%s\"\n", o[i].name, setup_answer(s, q), o[i].def + 7);
	}
}

static int
put_tree(struct setup *s, struct buf *b)
{
	const char *tree = setup_answer(s, SETUP_Q_ldap_tree);
	char *path = NULL;
	bool good = true;

	if (!setup_is(s, SETUP_Q_ldap, "existing") || strcmp(tree, "congvu") == 0)
		return 0;
	if (asprintf(&path, PKGDATADIR "/examples/%s.conf", tree) < 0)
		fatal("out of memory");
	buf_append_str(b, "\n");
	good = read_file(path, b);
	if (!good)
		setup_say(s, SETUP_FAILED, path, "%s", strerror(errno));
	free(path);
	return good ? 0 : -1;
}

static int
conf_text(struct setup *s, struct buf *b)
{
	static const unsigned listens[] = {SETUP_Q_listen_mx, SETUP_Q_listen_submission,
	    SETUP_Q_listen_submissions, SETUP_Q_listen_imap, SETUP_Q_listen_imaps};
	bool files = setup_is(s, SETUP_Q_tls, "files"),
	     direct = setup_is(s, SETUP_Q_smarthost, "mx");

	buf_append_str(b,
	    "# congvu.conf, made by \"congvu setup\": congvu.conf(5) tells all options.\n"
	    "# What you change here stays: a later setup then writes congvu.conf.setup only.\n");
	put_str(b, "hostname", setup_answer(s, SETUP_Q_hostname));
	put_list(b, "domains", setup_answer(s, SETUP_Q_domains));
	put_str(b, "postmaster", setup_answer(s, SETUP_Q_postmaster));
	put_str(b, "run_dir", setup_answer(s, SETUP_Q_run_dir));
	put_str(b, "log_file", setup_answer(s, SETUP_Q_log_file));
	buf_append_str(b, "\n# ports\n");
	for (size_t i = 0; i < sizeof(listens) / sizeof(listens[0]); i++)
		put_str(b, setup_questions[listens[i]].key,
		    setup_is(s, listens[i], "none") ? "" : setup_answer(s, listens[i]));
	put_str(
	    b, "tls_cert_file", files ? setup_answer(s, SETUP_Q_tls_cert_file) : "tls/cert.pem");
	put_str(b, "tls_key_file", files ? setup_answer(s, SETUP_Q_tls_key_file) : "tls/key.pem");
	put_directory(s, b);
	buf_append_str(b, "\n# mail\n");
	put_str(b, "smarthost", direct ? "" : setup_answer(s, SETUP_Q_smarthost));
	if (direct)
		buf_append_str(b, "relay_direct = true\n");
	buf_appendf(b, "quota_mb = %s\n", setup_answer(s, SETUP_Q_quota_mb));
	put_folders(s, b);
	return put_tree(s, b);
}

int
setup_conf(struct setup *s)
{
	char *last = NULL;
	const char *path = s->c->conf_file;
	struct buf b, old;
	bool ours;
	int rc;

	if (asprintf(&last, "%s.setup", path) < 0)
		fatal("out of memory");
	buf_init(&b, FILE_MAX);
	buf_init(&old, FILE_MAX);
	rc = conf_text(s, &b);
	if (rc != 0)
		goto out;
	/* congvu.conf.setup is what setup wrote last: when both are the same, nobody has edited it since */
	ours = access(path, F_OK) != 0 || (read_file(last, &old) && holds(path, buf_slice(&old)));
	if (ours) {
		rc = setup_write(s, path, buf_slice(&b), 0640);
	} else if (!holds(path, buf_slice(&b))) {
		setup_say(s, SETUP_NOTE, path, _("was edited since, and is left as it is"));
		setup_left(s, _("compare %s, which you edited, with %s, which these answers make"),
		    path, last);
	}
	if (rc == 0)
		rc = setup_write(s, last, buf_slice(&b), 0640);
out:
	buf_done(&b);
	buf_done(&old);
	free(last);
	return rc;
}
