/* cb_body.c: the body's bytes, exactly as they came, behind the header in the message's memory file. Runs in milter's threads. */
#include "config.h"

#include "milter/milter_priv.h"

#include "lib/err.h"

#include <errno.h>
#include <unistd.h>

static void
put(struct msg *m, const unsigned char *p, size_t n)
{
	ssize_t k;

	if (m->err == 0 && m->size + n > milter_settings.size_max)
		m->err = ERR_LIMIT;
	while (n > 0 && m->err == 0) {
		k = write(m->fd, p, n);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0) {
			m->err = err_from_errno(k == 0 ? EIO : errno);
			return;
		}
		p += k;
		n -= (size_t)k;
		m->size += (uint64_t)k;
	}
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
		put(m, (const unsigned char *)"\r\n", 2);
	}
	put(m, p, n);
}
