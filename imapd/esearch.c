/* esearch.c: search result options and the ESEARCH response. Runs in imapd-session; pure. RFC 4731 3.1, RFC 5182 2.4. */
#include "config.h"

#include "imapd/esearch.h"

static const struct {
	const char *name;
	unsigned bit;
} options[] = {{"MIN", ESEARCH_MIN}, {"MAX", ESEARCH_MAX}, {"ALL", ESEARCH_ALL},
    {"COUNT", ESEARCH_COUNT}, {"SAVE", ESEARCH_SAVE}};

bool
esearch_parse(struct imap_cur *c, unsigned *what_out)
{
	struct imap_cur probe = *c;
	struct slice word;
	unsigned what = 0;
	*what_out = 0;
	if (!imap_cur_sp(&probe) || !imap_cur_atom(&probe, &word) ||
	    !slice_caseeq_str(word, "RETURN"))
		return true;
	if (!imap_cur_sp(&probe) || !imap_cur_char(&probe, '('))
		return false;
	if (!imap_cur_peek(&probe, ')')) {
		do {
			unsigned bit = 0;
			if (!imap_cur_atom(&probe, &word))
				return false;
			for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
				if (slice_caseeq_str(word, options[i].name))
					bit = options[i].bit;
			if (bit == 0)
				return false;
			what |= bit;
		} while (imap_cur_sp(&probe));
	}
	if (!imap_cur_char(&probe, ')'))
		return false;
	*c = probe;
	*what_out = what ? what : ESEARCH_ALL;
	return true;
}

void
esearch_write(struct slice tag, bool uid, unsigned what, const uint32_t *v, size_t n,
    const char *extra, struct buf *out)
{
	if ((what & ~(unsigned)ESEARCH_SAVE) == 0)
		return;
	buf_append_str(out, "* ESEARCH (TAG \"");
	buf_append_slice(out, tag);
	buf_appendf(out, "\")%s", uid ? " UID" : "");
	/* without a match only COUNT has something to say */
	if ((what & ESEARCH_MIN) && n > 0)
		buf_appendf(out, " MIN %u", v[0]);
	if ((what & ESEARCH_MAX) && n > 0)
		buf_appendf(out, " MAX %u", v[n - 1]);
	if (what & ESEARCH_COUNT)
		buf_appendf(out, " COUNT %zu", n);
	if ((what & ESEARCH_ALL) && n > 0) {
		buf_append_str(out, " ALL ");
		seqset_format(v, n, out);
	}
	buf_append_str(out, extra);
	buf_append_str(out, "\r\n");
}
