/* crash_check.c: reads the record of a store under load (shim.c, crash_load.c), makes states that a power cut could have left of it, and
 * opens each as stored does: what was acknowledged is there, byte for byte, and nothing else. Runs in tests:
 *   crash_check [-n states] [-s seed] [-o only this state] [-i ignore] [-I site] [-l] [-f failures] [-j jobs] [-p] [-N] [-k] [-d folder] [-v store] RECORD
 * -i PREFIX: syncs of files whose path begins so do nothing (a checker that finds nothing then is broken); -I HEX: nor do those called from
 * there, -l lists from where (offset in the program, how many of them made something durable, a path) and does nothing else; -f: ends after so many failures; -p: only
 * half-written pages; -N: bodies that stand in the log are not put in place (again); -v: compares that store with all that the record says, and nothing else; -k keeps the first state that fails.
 * Ends with 0; 1 when a state failed; 2 when the record is of no use. The states of one seed are the same again. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/log.h"
#include "store/kv.h"
#include "tests/crash/crash_disk.h"
#include "tests/crash/crash_judge.h"

enum {
	CHILD_S = 120,
	AGAIN_EVERY = 4,
	JOBS = 16,
	SITES = 256,
	SOON = 100,
	LATER = 2000,
	HALVES_MAX = 2000
};

struct cut {
	size_t at; /* so many records happened */
	unsigned i;
	enum disk_kind kind;
};
static struct {
	const unsigned char *data;
	size_t size;
	size_t *at; /* offsets of records */
	size_t n;
	size_t *syncs, *rare; /* numbers of records: all syncs, those of pages */
	size_t *ignored;      /* syncs of C.site */
	size_t n_syncs, n_rare, n_ignored, texts;
	uint32_t seed;
	const char *ignore, *folder;
	bool keep, pages, no_notes;
	unsigned states, failures, failures_max, jobs;
	uint64_t site;
	long only;
	unsigned of_kind[DISK_KINDS];
	struct running {
		pid_t pid;
		struct cut cut;
		char dir[128];
	} running[JOBS];
} C = {.seed = 1, .states = 300, .only = -1, .folder = "/dev/shm", .failures_max = 3, .jobs = 1};

int __real_kv_notes(struct kv *kv, kv_note_fn fn, void *arg);
int __wrap_kv_notes(struct kv *kv, kv_note_fn fn, void *arg);

int
__wrap_kv_notes(struct kv *kv, kv_note_fn fn, void *arg)
{
	return C.no_notes ? 0 : __real_kv_notes(kv, fn, arg);
}

static struct crash_rec
rec_at(size_t i, const unsigned char **data_out)
{
	struct crash_rec r;

	memcpy(&r, C.data + C.at[i], sizeof r);
	*data_out = C.data + C.at[i] + sizeof r;
	return r;
}

/* Whether a whole record begins there. */
static bool
is_record(size_t off)
{
	struct crash_rec r;

	memcpy(&r, C.data + off, sizeof r);
	return r.magic == CRASH_MAGIC && r.len <= C.size - off - sizeof r &&
	       r.sum == crash_sum(&r, C.data + off + sizeof r);
}

