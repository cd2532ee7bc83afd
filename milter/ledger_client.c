/* ledger_client.c: the ledger's protocol table and its callers' side. Linked by milter (blocking, from its threads) and
 * smtpd-session (on the loop); it knows nothing of JSON or files. */
#include "config.h"

#include "milter/ledger_client.h"

#include "lib/err.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

enum {
	RCPTS_OCTETS_MAX = 160000
}; /* of a record's recipients: below the frame's bound with all else */

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "milter/ledger_proto.def"
#undef IPC_MSG
};
const struct ipc_proto ledger_proto = {
    "ledger", 1, IPC_LEDGER, rules, sizeof rules / sizeof *rules};

int
ledger_record_sync(struct ipc_sync *s, struct slice json, unsigned timeout_ms, uint64_t *seq_out)
{
	struct buf req, rep;
	struct ipc_reader r;
	uint16_t type = 0;
	uint64_t seq;
	int err;

	buf_init(&req, json.len + 16);
	buf_init(&rep, 4096);
	ipc_put_slice(&req, json);
	err = ipc_sync_call(s, LEDGER_RECORD, &req, -1, timeout_ms, &type, &rep, NULL);
	if (err == 0 && type != LEDGER_RECORDED)
		err = ERR_PROTO;
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&rep));
		seq = ipc_get_u64(&r);
		err = ipc_reader_end(&r);
		if (err == 0)
			*seq_out = seq;
	}
	buf_done(&req);
	buf_done(&rep);
	return err;
}

int
ledger_cert_ask_sync(struct ipc_sync *s, const unsigned char (*sha256)[32], size_t n,
    unsigned timeout_ms, unsigned char *states_out)
{
	unsigned char states[CERT_ASK_MAX];
	struct buf req, rep;
	struct ipc_reader r;
	uint16_t type = 0;
	size_t i;
	int err;

	buf_init(&req, 1024);
	buf_init(&rep, 4096);
	ipc_put_u32(&req, (uint32_t)n);
	for (i = 0; i < n; i++)
		ipc_put_slice(&req, slice_of(sha256[i], 32));
	err = ipc_sync_call(s, LEDGER_CERT_ASK, &req, -1, timeout_ms, &type, &rep, NULL);
	if (err == 0 && type != LEDGER_CERT_STATES)
		err = ERR_PROTO;
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&rep));
		if (ipc_get_count(&r, CERT_ASK_MAX, 1) != n)
			r.err = ERR_PROTO;
		for (i = 0; i < n; i++)
			states[i] = ipc_get_u8(&r);
		err = ipc_reader_end(&r);
	}
	if (err == 0)
		memcpy(states_out, states, n);
	buf_done(&req);
	buf_done(&rep);
	return err;
}

/* A call under way: kept in a list, so that giving it up frees it too. */
struct call {
	LIST_ENTRY(call) link;
	struct ipc_client *client;
	uint32_t handle;
	ledger_outcome_fn fn;
	void *arg;
};
static LIST_HEAD(, call) calls = LIST_HEAD_INITIALIZER(calls);

void
ledger_outcome_cancel(struct ipc_client *c, uint32_t handle)
{
	struct call *k;

	LIST_FOREACH (k, &calls, link) {
		if (k->client != c || k->handle != handle)
			continue;
		LIST_REMOVE(k, link);
		ipc_cancel(c, handle);
		free(k);
		return;
	}
}

static void
on_recorded(void *arg, int err, uint16_t type, struct ipc_reader *r, int fd)
{
	struct call *c = arg;
	uint64_t seq = 0;

	(void)fd;
	LIST_REMOVE(c, link);
	if (err == 0 && type != LEDGER_RECORDED)
		err = ERR_PROTO;
	if (err == 0) {
		seq = ipc_get_u64(r);
		err = ipc_reader_end(r);
	}
	if (c->fn != NULL)
		c->fn(c->arg, err, seq);
	free(c);
}

/* How many recipients from the first on fit one record. */
static size_t
rcpts_that_fit(const struct ledger_rcpt *r, size_t n)
{
	size_t octets = 0, i;

	for (i = 0; i < n && i < LEDGER_RCPTS_MAX; i++) {
		octets += strlen(r[i].address) + strlen(r[i].result) + strlen(r[i].detail) + 12;
		if (i > 0 && octets > RCPTS_OCTETS_MAX)
			break;
	}
	return i;
}

/* b is done in any case. */
static int
send_call(struct ipc_client *c, uint16_t type, struct buf *b, unsigned timeout_ms,
    ledger_outcome_fn fn, void *arg, uint32_t *call_out)
{
	struct call *call = malloc(sizeof *call);
	int err = call == NULL ? ERR_NOMEM : b->err;

	if (err == 0) {
		call->fn = fn;
		call->arg = arg;
		call->client = c;
		err = ipc_call(c, type, b, -1, timeout_ms, on_recorded, call, &call->handle);
	}
	if (err != 0) {
		free(call);
	} else {
		LIST_INSERT_HEAD(&calls, call, link);
		if (call_out != NULL)
			*call_out = call->handle;
	}
	buf_done(b);
	return err;
}

static int
outcome_part(struct ipc_client *c, const struct ledger_outcome *o, const struct ledger_rcpt *rcpts,
    size_t n, unsigned timeout_ms, ledger_outcome_fn fn, void *arg, uint32_t *call_out)
{
	struct buf b;
	size_t i;

	buf_init(&b, 262144);
	ipc_put_str(&b, o->qid);
	ipc_put_u32(&b, o->code);
	ipc_put_str(&b, o->enhanced);
	ipc_put_str(&b, o->text);
	ipc_put_str(&b, o->from);
	ipc_put_str(&b, o->login);
	ipc_put_str(&b, o->client_ip);
	ipc_put_u32(&b, (uint32_t)n);
	for (i = 0; i < n; i++) {
		ipc_put_str(&b, rcpts[i].address);
		ipc_put_str(&b, rcpts[i].result);
		ipc_put_str(&b, rcpts[i].detail);
	}
	return send_call(
	    c, o->later ? LEDGER_DELIVERY : LEDGER_OUTCOME, &b, timeout_ms, fn, arg, call_out);
}

int
ledger_outcome(struct ipc_client *c, const struct ledger_outcome *o, unsigned timeout_ms,
    ledger_outcome_fn fn, void *arg, uint32_t *call_out)
{
	size_t at = 0, n = rcpts_that_fit(o->rcpts, o->n_rcpts);
	int err = 0;

	/* answers come in order: the last one speaks for all */
	for (; err == 0 && at + n < o->n_rcpts;
	     n = rcpts_that_fit(o->rcpts + at, o->n_rcpts - at)) {
		err = outcome_part(c, o, o->rcpts + at, n, timeout_ms, NULL, NULL, NULL);
		at += n;
	}
	return err != 0 ? err : outcome_part(c, o, o->rcpts + at, n, timeout_ms, fn, arg, call_out);
}

int
ledger_alert(struct ipc_client *c, const struct ledger_alert *a, unsigned timeout_ms,
    ledger_outcome_fn fn, void *arg, uint32_t *call_out)
{
	struct buf b;

	buf_init(&b, 8192);
	ipc_put_str(&b, a->rule);
	ipc_put_str(&b, a->qid);
	ipc_put_str(&b, a->login);
	ipc_put_str(&b, a->client_ip);
	ipc_put_str(&b, a->address);
	return send_call(c, LEDGER_ALERT, &b, timeout_ms, fn, arg, call_out);
}
