/* scan_bench.c: what milter-scan finds out about messages, and what it costs, in one process and without sandbox. Tool of the bench; by hand:
 *   scan_bench [-n TIMES] [-d DOMAIN] [-t SECONDS] [-s] TRUST_DIR FILE...
 * prints for each file the digest of its findings (times left out) and the microseconds of CPU of one look. Two versions of the scanner that print the same
 * digests find the same. -d: the author's domain; -t: the time of receipt; -s: without contents, as SCAN_SHALLOW. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/charset.h"
#include "lib/crypto.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "milter/scan_priv.h"

static const char *const banned[] = {"exe", "scr", "js", "bat", "msi", "vbs", "lnk"};

static uint64_t
cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static struct slice
map_file(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	void *p;

	if (fd < 0 || fstat(fd, &st) != 0)
		fatal("scan_bench: %s: %s", path, strerror(errno));
	p = st.st_size == 0
		? NULL
		: mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
	if (p == MAP_FAILED)
		fatal("scan_bench: %s: %s", path, strerror(errno));
	close(fd);
	return slice_of(p, (size_t)st.st_size);
}

/* One look, as scan.c takes it. */
static void
look(struct slice whole, const struct scan_params *p, struct buf *encoded)
{
	struct arena *a = arena_new(2u << 20);
	struct findings f;

	findings_init(&f, a);
	scan_message(whole, p, &f);
	f.us_mime = f.us_cms = f.us_scan = 0;
	buf_reset(encoded);
	if (findings_encode(&f, encoded) != 0)
		fatal("scan_bench: the findings do not fit");
	arena_free(a);
}

int
main(int argc, char **argv)
{
	struct scan_params p = {.now = (int64_t)time(NULL),
	    .banned = banned,
	    .n_banned = sizeof banned / sizeof *banned};
	struct smime_trust *trust;
	unsigned times = 1;
	int o;

	log_init("scan_bench", 2);
	p.domain = slice_str("x.example");
	while ((o = getopt(argc, argv, "n:d:t:s")) != -1) {
		if (o == 'n')
			times = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'd')
			p.domain = slice_str(optarg);
		else if (o == 't')
			p.now = strtoll(optarg, NULL, 10);
		else if (o == 's')
			p.shallow = true;
		else
			return 64;
	}
	if (optind + 2 > argc || times == 0)
		return 64;
	setlocale(LC_CTYPE, "C.UTF-8");
	smime_init();
	charset_preload();
	scan_magic_init();
	scan_xml_init();
	scan_ole_init();
	if (smime_trust_load(argv[optind], &trust) != 0)
		fatal("scan_bench: %s", argv[optind]);
	p.trust = trust;
	for (int i = optind + 1; i < argc; i++) {
		struct slice whole = map_file(argv[i]);
		unsigned char digest[32];
		struct buf encoded;
		uint64_t t0;
		char hex[65];

		buf_init(&encoded, IPC_FRAME_MAX);
		t0 = cpu_ns();
		for (unsigned n = 0; n < times; n++)
			look(whole, &p, &encoded);
		t0 = cpu_ns() - t0;
		sha256_of(buf_slice(&encoded), digest);
		hex_encode(digest, 32, hex);
		printf("%s %.1f %s\n", hex, (double)t0 / 1e3 / times, argv[i]);
		buf_done(&encoded);
	}
	return 0;
}
