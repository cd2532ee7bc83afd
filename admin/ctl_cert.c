/* ctl_cert.c: `congvu cert pending|list|show`, and where its other verbs begin: the certificates of people whose signed mail verified, which wait for an officer.
 * Reads milter-ledger's file, asks no running program. What stands in a certificate was chosen by whoever made it: shown without what steers a terminal. Runs in congvu. */
#include "config.h"

#include "admin/ctl_cert.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_table.h"
#include "admin/ctl_trace.h"
#include "admin/shown.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/mime.h"

enum { ID_MIN = 8, LABEL = 18 };

/* ---- the file ---- */

static int
open_quietly(const struct conf *conf, struct cert_file *out, char **path_out)
{
	char *dir = conf_path(conf, "ledger_dir"), *path = NULL;
	struct cert_read was;
	int err = 0;

	if (asprintf(&path, "%s/%s", dir, CERT_FILE) < 0)
		fatal("out of memory");
	free(dir);
	out->table = cert_table_new();
	out->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (out->fd < 0 && errno != ENOENT)
		err = ERR_IO;
	if (out->fd >= 0)
		err = cert_table_read(out->table, out->fd, &was);
	cert_table_expire(
	    out->table, (int64_t)time(NULL), (int64_t)conf_int(conf, "cert_pending_days") * 86400);
	*path_out = path;
	return err;
}

int
cert_file_open(struct ctl *c, struct cert_file *out)
{
	char *path;
	int err = open_quietly(c->conf, out, &path);

	if (err != 0) {
		err = ctl_fail(c, EX_NOINPUT, "%s: %s", path, strerror(errno));
		cert_file_close(out);
	}
	free(path);
	return err;
}

void
cert_file_close(struct cert_file *f)
{
	if (f->fd >= 0)
		close(f->fd);
	cert_table_free(f->table);
	f->fd = -1;
	f->table = NULL;
}

int64_t
cert_file_waiting(const struct conf *conf)
{
	struct cert_file f;
	int64_t n = -1;
	char *path;

	if (open_quietly(conf, &f, &path) == 0)
		n = (int64_t)cert_table_count(f.table, CERT_PENDING);
	free(path);
	cert_file_close(&f);
	return n;
}

/* ---- one of them ---- */

static int
read_line(int fd, uint64_t at, size_t len, struct json **out)
{
	struct buf b;
	unsigned char *room;
	int err = ERR_CORRUPT;

	buf_init(&b, CERT_LINE_MAX);
	room = len > 1 ? buf_reserve(&b, len) : NULL;
	if (room != NULL && pread(fd, room, len, (off_t)at) == (ssize_t)len)
		err = cert_line_get(slice_of(room, len - 1), out);
	buf_done(&b);
	return err;
}

int
cert_item_read(const struct cert_file *f, struct cert_row *r, struct cert_item *out)
{
	int err;

	memset(out, 0, sizeof *out);
	buf_init(&out->der, CERT_DER_MAX);
	out->row = r;
	err = read_line(f->fd, r->at, r->len, &out->cert);
	if (err == 0 && r->decided_len > 0)
		err = read_line(f->fd, r->decided_at, r->decided_len, &out->decision);
	if (err == 0)
		err = b64_decode(json_str(json_get(out->cert, "der")), true, &out->der);
	if (err == 0)
		err = cert_der_first(buf_slice(&out->der), &out->first_len);
	if (err != 0)
		cert_item_done(out);
	return err;
}

void
cert_item_done(struct cert_item *i)
{
	json_free(i->cert);
	json_free(i->decision);
	buf_done(&i->der);
	i->cert = i->decision = NULL;
}

int
cert_item_find(struct ctl *c, struct cert_file *f, const char *id, struct cert_item *out)
{
	struct cert_row *r, *found = NULL;
	char hex[65];
	size_t n = strlen(id), k = 0;

	if (n < ID_MIN || n > 64 || strspn(id, "0123456789abcdefABCDEF") != n)
		return ctl_fail(c, EX_USAGE,
		    _("%s is no certificate's id: eight to 64 of the digits that congvu cert list "
		      "shows"),
		    id);
	for (r = cert_table_first(f->table); r != NULL; r = r->next) {
		hex_encode(r->sha256, 32, hex);
		if (strncasecmp(hex, id, n) == 0) {
			found = r;
			k++;
		}
	}
	if (k > 1)
		return ctl_fail(c, EX_USAGE, _("%s begins %zu certificates: more digits"), id, k);
	if (found == NULL || cert_item_read(f, found, out) != 0)
		return ctl_fail(c, EX_NOUSER, _("no certificate %s is here: congvu cert list"), id);
	return 0;
}

