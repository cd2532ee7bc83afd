/* cert_table_fuzz.c: any file as the list of waiting certificates: bounds hold, what counts can be read at the place that the index names, and an entry that a milter
 * may offer becomes a line that is read again. */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include "milter/cert_table.h"

#include "lib/crypto.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* A file as it is; then, so that the checksums do not keep the rest from being read, each line of it under its right one. */
static void
read_as_file(struct slice s)
{
	struct cert_table *t = cert_table_new();
	struct cert_read was;
	struct cert_row *r;
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	MUST(fd >= 0 && write(fd, s.ptr, s.len) == (ssize_t)s.len);
	MUST(cert_table_read(t, fd, &was) == 0);
	MUST(was.size <= s.len);
	for (r = cert_table_first(t); r != NULL; r = r->next) {
		struct json *j = NULL;

		MUST(r->at + r->len <= s.len && r->decided_at + r->decided_len <= s.len);
		MUST(strlen(r->address) <= CERT_ADDRESS_MAX);
		MUST(cert_table_find(t, r->sha256) == r);
		MUST(cert_line_get(slice_sub(s, (size_t)r->at, r->len - 1), &j) == 0);
		json_free(j);
	}
	cert_table_expire(t, 1800000000, 86400);
	for (r = cert_table_first(t); r != NULL; r = r->next)
		MUST(r->not_after > 1800000000);
	cert_table_free(t);
	close(fd);
}

static void
summed(struct slice s, struct buf *out)
{
	while (s.len > 0) {
		ptrdiff_t lf = slice_index(s, '\n');
		struct slice line = slice_sub(s, 0, lf < 0 ? s.len : (size_t)lf);

		buf_appendf(out, "%08x ", crc32c(0, line.ptr, line.len));
		buf_append_slice(out, line);
		buf_append_byte(out, '\n');
		s = slice_from(s, line.len + (lf >= 0));
	}
}

static void
offer(struct slice s)
{
	unsigned char sha[32];
	struct json *e = NULL;
	struct buf der, line;

	buf_init(&der, CERT_DER_MAX);
	buf_init(&line, CERT_LINE_MAX);
	if (json_parse(s, &e) == 0 && cert_entry_check(e, sha, &der) == 0) {
		size_t n;

		MUST(cert_der_first(buf_slice(&der), &n) == 0 && n <= der.len);
		MUST(cert_line_put(e, &line) == 0);
	}
	json_free(e);
	buf_done(&der);
	buf_done(&line);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	struct buf b;

	if (size > 1 << 20)
		return 0;
	json_init();
	read_as_file(s);
	buf_init(&b, 8u << 20);
	summed(s, &b);
	read_as_file(buf_slice(&b));
	buf_done(&b);
	offer(s);
	return 0;
}
