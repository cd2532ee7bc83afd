/* base_subject.c: the base subject, step by step as RFC 5256 2.1 numbers them, by the grammar of its section 5. Runs in imapd-session; pure.
 * Time is linear in the subject but for step 6, which each time takes seven octets away. */
#include "config.h"

#include "imapd/base_subject.h"

#include <string.h>

#include "lib/hdr.h"

static bool
is_wsp(unsigned char c)
{
	return c == ' ' || c == '\t';
}

/* (1) Tabs and what is left of folds become spaces, runs of spaces one space. */
static void
squeeze(struct buf *b)
{
	size_t n = 0;
	for (size_t i = 0; i < b->len; i++) {
		unsigned char c = b->data[i];
		if (c == '\t' || c == '\r' || c == '\n' || c == 0)
			c = ' ';
		if (c == ' ' && n > 0 && b->data[n - 1] == ' ')
			continue;
		b->data[n++] = c;
	}
	buf_truncate(b, n);
}

/* (2) subj-trailer = "(fwd)" / WSP, as often as there is one. */
static void
cut_trailers(struct slice *s, bool *is_reply)
{
	for (;;) {
		if (s->len > 0 && is_wsp(s->ptr[s->len - 1])) {
			s->len--;
		} else if (s->len >= 5 && slice_caseeq_str(slice_from(*s, s->len - 5), "(fwd)")) {
			s->len -= 5;
			*is_reply = true;
		} else {
			return;
		}
	}
}

/* subj-blob = "[" *BLOBCHAR "]" *WSP: its length, 0 for none. */
static size_t
blob_len(struct slice s)
{
	size_t i = 1;
	if (s.len == 0 || s.ptr[0] != '[')
		return 0;
	while (i < s.len && s.ptr[i] != '[' && s.ptr[i] != ']')
		i++;
	if (i == s.len || s.ptr[i] != ']')
		return 0;
	i++;
	while (i < s.len && is_wsp(s.ptr[i]))
		i++;
	return i;
}

/* subj-refwd = ("re" / ("fw" ["d"])) *WSP [subj-blob] ":" */
static size_t
refwd_len(struct slice s)
{
	size_t i;
	if (slice_casestarts(s, "re"))
		i = 2;
	else if (slice_casestarts(s, "fwd"))
		i = 3;
	else if (slice_casestarts(s, "fw"))
		i = 2;
	else
		return 0;
	while (i < s.len && is_wsp(s.ptr[i]))
		i++;
	i += blob_len(slice_from(s, i));
	return i < s.len && s.ptr[i] == ':' ? i + 1 : 0;
}

/* (3) subj-leader = (*subj-blob subj-refwd) / WSP */
static bool
cut_leader(struct slice *s, bool *is_reply)
{
	struct slice rest = *s;
	size_t n;
	if (s->len > 0 && is_wsp(s->ptr[0])) {
		*s = slice_from(*s, 1);
		return true;
	}
	while ((n = blob_len(rest)) > 0)
		rest = slice_from(rest, n);
	n = refwd_len(rest);
	if (n == 0)
		return false;
	*s = slice_from(rest, n);
	*is_reply = true;
	return true;
}

/* (3) to (5) */
static void
cut_leaders(struct slice *s, bool *is_reply)
{
	for (;;) {
		while (cut_leader(s, is_reply))
			;
		/* (4) a blob goes when a base is left behind it. No refwd stands behind the blobs (else it were a leader), so all blobs but a last one that
		 * is the base go at once: nothing between them can become a leader. */
		struct slice rest = *s;
		size_t n;
		bool any = false;
		while ((n = blob_len(rest)) > 0 && n < rest.len) {
			rest = slice_from(rest, n);
			any = true;
		}
		*s = rest;
		if (!any)
			return;
	}
}

int
base_subject(struct slice subject, struct buf *out, bool *is_reply_out)
{
	struct buf text;
	bool is_reply = false;
	buf_init(&text, (size_t)1 << 20);
	int err = hdr_decode(subject, &text);
	if (err == 0 && text.len > 0)
		squeeze(&text);
	struct slice s = buf_slice(&text);
	for (;;) {
		cut_trailers(&s, &is_reply);
		cut_leaders(&s, &is_reply);
		/* (6) subj-fwd-hdr = "[fwd:", subj-fwd-trl = "]" */
		if (s.len < 6 || !slice_casestarts(s, "[fwd:") || s.ptr[s.len - 1] != ']')
			break;
		s = slice_sub(s, 5, s.len - 6);
		is_reply = true;
	}
	if (err == 0)
		err = buf_append_slice(out, s);
	*is_reply_out = is_reply;
	buf_done(&text);
	return err;
}
