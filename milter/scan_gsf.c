/* scan_gsf.c: the directory and streams of a compound file (OLE2) through libgsf, from memory. The only includer of <gsf/...> and so of GLib.
 * Runs in milter-scan. Invariants: nothing but the bytes given is opened; what is read is bounded by the caller; libgsf's complaints about hostile
 * files are not logged. */
#include "config.h"

#include "milter/scan_ole.h"

#include <gsf/gsf-infile-msole.h>
#include <gsf/gsf-infile.h>
#include <gsf/gsf-input-memory.h>
#include <gsf/gsf-utils.h>
#include <stdlib.h>

struct ole_dir {
	GsfInfile *in;
};

static void
quiet(const char *domain, GLogLevelFlags level, const char *text, void *arg)
{
	(void)domain;
	(void)level;
	(void)text;
	(void)arg;
}

void
scan_ole_init(void)
{
	g_log_set_default_handler(quiet, NULL);
	gsf_init();
	/* types register themselves when they are first used: now, not in the sandbox */
	(void)gsf_input_memory_get_type();
	(void)gsf_infile_msole_get_type();
}

struct ole_dir *
ole_open(struct slice bytes)
{
	GsfInput *input;
	GsfInfile *in;
	struct ole_dir *d = NULL;

	if (bytes.len == 0)
		return NULL;
	input = gsf_input_memory_new(bytes.ptr, (gsf_off_t)bytes.len, FALSE);
	if (input == NULL)
		return NULL;
	in = gsf_infile_msole_new(input, NULL);
	g_object_unref(input);
	if (in != NULL && (d = calloc(1, sizeof *d)) != NULL)
		d->in = in;
	else if (in != NULL)
		g_object_unref(in);
	return d;
}

void
ole_close(struct ole_dir *d)
{
	if (d == NULL)
		return;
	g_object_unref(d->in);
	free(d);
}

int
ole_count(const struct ole_dir *d)
{
	int n = gsf_infile_num_children(d->in);

	return n > 0 ? n : 0;
}

const char *
ole_name(const struct ole_dir *d, int i)
{
	const char *name = gsf_infile_name_by_index(d->in, i);

	return name != NULL ? name : "";
}

int
ole_find(const struct ole_dir *d, const char *name)
{
	int i, n = ole_count(d);

	for (i = 0; i < n && i < OLE_CHILDREN_MAX; i++) {
		if (g_ascii_strcasecmp(ole_name(d, i), name) == 0)
			return i;
	}
	return -1;
}

bool
ole_read(const struct ole_dir *d, int i, size_t max, struct buf *out, struct ole_dir **dir_out)
{
	GsfInput *child = gsf_infile_child_by_index(d->in, i);
	unsigned char *room;
	gsf_off_t size;
	bool good = false;

	*dir_out = NULL;
	if (child == NULL)
		return false;
	if (GSF_IS_INFILE(child) && gsf_infile_num_children(GSF_INFILE(child)) >= 0) {
		*dir_out = calloc(1, sizeof **dir_out);
		if (*dir_out == NULL) {
			g_object_unref(child);
			return false;
		}
		(*dir_out)->in = GSF_INFILE(child);
		return true;
	}
	size = gsf_input_size(child);
	if (size == 0) {
		good = true;
	} else if (size > 0 && (size_t)size <= max &&
		   (room = buf_reserve(out, (size_t)size)) != NULL &&
		   gsf_input_read(child, (size_t)size, room) != NULL) {
		buf_commit(out, (size_t)size);
		good = true;
	}
	g_object_unref(child);
	return good;
}
