/* parent_status.c: run/<program>.status, JSON, for `congvu status` and for tests. Runs in the parents. Written
 * whole to a temporary name and renamed, only when it changed; a reader never sees half a file. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/log.h"
#include "lib/parent_priv.h"
#include "lib/role.h"
#include "lib/sandbox.h"

static const char *
sandbox_text(const struct child *c)
{
	switch (c->pid > 0 && c->page != NULL ? c->page->sandbox : 0) {
	case SANDBOX_WHOLE:
		return "whole";
	case SANDBOX_PARTIAL:
		return "partial";
	case SANDBOX_NONE:
		return "none";
	default:
		return "pending";
	}
}

static void
put_child(struct buf *b, const struct parent *p, const struct child *c, bool is_going)
{
	bool first = true;

	buf_appendf(b,
	    "    {\"role\": \"%s\", \"index\": %u, \"pid\": %ld, \"uid\": %ld, \"user\": \"%s\", ",
	    c->role->name, c->index, (long)c->pid, c->pid > 0 ? (long)c->page->uid : -1L,
	    p->root && c->role->user_option != NULL ? conf_str(p->conf, c->role->user_option)
						    : "-");
	buf_appendf(b,
	    "\"since\": %lld, \"restarts\": %u, \"expendable\": %s, \"sandbox\": \"%s\", ",
	    (long long)c->started, c->restarts, c->role->expendable ? "true" : "false",
	    sandbox_text(c));
	if (is_going) /* replaced by a reload: it serves its last clients */
		buf_append_str(b, "\"leaving\": true, ");
	if (c->last_exit[0] != '\0')
		buf_appendf(b, "\"last_exit\": \"%s\", ", c->last_exit);
	else
		buf_append_str(b, "\"last_exit\": null, ");
	if (c->last_bad_syscall >= 0)
		buf_appendf(b, "\"last_forbidden_syscall\": %d, ", c->last_bad_syscall);
	buf_append_str(b, "\"stats\": {");
	for (unsigned i = 0; i < PROC_STATS && c->pid > 0; i++) {
		const char *name = role_stat_name(c->role->name, i);

		if (name == NULL)
			continue;
		buf_appendf(b, "%s\"%s\": %llu", first ? "" : ", ", name,
		    (unsigned long long)c->page->stats[i]);
		first = false;
	}
	buf_append_str(b, "}}");
}

static void
put_sockets(struct buf *b, const struct parent *p)
{
	bool first = true;

	for (size_t i = 0; i < p->spec->n_sockets; i++) {
		const struct parent_socket *s = &p->spec->sockets[i];

		if (p->sockets[i] < 0)
			continue;
		buf_appendf(b, "%s\n    {\"name\": \"%s\", \"address\": \"%s\"}", first ? "" : ",",
		    s->name, s->option != NULL ? conf_str(p->conf, s->option) : s->unix_path);
		first = false;
	}
}

static const char *
program_state(const struct parent *p)
{
	if (p->stopping)
		return "stopping";
	if (p->recycling)
		return "restarting";
	for (size_t i = 0; i < p->n_children; i++)
		if (p->children[i].pid <= 0 || p->children[i].page->sandbox == 0)
			return "starting";
	return "up";
}

static void
write_file(const struct parent *p, const struct buf *b)
{
	char tmp[80], name[80];
	int fd;
	bool ok;

	snprintf(name, sizeof(name), "%s.status", p->spec->program);
	snprintf(tmp, sizeof(tmp), ".%s.status.new", p->spec->program);
	fd = openat(p->run_fd, tmp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
	ok = fd >= 0 && write(fd, b->data, b->len) == (ssize_t)b->len;
	if (fd >= 0)
		close(fd);
	if (!ok || renameat(p->run_fd, tmp, p->run_fd, name) != 0)
		log_msg(LOG_LVL_ERROR, "status", "%s/%s cannot be written: %m", p->run_dir, name);
}

void
parent_status_write(struct parent *p)
{
	const char *name;
	struct buf b;
	size_t len, at = 0;

	buf_init(&b, 1 << 20);
	buf_appendf(&b,
	    "{\n  \"program\": \"%s\", \"pid\": %ld, \"state\": \"%s\", \"started\": %lld, "
	    "\"restarts\": %u,\n  "
	    "\"reloads\": %u, \"reload_failed\": %s,\n  "
	    "\"roles\": [\n",
	    p->spec->program, (long)getpid(), program_state(p), (long long)p->started, p->restarts,
	    p->reloads, p->reload_failed ? "true" : "false");
	for (size_t i = 0; i < p->n_children; i++) {
		put_child(&b, p, &p->children[i], false);
		buf_append_str(&b, i + 1 < p->n_children || p->n_going > 0 ? ",\n" : "\n");
	}
	for (size_t i = 0; i < p->n_going; i++) {
		put_child(&b, p, p->going[i], true);
		buf_append_str(&b, i + 1 < p->n_going ? ",\n" : "\n");
	}
	buf_append_str(&b, "  ],\n  \"sockets\": [");
	put_sockets(&b, p);
	buf_append_str(&b, "\n  ],\n  \"needs_restart\": [");
	for (bool first = true; (name = parent_needs_restart(p, &at)) != NULL; first = false)
		buf_appendf(&b, "%s\"%s\"", first ? "" : ", ", name);
	buf_append_str(&b, "]\n}\n");
	if (b.err == 0 && (p->last_status == NULL || strcmp(p->last_status, buf_cstr(&b)) != 0)) {
		write_file(p, &b);
		free(p->last_status);
		p->last_status = (char *)buf_take(&b, &len);
	}
	buf_done(&b);
}

void
parent_status_remove(struct parent *p)
{
	char name[80];

	snprintf(name, sizeof(name), "%s.status", p->spec->program);
	unlinkat(p->run_fd, name, 0);
	free(p->last_status);
	p->last_status = NULL;
}
