/* ctl_check.c: `congvu check`: everything that can be known before a start: options that depend on each other, users,
 * files and their permissions, keys, certificates and their dates, programs, the directory. Each finding says what to
 * do. Changes nothing. Exit 0, or 78 (configuration) when something would not work. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/check.h"
#include "admin/ctl_table.h"
#include "lib/client_cert.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/tls.h"
#include "milter/modes.h"
#include "smtpd/milter_options.h"

#define WARN_SECONDS (30 * 86400) /* a certificate that ends sooner is told of */

void
finding(struct check *k, enum level level, const char *what, const char *fmt, ...)
{
	static const char *const names[] = {"ok", "warning", "error", "error"};
	static const int codes[] = {EX_OK, EX_OK, EX_CONFIG, EX_UNAVAILABLE};
	struct json *j = json_obj_new();
	struct buf b, shown;
	va_list ap;

	buf_init(&b, 16384);
	va_start(ap, fmt);
	buf_vappendf(&b, fmt, ap);
	va_end(ap);
	json_set_str(j, "check", what);
	json_set_str(j, "result", names[level]);
	json_set_str(j, "text", buf_cstr(&b));
	json_push_take(k->findings, j);
	k->failed = k->failed || level >= BAD;
	if (codes[level] > k->code)
		k->code = codes[level];
	if (!k->c->json) {
		ctl_label(level == GOOD ? "ok" : level == WARN ? _("WARNING") : _("ERROR"), 9);
		buf_init(&shown, 65536);
		ctl_shown(buf_slice(&b), &shown);
		printf("%s: %s\n", what, buf_cstr(&shown));
		buf_done(&shown);
	}
	buf_done(&b);
}

/* ---- the configuration itself ---- */

static void
check_listens(struct check *k)
{
	static const char *const listens[] = {"listen_mx", "listen_submission",
	    "listen_submissions", "listen_imap", "listen_imaps", "listen_lmtp"};
	uint64_t n;

	for (size_t i = 0; i < sizeof(listens) / sizeof(listens[0]); i++) {
		const char *text = conf_str(k->conf, listens[i]), *colon = strrchr(text, ':');

		if (text[0] != '\0' &&
		    (colon == NULL || slice_to_u64(slice_str(colon + 1), 65535, &n) != 0))
			finding(
			    k, BAD, listens[i], _("\"%s\" must be ADDRESS:PORT, or empty"), text);
		for (size_t j = 0; j < i && text[0] != '\0'; j++)
			if (strcmp(text, conf_str(k->conf, listens[j])) == 0)
				finding(k, BAD, listens[i], _("\"%s\" is that of %s already"), text,
				    listens[j]);
	}
}

static void
check_milters(struct check *k)
{
	for (size_t i = 0; i < conf_list_len(k->conf, "milters"); i++) {
		const char *row = conf_list_item(k->conf, "milters", i), *why = "";
		struct milter_options o = {.address = ""};

		if (milter_options_parse(row, &o, &why) != 0)
			finding(k, BAD, "milters", "\"%s\": %s", row, _(why));
	}
}

/* The filter does not start with a mode it cannot read: told here before. */
static void
check_policy(struct check *k)
{
	struct modes *m = modes_new();
	const char *why, *item, *how = conf_str(k->conf, "revocation_check");

	for (size_t i = 0; i < conf_list_len(k->conf, "policy_modes"); i++) {
		item = conf_list_item(k->conf, "policy_modes", i);
		if (modes_add(m, item, &why) != 0)
			finding(k, BAD, "policy_modes", "\"%s\": %s", item, _(why));
	}
	for (size_t i = 0; i < conf_list_len(k->conf, "policy_attachment_mb"); i++) {
		item = conf_list_item(k->conf, "policy_attachment_mb", i);
		if (modes_add_limit(m, item, &why) != 0)
			finding(k, BAD, "policy_attachment_mb", "\"%s\": %s", item, _(why));
	}
	if (strcmp(how, "off") != 0 && strcmp(how, "auto") != 0 && strcmp(how, "require") != 0)
		finding(k, BAD, "revocation_check", "\"%s\": off, auto, require", how);
	modes_free(m);
	check_policy_file(k);
}

