/* lookup_login.c: lookup_login.h; runs in lookup's workers. The order is part of the defence: whether a try may be made is asked before
 * anything that tells a right password from a wrong one, the memory of verified logins included. */
#include "config.h"

#include "directory/lookup_login.h"

#include "directory/auth.h"
#include "directory/auth_priv.h"
#include "directory/cert_person.h"
#include "directory/gssapi_env.h"
#include "directory/login_cache.h"
#include "directory/saslprep.h"
#include "directory/scram.h"
#include "directory/throttle.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct {
	struct people *people;
	struct login_cache *cache;
	struct throttle *throttle;
	struct client_cas *cas; /* NULL: no EXTERNAL */
	enum cert_map map;
	atomic_uint n_throttled;
} self;

static uint64_t
ms_of(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static int
find_person(void *arg, struct slice name, const char *service, struct person **out)
{
	struct slice person, id;
	struct person *u = NULL;
	int err;

	(void)arg;
	if (!people_app_name(name, &person, &id))
		return people_login_or_frozen(self.people, name, out);
	err = people_login_or_frozen(self.people, person, &u);
	if (err == 0)
		err = people_app(self.people, u, id, service);
	if (err == 0)
		*out = u;
	else
		person_free(u);
	return err;
}

/* The server says of an account that somebody has locked only that it does not sign in; the stored keys tell who may hear more. */
static int
verify_frozen(const struct person *u, struct slice password)
{
	struct dir_says says;
	int err;

	if (u->is_suspended) { /* by us, of which the server knows nothing */
		err = people_verify(self.people, u, password, &says);
		return err == 0 || err == ERR_EXPIRED || err == ERR_MUST_CHANGE ? ERR_LOCKED : err;
	}
	for (size_t i = 0; !u->keys_are_old && i < u->n_scram; i++) {
		if (scram_fits(slice_str(u->scram[i]), password))
			return ERR_LOCKED;
	}
	return ERR_AUTH;
}

static int admit_person(void *arg, const struct person *u, bool by_password);

/* By the keys of an app password, which u has. */
static int
verify_app(const struct person *u, struct slice password)
{
	uint64_t now = ms_of(CLOCK_MONOTONIC);

	if (!login_cache_has(self.cache, u->dn, u->app_version, password, now)) {
		if (!scram_fits(slice_str(u->scram[0]), password))
			return ERR_AUTH;
		login_cache_put(self.cache, u->dn, u->app_version, password, now);
	}
	return admit_person(NULL, u, true);
}

static int
verify_person(void *arg, struct person *u, const char *service, struct slice password)
{
	uint64_t now = ms_of(CLOCK_MONOTONIC);
	struct slice id;
	struct dir_says says;
	int err;

	(void)arg;
	if (u->app_id == NULL && people_app_id(password, &id)) {
		err = people_app(self.people, u, id, service);
		/* a password of one's own may look like that */
		if (err != 0 && err != ERR_NOTFOUND)
			return err;
	}
	if (u->app_id != NULL)
		return verify_app(u, password);
	if (u->policy.state == PPOLICY_FROZEN)
		return verify_frozen(u, password);
	/* each login of grace is the server's to count */
	if (u->policy.state != PPOLICY_GRACE &&
	    login_cache_has(self.cache, u->dn, u->version, password, now))
		return people_admit(self.people, u, true);
	err = people_verify(self.people, u, password, &says);
	if (err != 0)
		return err;
	if (says.grace_left >= 0) {
		/* the server does not know of those by SCRAM */
		if (u->policy.state == PPOLICY_EXPIRED)
			return ERR_EXPIRED;
		if (u->policy.state != PPOLICY_GRACE)
			u->policy = (struct ppolicy_verdict){
			    .state = PPOLICY_GRACE, .grace_left = (uint32_t)says.grace_left};
	} else if (says.expires_s >= 0) {
		u->policy.until = time(NULL) + says.expires_s;
	}
	if (says.grace_left < 0)
		login_cache_put(self.cache, u->dn, u->version, password, now);
	return 0;
}

static int
person_by_principal(void *arg, struct slice name, struct person **out)
{
	(void)arg;
	return people_principal(self.people, name, out);
}

static int
admit_person(void *arg, const struct person *u, bool by_password)
{
	(void)arg;
	/* a telephone that connects all the time would use up what is left for changing the password */
	if (u->app_id != NULL && u->policy.state == PPOLICY_GRACE)
		return 0;
	return people_admit(self.people, u, by_password);
}

static void
count_wrong(void *arg, const struct person *u)
{
	(void)arg;
	if (u->app_id == NULL)
		people_count_wrong(self.people, u);
}

static int
person_by_cert(void *arg, struct slice der, struct person **out, char **name_out)
{
	(void)arg;
	return cert_person(self.people, self.cas, self.map, der, out, name_out);
}

/* What wrong logins are counted by: the account, whichever of its names was used; for a name that is not there, the name, so that it
 * is held like one that is. Appended to b. */
static struct slice
account_of(const struct person *u, struct slice name, struct buf *b)
{
	if (u != NULL)
		return slice_str(u->account);
	buf_append_byte(b, '?');
	for (size_t i = 0; i < name.len; i++)
		buf_append_byte(b, name.ptr[i] >= 'A' && name.ptr[i] <= 'Z'
				       ? (unsigned char)(name.ptr[i] + 32)
				       : name.ptr[i]);
	return buf_slice(b);
}

/* Which password its account has: a new one is not held for wrong ones of before. */
static int64_t
password_of(const struct person *u)
{
	return u == NULL ? 0 : u->password_set;
}

static bool
may_try(void *arg, const struct person *u, struct slice name, const char *ip)
{
	struct buf b;
	bool may;

	(void)arg;
	buf_init(&b, 2048);
	may = throttle_may(
	    self.throttle, account_of(u, name, &b), password_of(u), ip, ms_of(CLOCK_BOOTTIME));
	buf_done(&b);
	if (!may)
		atomic_fetch_add(&self.n_throttled, 1);
	return may;
}

static void
tried(void *arg, const struct person *u, struct slice name, const char *ip, bool is_good)
{
	struct slice account;
	struct buf b;

	(void)arg;
	buf_init(&b, 2048);
	account = account_of(u, name, &b);
	if (is_good)
		throttle_succeeded(
		    self.throttle, account, password_of(u), ip, ms_of(CLOCK_BOOTTIME));
	else
		throttle_failed(self.throttle, account, password_of(u), ip, ms_of(CLOCK_BOOTTIME));
	buf_done(&b);
}

bool
lookup_login_recent(const struct person *u, struct slice name, struct slice authzid,
    struct slice password, const char *ip)
{
	struct slice id;
	struct buf word;
	bool is = false;

	if (u->app_id != NULL || u->policy.state != PPOLICY_OK ||
	    (authzid.len > 0 && !slice_caseeq(authzid, name) && !auth_may_act_as(u, authzid)))
		return false;
	buf_init(&word, SASLPREP_MAX * 4);
	if (saslprep(password, true, &word) == 0 && word.len > 0 &&
	    !people_app_id(buf_slice(&word), &id) &&
	    throttle_may(
		self.throttle, slice_str(u->account), u->password_set, ip, ms_of(CLOCK_BOOTTIME)))
		is = login_cache_has(
		    self.cache, u->dn, u->version, buf_slice(&word), ms_of(CLOCK_MONOTONIC));
	buf_wipe(&word);
	if (is)
		tried(NULL, u, name, ip, true);
	return is;
}

unsigned
lookup_login_throttled(void)
{
	return atomic_load(&self.n_throttled);
}

/* ---- start ---- */

static const char **
list_of(const struct conf *c, const char *option, size_t *n_out)
{
	const char **v;

	*n_out = conf_list_len(c, option);
	v = xcalloc(*n_out + 1, sizeof(*v));
	for (size_t i = 0; i < *n_out; i++)
		v[i] = conf_list_item(c, option, i);
	return v;
}

/* In the run folder, where all programs of the site meet; made by whoever comes first, with the rights to do so. */
static int
throttle_open(const struct conf *c, const unsigned char token_key[32])
{
	struct throttle_params p = {.account_max = (unsigned)conf_int(c, "login_fails_account"),
	    .network_max = (unsigned)conf_int(c, "login_fails_network"),
	    .window_s = (unsigned)conf_int(c, "login_fails_s")};
	char *dir = conf_path(c, "run_dir"), *file = NULL;
	const char **exempt = list_of(c, "login_networks_exempt", &p.n_exempt);
	int err;

	p.exempt = exempt;
	hmac_sha256(slice_of(token_key, 32), slice_str("congvu throttle"), p.secret);
	if (asprintf(&file, "%s/logins.state", dir) < 0)
		fatal("no memory");
	err = throttle_new(file, &p, &self.throttle);
	if (err == ERR_IO) {
		log_msg(LOG_LVL_ERROR, "throttle",
		    "%s cannot be used: this process counts wrong logins for itself alone", file);
		err = throttle_new(NULL, &p, &self.throttle);
	}
	free(exempt);
	free(file);
	free(dir);
	return err;
}

/* What signing in by certificate needs. */
static int
external_open(const struct conf *c, const char **what_out)
{
	int fd = role_fd("tls_client_ca_file"), err;
	char by_fd[40], *path;

	/* the lookup processes of the store and the milter see no logins */
	if (strcmp(conf_str(c, "tls_client_certs"), "off") == 0 ||
	    (role_fd("lookup.smtpd") < 0 && role_fd("lookup.imapd") < 0))
		return 0;
	self.map = strcmp(conf_str(c, "external_map"), "address") == 0 ? CERT_MAP_ADDRESS
								       : CERT_MAP_CERTIFICATE;
	snprintf(by_fd, sizeof(by_fd), "/proc/self/fd/%d", fd);
	path = conf_path(c, "tls_client_ca_file");
	err = client_cas_new(fd >= 0 ? by_fd : path, &self.cas, what_out);
	if (err != 0) {
		log_msg(LOG_LVL_ERROR, "client_certs", "%s (%s): nobody signs in by certificate",
		    *what_out, path);
		/* passwords are as good as before; of a reload nothing is taken */
		err = role_replaces() ? err : 0;
	}
	*what_out = "tls_client_ca_file";
	free(path);
	return err;
}

/* GSSAPI is off where no keytab is given; sasl_mechs alone says whether it is offered. */
static int
gssapi_open(const struct conf *c, struct auth_source *source)
{
	int fd = role_fd("gssapi_keytab"), err;

	if (fd < 0)
		return 0;
	err = gssapi_env(fd, conf_str(c, "gssapi_realm"));
	source->by_principal = person_by_principal;
	source->hostname = conf_str(c, "hostname");
	return err;
}

int
lookup_login_open(const struct conf *c, struct people *people, const unsigned char token_key[32],
    const char **what_out)
{
	static struct auth_source source = {.find = find_person,
	    .verify = verify_person,
	    .may_try = may_try,
	    .tried = tried,
	    .admit = admit_person,
	    .count_wrong = count_wrong};
	const char **mechs;
	size_t n;
	int err;

	self.people = people;
	self.cache = login_cache_new((unsigned)conf_int(c, "login_cache_s"));
	*what_out = "login_networks_exempt, run_dir";
	err = throttle_open(c, token_key);
	if (err != 0)
		return err;
	/* decoys are the same in every lookup process, and tell nothing of the key */
	hmac_sha256(slice_of(token_key, 32), slice_str("congvu decoy"), source.secret);
	err = external_open(c, what_out);
	if (err != 0)
		return err;
	if (self.cas != NULL)
		source.by_cert = person_by_cert;
	*what_out = "gssapi_keytab, gssapi_realm";
	err = gssapi_open(c, &source);
	if (err != 0)
		return err;
	*what_out = "sasl_mechs";
	mechs = list_of(c, "sasl_mechs", &n);
	err = auth_init(mechs, n, &source);
	free(mechs);
	return err;
}
