/* scan_faults.c: congvu-milter-scan with faults made on purpose, for tests/milter/robust.py and scanning.py: what a message has in X-Test-Fault happens where the
 * scanner would look at it. All around it is the scanner's own: its deadline, its limits, its sandbox. Runs in tests. */
#include "config.h"

#include "milter/scan_message.h"

#include "lib/hdr.h"
#include "lib/log.h"

#include <time.h>

enum { PIECE = 16 << 20, SLOW_MS = 500, STALL_MS = 16000 };

void __real_scan_message(struct slice whole, const struct scan_params *p, struct findings *f);
void __wrap_scan_message(struct slice whole, const struct scan_params *p, struct findings *f);

static void
eat(void)
{
	for (;;)
		*(volatile char *)xmalloc(PIECE) = 1;
}

void
__wrap_scan_message(struct slice whole, const struct scan_params *p, struct findings *f)
{
	static volatile unsigned long turns;
	struct timespec slow = {SLOW_MS / 1000, SLOW_MS % 1000 * 1000000},
			stall = {STALL_MS / 1000, STALL_MS % 1000 * 1000000};
	struct hdr_field field;
	struct slice what = slice_str("");

	if (!p->shallow && hdr_find(whole, "X-Test-Fault", 0, &field))
		what = slice_trim(field.body);
	while (slice_eq_str(what, "loop"))
		turns++;
	if (slice_eq_str(what, "eat"))
		eat();
	if (slice_eq_str(what, "slow"))
		nanosleep(&slow, NULL);
	if (slice_eq_str(what, "stall"))
		nanosleep(&stall, NULL);
	__real_scan_message(whole, p, f);
}
