/* crash_disk.c: see crash_disk.h. Runs in tests. A sync of a file makes its content durable, not its name: that is the folder's, whose
 * changes become durable in their order. */
#include "tests/crash/crash_disk.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/log.h"

enum { SECTOR = 512, PAGE = 4096, NAME = 128, FILES = 4096, NAMES = 512, OPENINGS = 8192 };

struct change {
	uint32_t op; /* CRASH_WRITE, _SIZE, _GROW */
	uint32_t len;
	uint64_t at;
	const unsigned char *data;
};
struct file { /* its durable image, and what came after */
	unsigned char *data;
	uint64_t size, alloc;
	struct change *later;
	size_t n_later, a_later;
	const char *placed; /* the name it was written under */
};
struct name {
	char path[NAME];
	struct file *f; /* NULL: a folder */
};
struct names {
	struct name v[NAMES];
	size_t n;
};
struct dir_change {
	uint32_t op; /* CRASH_OPEN (made), _RENAME, _LINK, _UNLINK, _MKDIR */
	char path[NAME], to[NAME];
	struct file *f;
};
struct disk {
	const char *ignore;
	uint64_t site;
	struct file files[FILES];
	size_t n_files;
	struct names now, durable;
	struct dir_change later[NAMES];
	size_t n_later;
	struct opening {
		uint64_t number;
		char path[NAME];
		struct file *f; /* NULL: a folder */
	} openings[OPENINGS];
	size_t n_openings;
};

const char *const disk_kinds[DISK_KINDS] = {
    "lost", "all", "writes", "sectors", "later", "prefix", "torn", "mixed"};

static uint32_t
rnd(uint32_t *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return crash_mix(*seed);
}

struct disk *
disk_new(const char *ignore, uint64_t site)
{
	struct disk *d = xcalloc(1, sizeof *d);

	d->ignore = ignore;
	d->site = site;
	return d;
}

void
disk_free(struct disk *d)
{
	for (size_t i = 0; i < d->n_files; i++) {
		free(d->files[i].data);
		free(d->files[i].later);
	}
	free(d);
}

/* ---- files ---- */

static void
resize(struct file *f, uint64_t size)
{
	if (size > f->alloc) {
		f->alloc = size + size / 2;
		f->data = xrealloc(f->data, f->alloc);
	}
	if (size > f->size)
		memset(f->data + f->size, 0, size - f->size);
	f->size = size;
}

static void
write_part(struct file *f, const struct change *c, uint64_t from, uint64_t to)
{
	if (to > f->size)
		resize(f, to);
	memcpy(f->data + from, c->data + (from - c->at), to - from);
}

static void
apply(struct file *f, const struct change *c)
{
	if (c->op == CRASH_WRITE)
		write_part(f, c, c->at, c->at + c->len);
	else if (c->op == CRASH_SIZE || c->at > f->size)
		resize(f, c->at);
}

static void
apply_sectors(struct file *f, const struct change *c, uint32_t *seed)
{
	uint64_t end = c->at + c->len, to;

	if (c->op != CRASH_WRITE) {
		if (rnd(seed) % 2 == 0)
			apply(f, c);
		return;
	}
	for (uint64_t from = c->at; from < end; from = to) {
		to = from / SECTOR * SECTOR + SECTOR;
		if (to > end)
			to = end;
		if (rnd(seed) % 2 == 0)
			write_part(f, c, from, to);
	}
}

static void
settle(struct file *f)
{
	for (size_t i = 0; i < f->n_later; i++)
		apply(f, &f->later[i]);
	f->n_later = 0;
}

static void
cut_file(struct file *f, enum disk_kind kind, uint32_t *seed)
{
	size_t n = f->n_later, k;

	if (kind == DISK_MIXED)
		kind = (enum disk_kind)(rnd(seed) % DISK_MIXED);
	k = n == 0 ? 0 : rnd(seed) % n;
	for (size_t i = 0; i < n; i++) {
		struct change *c = &f->later[i];

		if (kind == DISK_SECTORS || (kind == DISK_TORN && i + 1 == n))
			apply_sectors(f, c, seed);
		else if (kind == DISK_ALL || kind == DISK_TORN ||
			 (kind == DISK_WRITES && rnd(seed) % 2 == 0) ||
			 (kind == DISK_LATER && i >= k) || (kind == DISK_PREFIX && i < k))
			apply(f, c);
	}
}

/* ---- names ---- */

