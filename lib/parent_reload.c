/* parent_reload.c: SIGHUP to a parent: the configuration, certificates and keys are read again by new processes of the roles. Runs
 * in the parents. Invariants: a configuration that is wrong changes nothing; no port closes; a process that serves is
 * told to leave when its successor is up, and stays when that one fails. */
#include "config.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sysexits.h>

#include "lib/err.h"
#include "lib/log.h"
#include "lib/notify.h"
#include "lib/parent_priv.h"

#define COMING_MS 20000 /* a successor that is not up by then never will be */
#define RESTART_MS 5000 /* for one that is restarted to end by itself */
#define GOING_MAX 128   /* then the oldest must end at once */

/* ---- what a reload cannot change ---- */

static bool
is_same(const struct conf *a, const struct conf *b, const struct conf_option *o)
{
	bool same = true;

	if (o->type == CONF_INT)
		return conf_int(a, o->name) == conf_int(b, o->name);
	if (o->type == CONF_BOOL)
		return conf_bool(a, o->name) == conf_bool(b, o->name);
	if (o->type != CONF_LIST)
		return strcmp(conf_str(a, o->name), conf_str(b, o->name)) == 0;
	same = conf_list_len(a, o->name) == conf_list_len(b, o->name);
	for (size_t i = 0; same && i < conf_list_len(a, o->name); i++)
		same = strcmp(conf_list_item(a, o->name, i), conf_list_item(b, o->name, i)) == 0;
	return same;
}

static bool
is_named(const char *a, const char *b)
{
	return a != NULL && strcmp(a, b) == 0;
}

/* Ports, users, numbers of processes and folders are the parent's own, taken at its start; others a role that stays took then. */
static bool
is_of_the_start(const struct parent_spec *spec, const char *option)
{
	bool found = strcmp(option, "run_dir") == 0 || strcmp(option, "libexec_dir") == 0;

	for (size_t i = 0; i < spec->n_sockets && !found; i++)
		found = is_named(spec->sockets[i].option, option) ||
			is_named(spec->sockets[i].peer_user, option);
	for (size_t i = 0; i < spec->n_roles && !found; i++)
		found = is_named(spec->roles[i].user_option, option) ||
			is_named(spec->roles[i].count_option, option) ||
			is_named(spec->roles[i].dir_option, option);
	for (size_t i = 0; i < spec->n_roles && !found; i++)
		for (const char *const *o = spec->roles[i].options;
		     o != NULL && *o != NULL && !found; o++)
			found = is_named(*o, option);
	return found;
}

const char *
parent_needs_restart(const struct parent *p, size_t *at_io)
{
	size_t n;
	const struct conf_option *o = conf_options(&n);

	while (p->fresh != NULL && *at_io < n) {
		const struct conf_option *this = &o[(*at_io)++];

		if (is_of_the_start(p->spec, this->name) && !is_same(p->conf, p->fresh, this))
			return this->name;
	}
	return NULL;
}

static void
tell_what_needs_a_restart(const struct parent *p, const struct conf *fresh)
{
	size_t n;
	const struct conf_option *o = conf_options(&n);

	for (size_t i = 0; i < n; i++)
		if (is_of_the_start(p->spec, o[i].name) && !is_same(p->conf, fresh, &o[i]))
			log_msg(LOG_LVL_WARN, "reload",
			    "%s was changed: that takes a restart of %s, a reload does not do it",
			    o[i].name, p->spec->program);
}

/* ---- processes that come and go ---- */

static void
child_free(struct child *c)
{
	if (c == NULL)
		return;
	parent_child_done(c);
	free(c);
}

static void
start_successor(struct parent *p, struct child *c)
{
	if (c->coming != NULL) { /* of a reload before this one: it read the old files, maybe */
		c->coming->planned = true;
		kill(c->coming->pid, SIGTERM);
		p->going = xrealloc(p->going, (p->n_going + 1) * sizeof(*p->going));
		p->going[p->n_going++] = c->coming;
	}
	c->coming = xcalloc(1, sizeof(*c->coming));
	*c->coming = (struct child){
	    .role = c->role, .index = c->index, .page_fd = -1, .last_bad_syscall = -1};
	parent_child_start(p, c->coming, true);
	if (c->coming->pid == 0) {
		log_msg(LOG_LVL_ERROR, "reload", "%s/%u stays as it was", c->role->name, c->index);
		p->reload_failed = true;
		child_free(c->coming);
		c->coming = NULL;
	}
}

/* The successor is up: it takes the place, and the one that served leaves when its clients are served. */
static void
hand_over(struct parent *p, struct child *c)
{
	struct child *fresh = c->coming, *old = xcalloc(1, sizeof(*old));

	*old = *c;
	old->coming = NULL;
	old->planned = true;
	c->coming = NULL;
	c->pid = fresh->pid;
	c->page = fresh->page;
	c->page_fd = fresh->page_fd;
	c->started_ms = fresh->started_ms;
	c->started = fresh->started;
	c->start_at_ms = 0;
	free(fresh);
	if (old->pid == 0) { /* it died while we waited */
		child_free(old);
		return;
	}
	kill(old->pid, SIGHUP);
	p->going = xrealloc(p->going, (p->n_going + 1) * sizeof(*p->going));
	p->going[p->n_going++] = old;
	if (p->n_going > GOING_MAX)
		kill(p->going[p->n_going - GOING_MAX - 1]->pid, SIGTERM);
}

