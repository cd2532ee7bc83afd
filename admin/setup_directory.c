/* setup_directory.c: the directory of `congvu setup`: a slapd of its own (slapd-instance makes it, a unit or that script runs it), or an
 * existing server, whose schema it loads when asked; then the first agency. Runs in congvu, as root. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "admin/ctl_change.h"
#include "admin/setup.h"
#include "lib/err.h"
#include "lib/log.h"

enum { OUT_MAX = 65536, WAIT_MS = 10000, STEP_MS = 100 };

#define SLAPD_INSTANCE PKGDATADIR "/slapd-instance"

/* ---- secrets ---- */

/* A password into a file of ours, from where it stands. */
static int
copy_password(struct setup *s, const char *from, const char *to)
{
	char *path = setup_path(s, to);
	struct buf b;
	int rc;

	buf_init(&b, 2048);
	if (s->dry_run && access(from, R_OK) != 0) {
		setup_say(s, SETUP_WOULD, path, "%s", _("would get the password that is made"));
		rc = 0;
	} else {
		rc = ctl_read_password(s->c, from, &b) == 0 ? 0 : -1;
		if (rc == 0)
			rc = setup_write(s, path, buf_slice(&b), 0600);
		else
			setup_say(s, SETUP_FAILED, path, _("no password in %s"), from);
	}
	buf_wipe(&b);
	free(path);
	return rc;
}

/* ---- a slapd of its own ---- */

static bool
is_loopback_only(const char *uris)
{
	for (const char *p = strstr(uris, "://"); p != NULL; p = strstr(p + 3, "://"))
		if (strncmp(p + 3, "127.", 4) != 0 && strncmp(p + 3, "[::1]", 5) != 0 &&
		    strncmp(p + 3, "localhost", 9) != 0)
			return false;
	return true;
}

static int
local_init(struct setup *s, const char *dir)
{
	const char *org = setup_answer(s, SETUP_Q_agency_name),
		   *cert = setup_answer(s, SETUP_Q_tls_cert_file),
		   *key = setup_answer(s, SETUP_Q_tls_key_file);
	char *own_cert = setup_path(s, "tls/cert.pem"), *own_key = setup_path(s, "tls/key.pem"),
	     *made = NULL;
	bool open = !is_loopback_only(setup_answer(s, SETUP_Q_ldap_listen));
	const char *argv[16] = {
	    SLAPD_INSTANCE, "init", "--dir", dir, "--base", setup_answer(s, SETUP_Q_ldap_base)};
	size_t n = 6;
	struct buf out;
	int rc = 0;

	buf_init(&out, OUT_MAX);
	if (asprintf(&made, "%s/.made", dir) < 0)
		fatal("out of memory");
	if (org[0] != '\0') {
		argv[n++] = "--org";
		argv[n++] = org;
	}
	if (open) {
		argv[n++] = "--tls-cert";
		argv[n++] = cert[0] != '\0' ? cert : own_cert;
		argv[n++] = "--tls-key";
		argv[n++] = key[0] != '\0' ? key : own_key;
		setup_left(s,
		    _("slapd has its own copy of the certificate in %s (cert.pem, key.pem): renew "
		      "it there too"),
		    dir);
	}
	if (access(made, F_OK) == 0) {
		setup_say(s, SETUP_THERE, dir, "%s", _("the directory's data is kept"));
	} else if (s->dry_run) {
		setup_say(s, SETUP_WOULD, dir,
		    _("a slapd would be made: schema, access rules, base tree %s, service accounts "
		      "with random passwords"),
		    setup_answer(s, SETUP_Q_ldap_base));
	} else if (setup_folder(s, setup_answer(s, SETUP_Q_data_dir), 0711) != 0) {
		rc = -1;
	} else if (setup_run(argv, &out) != 0) {
		setup_say(s, SETUP_FAILED, dir, "slapd-instance: %s", buf_cstr(&out));
		rc = -1;
	} else {
		setup_say(s, SETUP_DONE, dir,
		    _("a slapd was made: schema, access rules, base tree %s, service accounts with "
		      "random passwords"),
		    setup_answer(s, SETUP_Q_ldap_base));
	}
	buf_done(&out);
	free(own_cert);
	free(own_key);
	free(made);
	return rc;
}

