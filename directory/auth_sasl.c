/* auth_sasl.c: auth.h over Cyrus SASL; the only includer of <sasl/...>. Runs in lookup's workers. What Cyrus would do by itself is
 * switched off: no plugin but those of the configured mechanisms is loaded (its default list has ANONYMOUS, NTLM and a plugin
 * that opens Berkeley DB), no configuration file is read, no password store is asked. PLAIN and LOGIN call verify; SCRAM gets its
 * keys through an auxprop plugin that lives here. A name that is not there goes through the whole exchange with decoy keys, so that
 * nobody learns who exists. RFC 4422, RFC 4616, RFC 5802, RFC 5929, RFC 9266. */
#include "config.h"

#include "directory/auth_priv.h"

#include "directory/auth_plain.h"
#include "directory/saslprep.h"
#include "directory/scram.h"
#include "directory/scram_server.h"
#include "lib/client_cert.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <sasl/sasl.h>
#include <sasl/saslplug.h>

enum { NAME_MAX_BYTES = 255 };

struct auth {
	enum auth_own own;
	sasl_conn_t *conn; /* of OWN_NOT alone */
	sasl_callback_t callbacks[8];
	sasl_channel_binding_t binding;
	char mech[SASL_MECHNAMEMAX + 1];
	char *binding_name, *ip, *service;
	struct buf exporter, endpoint;
	struct buf cert;           /* EXTERNAL */
	struct scram_server scram; /* OWN_SCRAM */
	char *authzid;             /* the same: as given, unescaped */
	char *name;                /* as given, prepared */
	struct person *person;
	const struct person *offered; /* is the person if the name is this; borrowed */
	char *offered_name;
	bool is_decoy;
	bool is_tried;       /* a password or proof is looked at: its outcome counts */
	bool has_login_name; /* LOGIN: the name was sent */
	bool is_begun;       /* OWN_SCRAM: its first message was read; OWN_PLAIN: its only one */
	bool counts_late, owes_wrong;
	bool is_borrowed; /* person is what was offered */
	bool is_stale;    /* and was withdrawn after it was taken */
	int err;          /* what went wrong, when more is known than SASL's code tells */
};

static struct {
	const struct auth_source *source;
} self;
/* The exchange whose step this thread runs: auxprop plugins get no context of ours. */
static _Thread_local struct auth *current;

/* ---- callbacks of the library ---- */

static int
cb_getopt(void *context, const char *plugin, const char *option, const char **result, unsigned *len)
{
	const struct {
		const char *option, *value;
	} table[] = {
	    {"mech_list", auth_mechs()},
	    {"auxprop_plugin", "congvu"},
	    {"pwcheck_method", "none"}, /* there is none: only cb_checkpass says yes */
	    {"auto_transition", "no"},
	    {"log_level", "0"},
	};

	(void)context;
	(void)plugin;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		if (strcmp(option, table[i].option) != 0)
			continue;
		*result = table[i].value;
		if (len != NULL)
			*len = (unsigned)strlen(table[i].value);
		return SASL_OK;
	}
	return SASL_FAIL;
}

static int
cb_log(void *context, int level, const char *message)
{
	(void)context;
	/* names and causes are logged by lookup; what Cyrus writes may hold what a client sent */
	if (level <= SASL_LOG_WARN && log_enabled(LOG_LVL_DEBUG))
		log_msg(LOG_LVL_DEBUG, "sasl", "%s", message);
	return SASL_OK;
}

/* Which files the library may load: the plugins of our mechanisms, no configuration. */
static int
cb_verifyfile(void *context, const char *file, sasl_verify_type_t type)
{
	const char *name = strrchr(file, '/');

	(void)context;
	if (type != SASL_VRFY_PLUGIN)
		return SASL_CONTINUE;
	name = name == NULL ? file : name + 1;
	if ((strstr(name, "liblogin.") != NULL && auth_offers("LOGIN")) ||
	    (strstr(name, "libgssapiv2.") != NULL && auth_offers("GSSAPI")) ||
	    (strstr(name, "libscram.") != NULL && strstr(auth_mechs(), "SCRAM-SHA-1") != NULL))
		return SASL_OK;
	return SASL_CONTINUE;
}

