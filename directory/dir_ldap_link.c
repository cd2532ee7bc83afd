/* dir_ldap_link.c: connections to the LDAP servers: opening, pools, and which server is asked. Runs in the worker threads of lookup and in
 * congvu. Each connection is used by one thread at a time; connections wait in two pools, one bound as the service, one for verifying
 * passwords (whose identity changes with each bind). Everything has a time-out. A server that let us wait is passed over for
 * some seconds, so that a dead network does not stall every login; when no other answers, one thread at a time tries it all the same, and
 * the others get their answer (ERR_TEMP) at once. With dir_ldap.c the only includer of <ldap.h>. RFC 4511, RFC 4513. */
#include "config.h"

#include "directory/dir_ldap_priv.h"

#include "lib/err.h"
#include "lib/log.h"
#include "lib/resolver.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <ldap.h>

enum {
	PROBE_MS = 200, /* between two tries of one that is passed over */
	DOWN_MS = 5000, /* how long a server that timed out is passed over */
	SICK_MS = 1000, /* the same for one that took a connection and then talked nonsense */
	SLOW_MS = 200,  /* a failure faster than this (refused) costs nothing: no passing over */
	FAILBACK_MS =
	    60000, /* a connection to a server that is not the first choice lives this long */
};

uint64_t
dir_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

struct timeval
dir_timeval(const struct dir *d)
{
	return (struct timeval){d->timeout_ms / 1000, (d->timeout_ms % 1000) * 1000};
}

static struct berval
berval_of(struct slice s)
{
	/* libldap does not write to what it sends */
	return (struct berval){
	    s.len, (char *)(uintptr_t)(s.ptr == NULL ? (const void *)"" : s.ptr)};
}

/* ---- opening ---- */

/* The TLS context is made now and once for the process: connections inherit it and read no files later. */
static int
tls_init(const struct dir_params *p)
{
	const char *ca = p->ca_file;
	int demand = LDAP_OPT_X_TLS_HARD, server = 0;
	bool wanted = p->starttls;

	for (size_t i = 0; i < p->n_uris; i++)
		wanted = wanted || strncmp(p->uris[i], "ldaps:", 6) == 0;
	if (!wanted)
		return 0;
	if (*ca == '\0')
		ca = "/etc/ssl/certs/ca-certificates.crt";
	if (access(ca, R_OK) != 0)
		return ERR_IO;
	if (ldap_set_option(NULL, LDAP_OPT_X_TLS_CACERTFILE, ca) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(NULL, LDAP_OPT_X_TLS_REQUIRE_CERT, &demand) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(NULL, LDAP_OPT_X_TLS_NEWCTX, &server) != LDAP_OPT_SUCCESS)
		return ERR_IO;
	return 0;
}

int
dir_open(const struct dir_params *p, struct dir **out)
{
	struct dir *d;
	int err, version;

	/* nothing of the user's or the machine's ldap.conf, and no environment, has a say here */
	setenv("LDAPNOINIT", "1", 1);
	/* libldap asks for this host's full name at its first use: now, not in a login, and no name server, since it would wait seconds for one
	 * that does not answer */
	resolver_mute();
	(void)ldap_get_option(NULL, LDAP_OPT_PROTOCOL_VERSION, &version);
	resolver_unmute();
	if (p->n_uris == 0)
		return ERR_SYNTAX;
	for (size_t i = 0; i < p->n_uris; i++) {
		if (!ldap_is_ldap_url(p->uris[i]) && !ldap_is_ldaps_url(p->uris[i]) &&
		    !ldap_is_ldapi_url(p->uris[i]))
			return ERR_SYNTAX;
	}
	err = tls_init(p);
	if (err != 0)
		return err;
	d = xcalloc(1, sizeof(*d));
	d->uris = xcalloc(p->n_uris, sizeof(*d->uris));
	d->down_until = xcalloc(p->n_uris, sizeof(*d->down_until));
	d->probe_at = xcalloc(p->n_uris, sizeof(*d->probe_at));
	d->is_probed = xcalloc(p->n_uris, sizeof(*d->is_probed));
	d->n_uris = p->n_uris;
	d->watched = p->n_uris;
	for (size_t i = 0; i < p->n_uris; i++)
		d->uris[i] = xstrdup(p->uris[i]);
	d->starttls = p->starttls;
	d->base = xstrdup(p->base);
	d->bind_dn = xstrdup(p->bind_dn);
	buf_init(&d->password, 4096);
	buf_append_slice(&d->password, p->password);
	d->timeout_ms = p->timeout_ms;
	d->pool_max = p->pool;
	pthread_mutex_init(&d->lock, NULL);
	*out = d;
	return 0;
}

