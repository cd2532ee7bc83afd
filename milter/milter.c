/* milter.c: the milter role: libmilter's callbacks, thin, and the start. The only includer of <libmilter/mfapi.h>. The work is in cb_*.c.
 * libmilter runs each command on any free thread: all state hangs on the context (smfi_setpriv). Invariants: never SMFIS_DISCARD;
 * a message is accepted, refused or deferred at its end only, by cb_eom's outcome; a callback that cannot do its part defers.
 * The filter adds and removes header fields of its own kind and changes nothing else: what was signed stays as it is. */
#include "config.h"

#include "milter/gateway.h"
#include "milter/ledger_client.h"
#include "milter/milter_priv.h"

#include "milter/modes.h"
#include "milter/policy_load.h"
#include "milter/settings.h"
#include "milter/rule.h"
#include "milter/sign_row.h"

#include "lib/charset.h"
#include "lib/err.h"
#include "lib/json.h"
#include "lib/log.h"
#include "lib/proc.h"
#include "lib/role.h"

#include <arpa/inet.h>
#include <libmilter/mfapi.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#define IDLE_S 600
/* Answers that an MTA need not wait for: whatever is wrong is told at the end. */
#define UNANSWERED                                                                     \
	(SMFIP_NR_CONN | SMFIP_NR_MAIL | SMFIP_NR_RCPT | SMFIP_NR_HDR | SMFIP_NR_EOH | \
	    SMFIP_NR_BODY)
#define GATEWAY_NEEDS (SMFIF_CHGBODY | SMFIF_CHGHDRS | SMFIF_ADDHDRS)

struct milter_settings milter_settings;
static atomic_uint_fast64_t n_messages, n_rejected, n_tempfailed, n_held;

static const char *
macro(SMFICTX *ctx, const char *name)
{
	union {
		const char *c;
		char *p;
	} u = {.c = name};

	return smfi_getsymval(ctx, u.p);
}

static struct session *
session_of(SMFICTX *ctx)
{
	struct session *s = smfi_getpriv(ctx);

	if (s == NULL) {
		s = cb_connect(macro(ctx, "{client_addr}"));
		smfi_setpriv(ctx, s);
	}
	return s;
}

static sfsistat
on_negotiate(SMFICTX *ctx, unsigned long f0, unsigned long f1, unsigned long f2, unsigned long f3,
    unsigned long *pf0, unsigned long *pf1, unsigned long *pf2, unsigned long *pf3)
{
	static char at_connect[] = "j {client_addr} {daemon_name}",
		    at_helo[] = "{tls_version} {cipher}",
		    at_from[] =
			"i {auth_authen} {auth_type} {tls_version} {mail_addr} {cv_release}",
		    at_rcpt[] = "i {rcpt_addr}", at_data[] = "i", at_end[] = "i {auth_authen}";

	(void)f2, (void)f3;
	*pf0 = f0 & (SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_QUARANTINE |
			(milter_settings.n_gateway > 0 ? SMFIF_CHGBODY : 0));
	session_of(ctx)->no_hold = (f0 & SMFIF_QUARANTINE) == 0;
	session_of(ctx)->no_change = (f0 & GATEWAY_NEEDS) != GATEWAY_NEEDS;
	session_of(ctx)->answers = (f1 & UNANSWERED) != UNANSWERED;
	*pf1 = f1 & (SMFIP_NOHELO | SMFIP_NOUNKNOWN | SMFIP_NODATA |
			(session_of(ctx)->answers ? 0 : UNANSWERED));
	*pf2 = *pf3 = 0;
	if (f0 & SMFIF_SETSYMLIST) {
		*pf0 |= SMFIF_SETSYMLIST;
		/* some snapshots of libmilter mix up EOH and EOM: both get the same list */
		smfi_setsymlist(ctx, SMFIM_CONNECT, at_connect);
		smfi_setsymlist(ctx, SMFIM_HELO, at_helo);
		smfi_setsymlist(ctx, SMFIM_ENVFROM, at_from);
		smfi_setsymlist(ctx, SMFIM_ENVRCPT, at_rcpt);
		smfi_setsymlist(ctx, SMFIM_DATA, at_data);
		smfi_setsymlist(ctx, SMFIM_EOH, at_end);
		smfi_setsymlist(ctx, SMFIM_EOM, at_end);
	}
	return SMFIS_CONTINUE;
}