/* ---- callbacks of an exchange ---- */

static int
cb_canon_user(sasl_conn_t *conn, void *context, const char *in, unsigned in_len, unsigned flags,
    const char *realm, char *out, unsigned out_max, unsigned *out_len)
{
	struct auth *a = context;
	struct buf b;
	int rc = SASL_BADPROT;

	(void)conn;
	(void)realm;
	buf_init(&b, out_max > 1 ? out_max - 1 : 1);
	/* RFC 4616 2, RFC 5802 5.1: names are prepared; RFC 5321 names have no bound below 255 */
	if (saslprep(slice_of(in, in_len), true, &b) == 0 && b.len > 0 && b.len <= NAME_MAX_BYTES) {
		memcpy(out, b.data, b.len);
		out[b.len] = '\0';
		*out_len = (unsigned)b.len;
		rc = SASL_OK;
		if ((flags & SASL_CU_AUTHID) != 0 && a->name == NULL)
			a->name = slice_dup(buf_slice(&b));
	}
	buf_done(&b);
	return rc;
}

void
auth_offer(struct auth *a, const char *name, const struct person *u)
{
	a->offered = u;
	free(a->offered_name);
	a->offered_name = xstrdup(name);
}

void
auth_withdraw(struct auth *a)
{
	a->offered = NULL;
	a->is_stale = a->is_stale || a->is_borrowed;
}

/* By the name as the mechanism has read it, whatever it was offered for. */
static int
person_find(struct auth *a, struct slice name)
{
	char folded[PEOPLE_NAME_MAX + 1];

	if (a->person != NULL)
		return 0;
	if (a->offered == NULL || !people_name_fold(name, folded) ||
	    strcmp(folded, a->offered_name) != 0)
		return self.source->find(self.source->arg, name, a->service, &a->person);
	/* what is verified may note in it what the server says; SCRAM only reads */
	a->is_borrowed = a->own == OWN_SCRAM;
	a->person =
	    a->is_borrowed ? (struct person *)(uintptr_t)a->offered : person_copy(a->offered);
	return 0;
}

/* What the directory has locked after wrong tries is not looked at either: the answer is the same for the right password. */
static int
may_try(struct auth *a)
{
	if (a->person != NULL && a->person->policy.state == PPOLICY_LOCKED)
		return ERR_LIMIT;
	if (self.source->may_try != NULL &&
	    !self.source->may_try(self.source->arg, a->person, slice_str(auth_name(a)), a->ip))
		return ERR_LIMIT;
	a->is_tried = true;
	return 0;
}

/* Of a->name, which is prepared. SASL_OK, or a->err says more. */
static int
check_password(struct auth *a, struct slice pass)
{
	struct slice name = slice_str(a->name);
	struct buf password;

	buf_init(&password, SASLPREP_MAX * 4);
	a->err = saslprep(pass, true, &password);
	if (a->err != 0 || password.len == 0)
		a->err = ERR_AUTH;
	if (a->err == 0)
		a->err = person_find(a, name);
	if ((a->err == 0 || a->err == ERR_NOTFOUND) && may_try(a) != 0)
		a->err = ERR_LIMIT;
	if (a->err == 0)
		a->err = self.source->verify(
		    self.source->arg, a->person, a->service, buf_slice(&password));
	if (a->err == ERR_NOTFOUND)
		a->err = ERR_AUTH;
	buf_wipe(&password);
	return a->err == 0 ? SASL_OK : a->err == ERR_TEMP ? SASL_UNAVAIL : SASL_BADAUTH;
}

