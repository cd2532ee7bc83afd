/* ipc.c: frames, their check against the protocol's table, and channels (socket, input, output queue). Runs in
 * every role. Invariants: nothing of a frame is believed before its row of the table allowed it; input held is
 * at most one frame and one read; a descriptor is owned by exactly one of the channel, the frame given out, and
 * the kernel; descriptors that no frame claims end the connection. */
#include "config.h"

#include "lib/ipc_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/log.h"

static const struct ipc_rule rule_hello = {IPC_HELLO, "HELLO", ~0u, ~0u, 256, 0};
static const struct ipc_rule rule_ok = {IPC_OK, "OK", 0, ~0u, IPC_OK_MAX, 0};
static const struct ipc_rule rule_err = {IPC_ERR, "ERR", 0, ~0u, IPC_ERR_MAX, 0};

const struct ipc_rule *
ipc_rule_find(const struct ipc_proto *p, uint16_t type)
{
	if (type == IPC_HELLO)
		return &rule_hello;
	if (type == IPC_OK)
		return &rule_ok;
	if (type == IPC_ERR)
		return &rule_err;
	for (size_t i = 0; i < p->n_rules; i++)
		if (p->rules[i].type == type)
			return &p->rules[i];
	return NULL;
}

static bool
rule_is_for(const struct ipc_rule *rule, uint32_t from, bool from_server)
{
	if (rule == &rule_ok || rule == &rule_err)
		return from_server;
	return (rule->from & from) != 0;
}

static size_t
rule_max(const struct ipc_rule *rule)
{
	return rule->max_len < IPC_FRAME_MAX ? rule->max_len : IPC_FRAME_MAX;
}

int
ipc_may_send(
    const struct ipc_proto *p, uint32_t from, bool from_server, uint16_t type, size_t len, int fd)
{
	const struct ipc_rule *rule = ipc_rule_find(p, type);

	if (rule == NULL || type == IPC_HELLO || !rule_is_for(rule, from, from_server))
		return ERR_DENIED;
	if ((fd >= 0 && rule->fds == 0) || (fd < 0 && rule->fds == 2))
		return ERR_DENIED;
	return len > rule_max(rule) ? ERR_LIMIT : 0;
}