/* libmilter wants to hear that there is no answer where none was agreed on. */
static sfsistat
go_on(const struct session *s)
{
	return s->answers ? SMFIS_CONTINUE : SMFIS_NOREPLY;
}

static sfsistat
on_connect(SMFICTX *ctx, char *hostname, _SOCK_ADDR *addr)
{
	char ip[INET6_ADDRSTRLEN] = "";
	struct session *s;
	bool no_hold, no_change, answers;

	(void)hostname;
	if (addr != NULL && addr->sa_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)addr)->sin_addr, ip,
		    sizeof ip);
	else if (addr != NULL && addr->sa_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)(const void *)addr)->sin6_addr,
		    ip, sizeof ip);
	s = smfi_getpriv(ctx);
	no_hold = s != NULL && s->no_hold;
	no_change = s != NULL && s->no_change;
	answers = s != NULL && s->answers;
	cb_close(s);
	s = cb_connect(ip);
	s->no_hold = no_hold;
	s->no_change = no_change;
	s->answers = answers;
	smfi_setpriv(ctx, s);
	return go_on(s);
}

static sfsistat
defer(SMFICTX *ctx)
{
	static char code[] = "451", enhanced[] = "4.3.1",
		    text[] = "T04 He thong kiem soat dang ban; hay gui lai sau. / The policy "
			     "filter is busy; try again later.";

	smfi_setreply(ctx, code, enhanced, text);
	return SMFIS_TEMPFAIL;
}

static sfsistat
on_envfrom(SMFICTX *ctx, char **argv)
{
	struct session *s = session_of(ctx);
	int err = cb_envfrom(s, argv[0], macro(ctx, "{auth_authen}"), macro(ctx, "{tls_version}"),
	    macro(ctx, "i"), macro(ctx, "{cv_release}"));

	/* without an answer here, its end is deferred: there is no message */
	if (err != 0)
		cb_abort(s);
	return err == 0 || !s->answers ? go_on(s) : defer(ctx);
}

static sfsistat
on_envrcpt(SMFICTX *ctx, char **argv)
{
	struct session *s = session_of(ctx);
	int err = cb_envrcpt(s, argv[0]);

	/* a recipient whom no rule would see: without an answer here, the whole mail is deferred */
	if (err != 0 && !s->answers && s->msg != NULL && s->msg->err == 0)
		s->msg->err = ERR_NOMEM;
	return err == 0 || !s->answers ? go_on(s) : defer(ctx);
}

static sfsistat
on_header(SMFICTX *ctx, char *name, char *value)
{
	struct session *s = session_of(ctx);

	cb_header(s, name, value);
	return go_on(s);
}

static sfsistat
on_eoh(SMFICTX *ctx)
{
	return go_on(session_of(ctx));
}

static sfsistat
on_body(SMFICTX *ctx, unsigned char *p, size_t n)
{
	struct session *s = session_of(ctx);

	cb_body(s, p, n);
	return go_on(s);
}

/* smfi_setreply takes "%" as a format's beginning. */
static int
set_reply(SMFICTX *ctx, struct outcome *o)
{
	struct buf b;
	size_t i;
	int rc;
	union {
		const char *c;
		char *p;
	} code = {.c = o->code}, enhanced = {.c = o->enhanced}, text;

	buf_init(&b, 2048);
	for (i = 0; i < o->text.len; i++) {
		if (o->text.data[i] == '%')
			buf_append_byte(&b, '%');
		buf_append_byte(&b, o->text.data[i]);
	}
	text.c = buf_cstr(&b);
	rc = smfi_setreply(ctx, code.p, enhanced.p, text.p);
	buf_done(&b);
	return rc;
}

