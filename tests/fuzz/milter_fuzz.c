/* milter_fuzz.c: what a milter sends: packets, negotiation, modifications of a header, replies. A header stays a header. */
#include "tests/fuzz/fuzz.h"

#include "smtpd/milter_proto.h"
#include "smtpd/msg.h"

static void
modify(struct msg *m, char cmd, struct slice data)
{
	struct slice a, b;
	uint32_t i;

	if (milter_get_mod(data, cmd == 'i' || cmd == 'm', &i, &a, &b) != 0)
		return;
	if (cmd == 'h')
		(void)msg_add(m, a, b, i & 1);
	else if (cmd == 'i')
		(void)msg_insert(m, i, a, b, i & 1);
	else if (cmd == 'm')
		(void)msg_change(m, i == 0 ? 1 : i, a, b, i & 1);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct arena *a;
	struct slice in = slice_of(data, size), payload;
	struct msg m, again;
	struct buf out;
	uint32_t v, x, y;
	unsigned code;
	size_t used;
	char cmd;

	if (a == NULL)
		a = arena_new(8 << 20);
	arena_reset(a);
	buf_init(&out, 4 << 20);
	MUST(msg_parse(&m, slice_str("A: 1\r\nB: 2\r\n 3\r\n\r\nbody\r\n"), a) == 0);
	while (milter_packet(in, &cmd, &payload, &used) == 0) {
		MUST(used >= 5 && used <= in.len && payload.len == used - 5);
		in = slice_from(in, used);
		if (milter_get_optneg(payload, &v, &x, &y) == 0)
			MUST(v <= MILTER_VERSION && !(x & ~(uint32_t)MILTER_ACTIONS) &&
			     !(y & ~(uint32_t)MILTER_STEPS));
		buf_reset(&out);
		if (milter_get_reply(payload, &code, &out) == 0)
			MUST(code >= 400 && code <= 599 && slice_index(buf_slice(&out), '\r') < 0);
		modify(&m, cmd, payload);
	}
	buf_reset(&out);
	if (msg_render(&m, slice_of(NULL, 0), &out) == 0) {
		buf_append_str(&out, "body\r\n");
		MUST(msg_parse(&again, buf_slice(&out), a) == 0);
		MUST(again.n == m.n && slice_eq_str(msg_body(&again), "body\r\n"));
	}
	buf_done(&out);
	return 0;
}
