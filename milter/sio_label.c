/* sio_label.c: reads SIO-Label fields. Pure; runs in milter's threads. The field is a list of parameters as those of a Content-Type (continuations
 * included): marking, fgcolor, bgcolor, type (":ess", ":x411", ":xml") and label. Of labels only ":ess" is looked into: base64 of an ESSSecurityLabel
 * (RFC 2634 3.2), parsed here without a library, since it comes from the header of any mail; of others the marking tells the level by its words. */
#include "config.h"

#include "milter/sio_label.h"

#include "lib/err.h"
#include "lib/fold.h"
#include "lib/hdr.h"
#include "lib/mime.h"

#include <string.h>

#define FIELD_MAX 8192
#define LABEL_MAX 4096
#define FIELDS_MAX 4

/* One TLV off *s, DER or BER of definite length: its tag and content. */
static bool
take_tlv(struct slice *s, unsigned *tag, struct slice *v)
{
	size_t len, n, i;

	if (s->len < 2 || (s->ptr[0] & 0x1f) == 0x1f)
		return false;
	*tag = s->ptr[0];
	len = s->ptr[1];
	*s = slice_from(*s, 2);
	if (len & 0x80) {
		n = len & 0x7f;
		if (n == 0 || n > 2 || s->len < n)
			return false;
		for (len = 0, i = 0; i < n; i++)
			len = len << 8 | s->ptr[i];
		*s = slice_from(*s, n);
	}
	if (len > s->len)
		return false;
	*v = slice_sub(*s, 0, len);
	*s = slice_from(*s, len);
	return true;
}

static bool
dotted(struct slice oid, struct buf *out)
{
	uint64_t v = 0;
	bool first = true;
	size_t i;

	for (i = 0; i < oid.len; i++) {
		if (v > UINT32_MAX)
			return false;
		v = v << 7 | (oid.ptr[i] & 0x7f);
		if (oid.ptr[i] & 0x80)
			continue;
		if (first)
			buf_appendf(out, "%u.%llu",
			    v < 40   ? 0
			    : v < 80 ? 1
				     : 2,
			    (unsigned long long)(v < 40   ? v
						 : v < 80 ? v - 40
							  : v - 80));
		else
			buf_appendf(out, ".%llu", (unsigned long long)v);
		first = false;
		v = 0;
	}
	return !first && (oid.ptr[oid.len - 1] & 0x80) == 0;
}

/* ESSSecurityLabel ::= SET { policy OID, classification INTEGER (0..256) OPTIONAL, privacy mark, categories } */
static bool
read_ess(struct slice der, int *level, struct buf *policy)
{
	struct slice set, v;
	unsigned tag;

	if (!take_tlv(&der, &tag, &set) || tag != 0x31 || der.len > 0)
		return false;
	*level = 0;
	while (set.len > 0) {
		if (!take_tlv(&set, &tag, &v))
			return false;
		if (tag == 0x02) {
			if (v.len == 0 || v.len > 2 || (v.ptr[0] & 0x80) != 0)
				return false;
			*level = v.len == 1 ? v.ptr[0] : v.ptr[0] << 8 | v.ptr[1];
		} else if (tag == 0x06 && (policy->len > 0 || !dotted(v, policy))) {
			return false;
		}
	}
	return policy->len > 0 && *level <= 256;
}

/* By the words of RFC 2634 and of the law; -1: none of them. */
static int
level_of(struct slice marking)
{
	static const struct {
		const char *words;
		int level;
	} marks[] = {{"tuyet mat", 5}, {"top secret", 5}, {"top-secret", 5}, {"toi mat", 4},
	    {"secret", 4}, {"confidential", 3}, {"mat", 3}, {"restricted", 2}, {"unclassified", 1},
	    {"unmarked", 0}};
	struct buf f;
	struct slice s;
	int level = -1;
	size_t i;

	buf_init(&f, 65536);
	if (vn_fold(slice_sub(marking, 0, 400), &f) == 0) {
		s = slice_trim(buf_slice(&f));
		for (i = 0; i < sizeof marks / sizeof *marks && level < 0; i++) {
			if (slice_starts(s, marks[i].words) &&
			    (s.len == strlen(marks[i].words) ||
				s.ptr[strlen(marks[i].words)] == ' '))
				level = marks[i].level;
		}
	}
	buf_done(&f);
	return level;
}

static const char *
read_field(struct slice body, struct arena *a, struct sio_label *out)
{
	struct slice type, label;
	struct buf text, der, policy;
	struct hdr_ctype c;
	const char *bad = NULL;
	int level = -1, said;

	buf_init(&text, FIELD_MAX + 16);
	buf_init(&der, LABEL_MAX + 65536);
	buf_init(&policy, 400);
	buf_append_str(&text, "sio/label; "); /* parameters are read as a Content-Type's */
	buf_append_slice(&text, body);
	if (text.err != 0) {
		bad = "too long";
	} else if (hdr_ctype_parse(buf_slice(&text), false, a, &c) != 0 || c.malformed) {
		bad = "malformed";
	} else {
		bad = c.duplicate ? "a parameter stands twice" : NULL;
		type = hdr_ctype_param(&c, "type");
		label = hdr_ctype_param(&c, "label");
		if (out->marking.len == 0)
			out->marking = slice_sub(hdr_ctype_param(&c, "marking"), 0, 400);
		if (slice_caseeq_str(type, ":ess") &&
		    (label.len > LABEL_MAX || b64_decode(label, false, &der) != 0 ||
			!read_ess(buf_slice(&der), &level, &policy))) {
			level = -1;
			bad = "its label cannot be read";
		}
		said = level_of(hdr_ctype_param(&c, "marking"));
		level = said > level ? said : level;
		if (bad == NULL && type.len == 0 && out->marking.len == 0)
			bad = "neither label nor marking";
	}
	if (level > out->level)
		out->level = level;
	if (policy.len > 0 && policy.err == 0)
		out->policy = arena_slice(a, buf_slice(&policy));
	buf_done(&text);
	buf_done(&der);
	buf_done(&policy);
	return bad;
}

int
sio_label_read(struct slice header, struct arena *a, struct sio_label *out)
{
	struct hdr_field field;
	const char *bad;
	size_t n;

	*out = (struct sio_label){.level = -1};
	for (n = 0; n < FIELDS_MAX && hdr_find(header, "SIO-Label", n, &field); n++) {
		out->there = true;
		bad = read_field(slice_sub(field.body, 0, FIELD_MAX + 1), a, out);
		if (bad != NULL)
			out->bad = bad;
	}
	if (n > 1)
		out->bad = "more than one SIO-Label";
	if (out->marking.len > 0)
		out->marking = arena_slice(a, out->marking);
	return (out->marking.len > 0 && out->marking.ptr == NULL) ||
		       (out->policy.len > 0 && out->policy.ptr == NULL)
		   ? ERR_NOMEM
		   : 0;
}
