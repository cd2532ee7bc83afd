/* sio_label_fuzz.c: any header block as SIO-Label: a level is in range, and what is not there says nothing. */
#include "tests/fuzz/fuzz.h"

#include "milter/sio_label.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1 << 20);
	struct sio_label l;

	if (sio_label_read(slice_of(data, size), a, &l) == 0) {
		MUST(l.level >= -1 && l.level <= 256);
		MUST(l.there || (l.bad == NULL && l.level == -1 && l.policy.len == 0));
		MUST(l.marking.len <= 400);
	}
	arena_free(a);
	return 0;
}
