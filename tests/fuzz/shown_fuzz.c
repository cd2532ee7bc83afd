/* shown_fuzz.c: any octets as an officer sees them: no control, no character that is not seen or turns the order round, valid UTF-8; an extension is ASCII but
 * for our own marks. And any line of an audit log against a search: read within its bounds. */
#include "config.h"

#include <stdlib.h>
#include <string.h>

#include "admin/ctl_trace.h"
#include "admin/shown.h"
#include "lib/uni.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the search asks congvu.c for. */
int
ctl_usage(const struct ctl *c, const char *fmt, ...)
{
	(void)c, (void)fmt;
	return EX_USAGE;
}

const char *
ctl_text(const char *english)
{
	return english;
}

static void
check_shown(struct slice s)
{
	uint32_t cp;

	while (s.len > 0)
		if (uni_next(&s, &cp) == 0 || cp < 0x20 || (cp >= 0x7f && cp <= 0xa0) ||
		    (cp >= 0x200b && cp <= 0x200f) || (cp >= 0x202a && cp <= 0x202e) ||
		    (cp >= 0x2060 && cp <= 0x206f) || cp == 0xfeff)
			abort();
}

static void
check_extension(struct slice s)
{
	uint32_t cp;

	while (s.len > 0)
		if (uni_next(&s, &cp) == 0 || (cp >= 0x80 && cp != 0x2039 && cp != 0x203a))
			abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char from[] = "an@", words[] = "ke hoach", name[] = ".exe";
	struct trace_want want = {.from = from, .to = from, .subject = words, .attachment = name};
	char group[TRACE_GROUP_MAX + 1];
	struct trace_filter *f;
	struct buf b;

	if (size == 0 || size > 4096)
		return 0;
	for (int as = SHOWN_TEXT; as <= SHOWN_ASCII; as++) {
		buf_init(&b, 1 << 20);
		shown_append(slice_of(data, size), (enum shown_as)as, &b);
		check_shown(buf_slice(&b));
		buf_done(&b);
	}
	buf_init(&b, 1 << 20);
	shown_extension(slice_of(data, size), &b);
	check_extension(buf_slice(&b));
	buf_done(&b);
	f = trace_filter_new(NULL, &want);
	if (f != NULL)
		(void)trace_filter_has(f, slice_of(data, size));
	trace_filter_free(f);
	if (trace_group(trace_line_qid(slice_of(data, size)), group) == 0 &&
	    strlen(group) > TRACE_GROUP_MAX)
		abort();
	return 0;
}
