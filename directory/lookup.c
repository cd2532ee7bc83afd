/* lookup.c: the lookup role, a server on the sockets lookup.smtpd, lookup.imapd, lookup.ingest and lookup.milter (each program
 * starts its own). The loop reads requests, hands them to worker threads (work.c) and sends their replies; it never waits for the
 * directory. SASL exchanges live here between their steps: one belongs to the connection that began it, ends with it, and after
 * EXCHANGE_S at the latest. A failed login is answered FAIL_US after it was asked, and a challenge of SCRAM CHALLENGE_US after, whoever it
 * was for: neither the time nor the answer tells whether the name exists, or who signed in of late. */
#include "config.h"

#include "directory/auth_plain.h"
#include "directory/live.h"
#include "directory/lookup_client.h"
#include "directory/lookup_dns.h"
#include "directory/lookup_login.h"
#include "directory/pace.h"
#include "directory/token.h"
#include "directory/work.h"
#include "lib/crypto.h"
#include "lib/err.h"
#include "lib/log.h"
#include "lib/role.h"
#include "store/epoch_client.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

enum {
	FAIL_US = 250000,
	CHALLENGE_US = 5000,
	EXCHANGE_S = 120,
	EXCHANGES_PER_CONN = 10000,
	BUCKETS = 4096,
	QUEUE_MAX = 4096,
	CONNS_MAX = 256,
	LEAVE_MS = 5000, /* after a reload, beyond what sessions have */
	LEAVE_STEP_MS = 100,
};

struct exchange {
	uint32_t id;
	struct ipc_conn *conn; /* for comparison only */
	struct auth *auth;
	bool is_busy;                /* a worker holds auth */
	bool is_dead;                /* free it when the worker is done */
	uint64_t deadline, asked_us; /* asked: its last message came (pace.h) */
	char mech[24], ip[64], service[8];
	/* the name it signs in by, folded, of the message that has it; "": not one that is kept */
	char login[PEOPLE_NAME_MAX + 1];
	struct login_known *known; /* by that name; NULL: nothing. Held */
	uint64_t mark, elsewhere;  /* of when it began */
	struct exchange *next;
};
struct client {
	unsigned n_exchanges;
};

static struct {
	struct loop *loop;
	struct work *work;
	struct people *people;
	struct live *live; /* who is signed in */
	struct dns *dns;   /* for relay; NULL where no relay asks */
	struct pace *fails, *challenges;
	struct exchange *buckets[BUCKETS];
	uint32_t last_id;
	struct loop_timer *sweep;
	struct loop_timer *nudge;
	bool is_nudging;
	uint64_t n_requests, n_failures, n_wrong;
	unsigned n_busy; /* jobs under way */
	unsigned n_conns;
} self;

/* ---- exchanges ---- */

static struct exchange **
exchange_at(struct ipc_conn *c, uint32_t id)
{
	struct exchange **x = &self.buckets[id % BUCKETS];

	while (*x != NULL && ((*x)->id != id || (*x)->conn != c))
		x = &(*x)->next;
	return x;
}

static void
exchange_free(struct exchange *x)
{
	auth_free(x->auth);
	login_known_release(x->known);
	free(x);
}

static void
exchange_remove(struct exchange **at)
{
	struct exchange *x = *at;

	*at = x->next;
	if (x->conn != NULL)
		((struct client *)ipc_user(x->conn))->n_exchanges--;
	x->conn = NULL;
	if (x->is_busy) {
		x->is_dead = true;
		return;
	}
	exchange_free(x);
}

static void
exchange_end(struct exchange *x)
{
	struct exchange **at = &self.buckets[x->id % BUCKETS];

	while (*at != x)
		at = &(*at)->next;
	exchange_remove(at);
}

