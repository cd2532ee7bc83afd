/* cms_split.c: cms_split.h. Pure; runs in milter-scan on what came with the mail. It judges nothing: what it is not sure of is left to OpenSSL's parser, which
 * reads the rest and each certificate in any case. RFC 5652 3, 5.1, X.690 8.1, 10.1. */
#include "config.h"

#include "milter/cms_split.h"

enum { SEQUENCE = 0x30, SET = 0x31, INTEGER = 0x02, OID = 0x06, CONTEXT_0 = 0xa0 };

/* 1.2.840.113549.1.7.2 */
static const unsigned char signed_data[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02};

/* The next element of *in: all of it, and its content. False: there is none, or its length is not DER's. */
static bool
take(struct slice *in, unsigned char *tag_out, struct slice *whole_out, struct slice *content_out)
{
	size_t head = 2, len, n;

	if (in->len < 2 || (in->ptr[0] & 0x1f) == 0x1f)
		return false;
	len = in->ptr[1];
	if (len >= 0x80) {
		n = len & 0x7f;
		if (n < 1 || n > 3 || in->len < 2 + n)
			return false;
		for (len = 0; head < 2 + n; head++)
			len = len << 8 | in->ptr[head];
		if (len < 0x80 || (n > 1 && len >> 8 * (n - 1) == 0))
			return false;
	}
	if (len > in->len - head)
		return false;
	*tag_out = in->ptr[0];
	*whole_out = slice_sub(*in, 0, head + len);
	*content_out = slice_sub(*in, head, len);
	*in = slice_from(*in, head + len);
	return true;
}

/* One of this tag that is all of in: its content. */
static bool
take_all(struct slice in, unsigned char want, struct slice *content_out)
{
	struct slice whole;
	unsigned char tag;

	return take(&in, &tag, &whole, content_out) && tag == want && in.len == 0;
}

static bool
take_one(struct slice *in, unsigned char want, struct slice *whole_out, struct slice *content_out)
{
	unsigned char tag;

	return take(in, &tag, whole_out, content_out) && tag == want;
}

static size_t
head_len(size_t len)
{
	return len < 0x80 ? 2 : len < 0x100 ? 3 : len < 0x10000 ? 4 : 5;
}

static void
put_head(struct buf *b, unsigned char tag, size_t len)
{
	size_t n = head_len(len) - 2;

	buf_append_byte(b, tag);
	buf_append_byte(b, n == 0 ? (unsigned char)len : (unsigned char)(0x80 | n));
	for (; n > 0; n--)
		buf_append_byte(b, (unsigned char)(len >> 8 * (n - 1)));
}

static bool
take_certs(struct slice list, struct cms_split *out)
{
	struct slice content;

	for (out->n = 0; list.len > 0; out->n++)
		if (out->n == CMS_SPLIT_CERTS_MAX ||
		    !take_one(&list, SEQUENCE, &out->certs[out->n], &content))
			return false;
	return out->n > 0;
}

bool
cms_split(struct slice der, struct cms_split *out, struct buf *rest)
{
	struct slice info, oid, oid_content, explicit, data, before, whole, content;
	size_t inner, middle;

	if (!take_all(der, SEQUENCE, &info) || !take_one(&info, OID, &oid, &oid_content) ||
	    !slice_eq(oid_content, slice_of(signed_data, sizeof signed_data)) ||
	    !take_all(info, CONTEXT_0, &explicit) || !take_all(explicit, SEQUENCE, &data))
		return false;
	before = data;
	if (!take_one(&data, INTEGER, &whole, &content) ||
	    !take_one(&data, SET, &whole, &content) || !take_one(&data, SEQUENCE, &whole, &content))
		return false;
	before = slice_sub(before, 0, before.len - data.len);
	if (!take_one(&data, CONTEXT_0, &whole, &content) || !take_certs(content, out))
		return false;
	inner = before.len + data.len;
	middle = head_len(inner) + inner;
	put_head(rest, SEQUENCE, oid.len + head_len(middle) + middle);
	buf_append_slice(rest, oid);
	put_head(rest, CONTEXT_0, middle);
	put_head(rest, SEQUENCE, inner);
	buf_append_slice(rest, before);
	buf_append_slice(rest, data);
	return rest->err == 0;
}
