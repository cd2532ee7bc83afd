/* autoreply_fuzz.c: whatever a mail says, removing our results leaves a header, and the automatic reply to it is a header without a field of the
 * mail's making. The first line of the input is the envelope sender. */
#include "tests/fuzz/fuzz.h"

#include "smtpd/autoreply.h"

#include "lib/hdr.h"

#include <string.h>

static const char *const own[] = {"an@tinhmau.example"};
static const struct autoreply_rule rule = {.account = "p-1",
    .address = "an@tinhmau.example",
    .name = "An",
    .subject = "",
    .text = "x",
    .days = 7,
    .addresses = own,
    .n_addresses = 1};

static void
check_reply(const struct msg *m)
{
	static const char *const names[] = {"From", "To", "Subject", "Date", "Message-ID",
	    "In-Reply-To", "References", "Auto-Submitted", "MIME-Version", "Content-Type",
	    "Content-Transfer-Encoding"};
	const struct autoreply_env e = {.hostname = "mx.example", .qid = "q", .to = "d@x.example"};
	struct buf header, body;
	struct hdr_field f;

	buf_init(&header, 65536);
	buf_init(&body, 65536);
	MUST(autoreply_build(&rule, m, &e, &header, &body) == 0);
	struct slice rest = buf_slice(&header);
	MUST(rest.len > 4 && memcmp(rest.ptr + rest.len - 4, "\r\n\r\n", 4) == 0);
	MUST(hdr_body_offset(rest) == rest.len);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		MUST(hdr_count(rest, names[i]) <= 1);
	while (rest.len > 2 && hdr_next(&rest, &f) == 0) {
		size_t i = 0;
		while (i < sizeof(names) / sizeof(names[0]) && !slice_caseeq_str(f.name, names[i]))
			i++;
		MUST(i < sizeof(names) / sizeof(names[0]));
	}
	for (size_t i = 0; i < header.len; i++)
		MUST(header.data[i] < 0x80);
	buf_done(&header);
	buf_done(&body);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice s = slice_of(data, size);
	ptrdiff_t lf = slice_index(s, '\n');
	struct msg m;

	/* NUL never comes so far: smtp_parse.c refuses it */
	if (lf < 0 || lf > 300 || memchr(data, 0, size) != NULL)
		return 0;
	if (a == NULL)
		a = arena_new(16 << 20);
	arena_reset(a);
	const char *from = arena_slicedup(a, slice_sub(s, 0, (size_t)lf));
	if (from == NULL || msg_parse(&m, slice_from(s, (size_t)lf + 1), a) != 0)
		return 0;
	size_t before = m.n, results = msg_count(&m, "Authentication-Results");
	size_t gone = msg_remove_results(&m, "mx.example");
	MUST(m.n == before - gone && gone <= results);
	MUST(msg_remove_results(&m, "mx.example") == 0);
	const char *why = autoreply_refusal(&rule, &m, from, a);
	MUST(from[0] != '\0' || why != NULL);
	check_reply(&m);
	return 0;
}