static int
load(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat st;
	struct crash_rec r;
	size_t off = 0, alloc = 0, halves = 0;
	bool in_half = false;

	if (fd < 0 || fstat(fd, &st) != 0 || st.st_size == 0)
		return -1;
	C.size = (size_t)st.st_size;
	C.data = mmap(NULL, C.size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (C.data == MAP_FAILED)
		return -1;
	while (C.size - off >= sizeof r) {
		if (!is_record(off)) {
			halves += !in_half;
			in_half = true;
			off++;
			continue;
		}
		in_half = false;
		memcpy(&r, C.data + off, sizeof r);
		if (C.n == alloc) {
			alloc = alloc * 2 + 1024;
			C.at = xrealloc(C.at, alloc * sizeof *C.at);
		}
		C.at[C.n++] = off;
		off += sizeof r + r.len;
	}
	return C.n > 0 && halves <= HALVES_MAX && (in_half || off == C.size) ? 0 : -1;
}

/* Finds the syncs, by playing the record once. */
static void
survey(void)
{
	struct disk *d = disk_new(NULL, 0);

	C.syncs = xcalloc(C.n + 1, sizeof *C.syncs);
	C.rare = xcalloc(C.n + 1, sizeof *C.rare);
	C.ignored = xcalloc(C.n + 1, sizeof *C.ignored);
	for (size_t i = 0; i < C.n; i++) {
		const unsigned char *data;
		struct crash_rec r = rec_at(i, &data);
		const char *path;

		disk_apply(d, &r, data);
		C.texts += r.op == CRASH_TEXT;
		if (r.op != CRASH_SYNC)
			continue;
		if (C.site != 0 && r.b == C.site)
			C.ignored[C.n_ignored++] = i;
		path = disk_path(d, r.a);
		C.syncs[C.n_syncs++] = i;
		if (strcmp(path, "db/rows.db") == 0 || strcmp(path, "db/pages.dw") == 0)
			C.rare[C.n_rare++] = i;
	}
	disk_free(d);
}

static int
by_position(const void *a, const void *b)
{
	const struct cut *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return x->i < y->i ? -1 : x->i > y->i;
}

/* A third anywhere, a third just before or after a sync, a third about the syncs of pages; where syncs are ignored, half of them soon after one. */
static struct cut *
plan(void)
{
	struct cut *cuts = xcalloc(C.states, sizeof *cuts);

	for (unsigned i = 0; i < C.states; i++) {
		uint32_t a = crash_mix(C.seed * 0x9e3779b9u + 3 * i), b = crash_mix(a + 1);

		cuts[i].i = i;
		cuts[i].kind = (enum disk_kind)(crash_mix(b) % DISK_KINDS);
		if (C.pages) {
			cuts[i].kind = DISK_SECTORS;
			cuts[i].at = C.rare[a % C.n_rare];
		} else if (i % 2 == 0 && C.n_ignored > 0) {
			cuts[i].at =
			    C.ignored[a % C.n_ignored] + (b >> 1) % (b % 2 == 0 ? SOON : LATER);
			if (cuts[i].at > C.n)
				cuts[i].at = C.n;
		} else if (i % 3 == 0 || C.n_syncs == 0)
			cuts[i].at = a % (C.n + 1);
		else if (i % 3 == 1 || C.n_rare == 0)
			cuts[i].at = C.syncs[a % C.n_syncs] + b % 2;
		else
			cuts[i].at = C.rare[a % C.n_rare] + b % 2;
	}
	if (!C.pages) /* the first one: nothing is lost, at the end */
		cuts[0] = (struct cut){.at = C.n, .kind = DISK_ALL};
	qsort(cuts, C.states, sizeof *cuts, by_position);
	return cuts;
}

static void
child(struct disk *d, struct crash_model *m, const struct cut *c, const char *dir)
{
	char log[160];
	bool again = c->i % AGAIN_EVERY == 0;
	int fd;

	snprintf(log, sizeof log, "%s.log", dir);
	fd = open(log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	if (fd < 0 || dup2(fd, 2) < 0)
		_exit(3);
	alarm(CHILD_S);
	if (disk_cut(d, c->kind, crash_mix(C.seed + c->i), dir) != 0) {
		perror("crash_check: the state cannot be written");
		_exit(3);
	}
	if (model_verify(m, dir, again) != 0)
		_exit(1);
	if (again && model_verify(m, dir, false) != 0) {
		fputs("at the second open\n", stderr);
		_exit(1);
	}
	_exit(0);
}

static void
tell_failure(const struct cut *c, int status, const char *dir)
{
	char line[512], log[160];
	FILE *f;

	printf("FAILED: seed %u, state %u: kind %s, at record %zu of %zu; status %x\n",
	    (unsigned)C.seed, c->i, disk_kinds[c->kind], c->at, C.n, (unsigned)status);
	snprintf(log, sizeof log, "%s.log", dir);
	f = fopen(log, "r");
	for (int i = 0; i < 12 && f != NULL && fgets(line, sizeof line, f) != NULL; i++)
		printf("    %s", line);
	if (f != NULL)
		fclose(f);
	fflush(stdout);
}

static void
clean(const char *dir)
{
	char cmd[400];

	snprintf(cmd, sizeof cmd, "rm -rf '%s' '%s.log'", dir, dir);
	if (system(cmd) != 0)
		perror(cmd);
}

static void
ended(struct running *r, int status)
{
	r->pid = 0;
	if (status != 0) {
		C.failures++;
		tell_failure(&r->cut, status, r->dir);
		if (C.keep) {
			printf("kept in %s\n", r->dir);
			C.failures = C.failures_max;
			return;
		}
	}
	clean(r->dir);
}

/* Waits until fewer than so many run. */
static void
wait_below(unsigned most)
{
	for (;;) {
		unsigned n = 0;
		int status;
		pid_t pid;

		for (unsigned i = 0; i < C.jobs; i++)
			n += C.running[i].pid != 0;
		if (n < most || n == 0)
			return;
		pid = waitpid(-1, &status, 0);
		if (pid < 0)
			fatal("crash_check: wait");
		for (unsigned i = 0; i < C.jobs; i++)
			if (C.running[i].pid == pid)
				ended(&C.running[i], status);
	}
}

/* As the store's own first folders: the folder itself was there before. */
static void
try_cut(struct disk *d, struct crash_model *m, const struct cut *c)
{
	struct running *r = C.running;

	wait_below(C.jobs);
	while (r->pid != 0)
		r++;
	r->cut = *c;
	snprintf(r->dir, sizeof r->dir, "%s/crash.XXXXXX", C.folder);
	if (mkdtemp(r->dir) == NULL)
		fatal("crash_check: no folder in %s", C.folder);
	fflush(stdout);
	r->pid = fork();
	if (r->pid == 0)
		child(d, m, c, r->dir);
	if (r->pid < 0)
		fatal("crash_check: fork");
	C.of_kind[c->kind]++;
}

static void
play(const struct cut *cuts)
{
	struct disk *d = disk_new(C.ignore, C.site);
	struct crash_model *m = model_new();
	size_t at = 0;

	for (unsigned i = 0; i < C.states && C.failures < C.failures_max; i++) {
		for (; at < cuts[i].at; at++) {
			const unsigned char *data;
			struct crash_rec r = rec_at(at, &data);

			if (r.op == CRASH_TEXT)
				model_text(m, slice_of(data, r.len));
			else
				disk_apply(d, &r, data);
		}
		if (C.only < 0 || C.only == (long)cuts[i].i)
			try_cut(d, m, &cuts[i]);
	}
	wait_below(1);
	disk_free(d);
	model_free(m);
}

/* From where syncs were called. */
static int
list_sites(void)
{
	struct disk *d = disk_new(NULL, 0);
	struct site {
		uint64_t at;
		unsigned count;
		char path[96];
	} sites[SITES];
	size_t n = 0, k;

	for (size_t i = 0; i < C.n; i++) {
		const unsigned char *data;
		struct crash_rec r = rec_at(i, &data);

		if (r.op != CRASH_SYNC) {
			disk_apply(d, &r, data);
			continue;
		}
		bool counts = disk_sync_counts(d, &r);
		disk_apply(d, &r, data);
		for (k = 0; k < n && sites[k].at != r.b; k++)
			continue;
		if (k == SITES)
			fatal("crash_check: too many places");
		if (k == n) {
			sites[n++] = (struct site){.at = r.b};
			snprintf(sites[k].path, sizeof sites[k].path, "%s/", disk_path(d, r.a));
		}
		sites[k].count += counts;
	}
	for (k = 0; k < n; k++)
		printf(
		    "%llx %u %s\n", (unsigned long long)sites[k].at, sites[k].count, sites[k].path);
	disk_free(d);
	return 0;
}

/* The store as it is, against all texts. */
static int
check_store(const char *dir)
{
	struct crash_model *m = model_new();

	for (size_t i = 0; i < C.n; i++) {
		const unsigned char *data;
		struct crash_rec r = rec_at(i, &data);

		if (r.op == CRASH_TEXT)
			model_text(m, slice_of(data, r.len));
	}
	if (model_verify(m, dir, true) != 0)
		return 1;
	printf("%u messages and all that was done with them agree\n", (unsigned)model_messages(m));
	return 0;
}

int
main(int argc, char **argv)
{
	struct cut *cuts;
	const char *store = NULL;
	bool list = false;
	int o;

	while ((o = getopt(argc, argv, "n:s:o:i:I:lf:j:pkNd:v:")) != -1) {
		if (o == 'I')
			C.site = strtoull(optarg, NULL, 16);
		else if (o == 'v')
			store = optarg;
		else if (o == 'l')
			list = true;
		else if (o == 'f')
			C.failures_max = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'j')
			C.jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 'n')
			C.states = (unsigned)strtoul(optarg, NULL, 10);
		else if (o == 's')
			C.seed = (uint32_t)strtoul(optarg, NULL, 10);
		else if (o == 'o')
			C.only = strtol(optarg, NULL, 10);
		else if (o == 'i')
			C.ignore = optarg;
		else if (o == 'p')
			C.pages = true;
		else if (o == 'k')
			C.keep = true;
		else if (o == 'N')
			C.no_notes = true;
		else if (o == 'd')
			C.folder = optarg;
		else
			return 2;
	}
	log_init("crash_check", 2);
	log_set_level(LOG_LVL_WARN);
	if (optind + 1 != argc || load(argv[optind]) != 0) {
		fputs("crash_check: the record cannot be read\n", stderr);
		return 2;
	}
	if (C.jobs < 1 || C.jobs > JOBS || C.only >= 0)
		C.jobs = 1;
	if (list)
		return list_sites();
	if (store != NULL)
		return check_store(store);
	survey();
	if (C.texts == 0 || (C.pages && C.n_rare == 0)) {
		fputs("crash_check: the record has no acts or no pages\n", stderr);
		return 2;
	}
	cuts = plan();
	play(cuts);
	free(cuts);
	printf("seed %u: %zu records, %zu syncs (%zu of pages);", (unsigned)C.seed, C.n, C.n_syncs,
	    C.n_rare);
	for (int i = 0; i < DISK_KINDS; i++)
		printf(" %s %u", disk_kinds[i], C.of_kind[i]);
	printf("; %u failed\n", C.failures);
	return C.failures > 0;
}
