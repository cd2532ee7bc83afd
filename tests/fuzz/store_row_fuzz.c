/* store_row_fuzz.c: hostile bytes where a row of the store is expected (the first byte chooses which): refused, or read so that it codes to
 * the same bytes again. Lists of keywords as well. */
#include "tests/fuzz/fuzz.h"

#include "lib/err.h"
#include "store/segment.h"
#include "store/stored_priv.h"
#include "store/text_row.h"

static void
keywords(struct slice s)
{
	struct arena *a = arena_new(1 << 20);
	struct slice list, known, minus, rest;
	int r = kw_known(s, slice_str("Known $Forwarded"), a, &list, &known);

	MUST(r == 0 || r == ERR_SYNTAX || r == ERR_LIMIT);
	if (r == 0) {
		MUST(list.len <= 4096 && known.len <= KEYWORDS_IN_USE_MAX);
		for (rest = list; kw_next(&rest, &minus);)
			MUST(kw_has(known, minus));
		MUST(kw_minus(list, list, a, &minus) == 0 && minus.len == 0);
	}
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_from(slice_of(data, size), 1), name;
	struct msg_row row;
	struct mbox_head mh;
	struct account_head ah;
	struct change_row ch;
	struct seg_loc loc;
	struct kept_row kept;
	struct buried_row buried;
	struct hold_row hold;
	struct text_wanted wanted;
	struct text_read read;
	int64_t at, until;
	uint32_t u;
	struct buf b;
	int r = ERR_CORRUPT, again = 0;

	if (size == 0)
		return 0;
	buf_init(&b, 1 << 20);
	switch (data[0] % 14) {
	case 12:
		if ((r = text_wanted_decode(s, &wanted)) == 0)
			again = text_wanted_encode(&wanted, &b);
		break;
	case 13:
		if ((r = text_read_decode(s, &read)) == 0)
			again = text_read_encode(&read, &b);
		break;
	case 0:
		r = msg_row_decode(s, &row);
		if (r == 0 && s.ptr[0] == 1) { /* of old: coded anew, with the same fields */
			MUST(row.refs.len == 0 && msg_row_encode(&row, &b) == 0);
			MUST(b.len == s.len + 4);
			buf_done(&b);
			return 0;
		}
		if (r == 0)
			again = msg_row_encode(&row, &b);
		break;
	case 1:
		if ((r = mbox_head_decode(s, &mh)) == 0)
			again = mbox_head_encode(&mh, &b);
		if (r == 0 && s.ptr[0] < 3) { /* an older version is written as the present one */
			MUST(again == 0 && mbox_head_decode(buf_slice(&b), &mh) == 0);
			buf_done(&b);
			return 0;
		}
		break;
	case 2:
		if ((r = account_head_decode(s, &ah)) == 0)
			again = account_head_encode(&ah, &b);
		break;
	case 3:
		if ((r = name_row_decode(s, &u, &name)) == 0)
			again = name_row_encode(u, name, &b);
		break;
	case 4:
		if ((r = change_row_decode(slice_str("c/00000000000000ff"), s, &ch)) == 0)
			again = change_row_encode(&ch, &b);
		break;
	case 5:
		if ((r = seen_row_decode(s, &at, &u, &until)) == 0)
			again = seen_row_encode(at, u, until, &b);
		break;
	case 6:
		if ((r = seg_loc_decode(s, 5, &loc)) == 0) {
			uint64_t refs[SEG_REFS_MAX];
			size_t n;

			MUST(seg_loc_refs(s, refs, &n) == 0 && n <= SEG_REFS_MAX);
			again = seg_loc_encode(&loc, refs, n, &b);
		}
		break;
	case 9:
		if ((r = kept_row_decode(s, &kept)) == 0)
			again = kept_row_encode(&kept, &b);
		break;
	case 10:
		if ((r = buried_row_decode(s, &buried)) == 0)
			again = buried_row_encode(&buried, &b);
		break;
	case 11:
		if ((r = hold_row_decode(s, &hold)) == 0)
			again = hold_row_encode(&hold, &b);
		break;
	case 7:
		r = expunged_row_decode(s, &b);
		MUST(r == 0 || r == ERR_CORRUPT);
		buf_done(&b);
		return 0;
	default:
		keywords(s);
		buf_done(&b);
		return 0;
	}
	MUST(r == 0 || r == ERR_CORRUPT);
	if (r == 0)
		MUST(again == 0 && slice_eq(buf_slice(&b), s));
	buf_done(&b);
	return 0;
}
