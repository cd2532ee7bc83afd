/* cb_envelope.c: MAIL FROM begins a message, RCPT TO adds to it, abort forgets it (per message, at any stage). Runs in milter's
 * threads. The content goes to an unnamed memory file: the milter has no files, and milter-scan gets it as a descriptor. */
#include "config.h"

#include "milter/milter_priv.h"

#include "lib/err.h"
#include "lib/log.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ENVELOPE_CAP (8u << 20)

/* "<a@b>" as libmilter gives it, or without brackets. */
static char *
path_dup(struct arena *a, const char *p)
{
	struct slice s = slice_trim(slice_str(p));

	if (s.len >= 2 && s.ptr[0] == '<' && s.ptr[s.len - 1] == '>')
		s = slice_sub(s, 1, s.len - 2);
	return arena_slicedup(a, s);
}

void
cb_abort(struct session *s)
{
	struct msg *m = s != NULL ? s->msg : NULL;

	if (m == NULL)
		return;
	s->msg = NULL;
	msg_file_done(&m->file);
	buf_done(&m->header);
	free(m->rcpts);
	arena_free(m->arena);
	free(m);
}

int
cb_envfrom(struct session *s, const char *from, const char *login, const char *tls, const char *qid,
    const char *release)
{
	struct msg *m;

	cb_abort(s);
	m = xcalloc(1, sizeof *m);
	s->msg = m;
	buf_init(&m->header, MSG_HEADER_MAX);
	m->arena = arena_new(ENVELOPE_CAP);
	if (msg_file_new(&m->file) != 0 || m->arena == NULL)
		return ERR_NOMEM;
	m->from = path_dup(m->arena, from);
	m->login = login != NULL && login[0] != '\0' ? arena_strdup(m->arena, login) : NULL;
	m->qid = qid != NULL ? arena_strdup(m->arena, qid) : NULL;
	m->release = release != NULL && release[0] != '\0' ? arena_strdup(m->arena, release) : NULL;
	if (tls != NULL && s->tls == NULL)
		s->tls = xstrdup(tls);
	return m->from != NULL ? 0 : ERR_NOMEM;
}

int
cb_envrcpt(struct session *s, const char *rcpt)
{
	struct msg *m = s->msg;
	char **more;

	if (m == NULL || m->n_rcpts >= MSG_RCPTS_MAX)
		return m == NULL ? ERR_PROTO : ERR_LIMIT;
	if (m->n_rcpts % 64 == 0) {
		more = realloc(m->rcpts, (m->n_rcpts + 64) * sizeof *more);
		if (more == NULL)
			return ERR_NOMEM;
		m->rcpts = more;
	}
	m->rcpts[m->n_rcpts] = path_dup(m->arena, rcpt);
	if (m->rcpts[m->n_rcpts] == NULL)
		return ERR_NOMEM;
	m->n_rcpts++;
	return 0;
}
