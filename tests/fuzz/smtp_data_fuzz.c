/* smtp_data_fuzz.c: a message reads the same however it is cut, and DATA ends at CRLF.CRLF and nothing else. */
#include "tests/fuzz/fuzz.h"

#include "smtpd/msg.h"
#include "smtpd/smtp_parse.h"

#include <string.h>

static size_t
feed(struct smtp_data *d, struct slice s, size_t step, struct buf *out)
{
	size_t at = 0;

	while (at < s.len && !d->at_end)
		at += smtp_data_read(d, slice_sub(s, at, step), out);
	return at;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct smtp_data d1, d2;
	struct buf one, two, three;
	struct msg m;

	if (size < 2)
		return 0;
	if (a == NULL)
		a = arena_new(4 << 20);
	arena_reset(a);
	struct slice s = slice_of(data + 2, size - 2);
	buf_init(&one, 1 << 20);
	buf_init(&two, 1 << 20);
	buf_init(&three, 1 << 20);
	smtp_data_init(&d1, data[0] & 1);
	smtp_data_init(&d2, data[0] & 1);
	size_t n1 = feed(&d1, s, SIZE_MAX, &one);
	size_t n2 = feed(&d2, s, (size_t)data[1] % 7 + 1, &two);
	MUST(n1 == n2 && d1.at_end == d2.at_end && d1.fault == d2.fault);
	MUST(
	    d1.eight_bit == d2.eight_bit && smtp_data_ends_clean(&d1) == smtp_data_ends_clean(&d2));
	if (d1.fault == SMTP_DATA_OK) {
		MUST(slice_eq(buf_slice(&one), buf_slice(&two)));
		/* no bare CR, LF or NUL gets through */
		for (size_t i = 0; i < one.len; i++) {
			MUST(one.data[i] != '\0');
			MUST(one.data[i] != '\n' || (i > 0 && one.data[i - 1] == '\r'));
			MUST(one.data[i] != '\r' || i + 1 == one.len || one.data[i + 1] == '\n');
		}
	}
	if (d1.at_end) {
		MUST(n1 >= 3 && memcmp(s.ptr + n1 - 3, ".\r\n", 3) == 0);
		MUST(n1 == 3 || (s.ptr[n1 - 4] == '\n' && s.ptr[n1 - 5] == '\r'));
	}
	/* what nobody changed is given back as it came */
	if (d1.at_end && d1.fault == SMTP_DATA_OK && msg_parse(&m, buf_slice(&one), a) == 0) {
		msg_render(&m, slice_of(NULL, 0), &three);
		buf_append_slice(&three, msg_body(&m));
		MUST(slice_eq(buf_slice(&three), buf_slice(&one)));
	}
	buf_done(&one);
	buf_done(&two);
	buf_done(&three);
	return 0;
}