/* smtpd removes what comes in under its own name alone: any other name that P35 believes is anybody's to write. */
static void
check_trusted(struct check *k)
{
	const char *own = conf_str(k->conf, "authserv_id");

	if (own[0] == '\0')
		own = conf_str(k->conf, "hostname");
	for (size_t i = 0; i < conf_list_len(k->conf, "policy_trusted_authserv"); i++) {
		const char *id = conf_list_item(k->conf, "policy_trusted_authserv", i);

		if (strcasecmp(id, own) != 0)
			finding(k, WARN, "policy_trusted_authserv",
			    _("\"%s\" is not our authserv_id (%s): results in that name come in "
			      "from "
			      "outside and are believed, unless the server before this one removes "
			      "them"),
			    id, own);
	}
}

static void
check_options(struct check *k)
{
	static const struct {
		const char *option, *needs;
		bool may_be_empty; /* a tree without such things */
	} filters[] = {{"dir_login_filter", "%s", false}, {"dir_rcpt_filter", "%s", false},
	    {"dir_func_filter", "%d", true}, {"dir_group_filter", "%d", true}};
	uint64_t n;

	if (conf_list_len(k->conf, "domains") == 0)
		finding(
		    k, BAD, "domains", _("no mail domain is set: domains = {\"agency.example\"}"));
	check_listens(k);
	check_milters(k);
	check_policy(k);
	check_trusted(k);
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		const char *f = conf_str(k->conf, filters[i].option);

		if (f[0] == '\0' ? !filters[i].may_be_empty : strstr(f, filters[i].needs) == NULL)
			finding(k, BAD, filters[i].option,
			    _("%s must stand in it where the name goes"), filters[i].needs);
	}
	for (size_t i = 0; i < conf_list_len(k->conf, "queue_retry_s"); i++)
		if (slice_to_u64(
			slice_str(conf_list_item(k->conf, "queue_retry_s", i)), 86400, &n) != 0)
			finding(k, BAD, "queue_retry_s", _("\"%s\" is not a number of seconds"),
			    conf_list_item(k->conf, "queue_retry_s", i));
	/* the last attempt may be a day late */
	if (conf_int(k->conf, "queue_lifetime_s") + 86400 >
	    conf_int(k->conf, "delivery_memory_days") * 86400)
		finding(k, BAD, "queue_lifetime_s",
		    _("must be a day less than delivery_memory_days: mail delivered after the "
		      "store has forgotten it is doubled"));
	if (!k->failed)
		finding(k, GOOD, "configuration", "%s", conf_file(k->conf));
}

static void
check_users(struct check *k)
{
	size_t n, bad = 0, users = 0;
	const struct conf_option *o = conf_options(&n);
	uid_t uid;
	gid_t gid;

	if (geteuid() != 0) {
		finding(k, WARN, "users",
		    _("not run as root: all roles will run as this user, no border of users "
		      "between them"));
		return;
	}
	for (size_t i = 0; i < n; i++) {
		if (strncmp(o[i].name, "user_", 5) != 0)
			continue;
		users++;
		if (proc_user(conf_str(k->conf, o[i].name), &uid, &gid) == 0)
			continue;
		bad++;
		finding(k, BAD, o[i].name,
		    _("there is no user %s: useradd --system --no-create-home %s"),
		    conf_str(k->conf, o[i].name), conf_str(k->conf, o[i].name));
	}
	if (bad == 0)
		finding(k, GOOD, "users", _("%zu users of roles are there"), users);
}

