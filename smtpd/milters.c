/* milters.c: the configured milters one after the other. Runs in smtpd-session. Invariant: a later milter sees what the
 * earlier ones made of the message; the first refusal ends the step. */
#include "config.h"

#include "smtpd/milters.h"

#include "lib/log.h"

#include <stdlib.h>

struct milters {
	struct milter **m;
	size_t n, at;
	bool default_accept;
	enum milters_stage stage;
	const struct milter_env *env;
	const char *rcpt;
	struct milter_changes *ch;
	milter_fn fn;
	void *arg;
};

struct milters *
milters_new(struct milter_conf *const *confs, size_t n, bool default_accept)
{
	struct milters *ms = xcalloc(1, sizeof(*ms));

	ms->m = xcalloc(n, sizeof(*ms->m));
	ms->n = n;
	ms->default_accept = default_accept;
	for (size_t i = 0; i < n; i++)
		ms->m[i] = milter_new(confs[i]);
	return ms;
}

void
milters_free(struct milters *ms)
{
	if (ms == NULL)
		return;
	for (size_t i = 0; i < ms->n; i++)
		milter_free(ms->m[i]);
	free(ms->m);
	free(ms);
}

static void on_verdict(void *arg, const struct milter_verdict *v);

static bool
ask(struct milters *ms, struct milter *m)
{
	switch (ms->stage) {
	case MILTERS_MAIL:
		return milter_mail(m, ms->env, on_verdict, ms);
	case MILTERS_RCPT:
		return milter_rcpt(m, ms->env, ms->rcpt, on_verdict, ms);
	case MILTERS_DATA:
		return milter_data(m, ms->env, on_verdict, ms);
	default:
		return milter_message(m, ms->env, ms->ch, on_verdict, ms);
	}
}

/* True when all are through. */
static bool
go_on(struct milters *ms)
{
	static const struct milter_verdict yes = {.kind = MILTER_CONTINUE};

	while (ms->at < ms->n)
		if (!ask(ms, ms->m[ms->at++]))
			return false;
	ms->fn(ms->arg, &yes);
	return true;
}

static void
on_verdict(void *arg, const struct milter_verdict *v)
{
	struct milters *ms = arg;
	struct milter_verdict own = *v;

	if (v->kind == MILTER_FAILED) {
		own.kind = ms->default_accept ? MILTER_CONTINUE : MILTER_TEMPFAIL;
		own.code = 0;
		own.text = "";
	}
	if (own.kind == MILTER_CONTINUE)
		go_on(ms);
	else
		ms->fn(ms->arg, &own);
}

bool
milters_run(struct milters *ms, enum milters_stage stage, const struct milter_env *env,
    const char *rcpt, struct milter_changes *ch, milter_fn fn, void *arg)
{
	ms->stage = stage;
	ms->env = env;
	ms->rcpt = rcpt;
	ms->ch = ch;
	ms->fn = fn;
	ms->arg = arg;
	ms->at = 0;
	return go_on(ms);
}

void
milters_abort(struct milters *ms)
{
	for (size_t i = 0; i < ms->n; i++)
		milter_abort(ms->m[i]);
}
