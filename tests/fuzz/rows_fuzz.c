/* rows_fuzz.c: lists of people, JSON Lines or CSV: they are read or refused with a line number. */
#include "config.h"

#include "admin/ctl_directory.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ctl_rows r = {0};
	char *why = NULL;

	if (ctl_rows_parse(slice_of(data, size), &r, &why) != 0 && why == NULL)
		abort();
	free(why);
	ctl_rows_done(&r);
	return 0;
}
