/* hdr_fuzz.c: every byte of a header is walked once; decoded text is well-formed; encoding and decoding give the text back;
 * parameters are bounded and clean. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/uni.h"

static void
check_ctype(struct slice s, bool disposition, struct arena *a)
{
	struct hdr_ctype c;
	size_t n = 0;

	arena_reset(a);
	if (hdr_ctype_parse(s, disposition, a, &c) != 0)
		return;
	MUST(c.type.len > 0);
	for (struct hdr_param *p = c.params; p != NULL; p = p->next) {
		MUST(p->value.ptr != NULL && ++n <= 64);
		if (!slice_eq_str(p->name, "boundary")) {
			MUST(uni_valid(p->value));
			MUST(memchr(p->value.ptr, '\0', p->value.len) == NULL);
			MUST(memchr(p->value.ptr, '\n', p->value.len) == NULL);
		}
	}
}

static void
check_words(struct slice s)
{
	struct buf text, coded, back;
	size_t cap = 20 * s.len + 1000;

	buf_init(&text, cap);
	buf_init(&coded, 10 * cap);
	buf_init(&back, 10 * cap);
	MUST(hdr_decode(s, &text) == 0 && uni_valid(buf_slice(&text)));
	MUST(hdr_encode(buf_slice(&text), &coded) == 0);
	for (size_t i = 0; i < coded.len; i++) {
		MUST(coded.data[i] < 0x7f && coded.data[i] != '\0');
		/* a fold is the only line end */
		if (coded.data[i] == '\r')
			MUST(i + 2 < coded.len && coded.data[i + 1] == '\n' &&
			     coded.data[i + 2] == ' ');
		if (coded.data[i] == '\n')
			MUST(i > 0 && coded.data[i - 1] == '\r');
	}
	MUST(hdr_decode(buf_slice(&coded), &back) == 0);
	buf_done(&text);
	buf_done(&coded);
	buf_done(&back);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice s = slice_of(data, size), rest = s;
	struct hdr_field f;
	size_t walked = 0;
	int r;

	if (a == NULL)
		a = arena_new(1 << 24);
	while ((r = hdr_next(&rest, &f)) != ERR_EOF) {
		MUST(r == 0 || r == ERR_SYNTAX);
		MUST(size - rest.len > walked);
		walked = size - rest.len;
		if (r != 0)
			continue;
		MUST(f.name.len > 0 && f.body.len < f.whole.len);
		check_ctype(f.body, false, a);
		check_words(f.body);
	}
	MUST(hdr_body_offset(s) == size - rest.len);
	check_ctype(s, false, a);
	check_ctype(s, true, a);
	check_words(s);
	return 0;
}
