/* charset.h: charsets of mail to UTF-8 beyond hdr.h's charset_to_utf8. charset.c is the only includer of <iconv.h>. */
#ifndef CV_CHARSET_H
#define CV_CHARSET_H

/* Loads every converter this process will ever use and keeps it: to be called before role_enter, since glibc
 * finds converters in files and the sandbox has none. Without it, a charset first seen later counts as unknown. */
void charset_preload(void);

#endif
