/* stored_redo.c: what a row of a message has from its header (ENVELOPE, Date, the Message-IDs it names) is put anew: for `congvu store rebuild`. Runs in
 * stored. All else of the row stays as it is at that moment, its mod-sequence too: nobody is told, since nothing happened to the message. */
#include "store/stored_priv.h"

#include "lib/err.h"
#include "lib/log.h"

static void
on_redo_rows(void *arg, int err, struct msg_row *rows, size_t n)
{
	struct op *op = arg;

	op->rows = rows;
	op->n_rows = n;
	if (err == ERR_CORRUPT && rows != NULL) /* a check names them */
		err = 0;
	cycle_gathered(op->m, err);
}

void
redo_gather(struct op *op)
{
	rows_read(op->m, op->uids, op->n_uids, op->chunk_mem, on_redo_rows, op);
}

static int
put_row(struct op *op, struct cycle *c, const struct msg_row *old, const struct redo *x)
{
	struct msg_row row = *old;
	char key[KEY_MAX];
	struct buf b;
	int err;

	if (old->body != x->body ||
	    (old->sent_date == x->sent_date && slice_eq(old->envelope, x->envelope) &&
		slice_eq(old->refs, x->refs)))
		return 0;
	row.sent_date = x->sent_date;
	row.envelope = x->envelope;
	row.refs = x->refs;
	buf_init(&b, BACKEND_VALUE_MAX);
	(void)msg_row_encode(&row, &b);
	err = cycle_put_buf(c, key_u32(key, 'm', row.uid), &b);
	return err == 0 ? buf_append(&op->out_changed, &row.uid, sizeof row.uid) : err;
}

int
redo_build(struct op *op, struct cycle *c)
{
	int err = 0;

	buf_reset(&op->out_changed);
	for (size_t i = 0, k = 0; i < op->n_rows && err == 0; i++) {
		while (k < op->n_uids && op->redo[k].uid < op->rows[i].uid)
			k++;
		if (k < op->n_uids && op->redo[k].uid == op->rows[i].uid)
			err = put_row(op, c, &op->rows[i], &op->redo[k]);
	}
	return err;
}
