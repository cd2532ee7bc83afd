/* scan_magic.c: libmagic's opinion of a type, a hint for the record: decisions come from our own table (scan_type.c). The only
 * includer of <magic.h>. Runs in milter-scan; the table is loaded before the sandbox. */
#include "config.h"

#include "milter/scan_priv.h"

#include "lib/log.h"

#include <magic.h>

#define LOOK_MAX 65536
#define FLAGS                                                                                  \
	(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_CDF | \
	    MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_TOKENS | MAGIC_NO_CHECK_JSON | MAGIC_NO_CHECK_CSV)

static magic_t cookie;

void
scan_magic_init(void)
{
	cookie = magic_open(FLAGS);
	if (cookie != NULL && magic_load(cookie, NULL) == 0)
		return;
	log_msg(LOG_LVL_WARN, "magic",
	    "libmagic's table cannot be loaded: its hints are missing from the records");
	if (cookie != NULL)
		magic_close(cookie);
	cookie = NULL;
}

const char *
scan_magic(struct slice bytes, bool shown_text)
{
	const char *text;

	if (cookie == NULL || bytes.len == 0)
		return "";
	magic_setflags(cookie, shown_text ? FLAGS | MAGIC_NO_CHECK_SOFT : FLAGS);
	text = magic_buffer(cookie, bytes.ptr, bytes.len < LOOK_MAX ? bytes.len : LOOK_MAX);
	return text != NULL ? text : "";
}