static void
exchanges_sweep(void *arg)
{
	uint64_t now = loop_now_ms(self.loop);

	(void)arg;
	for (size_t i = 0; i < BUCKETS; i++) {
		for (struct exchange **at = &self.buckets[i]; *at != NULL;) {
			if ((*at)->deadline <= now && !(*at)->is_busy)
				exchange_remove(at);
			else
				at = &(*at)->next;
		}
	}
	loop_timer_set(self.sweep, 10000);
}

/* ---- replies ---- */

/* A challenge, or the empty one that asks for the name: SCRAM alone looks for somebody in between. */
static void
reply_more(struct ipc_conn *c, uint32_t id, const struct exchange *x, struct slice rest)
{
	bool is_of_somebody = strncasecmp(x->mech, "SCRAM-", 6) == 0 && *auth_name(x->auth) != '\0';
	struct buf b;

	buf_init(&b, IPC_FRAME_MAX);
	ipc_put_u32(&b, x->id);
	buf_append_slice(&b, rest);
	if (is_of_somebody)
		pace_reply(self.challenges, c, id, LOOKUP_AUTH_CONTINUE, buf_slice(&b),
		    x->asked_us + CHALLENGE_US);
	else
		ipc_reply(c, id, LOOKUP_AUTH_CONTINUE, &b, -1);
	buf_wipe(&b);
}

static void
log_login(const char *service, const char *mech, const char *ip, struct slice name,
    const struct person *u, int err)
{
	struct log_line l;

	role_stat_set(3, self.n_wrong += err == ERR_AUTH);
	log_begin(&l, err == 0 ? LOG_LVL_INFO : LOG_LVL_WARN,
	    err == 0           ? "login"
	    : err == ERR_LIMIT ? "login_throttled"
			       : "login_failed");
	log_str(&l, "service", service);
	log_str(&l, "mech", mech);
	log_str(&l, "ip", ip);
	log_slice(&l, "name", name);
	if (err == 0)
		log_str(&l, "account", u->account);
	else
		log_err(&l, "error", err);
	if (err == 0 && u->app_id != NULL)
		log_str(&l, "app", u->app_id);
	log_end(&l);
}

/* The name that what x was given is kept by: the one that was read from its message, if the mechanism has read the same. NULL: none. */
static const char *
exchange_kept_name(const struct exchange *x)
{
	char read[PEOPLE_NAME_MAX + 1];

	return *x->login != '\0' && people_name_fold(slice_str(auth_name(x->auth)), read) &&
		       strcmp(read, x->login) == 0
		   ? x->login
		   : NULL;
}

static void
auth_done(struct job *j)
{
	struct exchange *x = j->exchange;
	uint64_t fail_us = x->asked_us + FAIL_US;

	x->is_busy = false;
	if (x->is_dead) {
		exchange_free(x);
		return;
	}
	if (j->err == 0 && j->is_more) {
		reply_more(j->conn, j->id, x, buf_slice(&j->reply));
		return;
	}
	log_login(x->service, x->mech, x->ip, slice_str(auth_name(x->auth)), auth_person(x->auth),
	    j->err);
	if (j->err == 0 && j->is_as_known)
		live_login_again(self.live, j->known);
	else if (j->err == 0)
		live_login(self.live, &j->facts, x->mark, exchange_kept_name(x),
		    j->is_newly_known ? j->known : NULL);
	exchange_end(x);
	if (j->err == 0) {
		ipc_reply(j->conn, j->id, LOOKUP_AUTH_DONE, &j->reply, -1);
	} else if (j->err == ERR_TEMP) {
		ipc_reply_err(j->conn, j->id, j->err, "the directory does not answer");
	} else {
		pace_reply_err(self.fails, j->conn, j->id, j->err, "login failed", fail_us);
	}
}