/* RFC 5321 4.5.1: mail to postmaster finds somebody; RFC 2142: abuse. */
static void
check_postmaster(struct check *k)
{
	const char *address = conf_str(k->conf, "postmaster");

	if (address[0] == '\0')
		finding(k, WARN, "postmaster",
		    _("is not set: mail to postmaster and abuse of a domain is refused unless the "
		      "directory names "
		      "somebody; postmaster = \"address in our domains\""));
	else if (!conf_is_our_address(k->conf, address))
		finding(k, BAD, "postmaster", _("%s is in none of our domains"), address);
	else
		finding(
		    k, GOOD, "postmaster", _("%s gets the mail to postmaster and abuse"), address);
}

/* ---- files ---- */

bool
check_secret(struct check *k, const char *option, char **path_out)
{
	struct stat st;
	bool good = false;

	*path_out = conf_path(k->conf, option);
	if ((*path_out)[0] == '\0')
		finding(k, BAD, option, _("is not set"));
	else if (stat(*path_out, &st) != 0)
		finding(k, BAD, option, "%s: %s", *path_out, strerror(errno));
	else if ((st.st_mode & 077) != 0)
		finding(k, BAD, option, _("%s can be read by others (mode %03o): chmod 600 %s"),
		    *path_out, st.st_mode & 0777, *path_out);
	else
		good = true;
	return good;
}

static void
check_token_key(struct check *k)
{
	unsigned char key[32];
	char text[65] = "", *path;
	bool good = check_secret(k, "token_key_file", &path);
	int fd = good ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		ssize_t n = read(fd, text, 64);

		close(fd);
		if (n != 64 || hex_decode(slice_of(text, 64), key, sizeof(key)) != 0)
			finding(k, BAD, "token_key_file",
			    _("%s must hold 64 hex digits: openssl rand -hex 32 > %s"), path, path);
		else
			finding(k, GOOD, "token_key_file", "%s", path);
		explicit_bzero(text, sizeof(text));
		explicit_bzero(key, sizeof(key));
	} else if (good) {
		finding(k, BAD, "token_key_file", "%s: %s", path, strerror(errno));
	}
	free(path);
}

static void
check_certificate(struct check *k)
{
	char *cert = conf_path(k->conf, "tls_cert_file"), *key = NULL;
	const char *why = NULL, *host = conf_str(k->conf, "hostname");
	struct tls_ctx *ctx = NULL;
	bool named = false;
	int64_t left = 0;

	if (!check_secret(k, "tls_key_file", &key))
		goto out;
	if (tls_server_new(cert, key, NULL, &ctx, &why) != 0) {
		finding(k, BAD, "tls_cert_file", "%s: %s", cert, _(why));
		goto out;
	}
	if (tls_ctx_cert_check(ctx, host, &left, &named) != 0)
		finding(k, BAD, "tls_cert_file",
		    _("%s is not valid now: renew it, or set the clock right (openssl x509 "
		      "-noout -dates -in %s)"),
		    cert, cert);
	else if (!named)
		finding(k, BAD, "tls_cert_file",
		    _("%s does not name %s (hostname): mail clients will refuse it"), cert, host);
	else if (left < WARN_SECONDS)
		finding(k, WARN, "tls_cert_file", _("%s ends in %lld days: renew it"), cert,
		    (long long)left / 86400);
	else
		finding(k, GOOD, "tls_cert_file", _("%s, for %s, %lld days left"), cert, host,
		    (long long)left / 86400);
out:
	tls_ctx_free(ctx);
	free(cert);
	free(key);
}

int
check_certificate_taken(struct ctl *c)
{
	struct ctl quiet = *c;
	struct check k = {.c = &quiet, .findings = json_arr_new()};
	char *why = NULL;

	quiet.json = true;
	if (conf_load(c->conf_file, &k.conf, &why) == 0)
		check_certificate(&k);
	for (size_t i = 0; i < json_len(k.findings); i++) {
		const struct json *f = json_at(k.findings, i);

		if (strcmp(json_cstr(json_get(f, "result")), "ok") != 0)
			fprintf(stderr, "congvu reload: %s: %s\n", json_cstr(json_get(f, "check")),
			    json_cstr(json_get(f, "text")));
	}
	json_free(k.findings);
	conf_free(k.conf);
	free(why);
	return k.code;
}

