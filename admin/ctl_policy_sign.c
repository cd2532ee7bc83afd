/* ctl_policy_sign.c: `congvu policy sign FILE --key KEY --cert CERT`: an officer's signature over a policy, added to FILE.p7s beside it; and
 * `congvu policy verify FILE`: who signed it. A policy that does not compile is not signed. Keys on tokens: with openssl cms (congvu-policy(5)). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_policy.h"
#include "lib/err.h"
#include "lib/log.h"

static int
write_beside(struct ctl *c, const char *p7s, struct slice s)
{
	char *tmp = NULL;
	int fd, code = EX_OK;
	size_t done = 0;

	if (asprintf(&tmp, "%s.new", p7s) < 0)
		fatal("out of memory");
	fd = open(tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	while (fd >= 0 && done < s.len) {
		ssize_t n = write(fd, s.ptr + done, s.len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		done += (size_t)n;
	}
	if (fd < 0 || done < s.len || fsync(fd) != 0 || rename(tmp, p7s) != 0)
		code = ctl_fail(c, EX_CANTCREAT, "%s: %s", p7s, strerror(errno));
	if (fd >= 0)
		close(fd);
	free(tmp);
	return code;
}

static int
read_part(struct ctl *c, const char *path, struct buf *out)
{
	int err = policy_read_file(path, out);

	return err == 0 ? 0 : ctl_fail(c, EX_NOINPUT, _("%s cannot be read"), path);
}

int
policy_sign(struct ctl *c, int argc, char **argv)
{
	const char *key_file = NULL, *cert_file = NULL;
	const struct ctl_option options[] = {
	    {"key", &key_file, NULL}, {"cert", &cert_file, NULL}, {NULL, NULL, NULL}};
	struct buf text, old, key, cert, out, why;
	struct policy *p;
	char *p7s = NULL;
	int code, err;

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc != 2 || key_file == NULL || cert_file == NULL)
		return ctl_usage(c, "%s", _("a FILE, --key and --cert are needed"));
	p = policy_open(c, argv[1], &code);
	if (p == NULL)
		return code;
	if (asprintf(&p7s, "%s.p7s", argv[1]) < 0)
		fatal("out of memory");
	buf_init(&text, POLICY_FILE_MAX + 131072);
	buf_init(&old, POLICY_FILE_MAX + 131072);
	buf_init(&key, POLICY_FILE_MAX + 131072);
	buf_init(&cert, POLICY_FILE_MAX + 131072);
	buf_init(&out, 4 * POLICY_CMS_MAX);
	buf_init(&why, 4096);
	if (policy_read_file(p7s, &old) != 0)
		buf_reset(&old);
	code = read_part(c, argv[1], &text);
	if (code == 0)
		code = read_part(c, key_file, &key);
	if (code == 0)
		code = read_part(c, cert_file, &cert);
	if (code == 0 && (err = policy_sign_text(buf_slice(&text), buf_slice(&old), buf_slice(&key),
			      buf_slice(&cert), &out, &why)) != 0)
		code = ctl_fail(c, ctl_exit_code(err), "%s", buf_cstr(&why));
	if (code == 0)
		code = write_beside(c, p7s, buf_slice(&out));
	if (code == 0 && !c->json)
		printf(_("%s: signed, policy %.*s, version %llu, SHA-256 %s\n"), p7s,
		    (int)p->id.len, (const char *)p->id.ptr, (unsigned long long)p->version,
		    p->sha256);
	buf_done(&text);
	buf_done(&old);
	buf_wipe(&key);
	buf_done(&cert);
	buf_done(&out);
	buf_done(&why);
	free(p7s);
	policy_free(p);
	return code;
}

int
policy_verify(struct ctl *c, int argc, char **argv)
{
	struct policy_signers s;
	struct buf text;
	struct json *j;
	int code, err;

	if (argc != 2)
		return ctl_usage(c, "%s", _("a FILE is needed"));
	buf_init(&text, POLICY_FILE_MAX + 131072);
	policy_signers_init(&s);
	code = read_part(c, argv[1], &text);
	if (code == 0) {
		err = policy_check_signatures(c->conf, argv[1], buf_slice(&text), false, &s);
		code = err == 0 ? EX_OK : EX_DATAERR;
		if (c->json) {
			j = json_obj_new();
			json_set_bool(j, "ok", err == 0);
			json_set_int(j, "signers", s.n);
			json_set_slice(j, "who", buf_slice(&s.who));
			json_set_str(j, "why", err != 0 ? buf_cstr(&s.why) : NULL);
			ctl_json_take(j, 0);
		} else if (err == 0) {
			printf(_("good signatures of %u officers:\n%s"), s.n, buf_cstr(&s.who));
		} else {
			ctl_fail(c, code, "%s",
			    conf_str(c->conf, "policy_officers")[0] == '\0'
				? _("policy_officers is not set: a file with the certificates of "
				    "those who may sign")
				: buf_cstr(&s.why));
		}
	}
	buf_done(&text);
	policy_signers_done(&s);
	return code;
}
