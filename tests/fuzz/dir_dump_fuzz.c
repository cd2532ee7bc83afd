/* dir_dump_fuzz.c: files of the directory, LDIF, JSON or CSV by the first octet: refused with a reason, or taken; and what was taken is, written and read
 * again in each format, written the same. */
#include "config.h"

#include "directory/dir_dump.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
again(const struct dir_result *r, enum dump_format format)
{
	struct dir_result *back = NULL;
	struct buf first, second;
	char *why = NULL;

	buf_init(&first, 64 << 20);
	buf_init(&second, 64 << 20);
	if (dump_write(r, format, &first) != 0 ||
	    dump_parse(buf_slice(&first), format, &back, &why) != 0 ||
	    dump_write(back, format, &second) != 0 ||
	    !slice_eq(buf_slice(&first), buf_slice(&second)))
		abort();
	dir_result_free(back);
	buf_done(&first);
	buf_done(&second);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dir_result *r = NULL;
	char *why = NULL;

	if (size == 0)
		return 0;
	if (dump_parse(slice_of(data + 1, size - 1), (enum dump_format)(data[0] % 3), &r, &why) !=
	    0) {
		if (why == NULL)
			abort();
		free(why);
		return 0;
	}
	for (int format = 0; format < 3; format++)
		again(r, (enum dump_format)format);
	dir_result_free(r);
	return 0;
}
