/* cmd_idle.c: IDLE. Runs in imapd-session. RFC 2177. News go out as they come; a keep-alive every imap_idle_keepalive_s seconds keeps NAT
 * open and finds peers that are gone. Commands behind DONE in the same packet are run. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"

static void idle_synced(struct client *c);

struct idle {
	bool again; /* something changed while news were on their way */
};

static void
idle_look(struct cmd *m)
{
	struct client *c = m->c;
	struct idle *st = m->state;
	if (c->sel == NULL || c->closing)
		return;
	if (c->syncing)
		st->again = true;
	else
		sync_run(c, false, true, idle_synced);
}

static void
idle_synced(struct client *c)
{
	struct cmd *m = c->cmd;
	struct idle *st = m->state;
	if (st->again) {
		st->again = false;
		idle_look(m);
	}
}

static void
idle_alive(struct cmd *m)
{
	client_printf(m->c, "* OK Still here\r\n");
	loop_timer_set(m->c->timer, m->c->d->keepalive_s * 1000);
	/* What could not be read a while ago is looked at again. */
	idle_look(m);
}

static void
idle_line(struct cmd *m, struct slice line)
{
	m->on_line = NULL;
	if (slice_caseeq_str(line, "DONE"))
		cmd_ok(m, "IDLE is over");
	else
		cmd_bad(m, "DONE was expected");
}

void
cmd_idle(struct cmd *m)
{
	struct idle *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	m->state = st;
	m->on_line = idle_line;
	m->on_event = idle_look;
	m->on_timer = idle_alive;
	imap_parse_want_line(&m->c->parse, 64);
	loop_timer_set(m->c->timer, m->c->d->keepalive_s * 1000);
	client_printf(m->c, "+ Idling\r\n");
	idle_look(m);
}