static void
jobs_done(void *arg, int events)
{
	struct job *next;

	(void)arg;
	(void)events;
	for (struct job *j = work_done(self.work); j != NULL; j = next) {
		next = j->next;
		if (j->err == ERR_TEMP)
			role_stat_set(2, ++self.n_failures);
		role_stat_set(1, j->err != ERR_TEMP);
		role_stat_set(4, lookup_login_throttled());
		if (j->kind == JOB_LIVE) {
			live_done(self.live, j);
			job_free(j);
			continue;
		}
		if (j->kind == JOB_AUTH_START || j->kind == JOB_AUTH_STEP ||
		    j->kind == JOB_AUTH_WRONG)
			auth_done(j);
		else if (j->err != 0)
			ipc_reply_err(j->conn, j->id, j->err, "lookup failed");
		else
			ipc_reply(j->conn, j->id,
			    j->kind == JOB_RCPT     ? LOOKUP_RCPT_IS
			    : j->kind == JOB_ROUTE  ? LOOKUP_ROUTE_IS
			    : j->kind == JOB_MOVED  ? LOOKUP_MOVED_ARE
			    : j->kind == JOB_MEMBER ? LOOKUP_MEMBER_IS
			    : j->kind == JOB_ACL    ? LOOKUP_ACL_IS
						    : LOOKUP_SENDER_IS,
			    &j->reply, -1);
		ipc_release(j->conn);
		self.n_busy--;
		job_free(j);
	}
}

/* ---- requests ---- */

static void
on_nudge(void *arg)
{
	(void)arg;
	self.is_nudging = work_nudge(self.work);
	if (self.is_nudging)
		loop_timer_set(self.nudge, WORK_WAIT_MS);
}

static void
job_start_take(struct ipc_conn *c, uint32_t id, struct job *j)
{
	j->conn = c;
	j->id = id;
	ipc_hold(c);
	if (j->exchange != NULL)
		j->exchange->is_busy = true;
	if (work_put_take(self.work, j) == 0) {
		self.n_busy++;
		if (!self.is_nudging)
			loop_timer_set(self.nudge, WORK_WAIT_MS);
		self.is_nudging = true;
		return;
	}
	if (j->kind == JOB_AUTH_WRONG) { /* lookup counts it, the directory does not */
		log_login(j->exchange->service, j->exchange->mech, j->exchange->ip,
		    slice_str(auth_name(j->auth)), auth_person(j->auth), j->err);
		pace_reply_err(
		    self.fails, c, id, j->err, "login failed", j->exchange->asked_us + FAIL_US);
	} else {
		ipc_reply_err(c, id, ERR_TEMP, "too much to do");
	}
	ipc_release(c);
	if (j->exchange != NULL) {
		j->exchange->is_busy = false;
		exchange_end(j->exchange);
	}
	job_free(j);
}

static void
auth_job_take(struct ipc_conn *c, uint32_t id, struct job *j)
{
	struct exchange *x = j->exchange;

	j->auth = x->auth;
	j->known = x->known == NULL ? NULL : login_known_hold(x->known);
	j->elsewhere = x->elsewhere;
	job_start_take(c, id, j);
}

static int
on_rcpt(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct job *j = job_new(JOB_RCPT);

	j->address = ipc_get_strdup(r);
	if (ipc_reader_end(r) != 0 || j->address == NULL) {
		job_free(j);
		return ERR_PROTO;
	}
	job_start_take(c, id, j);
	return 0;
}

static int
on_route(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct job *j = job_new(JOB_ROUTE);

	j->address = ipc_get_strdup(r);
	j->login = ipc_get_strdup(r);
	j->signed_in = ipc_get_u8(r) != 0;
	if (ipc_reader_end(r) != 0 || j->address == NULL || j->login == NULL) {
		job_free(j);
		return ERR_PROTO;
	}
	job_start_take(c, id, j);
	return 0;
}

static int
on_sender(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct job *j = job_new(JOB_SENDER);

	j->address = ipc_get_strdup(r);
	j->login = ipc_get_strdup(r);
	if (ipc_reader_end(r) != 0 || j->address == NULL || j->login == NULL) {
		job_free(j);
		return ERR_PROTO;
	}
	job_start_take(c, id, j);
	return 0;
}

