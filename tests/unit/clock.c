/* clock.c: a preloaded time() that is CLOCK_AHEAD seconds ahead. Runs in programs under test: what happens when a term of days is over. */
#include <stdlib.h>
#include <time.h>

time_t
time(time_t *out)
{
	static long ahead;
	static int known;
	struct timespec ts;
	const char *s;

	if (!known) {
		s = getenv("CLOCK_AHEAD");
		ahead = s == NULL ? 0 : strtol(s, NULL, 10);
		known = 1;
	}
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += ahead;
	if (out != NULL)
		*out = ts.tv_sec;
	return ts.tv_sec;
}
