/* crash_text.c: see crash_text.h. Runs in tests. */
#include "config.h"

#include <unistd.h>

#include "lib/err.h"
#include "lib/ipc.h"
#include "lib/log.h"
#include "store/store_proto.h"
#include "tests/crash/crash.h"
#include "tests/crash/crash_text.h"

enum { WAIT_MS = 600000, ANSWER_MS = 4000, AGAIN_MS = 20, NOTHING_EVERY = 60 };

static struct {
	struct ipc_client *store;
	struct loop_timer *timer;
	uint64_t job, size, off;
	uint32_t n;
	unsigned seed, given;
	bool ending;
} W;

static void
ask_again(unsigned ms)
{
	if (!W.ending)
		loop_timer_set(W.timer, ms);
}

static void
on_taken(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	(void)arg;
	(void)type;
	(void)r;
	if (fd >= 0)
		close(fd);
	W.given += err == 0;
	ask_again(err == 0 ? 0 : AGAIN_MS);
}

static void
give(void)
{
	static char text[CRASH_TEXT_MAX];
	struct buf b;
	bool read;

	W.seed = W.seed * 1664525u + 1013904223u;
	read = (W.seed >> 8) % NOTHING_EVERY != 0;
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u64(&b, W.job);
	ipc_put_u8(&b, read);
	ipc_put_u8(&b, 0);
	ipc_put_str(&b, read ? "" : "the test wants it so");
	ipc_put_slice(&b, read ? slice_of(text, crash_text(W.n, text)) : slice_str(""));
	ipc_put_str(&b, "");
	if (ipc_call(W.store, STORE_TEXT_DONE, &b, -1, ANSWER_MS, on_taken, NULL, NULL) != 0)
		fatal("crash_text: a text cannot be given");
	buf_done(&b);
}

static void pull(void);

/* The first piece says what it is; the others are read as an ingest does, and are compared. */
static void
on_piece(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	static unsigned char want[400000];
	struct slice s;

	(void)arg;
	if (fd >= 0)
		close(fd);
	if (err != 0 || type != STORE_BYTES) {
		ask_again(AGAIN_MS);
		return;
	}
	s = ipc_get_slice(r);
	if (ipc_reader_end(r) != 0 || s.len == 0 || s.len > W.size - W.off)
		fatal("crash_text: a piece of %zu octets", s.len);
	if (W.off == 0) {
		if (s.len < CRASH_DOCUMENT_LEN || !slice_starts(s, CRASH_DOCUMENT))
			fatal("crash_text: a body without documents");
		W.n = 2 * ((uint32_t)s.ptr[8] << 24 | (uint32_t)s.ptr[9] << 16 |
			      (uint32_t)s.ptr[10] << 8 | s.ptr[11]);
		if (!crash_has_document(W.n) || W.size != crash_body_size(W.n))
			fatal("crash_text: message %u has other octets", (unsigned)W.n);
	}
	crash_body(W.n, want);
	if (memcmp(want + W.off, s.ptr, s.len) != 0)
		fatal("crash_text: message %u has other octets", (unsigned)W.n);
	W.off += s.len;
	if (W.off < W.size)
		pull();
	else
		give();
}

static void
pull(void)
{
	struct buf b;

	buf_init(&b, 32);
	ipc_put_u64(&b, W.job);
	ipc_put_u64(&b, W.off);
	if (ipc_call(W.store, STORE_TEXT_PIECE, &b, -1, ANSWER_MS, on_piece, NULL, NULL) != 0)
		fatal("crash_text: a piece cannot be asked for");
	buf_done(&b);
}

static void
on_work(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	(void)arg;
	if (fd >= 0)
		close(fd);
	if (err != 0 || type != STORE_TEXT_IS) {
		ask_again(AGAIN_MS);
		return;
	}
	W.job = ipc_get_u64(r);
	W.size = ipc_get_u64(r);
	W.off = 0;
	if (ipc_reader_end(r) != 0 || W.size > 400000)
		fatal("crash_text: a body of %llu octets", (unsigned long long)W.size);
	pull();
}

static void
on_time(void *arg)
{
	(void)arg;
	if (ipc_call(W.store, STORE_TEXT_WAIT, NULL, -1, WAIT_MS, on_work, NULL, NULL) != 0)
		ask_again(AGAIN_MS);
}

void
crash_text_begin(struct loop *l, const char *ingest_socket, unsigned seed)
{
	static const struct ipc_client_ops ops;

	W.seed = seed;
	W.store = ipc_client_new(l, ingest_socket, &store_proto, IPC_INGEST, &ops, NULL);
	W.timer = loop_timer_new(l, on_time, NULL);
	loop_timer_set(W.timer, 0);
}

unsigned
crash_text_end(void)
{
	W.ending = true; /* calls under way are told */
	ipc_client_free(W.store);
	loop_timer_free(W.timer);
	return W.given;
}