/* A question about several addresses; member: within a group, named first. */
static int
on_list(struct ipc_conn *c, uint32_t id, struct ipc_reader *r, bool member)
{
	struct job *j = job_new(member ? JOB_MEMBER : JOB_MOVED);
	uint32_t n;

	if (member)
		j->address = ipc_get_strdup(r);
	n = ipc_get_count(r, LOOKUP_ASKED_MAX, 4);
	j->list = xcalloc(n + 1, sizeof(*j->list));
	while (j->n_list < n && (j->list[j->n_list] = ipc_get_strdup(r)) != NULL)
		j->n_list++;
	if (ipc_reader_end(r) != 0 || j->n_list < n || (member && j->address == NULL)) {
		job_free(j);
		return ERR_PROTO;
	}
	job_start_take(c, id, j);
	return 0;
}

static int
on_acl(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct job *j = job_new(JOB_ACL);

	buf_done(&j->input);
	buf_init(&j->input, TOKEN_MAX);
	buf_append_slice(&j->input, ipc_get_slice(r));
	j->address = ipc_get_strdup(r);
	if (ipc_reader_end(r) != 0 || j->address == NULL) {
		job_free(j);
		return ERR_PROTO;
	}
	job_start_take(c, id, j);
	return 0;
}

/* The exchange of a START, entered into the table. */
static int
exchange_new(struct ipc_conn *c, const struct auth_params *p, struct exchange **out)
{
	struct client *client = ipc_user(c);
	struct exchange *x;
	struct auth *a = NULL;
	int err;

	if (client->n_exchanges >= EXCHANGES_PER_CONN)
		return ERR_TEMP;
	err = auth_new(p, &a);
	if (err != 0)
		return err == ERR_UNSUPPORTED ? err : ERR_TEMP;
	x = xcalloc(1, sizeof(*x));
	if (++self.last_id == 0)
		self.last_id = 1;
	x->id = self.last_id;
	x->conn = c;
	x->auth = a;
	x->deadline = loop_now_ms(self.loop) + EXCHANGE_S * 1000;
	x->mark = live_mark(self.live);
	x->elsewhere = people_elsewhere(self.people);
	strncat(x->mech, p->mech, sizeof(x->mech) - 1);
	strncat(x->ip, p->client_ip, sizeof(x->ip) - 1);
	strncat(x->service, p->service, sizeof(x->service) - 1);
	x->next = self.buckets[x->id % BUCKETS];
	self.buckets[x->id % BUCKETS] = x;
	client->n_exchanges++;
	*out = x;
	return 0;
}

/* Whose name the client's message has, and what is known of that person. Of that message alone: the next one of LOGIN is a password. */
static void
exchange_name(struct exchange *x, struct slice message)
{
	struct slice name;

	if (!auth_name_is_next(x->auth))
		return;
	if (!auth_first_name(x->mech, message, &name) || !people_name_fold(name, x->login)) {
		*x->login = '\0';
		return;
	}
	x->known = live_known(self.live, x->login);
	if (x->known != NULL) {
		login_known_hold(x->known);
		auth_offer(x->auth, x->login, x->known->person);
	}
}

