/* smtp_fuzz.c: command lines never crash, and what MAIL and RCPT give fits an envelope. The first byte: lenient or not. */
#include "tests/fuzz/fuzz.h"

#include "smtpd/smtp_parse.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice line, verb, args;
	struct smtp_mail m;
	struct smtp_rcpt r;
	size_t used = 0;
	uint64_t n;
	bool last;

	if (a == NULL)
		a = arena_new(1 << 20);
	if (size == 0)
		return 0;
	arena_reset(a);
	struct slice in = slice_of(data + 1, size - 1);
	if (smtp_line(in, SMTP_CMD_MAX, &line, &used) != 0)
		return 0;
	MUST(used == line.len + 2 && used <= in.len);
	smtp_split(line, &verb, &args);
	if (smtp_mail_parse(args, data[0] & 1, a, &m) == 0) {
		MUST(m.from.len <= 320 && slice_index(m.from, '\r') < 0);
		MUST(m.from.len == 0 || slice_index(m.from, '@') > 0);
		MUST(m.envid.len <= 100);
	}
	if (smtp_rcpt_parse(args, data[0] & 1, a, &r) == 0) {
		MUST(r.to.len > 0 && r.to.len <= 320);
		MUST(r.orcpt.len <= 500);
	}
	if (smtp_bdat_parse(args, &n, &last) == 0)
		MUST(n <= UINT64_MAX / 2);
	return 0;
}
