/* token_fuzz.c: whatever the bytes, a ticket opens only when it was sealed; and bytes that were sealed with the key but are no ticket (a key
 * that was stolen or shared by mistake) are refused without harm. */
#include "config.h"

#include "directory/token.h"
#include "lib/crypto.h"
#include "lib/err.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const unsigned char key[32] = "0123456789abcdef0123456789abcde";
	struct token *t = NULL;
	struct buf sealed;

	if (token_open(key, slice_of(data, size), 0, &t) == 0)
		abort();
	buf_init(&sealed, 1 << 20);
	if (seal(key, slice_str("congvu ticket 1"), slice_of(data, size), &sealed) == 0 &&
	    token_open(key, buf_slice(&sealed), 0, &t) == 0) {
		struct buf again;

		buf_init(&again, 1 << 20);
		if (token_seal(key, t, &again) != 0)
			abort();
		buf_done(&again);
		token_free(t);
	}
	buf_done(&sealed);
	return 0;
}
