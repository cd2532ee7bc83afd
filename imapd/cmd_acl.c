/* cmd_acl.c: MYRIGHTS, GETACL, LISTRIGHTS; SETACL and DELETEACL. Runs in imapd-session. RFC 4314. Rights come from the directory (posts, rosters,
 * delegations) and hold for a whole account: they are told here as they are, and changed there. */
#include "config.h"

#include "imapd/commands.h"

#include <string.h>

#include "imapd/mbox_name.h"
#include "imapd/session.h"
#include "lib/err.h"

#define NOT_HERE                                                                           \
	"[CANNOT] Rights come from the directory: ask your administrator for a post or a " \
	"delegation"
#define ALL "lrswipkxtea"

struct acl {
	struct slice name, identifier;
	struct lookup_acl_call *call;
	char right; /* that it takes */
	void (*fn)(struct cmd *m, const struct mbox *b);
};

/* RFC 4314 2.1.1: the rights of RFC 2086 stand beside those that they became, c = kx and d = te. */
static void
rights_write(struct buf *b, struct slice rights)
{
	bool c = false, d = false;
	buf_append_byte(b, '"');
	for (size_t i = 0; i < rights.len; i++) {
		c = c || strchr("kx", rights.ptr[i]) != NULL;
		d = d || strchr("te", rights.ptr[i]) != NULL;
		buf_append_byte(b, rights.ptr[i]);
	}
	buf_append_str(b, c && d ? "cd\"" : c ? "c\"" : d ? "d\"" : "\"");
}

/* RFC 4314 6: an astring. Beyond ASCII it is a literal, unless the client takes UTF-8 in quoted ones (RFC 6855 3). */
static void
identifier_write(struct buf *b, struct slice s, bool utf8)
{
	bool is_ascii = true;

	for (size_t i = 0; i < s.len; i++)
		is_ascii = is_ascii && s.ptr[i] < 0x80;
	if (!is_ascii && !utf8) {
		buf_appendf(b, "{%zu}\r\n", s.len);
		buf_append_slice(b, s);
		return;
	}
	buf_append_byte(b, '"');
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] == '"' || s.ptr[i] == '\\')
			buf_append_byte(b, '\\');
		if (s.ptr[i] >= ' ' && s.ptr[i] != 0x7f)
			buf_append_byte(b, s.ptr[i]);
	}
	buf_append_byte(b, '"');
}

static void
on_found(struct cmd *m, int err, const struct mbox *b)
{
	struct acl *st = m->state;
	if (err == 0 && st->right != '\0' && !mbox_has_right(b, st->right))
		err = ERR_DENIED;
	if (err)
		cmd_err(m, err);
	else
		st->fn(m, b);
}

/* The mailbox, and with identifier the identifier: RFC 4314 3.1. */
static struct acl *
acl_begin(struct cmd *m, bool identifier, char right)
{
	struct acl *st = arena_alloc(m->a, sizeof(*st));
	if (st == NULL || !cmd_mailbox_arg(m, &st->name))
		return NULL;
	if (identifier &&
	    (!imap_cur_sp(&m->args) || !imap_cur_astring(&m->args, m->a, &st->identifier) ||
		st->identifier.len == 0 || st->identifier.len > 1000))
		return NULL;
	st->right = right;
	st->call = NULL;
	m->state = st;
	return st;
}

static void
acl_run(struct cmd *m, struct acl *st, void (*fn)(struct cmd *m, const struct mbox *b))
{
	if (st == NULL || !imap_cur_end(&m->args)) {
		cmd_syntax(m);
		return;
	}
	st->fn = fn;
	mbox_find(m, st->name, on_found);
}

static void
begin(struct cmd *m, struct buf *b, const char *response)
{
	const struct acl *st = m->state;
	buf_init(b, 1u << 20);
	buf_appendf(b, "* %s ", response);
	mbox_name_out(st->name, client_utf8(m->c), b);
}

