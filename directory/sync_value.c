/* sync_value.c: sync_value.h: BER of definite lengths, as LDAP has it (RFC 4511 5.1). Pure; used by dir_ldap_watch.c, in lookup. RFC 4533 2.2,
 * 2.3, 2.5. */
#include "config.h"

#include "directory/sync_value.h"

#include "lib/err.h"

enum {
	TAG_BOOLEAN = 0x01,
	TAG_OCTETS = 0x04,
	TAG_ENUM = 0x0a,
	TAG_SEQUENCE = 0x30,
	TAG_SET = 0x31,
	TAG_NEW_COOKIE = 0x80, /* and 0xa1 to 0xa3 */
	REFRESH_AND_PERSIST = 3,
	UUID_LEN = 16
};

/* Takes one element off *in. 0 or ERR_SYNTAX. */
static int
take(struct slice *in, unsigned *tag_out, struct slice *value_out)
{
	size_t len, at = 2;

	if (in->len < 2)
		return ERR_SYNTAX;
	len = in->ptr[1];
	if (len >= 0x80) {
		size_t n = len & 0x7f;

		if (n == 0 || n > 4 || in->len < 2 + n)
			return ERR_SYNTAX;
		len = 0;
		for (; at < 2 + n; at++)
			len = len << 8 | in->ptr[at];
	}
	if (len > in->len - at)
		return ERR_SYNTAX;
	*tag_out = in->ptr[0];
	*value_out = slice_sub(*in, at, len);
	*in = slice_from(*in, at + len);
	return 0;
}

static int
take_tag(struct slice *in, unsigned tag, struct slice *value_out)
{
	unsigned found;
	int err = take(in, &found, value_out);

	return err != 0 ? err : found == tag ? 0 : ERR_SYNTAX;
}

/* [cookie] of what is left in a sequence. */
static int
take_cookie(struct slice *in, struct slice *cookie_out)
{
	*cookie_out = slice_of(NULL, 0);
	if (in->len == 0 || in->ptr[0] != TAG_OCTETS)
		return 0;
	if (take_tag(in, TAG_OCTETS, cookie_out) != 0 || cookie_out->len > SYNC_COOKIE_MAX)
		return ERR_SYNTAX;
	return 0;
}

static int
take_bool(struct slice *in, bool *out)
{
	struct slice v;

	if (in->len == 0 || in->ptr[0] != TAG_BOOLEAN)
		return 0;
	if (take_tag(in, TAG_BOOLEAN, &v) != 0 || v.len != 1)
		return ERR_SYNTAX;
	*out = v.ptr[0] != 0;
	return 0;
}

static void
append_head(struct buf *b, unsigned tag, size_t len)
{
	buf_append_byte(b, (unsigned char)tag);
	if (len >= 0x80) {
		buf_append_byte(b, 0x82);
		buf_append_byte(b, (unsigned char)(len >> 8));
	}
	buf_append_byte(b, (unsigned char)len);
}

void
sync_request_append(struct slice cookie, struct buf *out)
{
	struct buf inner;

	buf_init(&inner, SYNC_COOKIE_MAX + 32);
	append_head(&inner, TAG_ENUM, 1);
	buf_append_byte(&inner, REFRESH_AND_PERSIST);
	if (cookie.len > 0 && cookie.len <= SYNC_COOKIE_MAX) {
		append_head(&inner, TAG_OCTETS, cookie.len);
		buf_append_slice(&inner, cookie);
	}
	append_head(out, TAG_SEQUENCE, inner.len);
	buf_append_slice(out, buf_slice(&inner));
	buf_done(&inner);
}

int
sync_state_parse(struct slice v, enum sync_state *state_out, struct slice *cookie_out)
{
	struct slice in, state, uuid, cookie;

	if (take_tag(&v, TAG_SEQUENCE, &in) != 0 || v.len > 0 ||
	    take_tag(&in, TAG_ENUM, &state) != 0 || state.len != 1 || state.ptr[0] > SYNC_DELETE ||
	    take_tag(&in, TAG_OCTETS, &uuid) != 0 || uuid.len != UUID_LEN ||
	    take_cookie(&in, &cookie) != 0 || in.len > 0)
		return ERR_SYNTAX;
	*state_out = (enum sync_state)state.ptr[0];
	*cookie_out = cookie;
	return 0;
}

/* The ids themselves are of no use here: nothing is kept by them. */
static int
id_set_check(struct slice *in)
{
	struct slice set, uuid;

	if (take_tag(in, TAG_SET, &set) != 0)
		return ERR_SYNTAX;
	while (set.len > 0) {
		if (take_tag(&set, TAG_OCTETS, &uuid) != 0 || uuid.len != UUID_LEN)
			return ERR_SYNTAX;
	}
	return 0;
}

int
sync_info_parse(struct slice v, struct sync_info *out)
{
	struct sync_info i = {.is_done = false, .deletes = false};
	struct slice in;
	unsigned tag;
	int err;

	if (take(&v, &tag, &in) != 0 || v.len > 0)
		return ERR_SYNTAX;
	if (tag == TAG_NEW_COOKIE) {
		if (in.len > SYNC_COOKIE_MAX)
			return ERR_SYNTAX;
		i.cookie = in;
		*out = i;
		return 0;
	}
	if (tag < 0xa1 || tag > 0xa3)
		return ERR_SYNTAX;
	i.kind = (enum sync_info_kind)(tag - 0xa0);
	err = take_cookie(&in, &i.cookie);
	i.is_done =
	    i.kind != SYNC_ID_SET; /* refreshDone DEFAULT TRUE, refreshDeletes DEFAULT FALSE */
	if (err == 0)
		err = take_bool(&in, i.kind == SYNC_ID_SET ? &i.deletes : &i.is_done);
	if (err == 0 && i.kind == SYNC_ID_SET)
		err = id_set_check(&in);
	if (err != 0 || in.len > 0)
		return ERR_SYNTAX;
	*out = i;
	return 0;
}
