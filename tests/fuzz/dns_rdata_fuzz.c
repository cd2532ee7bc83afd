/* dns_rdata_fuzz.c: records as name servers may write them: a host that comes out is one, or nothing does. */
#include "tests/fuzz/fuzz.h"

#include "directory/dns_rdata.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data, size);
	struct buf b;
	uint16_t pref;
	size_t used = 0;

	buf_init(&b, 300);
	if (dns_mx_parse(s, &pref, &b) == 0) {
		MUST(b.len <= 253 && size >= 3);
		for (size_t i = 0; i < b.len; i++)
			MUST((b.data[i] >= 'a' && b.data[i] <= 'z') ||
			     (b.data[i] >= '0' && b.data[i] <= '9') || b.data[i] == '-' ||
			     b.data[i] == '_' || b.data[i] == '.');
	}
	buf_reset(&b);
	if (dns_name_text(s, &used, &b) == 0)
		MUST(used >= 1 && used <= size && (b.len == 0 ? used == 1 : used == b.len + 2));
	buf_reset(&b);
	if (dns_addr_text(s, &b) == 0)
		MUST(size == 4 || size == 16);
	buf_done(&b);
	return 0;
}
