/* ctl_store_purge_queue.c: which messages in the queue, the quarantine among them, have the Message-ID of a purge: named, so that an officer can delete them
 * (congvu queue delete). The queue is asked as `congvu queue show` asks it; nothing is changed. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include "admin/ctl_queue.h"
#include "admin/ctl_store.h"
#include "lib/err.h"
#include "lib/hdr.h"
#include "lib/log.h"

enum { ASK_MS = 30000, CONNECT_MS = 2000, LOOKED_AT = 20000 };

struct search {
	struct delivery_id *ids;
	size_t n;
	bool more;
};

static void
add(void *arg, const struct queue_row *r)
{
	struct search *k = arg;

	if (k->n == LOOKED_AT) {
		k->more = true;
		return;
	}
	if (k->n % 256 == 0)
		k->ids = xrealloc(k->ids, (k->n + 256) * sizeof *k->ids);
	k->ids[k->n++] = r->id;
}

static struct slice
bare(struct slice id)
{
	while (id.len > 0 && (id.ptr[0] <= ' ' || id.ptr[0] == '<'))
		id = slice_from(id, 1);
	while (id.len > 0 && (id.ptr[id.len - 1] <= ' ' || id.ptr[id.len - 1] == '>'))
		id.len--;
	return id;
}

/* 1: it has it, and was printed; 0; or an error. */
static int
look(struct ipc_sync *s, const struct delivery_id *id, struct slice want)
{
	struct arena *a = arena_new(1 << 20);
	struct buf ask, reply;
	struct ipc_reader in;
	struct queue_row row;
	struct hdr_field f;
	struct slice header;
	uint16_t type;
	int rc;

	buf_init(&ask, 64);
	buf_init(&reply, IPC_FRAME_MAX);
	delivery_id_put(&ask, id);
	rc = a == NULL ? ERR_NOMEM
		       : ipc_sync_call(s, QUEUE_SHOW, &ask, -1, ASK_MS, &type, &reply, NULL);
	ipc_reader_init(&in, buf_slice(&reply));
	if (rc == 0)
		rc = queue_row_read(&in, a, &row);
	header = rc == 0 ? ipc_get_slice(&in) : slice_of(NULL, 0);
	if (rc == 0 && (rc = ipc_reader_end(&in)) == 0 && hdr_find(header, "Message-ID", 0, &f) &&
	    slice_eq(bare(f.body), want)) {
		queue_row_print(&row);
		rc = 1;
	}
	buf_done(&ask);
	buf_done(&reply);
	arena_free(a);
	return rc == ERR_NOTFOUND ? 0 : rc; /* it left meanwhile */
}

int
store_purge_queue(const struct ctl *c, const char *message_id)
{
	static const struct queue_filter every;
	struct ipc_sync *s = ipc_sync_new("queue.admin.sock", &queue_proto, IPC_ADMIN);
	struct search k = {.ids = NULL};
	size_t found = 0;
	int rc;

	(void)c;
	ipc_sync_connect_limit(s, CONNECT_MS);
	rc = queue_each(s, &every, add, &k);
	for (size_t i = 0; i < k.n && rc >= 0; i++) {
		rc = look(s, &k.ids[i], bare(slice_str(message_id)));
		found += rc == 1;
	}
	if (rc < 0)
		printf(
		    _("The queue could not be searched (%s): look yourself (congvu queue list).\n"),
		    err_name(rc));
	else if (found > 0)
		printf(
		    _("%zu messages in the queue have this Message-ID: congvu queue delete takes "
		      "them away.\n"),
		    found);
	else
		printf(
		    "%s\n", _("The queue and the quarantine have no mail with this Message-ID."));
	if (k.more)
		printf(_("Only the first %d messages of the queue were looked at.\n"), LOOKED_AT);
	free(k.ids);
	ipc_sync_free(s);
	return rc < 0 || found > 0 || k.more ? EX_TEMPFAIL : EX_OK;
}