static uint32_t
be32(const unsigned char *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* The header against the table: NULL or what is wrong with it. */
static const char *
frame_refused(const struct ipc_view *v, const struct ipc_frame *f, uint32_t length)
{
	const struct ipc_rule *rule = ipc_rule_find(v->proto, f->type);
	bool with_fd = (f->flags & IPC_FLAG_FD) != 0;

	if (length < IPC_HEADER - 4)
		return "frame too short";
	if ((f->flags & ~IPC_FLAG_FD) != 0)
		return "unknown flags";
	if (v->hello_seen != (f->type != IPC_HELLO))
		return v->hello_seen ? "second hello" : "no hello";
	if (rule == NULL)
		return "unknown message";
	if (!rule_is_for(rule, v->from, v->from_server))
		return "not permitted to this role";
	if ((rule->states & v->state) == 0)
		return "not permitted in this state";
	if (length - (IPC_HEADER - 4) > rule_max(rule))
		return "payload too large";
	if ((with_fd && rule->fds == 0) || (!with_fd && rule->fds == 2))
		return with_fd ? "descriptor not permitted" : "descriptor missing";
	if ((f->type == IPC_HELLO) != (f->id == 0) && (f->type <= IPC_ERR))
		return "wrong request id";
	return NULL;
}

int
ipc_frame_parse(
    const struct ipc_view *v, struct slice in, struct ipc_frame *f, const char **why_out)
{
	uint32_t length;
	const char *why;

	f->fd = -1;
	f->size = IPC_HEADER;
	if (in.len < IPC_HEADER)
		return ERR_AGAIN;
	length = be32(in.ptr);
	f->type = (uint16_t)(in.ptr[4] << 8 | in.ptr[5]);
	f->flags = (uint16_t)(in.ptr[6] << 8 | in.ptr[7]);
	f->id = be32(in.ptr + 8);
	why = frame_refused(v, f, length);
	if (why != NULL) {
		*why_out = why;
		return ERR_PROTO;
	}
	f->size = (size_t)length + 4;
	if (in.len < f->size)
		return ERR_AGAIN;
	f->payload = slice_sub(in, IPC_HEADER, f->size - IPC_HEADER);
	return 0;
}

bool
ipc_hello_is_good(const struct ipc_proto *p, uint32_t role, struct slice payload)
{
	struct ipc_reader r;
	struct slice name;
	uint32_t version, sender;

	ipc_reader_init(&r, payload);
	name = ipc_get_slice(&r);
	version = ipc_get_u32(&r);
	sender = ipc_get_u32(&r);
	return ipc_reader_end(&r) == 0 && slice_eq_str(name, p->name) && version == p->version &&
	       sender == role;
}

void
ipc_chan_init(struct ipc_chan *ch, int fd)
{
	memset(ch, 0, sizeof(*ch));
	ch->fd = fd;
	buf_init(&ch->in, IPC_HEADER + IPC_FRAME_MAX + IPC_READ_CHUNK);
	TAILQ_INIT(&ch->out);
}

static void
out_drop(struct ipc_chan *ch, struct ipc_out *o)
{
	TAILQ_REMOVE(&ch->out, o, link);
	if (o->fd >= 0)
		close(o->fd);
	buf_done(&o->b);
	free(o);
}

void
ipc_chan_done(struct ipc_chan *ch)
{
	struct ipc_out *o;

	while ((o = TAILQ_FIRST(&ch->out)) != NULL)
		out_drop(ch, o);
	ch->out_len = 0;
	for (size_t i = 0; i < ch->n_fds; i++)
		close(ch->fds[i]);
	ch->n_fds = 0;
	buf_done(&ch->in);
	ch->in_off = 0;
	if (ch->fd >= 0)
		close(ch->fd);
	ch->fd = -1;
}

int
ipc_chan_put(struct ipc_chan *ch, uint16_t type, uint32_t id, const struct buf *payload, int fd)
{
	struct ipc_out *o = TAILQ_LAST(&ch->out, ipc_outs);
	size_t n = payload != NULL ? payload->len : 0;

	/* Small frames share a write; a descriptor must be at the first byte of its own. */
	if (o == NULL || fd >= 0 || o->b.len + n > IPC_READ_CHUNK) {
		o = xcalloc(1, sizeof(*o));
		o->fd = fd;
		buf_init(&o->b, 2 * (IPC_HEADER + IPC_FRAME_MAX));
		TAILQ_INSERT_TAIL(&ch->out, o, link);
	}
	buf_append_u32(&o->b, (uint32_t)(IPC_HEADER - 4 + n));
	buf_append_u16(&o->b, type);
	buf_append_u16(&o->b, fd >= 0 ? IPC_FLAG_FD : 0);
	buf_append_u32(&o->b, id);
	if (n > 0)
		buf_append(&o->b, payload->data, n);
	if (o->b.err != 0)
		fatal("ipc: no memory for a frame of %zu bytes", n);
	ch->out_len += IPC_HEADER + n;
	return 0;
}

int
ipc_chan_put_hello(struct ipc_chan *ch, const struct ipc_proto *p, uint32_t self)
{
	struct buf b;
	int rc;

	buf_init(&b, rule_hello.max_len);
	ipc_put_str(&b, p->name);
	ipc_put_u32(&b, p->version);
	ipc_put_u32(&b, self);
	rc = ipc_chan_put(ch, IPC_HELLO, 0, &b, -1);
	buf_done(&b);
	return rc;
}

/* One sendmsg of the first entry: bytes taken, or -1. */
static ssize_t
send_some(int sock, struct ipc_out *o)
{
	union {
		char space[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov = {o->b.data + o->off, o->b.len - o->off};
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};

	if (o->fd >= 0) {
		struct cmsghdr *c;

		memset(&ctl, 0, sizeof(ctl));
		m.msg_control = ctl.space;
		m.msg_controllen = sizeof(ctl.space);
		c = CMSG_FIRSTHDR(&m);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &o->fd, sizeof(int));
	}
	return sendmsg(sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
}

int
ipc_chan_flush(struct ipc_chan *ch)
{
	struct ipc_out *o;

	while ((o = TAILQ_FIRST(&ch->out)) != NULL) {
		ssize_t n = send_some(ch->fd, o);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN || errno == EWOULDBLOCK ? ERR_AGAIN : ERR_CLOSED;
		if (o->fd >= 0) {
			close(o->fd); /* the kernel has it now */
			o->fd = -1;
		}
		o->off += (size_t)n;
		ch->out_len -= (size_t)n;
		if (o->off == o->b.len)
			out_drop(ch, o);
	}
	return 0;
}

/* Takes the descriptors of a message into the channel. All are taken before any is judged. */
static int
take_fds(struct ipc_chan *ch, struct msghdr *m)
{
	int rc = (m->msg_flags & MSG_CTRUNC) != 0 ? ERR_PROTO : 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
		size_t n;

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(int), sizeof(int));
			if (ch->n_fds < IPC_FDS_PENDING && i == 0) {
				ch->fds[ch->n_fds++] = fd;
			} else {
				close(fd);
				rc = ERR_PROTO;
			}
		}
	}
	if (rc != 0)
		ch->why = "too many descriptors";
	return rc;
}