void
cert_item_id(const struct cert_row *r, char out[17])
{
	hex_encode(r->sha256, 8, out);
}

const char *
cert_state_word(enum cert_state s)
{
	static const char *const words[] = {
	    N_("unknown"), N_("pending"), N_("published"), N_("banned"), N_("withdrawn")};

	return _(words[s]);
}

const char *
cert_when(int64_t t)
{
	static char out[40];
	time_t at = (time_t)t;
	struct tm tm;

	out[0] = '\0';
	if (t > 0 && localtime_r(&at, &tm) != NULL)
		strftime(out, sizeof out, "%Y-%m-%d %H:%M", &tm);
	return out;
}

static void
set_time(struct json *o, const char *key, int64_t t)
{
	char text[40] = "";
	time_t at = (time_t)t;
	struct tm tm;

	if (t > 0 && gmtime_r(&at, &tm) != NULL)
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
	json_set_str(o, key, text);
}

struct json *
cert_item_json(const struct cert_item *i)
{
	static const char *const keys[] = {
	    "address", "account", "subject", "issuer", "serial", "qid"};
	struct json *o = json_obj_new();
	char id[17], hex[65];

	cert_item_id(i->row, id);
	hex_encode(i->row->sha256, 32, hex);
	json_set_str(o, "id", id);
	json_set_str(o, "sha256", hex);
	json_set_str(o, "state", cert_state_name(i->row->state));
	json_set_bool(o, "in_directory", i->row->inside);
	json_set_bool(o, "published", i->row->published);
	for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
		json_set_slice(o, keys[k], json_str(json_get(i->cert, keys[k])));
	set_time(o, "not_before", json_int(json_get(i->cert, "not_before"), 0));
	set_time(o, "not_after", i->row->not_after);
	set_time(o, "first_seen", json_int(json_get(i->cert, "first"), 0));
	set_time(o, "last_seen", i->row->last);
	json_set_int(o, "mails", (int64_t)i->row->count);
	if (i->decision != NULL) {
		json_set_slice(o, "by", json_str(json_get(i->decision, "by")));
		json_set_slice(o, "decision", json_str(json_get(i->decision, "decision")));
		json_set_slice(o, "reason", json_str(json_get(i->decision, "reason")));
		set_time(o, "decided", json_int(json_get(i->decision, "at"), 0));
	}
	return o;
}

/* ---- list ---- */

static void
cell(struct ctl_table *t, struct slice s, enum shown_as as)
{
	struct buf b;

	buf_init(&b, 16384);
	shown_append(s, as, &b);
	ctl_table_cell(t, b.err == 0 ? buf_cstr(&b) : "?");
	buf_done(&b);
}

static const char *
row_word(const struct cert_row *r)
{
	return r->state == CERT_BANNED && r->published ? _("banned, still published")
						       : cert_state_word(r->state);
}

static void
list_row(struct ctl_table *t, const struct cert_item *i)
{
	struct slice account = json_str(json_get(i->cert, "account"));
	char id[17], count[24];

	cert_item_id(i->row, id);
	snprintf(count, sizeof count, "%llu", (unsigned long long)i->row->count);
	ctl_table_cell(t, id);
	ctl_table_cell(t, row_word(i->row));
	cell(t, slice_str(i->row->address), SHOWN_LATIN);
	if (account.len > 0)
		cell(t, account, SHOWN_LATIN);
	else
		ctl_table_cell(t, _("(nobody here)"));
	ctl_table_cell(t, cert_when(i->row->not_after));
	ctl_table_cell(t, count);
	ctl_table_cell(t, cert_when(i->row->last));
	cell(t, json_str(json_get(i->cert, "subject")), SHOWN_TEXT);
}

