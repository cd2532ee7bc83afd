/* fuzz.h: what fuzz targets share. A target aborts on a broken property; errors of the input are no failure. */
#ifndef CV_TESTS_FUZZ_H
#define CV_TESTS_FUZZ_H

#include <stdint.h>
#include <stdlib.h>

#include "lib/buf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)               \
	do {                     \
		if (!(cond))     \
			abort(); \
	} while (0)

#endif