int
dir_open_conf(const struct conf *c, const char *bind_dn, struct slice password, struct dir **out)
{
	size_t n = conf_list_len(c, "ldap_uris");
	const char **uris = xcalloc(n + 1, sizeof(*uris));
	char *ca =
	    *conf_str(c, "ldap_ca_file") == '\0' ? xstrdup("") : conf_path(c, "ldap_ca_file");
	struct dir_params p = {
	    .uris = uris,
	    .n_uris = n,
	    .starttls = conf_bool(c, "ldap_starttls"),
	    .ca_file = ca == NULL ? "" : ca,
	    .base = conf_str(c, "ldap_base"),
	    .bind_dn = bind_dn,
	    .password = password,
	    .timeout_ms = (unsigned)conf_int(c, "ldap_timeout_ms"),
	    .pool = (unsigned)conf_int(c, "ldap_pool"),
	};
	int err;

	for (size_t i = 0; i < n; i++)
		uris[i] = conf_list_item(c, "ldap_uris", i);
	err = dir_open(&p, out);
	if (err == 0 && !conf_bool(c, "ldap_transactions"))
		(*out)->transactions = -1;
	free(uris);
	free(ca);
	return err;
}

const char *
dir_base(const struct dir *d)
{
	return d->base;
}

void
dir_link_close(struct link *l)
{
	if (l == NULL)
		return;
	ldap_unbind_ext_s(l->ld, NULL, NULL);
	free(l->watch);
	free(l);
}

static void
pool_close(struct pool *p)
{
	while (p->idle != NULL) {
		struct link *l = p->idle;

		p->idle = l->next;
		dir_link_close(l);
	}
}

void
dir_close(struct dir *d)
{
	if (d == NULL)
		return;
	pool_close(&d->service);
	pool_close(&d->verify);
	for (size_t i = 0; i < d->n_uris; i++)
		free(d->uris[i]);
	free(d->uris);
	free(d->down_until);
	free(d->probe_at);
	free(d->is_probed);
	free(d->base);
	free(d->bind_dn);
	for (size_t i = 0; i < d->n_bytes_attrs; i++)
		free(d->bytes_attrs[i]);
	buf_wipe(&d->password);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

/* ---- connections ---- */

static int
link_options(const struct dir *d, LDAP *ld)
{
	int version = LDAP_VERSION3, idle = 60, probes = 3, interval = 10, size = 0;
	unsigned user_timeout = d->timeout_ms;
	struct timeval tv = dir_timeval(d);
	ber_len_t max_incoming = DIR_ENTRY_BYTES_MAX;
	Sockbuf *sb = NULL;

	if (ldap_set_option(ld, LDAP_OPT_PROTOCOL_VERSION, &version) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_NETWORK_TIMEOUT, &tv) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_TIMEOUT, &tv) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_SIZELIMIT, &size) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_REFERRALS, LDAP_OPT_OFF) != LDAP_OPT_SUCCESS ||
	    ldap_set_option(ld, LDAP_OPT_RESTART, LDAP_OPT_ON) != LDAP_OPT_SUCCESS)
		return LDAP_LOCAL_ERROR;
	ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_IDLE, &idle);
	ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_PROBES, &probes);
	ldap_set_option(ld, LDAP_OPT_X_KEEPALIVE_INTERVAL, &interval);
	ldap_set_option(ld, LDAP_OPT_TCP_USER_TIMEOUT, &user_timeout);
	if (ldap_get_option(ld, LDAP_OPT_SOCKBUF, &sb) == LDAP_OPT_SUCCESS && sb != NULL)
		ber_sockbuf_ctrl(sb, LBER_SB_OPT_SET_MAX_INCOMING, &max_incoming);
	return LDAP_SUCCESS;
}

/* libldap connects again by itself when its connection is gone (ldap_send_initial_request), and does not bind again. */
static int
on_connect(
    LDAP *ld, Sockbuf *sb, LDAPURLDesc *url, struct sockaddr *address, struct ldap_conncb *cb)
{
	struct link *l = cb->lc_arg;

	(void)ld;
	(void)sb;
	(void)url;
	(void)address;
	l->n_connects++;
	return 0;
}

