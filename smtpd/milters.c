/* milters.c: the configured milters one after the other. Runs in smtpd-session. Invariant: a later milter sees what the
 * earlier ones made of the message; the first refusal ends the step. */
#include "config.h"

#include "smtpd/milters.h"

#include "lib/log.h"

#include <stdlib.h>

struct milters {
	struct milter **m;
	struct milter_conf **conf;
	size_t n, at;
	const char
	    *failed; /* name of one that failed and must then quarantine this message; NULL: none */
	enum milters_stage stage;
	const struct milter_env *env;
	const char *rcpt;
	struct milter_changes *ch;
	milter_fn fn;
	void *arg;
};

struct milters *
milters_new(struct milter_conf *const *confs, size_t n, enum milter_ports port)
{
	struct milters *ms = xcalloc(1, sizeof(*ms));

	ms->m = xcalloc(n + 1, sizeof(*ms->m));
	ms->conf = xcalloc(n + 1, sizeof(*ms->conf));
	for (size_t i = 0; i < n; i++) {
		if (!milter_conf_serves(confs[i], port))
			continue;
		ms->conf[ms->n] = confs[i];
		ms->m[ms->n++] = milter_new(confs[i]);
	}
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
	free(ms->conf);
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
	if (ms->stage == MILTERS_MESSAGE && ms->failed != NULL && ms->ch->quarantine == NULL)
		ms->ch->quarantine = arena_printf(ms->ch->arena, "milter %s failed", ms->failed);
	ms->fn(ms->arg, &yes);
	return true;
}

/* It could not be asked: what its row in the configuration says. */
static void
on_failure(struct milters *ms, const struct milter_conf *mc, struct milter_verdict *v)
{
	v->code = 0;
	v->text = "";
	switch (milter_conf_failure(mc)) {
	case MILTER_ON_FAILURE_QUARANTINE:
		ms->failed = milter_conf_name(mc);
		v->kind = MILTER_CONTINUE;
		break;
	case MILTER_ON_FAILURE_ACCEPT:
		v->kind = MILTER_CONTINUE;
		break;
	case MILTER_ON_FAILURE_REJECT:
		v->kind = MILTER_REJECT;
		break;
	default:
		v->kind = MILTER_TEMPFAIL;
		break;
	}
}

static void
on_verdict(void *arg, const struct milter_verdict *v)
{
	struct milters *ms = arg;
	struct milter_verdict own = *v;

	if (v->kind == MILTER_FAILED)
		on_failure(ms, ms->conf[ms->at - 1], &own);
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
	if (stage == MILTERS_MAIL)
		ms->failed = NULL;
	return go_on(ms);
}

void
milters_abort(struct milters *ms)
{
	for (size_t i = 0; i < ms->n; i++)
		milter_abort(ms->m[i]);
}
