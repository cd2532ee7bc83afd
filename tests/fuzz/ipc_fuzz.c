/* ipc_fuzz.c: frames as a taken-over peer may send them, and payloads through the reader. The first byte chooses who
 * sends and in which state; the rest is the stream. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipc_priv.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct ipc_rule rules[] = {
    {3, "A", IPC_SMTPD, ~0u, 1000, 0},
    {4, "B", IPC_SMTPD | IPC_IMAPD, 2, IPC_FRAME_MAX, 1},
    {5, "C", IPC_STORED, ~0u, 16, 2},
};
static const struct ipc_proto proto = {"fuzz", 1, IPC_STORED, rules, 3};

static void
read_payload(struct slice payload)
{
	struct ipc_reader r;
	const unsigned char *end = payload.ptr + payload.len;

	ipc_reader_init(&r, payload);
	for (size_t i = 0; i < payload.len && r.err == 0; i++) {
		struct slice s = {NULL, 0};
		uint32_t n;

		switch (payload.ptr[i] % 8) {
		case 0:
			ipc_get_u8(&r);
			break;
		case 1:
			ipc_get_u16(&r);
			break;
		case 2:
			ipc_get_u32(&r);
			break;
		case 3:
			ipc_get_u64(&r);
			break;
		case 4:
			ipc_get_i64(&r);
			break;
		case 5:
			s = ipc_get_slice(&r);
			assert(s.len == 0 || (s.ptr >= payload.ptr && s.ptr + s.len <= end));
			break;
		case 6:
			n = ipc_get_count(&r, 100, 3);
			assert(n <= 100 && n * 3 <= r.rest.len);
			break;
		default:
			free(ipc_get_strdup(&r));
		}
		assert(r.rest.len <= payload.len);
	}
	(void)ipc_reader_end(&r);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ipc_view v = {.proto = &proto};
	struct slice in;
	struct ipc_frame f;
	const char *why = NULL;

	if (size == 0)
		return 0;
	v.from_server = (data[0] & 1) != 0;
	v.from = v.from_server ? IPC_STORED : (data[0] & 2) != 0 ? IPC_SMTPD : IPC_IMAPD;
	v.state = (data[0] & 4) != 0 ? 2 : IPC_ST_READY;
	in = slice_of(data + 1, size - 1);
	while (in.len > 0) {
		int rc = ipc_frame_parse(&v, in, &f, &why);

		if (rc != 0) {
			assert(rc == ERR_PROTO ? why != NULL : rc == ERR_AGAIN && f.size > in.len);
			break;
		}
		assert(f.size >= IPC_HEADER && f.size <= in.len &&
		       f.payload.len == f.size - IPC_HEADER);
		if (f.type == IPC_HELLO)
			v.hello_seen = ipc_hello_is_good(&proto, v.from, f.payload) || true;
		read_payload(f.payload);
		in = slice_from(in, f.size);
	}
	return 0;
}
