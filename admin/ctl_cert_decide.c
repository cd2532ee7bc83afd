/* ctl_cert_decide.c: `congvu cert approve|withdraw|ban|unban`. Approving: judged anew, the audit log has who decides, then the directory is written (its journal
 * first), then milter-ledger has the new state with a record of its own. Killed in between, the same command does what is left. Runs in congvu. */
#include "config.h"

#include "admin/ctl_cert.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/ctl_mailbox.h"
#include "admin/shown.h"
#include "lib/err.h"
#include "lib/log.h"
#include "milter/ledger_client.h"

enum { DECIDE_MS = 10000, ADDRESSES_MAX = 32 };

/* Where the site names officers, it is theirs to say, and who says it is known by more than SUDO_UID; what is refused is in the audit log. */
static int
officer(struct ctl *c, const struct cert_args *a, const char *what)
{
	size_t n = conf_list_len(c->conf, "security_officers");
	struct json *rec;
	int rc = n == 0 ? 0 : ctl_officer(c, "cert_denied", what);

	if (n == 0 || rc != 0)
		return rc;
	for (size_t i = 0; i < n; i++)
		if (strcmp(conf_list_item(c->conf, "security_officers", i), ctl_actor()) == 0)
			return 0;
	rec = json_obj_new();
	json_set_str(rec, "refused", "no officer");
	json_set_str(rec, "what", what);
	if (a->id[strspn(a->id, "0123456789abcdefABCDEF")] == '\0')
		json_set_str(rec, "id", a->id);
	(void)ctl_audit_note(c, "cert_denied", rec);
	return ctl_fail(
	    c, EX_NOPERM, _("%s is none of security_officers: nothing was done"), ctl_actor());
}

/* What is done, for the audit log. */
static struct json *
record(const struct cert_item *i, const struct cert_args *a)
{
	static const char *const keys[] = {"subject", "issuer", "serial"};
	struct json *rec = json_obj_new();
	char hex[65];

	hex_encode(i->row->sha256, 32, hex);
	json_set_str(rec, "sha256", hex);
	json_set_str(rec, "address", i->row->address);
	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
		json_set_slice(rec, keys[k], json_str(json_get(i->cert, keys[k])));
	json_set_str(rec, "decision", a->change.decision != NULL ? a->change.decision : "");
	json_set_str(rec, "reason", a->reason != NULL ? a->reason : "");
	json_set_str(rec, "by", ctl_actor());
	json_set_str(rec, "by_known", ctl_actor_known_by());
	return rec;
}

/* ERR_EXISTS: it is so already. */
static int
decide(const struct cert_item *i, const struct cert_args *a, const char *event,
    enum cert_state state, bool only_look)
{
	struct json *rec = record(i, a);
	struct buf text, ask, reply;
	struct ipc_sync *s;
	uint16_t type;
	int err;

	json_set_str(rec, "event", event);
	json_set_str(rec, "state", cert_state_name(state));
	buf_init(&text, 16000);
	buf_init(&ask, 16384);
	buf_init(&reply, 4096);
	err = json_canonical(rec, &text);
	json_free(rec);
	ipc_put_u8(&ask, only_look);
	ipc_put_slice(&ask, buf_slice(&text));
	s = ipc_sync_new("ledger.admin.sock", &ledger_proto, IPC_ADMIN);
	if (err == 0)
		err =
		    ipc_sync_call(s, LEDGER_CERT_DECIDE, &ask, -1, DECIDE_MS, &type, &reply, NULL);
	ipc_sync_free(s);
	buf_done(&text);
	buf_done(&ask);
	buf_done(&reply);
	return err;
}

static int
tell(struct ctl *c, const struct cert_item *i, int err)
{
	switch (err) {
	case ERR_NOTFOUND:
		return ctl_fail(c, EX_NOUSER, "%s",
		    _("milter-ledger has no such certificate any more: it is out of its time"));
	case ERR_CONFLICT:
		return ctl_fail(c, EX_CANTCREAT, _("the certificate is %s: that cannot be done"),
		    cert_state_word(i->row->state));
	case ERR_LIMIT:
		return ctl_fail(c, EX_CANTCREAT, "%s",
		    _("milter-ledger keeps no more decisions; nothing was done"));
	default:
		return ctl_fail(c, EX_TEMPFAIL,
		    _("milter-ledger cannot be asked (%s): is congvu-milter running (congvu "
		      "status)?"),
		    err_name(err));
	}
}

