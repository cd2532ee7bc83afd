/* audit_files.c: the files of an audit log, by their names. Runs in milter-ledger (at its start) and congvu. */
#include "config.h"

#include "milter/audit_files.h"

#include "lib/err.h"
#include "lib/log.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void
audit_files_name(const char *base, uint64_t first, struct buf *out)
{
	buf_appendf(out, "%s.%012" PRIu64, base, first);
}

bool
audit_files_is(const char *base, const char *name, uint64_t *first_out)
{
	size_t n = strlen(base);

	return strncmp(name, base, n) == 0 && name[n] == '.' && strlen(name + n + 1) >= 12 &&
	       slice_to_u64(slice_str(name + n + 1), INT64_MAX, first_out) == 0 && *first_out > 0;
}

static void
add(struct audit_files *f, struct slice dir, const char *name, uint64_t first)
{
	struct buf b;

	buf_init(&b, 8192);
	if (dir.len > 0)
		buf_appendf(&b, "%.*s/", (int)dir.len, (const char *)dir.ptr);
	buf_append_str(&b, name);
	f->list = xrealloc(f->list, (f->n + 1) * sizeof *f->list);
	f->list[f->n].path = xstrdup(buf_cstr(&b));
	f->list[f->n++].first = first;
	buf_done(&b);
}

static int
by_number(const void *a, const void *b)
{
	/* 0, the one that is written to, stands last */
	uint64_t x = ((const struct audit_file *)a)->first - 1,
		 y = ((const struct audit_file *)b)->first - 1;

	return x < y ? -1 : x > y;
}

int
audit_files_list(const char *path, struct audit_files *out)
{
	const char *slash = strrchr(path, '/'), *base = slash != NULL ? slash + 1 : path;
	struct slice dir = slice_of(path, slash != NULL ? (size_t)(slash - path) : 0);
	char *folder = dir.len > 0 ? slice_dup(dir) : xstrdup(slash != NULL ? "/" : ".");
	struct audit_files f = {0};
	struct dirent *e;
	uint64_t first;
	DIR *d = opendir(folder);
	int err = d == NULL ? ERR_IO : 0;

	while (err == 0 && (e = readdir(d)) != NULL) {
		if (!audit_files_is(base, e->d_name, &first))
			continue;
		if (f.n >= AUDIT_FILES_MAX)
			err = ERR_LIMIT;
		else
			add(&f, dir, e->d_name, first);
	}
	if (d != NULL)
		closedir(d);
	if (err == 0 && access(path, F_OK) == 0)
		add(&f, dir, base, 0);
	free(folder);
	if (err != 0) {
		audit_files_done(&f);
		return err;
	}
	if (f.n > 1)
		qsort(f.list, f.n, sizeof *f.list, by_number);
	*out = f;
	return 0;
}

void
audit_files_done(struct audit_files *f)
{
	size_t i;

	for (i = 0; i < f->n; i++)
		free(f->list[i].path);
	free(f->list);
	f->list = NULL;
	f->n = 0;
}
