/* ledger_record.h: the records that ledger_load.c tells and ledger_model.c finds again, which follow from their number. In tests only. */
#ifndef CV_LEDGER_RECORD_H
#define CV_LEDGER_RECORD_H

#include <stdio.h>

#include "tests/crash/crash.h"

enum { LEDGER_PAD_MAX = 20000 };

static inline bool
ledger_is_verdict(uint32_t n)
{
	return crash_mix(n) % 5 < 3;
}

static inline void
ledger_qid(uint32_t n, char out[16])
{
	snprintf(out, 16, "N%u", (unsigned)n);
}

/* Most are shorter than a page of the disk, some have several. */
static inline void
ledger_pad(uint32_t n, char out[LEDGER_PAD_MAX + 1])
{
	uint32_t m = crash_mix(n + 7);
	size_t len = m % 9 == 0 ? 4000 + m % (LEDGER_PAD_MAX - 4000) : 40 + m % 900;

	for (size_t i = 0; i < len; i++) {
		m = m * 1664525u + 1013904223u;
		out[i] = (char)('a' + (m >> 24) % 26);
	}
	out[len] = '\0';
}

#endif
