/* ctl_queue_change.c: `congvu queue show|retry|hold|release|delete`: first which messages are meant, then one after the other. Who did it is
 * in the log of smtpd-queue, with the uid that the kernel gives. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "admin/ctl_queue.h"
#include "lib/err.h"
#include "lib/log.h"

#define ASK_MS 30000
#define ADDRESSES_MAX 1000

struct meant {
	struct delivery_id id;
	char qid[QID_LEN + 1];
	char **addresses; /* of delete by recipient; none: the whole message */
	uint32_t n;
};
struct choice {
	const struct queue_filter *f;
	bool by_rcpt;
	struct meant *v;
	size_t n, alloc;
};

static void
choose(void *arg, const struct queue_row *r)
{
	struct choice *ch = arg;
	struct meant *m;

	if (ch->n == ch->alloc) {
		ch->alloc = ch->alloc == 0 ? 64 : 2 * ch->alloc;
		ch->v = xrealloc(ch->v, ch->alloc * sizeof(*ch->v));
	}
	m = &ch->v[ch->n++];
	*m = (struct meant){.id = r->id};
	memcpy(m->qid, r->qid, sizeof(m->qid));
	if (!ch->by_rcpt)
		return;
	m->addresses = xcalloc(r->env.n_rcpts + 1, sizeof(char *));
	for (uint32_t i = 0; i < r->env.n_rcpts && m->n < ADDRESSES_MAX; i++)
		if (queue_filter_takes_rcpt(ch->f, r->env.rcpts[i].address))
			m->addresses[m->n++] = xstrdup(r->env.rcpts[i].address);
}

static void
choice_done(struct choice *ch)
{
	for (size_t i = 0; i < ch->n; i++) {
		for (uint32_t k = 0; k < ch->v[i].n; k++)
			free(ch->v[i].addresses[k]);
		free(ch->v[i].addresses);
	}
	free(ch->v);
}

/* 0 not one, else the exit code. */
static int
choose_all(struct ctl *c, struct ipc_sync *s, struct choice *ch)
{
	int rc = queue_each(s, ch->f, choose, ch);

	if (rc != 0)
		return queue_fail(c, rc);
	if (ch->n == 0)
		return ctl_fail(c, EX_NOUSER, "%s", _("Nothing matches."));
	return 0;
}

/* ---- show ---- */

static void
print_header(struct slice h)
{
	for (size_t i = 0; i < h.len; i++)
		if (h.ptr[i] == '\n' || h.ptr[i] == '\t' || (h.ptr[i] >= 0x20 && h.ptr[i] != 0x7f))
			putchar(h.ptr[i]);
		else if (h.ptr[i] != '\r')
			putchar('?');
}

static int
show_one(struct ipc_sync *s, const struct meant *m, struct arena *a, struct json *list)
{
	struct buf ask, reply;
	struct ipc_reader in;
	struct queue_row row;
	uint16_t type;

	buf_init(&ask, 64);
	buf_init(&reply, IPC_FRAME_MAX);
	delivery_id_put(&ask, &m->id);
	int rc = ipc_sync_call(s, QUEUE_SHOW, &ask, -1, ASK_MS, &type, &reply, NULL);
	ipc_reader_init(&in, buf_slice(&reply));
	if (rc == 0)
		rc = queue_row_read(&in, a, &row);
	struct slice header = rc == 0 ? ipc_get_slice(&in) : slice_of(NULL, 0);
	if (rc == 0)
		rc = ipc_reader_end(&in);
	if (rc == 0 && list != NULL) {
		struct json *j = queue_row_json(&row);
		json_set_slice(j, "header", header);
		json_push_take(list, j);
	} else if (rc == 0) {
		queue_row_print(&row);
		printf("\n");
		print_header(header);
	}
	buf_done(&ask);
	buf_done(&reply);
	return rc;
}