static int
local_start(struct setup *s, const char *dir)
{
	const char *uris = setup_answer(s, SETUP_Q_ldap_listen);
	char *env = setup_path(s, "slapd.env"), *list = xstrdup(uris);
	const char *const by_script[] = {
	    SLAPD_INSTANCE, "start", "--dir", dir, "--uri", list, NULL};
	const char *const by_systemd[] = {"systemctl", "start", "congvu-slapd.service", NULL};
	struct buf text, out;
	int rc;

	for (char *p = list; *p != '\0'; p++)
		if (*p == ',')
			*p = ' ';
	buf_init(&text, 8192);
	buf_init(&out, OUT_MAX);
	buf_appendf(&text, "CONGVU_LDAP_DIR=\"%s\"\nCONGVU_LDAP_URIS=\"%s\"\n", dir, list);
	rc = setup_write(s, env, buf_slice(&text), 0644);
	if (rc == 0 && s->dry_run) {
		setup_say(s, SETUP_WOULD, "slapd", _("would be started at %s"), list);
	} else if (rc == 0 && setup_run(setup_has_systemd() ? by_systemd : by_script, &out) != 0) {
		setup_say(s, SETUP_FAILED, "slapd", "%s", buf_cstr(&out));
		rc = -1;
	} else if (rc == 0) {
		setup_say(s, SETUP_DONE, "slapd", _("runs at %s"), list);
	}
	if (rc == 0 && !setup_has_systemd())
		setup_left(s,
		    _("no systemd here: at boot, start the directory by %s start --dir %s, then "
		      "congvu run --daemon"),
		    SLAPD_INSTANCE, dir);
	buf_done(&text);
	buf_done(&out);
	free(env);
	free(list);
	return rc;
}

static int
local_directory(struct setup *s)
{
	char *dir = NULL, *lookup = NULL, *hr = NULL;
	int rc = -1;

	if (asprintf(&dir, "%s/ldap", setup_answer(s, SETUP_Q_data_dir)) < 0 ||
	    asprintf(&lookup, "%s/lookup.password", dir) < 0 ||
	    asprintf(&hr, "%s/hr.password", dir) < 0)
		fatal("out of memory");
	if (access("/usr/sbin/slapd", X_OK) != 0)
		setup_say(
		    s, SETUP_FAILED, "slapd", "%s", _("is not installed: apt-get install slapd"));
	else
		rc = local_init(s, dir);
	if (rc == 0)
		rc = copy_password(s, lookup, "ldap.password");
	if (rc == 0)
		rc = copy_password(s, hr, "hr.password");
	if (rc == 0)
		rc = local_start(s, dir);
	free(dir);
	free(lookup);
	free(hr);
	return rc;
}

/* ---- an existing server ---- */

/* The first ldapi:// of ldap_uris, for a server whose socket lies elsewhere; usually ldapi:///. malloc'd. */
static char *
ldapi_uri(const struct setup *s)
{
	const char *p = strstr(setup_answer(s, SETUP_Q_ldap_uris), "ldapi://");
	char *uri = p == NULL ? xstrdup("ldapi:///") : strndup(p, strcspn(p, ", "));

	if (uri == NULL)
		fatal("out of memory");
	return uri;
}

/* By ldapi, where root is known by its uid. Loaded once: a second time it is found there. */
static int
load_schema(struct setup *s)
{
	char *uri = ldapi_uri(s);
	const char *const have[] = {"ldapsearch", "-Q", "-LLL", "-Y", "EXTERNAL", "-H", uri, "-b",
	    "cn=schema,cn=config", "(cn=*congvu)", "dn", NULL};
	const char *const add[] = {
	    "ldapadd", "-Q", "-Y", "EXTERNAL", "-H", uri, "-f", PKGDATADIR "/congvu.ldif", NULL};
	struct buf out;
	int rc = 0, code;

	buf_init(&out, OUT_MAX);
	code = setup_run(have, &out);
	if (code != 0) {
		setup_say(s, SETUP_FAILED, _("schema"),
		    _("cn=config cannot be read by ldapi:/// as root: %s"), buf_cstr(&out));
		rc = -1;
	} else if (slice_find(buf_slice(&out), slice_str("congvu,cn=schema")) >= 0) {
		setup_say(s, SETUP_THERE, _("schema"), "%s", _("is loaded"));
	} else if (s->dry_run) {
		setup_say(s, SETUP_WOULD, _("schema"), _("%s would be loaded"),
		    PKGDATADIR "/congvu.ldif");
	} else if (setup_run(add, &out) != 0) {
		setup_say(s, SETUP_FAILED, _("schema"), "ldapadd: %s", buf_cstr(&out));
		rc = -1;
	} else {
		setup_say(
		    s, SETUP_DONE, _("schema"), _("%s was loaded"), PKGDATADIR "/congvu.ldif");
	}
	buf_done(&out);
	free(uri);
	return rc;
}