/* At the top, as trace fields are: what the client sent follows untouched. */
static int
insert(SMFICTX *ctx, const char *name, const char *value)
{
	union {
		const char *c;
		char *p;
	} n = {.c = name}, v = {.c = value};

	return smfi_insheader(ctx, 0, n.p, v.p);
}

/* The MTA keeps it for a person to look at: rule and evidence are the reason it shows. */
static int
hold(SMFICTX *ctx, struct outcome *o)
{
	union {
		const char *c;
		char *p;
	} why = {.c = buf_cstr(&o->text)};

	return smfi_quarantine(ctx, why.p);
}

static int
change(SMFICTX *ctx, const char *name, const char *value, bool add)
{
	union {
		const char *c;
		char *p;
	} n = {.c = name}, v = {.c = value};

	return add ? smfi_addheader(ctx, n.p, v.p) : smfi_chgheader(ctx, n.p, 1, v.p);
}

/* What was signed for a mailbox, and judged: the MTA must come to have exactly that. */
static int
apply_gateway(SMFICTX *ctx, const struct gateway *g, int fd)
{
	unsigned char piece[65535];
	uint64_t at = g->body_off;
	ssize_t n;
	size_t i;

	if (change(ctx, "Content-Type", g->type, !g->had_type) != MI_SUCCESS ||
	    (g->add_version && change(ctx, "MIME-Version", "1.0", true) != MI_SUCCESS))
		return MI_FAILURE;
	for (i = 0; i < g->n_drop; i++) {
		if (change(ctx, g->drop[i], NULL, false) != MI_SUCCESS)
			return MI_FAILURE;
	}
	while ((n = pread(fd, piece, sizeof piece, (off_t)at)) > 0) {
		if (smfi_replacebody(ctx, piece, (int)n) != MI_SUCCESS)
			return MI_FAILURE;
		at += (uint64_t)n;
	}
	return n == 0 ? MI_SUCCESS : MI_FAILURE;
}

static sfsistat
apply(SMFICTX *ctx, struct outcome *o)
{
	size_t i;

	switch (o->action) {
	case OUT_REJECT:
		atomic_fetch_add(&n_rejected, 1);
		if (set_reply(ctx, o) != MI_SUCCESS)
			log_msg(LOG_LVL_ERROR, "set_reply", "%s", buf_cstr(&o->text));
		return SMFIS_REJECT;
	case OUT_TEMPFAIL:
		atomic_fetch_add(&n_tempfailed, 1);
		if (set_reply(ctx, o) != MI_SUCCESS)
			log_msg(LOG_LVL_ERROR, "set_reply", "%s", buf_cstr(&o->text));
		return SMFIS_TEMPFAIL;
	case OUT_HOLD:
		atomic_fetch_add(&n_held, 1);
		if (hold(ctx, o) != MI_SUCCESS)
			return defer(ctx);
		break;
	case OUT_ACCEPT:
		break;
	}
	if (o->gateway != NULL && o->gateway->done &&
	    apply_gateway(ctx, o->gateway, o->body_fd) != MI_SUCCESS)
		return defer(ctx);
	for (i = 0; i < o->n_drop; i++) {
		if (smfi_chgheader(ctx, o->drop[i].owned, o->drop[i].index, NULL) != MI_SUCCESS)
			return defer(ctx);
	}
	/* Programs show it: the urgent document stands out in the clerk's mailbox */
	if ((o->urgent && insert(ctx, "Importance", "high") != MI_SUCCESS) ||
	    insert(ctx, "X-Congvu-Verdict", buf_cstr(&o->verdict)) != MI_SUCCESS ||
	    insert(ctx, "Authentication-Results", buf_cstr(&o->authres)) != MI_SUCCESS)
		log_msg(LOG_LVL_WARN, "header_not_added", "the MTA takes no header fields from us");
	/* nothing comes after us that we would want to skip: go on, so that other filters see it */
	return SMFIS_CONTINUE;
}