/* A login by PLAIN that needs nobody to be asked: its password was verified of late, and nothing has changed of what it is given. */
static bool
is_answered(struct ipc_conn *c, uint32_t id, const struct auth_params *p, struct slice message)
{
	char name[PEOPLE_NAME_MAX + 1];
	struct auth_plain m;
	struct login_known *k;
	struct buf b;

	if (!p->tls || strcasecmp(p->mech, "PLAIN") != 0 || !auth_offers("PLAIN") ||
	    auth_plain_parse(message, &m) != 0 || !people_name_fold(m.name, name) ||
	    (k = live_known(self.live, name)) == NULL ||
	    !lookup_login_recent(k->person, m.name, m.authzid, m.password, p->client_ip))
		return false;
	live_login_again(self.live, k);
	log_login(p->service, "PLAIN", p->client_ip, m.name, k->person, 0);
	buf_init(&b, IPC_FRAME_MAX);
	buf_append_slice(&b, buf_slice(&k->reply));
	work_put_end(&b, slice_of(NULL, 0), false, k->person);
	ipc_reply(c, id, LOOKUP_AUTH_DONE, &b, -1);
	buf_wipe(&b);
	return true;
}

/* A step of SCRAM by somebody who is known, here and now: nobody need be asked. What remains of a wrong one is counted by a worker. */
static bool
is_stepped(struct ipc_conn *c, uint32_t id, struct exchange *x, bool is_first, struct slice message)
{
	enum auth_result res;
	struct buf challenge, b;
	bool has_final = false;
	struct job *j;
	int err = 0;

	if (x->known == NULL || !live_is_good(self.live, x->known) || !auth_is_quick(x->auth))
		return false;
	auth_count_late(x->auth);
	buf_init(&challenge, 16000);
	buf_init(&b, IPC_FRAME_MAX);
	res = is_first ? auth_start(x->auth, true, message, &challenge, &has_final, &err)
		       : auth_step(x->auth, message, &challenge, &has_final, &err);
	if (res == AUTH_MORE) {
		ipc_put_slice(&b, buf_slice(&challenge));
		reply_more(c, id, x, buf_slice(&b));
	} else if (res == AUTH_OK) {
		live_login_again(self.live, x->known);
		log_login(x->service, x->mech, x->ip, slice_str(auth_name(x->auth)),
		    auth_person(x->auth), 0);
		buf_append_slice(&b, buf_slice(&x->known->reply));
		work_put_end(&b, buf_slice(&challenge), has_final, auth_person(x->auth));
		exchange_end(x);
		ipc_reply(c, id, LOOKUP_AUTH_DONE, &b, -1);
	} else {
		j = job_new(JOB_AUTH_WRONG);
		j->exchange = x;
		j->err = err;
		auth_job_take(c, id, j);
	}
	buf_wipe(&b);
	buf_wipe(&challenge);
	return true;
}

static int
on_auth_start(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	struct job *j = job_new(JOB_AUTH_START);
	uint64_t asked_us = pace_now_us();
	struct auth_params p = {0};
	char *mech, *service, *ip;
	int err = 0;

	mech = ipc_get_strdup(r);
	j->has_initial = ipc_get_u8(r) != 0;
	buf_append_slice(&j->input, ipc_get_slice(r));
	service = ipc_get_strdup(r);
	ip = ipc_get_strdup(r);
	p.tls = ipc_get_u8(r) != 0;
	p.binding_exporter = ipc_get_slice(r);
	p.binding_endpoint = ipc_get_slice(r);
	p.peer_cert = ipc_get_slice(r);
	if (ipc_reader_end(r) != 0 || mech == NULL || service == NULL || ip == NULL) {
		err = ERR_PROTO;
		goto out;
	}
	p.mech = mech;
	p.service = service;
	p.client_ip = ip;
	if (j->input.err != 0) {
		ipc_reply_err(c, id, ERR_SYNTAX, "response too long");
		goto out;
	}
	if (j->has_initial && is_answered(c, id, &p, buf_slice(&j->input)))
		goto out;
	err = exchange_new(c, &p, &j->exchange);
	if (err != 0) {
		ipc_reply_err(c, id, err, "no exchange");
		err = 0;
		goto out;
	}
	j->exchange->asked_us = asked_us;
	if (j->has_initial)
		exchange_name(j->exchange, buf_slice(&j->input));
	if (j->has_initial && is_stepped(c, id, j->exchange, true, buf_slice(&j->input))) {
		j->exchange = NULL;
		goto out;
	}
	auth_job_take(c, id, j);
	j = NULL;
out:
	job_free(j);
	free(mech);
	free(service);
	free(ip);
	return err;
}

