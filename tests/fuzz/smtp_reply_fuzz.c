/* smtp_reply_fuzz.c: whatever a server sends: bounded text without controls, progress at every line. */
#include "tests/fuzz/fuzz.h"

#include "lib/err.h"
#include "smtpd/smtp_reply.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size), text;
	struct smtp_ext e = {.bits = 0};
	struct smtp_reply r;
	size_t used;
	int err = 0;

	smtp_reply_init(&r);
	do {
		err = smtp_reply_read(&r, in, &used, &text);
		MUST(used <= in.len && r.len <= SMTP_REPLY_TEXT_MAX && r.text[r.len] == '\0');
		MUST(used > 0 || err != 0);
		if (used > 0) {
			MUST(r.code >= 200 && r.code <= 599);
			smtp_ext_note(&e, text);
		}
		for (size_t i = 0; i < r.len; i++)
			MUST((unsigned char)r.text[i] >= ' ' && r.text[i] != 0x7F);
		in = slice_from(in, used);
		if (err == 0)
			smtp_reply_init(&r);
	} while (used > 0 && (err == 0 || err == ERR_AGAIN));
	return 0;
}
