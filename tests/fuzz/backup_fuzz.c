/* backup_fuzz.c: what a backup folder may hold, written by anybody: the manifest (the first byte is even), the stream of records (odd). Refused, or read within its bounds;
 * a manifest that is read is the same when it is written and read again. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "admin/backup_manifest.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "store/backup_rec.h"

/* The octets as they are, and with the digest that they should have: else hardly any would pass. */
static void
manifest(struct slice s)
{
	struct backup_manifest m, again;
	unsigned char sha[32];
	struct buf text, out;
	char hex[65];
	int r = manifest_parse(s, &m);

	MUST(r == 0 || r == ERR_CORRUPT || r == ERR_UNSUPPORTED);
	manifest_done(&m);
	buf_init(&text, MANIFEST_MAX);
	buf_init(&out, MANIFEST_MAX);
	buf_append_slice(&text, s);
	sha256_of(s, sha);
	hex_encode(sha, sizeof sha, hex);
	buf_appendf(&text, "sha256 %s\n", hex);
	r = manifest_parse(buf_slice(&text), &m);
	MUST(r == 0 || r == ERR_CORRUPT || r == ERR_UNSUPPORTED);
	if (r == 0) {
		for (size_t i = 0; i < m.n_segments; i++)
			MUST(manifest_segment(&m, m.segments[i].number) == &m.segments[i]);
		MUST(
		    manifest_format(&m, &out) == 0 && manifest_parse(buf_slice(&out), &again) == 0);
		MUST(again.n_segments == m.n_segments && again.moment_us == m.moment_us);
		MUST(memcmp(&again.set, &m.set, sizeof m.set) == 0);
		MUST(memcmp(&again.next, &m.next, sizeof m.next) == 0);
		manifest_done(&again);
	}
	manifest_done(&m);
	buf_done(&text);
	buf_done(&out);
}

static int
on_op(void *arg, const struct backup_op *op)
{
	size_t *n = arg;

	MUST(op->key.len > 0 && op->key.len <= 256 && op->value.len <= 1u << 20);
	MUST(op->kind == BACKUP_PUT || op->kind == BACKUP_DEL);
	(*n)++;
	return 0;
}

/* Fed octet by octet or at once: the same. */
static void
stream(struct slice s)
{
	struct backup_stream a, b;
	size_t n_a = 0, n_b = 0;
	int r_a, r_b = 0;

	backup_stream_init(&a, on_op, &n_a);
	backup_stream_init(&b, on_op, &n_b);
	r_a = backup_stream_feed(&a, s);
	for (size_t i = 0; i < s.len && r_b == 0; i++)
		r_b = backup_stream_feed(&b, slice_sub(s, i, 1));
	MUST(r_a == r_b && n_a == n_b && a.section == b.section && a.changes == n_a);
	MUST(r_a == 0 || r_a == ERR_CORRUPT);
	backup_stream_done(&a);
	backup_stream_done(&b);
}

/* A record of these octets with a good check, between marks. */
static void
record(struct slice s)
{
	unsigned char mark[BACKUP_MARK_LEN];
	struct buf rec, all;

	buf_init(&rec, 1 << 20);
	buf_init(&all, 2 << 20);
	backup_rec_begin(&rec);
	buf_append_slice(&rec, s);
	(void)backup_rec_end(&rec, 1, 0);
	backup_mark(BACKUP_ROWS, mark);
	buf_append(&all, mark, sizeof mark);
	buf_append_slice(&all, buf_slice(&rec));
	backup_mark(BACKUP_JOURNAL, mark);
	buf_append(&all, mark, sizeof mark);
	backup_mark(BACKUP_END, mark);
	buf_append(&all, mark, sizeof mark);
	if (all.err == 0)
		stream(buf_slice(&all));
	buf_done(&rec);
	buf_done(&all);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_from(slice_of(data, size), 1);

	if (size == 0 || size > 100000)
		return 0;
	if (data[0] % 2 == 0) {
		manifest(s);
	} else {
		stream(s);
		record(s);
	}
	return 0;
}
