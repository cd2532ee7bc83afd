/* envelope.c: an envelope as bytes. Runs in smtpd-session, smtpd-queue and relay. Invariant: what was put is what is got, and
 * hostile bytes give an error, never more than the arena's cap. */
#include "config.h"

#include "smtpd/envelope.h"

#include "lib/err.h"

#include <string.h>

static const char digits[] = "0123456789abcdef";

static void
hex(const unsigned char *p, size_t n, char *out)
{
	for (size_t i = 0; i < n; i++) {
		out[2 * i] = digits[p[i] >> 4];
		out[2 * i + 1] = digits[p[i] & 15];
	}
	out[2 * n] = '\0';
}

void
delivery_id_hex(const struct delivery_id *id, char out[2 * DELIVERY_ID_LEN + 1])
{
	hex(id->b, DELIVERY_ID_LEN, out);
}

void
delivery_id_qid(const struct delivery_id *id, char out[QID_LEN + 1])
{
	hex(id->b, QID_LEN / 2, out);
}

int
delivery_id_put(struct buf *b, const struct delivery_id *id)
{
	return ipc_put_slice(b, slice_of(id->b, DELIVERY_ID_LEN));
}

int
delivery_id_get(struct ipc_reader *r, struct delivery_id *id_out)
{
	struct slice s = ipc_get_slice(r);

	if (r->err == 0 && s.len != DELIVERY_ID_LEN)
		r->err = ERR_PROTO;
	if (r->err == 0)
		memcpy(id_out->b, s.ptr, DELIVERY_ID_LEN);
	return r->err;
}

static bool
has_mtas(const struct envelope *e)
{
	for (uint32_t i = 0; i < e->n_rcpts; i++)
		if (e->rcpts[i].mta != NULL && e->rcpts[i].mta[0] != '\0')
			return true;
	return false;
}

int
envelope_put(struct buf *b, const struct envelope *e)
{
	bool mtas = has_mtas(e);

	ipc_put_str(b, e->from);
	ipc_put_str(b, e->ret);
	ipc_put_str(b, e->envid);
	ipc_put_str(b, e->login);
	ipc_put_str(b, e->client_ip);
	ipc_put_u32(b, (e->flags & ~(uint32_t)ENV_MTAS) | (mtas ? ENV_MTAS : 0));
	ipc_put_str(b, e->quarantine);
	ipc_put_u32(b, e->n_rcpts);
	for (uint32_t i = 0; i < e->n_rcpts; i++) {
		const struct envelope_rcpt *r = &e->rcpts[i];
		ipc_put_str(b, r->address);
		ipc_put_u8(b, (uint8_t)r->state);
		ipc_put_u32(b, r->notify);
		ipc_put_str(b, r->orcpt);
		ipc_put_str(b, r->why);
		if (mtas)
			ipc_put_str(b, r->mta != NULL ? r->mta : "");
	}
	return b->err;
}

/* A string of the payload in the arena; no NUL inside. */
static const char *
get_str(struct ipc_reader *r, struct arena *a)
{
	struct slice s = ipc_get_slice(r);

	if (r->err == 0 && slice_index(s, '\0') >= 0)
		r->err = ERR_PROTO;
	const char *p = r->err == 0 ? arena_slicedup(a, s) : NULL;
	if (r->err == 0 && p == NULL)
		r->err = ERR_NOMEM;
	return p == NULL ? "" : p;
}

int
envelope_get(struct ipc_reader *r, struct arena *a, struct envelope *out)
{
	struct envelope e = {.n_rcpts = 0};

	e.from = get_str(r, a);
	e.ret = get_str(r, a);
	e.envid = get_str(r, a);
	e.login = get_str(r, a);
	e.client_ip = get_str(r, a);
	e.flags = ipc_get_u32(r);
	e.quarantine = get_str(r, a);
	e.n_rcpts = ipc_get_count(r, ENVELOPE_RCPTS_MAX, 17);
	if (r->err != 0)
		return r->err;
	bool mtas = e.flags & ENV_MTAS;
	e.flags &= ~(uint32_t)ENV_MTAS;
	e.rcpts = arena_calloc(a, e.n_rcpts, sizeof(*e.rcpts));
	if (e.rcpts == NULL)
		return ERR_NOMEM;
	for (uint32_t i = 0; i < e.n_rcpts && r->err == 0; i++) {
		struct envelope_rcpt *x = &e.rcpts[i];
		x->address = get_str(r, a);
		uint8_t state = ipc_get_u8(r);
		x->state = state;
		x->notify = ipc_get_u32(r);
		x->orcpt = get_str(r, a);
		x->why = get_str(r, a);
		x->mta = mtas ? get_str(r, a) : "";
		if (r->err == 0 &&
		    (state < RCPT_LOCAL || state > RCPT_DONE || x->address[0] == '\0'))
			r->err = ERR_PROTO;
	}
	if (r->err == 0)
		*out = e;
	return r->err;
}