int
ipc_chan_fill(struct ipc_chan *ch)
{
	union {
		char space[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} ctl;
	struct iovec iov;
	struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;
	int rc;

	buf_consume(&ch->in, ch->in_off);
	ch->in_off = 0;
	iov.iov_base = buf_reserve(&ch->in, IPC_READ_CHUNK);
	iov.iov_len = IPC_READ_CHUNK;
	if (iov.iov_base == NULL)
		return ch->in.err;
	m.msg_control = ctl.space;
	m.msg_controllen = sizeof(ctl.space);
	do
		n = recvmsg(ch->fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
		if (ch->in.len == 0)
			buf_done(&ch->in); /* an idle connection holds no memory */
		return ERR_AGAIN;
	}
	if (n < 0)
		return errno == ECONNRESET ? ERR_EOF : ERR_IO;
	rc = take_fds(ch, &m);
	if (rc == 0 && n == 0)
		rc = ERR_EOF;
	buf_commit(&ch->in, (size_t)n);
	return rc;
}

int
ipc_chan_next(struct ipc_chan *ch, const struct ipc_view *v, struct ipc_frame *f)
{
	struct slice rest = slice_from(buf_slice(&ch->in), ch->in_off);
	int rc = ipc_frame_parse(v, rest, f, &ch->why);

	if (rc == ERR_AGAIN && rest.len == 0 && ch->n_fds > 0) {
		ch->why = "descriptor without a frame";
		return ERR_PROTO;
	}
	if (rc != 0)
		return rc;
	if ((f->flags & IPC_FLAG_FD) != 0) {
		if (ch->n_fds == 0) {
			ch->why = "descriptor announced but not sent";
			return ERR_PROTO;
		}
		f->fd = ch->fds[0];
		ch->n_fds--;
		memmove(ch->fds, ch->fds + 1, ch->n_fds * sizeof(ch->fds[0]));
	}
	ch->in_off += f->size;
	return 0;
}

int
ipc_connect(const char *path, bool nonblock)
{
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = strlen(path);
	int fd, saved;

	if (n >= sizeof(sa.sun_path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(sa.sun_path, path, n + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (nonblock ? SOCK_NONBLOCK : 0), 0);
	if (fd < 0)
		return -1;
	if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0) {
		saved = errno;
		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}
