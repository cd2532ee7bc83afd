/* ctl_directory.c: connection, files and messages of `congvu agency` and `congvu staff`. Runs in congvu. */
#include "config.h"

#include "admin/ctl_directory.h"

#include "admin/dir_journal.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sysexits.h>
#include <unistd.h>

/* What the server's own words mean; NULL: others. */
static const char *
server_words(const char *why)
{
	static const struct {
		const char *theirs, *ours;
	} words[] = {
	    {"Insufficient access", N_("your account may not write that: it is another agency's, "
				       "or central HR's to change; ask them")},
	    {"Invalid syntax", N_("a value is not such as the directory takes it")},
	    {"Naming violation",
		N_("the name of the entry is not such as the directory takes it")}};

	const char *at;

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if ((at = strstr(why, words[i].theirs)) != NULL &&
		    (at == why || (at - why > 2 && at[-2] == ':' && at[-1] == ' ')))
			return _(words[i].ours);
	return NULL;
}

int
ctl_dir_fail(const struct ctl *c, const char *what, int err, char *why)
{
	const char *ours = why == NULL ? NULL : server_words(why);
	int code;

	if (ours != NULL)
		code = ctl_fail(c, ctl_exit_code(err), "%s: %s (%s)", what, ours, why);
	else
		code = ctl_fail(
		    c, ctl_exit_code(err), "%s: %s", what, why == NULL ? err_name(err) : why);

	free(why);
	return code;
}

int
ctl_read_file(const struct ctl *c, const char *path, size_t max, struct buf *out)
{
	int fd = strcmp(path, "-") == 0 ? 0 : open(path, O_RDONLY | O_CLOEXEC);
	unsigned char chunk[65536];
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0) {
		n = read(fd, chunk, sizeof(chunk));
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0 &&
			 (out->len + (size_t)n > max || buf_append(out, chunk, (size_t)n) != 0))
			break;
	}
	explicit_bzero(chunk, sizeof(chunk));
	if (fd > 0)
		close(fd);
	if (n == 0)
		return 0;
	return ctl_fail(c, n < 0 ? EX_NOINPUT : EX_DATAERR, "%s: %s", path,
	    n < 0 ? strerror(errno) : _("too large"));
}

int
ctl_read_password(const struct ctl *c, const char *path, struct buf *out)
{
	int rc = ctl_read_file(c, path, 1024, out);

	while (rc == 0 && out->len > 0 &&
	       (out->data[out->len - 1] == '\n' || out->data[out->len - 1] == '\r'))
		buf_truncate(out, out->len - 1);
	if (rc == 0 && out->len == 0)
		rc = ctl_fail(c, EX_DATAERR, "%s: %s",
		    strcmp(path, "-") == 0 ? _("standard input") : path, _("no password there"));
	return rc;
}

int
ctl_read_cert(const struct ctl *c, const char *path, struct buf *out)
{
	static const char begin[] = "-----BEGIN CERTIFICATE-----",
			  end[] = "-----END CERTIFICATE-----";
	struct buf text;
	ptrdiff_t from, to;
	struct slice rest;
	int rc;

	buf_init(&text, 1 << 20);
	rc = ctl_read_file(c, path, 1 << 20, &text);
	if (rc != 0)
		goto out;
	from = slice_find(buf_slice(&text), slice_str(begin));
	if (from >= 0) {
		rest = slice_from(buf_slice(&text), (size_t)from + sizeof(begin) - 1);
		to = slice_find(rest, slice_str(end));
		if (to < 0 || b64_decode(slice_sub(rest, 0, (size_t)to), false, out) != 0)
			rc = EX_DATAERR;
	} else {
		buf_append_slice(out, buf_slice(&text));
	}
	/* a SEQUENCE whose length is that of the file: what the directory wants is one certificate, whole */
	if (rc != 0 || out->len < 128 || out->data[0] != 0x30 || out->data[1] != 0x82 ||
	    (size_t)(out->data[2] << 8 | out->data[3]) + 4 != out->len)
		rc = ctl_fail(c, EX_DATAERR, "%s: %s", path, _("no certificate (PEM or DER)"));
out:
	buf_done(&text);
	return rc;
}

int
ctl_dir_open(
    const struct ctl *c, const char *bind_dn, const char *password_file, struct ctl_dir *out)
{
	static const struct rlimit none = {0, 0};
	char *path = NULL;
	struct buf password;
	int rc, err;

	/* HR's password, and others, are in this process: no core file of it, and nobody looks in */
	if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
		return ctl_fail(c, EX_OSERR, "RLIMIT_CORE, PR_SET_DUMPABLE: %s", strerror(errno));
	buf_init(&password, 1024);
	if (bind_dn == NULL)
		bind_dn = conf_str(c->conf, "admin_bind_dn");
	if (password_file == NULL && *conf_str(c->conf, "admin_password_file") != '\0')
		password_file = path = conf_path(c->conf, "admin_password_file");
	if (*bind_dn == '\0' || password_file == NULL) {
		rc = ctl_fail(c, EX_CONFIG, "%s",
		    _("whom to bind as? Set admin_bind_dn and admin_password_file in "
		      "congvu.conf, or give --bind-dn and --bind-password-file"));
		goto out;
	}
	rc = ctl_read_password(c, password_file, &password);
	if (rc != 0)
		goto out;
	err = dir_open_conf(c->conf, bind_dn, buf_slice(&password), &out->dir);
	if (err != 0) {
		rc = ctl_dir_fail(c, "ldap_uris, ldap_ca_file", err, NULL);
		goto out;
	}
	/* a server that does not answer is told by what asks it something */
	if (dir_sign_in(out->dir) == ERR_AUTH) {
		rc = ctl_fail(c, EX_NOPERM, "%s: %s", bind_dn,
		    _("sign-in to the directory refused: password, days or lock"));
		goto out;
	}
	out->admin = dir_admin_new(c->conf, out->dir);
	out->as = xstrdup(bind_dn);
out:
	buf_wipe(&password);
	free(path);
	return rc;
}

void
ctl_dir_close(struct ctl_dir *d)
{
	dir_admin_free(d->admin);
	dir_journal_free(d->journal);
	free(d->as);
	dir_close(d->dir);
}

const char *
ctl_value(const struct dir_entry *e, const char *attr)
{
	const char *v = dir_value_text(dir_entry_value(e, attr));

	return v == NULL ? "" : v;
}