static int
on_auth_step(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	uint32_t number = ipc_get_u32(r);
	struct slice response = ipc_get_slice(r);
	uint64_t asked_us = pace_now_us();
	struct exchange *x;
	struct job *j;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	x = *exchange_at(c, number);
	/* its time may just have run out; but a second step before the answer to the first is a broken client */
	if (x != NULL && x->is_busy)
		return ERR_PROTO;
	if (x == NULL) {
		ipc_reply_err(c, id, ERR_TIMEOUT, "no such exchange");
		return 0;
	}
	x->asked_us = asked_us;
	if (response.len <= AUTH_STEP_MAX) {
		exchange_name(x, response);
		if (is_stepped(c, id, x, false, response))
			return 0;
	}
	j = job_new(JOB_AUTH_STEP);
	buf_append_slice(&j->input, response);
	if (j->input.err != 0) {
		job_free(j);
		exchange_end(x);
		ipc_reply_err(c, id, ERR_SYNTAX, "response too long");
		return 0;
	}
	j->exchange = x;
	auth_job_take(c, id, j);
	return 0;
}

static int
on_auth_abort(struct ipc_conn *c, uint32_t id, struct ipc_reader *r)
{
	uint32_t number = ipc_get_u32(r);
	struct exchange **at;

	if (ipc_reader_end(r) != 0)
		return ERR_PROTO;
	at = exchange_at(c, number);
	if (*at != NULL)
		exchange_remove(at);
	if (id != 0)
		ipc_reply_ok(c, id);
	return 0;
}

static int
on_msg(struct ipc_conn *c, uint16_t type, uint32_t id, struct ipc_reader *r, int fd, void *arg)
{
	(void)arg;
	if (fd >= 0)
		close(fd);
	role_stat_set(0, ++self.n_requests);
	if (id == 0 && type != LOOKUP_AUTH_ABORT && type != LOOKUP_WATCH && type != LOOKUP_UNWATCH)
		return ERR_PROTO;
	switch (type) {
	case LOOKUP_RCPT:
		return on_rcpt(c, id, r);
	case LOOKUP_ROUTE:
		return on_route(c, id, r);
	case LOOKUP_SENDER:
		return on_sender(c, id, r);
	case LOOKUP_MOVED:
	case LOOKUP_MEMBER:
		return on_list(c, id, r, type == LOOKUP_MEMBER);
	case LOOKUP_AUTH_START:
		return on_auth_start(c, id, r);
	case LOOKUP_AUTH_STEP:
		return on_auth_step(c, id, r);
	case LOOKUP_AUTH_ABORT:
		return on_auth_abort(c, id, r);
	case LOOKUP_ACL:
		return on_acl(c, id, r);
	case LOOKUP_WATCH:
		return id != 0 ? ERR_PROTO : live_watch(self.live, c, r);
	case LOOKUP_UNWATCH:
		return id != 0 ? ERR_PROTO : live_unwatch(self.live, c, r);
	case LOOKUP_MX:
	case LOOKUP_HOST:
		return lookup_dns_request(self.dns, c, type, id, r);
	default:
		return ERR_PROTO;
	}
}

static int
on_open(struct ipc_conn *c, void *arg, void **user_out)
{
	(void)c;
	(void)arg;
	*user_out = xcalloc(1, sizeof(struct client));
	self.n_conns++;
	return 0;
}

static void
on_close(struct ipc_conn *c, void *arg)
{
	struct client *client = ipc_user(c);

	(void)arg;
	live_conn_closed(self.live, c);
	for (size_t i = 0; i < BUCKETS && client->n_exchanges > 0; i++) {
		for (struct exchange **at = &self.buckets[i]; *at != NULL;) {
			if ((*at)->conn == c)
				exchange_remove(at);
			else
				at = &(*at)->next;
		}
	}
	self.n_conns--;
	free(client);
}

