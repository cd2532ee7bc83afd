/* date_fuzz.c: what reads as a date is written and reads as the same instant. */
#include "tests/fuzz/fuzz.h"

#include "lib/date.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	int64_t t, back, day;
	int zone, z;
	struct buf b;

	buf_init(&b, 200);
	if (date_rfc5322_parse(s, &t, &zone) == 0 && date_rfc5322_format(t, zone, &b) == 0)
		MUST(date_rfc5322_parse(buf_slice(&b), &back, &z) == 0 && back == t && z == zone);
	buf_reset(&b);
	if (date_imap_parse(s, &t, &zone) == 0 && date_imap_format(t, zone, &b) == 0)
		MUST(date_imap_parse(buf_slice(&b), &back, &z) == 0 && back == t && z == zone);
	(void)date_imap_day_parse(s, &day);
	buf_done(&b);
	return 0;
}
