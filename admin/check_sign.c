/* check_sign.c: the keys of milter-sign, for `congvu check` and `congvu doctor`: that of the audit log, and those of functional mailboxes
 * (gateway_sign): there, nobody else's to read, fitting their certificates, and how long those last. Runs in congvu. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "admin/check.h"
#include "lib/err.h"
#include "milter/sign_key.h"
#include "milter/sign_mail.h"
#include "milter/sign_row.h"

enum { FILE_MAX = 65536, WARN_DAYS = 30 };

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
	if (n >= 0 && secret && (st.st_mode & 077) != 0)
		finding(k, BAD, what, _("%s can be read by others (mode %03o): chmod 600 %s"), path,
		    st.st_mode & 0777, path);
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
			finding(k, BAD, "audit_key_file", "%s: %s", path, why);
		else
			finding(k, GOOD, "audit_key_file", "%s, %s", path, sign_key_id(key));
	}
	sign_key_free(key);
	buf_wipe(&pem);
	free(path);
}

static void
check_row(struct check *k, const char *row)
{
	struct slice key_file, cert_file;
	struct buf address, key, certs;
	struct sign_mail_key *pair = NULL;
	const char *why = "";
	long long days;

	buf_init(&address, 1024);
	buf_init(&key, FILE_MAX);
	buf_init(&certs, FILE_MAX);
	if (sign_row_parse(row, &address, &key_file, &cert_file, &why) != 0) {
		finding(k, BAD, "gateway_sign", "\"%s\": %s", row, why);
		goto out;
	}
	if (!read_file(k, "gateway_sign", key_file, true, &key) ||
	    !read_file(k, "gateway_sign", cert_file, false, &certs))
		goto out;
	pair = sign_mail_key_new(buf_slice(&address), buf_slice(&key), buf_slice(&certs), &why);
	if (pair == NULL) {
		finding(k, BAD, "gateway_sign", "%s: %s", buf_cstr(&address), why);
		goto out;
	}
	days = ((long long)sign_mail_key_end(pair) - (long long)time(NULL)) / 86400;
	if (days < 0)
		finding(k, BAD, "gateway_sign",
		    _("the certificate of %s has ended: its mail is refused"), buf_cstr(&address));
	else if (days < WARN_DAYS)
		finding(k, WARN, "gateway_sign", _("the certificate of %s ends in %lld days"),
		    buf_cstr(&address), days);
	else
		finding(k, GOOD, "gateway_sign", _("signs for %s, %lld days left"),
		    buf_cstr(&address), days);
out:
	sign_mail_key_free(pair);
	buf_done(&address);
	buf_wipe(&key);
	buf_done(&certs);
}

void
check_sign(struct check *k)
{
	check_audit_key(k);
	for (size_t i = 0; i < conf_list_len(k->conf, "gateway_sign"); i++)
		check_row(k, conf_list_item(k->conf, "gateway_sign", i));
}