/* LOGIN. */
static int
cb_checkpass(sasl_conn_t *conn, void *context, const char *user, const char *pass,
    unsigned pass_len, struct propctx *props)
{
	struct auth *a = context;

	(void)conn;
	(void)props;
	if (a->name == NULL)
		a->name = strdup(user);
	if (a->name == NULL) {
		a->err = ERR_NOMEM;
		return SASL_NOMEM;
	}
	return check_password(a, slice_of(pass, pass_len));
}
static bool
is_gssapi(const struct auth *a)
{
	return strcasecmp(a->mech, "GSSAPI") == 0;
}

/* Kerberos has verified who it is: whose name that is, and whether that person may sign in. Principals of another realm have an '@' left in
 * their name here. */
static int
principal_person(struct auth *a, struct slice principal)
{
	int err = self.source->by_principal == NULL
		      ? ERR_NOTFOUND
		      : self.source->by_principal(self.source->arg, principal, &a->person);

	if (err == 0 || err == ERR_NOTFOUND)
		err = may_try(a) != 0 ? ERR_LIMIT : err == 0 ? 0 : ERR_AUTH;
	if (err == 0 && self.source->admit != NULL)
		err = self.source->admit(self.source->arg, a->person, false);
	return err;
}

/* Who acts as whom: auth_may_act_as. */
static int
cb_proxy_policy(sasl_conn_t *conn, void *context, const char *requested, unsigned requested_len,
    const char *authid, unsigned authid_len, const char *realm, unsigned realm_len,
    struct propctx *props)
{
	struct auth *a = context;
	struct slice want = slice_of(requested, requested_len);

	(void)conn;
	(void)realm;
	(void)realm_len;
	(void)props;
	if (is_gssapi(a)) {
		a->err = principal_person(a, slice_of(authid, authid_len));
		if (a->err != 0)
			return a->err == ERR_TEMP ? SASL_UNAVAIL : SASL_BADAUTH;
	}
	if (slice_caseeq(want, slice_of(authid, authid_len)) ||
	    (a->person != NULL && auth_may_act_as(a->person, want)))
		return SASL_OK;
	a->err = ERR_DENIED;
	return SASL_NOAUTHZ;
}

/* ---- SCRAM's keys ---- */

/* The keys for this exchange. ERR_TEMP when the directory cannot tell, ERR_LIMIT when no try may be made. */
static int
scram_value(struct auth *a, struct buf *value)
{
	struct slice name = slice_str(auth_name(a));
	int err = person_find(a, name);

	if (err != 0 && err != ERR_NOTFOUND)
		return err;
	err = may_try(a);
	return err != 0
		   ? err
		   : auth_scram_value(self.source, a->person, name, a->mech, value, &a->is_decoy);
}

static int
auxprop_lookup(void *glob_context, sasl_server_params_t *sparams, unsigned flags, const char *user,
    unsigned user_len)
{
	const struct propval *wanted = sparams->utils->prop_get(sparams->propctx);
	struct auth *a = current;
	int err = 0;

	(void)glob_context;
	(void)user;
	(void)user_len;
	if (a == NULL || (flags & SASL_AUXPROP_AUTHZID) != 0)
		return SASL_OK;
	for (; wanted != NULL && wanted->name != NULL && err == 0; wanted++) {
		struct buf value;

		if (strcmp(wanted->name, "*authPassword") != 0 || wanted->values != NULL)
			continue;
		buf_init(&value, 1024);
		err = scram_value(a, &value);
		if (err == 0)
			sparams->utils->prop_set(sparams->propctx, wanted->name,
			    (const char *)value.data, (int)value.len);
		buf_wipe(&value);
	}
	if (err == 0)
		return SASL_OK;
	a->err = err == ERR_NOMEM || err == ERR_LIMIT ? err : ERR_TEMP;
	return SASL_UNAVAIL;
}

static int
auxprop_init(const sasl_utils_t *utils, int max_version, int *out_version,
    sasl_auxprop_plug_t **plug, const char *plugname)
{
	static char name[] = "congvu";
	static sasl_auxprop_plug_t plugin = {.auxprop_lookup = auxprop_lookup, .name = name};

	(void)utils;
	(void)plugname;
	if (max_version < SASL_AUXPROP_PLUG_VERSION)
		return SASL_BADVERS;
	*out_version = SASL_AUXPROP_PLUG_VERSION;
	*plug = &plugin;
	return SASL_OK;
}

