/* check_sign.c: the keys of milter-sign, for `congvu check` and `congvu doctor`: that of the audit log, and those of functional mailboxes
 * (gateway_sign): there, nobody else's to read, fitting their certificates, and how long those last. Runs in congvu. A token's module is a stranger's code: it
 * is loaded in a child, under milter-sign's user, so that what the child can do milter-sign can. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/check.h"
#include "lib/err.h"
#include "lib/proc.h"
#include "milter/sign_key.h"
#include "milter/sign_mail.h"
#include "milter/sign_row.h"
#include "milter/sign_token.h"

enum { FILE_MAX = 65536, WARN_DAYS = 30, TOKEN_S = 20 };

/* A file of the row; whether it could be read. A private one must be nobody else's. */
static bool
read_file(struct check *k, const char *what, struct slice name, bool secret, struct buf *out)
{
	char *path = conf_beside(k->conf, name);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	struct stat st;
	ssize_t n = -1;

	if (fd >= 0 && fstat(fd, &st) == 0)
		n = read(fd, buf_reserve(out, FILE_MAX), FILE_MAX);
	if (n < 0)
		finding(k, BAD, what, "%s: %s", path, strerror(errno));
	else
		buf_commit(out, (size_t)n);
	if (n >= 0 && secret && (st.st_mode & 077) != 0) {
		finding(k, BAD, what, _("%s can be read by others (mode %03o): chmod 600 %s"), path,
		    st.st_mode & 0777, path);
		n = -1; /* of use to nobody */
	}
	if (fd >= 0)
		close(fd);
	free(path);
	return n >= 0;
}

static void
check_audit_key(struct check *k)
{
	const char *name = conf_str(k->conf, "audit_key_file"), *why = "";
	char *path = conf_path(k->conf, "audit_key_file");
	struct sign_key *key = NULL;
	struct buf pem;

	buf_init(&pem, FILE_MAX);
	if (access(path, F_OK) != 0) {
		/* doctor says what that costs, and how one is made */
		finding(k, WARN, "audit_key_file", "%s: %s", path, strerror(errno));
	} else if (read_file(k, "audit_key_file", slice_str(name), true, &pem)) {
		key = sign_key_private(buf_slice(&pem), &why);
		if (key == NULL)
			finding(k, BAD, "audit_key_file", "%s: %s", path, _(why));
		else
			finding(k, GOOD, "audit_key_file", "%s, %s", path, sign_key_id(key));
	}
	sign_key_free(key);
	buf_wipe(&pem);
	free(path);
}

/* What one row came to: made in a child for keys in a token. */
struct outcome {
	bool good;
	int64_t end;
	char why[200];
};

static void
try_pair(struct slice address, struct slice key, struct slice certs, struct outcome *o)
{
	const char *why = "";
	struct sign_mail_key *pair = sign_mail_key_new(address, key, certs, &why);

	o->good = pair != NULL;
	o->end = pair != NULL ? sign_mail_key_end(pair) : 0;
	snprintf(o->why, sizeof o->why, "%s", why);
	sign_mail_key_free(pair);
}

static void __attribute__((noreturn)) child_try(struct check *k, struct slice pin, int fd,
    struct slice address, struct slice uri, struct slice certs)
{
	struct outcome o = {.why = N_("milter-sign's user cannot be taken on")};
	char *secret = slice_dup(pin);
	const char *why;
	uid_t uid;
	gid_t gid;
	int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

	alarm(TOKEN_S);
	dup2(null, STDERR_FILENO); /* the engine's own words */
	if (geteuid() != 0 || (proc_user(conf_str(k->conf, "user_sign"), &uid, &gid) == 0 &&
				  proc_drop(uid, gid) == 0)) {
		if (sign_token_setup(k->conf, secret, &why) != 0)
			snprintf(o.why, sizeof o.why, "%s", why);
		else
			try_pair(address, uri, certs, &o);
	}
	_exit(write(fd, &o, sizeof o) == sizeof o ? 0 : 1);
}

static void
try_token(
    struct check *k, struct slice address, struct slice uri, struct slice certs, struct outcome *o)
{
	struct buf pin;
	ptrdiff_t lf;
	int p[2];
	pid_t pid;

	snprintf(o->why, sizeof o->why, "%s", N_("the module ended, or said nothing for long"));
	buf_init(&pin, FILE_MAX);
	if (!read_file(k, "pkcs11_pin_file", slice_str(conf_str(k->conf, "pkcs11_pin_file")), true,
		&pin)) {
		snprintf(o->why, sizeof o->why, "%s", N_("no PIN that milter-sign would take"));
		goto out;
	}
	lf = slice_index(buf_slice(&pin), '\n');
	pin.len = lf >= 0 ? (size_t)lf : pin.len;
	if (pipe2(p, O_CLOEXEC) != 0)
		goto out;
	pid = fork();
	if (pid == 0)
		child_try(k, buf_slice(&pin), p[1], address, uri, certs);
	close(p[1]);
	if (pid < 0 || read(p[0], o, sizeof *o) != sizeof *o)
		o->good = false;
	o->why[sizeof o->why - 1] = '\0';
	close(p[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
out:
	buf_wipe(&pin);
}

static void
tell(struct check *k, const char *address, const struct outcome *o)
{
	long long days = ((long long)o->end - (long long)time(NULL)) / 86400;

	if (!o->good)
		finding(k, BAD, "gateway_sign", "%s: %s", address, _(o->why));
	else if (days < 0)
		finding(k, BAD, "gateway_sign",
		    _("the certificate of %s has ended: its mail is refused"), address);
	else if (days < WARN_DAYS)
		finding(k, WARN, "gateway_sign", _("the certificate of %s ends in %lld days"),
		    address, days);
	else
		finding(k, GOOD, "gateway_sign", _("signs for %s, %lld days left"), address, days);
}

/* false: no further key of the token is to be tried: it locks itself after a few wrong PINs. */
static bool
check_row(struct check *k, const char *row, bool token_ok)
{
	struct slice key_name, cert_file;
	struct outcome o = {.why = N_("not tried: the PIN was refused before")};
	struct buf address, key, certs;
	const char *why = "";

	buf_init(&address, 1024);
	buf_init(&key, FILE_MAX);
	buf_init(&certs, FILE_MAX);
	if (sign_row_parse(row, &address, &key_name, &cert_file, &why) != 0) {
		finding(k, BAD, "gateway_sign", "\"%s\": %s", row, _(why));
		goto out;
	}
	if (!read_file(k, "gateway_sign", cert_file, false, &certs))
		goto out;
	if (sign_token_is_uri(key_name)) {
		if (token_ok)
			try_token(k, buf_slice(&address), key_name, buf_slice(&certs), &o);
		token_ok = o.good || strstr(o.why, "PIN") == NULL;
	} else {
		if (!read_file(k, "gateway_sign", key_name, true, &key))
			goto out;
		try_pair(buf_slice(&address), buf_slice(&key), buf_slice(&certs), &o);
	}
	tell(k, buf_cstr(&address), &o);
out:
	buf_done(&address);
	buf_wipe(&key);
	buf_done(&certs);
	return token_ok;
}

void
check_sign(struct check *k)
{
	bool token_ok = true;

	check_audit_key(k);
	for (size_t i = 0; i < conf_list_len(k->conf, "gateway_sign"); i++)
		token_ok = check_row(k, conf_list_item(k->conf, "gateway_sign", i), token_ok);
}
