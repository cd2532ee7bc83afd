/* stored_text_read.c: the texts of documents, for SEARCH: which messages may have a text in them, and the text itself. Runs in stored. From a message's row comes its
 * body, from the row "read" of that (text_row.h) the body with the text, whose summary is the signature. Nothing is parsed here. */
#include "store/stored_text.h"

#include <stdlib.h>
#include <string.h>

#include "lib/err.h"
#include "lib/log.h"
#include "store/sig.h"

enum { UIDS = 256, NEEDLES = STORE_NEEDLES_MAX, MEM = 4 << 20, PIECE_MAX = 256 << 10 };

struct texts;
struct asked { /* a message */
	struct texts *k;
	uint32_t uid;
	uint64_t text; /* 0: none */
};
struct texts {
	struct req r;
	struct arena *mem;
	struct sig_needle needles[NEEDLES];
	uint32_t n_needles;
	uint32_t *uids;
	size_t n;
	struct asked *asked;
	size_t n_asked, left;
	int err;
	/* of one text */
	bool one;
	uint64_t off;
	uint32_t len;
	uint64_t body;
};

static void
texts_free(struct texts *k)
{
	arena_free(k->mem);
	free(k);
}

static void
texts_err(struct texts *k, int err)
{
	req_err(&k->r, err, "texts");
	texts_free(k);
}

static uint32_t
bits_of(const struct texts *k, const struct backend_whole *w)
{
	struct sig s = sig_decode(w->err == 0 ? summary_sig(w->summary) : slice_str(""));
	uint32_t bits = STORE_TEXT_THERE;

	for (uint32_t i = 0; i < k->n_needles; i++)
		if (sig_maybe(&s.body, &k->needles[i]))
			bits |= 1u << i;
	return bits;
}

static void
on_summaries(void *arg, int err, struct slice v)
{
	struct texts *k = arg;
	struct backend_whole w;
	struct buf list, b;
	uint32_t n = 0;

	if (err != 0) {
		texts_err(k, err);
		return;
	}
	buf_init(&list, IPC_FRAME_MAX);
	buf_init(&b, IPC_FRAME_MAX);
	for (size_t i = 0; i < k->n_asked; i++) {
		if (!backend_bodies_next(&v, &w))
			w = (struct backend_whole){.err = ERR_FULL}; /* not told of: perhaps */
		if (w.err ==
		    ERR_NOTFOUND) /* gone since; it will be read anew if the mail is there */
			continue;
		ipc_put_u32(&list, k->asked[i].uid);
		ipc_put_u32(&list, bits_of(k, &w));
		n++;
	}
	ipc_put_u32(&b, n);
	buf_append_slice(&b, buf_slice(&list));
	buf_done(&list);
	req_reply(&k->r, STORE_TEXTS_MAY, &b);
	texts_free(k);
}

static void
on_bytes(void *arg, int err, struct slice v)
{
	struct texts *k = arg;
	struct buf b;

	if (err != 0) {
		texts_err(k, err);
		return;
	}
	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_slice(&b, v);
	req_reply(&k->r, STORE_BYTES, &b);
	texts_free(k);
}

static void
on_head(void *arg, int err, struct slice v)
{
	struct texts *k = arg;
	struct backend *be = k->r.st->be;

	if (err == 0 && !text_head_ok(v, k->body))
		err = ERR_CORRUPT;
	if (err != 0)
		texts_err(k, err);
	else
		must(be->ops->body_get(
		    be, k->asked[0].text, TEXT_HEAD + k->off, k->len, on_bytes, k));
}

static void
rows_known(struct texts *k)
{
	struct backend *be = k->r.st->be;
	uint64_t bodies[UIDS];
	size_t n = 0;

	for (size_t i = 0; i < k->n_asked; i++)
		if (k->asked[i].text != 0)
			k->asked[n++] = k->asked[i];
	k->n_asked = n;
	for (size_t i = 0; i < n; i++)
		bodies[i] = k->asked[i].text;
	if (k->err != 0)
		texts_err(k, k->err);
	else if (k->one && n == 0)
		texts_err(k, ERR_NOTFOUND);
	else if (k->one)
		must(be->ops->body_get(be, bodies[0], 0, TEXT_HEAD, on_head, k));
	else if (n == 0)
		on_summaries(k, 0, slice_str(""));
	else
		must(be->ops->summaries_get(be, bodies, n, on_summaries, k));
}

