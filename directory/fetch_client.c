/* fetch_client.c: fetch's protocol table, its messages, and its callers' side: blocking for the milter's threads, on the loop for
 * relay. It knows nothing of HTTP. */
#include "config.h"

#include "directory/fetch_client.h"

#include "lib/err.h"
#include "lib/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#define GRACE_MS 1000 /* fetch gives up first, and says why */

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "directory/fetch_proto.def"
#undef IPC_MSG
};
const struct ipc_proto fetch_proto = {"fetch", 1, IPC_FETCH, rules, sizeof rules / sizeof *rules};

void
fetch_answer_free(struct fetch_answer *a)
{
	union {
		const void *c;
		void *p;
	} u;

	if (a == NULL)
		return;
	u.c = a->body.ptr;
	free(u.p);
	free(a->content_type);
	free(a);
}

/* ---- messages ---- */

int
fetch_request_put(struct buf *b, const struct fetch_request *r)
{
	ipc_put_str(b, r->url);
	ipc_put_u8(b, r->is_post);
	ipc_put_str(b, r->content_type == NULL ? "" : r->content_type);
	ipc_put_slice(b, r->body);
	ipc_put_u32(b, r->max_bytes);
	ipc_put_u32(b, r->deadline_ms);
	ipc_put_u32(b, r->max_age_s);
	return ipc_put_u8(b, r->max_redirects);
}