/* What clients sign in by instead of a password. */
static void
check_client_cas(struct check *k)
{
	char *path = conf_path(k->conf, "tls_client_ca_file");
	struct client_cas *cas = NULL;
	const char *why = NULL;

	if (strcmp(conf_str(k->conf, "tls_client_certs"), "off") != 0) {
		if (client_cas_new(path, &cas, &why) != 0)
			finding(k, BAD, "tls_client_ca_file", "%s: %s", path, _(why));
		else
			finding(k, GOOD, "tls_client_ca_file", "%s", path);
	}
	client_cas_free(cas);
	free(path);
}

static void
check_folders(struct check *k)
{
	static const char *const options[] = {
	    "run_dir", "store_dir", "queue_dir", "ledger_dir", "trust_dir"};
	struct stat st;

	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		char *path = conf_path(k->conf, options[i]);
		bool made_later = strcmp(options[i], "trust_dir") != 0;

		if (stat(path, &st) != 0 && (errno != ENOENT || !made_later))
			finding(k, made_later ? BAD : WARN, options[i], "%s: %s", path,
			    strerror(errno));
		else if (stat(path, &st) == 0 && !S_ISDIR(st.st_mode))
			finding(k, BAD, options[i], _("%s is no folder"), path);
		else
			finding(k, GOOD, options[i], "%s", path);
		free(path);
	}
}

/* Each of names must be a program in folder; which: where to mend it. */
static bool
check_in_folder(struct check *k, const char *folder, const char *const *names, const char *which)
{
	bool good = true;

	for (; *names != NULL; names++) {
		char *path = NULL;

		if (asprintf(&path, "%s/%s", folder, *names) < 0)
			fatal("out of memory");
		if (access(path, X_OK) != 0) {
			finding(k, BAD, "programs", "%s: %s (%s)", path, strerror(errno), which);
			good = false;
		}
		free(path);
	}
	return good;
}

static void
check_programs(struct check *k)
{
	static const char *const roles[] = {"congvu-stored-db", "congvu-store-text",
	    "congvu-ingest", "congvu-lookup", "congvu-milter-filter", "congvu-milter-scan",
	    "congvu-milter-ledger", "congvu-milter-sign", "congvu-fetch", "congvu-smtpd-queue",
	    "congvu-smtpd-session", "congvu-relay", "congvu-imapd-session", NULL};
	char *sbin = ctl_programs_folder(), *libexec = conf_path(k->conf, "libexec_dir");
	const char *env = getenv("CONGVU_LIBEXEC");
	bool good;

	if (env != NULL || libexec[0] == '\0') {
		free(libexec);
		libexec = xstrdup(env != NULL ? env : PKGLIBEXECDIR);
	}
	good = check_in_folder(k, sbin, ctl_programs, _("make install puts it there"));
	good = check_in_folder(k, libexec, roles, "libexec_dir") && good;
	if (good)
		finding(k, GOOD, "programs", "%s, %s", sbin, libexec);
	free(sbin);
	free(libexec);
}

/* ---- the directory ---- */

int
check_read_password(struct check *k, const char *option, struct buf *password)
{
	char *path = NULL;
	ssize_t n = -1;
	int fd, rc = ERR_IO;

	if (check_secret(k, option, &path)) {
		fd = open(path, O_RDONLY | O_CLOEXEC);
		n = fd >= 0 ? read(fd, buf_reserve(password, 1024), 1024) : -1;
		if (fd >= 0)
			close(fd);
		if (n < 0)
			finding(k, BAD, option, "%s: %s", path, strerror(errno));
	}
	if (n >= 0) {
		while (n > 0 && (password->data[n - 1] == '\n' || password->data[n - 1] == '\r'))
			n--;
		buf_commit(password, (size_t)n);
		rc = 0;
	}
	free(path);
	return rc;
}