static int
list(struct ctl *c, bool pending)
{
	static const char *const heads[] = {N_("id"), N_("state"), N_("address"), N_("account"),
	    N_("valid until"), N_("mails"), N_("last seen"), N_("holder (subject)")};
	struct ctl_table *t = ctl_table_new(sizeof heads / sizeof *heads);
	struct json *all = json_arr_new();
	struct cert_file f;
	struct cert_item i;
	struct cert_row *r;
	int rc = cert_file_open(c, &f);
	size_t n = 0;

	for (size_t k = 0; k < sizeof heads / sizeof *heads; k++)
		ctl_table_cell(t, _(heads[k]));
	for (r = rc == 0 ? cert_table_first(f.table) : NULL; r != NULL; r = r->next) {
		if ((pending && r->state != CERT_PENDING) || cert_item_read(&f, r, &i) != 0)
			continue;
		n++;
		if (c->json)
			json_push_take(all, cert_item_json(&i));
		else
			list_row(t, &i);
		cert_item_done(&i);
	}
	if (rc == 0)
		cert_file_close(&f);
	if (rc != 0 || c->json || n == 0)
		ctl_table_free(t);
	else
		ctl_table_print_take(t);
	if (rc == 0 && c->json)
		return ctl_json_take(all, 0);
	json_free(all);
	if (rc == 0 && n == 0)
		printf("%s\n", pending ? _("no certificate waits") : _("there is no certificate"));
	if (rc == 0 && n == 0 && pending)
		printf("%s\n",
		    _("(only what is known not to be revoked comes here: without CRLs or OCSP "
		      "answers of its CA nothing does)"));
	return rc;
}

/* ---- show ---- */

static void
print_field(const char *label, struct slice s, enum shown_as as)
{
	if (s.len == 0)
		return;
	printf("  ");
	ctl_label(label, LABEL);
	shown_print(s, as);
	putchar('\n');
}

static void
print_word(const char *label, struct slice s)
{
	if (s.len == 0)
		return;
	printf("  ");
	ctl_label(label, LABEL);
	trace_print_word(s);
	putchar('\n');
}

/* As approve has it: what is good may still be no matter of the directory. */
static const char *
may_be_published(const struct cert_item *i, const struct json *judged)
{
	if (json_str(json_get(i->cert, "account")).len == 0)
		return _("it is good; its address was nobody's here: it is published only for "
			 "somebody who has that address");
	if (!json_bool(json_get(judged, "encrypts")))
		return _("it is good, but encrypts nothing: it is published with --signing-only "
			 "alone");
	return _("it may be published");
}

static void
print_judged(const struct cert_item *i, const struct json *judged, const struct cert_scope *scope,
    const char *why)
{
	const struct json *rev = json_get(judged, "rev"), *list = json_get(judged, "addresses");
	struct buf refused;
	int code;

	if (judged == NULL) {
		print_field(_("now"), slice_str(why), SHOWN_TEXT);
		return;
	}
	for (size_t k = 0; k < json_len(list); k++)
		print_field(_("names address"), json_str(json_at(list, k)), SHOWN_LATIN);
	print_field(_("key"), json_str(json_get(judged, "key")), SHOWN_LATIN);
	print_field(_("for encryption"),
	    slice_str(json_bool(json_get(judged, "encrypts")) ? _("yes") : _("no")), SHOWN_TEXT);
	print_field(_("for signatures"),
	    slice_str(json_bool(json_get(judged, "signs")) ? _("yes") : _("no")), SHOWN_TEXT);
	print_word(_("chain"), json_str(json_get(judged, "chain")));
	print_word(_("revocation"), json_str(json_get(rev, "state")));
	buf_init(&refused, 2048);
	cert_scope_print(scope, &refused);
	print_field(_("policy"), buf_slice(&refused), SHOWN_TEXT);
	buf_reset(&refused);
	if (!cert_refused(judged, scope, &refused, &code))
		buf_append_str(&refused, may_be_published(i, judged));
	print_field(_("now"), buf_slice(&refused), SHOWN_TEXT);
	buf_done(&refused);
}