/* ---- start ---- */

static const struct {
	const char *socket;
	uint32_t peer;
	const char *user_option;
} doors[] = {
    {"lookup.smtpd", IPC_SMTPD, "user_smtpd"},
    {"lookup.imapd", IPC_IMAPD, "user_imapd"},
    {"lookup.ingest", IPC_INGEST, "user_ingest"},
    {"lookup.milter", IPC_MILTER, "user_milter"},
    {"lookup.relay", IPC_RELAY, "user_relay"},
};
static struct ipc_server *servers[sizeof(doors) / sizeof(doors[0])];

static void
give_up(const char *what, const char *why)
{
	log_msg(LOG_LVL_ERROR, "lookup_start", "%s: %s", what, why);
	exit(EX_CONFIG);
}

/* The service account's password, without the line end an editor leaves. */
static void
password_read(struct buf *b)
{
	int fd = role_fd("ldap_password_file");
	unsigned char bytes[1024];
	ssize_t n;

	if (*conf_str(role_conf(), "ldap_bind_dn") == '\0')
		return;
	n = fd < 0 ? -1 : pread(fd, bytes, sizeof(bytes), 0);
	if (n < 0)
		give_up("ldap_password_file", "cannot be read");
	while (n > 0 && (bytes[n - 1] == '\n' || bytes[n - 1] == '\r'))
		n--;
	buf_append(b, bytes, (size_t)n);
	explicit_bzero(bytes, sizeof(bytes));
}

static struct dir *
directory_open(void)
{
	const struct conf *c = role_conf();
	struct dir *d = NULL;
	struct buf password;
	char *why = NULL;
	int err;

	buf_init(&password, 1024);
	password_read(&password);
	err = dir_open_conf(c, conf_str(c, "ldap_bind_dn"), buf_slice(&password), &d);
	buf_wipe(&password);
	if (err != 0)
		give_up("ldap_uris, ldap_ca_file", err_name(err));
	if (people_new(c, d, &self.people, &why) != 0)
		give_up("congvu.conf", why == NULL ? "dir_* options" : why);
	return d;
}

static void
sasl_open(const struct work_params *w)
{
	const char *what;
	int err = lookup_login_open(role_conf(), self.people, w->token_key, &what);

	if (err != 0)
		give_up(what, err_name(err));
}

/* libcrypto fetches its algorithms at first use, into statics of lib/crypto.c: once, before there are threads. */
static void
crypto_warm_up(const unsigned char key[32])
{
	unsigned char digest[32];
	struct buf b;

	buf_init(&b, 64);
	sha256_of(slice_str(""), digest);
	(void)seal(key, slice_str(""), slice_str(""), &b);
	buf_done(&b);
}

/* Relay alone asks; a wrong setting stops no login. */
static void
dns_open(void)
{
	const struct conf *c = role_conf();
	size_t n = conf_list_len(c, "dns_resolvers");
	const char **resolvers = xcalloc(n + 1, sizeof(*resolvers));
	bool validates = *conf_str(c, "dns_anchor_file") != '\0';
	char *anchors = validates ? conf_path(c, "dns_anchor_file") : NULL;
	struct dns_params p = {.resolvers = resolvers,
	    .n_resolvers = n,
	    .anchor_file = anchors,
	    .timeout_ms = (unsigned)conf_int(c, "dns_timeout_ms")};
	const char *why = "";

	for (size_t i = 0; i < n; i++)
		resolvers[i] = conf_list_item(c, "dns_resolvers", i);
	if (dns_new(self.loop, &p, &self.dns, &why) != 0)
		log_msg(LOG_LVL_ERROR, "dns", "no DNS: %s", why);
	free(resolvers);
	free(anchors);
}

