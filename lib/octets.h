/* octets.h: sixteen or sixty-four octets looked at together, for loops that go through whole mails: masks of where an octet stands. Written with the
 * compiler's vectors; what has none (or another machine) takes the plain loops below, which say the same. Inline only, no I/O. */
#ifndef CV_OCTETS_H
#define CV_OCTETS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(__SSE2__) && !defined(CV_OCTETS_PLAIN)
#define CV_OCTETS_SSE2 1
typedef unsigned char octets16 __attribute__((vector_size(16)));
typedef char octets16_signed __attribute__((vector_size(16)));

/* Sixteen octets from anywhere. */
static inline octets16
octets16_at(const unsigned char *p)
{
	octets16 v;

	memcpy(&v, p, sizeof v);
	return v;
}

/* Bit i: the highest bit of octet i. */
static inline uint32_t
octets16_bits(octets16 v)
{
	return (uint32_t)__builtin_ia32_pmovmskb128((octets16_signed)v);
}
#endif

/* Bit i is set where p[i] == c, of 64 octets. */
static inline uint64_t
octets64_eq(const unsigned char *p, unsigned char c)
{
	uint64_t m = 0;

#ifdef CV_OCTETS_SSE2
	for (int i = 0; i < 4; i++)
		m |= (uint64_t)octets16_bits((octets16)(octets16_at(p + 16 * i) == c)) << 16 * i;
#else
	for (int i = 0; i < 64; i++)
		m |= (uint64_t)(p[i] == c) << i;
#endif
	return m;
}

/* Whether one of 64 octets is not ASCII. */
static inline bool
octets64_any_high(const unsigned char *p)
{
	uint64_t eight[8], any = 0;

	memcpy(eight, p, sizeof eight);
	for (int i = 0; i < 8; i++)
		any |= eight[i];
	return (any & 0x8080808080808080u) != 0;
}

#endif
