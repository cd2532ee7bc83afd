/* queue_reply.c: automatic replies: one to each sender in so many days, so many of each account in an hour. Runs in smtpd-queue. Invariant: the reply and the mark that it was sent are
 * one transaction, so that neither a crash nor a repeated request makes a second one. Rows: "v" and half the SHA-256 of account and
 * address: i64 when it may be sent again (ms since 1970). RFC 3834 2. */
#include "config.h"

#include "smtpd/queue_priv.h"

#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <string.h>

enum {
	MARKS_MAX = 200000,
	KEY_LEN = 17,
	HOUR_MS = 3600000,
	HOURLY_MAX =
	    100, /* replies of one account: senders can be invented, and are who gets them */
	BUCKETS = 4096
};

static size_t n_marks;
static int64_t next_prune, hour;
static uint8_t hourly[BUCKETS]; /* by a digest of the account; counted anew each hour */

static bool
is_over(void *arg, struct slice value)
{
	struct ipc_reader r;
	const int64_t *now = arg;

	ipc_reader_init(&r, value);
	int64_t until = ipc_get_i64(&r);
	return ipc_reader_end(&r) != 0 || until <= *now;
}

static void
prune(int64_t now)
{
	size_t left = 0;

	next_prune = now + HOUR_MS;
	if (qdb_marks_drop(queue.db, is_over, &now, &left) == 0)
		n_marks = left;
}

void
queue_replies_init(void)
{
	prune(queue_now_ms());
}

/* account NUL address, in lower case where case does not tell two people apart. */
static void
make_key(struct slice account, struct slice to, unsigned char key[KEY_LEN])
{
	unsigned char digest[32];
	struct buf b;

	buf_init(&b, 4096);
	buf_append_slice(&b, account);
	buf_append_byte(&b, 0);
	for (size_t i = 0; i < to.len; i++)
		buf_append_byte(
		    &b, to.ptr[i] >= 'A' && to.ptr[i] <= 'Z' ? to.ptr[i] + 32 : to.ptr[i]);
	sha256_of(buf_slice(&b), digest);
	buf_done(&b);
	key[0] = 'v';
	memcpy(key + 1, digest, KEY_LEN - 1);
}

/* The account's count of this hour. */
static uint8_t *
hourly_of(struct slice account, int64_t now)
{
	unsigned char digest[32];

	if (now / HOUR_MS != hour)
		memset(hourly, 0, sizeof(hourly));
	hour = now / HOUR_MS;
	sha256_of(account, digest);
	return &hourly[((unsigned)digest[0] << 8 | digest[1]) % BUCKETS];
}

static bool
is_due(struct slice key, int64_t now)
{
	struct buf b;

	buf_init(&b, 64);
	bool due = qdb_mark(queue.db, key, &b) == ERR_NOTFOUND ||
		   (b.len > 0 && is_over(&now, buf_slice(&b)));
	buf_done(&b);
	return due;
}

static int
keep(struct slice key, const char *to, int64_t now, unsigned days, struct slice header,
    struct slice body)
{
	struct envelope_rcpt rcpt = {.address = to,
	    .state = conf_is_our_address(role_conf(), to) ? RCPT_LOCAL : RCPT_REMOTE,
	    .orcpt = "",
	    .why = ""};
	struct qrow row = {.state = QUEUE_ST_QUEUED,
	    .arrived = now,
	    .due = now,
	    .size = body.len,
	    .has_inline = true,
	    .env = {.from = "",
		.ret = "",
		.envid = "",
		.login = "",
		.client_ip = "",
		.quarantine = "",
		.rcpts = &rcpt,
		.n_rcpts = 1}};
	struct buf value;

	if (!slice_is_ascii(slice_str(to)))
		row.env.flags |= ENV_SMTPUTF8;
	buf_init(&value, 16);
	ipc_put_i64(&value, now + (int64_t)days * 24 * HOUR_MS);
	struct qdb_put put = {.id = queue_new_id(),
	    .row = &row,
	    .header = header,
	    .body = body,
	    .mark_key = key,
	    .mark_value = buf_slice(&value)};
	int r = qdb_put(queue.db, &put, NULL);
	queue_log_entry("auto_reply", &put.id, &row, r);
	buf_done(&value);
	return r;
}

int
queue_msg_reply(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	unsigned char bytes[KEY_LEN];
	struct slice account = ipc_get_slice(r), to = ipc_get_slice(r);
	uint32_t days = ipc_get_u32(r);
	struct slice header = ipc_get_slice(r), body = ipc_get_slice(r);
	int64_t now = queue_now_ms();
	int err = 0;

	if (ipc_reader_end(r) != 0 || account.len == 0 || to.len == 0 || to.len > 1000 ||
	    days == 0 || days > 30 || header.len == 0)
		return ERR_PROTO;
	const char *address = arena_slicedup(queue.arena, to);
	if (address == NULL)
		return ipc_reply_err(c, id, ERR_NOMEM, "no memory");
	if (now >= next_prune)
		prune(now);
	make_key(account, to, bytes);
	struct slice key = slice_of(bytes, sizeof(bytes));
	if (is_due(key, now)) {
		uint8_t *count = hourly_of(account, now);
		err = n_marks >= MARKS_MAX || *count >= HOURLY_MAX
			  ? ERR_LIMIT
			  : keep(key, address, now, days, header, body);
		n_marks += err == 0;
		*count = (uint8_t)(*count + (err == 0));
	}
	if (err != 0)
		return ipc_reply_err(c, id, err, "no automatic reply");
	queue_reply_after_sync(c, id);
	return 0;
}
