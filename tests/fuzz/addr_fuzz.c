/* addr_fuzz.c: lists are bounded; a path that is taken reads back as itself; normal forms are stable. */
#include "tests/fuzz/fuzz.h"

#include "lib/addr.h"
#include "lib/err.h"

static void
check_path(struct slice s, bool utf8, struct arena *a)
{
	struct slice addr, rest, again;
	struct buf b, n, n2;

	if (addr_path_parse(s, utf8, a, &addr, &rest) != 0)
		return;
	MUST(rest.len <= s.len && addr.len <= 320);
	buf_init(&b, 2000);
	buf_init(&n, 8000);
	buf_init(&n2, 8000);
	buf_append_byte(&b, '<');
	buf_append_slice(&b, addr);
	buf_append_byte(&b, '>');
	MUST(addr_path_parse(buf_slice(&b), utf8, a, &again, &rest) == 0);
	MUST(slice_eq(addr, again) && rest.len == 0);
	if (addr_normalize(addr, &n) == 0) {
		MUST(addr_normalize(buf_slice(&n), &n2) == 0);
		MUST(slice_eq(buf_slice(&n), buf_slice(&n2)));
		MUST(addr_same(addr, buf_slice(&n)));
	}
	buf_done(&b);
	buf_done(&n);
	buf_done(&n2);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice s = slice_of(data, size), local, domain;
	struct addr *list = NULL;
	size_t n = 0;
	int depth = 0;

	if (a == NULL)
		a = arena_new(1 << 24);
	arena_reset(a);
	if (addr_list_parse(s, 100, a, &list, NULL) == 0)
		for (; list != NULL; list = list->next) {
			depth += list->kind == ADDR_GROUP_START;
			depth -= list->kind == ADDR_GROUP_END;
			MUST(++n <= 100 && depth >= 0 && depth <= 1);
		}
	MUST(depth == 0);
	check_path(s, true, a);
	check_path(s, false, a);
	(void)addr_domain_ok(s, true);
	if (addr_split(s, &local, &domain) == 0)
		MUST(local.len + domain.len + 1 == size);
	return 0;
}