static void
print_item(const struct cert_item *i)
{
	char hex[65], count[24];
	struct slice account = json_str(json_get(i->cert, "account"));

	hex_encode(i->row->sha256, 32, hex);
	snprintf(count, sizeof count, "%llu", (unsigned long long)i->row->count);
	printf("%s  %s\n", hex, row_word(i->row));
	print_field(_("address"), slice_str(i->row->address), SHOWN_LATIN);
	print_field(_("account"), account.len > 0 ? account : slice_str(_("(nobody here)")),
	    account.len > 0 ? SHOWN_LATIN : SHOWN_TEXT);
	print_field(_("holder (subject)"), json_str(json_get(i->cert, "subject")), SHOWN_TEXT);
	print_field(_("issuer"), json_str(json_get(i->cert, "issuer")), SHOWN_TEXT);
	print_field(_("serial"), json_str(json_get(i->cert, "serial")), SHOWN_LATIN);
	print_field(_("valid from"),
	    slice_str(cert_when(json_int(json_get(i->cert, "not_before"), 0))), SHOWN_LATIN);
	print_field(_("valid until"), slice_str(cert_when(i->row->not_after)), SHOWN_LATIN);
	print_field(_("first seen"), slice_str(cert_when(json_int(json_get(i->cert, "first"), 0))),
	    SHOWN_LATIN);
	print_field(_("in the mail"), json_str(json_get(i->cert, "qid")), SHOWN_LATIN);
	print_field(_("last seen"), slice_str(cert_when(i->row->last)), SHOWN_LATIN);
	print_field(_("mails"), slice_str(count), SHOWN_LATIN);
	if (i->decision != NULL) {
		print_field(_("decided"),
		    slice_str(cert_when(json_int(json_get(i->decision, "at"), 0))), SHOWN_LATIN);
		print_field(_("decided by"), json_str(json_get(i->decision, "by")), SHOWN_TEXT);
		print_field(_("decision"), json_str(json_get(i->decision, "decision")), SHOWN_TEXT);
		print_field(_("reason"), json_str(json_get(i->decision, "reason")), SHOWN_TEXT);
	}
}

/* NULL with *why: it cannot be said. */
static struct json *
judge_now(struct ctl *c, const struct cert_args *a, const struct cert_item *i,
    struct cert_scope *scope, const char **why)
{
	struct json *judged = NULL;
	char *agency = NULL;

	*why = _("whose it is, or what the policy asks, cannot be learnt");
	memset(scope, 0, sizeof *scope);
	if (cert_agency(c, a, i->row->address, &agency) == 0 &&
	    cert_scope_read(c, i->row->address, agency, scope) == 0)
		judged = cert_check(c, buf_slice(&i->der), scope, why);
	free(agency);
	return judged;
}

static int
show(struct ctl *c, const struct cert_args *a)
{
	struct cert_file f;
	struct cert_item i;
	struct json *judged, *o;
	struct cert_scope scope;
	const char *why = NULL;
	int rc = cert_file_open(c, &f);

	if (rc != 0)
		return rc;
	rc = cert_item_find(c, &f, a->id, &i);
	if (rc == 0) {
		judged = judge_now(c, a, &i, &scope, &why);
		if (c->json) {
			o = cert_item_json(&i);
			json_del(judged, "wants");
			json_set_take(o, "now", judged);
			ctl_json_take(o, 0);
		} else {
			print_item(&i);
			print_judged(&i, judged, &scope, why);
			json_free(judged);
		}
		cert_scope_done(&scope);
		cert_item_done(&i);
	}
	cert_file_close(&f);
	return rc;
}

/* ---- all verbs ---- */

int
ctl_cert(struct ctl *c, int argc, char **argv)
{
	struct cert_args a = {.id = NULL};
	const struct ctl_option options[] = {{"reason", &a.reason, NULL},
	    {"signing-only", NULL, &a.signing_only}, CTL_CHANGE_OPTIONS(a.change),
	    {NULL, NULL, NULL}};
	char *dir = conf_path(c->conf, "run_dir");
	const char *verb;

	/* the sockets have short names there; of a suite that was never started there is nothing to ask, and a list to read */
	if (chdir(dir) != 0 && chdir("/") != 0)
		fatal("congvu cert: %s", dir);
	free(dir);
	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	verb = argc >= 2 ? argv[1] : "";
	if (argc == 2 && (strcmp(verb, "pending") == 0 || strcmp(verb, "list") == 0))
		return list(c, strcmp(verb, "pending") == 0);
	a.id = argc == 3 ? argv[2] : NULL;
	if (a.id != NULL && strcmp(verb, "show") == 0)
		return show(c, &a);
	if (a.id != NULL && strcmp(verb, "approve") == 0)
		return cert_approve(c, &a);
	if (a.id != NULL && strcmp(verb, "withdraw") == 0)
		return cert_withdraw(c, &a);
	if (a.id != NULL && strcmp(verb, "ban") == 0)
		return cert_ban(c, &a, true);
	if (a.id != NULL && strcmp(verb, "unban") == 0)
		return cert_ban(c, &a, false);
	return ctl_usage(
	    c, "%s", _("one of pending, list, show ID, approve ID, withdraw ID, ban ID, unban ID"));
}
