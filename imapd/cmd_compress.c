/* cmd_compress.c: COMPRESS DEFLATE. Runs in imapd-session. RFC 4978. Only after login, as a compressed stream before it would let lengths tell of
 * a password. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/session.h"

void
cmd_compress(struct cmd *m)
{
	struct client *c = m->c;
	struct slice how;
	if (!imap_cur_sp(&m->args) || !imap_cur_atom(&m->args, &how) || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	if (!slice_caseeq_str(how, "DEFLATE") || client_is_masked(c, "COMPRESS=DEFLATE")) {
		cmd_no(m, "[CANNOT] Only DEFLATE is there");
		return;
	}
	if (c->compressed) {
		cmd_no(m, "[COMPRESSIONACTIVE] DEFLATE is active already");
		return;
	}
	/* The answer leaves as it is: it is queued before. */
	client_printf(
	    c, "%.*s OK DEFLATE from now on\r\n", (int)m->tag.len, (const char *)m->tag.ptr);
	if (io_start_deflate(c->io) != 0) {
		client_close(c, "no_deflate");
		return;
	}
	c->compressed = true;
	cmd_drop(m);
}
