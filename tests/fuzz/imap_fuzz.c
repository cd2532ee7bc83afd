/* imap_fuzz.c: what an IMAP client sends: framing in pieces, then every reader of arguments over each command. The first byte: signed in or not,
 * and how the stream is cut. */
#include "config.h"

#include <assert.h>
#include <stdlib.h>

#include "imapd/fetch_item.h"
#include "imapd/imap_parse.h"
#include "imapd/list_match.h"
#include "imapd/mbox_name.h"
#include "imapd/search_key.h"
#include "imapd/search_scan.h"
#include "imapd/view.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_search(struct imap_cur c, struct arena *a, struct slice all)
{
	struct search_prog p;
	if (search_prog_parse(&c, a, &p) != 0)
		return;
	struct seqrange saved = {2, 3};
	search_prog_resolve(&p, 5, 50, &(struct seqset){.r = &saved, .n = 1});
	/* the command itself serves as header and envelope */
	struct msg_row row = {
	    .uid = 3, .envelope = all, .keywords = slice_str("a b"), .sent_date = 5};
	struct search_msg m = {.seq = 1, .uid = 3, .row = &row};
	search_ask(&p, &m);
	m.header = all;
	m.has_header = m.has_text = true;
	search_ask(&p, &m);
	struct search_scan s;
	search_scan_init(&s, &p);
	for (int cte = CTE_7BIT; cte <= CTE_OTHER; cte++) {
		search_scan_part(&s, (enum mime_cte)cte, slice_of("", 0), cte % 2 == 1);
		search_scan_feed(&s, slice_sub(all, 0, all.len / 2), false);
		search_scan_feed(&s, slice_from(all, all.len / 2), true);
	}
	search_scan_done(&s);
}

static void
try_set(struct imap_cur c, struct arena *a)
{
	struct seqset set;
	struct view v;
	uint32_t *uids;
	size_t n = 0;
	if (!imap_cur_set(&c, a, &set))
		return;
	view_init(&v);
	view_save(&v, (const uint32_t[]){3, 9, 12}, 3);
	for (uint32_t i = 1; i < 20; i++)
		view_add(&v, i * 3, 0);
	view_announce(&v);
	view_expunge(&v, 6);
	for (int uid = 0; uid < 2; uid++) {
		struct seqset copy = set;
		if (view_select(&v, &copy, uid, true, a, &uids, &n) == 0)
			assert(n <= v.n);
	}
	view_done(&v);
}

static void
try_command(struct slice text)
{
	struct arena *a = arena_new((size_t)8 << 20);
	struct imap_cur c = imap_cur_of(text), d;
	struct slice s, name;
	uint32_t bits = 0;
	uint64_t number;
	int64_t t;
	int zone;
	struct fetch_items items;
	if (!imap_cur_tag(&c, &s) || !imap_cur_sp(&c) || !imap_cur_atom(&c, &s) ||
	    !imap_cur_sp(&c)) {
		arena_free(a);
		return;
	}
	try_search(c, a, text);
	try_set(c, a);
	d = c;
	if (fetch_items_parse(&d, a, &items))
		assert(items.n <= FETCH_ITEMS_MAX);
	d = c;
	imap_cur_flags(&d, a, true, &bits, &s);
	d = c;
	imap_cur_date_time(&d, &t, &zone);
	d = c;
	imap_cur_date(&d, &t);
	d = c;
	imap_cur_number(&d, 1000, &number);
	d = c;
	imap_cur_nstring(&d, a, &s);
	d = c;
	if (imap_cur_skip_astring(&d)) {
		/* skipping and reading agree */
		struct imap_cur e = c;
		assert(!imap_cur_astring(&e, a, &s) || e.rest.len == d.rest.len);
	}
	d = c;
	if (imap_cur_pattern(&d, a, &s) && mbox_pattern_in(s, false, a, &name) == 0) {
		list_match(name, slice_str("Other Users/vanthu/INBOX"));
		list_match(slice_str("*a%b*"), name);
	}
	d = c;
	while (imap_cur_astring(&d, a, &s) && imap_cur_sp(&d))
		if (mbox_name_in(s, bits & 1, a, &name) == 0) {
			struct slice share, rest;
			struct buf wire;
			buf_init(&wire, 100000);
			mbox_name_out(name, false, &wire);
			mbox_name_split("Other Users", name, &share, &rest);
			buf_done(&wire);
		}
	arena_free(a);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct imap_parse p;
	if (size == 0)
		return 0;
	size_t piece = (size_t)(data[0] >> 1) + 1, at = 1;
	imap_parse_init(&p);
	if (data[0] & 1)
		imap_parse_signed_in(&p);
	while (at < size) {
		size_t used = 0, n = size - at < piece ? size - at : piece;
		enum imap_event ev = imap_parse_feed(&p, slice_of(data + at, n), &used);
		assert(used <= n && imap_parse_text(&p).len <= p.lim->total);
		at += used;
		if (ev == IMAP_EV_FATAL)
			break;
		if (ev == IMAP_EV_MORE) {
			assert(used == n);
			continue;
		}
		if (ev == IMAP_EV_CONTINUE)
			continue;
		try_command(imap_parse_text(&p));
		imap_parse_next(&p);
	}
	imap_parse_done(&p);
	return 0;
}