static struct name *
find(struct names *t, const char *path)
{
	for (size_t i = 0; i < t->n; i++)
		if (strcmp(t->v[i].path, path) == 0)
			return &t->v[i];
	return NULL;
}

static void
name_set(struct names *t, const char *path, struct file *f)
{
	struct name *n = find(t, path);

	if (n == NULL) {
		if (t->n == NAMES)
			fatal("crash_disk: too many names");
		n = &t->v[t->n++];
		snprintf(n->path, sizeof n->path, "%s", path);
	}
	n->f = f;
}

static void
name_drop(struct names *t, const char *path)
{
	struct name *n = find(t, path);

	if (n != NULL)
		*n = t->v[--t->n];
}

static void
names_apply(struct names *t, const struct dir_change *c)
{
	if (c->op == CRASH_UNLINK || c->op == CRASH_RENAME)
		name_drop(t, c->path);
	if (c->op == CRASH_RENAME || c->op == CRASH_LINK)
		name_set(t, c->to, c->f);
	if (c->op == CRASH_OPEN || c->op == CRASH_MKDIR)
		name_set(t, c->path, c->f);
}

static size_t
parent_len(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash == NULL ? 0 : (size_t)(slash - path);
}

static bool
is_in(const char *path, const char *dir)
{
	size_t n = parent_len(path);

	return strlen(dir) == n && memcmp(path, dir, n) == 0;
}

static void
names_change(struct disk *d, struct dir_change c)
{
	if (d->n_later == NAMES)
		fatal("crash_disk: too many changes of folders without a sync");
	names_apply(&d->now, &c);
	d->later[d->n_later++] = c;
}

static void
names_sync(struct disk *d, const char *dir)
{
	size_t kept = 0;

	for (size_t i = 0; i < d->n_later; i++)
		if (is_in(d->later[i].path, dir))
			names_apply(&d->durable, &d->later[i]);
		else
			d->later[kept++] = d->later[i];
	d->n_later = kept;
}

/* ---- the record ---- */

static struct opening *
opening(struct disk *d, uint64_t number)
{
	for (size_t i = d->n_openings; i-- > 0;)
		if (d->openings[i].number == number)
			return &d->openings[i];
	fatal("crash_disk: the record knows no file %llu", (unsigned long long)number);
}

const char *
disk_path(const struct disk *d, uint64_t number)
{
	for (size_t i = d->n_openings; i-- > 0;)
		if (d->openings[i].number == number)
			return d->openings[i].path;
	return "";
}

static void
path_copy(char out[NAME], const unsigned char *p, size_t n)
{
	if (n >= NAME)
		fatal("crash_disk: a path of %zu octets", n);
	memcpy(out, p, n);
	out[n] = '\0';
}

static void
change_add(struct file *f, const struct change *c)
{
	if (f->n_later == f->a_later) {
		f->a_later = f->a_later * 2 + 16;
		f->later = xrealloc(f->later, f->a_later * sizeof *f->later);
	}
	f->later[f->n_later++] = *c;
}

static void
on_open(struct disk *d, const struct crash_rec *r, const unsigned char *data)
{
	struct opening *o = &d->openings[d->n_openings];
	struct name *n;

	if (d->n_openings == OPENINGS || d->n_files == FILES)
		fatal("crash_disk: too many files");
	d->n_openings++;
	o->number = r->a;
	path_copy(o->path, data, r->len);
	if ((r->b & O_DIRECTORY) != 0)
		return;
	n = find(&d->now, o->path);
	if (n == NULL) {
		struct dir_change c = {.op = CRASH_OPEN, .f = &d->files[d->n_files++]};

		memcpy(c.path, o->path, NAME);
		names_change(d, c);
		o->f = c.f;
		return;
	}
	o->f = n->f;
	if ((r->b & O_TRUNC) != 0)
		change_add(o->f, &(struct change){.op = CRASH_SIZE});
}

static void
on_names(struct disk *d, const struct crash_rec *r, const unsigned char *data)
{
	struct dir_change c = {.op = r->op};
	size_t n = strnlen((const char *)data, r->len);
	struct name *was;

	path_copy(c.path, data, n);
	if (r->op == CRASH_RENAME || r->op == CRASH_LINK)
		path_copy(c.to, data + n + 1, r->len - n - 1);
	was = find(&d->now, c.path);
	c.f = was == NULL ? NULL : was->f;
	names_change(d, c);
}

