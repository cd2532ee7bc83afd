/* cmd_capability.c: CAPABILITY with the list of what is offered; NOOP, CHECK and LOGOUT. Runs in imapd-session. RFC 3501 6.1, 6.4.1.
 * A capability stands in the list when it works whole; the site may take some from single accounts (imap_capability_mask). */
#include "config.h"

#include "imapd/commands.h"

#include "imapd/auth.h"
#include "imapd/session.h"

/* Offered before login and after it. */
static const char *const always[] = {
    "LITERAL+",
    "ID",
    "ENABLE",
};

/* Offered to who has signed in; ENABLE turns on no name that is masked either. */
static const char *const signed_in[] = {
    "IDLE",
    "NAMESPACE",
    "UIDPLUS",
    "UNSELECT",
    "CHILDREN",
    "LIST-EXTENDED",
    "LIST-STATUS",
    "SPECIAL-USE",
    "STATUS=SIZE",
    "ESEARCH",
    "SEARCHRES",
    "WITHIN",
    "UTF8=ACCEPT",
    "MOVE",
    "CONDSTORE",
    "QRESYNC",
    "OBJECTID",
    "SAVEDATE",
    "CREATE-SPECIAL-USE",
    "BINARY",
    "PREVIEW",
    "MULTIAPPEND",
    "ACL",
    "RIGHTS=kxte",
    "QUOTA",
    "QUOTA=RES-STORAGE",
    "QUOTA=RES-MESSAGE",
    "SORT",
    "SORT=DISPLAY",
    "ESORT",
    "THREAD=ORDEREDSUBJECT",
    "THREAD=REFERENCES",
};

/* Whether one entry "account:CAP,CAP" of the option names them; "*" is every account. */
static bool
entry_masks(struct slice entry, const char *account, const char *capability)
{
	ptrdiff_t colon = slice_index(entry, ':');
	if (colon < 0)
		return false;
	struct slice who = slice_sub(entry, 0, (size_t)colon);
	if (!slice_eq_str(who, "*") && !slice_caseeq_str(who, account))
		return false;
	struct slice rest = slice_from(entry, (size_t)colon + 1);
	while (rest.len > 0) {
		ptrdiff_t comma = slice_index(rest, ',');
		struct slice one = comma < 0 ? rest : slice_sub(rest, 0, (size_t)comma);
		if (slice_caseeq_str(one, capability))
			return true;
		rest = slice_from(rest, one.len + 1);
	}
	return false;
}

bool
client_is_masked(const struct client *c, const char *capability)
{
	struct slice rest = slice_str(c->d->capability_mask);
	bool masked = false;
	while (rest.len > 0 && !masked && c->login != NULL) {
		ptrdiff_t sp = slice_index(rest, ' ');
		struct slice one = sp < 0 ? rest : slice_sub(rest, 0, (size_t)sp);
		masked = entry_masks(one, c->login, capability);
		rest = slice_from(rest, one.len + 1);
	}
	return masked;
}

/* RFC 9051 appendix E 2; ENABLE, ID and LITERAL+ are always there. */
bool
client_has_rev2(const struct client *c)
{
	static const char *const parts[] = {"IMAP4rev2", "NAMESPACE", "UNSELECT", "UIDPLUS",
	    "ESEARCH", "SEARCHRES", "IDLE", "LIST-EXTENDED", "LIST-STATUS", "MOVE", "BINARY",
	    "SPECIAL-USE", "STATUS=SIZE"};
	for (size_t i = 1; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t k = 0;
		while (k < sizeof(signed_in) / sizeof(signed_in[0]) &&
		       !slice_eq_str(slice_str(parts[i]), signed_in[k]))
			k++;
		if (k == sizeof(signed_in) / sizeof(signed_in[0]))
			return false;
	}
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		if (client_is_masked(c, parts[i]))
			return false;
	return true;
}

static void
offer(const struct client *c, const char *const *names, size_t n, struct buf *out)
{
	for (size_t i = 0; i < n; i++)
		if (!client_is_masked(c, names[i]))
			buf_appendf(out, " %s", names[i]);
}

void
client_capabilities(const struct client *c, struct buf *out)
{
	buf_append_str(out, client_has_rev2(c) ? "IMAP4rev1 IMAP4rev2" : "IMAP4rev1");
	offer(c, always, sizeof(always) / sizeof(always[0]), out);
	if (c->state != CLIENT_NOTAUTH) {
		offer(c, signed_in, sizeof(signed_in) / sizeof(signed_in[0]), out);
		/* RFC 7889 */
		if (!client_is_masked(c, "APPENDLIMIT"))
			buf_appendf(
			    out, " APPENDLIMIT=%llu", (unsigned long long)c->d->message_max);
		if (!c->compressed && !client_is_masked(c, "COMPRESS=DEFLATE"))
			buf_append_str(out, " COMPRESS=DEFLATE"); /* RFC 4978 3 */
		return;
	}
	buf_append_str(out, " SASL-IR");
	if (!c->tls && c->d->tls != NULL)
		buf_append_str(out, " STARTTLS");
	if (!c->secure)
		buf_append_str(out, " LOGINDISABLED");
	if (c->secure && auth_has_cert(c))
		buf_append_str(out, " AUTH=EXTERNAL");
	for (size_t i = 0; c->secure && c->d->mechs[i] != NULL; i++)
		buf_appendf(out, " AUTH=%s", c->d->mechs[i]);
}

void
cmd_capability(struct cmd *m)
{
	struct buf b;
	if (!imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	buf_init(&b, 4096);
	client_capabilities(m->c, &b);
	client_printf(m->c, "* CAPABILITY %s\r\n", buf_cstr(&b));
	buf_done(&b);
	cmd_ok(m, "These are the capabilities");
}

void
cmd_noop(struct cmd *m)
{
	if (!imap_cur_end(&m->args))
		cmd_syntax(m);
	else
		cmd_ok(m, "Nothing done");
}

/* RFC 3501 6.4.1: everything is durable already; the news come as for NOOP. */
void
cmd_check(struct cmd *m)
{
	if (!imap_cur_end(&m->args))
		cmd_syntax(m);
	else
		cmd_ok(m, "Checked");
}

void
cmd_logout(struct cmd *m)
{
	struct client *c = m->c;
	if (!imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	client_printf(c, "* BYE Signing off\r\n%.*s OK Signed off\r\n", (int)m->tag.len,
	    (const char *)m->tag.ptr);
	client_close(c, "logout");
}
