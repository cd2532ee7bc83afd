/* clock.c: a preloaded time() that is CLOCK_AHEAD seconds ahead, or as many as the i64 at the start of the file CLOCK_FILE says by then
 * (opened before the program's sandbox closes). Runs in programs under test: what happens when a term of days is over, or a clock is set. */
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static int64_t constant;
static const int64_t *ahead = &constant;

__attribute__((constructor)) static void
clock_begin(void)
{
	const char *s = getenv("CLOCK_AHEAD"), *file = getenv("CLOCK_FILE");
	void *page;
	int fd;

	constant = s == NULL ? 0 : strtol(s, NULL, 10);
	if (file == NULL || (fd = open(file, O_RDONLY | O_CLOEXEC)) < 0)
		return;
	page = mmap(NULL, sizeof *ahead, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (page != MAP_FAILED)
		ahead = page;
}

time_t
time(time_t *out)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += __atomic_load_n(ahead, __ATOMIC_RELAXED);
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
