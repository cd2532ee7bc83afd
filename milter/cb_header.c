/* cb_header.c: one header field. Runs in milter's threads. libmilter gives folding as LF and takes one leading space away; the fields are
 * put together again with CRLF and one space. That is near enough: what is signed lies in the body, whose bytes come untouched.
 * (SMFIP_HDR_LEADSPC is not asked for: libmilter forgets it when an MTA uses the connection again, so it could not be relied on.) */
#include "config.h"

#include "milter/milter_priv.h"

#include <string.h>

void
cb_header(struct session *s, const char *name, const char *value)
{
	struct msg *m = s->msg;
	const char *p;

	if (m == NULL)
		return;
	buf_append_str(&m->header, name);
	buf_append_str(&m->header, ": ");
	for (p = value; *p != '\0'; p++) {
		if (*p == '\r' && p[1] == '\n')
			continue;
		if (*p == '\n')
			buf_append_byte(&m->header, '\r');
		buf_append_byte(&m->header, (unsigned char)*p);
	}
	buf_append_str(&m->header, "\r\n");
	if (m->header.err != 0)
		m->err = m->header.err;
}