static sfsistat
on_eom(SMFICTX *ctx)
{
	struct session *s = session_of(ctx);
	struct outcome o;
	sfsistat rc;

	if (s->msg == NULL)
		return defer(ctx);
	memset(&o, 0, sizeof o);
	cb_eom(s, macro(ctx, "i"), &o);
	rc = apply(ctx, &o);
	outcome_done(&o);
	cb_abort(s);
	role_stat_set(0, atomic_fetch_add(&n_messages, 1) + 1);
	role_stat_set(1, atomic_load(&n_rejected));
	role_stat_set(2, atomic_load(&n_tempfailed));
	role_stat_set(3, atomic_load(&n_held));
	return rc;
}

static sfsistat
on_abort(SMFICTX *ctx)
{
	cb_abort(smfi_getpriv(ctx));
	return SMFIS_CONTINUE;
}

static sfsistat
on_close(SMFICTX *ctx)
{
	cb_close(smfi_getpriv(ctx));
	smfi_setpriv(ctx, NULL);
	return SMFIS_CONTINUE;
}

static void
bad_item(const char *option, const char *item, const char *why)
{
	log_msg(LOG_LVL_ERROR, "policy", "%s: \"%s\": %s", option, item, why);
	exit(EX_CONFIG);
}

/* A rule that is off by a slip of the pen would let mail through: what cannot be read ends the start. */
static void
load_modes(void)
{
	const struct conf *c = role_conf();
	struct buf text;
	const char *why, *item;
	size_t i;

	milter_settings.modes = modes_new();
	for (i = 0; i < conf_list_len(c, "policy_modes"); i++) {
		item = conf_list_item(c, "policy_modes", i);
		if (modes_add(milter_settings.modes, item, &why) != 0)
			bad_item("policy_modes", item, why);
	}
	for (i = 0; i < conf_list_len(c, "policy_attachment_mb"); i++) {
		item = conf_list_item(c, "policy_attachment_mb", i);
		if (modes_add_limit(milter_settings.modes, item, &why) != 0)
			bad_item("policy_attachment_mb", item, why);
	}
	milter_settings.clearances = clearances_new();
	for (i = 0; i < conf_list_len(c, "policy_clearances"); i++) {
		item = conf_list_item(c, "policy_clearances", i);
		if (clearances_add(milter_settings.clearances, item, &why) != 0)
			bad_item("policy_clearances", item, why);
	}
	buf_init(&text, 1 << 20);
	modes_text(milter_settings.modes, &text);
	clearances_text(milter_settings.clearances, &text);
	rule_table_hash(buf_slice(&text), milter_settings.policy_sha256);
	buf_done(&text);
}

static char *policy_why; /* why the file's is not in force; "": it is */

/* A policy that cannot be used leaves the last one in force; without any there is no start, since mail would go unjudged. */
static void
load_policy(void)
{
	struct policy_in_force f;
	struct log_line l;

	if (policy_in_force(role_conf(), &f) != 0) {
		log_msg(LOG_LVL_ERROR, "policy", "no policy can be used: %s", buf_cstr(&f.why));
		exit(EX_CONFIG);
	}
	milter_settings.policy = f.policy;
	milter_settings.policy_refused = f.old;
	milter_settings.record_subject = conf_bool(role_conf(), "policy_record_subject");
	if (f.policy == NULL)
		return;
	log_begin(&l, f.old ? LOG_LVL_ERROR : LOG_LVL_INFO, f.old ? "policy_refused" : "policy");
	log_slice(&l, "in_force", f.policy->id);
	log_u64(&l, "version", f.policy->version);
	log_str(&l, "sha256", f.policy->sha256);
	if (f.old)
		log_slice(&l, "why", slice_sub(buf_slice(&f.why), 0, 800));
	log_end(&l);
	policy_why = slice_dup(f.old ? slice_sub(buf_slice(&f.why), 0, 800) : slice_str(""));
}

