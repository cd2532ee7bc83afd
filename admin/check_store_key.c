/* check_store_key.c: what `congvu check` says of encryption at rest: the file of keys, and whether each segment file opens with one of them. Reads
 * headers alone. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/check.h"
#include "lib/err.h"
#include "store/seg_head.h"

struct seen {
	size_t sealed, clear, bad;
	uint64_t clear_octets;
};

/* The file is told of when it does not open; the first ten of them. */
static void
look_at(struct check *k, int dir, const char *name, const struct seg_keys *keys, struct seen *seen)
{
	unsigned char p[SEG_HEADER_MAX], key[32];
	int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), err;
	ssize_t n = fd < 0 ? -1 : pread(fd, p, sizeof p, 0);
	struct seg_head h;
	struct stat st = {.st_size = 0};

	if (n > 0 && fstat(fd, &st) != 0)
		st.st_size = 0;

	if (fd >= 0)
		close(fd);
	if (n < 0 || seg_head_decode(p, (size_t)n, &h) != 0)
		return; /* congvu store check looks after those */
	if (!h.sealed) {
		seen->clear++;
		seen->clear_octets += (uint64_t)st.st_size;
		return;
	}
	seen->sealed++;
	err = seg_head_unwrap(&h, keys, key);
	explicit_bzero(key, sizeof key);
	if (err == 0 || seen->bad++ >= 10)
		return;
	if (err == ERR_NOTFOUND)
		finding(k, BAD, "store_key_file",
		    _("%s of the store is encrypted under the key \"%s\", which is not there: put "
		      "it back"),
		    name, h.key_id);
	else
		finding(k, BAD, "store_key_file",
		    _("%s of the store does not open with the key \"%s\": that is another key than "
		      "the one it was encrypted under"),
		    name, h.key_id);
}

static void
look_at_all(struct check *k, const struct seg_keys *keys, struct seen *seen)
{
	char *store = conf_path(k->conf, "store_dir");
	struct dirent *e;
	struct buf path;
	int fd;
	DIR *d;

	buf_init(&path, 8192);
	buf_appendf(&path, "%s/segments", store);
	fd = open(buf_cstr(&path), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (strncmp(e->d_name, "seg-", 4) == 0)
			look_at(k, fd, e->d_name, keys, seen);
	if (d != NULL)
		closedir(d);
	else if (fd >= 0)
		close(fd);
	buf_done(&path);
	free(store);
}

/* Reads the keys; tells what is wrong with them. */
static bool
read_keys(struct check *k, const char *path, struct seg_keys *keys)
{
	unsigned line = 0;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	int err = fd < 0 ? ERR_IO : seg_keys_read(fd, keys, &line);

	if (fd >= 0)
		close(fd);
	if (err == ERR_IO)
		finding(k, BAD, "store_key_file", "%s: %s", path, strerror(errno));
	else if (err != 0 && line > 0)
		finding(k, BAD, "store_key_file",
		    _("%s, line %u: a name and 64 hex digits must stand there"), path, line);
	else if (err != 0)
		finding(k, BAD, "store_key_file",
		    _("%s holds no key: write a name and the output of openssl rand -hex 32 into "
		      "it"),
		    path);
	return err == 0;
}

void
check_store_key(struct check *k)
{
	struct seg_keys keys = {0};
	struct seen seen = {0};
	char *path = conf_path(k->conf, "store_key_file");
	bool set = path[0] != '\0';

	free(path);
	path = NULL;
	if (set && (!check_secret(k, "store_key_file", &path) || !read_keys(k, path, &keys)))
		goto out;
	look_at_all(k, &keys, &seen);
	if (set && seen.bad == 0)
		finding(k, GOOD, "store_key_file",
		    _("%s: %zu keys, new mail under \"%s\"; %zu files of the store are encrypted, "
		      "%zu are not"),
		    path, keys.n, keys.k[keys.n - 1].id, seen.sealed, seen.clear);
	if (set && seen.clear > 0)
		finding(k, WARN, "store_key_file",
		    _("%llu KiB of mail from before the key was set are still not encrypted: "
		      "congvu "
		      "store compact --min-live=100 writes them anew"),
		    (unsigned long long)(seen.clear_octets + 1023) >> 10);
out:
	seg_keys_wipe(&keys);
	free(path);
}