int
queue_show(struct ctl *c, struct ipc_sync *s, const struct queue_filter *f)
{
	struct choice ch = {.f = f};
	struct json *list = c->json ? json_arr_new() : NULL;
	struct arena *a = arena_new(64u << 20);
	int code = choose_all(c, s, &ch);

	for (size_t i = 0; a != NULL && code == 0 && i < ch.n; i++) {
		int rc = show_one(s, &ch.v[i], a, list);
		arena_reset(a);
		/* delivered meanwhile */
		if (rc != 0 && rc != ERR_NOTFOUND)
			code = queue_fail(c, rc);
	}
	choice_done(&ch);
	arena_free(a);
	if (code != 0 || list == NULL) {
		json_free(list);
		return code;
	}
	return ctl_json_take(list, EX_OK);
}

/* ---- changes ---- */

static const char *
who(void)
{
	const char *name = getenv("SUDO_USER");

	if (name == NULL || *name == '\0')
		name = getlogin();
	return name == NULL ? "" : name;
}

/* 0 with 1 (done) or 2 (when its delivery ends). */
static int
change_one(struct ipc_sync *s, const struct meant *m, enum queue_action action, uint8_t *how_out)
{
	struct buf ask, reply;
	struct ipc_reader in;
	uint16_t type;

	buf_init(&ask, IPC_FRAME_MAX);
	buf_init(&reply, IPC_FRAME_MAX);
	ipc_put_u8(&ask, (uint8_t)action);
	ipc_put_str(&ask, who());
	delivery_id_put(&ask, &m->id);
	ipc_put_u32(&ask, m->n);
	for (uint32_t i = 0; i < m->n; i++)
		ipc_put_str(&ask, m->addresses[i]);
	int rc = ipc_sync_call(s, QUEUE_CHANGE, &ask, -1, ASK_MS, &type, &reply, NULL);
	ipc_reader_init(&in, buf_slice(&reply));
	if (rc == 0) {
		*how_out = ipc_get_u8(&in);
		rc = ipc_reader_end(&in);
	}
	buf_done(&ask);
	buf_done(&reply);
	return rc;
}

static const char *
result_text(int rc, uint8_t how)
{
	return rc == 0 && how == 1  ? "done"
	       : rc == 0            ? "later"
	       : rc == ERR_CONFLICT ? "conflict"
	       : rc == ERR_DENIED   ? "quarantine"
	       : rc == ERR_AGAIN    ? "busy"
				    : "gone";
}

static const char *
result_label(int rc, uint8_t how)
{
	return rc == 0 && how == 1  ? _("done")
	       : rc == 0            ? _("it is being delivered now: when that ends")
	       : rc == ERR_CONFLICT ? _("not in its state (congvu queue show)")
	       : rc == ERR_DENIED   ? _("a milter holds it: congvu quarantine release, or delete")
	       : rc == ERR_AGAIN    ? _("it is being delivered now: try again")
				    : _("it is gone");
}

int
queue_change(
    struct ctl *c, struct ipc_sync *s, const struct queue_filter *f, enum queue_action action)
{
	bool deletes = action == QUEUE_DO_DELETE || action == QUEUE_DO_BOUNCE;
	struct choice ch = {.f = f, .by_rcpt = deletes && (f->to != NULL || f->domain != NULL)};
	struct json *list = c->json ? json_arr_new() : NULL;
	int code = choose_all(c, s, &ch), worst = EX_OK;

	for (size_t i = 0; code == 0 && i < ch.n; i++) {
		uint8_t how = 0;
		int rc = change_one(s, &ch.v[i], action, &how);
		if (rc != 0 && rc != ERR_CONFLICT && rc != ERR_AGAIN && rc != ERR_NOTFOUND &&
		    rc != ERR_DENIED)
			code = queue_fail(c, rc);
		else if (rc == ERR_CONFLICT || rc == ERR_AGAIN || rc == ERR_DENIED)
			worst = ctl_exit_code(rc);
		if (code == 0 && list != NULL) {
			struct json *j = json_obj_new();
			json_set_str(j, "qid", ch.v[i].qid);
			json_set_str(j, "result", result_text(rc, how));
			json_push_take(list, j);
		} else if (code == 0) {
			printf("%s  %s\n", ch.v[i].qid, result_label(rc, how));
		}
	}
	choice_done(&ch);
	if (code != 0 || list == NULL) {
		json_free(list);
		return code != 0 ? code : worst;
	}
	return ctl_json_take(list, worst);
}