/* ---- start ---- */

/* sasl_callback_t holds every kind of function as int (*)(void) */
typedef int (*any_fn)(void);
#define CALLBACK(id, fn, context)                             \
	{                                                     \
		(id), (any_fn)(void (*)(void))(fn), (context) \
	}

int
auth_init(const char *const *mechs, size_t n_mechs, const struct auth_source *s)
{
	static sasl_callback_t global[] = {CALLBACK(SASL_CB_GETOPT, cb_getopt, NULL),
	    CALLBACK(SASL_CB_LOG, cb_log, NULL), CALLBACK(SASL_CB_VERIFYFILE, cb_verifyfile, NULL),
	    {SASL_CB_LIST_END, NULL, NULL}};

	self.source = s;
	if (auth_mechs_set(mechs, n_mechs) != 0)
		return ERR_UNSUPPORTED;
	sasl_set_mutex(auth_mutex_new, auth_mutex_lock, auth_mutex_unlock, auth_mutex_free);
	if (sasl_server_init(global, "congvu") != SASL_OK ||
	    sasl_auxprop_add_plugin("congvu", auxprop_init) != SASL_OK)
		return ERR_UNSUPPORTED;
	/* an exchange that is begun and dropped shows whether the plugin is there */
	for (size_t i = 0; i < n_mechs; i++) {
		struct auth_params p = {.mech = mechs[i],
		    .service = "imap",
		    .client_ip = "",
		    .tls = true,
		    .binding_exporter = slice_str("x")};
		bool has_final, known;
		struct buf challenge;
		struct auth *a = NULL;
		int err = auth_new(&p, &a);

		if (err != 0)
			return err;
		buf_init(&challenge, 4096);
		/* no mechanism asks the directory for this */
		(void)auth_start(a, true, slice_str("?"), &challenge, &has_final, &err);
		known = err != ERR_UNSUPPORTED;
		buf_done(&challenge);
		auth_free(a);
		if (!known)
			return ERR_UNSUPPORTED;
	}
	return 0;
}

static int
conn_setup(struct auth *a, const struct auth_params *p)
{
	sasl_security_properties_t security = {.max_ssf = 0,
	    .security_flags = SASL_SEC_NOANONYMOUS | (p->tls ? 0 : SASL_SEC_NOPLAINTEXT)};
	sasl_ssf_t external = p->tls ? 256 : 0;
	sasl_callback_t list[] = {CALLBACK(SASL_CB_CANON_USER, cb_canon_user, a),
	    CALLBACK(SASL_CB_SERVER_USERDB_CHECKPASS, cb_checkpass, a),
	    CALLBACK(SASL_CB_PROXY_POLICY, cb_proxy_policy, a), {SASL_CB_LIST_END, NULL, NULL}};

	memcpy(a->callbacks, list, sizeof(list));
	if (sasl_server_new(p->service,
		self.source->hostname == NULL ? "congvu" : self.source->hostname, NULL, NULL, NULL,
		a->callbacks, SASL_SUCCESS_DATA, &a->conn) != SASL_OK ||
	    sasl_setprop(a->conn, SASL_SEC_PROPS, &security) != SASL_OK ||
	    sasl_setprop(a->conn, SASL_SSF_EXTERNAL, &external) != SASL_OK)
		return ERR_NOMEM;
	return 0;
}

