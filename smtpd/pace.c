/* pace.c: how long a client may take. Runs in smtpd-session. A peer that drips single bytes is never idle: so a whole command must come within
 * smtp_timeout_s, a TLS handshake within smtp_tls_timeout_s, and of a message so many octets in each span of smtp_timeout_s
 * (RFC 5321 4.5.3.2 has five minutes for a command, three for a block of a message). A deadline that moves back does not
 * touch the timer: it is set anew when it fires. */
#include "config.h"

#include "smtpd/session_priv.h"

#include "lib/log.h"
#include "lib/role.h"

#include <stdlib.h>

struct pace {
	struct client *c;
	struct loop_timer *timer;
	uint64_t until_ms; /* the deadline */
	uint64_t fires_ms; /* the timer; not later than the deadline */
	uint64_t octets;   /* of a message since it was set */
};

static void
begin(struct pace *p, uint64_t ms)
{
	p->until_ms = loop_now_ms(smtpd.loop) + ms;
	p->octets = 0;
	if (p->fires_ms <= p->until_ms)
		return;
	p->fires_ms = p->until_ms;
	loop_timer_set(p->timer, ms);
}

static void
on_timer(void *arg)
{
	struct pace *p = arg;
	struct client *c = p->c;
	uint64_t now = loop_now_ms(smtpd.loop);

	p->fires_ms = UINT64_MAX;
	/* it waits for us, or is gone and its delivery goes on */
	if (c->busy || c->io == NULL) {
		begin(p, smtpd.timeout_ms);
		return;
	}
	if (now < p->until_ms) {
		p->fires_ms = p->until_ms;
		loop_timer_set(p->timer, p->until_ms - now);
		return;
	}
	if (c->closing)
		return;
	log_msg(LOG_LVL_INFO, "client_slow", "%s", c->ip);
	client_bye(c, "4.4.2", "Timeout: too slow");
}

struct pace *
pace_new(struct client *c)
{
	struct pace *p = xcalloc(1, sizeof(*p));

	p->c = c;
	p->timer = loop_timer_new(smtpd.loop, on_timer, p);
	p->fires_ms = UINT64_MAX;
	begin(p, smtpd.timeout_ms);
	return p;
}

void
pace_free(struct pace *p)
{
	if (p == NULL)
		return;
	loop_timer_free(p->timer);
	free(p);
}

void
pace_step(struct pace *p)
{
	begin(p, smtpd.timeout_ms);
}

void
pace_data(struct pace *p, size_t n)
{
	p->octets += n;
	if (n > 0 && p->octets >= smtpd.pace_octets)
		begin(p, smtpd.timeout_ms);
}

void
pace_handshake(struct pace *p)
{
	uint64_t ms = (uint64_t)conf_int(role_conf(), "smtp_tls_timeout_s") * 1000;

	p->c->handshake = true;
	begin(p, ms);
}