/* Signs in to the directory with what two options say, and reads its base. */
static void
check_directory(
    struct check *k, const char *what, const char *dn_option, const char *password_option)
{
	static const char *const attrs[] = {"objectClass", NULL};
	const char *base = conf_str(k->conf, "ldap_base"), *dn = conf_str(k->conf, dn_option);
	struct dir_result *found = NULL;
	struct dir *d = NULL;
	struct buf password;
	int rc = 0;

	buf_init(&password, 2048);
	if (dn[0] != '\0') /* else an anonymous bind */
		rc = check_read_password(k, password_option, &password);
	if (rc == 0 && base[0] == '\0')
		finding(k, BAD, "ldap_base", _("is not set"));
	if (rc != 0 || base[0] == '\0')
		goto out;
	rc = dir_open_conf(k->conf, dn, buf_slice(&password), &d);
	if (rc == 0 && dn[0] != '\0')
		rc = dir_verify(d, dn, buf_slice(&password), NULL);
	if (rc == 0)
		rc = dir_read(d, base, attrs, &found);
	if (rc == 0)
		finding(k, GOOD, what, _("%s answers with %s"),
		    conf_list_item(k->conf, "ldap_uris", 0), base);
	else if (rc == ERR_AUTH || rc == ERR_EXPIRED)
		finding(k, BAD, what,
		    _("the LDAP server refuses %s (%s) with the password of %s: one of the two is "
		      "wrong"),
		    dn, dn_option, password_option);
	else if (rc == ERR_NOTFOUND)
		finding(k, BAD, what, _("there is no %s (ldap_base), or %s (%s) may not read it"),
		    base, dn, dn_option);
	else
		finding(k, BAD, what,
		    _("no LDAP server answers: is slapd running, and is it at one of ldap_uris "
		      "(%s, "
		      "...)?"),
		    conf_list_len(k->conf, "ldap_uris") > 0
			? conf_list_item(k->conf, "ldap_uris", 0)
			: "");
out:
	dir_result_free(found);
	dir_close(d);
	buf_wipe(&password);
}

void
check_all(struct check *k, bool offline)
{
	char *why = NULL;

	if (conf_load(k->c->conf_file, &k->conf, &why) != 0) {
		finding(k, BAD, "configuration", "%s", why);
		free(why);
		return;
	}
	check_options(k);
	check_postmaster(k);
	check_users(k);
	check_token_key(k);
	check_store_key(k);
	check_sign(k);
	check_certificate(k);
	check_client_cas(k);
	check_folders(k);
	check_programs(k);
	if (offline)
		return;
	check_directory(k, "directory", "ldap_bind_dn", "ldap_password_file");
	if (*conf_str(k->conf, "admin_bind_dn") != '\0' &&
	    *conf_str(k->conf, "admin_password_file") != '\0')
		check_directory(k, "admin", "admin_bind_dn", "admin_password_file");
}

int
check_end(struct check *k)
{
	struct json *all = json_obj_new();
	int code = k->code;

	json_set_bool(all, "ok", !k->failed);
	json_set_take(all, "findings", k->findings);
	conf_free(k->conf);
	if (k->c->json)
		return ctl_json_take(all, code);
	json_free(all);
	return code;
}

int
ctl_check(struct ctl *c, int argc, char **argv)
{
	bool offline = false;
	const struct ctl_option options[] = {{"offline", NULL, &offline}, {NULL, NULL, NULL}};
	struct check k = {.c = c};

	if (ctl_options(c, options, &argc, argv) != 0)
		return EX_USAGE;
	if (argc > 1)
		return ctl_usage(c, _("check takes no argument"));
	k.findings = json_arr_new();
	check_all(&k, offline);
	return check_end(&k);
}