static bool
is_still_good(void *arg, const struct login_known *k)
{
	(void)arg;
	return live_is_good(self.live, k);
}

static void
on_term(void *arg, int signo)
{
	(void)arg;
	(void)signo;
	/* threads may be in a library: leave without tidying up under them */
	_exit(0);
}

/* Replaced after a reload: serves those who are connected, who leave as well; ends with the last of them. */
static void
on_leaving(void *arg)
{
	static unsigned waited;
	struct loop_timer **again = arg;
	unsigned grace = (unsigned)conf_int(role_conf(), "reload_grace_s") * 1000;
	unsigned n_busy = self.n_busy + pace_waiting(self.fails) + pace_waiting(self.challenges);

	if (self.n_conns == 0 || (waited >= grace + LEAVE_MS && n_busy == 0) ||
	    waited >= grace + 2 * LEAVE_MS)
		_exit(0);
	waited += LEAVE_STEP_MS;
	loop_timer_set(*again, LEAVE_STEP_MS);
}

static void
on_hup(void *arg, int signo)
{
	static struct loop_timer *timer;

	(void)arg;
	(void)signo;
	if (timer != NULL)
		return;
	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++)
		if (servers[i] != NULL)
			ipc_server_stop(servers[i]);
	timer = loop_timer_new(self.loop, on_leaving, &timer);
	on_leaving(&timer);
}

int
main(int argc, char **argv)
{
	static const struct ipc_server_ops ops = {on_open, on_msg, on_close};
	struct work_params params = {.queue_max = QUEUE_MAX};
	unsigned n_servers = 0;
	struct dir *d;
	int64_t uids[sizeof(doors) / sizeof(doors[0])];

	role_init(argc, argv, "lookup");
	params.conf = role_conf();
	params.threads = (unsigned)conf_int(role_conf(), "ldap_pool");
	if (role_fd("token_key_file") < 0 ||
	    token_key_read(role_fd("token_key_file"), params.token_key) != 0)
		give_up("token_key_file", "no 64 hex digits there");
	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++)
		uids[i] = role_fd(doors[i].socket) < 0 ? -1 : role_uid_of(doors[i].user_option);
	self.loop = loop_new();
	self.fails = pace_new(self.loop);
	self.challenges = pace_new(self.loop);
	d = directory_open();
	if (role_fd("lookup.relay") >= 0)
		dns_open();
	sasl_open(&params);
	params.people = self.people;
	crypto_warm_up(params.token_key);
	role_enter();
	self.work = work_new(&params);
	self.live = live_new(self.loop, self.work, d, self.people, role_conf(), params.token_key,
	    role_fd("lookup.ingest") < 0 ? NULL : epoch_client_new(self.loop, "store.lookup.sock"));
	work_judge(self.work, is_still_good, NULL);
	{
		struct loop_fd *f = loop_fd_new(self.loop, work_fd(self.work), jobs_done, NULL);

		loop_fd_want(f, LOOP_READ);
	}
	for (size_t i = 0; i < sizeof(doors) / sizeof(doors[0]); i++) {
		if (role_fd(doors[i].socket) < 0)
			continue;
		servers[i] = ipc_server_new(self.loop, role_fd(doors[i].socket), &lookup_proto,
		    doors[i].peer, uids[i], CONNS_MAX, &ops, NULL);
		n_servers++;
	}
	if (n_servers == 0)
		give_up("sockets", "none was given");
	self.nudge = loop_timer_new(self.loop, on_nudge, NULL);
	self.sweep = loop_timer_new(self.loop, exchanges_sweep, NULL);
	loop_timer_set(self.sweep, 10000);
	loop_signal(self.loop, SIGTERM, on_term, NULL);
	loop_signal(self.loop, SIGHUP, on_hup, NULL);
	return loop_run(self.loop) == 0 ? 0 : EX_SOFTWARE;
}
