/* envelope_read.c: reads an ENVELOPE. Runs in imapd-session; pure. RFC 3501 7.4.2. */
#include "config.h"

#include "imapd/envelope_read.h"

#include <string.h>

#include "imapd/imap_cur.h"
#include "lib/err.h"

/* NIL or a list of addresses, of which the first is kept. */
static bool
read_addresses(struct imap_cur *c, struct arena *a, struct envelope_addr *first)
{
	struct slice part[4];
	bool is_first = true;
	memset(first, 0, sizeof(*first));
	if (!imap_cur_char(c, '('))
		return imap_cur_nstring(c, a, &part[0]) && part[0].ptr == NULL;
	while (imap_cur_char(c, '(')) {
		for (int i = 0; i < 4; i++)
			if ((i > 0 && !imap_cur_sp(c)) || !imap_cur_nstring(c, a, &part[i]))
				return false;
		if (!imap_cur_char(c, ')'))
			return false;
		if (is_first)
			*first = (struct envelope_addr){part[0], part[2], part[3]};
		is_first = false;
	}
	return imap_cur_char(c, ')');
}

int
envelope_read(struct slice text, struct arena *a, struct envelope *out)
{
	struct imap_cur c = imap_cur_of(text);
	struct envelope e;
	struct envelope_addr other;
	if (imap_cur_char(&c, '(') && imap_cur_nstring(&c, a, &e.date) && imap_cur_sp(&c) &&
	    imap_cur_nstring(&c, a, &e.subject) && imap_cur_sp(&c) &&
	    read_addresses(&c, a, &e.from) && imap_cur_sp(&c) && read_addresses(&c, a, &other) &&
	    imap_cur_sp(&c) && read_addresses(&c, a, &other) && imap_cur_sp(&c) &&
	    read_addresses(&c, a, &e.to) && imap_cur_sp(&c) && read_addresses(&c, a, &e.cc)) {
		*out = e;
		return 0;
	}
	return ERR_CORRUPT;
}
