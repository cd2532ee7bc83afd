/* ingest_text_old.c: says which mails from before the text of documents was wanted may have documents in them: stored, which parses no mail, shows their trees
 * (store/stored_text_old.c). Runs in ingest. */
#include "config.h"

#include <stdlib.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/ingest.h"
#include "store/ingest_pull.h"
#include "store/store_proto.h"
#include "store/text_row.h"

struct text_old_worker {
	struct pull *pull;
	struct buf maybe; /* an octet for each */
};

static int
begin(void *arg, uint64_t size, struct ipc_reader *r)
{
	struct text_old_worker *w = arg;
	uint32_t n = ipc_get_count(r, TEXT_SHOWN_MAX, 4);

	buf_reset(&w->maybe);
	for (uint32_t i = 0; i < n && r->err == 0; i++)
		buf_append_byte(&w->maybe, ingest_tree_documents(ipc_get_slice(r)) ? '1' : '0');
	return size == 0 ? r->err : ERR_PROTO;
}

static void
whole(void *arg)
{
	struct text_old_worker *w = arg;
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_slice(&b, buf_slice(&w->maybe));
	pull_tell(w->pull, &b);
	buf_done(&b);
}

/* There are no octets: begin has seen all. */
static int
take(void *arg, struct slice piece)
{
	(void)arg;
	(void)piece;
	return ERR_PROTO;
}

static void
unread(void *arg, int err)
{
	struct text_old_worker *w = arg;

	(void)err;
	pull_tell(w->pull, NULL);
}

static void
drop(void *arg)
{
	struct text_old_worker *w = arg;

	buf_reset(&w->maybe);
}

struct text_old_worker *
text_old_worker_new(struct ingest *in, const char *socket)
{
	static const struct pull_ops ops = {.wait = STORE_TEXT_OLD_WAIT,
	    .is = STORE_TEXT_TREES,
	    .done = STORE_TEXT_OLD_DONE,
	    .begin = begin,
	    .take = take,
	    .whole = whole,
	    .unread = unread,
	    .drop = drop};
	struct text_old_worker *w = xcalloc(1, sizeof *w);

	buf_init(&w->maybe, TEXT_SHOWN_MAX);
	w->pull = pull_new(in->loop, socket, &ops, w);
	return w;
}

void
text_old_worker_free(struct text_old_worker *w)
{
	if (w == NULL)
		return;
	pull_free(w->pull);
	buf_done(&w->maybe);
	free(w);
}