/* One process after the other: each is told to end, and the next waits until it is up again. Returns whether c is done. */
static bool
restart_step(struct parent *p, struct child *c)
{
	uint64_t now = parent_now_ms();

	if (p->restart_kill_ms == 0) { /* its turn begins */
		p->restart_kill_ms = now + RESTART_MS;
		c->planned = c->pid > 0;
		if (c->pid > 0)
			kill(c->pid, SIGTERM);
		return false;
	}
	if (!c->planned && c->pid > 0 && c->page->sandbox != 0)
		return true;
	if (now < p->restart_kill_ms)
		return false;
	if (!c->planned || c->pid == 0) { /* it does not come up; its back-off goes on */
		p->reload_failed = true;
		return true;
	}
	kill(c->pid, SIGKILL);
	p->restart_kill_ms = now + RESTART_MS;
	return false;
}

/* All processes of a role at once. Returns whether all of them are done. */
static bool
replace_step(struct parent *p, const struct parent_role *role)
{
	bool done = true;

	for (size_t i = 0; i < p->n_children; i++) {
		struct child *c = &p->children[i];

		if (c->role != role)
			continue;
		if (!p->role_begun)
			start_successor(p, c);
		else if (c->coming != NULL && c->coming->page->sandbox != 0)
			hand_over(p, c);
		else if (c->coming != NULL && parent_now_ms() - c->coming->started_ms > COMING_MS)
			kill(c->coming->pid, SIGKILL); /* told when it is reaped */
		done = done && c->coming == NULL;
	}
	p->role_begun = true;
	return done;
}

/* Role after role, in the order of the table: whom a role asks is replaced before it. Returns whether all is done. */
static bool
reload_step(struct parent *p)
{
	while (p->reload_at < p->n_children) {
		struct child *c = &p->children[p->reload_at];
		bool done = !c->role->expendable;

		if (!done && c->role->replaceable)
			done = c->index > 0 || replace_step(p, c->role);
		else if (!done)
			done = restart_step(p, c);
		if (!done)
			return false;
		p->reload_at++;
		p->role_begun = false;
		p->restart_kill_ms = 0;
	}
	return true;
}

/* ---- for parent.c ---- */

void
parent_reload_begin(struct parent *p)
{
	struct conf *fresh = NULL;
	char *why = NULL;

	if (p->stopping || p->recycling)
		return;
	(void)notify_reloading();
	if (conf_load(conf_file(p->conf), &fresh, &why) != 0) {
		log_msg(LOG_LVL_ERROR, "reload", "nothing is changed: %s", why);
		free(why);
		p->reloads++;
		p->reload_failed = true;
		(void)notify_send("READY=1\nSTATUS=up; the last reload failed: configuration");
		return;
	}
	log_msg(LOG_LVL_INFO, "reload", "%s: configuration and certificates are read again",
	    p->spec->program);
	tell_what_needs_a_restart(p, fresh);
	conf_free(p->fresh);
	p->fresh = fresh;
	p->reloading = true;
	p->reload_failed = false;
	p->reload_at = 0;
	p->role_begun = false;
	p->restart_kill_ms = 0;
}

static bool
all_up(const struct parent *p)
{
	for (size_t i = 0; i < p->n_children; i++)
		if (p->children[i].pid <= 0 || p->children[i].page->sandbox == 0)
			return false;
	return true;
}

void
parent_reload_step(struct parent *p)
{
	if (!p->told_ready && all_up(p)) {
		p->told_ready = true;
		(void)notify_send("READY=1\nSTATUS=up");
	}
	if (!p->reloading || !reload_step(p))
		return;
	p->reloading = false;
	p->reloads++;
	log_msg(LOG_LVL_INFO, "reload", "%s: reloaded; %zu processes serve their last clients",
	    p->spec->program, p->n_going);
	(void)notify_send("READY=1\nSTATUS=up, reloaded");
}

static void
log_failed_successor(const struct child *c, int status)
{
	char how[48];

	log_msg(LOG_LVL_ERROR, "reload",
	    "%s/%u: the new process ended (%s); the one that serves stays as it was: see the lines "
	    "above, and congvu check",
	    c->role->name, c->index, proc_status_text(status, how, sizeof(how)));
}

bool
parent_reload_ended(struct parent *p, pid_t pid, int status)
{
	for (size_t i = 0; i < p->n_children; i++) {
		struct child *c = &p->children[i];

		if (c->coming == NULL || c->coming->pid != pid)
			continue;
		if (!p->stopping && !p->recycling)
			log_failed_successor(c, status);
		p->reload_failed = true;
		child_free(c->coming);
		c->coming = NULL;
		return true;
	}
	for (size_t i = 0; i < p->n_going; i++) {
		if (p->going[i]->pid != pid)
			continue;
		log_msg(LOG_LVL_INFO, "reload",
		    "%s/%u: the process before the reload (pid %ld) ended", p->going[i]->role->name,
		    p->going[i]->index, (long)pid);
		child_free(p->going[i]);
		memmove(&p->going[i], &p->going[i + 1], (p->n_going - i - 1) * sizeof(*p->going));
		p->n_going--;
		return true;
	}
	return false;
}

void
parent_reload_signal(struct parent *p, int signo)
{
	if (p->reloading)
		p->told_ready = false; /* the service manager waits for it */
	p->reloading = false;
	for (size_t i = 0; i < p->n_children; i++)
		if (p->children[i].coming != NULL)
			kill(p->children[i].coming->pid, signo);
	for (size_t i = 0; i < p->n_going; i++)
		kill(p->going[i]->pid, signo);
}

bool
parent_reload_any(const struct parent *p)
{
	for (size_t i = 0; i < p->n_children; i++)
		if (p->children[i].coming != NULL)
			return true;
	return p->n_going > 0;
}

void
parent_reload_done(struct parent *p)
{
	for (size_t i = 0; i < p->n_children; i++)
		child_free(p->children[i].coming);
	for (size_t i = 0; i < p->n_going; i++)
		child_free(p->going[i]);
	free(p->going);
	conf_free(p->fresh);
}
