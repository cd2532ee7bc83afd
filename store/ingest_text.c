/* ingest_text.c: has the documents in mails read for SEARCH: what stored wants the text of comes in, one mail at a time (store/ingest_pull.h), goes to store-text in a sealed memory
 * file, what comes back is signed as the text of a mail is signed, and both go to stored. Runs in ingest, behind everything else: no delivery waits for it. */
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
#include "store/ingest_pull.h"
#include "store/sig_message.h"
#include "store/store_proto.h"

#ifndef TEXT_DEADLINE_MS
#define TEXT_DEADLINE_MS 60000 /* of store-text for one message */
#endif
enum { GRACE_MS = 5000 };

struct text_worker {
	struct ingest *in;
	struct pull *pull;
	struct ipc_client *scan;
	uint64_t off;
	int fd; /* the memory file; -1: none */
	bool ending;
};

/* why NULL: it was read. */
static void
tell(struct text_worker *w, const char *why, uint8_t how, struct slice text, struct slice sig)
{
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u8(&b, why == NULL);
	ipc_put_u8(&b, how);
	ipc_put_slice(&b, slice_str(why == NULL ? "" : why));
	ipc_put_slice(&b, text);
	ipc_put_slice(&b, sig);
	pull_tell(w->pull, &b);
	buf_done(&b);
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
whole(void *arg)
{
	struct text_worker *w = arg;
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

static int
take(void *arg, struct slice s)
{
	struct text_worker *w = arg;

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

static int
begin(void *arg, uint64_t size, struct ipc_reader *r)
{
	struct text_worker *w = arg;

	(void)size;
	(void)r;
	w->off = 0;
	w->fd = memfd_create("documents", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return w->fd < 0 ? err_from_errno(errno) : 0;
}

static void
unread(void *arg, int err)
{
	(void)err;
	tell_why(arg, "the mail could not be read");
}

static void
drop(void *arg)
{
	struct text_worker *w = arg;

	if (w->fd >= 0)
		close(w->fd);
	w->fd = -1;
}

struct text_worker *
text_worker_new(struct ingest *in, const char *store_socket, const char *text_socket)
{
	static const struct ipc_client_ops client_ops;
	static const struct pull_ops ops = {.wait = STORE_TEXT_WAIT,
	    .is = STORE_TEXT_IS,
	    .piece = STORE_TEXT_PIECE,
	    .done = STORE_TEXT_DONE,
	    .begin = begin,
	    .take = take,
	    .whole = whole,
	    .unread = unread,
	    .drop = drop};
	struct text_worker *w = xcalloc(1, sizeof *w);

	w->in = in;
	w->fd = -1;
	w->scan = ipc_client_new(in->loop, text_socket, &scan_proto, IPC_INGEST, &client_ops, w);
	w->pull = pull_new(in->loop, store_socket, &ops, w);
	return w;
}

void
text_worker_free(struct text_worker *w)
{
	if (w == NULL)
		return;
	w->ending = true; /* calls under way are told */
	ipc_client_free(w->scan);
	pull_free(w->pull);
	free(w);
}
