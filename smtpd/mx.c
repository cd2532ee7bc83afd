/* mx.c: the order of MX hosts, pure. Runs in relay. RFC 5321 5.1: by preference, load spread among equals, and never to hosts that are
 * no nearer to the destination than we are. */
#include "config.h"

#include "smtpd/mx.h"

#include <string.h>

static void
swap(struct mx_host *a, struct mx_host *b)
{
	struct mx_host t = *a;

	*a = *b;
	*b = t;
}

static size_t
drop_doubles(struct mx_host *h, size_t n)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		size_t k = 0;
		while (k < kept && !slice_caseeq_str(slice_str(h[k].name), h[i].name))
			k++;
		if (k == kept)
			h[kept++] = h[i];
	}
	return kept;
}

enum mx_verdict
mx_order(struct mx_host *h, size_t *n_io, const char *self, uint32_t (*random_u32)(void))
{
	size_t n = *n_io;

	if (n == 1 && h[0].name[0] == '\0')
		return MX_NULL;
	/* beside others a null MX means nothing (RFC 7505 3) */
	for (size_t i = 0; i < n;) {
		if (h[i].name[0] == '\0')
			h[i] = h[--n];
		else
			i++;
	}
	if (n == 0)
		return MX_NULL;
	for (size_t i = n; i > 1; i--)
		swap(&h[i - 1], &h[random_u32() % i]);
	/* stable, so that equals stay shuffled */
	for (size_t i = 1; i < n; i++)
		for (size_t k = i; k > 0 && h[k - 1].pref > h[k].pref; k--)
			swap(&h[k - 1], &h[k]);
	n = drop_doubles(h, n);
	size_t at = 0;
	while (at < n && !slice_caseeq_str(slice_str(h[at].name), self))
		at++;
	if (at < n) {
		uint16_t ours = h[at].pref;
		for (n = 0; h[n].pref < ours; n++)
			;
	}
	*n_io = n;
	return n == 0 ? MX_SELF : MX_OK;
}
