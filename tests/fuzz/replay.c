/* replay.c: main of a fuzz target that is built without a fuzzer: runs LLVMFuzzerTestOneInput over files, so that
 * `make check` replays the corpora with gcc. Without arguments: all files of $srcdir/tests/fuzz/corpus/<name>/, the name
 * being the program's without "_fuzz"; every file is also tried cut short at a few places. */
#include "config.h"

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* On the heap and of the very size, so that the sanitizer sees each byte read beyond it. */
static void
run(const unsigned char *data, size_t size)
{
	unsigned char *copy = malloc(size > 0 ? size : 1);

	if (copy == NULL)
		abort();
	memcpy(copy, data, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static int
replay(const char *path)
{
	unsigned char *data = malloc(INPUT_MAX);
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL || data == NULL) {
		perror(path);
		free(data);
		return 1;
	}
	n = fread(data, 1, INPUT_MAX, f);
	fclose(f);
	run(data, n);
	for (size_t i = 1; i < 8; i++)
		run(data, n * i / 8);
	free(data);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *srcdir = getenv("srcdir"), *base = strrchr(argv[0], '/');
	char given[2048], path[8192], *dir;
	struct dirent *e;
	int failed = 0, count = 0;
	DIR *d;

	for (int i = 1; i < argc; i++)
		failed |= replay(argv[i]);
	if (argc > 1)
		return failed;
	base = base != NULL ? base + 1 : argv[0];
	snprintf(given, sizeof(given), "%.1024s/tests/fuzz/corpus/%.*s",
	    srcdir != NULL ? srcdir : ".",
	    (int)(strstr(base, "_fuzz") != NULL ? strstr(base, "_fuzz") - base : 0), base);
	dir = realpath(given, NULL); /* a target may change its working folder */
	d = dir != NULL ? opendir(dir) : NULL;
	if (d == NULL) {
		perror(given);
		free(dir);
		return 1;
	}
	while ((e = readdir(d)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		failed |= replay(path);
		count++;
	}
	closedir(d);
	free(dir);
	printf("%d inputs\n", count);
	return failed || count == 0;
}
