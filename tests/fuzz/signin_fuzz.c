/* signin_fuzz.c: what the directory says of passwords: times, stored keys, and the forms of app passwords; whose name a first message has. */
#include "config.h"

#include "directory/auth_plain.h"
#include "directory/people.h"
#include "directory/ppolicy.h"
#include "directory/scram.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const mechs[] = {
	    "PLAIN", "LOGIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"};
	char folded[PEOPLE_NAME_MAX + 1];
	struct slice in = slice_of(data, size), a, b;
	struct ppolicy p = {.is_known = size % 2 == 0, .max_age_s = (int64_t)size, .warn_s = 7};
	struct ppolicy_entry e = {.locked = in, .changed = ppolicy_time(in)};

	if (ppolicy_judge(&p, &e, 300, 1795000000).state > PPOLICY_GRACE)
		abort();
	/* the bound on rounds is the parser's own */
	if (size < 200 && scram_fits(in, slice_str("x")))
		abort();
	if (people_app_id(in, &a) && (a.ptr != in.ptr || a.len != PEOPLE_APP_ID_LEN))
		abort();
	if (people_app_name(in, &a, &b) &&
	    (a.len == 0 || b.len != PEOPLE_APP_ID_LEN || a.len + 1 + b.len != size))
		abort();
	for (size_t i = 0; i < sizeof(mechs) / sizeof(mechs[0]); i++)
		if (auth_first_name(mechs[i], in, &a) &&
		    (a.len == 0 || a.ptr < in.ptr || a.ptr + a.len > in.ptr + in.len))
			abort();
	if (people_name_fold(in, folded) && strlen(folded) != size)
		abort();
	return 0;
}