int
auth_new(const struct auth_params *p, struct auth **out)
{
	enum auth_own own = auth_own_of(p->mech);
	bool is_external = own == OWN_EXTERNAL;
	struct auth *a;
	int err;

	if (strlen(p->mech) > SASL_MECHNAMEMAX || (!is_external && !auth_offers(p->mech)) ||
	    (!p->tls && auth_mech_is_plaintext(p->mech)))
		return ERR_UNSUPPORTED;
	if (is_external && (self.source->by_cert == NULL || !p->tls || p->peer_cert.len == 0))
		return ERR_UNSUPPORTED;
	a = xcalloc(1, sizeof(*a));
	a->own = own;
	snprintf(a->mech, sizeof(a->mech), "%s", p->mech);
	a->ip = xstrdup(p->client_ip == NULL ? "" : p->client_ip);
	a->service = xstrdup(p->service);
	buf_init(&a->exporter, 256);
	buf_init(&a->endpoint, 256);
	buf_init(&a->cert, CLIENT_CERT_MAX);
	buf_append_slice(&a->exporter, p->binding_exporter);
	buf_append_slice(&a->endpoint, p->binding_endpoint);
	err = a->exporter.err != 0 ? a->exporter.err : a->endpoint.err;
	scram_server_init(&a->scram);
	if (err == 0 && is_external)
		err = buf_append_slice(&a->cert, p->peer_cert);
	else if (err == 0 && own == OWN_NOT)
		err = conn_setup(a, p);
	if (err != 0) {
		auth_free(a);
		return err;
	}
	*out = a;
	return 0;
}

void
auth_free(struct auth *a)
{
	if (a == NULL)
		return;
	sasl_dispose(&a->conn);
	if (!a->is_borrowed)
		person_free(a->person);
	free(a->offered_name);
	buf_wipe(&a->exporter);
	buf_done(&a->endpoint);
	buf_done(&a->cert);
	scram_server_done(&a->scram);
	free(a->authzid);
	free(a->binding_name);
	free(a->ip);
	free(a->service);
	free(a->name);
	free(a);
}

/* ---- steps ---- */

/* The channel binding the client's first message asks for is given to the library. */
static int
binding_choose(struct auth *a, struct slice initial)
{
	char plus[SASL_MECHNAMEMAX + 8];
	const char *name = NULL;
	struct buf *data;
	int err;

	snprintf(plus, sizeof(plus), "%s-PLUS", a->mech);
	err = auth_scram_binding(
	    a->mech, initial, auth_offers(plus), a->exporter.len > 0 || a->endpoint.len > 0, &name);
	if (err != 0 || name == NULL)
		return err;
	data = strcmp(name, "tls-exporter") == 0 ? &a->exporter : &a->endpoint;
	if (data->len == 0)
		return ERR_AUTH;
	a->binding_name = xstrdup(name);
	if (a->own == OWN_SCRAM)
		return 0;
	a->binding = (sasl_channel_binding_t){.name = a->binding_name,
	    .critical = 1,
	    .len = (unsigned long)data->len,
	    .data = data->data};
	return sasl_setprop(a->conn, SASL_CHANNEL_BINDING, &a->binding) == SASL_OK ? 0 : ERR_NOMEM;
}

/* LOGIN's messages are a name and a password, neither empty. liblogin forgets the memory of the password when the name cannot be
 * prepared, so such a name never reaches it. */
static bool
login_check(struct auth *a, struct slice message)
{
	struct buf b;
	bool good;

	if (strcasecmp(a->mech, "LOGIN") != 0)
		return true;
	if (a->has_login_name)
		return message.len > 0;
	a->has_login_name = true;
	buf_init(&b, NAME_MAX_BYTES);
	good = saslprep(message, true, &b) == 0 && b.len > 0;
	buf_done(&b);
	return good;
}

static int
err_of(const struct auth *a, int rc)
{
	if (a->err != 0)
		return a->err;
	switch (rc) {
	case SASL_NOMECH:
		return ERR_UNSUPPORTED;
	case SASL_BADPROT:
		return ERR_SYNTAX;
	case SASL_NOMEM:
	case SASL_UNAVAIL:
		return ERR_TEMP;
	case SASL_TOOWEAK:
	case SASL_ENCRYPT:
		return ERR_DENIED;
	case SASL_EXPIRED:
		return ERR_EXPIRED;
	default:
		return ERR_AUTH;
	}
}