static int
found(struct ctl *c, const struct cert_args *a, const char *what, struct cert_file *f,
    struct cert_item *i)
{
	int rc = officer(c, a, what);

	if (rc == 0)
		rc = cert_file_open(c, f);
	if (rc != 0)
		return rc;
	rc = cert_item_find(c, f, a->id, i);
	if (rc != 0)
		cert_file_close(f);
	return rc;
}

/* ---- the directory ---- */

static struct slice
itself(const struct cert_item *i)
{
	return slice_sub(buf_slice(&i->der), 0, i->first_len);
}

static int
holder_fail(struct ctl *c, const struct cert_item *i, int err, char *why)
{
	if (err != ERR_NOTFOUND)
		return ctl_dir_fail(c, i->row->address, err, why);
	free(why);
	return ctl_fail(c, EX_NOUSER,
	    _("%s is of nobody in the directory, and there is no tree of contacts: there is no "
	      "entry to publish it in"),
	    i->row->address);
}

/* What approving brings with it beyond encryption. */
static void
warn(struct ctl *c, const struct cert_holder *h, bool encrypts, bool signs)
{
	if (c->json)
		return;
	if (h->by_former)
		fprintf(stderr,
		    _("congvu cert: the certificate names a former address of %s alone: mail "
		      "programs may refuse to encrypt to %s with it\n"),
		    h->id, h->mail);
	if (!signs)
		fprintf(stderr, "%s",
		    _("congvu cert: it is for encryption alone: no mail can be signed with it\n"));
	if (h->is_mailbox && h->n_certs == 0 && signs)
		fprintf(stderr,
		    _("congvu cert: it is the first certificate of %s: from now on official mail "
		      "of this mailbox must be signed with it (P09)\n"),
		    h->mail);
	if (!encrypts)
		fprintf(stderr, "%s",
		    _("congvu cert: it is for signatures alone: nobody can encrypt with it\n"));
	if (strcmp(conf_str(c->conf, "tls_client_certs"), "optional") == 0 && !h->is_mailbox)
		fprintf(stderr,
		    _("congvu cert: with tls_client_certs, %s may sign in by this certificate\n"),
		    h->id);
}

static int
agency_in(struct ctl *c, struct ctl_dir *d, const char *address, char **out)
{
	char *why = NULL;
	int err = dir_admin_cert_agency(d->admin, address, out, &why);

	return err == 0 ? 0 : ctl_dir_fail(c, address, err, why);
}

int
cert_agency(struct ctl *c, const struct cert_args *a, const char *address, char **out)
{
	struct ctl_dir d = {.admin = NULL};
	int rc = ctl_dir_open(c, a->change.bind_dn, a->change.bind_password_file, &d);

	if (rc != 0)
		return rc;
	rc = agency_in(c, &d, address, out);
	ctl_dir_close(&d);
	return rc;
}

struct approval {
	struct ctl *c;
	const struct cert_args *a;
	const struct cert_item *i;
	struct json *judged;
	struct cert_scope scope;
	struct ctl_dir dir;
	struct cert_holder holder;
	enum change change;
};

/* What the filter asks of mail that is signed with it: floors and store of the policy's trust for its owner. */
static int
read_scope(struct approval *p)
{
	char *agency = NULL;
	int rc = agency_in(p->c, &p->dir, p->i->row->address, &agency);

	if (rc == 0)
		rc = cert_scope_read(p->c, p->i->row->address, agency, &p->scope);
	free(agency);
	return rc;
}

static int
say_refused(struct approval *p)
{
	struct buf why;
	int code, rc = 0;

	buf_init(&why, 2048);
	if (cert_refused(p->judged, &p->scope, &why, &code))
		rc = ctl_fail(p->c, code, _("it is not published: %s"), buf_cstr(&why));
	buf_done(&why);
	return rc;
}

static int
look_at_it(struct approval *p)
{
	const char *why = NULL;
	char hex[65];
	int rc;

	p->judged = cert_check(p->c, buf_slice(&p->i->der), &p->scope, &why);
	if (p->judged == NULL)
		return ctl_fail(p->c, EX_UNAVAILABLE, "%s", why);
	hex_encode(p->i->row->sha256, 32, hex);
	if (strcmp(json_cstr(json_get(p->judged, "sha256")), hex) != 0)
		return ctl_fail(
		    p->c, EX_DATAERR, _("%s is not the certificate it is called"), p->a->id);
	rc = say_refused(p);
	if (rc != 0)
		return rc;
	if (!json_bool(json_get(p->judged, "encrypts")) && !p->a->signing_only)
		return ctl_fail(p->c, EX_DATAERR, "%s",
		    _("its key usage does not allow encryption: --signing-only publishes it all "
		      "the same, for who checks signatures"));
	return 0;
}