static void
on_disconnect(LDAP *ld, Sockbuf *sb, struct ldap_conncb *cb)
{
	(void)ld;
	(void)sb;
	(void)cb;
}

int
dir_link_rc(const struct link *l, int rc)
{
	if (l->n_connects == 1)
		return rc;
	log_msg(LOG_LVL_WARN, "ldap_reconnected",
	    "a search went out on %u connections: asked again", l->n_connects);
	return LDAP_SERVER_DOWN;
}

static int
link_open_uri(struct dir *d, size_t uri, bool as_service, struct link **out)
{
	struct berval password = berval_of(buf_slice(&d->password));
	struct link *l = xcalloc(1, sizeof(*l));
	int rc;

	l->uri = uri;
	l->since = dir_now_ms();
	l->is_fresh = true;
	rc = ldap_initialize(&l->ld, d->uris[uri]);
	if (rc != LDAP_SUCCESS) {
		free(l);
		return rc;
	}
	rc = link_options(d, l->ld);
	l->watch = xcalloc(1, sizeof(*l->watch));
	*l->watch =
	    (struct ldap_conncb){.lc_add = on_connect, .lc_del = on_disconnect, .lc_arg = l};
	if (rc == LDAP_SUCCESS)
		rc = ldap_set_option(l->ld, LDAP_OPT_CONNECT_CB, l->watch);
	if (rc == LDAP_SUCCESS && d->starttls && strncmp(d->uris[uri], "ldap:", 5) == 0)
		rc = ldap_start_tls_s(l->ld, NULL, NULL);
	if (rc == LDAP_SUCCESS && as_service)
		rc = ldap_sasl_bind_s(
		    l->ld, d->bind_dn, LDAP_SASL_SIMPLE, &password, NULL, NULL, NULL);
	if (rc == LDAP_SUCCESS && !as_service)
		rc = ldap_connect(l->ld);
	if (rc != LDAP_SUCCESS) {
		struct log_line line;
		char *detail = NULL;

		if (d->is_told) {
			dir_link_close(l);
			return rc;
		}
		ldap_get_option(l->ld, LDAP_OPT_DIAGNOSTIC_MESSAGE, &detail);
		log_begin(&line, LOG_LVL_WARN, "ldap_connect_failed");
		log_str(&line, "uri", d->uris[uri]);
		log_str(&line, "error", ldap_err2string(rc));
		log_str(&line, "detail", detail);
		log_end(&line);
		ldap_memfree(detail);
		dir_link_close(l);
		return rc;
	}
	*out = l;
	return LDAP_SUCCESS;
}

static void
uri_pass_over(struct dir *d, size_t uri, uint64_t ms)
{
	pthread_mutex_lock(&d->lock);
	d->down_until[uri] = dir_now_ms() + ms;
	pthread_mutex_unlock(&d->lock);
}

static void
uri_failed(struct dir *d, size_t uri, uint64_t started)
{
	if (dir_now_ms() - started >= SLOW_MS)
		uri_pass_over(d, uri, DOWN_MS);
}

static bool
uri_is_down(struct dir *d, size_t uri)
{
	bool down;

	pthread_mutex_lock(&d->lock);
	down = d->down_until[uri] > dir_now_ms();
	pthread_mutex_unlock(&d->lock);
	return down;
}

/* Whether this thread may try a server that is passed over: one at a time, and PROBE_MS apart. */
static bool
uri_probe_begin(struct dir *d, size_t uri)
{
	uint64_t now = dir_now_ms();
	bool may;

	pthread_mutex_lock(&d->lock);
	may = !d->is_probed[uri] && d->down_until[uri] > now && now >= d->probe_at[uri];
	d->is_probed[uri] = d->is_probed[uri] || may;
	pthread_mutex_unlock(&d->lock);
	return may;
}

static void
uri_probe_end(struct dir *d, size_t uri, bool is_up)
{
	pthread_mutex_lock(&d->lock);
	d->is_probed[uri] = false;
	d->probe_at[uri] = dir_now_ms() + PROBE_MS;
	if (is_up)
		d->down_until[uri] = 0;
	pthread_mutex_unlock(&d->lock);
}

