/* sha256_lanes.h: the blocks of several SHA-256 computations at once, by the processor's SHA instructions, for crypto.c alone. FIPS 180-4. */
#ifndef CV_SHA256_LANES_H
#define CV_SHA256_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SHA256_LANES = 3 };

/* One computation under way. */
struct sha256_lane {
	uint32_t state[8];
	const unsigned char *p; /* what comes next */
	size_t blocks;          /* whole blocks of 64 octets at p */
};
/* Whether this processor has the instructions; without them nothing else here may be called. */
bool sha256_lanes_usable(void);
/* Takes all blocks of n lanes (1 to SHA256_LANES): p moves on, blocks becomes 0. */
void sha256_lanes_run(struct sha256_lane *lanes, size_t n);

#endif