static void
load_gateway(void)
{
	const struct conf *c = role_conf();
	struct slice key, certs;
	struct buf address;
	const char *why;
	size_t i;

	milter_settings.n_gateway = conf_list_len(c, "gateway_sign");
	milter_settings.gateway = xcalloc(milter_settings.n_gateway + 1, sizeof(char *));
	for (i = 0; i < milter_settings.n_gateway; i++) {
		buf_init(&address, 1024);
		if (sign_row_parse(
			conf_list_item(c, "gateway_sign", i), &address, &key, &certs, &why) != 0)
			bad_item("gateway_sign", conf_list_item(c, "gateway_sign", i), why);
		milter_settings.gateway[i] = xstrdup(buf_cstr(&address));
		buf_done(&address);
	}
}

static void
load_clamd(void)
{
	static const char *const ways[] = {"tempfail", "hold", "accept"};
	const struct conf *c = role_conf();
	const char *how = conf_str(c, "clamd_on_failure");
	size_t i;

	milter_settings.clamd_max = (uint64_t)conf_int(c, "clamd_max_bytes");
	milter_settings.clamd_timeout_ms = (unsigned)conf_int(c, "clamd_timeout_ms");
	for (i = 0; i < 3 && strcmp(how, ways[i]) != 0; i++)
		;
	if (i == 3)
		bad_item("clamd_on_failure", how, "neither tempfail nor hold nor accept");
	milter_settings.clamd_failure = (int)i;
	if (conf_str(c, "clamd_socket")[0] != '\0')
		milter_settings.clamd_socket = conf_path(c, "clamd_socket");
}

static void
load_settings(void)
{
	static struct rule_settings rules;
	const struct conf *c = role_conf();
	const char *option, *item, *why;

	milter_settings.hostname = conf_str(c, "hostname");
	milter_settings.scan_timeout_ms = (unsigned)conf_int(c, "milter_scan_timeout_ms");
	milter_settings.size_max = (uint64_t)conf_int(c, "message_size_max") + MSG_HEADER_MAX;
	milter_settings.official_headers =
	    settings_list(c, "policy_official_headers", &milter_settings.n_official_headers);
	milter_settings.authserv =
	    settings_list(c, "policy_trusted_authserv", &milter_settings.n_authserv);
	milter_settings.rev_refresh_s = (unsigned)conf_int(c, "revocation_refresh_s");
	milter_settings.rev_wait_ms = (unsigned)conf_int(c, "revocation_wait_ms");
	milter_settings.rev_grace_s = (unsigned)conf_int(c, "revocation_grace_s");
	milter_settings.rev_fetch = strcmp(conf_str(c, "revocation_check"), "off") != 0;
	if (settings_rules(c, &rules, &option, &item, &why) != 0)
		bad_item(option, item, why);
	milter_settings.rules = &rules;
	load_modes();
	load_policy();
	load_gateway();
	load_clamd();
}

/* libmilter takes no inherited descriptor, so the socket is made here, still as root: from within its folder, since the whole path may
 * be too long for a socket's name. smtpd's group may pass through the folder, nobody else: what speaks to us ends up in the audit log. */
static void
open_socket(void)
{
	const char *listen = conf_str(role_conf(), "milter_listen");
	char *dir = conf_path(role_conf(), "milter_socket_dir"), *name = xstrdup(listen);
	uid_t uid;
	gid_t gid;

	if (strncmp(listen, "unix:", 5) == 0) {
		if (chdir(dir) != 0)
			fatal("milter: %s: %m", dir);
		if (geteuid() == 0 &&
		    proc_user(conf_str(role_conf(), "user_smtpd"), &uid, &gid) == 0 &&
		    (chown(".", (uid_t)-1, gid) != 0 || chmod(".", 0710) != 0))
			fatal("milter: %s: %m", dir);
		umask(0111);
	}
	if (smfi_setconn(name) != MI_SUCCESS || smfi_opensocket(true) != MI_SUCCESS) {
		log_msg(LOG_LVL_ERROR, "milter_socket", "cannot listen on %s in %s", listen, dir);
		exit(EX_CONFIG);
	}
	umask(077);
	free(dir);
	free(name);
}