static int
existing_directory(struct setup *s)
{
	const char *lookup = setup_answer(s, SETUP_Q_ldap_bind_password_file),
		   *admin = setup_answer(s, SETUP_Q_admin_password_file);
	int rc = 0;

	if (setup_answer(s, SETUP_Q_ldap_bind_dn)[0] != '\0')
		rc = copy_password(s, lookup, "ldap.password");
	if (rc == 0 && setup_answer(s, SETUP_Q_admin_bind_dn)[0] != '\0')
		rc = copy_password(s, admin, "hr.password");
	if (rc == 0 && setup_is(s, SETUP_Q_ldap_schema, "load"))
		rc = load_schema(s);
	if (rc == 0 && setup_is(s, SETUP_Q_ldap_tree, "congvu"))
		setup_left(s,
		    _("access rules, indexes and the base tree of an existing server are its "
		      "operator's: take them from %s "
		      "and %s; congvu doctor tells what is missing"),
		    PKGDATADIR "/slapd.conf.in", PKGDATADIR "/base.ldif.in");
	return rc;
}

int
setup_directory(struct setup *s)
{
	return setup_is(s, SETUP_Q_ldap, "local") ? local_directory(s) : existing_directory(s);
}

/* ---- the first agency ---- */

/* A server that was started just now may need a moment. */
static int
add_agency(struct setup *s, struct agency_add *p, enum change *change, char **why)
{
	struct timespec nap = {0, STEP_MS * 1000000L};
	int err = ERR_TEMP;

	for (int waited = 0; err == ERR_TEMP && waited < WAIT_MS; waited += STEP_MS) {
		const struct change_args args = {.decision = p->decision};
		struct ctl_dir d = {0};

		free(*why);
		*why = NULL;
		if (waited > 0)
			nanosleep(&nap, NULL);
		if (ctl_change_open(s->c, &args, &d) != 0)
			return ERR_IO; /* said */
		err = dir_admin_agency_add(d.admin, p, change, why);
		ctl_dir_close(&d);
	}
	return err;
}

int
setup_agency(struct setup *s)
{
	struct agency_add p = {.code = setup_answer(s, SETUP_Q_agency_code),
	    .name = setup_answer(s, SETUP_Q_agency_name),
	    .abbrev = setup_answer(s, SETUP_Q_agency_abbrev),
	    .kind = setup_answer(s, SETUP_Q_agency_kind),
	    .mailbox = setup_answer(s, SETUP_Q_agency_mailbox),
	    .decision = setup_answer(s, SETUP_Q_agency_decision)};
	enum change change = CHANGE_NONE;
	char *why = NULL;
	int err;

	if (p.name[0] == '\0') {
		setup_left(
		    s, "%s", _("add agencies and people: congvu agency add, congvu staff hire"));
		return 0;
	}
	if (!setup_is(s, SETUP_Q_ldap, "local") &&
	    setup_answer(s, SETUP_Q_admin_bind_dn)[0] == '\0') {
		setup_say(s, SETUP_NOTE, p.name, "%s",
		    _("is not added: no account that writes the directory was named"));
		return 0;
	}
	if (s->dry_run) {
		setup_say(s, SETUP_WOULD, p.name, _("the agency and its mailbox %s would be added"),
		    p.mailbox);
		return 0;
	}
	err = add_agency(s, &p, &change, &why);
	if (err == 0)
		setup_say(s, change == CHANGE_NONE ? SETUP_THERE : SETUP_DONE, p.name,
		    _("agency %s with the mailbox %s"), p.code, p.mailbox);
	else
		setup_say(s, SETUP_FAILED, p.name, "%s", why != NULL ? why : err_name(err));
	free(why);
	setup_left(s,
	    _("add the people: congvu staff hire --name ... --agency %s --role clerk --decision "
	      "...; a clerk reads %s"),
	    p.code, p.mailbox);
	return err == 0 ? 0 : -1;
}