/* To the first server that answers. */
static int
link_open_any(struct dir *d, bool as_service, struct link **out)
{
	int rc = LDAP_SERVER_DOWN;

	for (size_t i = 0; i < d->n_uris; i++) {
		uint64_t started = dir_now_ms();

		if (uri_is_down(d, i))
			continue;
		rc = link_open_uri(d, i, as_service, out);
		if (rc == LDAP_SUCCESS)
			return rc;
		uri_failed(d, i, started);
	}
	/* nobody is left: perhaps one that was passed over has come back */
	for (size_t i = 0; i < d->n_uris; i++) {
		if (!uri_probe_begin(d, i))
			continue;
		rc = link_open_uri(d, i, as_service, out);
		uri_probe_end(d, i, rc == LDAP_SUCCESS);
		if (rc == LDAP_SUCCESS)
			return rc;
	}
	return rc;
}

int
dir_link_open(struct dir *d, struct link **out)
{
	return link_open_any(d, true, out);
}

int
dir_link_get(struct dir *d, bool as_service, struct link **out)
{
	struct pool *p = as_service ? &d->service : &d->verify;
	struct link *l;

	for (;;) {
		bool is_old;

		pthread_mutex_lock(&d->lock);
		l = p->idle;
		if (l != NULL) {
			p->idle = l->next;
			p->n_idle--;
		}
		/* one to a server that is passed over now is no better than a new one; one to the second choice ends some time */
		is_old = l != NULL && (d->down_until[l->uri] > dir_now_ms() ||
					  (l->uri != 0 && dir_now_ms() - l->since > FAILBACK_MS));
		pthread_mutex_unlock(&d->lock);
		if (!is_old)
			break;
		dir_link_close(l);
	}
	if (l == NULL)
		return link_open_any(d, as_service, out);
	l->is_fresh = false;
	*out = l;
	return LDAP_SUCCESS;
}

bool
dir_rc_is_answer(int rc)
{
	switch (rc) {
	case LDAP_SUCCESS:
	case LDAP_TIMELIMIT_EXCEEDED:
	case LDAP_SIZELIMIT_EXCEEDED:
	case LDAP_ADMINLIMIT_EXCEEDED:
	case LDAP_NO_SUCH_OBJECT:
	case LDAP_INVALID_DN_SYNTAX:
	case LDAP_INVALID_CREDENTIALS:
	case LDAP_INAPPROPRIATE_AUTH:
	case LDAP_CONSTRAINT_VIOLATION:
	case LDAP_INSUFFICIENT_ACCESS:
	case LDAP_FILTER_ERROR:
	case LDAP_PARAM_ERROR:
	case LDAP_ENCODING_ERROR:
		return true;
	default:
		return false;
	}
}

bool
dir_rc_is_link_trouble(int rc)
{
	if (rc == LDAP_FILTER_ERROR || rc == LDAP_PARAM_ERROR || rc == LDAP_ENCODING_ERROR)
		return false;
	return rc < 0 || rc == LDAP_UNAVAILABLE || rc == LDAP_BUSY || rc == LDAP_OTHER ||
	       rc == LDAP_PROTOCOL_ERROR || rc == LDAP_OPERATIONS_ERROR;
}

void
dir_link_put(
    struct dir *d, bool as_service, bool as_reader, struct link *l, int rc, uint64_t started)
{
	struct pool *p = as_service ? &d->service : &d->verify;

	if (dir_rc_is_link_trouble(rc) || (as_reader && !dir_rc_is_answer(rc))) {
		if (rc == LDAP_TIMEOUT)
			uri_failed(d, l->uri, started);
		else if (l->is_fresh)
			uri_pass_over(d, l->uri, SICK_MS);
		dir_link_close(l);
		/* the others of the pool are as old: what ended one has likely ended them */
		if (rc == LDAP_SERVER_DOWN) {
			pthread_mutex_lock(&d->lock);
			pool_close(p);
			p->n_idle = 0;
			pthread_mutex_unlock(&d->lock);
		}
		return;
	}
	pthread_mutex_lock(&d->lock);
	if (p->n_idle < d->pool_max) {
		l->next = p->idle;
		p->idle = l;
		p->n_idle++;
		l = NULL;
	}
	pthread_mutex_unlock(&d->lock);
	dir_link_close(l);
}
