/* seg_bench.c: what it costs in CPU to put a body into segments and to read it back: text that is compressed, noise that is not, both encrypted. Runs by
 * hand, nothing else of the store with it:
 *   tests/bench/seg_bench [-f TEXT] [-n bodies]        TEXT: a file that bodies are cut from */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "store/seg_head.h"
#include "store/segment.h"

static double
cpu_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static void
run(const char *what, struct slice text, size_t size, unsigned n, const struct seg_keys *keys)
{
	char dir[] = "/dev/shm/seg_bench.XXXXXX", cmd[64];
	struct seg_loc *l = xcalloc(n, sizeof *l);
	unsigned char *p = xmalloc(size), sha[32];
	uint64_t stored = 0;
	struct seg *s;
	struct buf b;
	double put = 0, get;

	if (mkdtemp(dir) == NULL || seg_open_keys(dir, NULL, 0, keys, &s) != 0)
		fatal("seg_bench: no folder");
	buf_init(&b, SEG_READ_MAX);
	for (unsigned i = 0; i < n; i++) {
		struct seg_body body = {.sha256 = sha,
		    .size = size,
		    .content = slice_of(p, size),
		    .fd = -1,
		    .summary = slice_sub(text, 77, 300)};
		size_t at = text.len > size ? (i * 997u) % (text.len - size) : 0;

		memcpy(p, text.ptr + at, size);
		sha256_of(body.content, sha);
		put -= cpu_us();
		if (seg_write(s, &body, &l[i]) != 0)
			fatal("seg_bench: write");
		put += cpu_us();
		stored += l[i].stored;
	}
	get = -cpu_us();
	for (unsigned i = 0; i < n; i++) {
		buf_reset(&b);
		for (size_t off = 0; off < size; off += SEG_READ_MAX) {
			buf_reset(&b);
			if (size <= SEG_WHOLE_MAX ? seg_read_whole(s, &l[i], true, &b) != 0
						  : seg_read(s, &l[i], off, SEG_READ_MAX, &b) != 0)
				fatal("seg_bench: read");
		}
	}
	get += cpu_us();
	printf("%-18s %8zu octets: put %7.1f us, get %7.1f us, stored %3.0f%%\n", what, size,
	    put / n, get / n, (double)stored * 100 / ((double)size * n));
	buf_done(&b);
	seg_close(s);
	free(l);
	free(p);
	snprintf(cmd, sizeof cmd, "rm -r %s", dir);
	if (system(cmd) != 0)
		fatal("seg_bench: %s", dir);
}

int
main(int argc, char **argv)
{
	static const size_t sizes[] = {4000, 100000, 4000000};
	unsigned n = 5000;
	const char *file = NULL;
	struct seg_keys keys;
	struct buf text, noise;
	FILE *in;
	int c;

	log_init("seg_bench", 1);
	while ((c = getopt(argc, argv, "f:n:")) != -1) {
		if (c == 'f')
			file = optarg;
		else if (c == 'n')
			n = (unsigned)strtoul(optarg, NULL, 10);
		else
			return 64;
	}
	buf_init(&text, 32 << 20);
	buf_init(&noise, 32 << 20);
	random_bytes(buf_reserve(&noise, 5 << 20), 5 << 20);
	buf_commit(&noise, 5 << 20);
	while (file != NULL && text.len < 5 << 20) {
		if ((in = fopen(file, "r")) == NULL)
			fatal("seg_bench: %s", file);
		buf_commit(&text, fread(buf_reserve(&text, 5 << 20), 1, 5 << 20, in));
		fclose(in);
	}
	if (seg_keys_parse(slice_str("k 00112233445566778899aabbccddeeff"
				     "00112233445566778899aabbccddeeff"),
		&keys, NULL) != 0)
		return 1;
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		unsigned m = (unsigned)(n * 4000ull / sizes[i]) + 1;

		run("noise", buf_slice(&noise), sizes[i], m, NULL);
		run("noise, encrypted", buf_slice(&noise), sizes[i], m, &keys);
		if (file == NULL)
			continue;
		run("text", buf_slice(&text), sizes[i], m, NULL);
		run("text, encrypted", buf_slice(&text), sizes[i], m, &keys);
	}
	buf_done(&text);
	buf_done(&noise);
	return 0;
}
