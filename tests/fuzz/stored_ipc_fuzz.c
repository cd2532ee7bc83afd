/* stored_ipc_fuzz.c: stored behind its sockets: what a taken-over imapd-session, ingest, lookup or congvu may send, with a session that is signed in and
 * two mailboxes whose ids are known. */
#include "config.h"

#include "tests/fuzz/border.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "directory/token.h"
#include "lib/crypto.h"
#include "lib/log.h"
#include "store/deliver_client.h"
#include "store/store_proto.h"
#include "tests/fuzz/fuzz.h"

const char border_role[] = "stored";
const char border_conf[] = "store_dir = \".\"\nquota_mb = 8\nstore_threads = 2\n";
static unsigned char key[32];
static uint64_t box[2];
static unsigned n_deliveries;

void
border_prepare(void)
{
	char hex[65];
	FILE *f = fopen("token_key_file", "w");

	memset(key, 7, sizeof key);
	hex_encode(key, sizeof key, hex);
	if (f == NULL || fputs(hex, f) < 0 || fclose(f) != 0)
		fatal("no key");
}

/* An ingest asks for work, and gets it when there is some. */
bool
border_waits(uint16_t type)
{
	return type == STORE_REBUILD_WAIT || type == STORE_TEXT_WAIT;
}

static void
sign_in(uint64_t epoch)
{
	static const struct token_share shares[] = {{"f-1", "lrswi", "vanthu", 0, 0}};
	struct token t = {
	    .account = "p-1", .login = "an", .address = "an@tinhmau.example", .epoch = epoch};
	struct buf ticket, b;

	t.issued = (int64_t)time(NULL);
	t.expires = t.issued + 3600;
	t.shares = xcalloc(1, sizeof shares);
	memcpy(t.shares, shares, sizeof shares);
	t.n_shares = 1;
	buf_init(&ticket, TOKEN_MAX);
	buf_init(&b, 65536);
	if (token_seal(key, &t, &ticket) != 0)
		fatal("no ticket");
	ipc_put_u32(&b, 1);
	ipc_put_slice(&b, buf_slice(&ticket));
	MUST(border_send(IPC_IMAPD, STORE_SESSION_OPEN, &b, -1, NULL) == STORE_SESSION_IS);
	buf_done(&ticket);
	buf_done(&b);
	free(t.shares);
}

void
border_prologue(void)
{
	struct ipc_reader r;
	struct slice list;
	struct buf b;

	sign_in(1);
	buf_init(&b, 64);
	ipc_put_u32(&b, 1);
	ipc_put_u32(&b, 0);
	MUST(border_send(IPC_IMAPD, STORE_LIST, &b, -1, &list) == STORE_LIST_IS);
	buf_done(&b);
	ipc_reader_init(&r, list);
	(void)ipc_get_u32(&r);
	MUST(ipc_get_count(&r, 10000, 8) > 0); /* INBOX cannot be removed */
	box[0] = box[1] = ipc_get_u64(&r);
	/* another one: the number before the last name is not worth a parser here; INBOX twice is COPY within a mailbox */
}

/* A message as ingest sends it, whose body, summary and envelope are the content. */
static void
put_message(struct buf *out, struct slice content)
{
	unsigned char sum[32], id[16] = {0};
	struct slice body = slice_sub(content, 0, content.len / 2),
		     rest = slice_from(content, body.len);

	sha256_of(body, sum);
	n_deliveries++;
	memcpy(id, &n_deliveries, sizeof n_deliveries);
	ipc_put_slice(out, slice_of(id, sizeof id));
	ipc_put_slice(out, slice_of(sum, sizeof sum));
	ipc_put_u64(out, body.len);
	ipc_put_u8(out, DELIVER_SAME);
	ipc_put_slice(out, body);
	ipc_put_slice(out, slice_sub(rest, 0, rest.len / 2));
	ipc_put_slice(out, slice_from(rest, rest.len / 2));
	ipc_put_i64(out, 1700000000);
	ipc_put_slice(out, slice_of(sum, 16));
	ipc_put_slice(out, slice_of(sum, 8)); /* a Message-ID's number */
	ipc_put_slice(out, slice_of(sum, 16));
}

static void
patch_ingest(uint16_t type, struct slice content, struct buf *out)
{
	if (type == STORE_DELIVER || type == STORE_SENT_COPY) {
		put_message(out, content);
		ipc_put_u32(out, 1);
		ipc_put_str(out, content.len > 3 && content.ptr[0] == 'f' ? "f-1" : "p-1");
		ipc_put_str(out, "INBOX");
		ipc_put_slice(out, slice_sub(content, 0, 100));
		ipc_put_i64(out, 1700000000);
		ipc_put_u16(out, 420);
		ipc_put_u32(out, 0);
	} else if (type == STORE_READ_STATE) {
		ipc_put_str(out, content.len > 3 && content.ptr[0] == 'f' ? "f-1" : "p-1");
		ipc_put_slice(out, slice_sub(content, 0, 16));
	} else if (type == STORE_CHECK) {
		ipc_put_str(out, "");
		ipc_put_str(out, "p-1");
		ipc_put_u64(out, 0);
		ipc_put_u64(out, content.len * 1000);
	} else {
		buf_append(out, content.ptr, content.len);
	}
}

void
border_patch(uint32_t peer, uint16_t type, struct buf *payload)
{
	struct slice s = buf_slice(payload);
	struct buf out;

	buf_init(&out, IPC_FRAME_MAX);
	if (peer == IPC_INGEST) {
		patch_ingest(type, s, &out);
	} else if (peer == IPC_LOOKUP && type == STORE_EPOCH) {
		/* not of who is signed in: the next input's ticket must be good */
		ipc_put_str(&out, s.len > 2 && s.ptr[0] == 'x' ? "p-9" : "f-1");
		ipc_put_u64(&out, s.len);
	} else if (peer == IPC_IMAPD) {
		ipc_put_u32(&out, 1);
		if (type == STORE_DELETE || type == STORE_RENAME || type >= STORE_OPEN)
			ipc_put_u64(&out, box[0]);
		if (type == STORE_COPY)
			ipc_put_u64(&out, box[1]);
		buf_append(&out, s.ptr, s.len);
	} else {
		buf_append(&out, s.ptr, s.len);
	}
	buf_reset(payload);
	buf_append(payload, out.data, out.len);
	buf_done(&out);
}