/* It becomes a line of a header. */
static bool
is_type(const char *type, bool is_needed)
{
	for (const char *p = type; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			return false;
	return strlen(type) <= 256 && (*type != '\0' || !is_needed);
}

int
fetch_request_get(struct ipc_reader *r, struct fetch_request *out, char **url_out, char **type_out)
{
	struct fetch_request q = {0};
	char *url = ipc_get_strdup(r), *type;

	q.is_post = ipc_get_u8(r) != 0;
	type = ipc_get_strdup(r);
	q.body = ipc_get_slice(r);
	q.max_bytes = ipc_get_u32(r);
	q.deadline_ms = ipc_get_u32(r);
	q.max_age_s = ipc_get_u32(r);
	q.max_redirects = ipc_get_u8(r);
	q.url = url;
	q.content_type = type;
	if (ipc_reader_end(r) != 0 || url == NULL || type == NULL || q.body.len > FETCH_BODY_MAX ||
	    q.max_redirects > FETCH_REDIRECTS_MAX || !is_type(type, q.is_post)) {
		free(url);
		free(type);
		return ERR_PROTO;
	}
	if (q.deadline_ms == 0 || q.deadline_ms > FETCH_DEADLINE_MAX)
		q.deadline_ms = FETCH_DEADLINE_MAX;
	*out = q;
	*url_out = url;
	*type_out = type;
	return 0;
}

int
fetch_answer_put(struct buf *b, const struct fetch_answer *a)
{
	ipc_put_u32(b, a->status);
	ipc_put_u8(b, (uint8_t)a->from);
	ipc_put_i64(b, a->fetched);
	ipc_put_i64(b, a->expires);
	ipc_put_str(b, a->content_type == NULL ? "" : a->content_type);
	return ipc_put_u32(b, (uint32_t)a->body.len);
}

int
fetch_answer_get(struct ipc_reader *r, struct fetch_answer **out, uint32_t *len_out)
{
	struct fetch_answer *a = xcalloc(1, sizeof(*a));
	uint32_t len;

	a->status = ipc_get_u32(r);
	a->from = (enum fetch_from)ipc_get_u8(r);
	a->fetched = ipc_get_i64(r);
	a->expires = ipc_get_i64(r);
	a->content_type = ipc_get_strdup(r);
	len = ipc_get_u32(r);
	if (ipc_reader_end(r) != 0 || a->content_type == NULL || a->from > FETCH_FROM_STALE) {
		fetch_answer_free(a);
		return ERR_PROTO;
	}
	*out = a;
	*len_out = len;
	return 0;
}

/* len bytes of the memory file, no more than were asked for. fd is closed. */
static int
body_read(struct fetch_answer *a, int fd, uint32_t len, uint32_t max)
{
	unsigned char *p = NULL;
	struct stat st;
	size_t have = 0;
	int err = 0;

	if (len > 0 &&
	    (fd < 0 || (max != 0 && len > max) || fstat(fd, &st) != 0 || st.st_size != (off_t)len))
		err = ERR_PROTO;
	if (err == 0 && len > 0 && (p = malloc(len)) == NULL)
		err = ERR_NOMEM;
	while (err == 0 && have < len) {
		ssize_t n = pread(fd, p + have, len - have, (off_t)have);

		if (n > 0)
			have += (size_t)n;
		else if (n == 0 || errno != EINTR)
			err = ERR_IO;
	}
	if (fd >= 0)
		close(fd);
	if (err != 0)
		free(p);
	else
		a->body = slice_of(p, len);
	return err;
}

/* The reply of either kind of call. fd is closed. */
static int
answer_take(uint16_t type, struct ipc_reader *r, int fd, uint32_t max, struct fetch_answer **out)
{
	struct fetch_answer *a = NULL;
	uint32_t len = 0;
	int err = type == FETCH_ANSWER ? fetch_answer_get(r, &a, &len) : ERR_PROTO;

	if (err != 0) {
		if (fd >= 0)
			close(fd);
		return err;
	}
	err = body_read(a, fd, len, max);
	if (err != 0)
		fetch_answer_free(a);
	else
		*out = a;
	return err;
}

/* fetch that is not there is a temporary trouble as that of the origin. */
static int
err_told(int err)
{
	switch (err) {
	case ERR_CLOSED:
	case ERR_PROTO:
	case ERR_IO:
		return ERR_TEMP;
	default:
		return err;
	}
}

static uint32_t
deadline_of(const struct fetch_request *r)
{
	return r->deadline_ms == 0 || r->deadline_ms > FETCH_DEADLINE_MAX ? FETCH_DEADLINE_MAX
									  : r->deadline_ms;
}

static bool
is_sendable(const struct fetch_request *r)
{
	return slice_str(r->url).len <= FETCH_URL_MAX && r->body.len <= FETCH_BODY_MAX &&
	       slice_str(r->content_type).len <= 256 && r->max_redirects <= FETCH_REDIRECTS_MAX;
}

int
fetch_sync(struct ipc_sync *s, const struct fetch_request *r, struct fetch_answer **out)
{
	struct buf b, reply;
	struct ipc_reader rd;
	uint16_t type = 0;
	int err, fd = -1;

	if (!is_sendable(r))
		return ERR_SYNTAX;
	buf_init(&b, 81920);
	buf_init(&reply, IPC_FRAME_MAX);
	err = fetch_request_put(&b, r);
	if (err == 0)
		err = ipc_sync_call(
		    s, FETCH_GET, &b, -1, deadline_of(r) + GRACE_MS, &type, &reply, &fd);
	if (err == 0) {
		ipc_reader_init(&rd, buf_slice(&reply));
		err = answer_take(type, &rd, fd, r->max_bytes, out);
	}
	buf_done(&b);
	buf_done(&reply);
	return err_told(err);
}

/* ---- on the loop ---- */

struct call {
	LIST_ENTRY(call) link;
	uint32_t handle, max_bytes;
	fetch_fn fn;
	void *arg;
};
struct fetch_client {
	struct ipc_client *ipc;
	LIST_HEAD(, call) calls;
};

struct fetch_client *
fetch_client_new(struct loop *l, const char *socket, uint32_t self)
{
	struct fetch_client *c = xcalloc(1, sizeof(*c));

	LIST_INIT(&c->calls);
	c->ipc = ipc_client_new(l, socket, &fetch_proto, self, NULL, NULL);
	return c;
}

void
fetch_client_free(struct fetch_client *c)
{
	if (c == NULL)
		return;
	ipc_client_free(c->ipc); /* every call is told */
	free(c);
}

static void
on_reply(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct call *k = arg;
	struct fetch_answer *a = NULL;

	LIST_REMOVE(k, link);
	if (err == 0)
		err = answer_take(type, r, fd, k->max_bytes, &a);
	else if (fd >= 0)
		close(fd);
	k->fn(k->arg, err_told(err), a);
	fetch_answer_free(a);
	free(k);
}

int
fetch_start(struct fetch_client *c, const struct fetch_request *r, fetch_fn fn, void *arg,
    uint32_t *call_out)
{
	struct call *k;
	struct buf b;
	int err;

	if (!is_sendable(r))
		return ERR_SYNTAX;
	k = xcalloc(1, sizeof(*k));
	k->fn = fn;
	k->arg = arg;
	k->max_bytes = r->max_bytes;
	buf_init(&b, 81920);
	err = fetch_request_put(&b, r);
	if (err == 0)
		err = ipc_call(
		    c->ipc, FETCH_GET, &b, -1, deadline_of(r) + GRACE_MS, on_reply, k, &k->handle);
	buf_done(&b);
	if (err != 0) {
		free(k);
		return err;
	}
	LIST_INSERT_HEAD(&c->calls, k, link);
	if (call_out != NULL)
		*call_out = k->handle;
	return 0;
}

void
fetch_cancel(struct fetch_client *c, uint32_t call)
{
	struct call *k;

	LIST_FOREACH (k, &c->calls, link) {
		if (k->handle != call)
			continue;
		LIST_REMOVE(k, link);
		ipc_cancel(c->ipc, call);
		free(k);
		return;
	}
}
