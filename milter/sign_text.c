/* sign_text.c: the text of a checkpoint and milter-sign's memory. Pure. Runs in milter-sign and congvu. A text is compared with the canonical
 * form of what it says, so that one signature never stands for two readings. */
#include "config.h"

#include "milter/sign_text.h"

#include "lib/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TEXT_MAX = 2048, HOST_MAX = 300, TIME_MAX = 40 };

bool
sign_is_hash(struct slice s)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (!(s.ptr[i] >= '0' && s.ptr[i] <= '9') && !(s.ptr[i] >= 'a' && s.ptr[i] <= 'f'))
			return false;
	}
	return s.len == 64;
}

/* One line of printable ASCII. */
static bool
is_word(struct slice s, size_t max)
{
	size_t i;

	for (i = 0; i < s.len; i++) {
		if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
			return false;
	}
	return s.len > 0 && s.len <= max;
}

int
sign_text_format(const struct sign_text *t, struct buf *out)
{
	int err;

	if (!is_word(t->host, HOST_MAX) || !is_word(t->time, TIME_MAX))
		return ERR_SYNTAX;
	err = buf_appendf(out, "congvu-audit-checkpoint %u\nhost=%.*s\nseq=%" PRIu64 "\nh=%s\n",
	    t->version == 1 ? 1 : 2, (int)t->host.len, (const char *)t->host.ptr, t->seq, t->h);
	if (err == 0 && t->version != 1)
		err = buf_appendf(
		    out, "after_seq=%" PRIu64 "\nafter_h=%s\n", t->after_seq, t->after_h);
	if (err == 0)
		err = buf_appendf(out, "time=%.*s\nkey=%s\n", (int)t->time.len,
		    (const char *)t->time.ptr, t->key_id);
	return err;
}

/* "name=" at the head of *rest: its value to the end of the line. */
static int
take(struct slice *rest, const char *name, struct slice *value_out)
{
	ptrdiff_t lf = slice_index(*rest, '\n');

	if (lf < 0 || !slice_starts(*rest, name))
		return ERR_SYNTAX;
	*value_out = slice_sub(*rest, strlen(name), (size_t)lf - strlen(name));
	*rest = slice_from(*rest, (size_t)lf + 1);
	return 0;
}

int
sign_text_parse(struct slice text, struct sign_text *out)
{
	struct slice rest = text, head, seq, h, key, after_seq = slice_str("0"),
		     after_h = slice_str(SIGN_NO_HASH);
	struct sign_text t;
	struct buf again;
	int err;

	if (text.len > TEXT_MAX || take(&rest, "congvu-audit-checkpoint ", &head) != 0 ||
	    (!slice_eq_str(head, "1") && !slice_eq_str(head, "2")) ||
	    take(&rest, "host=", &t.host) != 0 || take(&rest, "seq=", &seq) != 0 ||
	    take(&rest, "h=", &h) != 0 ||
	    (slice_eq_str(head, "2") && (take(&rest, "after_seq=", &after_seq) != 0 ||
					    take(&rest, "after_h=", &after_h) != 0)) ||
	    take(&rest, "time=", &t.time) != 0 || take(&rest, "key=", &key) != 0 || rest.len != 0 ||
	    !sign_is_hash(h) || !sign_is_hash(key) || !sign_is_hash(after_h) ||
	    slice_to_u64(seq, INT64_MAX, &t.seq) != 0 ||
	    slice_to_u64(after_seq, t.seq, &t.after_seq) != 0)
		return ERR_SYNTAX;
	memcpy(t.h, h.ptr, 64);
	memcpy(t.key_id, key.ptr, 64);
	memcpy(t.after_h, after_h.ptr, 64);
	t.h[64] = t.after_h[64] = t.key_id[64] = '\0';
	t.version = slice_eq_str(head, "1") ? 1 : 2;
	buf_init(&again, TEXT_MAX + 1);
	err = sign_text_format(&t, &again);
	if (err == 0 && !slice_eq(buf_slice(&again), text))
		err = ERR_SYNTAX;
	buf_done(&again);
	if (err == 0)
		*out = t;
	return err;
}

void
sign_state_format(const struct sign_state *s, char out[SIGN_STATE_LEN + 1])
{
	snprintf(out, SIGN_STATE_LEN + 1, "congvu-sign-state 1 seq=%020" PRIu64 " h=%.64s\n",
	    s->seq, s->h);
}

int
sign_state_parse(struct slice text, struct sign_state *out)
{
	static const char head[] = "congvu-sign-state 1 seq=";
	size_t at = sizeof head - 1;
	struct sign_state s;

	if (text.len != SIGN_STATE_LEN || !slice_starts(text, head) ||
	    text.ptr[text.len - 1] != '\n' ||
	    slice_to_u64(slice_sub(text, at, 20), INT64_MAX, &s.seq) != 0 ||
	    !slice_eq_str(slice_sub(text, at + 20, 3), " h=") ||
	    !sign_is_hash(slice_sub(text, at + 23, 64)))
		return ERR_SYNTAX;
	memcpy(s.h, text.ptr + at + 23, 64);
	s.h[64] = '\0';
	*out = s;
	return 0;
}

void
sign_signed_format(const struct sign_signed *r, char out[SIGN_ROW_LEN + 1])
{
	snprintf(out, SIGN_ROW_LEN + 1, "%020" PRIu64 " %.64s %020" PRIu64 "\n", r->seq, r->h,
	    r->after_seq);
}

int
sign_signed_parse(struct slice text, struct sign_signed *out)
{
	struct sign_signed r;

	if (text.len != SIGN_ROW_LEN || text.ptr[20] != ' ' || text.ptr[85] != ' ' ||
	    text.ptr[SIGN_ROW_LEN - 1] != '\n' ||
	    slice_to_u64(slice_sub(text, 0, 20), INT64_MAX, &r.seq) != 0 || r.seq == 0 ||
	    slice_to_u64(slice_sub(text, 86, 20), r.seq, &r.after_seq) != 0 ||
	    !sign_is_hash(slice_sub(text, 21, 64)))
		return ERR_SYNTAX;
	memcpy(r.h, text.ptr + 21, 64);
	r.h[64] = '\0';
	*out = r;
	return 0;
}

bool
sign_may_follow(const struct sign_state *last, uint64_t seq, const char *h)
{
	return seq > last->seq || (seq == last->seq && strcmp(h, last->h) == 0);
}