static int
find_holder(struct approval *p)
{
	const struct json *list = json_get(p->judged, "addresses");
	const char *addresses[ADDRESSES_MAX];
	char *why = NULL;
	size_t n = 0;
	int err;

	for (size_t i = 0; i < json_len(list) && n < ADDRESSES_MAX; i++)
		addresses[n++] = json_cstr(json_at(list, i));
	err = dir_admin_cert_holder(p->dir.admin, p->i->row->address,
	    json_cstr(json_get(p->i->cert, "account")), addresses, n, itself(p->i), &p->holder,
	    &why);
	return err == 0 ? 0 : holder_fail(p->c, p->i, err, why);
}

static int
set_entry(struct approval *p, bool on)
{
	const char *decision = p->a->change.decision != NULL ? p->a->change.decision : "";
	char *why = NULL;
	int err = dir_admin_cert_set(
	    p->dir.admin, &p->holder, itself(p->i), on, decision, &p->change, &why);

	return err == 0 ? 0
			: ctl_dir_fail(p->c,
			      p->holder.id != NULL ? p->holder.id : p->i->row->address, err, why);
}

static int
write_it(struct approval *p, bool on, const char *noted, const char *event, enum cert_state state)
{
	struct json *rec;
	int err, rc;

	/* what would be refused is refused before anybody writes down that it was approved */
	dir_admin_set_dry_run(p->dir.admin, true);
	rc = set_entry(p, on);
	if (rc != 0)
		return rc;
	err = decide(p->i, p->a, event, state, true);
	if (err == ERR_EXISTS && p->holder.has_it == on)
		return 0;
	if (err != 0 && err != ERR_EXISTS)
		return tell(p->c, p->i, err);
	if (p->a->change.dry_run)
		return 0;
	rec = record(p->i, p->a);
	json_set_str(rec, "dn", p->holder.dn != NULL ? p->holder.dn : "");
	rc = ctl_audit_note(p->c, noted, rec);
	dir_admin_set_dry_run(p->dir.admin, false);
	if (rc == 0)
		rc = set_entry(p, on);
	if (rc != 0)
		return rc;
	err = decide(p->i, p->a, event, state, false);
	if (err == 0 && p->holder.dn == NULL)
		p->change = CHANGE_CHANGED;
	return err == 0 || err == ERR_EXISTS ? 0 : tell(p->c, p->i, err);
}

static int
told(struct approval *p)
{
	struct json *extra = json_obj_new();
	char id[17];

	cert_item_id(p->i->row, id);
	json_set_str(extra, "id", id);
	json_set_str(extra, "dn", p->holder.dn != NULL ? p->holder.dn : "");
	json_set_str(extra, "address", p->i->row->address);
	json_set_str(extra, "by", ctl_actor());
	if (p->judged != NULL) {
		json_set_slice(extra, "subject", json_str(json_get(p->judged, "subject")));
		json_set_slice(extra, "issuer", json_str(json_get(p->judged, "issuer")));
		json_set_bool(extra, "encrypts", json_bool(json_get(p->judged, "encrypts")));
		json_set_bool(extra, "former_address", p->holder.by_former);
	}
	if (!p->c->json && p->judged != NULL) {
		shown_print(json_str(json_get(p->judged, "subject")), SHOWN_TEXT);
		putchar('\n');
	}
	return ctl_change_told(p->c, &p->a->change, &p->dir,
	    p->holder.mail != NULL ? p->holder.mail : p->i->row->address, 0, p->change, NULL,
	    extra);
}

