/* clamd.c: a message to clamd by its local socket (INSTREAM: counted pieces, then a piece of length 0; clamd(8)). Runs in milter's threads. Invariants: clean
 * is only what clamd calls so by the letter; what is too large, late, broken off or not understood never is; its bytes are text to us, bounded
 * and made printable before anybody sees them. */
#include "config.h"

#include "milter/clamd.h"

#include "lib/err.h"
#include "lib/ipc.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PIECE 65536
#define PING_MS 1000
#define REPLY_MAX 1024
#define NAME_MAX_OCTETS 120

static uint64_t
now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
printable(struct slice s, struct buf *out)
{
	size_t i;

	for (i = 0; i < s.len && i < NAME_MAX_OCTETS; i++)
		buf_append_byte(out, s.ptr[i] < ' ' || s.ptr[i] >= 0x7f ? '?' : s.ptr[i]);
}

static bool
cut_end(struct slice *s, const char *end)
{
	size_t n = strlen(end);

	if (s->len < n || !slice_eq_str(slice_from(*s, s->len - n), end))
		return false;
	s->len -= n;
	return true;
}

enum clamd_answer
clamd_read(struct slice reply, struct buf *text)
{
	/* alerts of which no virus is the reason: clamd.conf(5), AlertExceedsMax, AlertEncrypted* */
	static const char *const limits[] = {"Heuristics.Limits.Exceeded", "Heuristics.Encrypted"};
	size_t i;

	if (slice_eq_str(reply, "stream: OK"))
		return CLAMD_CLEAN;
	if (slice_starts(reply, "stream: ") && cut_end(&reply, " FOUND") && reply.len > 8) {
		reply = slice_from(reply, 8);
		printable(reply, text);
		for (i = 0; i < sizeof limits / sizeof *limits; i++) {
			if (slice_starts(reply, limits[i]))
				return CLAMD_UNSCANNED;
		}
		return CLAMD_FOUND;
	}
	printable(reply, text);
	if (text->len == 0)
		buf_append_str(text, "no answer");
	return slice_starts(reply, "INSTREAM size limit exceeded") ? CLAMD_UNSCANNED : CLAMD_FAILED;
}

struct talk {
	int fd, message;
	uint64_t deadline, size, read; /* of the message */
	bool ended;                    /* the last piece is in out */
	struct buf out, reply;
	size_t sent;
};

/* The next piece with its length; the empty one at the end. */
static int
next_piece(struct talk *t)
{
	uint64_t n = t->size - t->read < PIECE ? t->size - t->read : PIECE;
	unsigned char *room;
	ssize_t got;

	buf_reset(&t->out);
	t->sent = 0;
	buf_append_u32(&t->out, (uint32_t)n);
	t->ended = n == 0;
	if (n == 0)
		return t->out.err;
	room = buf_reserve(&t->out, n);
	if (room == NULL)
		return ERR_NOMEM;
	got = pread(t->message, room, n, (off_t)t->read);
	if (got != (ssize_t)n)
		return ERR_IO;
	buf_commit(&t->out, n);
	t->read += n;
	return 0;
}

/* 0: all is sent, or it does not take more and its answer says why. */
static int
give(struct talk *t)
{
	ssize_t n;

	while (t->sent < t->out.len || !t->ended) {
		if (t->sent == t->out.len) {
			int err = next_piece(t);

			if (err != 0)
				return err;
		}
		n = send(t->fd, t->out.data + t->sent, t->out.len - t->sent, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return ERR_AGAIN;
		if (n < 0)
			return errno == EPIPE || errno == ECONNRESET ? 0 : ERR_IO;
		t->sent += (size_t)n;
	}
	return 0;
}

/* 0: the whole answer is there. */
static int
take(struct talk *t)
{
	unsigned char *room = buf_reserve(&t->reply, 256);
	ssize_t n;

	if (room == NULL)
		return ERR_LIMIT;
	n = recv(t->fd, room, 256, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? ERR_AGAIN : ERR_CLOSED;
	if (n == 0)
		return ERR_CLOSED;
	buf_commit(&t->reply, (size_t)n);
	return slice_index(buf_slice(&t->reply), 0) >= 0 ? 0 : ERR_AGAIN;
}

static int
talk(struct talk *t)
{
	bool given = false;
	int err;

	for (;;) {
		struct pollfd p = {.fd = t->fd, .events = POLLIN};
		uint64_t now = now_ms();

		if (now >= t->deadline)
			return ERR_TIMEOUT;
		if (!given)
			p.events |= POLLOUT;
		if (poll(&p, 1, (int)(t->deadline - now)) < 0 && errno != EINTR)
			return ERR_IO;
		/* it may answer before it has read all, and then closes */
		if (p.revents & (POLLIN | POLLHUP | POLLERR)) {
			err = take(t);
			if (err != ERR_AGAIN)
				return err;
		}
		if (!given && (p.revents & POLLOUT)) {
			err = give(t);
			if (err != 0 && err != ERR_AGAIN)
				return err;
			given = err == 0;
		}
	}
}

static int
ask(struct talk *t, const char *path, struct slice command)
{
	int err;

	buf_init(&t->out, PIECE + 64);
	buf_init(&t->reply, REPLY_MAX);
	t->fd = ipc_connect(path, true);
	if (t->fd < 0)
		return ERR_TEMP;
	buf_append_slice(&t->out, command);
	err = talk(t);
	close(t->fd);
	return err;
}

/* Up to its NUL. */
static struct slice
reply_of(const struct talk *t)
{
	ptrdiff_t end = slice_index(buf_slice(&t->reply), 0);

	return slice_sub(buf_slice(&t->reply), 0, end < 0 ? 0 : (size_t)end);
}

static void
done(struct talk *t)
{
	buf_done(&t->out);
	buf_done(&t->reply);
}

/* Whether it does its work, which then was too much for it with that message. */
static bool
is_alive(const char *path)
{
	struct talk t = {.message = -1, .ended = true, .deadline = now_ms() + PING_MS};
	bool yes = ask(&t, path, slice_of("zPING", 6)) == 0 && slice_eq_str(reply_of(&t), "PONG");

	done(&t);
	return yes;
}

enum clamd_answer
clamd_ask(const char *path, int fd, uint64_t size, uint64_t max, unsigned wait_ms,
    unsigned usual_ms, struct buf *text)
{
	struct talk t = {.message = fd, .size = size, .deadline = now_ms() + wait_ms};
	enum clamd_answer answer = CLAMD_FAILED;
	int err;

	if (size > max) {
		buf_appendf(
		    text, "%llu octets, more than clamd_max_bytes", (unsigned long long)size);
		return CLAMD_UNSCANNED;
	}
	err = ask(&t, path, slice_of("zINSTREAM", 10));
	if (err == 0) {
		answer = clamd_read(reply_of(&t), text);
	} else {
		buf_append_str(text, err_name(err));
		/* deferring what it cannot do would only bring it back; what it had no time for is another matter */
		if (err == ERR_TIMEOUT && wait_ms < usual_ms)
			answer = CLAMD_HURRIED;
		else if ((err == ERR_TIMEOUT || err == ERR_CLOSED) && is_alive(path))
			answer = CLAMD_UNSCANNED;
	}
	done(&t);
	return answer;
}
