/* tnef_fuzz.c: a winmail.dat of any bytes: what it gives lies within it, and comes in bounded number. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "milter/scan_priv.h"

struct seen {
	struct slice whole;
	unsigned files;
};

static void
on_file(void *arg, struct slice name, struct slice data)
{
	struct seen *s = arg;

	MUST(++s->files <= 256 && name.len <= 4096);
	MUST(data.len == 0 ||
	     (data.ptr >= s->whole.ptr && data.ptr + data.len <= s->whole.ptr + s->whole.len));
}

static void
on_text(void *arg, struct slice text)
{
	struct seen *s = arg;

	MUST(text.len <= s->whole.len);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen s = {slice_of(data, size), 0};

	scan_tnef(s.whole, on_file, on_text, &s);
	return 0;
}