/* The audit log's chain says which policy is in force from here on, and which one was refused: the archive alone could be put back with its highest
 * versions. In a thread of its own: the ledger may come up after us, and mail does not wait for this. */
static void *
tell_policy(void *arg)
{
	const struct policy *p = milter_settings.policy;
	struct json *rec = json_obj_new();
	struct backend_slot *slot;
	int err = ERR_TEMP, tries;
	uint64_t seq = 0;
	struct buf text;

	json_set_str(rec, "event", "load");
	json_set_str(rec, "program", "milter");
	json_set_slice(rec, "policy_id", p->id);
	json_set_int(rec, "policy_version", (int64_t)p->version);
	json_set_str(rec, "policy_sha256", p->sha256);
	json_set_str(rec, "policy_refused", arg);
	buf_init(&text, 65536);
	if (json_canonical(rec, &text) != 0)
		fatal("milter: no memory");
	json_free(rec);
	for (tries = 0; err != 0 && tries < 30; tries++) {
		slot = backend_take(10000);
		if (slot != NULL) {
			err = ledger_record_sync(slot->ledger, buf_slice(&text), 8000, &seq);
			backend_give(slot);
		}
		if (err != 0)
			sleep(1);
	}
	if (err != 0)
		log_msg(LOG_LVL_ERROR, "policy_not_recorded",
		    "the audit log could not be told which policy is in force: %s", err_name(err));
	buf_done(&text);
	return NULL;
}

/* libmilter looks whether it should end every five seconds, and its own signal thread would do no better. So it runs in a thread, and
 * the first thread, which the kernel prefers for signals to the process, waits for SIGTERM. Mail under way is deferred by the MTA, as it is
 * when a connection to a filter is lost. */
static void *
serve(void *arg)
{
	(void)arg;
	exit(smfi_main() == MI_SUCCESS ? 0 : EX_UNAVAILABLE);
}

int
main(int argc, char **argv)
{
	static char name[] = "congvu-milter";
	struct smfiDesc desc = {.xxfi_name = name,
	    .xxfi_version = SMFI_VERSION,
	    .xxfi_flags =
		SMFIF_ADDHDRS | SMFIF_CHGHDRS | SMFIF_CHGBODY | SMFIF_QUARANTINE | SMFIF_SETSYMLIST,
	    .xxfi_connect = on_connect,
	    .xxfi_envfrom = on_envfrom,
	    .xxfi_envrcpt = on_envrcpt,
	    .xxfi_header = on_header,
	    .xxfi_eoh = on_eoh,
	    .xxfi_body = on_body,
	    .xxfi_eom = on_eom,
	    .xxfi_abort = on_abort,
	    .xxfi_close = on_close,
	    .xxfi_negotiate = on_negotiate};

	pthread_t thread;
	sigset_t stop;
	int signo;

	role_init(argc, argv, "milter");
	json_init();
	charset_preload();
	load_settings();
	if (smfi_register(desc) != MI_SUCCESS)
		fatal("milter: smfi_register");
	smfi_settimeout(IDLE_S);
	open_socket();
	backend_init((unsigned)conf_int(role_conf(), "milter_scanners"));
	msg_file_init();
	role_enter();
	sigemptyset(&stop);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGINT);
	pthread_sigmask(SIG_BLOCK, &stop, NULL);
	role_stat_set(4, milter_settings.policy != NULL ? milter_settings.policy->version : 0);
	role_stat_set(5, milter_settings.policy_refused);
	revcache_start();
	backend_start();
	if (milter_settings.policy != NULL &&
	    (pthread_create(&thread, NULL, tell_policy, policy_why) != 0 ||
		pthread_detach(thread) != 0))
		fatal("milter: no thread");
	if (pthread_create(&thread, NULL, serve, NULL) != 0)
		fatal("milter: no thread");
	sigwait(&stop, &signo);
	/* threads may be anywhere: no destructors */
	_exit(0);
}