static enum auth_result
finish(struct auth *a, int rc, const char *out, unsigned out_len, struct buf *challenge,
    bool *has_final, int *err_out)
{
	*has_final = false;
	*err_out = 0;
	if (rc == SASL_CONTINUE || rc == SASL_OK) {
		buf_reset(challenge);
		buf_append(challenge, out == NULL ? "" : out, out == NULL ? 0 : out_len);
		if (challenge->err != 0) {
			*err_out = ERR_LIMIT;
			return AUTH_FAILED;
		}
	}
	if (rc == SASL_CONTINUE)
		return AUTH_MORE;
	if (rc == SASL_OK && a->err == 0 && !a->is_decoy && a->person != NULL &&
	    auth_mech_is_scram(a->mech) && self.source->admit != NULL) {
		a->err = self.source->admit(self.source->arg, a->person, true);
		rc = a->err == 0 ? SASL_OK : SASL_BADAUTH;
	}
	/* the last word is ours: nobody is let in whom the directory did not name */
	if (rc == SASL_OK && (a->person == NULL || a->is_decoy || a->err != 0))
		rc = SASL_BADAUTH;
	if (rc == SASL_OK)
		*has_final = out != NULL;
	else
		*err_out = err_of(a, rc);
	if (a->is_tried && auth_mech_is_scram(a->mech) && *err_out == ERR_AUTH &&
	    a->person != NULL && !a->is_decoy && self.source->count_wrong != NULL) {
		a->owes_wrong = true;
		if (!a->counts_late)
			auth_count_wrong(a);
	}
	if (a->is_tried && self.source->tried != NULL && (rc == SASL_OK || *err_out == ERR_AUTH))
		self.source->tried(
		    self.source->arg, a->person, slice_str(auth_name(a)), a->ip, rc == SASL_OK);
	return rc == SASL_OK ? AUTH_OK : AUTH_FAILED;
}

void
auth_count_late(struct auth *a)
{
	a->counts_late = true;
}

void
auth_count_wrong(struct auth *a)
{
	if (a->owes_wrong)
		self.source->count_wrong(self.source->arg, a->person);
	a->owes_wrong = false;
}

bool
auth_is_quick(const struct auth *a)
{
	return a->own == OWN_SCRAM && (a->is_begun || a->offered != NULL);
}

bool
auth_name_is_next(const struct auth *a)
{
	switch (a->own) {
	case OWN_EXTERNAL:
		return false; /* the certificate has it */
	case OWN_PLAIN:
	case OWN_SCRAM:
		return !a->is_begun;
	case OWN_NOT:
		break;
	}
	/* a->name is not set by LOGIN's first message */
	return strcasecmp(a->mech, "LOGIN") == 0 ? !a->has_login_name
						 : auth_mech_is_scram(a->mech) && a->name == NULL;
}

static enum auth_result
failed(int err, int *err_out)
{
	*err_out = err;
	return AUTH_FAILED;
}

/* As cb_canon_user, for the mechanisms that are ours. */
static int
name_take(struct auth *a, struct slice given)
{
	struct buf b;
	int err;

	buf_init(&b, NAME_MAX_BYTES);
	err = saslprep(given, true, &b);
	if (err == 0 && b.len == 0)
		err = ERR_SYNTAX;
	if (err == 0)
		a->name = slice_dup(buf_slice(&b));
	buf_done(&b);
	return err == 0 || err == ERR_NOMEM ? err : ERR_SYNTAX;
}

static int
authzid_check(struct auth *a, struct slice want)
{
	bool may = want.len == 0 || slice_caseeq(want, slice_str(auth_name(a))) ||
		   (a->person != NULL && auth_may_act_as(a->person, want));

	if (may)
		return SASL_OK;
	a->err = ERR_DENIED;
	return SASL_NOAUTHZ;
}

