/* lmtp_fuzz.c: commands never crash; the end of DATA is the same however the bytes are cut. */
#include "tests/fuzz/fuzz.h"

#include "store/lmtp_parse.h"

static void
put(void *arg, const void *p, size_t n)
{
	buf_append((struct buf *)arg, p, n);
}

static size_t
feed(struct slice s, size_t step, struct lmtp_data *d, struct buf *out)
{
	size_t at = 0;
	bool end = false;

	lmtp_data_init(d);
	while (at < s.len && !end) {
		size_t n = 0;

		end = lmtp_data_feed(d, slice_sub(s, at, step), &n, put, out);
		at += n;
	}
	/* the end is CRLF.CRLF (or the first line) and nothing else */
	if (end)
		MUST(at >= 3 && s.ptr[at - 1] == '\n' && s.ptr[at - 2] == '\r' &&
		     s.ptr[at - 3] == '.' &&
		     (at == 3 || (at >= 5 && s.ptr[at - 4] == '\n' && s.ptr[at - 5] == '\r')));
	return at;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice s = slice_of(data, size), args, addr;
	struct lmtp_data d1, d2;
	struct lmtp_mail m;
	struct buf one, two;

	if (a == NULL)
		a = arena_new(1 << 20);
	arena_reset(a);
	switch (lmtp_verb_parse(s, &args)) {
	case LMTP_MAIL:
		(void)lmtp_mail_parse(args, a, &m);
		break;
	case LMTP_RCPT:
		(void)lmtp_rcpt_parse(args, true, a, &addr);
		break;
	default:
		break;
	}
	buf_init(&one, size + 10);
	buf_init(&two, size + 10);
	MUST(feed(s, size, &d1, &one) == feed(s, 1 + size % 7, &d2, &two));
	MUST(slice_eq(buf_slice(&one), buf_slice(&two)));
	MUST(d1.bare == d2.bare && d1.nul == d2.nul && d1.state == d2.state);
	MUST(one.len <= size);
	buf_done(&one);
	buf_done(&two);
	return 0;
}
