/* sign_ipc_fuzz.c: milter-sign behind its sockets: whatever a taken-over ledger or milter asks for, what is signed for the ledger is the text of a checkpoint that
 * goes forward, with a good signature; nothing else comes out of the audit key. */
#include "config.h"

#include "tests/fuzz/border.h"

#include <stdio.h>
#include <string.h>

#include "milter/sign_client.h"
#include "milter/sign_key.h"
#include "milter/sign_text.h"
#include "tests/fuzz/fuzz.h"

const char border_role[] = "milter-sign";
const char border_conf[] = "hostname = \"mail.tinhmau.example\"\naudit_key_file = \"audit.key\"\n"
			   "gateway_sign = {\"vanthu@tinhmau.example=audit.key:none.pem\"}\n";

/* Of this test alone. */
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
			      "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg0rb1B3m/eCHL/QNZ\n"
			      "tnNNn5+UR0W2Ziuo1YuWjo5W5WehRANCAARynAJnioyy5NB2BAeftqDkAWCvhDac\n"
			      "RfShdQu+cZALy/siwHdWwlmEl1WuqeiT5EXwKr0S9w3zadNCy9C8BqLl\n"
			      "-----END PRIVATE KEY-----\n";

void
border_prepare(void)
{
	FILE *f = fopen("audit.key", "w");

	MUST(f != NULL && fputs(key_pem, f) >= 0 && fclose(f) == 0);
}

/* One checkpoint: what was signed says just what was asked for. Numbers that were passed are refused. */
static void
ask(uint64_t seq, const char *h)
{
	static struct sign_state last = {
	    .h = "0000000000000000000000000000000000000000000000000000000000000000"};
	static struct sign_key *key;
	const char *why = NULL;
	struct ipc_reader r;
	struct sign_text t;
	struct slice reply, text, sig;
	struct buf b;
	uint16_t type;

	if (key == NULL)
		key = sign_key_private(slice_str(key_pem), &why);
	MUST(key != NULL);
	buf_init(&b, 256);
	ipc_put_u64(&b, seq);
	ipc_put_str(&b, h);
	type = border_send(IPC_LEDGER, SIGN_CHECKPOINT, &b, -1, &reply);
	buf_done(&b);
	if (type != SIGN_CHECKPOINTED) {
		/* an input before may have gone further than we know */
		MUST(type == IPC_ERR);
		return;
	}
	MUST(sign_may_follow(&last, seq, h));
	ipc_reader_init(&r, reply);
	text = ipc_get_slice(&r);
	sig = ipc_get_slice(&r);
	MUST(sign_text_parse(text, &t) == 0 && t.seq == seq && strcmp(t.h, h) == 0);
	MUST(sign_key_verify(key, text, sig));
	last.seq = seq;
	memcpy(last.h, h, sizeof last.h);
}

void
border_prologue(void)
{
	static uint64_t seq;

	ask(++seq, "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
	ask(seq, "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb");
	ask(seq / 2 + 1, "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc");
}

void
border_patch(uint32_t peer, uint16_t type, struct buf *payload)
{
	struct slice s = buf_slice(payload);
	struct buf out;
	char h[65];

	(void)peer;
	buf_init(&out, 4096);
	if (type == SIGN_CHECKPOINT) {
		memset(h, s.len > 0 && s.ptr[0] % 2 == 0 ? 'd' : 'e', 64);
		h[64] = '\0';
		ipc_put_u64(&out, s.len > 1 ? s.ptr[1] : 0);
		ipc_put_str(&out, h);
	} else {
		ipc_put_str(&out, "vanthu@tinhmau.example");
		ipc_put_slice(&out, slice_sub(s, 0, 32));
		ipc_put_slice(&out, slice_sub(s, 0, 10));
		ipc_put_slice(&out, slice_from(s, 10));
	}
	buf_reset(payload);
	buf_append(payload, out.data, out.len);
	buf_done(&out);
}
