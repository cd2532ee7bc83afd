/* cmd_enable.c: ENABLE. Runs in imapd-session. RFC 5161. What it turns on stays on until the connection ends. */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/qresync.h"
#include "imapd/session.h"

/* One row for each capability that needs enabling: its bit, and what it brings with it. */
static const struct {
	const char *name;
	unsigned bit, implies; /* enum client_enabled */
} names[] = {
    {"IMAP4rev2", ENABLED_REV2, 0}, {"UTF8=ACCEPT", ENABLED_UTF8, 0},
    {"CONDSTORE", ENABLED_CONDSTORE, 0},
    {"QRESYNC", ENABLED_QRESYNC, ENABLED_CONDSTORE}, /* RFC 7162 3.2.3 */
};

void
cmd_enable(struct cmd *m)
{
	struct client *c = m->c;
	struct slice word;
	struct buf b;
	bool good = true;
	unsigned bits = 0;
	buf_init(&b, 4096);
	buf_append_str(&b, "* ENABLED");
	do {
		good = imap_cur_sp(&m->args) && imap_cur_atom(&m->args, &word);
		/* RFC 5161 3.1: unknown names are ignored */
		for (size_t i = 0; good && i < sizeof(names) / sizeof(names[0]); i++) {
			if (!slice_caseeq_str(word, names[i].name) ||
			    client_is_masked(c, names[i].name) ||
			    (names[i].bit == ENABLED_REV2 && !client_has_rev2(c)))
				continue;
			/* 3.2: only what was not on before is told */
			if (!((c->enabled | bits) & names[i].bit))
				buf_appendf(&b, " %s", names[i].name);
			bits |= names[i].bit | names[i].implies;
		}
	} while (good && !imap_cur_end(&m->args));
	if (!good) {
		buf_done(&b);
		cmd_syntax(m);
		return;
	}
	/* 3.1: the response is sent even when nothing was enabled. */
	client_printf(c, "%s\r\n", buf_cstr(&b));
	if (bits & ENABLED_CONDSTORE)
		condstore_on(c);
	c->enabled |= bits;
	buf_done(&b);
	cmd_ok(m, "Done");
}
