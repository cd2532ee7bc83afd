/* ingest_text.c: has the documents in mails read for SEARCH: asks stored for a body whose text is wanted, one at a time, hands it to store-text in a sealed memory
 * file, signs what comes back as the text of a mail is signed, and gives both to stored. Runs in ingest, behind everything else: no delivery waits for it. stored
 * lets it read the body it was handed and no other (store/stored_text.c). */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/err.h"
#include "lib/log.h"
#include "milter/scan_proto.h"
#include "store/ingest.h"
#include "store/sig_message.h"
#include "store/store_proto.h"

#ifndef TEXT_DEADLINE_MS
#define TEXT_DEADLINE_MS 60000 /* of store-text for one message */
#endif
enum { WAIT_MS = 3600000, PIECE_MS = 60000, AGAIN_MS = 1000, GRACE_MS = 5000 };

struct text_worker {
	struct ingest *in;
	struct ipc_client *store, *scan;
	struct loop_timer *timer;
	uint64_t job, size, off;
	int fd; /* the memory file; -1: none */
	bool ending;
};

/* err: how it came that there is nothing to do now. */
static void
ask_later(struct text_worker *w, int err)
{
	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
	loop_timer_set(w->timer, err == 0 || err == ERR_TIMEOUT ? 0 : AGAIN_MS);
}

static void
on_done_told(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct text_worker *w = arg;

	(void)type;
	(void)r;
	if (fd >= 0)
		close(fd);
	if (!w->ending)
		ask_later(w, err);
}

/* why NULL: it was read. */
static void
tell(struct text_worker *w, const char *why, uint8_t how, struct slice text, struct slice sig)
{
	struct buf b;
	int err;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u64(&b, w->job);
	ipc_put_u8(&b, why == NULL);
	ipc_put_u8(&b, how);
	ipc_put_slice(&b, slice_str(why == NULL ? "" : why));
	ipc_put_slice(&b, text);
	ipc_put_slice(&b, sig);
	err = b.err != 0
		  ? b.err
		  : ipc_call(w->store, STORE_TEXT_DONE, &b, -1, PIECE_MS, on_done_told, w, NULL);
	buf_done(&b);
	if (err != 0)
		ask_later(w, err);
}

static void
tell_why(struct text_worker *w, const char *why)
{
	tell(w, why, 0, slice_str(""), slice_str(""));
}

static const char *
why_of(int err)
{
	switch (err) {
	case ERR_CLOSED:
		return "the reader of documents ended over it, or took too long";
	case ERR_TIMEOUT:
		return "the reader of documents did not answer in time";
	case ERR_TEMP:
		return "there is no reader of documents";
	case ERR_NOMEM:
		return "the reader of documents had not enough memory";
	default:
		return err_name(err);
	}
}

static void
on_text(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct text_worker *w = arg;
	struct slice text = {NULL, 0};
	struct buf sig;
	uint8_t how = 0;

	if (fd >= 0)
		close(fd);
	if (w->ending)
		return;
	if (err == 0 && type == SCAN_TEXT_IS) {
		text = ipc_get_slice(r);
		how = ipc_get_u8(r);
		err = ipc_reader_end(r);
		if (err == 0 && text.len > SCAN_TEXT_MAX)
			err = ERR_PROTO;
	} else if (err == 0) {
		err = ERR_PROTO;
	}
	buf_init(&sig, SIG_SIZE_MAX);
	if (err == 0)
		err = sig_text(text, &sig);
	if (err != 0)
		tell_why(w, why_of(err));
	else
		tell(w, NULL, how, text, buf_slice(&sig));
	buf_done(&sig);
}

static void
scan(struct text_worker *w)
{
	struct buf b;
	int err = 0, fd = w->fd;

	w->fd = -1;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) != 0) {
		err = err_from_errno(errno);
		close(fd);
	}
	buf_init(&b, 16);
	ipc_put_u32(&b, TEXT_DEADLINE_MS);
	if (err == 0)
		err = ipc_call(
		    w->scan, SCAN_TEXT, &b, fd, TEXT_DEADLINE_MS + GRACE_MS, on_text, w, NULL);
	buf_done(&b);
	if (err != 0)
		tell_why(w, why_of(err));
}

static void pull(struct text_worker *w);

static int
keep(struct text_worker *w, struct slice s)
{
	while (s.len > 0) {
		ssize_t n = pwrite(w->fd, s.ptr, s.len, (off_t)w->off);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? err_from_errno(errno) : ERR_IO;
		s = slice_from(s, (size_t)n);
		w->off += (uint64_t)n;
	}
	return 0;
}

static void
on_piece(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct text_worker *w = arg;
	struct slice s = {NULL, 0};

	if (fd >= 0)
		close(fd);
	if (w->ending)
		return;
	if (err == 0 && type == STORE_BYTES) {
		s = ipc_get_slice(r);
		err = ipc_reader_end(r);
	} else if (err == 0) {
		err = ERR_PROTO;
	}
	if (err != 0) { /* stored knows: the body is bad, or it was given to another one */
		ask_later(w, err == ERR_CLOSED ? err : 0);
		return;
	}
	if (s.len == 0 || s.len > w->size - w->off)
		err = ERR_EOF;
	else
		err = keep(w, s);
	if (err != 0)
		tell_why(w, "the mail could not be read");
	else if (w->off < w->size)
		pull(w);
	else
		scan(w);
}

static void
pull(struct text_worker *w)
{
	struct buf b;
	int err;

	buf_init(&b, 32);
	ipc_put_u64(&b, w->job);
	ipc_put_u64(&b, w->off);
	err = ipc_call(w->store, STORE_TEXT_PIECE, &b, -1, PIECE_MS, on_piece, w, NULL);
	buf_done(&b);
	if (err != 0)
		ask_later(w, err);
}

static void
on_work(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct text_worker *w = arg;

	if (fd >= 0)
		close(fd);
	if (w->ending)
		return;
	if (err == 0 && type != STORE_TEXT_IS)
		err = ERR_PROTO;
	if (err == 0) {
		w->job = ipc_get_u64(r);
		w->size = ipc_get_u64(r);
		err = ipc_reader_end(r);
	}
	if (err != 0) {
		ask_later(w, err);
		return;
	}
	w->off = 0;
	w->fd = memfd_create("documents", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (w->fd < 0)
		tell_why(w, "no memory file");
	else if (w->size == 0)
		scan(w);
	else
		pull(w);
}

static void
on_time(void *arg)
{
	struct text_worker *w = arg;
	int err = ipc_call(w->store, STORE_TEXT_WAIT, NULL, -1, WAIT_MS, on_work, w, NULL);

	if (err != 0)
		loop_timer_set(w->timer, AGAIN_MS);
}

struct text_worker *
text_worker_new(struct ingest *in, const char *store_socket, const char *text_socket)
{
	static const struct ipc_client_ops ops;
	struct text_worker *w = xcalloc(1, sizeof *w);

	w->in = in;
	w->fd = -1;
	w->store = ipc_client_new(in->loop, store_socket, &store_proto, IPC_INGEST, &ops, w);
	w->scan = ipc_client_new(in->loop, text_socket, &scan_proto, IPC_INGEST, &ops, w);
	w->timer = loop_timer_new(in->loop, on_time, w);
	loop_timer_set(w->timer, 0);
	return w;
}

void
text_worker_free(struct text_worker *w)
{
	if (w == NULL)
		return;
	w->ending = true; /* calls under way are told */
	ipc_client_free(w->store);
	ipc_client_free(w->scan);
	loop_timer_free(w->timer);
	if (w->fd >= 0)
		close(w->fd);
	free(w);
}