int
cert_approve(struct ctl *c, const struct cert_args *a)
{
	struct approval p = {.c = c, .a = a};
	struct cert_item i;
	struct cert_file f;
	int rc = found(c, a, "cert_approve", &f, &i);

	if (rc != 0)
		return rc;
	p.i = &i;
	if (i.row->state == CERT_BANNED)
		rc = tell(c, &i, ERR_CONFLICT);
	if (rc == 0)
		rc = ctl_change_open(c, &a->change, &p.dir);
	if (rc == 0)
		rc = read_scope(&p);
	if (rc == 0)
		rc = look_at_it(&p);
	if (rc == 0)
		rc = find_holder(&p);
	if (rc == 0)
		warn(c, &p.holder, json_bool(json_get(p.judged, "encrypts")),
		    json_bool(json_get(p.judged, "signs")));
	if (rc == 0)
		rc = write_it(&p, true, "cert_approve", "cert_published", CERT_PUBLISHED);
	if (rc == 0)
		rc = told(&p);
	cert_holder_done(&p.holder);
	ctl_dir_close(&p.dir);
	cert_scope_done(&p.scope);
	json_free(p.judged);
	cert_item_done(&i);
	cert_file_close(&f);
	return rc;
}

/* In no entry, while milter-ledger has it published or withdrawn: the command was cut off before its end, somebody else took it out, or this was done already. What
 * is left is to tell the ledger. */
static bool
is_out_already(const struct cert_item *i)
{
	return i->row->published || i->row->state == CERT_WITHDRAWN;
}

/* From whoever's entry it stands in: it need not be valid any more. */
int
cert_withdraw(struct ctl *c, const struct cert_args *a)
{
	struct approval p = {.c = c, .a = a};
	struct cert_item i;
	struct cert_file f;
	char *why = NULL;
	int rc = found(c, a, "cert_withdraw", &f, &i), err;

	if (rc != 0)
		return rc;
	p.i = &i;
	rc = ctl_change_open(c, &a->change, &p.dir);
	if (rc == 0) {
		err = dir_admin_cert_where(p.dir.admin, i.row->address,
		    json_cstr(json_get(i.cert, "account")), itself(&i), &p.holder, &why);
		if (err == ERR_NOTFOUND && is_out_already(&i)) {
			free(why);
			err = 0;
		}
		rc = err == 0 ? 0 : ctl_dir_fail(c, i.row->address, err, why);
	}
	if (rc == 0)
		rc = write_it(&p, false, "cert_withdraw", "cert_withdrawn", CERT_WITHDRAWN);
	if (rc == 0)
		rc = told(&p);
	cert_holder_done(&p.holder);
	ctl_dir_close(&p.dir);
	cert_item_done(&i);
	cert_file_close(&f);
	return rc;
}

/* ---- bans ---- */

static int
ban_told(struct ctl *c, const struct cert_item *i, const struct cert_args *a, bool on, bool was)
{
	enum cert_state now = on ? CERT_BANNED : i->row->published ? CERT_PUBLISHED : CERT_PENDING;
	struct json *o;
	char id[17];

	cert_item_id(i->row, id);
	if (c->json) {
		o = json_obj_new();
		json_set_str(o, "id", id);
		json_set_str(o, "address", i->row->address);
		json_set_str(o, "state", cert_state_name(now));
		json_set_str(o, "result", was ? "unchanged" : "changed");
		json_set_bool(o, "dry_run", a->change.dry_run);
		json_set_bool(o, "in_directory", i->row->published);
		json_set_str(o, "by", ctl_actor());
		return ctl_json_take(o, 0);
	}
	printf("%s: %s%s\n", id, was ? _("unchanged") : cert_state_word(now),
	    a->change.dry_run && !was ? _(" (dry run: nothing was written)") : "");
	if (on && i->row->published)
		fprintf(stderr,
		    _("congvu cert: it is still in the directory: congvu cert withdraw %s\n"), id);
	return 0;
}

int
cert_ban(struct ctl *c, const struct cert_args *a, bool on)
{
	const char *event = on ? "cert_banned" : "cert_unbanned";
	struct cert_item i;
	struct cert_file f;
	int rc, err;

	if (a->reason == NULL || *a->reason == '\0')
		return ctl_usage(c, "%s", _("--reason TEXT is needed"));
	if (strlen(a->reason) > CERT_TEXT_MAX)
		return ctl_usage(c, _("the reason has more than %d octets"), CERT_TEXT_MAX);
	rc = found(c, a, on ? "cert_ban" : "cert_unban", &f, &i);
	if (rc != 0)
		return rc;
	err = decide(&i, a, event, on ? CERT_BANNED : CERT_PENDING, a->change.dry_run);
	rc = err == 0 || err == ERR_EXISTS ? ban_told(c, &i, a, on, err == ERR_EXISTS)
					   : tell(c, &i, err);
	cert_item_done(&i);
	cert_file_close(&f);
	return rc;
}
