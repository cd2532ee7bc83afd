/* setup_fuzz.c: answers of congvu setup: they are taken or refused with a line; what was taken is read again from what is printed. */
#include "config.h"

#include "admin/setup_answers.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct setup_answers a = {{NULL}}, again = {{NULL}};
	char *why = NULL;
	struct buf b;

	if (setup_answers_parse(slice_of(data, size), &a, &why) != 0 && why == NULL)
		abort();
	buf_init(&b, 1 << 20);
	for (unsigned q = 0; q < SETUP_QUESTIONS; q++) {
		char *def = setup_default(&a, q, "mail.a.example");

		if (strpbrk(setup_get(&a, q), "\"\\\n\r") != NULL) /* it goes into congvu.conf */
			abort();
		free(def);
	}
	setup_answers_print(&a, &b);
	free(why);
	why = NULL;
	/* an address may have been taken before its domain was changed: such a file is refused, with the line */
	if (setup_answers_parse(buf_slice(&b), &again, &why) != 0 && why == NULL)
		abort();
	free(why);
	buf_done(&b);
	setup_answers_done(&a);
	setup_answers_done(&again);
	return 0;
}
