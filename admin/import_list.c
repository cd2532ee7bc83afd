/* import_list.c: see import_list.h. Runs in congvu. The smallest names behind the last ones are kept in a heap while the folder is read. */
#include "config.h"

#include "admin/import_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"

static int
compare(const struct import_entry *a, const struct import_entry *b)
{
	size_t n = a->base < b->base ? a->base : b->base;
	int c;

	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	c = memcmp(a->name, b->name, n);
	if (c != 0)
		return c;
	return a->base < b->base ? -1 : a->base > b->base;
}

static int
compare_sort(const void *a, const void *b)
{
	return compare(a, b);
}

static void
swap(struct import_entry *a, struct import_entry *b)
{
	struct import_entry t = *a;

	*a = *b;
	*b = t;
}

/* The greatest is v[0]. */
static void
sift_up(struct import_list *l, size_t i)
{
	while (i > 0 && compare(&l->v[i], &l->v[(i - 1) / 2]) > 0) {
		swap(&l->v[i], &l->v[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
}

static void
sift_down(struct import_list *l)
{
	size_t i = 0;

	for (;;) {
		size_t big = i;

		for (size_t c = 2 * i + 1; c <= 2 * i + 2 && c < l->n; c++)
			if (compare(&l->v[c], &l->v[big]) > 0)
				big = c;
		if (big == i)
			return;
		swap(&l->v[i], &l->v[big]);
		i = big;
	}
}

static void
offer(struct import_list *l, const struct import_entry *e)
{
	if (l->after.name != NULL && compare(e, &l->after) <= 0)
		return;
	if (l->n == l->max) {
		l->full = true;
		if (compare(e, &l->v[0]) >= 0)
			return;
		free(l->v[0].name);
		l->v[0] = *e;
		l->v[0].name = xstrdup(e->name);
		sift_down(l);
		return;
	}
	if (l->n == l->alloc) {
		l->alloc = l->alloc == 0 ? 256 : 2 * l->alloc;
		l->v = xrealloc(l->v, l->alloc * sizeof *l->v);
	}
	l->v[l->n] = *e;
	l->v[l->n].name = xstrdup(e->name);
	sift_up(l, l->n++);
}

void
import_list_init(struct import_list *l, size_t max)
{
	*l = (struct import_list){.max = max};
}

static void
drop(struct import_list *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].name);
	l->n = 0;
}

void
import_list_done(struct import_list *l)
{
	drop(l);
	free(l->v);
	free(l->after.name);
	*l = (struct import_list){0};
}

typedef bool (*take_fn)(void *arg, const char *name, uint64_t *key, size_t *base);

/* l NULL: only counted. */
static int
folder_read(struct import_list *l, int dir_fd, unsigned dir, take_fn take, void *arg, uint64_t *n)
{
	/* a new descriptor: its place in the folder is its own */
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (d == NULL) {
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	while (errno = 0, (e = readdir(d)) != NULL) {
		struct import_entry entry = {0};
		char name[256];
		size_t len = strnlen(e->d_name, sizeof name - 1);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		memcpy(name, e->d_name, len);
		name[len] = '\0';
		entry.name = name;
		entry.base = len;
		entry.dir = dir;
		if (!take(arg, name, &entry.key, &entry.base))
			continue;
		(*n)++;
		if (l != NULL)
			offer(l, &entry);
	}
	closedir(d);
	return errno != 0 ? ERR_IO : 0;
}

int
import_list_next(struct import_list *l, const int *fds, unsigned n_fds, take_fn take, void *arg)
{
	uint64_t count = 0;
	size_t to = 0;
	int err = 0;

	if (l->n > 0) { /* the list before: its last one is where to go on */
		free(l->after.name);
		l->after = l->v[l->n - 1];
		l->n--;
		drop(l);
		if (!l->full)
			return 0;
	}
	l->full = false;
	for (unsigned i = 0; i < n_fds && err == 0; i++)
		if (fds[i] >= 0)
			err = folder_read(l, fds[i], i, take, arg, &count);
	if (l->n > 0)
		qsort(l->v, l->n, sizeof *l->v, compare_sort);
	for (size_t i = 0; i < l->n; i++) {
		if (to > 0 && compare(&l->v[to - 1], &l->v[i]) == 0)
			free(l->v[i].name);
		else
			l->v[to++] = l->v[i];
	}
	l->n = to;
	return err;
}

uint64_t
import_list_count(const int *fds, unsigned n_fds, take_fn take, void *arg)
{
	uint64_t count = 0;

	for (unsigned i = 0; i < n_fds; i++)
		if (fds[i] >= 0)
			(void)folder_read(NULL, fds[i], i, take, arg, &count);
	return count;
}