static void
on_text_row(void *arg, int err, struct slice value)
{
	struct asked *a = arg;
	struct texts *k = a->k;
	struct text_read t;

	if (err == 0 && (err = text_read_decode(value, &t)) == 0)
		a->text = t.text;
	/* a row that cannot be read is as none: the sweep has it made anew */
	if (err != 0 && err != ERR_NOTFOUND && err != ERR_GONE && err != ERR_CORRUPT)
		k->err = err;
	if (--k->left == 0)
		rows_known(k);
}

static void
on_messages(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct texts *k = arg;
	struct backend *be = k->r.st->be;
	char key[TEXT_KEY_LEN + 1];

	if (err != 0 && (err != ERR_CORRUPT || rows == NULL)) {
		texts_err(k, err);
		return;
	}
	k->n_asked = n;
	k->left = n + 1; /* one for this loop */
	for (size_t i = 0; i < n; i++) {
		k->asked[i] = (struct asked){.k = k, .uid = rows[i].uid};
		k->body = rows[i].body;
		must(be->ops->get(be, slice_str(TEXT_OBJECT),
		    text_key(key, TEXT_READ, rows[i].body), on_text_row, &k->asked[i]));
	}
	if (--k->left == 0)
		rows_known(k);
}

/* The parts common to both. NULL: answered, or *err_out is ERR_PROTO. */
static struct texts *
texts_new(struct conn *c, uint32_t id, struct ipc_reader *r, int *err_out)
{
	const char *rights;
	struct texts *k;
	struct mbox *m;

	if (session_mbox_of(c, id, r, "r", &m, &rights, err_out) == NULL)
		return NULL;
	k = xcalloc(1, sizeof *k);
	req_init(&k->r, c->st, c->ipc, id, m->acc);
	k->r.m = m;
	k->mem = arena_new(MEM);
	k->uids = k->mem == NULL ? NULL : arena_calloc(k->mem, UIDS, sizeof *k->uids);
	k->asked = k->mem == NULL ? NULL : arena_calloc(k->mem, UIDS, sizeof *k->asked);
	if (k->uids == NULL || k->asked == NULL)
		fatal("no memory");
	return k;
}

int
on_texts_maybe(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct texts *k = texts_new(c, id, r, &err);
	uint32_t n;

	if (k == NULL)
		return err;
	k->n_needles = ipc_get_count(r, NEEDLES, 4);
	for (uint32_t i = 0; i < k->n_needles; i++) {
		struct slice needle = ipc_get_slice(r);

		if (needle.len > STORE_NEEDLE_MAX)
			r->err = ERR_PROTO;
		sig_needle_init(&k->needles[i], needle);
	}
	n = ipc_get_count(r, UIDS, 4);
	if (r->err != 0 || n == 0 || uids_read(r, n, k->uids) != 0 || ipc_reader_end(r) != 0) {
		texts_err(k, ERR_PROTO);
		return ERR_PROTO;
	}
	k->n = n;
	rows_read(k->r.m, k->uids, k->n, k->mem, on_messages, k);
	return 0;
}

int
on_text(struct conn *c, uint32_t id, struct ipc_reader *r)
{
	int err;
	struct texts *k = texts_new(c, id, r, &err);

	if (k == NULL)
		return err;
	k->one = true;
	k->n = 1;
	k->uids[0] = ipc_get_u32(r);
	k->off = ipc_get_u64(r);
	k->len = ipc_get_u32(r);
	if (ipc_reader_end(r) != 0 || k->len > PIECE_MAX || k->off > (1u << 30)) {
		texts_err(k, ERR_PROTO);
		return ERR_PROTO;
	}
	rows_read(k->r.m, k->uids, 1, k->mem, on_messages, k);
	return 0;
}