/* RFC 4616. */
static enum auth_result
plain(struct auth *a, bool has_message, struct slice message, struct buf *challenge,
    bool *has_final, int *err_out)
{
	struct auth_plain m;
	int err, rc;

	*has_final = false;
	buf_reset(challenge);
	if (!has_message && !a->is_begun)
		return AUTH_MORE;
	if (a->is_begun || auth_plain_parse(message, &m) != 0)
		return failed(ERR_SYNTAX, err_out);
	a->is_begun = true;
	err = name_take(a, m.name);
	if (err != 0)
		return failed(err, err_out);
	rc = check_password(a, m.password);
	if (rc == SASL_OK)
		rc = authzid_check(a, m.authzid);
	return finish(a, rc, NULL, 0, challenge, has_final, err_out);
}

/* RFC 5802: the keys of the one whom the client's first message names, or decoys. */
static enum auth_result
scram_begin(struct auth *a, struct slice message, struct buf *challenge, int *err_out)
{
	struct buf name, authzid, value;
	int err = binding_choose(a, message);

	buf_init(&name, AUTH_STEP_MAX);
	buf_init(&authzid, AUTH_STEP_MAX);
	buf_init(&value, 1024);
	if (err == 0)
		err = scram_server_first(&a->scram, message, &name, &authzid);
	if (err == 0)
		err = name_take(a, buf_slice(&name));
	if (err == 0) {
		a->is_begun = true;
		a->authzid = slice_dup(buf_slice(&authzid));
		err = scram_value(a, &value);
	}
	if (err == 0 && scram_server_challenge(&a->scram, buf_slice(&value), challenge) != 0) {
		/* what stands there is none of ours: nobody signs in by it */
		a->is_decoy = true;
		buf_reset(&value);
		err = scram_decoy(self.source->secret, slice_str(a->name), false, &value);
		if (err == 0)
			err = scram_server_challenge(&a->scram, buf_slice(&value), challenge);
	}
	buf_done(&name);
	buf_done(&authzid);
	buf_wipe(&value);
	return err == 0 ? AUTH_MORE : failed(err == ERR_NOMEM ? ERR_TEMP : err, err_out);
}

/* Between challenge and proof what was known of the person may have changed: as the directory has it now, and the keys of the challenge are still those. 0, ERR_AUTH,
 * ERR_LIMIT, ERR_TEMP. */
static int
scram_person_again(struct auth *a)
{
	struct scram_value now;
	struct buf value;
	int err;

	a->person = NULL;
	a->is_borrowed = a->is_stale = false;
	buf_init(&value, 1024);
	err = scram_value(a, &value);
	if (err == 0)
		err = scram_value_parse(buf_slice(&value), &now);
	if (err == 0 && (a->is_decoy || now.iterations != a->scram.keys.iterations ||
			    !secret_eq(now.stored, a->scram.keys.stored, sizeof(now.stored)) ||
			    !secret_eq(now.server, a->scram.keys.server, sizeof(now.server))))
		err = ERR_AUTH;
	explicit_bzero(&now, sizeof(now));
	buf_wipe(&value);
	return err == 0 || err == ERR_AUTH || err == ERR_LIMIT ? err
	       : err == ERR_SYNTAX                             ? ERR_AUTH
							       : ERR_TEMP;
}

static enum auth_result
scram(struct auth *a, bool has_message, struct slice message, struct buf *challenge,
    bool *has_final, int *err_out)
{
	struct slice binding = slice_of(NULL, 0);
	enum auth_result res;
	struct buf last;
	int err, rc;

	*has_final = false;
	buf_reset(challenge);
	if (!a->is_begun)
		return has_message ? scram_begin(a, message, challenge, err_out) : AUTH_MORE;
	if (a->binding_name != NULL)
		binding = buf_slice(
		    strcmp(a->binding_name, "tls-exporter") == 0 ? &a->exporter : &a->endpoint);
	buf_init(&last, 256);
	if (a->is_stale)
		a->err = scram_person_again(a);
	err = scram_server_final(&a->scram, message, binding, &last);
	rc = a->err != 0         ? SASL_BADAUTH
	     : err == 0          ? authzid_check(a, slice_str(a->authzid))
	     : err == ERR_SYNTAX ? SASL_BADPROT
				 : SASL_BADAUTH;
	res = finish(
	    a, rc, (const char *)last.data, (unsigned)last.len, challenge, has_final, err_out);
	buf_done(&last);
	return res;
}