static void
end(struct cmd *m, struct buf *b)
{
	buf_append_str(b, "\r\n");
	client_write(m->c, buf_slice(b));
	buf_done(b);
	cmd_ok(m, "Done");
}

/* ---- MYRIGHTS ---- */

static void
myrights(struct cmd *m, const struct mbox *x)
{
	struct buf b;
	begin(m, &b, "MYRIGHTS");
	buf_append_byte(&b, ' ');
	rights_write(&b, x->rights);
	end(m, &b);
}

void
cmd_myrights(struct cmd *m)
{
	acl_run(m, acl_begin(m, false, '\0'), myrights);
}

/* ---- GETACL ---- */

static void
getacl_cleanup(struct cmd *m)
{
	struct acl *st = m->state;
	lookup_acl_cancel(st->call);
}

static void
on_acl(void *arg, int err, const struct lookup_ace *v, size_t n)
{
	struct cmd *m = arg;
	struct acl *st = m->state;
	struct buf b;
	st->call = NULL;
	if (err == ERR_TEMP) {
		cmd_no(m, "[UNAVAILABLE] The directory is not available now, try again later");
		return;
	}
	if (err) {
		cmd_err(m, err);
		return;
	}
	begin(m, &b, "ACL");
	for (size_t i = 0; i < n; i++) {
		buf_append_byte(&b, ' ');
		identifier_write(&b, slice_str(v[i].identifier), client_utf8(m->c));
		buf_append_byte(&b, ' ');
		rights_write(&b, slice_str(v[i].rights));
	}
	end(m, &b);
}

static void
getacl(struct cmd *m, const struct mbox *x)
{
	struct acl *st = m->state;
	m->cleanup = getacl_cleanup;
	st->call = lookup_acl(m->c->d->lookup, buf_slice(&m->c->ticket), x->account, on_acl, m);
	if (st->call == NULL)
		on_acl(m, ERR_TEMP, NULL, 0);
}

void
cmd_getacl(struct cmd *m)
{
	acl_run(m, acl_begin(m, false, 'a'), getacl);
}

/* ---- LISTRIGHTS ---- */

/* What somebody may be given, which the directory does: each right by itself; to the owner all of them, always. */
static void
listrights(struct cmd *m, const struct mbox *x)
{
	const struct acl *st = m->state;
	bool owner = x->share.len == 0 && slice_caseeq_str(st->identifier, m->c->login);
	struct buf b;
	begin(m, &b, "LISTRIGHTS");
	buf_append_byte(&b, ' ');
	identifier_write(&b, st->identifier, client_utf8(m->c));
	if (owner)
		buf_append_str(&b, " \"" ALL "cd\"");
	else
		buf_append_str(&b, " \"\" l r s w i p k x t e a c d");
	end(m, &b);
}

void
cmd_listrights(struct cmd *m)
{
	acl_run(m, acl_begin(m, true, 'a'), listrights);
}

/* ---- SETACL, DELETEACL ---- */

static void
refuse(struct cmd *m, const struct mbox *x)
{
	(void)x;
	cmd_no(m, "%s", NOT_HERE);
}

void
cmd_setacl(struct cmd *m)
{
	struct acl *st = acl_begin(m, true, 'a');
	struct slice rights;
	if (st == NULL || !imap_cur_sp(&m->args) || !imap_cur_astring(&m->args, m->a, &rights)) {
		cmd_syntax(m);
		return;
	}
	/* RFC 4314 3.1: what is no right is BAD, whoever asks */
	for (size_t i = 0; i < rights.len; i++) {
		bool sign = i == 0 && (rights.ptr[0] == '+' || rights.ptr[0] == '-');
		if (!sign && slice_index(slice_str(ALL "cd"), rights.ptr[i]) < 0) {
			cmd_bad(m, "There is no such right");
			return;
		}
	}
	acl_run(m, st, refuse);
}

void
cmd_deleteacl(struct cmd *m)
{
	acl_run(m, acl_begin(m, true, 'a'), refuse);
}
