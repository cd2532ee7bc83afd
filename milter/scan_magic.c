/* scan_magic.c: libmagic's opinion of a type, a hint for the record: decisions come from our own table (scan_type.c). The only
 * includer of <magic.h>. Runs in milter-scan; the table is loaded before the sandbox. */
#include "config.h"

#include "milter/scan_priv.h"

#include "lib/log.h"
#include "lib/octets.h"
#include "lib/uni.h"

#include <magic.h>
#include <string.h>

#define LOOK_MAX 65536
#define PLAIN_MIN 64
#define FLAGS                                                                                  \
	(MAGIC_MIME_TYPE | MAGIC_NO_CHECK_COMPRESS | MAGIC_NO_CHECK_TAR | MAGIC_NO_CHECK_CDF | \
	    MAGIC_NO_CHECK_ELF | MAGIC_NO_CHECK_TOKENS | MAGIC_NO_CHECK_JSON | MAGIC_NO_CHECK_CSV)

static magic_t cookie;

void
scan_magic_init(void)
{
	if (cookie != NULL)
		return;
	cookie = magic_open(FLAGS);
	if (cookie != NULL && magic_load(cookie, NULL) == 0)
		return;
	log_msg(LOG_LVL_WARN, "magic",
	    "libmagic's table cannot be loaded: its hints are missing from the records");
	if (cookie != NULL)
		magic_close(cookie);
	cookie = NULL;
}

/* Whether an octet is one that libmagic finds in no text: controls but BEL to CR and ESC, DEL. */
static bool
is_odd(unsigned char c)
{
	return c < ' ' ? (c < 7 || c > 13) && c != 27 : c == 0x7f;
}

static bool
has_odd(struct slice s)
{
	size_t i = 0;

#ifdef CV_OCTETS_SSE2
	for (; s.len - i >= 16; i += 16) {
		octets16 c = octets16_at(s.ptr + i);

		if (octets16_bits((octets16)(((c < ' ') & ((c < 7) | (c > 13)) & (c != 27)) |
					     (c == 0x7f))) != 0)
			return true;
	}
#endif
	for (; i < s.len; i++) {
		if (is_odd(s.ptr[i]))
			return true;
	}
	return false;
}

/* One to three octets that begin a letter of more. */
static bool
is_cut_letter(struct slice s)
{
	static const unsigned char fills[] = {0x80, 0xa0};
	unsigned char b[4];
	size_t i, n;

	for (i = 0; i < sizeof fills; i++) {
		memset(b, 0x80, sizeof b);
		memcpy(b, s.ptr, s.len);
		b[s.len] = fills[i];
		for (n = s.len + 1; n <= sizeof b; n++) {
			if (uni_valid(slice_of(b, n)))
				return true;
		}
	}
	return false;
}

/* Whether libmagic, asked without its table, calls them plain text: UTF-8 without controls that no text has, cut off after any octet. It takes memory of
 * four times as much to find that out. False: it is to be asked. */
static bool
is_plain_text(struct slice s)
{
	size_t back;

	if (s.len < PLAIN_MIN || has_odd(s))
		return false;
	for (back = 1; back <= 3 && s.len == LOOK_MAX && s.ptr[s.len - back] >= 0x80; back++) {
		if (s.ptr[s.len - back] >= 0xc0 && is_cut_letter(slice_from(s, s.len - back)))
			return uni_valid(slice_sub(s, 0, s.len - back));
	}
	return uni_valid(s);
}

const char *
scan_magic(struct slice bytes, bool shown_text)
{
	const char *text;

	if (cookie == NULL || bytes.len == 0)
		return "";
	if (shown_text && is_plain_text(slice_sub(bytes, 0, LOOK_MAX)))
		return "text/plain";
	magic_setflags(cookie, shown_text ? FLAGS | MAGIC_NO_CHECK_SOFT : FLAGS);
	text = magic_buffer(cookie, bytes.ptr, bytes.len < LOOK_MAX ? bytes.len : LOOK_MAX);
	return text != NULL ? text : "";
}
