/* fetch_fuzz.c: what fetch reads: requests of its clients, URLs out of certificates, and answers of foreign directories. */
#include "config.h"

#include "directory/fetch_client.h"
#include "directory/fetch_ldif.h"
#include "directory/fetch_url.h"
#include "tests/fuzz/fuzz.h"

static void
url_one(struct slice text)
{
	struct fetch_url u;

	if (fetch_url_parse(text, &u) != 0)
		return;
	MUST(text.len <= FETCH_URL_MAX && u.port >= 1 && u.port <= 65535 && u.host.len > 0);
	for (size_t i = 0; i < text.len; i++)
		MUST(text.ptr[i] > 0x20 && text.ptr[i] < 0x7f);
	MUST(slice_index(u.host, '@') < 0 && slice_index(u.host, '/') < 0 &&
	     slice_index(u.host, '\\') < 0);
	MUST(!fetch_scheme_is_ldap(u.scheme) || u.attr.len > 0);
}

static void
request_one(struct slice payload)
{
	struct fetch_request q;
	struct ipc_reader r;
	char *url, *type;

	ipc_reader_init(&r, payload);
	if (fetch_request_get(&r, &q, &url, &type) != 0)
		return;
	MUST(q.deadline_ms >= 1 && q.deadline_ms <= FETCH_DEADLINE_MAX &&
	     q.body.len <= FETCH_BODY_MAX);
	url_one(slice_str(q.url));
	free(url);
	free(type);
}

static void
answer_one(struct slice payload)
{
	struct fetch_answer *a;
	struct ipc_reader r;
	uint32_t len;

	ipc_reader_init(&r, payload);
	if (fetch_answer_get(&r, &a, &len) == 0)
		fetch_answer_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice rest;
	struct buf b;

	if (size == 0)
		return 0;
	rest = slice_of(data + 1, size - 1);
	switch (data[0] % 4) {
	case 0:
		url_one(rest);
		break;
	case 1:
		request_one(rest);
		break;
	case 2:
		answer_one(rest);
		break;
	default:
		buf_init(&b, 4096);
		(void)fetch_ldif_value(rest, slice_str("crl;binary"), &b);
		buf_done(&b);
	}
	return 0;
}
