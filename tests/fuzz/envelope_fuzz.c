/* envelope_fuzz.c: hostile bytes as an ENVELOPE: each part is refused or read within bounds; and of a header, what mime_envelope writes of it is
 * always read. */
#include "tests/fuzz/fuzz.h"

#include "lib/envelope.h"
#include "lib/err.h"
#include "lib/mime.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	struct buf out, made;
	int r;

	buf_init(&out, size + 16);
	for (int p = ENVELOPE_DATE; p <= ENVELOPE_MESSAGE_ID; p++) {
		buf_reset(&out);
		r = envelope_part(s, (enum envelope_part)p, &out);
		MUST(r == 0 || (r == ERR_CORRUPT && out.len == 0));
	}
	buf_init(&made, 64 * size + 4096);
	if (mime_envelope(s, false, &made) == 0)
		for (int p = ENVELOPE_DATE; p <= ENVELOPE_MESSAGE_ID; p++) {
			struct buf part;

			buf_init(&part, made.len + 16);
			MUST(envelope_part(buf_slice(&made), (enum envelope_part)p, &part) == 0);
			buf_done(&part);
		}
	buf_done(&made);
	buf_done(&out);
	return 0;
}