void
disk_apply(struct disk *d, const struct crash_rec *r, const unsigned char *data)
{
	struct opening *o;

	switch (r->op) {
	case CRASH_OPEN:
		on_open(d, r, data);
		break;
	case CRASH_WRITE:
	case CRASH_SIZE:
	case CRASH_GROW:
		change_add(opening(d, r->a)->f, &(struct change){r->op, r->len, r->b, data});
		break;
	case CRASH_SYNC:
		o = opening(d, r->a);
		if ((d->ignore != NULL && strncmp(o->path, d->ignore, strlen(d->ignore)) == 0) ||
		    (d->site != 0 && r->b == d->site))
			break;
		if (o->f == NULL)
			names_sync(d, o->path);
		else
			settle(o->f);
		break;
	case CRASH_DROP: /* the lengths are the file system's own */
		o = opening(d, r->a);
		for (size_t i = 0; i < o->f->n_later; i++)
			if (o->f->later[i].op == CRASH_WRITE)
				o->f->later[i] = (struct change){
				    .op = CRASH_GROW, .at = o->f->later[i].at + o->f->later[i].len};
		break;
	case CRASH_RENAME:
	case CRASH_LINK:
	case CRASH_UNLINK:
	case CRASH_MKDIR:
		on_names(d, r, data);
		break;
	default:
		break;
	}
}

bool
disk_sync_counts(struct disk *d, const struct crash_rec *r)
{
	const struct opening *o = opening(d, r->a);

	if (o->f != NULL)
		return o->f->n_later > 0;
	for (size_t i = 0; i < d->n_later; i++)
		if (is_in(d->later[i].path, o->path))
			return true;
	return false;
}

/* ---- the cut ---- */

static void
cut_names(struct disk *d, enum disk_kind kind, uint32_t *seed)
{
	while (d->n_later > 0) { /* folder by folder */
		char dir[NAME];
		size_t n = parent_len(d->later[0].path), in = 0, k, kept = 0;

		path_copy(dir, (const unsigned char *)d->later[0].path, n);
		for (size_t i = 0; i < d->n_later; i++)
			in += is_in(d->later[i].path, dir);
		k = kind == DISK_LOST ? 0 : kind == DISK_ALL ? in : rnd(seed) % (in + 1);
		for (size_t i = 0; i < d->n_later; i++) {
			if (!is_in(d->later[i].path, dir))
				d->later[kept++] = d->later[i];
			else if (k > 0) {
				names_apply(&d->durable, &d->later[i]);
				k--;
			}
		}
		d->n_later = kept;
	}
}

/* Zeros stay holes. */
static int
put_file(int dir_fd, const char *path, const struct file *f)
{
	static const unsigned char zeros[PAGE];
	int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600), ret;

	if (fd < 0)
		return -1;
	ret = ftruncate(fd, (off_t)f->size);
	for (uint64_t at = 0; at < f->size && ret == 0; at += PAGE) {
		size_t n = f->size - at < PAGE ? (size_t)(f->size - at) : PAGE;

		if (memcmp(f->data + at, zeros, n) != 0 &&
		    pwrite(fd, f->data + at, n, (off_t)at) != (ssize_t)n)
			ret = -1;
	}
	close(fd);
	return ret;
}

int
disk_cut(struct disk *d, enum disk_kind kind, uint32_t seed, const char *dir)
{
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret = 0;

	if (dir_fd < 0)
		return -1;
	cut_names(d, kind, &seed);
	/* the store's folders are one deep */
	for (size_t i = 0; i < d->durable.n && ret == 0; i++)
		if (d->durable.v[i].f == NULL)
			ret = mkdirat(dir_fd, d->durable.v[i].path, 0700);
	for (size_t i = 0; i < d->durable.n && ret == 0; i++) {
		struct name *n = &d->durable.v[i];
		size_t parent = parent_len(n->path);
		char folder[NAME];

		if (n->f == NULL)
			continue;
		path_copy(folder, (const unsigned char *)n->path, parent);
		if (parent > 0 && find(&d->durable, folder) == NULL)
			continue; /* went with its folder */
		if (n->f->placed != NULL) {
			ret = linkat(dir_fd, n->f->placed, dir_fd, n->path, 0);
			continue;
		}
		cut_file(n->f, kind, &seed);
		ret = put_file(dir_fd, n->path, n->f);
		n->f->placed = n->path;
	}
	close(dir_fd);
	return ret;
}
