/* scan_client.c: asks milter-scan about one message and reads its findings as what they are: bytes from the process that touches
 * hostile content. Runs in milter's threads. */
#include "config.h"

#include "milter/scan_client.h"

#include "lib/err.h"

#define REV_MS 10000

int
scan_sync(struct ipc_sync *s, enum scan_msg how, const struct scan_terms *terms, int fd,
    struct slice domain, int64_t now, unsigned deadline_ms, uint64_t rev_version, struct arena *a,
    struct findings *out)
{
	struct buf req, rep;
	uint16_t type = 0;
	int err;

	buf_init(&req, 4096);
	buf_init(&rep, IPC_FRAME_MAX);
	if (terms != NULL && scan_terms_any(terms)) {
		ipc_put_u8(&req, how == SCAN_SHALLOW);
		scan_terms_put(terms, &req);
		how = SCAN_ON_TERMS;
	}
	ipc_put_slice(&req, domain);
	ipc_put_i64(&req, now);
	ipc_put_u32(&req, deadline_ms);
	ipc_put_u64(&req, rev_version);
	err = ipc_sync_call(s, (uint16_t)how, &req, fd, deadline_ms + 1000, &type, &rep, NULL);
	if (err == 0)
		err = type == SCAN_FINDINGS ? findings_decode(buf_slice(&rep), a, out) : ERR_PROTO;
	buf_done(&req);
	buf_done(&rep);
	return err;
}

int
scan_rev_sync(struct ipc_sync *s, uint64_t version, enum want_kind kind, struct slice key, int fd,
    int64_t *this_out, int64_t *next_out)
{
	struct ipc_reader r;
	struct buf req, rep;
	uint16_t type = 0;
	int64_t from, to;
	int err;

	buf_init(&req, 4096);
	buf_init(&rep, 4096);
	ipc_put_u64(&req, version);
	ipc_put_u8(&req, fd < 0 ? 0 : (uint8_t)kind);
	ipc_put_slice(&req, key);
	err = ipc_sync_call(s, SCAN_REV, &req, fd, REV_MS, &type, &rep, NULL);
	if (err == 0) {
		ipc_reader_init(&r, buf_slice(&rep));
		from = ipc_get_i64(&r);
		to = ipc_get_i64(&r);
		err = type == SCAN_REV_IS ? ipc_reader_end(&r) : ERR_PROTO;
		if (err == 0) {
			*this_out = from;
			*next_out = to;
		}
	}
	buf_done(&req);
	buf_done(&rep);
	return err;
}
