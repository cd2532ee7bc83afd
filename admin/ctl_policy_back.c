/* ctl_policy_back.c: `congvu policy back SHA256 FILE`: a policy that was in force, written to FILE with a version that the milter takes: the next one of
 * its name. It is not in force by that: it stands to be read, signed and put in policy_file's place as any other. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_policy.h"
#include "lib/err.h"
#include "lib/log.h"

/* Where the head's version number stands: behind the first word "version" that is in no text and no comment. */
static bool
find_version(struct slice text, size_t *from, size_t *to)
{
	bool quoted = false;
	size_t i;

	for (i = 0; i < text.len; i++) {
		unsigned char ch = text.ptr[i];

		if (quoted && ch == '\\')
			i++;
		else if (ch == '"')
			quoted = !quoted;
		else if (!quoted && ch == '#')
			while (i + 1 < text.len && text.ptr[i + 1] != '\n')
				i++;
		else if (!quoted && slice_starts(slice_from(text, i), "version"))
			break;
	}
	for (i += 7; i < text.len && (text.ptr[i] < '0' || text.ptr[i] > '9'); i++)
		;
	for (*from = i; i < text.len && text.ptr[i] >= '0' && text.ptr[i] <= '9'; i++)
		;
	*to = i;
	return *from < *to;
}

/* The next version of p's name: asked of the same check that the milter makes. */
static uint64_t
next_version(struct ctl *c, struct policy *p)
{
	struct json *all = policy_highest(c->conf);
	char *name = slice_dup(p->id);
	int64_t v = name != NULL ? json_int(json_get(all, name), 0) : 0;

	free(name);
	json_free(all);
	return (v > (int64_t)p->version ? (uint64_t)v : p->version) + 1;
}

static int
write_new(struct ctl *c, const char *path, struct slice s)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0644);
	bool ok = fd >= 0 && write(fd, s.ptr, s.len) == (ssize_t)s.len && fsync(fd) == 0;

	if (fd >= 0)
		close(fd);
	return ok ? EX_OK : ctl_fail(c, EX_CANTCREAT, "%s: %s", path, strerror(errno));
}

int
policy_back(struct ctl *c, int argc, char **argv)
{
	struct policy *p = NULL, *again = NULL;
	struct policy_errors errors;
	struct buf why, text, out;
	uint64_t version;
	size_t from, to;
	int code = EX_DATAERR;

	if (argc != 3)
		return ctl_usage(c, "%s", _("a SHA256 and a FILE are needed"));
	buf_init(&why, 65536);
	buf_init(&text, POLICY_FILE_MAX + 131072);
	buf_init(&out, POLICY_FILE_MAX + 131072);
	if (policy_archived(c->conf, slice_str(argv[1]), &p, &why) != 0 ||
	    policy_archived_text(c->conf, p->sha256, &text) != 0) {
		ctl_fail(
		    c, EX_NOINPUT, _("no policy %s is in the archive%s"), argv[1], buf_cstr(&why));
		code = EX_NOINPUT;
		goto out;
	}
	version = next_version(c, p);
	if (find_version(buf_slice(&text), &from, &to)) {
		buf_append_slice(&out, slice_sub(buf_slice(&text), 0, from));
		buf_appendf(&out, "%llu", (unsigned long long)version);
		buf_append_slice(&out, slice_from(buf_slice(&text), to));
	}
	/* what is written is what is meant: the same name, the new version */
	if (policy_compile(buf_slice(&out), argv[2], &again, &errors) != 0 ||
	    again->version != version || !slice_eq(again->id, p->id)) {
		ctl_fail(c, EX_DATAERR, "%s", _("its version cannot be raised; edit it by hand"));
		goto out;
	}
	code = write_new(c, argv[2], buf_slice(&out));
	if (code == EX_OK && !c->json)
		printf(_("%s: \"%.*s\" of version %llu as version %llu. Read it, have it signed "
			 "(congvu policy "
			 "sign), and put it in place.\n"),
		    argv[2], (int)p->id.len, (const char *)p->id.ptr,
		    (unsigned long long)p->version, (unsigned long long)version);
out:
	policy_free(p);
	policy_free(again);
	buf_done(&why);
	buf_done(&text);
	buf_done(&out);
	return code;
}
