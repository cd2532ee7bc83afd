/* search_scan.c: substring search in body parts that are pulled in pieces. Runs in imapd-session; pure. RFC 3501 6.4.4 (BODY, TEXT). */
#include "config.h"

#include "imapd/search_scan.h"

#include "lib/err.h"

static bool
look(void *arg, struct slice folded)
{
	struct search_scan *s = arg;
	for (uint32_t i = 0; i < s->prog->n_texts; i++)
		if (!(s->found >> i & 1) && slice_find(folded, s->prog->texts[i]->needle) >= 0)
			s->found |= (uint64_t)1 << i;
	return search_scan_is_full(s);
}

void
search_scan_init(struct search_scan *s, const struct search_prog *prog)
{
	size_t keep = 0;
	for (uint32_t i = 0; i < prog->n_texts; i++)
		if (prog->texts[i]->needle.len > keep)
			keep = prog->texts[i]->needle.len;
	s->prog = prog;
	s->found = 0;
	mime_text_init(&s->text, keep, look, s);
}

void
search_scan_done(struct search_scan *s)
{
	mime_text_done(&s->text);
}

void
search_scan_again(struct search_scan *s)
{
	s->found = 0;
}

void
search_scan_part(struct search_scan *s, enum mime_cte cte, struct slice charset, bool header)
{
	mime_text_begin(&s->text, cte, charset, header);
}

bool
search_scan_is_full(const struct search_scan *s)
{
	uint32_t n = s->prog->n_texts;
	uint64_t all = n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
	return (s->found & all) == all;
}

int
search_scan_feed(struct search_scan *s, struct slice piece, bool last)
{
	return mime_text_feed(&s->text, piece, last);
}
