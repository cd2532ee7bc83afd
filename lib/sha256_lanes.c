/* sha256_lanes.c: SHA-256's compression of up to three messages side by side. Pure. Runs where crypto.c's sha256_of_many does: milter-scan. The SHA instructions
 * answer four cycles after they are asked and take another question after two, and a block's 64 rounds each wait for the one before: a single message leaves
 * half of the unit idle. Messages that have nothing to do with each other fill it. FIPS 180-4 6.2.2. */
#include "config.h"

#include "lib/sha256_lanes.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

#define TARGET __attribute__((target("sha,sse4.1")))

static const uint32_t round_constants[64] __attribute__((aligned(16))) = {0x428a2f98, 0x71374491,
    0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01,
    0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d,
    0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138,
    0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08,
    0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f,
    0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

bool
sha256_lanes_usable(void)
{
	unsigned a, b, c, d;

	if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSE4_1) == 0 || (c & bit_SSSE3) == 0)
		return false;
	return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

/* The instructions want the eight words as ABEF and CDGH. */
TARGET static inline __attribute__((always_inline)) void
load_state(const uint32_t s[8], __m128i *abef, __m128i *cdgh)
{
	__m128i dcba = _mm_loadu_si128((const __m128i *)(const void *)s);
	__m128i hgfe = _mm_loadu_si128((const __m128i *)(const void *)(s + 4));
	__m128i cdab = _mm_shuffle_epi32(dcba, 0xb1), efgh = _mm_shuffle_epi32(hgfe, 0x1b);

	*abef = _mm_alignr_epi8(cdab, efgh, 8);
	*cdgh = _mm_blend_epi16(efgh, cdab, 0xf0);
}

TARGET static inline __attribute__((always_inline)) void
store_state(uint32_t s[8], __m128i abef, __m128i cdgh)
{
	__m128i feba = _mm_shuffle_epi32(abef, 0x1b), dchg = _mm_shuffle_epi32(cdgh, 0xb1);

	_mm_storeu_si128((__m128i *)(void *)s, _mm_blend_epi16(feba, dchg, 0xf0));
	_mm_storeu_si128((__m128i *)(void *)(s + 4), _mm_alignr_epi8(dchg, feba, 8));
}

/* n is a constant where it is called, so that the loops over lanes fall away. */
TARGET static inline __attribute__((always_inline)) void
run(struct sha256_lane *lanes, const size_t n, size_t blocks)
{
	const __m128i swap = _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
	__m128i abef[SHA256_LANES], cdgh[SHA256_LANES], w[SHA256_LANES][4];

#pragma GCC unroll 3
	for (size_t k = 0; k < n; k++)
		load_state(lanes[k].state, &abef[k], &cdgh[k]);
	for (size_t b = 0; b < blocks; b++) {
		__m128i abef_was[SHA256_LANES], cdgh_was[SHA256_LANES];

#pragma GCC unroll 3
		for (size_t k = 0; k < n; k++) {
			abef_was[k] = abef[k];
			cdgh_was[k] = cdgh[k];
		}
#pragma GCC unroll 16
		for (size_t g = 0; g < 16; g++) {
			const __m128i *consts =
			    (const __m128i *)(const void *)(round_constants + 4 * g);

#pragma GCC unroll 3
			for (size_t k = 0; k < n; k++) {
				__m128i *m = w[k], four;

				if (g < 4) {
					m[g] = _mm_shuffle_epi8(
					    _mm_loadu_si128(
						(const __m128i *)(const void *)(lanes[k].p +
										16 * g)),
					    swap);
				} else {
					four = _mm_add_epi32(
					    _mm_sha256msg1_epu32(m[g % 4], m[(g + 1) % 4]),
					    _mm_alignr_epi8(m[(g + 3) % 4], m[(g + 2) % 4], 4));
					m[g % 4] = _mm_sha256msg2_epu32(four, m[(g + 3) % 4]);
				}
				four = _mm_add_epi32(m[g % 4], _mm_load_si128(consts));
				cdgh[k] = _mm_sha256rnds2_epu32(cdgh[k], abef[k], four);
				abef[k] = _mm_sha256rnds2_epu32(
				    abef[k], cdgh[k], _mm_shuffle_epi32(four, 0x0e));
			}
		}
#pragma GCC unroll 3
		for (size_t k = 0; k < n; k++) {
			abef[k] = _mm_add_epi32(abef[k], abef_was[k]);
			cdgh[k] = _mm_add_epi32(cdgh[k], cdgh_was[k]);
			lanes[k].p += 64;
		}
	}
#pragma GCC unroll 3
	for (size_t k = 0; k < n; k++) {
		store_state(lanes[k].state, abef[k], cdgh[k]);
		lanes[k].blocks -= blocks;
	}
}

TARGET void
sha256_lanes_run(struct sha256_lane *lanes, size_t n)
{
	struct sha256_lane now[SHA256_LANES];
	size_t i, k, least;

	for (;;) {
		/* those that have something left, for as long as the shortest of them */
		for (i = k = 0, least = SIZE_MAX; i < n; i++) {
			if (lanes[i].blocks == 0)
				continue;
			least = lanes[i].blocks < least ? lanes[i].blocks : least;
			now[k++] = lanes[i];
		}
		if (k == 3)
			run(now, 3, least);
		else if (k == 2)
			run(now, 2, least);
		else if (k == 1)
			run(now, 1, least);
		else
			return;
		for (i = k = 0; i < n; i++) {
			if (lanes[i].blocks > 0)
				lanes[i] = now[k++];
		}
	}
}

#else

bool
sha256_lanes_usable(void)
{
	return false;
}

void
sha256_lanes_run(struct sha256_lane *lanes, size_t n)
{
	(void)lanes, (void)n;
}

#endif
