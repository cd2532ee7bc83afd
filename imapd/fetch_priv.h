/* fetch_priv.h: a FETCH under way; for cmd_fetch.c and fetch_*.c alone. */
#ifndef CV_FETCH_PRIV_H
#define CV_FETCH_PRIV_H

#include "imapd/ahead.h"
#include "imapd/fetch_item.h"
#include "imapd/qresync.h"
#include "imapd/session.h"
#include "lib/mime.h"

enum fetch_phase {
	PHASE_START,
	PHASE_TREE,    /* the tree was read, or there is none */
	PHASE_BYTES,   /* bytes has what was pulled */
	PHASE_STREAM,  /* the literal is on its way out */
	PHASE_DONE,    /* it is out */
	PHASE_COUNTED, /* BINARY: the size is known */
	PHASE_FAILED,  /* err says why */
};
struct fetch {
	struct fetch_items items;
	uint32_t *uids;
	size_t n, at; /* of uids: those before at are done */
	size_t batch_end;
	bool sets_seen, heavy, some_gone;
	bool changed_since; /* only what changed (resync) is fetched */
	struct resync resync;
	struct seqset known; /* of resync */
	int err;             /* the first failure: the command ends with NO */
	/* rows of a batch */
	struct arena *batch;
	struct msg_row *rows;
	bool *seen_now; /* beside rows: \Seen was set by this command */
	size_t n_rows, row;
	struct store_flagged *changed; /* of the batch: \Seen set */
	size_t n_changed;
	/* the message under way */
	bool open; /* "* n FETCH (" stands in out, or left already */
	size_t item;
	bool spaced; /* the space before the item stands */
	enum fetch_phase phase;
	struct buf out;
	struct arena *tree_arena;
	struct mime_part *tree;
	bool tree_known;
	struct buf head; /* the message's own header, when it is short */
	bool head_long;
	/* octets under way */
	uint64_t off, end;
	bool streaming, literal_open;
	struct buf bytes;
	/* BINARY (fetch_binary.c) */
	enum mime_cte cte;
	bool decoding, counting, decoded_nul, unknown_cte;
	size_t clean; /* of bytes: base64 without white space */
	uint64_t part_off, part_end, decoded_at, decoded_size, want_off, want_end;
	unsigned retries;
	struct loop_timer *retry;
	struct ahead ahead;
	unsigned n_lazy;    /* PREVIEW (LAZY) of so many messages was looked at */
	bool wants_content; /* items that more than the row is needed for */
	bool wants_tree;    /* items that the MIME tree is needed for */
	bool ready;         /* what was asked for stood in ahead: fetch_step goes on at once */
	/* BODYSTRUCTURE with embedded messages */
	unsigned char *whole;
	const struct mime_part **embedded;
	size_t n_embedded, embedded_at;
};

/* fetch_binary.c: one item with the encoding undone; false: it waits. */
bool fetch_binary(struct cmd *m, const struct fetch_item *it);
void fetch_decoded(struct cmd *m, struct slice piece); /* from fetch_bytes.c: the next octets */
/* fetch_bytes.c, for it: reads [off, end), each piece to fetch_decoded. */
void fetch_again(struct cmd *m, uint64_t off, uint64_t end);
void fetch_ask_when_drained(struct cmd *m);
void fetch_go_on(struct cmd *m, enum fetch_phase phase);
void fetch_failed(struct cmd *m, int err);

/* cmd_fetch.c: goes on with the command. */
void fetch_step(struct cmd *m);

/* fetch_bytes.c. Each ends in fetch_step with a new phase, or sets ready and the new phase before it returns. */
/* The tree of the current message: PHASE_TREE. */
void fetch_tree(struct cmd *m);
/* [off, end) into st->bytes: PHASE_BYTES, or PHASE_FAILED. */
void fetch_pull(struct cmd *m, uint64_t off, uint64_t end);
/* [off, end) as a literal, not empty: PHASE_DONE, or PHASE_FAILED when nothing of it left. */
void fetch_stream(struct cmd *m, uint64_t off, uint64_t end);
void fetch_message_done(struct fetch *st);

/* fetch_preview.c: one item; false: it waits. */
bool fetch_preview(struct cmd *m, const struct fetch_item *it);
/* fetch_structure.c: writes BODY or BODYSTRUCTURE; true when the item is done. */
bool fetch_structure(struct cmd *m, bool extensible);

static inline struct msg_row *
fetch_row(struct fetch *st)
{
	return &st->rows[st->row];
}

#endif
