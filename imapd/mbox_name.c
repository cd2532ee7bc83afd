/* mbox_name.c: mailbox names. Runs in imapd-session; pure. RFC 3501 5.1.3, RFC 2342. */
#include "config.h"

#include "imapd/mbox_name.h"

#include <string.h>

#include "lib/err.h"
#include "lib/utf7.h"

static bool
is_inbox(struct slice name)
{
	return slice_casestarts(name, "INBOX") && (name.len == 5 || name.ptr[5] == '/');
}

int
mbox_pattern_in(struct slice wire, bool utf8, struct arena *a, struct slice *out)
{
	struct buf raw, nfc;
	buf_init(&raw, 8192);
	buf_init(&nfc, 8192);
	int err = utf8 ? buf_append_slice(&raw, wire) : utf7_to_utf8(wire, &raw);
	if (err == 0)
		err = utf8_nfc(buf_slice(&raw), &nfc);
	if (err == 0 && (nfc.err || (nfc.len > 0 && memchr(nfc.data, 0, nfc.len))))
		err = ERR_SYNTAX;
	if (err == 0) {
		*out = slice_of("", 0);
		if (nfc.len > 0)
			*out = arena_slice(a, buf_slice(&nfc));
		if (out->ptr == NULL)
			err = ERR_NOMEM;
	}
	buf_done(&raw);
	buf_done(&nfc);
	return err;
}

int
mbox_name_in(struct slice wire, bool utf8, struct arena *a, struct slice *out)
{
	struct slice s;
	int err = mbox_pattern_in(wire, utf8, a, &s);
	if (err)
		return err;
	/* RFC 3501 6.3.3: the separator at the end says that names below will be made */
	if (s.len > 1 && s.ptr[s.len - 1] == '/')
		s.len--;
	if (is_inbox(s)) {
		char *p = arena_slicedup(a, s);
		if (p == NULL)
			return ERR_NOMEM;
		memcpy(p, "INBOX", 5);
		s = slice_of(p, s.len);
	}
	*out = s;
	return 0;
}

int
mbox_name_out(struct slice name, bool utf8, struct buf *out)
{
	struct buf w;
	buf_init(&w, 16384);
	if (utf8 || utf7_from_utf8(name, &w) != 0) {
		buf_reset(&w);
		buf_append_slice(&w, name);
	}
	buf_append_byte(out, '"');
	for (size_t i = 0; i < w.len; i++) {
		if (w.data[i] == '"' || w.data[i] == '\\')
			buf_append_byte(out, '\\');
		buf_append_byte(out, w.data[i]);
	}
	buf_append_byte(out, '"');
	buf_done(&w);
	return out->err;
}

struct slice
mbox_name_full(const char *prefix, struct slice share, struct slice name, struct arena *a)
{
	if (share.len == 0)
		return name;
	bool inbox = slice_eq_str(name, "INBOX");
	char *p = arena_printf(a, "%s/%.*s%s%.*s", prefix, (int)share.len, (const char *)share.ptr,
	    inbox ? "" : "/", inbox ? 0 : (int)name.len, (const char *)name.ptr);
	return slice_str(p);
}

int
mbox_name_split(const char *prefix, struct slice full, struct slice *share, struct slice *name)
{
	size_t len = strlen(prefix);
	if (full.len < len || memcmp(full.ptr, prefix, len) != 0 ||
	    (full.len > len && full.ptr[len] != '/')) {
		*share = slice_of("", 0);
		*name = full;
		return 0;
	}
	struct slice rest = slice_from(full, len + 1);
	if (rest.len == 0)
		return ERR_DENIED;
	ptrdiff_t slash = slice_index(rest, '/');
	*share = slash < 0 ? rest : slice_sub(rest, 0, (size_t)slash);
	*name = slash < 0 ? slice_str("INBOX") : slice_from(rest, (size_t)slash + 1);
	return share->len > 0 && name->len > 0 ? 0 : ERR_DENIED;
}
