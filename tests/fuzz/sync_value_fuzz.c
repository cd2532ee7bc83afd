/* sync_value_fuzz.c: what a server may put into the values of content synchronization: nothing that is read lies outside. */
#include "tests/fuzz/fuzz.h"

#include "directory/sync_value.h"

static void
inside(struct slice s, const uint8_t *data, size_t size)
{
	MUST(s.ptr == NULL || (s.ptr >= data && s.len <= size && s.ptr + s.len <= data + size));
	MUST(s.len <= SYNC_COOKIE_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size), cookie;
	enum sync_state state;
	struct sync_info info;
	struct buf b;

	if (sync_state_parse(s, &state, &cookie) == 0) {
		MUST(state <= SYNC_DELETE && size >= 23);
		inside(cookie, data, size);
	}
	if (sync_info_parse(s, &info) == 0) {
		MUST(info.kind <= SYNC_ID_SET);
		inside(info.cookie, data, size);
	}
	buf_init(&b, SYNC_COOKIE_MAX + 64);
	sync_request_append(s, &b);
	MUST(b.err == 0 && b.len >= 5);
	buf_done(&b);
	return 0;
}
