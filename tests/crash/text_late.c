/* text_late.c: a stored that notes that a text is wanted only when the next one is, behind the mail instead of before it. For the crash checker's own test. */
#include "store/stored_text.h"

void __real_text_want(struct stored *st, uint64_t body);
void __wrap_text_want(struct stored *st, uint64_t body);

void
__wrap_text_want(struct stored *st, uint64_t body)
{
	static uint64_t late;

	if (late != 0 && late != body)
		__real_text_want(st, late);
	late = body;
}
