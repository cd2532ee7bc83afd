/* dsn_fuzz.c: hostile addresses, answers, header and text: the report keeps its form. */
#include "tests/fuzz/fuzz.h"

#include "smtpd/dsn.h"

#include <string.h>

/* The next string of the input, up to a NUL. */
static char *
take(struct slice *s)
{
	ptrdiff_t end = slice_index(*s, '\0');
	struct slice one = end < 0 ? *s : slice_sub(*s, 0, (size_t)end);

	*s = slice_from(*s, one.len + 1);
	return slice_dup(one);
}

static size_t
lines_that_are(struct slice s, const char *line)
{
	size_t n = 0, len = strlen(line);

	for (;;) {
		ptrdiff_t lf = slice_index(s, '\n');
		struct slice one = slice_sub(s, 0, lf < 0 ? s.len : (size_t)lf);
		if (one.len > 0 && one.ptr[one.len - 1] == '\r')
			one.len--;
		n += one.len == len && memcmp(one.ptr, line, len) == 0;
		if (lf < 0)
			return n;
		s = slice_from(s, (size_t)lf + 1);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest = slice_of(data, size);
	char *t[5];
	struct buf header, body, line;
	uint32_t flags = 0;

	if (size < 2)
		return 0;
	struct dsn_rcpt list[2] = {
	    {0, (enum dsn_action)(1 + data[0] % 5)}, {1, (enum dsn_action)(1 + data[1] % 5)}};
	rest = slice_from(rest, 2);
	for (size_t i = 0; i < 5; i++)
		t[i] = take(&rest);
	/* what the queue returns is a header with its empty line, and a text */
	ptrdiff_t empty = slice_find(rest, slice_str("\r\n\r\n"));
	size_t end = empty < 0 ? 0 : (size_t)empty + 4;
	struct envelope_rcpt rcpts[2] = {{.address = t[0], .orcpt = t[1], .why = t[2]},
	    {.address = "b@example", .orcpt = t[3], .why = t[1], .mta = t[2]}};
	struct envelope env = {
	    .from = t[3], .envid = t[4], .ret = "", .rcpts = rcpts, .n_rcpts = 2};
	struct dsn d = {.hostname = "mx.example",
	    .qid = "0123456789abcdef",
	    .env = &env,
	    .rcpts = list,
	    .n = 2,
	    .retry_until = 5,
	    .header = slice_sub(rest, 0, end),
	    .content = slice_from(rest, end)};
	buf_init(&header, 1 << 20);
	buf_init(&body, 1 << 22);
	buf_init(&line, 100);
	int r = dsn_build(&d, &header, &body, &flags);
	if (r == 0) {
		/* the parameter, and not what an address looks like */
		static const char param[] = "delivery-status;\r\n boundary=\"";
		ptrdiff_t at = slice_find(buf_slice(&header), slice_str(param));
		MUST(at > 0);
		struct slice b = slice_from(buf_slice(&header), (size_t)at + strlen(param));
		b = slice_sub(b, 0, (size_t)slice_index(b, '"'));
		buf_append_str(&line, "--");
		buf_append_slice(&line, b);
		MUST(lines_that_are(buf_slice(&body), buf_cstr(&line)) == 3);
		buf_append_str(&line, "--");
		MUST(lines_that_are(buf_slice(&body), buf_cstr(&line)) == 1);
		MUST(lines_that_are(buf_slice(&header), "") ==
		     2); /* the empty line, and behind the last */
	}
	for (size_t i = 0; i < 5; i++)
		free(t[i]);
	buf_done(&header);
	buf_done(&body);
	buf_done(&line);
	return 0;
}
