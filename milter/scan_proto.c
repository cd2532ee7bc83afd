/* scan_proto.c: the table of scan_proto.def. Runs in milter, milter-scan, store-text and ingest. */
#include "config.h"

#include "milter/scan_proto.h"
#include "milter/scan_terms.h"

void
scan_terms_put(const struct scan_terms *t, struct buf *out)
{
	ipc_put_u32(out, t->depth);
	ipc_put_u32(out, t->entries);
	ipc_put_u32(out, t->bytes);
	ipc_put_u32(out, t->ratio);
	ipc_put_u32(out, t->time_s);
	ipc_put_u8(out, (uint8_t)t->prefer);
}

static uint32_t
get_bound(struct ipc_reader *r, uint32_t most)
{
	uint32_t n = ipc_get_u32(r);

	return n < most ? n : most;
}

void
scan_terms_get(struct ipc_reader *r, struct scan_terms *out)
{
	unsigned prefer;

	out->depth = get_bound(r, SCAN_DEPTH_MAX);
	out->entries = get_bound(r, SCAN_ENTRIES_MAX);
	out->bytes = get_bound(r, SCAN_BYTES_MAX);
	out->ratio = get_bound(r, SCAN_RATIO_MAX);
	out->time_s = get_bound(r, SCAN_TIME_MAX);
	prefer = ipc_get_u8(r);
	out->prefer = prefer <= PREFER_OCSP ? (enum scan_prefer)prefer : PREFER_NONE;
}

static const struct ipc_rule rules[] = {
#define IPC_MSG(name, number, from, states, max_len, fds) \
	{number, #name, from, states, max_len, fds},
#include "milter/scan_proto.def"
#undef IPC_MSG
};
const struct ipc_proto scan_proto = {"scan", 1, IPC_SCAN, rules, sizeof rules / sizeof *rules};
