/* lmtp_fuzz.c: commands never crash; the end of DATA, and what is found in a chunk, are the same however the bytes are cut. */
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

static void
look(struct slice s, size_t step, struct lmtp_data *d)
{
	lmtp_data_init(d);
	for (size_t at = 0; at < s.len; at += step)
		lmtp_chunk_look(d, slice_sub(s, at, step));
}

/* A chunk against the plain rule: each CR stands before an LF and each LF behind a CR. */
static void
chunk(struct slice s)
{
	struct lmtp_data d1, d2;
	bool bare = false;

	look(s, s.len + 1, &d1);
	look(s, 1 + s.len % 5, &d2);
	for (size_t i = 0; i < s.len; i++) {
		bare |= s.ptr[i] == '\n' && (i == 0 || s.ptr[i - 1] != '\r');
		bare |= s.ptr[i] == '\r' && i + 1 < s.len && s.ptr[i + 1] != '\n';
	}
	MUST(d1.bare == bare && d2.bare == bare && d1.state == d2.state && d1.nul == d2.nul);
	MUST(d1.nul == (slice_index(s, 0) >= 0));
	MUST((d1.state == LMTP_D_BOL) == (s.len == 0 || s.ptr[s.len - 1] == '\n'));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice s = slice_of(data, size), args, addr;
	struct lmtp_data d1, d2;
	struct lmtp_mail m;
	struct buf one, two;
	uint64_t n;
	bool last;

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
	case LMTP_BDAT:
		(void)lmtp_bdat_parse(args, &n, &last);
		break;
	default:
		break;
	}
	chunk(s);
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
