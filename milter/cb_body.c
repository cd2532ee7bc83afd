/* cb_body.c: the body's bytes, exactly as they came, behind the header in the message's file. Runs in milter's threads. */
#include "config.h"

#include "milter/milter_priv.h"

#include "lib/err.h"

static void
put(struct msg *m, const void *p, size_t n)
{
	if (m->err == 0 && m->file.size + n > milter_settings.size_max)
		m->err = ERR_LIMIT;
	if (m->err == 0)
		m->err = msg_file_put(&m->file, p, n);
}

/* n 0: only the header is put down (a message without body). */
void
cb_body(struct session *s, const unsigned char *p, size_t n)
{
	struct msg *m = s->msg;

	if (m == NULL)
		return;
	if (!m->has_body) {
		m->has_body = true;
		put(m, m->header.data, m->header.len);
		put(m, "\r\n", 2);
	}
	put(m, p, n);
}