/* RFC 4422 A: the client's one message is who it wants to be; without it, it is asked by an empty challenge. */
static enum auth_result
external(struct auth *a, bool has_message, struct slice message, struct buf *challenge,
    bool *has_final, int *err_out)
{
	*has_final = false;
	buf_reset(challenge);
	if (!has_message)
		return AUTH_MORE;
	if (a->person != NULL || a->name != NULL) { /* one step, one judgement */
		*err_out = ERR_SYNTAX;
		return AUTH_FAILED;
	}
	*err_out =
	    auth_external(self.source, buf_slice(&a->cert), message, a->ip, &a->person, &a->name);
	return *err_out == 0 ? AUTH_OK : AUTH_FAILED;
}

/* A message of a mechanism that is not Cyrus'. */
static enum auth_result
own_step(struct auth *a, bool has_message, struct slice message, struct buf *challenge,
    bool *has_final, int *err_out)
{
	return a->own == OWN_PLAIN ? plain(a, has_message, message, challenge, has_final, err_out)
	       : a->own == OWN_SCRAM
		   ? scram(a, has_message, message, challenge, has_final, err_out)
		   : external(a, has_message, message, challenge, has_final, err_out);
}

enum auth_result
auth_start(struct auth *a, bool has_initial, struct slice initial, struct buf *challenge,
    bool *has_final, int *err_out)
{
	const char *out = NULL;
	unsigned out_len = 0;
	int rc;

	if (initial.len > AUTH_STEP_MAX) {
		*err_out = ERR_SYNTAX;
		return AUTH_FAILED;
	}
	if (a->own != OWN_NOT)
		return own_step(a, has_initial, initial, challenge, has_final, err_out);
	if (has_initial && initial.len > 0 && !login_check(a, initial)) {
		*err_out = ERR_AUTH;
		return AUTH_FAILED;
	}
	if (has_initial) {
		*err_out = binding_choose(a, initial);
		if (*err_out != 0)
			return AUTH_FAILED;
	}
	current = a;
	rc = sasl_server_start(a->conn, a->mech,
	    has_initial ? (initial.len == 0 ? "" : (const char *)initial.ptr) : NULL,
	    (unsigned)initial.len, &out, &out_len);
	current = NULL;
	return finish(a, rc, out, out_len, challenge, has_final, err_out);
}

enum auth_result
auth_step(
    struct auth *a, struct slice response, struct buf *challenge, bool *has_final, int *err_out)
{
	const char *out = NULL;
	unsigned out_len = 0;
	int rc;

	if (response.len > AUTH_STEP_MAX) {
		*err_out = ERR_SYNTAX;
		return AUTH_FAILED;
	}
	if (a->own != OWN_NOT)
		return own_step(a, true, response, challenge, has_final, err_out);
	if (!login_check(a, response)) {
		*err_out = ERR_AUTH;
		return AUTH_FAILED;
	}
	/* a SCRAM client that gave no initial response gives its first message now */
	if (a->name == NULL && a->binding_name == NULL) {
		*err_out = binding_choose(a, response);
		if (*err_out != 0)
			return AUTH_FAILED;
	}
	current = a;
	rc = sasl_server_step(a->conn, response.len == 0 ? "" : (const char *)response.ptr,
	    (unsigned)response.len, &out, &out_len);
	current = NULL;
	return finish(a, rc, out, out_len, challenge, has_final, err_out);
}

const char *
auth_service(const struct auth *a)
{
	return a->service;
}

const struct person *
auth_person(const struct auth *a)
{
	return a->person;
}

const char *
auth_name(const struct auth *a)
{
	return a->name == NULL ? "" : a->name;
}
