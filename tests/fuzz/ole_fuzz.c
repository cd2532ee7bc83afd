/* ole_fuzz.c: a compound file of any bytes, through libgsf and through our own search for names: read without harm, what is told bounded. */
#include "tests/fuzz/fuzz.h"

#include "milter/scan_priv.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const banned[] = {"exe", "js"};
	static const struct scan_params params = {.now = 1, .banned = banned, .n_banned = 2};
	static bool ready;
	struct arena *a = arena_new(2 << 20);
	struct scan_ctx *c = calloc(1, sizeof *c);
	const char *type = NULL;
	struct findings f;

	if (!ready)
		scan_ole_init();
	ready = true;
	findings_init(&f, a);
	c->p = &params;
	c->f = &f;
	scan_ole_file(c, slice_of(data, size), slice_str("1"), &type);
	MUST(type != NULL && c->depth == 0 && f.n_notes <= FINDINGS_NOTES_MAX);
	free(c);
	arena_free(a);
	return 0;
}
